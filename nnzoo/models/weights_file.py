"""Weights to start from: those of a run, a state_dict of PyTorch (.pt), or a .safetensors file.

Files may be anyone's: nothing in them is executed, and what they say of themselves is checked against their size.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnzoo.data.data_spec import DataSpec
from nnzoo.errors import CheckpointError
from nnzoo.runs import checkpoint
from nnzoo.text import plural, shorten

KEY = "model.start_from"
MAX_HEADER = 16 << 20
MAX_TENSORS = 20_000
MAX_NAME = 1000
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
# Prefixes that wrappers put before every name: DataParallel, torch.compile, Lightning.
_PREFIXES = ("module.", "_orig_mod.", "model.")
# Under which training scripts keep the weights in a .pt file.
_KEYS = ("model", "state_dict", "model_state_dict")


@dataclass(frozen=True)
class Weights:
    """The tensors of a trained model, and what the file says of its data; nothing where it is no file of nnzoo.

    options: the run's configuration as plain values; preprocess, task: their statistics.
    """

    path: str
    sha256: str
    tensors: dict[str, Tensor]
    spec: DataSpec | None = None
    options: dict[str, Any] = field(default_factory=dict)
    preprocess: dict[str, Tensor] = field(default_factory=dict)
    task: dict[str, Tensor] = field(default_factory=dict)


def read_weights(path: str) -> Weights:
    """The weights of a run folder (its best ones), a .pt file or a .safetensors file.

    Raises CheckpointError for a path that is none of these, or a file that does not hold what its format says.
    """
    file = Path(path)
    if not file.exists():
        raise CheckpointError.at(
            KEY,
            f"no run folder and no file {path} (a relative path in a config starts at the config's folder)",
            code="E61",
        )
    if file.is_dir():
        file = _best_of(file)
    elif file.suffix not in (".pt", ".pth", ".safetensors"):
        raise CheckpointError.at(
            KEY,
            f"{path}: expected a run folder, or a .pt or .safetensors file of weights",
            code="E61",
        )
    try:
        data = checkpoint.read(file)
        parse = _from_safetensors if file.suffix == ".safetensors" else _from_torch
        weights = parse(data, str(file), hashlib.sha256(data).hexdigest())
        _check_names(weights)
    except CheckpointError as error:
        raise CheckpointError.at(KEY, str(error), code="E61") from None
    return weights


def _check_names(weights: Weights) -> None:
    """Raise CheckpointError for names that no message could show."""
    for name in weights.tensors:
        if not name.isprintable() or len(name) > MAX_NAME:
            raise CheckpointError(
                f"{weights.path}: {shorten(ascii(name))} is no name of a tensor", code="E65"
            )


def _best_of(folder: Path) -> Path:
    best = folder / "best.pt"
    runs = sorted(file.parent for file in folder.glob("*/best.pt"))
    if not best.exists() and runs:
        raise CheckpointError.at(
            KEY,
            f"{folder} is a folder of {plural(len(runs), 'run')}; give one of them, as in {runs[0]}",
            code="E61",
        )
    if not best.exists():
        raise CheckpointError.at(
            KEY, f"{folder} holds no best.pt, so it is not a trained run", code="E61"
        )
    return best


def _from_torch(data: bytes, path: str, sha256: str) -> Weights:
    """A checkpoint of nnzoo if it has its checksum, else a state_dict."""
    if checkpoint.has_checksum(data):
        content = checkpoint.parse(data, Path(path))
        try:
            spec = DataSpec.from_dict(content["data"])
            options = content["config"]
            parts = [_tensors(content[name]) for name in ("model", "preprocess", "task")]
            if not isinstance(options, dict):
                raise TypeError("a configuration that is none")
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{path} is not a checkpoint of nnzoo: its parts do not fit together ({error})",
                code="E65",
            ) from None
        return Weights(path, sha256, parts[0], spec, options, *parts[1:])
    try:
        checkpoint.check_archive(data, state_dict=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises at foreign bytes is written nowhere
        known = isinstance(error, checkpoint.UnexpectedContent)
        reason = error if known else "torch cannot read it as one"
        raise CheckpointError(
            f"{path} is no state_dict of PyTorch (torch.save(network.state_dict(), …)): {reason}",
            code="E65",
        ) from None
    return Weights(path, sha256, _state_dict(content, path))


def _state_dict(content: Any, path: str) -> dict[str, Tensor]:
    """The tensors of a .pt file, which may lie under a key beside other values; without the prefix of a wrapper."""
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}, not a state_dict", code="E65"
        )
    inner = next((content[key] for key in _KEYS if isinstance(content.get(key), Mapping)), None)
    tensors = _tensors(content if inner is None else inner)
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors by name", code="E65")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    return tensors


def _tensors(values: Any) -> dict[str, Tensor]:
    return {
        name: value.detach()
        for name, value in values.items()
        if isinstance(name, str) and isinstance(value, Tensor) and not value.is_sparse
    }


def _from_safetensors(data: bytes, path: str, sha256: str) -> Weights:
    """The tensors of a .safetensors file: eight bytes of the header's length, a header of JSON, the raw values."""
    try:
        header, start = _header(data)
        texts = header.pop("__metadata__", {})
        if len(header) > MAX_TENSORS:
            raise ValueError(f"more than {MAX_TENSORS:,} tensors")
        values = memoryview(data)[start:]
        tensors = {name: _tensor(entry, values) for name, entry in header.items()}
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        reason = str(error)[:100]
        raise CheckpointError(f"{path} is not a .safetensors file: {reason}", code="E62") from None
    if not isinstance(texts, dict) or "nnzoo" not in texts:
        return Weights(path, sha256, tensors)
    parts: dict[str, dict[str, Tensor]] = {"preprocess": {}, "task": {}, "model": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        is_model = part not in ("preprocess", "task")
        parts["model" if is_model else part][name if is_model else rest] = tensor
    spec, options = _described(texts, path)
    return Weights(path, sha256, parts["model"], spec, options, parts["preprocess"], parts["task"])


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header of a .safetensors file, and where the values start; raises ValueError."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(MAX_HEADER, len(data) - 8):
        raise ValueError("its header has no sensible length")
    header = json.loads(data[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    return header, 8 + length


def _tensor(entry: Any, values: memoryview) -> Tensor:
    """A tensor, copied; raises ValueError, TypeError or LookupError where an entry and the values do not agree."""
    dtype, shape, (begin, end) = _DTYPES.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
    if dtype is None:
        raise ValueError(f"values of type {str(entry['dtype'])[:20]}")
    numbers = [*shape, begin, end]
    if len(shape) > 16 or any(type(n) is not int or n < 0 for n in numbers) or end > len(values):
        raise ValueError("a shape or place that cannot be")
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError("a shape that is not that of its values")
    if begin == end:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(values[begin:end]), dtype=dtype).reshape(shape)


def _described(texts: Mapping[str, Any], path: str) -> tuple[DataSpec, dict[str, Any]]:
    """The data and configuration in the metadata that `nnzoo export --format state-dict` writes."""
    try:
        spec = {
            key: json.loads(texts[key])
            for key in ("labels", "targets", "columns", "horizon", "tokenizer")
            if key in texts
        }
        values = {
            "kind": texts["kind"],
            "shape": json.loads(texts["shape"]),
            "task": texts["task"],
            "spec": spec,
            **{"season": 0, "balanced": False, "fingerprint": "", "rows": {}},
        }
        options = json.loads(texts["config"])
        if not isinstance(options, dict):
            raise TypeError("a configuration that is none")
        return DataSpec.from_dict(values), options
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: its description of the network does not fit together ({str(error)[:100]})",
            code="E65",
        ) from None
