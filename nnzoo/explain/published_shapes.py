"""Shapes, classes and rows of published image sets, by which a network is described where their files are not here."""

from __future__ import annotations

from nnzoo.config.data_options import DataOptions, EmnistOptions, TorchvisionOptions
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.row_split import split_rows

# Image shape, classes, training and test rows.
_SETS: dict[str, tuple[tuple[int, int, int], int, int, int]] = {
    "mnist": ((1, 28, 28), 10, 60_000, 10_000),
    "fashion_mnist": ((1, 28, 28), 10, 60_000, 10_000),
    "kmnist": ((1, 28, 28), 10, 60_000, 10_000),
    "cifar10": ((3, 32, 32), 10, 50_000, 10_000),
    "cifar100": ((3, 32, 32), 100, 50_000, 10_000),
    "svhn": ((3, 32, 32), 10, 73_257, 26_032),
    "usps": ((1, 16, 16), 10, 7_291, 2_007),
}
_EMNIST = {
    "byclass": (62, 697_932, 116_323),
    "bymerge": (47, 697_932, 116_323),
    "balanced": (47, 112_800, 18_800),
    "letters": (26, 124_800, 20_800),
    "digits": (10, 240_000, 40_000),
    "mnist": (10, 60_000, 10_000),
}


def published_spec(options: DataOptions) -> DataSpec | None:
    """The description of a published set without its files, with the rows of each split; None for other sources."""
    if isinstance(options, EmnistOptions):
        classes, train, test = _EMNIST[options.subset]
        shape = (1, 28, 28)
    elif options.name in _SETS and isinstance(options, TorchvisionOptions):
        shape, classes, train, test = _SETS[options.name]
    else:
        return None
    rows = {name: len(part) for name, part in split_rows(train, options.split, test=False).items()}
    labels = [str(i) for i in range(classes)]
    input_spec = InputSpec("image", shape)
    return DataSpec(input_spec, "classification", labels, num_rows=rows | {"test": test})
