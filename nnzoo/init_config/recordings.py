"""A first configuration for recordings: many sequences, each with a class or a number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzoo.config.formatting import flow_yaml, quote_yaml
from nnzoo.config.recording_options import RecordingsOptions
from nnzoo.errors import DataError
from nnzoo.init_config.config_text import ConfigText, DataFile, comment_lines, join_sections
from nnzoo.init_config.find_recordings import RecordingsPlan, test_part_beside
from nnzoo.init_config.group import group_lines
from nnzoo.init_config.target import Choices
from nnzoo.text import Note, list_some

if TYPE_CHECKING:
    from nnzoo.data.dataset import Dataset


def recordings_config(
    path: Path,
    config_path: str,
    choices: Choices,
    plan: RecordingsPlan = RecordingsPlan({}),
    file: DataFile | None = None,
) -> ConfigText:
    """The configuration of recordings; file: the table that they are in, if it is one.

    Also where it cannot train yet: comments say why.
    """
    options: dict[str, Any] = {
        key: value for key, (value, _) in plan.keys.items() if key != "group"
    }
    if choices.task is not None:
        options["task"] = choices.task
    if "targets" in options:
        options["targets"] = str(path.parent / options["targets"])
    head = ["data:", "  name: recordings", f"  path: {quote_yaml(config_path)}"]
    if file is not None:
        head = file.head_lines("recordings")
        options |= {"header": file.header, "encoding": file.reading.encoding}
    lines = []
    other = test_part_beside(path)
    if other is not None:
        options["test_path"] = str(other)
        config_test_path = os.path.join(os.path.dirname(config_path), other.name)
        lines.append(f"  test_path: {quote_yaml(config_test_path)}    # the test part")
    for key, (value, comment) in plan.keys.items():
        if key == "targets":
            value = os.path.join(os.path.dirname(config_path), str(value))
        if key != "group":
            lines.append(f"  {key}: {flow_yaml(value)}" + f"    # {comment}" * bool(comment))
    lines += [f"  task: {choices.task}"] * (choices.task is not None)
    group = plan.keys.get("group", (None, ""))[0]
    dataset, refusal = _try_loading(path, options | ({"split": {"group": group}} if group else {}))
    if group is not None and dataset is None:
        without, _ = _try_loading(path, options)
        lines += group_lines(str(group), refusal if without is not None else "")
        dataset = without
    elif group is not None:
        lines += group_lines(str(group), "")
    notes = [Note("N48", f"cannot train yet: {refusal}")] if dataset is None else dataset.notes[1:]
    lines += comment_lines(notes)
    return ConfigText(
        _about(path, dataset),
        join_sections([*head, *lines], _recipe(dataset)),
        [*plan.notes, *notes],
    )


def _try_loading(path: Path, options: dict[str, Any]) -> tuple[Dataset | None, str]:
    """The data as training reads it, or why it cannot."""
    from nnzoo.data.recordings import load_recordings

    try:
        return load_recordings(
            RecordingsOptions.model_validate({"name": "recordings", "path": str(path), **options})
        ), ""
    except DataError as error:
        return None, str(error)


def _about(path: Path, dataset: Dataset | None) -> str:
    if dataset is None:
        return f"{path.resolve().name}: recordings."
    count = dataset.notes[0].removeprefix("recordings: ")
    spec = dataset.spec
    target = "a number"
    if spec.is_classification:
        target = f"{len(spec.labels)} classes ({list_some(spec.labels, 6)})"
    return f"{path.resolve().name}: {count}; the target is {target}."


def _recipe(dataset: Dataset | None) -> dict[str, dict[str, Any]]:
    """The sections `model`, `optim` and `train`, chosen by folds of public problems (docs/sequences.md)."""
    rows = 0 if dataset is None else len(dataset.splits["train"])
    validates = dataset is None or "val" in dataset.splits
    stop = {"early_stopping": {"patience": 25}} if validates else {}
    batch = 16 if rows < 1000 else 32 if rows < 10_000 else 64
    layers = {"channels": [64, 128, 64], "kernel_size": [8, 5, 3], "norm": "batch", "pool": "none"}
    return {
        "model": {"name": "cnn", **layers, "head": {"pooling": "average"}},
        "optim": {"name": "adamw", "lr": 3e-3, "schedule": "one_cycle"},
        "train": {"epochs": 100, "batch_size": batch, **stop},
    }
