"""`nnzoo init`: a copy of a bundled config, or a first config for a data file or folder."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from nnzoo.cli.common import DebugOption
from nnzoo.cli.completion import complete_source
from nnzoo.errors import UsageError, escape_controls, shell_word
from nnzoo.text import labeled

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME|DATA",
        autocompletion=complete_source,
        help="A bundled config, or your data file or folder.",
    ),
]
FileArgument = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Where to write [default: NAME.yaml]", show_default=False),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="The column to predict, by name or position; of a table several, each with its --target.",
        show_default=False,
    ),
]
DropOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="A column to leave out; may be given several times.",
        show_default=False,
    ),
]
TaskOption = Annotated[
    Literal["classification", "regression", "multilabel"] | None,
    typer.Option(
        metavar="classification|regression|multilabel",
        help="The task of a table [default: chosen by the target]",
        show_default=False,
    ),
]
SeriesOption = Annotated[
    bool | None,
    typer.Option(
        "--series/--table", help="How to read the file [default: guessed]", show_default=False
    ),
]
RecordingsOption = Annotated[
    bool,
    typer.Option(
        "--recordings", help="Read the file or folder as recordings, each with a class or a number."
    ),
]
TextOption = Annotated[
    bool,
    typer.Option("--text", help="Read the file or folder as texts, each with a class or a number."),
]
CorpusOption = Annotated[
    bool,
    typer.Option(
        "--corpus", help="Read the file, or the .txt files of the folder, as one running text."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]


def init(
    source: SourceArgument,
    file: FileArgument = None,
    target: TargetOption = None,
    drop: DropOption = None,
    task: TaskOption = None,
    series: SeriesOption = None,
    recordings: RecordingsOption = False,
    text_: TextOption = False,
    corpus: CorpusOption = False,
    force: ForceOption = False,
    debug: DebugOption = False,
) -> None:
    """Copy a bundled config, or write one for your data."""
    from nnzoo.config.load import find_config
    from nnzoo.init_config.config_file import init_config
    from nnzoo.init_config.target import Choices, Kind

    data = Path(source)
    is_data = _is_data_source(source)
    name = Path(f"{data.resolve().stem if is_data else data.stem}.yaml")
    out = file or name
    out = out / name if out.is_dir() else out
    only_files = drop or series is not None
    if ((only_files or target or task) and not is_data) or (only_files and not data.is_file()):
        use = "for files, not for folders" if is_data else f"for data files; {source} is a config"
        raise UsageError(f"--target, --drop, --task, --series and --table are {use}", code="E01")
    asked = {"recordings": recordings, "text": text_, "corpus": corpus}
    kinds = [name for name, is_asked in asked.items() if is_asked]
    if kinds and (not is_data or series is not None or len(kinds) > 1):
        raise UsageError(f"--{kinds[0]} is for data, and in place of other kinds", code="E01")
    companions, notes = list[Path](), list[str]()
    if is_data:
        _check_free(out, force)
        if series is not None:
            kinds = ["series" if series else "table"]
        kind = cast(Kind, kinds[0]) if kinds else None
        if len(target or []) > 1 and kind not in (None, "table"):
            reason = f"several columns are for tables, not with --{kind}"
            raise UsageError(f"--target: {reason}", code="E01")
        choices = Choices(target or [], drop or [], task, kind, _ask if _is_terminal() else None)
        text, notes = init_config(data, out, choices, _schema_file())
    else:
        path = find_config(source)
        text = path.read_text(encoding="utf-8")
        companions = _companions(path)
    _write(out, text, companions, force)
    sys.stdout.write(f"{out}\n")
    sys.stderr.write("".join(f"{escape_controls(labeled(note))}\n" for note in notes))
    sys.stderr.write(f"next: nnzoo train --config {shell_word(out)}\n")


def _is_data_source(source: str) -> bool:
    """Whether the argument is a data file or folder, not a config; prints a note if both exist."""
    from nnzoo.config.load import bundled_configs

    data = Path(source)
    is_data = data.exists() and data.suffix not in (".yaml", ".yml")
    if is_data and source in {path.stem for path in bundled_configs()}:
        # A plain word is what the help calls it; a path, as in ./cnn, can only be a file's.
        other = f"./{source}"
        sys.stderr.write(
            f"'{source}' is a bundled config; for the data of that name: nnzoo init {shell_word(other)}\n"
        )
        return False
    if not is_data and data.suffix in (".csv", ".tsv", ".parquet", ".pq", ".ts", ".arff"):
        raise UsageError(f"no file {data}", code="E30")
    return is_data


def _companions(config: Path) -> list[Path]:
    """The data file of a bundled config, if it has one."""
    from nnzoo.config.load import bundled_folder

    companion = config.with_suffix(".csv")
    return [companion] if companion.is_file() and config.parent == bundled_folder() else []


def _write(out: Path, text: str, companions: list[Path], force: bool) -> None:
    """Write a config and copy data files beside it; raises UsageError if a file exists or
    cannot be written."""
    copies = {companion: out.with_name(companion.name) for companion in companions}
    for path in (out, *copies.values()):
        _check_free(path, force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        for companion, copy in copies.items():
            shutil.copyfile(companion, copy)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}", code="E04") from None


def _check_free(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise UsageError(
            f"{path} exists already; name another file, or --force replaces it", code="E04"
        )


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(names: list[str], default: str) -> str:
    """Ask on the terminal which column is to be predicted."""
    sys.stderr.write(f"columns: {escape_controls(', '.join(names))}\n")
    while True:
        name: str = typer.prompt("which column is the target?", default=default, err=True)
        if name in names:
            return name
        sys.stderr.write(f"no column '{escape_controls(name)}'\n")


def _schema_file() -> str:
    """The address of the JSON Schema for editors, a file in the cache that `init` keeps up to date; empty
    if it cannot be written."""
    from nnzoo.cache import cache_dir
    from nnzoo.config.json_schema import json_schema

    try:
        folder = cache_dir().resolve()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "schema.json"
        text = json.dumps(json_schema())
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        return path.as_uri()
    except (OSError, RuntimeError):
        return ""
