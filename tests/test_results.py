"""Every bundled config reaches, from the file alone, the figure that its header gives.

The MNIST and adding-problem rows take minutes each: `pytest -m slow tests/test_results.py`, with
the MNIST files in $NNZOO_MNIST and those of the UCR archive in $NNZOO_UCR; their last output is in docs/results.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch

from nnzoo.config.load import bundled_configs, load_config
from nnzoo.evaluation.verdicts import shown_baselines
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train

SEEDS = (0, 1, 2)
# config: (metric, bound of the mean, seeds); an accuracy must reach it, an error must not pass it.
QUICK = {
    "cnn": ("accuracy", 0.985, (0,)),
    "mlp": ("accuracy", 0.96, (0,)),
    "rnn": ("accuracy", 0.96, (0,)),
    "lstm": ("accuracy", 0.96, (0,)),
    "gru": ("accuracy", 0.96, (0,)),
    "lstm_sine": ("mse", 1e-5, (0,)),
    "mlp_breast_cancer": ("accuracy", 0.95, (0,)),
    "mlp_diabetes": ("rmse", 65.0, (0,)),
    "mlp_csv": ("rmse", 65.0, (0,)),
    "sweep_digits": ("accuracy", 0.95, (0,)),
}
# The published figures, which rnn and lstm do not have.
MNIST1D = {"logistic": 0.31, "mlp": 0.68, "cnn": 0.94, "rnn": 0.50, "lstm": 0.91, "gru": 0.91}
SLOW = {
    **{name: (metric, bound, SEEDS) for name, (metric, bound, _) in QUICK.items()},
    "mlp_mnist": ("accuracy", 0.985, SEEDS),
    "cnn_mnist": ("accuracy", 0.990, SEEDS),
    "cnn_mnist_fast": ("accuracy", 0.990, tuple(range(10))),
    "cnn_mnist_best": ("accuracy", 0.996, SEEDS),
    "rnn_mnist": ("accuracy", 0.980, SEEDS),
    "lstm_mnist": ("accuracy", 0.989, SEEDS),
    "gru_mnist": ("accuracy", 0.989, SEEDS),
    **{f"{name}_mnist1d": ("accuracy", bound, tuple(range(10))) for name, bound in MNIST1D.items()},
    "lstm_adding": ("mse", 0.0007, (0, 1, 2, 3, 4)),
    "gru_vowels": ("accuracy", 0.985, tuple(range(10))),
    "cnn_gunpoint": ("accuracy", 0.998, tuple(range(10))),
    "mlp_imdb": ("accuracy", 0.885, SEEDS),
    "cnn_imdb": ("accuracy", 0.890, SEEDS),
    "gru_imdb": ("accuracy", 0.890, SEEDS),
    "lstm_text": ("loss", 1.15, SEEDS),
    "lstm_shakespeare": ("loss", 1.60, SEEDS),
    "lstm_shakespeare_best": ("loss", 1.47, (0,)),
}
TEXTS = {name: "imdb-test.csv" for name in ("mlp_imdb", "cnn_imdb", "gru_imdb")} | {
    name: "tinyshakespeare.txt" for name in ("lstm_shakespeare", "lstm_shakespeare_best")
}
UCR = {"gru_vowels": "JapaneseVowels", "cnn_gunpoint": "GunPoint"}


def results(name: str, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    actual = []
    for seed in seeds:
        run = open_run(
            load_config(name, [f"seed={seed}"]), RunOptions(Path(f"out{seed}"), torch.device("cpu"))
        )
        for _ in train(run):
            pass
        result = run.result()
        run.lock.release()
        assert result is not None
        actual.append(result)
    return actual


# Networks of which a seed does not beat the best baseline, and why.
BEATEN = {
    "lstm_sine": "a noiseless sine is a linear recurrence, which one layer solves",
    "mlp_diabetes": "ridge regression has rmse 59.6",
    "mlp_csv": "ridge regression has rmse 60.5",
    "sweep_digits": "a small layer by default values, which the search is to improve on",
    "mlp_imdb": "a mean of embeddings is within noise of TF-IDF",
    "logistic_mnist1d": "statistics of a curve are worth more than its 40 values, weighted by position",
}


def baseline_to_beat(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """The best baseline; of those in BEATEN the one that reads no input."""
    baselines = shown_baselines(result)
    if name not in BEATEN:
        return baselines[0]
    return next(baseline for baseline in baselines if baseline["key"] in ("majority", "mean"))


def check(name: str, metric: str, bound: float, seeds: tuple[int, ...]) -> None:
    actual = results(name, seeds)
    values = [result[metric] for result in actual]
    if metric == "accuracy":
        assert mean(values) >= bound, values
        assert min(values) > baseline_to_beat(name, actual[0])["accuracy"]
    else:
        worst = max(values) if name == "lstm_adding" else mean(values)
        assert worst <= bound, values
        assert max(values) < baseline_to_beat(name, actual[0])[metric]


@pytest.mark.parametrize("name", QUICK)
def test_a_bundled_config_reaches_its_figure(name: str) -> None:
    check(name, *QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_every_bundled_config_reaches_its_figure_over_all_seeds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "mnist" in name and "mnist1d" not in name:
        root = os.environ.get("NNZOO_MNIST") or Path(__file__).parents[2] / "shared" / "data"
        if not Path(root).is_dir():
            pytest.skip(f"no MNIST files in {root}; NNZOO_MNIST names their folder")
        monkeypatch.setenv("NNZOO_DATA", str(root))
    if name in UCR:
        root = os.environ.get("NNZOO_UCR") or Path(__file__).parents[2] / "shared/data/sequences"
        if not list(Path(root).rglob(f"{UCR[name]}_TEST.ts")):
            pytest.skip(f"no {UCR[name]}_TEST.ts in {root}; NNZOO_UCR names its folder")
        monkeypatch.setenv("NNZOO_DATA", str(root))
    if name in TEXTS:
        root = os.environ.get("NNZOO_TEXTS") or Path(__file__).parents[2] / "shared/data/text"
        if not Path(root, TEXTS[name]).is_file():
            pytest.skip(f"no {TEXTS[name]} in {root}; NNZOO_TEXTS names its folder")
        monkeypatch.setenv("NNZOO_DATA", str(root))
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        check(name, *SLOW[name])
    finally:
        torch.set_num_threads(1)


def test_every_bundled_config_has_a_figure_to_reach() -> None:
    assert {path.stem for path in bundled_configs()} == SLOW.keys()


@pytest.mark.parametrize("path", bundled_configs(), ids=lambda path: path.stem)
def test_every_bundled_config_opens_with_its_command_and_figure(path: Path) -> None:
    header = path.read_text(encoding="utf-8").split("\ndata:")[0]
    assert f"nnzoo train --config {path.stem}" in header
    for word in ("Reached:", "Machine:", "Answers:"):
        assert word in header, word
