"""Train a clean and a dirty file as a user would, and hold what came out against each other."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.campaigns.dirt import Case
from tests.campaigns.dirt_images import images_case
from tests.campaigns.dirt_series import series_case
from tests.campaigns.dirt_tables import table_case

MAKERS: dict[str, Callable[..., Case]] = {
    "table": table_case,
    "series": series_case,
    "images": images_case,
}
SMALL = {
    "table": ["train.epochs=2"],
    "series": ["train.epochs=1", "model.hidden_size=4", "data.window=4"],
    "images": ["train.epochs=1", "model.channels=[4]", "data.size=8", "model.residual=false"],
}
FIXED = ["train.precision=fp32", "train.threads=1"]


@dataclass
class Outcome:
    """The user's view after init and train.

    code: the exit code of the command that failed, else 0; weights: SHA-256 of the best weights;
    text: every line that was shown or written into the config.
    """

    code: int
    weights: str
    text: str


@dataclass
class Verdict:
    """kind: "equal" weights, "named" difference, or "silent", which must not be."""

    kind: str
    case: Case
    clean: Outcome
    dirty: Outcome
    unnamed: list[str]


def call(*words: str) -> tuple[int, str]:
    """Run the command line in this process: exit code, and everything that it wrote."""
    from nnzoo.cli import app

    out, code = io.StringIO(), 0
    sys.argv = ["nnzoo", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            app(list(words), prog_name="nnzoo")
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, out.getvalue()


def outcome(kind: str, files: dict[str, bytes]) -> Outcome:
    """Write files into a folder, write a config for what is there, and train it."""
    folder, before = Path(tempfile.mkdtemp()), Path.cwd()
    try:
        os.chdir(folder)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(content)
        source = next(iter(files)).split("/")[0]
        code, text = call("init", source, "mine.yaml")
        if code:
            return Outcome(code, "", text)
        text += Path("mine.yaml").read_text(encoding="utf-8")
        values = [word for value in (*FIXED, *SMALL[kind]) for word in ("--set", value)]
        code, shown = call("train", "--config", "mine.yaml", "--verbose", "2", *values)
        best = Path("checkpoints/mine/best.pt")
        return Outcome(code, "" if code else digest(best), text + shown)
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def digest(checkpoint: Path) -> str:
    """SHA-256 of the weights of a checkpoint, in order of their names."""
    weights = torch.load(checkpoint, weights_only=True)["model"]
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode())
        total.update(weights[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def check_case(kind: str, seed: int, known: dict[str, Outcome], only: str | None = None) -> Verdict:
    """Run one case; known: outcomes of clean files, by their content; only: the one operation.

    Operations that change nothing alone need no line.
    """
    case = MAKERS[kind](seed, only)
    key = hashlib.sha256(repr(sorted(case.clean.items())).encode()).hexdigest()
    clean = known.get(key) or outcome(kind, case.clean)
    known[key] = clean
    dirty = outcome(kind, case.dirty)
    if clean.code:
        return Verdict("silent", case, clean, dirty, ["the clean file did not train"])
    if dirty.weights == clean.weights:
        return Verdict("equal", case, clean, dirty, [])
    # A line that the clean file gives too says nothing about what was changed.
    usual = set(clean.text.splitlines())
    new = [line for line in unwrapped(dirty.text) if line not in usual]
    unnamed = [
        name
        for name, pattern in case.names.items()
        if not any(re.search(pattern, line, re.IGNORECASE) for line in new)
    ]
    if not dirty.code and len(case.names) > 1:
        unnamed = [name for name in unnamed if is_silent(kind, seed, known, name)]
    # The first of several errors may end the command: it is named, and the user meets the next.
    enough = len(unnamed) < len(case.names) if dirty.code else not unnamed
    internal = dirty.code not in (0, 2, 3)
    kind_ = "named" if enough and case.names and not internal else "silent"
    return Verdict(kind_, case, clean, dirty, unnamed)


def is_silent(kind: str, seed: int, known: dict[str, Outcome], name: str) -> bool:
    """Whether an operation alone changes the weights without a line; gzip is one of the writer's."""
    return name != "gzip" and check_case(kind, seed, known, name).kind == "silent"


def unwrapped(text: str) -> list[str]:
    """Lines, with those that a narrow terminal broke put together again."""
    return [" ".join(part.split()) for part in re.split(r"\n(?!\s)", text)] + text.splitlines()
