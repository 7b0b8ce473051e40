"""Tab completion: what each argument and option offers, and the words of bash, which cuts them at "=" and ":"."""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import typer

VARIABLE = "_NNZOO_COMPLETE"
"""The environment variable by which a shell's script asks for candidates."""
Candidates = list[tuple[str, str]]
_RUN_FILES = (".pt",)
_DATA_FILES = (
    *(".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".xls", ".json", ".jsonl"),
    *(".ts", ".arff", ".npz", ".npy", ".zip", ".gz"),
)


def complete_config(incomplete: str) -> Candidates:
    """Offer YAML files, run folders and other folders here, then the bundled configs."""
    from nnzoo.config.completion import files_below

    files = files_below(incomplete, (".yaml", ".yml"), _is_run)
    return [*((path, "") for path in files), *_bundled(incomplete)]


def _bundled(incomplete: str) -> Candidates:
    from nnzoo.config.load import bundled_configs

    names = [path.stem for path in bundled_configs()]
    return [(name, "bundled config") for name in names if name.startswith(incomplete)]


def complete_set(ctx: typer.Context, incomplete: str) -> Candidates:
    """Offer keys and values of --set, of the config or run that the command line names."""
    from nnzoo.config.completion import complete_setting, config_so_far

    typed = typed_values(ctx)
    names = ("config", "source", "subject", "checkpoint", "runs")
    source = next((typed[name][0] for name in names if typed.get(name)), None)
    if source is not None and source.endswith(".pt"):
        source = str(Path(source).parent)
    return complete_setting(incomplete, config_so_far(source, typed.get("set_", [])))


def typed_values(ctx: typer.Context) -> dict[str, list[str]]:
    """Return what the words before the cursor give each argument and option, by its name.

    Parsed anew: while an option is without its value the parser has nothing of what comes before it.
    """
    params: list[Any] = ctx.command.params
    options = {flag: param for param in params for flag in param.opts if flag.startswith("-")}
    arguments = [param for param in params if param.param_type_name == "argument"]
    typed: dict[str, list[str]] = {}
    words = iter(words_before_cursor()[1:])
    position = 0
    for word in words:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            if position < len(arguments):
                typed.setdefault(arguments[position].name, []).append(word)
                position += arguments[position].nargs != -1
        elif name in options and not options[name].is_flag:
            text = value if equals else next(words, None)
            if text is not None:
                typed.setdefault(options[name].name, []).append(text)
    return typed


def words_before_cursor() -> list[str]:
    """Return the whole words behind "nnzoo" and before the one at the cursor, from the variables that a shell sets."""
    if "COMP_WORDS" in os.environ:
        words = _split(os.environ["COMP_WORDS"])
        return words[1 : int(os.environ.get("COMP_CWORD", "0"))]
    line = os.environ.get("_TYPER_COMPLETE_ARGS", "")
    words = _split(line)[1:]
    return words if line.endswith(" ") else words[:-1]


def _split(line: str) -> list[str]:
    """Split a line as a shell does, also where a quote is open."""
    for end in ("", "'"):
        with suppress(ValueError):
            return shlex.split(line + end)
    return shlex.split(f'{line}"')


def complete_run(ctx: typer.Context, incomplete: str) -> Candidates:
    """Offer run folders and groups in the parent directory of runs, folders and .pt files on the way to others."""
    from nnzoo.config.completion import files_below

    parent = Path(typed_values(ctx).get("out", ["checkpoints"])[0])
    runs = [path for path in _runs_in(parent) if path.startswith(incomplete)]
    others = files_below(incomplete, _RUN_FILES, _is_run)
    # The parent of the runs that are offered is not offered itself.
    others = [path for path in others if not any(run.startswith(path) for run in runs)]
    return [*((run, "run") for run in runs), *((path, "") for path in others)]


def _runs_in(parent: Path) -> list[str]:
    try:
        return [str(path) for path in sorted(parent.iterdir()) if _is_run(path)]
    except OSError:
        return []


def _is_run(path: Path) -> bool:
    """Whether a folder holds a run or a group of runs."""
    names = ("config.yaml", "last.pt", "best.pt", "summary.json")
    return any(os.path.isfile(path / name) for name in names)


def complete_subject(ctx: typer.Context, incomplete: str) -> Candidates:
    """Offer codes, keys, configs and runs, as `nnzoo explain` takes them."""
    from nnzoo.config.completion import complete_setting
    from nnzoo.explain.codes import all_codes

    codes = [(code.id, code.name) for code in all_codes("en").values()]
    keys: Candidates = []
    if incomplete:
        for text, meaning in complete_setting(incomplete, {}):
            key, _, value = text.partition("=")
            keys += [] if value else [(key, meaning)]
    offered = [*codes, *complete_config(incomplete), *complete_run(ctx, incomplete), *keys]
    return list({text: help_ for text, help_ in offered if text.startswith(incomplete)}.items())


def complete_source(incomplete: str) -> Candidates:
    """Offer bundled configs, data files and folders, as `nnzoo init` takes them."""
    from nnzoo.config.completion import files_below

    files = files_below(incomplete, _DATA_FILES)
    return [*_bundled(incomplete), *((path, "") for path in files)]


def complete_entry(ctx: typer.Context, incomplete: str) -> Candidates:
    """Offer the entries that a listing command (models, datasets, training, configs) knows."""
    from nnzoo.config.registry import DATA, DOCUMENTED_OPTIONS, MODELS

    registries = {"models": MODELS, "datasets": DATA, "training": DOCUMENTED_OPTIONS}
    registry = registries.get(ctx.info_name or "")
    if registry is None:
        return _bundled(incomplete)
    return [(name, "") for name in registry.names() if name.startswith(incomplete)]


def complete_device(incomplete: str) -> Candidates:
    """Offer devices; how many GPUs there are only torch knows, which is not loaded here."""
    return [(name, "") for name in ("auto", "cpu", "cuda", "cuda:0") if name.startswith(incomplete)]


def run_completion(app: Callable[[], Any]) -> None:
    """Answer a shell that asks for candidates; always raises SystemExit.

    bash cuts words at "=" and ":" before it asks, and takes what follows the last of them; typer does not know of it.
    """
    cut = ""
    if os.environ.get(VARIABLE) == "complete_bash":
        words = os.environ.get("COMP_WORDS", "").split("\n")
        joined, position, cut = join_words(words, int(os.environ.get("COMP_CWORD", "0")))
        os.environ |= {"COMP_WORDS": "\n".join(joined), "COMP_CWORD": str(position)}
    output = io.StringIO()
    try:
        with redirect_stdout(output):
            app()
    finally:
        lines = output.getvalue()
        if os.environ.get(VARIABLE) == "complete_bash":
            lines = "".join(f"{_for_bash(line, cut)}\n" for line in lines.splitlines())
        sys.stdout.write(lines)
        sys.stdout.flush()


def join_words(words: list[str], position: int) -> tuple[list[str], int, str]:
    """Join the words that bash has cut at "=" and ":".

    position: of the word at the cursor. Returns the words, the new position, and the part of the word at the cursor that
    bash does not replace.
    """
    joined: list[str] = []
    index, cut = 0, ""
    glued = False
    for i, word in enumerate(words[: position + 1]):
        is_mark = bool(re.fullmatch("[=:]+", word)) and len(joined) > 1
        if (is_mark or glued) and joined:
            before = joined[-1]
            joined[-1] += word
        else:
            before = ""
            joined.append(word)
        if i == position:
            index = len(joined) - 1
            cut = before + word if is_mark else before
        glued = is_mark
    if position >= len(words):
        index = len(joined)
    return joined, index, cut


def _for_bash(candidate: str, cut: str) -> str:
    """Return the text that bash inserts for a candidate: without the part that it keeps, special characters escaped."""
    return re.sub(r"([\s'\"\\$`&;|<>(){}*?!#])", r"\\\1", candidate.removeprefix(cut))
