"""Nothing that came out of a file steers the terminal, and what is to be pasted into a shell is quoted."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.table import Table

from nnzoo.console import SafeConsole, Text
from nnzoo.errors import escape_controls, shell_word
from nnzoo.runs import checkpoint

NNZOO = Callable[..., Any]
EVIL = "\x1b[31m\x1b]0;owned\x07\x9b2J\u202ered\rgone"
SHOWN = r"\x1b[31m\x1b]0;owned\x07\x9b2J\u202ered\rgone"


def clean(result: Any) -> str:
    """Output of a command, checked to hold no control characters."""
    text = str(result.out + result.err)
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(text)
    return text


def test_visible_writes_out_what_steers_and_keeps_every_script() -> None:
    assert escape_controls(EVIL) == SHOWN
    kept = "Größe 数学 \N{NO-BREAK SPACE}\u3000می\u200cخواهم 👩\u200d💻 a\tb\n"
    assert escape_controls(kept) == kept


@pytest.fixture
def run(nnzoo: NNZOO) -> Path:
    """A run whose classes and columns have such names."""
    rows = "".join(f"{i},{i % 5},{f'x{EVIL}' if i % 2 else 'y'}\n" for i in range(60))
    Path("t.csv").write_text(f'a,"b{EVIL}",kind\n'.replace("\r", "") + rows.replace("\r", ""))
    Path("t.yaml").write_text(
        "data: {name: csv, path: t.csv}\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 2}\n"
    )
    for extra in ((), ("--seeds", "2", "-s", "name=g")):
        result = nnzoo("train", "t.yaml", *extra)
        assert result.code == 0
        clean(result)
    return Path("checkpoints/t")


def test_no_command_lets_a_label_or_a_column_steer_the_terminal(run: Path, nnzoo: NNZOO) -> None:
    assert r"\x1b[31m" in clean(nnzoo("eval", run))
    Path("new.csv").write_text(Path("t.csv").read_text().replace("60", "61"))
    predicted = nnzoo("predict", run, "t.csv")
    assert r"p_x\x1b[31m" in clean(predicted).splitlines()[0]
    assert nnzoo("predict", run, "t.csv", "--out", "p.csv").code == 0
    assert "\x1b[31m" in Path("p.csv").read_text()  # a file holds what it is given
    Path("u.csv").write_text("a,other,kind\n1,2,3\n")
    assert r"\x1b[31m" in clean(nnzoo("predict", run, "u.csv"))  # the column is missing
    clean(nnzoo("inspect", run))
    clean(nnzoo("report", run))


def test_notes_of_predict_are_written_out(nnzoo: NNZOO) -> None:
    rows = "".join(f"{i},{'pqr'[i % 3]},{'no' if i % 2 else 'yes'}\n" for i in range(60))
    Path("t.csv").write_text(f"a,word,kind\n{rows}")
    Path("t.yaml").write_text("data: {name: csv, path: t.csv}\nmodel: mlp\ntrain: {epochs: 1}\n")
    nnzoo("train", "t.yaml")
    Path("u.csv").write_text("a,word\n1,\x1b[2Jnew\n")
    assert r"\x1b[2Jnew" in clean(nnzoo("predict", "checkpoints/t", "u.csv"))


def test_a_strangers_run_folder_is_listed_without_its_escapes(run: Path, nnzoo: NNZOO) -> None:
    text = (run / "config.yaml").read_text()
    for old, new in (
        ("name: csv", 'name: "\\e[31mcsv"'),
        ("name: mlp", 'name: "\\e[31mmlp"'),
        ("monitor: auto", 'monitor: "\\e[31mval"'),
    ):
        text = text.replace(old, new)
    shutil.copytree(run, f"checkpoints/u{EVIL}")
    (run / "config.yaml").write_text(text)
    (run / "metrics.jsonl").write_text(
        '{"epoch": 1, "val_\\u001b[2J": 1.0, "monitor": "\\u001b[2J"}\n'
    )
    (run / "result.json").write_text(
        '{"state": "\\u001b[2J", "best": {"monitor": "\\u001b[2J", "value": 1.0, "epoch": 1}}'
    )
    assert "u" + SHOWN in clean(nnzoo("runs"))


def test_a_strangers_checkpoint_with_such_labels(run: Path, nnzoo: NNZOO) -> None:
    content = checkpoint.load(run / "best.pt")
    content["data"]["spec"]["labels"][0] = f"{EVIL}\n"
    checkpoint.save(run / "best.pt", content)
    assert "p_" + SHOWN in clean(nnzoo("predict", run, "t.csv"))


def test_what_the_console_prints_is_as_wide_as_it_looks() -> None:
    import io

    out = io.StringIO()
    console = SafeConsole(file=out, width=120, force_terminal=True, color_system=None)
    table = Table(box=None)
    table.add_column("name")
    table.add_column("x")
    table.add_row(Text(EVIL), "|")
    table.add_row("y" * len(SHOWN), "|")
    console.print(table, EVIL, markup=False)
    lines = out.getvalue().splitlines()
    assert lines[1].index("|") == lines[2].index("|")
    assert SHOWN in lines[1]
    assert r"\x1b[31m" in lines[-1] and "\x1b" not in out.getvalue()


@pytest.mark.parametrize("name", ["plain", "my run", "it's", "$(touch x)", "-v", "a\nb", "a\\\n'b"])
def test_a_path_in_a_command_is_one_word(name: str) -> None:
    word = shell_word(Path(name))
    assert "\n" not in word
    shown = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True
    )
    assert shown.stdout in (name, f"./{name}")
    assert not shown.stdout.startswith("-")


def test_commands_of_report_sweep_and_messages_can_be_pasted(nnzoo: NNZOO) -> None:
    Path("t.csv").write_text("a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(60)))
    Path("t.yaml").write_text("data: {name: csv, path: t.csv}\nmodel: mlp\ntrain: {epochs: 1}\n")
    out = "my 'runs'"
    assert nnzoo("train", "t.yaml", "--out", out).code == 0
    assert nnzoo("report", f"{out}/t").code == 0
    import html

    page = html.unescape((Path(out) / "t" / "report.html").read_text())
    commands = [line for line in page.splitlines() if "nnzoo eval " in line]
    words = shlex.split(commands[0].partition("nnzoo eval ")[2].partition("<")[0])
    assert words == [f"{out}/t"]
    result = nnzoo("predict", f"{out}/t")
    assert shlex.split(result.err.partition("nnzoo ")[2])[:2] == ["predict", f"{out}/t"]
    Path("my net.yaml").write_text(Path("t.yaml").read_text() + "name: n\n")
    assert "--config 'my net.yaml'" in nnzoo("eval", "--config", "my net.yaml").err


def test_init_of_a_bundled_name_beside_a_folder_of_that_name(nnzoo: NNZOO) -> None:
    for label in ("a", "b"):
        Path("cnn", label).mkdir(parents=True)
        from PIL import Image

        Image.fromarray(torch.zeros(8, 8, dtype=torch.uint8).numpy()).save(f"cnn/{label}/1.png")
    result = nnzoo("init", "cnn")
    assert (result.code, result.out) == (0, "cnn.yaml\n")
    assert "for the data of that name: nnzoo init ./cnn" in result.err
    assert "mnist" in Path("cnn.yaml").read_text() or "digits" in Path("cnn.yaml").read_text()
    local = nnzoo("init", "./cnn", "mine.yaml")
    assert local.code == 0
    assert "image" in Path("mine.yaml").read_text()
