"""Many image files decoded into one .npy file, by processes on every core.

Threads would do for large images, but of a small JPEG most is Python, one thread at a time: two cores
decoded 3,600 images of 28×28 per second in threads, as many as one. Nothing here imports torch: a
process starts in a tenth of a second.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnzoo.data.image_files.decode import (
    BITS,
    LARGE,
    MAX_OF_UNIT_RANGE,
    UNIT_RANGE,
    BrokenImageError,
    DecodeInfo,
    LargeImage,
    decode_image,
)
from nnzoo.errors import DataError

# Starting a process takes as long as so many images, or one per so many bytes of them.
IMAGES_PER_PROCESS = 500
BYTES_PER_IMAGE = 8000
PROGRESS_INTERVAL = 0.1  # seconds


@dataclass
class DecodeReport:
    """Properties of many images that show when they are decoded, by row.

    broken: (row, reason); largest, deep, converted: by row, as in `DecodeInfo`; large: left for later.
    """

    broken: list[tuple[int, str]] = field(default_factory=list)
    animated: list[int] = field(default_factory=list)
    largest: dict[int, float] = field(default_factory=dict)
    deep: dict[int, int] = field(default_factory=dict)
    converted: dict[int, str] = field(default_factory=dict)
    large: list[int] = field(default_factory=list)

    def add(self, values: dict[str, Any]) -> None:
        """Take in another report, as `asdict` and JSON give it."""
        self.broken += [(int(row), str(reason)) for row, reason in values["broken"]]
        self.animated += map(int, values["animated"])
        self.largest |= {int(row): abs(value) for row, value in values["largest"].items()}
        self.deep |= {int(row): int(value) for row, value in values["deep"].items()}
        self.converted |= {int(row): str(mode) for row, mode in values["converted"].items()}
        self.large += map(int, values["large"])


@dataclass
class _Job:
    """The images that one process decodes, and their rows in the .npy file `path`."""

    path: str
    rows: list[int]
    files: list[str]
    color: bool
    bits: int
    limit: int | None


def decode_all(
    files: Sequence[str],
    path: Path,
    color: bool,
    bits: int | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> DecodeReport:
    """Decode all images into the .npy file `path`, which exists: uint8 (rows, channels, height, width).

    bits: those of gray images with more than 8 per pixel; None: by their largest value (`bits_of`).
    advance: called with how many images are done. Rows of broken images are left as they are.
    """
    report = _decode(range(len(files)), files, path, color, BITS if bits is None else bits, advance)
    actual = bits_of(report)
    if bits is None and actual is not None and actual != BITS:
        rows = sorted(report.largest)
        again = _decode(rows, files, path, color, actual, lambda done: None)
        report.broken += again.broken
    report.broken.sort()
    return report


def bits_of(report: DecodeReport) -> int | None:
    """The bits that gray images of more than 8 bits a pixel need; None where there are none."""
    if not report.largest:
        return None
    largest = max(report.largest.values())
    if isinstance(largest, float) and largest <= MAX_OF_UNIT_RANGE:
        return UNIT_RANGE
    return max(8, math.ceil(largest).bit_length())


def _decode(
    rows: Sequence[int],
    files: Sequence[str],
    path: Path,
    color: bool,
    bits: int,
    advance: Callable[[int], None],
) -> DecodeReport:
    """Decode the images of some rows; large ones behind the others, one at a time."""
    size = sum(os.path.getsize(files[row]) for row in rows)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = min(cores or 1, (len(rows) + size // BYTES_PER_IMAGE) // IMAGES_PER_PROCESS)
    parts = [rows[i::count] for i in range(count)] if count > 1 and sys.executable else [rows]
    limit = None if len(parts) == 1 else LARGE
    jobs = [
        _Job(str(path), list(part), [files[i] for i in part], color, bits, limit) for part in parts
    ]
    if len(jobs) == 1:
        return decode_some(jobs[0], advance)
    report = DecodeReport()
    done = [0] * len(jobs)

    def follow(i: int, worker: subprocess.Popen[str], errors: Any) -> dict[str, Any]:
        assert worker.stdin is not None and worker.stdout is not None
        # One that has ended already has written the reason to its stderr.
        with suppress(BrokenPipeError), worker.stdin as stdin:
            stdin.write(json.dumps(asdict(jobs[i])))
        last = ""
        for last in worker.stdout:
            if last.strip().isdigit():
                done[i] = int(last)
                advance(sum(done))
        if code := worker.wait():
            errors.seek(0)
            raise DataError(
                f"decoding ended with {code}: {errors.read().strip()[-500:]}", code="E48"
            )
        result: dict[str, Any] = json.loads(last)
        return result

    with ThreadPoolExecutor(len(jobs)) as pool, _workers(len(jobs)) as workers:
        waiting = [pool.submit(follow, i, *worker) for i, worker in enumerate(workers)]
        for finished in as_completed(waiting):
            report.add(finished.result())
    large, report.large = report.large, []
    rest = _Job(str(path), large, [files[i] for i in large], color, bits, None)
    report.add(asdict(decode_some(rest, lambda count: advance(sum(done) + count))))
    return report


@contextmanager
def _workers(count: int) -> Iterator[list[tuple[subprocess.Popen[str], Any]]]:
    """Worker processes that wait for a job, and the files of their stderr; all are ended on exit."""
    # The import path of this process, but the standard library first: PYTHONPATH comes before it, and
    # a folder there may have a module of the same name. -P: never from the working folder.
    stdlib = sysconfig.get_path("stdlib")
    paths = sorted(
        filter(None, sys.path),
        key=lambda path: not path.startswith(stdlib) or "site-packages" in path,
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    workers: list[tuple[subprocess.Popen[str], Any]] = []
    try:
        for _ in range(count):
            # Not a pipe, which would fill up: libtiff warns there of each odd image.
            errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                text=True,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            workers.append((worker, errors))
        yield workers
    finally:
        for worker, errors in workers:
            worker.kill()
            worker.wait()
            for stream in (worker.stdin, worker.stdout, errors):
                with suppress(OSError):  # what it no longer reads
                    if stream is not None:
                        stream.close()


def decode_some(job: _Job, advance: Callable[[int], None]) -> DecodeReport:
    """Decode the images of a job in this process."""
    report = DecodeReport()
    if not job.rows:
        return report
    out = np.load(job.path, mmap_mode="r+", allow_pickle=False)
    parent = os.getppid()
    reported = time.monotonic()
    # Pillow warns of odd metadata and of sizes that are refused.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for done, (row, file) in enumerate(zip(job.rows, job.files, strict=True), 1):
            info = DecodeInfo(job.limit)
            size = out.shape[2], out.shape[3]
            try:
                out[row] = decode_image(file, *size, job.color, job.bits, info)
            except BrokenImageError as error:
                report.broken.append((row, error.reason))
            except LargeImage:
                report.large.append(row)
            else:
                report.animated += [row] if info.animated else []
                if info.largest is not None:
                    report.largest[row] = info.largest
                if info.deep is not None:
                    report.deep[row] = info.deep
                if info.converted is not None:
                    report.converted[row] = info.converted
            if time.monotonic() - reported > PROGRESS_INTERVAL:
                reported = time.monotonic()
                advance(done - len(report.large))
            if os.getppid() != parent:  # nobody waits any more
                break
    out.flush()
    return report


def main() -> None:
    """Run as a process of `_decode`: a job as JSON on stdin, counts and a report on stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that waits
    job = _Job(**json.load(sys.stdin))

    def say(line: object) -> None:
        os.write(1, f"{line}\n".encode())

    report = decode_some(job, say)
    say(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
