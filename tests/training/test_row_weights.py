"""Weights of rows: a weight of 2 is the row given twice, 0 the row left out, in loss, gradients, training and metrics."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor

import nnzoo
from nnzoo.config.run_config import from_dict
from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import DataSpec, InputSpec, TaskName
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.data.preprocess import Scale
from nnzoo.data.read_dataset import read_dataset
from nnzoo.distributed import SingleProcess
from nnzoo.errors import DataError
from nnzoo.evaluation.evaluate import evaluate, evaluate_split
from nnzoo.evaluation.tasks.build import build_task
from nnzoo.evaluation.tasks.classification import Classification
from nnzoo.evaluation.tasks.task import Task
from nnzoo.training.fit import fit, open_trainer
from nnzoo.training.train_step import TrainerStack

CPU = torch.device("cpu")
CLOSE: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}


def some_task(kind: str, classes: int = 3) -> Task:
    """A task of 3 outputs; kind: classes, weighted classes, labels, or the name of a loss for numbers."""
    spec = DataSpec(InputSpec("table", (4,)), "regression", targets=list("abc")[:classes])
    if kind in ("classes", "balanced", "labels"):
        task: TaskName = "multilabel" if kind == "labels" else "classification"
        spec = DataSpec(InputSpec("table", (4,)), task, labels=list("abc")[:classes])
        weights = torch.tensor([0.5, 1.0, 3.0])[:classes] if kind == "balanced" else None
        return build_task(TrainOptions(label_smoothing=0.1), spec, weights, None)
    return build_task(TrainOptions(loss=kind), spec, None, Scale(classes, "none"))  # type: ignore[arg-type]


def some_rows(task: Task, rows: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, targets and whole weights of 0 to 3."""
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(rows, task.outputs, generator=generator)
    if isinstance(task, Classification):
        target = torch.randint(task.outputs, (rows,), generator=generator)
    else:
        target = (torch.randn(rows, task.outputs, generator=generator) > 0).double()
    return output, target, torch.randint(4, (rows,), generator=generator).double()


KINDS = ["classes", "balanced", "labels", "mse", "mae", "huber"]


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradient_of_weights_are_those_of_repeated_rows(
    kind: str, members: int, native: bool
) -> None:
    task = some_task(kind)
    task.use_native = native
    output, target, weights = some_rows(task, 20 * members)
    times = weights.long()
    expected = [output.clone().requires_grad_(), output.clone().requires_grad_()]
    # A network's output is no leaf.
    whole = (expected[0] * 1, target, weights)
    ends = [slice(20 * i, 20 * i + 20) for i in range(members)]
    denominators = [task.denominator(target[rows], weights[rows]) for rows in ends]
    result = task.compute_loss(*whole[:2], denominators, weights)
    result.backward()
    total = torch.zeros(())
    for i, rows in enumerate(ends):
        y = target[rows].repeat_interleave(times[rows], 0)
        x = expected[1][rows].repeat_interleave(times[rows], 0)
        torch.testing.assert_close(float(denominators[i]), float(task.denominator(y)), **CLOSE)
        loss = task.loss(x, y)
        assert result.to_lists()[0][i] == pytest.approx(float(loss.detach()), rel=1e-6)
        total = total + loss / task.denominator(y)
    total.backward()
    torch.testing.assert_close(expected[0].grad, expected[1].grad, **CLOSE)


