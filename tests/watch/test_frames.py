"""Frames: every number is torch's, for the weights of that epoch."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from nnzoo.data.sequences import pad
from nnzoo.errors import CheckpointError
from nnzoo.evaluation.tasks.classification import Classification
from nnzoo.generate import TextGenerator
from nnzoo.inspect import internals
from nnzoo.kernels.generate import Sampling
from nnzoo.models.network import Network
from nnzoo.runs.history import History
from nnzoo.runs.run_dir import RunDir
from nnzoo.watch import frame_parts, frames
from nnzoo.watch.frames import Frames


def decode(encoded: dict[str, Any]) -> np.ndarray[Any, Any]:
    values = np.frombuffer(base64.b64decode(encoded["values"]), encoded["type"])
    return values.reshape(encoded["shape"])


def opened(folder: Path) -> Frames:
    run = Frames.open(RunDir(folder))
    assert run is not None
    return run


def network_at(folder: Path, epoch: int) -> tuple[Network, History]:
    history = History.open(RunDir(folder))
    assert history is not None
    network = history.network()
    network.precision = "fp32"
    network.model.load_state_dict(history.state_dict(epoch))
    return network, history


def test_maps_are_those_of_the_weights_of_the_epoch(run_folder: Path) -> None:
    run = opened(run_folder / "digits")
    frame, last = run.frame(2, 0), run.frame(4, 0)
    network, history = network_at(run_folder / "digits", 2)
    raw = cast(Tensor, history.samples.inputs[:10])
    with torch.no_grad():
        predictions = network.predict(raw)
        hidden = internals.hidden_outputs(network, network.preprocess(raw))
    np.testing.assert_allclose(decode(frame["predictions"]), predictions.numpy(), atol=1e-6)
    maps = [layer for layer in frame["layers"] if layer["kind"] == "maps"]
    assert [layer["name"] for layer in maps] == ["features.2", "features.5"]
    for layer in maps:
        expected = hidden[layer["name"]].sum(1).numpy()
        np.testing.assert_allclose(decode(layer["values"]), expected, atol=1e-6)
    assert not np.allclose(decode(last["predictions"]), predictions.numpy(), atol=1e-3)
    samples = run.describe()
    np.testing.assert_array_equal(
        decode(samples["inputs"]["images"])[..., 0], (raw[:, 0] * (255 / 16)).round()
    )
    assert samples["truth"] == list(range(10)) and samples["plane"] is None
    assert samples["layers"] == {"features.0": "Conv2d", "features.3": "Conv2d", "head.1": "Linear"}


def test_scores_and_changes_are_those_of_each_epoch(run_folder: Path) -> None:
    folder = run_folder / "digits"
    course = opened(folder).epochs(0)
    assert course["recorded"] == [0, 1, 2, 3, 4]
    assert [record["epoch"] for record in course["known"]] == [0, 1, 2, 3, 4]
    third = course["known"][3]
    network, history = network_at(folder, 3)
    with torch.no_grad():
        predictions = network.predict(history.samples.inputs[:10])
    np.testing.assert_allclose(third["scores"], predictions[range(10), range(10)], atol=1e-6)
    assert third["predicted"] == predictions.argmax(1).tolist()
    before, after = history.state_dict(2), history.state_dict(3)
    names = ("features.0.weight", "features.0.bias")
    change = torch.cat([(after[name] - before[name]).flatten() for name in names if name in after])
    size = torch.cat([before[name].flatten() for name in names if name in after])
    assert third["changes"]["features.0"] == pytest.approx(
        float(change.norm() / size.norm()), rel=1e-5
    )
    assert course["known"][0]["changes"] == {}
    assert opened(folder).epochs(3)["known"] == course["known"][3:]


def test_epochs_come_in_parts_where_they_take_long(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "BUDGET", -1.0)
    run = opened(run_folder / "digits")
    assert [record["epoch"] for record in run.epochs(0)["known"]] == [0]
    assert [record["epoch"] for record in run.epochs(1)["known"]] == [1]
    assert [record["epoch"] for record in run.epochs(0)["known"]] == [0, 1]


def test_the_boundary_of_two_columns_is_what_the_network_predicts(run_folder: Path) -> None:
    run = opened(run_folder / "cloud")
    boundary, plane = run.frame(4, 0)["boundary"], run.describe()["plane"]
    network, history = network_at(run_folder / "cloud", 4)
    assert plane["axes"] == ["a", "b"]
    np.testing.assert_allclose(
        decode(plane["points"]), cast(Tensor, history.samples.inputs), rtol=1e-6
    )
    n = frame_parts.GRID
    row, column = 7, 31
    x, y = (np.linspace(plane[axis][0], plane[axis][1], n) for axis in "xy")
    point = [[x[column], y[row]]]
    with torch.no_grad():
        expected = network.predict(torch.tensor(point, dtype=torch.float64))[0]
    assert decode(boundary["values"])[row, column] == pytest.approx(float(expected.max()), abs=1e-6)
    assert decode(boundary["classes"])[row, column] == int(expected.argmax())


def test_more_columns_are_drawn_on_the_plane_of_two_components(run_folder: Path) -> None:
    network, history = network_at(run_folder / "cloud", 4)
    # One column more, which the other two decide: the plane holds everything.
    columns = cast(Tensor, history.samples.inputs)
    spec = replace(network.data_spec.input, shape=(3,))
    network.data_spec = replace(network.data_spec, input=spec)
    matrix = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, -0.5]], dtype=torch.float64)
    network.preprocess = torch.nn.Identity()  # type: ignore[assignment]
    plane = frame_parts.plane_of(network, columns @ matrix)
    assert plane is not None and plane.origin is not None and plane.directions is not None
    assert "100% of their variance" in plane.note
    restored = plane.origin + plane.points @ plane.directions
    torch.testing.assert_close(restored, columns @ matrix)
    network.model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        drawn = frame_parts.on_plane(network, plane)
        point = (plane.origin + plane.grid()[0] @ plane.directions).float()
        expected = network.model(point).softmax(0)
    assert decode(drawn["values"])[0, 0] == pytest.approx(float(expected.max()), abs=1e-6)


def test_where_nothing_can_be_drawn_there_is_no_plane(run_folder: Path) -> None:
    network, history = network_at(run_folder / "cloud", 0)
    inputs = cast(Tensor, history.samples.inputs)
    assert frame_parts.plane_of(network, inputs[:2]) is None
    assert frame_parts.plane_of(network, inputs * torch.nan) is None
    spec = replace(network.data_spec.input, shape=(3,))
    network.data_spec = replace(network.data_spec, input=spec)
    network.preprocess = torch.nn.Linear(2, 1).double()  # type: ignore[assignment]
    assert frame_parts.plane_of(network, inputs) is None


def test_gates_are_those_of_the_sample(run_folder: Path) -> None:
    frame = opened(run_folder / "book").frame(3, 2)
    network, history = network_at(run_folder / "book", 3)
    raw = cast(Tensor, history.samples.inputs[2:3])
    expected = internals.gates(network, raw)["l0"]
    assert list(frame["gates"]["l0"]) == [
        "input",
        "forget",
        "candidate",
        "output",
        "cell",
        "hidden",
    ]
    for gate, values in frame["gates"]["l0"].items():
        np.testing.assert_allclose(decode(values), expected[gate][0].numpy(), atol=1e-6)
    (layer,) = frame["layers"]
    np.testing.assert_allclose(decode(layer["values"]), expected["hidden"].numpy(), atol=1e-5)


def test_a_language_model_writes_what_generate_writes(run_folder: Path) -> None:
    run = opened(run_folder / "book")
    network, _ = network_at(run_folder / "book", 4)
    writer = TextGenerator(network)
    writer.read("")
    assert run.frame(4, 0)["text"] == "".join(writer.write(240, Sampling(0.8, 40, 0)))
    assert "scores" not in run.epochs(4)["known"][0]
    samples = run.describe()
    assert samples["truth"][0] is None
    assert samples["inputs"]["texts"][0] == "".join(samples["inputs"]["tokens"][0])


def test_numbers_labels_and_sequences_are_shown_too(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same network serves other tasks and inputs, so that no more runs are trained."""
    run = opened(run_folder / "cloud")
    run.network.data_spec = replace(run.network.data_spec, task="multilabel")
    run.network.task.is_classification = False
    several = torch.tensor([1.0, 0.0] * len(run.inputs))
    run.history = replace(run.history, samples=replace(run.history.samples, targets=several))
    with torch.no_grad():
        predictions = run.network.predict(run.inputs)
    expected = (predictions[:, 0] + 1 - predictions[:, 1]) / 2
    np.testing.assert_allclose(run.epochs(0)["known"][0]["scores"], expected, atol=1e-6)
    assert set(frame_parts.on_plane(run.network, cast(Any, run.plane))) == {"values"}
    run.network.data_spec = replace(run.network.data_spec, task="regression")
    assert run._scores(predictions.numpy())["scores"] == predictions[:, 0].tolist()
    assert run._truth()[:2] == [1.0, 1.0]
    spec = replace(run.network.data_spec.input, kind="series")
    run.network.data_spec = replace(run.network.data_spec, input=spec)
    run.inputs = pad([torch.ones(3, 2), torch.zeros(5, 2)])
    curves = run._show_inputs()["curves"]
    assert [curve["shape"] for curve in curves] == [[3, 2], [5, 2]]


