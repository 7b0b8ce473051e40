"""Hints of `train` before, during and after training: how to resume with a changed config, the meaning of
two numbers, over-fitting, the next commands."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nnzoo.config.load import load_config
from nnzoo.console import print_columns
from nnzoo.console.progress import ProgressBar
from nnzoo.console.tables import print_group, print_layers, print_result
from nnzoo.evaluation.observations import baseline_observations, curve_observations

Nnzoo = Callable[..., Any]


@pytest.fixture
def tiny() -> str:
    Path("tiny.yaml").write_text(
        "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 1, early_stopping: null}\n"
    )
    return "tiny.yaml"


def narrow(width: int = 80) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=width, force_terminal=True, color_system=None), stream


# A changed config.


def test_a_changed_config_says_in_its_first_line_how_to_go_on(nnzoo: Nnzoo, tiny: str) -> None:
    nnzoo("train", tiny)
    result = nnzoo(
        "train",
        tiny,
        "-s",
        "train.early_stopping.patience=3",
        "-s",
        "model.hidden=[5]",
        "-s",
        "optim.clip.norm=1",
    )
    assert result.code == 2
    first, *keys = result.err.splitlines()
    assert first == (
        "checkpoints/tiny holds a run of another config. Train this one beside it: -s name=tiny-2; "
        "or start over: --fresh (the old folder is kept)"
    )
    assert "  model.hidden: [4] there, [5] here" in keys
    assert "  optim.clip.norm: not set there, 1.0 here" in keys
    assert nnzoo("train", tiny, "-s", "model.hidden=[5]", "-s", "name=tiny-2").code == 0
    again = nnzoo("train", tiny, "-s", "model.hidden=[6]", "-s", "name=tiny-2")
    assert "-s name=tiny-3;" in again.err


def test_a_dry_run_is_not_refused_for_another_run(nnzoo: Nnzoo, tiny: str) -> None:
    nnzoo("train", tiny)
    result = nnzoo("train", tiny, "-s", "model.hidden=[5]", "--dry-run")
    assert (result.code, "checkpoint" in result.err) == (0, False)
    assert "one step taken, nothing written" in result.out


def test_a_run_folder_is_a_config_whose_run_is_resumed(nnzoo: Nnzoo, tiny: str) -> None:
    nnzoo("train", tiny, "--out", "elsewhere")
    for source in ("elsewhere/tiny", "elsewhere/tiny/config.yaml"):
        assert "elsewhere/tiny is complete" in nnzoo("train", source).err
    assert not Path("checkpoints").exists()


# Notes.


def test_two_sizes_in_two_layers_are_explained(nnzoo: Nnzoo) -> None:
    words = ("train", "cnn", "--dry-run", "-s", "model.kernel_size=[3,5]")
    assert (
        "model.kernel_size [3, 5] is one size per layer: 3×3, then 5×5; for height 3 and width 5 in "
        "both write [[3, 5], [3, 5]]\n"
    ) in nnzoo(*words).err
    for other in ("3", "[3,3]", "[[3,5],[3,5]]"):
        assert "one size per layer" not in nnzoo(*words[:-1], f"model.kernel_size={other}").err


def test_pca_says_how_much_variance_it_keeps(nnzoo: Nnzoo) -> None:
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    split = "data.split={val: 0, test: 1}"
    words = (
        "train",
        "mlp",
        "--dry-run",
        "-s",
        split,
        "-s",
        "data.augment=null",
        "-s",
        "train.monitor=auto",
        "-s",
        "train.early_stopping=null",
    )
    err = nnzoo(*words, "-s", "data.preprocess.pca=10").err
    kept = float(re.search(r"pca: 10 components of 64 keep (\S+)% of the variance", err)[1])  # type: ignore[index]
    ratio = PCA(10).fit(load_digits().data).explained_variance_ratio_.sum()
    assert kept == pytest.approx(100 * ratio, abs=0.2)  # of all rows but one
    fraction = nnzoo("check", "mlp", "-s", "data.preprocess.pca=0.95")
    assert "it is the number of components" in fraction.err


# The end.


def rows(val: list[float], train: list[float]) -> list[dict[str, Any]]:
    return [{"val_loss": v, "train_loss": t} for v, t in zip(val, train, strict=True)]


def test_overfitting_is_said_with_what_this_config_does_not_do_yet() -> None:
    curve = rows([0.5, 0.4, 0.5, 0.8], [0.5, 0.3, 0.2, 0.1])
    plain = load_config("cnn", ["data.augment=null", "model.dropout=0", "optim.weight_decay=0"])
    (text,) = curve_observations(curve, 2, plain)
    assert text.startswith(
        "Over-fitting: since epoch 2 the validation loss has risen from 0.4000 to 0.8000, while the "
        "training loss went on falling. The best weights are from epoch 2."
    )
    assert "model.dropout=0.3, data.augment={shift: 2}, optim.weight_decay" in text
    (text,) = curve_observations(curve, 2, load_config("cnn", ["model.dropout=0.5"]))
    assert "model.dropout" not in text and "data.augment" not in text
    # Not where both rise, where it rose a little, or where nothing validates.
    assert curve_observations(rows([0.4, 0.5, 0.8], [0.1, 0.3, 0.5]), 1, plain) == []
    assert curve_observations(rows([0.4, 0.4, 0.42], [0.3, 0.2, 0.1]), 1, plain) == []
    assert curve_observations([{"train_loss": 1.0}] * 5, 1, plain) == []


def test_a_network_that_does_not_beat_the_baseline_is_named() -> None:
    base = {"name": "mean", "rmse": 2.0}
    assert baseline_observations({"rmse": 2.5, "baseline": base}) == [
        "Does not beat the baseline: mean has rmse 2.0000."
    ]
    assert baseline_observations({"rmse": 1.5, "baseline": base}) == []
    result = {"accuracy": 0.95, "accuracy_ci95": [0.9, 0.98]}
    for accuracy, start in ((0.96, "Does not beat"), (0.94, "Not clearly better than")):
        (line,) = baseline_observations(result | {"baseline": {"name": "m", "accuracy": accuracy}})
        assert line.startswith(f"{start} the baseline: m has accuracy {accuracy:.4f}")
    assert baseline_observations(result | {"baseline": {"name": "m", "accuracy": 0.8}}) == []


def test_the_end_names_the_next_commands_and_what_the_star_is(nnzoo: Nnzoo, tiny: str) -> None:
    result = nnzoo("train", tiny, "-s", "name=my run".replace(" ", "-"))
    assert "; * = best so far by val_loss\n" in result.err
    for command in (
        "next: nnzoo report checkpoints/my-run",
        "nnzoo inspect checkpoints/my-run",
        "nnzoo predict checkpoints/my-run photos/",
    ):
        assert command in result.err
    end = nnzoo("train", tiny, "--json").lines[-1]
    assert end["event"] == "end" and isinstance(end["remarks"], list)


# Tables and the bar.


def test_a_table_leaves_columns_out_and_cuts_no_cell() -> None:
    columns = {
        "layer": ["a.long.name"],
        "mean": ["0.123456789"],
        "std": ["0.987654321"],
        "type": ["Conv2d"],
    }
    terminal, stream = narrow(40)
    print_columns(terminal, columns, drop=("mean", "std"), left=("layer", "type"))
    assert stream.getvalue() == (
        "layer                std  type  \n"
        "a.long.name  0.987654321  Conv2d\n"
        "no room here for: mean\n"
    )
    pipe = Console(file=(stream := io.StringIO()), width=40)
    print_columns(pipe, columns, drop=("mean", "std"))
    assert "0.123456789" in stream.getvalue() and "no room" not in stream.getvalue()


def test_a_table_that_cannot_fit_wraps_its_names_without_a_loss() -> None:
    terminal, stream = narrow(30)
    print_columns(terminal, {"run": ["x" * 50], "state": ["complete"]}, drop=(), left=("run",))
    text = stream.getvalue()
    assert text.count("x") == 50 and "…" not in text and "complete" in text


def test_layers_fit_80_columns(nnzoo: Nnzoo) -> None:
    layers = nnzoo("train", "cnn", "--dry-run", "--json").json["layers"]
    for layer in layers:  # as `inspect` has them
        layer |= {"gradient": 1.25e-3} if layer["parameters"] else {}
    terminal, stream = narrow()
    print_layers(terminal, layers)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in stream.getvalue()
    assert lines[-1] == "no room here for: mean, std, weight"
    for layer in layers:
        assert any(line.startswith(f"{layer['name']} ") for line in lines)


def test_a_confusion_matrix_of_long_names_has_numbers_at_its_head() -> None:
    labels = [f"a rather long class name {i}" for i in range(6)]
    result = {
        "split": "test",
        "n": 6,
        "task": "classification",
        "labels": labels,
        "accuracy": 1.0,
        "accuracy_ci95": [0.5, 1.0],
        "baseline": {"name": "majority class", "label": labels[0], "accuracy": 0.2},
        "per_class": [
            {
                "label": label,
                "precision": 1.0,
                "recall": 1.0,
                "f1": 1.0,
                "support": 1,
                "tp": 1,
                "fp": 0,
                "fn": 0,
                "tn": 5,
            }
            for label in labels
        ],
        "confusion_matrix": [[int(i == j) for j in range(6)] for i in range(6)],
    }
    terminal, stream = narrow()
    print_result(terminal, result, detail=True)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert re.search(r"^3 a rather long class name 2 +· +· +1 +· +· +·", text, re.M)


def test_a_group_shows_its_baseline_and_fits_80_columns(nnzoo: Nnzoo, tiny: str) -> None:
    end = nnzoo("train", tiny, "--seeds", "2", "--json").lines[-1]
    (baseline,) = end["summary"]["baselines"]
    single = nnzoo("eval", "checkpoints/tiny-seeds/seed-0", "--json").json["baseline"]
    assert baseline["name"] == single["name"]
    assert baseline["accuracy"]["mean"] == single["accuracy"]
    terminal, stream = narrow()
    print_group(terminal, end)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert "95 % CI low" in text and re.search(r"^majority class .* 0\.1", text, re.M)


@pytest.mark.parametrize("width", [80, 120])
def test_the_curve_of_the_bar_follows_the_loss_that_it_shows(width: int) -> None:
    terminal, stream = narrow(width)
    row = {
        "epoch": 1,
        "step": 10,
        "train_loss": 1.5,
        "train_accuracy": 0.5,
        "val_loss": 1.25,
        "val_accuracy": 0.5,
        "samples_per_second": 12345.0,
        "seconds": 1.0,
        "lr": 0.1,
    }
    with ProgressBar(terminal, 100, 10, 0, [row | {"val_loss": 2.5}, row]) as bar:
        bar._drawn_at = 0.0
        bar.epoch(row | {"epoch": 2, "step": 20}, 2)
        bar.progress.refresh()
    line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", stream.getvalue()).split("\n")
    shown = next(item for item in reversed(line) if "val_loss" in item)
    assert len(shown) <= width
    assert re.search(r"val_loss 1\.2500 [▁-█]+", shown)
    assert re.search(r"\b(train_)?loss 1\.5000", shown) and "val_accuracy 0.5000" in shown
