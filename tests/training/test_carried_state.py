"""Language models in training: each row of a batch continues that row of the batch before, and so does a resumed run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from nnzoo.data.sampling import stream_order
from nnzoo.errors import CheckpointError
from nnzoo.runs import checkpoint
from nnzoo.runs.run import Run
from nnzoo.runs.train import train
from nnzoo.training.carried_state import CarriedState
from nnzoo.training.train_step import TrainerStack
from tests.text_files import write_corpus
from tests.training.trainer_cases import without_times
from tests.zoo import begin, config, finish, same

DATA = {"name": "corpus", "path": "t.txt", "window": 9}
MODELS: dict[str, dict[str, Any]] = {
    "rnn": {"name": "rnn", "hidden_size": 6, "embedding": 4},
    "lstm": {"name": "lstm", "hidden_size": 6, "embedding": 4, "num_layers": 2},
    "gru": {"name": "gru", "hidden_size": 6, "embedding": 4},
}


@pytest.fixture(autouse=True)
def corpus(own_folder: Path) -> None:
    write_corpus(Path("t.txt"))


def start(model: str = "lstm", data: dict[str, Any] | None = None, **train: Any) -> Run:
    options = {"epochs": 1, "batch_size": 5, "precision": "fp32"} | train
    name = options.pop("name", "run")
    run_config = config(
        MODELS[model],
        DATA | (data or {}),
        train=options,
        optim={"name": "sgd", "lr": 0.5, "momentum": 0.0},
        name=name,
    )
    run = begin(run_config)
    run.lock.release()
    return run


def train_to(run: Run, step: int) -> None:
    for _ in train(run, lambda: run.trainer.state.step == step):
        pass
    assert run.trainer.state.step == step


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kernels", ["native", "torch"])
def test_steps_are_those_of_streams_that_are_read_on(model: str, kernels: str) -> None:
    """Against torch's modules, fed by hand with each stream of the text."""
    run = start(model, kernels=kernels)
    ours: Any = run.network.model
    stock = getattr(nn, {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[model])
    theirs = nn.ModuleDict(
        {
            "embedding": nn.Embedding(*ours.embedding.weight.shape),
            "rnn": stock(4, 6, ours.rnn.num_layers, batch_first=True),
            "head": nn.Linear(6, ours.head.out_features),
        }
    )
    theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.5)
    split: Any = run.trainer.splits["train"]
    streams, steps = 5, len(split) // 5
    state: Any = None
    for step in range(steps):
        rows = torch.arange(streams) * steps + step
        x = torch.stack([split.tokens[row * 9 : row * 9 + 10] for row in rows.tolist()]).long()
        states, state = theirs["rnn"](theirs["embedding"](x[:, :-1]), state)
        state = tuple(s.detach() for s in state) if model == "lstm" else state.detach()
        loss = functional.cross_entropy(theirs["head"](states).flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    train_to(run, steps)
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, theirs.state_dict()[name], rtol=1e-4, atol=1e-5)
    last = state if model == "lstm" else (state,)
    assert run.trainer.carried is not None
    for tensor, expected in zip(run.trainer.carried.tensors, last, strict=True):
        torch.testing.assert_close(tensor, expected, rtol=1e-4, atol=1e-5)


