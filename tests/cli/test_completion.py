"""Tab completion through the protocol of the shells: what they ask by environment variables, and what they take."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.cli.completion import join_words, run_completion
from tests.test_house import HEAVY

Offered = Callable[..., list[str]]


@pytest.fixture
def ask(command_group: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], str]:
    """Run a completion with the variables that a shell sets; returns what the shell reads."""

    def run(variables: dict[str, str]) -> str:
        output = io.StringIO()
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdout", output)
            with pytest.raises(SystemExit):
                run_completion(lambda: command_group(args=[], prog_name="nnzoo"))
        return output.getvalue()

    return run


@pytest.fixture
def bash(ask: Callable[[dict[str, str]], str]) -> Offered:
    """Complete the last of these words, which bash has cut at "=" and ":"; returns its candidates."""

    def offered(*words: str) -> list[str]:
        variables = {"_NNZOO_COMPLETE": "complete_bash", "COMP_CWORD": str(len(words))}
        lines = ask(variables | {"COMP_WORDS": "\n".join(("nnzoo", *words))}).splitlines()
        return [line for line in lines if line]

    return offered


@pytest.fixture
def runs() -> None:
    """Folders that look like runs: `checkpoints/cnn`, a group and a folder of others."""
    tree = "name: cnn\ndata: {name: digits}\nmodel: {name: lstm}\n"
    for folder in ("checkpoints/cnn", "checkpoints/cnn-seeds/seed-1", "old/deep/run"):
        Path(folder).mkdir(parents=True)
        (Path(folder) / "config.yaml").write_text(tree)
        (Path(folder) / "best.pt").write_text("")
    Path("checkpoints/cnn-seeds/summary.json").write_text("{}")
    Path("alone.pt").write_text("")


def test_keys_and_values_are_those_of_the_config_on_the_line(bash: Offered) -> None:
    keys = bash("train", "cnn", "--set", "model.")
    assert "model.channels=" in keys and "model.hidden_size=" not in keys
    assert bash("train", "-s", "model.name", "=", "gru", "-s", "model.num") == [
        "model.num_layers=",
        "model.num_layers=1",
    ]
    assert bash("train", "-c", "lstm", "-s", "model.forget") == [
        "model.forget_bias=",
        "model.forget_bias=true",
        "model.forget_bias=false",
    ]
    assert bash("train", "--config", "=", "lstm", "-s", "model.chan") == []
    # Flags, words too many and options that there are not change nothing.
    words = ("train", "--fresh", "cnn", "extra", "--none", "--seed", "1", "-s", "model.forget")
    assert bash(*words) == []


def test_bash_takes_what_follows_the_last_sign_at_which_it_cuts(bash: Offered) -> None:
    assert bash("train", "cnn", "--set", "model.activation", "=", "re") == ["relu"]
    assert bash("train", "cnn", "-s", "model.activation", "=")[0] == "relu"
    assert bash("train", "--config", "=", "cnn_m")[0] == "cnn_mnist"
    assert bash("train", "cnn", "--device", "cuda", ":") == ["0"]
    # A shell that does not cut takes the whole word.
    assert bash("train", "cnn", "--set", "model.activation=re") == ["model.activation=relu"]


def test_special_characters_are_escaped_for_bash(bash: Offered) -> None:
    Path("my data.csv").write_text("a b,it's\n1,2\n")
    assert bash("init", "my") == ["my\\ data.csv"]
    Path("c.yaml").write_text("data: {name: csv, path: my data.csv, target: a b}\nmodel: mlp\n")
    columns = bash("train", "c.yaml", "-s", "data.target", "=")
    assert "a\\ b" in columns and "it\\'s" in columns


@pytest.mark.usefixtures("runs")
def test_runs_groups_and_checkpoints_are_offered(bash: Offered) -> None:
    expected = ["checkpoints/cnn", "checkpoints/cnn-seeds", "old/deep/run", "alone.pt"]
    for command in ("eval", "predict", "report", "inspect", "export", "generate", "watch"):
        offered = bash(command, "")
        assert set(expected) - {"old/deep/run"} <= set(offered), command
        assert "old/" in offered and "checkpoints/" not in offered
    assert bash("eval", "old") == ["old/deep/run"]
    assert bash("eval", "checkpoints/cnn/") == ["checkpoints/cnn/best.pt"]
    assert bash("eval", "checkpoints/cnn-seeds/") == ["checkpoints/cnn-seeds/seed-1"]
    assert bash("train", "--out", "old/deep", "checkpoints/cnn-") == ["checkpoints/cnn-seeds"]
    assert "model.forget_bias=" in bash("eval", "checkpoints/cnn", "--set", "model.")
    assert "model.forget_bias=" in bash("inspect", "checkpoints/cnn/best.pt", "-s", "model.")


@pytest.mark.usefixtures("runs")
def test_explain_offers_codes_keys_configs_and_runs(bash: Offered) -> None:
    everything = bash("explain", "")
    assert {"W03", "cnn", "checkpoints/cnn", "alone.pt"} <= set(everything)
    assert bash("explain", "W0")[2] == "W03"
    assert bash("explain", "optim.mom") == ["optim.momentum"]
    assert bash("explain", "cnn", "--lang", "") == ["en", "zh"]
    assert "model.channels=" in bash("explain", "cnn", "-s", "model.")
    assert "-s" in bash("explain", "cnn", "-") or "--set" in bash("explain", "cnn", "-")


def test_other_words(bash: Offered) -> None:
    Path("t.csv").write_text("a\n")
    Path("t.md").write_text("a\n")
    assert bash("init", "t") == ["t.csv"] and "cnn" in bash("init", "")
    assert bash("models", "l") == ["lstm"] and "mnist" in bash("datasets", "mn")
    assert "adam" in bash("training", "") and "lstm_text" in bash("configs", "lstm")
    assert bash("train", "cnn", "--device", "c") == ["cpu", "cuda", "cuda:0"]
    assert bash("train", "--resume", "m") == ["must"]
    assert bash("expl") == ["explain"]
    for quote in ("'mod", '"mod', "\"mod's"):
        assert (bash("train", "cnn", "--set", quote) == []) == ("s" in quote)


def test_zsh_and_fish_are_offered_the_same_with_descriptions(
    ask: Callable[[dict[str, str]], str],
) -> None:
    def offered(shell: str, line: str, **more: str) -> str:
        variables = {"_NNZOO_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line}
        return ask(variables | more)

    line = "nnzoo train cnn --set model.activation=r"
    assert '"model.activation=relu":"default"' in offered("zsh", line)
    action = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert offered("fish", line, **action) == "model.activation=relu\tdefault\n"
    keys = offered("fish", "nnzoo train cnn -s model.", **action)
    assert "model.dropout=\tafter each layer" in keys and "hidden_size" not in keys
    assert "model.dropout=" in offered("zsh", "nnzoo train -c cnn -s model.")
    assert "W03" in offered("zsh", "nnzoo explain ") and "W03" in offered("zsh", "nnzoo explain W")


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        (["nnzoo", "-s", "a.b", "=", "c"], 4, (["nnzoo", "-s", "a.b=c"], 2, "a.b=")),
        (["nnzoo", "-s", "a.b", "="], 3, (["nnzoo", "-s", "a.b="], 2, "a.b=")),
        (["nnzoo", "x", "=", "y", "-s", "m"], 5, (["nnzoo", "x=y", "-s", "m"], 3, "")),
        (["nnzoo", "x"], 2, (["nnzoo", "x"], 2, "")),
        (["nnzoo", "x", "=", "y", ""], 4, (["nnzoo", "x=y", ""], 2, "")),
        (["nnzoo", "a", ":", "b", "=", "c"], 5, (["nnzoo", "a:b=c"], 1, "a:b=")),
    ],
)
def test_words_that_bash_has_cut_are_joined(
    words: list[str], position: int, expected: tuple[list[str], int, str]
) -> None:
    assert join_words(words, position) == expected


SHIM = """#!{python}
import sys
sys.argv[0] = "nnzoo"
from nnzoo.cli import main
main()
"""
SCRIPT = """
source <(nnzoo --show-completion bash)
ask() { COMP_WORDS=(nnzoo "$@"); COMP_CWORD=$#; COMPREPLY=(); _nnzoo_completion nnzoo; echo "${COMPREPLY[@]}"; }
ask train cnn --set model.act
ask train cnn --set model.norm =
ask train cnn --set model.norm = ba
complete -p nnzoo
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash_completes_with_the_script_that_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shim = Path("bin/nnzoo")
    shim.parent.mkdir()
    shim.write_text(SHIM.format(python=sys.executable))
    shim.chmod(0o755)
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    monkeypatch.setenv("PATH", f"{shim.parent.resolve()}:/usr/bin:/bin")
    done = subprocess.run(
        ["bash", "--norc", "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    first, values, one, installed = done.stdout.splitlines()
    assert first.startswith("model.activation= model.activation=relu")
    assert (values, one) == ("none batch layer", "batch")
    assert "_nnzoo_completion" in installed and done.stderr == ""


@pytest.mark.usefixtures("runs")
def test_completion_loads_nothing_heavy() -> None:
    """One process for all: what one of them loads stays loaded and is seen."""
    lines = [
        ["train", "cnn", "--set", "model."],
        ["train", "cnn", "--set", "data.name", "="],
        ["eval", ""],
        ["explain", ""],
        ["init", ""],
        ["datasets", ""],
    ]
    script = (
        "import io, os, sys\n"
        "sys.argv = ['nnzoo']\n"
        "from nnzoo.cli import app\n"
        "from nnzoo.cli.completion import run_completion\n"
        f"for words in {lines!r}:\n"
        "    os.environ |= {'_NNZOO_COMPLETE': 'complete_bash', 'COMP_CWORD': str(len(words))}\n"
        "    os.environ['COMP_WORDS'] = chr(10).join(['nnzoo', *words])\n"
        "    out, sys.stdout = sys.stdout, io.StringIO()\n"
        "    try:\n"
        "        run_completion(app)\n"
        "    except SystemExit:\n"
        "        pass\n"
        "    assert sys.stdout.getvalue().strip(), words\n"
        "    sys.stdout = out\n"
        "import json\n"
        f"print(json.dumps([name for name in {sorted(HEAVY)!r} if name in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
