"""Names of class folders: whether they look like splits, or like kinds of images (masks), instead."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from nnzoo.data.image_files.split_names import (
    IMAGE_WORDS,
    MASK_WORDS,
    PART_WORDS,
    PARTS,
    same_name,
    words_of,
)
from nnzoo.data.image_files.tree import Folder, folder_names
from nnzoo.text import list_some

_OTHERWISE = "if they are classes, name them in data.classes"


def check_class_names(
    folder: Path | str, class_folders: list[Folder]
) -> tuple[str | None, str | None]:
    """An issue with the class folders of a folder, and a better folder to read; None for either."""
    words = {item.name: set(words_of(item.name)) for item in class_folders}
    by_part = {
        part: [name for name in words if any(PART_WORDS.get(w) == part for w in words[name])]
        for part in PARTS
    }
    if by_part["train"] and (by_part["val"] or by_part["test"]):
        names = list_some([f"{name}/" for part in PARTS for name in by_part[part]], 4)
        return (
            f"{folder}: {names} look like parts of each class; make train/ and test/ with one "
            f"folder per class in each; {_OTHERWISE}"
        ), None
    nested = [item for item in class_folders if not item.images]
    inner_names = Counter(
        name for item in nested for name in {same_name(f.name).casefold() for f in item.full}
    )
    shared = sorted(name for name, count in inner_names.items() if count > 1)
    masks = [item for item in class_folders if words[item.name] & MASK_WORDS]
    images = [
        item for item in class_folders if words[item.name] & IMAGE_WORDS and item not in masks
    ]
    if shared:
        suggestion = (images or nested)[0].path
        return (
            f"{folder}: {folder_names(nested)} hold no images but folders of the same names "
            f"({list_some(shared)}): they are parts or kinds of images, not classes. Rename parts "
            f"train/, val/ and test/, or give one of them, as {suggestion}; {_OTHERWISE}"
        ), suggestion
    if masks and images:
        return (
            f"{folder}: {folder_names([*images, *masks])} look like images and their masks or labels, not "
            f"classes; give a folder with one folder per class; {_OTHERWISE}"
        ), None
    return None, None
