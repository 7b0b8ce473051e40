"""Files of the UCR/UEA archive: below a root, inside an installed aeon, or downloaded."""

from __future__ import annotations

import io
import urllib.request
import zipfile
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from nnzoo import file_io
from nnzoo.config.recording_options import UcrOptions
from nnzoo.errors import CheckpointError, DataError

URL = "https://timeseriesclassification.com/aeon-toolkit/{}.zip"
TIMEOUT = 20.0  # seconds without a byte
MAX_BYTES = 4 << 30
EXTENSIONS = (".ts", ".tsv", ".arff")


def find_problem(options: UcrOptions, may_download: bool) -> dict[str, Path]:
    """The files of the training and the test part of a problem, downloaded into the root where they are missing.

    Raises DataError that says where they can be placed by hand.
    """
    name, root = options.problem, options.folder
    paths = _files_in(name, root / name) or _files_in(name, root) or _files_in(name, _in_aeon(name))
    if paths:
        return paths
    expected = f"{root / name / f'{name}_TRAIN.ts'} and {name}_TEST.ts"
    options.check_download(name, may_download, f" ({expected})")
    try:
        _download(name, root / name)
    except PermissionError as error:
        raise DataError.at(
            "data.root", f"'{name}': cannot write to {root}: {error.strerror}", code="E31"
        ) from None
    except CheckpointError as error:  # of the write, which names the file
        raise DataError.at("data.root", f"'{name}': {error}", code="E52") from None
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:300]
        raise DataError.at(
            "data.root",
            f"'{name}' is not in {root} and its download from {URL.format(name)} failed ({reason}). Is the name "
            f"right? Place the files by hand: {expected}; or name their folder with data.root or NNZOO_DATA",
            code="E52",
        ) from None
    return _files_in(name, root / name) or {}


def _files_in(name: str, folder: Path | None) -> dict[str, Path] | None:
    """The two files in a folder, in the first format of which there are both."""
    if folder is None:
        return None
    for extension in EXTENSIONS:
        files = {part: folder / f"{name}_{part.upper()}{extension}" for part in ("train", "test")}
        if all(file.is_file() for file in files.values()):
            return files
    return None


def _in_aeon(name: str) -> Path | None:
    """The folder of a problem inside an installed aeon, which is not imported."""
    spec = find_spec("aeon")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) / "datasets" / "data" / name if places else None


def _download(name: str, folder: Path) -> None:
    """Fetch the archive of a problem, and write its two `.ts` files."""
    with urllib.request.urlopen(URL.format(name), timeout=TIMEOUT) as response:
        content = response.read(MAX_BYTES)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        by_name = {PurePosixPath(entry).name: entry for entry in archive.namelist()}
        files = {}
        for part in ("TRAIN", "TEST"):
            file = f"{name}_{part}.ts"
            entry = archive.getinfo(by_name[file])
            if entry.file_size > MAX_BYTES:
                raise ValueError(f"{file} has {entry.file_size:,} bytes")
            files[file] = archive.read(entry)
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        file_io.write(folder / file, data)
