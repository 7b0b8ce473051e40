"""Autotuning: the choices of `auto`, that they are cached, and that they change nothing else."""

from __future__ import annotations

import copy
import shutil
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from nnzoo import device
from nnzoo.errors import ConfigError, DivergedError
from nnzoo.kernels import build
from nnzoo.models.network import Network
from nnzoo.runs import checkpoint
from nnzoo.runs.train import train
from nnzoo.training import autotune, thread_tuner, train_step
from nnzoo.training.train_step import TrainerStack
from nnzoo.training.trainer import EpochEnd
from tests.zoo import begin, config, finish, same

CPU = torch.device("cpu")


@pytest.fixture
def two_threads_and_bf16(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with both to choose from, whose times are given by the test."""
    monkeypatch.setattr(autotune, "native_bf16", lambda device: True)
    monkeypatch.setattr(autotune, "ALL_THREADS", 2)
    monkeypatch.setattr(thread_tuner, "ALL_THREADS", 2)
    asked: list[list[Any]] = []
    times: dict[Any, float] = {}

    def timed(
        config: Any, network: Any, splits: Any, choices: list[Any], processes: int
    ) -> dict[Any, float]:
        asked.append(choices)
        return {choice: times.get(choice, 1.0) for choice in choices}

    monkeypatch.setattr(autotune, "_benchmark", timed)
    monkeypatch.setattr(autotune, "_any_threads", lambda stack, fastest: False)
    yield times, asked
    torch.set_num_threads(1)


def chosen(run: Any) -> tuple[str, Any]:
    run.lock.release()
    options = run.trainer.config.train
    assert run.network.config.train == options
    assert run.network.precision == options.precision
    return options.precision, options.threads


def test_the_fastest_is_chosen_if_it_is_worth_it(two_threads_and_bf16: Any) -> None:
    times, asked = two_threads_and_bf16
    assert chosen(begin(config(), "all alike")) == ("fp32", 1)
    assert asked == [[("fp32", 1), ("fp32", 2), ("bf16", 1), ("bf16", 2)]]
    times[("bf16", 2)] = 0.97
    assert chosen(begin(config(train={"batch_size": 65}), "hardly")) == ("fp32", 1)
    times[("fp32", 2)] = 0.9
    assert chosen(begin(config(train={"batch_size": 66}), "threads")) == ("fp32", 2)
    times[("bf16", 2)] = 0.5
    assert chosen(begin(config(train={"batch_size": 67}), "both")) == ("bf16", 2)


def test_a_choice_is_remembered_for_runs_of_the_same_kind(
    two_threads_and_bf16: Any, own_folder: Path
) -> None:
    times, asked = two_threads_and_bf16
    times[("bf16", 1)] = 0.5
    assert chosen(begin(config(), "first")) == ("bf16", 1)
    times.clear()
    assert chosen(begin(config(seed=1, train={"epochs": 9}), "second")) == ("bf16", 1)
    assert len(asked) == 1
    for other in ({"model": "cnn"}, {"train": {"batch_size": 7}}, {"optim": {"name": "sgd"}}):
        chosen(begin(config(**other), f"other{len(asked)}"))
    assert len(asked) == 4
    # A cached value that is no choice of this machine, or cannot be read, is timed again.
    files = list((own_folder / "cache" / "tuned").iterdir())
    assert len(files) == 4
    for broken in ('["fp8", 1]', "", "[[[", '{"fp32": 1}'):
        for file in files:
            file.write_text(broken)
        assert chosen(begin(config(), f"again {broken[:3]}")) == ("fp32", 1)
    assert len(asked) == 8


@pytest.mark.parametrize("ran", [0.84, 0.86])
def test_what_was_timed_on_a_busy_machine_is_not_remembered(
    two_threads_and_bf16: Any, monkeypatch: pytest.MonkeyPatch, ran: float
) -> None:
    """ran: for how much of the time the thread that times ran."""
    times, asked = two_threads_and_bf16
    times[("fp32", 2)] = 0.5
    monkeypatch.setattr(autotune, "BUSY", 0.85)
    wall, thread = count(0.0, 1.0), count(0.0, ran)
    clock = SimpleNamespace(perf_counter=lambda: next(wall), thread_time=lambda: next(thread))
    monkeypatch.setattr(autotune, "time", clock)
    for out in ("first", "second"):
        run = begin(config(train={"precision": "fp32"}), out)
        assert chosen(run) == ("fp32", 2)
        message = [note for note in run.notes if "another program was busy" in note]
        assert message == (
            []
            if ran > 0.85
            else [
                "another program was busy while steps were timed: train.threads=2 is this run's, "
                "and the next one times again"
            ]
        )
    assert len(asked) == (1 if ran > 0.85 else 2)


def test_an_epoch_far_slower_than_timed_is_reported_once(
    two_threads_and_bf16: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    times, _ = two_threads_and_bf16
    times.update({("fp32", 1): 0.1, ("fp32", 2): 0.05})

    def findings(out: str, step: float, tunes: bool = False, **options: Any) -> list[str]:
        """Notes of a run whose steps take so many seconds; tunes: whether it may change its threads."""
        now = [0.0]

        def tick() -> float:
            now[0] += step
            return now[0]

        run = begin(config(train={"precision": "fp32", "epochs": 3} | options), out)
        run.trainer.tunes_threads = tunes
        monkeypatch.setattr(train_step, "time", SimpleNamespace(perf_counter=tick))
        events = [event for event in train(run) if isinstance(event, EpochEnd)]
        run.lock.release()
        return [
            finding.message
            for event in events
            for finding in event.findings
            if finding.kind == "slow"
        ]

    assert findings("as timed", 0.05) == []
    assert findings("remembered", 0.15) == []
    help_ = "threads wait for each other then, try train.threads=1 in a new run"
    message = "8 times slower than timed: another program is busy on this machine"
    assert findings("busy", 0.4) == [f"{message}; {help_}"]
    assert findings("busy, other threads are tried", 0.4, tunes=True) == [message]
    times[("fp32", 2)] = 0.2
    assert findings("one thread", 0.8, batch_size=65) == [message]
    assert findings("of no account", 0.004, batch_size=65) == []
    assert findings("not timed", 10.0, threads=1) == []
    for file in Path("cache/tuned").iterdir():  # as an earlier version wrote it
        file.write_text('["fp32", 2]')
    assert findings("not known", 10.0) == []


def test_a_cache_that_cannot_be_written_stops_nothing(
    two_threads_and_bf16: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("")
    monkeypatch.setenv("NNZOO_CACHE", "file/below")
    assert chosen(begin(config())) == ("fp32", 1)
    monkeypatch.setenv("NNZOO_CACHE", "cache")
    chosen(begin(config(), "kept"))
    (kept,) = Path("cache/tuned").iterdir()
    kept.unlink()
    kept.mkdir()  # which no file can replace
    assert chosen(begin(config(), "not kept")) == ("fp32", 1)
    assert list(Path("cache/tuned").iterdir()) == [kept]


def test_what_is_given_is_not_timed(two_threads_and_bf16: Any) -> None:
    _, asked = two_threads_and_bf16
    train_ = {"precision": "bf16", "threads": 1}
    assert chosen(begin(config(train=train_))) == ("bf16", 1)
    assert not asked
    assert chosen(begin(config(train={"precision": "fp32"}), "threads")) == ("fp32", 1)
    assert asked.pop() == [("fp32", 1), ("fp32", 2)]
    # Numbers are predicted in full precision.
    assert chosen(begin(config(data="series", train={"threads": 2}), "numbers")) == ("fp32", 2)
    assert not asked


def test_what_was_resolved_is_recorded_and_gone_on_with(two_threads_and_bf16: Any) -> None:
    times, asked = two_threads_and_bf16
    times[("bf16", 2)] = 0.5
    run = begin(config(train={"epochs": 2, "save_every": "1 epoch"}))
    finish(run)
    assert torch.get_num_threads() == 2
    times.clear()
    tree = yaml.safe_load((run.folder.path / "config.yaml").read_text())
    assert (tree["train"]["precision"], tree["train"]["threads"]) == ("bf16", 2)
    torch.set_num_threads(1)
    again = begin(config(train={"epochs": 3}))
    assert (again.state, chosen(again)) == ("resumed", ("bf16", 2))
    assert torch.get_num_threads() == 2
    assert len(asked) == 1


def test_timing_steps_changes_neither_network_nor_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = begin(config("cnn"), "plain")
    before = copy.deepcopy(plain.network.state_dict())
    choices: list[Any] = [("fp32", 1), ("bf16", 1)]
    seconds = autotune._benchmark(
        plain.trainer.config, plain.network, plain.trainer.splits, choices
    )
    assert list(seconds) == choices and all(0 < second < 1 for second in seconds.values())
    assert same(plain.network.state_dict(), before)
    assert torch.get_num_threads() == 1
    # A run that was preceded by timing ends like one that was not.
    monkeypatch.setattr(autotune, "native_bf16", lambda device: True)
    monkeypatch.setattr(autotune, "_fastest", lambda seconds: ("fp32", 1))
    timed = begin(config("cnn"), "timed")
    assert same(finish(timed), finish(plain))
    assert same(timed.network.state_dict(), plain.network.state_dict())


def test_what_diverges_is_timed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "native_bf16", lambda device: True)
    run = begin(config(optim={"name": "sgd", "lr": 1e30, "clip": None}))
    assert chosen(run)[0] in ("fp32", "bf16")
    with pytest.raises(DivergedError):
        finish(run)


def test_a_hopeless_choice_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(config())
    tried: list[str] = []

    def step(stack: Any, rows: torch.Tensor) -> None:
        tried.append(stack.network.precision)
        time.sleep(0.002 if stack.network.precision == "fp32" else 0.03)

    monkeypatch.setattr(TrainerStack, "train_step", step)
    choices: list[Any] = [("fp32", 1), ("bf16", 1)]
    seconds = autotune._benchmark(run.trainer.config, run.network, run.trainer.splits, choices)
    assert tried.count("bf16") == 2  # once to wake it, and once
    assert tried.count("fp32") > 3 * tried.count("bf16")
    assert seconds[("fp32", 1)] < 0.03 <= seconds[("bf16", 1)]


@pytest.mark.parametrize("model", ["mlp", "cnn", "rnn", "lstm", "gru"])
def test_half_precision_stops_and_goes_on_with_the_same_bits(model: str) -> None:
    run_config = config(model, train={"epochs": 2, "precision": "bf16", "threads": 1})
    whole = begin(run_config, "whole")
    rows = finish(whole)
    cut = begin(run_config, "cut")
    for _ in train(cut, lambda: cut.trainer.state.step == 23):
        pass
    cut.lock.release()
    cut = begin(run_config, "cut")
    assert finish(cut) == rows[1:]
    state = checkpoint.load(cut.folder.last)
    assert same(state["model"], checkpoint.load(whole.folder.last)["model"])
    assert all(t.dtype == torch.float32 for t in state["model"].values() if t.is_floating_point())
    full = finish(begin(config(model, train={"epochs": 2, "precision": "fp32"}), "full"))
    assert rows[-1]["train_loss"] == pytest.approx(full[-1]["train_loss"], rel=0.05)
    assert rows[-1]["train_loss"] != full[-1]["train_loss"]


def test_a_model_is_compiled_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def compile_(model: Any) -> Any:
        def run(x: torch.Tensor) -> Any:
            compiled.append(x)
            return model(x)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    plain = begin(config(), "plain")
    assert plain.trainer.config.train.compile is False
    run = begin(config(train={"epochs": 2, "compile": True}), "compiled")
    plain_rows, rows = finish(plain), finish(run)
    assert same(rows, plain_rows)
    assert len(compiled) >= run.trainer.state.step
    assert list(run.network.state_dict()) == list(plain.network.state_dict())


def test_threads_of_a_run_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    device.use_threads(config(train={"threads": 3}).train)
    device.use_threads(config().train)
    assert used == [3, device.ALL_THREADS]


def test_only_native_instructions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for avx, amx in ((False, False), (True, False), (False, True)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda avx=avx: avx)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        assert autotune.native_bf16(CPU) is (avx or amx)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert not autotune.native_bf16(torch.device("cuda"))


def test_a_groups_threads_are_remembered_by_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    if not build.available():
        pytest.skip("needs a C compiler")
    monkeypatch.setattr(autotune, "ALL_THREADS", 2)
    keys: list[Path] = []

    def remembered(path: Path, choices: list[Any]) -> Any:
        keys.append(path)
        return autotune.BenchmarkResult(choices[0])

    monkeypatch.setattr(autotune, "_read_cache", remembered)
    for kernels in ("native", "torch"):
        run = begin(config("mlp", "image", train={"threads": 1, "kernels": kernels}), kernels)
        run.lock.release()
        autotune.stack_threads([run.trainer, run.trainer])
    assert len(set(keys)) == len(keys) >= 2


@pytest.mark.parametrize("model", ["mlp", "cnn", "lstm"])
def test_layers_are_native_where_there_is_a_compiler(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not build.available():
        pytest.skip("needs a C compiler")
    run = begin(config(model, train={"threads": 1, "precision": "fp32"}))
    assert run.trainer.config.train.kernels == "native"
    assert all(layer.use_native for layer in run.network.native_layers())
    run = begin(config(model, train={"threads": 1, "kernels": "torch"}), "asked")
    assert run.trainer.config.train.kernels == "torch"
    assert run.network.native_layers()
    assert not any(layer.use_native for layer in run.network.native_layers())
    monkeypatch.setattr(build, "available", lambda: False)
    run = begin(config(model, train={"threads": 1, "precision": "fp32"}), "no compiler")
    assert run.trainer.config.train.kernels == "torch"


def test_native_layers_that_are_not_to_be_had_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = config(train={"kernels": "native"})
    missing = (None, "there is no C compiler (cc or gcc)")
    monkeypatch.setattr(build, "_loaded", {torch.float32: missing})
    with pytest.raises(ConfigError, match=r"train\.kernels.*there is no C compiler"):
        begin(expected)
    monkeypatch.setattr(Network, "native_layers", lambda _: [])
    with pytest.raises(ConfigError, match=r"train\.kernels.*this network has none on this device"):
        begin(expected)


def test_a_native_run_goes_on_without_a_compiler_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not build.available():
        pytest.skip("needs a C compiler")
    finish(begin(config(train={"epochs": 1})))
    assert not any("compiler" in note for note in begin(config(train={"epochs": 2})).notes)
    monkeypatch.setattr(build, "_loaded", {})
    monkeypatch.setattr(shutil, "which", lambda _: None)
    again = begin(config(train={"epochs": 2}))
    assert any("there is no C compiler" in note for note in again.notes)
    finish(again)


def test_the_threads_of_a_group_are_timed_once_and_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(autotune, "ALL_THREADS", 2)
    runs = [
        begin(config("mlp", "image", name=f"r{i}", seed=i, train={"threads": 1})) for i in range(2)
    ]
    for run in runs:
        run.lock.release()
    trainers = [run.trainer for run in runs]
    before = [copy.deepcopy(t.model.state_dict()) for t in trainers]
    raced: list[Any] = []

    def race(choices: list[Any], step: Any) -> dict[Any, float]:
        raced.append(choices)
        step(choices[0])
        return dict(zip(choices, (2.0, 1.0), strict=True))

    monkeypatch.setattr(autotune, "_benchmark_choices", race)
    assert autotune.stack_threads(trainers) == 2
    assert autotune.stack_threads(trainers) == 2  # remembered
    assert raced == [[("fp32", 1), ("fp32", 2)]]
    assert all(same(a, t.model.state_dict()) for a, t in zip(before, trainers, strict=True))
    assert [t.state.step for t in trainers] == [0, 0]
    monkeypatch.setattr(autotune, "ALL_THREADS", 1)
    assert autotune.stack_threads(trainers) == 1


@pytest.mark.parametrize(("cost", "fastest", "expected"), [(1.05, 1, 2), (1.2, 1, 1), (1.2, 2, 2)])
def test_sums_are_divided_among_all_threads_where_that_costs_one_thread_little(
    cost: float, fastest: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not build.available():
        pytest.skip("needs a C compiler")
    monkeypatch.setattr(autotune, "ALL_THREADS", 2)
    monkeypatch.setattr(autotune, "_fastest", lambda seconds: ("fp32", fastest))
    run_config = config({"name": "cnn", "channels": [16]}, train={"precision": "fp32"})
    measured = begin(run_config, "measured")
    stack = autotune._copied_stack(
        measured.trainer.config, measured.network, measured.trainer.splits
    )
    monkeypatch.setattr(autotune, "SECONDS", 0.001)
    assert 0.3 < autotune._cost_of_parts(stack, stack.start_epoch()[0]) < 5
    monkeypatch.setattr(autotune, "_cost_of_parts", lambda stack, rows: cost)
    measured.lock.release()
    shutil.rmtree("cache/tuned")
    run = begin(run_config, "fresh cache")
    assert chosen(run) == ("fp32", expected)
    assert chosen(begin(run_config, "again")) == ("fp32", expected)
    torch.set_num_threads(1)


def test_where_another_program_takes_a_core_while_steps_are_timed(
    two_threads_and_bf16: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autotune, "OTHERS", 0.25)
    others = count(0.0, 1000.0)
    monkeypatch.setattr(autotune, "seconds_of_others", lambda: next(others))
    run = begin(config(train={"precision": "fp32"}))
    run.lock.release()
    assert any("another program was busy" in note for note in run.notes)
    assert not Path("cache/tuned").exists()


def test_processor_time_of_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before, spent = device.seconds_of_others(), time.process_time()
    while time.process_time() < spent + 0.1:
        pass
    assert device.seconds_of_others() >= before - 0.15
    stat = tmp_path / "stat"
    monkeypatch.setattr(device, "_STAT", stat)
    assert device.seconds_of_others() == 0.0
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {1}, raising=False)
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    monkeypatch.setattr(device, "time", SimpleNamespace(process_time=lambda: 1.5))
    stat.write_text("cpu 9 9\ncpu0 9 9 9 9 9 9 9 9\ncpu1 100 20 30 999 999 40 50 60 7 7\nintr 5\n")
    assert device.seconds_of_others() == pytest.approx(3.0 - 1.5)
