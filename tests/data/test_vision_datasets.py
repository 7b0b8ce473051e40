"""Published image sets, read and downloaded through torchvision."""

from __future__ import annotations

import bz2
import os
import pickle
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.config.data_options import EmnistOptions, TorchvisionOptions
from nnzoo.config.split_options import ValSplit
from nnzoo.data import vision_datasets
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.vision_datasets import import_torchvision, load_torchvision
from nnzoo.errors import DataError
from tests.data.image_files.folders import make_folder, paint, sizes


def idx(path: str | Path, array: np.ndarray) -> None:
    """An IDX file of bytes, as LeCun wrote them."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    Path(path).write_bytes(head + array.astype(np.uint8).tobytes())


def images(rows: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(rows).integers(0, 256, (rows, *shape), np.uint8)


def published(name: str, **options: Any) -> Dataset:
    options.setdefault("split", ValSplit(val=0))
    cls: Any = EmnistOptions if name == "emnist" else TorchvisionOptions
    spec = options.pop("spec", None)
    return load_torchvision(cls(name=name, **{"root": "root", **options}), spec)


def test_torchvision_is_imported_beside_a_torch_it_was_not_built_for() -> None:
    # A process of its own: the first import is the one that fails.
    code = (
        "from nnzoo.data.vision_datasets import import_torchvision as load\n"
        "first, again = load('torchvision.datasets'), load('torchvision.datasets')\n"
        "assert first is again and first.MNIST\n"
        "import sys, torchvision; assert torchvision.datasets is first\n"
        "assert 'torch._dynamo' not in sys.modules\n"  # which takes a second
        "from torchvision import models, ops; from torchvision.transforms import v2\n"
        "assert models.resnet18 and ops.nms and v2.Compose\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_another_failure_of_the_import_is_not_hidden(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_folder / "faulty_module.py").write_text("raise RuntimeError('something else')")
    monkeypatch.syspath_prepend(own_folder)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision("faulty_module")


def test_mnist_is_the_original(shared_data: Path) -> None:
    dataset = published("mnist", root=str(shared_data))
    assert sizes(dataset) == {"train": 60_000, "test": 10_000}
    assert dataset.splits["train"].targets()[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.splits["test"].targets()[:5].tolist() == [7, 2, 1, 0, 4]
    assert (dataset.spec.labels, str(dataset.spec.input)) == (
        [str(i) for i in range(10)],
        "image 1×28×28",
    )
    x = dataset.splits["train"].tensors()[0]
    assert (x.dtype, int(x[0].long().sum())) == (torch.uint8, 27525)
    held = published("mnist", root=str(shared_data), split=ValSplit())
    assert sizes(held) == {"train": 54_000, "val": 6_000, "test": 10_000}


def test_the_root_comes_from_the_environment_where_none_is_given(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNZOO_DATA", str(shared_data))
    assert sizes(published("mnist", root=None))["test"] == 10_000


@pytest.mark.parametrize(
    ("name", "folder", "labels"),
    [
        ("mnist", "MNIST", ["0", "1"]),
        ("fashion_mnist", "FashionMNIST", ["T-shirt/top", "Trouser"]),
        ("kmnist", "KMNIST", ["o", "ki"]),
    ],
)
def test_sets_in_idx_files_keep_their_images_and_labels(
    name: str, folder: str, labels: list[str]
) -> None:
    for part, rows in (("train", 12), ("t10k", 7)):
        idx(f"root/{folder}/raw/{part}-images-idx3-ubyte", images(rows, 28, 28))
        idx(f"root/{folder}/raw/{part}-labels-idx1-ubyte", np.arange(rows) % 10)
    dataset = published(name)
    assert dataset.spec.labels[:2] == labels
    for part, rows in (("train", 12), ("test", 7)):
        x, y = dataset.splits[part].tensors()
        np.testing.assert_array_equal(x[:, 0], images(rows, 28, 28))
        assert y.tolist() == [i % 10 for i in range(rows)]


@pytest.mark.parametrize(
    ("subset", "first", "labels"),
    [("balanced", 0, ["0", "1"]), ("letters", 1, ["a", "b"]), ("digits", 0, ["0", "1"])],
)
def test_emnist_stands_upright_and_letters_count_from_zero(
    subset: str, first: int, labels: list[str]
) -> None:
    for part, rows in (("train", 12), ("test", 7)):
        start = f"root/EMNIST/raw/emnist-{subset}-{part}"
        idx(f"{start}-images-idx3-ubyte", images(rows, 28, 28))
        idx(f"{start}-labels-idx1-ubyte", np.arange(rows) % 10 + first)
    dataset = published("emnist", subset=subset)
    assert dataset.spec.labels[:2] == labels
    x, y = dataset.splits["test"].tensors()
    # The files hold every image mirrored along its diagonal.
    np.testing.assert_array_equal(x[:, 0], images(7, 28, 28).transpose(0, 2, 1))
    assert y.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_usps_keeps_its_images_and_labels() -> None:
    Path("root").mkdir()
    gray = images(4, 16, 16)
    lines = [
        f"{i + 1} "
        + " ".join(f"{j + 1}:{v / 255 * 2 - 1:.6f}" for j, v in enumerate(image.ravel()))
        for i, image in enumerate(gray)
    ]
    for name in ("usps.bz2", "usps.t.bz2"):
        Path("root", name).write_bytes(bz2.compress("\n".join(lines).encode()))
    dataset = published("usps")
    x, y = dataset.splits["train"].tensors()
    assert np.abs(x[:, 0].numpy().astype(int) - gray).max() <= 1
    assert (y.tolist(), dataset.spec.labels[0]) == ([0, 1, 2, 3], "0")


def test_svhn_keeps_its_images_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    monkeypatch.setattr(
        import_torchvision("torchvision.datasets").SVHN, "_check_integrity", lambda self: True
    )
    Path("root").mkdir()
    color = images(5, 32, 32, 3)
    classes = np.array([[1], [2], [10], [9], [10]])  # 10 stands for zero
    for part in ("train", "test"):
        savemat(f"root/{part}_32x32.mat", {"X": color.transpose(1, 2, 3, 0), "y": classes})
    x, y = published("svhn").splits["train"].tensors()
    np.testing.assert_array_equal(x, color.transpose(0, 3, 1, 2))
    assert y.tolist() == [1, 2, 0, 9, 0]


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_keeps_its_images_and_labels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_torchvision("torchvision.datasets.cifar")
    monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: os.path.isfile(path))
    cls = getattr(module, name.upper())
    folder = Path("root", cls.base_folder)
    folder.mkdir(parents=True)
    color = images(6, 3, 32, 32)
    key = "labels" if name == "cifar10" else "fine_labels"
    batch = {"data": color.reshape(6, -1), key: [3, 1, 4, 1, 5, 9]}
    for file, _ in cls.train_list + cls.test_list:
        (folder / file).write_bytes(pickle.dumps(batch))
    words = [f"word{i}" for i in range(10 if name == "cifar10" else 100)]
    (folder / cls.meta["filename"]).write_bytes(pickle.dumps({cls.meta["key"]: words}))
    dataset = published(name)
    x, y = dataset.splits["test"].tensors()
    np.testing.assert_array_equal(x, color)
    assert (y.tolist(), dataset.spec.labels) == ([3, 1, 4, 1, 5, 9], words)
    assert len(dataset.splits["train"]) == 6 * len(cls.train_list)


@pytest.fixture
def no_internet(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """The patience that each attempt to download was made with."""
    attempts: list[float | None] = []

    def fail(*arguments: Any, **options: Any) -> None:
        attempts.append(socket.getdefaulttimeout())
        raise urllib.error.URLError("no such host")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    return attempts


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mnist", "root/MNIST/raw/train-images-idx3-ubyte.gz and its three companions"),
        (
            "fashion_mnist",
            "root/FashionMNIST/raw/train-images-idx3-ubyte.gz and its three companions",
        ),
        ("kmnist", "root/KMNIST/raw/train-images-idx3-ubyte.gz and its three companions"),
        ("emnist", "root/EMNIST/raw/gzip.zip"),
        ("cifar10", "root/cifar-10-python.tar.gz"),
        ("cifar100", "root/cifar-100-python.tar.gz"),
        ("svhn", "root/train_32x32.mat and test_32x32.mat"),
        ("usps", "root/usps.bz2 and usps.t.bz2"),
    ],
)
def test_where_a_download_fails_the_folder_for_the_files_is_reported(
    name: str, place: str, no_internet: list[float | None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError) as error:
        published(name)
    message = str(error.value)
    assert message.startswith(f"'{name}' is not in root and its download failed (")
    assert "no such host" in message
    assert message.endswith(
        f"). Place the files by hand: {place}; or name their folder with data.root or NNZOO_DATA"
    )
    assert no_internet
    assert all(patience == vision_datasets.DOWNLOAD_TIMEOUT for patience in no_internet)
    assert socket.getdefaulttimeout() is None
    assert capsys.readouterr().out == ""


def test_the_command_ends_with_exit_code_3_where_a_download_fails(
    nnzoo: Any, no_internet: list[float | None]
) -> None:
    Path("c.yaml").write_text("data: {name: mnist, root: root}\nmodel: mlp\n")
    began = time.monotonic()
    result = nnzoo("train", "--config", "c.yaml")
    assert (result.code, result.out) == (3, "")
    assert "Placethefilesbyhand:" in "".join(result.err.split())
    assert time.monotonic() - began < 20


def test_a_compressed_file_placed_by_hand_is_unpacked_without_the_internet(
    no_internet: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip
    import hashlib

    cls = import_torchvision("torchvision.datasets").FashionMNIST
    resources = []
    for file, _ in cls.resources:
        part = np.arange(8) % 10 if "labels" in file else images(8, 28, 28)
        target = Path("root/FashionMNIST/raw") / file
        idx(target, part)
        target.write_bytes(gzip.compress(target.read_bytes()))
        resources.append((file, hashlib.md5(target.read_bytes()).hexdigest()))
    monkeypatch.setattr(cls, "resources", resources)
    assert sizes(published("fashion_mnist")) == {"train": 8, "test": 8}
    assert not no_internet


def test_files_that_cannot_be_read_are_distinguished_from_missing_ones(
    no_internet: list[float | None],
) -> None:
    for part in ("train", "t10k"):
        idx(f"root/MNIST/raw/{part}-images-idx3-ubyte", images(3, 28, 28))
        Path(f"root/MNIST/raw/{part}-labels-idx1-ubyte").write_bytes(b"\0\0")
    with pytest.raises(DataError, match="'mnist': the files in root cannot be read: "):
        published("mnist")
    assert not no_internet


def test_nothing_is_downloaded_to_a_root_that_comes_out_of_a_checkpoint(
    no_internet: list[float | None],
) -> None:
    spec = DataSpec(InputSpec("image", (1, 28, 28)), "classification")
    with pytest.raises(DataError) as error:
        load_torchvision(TorchvisionOptions(name="mnist", root="root"), spec)
    assert str(error.value) == "'mnist' is not in root; 'nnzoo train' downloads it"
    assert not no_internet
    assert not Path("root").exists()


def test_a_set_may_be_in_class_folders_of_its_size() -> None:
    for part, count in (("train", 4), ("test", 1)):
        for i in range(10):
            for k in range(count):
                paint(f"root/{part}/class{i}/{k}.png", (20 * i, 50 * k, 100))
    dataset = published("cifar10", split=ValSplit(val=0.25))
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 30,
        "val": 10,
        "test": 10,
    }
    assert dataset.spec.input == InputSpec("image", (3, 32, 32))
    assert dataset.notes[0] == "read from class folders in root"
    gray = published("mnist")
    assert gray.spec.input == InputSpec("image", (1, 28, 28))
    assert published("mnist", spec=gray.spec).spec.labels == gray.spec.labels


def test_folders_of_another_number_of_classes_are_not_taken_for_a_set() -> None:
    for part in ("train", "test"):
        make_folder(f"root/{part}", 1, ("blue", "red"))
    options = TorchvisionOptions(name="cifar10", root="root", split=ValSplit(val=0))
    with pytest.raises(DataError, match="'cifar10' is not in root"):
        load_torchvision(options.offline())
