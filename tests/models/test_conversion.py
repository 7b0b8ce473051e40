"""Runs on a CUDA device that is emulated (emulated_cuda.py): what a GPU's rules and cuDNN's habits ask of
nnzoo. Speed, memory, NCCL and the digits of real kernels cannot be tested so."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

import nnzoo
from nnzoo.data.dataset import MappedFile, TensorSplit, split_bytes
from nnzoo.data.sampling import BatchShard, batch_shard
from nnzoo.device import choose_device, gpu_multiplies_bf16
from nnzoo.errors import ConfigError, DataError, PeerLostError
from nnzoo.models.conversion import convert_cuda_layers, convert_sync_layers
from nnzoo.process_group import ProcessGroup, init_process_group
from nnzoo.runs import run, run_group, train
from nnzoo.training import autotune
from tests.cuda_cases import (
    CASES,
    CNN,
    GRU,
    IMAGES,
    LSTM,
    MLP,
    SERIES,
    check_resume,
    loss_and_predictions,
    settings,
    trained,
)
from tests.emulated_cuda import CudaTensor, EmulatedCuda, emulated
from tests.zoo import config, finish

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def cuda(own_folder: Path) -> Iterator[EmulatedCuda]:
    with emulated() as devices:
        yield devices


def tree(data: dict[str, Any], model: dict[str, Any], **options: Any) -> dict[str, Any]:
    return settings((data, model, options))


@pytest.mark.parametrize("case", CASES)
def test_a_run_resumes_exactly_and_predicts_as_on_the_cpu(case: str, cuda: EmulatedCuda) -> None:
    device = "cuda:1" if "lstm" in case or "mlp" in case else "cuda"
    training = check_resume(settings(CASES[case]), device, forget=cuda.forget)
    trainer = training.run.trainer
    assert {p.device for p in trainer.parameters} == {cuda.device_of(device)}
    assert isinstance(trainer.parameters[0], CudaTensor)
    assert cuda.counts["fill"] == cuda.counts["float16"] == cuda.counts["tf32"] == 0
    training.result()
    loss, numbers = loss_and_predictions(Path("left alone"), device)
    cpu_loss, cpu_numbers = loss_and_predictions(Path("left alone"), "cpu")
    assert loss == pytest.approx(cpu_loss, rel=0.02)
    assert numbers == pytest.approx(cpu_numbers, rel=0.05, abs=0.02)


@pytest.mark.parametrize("shared", [False, True])
def test_all_layers_train_after_diagnostics_and_under_torchrun(
    shared: bool, cuda: EmulatedCuda
) -> None:
    """Diagnostics look at each layer alone, and processes that share a batch compute each alone."""
    processes: Any = {"processes": EchoGroup()} if shared else {}
    current = run.open_run(
        config(LSTM, SERIES), run.RunOptions(Path("out"), torch.device("cuda")), **processes
    )
    model: Any = current.network.model
    before = {}
    for event in train.train(current):
        if hasattr(event, "row") and event.row["epoch"] == 1:
            before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name
    assert current.trainer.optimizer.detached_parameters(model) == []


class EchoGroup(ProcessGroup):
    """One process that believes to be one of several: every exchange is with itself."""

    def __init__(self) -> None:
        self.rank = self.local_rank = self.main_rank = 0
        self.world_size, self.parameters, self.flat, self.views = 1, (), None, []
        self.asked = self.agreed = False
        self.group: Any = None
        self.distributed: Any = type("", (), {"broadcast": None, "all_reduce": None})
        self.rounds = 0

    def _call(self, function: Any, *arguments: Any, **more: Any) -> None:
        pass

    def exchange_status(self, code: int, number: int = 0) -> list[tuple[int, int]]:
        self.rounds += 1
        return [(code, number)]

    def error_barrier(self) -> Any:
        return nullcontext()


def test_before_gradients_go_by_nccl_a_lost_process_is_noticed_by_gloo(cuda: EmulatedCuda) -> None:
    for device, rounds in (("cpu", 0), ("cuda", 1)):
        processes = EchoGroup()
        parameter = nn.Parameter(torch.ones(3).to(device))
        parameter.grad = torch.ones(3).to(device)
        assert processes.add_gradients([parameter], 2.0) == [2.0]
        assert processes.rounds == rounds


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout(0.5), nn.GRU(4, 5, 2, dropout=0.5, batch_first=True)],
    ids=lambda layer: type(layer).__name__,
)
def test_dropout_of_shards_is_that_of_one_process(layer: nn.Module, cuda: EmulatedCuda) -> None:
    layer.to("cuda")
    convert_cuda_layers(layer)
    x = torch.randn(6, 6, 4).to("cuda")

    def output_of(rows: slice) -> torch.Tensor:
        cuda.generators[0].manual_seed(3)
        y = layer(x[rows])
        return (y if isinstance(y, torch.Tensor) else y[0]).detach()

    whole = output_of(slice(None))
    assert not torch.equal(whole, x)
    convert_sync_layers(layer, EchoGroup())
    parts = []
    for start, stop in ((0, 4), (4, 6)):
        with batch_shard(BatchShard(start, stop, 6)):
            parts.append(output_of(slice(start, stop)))
    torch.testing.assert_close(torch.cat(parts).cpu(), whole.cpu())


@pytest.mark.parametrize(("model", "together"), [(MLP | {"dropout": 0}, True), (GRU, False)])
def test_seeds_train_together_where_nothing_stands_against_it(
    model: dict[str, Any], together: bool, cuda: EmulatedCuda
) -> None:
    group = run_group.seeds(config(model, IMAGES), 2, Path("out"))
    for _ in group.events(torch.device("cuda")):
        pass
    assert [member.state for member in group.members] == ["complete"] * 2
    assert (group.sequential_reason == "") == together


def test_recurrent_layers_stay_float32_in_bf16_and_that_is_said(cuda: EmulatedCuda) -> None:
    notes = trained(tree(SERIES, GRU, precision="bf16"), "out", "cuda").notes
    assert any("recurrent layers stay float32 on a GPU" in note for note in notes)
    assert not any("float32" in note for note in trained(tree(IMAGES, CNN), "b", "cuda").notes)
    assert cuda.counts["float16"] == 0


def test_the_process_is_as_it_was_after_training_and_asking(cuda: EmulatedCuda) -> None:
    def state() -> Any:
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        deterministic: Any = torch.utils.deterministic
        return (
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            deterministic.fill_uninitialized_memory,
            cudnn.allow_tf32,
            matmul.allow_tf32,
            cudnn.conv.fp32_precision if hasattr(cudnn, "conv") else None,  # torch 2.9 has it
            torch.get_rng_state().tolist(),
            cuda.current,
        )

    before = state()
    training = nnzoo.train(tree(IMAGES, CNN, threads=2), device="cuda:1")
    assert state() == before
    inside = []
    for _ in training:
        inside = list(state()[:5])
    assert inside == [2, True, False, False, False]
    training.result()
    training.model().evaluate()
    loaded = nnzoo.load("checkpoints/run", device="cuda")
    loaded.predict(loaded.raw("test", torch.arange(5))[0].cpu())
    assert state() == before


def test_the_same_tensors_are_written_once_as_on_the_cpu(cuda: EmulatedCuda) -> None:
    sizes = []
    for device in ("cuda", "cpu"):
        trained(tree(SERIES, LSTM, kernels="torch"), device, device)
        sizes.append((Path(device) / "run" / "last.pt").stat().st_size)
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def test_what_does_not_fit_the_gpu_is_said_before_it_is_copied(cuda: EmulatedCuda) -> None:
    cuda.free = 10_000
    with pytest.raises(DataError, match=r"two steps .* memory of cuda.* GB free; use smaller"):
        nnzoo.train(tree(IMAGES, CNN), device="cuda")
    cuda.total = 1000
    with pytest.raises(ConfigError, match="weights; cuda's memory can train 62"):
        nnzoo.train(tree(IMAGES, CNN), device="cuda")


def test_steps_that_wait_are_reported_with_the_reason(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any("waits" in note for note in trained(tree(IMAGES, CNN), "a", "cuda", 1).notes)
    reason = "several processes agree on every step"
    monkeypatch.setattr("nnzoo.training.device_step.eager_reason", lambda trainers: reason)
    notes = trained(tree(IMAGES, CNN), "b", "cuda", 1).notes
    assert [note for note in notes if note.endswith(f": {reason}")]
    assert not any("waits" in note for note in trained(tree(IMAGES, CNN), "c", "cpu", 1).notes)


def test_images_in_a_file_go_to_the_gpu_in_pieces(cuda: EmulatedCuda) -> None:
    class Counted(MappedFile):
        def __init__(self) -> None:
            self.pieces: list[int] = []

        def read(self, rows: int, size: int) -> None:
            self.pieces.append(rows)

    x, pages = torch.arange(4 * 200_000, dtype=torch.uint8).view(4, 200_000), Counted()
    split = TensorSplit(x, torch.arange(3), torch.tensor([3, 0, 2]), pages)
    assert split_bytes(split) == 3 * 200_000 + 3 * 8
    pages.pieces.clear()
    moved = split.to(torch.device("cuda:1"))
    assert pages.pieces == [1, 1, 1]
    assert moved.x.device == torch.device("cuda:1")
    assert torch.equal(moved.x.cpu(), x[[3, 0, 2]])


def test_timing_knows_the_gpu_and_asks_the_chosen_one(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: cuda.current == 1
    )
    assert gpu_multiplies_bf16(torch.device("cuda:1")) and not gpu_multiplies_bf16(
        torch.device("cuda:0")
    )
    assert cuda.current == 0
    monkeypatch.setattr(autotune, "native_bf16", gpu_multiplies_bf16)
    for name in ("One", "One", "Another"):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None, name=name: name)
        trained(tree(IMAGES, LSTM, precision="auto"), name, "cuda:1")
    assert len(list(Path("cache/tuned").iterdir())) == 2


def test_a_run_records_its_gpu_and_says_when_it_goes_on_elsewhere(cuda: EmulatedCuda) -> None:
    settings = tree(IMAGES, CNN)
    trained(settings, "out", "cuda:1", steps=1)
    recorded = yaml.safe_load((Path("out") / "run" / "config.yaml").read_text())["environment"]
    assert (recorded["device"], recorded["gpu"]) == ("cuda:1", "Emulated 1")
    assert {"cuda", "cudnn"} <= recorded.keys()
    same_device = trained(settings, "out", "cuda:1", steps=1).notes
    elsewhere = trained(settings, "out", "cpu").notes
    note = "trained on cuda (Emulated 1) so far, and resumes on cpu: the last digits will differ"
    assert any(note in item for item in elsewhere)
    assert not any("so far" in item for item in same_device)


def test_the_emulated_device_refuses_and_notices_what_cuda_does(cuda: EmulatedCuda) -> None:
    """Else the tests above could not fail."""
    x, layer = torch.ones(2, 3, 4).to("cuda"), nn.LSTM(4, 5, 2, dropout=0.5, batch_first=True)
    with pytest.raises(RuntimeError, match="found one on the CPU"):
        x + torch.ones(4)
    with pytest.raises(RuntimeError, match="cuda:0 and cuda:1"):
        x + x.to("cuda:1")
    with pytest.raises(TypeError, match="can't convert a tensor on cuda:0"):
        x.numpy()
    layer.to("cuda")
    layer(x)
    assert cuda.counts["wait"] == 1  # for cuDNN's dropout state
    with torch.autocast("cuda", torch.bfloat16):
        assert layer(x)[0].dtype == torch.float16
    weight = layer.all_weights[0][0]
    held = weight.detach()
    layer.flatten_parameters()
    assert held.data_ptr() != weight.data_ptr()
    with pytest.warns(UserWarning, match="single contiguous chunk"):
        copy.deepcopy(layer)(x)


def test_the_device_that_auto_takes_is_the_gpu(cuda: EmulatedCuda) -> None:
    assert choose_device("auto") == torch.device("cuda")
    finish(run.open_run(config("mlp", IMAGES), run.RunOptions(Path("out"), choose_device("auto"))))


def test_a_wait_for_nccl_ends_in_an_error_of_ours(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not by torch's watchdog, which ends the process; unless a user has decided otherwise."""

    def nobody(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("nobody there")

    for name in ("RANK", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    monkeypatch.setattr(torch.distributed, "rendezvous", nobody)
    for before, after in (("0", "0"), ("", "1")):
        monkeypatch.setenv("TORCH_NCCL_BLOCKING_WAIT", before)
        if not before:
            monkeypatch.delenv("TORCH_NCCL_BLOCKING_WAIT")
        with pytest.raises(PeerLostError, match="do not find each other: nobody there"):
            init_process_group()
        assert os.environ["TORCH_NCCL_BLOCKING_WAIT"] == after
