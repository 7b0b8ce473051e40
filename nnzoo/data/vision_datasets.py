"""Published image sets, read and downloaded through torchvision."""

from __future__ import annotations

import contextlib
import importlib
import re
import socket
import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.config.data_options import EmnistOptions, ImageFolderOptions, TorchvisionOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit, make_splits
from nnzoo.data.row_split import split_rows
from nnzoo.errors import DataError
from nnzoo.text import Note

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
# Classes, height and width, and whether they are in color: of sets that may be in class folders.
_FORMS = dict.fromkeys(("mnist", "fashion_mnist", "kmnist"), (10, 28, False)) | {
    "cifar10": (10, 32, True),
    "cifar100": (100, 32, True),
    "svhn": (10, 32, True),
}
# Paths below the root at which a user can place the files.
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
    raise DataError(
        "torchvision does not match torch; reinstall both with constraints.txt", code="E05"
    )


# A Library takes its operators along when it is collected.
_KEPT: list[Any] = []


def images_to_tensor(images: Any) -> Tensor:
    """Images as uint8 (rows, channels, height, width)."""
    array = torch.as_tensor(np.ascontiguousarray(images))
    if array.ndim == 3:
        return array[:, None]
    return array if array.shape[1] in (1, 3) else array.permute(0, 3, 1, 2).contiguous()


def load_torchvision(options: TorchvisionOptions, spec: DataSpec | None = None) -> Dataset:
    """A published set, downloaded into its root when missing; its own test rows are the test split.

    A root with class folders instead, train/CLASS/ and test/CLASS/, is read too.

    With a spec, the root may come out of a checkpoint that a stranger made: nothing is written.
    Raises DataError where a download fails, saying where files can be placed by hand.
    """
    name = options.name
    cls = getattr(import_torchvision("torchvision.datasets"), _CLASSES[name])
    extra = {"split": options.subset} if isinstance(options, EmnistOptions) else {}
    parts = {}
    for part in ("train", "test"):
        where = {"split": part} if name == "svhn" else {"train": part == "train"}
        source = _read_torchvision(cls, options, where | extra)
        if source is None and (folder := _class_folders(options)) is not None:
            return _load_class_folders(folder, spec)
        if source is None:
            source = _download(cls, options, where | extra, spec is None)
        parts[part] = source
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
    splits = make_splits(x["train"], y["train"], rows)
    splits["test"] = TensorSplit(x["test"], y["test"])
    input_spec = InputSpec("image", tuple(x["train"].shape[1:]))
    return Dataset(DataSpec(input_spec, "classification", labels), splits)


def _read_torchvision(cls: Any, options: TorchvisionOptions, arguments: dict[str, Any]) -> Any:
    """One part of a set from its files; None if they are missing."""
    name, root = options.name, options.folder
    try:
        return _without_pickles(cls)(root, download=False, **arguments)
    except (RuntimeError, FileNotFoundError):
        return None
    except ImportError as error:
        raise DataError.at(
            "data.name", f"'{name}' needs another package: {error}", code="E05"
        ) from None
    except Exception as error:
        raise DataError.at(
            "data.root", f"'{name}': the files in {root} cannot be read: {error}", code="E33"
        ) from None


def _without_pickles(cls: Any) -> Any:
    """The class without the files that torchvision once saved with torch.save, which may be anyone's."""
    if not hasattr(cls, "_check_legacy_exist"):
        return cls
    return type(cls.__name__, (cls,), {"_check_legacy_exist": lambda self: False})


def _class_folders(options: TorchvisionOptions) -> ImageFolderOptions | None:
    """The options that read a set's images from class folders; None where the root has none."""
    root = options.folder
    count, size, color = _FORMS.get(options.name, (0, 0, False))
    if not count or any(len([*root.glob(f"{part}/*/")]) != count for part in ("train", "test")):
        return None
    split = GroupSplit.model_validate(options.split.model_dump())
    return ImageFolderOptions(
        name="image_folder", path=str(root), size=size, color=color, split=split
    )


def _load_class_folders(options: ImageFolderOptions, spec: DataSpec | None) -> Dataset:
    from nnzoo.data.image_folder import load_folder

    dataset = load_folder(options, spec)
    dataset.notes.insert(0, Note("N16", f"read from class folders in {options.path}"))
    return dataset


def _download(
    cls: Any, options: TorchvisionOptions, arguments: dict[str, Any], download: bool
) -> Any:
    name, root, cls = options.name, options.folder, _without_pickles(cls)
    options.check_download(name, download)
    # torchvision sets no limit: it would wait minutes for a server that does not answer.
    old_timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout holds results alone
            return cls(root, download=True, **arguments)
    except PermissionError as error:
        raise DataError.at(
            "data.root", f"'{name}': cannot write to {root}: {error.strerror}", code="E31"
        ) from None
    except Exception as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:300]
        raise DataError.at(
            "data.root",
            f"'{name}' is not in {root} and its download failed ({reason}). Place the files "
            f"by hand: {root / _FILES[name]}; or name their folder with data.root or NNZOO_DATA",
            code="E52",
        ) from None
    finally:
        socket.setdefaulttimeout(old_timeout)


def _torchvision_labels(name: str, source: Any) -> list[str]:
    if name in ("mnist", "usps", "svhn"):
        return [str(digit) for digit in range(10)]
    labels = [str(label) for label in source.classes]
    return labels[1:] if labels[0] == "N/A" else labels
