"""Decoded images in a cache: a .npy file in mapped memory, and beside it the report of decoding and a
hash of each row, which is verified whenever the file is opened."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import io
import json
import mmap
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.cache import cache_dir
from nnzoo.data.dataset import MappedFile
from nnzoo.data.image_files.decode_pool import DecodeReport, bits_of, decode_all
from nnzoo.errors import DataError
from nnzoo.status import status

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: files in use cannot be removed there
    fcntl = None

VERSION = 6
DIGEST = 16  # bytes per row
CHUNK = 1 << 22  # bytes that are hashed at once
SHOWN = 10  # broken images
MIN_AGE = 60  # seconds: a temporary file that is younger may not be locked yet
UNREADABLE = (OSError, ValueError, EOFError, LookupError, TypeError)


class BrokenImagesError(DataError):
    """Broken images among `total`; broken: "file: reason" of each."""

    code = "E48"

    def __init__(self, broken: Sequence[str], total: int) -> None:
        self.broken = list(broken)
        super().__init__(_broken_message(self.broken, total))


@dataclass
class DecodedImages:
    """The images of some files.

    x: uint8 (rows, channels, height, width), mapped; digests: (rows, DIGEST) uint8, equal for equal
    pixels; kept: which of the files the rows are; bits: of gray images with more than 8 bits, None
    where there are none; damaged: the cache failed verification, and was written again.
    """

    x: Tensor
    pages: MappedFile
    digests: np.ndarray
    report: DecodeReport
    kept: list[int]
    bits: int | None
    damaged: bool = False


@dataclass(frozen=True)
class ImageFormat:
    """Format of decoded images: height and width, 3 channels or 1, and the bits of gray images that have more
    than 8; None: by their largest value."""

    height: int
    width: int
    color: bool
    bits: int | None = None

    def shape(self, rows: int) -> tuple[int, int, int, int]:
        return rows, 3 if self.color else 1, self.height, self.width


def cached_images(files: Sequence[str], form: ImageFormat, skip: bool) -> DecodedImages:
    """All images, from the cache where it is current; skip: without broken ones.

    The cache goes by every file's name, size and times, among them that of its last change, which no program
    sets back. Raises BrokenImagesError, or DataError where the cache cannot be written.
    """
    key = hashlib.sha256(json.dumps([form.shape(len(files)), VERSION]).encode())
    for file in files:
        stat = os.stat(file)
        key.update(json.dumps([file, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]).encode())
    path = cache_dir() / f"{key.hexdigest()[:32]}.npy"
    decoded = _open(path, form)
    if decoded is not None and decoded.report.largest:
        bits = bits_of(decoded.report) if form.bits is None else form.bits
        if bits != decoded.bits:  # of the same files, decoded for other training images
            path = path.with_name(f"{path.stem}-{bits}.npy")
            decoded = _open(path, form)
    damaged = decoded is None and path.exists()
    if decoded is None:
        try:
            _write(path, files, form, skip)
        except OSError as error:
            raise DataError(
                f"cannot write the image cache {path.parent}: {error.strerror or error}; "
                "NNZOO_CACHE names another folder",
                code="E73",
            ) from None
        decoded = _read(path, form, verify=False)
    if decoded.report.broken and not skip:
        raise _broken_images(files, decoded.report)
    decoded.damaged = damaged
    return decoded


def _broken_message(broken: list[str], total: int) -> str:
    """A message that names all broken images, or the first of many, and the remedy."""
    if len(broken) == 1:
        return (
            f"broken image {broken[0]}; repair or remove it, or leave it out by data.broken: skip"
        )
    lines = "".join(f"\n  {item}" for item in broken[:SHOWN])
    lines += f"\n  and {len(broken) - SHOWN:,} more" if len(broken) > SHOWN else ""
    return (
        f"{len(broken):,} of {total:,} images are broken:{lines}\n"
        "repair or remove them, or leave them out by data.broken: skip"
    )


def _broken_images(files: Sequence[str], report: DecodeReport) -> BrokenImagesError:
    return BrokenImagesError(
        [f"{files[row]}: {reason}" for row, reason in report.broken], len(files)
    )


def _write(path: Path, files: Sequence[str], form: ImageFormat, skip: bool) -> None:
    """Decode all files into a cache file; a crash leaves either nothing of its name, or the whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path.parent)
    with _temporary(path) as temporary, _temporary(_metadata_path(path)) as metadata:
        _allocate(temporary, form.shape(len(files)))
        with status("decoding images", total=len(files)) as advance:
            report = decode_all(files, temporary, form.color, form.bits, advance)
        broken = {row for row, _ in report.broken}
        kept = [i for i in range(len(files)) if i not in broken]
        if broken and (not skip or not kept):
            raise _broken_images(files, report)
        if broken:
            _keep_rows(temporary, kept, form)
        bits = bits_of(report) if form.bits is None else form.bits
        content = {
            "report": asdict(report),
            "kept": len(kept),
            "files": len(files),
            "bits": bits if report.largest else None,
            "digests": base64.b64encode(
                _digests(temporary, form.shape(len(kept))).tobytes()
            ).decode(),
        }
        metadata.write_text(json.dumps(content))
        for item, target in ((temporary, path), (metadata, _metadata_path(path))):
            with item.open("r+b") as file:
                os.fsync(file.fileno())
            os.replace(item, target)
        if os.name == "posix":
            descriptor = os.open(path.parent, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def _metadata_path(path: Path) -> Path:
    return path.with_suffix(".json")


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A file of this process beside `path`, locked as long as it is in use, and gone behind it."""
    temporary = path.with_suffix(f"{path.suffix}.{os.getpid()}.tmp")
    with temporary.open("wb") as lock:
        if fcntl is None:
            lock.close()
        else:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def _remove_stale(folder: Path) -> None:
    """Remove temporary files of processes that are gone: killed while they decoded."""
    for temporary in folder.glob("*.tmp"):
        with contextlib.suppress(OSError), temporary.open("rb") as file:
            if time.time() - temporary.stat().st_mtime < MIN_AGE or fcntl is None:
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()


def _allocate(path: Path, shape: tuple[int, ...]) -> None:
    """Make the .npy file of a shape, of zeros."""
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        # A full disk is an error here; later, in mapped memory, it would be a crash.
        with path.open("r+b") as space:
            os.posix_fallocate(space.fileno(), 0, path.stat().st_size)


def _keep_rows(path: Path, kept: list[int], form: ImageFormat) -> None:
    """Move the rows that are kept to the front of a .npy file, and cut it behind them."""
    rows = np.load(path, mmap_mode="r+", allow_pickle=False)
    start = path.stat().st_size - rows.nbytes
    for target, source in enumerate(kept):
        if target != source:
            rows[target] = rows[source]
    rows.flush()
    header = io.BytesIO()
    values = {"descr": "|u1", "fortran_order": False, "shape": form.shape(len(kept))}
    np.lib.format.write_array_header_1_0(header, values)
    # Padded to a multiple of 64 bytes: a smaller number of rows makes it no shorter.
    assert len(header.getvalue()) == start
    with path.open("r+b") as file:
        file.write(header.getvalue())
        file.truncate(start + len(kept) * rows[:1].nbytes)


def _digests(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A hash of each row of a .npy file: (rows, DIGEST) uint8; read, not mapped, on all cores."""
    rows, size = shape[0], int(np.prod(shape[1:]))
    start = path.stat().st_size - rows * size
    result = np.empty((rows, DIGEST), np.uint8)
    step = max(1, CHUNK // size)

    def hash_rows(first: int) -> None:
        count = min(step, rows - first)
        with path.open("rb") as file:
            file.seek(start + first * size)
            content = memoryview(file.read(count * size))
        for i in range(count):
            digest = hashlib.sha256(content[i * size : (i + 1) * size]).digest()[:DIGEST]
            result[first + i] = np.frombuffer(digest, np.uint8)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(hash_rows, range(0, rows, step)))
    return result


def _open(path: Path, form: ImageFormat) -> DecodedImages | None:
    """The images of a cache file; None where there is none that holds what was written."""
    try:
        return _read(path, form, verify=True)
    except UNREADABLE:
        return None


def _read(path: Path, form: ImageFormat, verify: bool) -> DecodedImages:
    """Raises one of UNREADABLE where the file is missing, or with `verify` not what was written."""
    content: dict[str, Any] = json.loads(_metadata_path(path).read_text())
    shape = form.shape(int(content["kept"]))
    digests = np.frombuffer(base64.b64decode(content["digests"]), np.uint8).reshape(-1, DIGEST)
    x, pages = _map(path, shape)
    if verify:
        with status("verifying the image cache"):
            if not np.array_equal(_digests(path, shape), digests):
                raise ValueError(f"{path} does not hold what was written")
    report = DecodeReport()
    report.add(content["report"])
    broken = {row for row, _ in report.broken}
    kept = [i for i in range(int(content["files"])) if i not in broken]
    return DecodedImages(x, pages, digests, report, kept, content["bits"])


def _map(path: Path, shape: tuple[int, ...]) -> tuple[Tensor, MappedFile]:
    """A .npy file of bytes in mapped memory: reads come from the file, and a stray write would stay
    in memory. Raises ValueError where it does not hold this shape."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0) or np.lib.format.read_array_header_1_0(file) != (
            shape,
            False,
            np.dtype(np.uint8),
        ):
            raise ValueError(f"{path} holds something else")
        start = file.tell()
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            # Linux reserves memory for every byte that could be written.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it can only be read
        x = torch.from_numpy(np.frombuffer(mapped, np.uint8, offset=start).reshape(shape))
    return x, MappedFile(mapped)
