"""Built-in data: sets in scikit-learn's wheel (which is not imported), a sine wave, the adding problem."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnzoo.config.data_options import AddingOptions, BundledTableOptions, DigitsOptions, SineOptions
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit, make_splits
from nnzoo.data.row_split import split_rows
from nnzoo.errors import DataError

_FILES = {"iris": "iris.csv", "wine": "wine_data.csv", "breast_cancer": "breast_cancer.csv"}
_COLUMNS = {
    "iris": "sepal length (cm)|sepal width (cm)|petal length (cm)|petal width (cm)",
    "wine": "alcohol|malic_acid|ash|alcalinity_of_ash|magnesium|total_phenols|flavanoids|"
    "nonflavanoid_phenols|proanthocyanins|color_intensity|hue|od280/od315_of_diluted_wines|proline",
    "diabetes": "age|sex|bmi|bp|s1|s2|s3|s4|s5|s6",
    "breast_cancer": "|".join(
        f"{prefix}{name}{suffix}"
        for prefix, suffix in (("mean ", ""), ("", " error"), ("worst ", ""))
        for name in (
            "radius",
            "texture",
            "perimeter",
            "area",
            "smoothness",
            "compactness",
            "concavity",
            "concave points",
            "symmetry",
            "fractal dimension",
        )
    ),
}


def _file(name: str) -> Path:
    result = find_spec("sklearn")
    if result is None or result.origin is None:
        raise DataError(
            "this data set comes with scikit-learn: pip install scikit-learn", code="E05"
        )
    return Path(result.origin).parent / "datasets" / "data" / name


def _gzip_table(name: str) -> np.ndarray:
    with gzip.open(_file(name), "rt") as file:
        delimiter = "," if name.startswith("digits") else None
        return np.loadtxt(file, delimiter=delimiter, ndmin=2)


def load_digits(options: DigitsOptions, spec: DataSpec | None = None) -> Dataset:
    """Images (1, 8, 8) with values 0 to 16."""
    table = _gzip_table("digits.csv.gz")
    x = torch.from_numpy(table[:, :-1].astype(np.uint8).reshape(-1, 1, 8, 8))
    y = torch.from_numpy(table[:, -1].astype(np.int64))
    rows = split_rows(len(x), options.split, y.numpy())
    splits = make_splits(x, y, rows)
    labels = [str(digit) for digit in range(10)]
    spec = DataSpec(InputSpec("image", (1, 8, 8)), "classification", labels, max_pixel_value=16)
    return Dataset(spec, splits)


def load_table(options: BundledTableOptions, spec: DataSpec | None = None) -> Dataset:
    """iris, wine, breast_cancer: classes; diabetes: disease progression as a number."""
    name = options.name
    if name == "diabetes":
        x = _gzip_table("diabetes_data_raw.csv.gz")
        y = torch.from_numpy(_gzip_table("diabetes_target.csv.gz"))
        labels: list[str] = []
    else:
        with _file(_FILES[name]).open() as file:
            labels = file.readline().strip().split(",")[2:]
            table = np.loadtxt(file, delimiter=",")
        if name == "wine":
            labels = ["class_0", "class_1", "class_2"]
        x = table[:, :-1]
        y = torch.from_numpy(table[:, -1].astype(np.int64))
    inputs = torch.from_numpy(np.ascontiguousarray(x))
    rows = split_rows(len(x), options.split, y.numpy() if labels else None)
    splits = make_splits(inputs, y, rows)
    columns = [ColumnSpec(column) for column in _COLUMNS[name].split("|")]
    spec = DataSpec(
        InputSpec("table", (len(columns),)),
        "classification" if labels else "regression",
        labels,
        [] if labels else ["progression"],
        columns,
    )
    return Dataset(spec, splits)


# Generated.


def load_sine(options: SineOptions, spec: DataSpec | None = None) -> Dataset:
    """amplitude * sin(2 pi t / period) + noise, cut into windows."""
    from nnzoo.data.series import Series, windows

    time = np.arange(options.length)
    values = options.amplitude * np.sin(2 * np.pi * time / options.period)
    rng = np.random.default_rng([options.seed, 0x51])
    values = values + options.noise * rng.standard_normal(options.length)
    period = round(options.period)
    return windows([Series(values[:, None])], [ColumnSpec("sine")], ["sine"], options, period)


def load_adding(options: AddingOptions, spec: DataSpec | None = None) -> Dataset:
    """Two features a time step: a number from [0, 1) and a mark; exactly two steps are marked, one
    in each half, and the target is the sum of the two marked numbers.

    Hochreiter & Schmidhuber, "Long short-term memory" (1997), experiment 4, in the form of Le et
    al. (2015). Always answering 1 scores a mean squared error of 1/6.
    """
    splits: dict[str, Any] = {}
    sizes = {"train": options.train, "val": options.val, "test": options.test}
    for i, (part, count) in enumerate(sizes.items()):
        if not count:
            continue
        rng = np.random.default_rng([options.seed, 0xADD, i])
        half = options.length // 2
        numbers = rng.random((count, options.length))
        first = rng.integers(0, half, count)
        second = rng.integers(half, options.length, count)
        rows = np.arange(count)
        marks = np.zeros_like(numbers)
        marks[rows, first] = marks[rows, second] = 1
        target = numbers[rows, first] + numbers[rows, second]
        x = torch.from_numpy(np.stack([numbers, marks], 2))
        splits[part] = TensorSplit(x, torch.from_numpy(target[:, None]))
    columns = [ColumnSpec("number"), ColumnSpec("mark")]
    shape = (options.length, 2)
    spec = DataSpec(InputSpec("series", shape), "regression", [], ["sum"], columns)
    return Dataset(spec, splits)
