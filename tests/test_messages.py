"""Errors as a terminal shows them: places, quoted lines, colours, words that are not broken; and hints for
the words of other tools."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.cli.messages import render
from nnzoo.cli.usage import complete_key
from nnzoo.config.synonyms import KEYS
from nnzoo.text import wrap_text

Nnzoo = Callable[..., Any]

SERIES = "data: {name: series, path: x.csv}\nmodel: lstm\n"
IMAGES = "data: digits\nmodel: cnn\n"
TABLE = "data: {name: csv, path: x.csv}\nmodel: mlp\n"


def problems(nnzoo: Nnzoo, text: str, *sets: str) -> dict[str, str]:
    """The message of each key at fault."""
    Path("c.yaml").write_text(text)
    options = [word for each in sets for word in ("-s", each)]
    result = nnzoo("check", "c.yaml", "--json", *options)
    return {issue["key"]: issue["message"] for issue in result.json.get("issues", [])}


def test_a_terminal_gets_lines_broken_at_words_and_the_line_at_fault() -> None:
    Path("c.yaml").write_text("data: digits\nmodel: {name: cnn, activation: softmx}\n")
    message = (
        "c.yaml: 1 problem\n"
        "  c.yaml:2:32  model.activation  expected one of relu, leaky_relu, tanh, sigmoid, gelu, silu, "
        "elu, got 'softmx'"
    )
    assert render(message, width=80) == (
        "c.yaml: 1 problem\n"
        "  c.yaml:2:32  model.activation  expected one of relu, leaky_relu, tanh,\n"
        "    sigmoid, gelu, silu, elu, got 'softmx'\n"
        "      2 | model: {name: cnn, activation: softmx}\n"
        "        |                                ^^^^^^"
    )
    colored = render(message, width=80, color=True)
    assert "\x1b[36mc.yaml:2:32\x1b[0m" in colored and "\x1b[31m" in colored
    assert re.sub(r"\x1b\[\d+m", "", colored) == render(message, width=80)


def test_a_line_that_cannot_be_quoted_is_left_out() -> None:
    message = "x.yaml: 1 problem\n  x.yaml:2:3  model.x  unknown key"
    assert render(message) == message


def test_a_long_line_is_quoted_around_the_place() -> None:
    text = f"data: {{name: csv, drop: [{'a, ' * 60}b], targt: 1}}\n"
    Path("c.yaml").write_text(text)
    message = f"  c.yaml:1:{text.index('targt') + 1}  data.targt  unknown key"
    lines = render(message, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    start = lines[2].index("^")
    assert lines[1][start : start + 5] == "targt" and lines[2].strip(" |") == "^^^^^"


def test_wrapping_keeps_paths_and_commands_whole() -> None:
    path = "/a" * 60
    assert path in wrap_text(f"cannot read {path} now", 80).split("\n")[1]
    command = f"  nnzoo train --config {path}"
    assert wrap_text(f"resume with:\n{command}", 40) == f"resume with:\n{command}"


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        (SERIES, "data.n_steps", "it is 'window'"),
        (SERIES, "data.timesteps", "it is 'window'"),
        (SERIES, "data.look_back", "it is 'window'"),
        (SERIES, "model.look_back", "it is data.window"),
        (SERIES, "data.n_steps_out", "it is 'horizon'"),
        (SERIES, "data.n_features", "it is counted from the data; leave it out"),
        (SERIES, "model.units", "it is 'hidden_size'"),
        (SERIES, "model.nonlinearity", "it is 'activation'"),
        (SERIES, "model.layers", "it is 'num_layers'"),
        (SERIES.replace("lstm", "rnn"), "model.activation", "it is 'nonlinearity'"),
        (SERIES, "data.preprocess.svd", "it is 'pca'"),
        (TABLE, "model.units", "it is 'hidden'"),
        (TABLE, "model.learning_rate", "it is optim.lr"),
        (TABLE, "train.optimizer", "it is optim"),
        (TABLE, "optim.learning_rate", "it is 'lr'"),
        (TABLE, "data.label", "it is 'target'"),
        (TABLE, "data.test_size", "it is data.split.test"),
        (IMAGES, "model.filters", "it is 'channels'"),
        (IMAGES, "model.kernel", "it is 'kernel_size'"),
        (IMAGES, "model.strides", "it is 'stride'"),
        (IMAGES, "train.criterion", "it is 'loss'"),
        (IMAGES, "train.gpu", "it is the option --device cuda"),
        (IMAGES, "train.scheduler", "it is optim.schedule"),
        (IMAGES, "data.augmentation", "it is 'augment'"),
    ],
)  # fmt: skip
def test_words_of_other_tools_lead_to_the_key(nnzoo: Nnzoo, text: str, key: str, hint: str) -> None:
    assert problems(nnzoo, text, f"{key}=1")[key] == f"unknown key; {hint}"


@pytest.mark.parametrize(
    ("text", "key", "value", "hint"),
    [
        (IMAGES, "model.activation", "softmax",
         "; a classifier's outputs always go through softmax (cross-entropy loss)"),
        (IMAGES, "model.activation", "swish", "; did you mean 'silu'?"),
        (IMAGES, "model.init", "glorot_uniform", "; did you mean 'xavier_uniform'?"),
        (IMAGES, "train.loss", "binary_crossentropy", "; did you mean 'cross_entropy'?"),
        (IMAGES, "model.name", "convnet", "; did you mean 'cnn'?"),
        (IMAGES, "data.name", "folder", "; did you mean 'image_folder'?"),
        (IMAGES, "optim.schedule", "CosineAnnealingLR", "; did you mean 'cosine'?"),
        (TABLE, "data.preprocess.scale", "zscore", "; did you mean 'standardize'?"),
    ],
)  # fmt: skip
def test_values_of_other_tools_lead_to_the_value(
    nnzoo: Nnzoo, text: str, key: str, value: str, hint: str
) -> None:
    (message,) = problems(nnzoo, text, f"{key}={value}").values()
    assert message.endswith(hint)


def test_every_synonym_names_a_key_of_the_language(nnzoo: Nnzoo) -> None:
    listings = {
        **dict.fromkeys(("model",), "models"), "data": "datasets", "optim": "training",
        "train": "training",
    }  # fmt: skip
    known = set()
    for section, command in listings.items():
        for entry in nnzoo(command, "--json").json.values():
            known |= {f"{section}.{row['key']}" for row in entry["options"]}
    known |= {key.rpartition(".")[0] for key in known} | {
        f"optim.{key.partition('.')[2]}" for key in known
    }
    for word, places in KEYS.items():
        for place in places:
            assert place in known | {
                "name",
                "seed",
                "optim",
                "optim.schedule",
                "optim.schedule.warmup",
            }, (word, place)


def test_faults_inside_misnamed_sections_are_seen_at_once(nnzoo: Nnzoo) -> None:
    text = (
        "data: digits\nmodel: {type: cnn}\noptimizer: {learning_rate: 0.1, name: adm}\n"
        "training: {epoch: 3}\n"
    )
    assert problems(nnzoo, text) == {
        "model.name": "missing: one of mlp, cnn, rnn, lstm, gru; it is 'name', not 'type'",
        "optimizer": "unknown key; it is 'optim'",
        "optimizer.name": "unknown optimizer 'adm'; did you mean 'adam'?",
        "training": "unknown key; it is 'train'",
        "training.epoch": "unknown key; it is 'epochs'",
    }


def test_data_given_as_a_config_leads_to_init(nnzoo: Nnzoo) -> None:
    Path("passengers.csv").write_text("a,b\n1,2\n")
    Path("photos").mkdir()
    for source, message in (
        ("passengers.csv", "passengers.csv is data, not a config; write one for it: nnzoo init passengers.csv"),
        ("photos", "photos is a folder, not a config; if it holds your data: nnzoo init photos"),
    ):  # fmt: skip
        result = nnzoo("train", source)
        assert (result.code, result.out, result.err) == (2, "", f"{message}\n")


def test_a_bundled_config_has_a_short_name_in_messages(nnzoo: Nnzoo) -> None:
    result = nnzoo("check", "cnn", "-s", "model.x=1")
    assert result.err.startswith("bundled cnn.yaml: 1 problem\n")
    assert "# bundled cnn.yaml:" in nnzoo("check", "cnn", "--all").out


def test_cache_shows_what_is_kept_and_clears_it(nnzoo: Nnzoo) -> None:
    folder = Path("cache")
    for name in ("a.npy", "native/b.so", "tuned/c.json", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345678")
    shown = nnzoo("cache", "--json").json
    assert shown["images"] == shown["native"] == shown["tuned"] == {"files": 1, "bytes": 8}
    assert "1 file: decoded images of folders" in nnzoo("cache").out
    assert nnzoo("cache", "--clear").code == 0
    assert [file.name for file in folder.rglob("*") if file.is_file()] == ["notes.txt"]


def test_tab_offers_configs_keys_and_words(nnzoo: Nnzoo, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cnn_mine.yaml").write_text("")
    Path("cnn_runs").mkdir()

    def offered(*typed: str) -> list[str]:
        monkeypatch.setenv("_NNZOO_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(("nnzoo", *typed)))
        monkeypatch.setenv("COMP_CWORD", str(len(typed)))
        return nnzoo().out.split()

    assert offered("train", "--config", "cnn_m") == ["cnn_mine.yaml", "cnn_mnist", "cnn_mnist_best", "cnn_mnist_fast"]  # fmt: skip
    assert offered("check", "cnn_r") == ["cnn_runs/"]
    assert offered("train", "-s", "model.kern") == ["model.kernel_size="]
    assert offered("train", "-s", "opt") == ["optim."]
    assert offered("train", "--resume", "m") == ["must"]
    assert offered("eval", "x", "--split", "t") == ["train", "test"]


def test_the_page_of_words_names_keys_of_the_language() -> None:
    page = (Path(__file__).parents[1] / "docs" / "words.md").read_text()
    named = set(re.findall(r"`((?:data|model|optim|train)\.[a-z_.]+)", page)) - {
        "model.summary",
        "model.save",
    }
    assert len(named) > 20
    for key in named:
        assert complete_key(key), key
    for word in ("softmax", "n_steps", "n_features", "SVD", ".pth"):
        assert word in page


def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, nnzoo: Nnzoo
) -> None:
    Path("c.yaml").write_text("data: digits\nmodel: {name: cnn, chanels: [3]}\n")
    assert "\x1b[" not in nnzoo("check", "c.yaml").err
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[36mc.yaml:2:20\x1b[0m" in nnzoo("check", "c.yaml").err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in nnzoo("check", "c.yaml").err


def test_a_file_of_another_program_is_not_taken_for_a_damaged_checkpoint(nnzoo: Nnzoo) -> None:
    Path("model.pth").write_bytes(b"PK\x03\x04" + bytes(100))
    result = nnzoo("eval", "model.pth")
    assert result.code == 5
    assert (
        "model.pth is not a checkpoint of nnzoo, which loads none of other programs" in result.err
    )
