"""The content of a folder of images: parts, classes and images, and files that are left out.

`init`, `train` and `check` share this one description, so that they read the same files and say the
same about the others. Nothing is decoded here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnzoo.data.image_files.class_names import check_class_names
from nnzoo.data.image_files.split_names import (
    PARTS,
    UNLABELLED,
    parts_of,
    same_name,
    split_of_folder,
    words_of,
)
from nnzoo.data.image_files.tree import (
    EXTENSIONS,
    UNREAD,
    Folder,
    IgnoredFiles,
    by_type,
    extension,
    folder_names,
    folder_of_classes,
    holds_classes,
    relative_paths,
    scan,
    sibling_folders,
    skip_wrapper_folders,
    sole_unnamed_split,
)
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural

Images = dict[str, list[str]]
"""The files of each class. Not as Path, which takes a second and 30 MB for 60,000 of them."""


@dataclass
class ImageFolder:
    """The images of each class of each part that has a folder ("train" always).

    notes: one line for all that is left out or interpreted; issues: why it cannot train.
    suggestion: the folder below it that holds the parts or classes, where it is another one.
    """

    root: Path
    parts: dict[str, Images] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    issues: list[str] = field(default_factory=list)
    suggestion: str | None = None

    def lines(self) -> list[str]:
        """The notes, with paths relative to the folder."""
        return [relative_paths(note, self.root) for note in self.notes]

    def check(self) -> None:
        """Raise DataError with all issues."""
        if len(self.issues) == 1:
            raise DataError.at("data.path", self.issues[0], code="E50")
        if self.issues:
            lines = "".join(f"\n  {issue}" for issue in self.issues)
            raise DataError.at(
                "data.path", f"{self.root}: {len(self.issues)} problems{lines}", code="E50"
            )


def describe_folder(
    root: Path, labels: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> ImageFolder:
    """Describe a folder of class folders, or of parts (train, val, test) that hold them.

    labels: known from an earlier reading; classes: names of the class folders, where a user gives
    them. Raises DataError where a folder is missing or cannot be read.
    """
    if not root.is_dir():
        if root.exists():
            raise DataError.at(
                "data.path", f"{root} is a file, not a folder; unpack an archive first", code="E32"
            )
        raise DataError.at("data.path", f"no folder {root}", code="E30")
    result = _Description(root, labels, classes).result
    if [*result.parts] == ["train"] and (others := sibling_folders(root, result.labels)):
        text = (
            f"not used: {plural(len(others), 'folder')} beside {root} with the same classes "
            f"({list_some(others)})"
        )
        result.notes.append(Note("N16", text))
    return result


class _Description:
    """The steps of `describe_folder`."""

    def __init__(
        self, root: Path, labels: Sequence[str] | None, classes: Sequence[str] | None
    ) -> None:
        self.result = ImageFolder(root)
        self.classes = (
            None if classes is None else [same_name(class_name) for class_name in classes]
        )
        top = scan(str(root), links=True, below=lambda name: split_of_folder(name) is not None)
        self.left_out = IgnoredFiles()
        self.left_out.add(top.left_out)
        parts = self._parts(top)
        if "train" in parts:
            class_folders = {
                part: self._class_folders(part, folder) for part, folder in parts.items()
            }
            self._match(class_folders, labels, parts)
        self.result.notes += self.left_out.notes()

    def _parts(self, top: Folder) -> dict[str, Folder]:
        """The folder of each part; the root itself where there are only classes."""
        full = top.full
        if self.classes is not None and {same_name(item.name) for item in full} >= {*self.classes}:
            return {"train": top}
        parts = parts_of([item.name for item in full])
        named = {
            part: [folder_of_classes(item) for item in full if parts.get(item.name) == part]
            for part in PARTS
        }
        holders = {
            part: [folder for folder in folders if holds_classes(folder)]
            for part, folders in named.items()
        }
        if not any(holders.values()):
            return self._only_classes(top, full)
        strangers = [item for item in full if item.name not in parts]
        if not named["train"] and (train := sole_unnamed_split(strangers, holders)):
            holders["train"] = [folder_of_classes(train)]
            strangers.remove(train)
        self._check_parts(named, holders, strangers)
        for part, folders in named.items():
            for entry in folders:
                if entry not in holders[part] and part != "train":
                    self._skip(
                        entry, "has no class folders (no labels); 'nnzoo predict' answers them"
                    )
        for entry in strangers:
            self._skip(entry, "is neither train, val nor test")
        self._skip_empty(top)
        self._skip_loose(top, "beside the parts")
        chosen = {part: folders[0] for part, folders in holders.items() if folders}
        for part, folder in chosen.items():
            place = os.path.relpath(folder.path, self.root)
            if place.lower() != part:
                self.result.notes.append(
                    Note("N16", f"{place}/ is taken for the {_TITLES[part]} part")
                )
        return chosen

    def _check_parts(
        self,
        named: dict[str, list[Folder]],
        holders: dict[str, list[Folder]],
        strangers: list[Folder],
    ) -> None:
        """Find parts without classes, doubled and missing ones.

        named: the folders whose names mean each part; holders: those that have class folders;
        strangers: folders of other names.
        """
        issues = self.result.issues
        classes = [stranger for stranger in strangers if stranger.images]
        if len(classes) > 1 and not (holders["val"] or holders["test"]):
            train = holders["train"][0]
            issues.append(
                f"{self.root}: '{train.name}' holds folders ({folder_names(train.full)}) "
                f"as a part does, but beside it {folder_names(classes)} hold images as classes do; move "
                "what is no class elsewhere, or name the classes in data.classes"
            )
        for part, folders in holders.items():
            if len(folders) > 1:
                names = " and ".join(f"{folder.name}/" for folder in folders)
                issues.append(
                    f"{self.root} has {names}, which are both the {_TITLES[part]} part; rename or "
                    "merge them"
                )
        if not holders["train"]:
            names = ", ".join(f"{item.name}/" for folders in holders.values() for item in folders)
            flat = [item for item in named["train"] if item.images]
            but = f"{flat[0].name}/ has no class folders" if flat else "no train/"
            issues.append(f"{self.root} has {names} but {but}")

    def _only_classes(self, top: Folder, full: list[Folder]) -> dict[str, Folder]:
        """The root as the one part, unless its folders are no classes."""
        issues = self.result.issues
        parts = [item for item in full if split_of_folder(item.name)]
        if not full:
            tables = [
                item for item in top.left_out.other if extension(item) in ("csv", "tsv", "txt")
            ]
            unread = top.left_out.unread
            if top.images:
                but = (
                    f", or name a table of their labels (data.labels): {list_some(tables)}"
                    * bool(tables)
                )
                issues.append(
                    f"{self.root} has no class folders; put each class's images into its own{but}"
                )
            elif unread:
                issues.append(
                    f"{self.root} has no images that can be read: {by_type(unread)}; "
                    f"{UNREAD[extension(unread[0])]}"
                )
            else:
                issues.append(f"{self.root} has no images; {', '.join(EXTENSIONS)} are read")
            return {}
        if len(full) == 1 and not full[0].images and full[0].full:
            self.result.suggestion = skip_wrapper_folders(full[0]).path
            issues.append(
                f"{self.root} holds only the folder {full[0].name}/, which holds folders; give "
                f"{self.result.suggestion}"
            )
        elif parts and len(parts) == len(full):
            issues.append(
                f"{folder_names(parts)} of {self.root} hold images but no class folders; labels come from "
                "folders: one folder per class in each"
            )
        else:
            self._check_names(self.root, full)
            self.result.notes += [
                Note(
                    "N16",
                    f"folder {part.name}/ is taken for a class: it holds images and no folders",
                )
                for part in parts
            ]
        return {} if issues else {"train": top}

    def _check_names(self, folder: Path | str, full: list[Folder]) -> None:
        """Find folders that look like classes but are parts, or kinds of images."""
        if self.classes is not None:
            return
        issue, suggestion = check_class_names(folder, full)
        if issue is not None:
            self.result.issues.append(issue)
            self.result.suggestion = suggestion or self.result.suggestion

    def _class_folders(self, part: str, folder: Folder) -> dict[str, list[Folder]]:
        """The folders of each class, by label, of the folder of a part."""
        issues = self.result.issues
        full = folder.full
        chosen = full
        if self.classes is not None:
            chosen = [item for item in full if same_name(item.name) in self.classes]
            for entry in full:
                if entry not in chosen:
                    self._skip(entry, "is not among data.classes")
            missing = {*self.classes} - {same_name(item.name) for item in chosen}
            if missing and part == "train":
                text = f"{folder.path} has no images of {list_some(sorted(missing))} (data.classes)"
                issues.append(Note("W47", text))
        if folder.path != str(self.root):
            self.left_out.add(folder.left_out)
            self._check_names(folder.path, chosen)
            self._skip_empty(folder)
        elif part == "train":
            self._skip_empty(folder)
        self._skip_loose(folder, "beside the class folders")
        result: dict[str, list[Folder]] = {}
        for entry in chosen:
            left_out = entry.all_left_out()
            self.left_out.add(left_out)
            if not entry.count():
                issues.append(
                    f"class folder without images that can be read: {entry.path} has "
                    f"{by_type(left_out.unread)}; {UNREAD[extension(left_out.unread[0])]}"
                )
            result.setdefault(same_name(entry.name), []).append(entry)
        for label, folders in result.items():
            if len(folders) > 1:
                names = " and ".join(repr(folder.name) for folder in folders)
                text = f"class '{label}' has {len(folders)} folders: {names} are the same name"
                self.result.notes.append(Note("N16", text))
            inside = [item.name for f in folders for item in f.full]
            if inside:
                text = f"class '{label}' has images in folders below it too: {list_some(inside)}"
                self.result.notes.append(Note("N16", text))
        return result

    def _match(
        self,
        by_part: dict[str, dict[str, list[Folder]]],
        labels: Sequence[str] | None,
        folders: dict[str, Folder],
    ) -> None:
        """Give each class folder its label, and find classes that training rows lack."""
        if labels is None:
            labels = sorted(item[0].name for item in by_part["train"].values())
        if len(labels) < 2:
            self.result.issues.append(
                f"{folders['train'].path} has {len(labels)} class folder(s); a classifier needs at least two "
                "(labels come from the names of folders, not from .txt, .csv or other files)"
            )
        known = _Labels(labels)
        self.result.notes += [
            Note("N10", f"classes {' and '.join(map(repr, names))} differ in nothing but capitals")
            for names in known.folded.values()
            if len(names) > 1
        ]
        for part, classes in by_part.items():
            if part != "train" and len(classes) == 1 and not {*classes} & {*known.exact}:
                (only,) = classes
                if {*words_of(only)} <= UNLABELLED:
                    self._skip(folders[part], f"has no class folders but {only}/ (no labels)")
                    continue
            images = self._label_images(classes, known, folders[part].path)
            self.result.parts[part] = images
            lacking = [label for label in labels if label not in images]
            if lacking and part != "train":
                self.result.notes.append(
                    Note("W47", f"{folders[part].path} has no images of {list_some(lacking)}")
                )
        self.result.labels = list(labels)

    def _label_images(
        self, classes: dict[str, list[Folder]], known: _Labels, part_path: str
    ) -> Images:
        """The image files of each label in the class folders of one part."""
        images: Images = {}
        for name, class_folders in classes.items():
            label = known.find(name)
            if label is None:
                self.result.issues.append(
                    f"{part_path} has the class '{name}' that training never saw; "
                    "add training images of it, move it elsewhere, or name the classes in data.classes"
                )
                continue
            if name not in known.exact:
                self.result.notes.append(
                    Note("N16", f"{class_folders[0].path} is taken for class '{label}'")
                )
            files = [file for folder in class_folders for file in folder.walk()]
            images.setdefault(label, []).extend(files)
        return images

    @property
    def root(self) -> Path:
        return self.result.root

    def _skip(self, folder: Folder, why: str) -> None:
        count = plural(folder.count() or len(folder.all_left_out().unread), "image")
        self.result.notes.append(Note("N17", f"left out: {count} in {folder.path}/, which {why}"))

    def _skip_empty(self, folder: Folder) -> None:
        full = {id(item) for item in folder.full}
        empty = [f"{item.path}/" for item in folder.folders if id(item) not in full]
        if empty:
            count = plural(len(empty), "folder")
            self.result.notes.append(
                Note("N17", f"left out: {count} without images ({list_some(empty)})")
            )

    def _skip_loose(self, folder: Folder, where: str) -> None:
        if folder.images:
            count = plural(len(folder.images), "image")
            self.result.notes.append(
                Note("N17", f"left out: {count} {where} ({list_some(folder.images)})")
            )


class _Labels:
    """The known labels, found by the names of class folders."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.exact = {same_name(label): label for label in labels}
        self.folded: dict[str, list[str]] = {}
        for label in labels:
            self.folded.setdefault(same_name(label).casefold(), []).append(label)

    def find(self, name: str) -> str | None:
        """The label of a name, or the only one that differs from it in capitals alone."""
        near = self.folded.get(name.casefold(), [])
        return self.exact.get(name) or (near[0] if len(near) == 1 else None)


_TITLES = {"train": "training", "val": "validation", "test": "test"}
