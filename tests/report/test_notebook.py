"""The HTML of a training in a notebook."""

from __future__ import annotations

from nnzoo.report.notebook import training_html


def test_notes_are_text_and_each_recorded_metric_has_its_curve() -> None:
    rows = [{"epoch": 1, "train_loss": 1.0, "val_loss": 2.0, "val_rmse": 3.0}]
    html = training_html("<run>", ["a & b"], rows, 1)
    assert "<b>&lt;run&gt;</b><div>a &amp; b</div>" in html
    assert html.count("<svg") == 2 and "rmse by epoch" in html
    assert "<svg" not in training_html("run", [], [], None)
