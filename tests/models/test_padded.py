"""1-D convolutions on sequences of different lengths: each row is as if it were alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnzoo.config.model_options import CnnOptions
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.sampling import BatchShard, batch_shard
from nnzoo.data.sequences import PaddedSequences, SequenceSplit, pad
from nnzoo.errors import ConfigError, DataError
from nnzoo.models.cnn import CNN
from nnzoo.models.network import build_network
from nnzoo.models.padded import PaddedMaps, input_length, output_length, run_padded
from nnzoo.models.stacked import StackedModel
from tests import sequence_data
from tests.zoo import config

SPEC = InputSpec("series", (23, 3), variable_length=True)
LENGTHS = (23, 9, 17, 12, 8)
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "even kernel": {"kernel_size": [8, 4], "pool": "none"},
    "strides": {"kernel_size": 5, "stride": [2, 1]},
    "valid": {"kernel_size": 3, "padding": "valid", "pool": ["none", "max"]},
    "wide padding": {"padding": 4, "pool": "avg", "pool_size": 3},
    "lp": {"pool": "lp", "activation": "sigmoid"},
    "sigmoid": {"activation": "sigmoid", "pool": "avg", "channels": [4, 5, 6]},
    "gelu": {"activation": "gelu"},
    "layer norm": {"norm": "layer", "pool": "none"},
    "residual": {"residual": True, "kernel_size": 3, "stride": [2, 1], "norm": "layer"},
    "hidden": {"head": {"pooling": "average", "hidden": [7]}},
    "max": {"head": {"pooling": "max"}, "activation": "tanh"},
}


def cnn(spec: InputSpec = SPEC, **options: Any) -> CNN:
    torch.manual_seed(0)
    options = {"channels": [4, 5], "head": {"pooling": "average"}} | options
    return CNN(CnnOptions.model_validate({"name": "cnn", **options}), spec, 5)


def sequences(lengths: tuple[int, ...] = LENGTHS) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, 3, generator=generator) + 1 for length in lengths]


def single_rows(model: nn.Module, rows: list[Tensor]) -> Tensor:
    """The outputs of each row in a batch of one, by torch's own layers."""
    return torch.cat([model(row[None]) for row in rows])


