"""Decisions by costs and thresholds, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
import yaml

from nnzoo.api import load
from nnzoo.config.eval_options import DecideOptions, EvalOptions
from nnzoo.config.json_schema import json_schema
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.errors import ConfigError, DataError
from nnzoo.evaluation.decision import Decision, check_decision, fit_decision
from tests.calibrated_runs import table_config, write_table

LABELS = ["cat", "dog", "eel"]


def decision(
    options: dict[str, Any], rows: int = 300
) -> tuple[Decision, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(rows, 3, generator=generator).softmax(1)
    targets = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
    fitted = fit_decision(DecideOptions.model_validate(options), LABELS, probabilities, targets)
    return fitted, probabilities, targets


def test_costs_choose_the_class_of_the_smallest_expected_cost() -> None:
    matrix = [[0, 1, 1], [5, 0, 1], [1, 1, 0]]
    by_name = {
        "cat": {"dog": 1, "eel": 1},
        "dog": {"cat": 5, "eel": 1},
        "eel": {"cat": 1, "dog": 1},
    }
    one, probabilities, targets = decision({"cost": matrix})
    other, _, _ = decision({"cost": by_name})
    classes = one.classes(probabilities)
    assert classes.equal(other.classes(probabilities))
    expected = probabilities.double() @ torch.tensor(matrix, dtype=torch.float64)
    assert classes.equal(expected.argmin(1))
    counts = [torch.zeros(3, 3, dtype=torch.int64) for _ in range(2)]
    for count, predicted in zip(counts, (classes, probabilities.argmax(1)), strict=True):
        count.index_put_((targets, predicted), torch.tensor(1), accumulate=True)
    report = one.report(*counts)
    assert report["cost_per_row"] < report["cost_per_row_before"]
    costs = torch.tensor(matrix)[targets, classes]
    assert report["cost_per_row"] == pytest.approx(float(costs.double().mean()))
    assert "smallest expected cost" in one.describe()


def test_recall_takes_the_largest_threshold_that_reaches_it() -> None:
    fitted, probabilities, targets = decision({"recall": 0.95, "of": "dog"})
    is_dog = targets == 1

    def recall(threshold: float) -> float:
        return float((probabilities[is_dog, 1] >= threshold).double().mean())

    assert recall(fitted.threshold) >= 0.95 > recall(fitted.threshold + 1e-6)
    classes = fitted.classes(probabilities)
    assert ((classes == 1) == (probabilities[:, 1] >= fitted.threshold)).all()
    others = classes != 1
    best_other = probabilities[:, [0, 2]].argmax(1) * 2
    assert classes[others].equal(best_other[others])
    assert "'dog' is predicted from a probability of" in fitted.describe()


def test_precision_takes_the_smallest_threshold_that_reaches_it() -> None:
    fitted, probabilities, targets = decision({"precision": 0.6, "of": "eel"})

    def precision(threshold: float) -> float:
        return float((targets[probabilities[:, 2] >= threshold] == 2).double().mean())

    assert precision(fitted.threshold) >= 0.6
    lower = probabilities[:, 2][probabilities[:, 2] < fitted.threshold]
    assert all(precision(float(threshold)) < 0.6 for threshold in lower)


def test_what_validation_rows_cannot_give_is_refused() -> None:
    options = DecideOptions(recall=0.9, of="eel")
    probabilities = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    with pytest.raises(DataError, match="no validation row has the class 'eel'"):
        fit_decision(options, LABELS, probabilities, torch.tensor([0, 1]))
    options = DecideOptions(precision=0.9, of="cat")
    with pytest.raises(
        DataError, match=r"reaches 0.9 on the validation rows; the best precision is 0$"
    ):
        fit_decision(options, LABELS, probabilities, torch.tensor([1, 1]))


def spec(task: str = "classification", labels: list[str] = LABELS) -> DataSpec:
    return DataSpec(InputSpec("table", (2,)), task, labels=labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"recall": 0.9, "of": "dgo"}, "no class 'dgo'; did you mean 'dog'"),
        ({"recall": 0.9, "of": 7}, "no class '7'; it has cat, dog, eel"),
        ({"cost": [[0, 1], [1, 0]]}, "expected 3 rows of 3 costs, in the order cat, dog, eel"),
        ({"cost": {"cat": {"dog": 1}}}, r"a cost is missing: {cat: {eel: …}}"),
        ({"cost": {"cat": {"dgo": 1}}}, "eval.decide.cost.cat .* did you mean 'dog'"),
    ],
)
def test_options_that_do_not_fit_the_classes_are_refused(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        check_decision(DecideOptions.model_validate(options), spec())


def test_labels_are_found_in_other_spellings() -> None:
    check_decision(DecideOptions.model_validate({"recall": 0.9, "of": 1}), spec(labels=["0", "1"]))
    check_decision(DecideOptions.model_validate({"recall": 1.0, "of": "Dog"}), spec())


def test_numbers_have_no_decision() -> None:
    with pytest.raises(ConfigError, match="is for classes"):
        check_decision(DecideOptions(recall=0.9, of="a"), spec("regression", []))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "give one of: cost, recall, precision"),
        ({"recall": 0.9, "cost": [[0]]}, "give one of"),
        ({"recall": 0.9}, "of which class"),
        ({"cost": [[0]], "of": "a"}, "goes with recall or precision"),
    ],
)
def test_one_rule_is_given(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        EvalOptions.model_validate({"decide": options})


COST = {
    "high": {"low": 1, "mid": 1},
    "low": {"high": 9, "mid": 9},
    "mid": {"high": 1, "low": 1},
}
RULES: list[dict[str, Any]] = [{"cost": COST}, {"recall": 0.9, "of": "high"}]


def write_config(decide: dict[str, Any], **sections: Any) -> Path:
    path = Path("d.yaml")
    tree = table_config("kind", eval={"decide": decide}, **sections)
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


@pytest.mark.parametrize("decide", RULES)
def test_a_decision_is_kept_by_resume_and_may_change_there(
    decide: dict[str, Any], nnzoo: Callable[..., Any]
) -> None:
    write_table()
    path = write_config(decide)
    assert nnzoo("train", path, "--out", "straight").code == 0
    assert nnzoo("train", path, "--out", "out", "-s", "train.epochs=1").code == 0
    resumed = nnzoo("train", path, "--out", "out", "--resume", "must")
    assert resumed.code == 0, resumed.err
    one, other = (nnzoo("eval", f"{out}/kind", "--json").json for out in ("straight", "out"))
    assert one["decision"] == other["decision"]
    assert one["decision"]["rule"] == ("cost" if "cost" in decide else "threshold")
    (changed,) = (rule for rule in RULES if rule != decide)
    path = write_config(changed)
    assert nnzoo("train", path, "--out", "out", "--resume", "must").code == 0
    result = nnzoo("eval", "out/kind", "--json").json["decision"]
    assert result["rule"] != one["decision"]["rule"]


@pytest.mark.parametrize("decide", RULES)
def test_each_seed_and_their_group_decide(
    decide: dict[str, Any], nnzoo: Callable[..., Any]
) -> None:
    frame = write_table()
    trained = nnzoo("train", write_config(decide), "--seeds", 2, "--out", "out")
    assert trained.code == 0, trained.err
    for folder in ("out/kind-seeds/seed-0", "out/kind-seeds"):
        decision = nnzoo("eval", folder, "--json").json["decision"]
        model = load(folder)
        predicted = model.predict(frame[140:])
        hits = [a == b for a, b in zip(predicted.labels, frame["kind"][140:], strict=True)]
        assert decision["accuracy"] == pytest.approx(sum(hits) / len(hits))
        assert predicted.labels != [predicted.names[i] for i in predicted.values.argmax(1)]


@pytest.mark.parametrize("decide", RULES)
def test_trials_of_a_sweep_decide(decide: dict[str, Any], nnzoo: Callable[..., Any]) -> None:
    write_table()
    path = write_config(decide, sweep={"trials": 2, "space": {"optim.lr": [0.01, 0.02]}})
    result = nnzoo("sweep", path, "--json")
    assert result.code == 0, result.err
    files = sorted(Path().glob("**/best.pt"))
    assert files
    for file in files:
        assert nnzoo("eval", file.parent, "--json").json["decision"]["accuracy"] > 0


@pytest.mark.parametrize(
    ("decide", "message"),
    [
        ({"recall": 2, "of": "high"}, "eval.decide.recall"),
        ({"recall": 0.9}, "of which class?"),
        ({"cost": [[0, 1], [1, -1]]}, "eval.decide.cost"),
        ({"recall": 0.9, "cost": COST}, "give one of: cost, recall, precision"),
    ],
)
def test_a_wrong_decision_is_found_by_check(
    decide: dict[str, Any], message: str, nnzoo: Callable[..., Any]
) -> None:
    write_table()
    result = nnzoo("check", write_config(decide))
    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize("decide", RULES)
def test_check_and_the_schema_accept_a_decision(
    decide: dict[str, Any], nnzoo: Callable[..., Any]
) -> None:
    write_table()
    path = write_config(decide)
    assert nnzoo("check", path).code == 0
    schema = jsonschema.Draft202012Validator(json_schema())
    tree = yaml.safe_load(path.read_text())
    assert list(schema.iter_errors(tree)) == []
    tree["eval"]["decide"] |= {"recal": 1}
    assert list(schema.iter_errors(tree)) != []
