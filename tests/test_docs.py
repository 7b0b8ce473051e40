"""The documentation agrees with the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nnzoo.watch.server import WatchServer
from tests.zoo import load_script

pytestmark = pytest.mark.usefixtures("compiled", "no_figure_layout", "shared_onnx_registry")

ROOT = Path(__file__).parents[1]


def test_the_reference_is_what_the_classes_say(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "reference.py"
    subprocess.run([sys.executable, script, tmp_path / "reference.md"], check=True)
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == (tmp_path / "reference.md").read_text(encoding="utf-8"), (
        "run: python scripts/reference.py"
    )


def test_the_pages_of_codes_are_what_explain_prints(tmp_path: Path) -> None:
    (tmp_path / "zh").mkdir()
    subprocess.run([sys.executable, ROOT / "scripts" / "codes.py", tmp_path], check=True)
    for name in ("codes.md", "zh/codes.md"):
        written = (ROOT / "docs" / name).read_text(encoding="utf-8")
        made = (tmp_path / name).read_text(encoding="utf-8")
        assert written == made, "run: python scripts/codes.py"


def test_links_in_the_documentation_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_bundled_config_is_in_the_readme_or_the_results() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for path in (ROOT / "configs").glob("*.yaml"):
        assert f"`{path.stem}`" in text, path.name


def test_the_example_of_plain_torch_modules_runs(nnzoo: Callable[..., Any]) -> None:
    page = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(import torch\n.*?)```", page, flags=re.S)
    nnzoo("train", "--config", "mlp", "-s", "train.epochs=1")
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["probabilities"].shape == (1, 10)
    (example,) = re.findall(r"```python\n(from pathlib .*?)```", page, flags=re.S)
    exec(example, names)
    assert names["history"].epochs == [0, 1]
    assert names["probabilities"].shape == (len(names["history"].samples.rows), 10)


def test_the_page_about_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.S):
        exec(block, names)
    shown = capsys.readouterr().out
    assert "['setosa', 'virginica']" in shown
    assert "resumed checkpoints/flowers at epoch" in shown
    assert "torch.Size([1, 20, 50])" in shown


def test_the_page_about_uncertainty_runs(nnzoo: Callable[..., Any]) -> None:
    page = (ROOT / "docs" / "uncertainty.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    commands = [shlex.split(line)[1:] for line in "".join(blocks).splitlines()]
    assert len(commands) == 5
    for words in commands:
        short = ["-s", "train.epochs=2", "-v", "0"] if words[0] == "train" else []
        result = nnzoo(*words, *short)
        assert result.code == 0, result.err
        assert words[0] == "train" or "coverage 0.9: " in result.out


def test_the_first_hour_runs(nnzoo: Callable[..., Any]) -> None:
    """Every command of the page, with fewer photographs, channels and epochs, none of which is refused."""
    subprocess.run(
        [sys.executable, ROOT / "examples" / "make_data.py", "--photos", "30"], check=True
    )
    page = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    commands = [
        line.split()[1:] for line in "".join(blocks).splitlines() if line.startswith("nnzoo ")
    ]
    assert {words[0] for words in commands} == {"init", "train", "predict", "report", "inspect"}
    for words in commands:
        short = ["-s", "train.epochs=2", "-v", "0"] if words[0] == "train" else []
        if words[-1] == "photos":  # inspect draws each channel of each layer
            short += ["-s", "model.channels=[4, 6]"]
        result = nnzoo(*words, *short)
        assert result.code == 0, (words, result.err)
    config = Path("passengers.yaml").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(data:.*?)  …", page, flags=re.S)
    assert shown in config


def test_the_page_about_recordings_runs(nnzoo: Callable[..., Any]) -> None:
    make = [
        sys.executable,
        str(ROOT / "examples" / "make_data.py"),
        "--photos",
        "3",
        "--recordings",
        "60",
    ]
    subprocess.run(make, check=True)
    page = (ROOT / "docs" / "own-recordings.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    commands = [
        line.split()[1:] for line in "".join(blocks).splitlines() if line.startswith("nnzoo ")
    ]
    assert [words[0] for words in commands] == ["init", "train", "predict", "report", "inspect"]
    for words in commands:
        short = ["-s", "train.epochs=3", "-v", "0"] if words[0] == "train" else []
        result = nnzoo(*words, *short)
        assert result.code == 0, (words, result.err)
        if words[0] == "predict":
            assert (
                result.out.splitlines()[0]
                == "recording,prediction,probability,p_circle,p_shake,p_swipe"
            )
            assert len(result.out.splitlines()) == 4


def test_the_page_about_text_runs(nnzoo: Callable[..., Any]) -> None:
    make = [sys.executable, str(ROOT / "examples" / "make_data.py"), "--photos", "3"]
    subprocess.run([*make, "--recordings", "3", "--messages", "120"], check=True)
    page = (ROOT / "docs" / "text.md").read_text(encoding="utf-8")
    page = page[page.index("## From your own CSV") : page.index("## Forms")]
    blocks = re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    lines = "".join(blocks).splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("nnzoo ")]
    first = ["init", "train", "predict", "predict", "report", "inspect"]
    assert [words[0] for words in commands] == first
    for words in commands:
        short = ["-s", "train.epochs=3", "-v", "0"] if words[0] == "train" else []
        result = nnzoo(*words, *short)
        assert result.code == 0, (words, result.err)
        if words[-1] == "id":
            assert result.out.splitlines()[0].startswith("row,id,prediction,probability,p_delivery")
    config = Path("messages.yaml").read_text(encoding="utf-8")
    assert 'text: "message"' in config and 'target: "topic"' in config


def test_the_page_about_explanations_runs(
    nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnzoo.explain.first_batch.OVERFIT_SECONDS", 0.1)
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    outputs = []
    for command in "".join(blocks).splitlines():
        words = shlex.split(command)[1:]
        short = ["-s", "train.epochs=1", "-v", "0"] if words[0] == "train" else []
        result = nnzoo(*words, *short)
        assert result.code == 0, result.err
        outputs.append([line.strip() for line in result.out.splitlines()])
    (shown,) = re.findall(r"```text\n(    4\. features.*?)```", page, flags=re.S)
    # Lines are broken by the width of the terminal.
    assert " ".join(shown.split()) in " ".join(" ".join(outputs[0]).split())


def test_the_commands_on_a_group_as_an_ensemble_run(nnzoo: Callable[..., Any]) -> None:
    pytest.importorskip("onnxruntime")
    page = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"## A group as an ensemble.*?```sh\n(.*?)```", page, flags=re.S)
    Image.new("L", (8, 8), 9).save("digit.png")
    for command in block.splitlines():
        words = shlex.split(command)[1:]
        result = nnzoo(*words, *["-s", "train.epochs=1"][: 2 * (words[0] == "train")])
        assert result.code == 0, result.err
    assert Path("checkpoints/mlp-seeds/mlp-seeds.onnx").exists()


def test_the_page_about_fine_tuning_runs(nnzoo: Callable[..., Any]) -> None:
    """With digits in place of MNIST, which is not in a wheel."""
    page = (ROOT / "docs" / "fine-tune.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"```yaml\n# (\w+\.yaml)\n(.*?)```", page, flags=re.S):
        Path(name).write_text(text, encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    for command in block.splitlines():
        small = ["-s", "data={name: digits}"] if "strokes" in command else []
        result = nnzoo(*shlex.split(command)[1:], *small, "-s", "train.epochs=1", "-v", "2")
        assert result.code == 0, result.err
    assert "26 of 26 tensors came from there" in result.err
    assert "scaling of the inputs: kept from there" in result.err


def test_the_page_about_generated_text_runs(nnzoo: Callable[..., Any]) -> None:
    page = (ROOT / "docs" / "text.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"## From one file to generated text.*?```sh\n(.*?)```", page, flags=re.S)
    make, *commands = map(shlex.split, block.splitlines())
    script, target = make[2], make[-1]
    code = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    Path(target).write_text(code.stdout, encoding="utf-8")
    assert [words[1] for words in commands] == ["init", "train", "generate"]
    for words in commands:
        short = ["-s", "train.epochs=1", "-v", "0"] if words[1] == "train" else []
        result = nnzoo(*words[1:], *short)
        assert result.code == 0, (words, result.err)
    assert result.out.startswith("The ") and len(result.out) > 300
    assert nnzoo(*commands[-1][1:]).out == result.out


def test_the_chinese_tutorial_runs(
    nnzoo: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command with one epoch, the CNN with fewer channels, each figure with a source, and the Python blocks."""
    figures = load_script("tutorial_figures")
    page = (ROOT / "docs" / "zh" / "tutorial.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for language, text in figures.blocks(page):
        if language == "yaml":
            figures.write_configs(text)
        elif language == "python":
            exec(text, names)
        elif language == "sh":
            for line in text.splitlines():
                words = line.split()[1:]
                short = ["-s", "train.epochs=1", "-v", "0"] if words[0] == "train" else []
                if words == ["train", "--config", "cnn"]:  # inspect draws each channel
                    short += ["-s", "model.channels=[4, 6]"]
                result = nnzoo(*words, *short)
                assert result.code == 0, (words, result.err)
    assert len(names["labels"]) == 3
    assert nnzoo("train", "--config", "exploding").code == 4, "the page promises divergence"

    shown = re.findall(r"images/zh/(\S+)\.png", page)
    assert sorted(shown) == sorted([*figures.INSPECT, *figures.REPORT])
    for path in figures.INSPECT.values():
        assert Path("checkpoints", path).exists(), path
    for path, selector in figures.REPORT.values():
        assert f'id="{selector[1:]}"' in Path(path).read_text(encoding="utf-8")


def test_the_architecture_page_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"```text\n(nnzoo/.*?)```", page, flags=re.S)
    folder, listed = "", set()
    for line in tree.splitlines()[1:]:
        if opened := re.match(r"  (\w+)/", line):
            folder = f"{opened[1]}/"
        elif line.startswith("    "):
            names = re.findall(r"(?<=  )(\w+\.(?:py|[ch]))(?= |$)", line)
            listed |= {f"{folder}{name}" for name in names}
        else:
            listed |= set(re.findall(r"^  (\w+\.py)", line))
    missing = [name for name in listed if not (ROOT / "nnzoo" / name).exists()]
    assert len(listed) > 60 and not missing
    for name in re.findall(r"`((?:\w+/)?\w+\.py)`", page):
        assert any((ROOT / "nnzoo").rglob(name)) or (ROOT / name).exists(), name


