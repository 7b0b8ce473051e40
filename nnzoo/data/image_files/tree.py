"""The images in a folder and below it, and every file that is left out, by its reason. Nothing is decoded."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from nnzoo.data.image_files.split_names import is_plain, same_name, split_of_folder
from nnzoo.errors import DataError
from nnzoo.text import Note, list_some, plural, reworded

MAX_LEVELS_ABOVE, MAX_SIBLINGS = 3, 500
EXTENSIONS = tuple(
    re.findall(r"\S+", ".png .jpg .jpeg .jpe .jfif .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .pnm")
)
_IMAGE_FORMATS = re.findall(
    r"\S+",
    "heic heif hif avif jxl jp2 j2k jpx raw cr2 cr3 crw nef nrw arw srf sr2 dng orf rw2 "
    "raf pef srw x3f 3fr psd psb svg svgz ico icns eps ai tga exr hdr xcf dcm dicom nii "
    "fits pcx dds emf wmf",
)
_VIDEOS = re.findall(r"\S+", "mp4 mov avi mkv webm mpg mpeg m4v 3gp wmv flv mts m2ts")
_ARCHIVES = re.findall(r"\S+", "zip tar gz tgz bz2 xz 7z rar zst")
UNREAD = dict.fromkeys(_IMAGE_FORMATS, "convert them to JPEG or PNG")
UNREAD |= dict.fromkeys(_VIDEOS, "videos; save single frames as JPEG or PNG")
UNREAD |= dict.fromkeys(_ARCHIVES, "archives; unpack them")
UNREAD |= {"pdf": "documents; save their pages as JPEG or PNG"}

SYSTEM_NAMES = {
    "__macosx",
    "thumbs.db",
    "desktop.ini",
    "ehthumbs.db",
    "@eadir",
    "$recycle.bin",
    "lost+found",
    "system volume information",
    "icon\r",
    "__pycache__",
}


@dataclass
class IgnoredFiles:
    """Files and folders that are not used, by why."""

    unread: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    system: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)

    def add(self, other: IgnoredFiles) -> None:
        for name, values in vars(other).items():
            getattr(self, name).extend(values)

    def notes(self) -> list[str]:
        """One line per reason, with counts and examples."""
        lines = []
        for advice in dict.fromkeys(UNREAD.values()):
            files = [file for file in self.unread if UNREAD[extension(file)] == advice]
            if files:
                count = plural(len(files), "file")
                lines.append(f"{count} in formats that are not read ({by_type(files)}): {advice}")
        if self.other:
            count = plural(len(self.other), "file that is no image", "files that are no images")
            lines.append(f"{count} by the name ({by_type(self.other)})")
        if self.links:
            count = plural(len(self.links), "link")
            lines.append(f"{count} to a folder or to nothing ({list_some(self.links)})")
        if self.special:
            count = plural(len(self.special), "pipe or device", "pipes or devices")
            lines.append(f"{count} ({list_some(self.special)})")
        if self.system:
            names = list(dict.fromkeys(map(os.path.basename, self.system)))
            noun = "hidden or system file or folder", "hidden or system files and folders"
            lines.append(f"{plural(len(self.system), *noun)} ({list_some(names)})")
        return [Note("N17", f"left out: {line}") for line in lines]


def extension(file: str) -> str:
    """The extension of a file in lower case, without the dot."""
    return os.path.splitext(file)[1].lower().removeprefix(".")


def by_type(files: Sequence[str]) -> str:
    """Counts by extension and an example: ".heic 12, .mp4 1, such as box/003.heic"."""
    counts = Counter(os.path.splitext(file)[1] or "without extension" for file in files)
    shown = [f"{name} {count:,}" for name, count in counts.most_common(5)]
    return f"{list_some(shown, 4)}; such as {files[0]}"


@dataclass(eq=False)
class Folder:
    """One folder: its images (paths, by name), the folders in it, and what is in neither."""

    path: str
    images: list[str] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    left_out: IgnoredFiles = field(default_factory=IgnoredFiles)

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def walk(self) -> Iterator[str]:
        """All images in it and below it: folders and files in the order of their names."""
        yield from (
            path
            for _, paths in sorted(
                [(os.path.basename(image), [image]) for image in self.images]
                + [(folder.name, folder.walk()) for folder in self.folders],
                key=lambda item: item[0],
            )
            for path in paths
        )

    def all_left_out(self) -> IgnoredFiles:
        """The files that are left out, in it and below it."""
        total = IgnoredFiles()
        total.add(self.left_out)
        for folder in self.folders:
            total.add(folder.all_left_out())
        return total

    def count(self) -> int:
        """The number of images in it and below it."""
        return len(self.images) + sum(folder.count() for folder in self.folders)

    @cached_property
    def full(self) -> list[Folder]:
        """The folders in it that have images, in a format that is read or not."""
        return [folder for folder in self.folders if folder.count() or folder.all_left_out().unread]


def scan(path: str, links: bool = False, below: Callable[[str], bool] | None = None) -> Folder:
    """Read a folder and those below it.

    links: whether links to folders are followed in this one; below: whether they are in a folder in it
    of some name; deeper they never are. Raises DataError where a folder cannot be read.
    """
    folder = Folder(path)
    try:
        with os.scandir(path) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", code="E31") from None
    out = folder.left_out
    for entry in entries:
        if entry.name[0] == "." or entry.name.lower() in SYSTEM_NAMES:
            out.system.append(entry.path)
        elif entry.is_dir(follow_symlinks=links):
            folder.folders.append(scan(entry.path, below is not None and below(entry.name)))
        elif entry.is_symlink() and (entry.is_dir() or not os.path.exists(entry.path)):
            out.links.append(entry.path)
        elif not entry.is_file():
            out.special.append(entry.path)
        elif extension(entry.name) in UNREAD:
            out.unread.append(entry.path)
        elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
            folder.images.append(entry.path)
        else:
            out.other.append(entry.path)
    return folder


def image_paths(folder: str) -> Iterator[str]:
    """The images in a folder and those below it, in order of their names. Raises DataError."""
    return scan(folder).walk()


def relative_paths(text: str, root: str | os.PathLike[str]) -> str:
    """A text with the paths in it relative to a folder; folders of its name below it stay."""
    pattern = rf"(?<![^\s(\"']){re.escape(os.path.join(root, ''))}(?=\S)"
    return reworded(text, re.sub(pattern, "", text))


def skip_wrapper_folders(folder: Folder) -> Folder:
    """The first folder below that holds more than one other folder, or images."""
    while len(folder.full) == 1 and not folder.images and folder.full[0].full:
        folder = folder.full[0]
    return folder


def folder_names(folders: Sequence[Folder]) -> str:
    names = [f"{folder.name}/" for folder in folders]
    return " and ".join(names) if len(names) == 2 else list_some(names, 4)


def sibling_folders(root: Path, labels: Sequence[str]) -> list[str]:
    """Return the siblings of this folder that hold at least half of the same classes, relative to it.

    Looked at are the folders of the same depth below the one to MAX_LEVELS_ABOVE folders above, but
    for those above the working folder.
    """
    root, names = root.resolve(), {same_name(label) for label in labels}
    siblings: list[str] = []
    for depth, above in enumerate([*root.parents][:MAX_LEVELS_ABOVE], 1):
        if above == Path.home() or above in Path.cwd().parents or above == above.parent:
            break
        matching = []
        for other in islice(above.glob("/".join("*" * depth)), MAX_SIBLINGS):
            if (
                other != root
                and not other.name.startswith(".")
                and os.access(other, os.R_OK)
                and other.is_dir()
            ):
                inside = {same_name(entry.name) for entry in islice(other.iterdir(), MAX_SIBLINGS)}
                if len(names & inside) >= max(2, len(names) / 2):
                    matching.append(f"{os.path.relpath(other, root)}/")
        siblings += sorted(path for path in matching if path not in siblings)
    return siblings


def holds_classes(folder: Folder) -> bool:
    """Whether a folder looks like a part: folders with images in it, more than one beside its own."""
    full = folder.full
    return len(full) > 1 or bool(full and not folder.images)


def sole_unnamed_split(strangers: list[Folder], holders: dict[str, list[Folder]]) -> Folder | None:
    """The one folder of another name that has classes of the parts beside it; None where several or none has."""
    classes = {same_name(item.name) for part in holders.values() for f in part for item in f.full}
    alike = [
        stranger
        for stranger in strangers
        if {same_name(f.name) for f in folder_of_classes(stranger).full} & classes
    ]
    return alike[0] if len(alike) == 1 else None


def folder_of_classes(folder: Folder) -> Folder:
    """The folder in a part that holds its classes: train itself, or train/train or train/images."""
    if folder.images or len(folder.full) != 1:
        return folder
    (only,) = folder.full
    repeated = same_name(only.name).casefold() == same_name(folder.name).casefold()
    plain = (
        repeated
        or is_plain(only.name)
        or split_of_folder(only.name) == split_of_folder(folder.name)
    )
    return folder_of_classes(only) if plain and only.full else folder
