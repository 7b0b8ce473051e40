"""The history of a run for a viewer: its network before the first step, a few rows, and its weights after chosen epochs.

`history/start.pt` is a checkpoint with `samples`, and with `recorded`, the names of the tensors that training changes.
`history/weights.bin` has a record per epoch: a header (magic, CRC-32 of start.pt, epoch, bytes of the tensors, CRC-32 of
header and tensors) and the raw bytes of these tensors, in this order. All records have one length.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from nnzoo import file_io
from nnzoo.data.dataset import Dataset
from nnzoo.errors import CheckpointError, DamagedError
from nnzoo.models.network import Network, network_from_checkpoint
from nnzoo.runs import checkpoint
from nnzoo.runs.run_dir import RunDir
from nnzoo.runs.samples import Samples

# Epochs that `train.history: auto` keeps, the start among them, and the bytes of their records.
MAX_EPOCHS = 50
MAX_BYTES = 1 << 26
_MAX_RECORDS = 10_000
_MAGIC = b"nnzoo h1"
_HEADER = struct.Struct("<8sIIQI")


def snapshot_epochs(epochs: int, count: int) -> list[int]:
    """Return the epochs of a run of `epochs` whose weights are kept: at most `count`, with 0 and the last one;
    all if there are no more, else the more the earlier, since that is when most changes."""
    if epochs < count:
        return list(range(epochs + 1))
    chosen = [0] if count > 0 else []
    for k in range(1, count):
        chosen.append(max(chosen[-1] + 1, round(epochs * (k / (count - 1)) ** 2)))
    return chosen


class _Layout:
    """The tensors of a record, and the header that binds it to its start.pt."""

    def __init__(self, start: bytes | memoryview, content: dict[str, Any]) -> None:
        model: dict[str, Tensor] = content["model"]
        self.tensors = {
            name: torch.empty_like(model[name], device="meta") for name in content["recorded"]
        }
        """Shapes and types alone."""
        self.size = sum(tensor.nbytes for tensor in self.tensors.values())
        self.record_size = _HEADER.size + self.size
        self.start_crc = zlib.crc32(start)

    def pack(self, epoch: int, state: dict[str, Tensor]) -> bytes:
        """Return the record of an epoch. Raises CheckpointError if the tensors are not those of the start."""
        parts = []
        for name, pattern in self.tensors.items():
            tensor = state[name].detach()
            if (tensor.shape, tensor.dtype) != (pattern.shape, pattern.dtype):
                raise CheckpointError(f"'{name}' has changed its shape or type", code="E65")
            flat = tensor.cpu().contiguous().view(-1).view(torch.uint8)
            parts.append(memoryview(flat.numpy().data))
        header = (_MAGIC, self.start_crc, epoch, self.size)
        return b"".join([_HEADER.pack(*header, self._crc(header, parts)), *parts])

    def epoch_of(self, header: bytes) -> int | None:
        """Return the epoch that the header of a record names; None if it is not one of these records."""
        if len(header) < _HEADER.size:
            return None
        magic, start_crc, epoch, size, _ = _HEADER.unpack_from(header)
        fits = (magic, start_crc, size) == (_MAGIC, self.start_crc, self.size)
        return int(epoch) if fits else None

    def unpack(self, record: bytes) -> dict[str, Tensor] | None:
        """Return the tensors of a record; None if its checksum does not match."""
        *header, crc = _HEADER.unpack(record[: _HEADER.size])
        if (
            len(record) != self.record_size
            or self._crc(tuple(header), [memoryview(record)[_HEADER.size :]]) != crc
        ):
            return None
        data = bytearray(record)
        tensors, start = {}, _HEADER.size
        for name, pattern in self.tensors.items():
            tensors[name] = torch.empty(pattern.shape, dtype=pattern.dtype)
            flat = tensors[name].view(-1).view(torch.uint8)
            if pattern.nbytes:
                flat.copy_(
                    torch.frombuffer(data, dtype=torch.uint8, count=pattern.nbytes, offset=start)
                )
            start += pattern.nbytes
        return tensors

    @staticmethod
    def _crc(header: tuple[Any, ...], parts: Collection[memoryview]) -> int:
        crc = zlib.crc32(_HEADER.pack(*header, 0))
        for part in parts:
            crc = zlib.crc32(part, crc)
        return crc


@dataclass(frozen=True)
class History:
    """The history of a run, verified. content: that of start.pt."""

    folder: RunDir
    content: dict[str, Any]
    samples: Samples
    _layout: _Layout = field(repr=False)

    @classmethod
    def open(cls, folder: RunDir) -> Self | None:
        """Open the history of a run folder; None if it has none. Raises CheckpointError if it cannot be read, or is
        not what was written."""
        path = start_file(folder)
        if not _is_there(path) and not folder.history.is_symlink():
            return None
        _check_folder(folder)
        data = checkpoint.read(path)
        content = checkpoint.parse(data, path)
        network = network_from_checkpoint(content, str(path), torch.device("cpu"))
        samples = Samples.from_state(content.get("samples"), network, str(path))
        names = content.get("recorded")
        if not isinstance(names, list) or not all(
            isinstance(name, str) and isinstance(content["model"].get(name), Tensor)
            for name in names
        ):
            raise DamagedError(f"{path}: it does not say which tensors are recorded", code="E65")
        return cls(folder, content, samples, _Layout(data, content))

    @property
    def epochs(self) -> list[int]:
        """The epochs after which there are weights, ascending; 0 is the network before its first step. Read anew each
        time: a run in training adds to them."""
        return [0, *self._records()]

    def _records(self) -> dict[int, int]:
        """Return where the record of each epoch begins; what follows a damaged or unfinished one is left out."""
        places: dict[int, int] = {}
        size, before = self._layout.record_size, 0
        with _open_records(self.folder) as descriptor:
            whole = 0 if descriptor is None else os.fstat(descriptor).st_size // size
            for i in range(min(whole, _MAX_RECORDS)):
                assert descriptor is not None
                epoch = self._layout.epoch_of(_read_at(descriptor, i * size, _HEADER.size))
                if epoch is None or epoch <= before:
                    break
                places[epoch] = i * size
                before = epoch
        return places

    def state_dict(self, epoch: int) -> dict[str, Tensor]:
        """Return all tensors of the model after an epoch of `epochs`. Raises CheckpointError if there is none, or it
        is damaged."""
        state: dict[str, Tensor] = dict(self.content["model"])
        if epoch == 0:
            return state
        path = weights_file(self.folder)
        start = self._records().get(epoch)
        if start is None:
            raise CheckpointError(f"{path} has no weights of epoch {epoch}", code="E65")
        with _open_records(self.folder) as descriptor:
            record = (
                b"" if descriptor is None else _read_at(descriptor, start, self._layout.record_size)
            )
        tensors = self._layout.unpack(record) if self._layout.epoch_of(record) == epoch else None
        if tensors is None:
            raise DamagedError(f"{path}: the weights of epoch {epoch} are damaged", code="E65")
        checkpoint.check_finite(tensors, f"{path}, epoch {epoch}")
        return state | tensors

    def network(self) -> Network:
        """Return a new network on the CPU, in evaluation mode, with the weights of epoch 0;
        `network.model.load_state_dict(history.state_dict(epoch))` gives it those of another."""
        network = network_from_checkpoint(
            self.content, str(start_file(self.folder)), torch.device("cpu")
        )
        return network.eval()


class HistoryWriter:
    """Appends the weights of a run in training to its history."""

    def __init__(self, folder: RunDir, layout: _Layout) -> None:
        self.folder = folder
        self.record_size = layout.record_size
        self._layout = layout

    @classmethod
    def start(cls, folder: RunDir, network: Network, dataset: Dataset) -> Self:
        """Write the network of a new run and its sampled rows. Raises CheckpointError."""
        try:
            folder.history.mkdir(exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"cannot write {folder.history}: {error.strerror}", code="E68"
            ) from None
        _check_folder(folder)
        content = network.state()
        content["samples"] = Samples.choose(dataset).state()
        content["recorded"] = _recorded(network.model)
        data = checkpoint.to_bytes(content)
        file_io.write(start_file(folder), data, sync=False)
        return cls(folder, _Layout(data, content))

    @classmethod
    def resume(cls, folder: RunDir, network: Network, kept: Collection[int]) -> Self | None:
        """Continue the history of a run, of which the records of the epochs `kept` stay; None if it has none.
        Raises CheckpointError."""
        history = History.open(folder)
        if history is None:
            return None
        checkpoint.check_state_dict(
            network.model, history.content["model"], str(start_file(folder))
        )
        places = {epoch: place for epoch, place in history._records().items() if epoch in kept}
        path, size = weights_file(folder), history._layout.record_size
        if list(places.values()) == [i * size for i in range(len(places))]:
            _truncate(path, len(places) * size)
        else:
            with _open_records(folder) as descriptor:
                assert descriptor is not None
                records = [_read_at(descriptor, place, size) for place in places.values()]
            file_io.write(path, b"".join(records), sync=False)
        return cls(folder, history._layout)

    def append(self, epoch: int, model: nn.Module) -> None:
        """Add the weights after an epoch. Raises CheckpointError; what was written of the record is then removed."""
        record = self._layout.pack(epoch, model.state_dict())
        path = weights_file(self.folder)
        before = path.stat().st_size if path.exists() else 0
        try:
            file_io.append(path, record)
        except CheckpointError:
            _truncate(path, before)
            raise


def remove_history(folder: RunDir) -> None:
    """Remove what a run that was killed before its first checkpoint has left. Raises CheckpointError."""
    if folder.history.exists():
        _check_folder(folder)
        file_io.remove(weights_file(folder))
        file_io.remove(start_file(folder))


def start_file(folder: RunDir) -> Path:
    return folder.history / "start.pt"


def weights_file(folder: RunDir) -> Path:
    return folder.history / "weights.bin"


def _is_there(path: Path) -> bool:
    """Whether there is something of this name, a link, too. Raises CheckpointError if its folder cannot be read."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", code="E31") from None
    return True


