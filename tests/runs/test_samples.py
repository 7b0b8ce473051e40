"""Sampled rows: a few of each kind of data, as the network takes them, and none of the test split."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nnzoo.config.run_config import from_dict
from nnzoo.data.read_dataset import read_dataset
from nnzoo.data.sequences import PaddedSequences
from nnzoo.errors import DamagedError
from nnzoo.models.network import build_network
from nnzoo.runs import checkpoint, samples
from nnzoo.runs.samples import Samples
from tests import sequence_data
from tests.text_data import corpus_dataset, language_model, text_dataset, text_network
from tests.zoo import MODELS, same

CPU = torch.device("cpu")


def chosen(data: dict[str, Any], model: str = "mlp") -> tuple[Samples, Any, Any]:
    run_config = from_dict({"name": "run", "data": data, "model": MODELS[model]}, "test")
    dataset = read_dataset(run_config)
    return Samples.choose(dataset), dataset, build_network(run_config, dataset, CPU)


def test_the_first_rows_are_one_of_each_class_and_more_follow_for_a_scatter_plot() -> None:
    picked, dataset, _ = chosen({"name": "digits"})
    assert picked.split == "val"
    assert picked.targets[:10].tolist() == list(range(10))
    assert sorted(picked.rows) == list(range(len(dataset.splits["val"])))
    assert picked.names[0] == f"row {picked.rows[0]}"
    few, dataset, _ = chosen({"name": "iris", "split": {"val": 0}})
    assert few.split == "train"
    assert few.targets[:3].tolist() == [0, 1, 2]
    assert len(few.rows) == len(dataset.splits["train"])


def test_inputs_of_many_values_and_of_different_lengths_are_ten_rows(monkeypatch: Any) -> None:
    series = {"name": "sine", "length": 1000, "window": 80}
    picked, dataset, network = chosen(series, "gru")
    last = len(dataset.splits["val"]) - 1
    assert picked.rows[0] == 0 and picked.rows[-1] == last and len(picked.rows) == 10
    assert network.predict(picked.inputs).shape == picked.targets.shape
    monkeypatch.setattr(samples, "MAX_SAMPLE_BYTES", 3 * 80 * 8)
    assert len(chosen(series, "gru")[0].rows) == 3


def test_texts_and_sequences_come_back_padded_as_they_were() -> None:
    for dataset, network in (
        (text_dataset(), text_network("gru")),
        (sequence_data.dataset(), sequence_data.network("gru")),
    ):
        one = Samples.choose(dataset)
        assert isinstance(one.inputs, PaddedSequences)
        again = Samples.from_state(checkpoint.to_plain(one.state()), network, "start.pt")
        assert isinstance(again.inputs, PaddedSequences)
        assert same(again.inputs.values, one.inputs.values)
        assert same(again.inputs.lengths, one.inputs.lengths)
        assert same(network.eval().predict(again.inputs), network.predict(one.inputs))


def test_windows_of_a_running_text_have_a_target_per_token() -> None:
    one, network = (
        Samples.choose(corpus_dataset()),
        language_model(MODELS["lstm"] | {"embedding": 4}),
    )
    again = Samples.from_state(one.state(), network, "start.pt")
    assert isinstance(again.inputs, torch.Tensor)
    assert again.targets.numel() == again.inputs.numel()


def test_inputs_that_the_network_cannot_take_are_refused() -> None:
    network, content = text_network("gru"), Samples.choose(text_dataset()).state()
    values, lengths = content["inputs"], content["lengths"]
    for changes in (
        {"inputs": values + 1000},
        {"inputs": values.float()},
        {"inputs": values - 1000},
        {"lengths": lengths + values.shape[1]},
        {"lengths": lengths * 0},
        {"lengths": lengths[1:]},
        {"lengths": "2"},
    ):
        with pytest.raises(DamagedError, match="its samples do not fit its network"):
            Samples.from_state(content | changes, network, "start.pt")
