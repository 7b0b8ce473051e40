"""Sections of a configuration: expected values in words, all issues at once, each at its place."""

from __future__ import annotations

from tests.config.config_cases import issues


def test_the_example_of_the_design_reads_as_it_is_written_there() -> None:
    text = (
        "data: digits\nmodel:\n  name: cnn\n  chanels: [8]\n  kernel_size: 0\noptim:\n  lr: fast\n"
    )
    assert issues(text) == [
        ("f.yaml:4:3", "model.chanels", "unknown key; did you mean 'channels'?"),
        ("f.yaml:5:16", "model.kernel_size", "expected a whole number of at least 1, got 0"),
        ("f.yaml:7:7", "optim.lr", "expected a number above 0, got 'fast'"),
    ]
