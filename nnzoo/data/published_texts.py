"""Published texts: below a root, or downloaded into it."""

from __future__ import annotations

import csv
import io
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from nnzoo import file_io
from nnzoo.config.data_options import DownloadedOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.config.text_options import (
    CorpusOptions,
    DocumentOptions,
    ImdbOptions,
    RunningTextOptions,
    TextOptions,
    TinyShakespeareOptions,
)
from nnzoo.data.corpus import load_corpus
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.text import load_text
from nnzoo.errors import CheckpointError, DataError
from nnzoo.status import status

IMDB_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
TIMEOUT = 20.0  # seconds without a byte
MAX_BYTES = 1 << 30


def load_imdb(options: ImdbOptions, spec: DataSpec | None = None) -> Dataset:
    """The reviews, as `load_text` reads them. With a spec nothing is downloaded."""
    files = {part: options.folder / f"imdb-{part}.csv" for part in ("train", "test")}
    _find(options, list(files.values()), _download_imdb, spec is None)
    shared = {key: getattr(options, key) for key in DocumentOptions.model_fields if key != "name"}
    return load_text(
        TextOptions(
            name="text",
            path=str(files["train"]),
            test_path=str(files["test"]),
            text="review",
            target="sentiment",
            split=GroupSplit(**options.split.model_dump()),
            **shared,
        ),
        spec,
    )


def load_tiny_shakespeare(options: TinyShakespeareOptions, spec: DataSpec | None = None) -> Dataset:
    """The plays, as `load_corpus` reads them. With a spec nothing is downloaded."""
    file = options.folder / "tinyshakespeare.txt"
    _find(options, [file], _download_shakespeare, spec is None)
    shared = {
        key: getattr(options, key) for key in RunningTextOptions.model_fields if key != "name"
    }
    return load_corpus(CorpusOptions(name="corpus", path=str(file), **shared), spec)


def _find(
    options: DownloadedOptions,
    files: list[Path],
    download: Callable[[list[Path]], None],
    may_download: bool,
) -> None:
    """Download files that are missing; raises DataError that says where they can be placed by hand."""
    if all(file.is_file() for file in files):
        return
    expected = " and ".join(map(str, files))
    options.check_download(options.name, may_download, f" ({expected})")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        with status(f"downloading {options.name}"):
            download(files)
    except CheckpointError as error:  # of the write, which names the file
        raise DataError.at("data.root", f"'{options.name}': {error}", code="E52") from None
    except (OSError, tarfile.TarError, ValueError) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:300]
        raise DataError.at(
            "data.root",
            f"'{options.name}' is not in {options.folder} and its download failed ({reason}). Place the files by "
            f"hand: {expected}; or name their folder with data.root or NNZOO_DATA",
            code="E52",
        ) from None


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        content: bytes = response.read(MAX_BYTES)
    return content


def _download_shakespeare(files: list[Path]) -> None:
    file_io.write(files[0], _fetch(SHAKESPEARE_URL))


def _download_imdb(files: list[Path]) -> None:
    """Write the labelled reviews of each part as one table, in the order of their numbers, bad and good alternating."""
    reviews: dict[tuple[str, str], dict[str, str]] = {}
    with tarfile.open(fileobj=io.BytesIO(_fetch(IMDB_URL))) as archive:
        for entry in archive:
            _, *parts = Path(entry.name).parts
            if len(parts) != 3 or parts[1] not in ("neg", "pos") or entry.size > MAX_BYTES:
                continue
            file = archive.extractfile(entry)
            if file is not None:
                part, label, name = parts
                reviews.setdefault((part, label), {})[name] = file.read().decode("utf-8")
    for path in files:
        part = path.stem.removeprefix("imdb-")
        columns = [
            [text for _, text in sorted(reviews.get((part, label), {}).items())]
            for label in ("neg", "pos")
        ]
        if not all(columns):
            raise ValueError(f"the archive has no {part} part")
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(["review", "sentiment"])
        for pair in zip(*columns, strict=True):
            writer.writerows(zip(pair, ("neg", "pos"), strict=True))
        file_io.write(path, table.getvalue().encode())