def test_order_of_streams() -> None:
    assert stream_order([2, 2, 2]).tolist() == [0, 3, 1, 4, 2, 5]
    assert stream_order([2, 2, 1]).tolist() == [0, 2, 1, 3, 4]
    assert stream_order([3, 4]).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_accumulated_batches_are_one_step_of_all_their_rows() -> None:
    weights: list[Any] = []
    cases: list[dict[str, Any]] = [
        {"batch_size": 6},
        {"batch_size": 3, "accumulate_grad_batches": 2},
    ]
    for options in cases:
        run = start(**options, name=f"run{len(weights)}")
        finish(run)
        weights.append(run.network.model.state_dict())
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stateful", [True, False])
def test_a_run_that_is_stopped_within_an_epoch_ends_with_the_same_bits(stateful: bool) -> None:
    data = {"stateful": stateful}
    whole = start(data=data, epochs=2, name="whole")
    finish(whole)
    for stop in (3, 14, whole.trainer.total_steps - 1):
        name = f"cut{stop}"
        cut = start(data=data, epochs=2, name=name)
        train_to(cut, stop)
        hidden = checkpoint.load(cut.folder.last)["trainer"]["hidden"]
        assert (len(hidden) == 2) == stateful
        again = start(data=data, epochs=2, name=name)
        finish(again)
        ended, expected = (without_times(run.folder.path) for run in (again, whole))
        for content in (*ended, *expected):
            content["config"].pop("name")
        assert same(ended, expected)


def test_windows_are_shuffled_from_a_zero_state_where_nothing_is_carried() -> None:
    run = start(data={"stateful": False})
    rows = run.trainer.epoch_rows()
    assert sorted(rows.tolist()) == list(range(len(rows))) != rows.tolist()
    finish(run)
    assert run.trainer.carried is not None and run.trainer.carried.tensors == ()


def test_the_state_is_zero_at_the_start_of_an_epoch_and_after_a_skipped_step() -> None:
    run = start(epochs=2, on_nan="skip")
    trainer, stack = run.trainer, TrainerStack([run.trainer])
    carried: Any = trainer.carried
    steps = stack.start_epoch()
    stack.train_step(steps[0])
    assert carried.tensors[0].abs().sum() > 0
    head: Any = trainer.model.get_submodule("head")
    bias = head.bias.detach().clone()
    head.bias.data.fill_(torch.nan)
    stack.train_step(steps[1])
    assert trainer.state.skipped == 1 and carried.tensors == ()
    head.bias.data.copy_(bias)
    stack.train_step(steps[2])
    assert carried.tensors[0].isfinite().all()
    trainer.finish_epoch()
    assert carried.tensors == ()


def test_a_window_of_one_token_carries_its_state_too() -> None:
    run = start(data={"window": 1})
    train_to(run, 2)
    assert len(checkpoint.load(run.folder.last)["trainer"]["hidden"]) == 2


def test_a_state_that_is_not_the_networks_is_refused() -> None:
    run = start()
    train_to(run, 2)
    content = checkpoint.load(run.folder.last)["trainer"]
    hidden = content["hidden"]
    for wrong in (
        None,
        [hidden[0]],
        [hidden[0], hidden[1][:, :, :3]],
        [hidden[0], hidden[1] * torch.nan],
        [hidden[0].double(), hidden[1]],
        [hidden[0], "text"],
    ):
        with pytest.raises(CheckpointError, match="hidden state does not fit"):
            run.trainer.load_state_dict(content | {"hidden": wrong}, {}, "last.pt")


def test_shards_of_a_step_are_put_together() -> None:
    class Model:
        state: Any = None

    class Process:
        is_distributed = True

        def all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
            return tensor + 1

    model: Any = Model()
    carried = CarriedState(model, True)
    carried.start(4, 0, 2)
    assert model.state is None
    model.state = (torch.ones(1, 2, 3),)
    carried.keep()
    process: Any = Process()
    carried.finish(4, [(0, 2)], process)
    assert carried.tensors[0][0, :, 0].tolist() == [2, 2, 1, 1]
    carried.start(4, 1, 3)
    assert model.state[0][0, :, 0].tolist() == [2, 1]
    carried.start(3, 0, 3)
    assert model.state is None
    # A process that has all rows of a step takes part in the sum, too.
    model.state = (torch.ones(1, 4, 3),)
    carried.keep()
    carried.finish(4, [(0, 4)], process)
    assert carried.tensors[0][0, :, 0].tolist() == [2, 2, 2, 2]