def test_categories_are_shown_by_name(run_folder: Path) -> None:
    run = opened(run_folder / "cloud")
    columns = run.network.data_spec.columns
    run.network.data_spec = replace(
        run.network.data_spec, columns=[columns[0], replace(columns[1], categories=["x", "y"])]
    )
    assert run._table_values(torch.tensor([1.5, 1.0])) == ["1.5000", "y"]
    assert run._table_values(torch.tensor([1.5, -1.0])) == ["1.5000", "–"]
    run.network.data_spec = replace(run.network.data_spec, columns=[])
    assert run._table_values(torch.tensor([1.5])) == ["1.5000"]


def test_large_layers_are_cut_and_said(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_parts, "MAX_SIDE", 2)
    monkeypatch.setattr(frame_parts, "MAX_LAYERS", 1)
    run = opened(run_folder / "digits")
    frame = run.frame(1, 0)
    assert frame["omissions"] == ["1 of 2 layers"]
    (layer,) = frame["layers"]
    network, history = network_at(run_folder / "digits", 1)
    raw = cast(Tensor, history.samples.inputs[:10])
    maps = internals.hidden_outputs(network, network.preprocess(raw))["features.2"].sum(1)
    pooled = maps.unflatten(1, (2, -1)).unflatten(3, (2, -1)).mean((2, 4))
    np.testing.assert_allclose(decode(layer["values"]), pooled.numpy(), atol=1e-5)


