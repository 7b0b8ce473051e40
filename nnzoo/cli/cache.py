"""`nnzoo cache`: the size of the cache, and clearing it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nnzoo.cli.common import DebugOption, JsonOption
from nnzoo.errors import UsageError

KINDS = {
    "images": "decoded images of folders",
    "native": "layers compiled for this processor",
    "baselines": "predictions of baselines",
    "tuned": "threads and precisions timed on this machine",
}


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Delete its files; they are made again when needed.")
    ] = False,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show or clear the cache of decoded images, compiled layers, baselines and timings."""
    from nnzoo.cache import cache_dir
    from nnzoo.config.formatting import to_json

    folder = cache_dir()
    files = {kind: _files(folder, kind) for kind in KINDS}
    try:
        sizes = {kind: sum(file.stat().st_size for file in paths) for kind, paths in files.items()}
        if clear:
            for file in (file for paths in files.values() for file in paths):
                file.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot clear {folder}: {error.strerror or error}", code="E04") from None
    if json_:
        counts = {
            kind: {"files": len(paths), "bytes": sizes[kind]} for kind, paths in files.items()
        }
        sys.stdout.write(to_json({"folder": str(folder), "cleared": clear, **counts}) + "\n")
        return
    sys.stdout.write(f"{folder}{' (cleared)' if clear else ''}\n")
    for kind, paths in files.items():
        plural = "" if len(paths) == 1 else "s"
        size = f"{sizes[kind] / 1e6:,.1f} MB"
        sys.stdout.write(f"  {size:>12}  {len(paths):,} file{plural}: {KINDS[kind]}\n")


def _files(folder: Path, kind: str) -> list[Path]:
    """The files of a kind, by the names that nnzoo gives them: nothing else there is touched."""
    patterns = {
        "images": ("*.npy", "*.tmp"),
        "native": ("native/*.so",),
        "baselines": ("baselines/*.npz",),
        "tuned": ("tuned/*.json",),
    }
    return sorted(
        file for pattern in patterns[kind] for file in folder.glob(pattern) if file.is_file()
    )
