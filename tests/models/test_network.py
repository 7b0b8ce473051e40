"""Networks built from checkpoints: bounds, and parts that do not fit together."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from nnzoo.errors import CheckpointError, ConfigError
from nnzoo.models import network
from nnzoo.models.network import network_from_checkpoint
from nnzoo.runs import checkpoint
from tests.zoo import begin, config, finish

CPU = torch.device("cpu")


def test_a_network_larger_than_its_file_is_never_built() -> None:
    run = begin(config())
    finish(run)
    content = checkpoint.load(run.folder.best)
    huge = content["config"]["model"] | {"hidden": [60_000]}
    content["config"] = content["config"] | {"model": huge}
    with pytest.raises(
        CheckpointError, match=r"is \(16, 64\) float32 in the checkpoint and \(60000,"
    ):
        network_from_checkpoint(content, "x.pt", CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": 5}, "its configuration does not hold here"),
        ({"config": {"name": "../../x"}}, "its configuration does not hold here: name"),
        ({"data": []}, "its parts do not fit together"),
        ({"data": {"balanced": False, "task": "x"}}, "its parts do not fit together"),
        ({"task": None}, "its parts do not fit together"),
        ({"model": {}}, "model: the checkpoint has no '"),
        ({"model": [1]}, "model: the checkpoint has no '"),
    ],
)
def test_parts_that_do_not_fit_together_are_one_message(change: Any, message: str) -> None:
    run = begin(config())
    finish(run)
    with pytest.raises(CheckpointError, match=message):
        network_from_checkpoint(checkpoint.load(run.folder.best) | change, "x.pt", CPU)


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": 5},
        {"rows": {"train": "many"}},
        {"season": -1},
        {"spec": {}},
        {"spec": {"labels": [1, 2]}},
        {"spec": {"labels": "ab"}},
        {"spec": {"columns": [{}]}},
        {"spec": {"columns": [{"name": "a", "categories": [None]}]}},
    ],
)
def test_what_a_checkpoint_says_of_its_data_has_the_right_types(change: dict[str, Any]) -> None:
    run = begin(config())
    finish(run)
    content = checkpoint.load(run.folder.best)
    spec = content["data"]["spec"] | change.get("spec", {}) if change.get("spec") != {} else {}
    content["data"] = content["data"] | change | {"spec": spec}
    with pytest.raises(CheckpointError, match="its parts do not fit together"):
        network_from_checkpoint(content, "x.pt", CPU)


def test_a_model_too_large_to_train_is_refused_before_its_weights_are_filled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = {"name": "mlp", "hidden": [40_000, 40_000]}  # 6.4 GB in one layer alone
    monkeypatch.setattr(network, "total_memory", lambda: 16_000_000_000)
    began = time.process_time()
    with pytest.raises(ConfigError, match="can train 1,000,000,000"):
        begin(config(many))
    assert time.process_time() - began < 2
    assert begin(config("mlp"), "other", write=False).state == "new"
