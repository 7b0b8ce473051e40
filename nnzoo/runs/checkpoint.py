"""Checkpoints: plain dictionaries in torch's own file format, verified before they are read.

A file is what `torch.save` writes, and `torch.load(path, weights_only=True)` opens it. It ends with
a checksum, as the comment of the zip archive: the format's number and the SHA-256 of all bytes
before it. A damaged file is rejected there, before anything in it is read. A file with a valid checksum
may still come from an attacker: its archive, its pickle and the objects they produce are checked
against the format that `save` writes before they are used.
"""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import pickletools
import re
import stat
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo import file_io
from nnzoo.errors import CheckpointError, DamagedError, shell_word

FORMAT = 1
_FOOTER = re.compile(rb"nnzoo format ([0-9]{4}) sha256 ([0-9a-f]{64})")
_FOOTER_SIZE = 13 + 4 + 8 + 64
_OTHER_SUFFIXES = (".pth", ".ckpt", ".h5", ".keras", ".onnx", ".safetensors")
_DIGITS = 64
_END = b"PK\x05\x06"  # opens the last record of a zip archive, 22 bytes and the comment
_END_SIZE = 22

# Contents of the pickle in a checkpoint. `weights_only` allows more, and has had holes.
_GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {name}Storage"
    for name in (
        "Float",
        "Double",
        "Half",
        "BFloat16",
        "Byte",
        "Char",
        "Short",
        "Int",
        "Long",
        "Bool",
    )
}
_OPCODES = {
    "PROTO",
    "STOP",
    "GLOBAL",
    "MARK",
    "REDUCE",
    "BINPERSID",
    "BINPUT",
    "LONG_BINPUT",
    "BINGET",
    "LONG_BINGET",
    "NONE",
    "NEWTRUE",
    "NEWFALSE",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "BINUNICODE",
    "EMPTY_DICT",
    "SETITEM",
    "SETITEMS",
    "EMPTY_LIST",
    "APPEND",
    "APPENDS",
    "EMPTY_TUPLE",
    "TUPLE",
    "TUPLE1",
    "TUPLE2",
    "TUPLE3",
}
# Further ones of a state_dict of PyTorch.
_STATE_DICT_OPCODES = {"BUILD"}
_STATE_DICT_GLOBALS = {"torch._utils _rebuild_parameter"}
# Reading as many takes a quarter of a second.
MAX_OPCODES = 500_000
MAX_VALUES = 100_000
MAX_DEPTH = 20


def save(path: Path, content: Mapping[str, Any], keep: Path | None = None) -> None:
    """Write a checkpoint; afterwards the file is either the old one or the new one, whole.

    content: dict, list, tuple, tensors and plain values; keep: where the old one lives on. Raises
    CheckpointError (no space, no permission, too many values); the old file is then untouched.
    """
    # In memory first: torch's own writer hides why a disk refuses.
    file_io.write(path, to_bytes(content), keep)


def to_bytes(content: Mapping[str, Any]) -> memoryview:
    """The bytes of a checkpoint file; raises CheckpointError for what `load` would refuse."""
    content = to_plain({"format": FORMAT, **content})
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return append_checksum(buffer)


