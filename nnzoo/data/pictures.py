"""Picture files to bytes: one here, many in processes of their own, on every core.

Nothing here imports torch: a process that decodes is there in a tenth of a second. Threads would do
for large pictures, but of a small JPEG most is Python, one thread at a time: two cores decoded 3,600
pictures of 28×28 a second in threads, as many as one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nnzoo.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# Pillow knows many more; each is another parser of what strangers send, and one runs Ghostscript.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 100_000_000
# So many pictures take as long as a process to start; one more for so many bytes of theirs.
WORTH_A_PROCESS = 500
BYTES = 8000


def picture_files(folder: str) -> Iterator[str]:
    """The pictures in a folder and those below it, hidden ones left out, in order of their names.

    Raises DataError where a folder cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from None
    for entry in entries:
        if entry.name[0] == ".":
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from picture_files(entry.path)
        elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS and entry.is_file():
            yield entry.path


def decode_image(file: str | Path, height: int, width: int, color: bool) -> np.ndarray:
    """One picture as uint8 (channels, height, width), upright and resized.

    Where it is transparent it lies on white; 16 bits a channel are cut to 8. Raises DataError
    naming the file.
    """
    from PIL import Image, ImageOps

    too_large = f"{file}: too large a picture; at most {MAX_PIXELS:,} pixels are read"
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(too_large)
            # A JPEG can be decoded at a half, quarter or eighth of its size, which is far faster;
            # twice the wanted size is left for the resampling.
            image.draft(None, (2 * max(height, width), 2 * max(height, width)))
            upright = _plain(ImageOps.exif_transpose(image)).convert("RGB" if color else "L")
            if upright.size != (width, height):
                upright = upright.resize((width, height), Image.Resampling.BILINEAR)
            array = np.asarray(upright)
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(too_large) from None
    except Exception as error:
        raise DataError(f"broken picture {file}: {error}; repair or remove it") from None
    return array.transpose(2, 0, 1) if color else array[None]


def _plain(image: Any) -> Any:
    """A picture without transparency, of 8 bits a channel."""
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow would cut off all above 255, and leave nearly every picture white.
        return Image.fromarray(
            (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        )
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range; save it with 8 bits a channel")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def decode_all(files: list[str], size: int, path: Path, color: bool) -> None:
    """All pictures, files of `size` bytes together, into the .npy file `path`, which is there: uint8
    (rows, channels, height, width).

    Raises DataError naming a broken picture; what is not done by then is left.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = min(cores or 1, (len(files) + size // BYTES) // WORTH_A_PROCESS)
    if count < 2 or not sys.executable:
        decode_some(files, path, color, 0, 1)
        return
    with ThreadPoolExecutor(count) as pool, _workers(count, path, color) as workers:
        waiting = {
            pool.submit(worker.communicate, json.dumps(files[i::count])): worker
            for i, worker in enumerate(workers)
        }
        for done in as_completed(waiting):
            if code := waiting[done].returncode:
                said = done.result()[1].strip()
                broken = code == DataError.exit_code
                raise DataError(said if broken else f"decoding ended with {code}: {said[-500:]}")


@contextmanager
def _workers(count: int, path: Path, color: bool) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that wait for their share of the files; none is left behind."""
    # From where this process imports; -P: never from the folder that it was started in.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    workers: list[subprocess.Popen[str]] = []
    try:
        for i in range(count):
            words = [sys.executable, "-P", "-m", __name__, str(path), str(int(color))]
            workers.append(subprocess.Popen(
                [*words, str(i), str(count)], text=True, env=environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            ))  # fmt: skip
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def decode_some(files: list[str], path: Path, color: bool, first: int, step: int) -> None:
    """Pictures into every `step`-th row of the file, from `first` on."""
    out = np.load(path, mmap_mode="r+", allow_pickle=False)
    parent = os.getppid()
    # Pillow warns of odd metadata and of sizes that are refused.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, file in enumerate(files):
            out[first + i * step] = decode_image(file, out.shape[2], out.shape[3], color)
            if os.getppid() != parent:  # nobody waits any more
                return
    out.flush()


def main() -> None:
    """A process of `decode_all`: files as JSON on stdin, what is wrong on stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that waits
    path, *numbers = sys.argv[1:]
    color, first, step = map(int, numbers)
    try:
        decode_some(json.load(sys.stdin), Path(path), bool(color), first, step)
    except DataError as error:
        os.write(2, str(error).encode())
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
