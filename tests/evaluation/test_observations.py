"""Observations on curves: over-fitting, not converged."""

from __future__ import annotations

from typing import Any

from nnzoo.config.load import load_config
from nnzoo.evaluation.observations import curve_observations
from tests import zoo


def curves(*val: float) -> list[str]:
    """Observations on validation losses while the training loss falls."""
    rows = [{"val_loss": loss, "train_loss": 1 / (i + 1)} for i, loss in enumerate(val)]
    best = min(range(len(val)), key=val.__getitem__) + 1
    return curve_observations(rows, best, zoo.config("mlp", "image"))


def test_a_loss_that_rises_while_training_falls_is_over_fitting() -> None:
    (remark,) = curves(1.0, 0.5, 0.4, 0.6, 0.8)
    assert remark.startswith(
        "Over-fitting: since epoch 3 the validation loss has risen from 0.4000"
    )


def test_a_loss_that_still_falls_has_not_converged() -> None:
    (remark,) = curves(1.0, 0.8, 0.6, 0.4)
    assert remark.startswith("Not converged yet")
    assert curves(1.0, 0.5, 0.5, 0.5) == []


def test_where_nothing_is_left_to_gain_nothing_is_said() -> None:
    """A classifier that is right on every row goes on gaining certainty."""
    assert curves(1.0, 0.01, 0.002, 0.0009) == []


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
