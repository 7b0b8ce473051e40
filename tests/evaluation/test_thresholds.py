"""Thresholds."""

from __future__ import annotations

from nnzoo.evaluation import diagnostics, observations, thresholds


def test_diagnoses_use_the_thresholds_that_explanations_print() -> None:
    for module in (diagnostics, observations):
        names = [name for name in vars(module) if name.isupper() and hasattr(thresholds, name)]
        assert names
        assert all(vars(module)[name] is getattr(thresholds, name) for name in names)