@pytest.mark.parametrize("classes", [2, 3])
def test_weighted_metrics_of_classes_are_scikit_learns(classes: int) -> None:
    task = some_task("classes", classes)
    output, target, _ = some_rows(task, 150)
    weights = torch.rand(150, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    result = metrics_of(task, output, target, weights * 3)
    w, y, p = weights.numpy(), target.numpy(), output.argmax(1).numpy()
    weighted = result["weighted"]
    assert weighted["accuracy"] == pytest.approx(
        reference.accuracy_score(y, p, sample_weight=w), abs=1e-9
    )
    scores = reference.precision_recall_fscore_support(y, p, average="macro", sample_weight=w)
    for name, score in zip(("precision_macro", "recall_macro", "f1_macro"), scores, strict=False):
        assert weighted[name] == pytest.approx(score, abs=1e-9)
    probabilities = output.double().softmax(1).numpy()
    loss = reference.log_loss(y, probabilities, sample_weight=w)
    assert weighted["loss"] == pytest.approx(loss, abs=1e-6)  # of float32
    if classes == 2:
        for name, function in (
            ("auc", reference.roc_auc_score),
            ("average_precision", reference.average_precision_score),
        ):
            score = function(y, probabilities[:, 1], sample_weight=w)
            assert weighted[name] == pytest.approx(score, abs=1e-9)
        assert weighted["f1"] == pytest.approx(reference.f1_score(y, p, sample_weight=w), abs=1e-9)
    plain = metrics_of(task, output, target)
    assert {name: value for name, value in result.items() if name != "weighted"} == plain


def metrics_of(
    task: Task, output: Tensor, target: Tensor, weights: Tensor | None = None
) -> dict[str, Any]:
    """The metrics of outputs that are added in batches of 40."""
    split = TensorSplit(output, target, weights=weights)
    state = task.split_metrics(split, CPU)
    for rows in torch.arange(len(target)).split(40):
        task.add_batch(state, output[rows], target[rows])
    return task.compute_metrics(state)


def test_weighted_metrics_of_numbers_are_scikit_learns() -> None:
    task = some_task("mse", 2)
    output, target = torch.randn(90, 2), torch.randn(90, 2, dtype=torch.float64)
    weights = torch.rand(90, dtype=torch.float64)
    weighted = metrics_of(task, output, target, weights)["weighted"]
    arrays: dict[str, Any] = {"sample_weight": weights.numpy()}
    y, p = target.numpy(), output.double().numpy()
    rmse = reference.root_mean_squared_error(y, p, **arrays)
    assert weighted["rmse"] == pytest.approx(rmse, abs=1e-9)
    assert weighted["mae"] == pytest.approx(reference.mean_absolute_error(y, p, **arrays), abs=1e-9)
    assert weighted["r2"] == pytest.approx(reference.r2_score(y, p, **arrays), abs=1e-9)


def test_weighted_metrics_of_labels_are_scikit_learns() -> None:
    task = some_task("labels")
    output, target, _ = some_rows(task, 90)
    weights = torch.rand(90, dtype=torch.float64)
    weighted = metrics_of(task, output, target, weights)["weighted"]
    arrays: dict[str, Any] = {"sample_weight": weights.numpy()}
    y, scores = target.numpy(), output.sigmoid().double().numpy()
    f1 = reference.f1_score(y, scores >= 0.5, average="macro", **arrays)
    assert weighted["f1_macro"] == pytest.approx(f1, abs=1e-9)
    exact = reference.accuracy_score(y, scores >= 0.5, **arrays)
    assert weighted["exact_match"] == pytest.approx(exact, abs=1e-9)
    auc = reference.roc_auc_score(y, scores, average="macro", **arrays)
    assert weighted["auc_macro"] == pytest.approx(auc, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_of_weights_are_those_of_repeated_rows_of_any_scale(kind: str) -> None:
    task = some_task(kind, 2)
    output, target, weights = some_rows(task, 60)
    times = weights.long()
    repeated = metrics_of(
        task, output.repeat_interleave(times, 0), target.repeat_interleave(times, 0)
    )
    weighted = metrics_of(task, output, target, weights)["weighted"]
    scaled = metrics_of(task, output, target, weights * 1e-3)["weighted"]
    for name in task.metric_names:
        near = 1e-6 if name == "loss" else 1e-9  # losses are computed in float32
        assert weighted[name] == pytest.approx(repeated[name], abs=near)
        assert scaled[name] == pytest.approx(repeated[name], abs=near)


# Whole runs.


def table(path: Path, task: str, repeat: bool) -> str:
    """A table of rows of weights 0 to 3, or of each row as often."""
    rng = np.random.default_rng(3)
    lines = ["a,b,kind,w,part,label"]
    for i in range(150):
        a, b, kind = rng.normal(), rng.normal(), "uvw"[rng.integers(3)]
        label = (
            f"{a + 0.3 * b + rng.normal():.4f}"
            if task == "mse"
            else ["no", "yes"][int(a + rng.normal() > 0)]
        )
        weight, part = int(rng.integers(4)), ("train", "val", "test")[max(0, i // 25 - 3)]
        cells = f"{a:.4f},{'' if i % 17 == 3 else f'{b:.4f}'},{kind}"
        lines += [f"{cells},{1 if repeat else weight},{part},{label}"] * (weight if repeat else 1)
    path.write_text("\n".join(lines))
    return str(path)


def table_config(path: str, **changes: Any) -> dict[str, Any]:
    data = {
        "name": "csv",
        "path": path,
        "target": "label",
        "drop": ["w"],
        "split": {"column": "part"},
    }
    return {
        "name": "t",
        "data": data | changes.pop("data", {}),
        "model": {"name": "mlp", "hidden": [8]},
        "optim": {"name": "adam", "lr": 0.02},
        "train": {"epochs": 5, "batch_size": 1000, "kernels": "torch"} | changes.pop("train", {}),
        **changes,
    }


def trained(tree: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any], Dataset]:
    """The rows of all epochs, the metrics of the test rows, and the data."""
    config = from_dict(tree, "t.yaml")
    dataset = read_dataset(config)
    trainer = open_trainer(config, dataset, CPU)
    rows = [event.row for event in fit(trainer)]
    report = evaluate(trainer.network, trainer.splits["test"], trainer.task, CPU)
    return rows, report, dataset


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("classes", {}),
        ("classes", {"data": {"class_weights": "balanced"}, "train": {"kernels": "auto"}}),
        ("mse", {"train": {"loss": "huber"}}),
        ("mse", {"model": {"name": "mlp", "hidden": [8], "ensemble": 3}}),
    ],
)
def test_a_run_with_weights_is_the_run_of_repeated_rows(
    task: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    weighted = table_config(table(tmp_path / "w.csv", task, False), **copy.deepcopy(changes))
    weighted["data"] |= {"weight": "w", "drop": []}
    repeated = table_config(table(tmp_path / "r.csv", task, True), **copy.deepcopy(changes))
    rows, report, dataset = trained(weighted)
    expected, repeated_report, _ = trained(repeated)
    for row, other in zip(rows, expected, strict=True):
        for name in ("train_loss", "val_loss", "gradient_norm"):
            assert row[name] == pytest.approx(other[name], rel=1e-6, abs=1e-6)
    for name in ("loss", "accuracy", "auc", "f1_macro", "rmse", "mae", "r2"):
        if name in repeated_report:
            assert report["weighted"][name] == pytest.approx(repeated_report[name], abs=1e-6)
    assert report["n"] == 25 and report["weighted"]["n"] == repeated_report["n"]
    notes = " ".join(dataset.notes)
    assert "column 'w' has the weight of each row, and is no input" in notes
    assert "training rows of weight 0 left out (data.weight)" in notes


def test_members_batches_and_processes_weigh_as_one_network_does(tmp_path: Path) -> None:
    tree = table_config(table(tmp_path / "w.csv", "classes", False))
    tree["data"] |= {"weight": "w", "drop": []}
    tree["train"] |= {"batch_size": 16, "accumulate_grad_batches": 3}
    config = from_dict(tree, "t.yaml")
    dataset = read_dataset(config)
    alike = [open_trainer(config, dataset, CPU) for _ in range(2)]
    one, large = open_trainer(config, dataset, CPU), open_trainer(config, dataset, CPU)
    large.config = replace(
        config,
        train=config.train.model_copy(update={"batch_size": 48, "accumulate_grad_batches": 1}),
    )
    rows = torch.arange(48)[None]
    TrainerStack([one]).train_step(rows)
    TrainerStack([large]).train_step(rows)
    TrainerStack(alike).train_step(rows.repeat(2, 1))
    for parameters in zip(
        one.parameters, large.parameters, *(t.parameters for t in alike), strict=True
    ):
        for other in parameters[1:]:
            torch.testing.assert_close(parameters[0], other, **CLOSE)
    # Each of two processes divides by the weights of all rows of a step.
    shard = open_trainer(config, dataset, CPU)
    stack = TrainerStack([shard])
    whole = stack.batches.denominators(rows, stack.batches.load(rows))
    stack.batches.processes = SecondOfTwo()
    halves = stack.batches.load(rows)
    assert float(stack.batches.denominators(rows, halves)[0]) == float(whole[0])
    assert [len(batch.weights) for batch in halves if batch.weights is not None] == [8, 8, 8]
    # Members are validated in one pass, each with the same weights.
    val = evaluate(one.network, one.splits["val"], one.task, CPU)["weighted"]
    for report in TrainerStack(alike)._validate():
        assert report is not None and report["weighted"]["n"] == val["n"]


class SecondOfTwo(SingleProcess):
    is_distributed = True
    rank = 1
    world_size = 2


def test_recordings_of_any_length_have_weights(tmp_path: Path) -> None:
    def write(path: Path, repeat: bool) -> str:
        rng = np.random.default_rng(0)
        lines, number = ["id,x,label,w,part"], 0
        for i in range(60):
            weight, part = int(rng.integers(4)), ("train", "val", "test")[max(0, i // 10 - 3)]
            values = rng.normal(size=rng.integers(3, 8)) + i % 2
            for _ in range(weight if repeat else 1):
                number += 1
                cells = f"{'ud'[i % 2]},{1 if repeat else weight},{part}"
                lines += [f"{number},{x:.4f},{cells}" for x in values]
        path.write_text("\n".join(lines))
        return str(path)

    results = []
    for repeat in (False, True):
        data: dict[str, Any] = {
            "name": "recordings",
            "id": "id",
            "target": "label",
            "channels": ["x"],
        }
        data |= {"path": write(tmp_path / f"{repeat}.csv", repeat), "split": {"column": "part"}}
        data |= {} if repeat else {"weight": "w"}
        tree = table_config("", data={}) | {
            "data": data,
            "model": {"name": "gru", "hidden_size": 4},
        }
        results.append(trained(tree))
    (rows, report, dataset), (expected, other, _) = results
    assert dataset.splits["train"].lengths is not None
    for row, repeated in zip(rows, expected, strict=True):
        assert row["train_loss"] == pytest.approx(repeated["train_loss"], rel=1e-6)
        assert row["val_loss"] == pytest.approx(repeated["val_loss"], rel=1e-6)
    assert report["weighted"]["accuracy"] == pytest.approx(other["accuracy"], abs=1e-9)


def test_texts_have_weights_and_predict_takes_files_without_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    words = {"good": ["fine", "nice", "great"], "bad": ["poor", "awful", "dull"]}
    lines = ["text,label,w"]
    for i in range(80):
        label = ("good", "bad")[i % 2]
        lines.append(f"{' '.join(rng.choice(words[label], 4))},{label},{1 + i % 3}")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    (tmp_path / "new.csv").write_text("text\nfine nice\npoor dull\n")
    config = tmp_path / "t.yaml"
    config.write_text(
        f"name: t\ndata: {{name: text, path: {tmp_path / 't.csv'}, target: label, text: text, weight: w}}\n"
        "model: {name: gru, hidden_size: 4}\ntrain: {epochs: 1}\n"
    )
    run = nnzoo.train(str(config), out=str(tmp_path / "out")).fit()
    assert run is not None
    model = nnzoo.load(str(tmp_path / "out" / "t"))
    assert len(model.predict(str(tmp_path / "new.csv"))) == 2


@pytest.mark.parametrize("split", [{"by": "t", "test": 25}, {"column": "part"}])
def test_no_test_row_moves_a_bit_of_what_is_learned(split: dict[str, Any], tmp_path: Path) -> None:
    path = Path(table(tmp_path / "w.csv", "classes", False))
    head, *lines = path.read_text().splitlines()
    ends = []
    for poisoned in (False, True):
        rows = [line.split(",") for line in lines]
        for row in rows[125:] if poisoned else []:
            row[:4] = ["1e9", "-7", "new", "1000"]
        timed = [",".join([*row, str(2000 + i)]) for i, row in enumerate(rows)]
        path.write_text("\n".join([f"{head},t", *timed]))
        tree = table_config(str(path), data={"weight": "w", "split": split, "drop": ["part", "t"]})
        tree["data"]["drop"] = [name for name in ("part", "t") if name not in split.values()]
        config = from_dict(tree, "t.yaml")
        dataset = read_dataset(config)
        trainer = open_trainer(config, dataset, CPU)
        rows_of_epochs = [
            event.row | {"seconds": 0, "samples_per_second": 0} for event in fit(trainer)
        ]
        state = trainer.model.state_dict() | trainer.network.preprocess.state_dict()
        ends.append((rows_of_epochs, state))
    (first, weights), (second, others) = ends
    assert first == second
    assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", "", "2"], "'w' is empty in data row 2; write 1 for an ordinary row"),
        (["1", "2", "-1"], "'w' is below zero ('-1') in data row 3; weights are numbers from 0 on"),
        (
            ["1", "x", "inf"],
            "'w' is no number up to 1e+30 ('x') in data row 2, data row 3; correct it",
        ),
        (["1", "2", "1e31"], "'w' is no number up to 1e+30 ('1e31') in data row 3"),
        (["0", "0", "0"], "'w' is 0 in every train row; some must count"),
    ],
)
def test_weights_that_are_none_are_named(cells: list[str], message: str, tmp_path: Path) -> None:
    rows = [f"{i},{['no', 'yes'][i % 2]},{w}" for i, w in enumerate([*cells, *"01" * 8])]
    rows[3:] = [row[:-1] + ("0" if set(cells) == {"0"} else row[-1]) for row in rows[3:]]
    (tmp_path / "t.csv").write_text("\n".join(["x,label,w", *rows]))
    tree = table_config(str(tmp_path / "t.csv"), data={"weight": "w", "drop": [], "split": {}})
    with pytest.raises(DataError) as error:
        read_dataset(from_dict(tree, "t.yaml"))
    assert message in str(error.value)


def test_a_test_file_may_lack_weights_and_they_are_in_the_fingerprint(tmp_path: Path) -> None:
    rows = [f"{i},{['no', 'yes'][i % 2]},{i % 4}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["x,label,w", *rows]))
    (tmp_path / "u.csv").write_text("\n".join(["x,label", *(row[:-2] for row in rows)]))
    data = {"weight": "w", "drop": [], "split": {}, "test_path": str(tmp_path / "u.csv")}
    tree = table_config(str(tmp_path / "t.csv"), data=data)
    dataset = read_dataset(from_dict(tree, "t.yaml"))
    assert dataset.splits["test"].weights is None
    assert any(
        note.endswith("u.csv has no column 'w': its rows count alike (data.weight)")
        for note in dataset.notes
    )
    train = dataset.splits["train"]
    assert train.weights is not None and bool((train.weights > 0).all())
    before = dataset.fingerprint()
    dataset.splits["train"] = replace(train, weights=train.weights * 2)  # type: ignore[type-var]
    assert dataset.fingerprint() != before
    dataset.splits["train"] = replace(train, weights=None)  # type: ignore[type-var]
    assert dataset.fingerprint() != before


@pytest.mark.parametrize("task", ["classes", "mse"])
def test_baselines_have_weighted_metrics_too(task: str, tmp_path: Path) -> None:
    tree = table_config(table(tmp_path / "w.csv", task, False), data={"weight": "w", "drop": []})
    tree["data"]["split"] = {"column": "part"}
    config = from_dict(tree, "t.yaml")
    dataset = read_dataset(config)
    trainer = open_trainer(config, dataset, CPU)
    result = evaluate_split(trainer.network, dataset, "test")
    weights = dataset.splits["test"].weights
    assert weights is not None
    (base,) = (
        one
        for one in result.get("baselines", [result["baseline"]])
        if one["name"] in ("mean", "majority class")
    )
    targets = dataset.splits["test"].targets()
    if task == "classes":
        right = (targets == dataset.spec.labels.index(base["label"])).double()
        assert base["weighted"]["accuracy"] == pytest.approx(float(right @ weights / weights.sum()))
    else:
        train = dataset.splits["train"]
        assert train.weights is not None
        mean = train.weights @ train.targets() / train.weights.sum()
        error = float(((targets - mean)[:, 0] ** 2) @ weights / weights.sum())
        assert base["weighted"]["mse"] == pytest.approx(error)
