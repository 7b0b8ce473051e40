"""Folders of images made dirty: parts, wrappers, formats, modes, broken files, duplicates."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable

import numpy as np
from PIL import Image

from tests.campaigns.dirt import Case, choose, positions

Files = dict[str, bytes]
CLASSES = ("bar", "dot", "kürbis")
SIDE = 8


def drawing(kind: int, rng: np.random.Generator) -> np.ndarray:
    """A gray image (8, 8) uint8 of one of three classes."""
    image = rng.integers(0, 60, (SIDE, SIDE)).astype(np.uint8)
    if kind == 0:
        image[:, int(rng.integers(1, 7))] = 220
    elif kind == 1:
        row, column = rng.integers(1, 6, 2)
        image[row : row + 2, column : column + 2] = 240
    else:
        np.fill_diagonal(image, 200)
    return image


def encoded(array: np.ndarray, form: str = "PNG", mode: str | None = None) -> bytes:
    image = Image.fromarray(array)
    if mode is not None:
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def clean_folder(rng: np.random.Generator) -> Files:
    """train/ and test/, a folder for each class, in them PNGs."""
    return {
        f"{part}/{label}/{i:03d}.png": encoded(drawing(kind, rng))
        for part, count in (("train", 14), ("test", 4))
        for kind, label in enumerate(CLASSES)
        for i in range(count)
    }


def renamed(files: Files, rename: Callable[[str], str]) -> None:
    changed = {rename(name): content for name, content in files.items()}
    files.clear()
    files.update(changed)


def part_names(files: Files, rng: np.random.Generator) -> str:
    train = choose(rng, ["training", "Train", "TRAIN", "learn", "fold_a", "set1"])
    test = choose(rng, ["testing", "Test", "TEST", "holdout", "fold_b", "set2"])
    renamed(files, lambda n: n.replace("train/", f"{train}/", 1).replace("test/", f"{test}/", 1))
    return f"{train}|{test}|part"


def wrapper(files: Files, rng: np.random.Generator) -> str:
    renamed(files, lambda name: f"dataset/{name}")
    return "dataset"


def masks(files: Files, rng: np.random.Generator) -> str:
    """The same class folders below images/ and masks/."""
    images = {n[6:]: c for n, c in files.items() if n.startswith("train/")}
    files.clear()
    for name, content in images.items():
        files[f"images/{name}"] = content
        files[f"masks/{name}"] = encoded(np.full((SIDE, SIDE), 255, np.uint8))
    return "images|masks"


def macosx(files: Files, rng: np.random.Generator) -> str:
    for label in CLASSES:
        files[f"__MACOSX/train/{label}/._000.png"] = b"\0\5\26\7"
    files["train/.DS_Store"] = b"\0\0\0\1Bud1"
    files["train/bar/Thumbs.db"] = b"\xd0\xcf\x11\xe0"
    return "__MACOSX|Thumbs"


def other_formats(files: Files, rng: np.random.Generator) -> str:
    suffix = choose(rng, ["HEIC", "heic", "avif", "CR2", "svg", "mp4", "psd"])
    names = [name for name in files if name.startswith("train/")]
    for i in positions(rng, 6, len(names)):
        files[names[i].rsplit(".", 1)[0] + f"_x.{suffix}"] = b"\0\0\0\x18ftypheic" + rng.bytes(60)
    return suffix


def upper_case(files: Files, rng: np.random.Generator) -> str:
    renamed(files, lambda name: name.replace(".png", ".PNG"))
    return "PNG"


def broken(files: Files, rng: np.random.Generator) -> str:
    names = sorted(files)
    chosen = [names[i] for i in positions(rng, int(rng.integers(1, 4)), len(names))]
    for name in chosen:
        files[name] = choose(rng, ["cut", "empty", "text"]).encode()
        if rng.random() < 0.5:
            files[name] = b"\x89PNG\r\n\x1a\n" + rng.bytes(40)
    return chosen[0].rsplit("/", 1)[-1]


def modes(files: Files, rng: np.random.Generator) -> str:
    """The same pixels in another mode or format without loss."""
    form, suffix, mode = [
        ("PNG", "png", "RGB"),
        ("PNG", "png", "P"),
        ("BMP", "bmp", None),
        ("TIFF", "tif", None),
        ("PNG", "png", "RGBA"),
        ("PNG", "png", "LA"),
        ("GIF", "gif", None),
        ("WEBP", "webp", "RGB"),
    ][int(rng.integers(8))]
    for name in list(files):
        image = np.asarray(Image.open(io.BytesIO(files.pop(name))).convert("L"))
        buffer = io.BytesIO()
        photo = Image.fromarray(image)
        photo = photo.convert(mode) if mode else photo
        photo.save(buffer, form, **({"lossless": True} if form == "WEBP" else {}))
        files[f"{name.rsplit('.', 1)[0]}.{suffix}"] = buffer.getvalue()
    return "color|colour|mode|channel"


def wide_integers(files: Files, rng: np.random.Generator) -> str:
    """16 or 32 bits a pixel that hold 0 to 255."""
    dtype, form, suffix = [(np.uint16, "PNG", "png"), (np.int32, "TIFF", "tif")][
        int(rng.integers(2))
    ]
    for name in list(files):
        image = np.asarray(Image.open(io.BytesIO(files.pop(name))).convert("L"))
        buffer = io.BytesIO()
        Image.fromarray(image.astype(dtype)).save(buffer, form)
        files[f"{name.rsplit('.', 1)[0]}.{suffix}"] = buffer.getvalue()
    return "bit|range|255|level"


def unlabelled_test(files: Files, rng: np.random.Generator) -> str:
    for i, name in enumerate([name for name in files if name.startswith("test/")]):
        files[f"test/{i:03d}.png"] = files.pop(name)
    return "test"


def empty_class(files: Files, rng: np.random.Generator) -> str:
    files["train/unsorted/"] = b""
    return "unsorted"


def class_form(files: Files, rng: np.random.Generator) -> str:
    """A class folder's name in two Unicode forms, in train and in test."""
    renamed(
        files,
        lambda n: unicodedata.normalize("NFD", n) if n.startswith("test/") else n,
    )
    return "kürbis|Unicode|class"


