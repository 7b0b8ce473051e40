"""The folder of a group: which runs take part, and every command that opens it."""

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
from nnzoo.report.page import render_comparison, render_run
from nnzoo.report.run_report import RunReport
from nnzoo.runs.loaded_run import LoadedRun, load_network
from tests.group_runs import (
    CPU,
    MLP,
    categories_csv,
    fold_group,
    mean,
    open_members,
    seed_group,
)
from tests.text_data import PLAY


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
    values = [one.network.predict(raw).detach().numpy() for one in open_members(path)]
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


def test_a_run_that_is_gone_or_cannot_be_read_is_left_out_and_named(
    nnzoo: Callable[..., Any],
) -> None:
    path = seed_group(count=3)
    shutil.rmtree(path / "seed-0")
    for file in (path / "seed-1").glob("*.pt"):
        file.write_bytes(file.read_bytes()[:300])
    opened = LoadedRun.open(path, CPU)
    assert opened.notes == ["left out: seed-0 (missing), seed-1 (damaged)"]
    assert [one.config.name for one in opened.network.networks] == ["seed-2"]
    raw, _ = opened.raw("test", torch.arange(6))
    (single,) = (LoadedRun.open(path / "seed-2", CPU),)
    np.testing.assert_array_equal(
        opened.network.predict(raw).detach(), single.network.predict(raw).detach()
    )
    result = nnzoo("eval", path, "--json")
    assert result.code == 0 and result.json["members"]["count"] == 1
    assert "left out: seed-0 (missing), seed-1 (damaged)" in result.err
    (path / "seed-2/best.pt").unlink()
    with pytest.raises(
        CheckpointError, match=r"no run .* is complete: seed-0 \(missing\)"
    ) as error:
        LoadedRun.open(path, CPU)
    assert "seed-1/last.pt is cut short" in str(error.value)


def test_the_best_weights_of_a_damaged_file_come_from_the_last_checkpoint() -> None:
    path = seed_group(count=2)
    whole = LoadedRun.open(path, CPU)
    raw, _ = whole.raw("test", torch.arange(6))
    best = path / "seed-1/best.pt"
    best.write_bytes(best.read_bytes()[:300])
    opened = LoadedRun.open(path, CPU)
    assert "the best weights come from" in opened.notes[0] and "left out" not in opened.notes[0]
    assert torch.equal(opened.network.predict(raw), whole.network.predict(raw))


@pytest.mark.parametrize("content", ["{", "{}", '{"members": 5}', '{"members": [{"run": 1}]}'])
def test_a_summary_that_names_no_runs_is_one_message(content: str) -> None:
    Path("g").mkdir()
    Path("g/summary.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"g/summary\.json names no runs of a group"):
        LoadedRun.open(Path("g"), CPU)