def to_plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint as it is saved: without what `state_dict` adds to a dict, tensors
    on the CPU and of their own storage. Raises CheckpointError for what `load` would refuse."""
    result: dict[str, Any] = _to_plain(content, {})
    try:
        _check_values(result)
    except UnexpectedContent as error:
        raise CheckpointError(f"this cannot be saved: {error}", code="E68") from None
    return result


def _to_plain(value: Any, made: dict[Any, Tensor]) -> Any:
    """made: what has become of tensors; the same one, which a file holds once, is copied once."""
    if isinstance(value, Tensor):
        place = (value.device, value.data_ptr(), value.shape, value.stride(), value.dtype)
        if place not in made:
            tensor = value.detach().cpu().contiguous()
            whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.itemsize
            made[place] = tensor if whole else tensor.clone()
        return made[place]
    if isinstance(value, Mapping):
        return {key: _to_plain(item, made) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_plain(item, made) for item in value)
    return str(value) if isinstance(value, str) else value


def append_checksum(archive: bytes | io.BytesIO, version: int = FORMAT) -> memoryview:
    """Set the comment of a zip archive without one to its checksum; a buffer is changed in place, since
    every copy of a checkpoint is memory that training could have."""
    buffer = io.BytesIO(archive) if isinstance(archive, bytes) else archive
    size = buffer.seek(0, io.SEEK_END)
    with buffer.getbuffer() as content:
        assert content[-_END_SIZE:][: len(_END)] == _END
    buffer.seek(size - 2)
    buffer.write(_FOOTER_SIZE.to_bytes(2, "little"))
    buffer.write(b"nnzoo format %04d sha256 " % version)
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    buffer.write(digest.encode())
    return buffer.getbuffer()


def load(path: Path) -> dict[str, Any]:
    """A verified checkpoint, on the CPU.

    Raises DamagedError if the content is not what was written, else CheckpointError (no such
    file, no permission, a newer format).
    """
    return parse(read(path), path)


def parse(data: bytes, path: Path) -> dict[str, Any]:
    """The checkpoint in the bytes of a file; see `load`."""
    _check_checksum(data, path)
    try:
        check_archive(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        _check_values(content, len(data))
        if type(content) is not dict:
            raise UnexpectedContent("it holds no dictionary")
    except Exception as error:  # what torch raises at foreign bytes is written nowhere
        reason = error if isinstance(error, UnexpectedContent) else "torch cannot read it"
        raise DamagedError(f"{path} is not a checkpoint of nnzoo: {reason}") from None
    return content


def read(path: Path) -> bytes:
    """The bytes of a regular file; raises CheckpointError, of a bad disk DamagedError."""
    try:
        # Not to wait for a pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CheckpointError(f"{path} is not a file, so not a checkpoint", code="E61")
            return file.read()
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint {path}", code="E61") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path} is a folder, not a checkpoint", code="E61") from None
    except MemoryError:
        raise CheckpointError(
            f"{path} is larger than the memory of this machine", code="E53"
        ) from None
    except OSError as error:  # of a bad disk, or of a user who may not
        kind = DamagedError if error.errno == errno.EIO else CheckpointError
        raise kind(f"cannot read {path}: {error.strerror or error}") from None


def has_checksum(data: bytes) -> bool:
    """Whether a file ends as those of `save` do."""
    return _FOOTER.fullmatch(data[-_FOOTER_SIZE:]) is not None


def _check_checksum(data: bytes, path: Path) -> None:
    footer = _FOOTER.fullmatch(data[-_FOOTER_SIZE:])
    if footer is None:
        if path.suffix in (".yaml", ".yml"):
            raise CheckpointError(
                f"{path} is a config, no checkpoint; nnzoo eval --config {shell_word(path)}",
                code="E61",
            )
        if path.suffix in _OTHER_SUFFIXES:
            raise CheckpointError(
                f"{path} is not a checkpoint of nnzoo, which loads none of other programs (torch.save, "
                "Keras, ONNX); train the network here, or give a run folder or its best.pt",
                code="E61",
            )
        raise DamagedError(
            f"{path} is cut short, was changed, or is not a checkpoint of nnzoo: no checksum at its "
            "end"
        )
    if hashlib.sha256(memoryview(data)[:-_DIGITS]).hexdigest().encode() != footer[2]:
        raise DamagedError(f"{path} is damaged: its content does not match its checksum")
    if int(footer[1]) > FORMAT:
        raise CheckpointError(
            f"{path} was written by a newer nnzoo (format {int(footer[1])}, this one reads up to "
            f"{FORMAT}); update nnzoo",
            code="E64",
        )


class UnexpectedContent(Exception):
    """A checkpoint holds something that `save` never writes."""


def check_archive(data: bytes, state_dict: bool = False) -> None:
    """Nothing packed (no bombs), nothing twice, and a pickle of tensors and plain values alone.

    state_dict: of PyTorch, whose dictionary has an attribute, and whose tensors may be parameters. Raises
    UnexpectedContent.
    """
    opcodes_allowed = _OPCODES | (_STATE_DICT_OPCODES if state_dict else set())
    globals_allowed = _GLOBALS | (_STATE_DICT_GLOBALS if state_dict else set())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type or entry.flag_bits & 1 for entry in entries):
            raise UnexpectedContent("it is compressed")
        names = {entry.filename.lower() for entry in entries}
        if len(names) < len(entries) or sum(entry.file_size for entry in entries) > len(data):
            raise UnexpectedContent("its entries overlap")
        pickles = [entry for entry in entries if entry.filename.lower().endswith(".pkl")]
        if len(pickles) != 1:
            raise UnexpectedContent("it has no list of its content")
        opcodes = pickletools.genops(archive.read(pickles[0]))
        for count, (opcode, argument, _) in enumerate(opcodes):
            if count > MAX_OPCODES:
                raise UnexpectedContent(f"it holds more than {MAX_VALUES:,} values")
            if opcode.name not in opcodes_allowed:
                raise UnexpectedContent(
                    f"it holds more than tensors and plain values ({opcode.name})"
                )
            if opcode.name == "GLOBAL" and argument not in globals_allowed:
                name = str(argument)[:80].replace(" ", ".")
                raise UnexpectedContent(f"it names {name}, which is never run")


def _check_values(content: Any, size: float = math.inf) -> None:
    """Plain values, few enough to walk through, and tensors stored in the file as they are."""
    level, count = [content], 0
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if type(value) is dict:
                below += value.keys()
                below += value.values()
            elif type(value) in (list, tuple):
                below += value
            elif isinstance(value, Tensor):
                stored = value.untyped_storage().nbytes()
                is_block = value.is_contiguous() and stored == value.numel() * value.itemsize
                if not is_block or stored > size:
                    raise UnexpectedContent("a tensor is not stored as one block")
            elif type(value) is int and not -(2**63) <= value < 2**63:
                raise UnexpectedContent("a number is too large")
            elif value is not None and type(value) not in (bool, int, float, str):
                raise UnexpectedContent(f"it holds a {type(value).__name__}")
            if count + len(below) > MAX_VALUES:
                raise UnexpectedContent(f"it holds more than {MAX_VALUES:,} values")
        count += len(below)
        level = below
    if level:
        raise UnexpectedContent(f"it is deeper than {MAX_DEPTH} levels")


def check_state_dict(module: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Raise CheckpointError naming the first leaf that is missing, extra, or of another shape or
    type."""
    expected = module.state_dict()
    for name in expected:
        if name not in state:
            raise CheckpointError(f"{what}: the checkpoint has no '{name}'", code="E65")
    for name, tensor in state.items():
        if name not in expected:
            raise CheckpointError(
                f"{what}: the checkpoint has '{name}', which the network has not", code="E65"
            )
        there, here = _leaf(tensor), _leaf(expected[name])
        if there != here:
            raise CheckpointError(
                f"{what}: '{name}' is {there} in the checkpoint and {here} in the network",
                code="E65",
            )


def check_finite(state: dict[str, Tensor], what: str) -> None:
    """Raise CheckpointError naming the first leaf that holds nan or an infinity: every answer would be
    nan, and of classes the first the likeliest."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointError(
                f"{what}: '{name}' holds values that are not finite numbers", code="E65"
            )


def _leaf(value: Any) -> str:
    """The shape and type of a tensor; what else a file may hold in its place."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