def validation_folder(files: Files, rng: np.random.Generator) -> str:
    word = choose(rng, ["val", "valid", "validation", "dev", "eval", "extra"])
    for name in [name for name in files if name.startswith("train/")][::4]:
        files[name.replace("train/", f"{word}/", 1)] = files[name]
    return word


def two_validation_folders(files: Files, rng: np.random.Generator) -> str:
    for name in [name for name in files if name.startswith("train/")][::4]:
        files[name.replace("train/", "val/", 1)] = files[name]
        files[name.replace("train/", "validation/", 1)] = files[name]
    return "val.*validation|validation.*val"


def deeper(files: Files, rng: np.random.Generator) -> str:
    renamed(files, lambda n: "/".join([*n.split("/")[:-1], "camera1", n.split("/")[-1]]))
    return "camera1|folder"


def repeated(files: Files, rng: np.random.Generator) -> str:
    """Training images that are test images too."""
    for label in CLASSES:
        source = next(name for name in sorted(files) if name.startswith(f"test/{label}/"))
    files[f"train/{label}/copy.{source.rsplit('.', 1)[1]}"] = files[source]
    return "equal|duplicate|same|also"


def table_beside(files: Files, rng: np.random.Generator) -> str:
    files["labels.csv"] = b"file,label\n000.png,bar\n"
    files["train/readme.txt"] = b"about"
    return "labels.csv|readme"


OPERATIONS: dict[str, Callable[[Files, np.random.Generator], str]] = {
    item.__name__: item
    for item in (
        part_names,
        wrapper,
        masks,
        macosx,
        other_formats,
        upper_case,
        broken,
        modes,
        wide_integers,
        unlabelled_test,
        empty_class,
        class_form,
        validation_folder,
        two_validation_folders,
        deeper,
        repeated,
        table_beside,
    )
}
# These move what the others look for, so each is a case of its own.
SINGLE = {
    "part_names",
    "wrapper",
    "masks",
    "modes",
    "wide_integers",
    "unlabelled_test",
    "upper_case",
    "class_form",
    "deeper",
}


def images_case(seed: int, only: str | None = None) -> Case:
    """A folder of images and the same with one or two errors, or with one that is named."""
    rng = np.random.default_rng(seed)
    files = clean_folder(rng)
    picked = [str(name) for name in rng.choice(list(OPERATIONS), size=2, replace=False)]
    if rng.random() < 0.6 or len(SINGLE & {*picked}) > 1:
        picked = picked[:1]
    picked = [only] if only else picked
    # Pixels are written anew before files are broken or others put beside them, names last.
    picked.sort(key=lambda name: (name not in ("modes", "wide_integers"), name in SINGLE))
    case = Case(clean={f"photos/{name}": content for name, content in files.items()})
    for name in picked:
        case.names[name] = OPERATIONS[name](files, rng)
        case.operations.append(name)
    case.dirty = {f"photos/{name}": content for name, content in files.items()}
    return case