def _check_folder(folder: RunDir) -> None:
    """Raise CheckpointError if the history is a link, which may lead anywhere."""
    if folder.history.is_symlink():
        raise CheckpointError(f"{folder.history} is a link; remove it", code="E68")


@contextmanager
def _open_records(folder: RunDir) -> Iterator[int | None]:
    """Open weights.bin; None if there is no such file. Raises CheckpointError."""
    path = weights_file(folder)
    try:
        descriptor = os.open(path, file_io.READ_FLAGS | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", code="E31") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CheckpointError(f"{path} is not a plain file; remove it", code="E68")
        yield descriptor
    finally:
        os.close(descriptor)


def _read_at(descriptor: int, start: int, size: int) -> bytes:
    """Read so many bytes from a place on; fewer where the file ends. Raises CheckpointError."""
    try:
        os.lseek(descriptor, start, os.SEEK_SET)
        parts = []
        while size and (part := os.read(descriptor, size)):
            parts.append(part)
            size -= len(part)
    except OSError as error:
        raise CheckpointError(
            f"cannot read the weights of a history: {error.strerror}", code="E31"
        ) from None
    return b"".join(parts)


def _truncate(path: Path, size: int) -> None:
    """Cut a file to so many bytes, if it exists; a failure is left to whoever reads, who drops a torn record."""
    with suppress(OSError):
        if not path.is_symlink():
            os.truncate(path, size)


def _recorded(model: nn.Module) -> list[str]:
    """Return the names of the tensors of a state_dict that training can change: all but frozen parameters."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return [
        name
        for name, value in model.state_dict().items()
        if isinstance(value, Tensor) and name not in frozen
    ]
