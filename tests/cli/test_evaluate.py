"""`nnzoo eval`: numbers equal to those of scikit-learn, tables and refusals."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn import metrics as sk

from nnzoo.evaluation.verdicts import shown_baselines
from tests.runs.cnn_runs import FAST
from tests.zoo import begin, config

pytestmark = pytest.mark.usefixtures("compiled", "small_config")


@pytest.mark.parametrize("split", ["test", "val", "train"])
def test_scikit_learn_agrees_on_every_number_of_eval(nnzoo: Callable[..., Any], split: str) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    result = nnzoo("eval", "--config", "cnn", *FAST, "--json", "--split", split).json
    run = begin(config({"name": "cnn", "channels": [4, 8]}), "fresh")
    run.network.model.load_state_dict(
        torch.load("checkpoints/cnn/best.pt", weights_only=True)["model"]
    )
    rows = run.trainer.splits[split]
    images, target = rows.batch(torch.arange(len(rows)))
    run.network.eval()
    with torch.no_grad():
        probabilities = run.network(images).double().softmax(1).numpy()
    predicted, truth = probabilities.argmax(1), target.numpy()
    close: Any = {"rel": 1e-6, "abs": 1e-12}
    assert result["n"] == len(truth)
    assert result["loss"] == pytest.approx(sk.log_loss(truth, probabilities), rel=1e-5)
    assert result["accuracy"] == pytest.approx(sk.accuracy_score(truth, predicted), **close)
    for key, score in (
        ("precision", sk.precision_score),
        ("recall", sk.recall_score),
        ("f1", sk.f1_score),
    ):
        macro = score(truth, predicted, average="macro", zero_division=0)
        item = score(truth, predicted, average=None, zero_division=0)
        assert result[f"{key}_macro"] == pytest.approx(macro, **close)
        assert [c[key] for c in result["per_class"]] == pytest.approx(item, **close)
    assert result["confusion_matrix"] == sk.confusion_matrix(truth, predicted).tolist()
    for i, counts in enumerate(sk.multilabel_confusion_matrix(truth, predicted)):
        item = result["per_class"][i]
        assert [[item["tn"], item["fp"]], [item["fn"], item["tp"]]] == counts.tolist()
        assert item["support"] == (truth == i).sum()
    assert result["labels"] == [str(digit) for digit in range(10)]
    assert result["split"] == split
    assert result["task"] == "classification"
    names = [baseline["name"] for baseline in shown_baselines(result)]
    assert "majority class" in names and result["baseline"]["name"] == names[0]


@pytest.mark.parametrize("data", ["{name: diabetes}", "{name: sine, noise: 0.1, horizon: 2}"])
def test_scikit_learn_agrees_on_the_numbers_of_a_regression(
    nnzoo: Callable[..., Any], data: str
) -> None:
    Path("r.yaml").write_text(
        f"data: {data}\nmodel: {{name: mlp, hidden: [8]}}\ntrain: {{epochs: 2}}\n"
    )
    nnzoo("train", "-c", "r.yaml")
    result = nnzoo("eval", "checkpoints/r", "--json").json
    from nnzoo.data.read_dataset import read_dataset
    from nnzoo.evaluation.evaluate import iter_outputs
    from nnzoo.runs.loaded_run import load_network

    network, *_ = load_network(Path("checkpoints/r"), torch.device("cpu"))
    split = read_dataset(network.config, network.data_spec).splits["test"]
    pairs = list(iter_outputs(network, network.prepare(split), torch.device("cpu")))
    task: Any = network.task
    predicted = task.unscaled(torch.cat([output for output, _ in pairs])).numpy()
    truth = split.targets().numpy()
    assert result["n"] == len(truth)
    for key, score in (
        ("mse", sk.mean_squared_error),
        ("rmse", sk.root_mean_squared_error),
        ("mae", sk.mean_absolute_error),
        ("r2", sk.r2_score),
    ):
        assert result[key] == pytest.approx(score(truth, predicted), rel=1e-5), key
    assert {"name", "mse", "rmse", "mae", "r2"} <= result["baseline"].keys()


def test_train_and_eval_give_the_same_numbers(nnzoo: Callable[..., Any]) -> None:
    trained = nnzoo("train", "--config", "cnn", *FAST, "--json").lines[-1]["test"]
    evaluated = nnzoo("eval", "checkpoints/cnn", "--json").json
    assert trained == evaluated
    from_file = nnzoo("eval", "checkpoints/cnn/best.pt", "--json").json
    assert from_file == evaluated


def test_eval_of_a_config_without_a_run_says_what_to_do(nnzoo: Callable[..., Any]) -> None:
    result = nnzoo("eval", "--config", "cnn")
    assert result.code == 2
    assert "no run in checkpoints/cnn; train first: nnzoo train --config cnn" in result.err


def test_eval_of_another_config_is_refused_naming_the_keys(nnzoo: Callable[..., Any]) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    result = nnzoo(
        "eval", "--config", "cnn", "-s", "model.channels=[4,8]", "-s", "model.norm=batch"
    )
    assert result.code == 2
    assert "model.norm: none there, batch here" in result.err


def test_the_table_of_a_binary_task_names_the_positive_class(nnzoo: Callable[..., Any]) -> None:
    Path("b.yaml").write_text("data: breast_cancer\nmodel: mlp\ntrain: {epochs: 2}\n")
    nnzoo("train", "-c", "b.yaml")
    assert "f1 ('benign')" in nnzoo("eval", "checkpoints/b").out
    result = nnzoo("eval", "checkpoints/b", "--json").json
    positive = result["per_class"][1]
    assert result["positive_label"] == "benign"
    assert [result[key] for key in ("precision", "recall", "f1")] == [
        positive[key] for key in ("precision", "recall", "f1")
    ]


def test_moved_data_can_be_named_for_eval(nnzoo: Callable[..., Any]) -> None:
    Path("d.csv").write_text("a,y\n" + "".join(f"{i % 7},{i * 0.5}\n" for i in range(60)))
    Path("t.yaml").write_text("data: {name: csv, path: d.csv}\nmodel: mlp\ntrain: {epochs: 1}\n")
    nnzoo("train", "-c", "t.yaml")
    before = nnzoo("eval", "checkpoints/t", "--json").json
    Path("d.csv").rename("moved.csv")
    result = nnzoo("eval", "checkpoints/t")
    assert result.code == 3
    assert "If the data has moved: --set data.path=…" in result.err
    assert nnzoo("eval", "checkpoints/t", "--json", "-s", "data.path=moved.csv").json == before
    text = Path("moved.csv").read_text().replace("\n6,", "\n5,")
    Path("moved.csv").write_text(text)
    changed = nnzoo("eval", "checkpoints/t", "--json", "-s", "data.path=moved.csv")
    assert "the data has changed since the run was trained" in changed.err
    assert changed.json["data_changed"] is True
    assert nnzoo("eval", "checkpoints/t", "-s", "model.hidden=[3]").code == 2


def test_without_test_rows_that_is_said(nnzoo: Callable[..., Any]) -> None:
    result = nnzoo("train", "--config", "cnn", *FAST, "-s", "data.split.test=0")
    assert "no test rows (data.split.test), so no result" in result.err


def test_train_eval_and_report_show_the_same_baselines_and_verdict(
    nnzoo: Callable[..., Any],
) -> None:
    Path("t.yaml").write_text(
        "data: {name: iris}\nmodel: {name: mlp, hidden: [8]}\ntrain: {epochs: 30}\n"
    )
    trained = nnzoo("train", "-c", "t.yaml", "--json").lines[-1]
    evaluated = nnzoo("eval", "checkpoints/t", "--json").json
    assert {key: evaluated[key] for key in trained["test"]} == trained["test"]
    verdict = next(line for line in trained["remarks"] if "baseline" in line)
    assert verdict in nnzoo("eval", "checkpoints/t").out
    assert nnzoo("report", "checkpoints/t").code == 0
    assert verdict in unescape(Path("checkpoints/t/report.html").read_text())
    for baseline in shown_baselines(evaluated):
        comparison = baseline["comparison"]
        difference = evaluated["accuracy"] - baseline["accuracy"]
        assert comparison["difference"] == pytest.approx(difference)
        assert comparison["test"] == "McNemar, mid-p"
    named = nnzoo("eval", "checkpoints/t", "--json", "-s", "eval.baselines=[boosted_trees]").json
    assert named["baseline"]["name"] == "boosted trees" and "baselines" not in named
    none = nnzoo("eval", "checkpoints/t", "-s", "eval.baselines=none")
    assert "baseline" not in none.out and none.code == 0


@pytest.mark.parametrize("command", [("train", "-c", "t.yaml"), ("eval", "checkpoints/t")])
def test_a_baseline_that_is_not_for_the_data_is_refused_at_once(
    nnzoo: Callable[..., Any], command: tuple[str, ...]
) -> None:
    Path("t.yaml").write_text(
        "data: {name: iris}\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 1}\n"
    )
    if command[0] == "eval":
        nnzoo("train", "-c", "t.yaml")
    result = nnzoo(*command, "-s", "eval.baselines=[ngrams]")
    assert result.code == 2 and Path("checkpoints").exists() == (command[0] == "eval")
    assert (
        "there is no 'ngrams' for these data; one of majority, linear, boosted_trees" in result.err
    )
    assert "--set" in result.err
