"""Statistics in fine-tuning: when those of the source are kept, and what is noted."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch

from nnzoo.errors import ConfigError
from tests.models.started_runs import (
    MLP,
    SOURCE,
    best_network,
    note_of,
    start_run,
    train_run,
    write_columns,
)
from tests.zoo import begin, config, same


def test_the_same_network_starts_as_it_was_with_the_statistics_of_its_source() -> None:
    source = train_run(MLP, "table_number")
    run = start_run(MLP, {"name": "diabetes", "split": {"seed": 3}})
    raw = torch.randn(5, 10, dtype=torch.float64) * 50 + 50
    run.network.eval()
    assert torch.equal(run.network.predict(raw), best_network().predict(raw))
    assert note_of(run, "started from").endswith(
        "): 4 of 4 tensors came from there: 1.weight, 1.bias, 3.weight, 3.bias"
    )
    assert "kept from there (of this run's" in note_of(run, "scaling of the inputs")
    assert "kept from there (of this run's" in note_of(run, "scaling of the target")
    assert note_of(run, "the source was trained on the same data with other rows")
    sha256 = hashlib.sha256(source.folder.best.read_bytes()).hexdigest()
    origin = run.network.origin
    assert origin["sha256"] == sha256
    assert sha256 in run.folder.config.read_text()
    assert origin["notes"] == [text for text in run.notes if text in origin["notes"]]


def test_statistics_can_be_fitted_anew() -> None:
    train_run(MLP, "table_number")
    data = {"name": "diabetes", "split": {"seed": 3}}
    run = start_run(MLP, data, {"path": SOURCE, "scaling": "fit"})
    plain = begin(config(MLP, data, name="plain"))
    assert same(run.network.preprocess.state_dict(), plain.network.preprocess.state_dict())
    assert not same(run.network.preprocess.state_dict(), best_network().preprocess.state_dict())
    assert note_of(run, "scaling of the inputs").endswith("training rows, as asked")


@pytest.mark.parametrize(
    ("here", "reason"),
    [
        (
            {"name": "digits", "preprocess": {"scale": "minmax"}},
            "data.preprocess is another one there",
        ),
        ({"name": "iris"}, "the inputs there are of kind image"),
    ],
)
def test_statistics_of_other_inputs_are_not_kept_and_the_reason_is_named(
    here: dict[str, Any], reason: str
) -> None:
    train_run({"name": "mlp", "hidden": [16, 8]}, "image")
    run = start_run({"name": "mlp", "hidden": [16, 8]}, here)
    assert note_of(run, "scaling of the inputs").endswith(f"training rows, as {reason}")
    with pytest.raises(ConfigError, match=f"cannot keep that of the inputs: {reason}"):
        start_run({"name": "mlp", "hidden": [16, 8]}, here, {"path": SOURCE, "scaling": "keep"})


def test_statistics_that_fit_badly_are_reported() -> None:
    values = {"a": [1.0, 2.0, 3.0, 5.0], "b": [2.0, 1.0, 1.0, 3.0], "y": [1.5, 2.5, 3.5, 9.5]}
    train_run(MLP, write_columns(values, "a.csv"))
    values["a"] = [1000.0, 2000.0, 2500.0, 4500.0]
    run = start_run(MLP, write_columns(values, "b.csv"))
    assert "these fit badly: set model.start_from to {path: …, scaling: fit}" in note_of(
        run, "scaling of the inputs"
    )
    assert "badly" not in note_of(run, "scaling of the target")