def gradients(model: nn.Module, output: Tensor) -> list[Tensor]:
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    return list(torch.autograd.grad((output * weights).sum(), list(model.parameters())))


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_of_a_row_are_those_of_the_row_alone(case: str) -> None:
    model, rows = cnn(**CASES[case]), sequences()
    batch = pad(rows)
    # Padding is zero in a batch, and longer than its longest row where it is a part of one.
    wider = PaddedSequences(nn.functional.pad(batch.values, (0, 0, 0, 6)), batch.lengths)
    expected = single_rows(model, rows)
    reference = gradients(model, expected)
    for x in (batch, wider):
        output = model(x)
        torch.testing.assert_close(output, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(gradients(model, output), reference, rtol=1e-5, atol=2e-6)


def test_batch_norm_in_training_counts_real_steps() -> None:
    model, rows = cnn(norm="batch", pool="none", channels=[4]), sequences()
    layers: Any = model.features
    conv, norm = layers[0], layers[1]
    outputs = [conv(row.T[None])[0] for row in rows]
    steps = torch.cat(outputs, 1)
    mean, variance = steps.mean(1), steps.var(1, correction=0)
    expected = torch.cat(
        [
            model.head(((out - mean[:, None]) / (variance + norm.eps).sqrt()[:, None]).relu()[None])
            for out in outputs
        ]
    )
    actual = model(pad(rows))
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(norm.running_mean, 0.1 * mean.detach())
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * steps.var(1).detach())
    parameters = [conv.weight, *model.head.parameters()]
    for a, b in zip(
        torch.autograd.grad(actual.square().sum(), parameters),
        torch.autograd.grad(expected.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("residual", [False, True])
def test_batch_norm_in_evaluation_is_that_of_each_row(residual: bool) -> None:
    model, rows = cnn(norm="batch", residual=residual, kernel_size=[5, 3]), sequences()
    for _ in range(3):
        model(pad(rows))
    model.eval()
    torch.testing.assert_close(model(pad(rows)), single_rows(model, rows), rtol=1e-6, atol=1e-6)


def test_a_batch_of_equal_lengths_is_the_plain_computation() -> None:
    model, x = cnn(norm="batch"), torch.randn(6, 20, 3)
    plain = copy.deepcopy(model)
    torch.testing.assert_close(
        model(PaddedSequences(x, torch.full((6,), 20))), plain(x), rtol=1e-5, atol=1e-6
    )
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(buffer, plain.get_buffer(name))


@pytest.mark.parametrize("case", CASES)
def test_lengths_follow_each_layer_and_the_least_one_is_known(case: str) -> None:
    model = cnn(**CASES[case])
    least = input_length(model.features, 1)
    assert model.min_length == least
    for length in range(least, 30):
        out = model.features(torch.zeros(1, 3, length))
        assert out.shape[2] == output_length(model.features, length) >= 1
    assert least == 1 or output_length(model.features, least - 1) < 1


def test_flattening_different_lengths_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError) as error:
        cnn(head={"pooling": "flatten"})
    assert error.value.issues[0].path == "model.head.pooling"
    assert "data.length: N" in str(error.value) and "'average' or 'max'" in str(error.value)


def test_a_row_shorter_than_the_layers_need_is_refused_with_lengths() -> None:
    model = cnn(pool_size=3)
    with pytest.raises(DataError, match=r"has 8 time steps, but .* leave something only of 9"):
        model(pad(sequences()))


def short_data() -> Dataset:
    x, offsets = torch.cat(sequences()).double(), torch.tensor([0, *LENGTHS]).cumsum(0)
    split = SequenceSplit(x, offsets, torch.tensor([0, 1, 0, 1, 0]))
    return Dataset(DataSpec(SPEC, "classification", ["a", "b"]), {"train": split})


def test_a_short_row_is_refused_before_training() -> None:
    model = {"name": "cnn", "pool_size": 3, "head": {"pooling": "max"}}
    run_config = config(model, "sequences")
    with pytest.raises(DataError, match="row 4 of the train split, the shortest, has 8 time steps"):
        build_network(run_config, short_data(), torch.device("cpu"))


def test_members_have_the_bits_of_single_networks() -> None:
    models = [cnn(norm="batch", dropout=0.2) for _ in range(2)]
    models[1].load_state_dict({k: v + 0.1 for k, v in models[1].state_dict().items()})
    single = copy.deepcopy(models)
    batched = StackedModel(models)
    batches = [pad(sequences()), pad(sequences((10, 9, 9, 9, 9)))]
    expected = []
    for i, (model, x) in enumerate(zip(single, batches, strict=True)):
        torch.manual_seed(i)
        batched.generators[i].manual_seed(i)
        expected.append(model(x))
    both = [row for x in batches for row in x.values]
    values = nn.utils.rnn.pad_sequence(both, batch_first=True)
    output = batched(PaddedSequences(values, torch.cat([x.lengths for x in batches])))
    assert torch.equal(output, torch.cat(expected))
    for i, model in enumerate(single):
        loss = output[i * 5 : i * 5 + 5].square().sum()
        reference = torch.autograd.grad(expected[i].square().sum(), list(model.parameters()))
        stacks = torch.autograd.grad(loss, list(batched.parameters.values()), retain_graph=True)
        assert all(torch.equal(a[i], b) for a, b in zip(stacks, reference, strict=True))
        for name, buffer in model.named_buffers():
            assert torch.equal(batched.buffers[name][i], buffer)


def test_dropout_of_a_shard_is_that_of_the_whole_batch() -> None:
    """A shard is padded to the longest of its own rows."""
    model = cnn(dropout=0.4, channels=[4, 3], pool="none").train()
    x = pad(sequences())
    torch.manual_seed(5)
    whole = model(x)
    parts = []
    for start, stop in ((0, 2), (2, 5)):
        torch.manual_seed(5)
        with batch_shard(BatchShard(start, stop, 5)):
            parts.append(model(x[start:stop]))
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(model(x), whole)
    kept = run_padded(nn.Dropout(0.4), PaddedMaps(torch.ones(9, 8, 99), torch.full((9,), 99)))
    assert float((kept.values > 0).double().mean()) == pytest.approx(0.6, abs=0.02)
    assert float(kept.values.mean()) == pytest.approx(1, abs=0.03)


def test_maximum_over_an_image_or_series_of_one_length() -> None:
    spec = InputSpec("series", (12, 3))
    model, x = cnn(spec, head={"pooling": "max"}), torch.randn(4, 12, 3)
    maps = model.features(x.transpose(1, 2))
    torch.testing.assert_close(model(x), model.head[2](maps.amax(2)))
    image = cnn(InputSpec("image", (1, 8, 8)), head={"pooling": "max"})
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(image(x), image.head[2](image.features(x).amax((2, 3))))


@pytest.mark.parametrize("name", sequence_data.MODELS)
def test_a_shard_without_rows_has_no_gradient(name: str) -> None:
    split = sequence_data.dataset().splits["train"]
    network = sequence_data.network(name)
    x, y = network.prepare(split).batch(torch.arange(0))
    output = network(x)
    assert output.shape == (0, 2) and len(y) == len(x) == 0
    for gradient in torch.autograd.grad(output.sum(), list(network.model.parameters())):
        assert not gradient.any()
