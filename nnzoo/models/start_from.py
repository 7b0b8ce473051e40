"""Start a network from trained weights (`model.start_from`): what fits by name and shape is taken, the rest is named.

Rows and columns that belong to tokens, labels, targets or input columns are matched by their names, not by position.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from nnzoo.config.data_options import PATH_KEYS
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.registry import MODELS
from nnzoo.config.run_config import from_dict
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.preprocess import Preprocess
from nnzoo.errors import ConfigError
from nnzoo.models.weights_file import KEY, Weights
from nnzoo.text import Note, list_some, plural

if TYPE_CHECKING:
    from nnzoo.models.network import Network

# Names that a note lists before it counts the rest: of tensors that fit, and of those that do not.
SHOWN, SHOWN_MISMATCHES = 6, 40
AxisKind = Literal["inputs", "outputs"]


@dataclass
class Taken:
    """The fate of each tensor of a network that starts from trained weights, as lines for people."""

    whole: list[str] = field(default_factory=list)
    in_part: list[str] = field(default_factory=list)
    """Taken by the names of rows or columns: a tensor, how many of its names, and the others."""
    new: list[str] = field(default_factory=list)
    """With the shapes on both sides, or that the file has none of that name."""
    new_names: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Names:
    """The names along the inputs and outputs of a network; None where there are none."""

    inputs: list[str] | None
    outputs: list[str] | None
    input_kind: str
    output_kind: str


@torch.no_grad()
def take_weights(network: Network, weights: Weights) -> list[str]:
    """Set the tensors of a fresh model to those that fit; returns notes on every tensor.

    Raises ConfigError if none fits, or one that fits holds values that are not finite.
    """
    taken = _copy(network, weights)
    state = network.model.state_dict()
    if not taken.whole and not taken.in_part:
        theirs = [f"{name} {tuple(t.shape)}" for name, t in weights.tensors.items()]
        ours = [f"{name} {tuple(t.shape)}" for name, t in state.items()]
        raise ConfigError.at(
            KEY,
            f"none of the {plural(len(theirs), 'tensor')} of {weights.path} fits this network by name and shape: "
            f"it has {list_some(theirs, SHOWN, True)}; the network has {list_some(ours, SHOWN, True)}",
            code="E20",
        )
    count = len(taken.whole) + len(taken.in_part)
    notes = [
        Note(
            "N27",
            f"started from {weights.path} (sha256 {weights.sha256[:12]}): {count} of "
            f"{plural(len(state), 'tensor')} came from there"
            + (f": {list_some(taken.whole, SHOWN, True)}" if taken.whole else ""),
        )
    ]
    notes += (
        [Note("N27", f"taken in part: {list_some(taken.in_part, SHOWN_MISMATCHES, True)}")]
        if taken.in_part
        else []
    )
    if taken.new:
        text = f"new, at their random start: {list_some(taken.new, SHOWN_MISMATCHES, True)}"
        notes.append(Note("N27", text))
    left = [f"{name} {tuple(t.shape)}" for name, t in weights.tensors.items() if name not in state]
    notes += [Note("N27", f"left there: {list_some(left, SHOWN_MISMATCHES, True)}")] if left else []
    frozen = [
        name
        for name, p in network.model.named_parameters()
        if not p.requires_grad and name in taken.new_names
    ]
    if frozen:
        text = f"frozen at their random start: {list_some(frozen, SHOWN_MISMATCHES, True)}"
        notes.append(Note("N27", text))
    return notes + _other_options(network, weights) + _other_split(network, weights)


def _copy(network: Network, weights: Weights) -> Taken:
    here = _names(network.data_spec, network.preprocess, network.preprocess.state_dict())
    there = None
    if weights.spec is not None:
        there = _names(weights.spec, _their_preprocess(weights), weights.preprocess)
    axes = _axes(network)
    taken = Taken()
    for name, target in network.model.state_dict().items():
        source = weights.tensors.get(name)
        if source is None:
            taken.new.append(f"{name} {tuple(target.shape)} (no such tensor there)")
        elif source.is_floating_point() != target.is_floating_point():
            kinds = [str(t.dtype).removeprefix("torch.") for t in (target, source)]
            taken.new.append(f"{name} ({kinds[0]}; {kinds[1]} there)")
        else:
            _take(name, target, source, _named(axes.get(name, {}), here, there), taken)
            continue
        taken.new_names.add(name)
    return taken


def _take(
    name: str,
    target: Tensor,
    source: Tensor,
    named: dict[int, tuple[list[str] | None, list[str] | None, str]],
    taken: Taken,
) -> None:
    """Take one tensor; named: by axis the names here and there, which differ, and what they name."""
    rows_here: list[Tensor] = [torch.arange(size) for size in target.shape]
    rows_there: list[Tensor] = list(rows_here)
    parts = []
    fits = source.ndim == target.ndim
    for axis in range(target.ndim if fits else 0):
        if axis not in named:
            fits = fits and source.shape[axis] == target.shape[axis]
            continue
        here, there, kind = named[axis]
        pairs = _pairs(here, there, (target.shape[axis], source.shape[axis]), kind == "columns")
        if pairs is None:
            fits = False
            break
        rows_here[axis], rows_there[axis] = pairs
        places = {name: i for i, name in enumerate(here or [])}
        missing = [name.partition("\0")[2] for name in places if name not in set(there or [])]
        others = f"; new: {list_some(missing, 3, True)}" if missing else ""
        parts.append(f"{len(places) - len(missing)} of {len(places)} {kind} by name{others}")
    if not fits or any(not len(rows) for rows in rows_here):
        shapes = f"{tuple(target.shape)}, {tuple(source.shape)} there"
        same = tuple(target.shape) == tuple(source.shape)
        kinds = " and ".join(dict.fromkeys(kind for _, _, kind in named.values()))
        taken.new.append(f"{name} ({shapes}{f'; of other {kinds}' if same and kinds else ''})")
        taken.new_names.add(name)
        return
    values = source
    for axis, rows in enumerate(rows_there):
        values = values.index_select(axis, rows) if axis in named else values
    if values.is_floating_point() and not bool(values.isfinite().all()):
        raise ConfigError.at(
            KEY, f"'{name}' there holds values that are not finite numbers", code="E20"
        )
    values = values.to(target)
    if parts:
        index = torch.meshgrid(*[rows.to(target.device) for rows in rows_here], indexing="ij")
        target[index] = values
        taken.in_part.append(f"{name} ({', '.join(parts)})")
    else:
        target.copy_(values)
        taken.whole.append(name)


def _pairs(
    here: list[str] | None, there: list[str] | None, sizes: tuple[int, int], repeats: bool
) -> tuple[Tensor, Tensor] | None:
    """The indices here and there of what has the same name; None where an axis is not one of these names.

    sizes: of the axis here and there; repeats: whether it may have the names several times, as the time steps of a
    flattened window.
    """
    size, their_size = sizes
    if not here or not there or size % len(here):
        return None
    times = size // len(here)
    if their_size != times * len(there) or (times > 1 and not repeats):
        return None
    places = {name: i for i, name in enumerate(there)}
    matched = [(i, places[name]) for i, name in enumerate(here) if name in places]
    pairs = torch.tensor(matched, dtype=torch.int64).view(-1, 2)
    turns = torch.arange(times)[:, None]
    ours, theirs = pairs[:, 0] + turns * len(here), pairs[:, 1] + turns * len(there)
    return ours.flatten(), theirs.flatten()


def _named(
    axes: dict[int, AxisKind], here: _Names, there: _Names | None
) -> dict[int, tuple[list[str] | None, list[str] | None, str]]:
    """The axes of a tensor whose names differ here and there; of a file without names none."""
    if there is None:
        return {}
    result = {}
    for axis, kind in axes.items():
        pair = getattr(here, kind), getattr(there, kind)
        what = here.input_kind if kind == "inputs" else here.output_kind
        if pair[0] != pair[1]:
            result[axis] = (*pair, what)
    return result


def _names(spec: DataSpec, preprocess: Preprocess | None, statistics: dict[str, Tensor]) -> _Names:
    """The names of inputs and outputs of a network on such data; each begins with what it is and a zero character."""
    tokens = None
    if spec.tokenizer is not None:
        tokens = [f"{spec.tokenizer.unit}\0{token}" for token in spec.tokenizer.vocabulary]
    if spec.task == "language_model":
        return _Names(tokens, tokens, "tokens", "tokens")
    outputs = [f"label\0{label}" for label in spec.labels]
    if not outputs:
        steps = range(1, spec.horizon + 1)
        outputs = [f"target\0{name}+{h}" for h in steps for name in spec.targets]
    kind = "labels" if spec.labels else "targets"
    if tokens is not None:
        return _Names(tokens, outputs, "tokens", kind)
    what = "columns" if spec.input.kind == "series" else "inputs"
    return _Names(_input_names(spec, preprocess, statistics), outputs, what, kind)


def _input_names(
    spec: DataSpec, preprocess: Preprocess | None, statistics: dict[str, Tensor]
) -> list[str] | None:
    """The names of the features that the model reads; of images, whose channels have none, None."""
    if "pca.components" in statistics:
        components = statistics["pca.components"]
        digest = hashlib.sha256(components.cpu().contiguous().numpy().tobytes()).hexdigest()
        return [f"pca {digest}\0component {i + 1}" for i in range(components.shape[-1])]
    if spec.input.kind not in ("table", "series"):
        return None
    names = [f"number\0{column.name}" for column in spec.columns if column.categories is None]
    names += [
        f"category\0{column.name}={category}"
        for column in spec.columns
        for category in column.categories or ()
    ]
    width = len(names) if preprocess is None else preprocess.output_spec.shape[-1]
    # Other features than the columns have no names, but belong to these columns.
    return names if len(names) == width else [f"{name} of {width}" for name in names]


def _their_preprocess(weights: Weights) -> Preprocess | None:
    try:
        options = from_dict(weights.options, weights.path).data
        return Preprocess(getattr(options, "preprocess"), cast(DataSpec, weights.spec))
    except (ConfigError, AttributeError, ValueError, TypeError):
        return None


def _axes(network: Network) -> dict[str, dict[int, AxisKind]]:
    """For each tensor, which of its axes grow with the inputs or the outputs of the model."""
    spec, outputs = network.preprocess.output_spec, network.task.outputs
    shapes = {name: t.shape for name, t in network.model.state_dict().items()}
    axes: dict[str, dict[int, AxisKind]] = {}
    more: list[tuple[AxisKind, InputSpec, int]] = [
        ("inputs", _with_one_more(spec), outputs),
        ("outputs", spec, outputs + 1),
    ]
    entry = MODELS.get(network.config.model.name)
    assert entry is not None
    for kind, input_spec, count in more:
        with torch.device("meta"):
            grown: nn.Module = entry.load()(network.config.model, input_spec, count)
        for name, tensor in grown.state_dict().items():
            shape = shapes.get(name, tensor.shape)
            for axis, (size, larger) in enumerate(zip(shape, tensor.shape, strict=False)):
                if larger != size:
                    axes.setdefault(name, {})[axis] = kind
    return axes


def _with_one_more(spec: InputSpec) -> InputSpec:
    """The inputs with one more token, channel or column."""
    if spec.kind == "tokens":
        return replace(spec, vocabulary=spec.vocabulary + 1)
    place = 0 if spec.kind == "image" else len(spec.shape) - 1
    shape = [size + (i == place) for i, size in enumerate(spec.shape)]
    return replace(spec, shape=tuple(shape))


def _other_options(network: Network, weights: Weights) -> list[str]:
    """A note on the options of the model that differ there, such as the activation, which no shape shows."""
    theirs = weights.options.get("model")
    if not isinstance(theirs, dict):
        return []
    ours = network.config.model.model_dump(mode="json")
    skipped = ("start_from", "freeze", "init")
    differing = [
        f"model.{key} {flow_yaml(theirs[key])} there, {flow_yaml(ours[key])} here"
        for key in ours
        if key not in skipped and key in theirs and theirs[key] != ours[key]
    ]
    return [f"other options: {list_some(differing, SHOWN, True)}"] if differing else []


def _other_split(network: Network, weights: Weights) -> list[str]:
    """A note if the source was trained on the same data with another split: no figure is an honest one then."""
    theirs, ours = weights.options.get("data"), network.config.data.model_dump(mode="json")
    if weights.spec is None or not isinstance(theirs, dict):
        return []
    places = ("name", *PATH_KEYS)
    same_data = all(theirs.get(key) == ours.get(key) for key in places)
    if not same_data or weights.spec.fingerprint == network.data_spec.fingerprint:
        return []
    return [
        "the source was trained on the same data with other rows for training: rows that validate or test here may "
        "have been among them, so that these figures may be too good"
    ]
