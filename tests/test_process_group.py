"""A group of processes from within: what is exchanged, which process fails and how it is reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import distributed as dist

from nnzoo import distributed, process_group
from nnzoo.device import choose_device
from nnzoo.distributed import SINGLE, SingleProcess
from nnzoo.errors import ConfigError, PeerFailedError, PeerLostError, UsageError
from nnzoo.process_group import ProcessGroup, init_process_group
from nnzoo.runs import checkpoint
from tests.emulated_cuda import emulated
from tests.launching import distance, environments
from tests.zoo import begin, config, finish


@pytest.fixture
def one_of_one() -> Iterator[ProcessGroup]:
    """A group of one process, which takes the way of several."""
    dist.init_process_group(
        "gloo", store=torch._C._distributed_c10d.HashStore(), rank=0, world_size=1
    )
    yield ProcessGroup(0, 1, 0)
    dist.destroy_process_group()


@pytest.mark.parametrize("model", ["mlp", "cnn", "lstm"])
def test_a_group_of_one_process_trains_as_one_process_does(
    one_of_one: ProcessGroup, model: str
) -> None:
    data = {"name": "digits", "augment": {"shift": 1}, "class_weights": "balanced"}
    run_config = config(model, data, train={"epochs": 2, "batch_size": 100, "on_nan": "skip"})
    whole, parts = begin(run_config, "whole"), begin(run_config, "parts", processes=one_of_one)
    for one, other in zip(finish(whole), finish(parts), strict=True):
        keys = ("train_accuracy", "val_accuracy", "step", "skipped")
        assert [one[key] for key in keys] == [other[key] for key in keys]
    a, b = whole.network.model.state_dict(), parts.network.model.state_dict()
    assert distance(a, b) < 1e-5
    assert whole.result()["accuracy"] == parts.result()["accuracy"]  # type: ignore[index]


def test_a_regression_of_several_processes_counts_its_rows(one_of_one: ProcessGroup) -> None:
    run_config = config("mlp", "table_number")
    assert finish(begin(run_config, "parts", processes=one_of_one))[-1][
        "train_loss"
    ] == pytest.approx(finish(begin(run_config, "whole"))[-1]["train_loss"], rel=1e-5)


def test_a_run_that_diverges_is_reported_by_the_main_process(one_of_one: ProcessGroup) -> None:
    current = begin(config(optim={"name": "sgd", "lr": 1e30}), processes=one_of_one)
    one_of_one.main_rank = 1  # elsewhere
    with pytest.raises(PeerFailedError) as messages:
        finish(current)
    assert messages.value.exit_code == 4
    current.lock.release()


def test_compiling_is_refused(one_of_one: ProcessGroup) -> None:
    with pytest.raises(ConfigError, match="does not go with several processes"):
        begin(config(train={"compile": True}), processes=one_of_one)


def test_an_error_of_one_process_is_reported_and_others_are_silent(
    one_of_one: ProcessGroup,
) -> None:
    with pytest.raises(UsageError, match=r"^no such thing$"), one_of_one.error_barrier():
        raise UsageError("no such thing")  # all processes, so without a name
    with pytest.raises(KeyError), one_of_one.error_barrier():
        raise KeyError("an internal error")


def test_a_lost_process_is_named_on_each_machine_once(one_of_one: ProcessGroup) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("[pair.cc:1] Connection closed by peer\nmore")

    one_of_one.distributed = type("Broken", (), {"all_reduce": staticmethod(broken)})
    with pytest.raises(PeerLostError, match=r"rank 0 on .* Connection closed by peer\)"):
        one_of_one.all_reduce_max(3)
    one_of_one.local_rank = 1
    with pytest.raises(PeerFailedError), one_of_one.error_barrier():
        pass


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert init_process_group() is SINGLE
    assert distributed.torchrun_id() is None and distributed.restart_count() == 0
    for name, value in environments(1)[0].items():
        monkeypatch.setenv(name, value)
    assert init_process_group() is SINGLE  # torchrun --nproc-per-node 1


def test_a_timeout_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environments(2, NNZOO_TIMEOUT="soon")[0].items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="NNZOO_TIMEOUT: expected whole seconds"):
        init_process_group()


def test_processes_that_do_not_find_each_other_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environments(2)[1].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(process_group, "START_TIMEOUT", 0.1)
    with pytest.raises(PeerLostError, match="do not find each other"):
        init_process_group()


def test_threads_are_chosen_anew_for_another_number_of_processes(one_of_one: ProcessGroup) -> None:
    current = begin(config())
    finish(current)
    content = checkpoint.load(current.folder.last)
    checkpoint.save(current.folder.last, content | {"processes": 3})
    again = begin(config(train={"epochs": 3}), processes=one_of_one)
    assert again.state == "resumed" and again.trainer.config.train.threads == 1
    finish(again)
    assert checkpoint.load(current.folder.last)["processes"] == 1


def test_a_sum_that_nccl_has_aborted_changes_nothing(
    one_of_one: ProcessGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns as if it were complete, with some of the others' parts in it."""
    one_of_one.world_size = 2
    monkeypatch.setattr(one_of_one, "exchange_status", lambda code: [(0, 0)] * 2)
    arrived: list[Any] = []

    class Nccl:
        @staticmethod
        def all_reduce(flat: torch.Tensor, group: Any) -> None:
            for part in arrived:
                flat[part] += flat[part]

    one_of_one.distributed = Nccl
    with emulated():
        parameter = torch.nn.Parameter(torch.ones(5).to("cuda"))
        for parts in ([], [slice(0, 35)], [slice(34, None)], [slice(0, -1)]):
            arrived[:] = parts
            parameter.grad = mine = torch.ones(5).to("cuda")
            with pytest.raises(
                PeerLostError, match=r"is gone .*NCCL has returned .*--max-restarts"
            ):
                one_of_one.add_gradients([parameter], 3.0)
            assert parameter.grad is mine and mine.tolist() == [1.0] * 5
        arrived[:] = [slice(None)]
        assert one_of_one.add_gradients([parameter], 3.0) == [6.0]
        assert parameter.grad is not None and parameter.grad.tolist() == [2.0] * 5


