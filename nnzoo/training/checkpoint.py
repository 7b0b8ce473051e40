"""Checkpoints: written so that nothing is lost, read so that nothing is run.

A file is a plain dictionary that `torch.load(path, weights_only=True)` opens. Writing goes to a
temporary file, fsync, rename, fsync of the folder. A SHA-256 over the content travels inside and
is verified before anything is used.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnzoo.errors import CheckpointError

FORMAT = 1


def digest(value: Any) -> str:
    """SHA-256 of a tree of dict, list, tensor and plain values, in order."""
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        hasher.update(f"t{value.dtype}{tuple(value.shape)}".encode())
        data = value.detach().cpu().contiguous()
        if data.numel():
            hasher.update(data.reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, dict):
        hasher.update(f"d{len(value)}".encode())
        for key, item in value.items():
            _feed(hasher, key)
            _feed(hasher, item)
    elif isinstance(value, list | tuple):
        hasher.update(f"l{len(value)}".encode())
        for item in value:
            _feed(hasher, item)
    else:
        hasher.update(f"{type(value).__name__}:{value!r};".encode())


def save(path: Path, content: dict[str, Any], previous: Path | None = None) -> None:
    """Write a checkpoint; afterwards the file is either the old one or the new one, whole.

    previous: where the old one is kept. Raises CheckpointError (no space, no permission); the old
    file is then untouched.
    """
    content = {"format": FORMAT, **content}
    content["sha256"] = digest(content)
    # In memory first: torch's own writer hides why a disk refuses.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                _keep(path, previous)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder "
            "with --out, then run the same command again"
        ) from None


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name, so that it outlives its replacement."""
    linked = previous.with_name(f"{previous.name}.tmp")
    linked.unlink(missing_ok=True)
    try:
        os.link(path, linked)
    except OSError:
        shutil.copyfile(path, linked)  # a file system without links
    os.replace(linked, previous)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows cannot open a folder
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path: Path) -> dict[str, Any]:
    """A verified checkpoint, on the CPU; raises CheckpointError naming what is wrong with it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on damaged headers before it fails
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint {path}") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path} is a folder, not a checkpoint") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        if path.suffix in (".yaml", ".yml"):
            raise CheckpointError(
                f"{path} is a config, no checkpoint; nnzoo eval --config {path}"
            ) from None
        raise CheckpointError(f"{path} is damaged or no checkpoint ({_reason(error)})") from None
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(f"{path} is not a checkpoint of nnzoo")
    version = content["format"]
    if not isinstance(version, int) or version > FORMAT:
        raise CheckpointError(
            f"{path} was written by a newer nnzoo (format {version}); update nnzoo"
        )
    expected = content.pop("sha256", None)
    if digest(content) != expected:
        raise CheckpointError(f"{path} is damaged: its content does not match its checksum")
    return content


def _reason(error: Exception) -> str:
    """What torch says about a file it cannot read, without its advice to run what is inside."""
    if isinstance(error, pickle.UnpicklingError):
        return "it does not hold plain tensors and values alone"
    if isinstance(error, RuntimeError):
        return "it is cut short or was never one"
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
