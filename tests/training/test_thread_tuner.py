"""The threads of a run are chosen while it trains, by the clock of its steps, and no bit of it depends on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nnzoo.console.progress import epoch_line
from nnzoo.kernels import build, openmp, torch_operators
from nnzoo.runs import checkpoint
from nnzoo.runs.train import train
from nnzoo.training import autotune, thread_tuner
from nnzoo.training.thread_tuner import Setting, ThreadTuner
from nnzoo.training.trainer import EpochEnd
from tests.zoo import begin, config, finish, same

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with two processors, whatever this one has."""
    for module in (autotune, thread_tuner):
        monkeypatch.setattr(module, "ALL_THREADS", 2)
    yield
    openmp.wait_briefly(False)
    openmp.use_threads(1)


class Machine:
    """A stack of trainers whose steps take as long as `seconds` says for (threads, whether they wait briefly)."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[Setting], float]
    ) -> None:
        self.seconds, self.now, self.brief = seconds, 0.0, False
        self.taken: list[Setting] = []
        trainer = SimpleNamespace(tunes_threads=True, device=torch.device("cpu"))
        self.trainers = [trainer]
        clock = SimpleNamespace(perf_counter=lambda: self.now)
        monkeypatch.setattr(thread_tuner, "time", clock)
        monkeypatch.setattr(openmp, "wait_briefly", self.wait_briefly)

    def wait_briefly(self, briefly: bool) -> None:
        self.brief = briefly

    def train_step(self, rows: Tensor) -> dict[int, Any]:
        setting = Setting(torch.get_num_threads(), self.brief)
        self.taken.append(setting)
        self.now += self.seconds(setting)
        return {}

    def finish_epoch(self) -> dict[int, Any]:
        return {0: EpochEnd({}, False, [])}

    def run(self, tuner: ThreadTuner, seconds: float) -> list[Setting]:
        """Take steps for so long; returns their settings."""
        end, self.taken = self.now + seconds, []
        rows = torch.zeros(1, 4, dtype=torch.int64)
        while self.now < end:
            tuner.step(rows)
            assert torch.get_num_threads() == tuner.threads
        return self.taken


def machine_and_tuner(
    monkeypatch: pytest.MonkeyPatch, seconds: Callable[[Setting], float]
) -> tuple[Machine, ThreadTuner]:
    openmp.use_threads(2)
    machine = Machine(monkeypatch, seconds)
    return machine, ThreadTuner(machine)  # type: ignore[arg-type]


def part_of(taken: list[Setting], setting: Setting) -> float:
    return taken.count(setting) / len(taken)


def test_the_faster_number_is_found_within_a_second_and_others_cost_little(
    monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    times = {1: 0.001, 2: 0.0006}
    machine, tuner = machine_and_tuner(monkeypatch, lambda s: times[s.threads])
    machine.run(tuner, 1)
    assert part_of(machine.run(tuner, 20), Setting(2)) > 0.97
    # Another program takes a core: the number changes within half a second.
    times[2] = 0.006
    machine.run(tuner, 0.5)
    assert tuner.best == Setting(1)
    taken = machine.run(tuner, 20)
    assert part_of(taken, Setting(1)) > 0.98
    assert taken.count(Setting(2)) > 0
    # It ends; a step of one thread takes as long as before, so that only a trial can tell.
    times[2] = 0.0006
    machine.run(tuner, 25)
    assert tuner.best == Setting(2)


def test_a_moments_disturbance_and_small_differences_change_nothing(
    monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    times = {1: 0.001, 2: 0.00098}
    machine, tuner = machine_and_tuner(monkeypatch, lambda s: times[s.threads])
    machine.run(tuner, 5)
    held = iter([90.0])
    machine.seconds = lambda s: times[s.threads] + next(held, 0.0)
    machine.run(tuner, 100)
    assert tuner.best == Setting(2)


def test_what_changed_is_reported_once_at_the_end_of_an_epoch(
    monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    machine, tuner = machine_and_tuner(monkeypatch, lambda s: 0.001 * s.threads)
    assert tuner.finish_epoch()[0].threads == ""  # type: ignore[union-attr]
    machine.run(tuner, 1)
    ends = [tuner.finish_epoch()[0].threads for _ in range(2)]  # type: ignore[union-attr]
    assert ends == ["1 thread", ""]
    row = {"epoch": 1, "train_loss": 0.5, "lr": 0.1, "samples_per_second": 10.0, "seconds": 2.0}
    assert epoch_line(row, 2, False, 200, ["1 thread"]).endswith("10/s  2.0 s  1 thread")


def test_where_bits_depend_on_threads_only_the_waiting_changes(
    monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    monkeypatch.setattr(torch_operators, "thread_dependent", lambda calls: "aten::convolution")
    times = {Setting(2): 0.005, Setting(2, True): 0.002}
    machine, tuner = machine_and_tuner(monkeypatch, lambda s: times[s])
    machine.run(tuner, 1)
    assert tuner.depends_on == "aten::convolution"
    assert tuner.best == Setting(2, True)
    assert str(tuner.best) == "2 threads that sleep where they wait"
    openmp.use_threads(1)
    single = ThreadTuner(machine)  # type: ignore[arg-type]
    machine.brief = False
    monkeypatch.setattr(machine, "seconds", lambda s: 0.001)
    assert set(machine.run(single, 1)) == {Setting(1)}


def test_what_is_given_stays(monkeypatch: pytest.MonkeyPatch, two_threads: None) -> None:
    machine, tuner = machine_and_tuner(monkeypatch, lambda s: 0.001 * s.threads)
    machine.trainers[0].tunes_threads = False
    tuner = ThreadTuner(machine)  # type: ignore[arg-type]
    assert set(machine.run(tuner, 1)) == {Setting(2)}
    for threads, tunes in ((2, False), ("auto", True)):
        run = begin(config(train={"threads": threads}), f"threads {threads}")
        run.lock.release()
        assert run.trainer.tunes_threads is tunes


def test_numbers_to_choose_from() -> None:
    def numbers(count: int) -> list[int]:
        return [setting.threads for setting in thread_tuner.numbers_up_to(count)]

    assert [numbers(n) for n in (1, 2, 3, 4)] == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    assert numbers(12) == [1, 2, 4, 8, 11, 12]
    assert numbers(16) == [1, 2, 4, 8, 15, 16]


def test_only_the_next_numbers_are_tried(
    monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    monkeypatch.setattr(thread_tuner, "ALL_THREADS", 16)
    monkeypatch.setattr(openmp, "team_size", lambda threads: threads)
    best = {1: 8, 2: 5, 4: 2.5, 8: 3, 15: 4, 16: 9}
    openmp.use_threads(16)
    machine = Machine(monkeypatch, lambda s: best[s.threads] / 1000)
    tuner = ThreadTuner(machine)  # type: ignore[arg-type]
    taken = machine.run(tuner, 10)
    assert tuner.best == Setting(4)
    assert part_of(taken, Setting(1)) == 0


MODELS: dict[str, Any] = {
    "mlp": "mlp",
    "cnn": {"name": "cnn", "channels": [16, 16], "dropout": 0.1, "norm": "batch"},
    "lstm": "lstm",
    "gru": "gru",
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_has_the_same_bits_whatever_the_team_does(
    model: str, precision: str, monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    """Also stopped in the middle and resumed."""
    tuned = config(MODELS[model], train={"epochs": 2, "precision": precision})
    fixed = config(MODELS[model], train={"epochs": 2, "precision": precision, "threads": 2})
    generator = torch.Generator().manual_seed(1)
    teams: list[int] = []

    def at_random(self: ThreadTuner, seconds: float) -> None:
        count = int(torch.randint(1, 4, (), generator=generator))
        teams.append(torch.get_num_threads())
        self.active = Setting(count, brief=False)

    monkeypatch.setattr(ThreadTuner, "_record", at_random)
    monkeypatch.setattr(autotune, "_cost_of_parts", lambda stack, rows: 1.0)
    whole = begin(fixed, "fixed")
    rows = finish(whole)
    assert not teams
    changing = begin(tuned, "changing")
    assert changing.trainer.config.train.threads == 2
    assert finish(changing) == rows
    assert {1, 2, 3} <= set(teams)
    cut = begin(tuned, "cut")
    for _ in train(cut, lambda: cut.trainer.state.step == 23):
        pass
    cut.lock.release()
    cut = begin(tuned, "cut")
    assert cut.state == "resumed" and cut.trainer.tunes_threads
    assert finish(cut) == rows[1:]
    expected = checkpoint.load(whole.folder.last)
    for run in (changing, cut):
        actual = checkpoint.load(run.folder.last)
        assert same(actual["model"], expected["model"])
        assert same(actual["trainer"]["optimizer"], expected["trainer"]["optimizer"])