def test_several_processes_use_one_gpu_by_gloo(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def rendezvous(*arguments: Any, **options: Any) -> Any:
        return iter([(torch._C._distributed_c10d.HashStore(), 0, 2)])

    def init(backend: str, **options: Any) -> None:
        asked.append(backend)
        raise RuntimeError("far enough")

    for name, value in environments(2)[1].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "rendezvous", rendezvous)
    monkeypatch.setattr(dist, "init_process_group", init)
    monkeypatch.setattr(dist, "is_nccl_available", lambda: True)
    monkeypatch.setattr(process_group, "agree_on_group_name", lambda *_: "name")
    second = SingleProcess()
    second.is_distributed, second.local_rank = True, 1
    with emulated(devices=1):
        for backend in ("nccl", "gloo"):
            monkeypatch.setenv("NNZOO_CUDA_BACKEND", backend)
            with pytest.raises(PeerLostError, match="far enough"):
                init_process_group()
        assert choose_device("cuda", second) == torch.device("cuda:0")
        monkeypatch.setenv("NNZOO_CUDA_BACKEND", "nccl")
        with pytest.raises(UsageError, match=r"has 1 CUDA device\(s\) for 2 processes"):
            choose_device("cuda", second)
        monkeypatch.setenv("NNZOO_CUDA_BACKEND", "mpi")
        with pytest.raises(UsageError, match="expected nccl or gloo, got 'mpi'"):
            init_process_group()
    assert asked == ["cpu:gloo,cuda:nccl", "cpu:gloo,cuda:gloo"]