def test_text_is_looked_into_and_exported_as_its_page_says(
    nnzoo: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    make = [sys.executable, str(ROOT / "examples" / "make_data.py"), "--photos", "3"]
    subprocess.run([*make, "--recordings", "3", "--messages", "120"], check=True)
    assert nnzoo("init", "examples/data/messages.csv").code == 0
    assert nnzoo("train", "--config", "messages", "-s", "train.epochs=3", "-v", "0").code == 0
    page = (ROOT / "docs" / "text.md").read_text(encoding="utf-8")
    sections = page[page.index("## Look inside") :]
    for line in re.findall(r"^nnzoo .*checkpoints/messages.*$", sections, flags=re.M):
        result = nnzoo(*shlex.split(line)[1:])
        assert result.code == 0, (line, result.err)
    (example,) = re.findall(r"```python\n(.*?)```", sections, flags=re.S)
    names: dict[str, Any] = {}
    exec(example, names)
    texts = ["The blue lamp arrived broken!", "where is my parcel"]
    predicted = nnzoo("predict", "checkpoints/messages", *texts, "--json").lines
    assert [row["prediction"] for row in predicted] == [
        names["labels"][best] for best in names["probabilities"].argmax(1)
    ]


def test_the_commands_of_the_page_about_watching_run(
    nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each as far as its server, which ends at once."""

    def end(server: WatchServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(WatchServer, "serve_forever", end)
    monkeypatch.setattr("nnzoo.watch.serve.give_way", lambda: None)
    monkeypatch.setattr(webbrowser, "open", lambda address: True)
    Path("checkpoints/cnn").mkdir(parents=True)
    page = (ROOT / "docs" / "watch.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    for command in block.splitlines():
        result = nnzoo(*shlex.split(command, comments=True)[1:])
        assert result.code == 0 and result.out.startswith("http://127.0.0.1:"), result.err
