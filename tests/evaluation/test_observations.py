"""Observations on curves: over-fitting, not converged."""

from __future__ import annotations

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
