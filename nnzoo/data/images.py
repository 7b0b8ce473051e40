"""Image sources: published sets through torchvision, and folders of your own pictures."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import json
import mmap
import os
import re
import socket
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.cache import cache_folder
from nnzoo.config.schema import EmnistOptions, ImageFolderOptions, TorchvisionOptions
from nnzoo.data.dataset import Dataset, Kind, Pages, TensorSplit, check_memory, row_splits
from nnzoo.data.pictures import decode_all, picture_files
from nnzoo.data.splitting import split_rows
from nnzoo.errors import DataError

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
    x, y, pages = {}, {}, {}
    for part, found in parts.items():
        files = [file for label in labels for file in found.get(label, [])]
        x[part], pages[part] = _decoded(files, options)
        y[part] = torch.tensor(
            [i for i, label in enumerate(labels) for _ in found.get(label, [])], dtype=torch.int64
        )
    split = options.split
    if split.folds is not None and "val" in parts:
        raise DataError("data.split.folds: the validation rows have a folder of their own here")
    held = {"val": split.val if "val" not in parts else 0}
    held["test"] = split.test if "test" not in parts else 0
    rows = split_rows(len(x["train"]), split.model_copy(update=held), y["train"].numpy())
    splits = row_splits(x["train"], y["train"], rows, pages["train"])
    splits |= {
        part: TensorSplit(x[part], y[part], pages=pages[part]) for part in parts if part != "train"
    }
    shape = tuple(x["train"].shape[1:])
    return Dataset(Kind("image", shape), "classification", splits, {"labels": labels})


Pictures = dict[str, list[str]]
"""The files of each class. Not as Path, which takes a second and 30 MB for 60,000 of them."""


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
        files = list(picture_files(str(class_folder)))
        if not files:
            raise DataError(f"class folder without pictures: {class_folder}")
        result[class_folder.name] = files
    if not result:
        raise DataError(f"{folder} has no class folders; put each class's pictures into its own")
    return result


def _size(options: ImageFolderOptions) -> list[int]:
    """The height and width that pictures get."""
    return [options.size] * 2 if isinstance(options.size, int) else options.size


def _decoded(files: list[str], options: ImageFolderOptions) -> tuple[Tensor, Pages]:
    """All pictures as uint8 (rows, channels, height, width), from the cache where it is current.

    The cache is memory-mapped: pages that are not in use cost no memory.
    """
    height, width = _size(options)
    channels = 3 if options.color else 1
    shape = (len(files), channels, height, width)
    digest, total = hashlib.sha256(json.dumps([shape, 2]).encode()), 0
    for file in files:
        stat = os.stat(file)
        digest.update(json.dumps([file, stat.st_size, stat.st_mtime_ns]).encode())
        total += stat.st_size
    key = digest.hexdigest()[:32]
    path = cache_folder() / f"{key}.npy"
    cached = _open_cache(path, shape)
    if cached is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            try:
                np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
                if hasattr(os, "posix_fallocate"):
                    # A full disk is an error here; later, in mapped memory, it would be a crash.
                    with temporary.open("r+b") as space:
                        os.posix_fallocate(space.fileno(), 0, temporary.stat().st_size)
                decode_all(files, total, temporary, options.color)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"cannot write the picture cache {path.parent}: {error.strerror or error}; "
                "NNZOO_CACHE names another folder"
            ) from None
        cached = _map(path, shape)
    return cached


def _open_cache(path: Path, shape: tuple[int, ...]) -> tuple[Tensor, Pages] | None:
    """The pictures of a cache file; None where there is none that is whole."""
    try:
        return _map(path, shape)
    except (OSError, ValueError, EOFError):
        return None


def _map(path: Path, shape: tuple[int, ...]) -> tuple[Tensor, Pages]:
    """A .npy file of bytes in mapped memory: reads come from the file, and a stray write would stay
    in memory. Raises ValueError where it does not hold this shape."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0) or np.lib.format.read_array_header_1_0(file) != (
            shape, False, np.dtype(np.uint8),
        ):  # fmt: skip
            raise ValueError(f"{path} holds something else")
        start = file.tell()
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            # Linux asks for memory behind every byte that could be written.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it can only be read
        x = torch.from_numpy(np.frombuffer(mapped, np.uint8, offset=start).reshape(shape))
    return x, Pages(mapped)
