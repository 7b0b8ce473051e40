"""Networks of a group as one: averages, std, calibration, and preprocessing of each fold."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nnzoo as package
from nnzoo.errors import CheckpointError, DataError, UsageError
from nnzoo.models.group_network import GroupNetwork
from nnzoo.report.page import render_run
from nnzoo.report.run_report import RunReport
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run_group import seeds
from tests.data.text_files.writing import some_documents, write_csv
from tests.group_runs import (
    CPU,
    MLP,
    OUT,
    SHORT,
    categories_csv,
    finish_group,
    fold_group,
    mean,
    open_members,
    seed_group,
)
from tests.target_data import target_data
from tests.zoo import begin, config


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (MLP, "table_classes"),
        (MLP, "table_number"),
        ({"name": "cnn", "channels": [4]}, "image"),
        ({"name": "gru", "hidden_size": 4}, "series"),
    ],
)
def test_predictions_and_metrics_are_those_of_the_mean(model: Any, data: str) -> None:
    path = seed_group(model, data)
    group, single = package.load(path), open_members(path)
    assert isinstance(group.network, GroupNetwork) and len(single) == 3
    raw, _ = group.raw("test", torch.arange(5))
    predictions = group.predict(raw)
    values = [one.network.predict(raw).detach().numpy() for one in single]
    np.testing.assert_allclose(
        predictions.values.reshape(mean(values).shape), mean(values), rtol=1e-6
    )
    assert predictions.std is not None
    std = np.std(np.stack(values), 0, ddof=1)
    np.testing.assert_allclose(predictions.std.reshape(std.shape), std, rtol=1e-4, atol=1e-7)
    result = group.evaluate()
    reports = [one.measure() for one in single]
    metric = "accuracy" if "accuracy" in result else "rmse"
    assert result["members"]["count"] == 3
    stats = result["members"]["metrics"][metric]
    np.testing.assert_allclose(stats["values"], [report[metric] for report in reports], rtol=1e-5)
    assert stats["min"] <= stats["mean"] <= stats["max"]
    split = group.dataset.splits["test"]
    inputs, targets = split.batch(torch.arange(len(split)))
    truth = targets.numpy()
    predicted = mean([one.network.predict(inputs).detach().numpy() for one in single])
    expected = (
        (predicted.argmax(1) == truth).mean()
        if metric == "accuracy"
        else np.sqrt(((predicted - truth) ** 2).mean(0)).mean()
    )
    assert result[metric] == pytest.approx(expected, rel=1e-5)


def test_intervals_temperature_and_decision_are_those_of_the_mean() -> None:
    path = seed_group(MLP, "table_number", 2)
    group = package.load(path)
    raw, _ = group.raw("val", torch.arange(40))
    predictions = group.predict(raw, coverage=0.8)
    assert predictions.low is not None and predictions.high is not None
    _, targets = group.raw("val", torch.arange(40))
    inside = (predictions.low <= targets.numpy()) & (targets.numpy() <= predictions.high)
    assert inside.mean() == pytest.approx(0.8, abs=0.1)
    assert "for the mean of the group" in group.notes[-1]
    assert group.evaluate()["coverage"]["asked"] == 0.9
    run_config = config(MLP, "table_classes", name="c", train=SHORT)
    classes = finish_group(seeds(run_config, 2, OUT))
    plain = package.load(classes)
    sets = ["eval={temperature: apply, decide: {recall: 0.9, of: virginica}}"]
    decided = package.load(classes, sets=sets)
    raw, _ = plain.raw("test", torch.arange(9))
    temperature = decided.network.task.temperature
    assert isinstance(temperature, float)
    logits = np.log(plain.predict(raw).values) / temperature
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(decided.predict(raw).values, expected, rtol=1e-5)
    assert decided.predict(raw).decision is not None


def test_quantiles_are_averaged_too() -> None:
    run_config = config(MLP, "table_number", name="q", train=SHORT | {"loss": "quantile"})
    path = finish_group(seeds(run_config, 2, OUT))
    group, single = package.load(path), open_members(path)
    raw, _ = group.raw("test", torch.arange(4))
    predictions = group.predict(raw)
    values = [one.network.predict(raw).detach().numpy() for one in single]
    assert predictions.quantiles is not None and predictions.std is not None
    shape = predictions.quantiles.shape
    np.testing.assert_allclose(predictions.quantiles, mean(values).reshape(shape), rtol=1e-9)
    assert predictions.std.shape == predictions.values.shape == (4, 1)
    assert group.evaluate()["members"]["count"] == 2


def test_folds_keep_their_own_preprocessing_and_categories() -> None:
    path = fold_group(categories_csv(), count=3)
    group, single = package.load(path), open_members(path)
    known = [one.network.data_spec.columns[1].categories for one in single]
    assert known[0] != known[1] or known[0] != known[2]
    union = group.network.data_spec.columns[1].categories
    assert union == sorted({color for some in known for color in some or []})
    text = "size,color\n" + "".join(f"{i}.5,color {i}\n" for i in range(25))
    Path("new.csv").write_text(text)
    values = [package.load(path / f"fold-{i}").predict("new.csv").values for i in (1, 2, 3)]
    np.testing.assert_allclose(group.predict("new.csv").values, mean(values), rtol=1e-6)
    assert not group.data_changed and group.evaluate()["n"] == 12
    with pytest.raises(DataError, match="each run of this group learned from rows that validate"):
        group.predict("new.csv", coverage=0.9)
    for split in ("val", "train"):
        with pytest.raises(UsageError, match="the runs of this group learned from different rows"):
            group.evaluate(split)


def test_folds_of_texts_keep_their_own_vocabulary() -> None:
    Path("texts").mkdir()
    file = write_csv(Path("texts").resolve(), some_documents(40))
    data = {"name": "text", "target": "label", "split": {"test": 0.2}} | file
    path = fold_group(data, {"name": "mlp", "hidden": [], "embedding": 4})
    texts = [text for text, _ in some_documents(40)][:6]
    group = package.load(path)
    values = [package.load(path / f"fold-{i}").predict(texts).values for i in (1, 2)]
    sizes = {one.network.data_spec.input.vocabulary for one in open_members(path)}
    assert len(sizes) == 2 and group.network.data_spec.input.vocabulary >= max(sizes)
    np.testing.assert_allclose(group.predict(texts).values, mean(values), rtol=1e-6)
    page = render_run(RunReport.open(path, CPU))
    assert "ensemble of" in page


def test_runs_of_other_data_are_not_averaged() -> None:
    path = seed_group(count=2)
    other = finish_group(seeds(config(MLP, "table_number", name="h", train=SHORT), 2, OUT))
    shutil.rmtree(path / "seed-1")
    shutil.copytree(other / "seed-1", path / "seed-1")
    with pytest.raises(CheckpointError, match="'seed-1' has another task than 'seed-0'"):
        LoadedRun.open(path, CPU)


@pytest.mark.parametrize("kind", ["labels", "numbers", "image_labels", "image_numbers"])
@pytest.mark.parametrize("of_folds", [False, True])
def test_labels_and_several_numbers_are_averaged(kind: str, of_folds: bool) -> None:
    model = {"name": "cnn", "channels": [3]} if kind.startswith("image") else MLP
    data = target_data(kind)
    if of_folds:
        dropped = {"drop": [*data["drop"], "part"]} if "drop" in data else {}
        path = fold_group(data | {"split": {"test": 0.2}} | dropped, model)
    else:
        path = seed_group(model, data, 2)
    group, single = package.load(path), open_members(path)
    raw, _ = group.raw("test", torch.arange(6))
    values = [one.network.predict(raw).detach().numpy() for one in single]
    predictions = group.predict(raw)
    np.testing.assert_allclose(predictions.values, mean(values), rtol=1e-6)
    assert predictions.std is not None
    result = group.evaluate()
    metric = "rmse" if "numbers" in kind else "exact_match"
    stats = result["members"]["metrics"][metric]
    expected = [one.measure()[metric] for one in single]
    np.testing.assert_allclose(stats["values"], expected, rtol=1e-5)
    key = "per_output" if "numbers" in kind else "per_label"
    assert len(result[key]) == (2 if kind != "labels" else 3)


def test_a_member_alone_has_the_inputs_of_the_group() -> None:
    data = categories_csv() | {"split": {"test": 0.2}}
    path = fold_group(data, count=2)
    group = LoadedRun.open(path, CPU)
    network = group.network
    assert isinstance(network, GroupNetwork) and network.is_of_folds
    raw, _ = group.raw("test", torch.arange(8))
    together = network.predict_members(raw)
    for i, one in enumerate(open_members(path)):
        ours = network.member(i)
        assert len(ours.networks) == 1 and ours.data_spec == network.data_spec
        assert torch.equal(ours.predict(raw), together[i])
        theirs, _ = one.raw("test", torch.arange(8))
        assert torch.equal(one.network.predict(theirs), together[i])
    assert len(network.networks) == 2
    assert torch.equal(network.predict(raw), together.mean(0))
    outputs = network(raw)
    assert torch.allclose(network.task.postprocess(outputs), together.mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("lines", "difference"),
    [
        (["a,b,y", "1,2,x", "2,1,y", "3,3,z"], "other classes"),
        (["a,c,y", "1,2,x", "2,1,y", "3,3,x"], "other columns"),
        (["a,b,c,y", "1,2,2,x", "2,1,1,y", "3,3,4,x"], "other inputs"),
        (["a,b,y", "1,2,1.5", "2,1,2.5", "3,3,4.5"], "another task"),
    ],
)
def test_networks_of_other_data_are_named_with_the_difference(
    lines: list[str], difference: str
) -> None:
    networks = []
    for name, (head, *rows) in {
        "one": ["a,b,y", "1,2,x", "2,1,y", "3,3,x"],
        "two": lines,
    }.items():
        Path(f"{name}.csv").write_text("\n".join([head, *rows * 10]) + "\n")
        data = {"name": "csv", "path": str(Path(f"{name}.csv").resolve())}
        run = begin(config(MLP, data, name=name))
        run.lock.release()
        networks.append(run.network)
    with pytest.raises(CheckpointError, match=f"'two' has {difference} than 'one'"):
        GroupNetwork(networks[0].config, networks)