def test_many_units_and_steps_are_cut_and_said(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_parts, "MAX_UNITS", 3)
    frame = opened(run_folder / "cloud").frame(1, 0)
    assert frame["omissions"] == ["the first 3 units of a layer"]
    assert frame["layers"][0]["values"]["shape"] == [10, 3] and frame["layers"][0]["shape"] == [4]
    monkeypatch.setattr(frame_parts, "MAX_STATES", 2)
    monkeypatch.setattr(frame_parts, "MAX_STEPS", 6)
    run = opened(run_folder / "book")
    frame = run.frame(1, 0)
    assert frame["omissions"] == ["the first 2 units over time, and at most 6 steps, evenly spaced"]
    assert frame["gates"]["l0"]["forget"]["shape"] == [6, 2]
    network, history = network_at(run_folder / "book", 1)
    expected = internals.gates(network, cast(Tensor, history.samples.inputs[:1]))["l0"]["cell"]
    shown = decode(frame["gates"]["l0"]["cell"])
    np.testing.assert_allclose(shown, expected[0, ::3, :2], atol=1e-6)
    assert run.describe()["inputs"]["tokens"][0] == list("to be or not to ")[::3]


def test_layers_are_named_by_their_parameters() -> None:
    names = ["features.0.weight", "rnn.weight_ih_l1", "rnn.bias_hh_l0_reverse", "weight_hh_l0"]
    assert [frame_parts.layer_of(name) for name in names] == [
        "features.0",
        "rnn.l1",
        "rnn.l0",
        "rnn.l0",
    ]
    zero = {"0.weight": torch.zeros(2)}
    assert frame_parts.relative_changes(zero, {"0.weight": torch.ones(2)}) == {"0": 0.0}


def test_few_frames_are_kept(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAMES", 2)
    run = opened(run_folder / "cloud")
    for epoch in (0, 1, 2):
        run.frame(epoch, 0)
    assert list(run._frames) == [(1, 0), (2, 0)]
    assert run.frame(2, 0) is run.frame(2, 0)


@pytest.mark.parametrize(("epoch", "row"), [(5, 0), (1, 10), (1, 12)])
def test_what_is_not_recorded_is_not_found(run_folder: Path, epoch: int, row: int) -> None:
    with pytest.raises(LookupError):
        opened(run_folder / "cloud").frame(epoch, row)


def test_epochs_that_were_taken_back_are_forgotten(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(run_folder / "cloud")
    run.epochs(0)
    monkeypatch.setattr(History, "epochs", property(lambda self: [0, 1]))
    assert [record["epoch"] for record in run.epochs(0)["known"]] == [0, 1]
    assert list(run._epochs) == [0, 1]


def test_hostile_samples_are_errors_in_words(run_folder: Path, tmp_path: Path) -> None:
    run = opened(run_folder / "cloud")
    assert isinstance(run.network.task, Classification)
    run.history = replace(
        run.history, samples=replace(run.history.samples, targets=torch.tensor([9] * 12))
    )
    with pytest.raises(CheckpointError, match="none of its network's"):
        run.epochs(0)
    folder = tmp_path / "run" / "history"
    folder.mkdir(parents=True)
    assert Frames.open(RunDir(tmp_path / "run")) is None
    (folder / "start.pt").symlink_to(run_folder / "cloud" / "history" / "start.pt")
    with pytest.raises(CheckpointError, match="links are not followed"):
        Frames.open(RunDir(tmp_path / "run"))


def test_a_start_that_is_too_large_is_not_read(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MAX_START", 10)
    with pytest.raises(CheckpointError, match="too large"):
        Frames.open(RunDir(run_folder / "cloud"))
