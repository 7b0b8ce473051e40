"""A group of runs as one network: averages, std, who takes part, every command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nnzoo as package
from nnzoo.data.read_dataset import read_dataset
from nnzoo.errors import CheckpointError, DataError, UsageError
from nnzoo.export import export
from nnzoo.models.group_network import GroupNetwork
from nnzoo.report.page import render_comparison, render_run
from nnzoo.report.run_report import RunReport
from nnzoo.runs.loaded_run import LoadedRun, load_network
from nnzoo.runs.run_group import Group, folds, seeds
from tests.data.text_files.writing import some_documents, write_csv
from tests.text_data import PLAY
from tests.zoo import config

CPU = torch.device("cpu")
OUT = Path("out")
SHORT = {"epochs": 1, "threads": 1}
MLP = {"name": "mlp", "hidden": [8]}


def finish(group: Group) -> Path:
    for _ in group.events(CPU):
        pass
    group.write_summary()
    return group.path


def seed_group(model: Any = MLP, data: Any = "table_classes", count: int = 3) -> Path:
    return finish(seeds(config(model, data, name="g", train=SHORT), count, OUT))


def fold_group(data: dict[str, Any], model: Any = MLP, count: int = 2) -> Path:
    return finish(folds(config(model, data, name="g", train=SHORT), count, OUT))


def members(path: Path) -> list[LoadedRun]:
    return [LoadedRun.open(one.parent, CPU) for one in sorted(path.glob("*-*/best.pt"))]


def mean(values: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.mean(np.stack(values), 0)


def categories_csv(rows: int = 60) -> dict[str, Any]:
    """A table in which each fold trains on other colors."""
    lines = [f"{i % 7 + 0.5},color {i % 23},{'yes' if i % 3 else 'no'}" for i in range(rows)]
    Path("colors.csv").write_text("\n".join(["size,color,answer", *lines]) + "\n")
    return {"name": "csv", "path": str(Path("colors.csv").resolve()), "split": {"test": 0.2}}


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
    group, single = package.load(path), members(path)
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
    classes = finish(seeds(run_config, 2, OUT))
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
    path = finish(seeds(run_config, 2, OUT))
    group, single = package.load(path), members(path)
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
    group, single = package.load(path), members(path)
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
    sizes = {one.network.data_spec.input.vocabulary for one in members(path)}
    assert len(sizes) == 2 and group.network.data_spec.input.vocabulary >= max(sizes)
    np.testing.assert_allclose(group.predict(texts).values, mean(values), rtol=1e-6)
    page = render_run(RunReport.open(path, CPU))
    assert "ensemble of" in page


def test_runs_that_are_not_complete_are_left_out_and_named() -> None:
    path = seed_group(count=3)
    result = json.loads((path / "seed-1/result.json").read_text())
    (path / "seed-1/result.json").write_text(json.dumps(result | {"state": "diverged"}))
    config_text = (path / "seed-2/config.yaml").read_text()
    (path / "seed-2/config.yaml").write_text(config_text.replace("epochs: 1", "epochs: 9"))
    (path / "seed-2/result.json").unlink()
    group = LoadedRun.open(path, CPU)
    assert group.notes == ["left out: seed-1 (diverged), seed-2 (interrupted)"]
    assert len(group.network.networks) == 1
    shutil.rmtree(path / "seed-0")
    with pytest.raises(CheckpointError, match="no run of this group is complete: seed-0"):
        LoadedRun.open(path, CPU)


def test_runs_of_other_data_are_not_averaged() -> None:
    path = seed_group(count=2)
    other = finish(seeds(config(MLP, "table_number", name="h", train=SHORT), 2, OUT))
    shutil.rmtree(path / "seed-1")
    shutil.copytree(other / "seed-1", path / "seed-1")
    with pytest.raises(CheckpointError, match="'seed-1' has another task than 'seed-0'"):
        LoadedRun.open(path, CPU)


def test_a_group_of_language_models_is_refused_with_the_reason() -> None:
    Path("play.txt").write_text(PLAY * 20)
    data = {"name": "corpus", "path": str(Path("play.txt").resolve()), "window": 8}
    path = seed_group({"name": "gru", "hidden_size": 4, "embedding": 3}, data, 2)
    with pytest.raises(UsageError, match=r"carries a state of its own .* give one of them, as in"):
        load_network(path, CPU)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (MLP, "table_number"),
        ({"name": "gru", "hidden_size": 4}, "series"),
    ],
)
def test_an_exported_group_has_the_mean_inside(model: Any, data: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = seed_group(model, data, 2)
    network, _, _ = load_network(path, CPU)
    result = export(network, "onnx", Path("g.onnx"))
    assert result["difference"] < 1e-5
    split = read_dataset(network.config, network.data_spec).splits["test"]
    raw, _ = split.batch(torch.arange(6))
    session = onnxruntime.InferenceSession("g.onnx", providers=["CPUExecutionProvider"])
    (actual,) = session.run(None, {session.get_inputs()[0].name: raw.numpy()})
    values = [one.network.predict(raw).detach().numpy() for one in members(path)]
    np.testing.assert_allclose(actual, mean(values), rtol=1e-5, atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map["members"] == "2"
    with pytest.raises(UsageError, match="a state-dict holds the weights of one network"):
        export(network, "state-dict", Path("g.safetensors"))


def test_commands_take_the_folder_of_a_group(nnzoo: Callable[..., Any]) -> None:
    path = seed_group(MLP, "table_classes", 2)
    shutil.move("out", "checkpoints")
    path = Path("checkpoints") / path.name
    shown = nnzoo("eval", str(path)).out
    assert "ensemble of 2" in shown and "its networks: mean, range" in shown
    Path("g.yaml").write_text(
        "data: {name: iris}\nmodel: {name: mlp, hidden: [8]}\ntrain: {epochs: 1, threads: 1}\n"
    )
    by_config = nnzoo("eval", "--config", "g.yaml", "--json")
    assert by_config.json["members"]["count"] == 2, by_config.err
    names = ",".join(package.load(path).network.data_spec.column_names)
    Path("new.csv").write_text(f"{names}\n1,2,3,4\n5,6,7,8\n")
    header = nnzoo("predict", str(path), "new.csv").out.splitlines()[0]
    assert header == "row,prediction,probability,std,p_setosa,p_versicolor,p_virginica"
    page = nnzoo("report", str(path))
    text = (path / "report.html").read_text()
    assert page.code == 0 and "seed-0, seed-1: their predictions are averaged" in text
    assert "its networks: mean" in text and 'id="inside"' not in text
    refused = nnzoo("inspect", str(path))
    assert (
        refused.code == 2 and "is a group of 2 runs; inspect draws the layers of one" in refused.err
    )
    opened = [RunReport.open(one, CPU) for one in (path, path / "seed-0")]
    assert "seed-0" in render_comparison(opened)


def test_a_report_without_data_and_a_missing_split_say_so() -> None:
    path = fold_group(categories_csv())
    Path("colors.csv").unlink()
    page = render_run(RunReport.open(path, CPU))
    assert "The data are not available" in page and "fold-1, fold-2: their" in page
    with pytest.raises(DataError, match="If the data has moved"):
        LoadedRun.open(path, CPU).measure()
