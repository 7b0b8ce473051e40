"""Image sources: published sets through torchvision, and folders of your own pictures."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import re
import socket
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.cache import cache_folder
from nnzoo.config.schema import EmnistOptions, ImageFolderOptions, TorchvisionOptions
from nnzoo.data.dataset import Dataset, Kind, TensorSplit, check_memory, row_splits
from nnzoo.data.splitting import split_rows
from nnzoo.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
# Pillow knows many more; each is another parser of what strangers send, and one runs Ghostscript.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 100_000_000
DOWNLOAD_TIMEOUT = 20.0  # seconds without a byte

_CLASSES = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "emnist": "EMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "svhn": "SVHN",
    "usps": "USPS",
}
# Where files placed by hand must lie, below the root.
_FILES = {
    "mnist": "MNIST/raw/train-images-idx3-ubyte.gz and its three companions",
    "fashion_mnist": "FashionMNIST/raw/train-images-idx3-ubyte.gz and its three companions",
    "kmnist": "KMNIST/raw/train-images-idx3-ubyte.gz and its three companions",
    "emnist": "EMNIST/raw/gzip.zip",
    "cifar10": "cifar-10-python.tar.gz",
    "cifar100": "cifar-100-python.tar.gz",
    "svhn": "train_32x32.mat and test_32x32.mat",
    "usps": "usps.bz2 and usps.t.bz2",
}


def import_torchvision(name: str) -> ModuleType:
    """A module of torchvision's data sets, also where its wheel was built for another torch.

    Such a pair fails on import with "operator torchvision::nms does not exist". The data sets need no
    compiled operator, so the missing ones are declared and the import repeated. Nor do they need its
    networks and operators, which load torch's compiler: 1.2 s of 1.3. These are left out here, and
    can be imported afterwards.
    """
    left_out = [key for key in ("torchvision.models", "torchvision.ops") if key not in sys.modules]
    sys.modules.update({key: ModuleType(key) for key in left_out})
    libraries = []
    try:
        for _ in range(50):
            try:
                module = importlib.import_module(name)
            except RuntimeError as error:
                missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
                if missing is None:
                    raise
                for loaded in [key for key in sys.modules if key.split(".")[0] == "torchvision"]:
                    if loaded not in left_out:
                        del sys.modules[loaded]
                library = torch.library.Library("torchvision", "FRAGMENT")
                library.define(f"{missing[1]}(Tensor x) -> Tensor")
                libraries.append(library)
            else:
                _KEPT.extend(libraries)
                return module
    finally:
        package = vars(sys.modules.get("torchvision", ModuleType("none")))
        for key in left_out:
            del sys.modules[key]
            package.pop(key.rpartition(".")[2], None)
    raise DataError("torchvision does not match torch; reinstall both with constraints.txt")


# A Library takes its operators along when it is collected.
_KEPT: list[Any] = []


def images_to_tensor(images: Any) -> Tensor:
    """Images as uint8 (rows, channels, height, width)."""
    array = torch.as_tensor(np.ascontiguousarray(images))
    if array.ndim == 3:
        return array[:, None]
    return array if array.shape[1] in (1, 3) else array.permute(0, 3, 1, 2).contiguous()


def load_torchvision(options: TorchvisionOptions, spec: dict[str, Any] | None = None) -> Dataset:
    """A published set, downloaded into its root when missing; its own test rows are the test split.

    With a spec, the root may come out of a checkpoint that a stranger made: nothing is written.
    Raises DataError where a download fails, saying where files can be placed by hand.
    """
    root = Path(options.root or os.environ.get("NNZOO_DATA") or "data").expanduser()
    name = options.name
    cls = getattr(import_torchvision("torchvision.datasets"), _CLASSES[name])
    extra = {"split": options.subset} if isinstance(options, EmnistOptions) else {}
    parts = {}
    for part in ("train", "test"):
        where = {"split": part} if name == "svhn" else {"train": part == "train"}
        parts[part] = _read_torchvision(cls, name, root, {**where, **extra}, spec is None)
    labels = _torchvision_labels(name, parts["train"])
    x, y = {}, {}
    for part, source in parts.items():
        raw = source.data
        x[part] = images_to_tensor(raw)
        classes = source.labels if name == "svhn" else source.targets
        y[part] = torch.as_tensor(np.asarray(classes), dtype=torch.int64)
        if isinstance(options, EmnistOptions):
            x[part] = x[part].transpose(2, 3).contiguous()  # stored lying on its side
            if options.subset == "letters":
                y[part] = y[part] - 1  # letters count from 1; "N/A" is class 0
    rows = split_rows(len(x["train"]), options.split, y["train"].numpy(), test=False)
    splits = row_splits(x["train"], y["train"], rows)
    splits["test"] = TensorSplit(x["test"], y["test"])
    kind = Kind("image", tuple(x["train"].shape[1:]))
    return Dataset(kind, "classification", splits, {"labels": labels})


def _read_torchvision(
    cls: Any, name: str, root: Path, arguments: dict[str, Any], download: bool
) -> Any:
    try:
        return cls(root, download=False, **arguments)
    except (RuntimeError, FileNotFoundError):
        pass
    except ImportError as error:
        raise DataError(f"data '{name}' needs another package: {error}") from None
    except Exception as error:
        raise DataError(f"data '{name}': the files in {root} cannot be read: {error}") from None
    if not download:
        raise DataError(f"data '{name}' is not in {root}; 'nnzoo train' downloads it")
    # torchvision sets no limit: it would wait minutes for a server that does not answer.
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout holds results alone
            return cls(root, download=True, **arguments)
    except PermissionError as error:
        raise DataError(f"data '{name}': cannot write to {root}: {error.strerror}") from None
    except Exception as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:300]
        raise DataError(
            f"data '{name}' is not in {root} and its download failed ({reason}). Place the files "
            f"by hand: {root / _FILES[name]}; or name their folder with data.root or NNZOO_DATA"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)


def _torchvision_labels(name: str, source: Any) -> list[str]:
    if name in ("mnist", "usps", "svhn"):
        return [str(digit) for digit in range(10)]
    labels = [str(label) for label in source.classes]
    return labels[1:] if labels[0] == "N/A" else labels


# Your own pictures.


def load_folder(options: ImageFolderOptions, spec: dict[str, Any] | None = None) -> Dataset:
    """A folder of class folders, or train/, val/ and test/ (or valid, validation) above them.

    Pictures are decoded once, resized, into a cache keyed by every file's name, size and time.
    Raises DataError: what `find_pictures` refuses, or a broken picture (named).
    """
    parts, labels = find_pictures(Path(options.path), list(spec["labels"]) if spec else None)
    height, width = _size(options)
    check_memory(  # the cache is mapped; what trains is not
        64 * 4 * (3 if options.color else 1) * height * width,
        f"64 pictures of {height}×{width}, float32,", "set a smaller data.size",
    )  # fmt: skip
    x, y = {}, {}
    for part, found in parts.items():
        files = [file for label in labels for file in found.get(label, [])]
        x[part] = _decoded(files, options)
        y[part] = torch.tensor(
            [i for i, label in enumerate(labels) for _ in found.get(label, [])], dtype=torch.int64
        )
    split = options.split
    held = {"val": split.val if "val" not in parts else 0}
    held["test"] = split.test if "test" not in parts else 0
    rows = split_rows(len(x["train"]), split.model_copy(update=held), y["train"].numpy())
    splits = row_splits(x["train"], y["train"], rows, share=True)
    splits |= {part: TensorSplit(x[part], y[part]) for part in parts if part != "train"}
    shape = tuple(x["train"].shape[1:])
    return Dataset(Kind("image", shape), "classification", splits, {"labels": labels})


Pictures = dict[str, list[Path]]


def find_pictures(
    root: Path, labels: list[str] | None = None
) -> tuple[dict[str, Pictures], list[str]]:
    """The pictures of each class of each part that has a folder ("train" always), and the labels.

    labels: where they are known from an earlier reading. Raises DataError: no folder, fewer than
    two classes, a class without pictures, a class that training rows lack.
    """
    if not root.is_dir():
        raise DataError(f"data.path: no folder {root}")
    # "Test" is "test"; where both are there, the one in small letters counts.
    below = {p.name.lower(): p for p in sorted(root.iterdir()) if p.is_dir()}
    parts = {}
    for part, names in (
        ("train", ("train",)),
        ("val", ("val", "valid", "validation")),
        ("test", ("test",)),
    ):
        for candidate in names:
            if candidate in below:
                parts[part] = below[candidate]
    if parts and "train" not in parts:
        raise DataError(
            f"{root} has {', '.join(p.name + '/' for p in parts.values())} but no train/"
        )
    folders = parts or {"train": root}
    classes = {part: _class_files(folder) for part, folder in folders.items()}
    labels = sorted(classes["train"]) if labels is None else labels
    if len(labels) < 2:
        raise DataError(
            f"{folders['train']} has {len(labels)} class folder(s); a classifier needs at least two"
        )
    for part, found in classes.items():
        unknown = sorted(set(found) - set(labels))
        if unknown:
            raise DataError(f"{folders[part]} has the class '{unknown[0]}' that training never saw")
    return classes, labels


def _class_files(folder: Path) -> Pictures:
    result = {}
    for class_folder in sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != "."):
        files = sorted(
            file
            for file in class_folder.rglob("*")
            if file.suffix.lower() in EXTENSIONS
            and not any(part[0] == "." for part in file.relative_to(class_folder).parts)
            and file.is_file()
        )
        if not files:
            raise DataError(f"class folder without pictures: {class_folder}")
        result[class_folder.name] = files
    if not result:
        raise DataError(f"{folder} has no class folders; put each class's pictures into its own")
    return result


def _size(options: ImageFolderOptions) -> list[int]:
    """The height and width that pictures get."""
    return [options.size] * 2 if isinstance(options.size, int) else options.size


def _decoded(files: list[Path], options: ImageFolderOptions) -> Tensor:
    """All pictures as uint8 (rows, channels, height, width), from the cache where it is current.

    The cache is memory-mapped: pages that are not in use cost no memory.
    """
    height, width = _size(options)
    channels = 3 if options.color else 1
    shape = (len(files), channels, height, width)
    stats = [(str(file), *_stamp(file)) for file in files]
    key = hashlib.sha256(json.dumps([stats, shape, 1]).encode()).hexdigest()[:32]
    path = cache_folder() / f"{key}.npy"
    cached = _open_cache(path, shape)
    if cached is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            try:
                out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
                if hasattr(os, "posix_fallocate"):
                    # A full disk is an error here; later, in mapped memory, it would be a crash.
                    with temporary.open("r+b") as file:
                        os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
                _decode_all(files, out, options.color)
                out.flush()
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"cannot write the picture cache {path.parent}: {error.strerror or error}; "
                "NNZOO_CACHE names another folder"
            ) from None
        cached = np.load(path, mmap_mode="c")
    return torch.from_numpy(cached)


def _open_cache(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The pictures of a cache file; None where there is none that is whole."""
    try:
        # "c": reads come from the file, and a stray write would stay in memory.
        cached = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return cached if cached.shape == shape and cached.dtype == np.uint8 else None


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _decode_all(files: list[Path], out: np.ndarray, color: bool) -> None:
    def decode(i: int) -> None:
        out[i] = decode_image(files[i], out.shape[2], out.shape[3], color)

    # Pillow warns of odd metadata and of sizes that are refused below.
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")
        try:
            for _ in pool.map(decode, range(len(files))):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def decode_image(file: Path, height: int, width: int, color: bool) -> np.ndarray:
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
