"""Several processes: the course of training does not depend on how many there are, one writes and
speaks, all stop together, and what is killed goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from nnzoo import device
from nnzoo.data.sampling import BatchShard, batch_shard
from nnzoo.distributed import SINGLE, SingleProcess
from nnzoo.errors import UsageError
from nnzoo.models.conversion import convert_sync_layers
from nnzoo.runs import checkpoint, resume, run_dir
from tests import processes as courses
from tests.forks import Fork
from tests.launching import distance, environments
from tests.recordings_file import write_recordings
from tests.target_data import write_target_images, write_targets
from tests.text_files import write_corpus, write_texts
from tests.zoo import SCRIPTS, load_script, same

pytestmark = pytest.mark.usefixtures("compiled")

HERE = Path(__file__).parent


def launch(words: list[str], count: int) -> list[Fork]:
    """So many processes of one command."""
    return [Fork(words, environment) for environment in environments(count)]


def ends(started: list[Fork]) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each."""
    results = []
    for process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode is not None
        results.append((process.returncode, out, err))
    return results


TRAIN = ["-m", "nnzoo", "train", "--config", "run.yaml"]
RUN = """
name: run
data: {name: digits, class_weights: balanced}
model: {name: cnn, channels: [4, 8], norm: batch, dropout: 0.1}
optim: {name: adam, lr: 3e-3}
train: {epochs: %d, batch_size: 77, accumulate_grad_batches: 2, save_every: 7 steps, precision: fp32}
"""


def trained(out: str | Path) -> tuple[Any, list[Any]]:
    """Results of a run, without times and the number of processes."""
    content = checkpoint.load(Path(out) / "run" / "last.pt")
    content["trainer"]["position"].pop("elapsed")
    lines = (Path(out) / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [{k: v for k, v in json.loads(line).items() if "second" not in k} for line in lines]
    return content, rows


# The course of training.


@pytest.fixture(scope="module")
def by_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each course in one process."""
    out = tmp_path_factory.mktemp("one")
    write_recordings(out / "recordings.csv")
    write_corpus(out / "corpus.txt")
    write_texts(out / "texts.csv")
    write_targets(out / "targets.csv")
    write_target_images(out / "squares")
    return {case: courses.course(case, SINGLE, out) for case in courses.CASES}


# Four have the most uneven shards; the tests of the command below start two and three.
@pytest.mark.parametrize(
    "count", [pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow), 4]
)
def test_after_50_steps_several_processes_have_the_weights_and_counts_of_one(
    count: int, by_one: dict[str, Any]
) -> None:
    Path("runs").mkdir()
    write_recordings(Path("runs", "recordings.csv"))
    write_corpus(Path("runs", "corpus.txt"))
    write_texts(Path("runs", "texts.csv"))
    write_targets(Path("runs", "targets.csv"))
    write_target_images(Path("runs", "squares"))
    for code, _, err in ends(launch([str(HERE / "processes.py"), str(Path.cwd())], count)):
        assert code == 0, err
    seen = [torch.load(f"{rank}.pt", weights_only=True) for rank in range(count)]
    for case, one in by_one.items():
        first = seen[0][case]
        assert distance(one["weights"], first["weights"]) < 1e-5, case
        for other in seen[1:]:
            assert same(other[case], first), f"{case}: two processes disagree"
        # Loss and class weights are sums of numbers that are rounded; the others are counts.
        for name in ("rows", "right"):
            assert torch.equal(one["sums"][name], first["sums"][name]), case
        torch.testing.assert_close(one["sums"], first["sums"], rtol=1e-5, atol=0)
        report, other = one["report"], first["report"]
        for name in ("n", "confusion_matrix", "accuracy", "per_class"):
            assert report.get(name) == other.get(name), case
        assert other["loss"] == pytest.approx(report["loss"], rel=1e-4)
        keys = ("epoch", "step", "lr", "train_accuracy", "val_accuracy", "val_f1_macro")
        assert [[row.get(key) for key in keys] for row in one["rows"]] == [
            [row.get(key) for key in keys] for row in first["rows"]
        ], case


# The command.


def test_processes_are_stopped_resumed_and_reported_as_one(nnzoo: Any) -> None:
    """One signal to one process stops all after the same step; one process goes on, then three."""
    Path("run.yaml").write_text(RUN % 300)
    started = launch([*TRAIN, "--verbose", "2", "--json"], 2)
    deadline = time.monotonic() + 60
    lines = Path("checkpoints/run/metrics.jsonl")
    while not (lines.exists() and lines.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started[1].send_signal(signal.SIGTERM)
    (first, out, err), (second, *silent) = ends(started)
    assert (first, second) == (143, 143), err
    assert silent == ["", ""]
    assert err.count("SIGTERM: saved at step ") == 1
    assert "  torchrun … -m nnzoo train --config run.yaml" in err
    assert [json.loads(line)["event"] for line in out.splitlines()][:2] == ["start", "epoch"]
    content, rows = trained("checkpoints")
    position = content["trainer"]["position"]
    assert f"saved at step {position['step']} " in err
    assert content["processes"] == 2
    environment = yaml.safe_load(Path("checkpoints/run/config.yaml").read_text())["environment"]
    assert environment["processes"] == 2
    # The sums of the epoch so far are those of all processes, once.
    group = position["group"]
    assert content["trainer"]["sums"]["rows"] == min(group * 154, 1258)

    epochs = position["epoch"] + 2
    assert nnzoo("train", "--config", "run.yaml", "-s", f"train.epochs={epochs}").code == 0
    for code, _, err in ends(launch([*TRAIN, "-s", f"train.epochs={epochs + 1}"], 3)):
        assert code == 0, err
    nnzoo("train", "--config", "run.yaml", "-s", f"train.epochs={epochs + 1}", "--out", "whole")
    (parts, parts_rows), (whole, whole_rows) = trained("checkpoints"), trained("whole")
    assert parts_rows[: len(rows)] == rows
    assert distance(parts["model"], whole["model"]) < 1e-5
    assert parts["trainer"]["position"]["step"] == whole["trainer"]["position"]["step"]
    assert [row["train_accuracy"] for row in parts_rows] == [
        row["train_accuracy"] for row in whole_rows
    ]
    again = ends(launch([*TRAIN, "-s", f"train.epochs={epochs + 1}"], 2))
    assert [code for code, *_ in again] == [0, 0]
    assert "is complete" in again[0][2] and "accuracy" in again[0][1]
    assert again[1][1:] == ("", "")


def test_a_killed_worker_is_started_again_and_the_run_ends_with_the_same_bits() -> None:
    """By torchrun itself, with --fresh, which counts for the first start alone."""
    Path("run.yaml").write_text(RUN % 12)
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "2",
        *TRAIN,
        "--fresh",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    assert [code for code, *_ in ends(launch([*TRAIN, "--out", "whole"], 2))] == [0, 0]
    with subprocess.Popen(
        [*words, "--out", "parts"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        deadline = time.monotonic() + 60
        while not Path("parts/run/previous.pt").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():  # pragma: no cover
            process.kill()
            pytest.skip("needs /proc to find the workers")
        os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "--fresh: torchrun has restarted this run, which is resumed" in err
    assert "resumed parts/run at epoch" in err
    assert [path.name for path in Path("parts").iterdir()] == ["run"]
    assert same(trained("whole"), trained("parts"))


def test_what_is_wrong_is_reported_once_and_ends_all_processes() -> None:
    bad = launch([*TRAIN, "-s", "model.chanels=3"], 2)
    Path("run.yaml").write_text(RUN % 1)
    ended = ends(bad)
    assert [code for code, *_ in ended] == [2, 2]
    assert sum("did you mean 'channels'" in err for *_, err in ended) == 1

    # The second process has another file.
    Path("own.yaml").write_text((RUN % 1).replace("0.1", "0.2"))
    pair = environments(2)
    started = [
        Fork(["-m", "nnzoo", "train", "--config", item, "-s", "name=run"], env)
        for item, env in zip(("run.yaml", "own.yaml"), pair, strict=True)
    ]
    (first, _, quiet), (second, _, err) = ends(started)
    assert (first, second) == (2, 2)
    assert quiet == ""
    assert re.match(r"error E\d+: rank 1 on ", err)
    assert "another configuration than in rank 0: model.dropout" in err

    # Its data are others: the same path, in another place.
    for place, last in (("a", 1.0), ("b", 2.0)):
        Path(place).mkdir()
        lines = ["x,y", *(f"{i},{i % 7}.5" for i in range(60)), f"61,{last}"]
        Path(place, "data.csv").write_text("\n".join(lines) + "\n")
        Path(place, "run.yaml").write_text("data: {name: csv, path: data.csv}\nmodel: mlp\n")
    started = [
        Fork(TRAIN, env, place) for place, env in zip(("a", "b"), environments(2), strict=True)
    ]
    (first, _, quiet), (second, _, err) = ends(started)
    assert (first, second) == (3, 3)
    assert quiet == ""
    assert (
        re.match(r"error E\d+: rank 1 on ", err)
        and "these data differ from those on the machine with the run folder" in err
    )


def test_a_process_that_is_gone_ends_the_others_with_one_message() -> None:
    Path("run.yaml").write_text(RUN % 300)
    started = launch([*TRAIN, "--verbose", "0"], 3)
    deadline = time.monotonic() + 60
    while not Path("checkpoints/run/last.pt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started[2].kill()
    (first, _, err), (second, _, quiet), _ = ends(started)
    assert (first, second) == (1, 1)
    assert quiet == ""
    assert "another process of this run is gone or does not answer" in err
    assert "Traceback" not in err


def test_the_machine_that_has_the_run_leads() -> None:
    """With no common disk, torchrun may give rank 0 to the machine without the run folder."""
    for place in ("a", "b"):
        Path(place).mkdir()
        Path(place, "run.yaml").write_text(RUN % 2)

    def two(places: str, *words: str) -> list[tuple[int, str, str]]:
        pair = environments(2)
        for env in pair:
            env["LOCAL_RANK"] = "0"
        return ends(
            [Fork([*TRAIN, *words], env, place) for place, env in zip(places, pair, strict=True)]
        )

    (first, out, err), (second, quiet, _) = two("ab")
    assert (first, second) == (0, 0), err
    assert "accuracy" in out and quiet == ""
    assert not Path("b/checkpoints").exists()
    (first, quiet, _), (second, out, err) = two("ba", "-s", "train.epochs=4")
    assert (first, second) == (0, 0), err
    assert "resumed checkpoints/run at epoch 3 of 4" in err
    assert "accuracy" in out and quiet == ""
    assert not Path("b/checkpoints").exists()
    assert len(Path("a/checkpoints/run/metrics.jsonl").read_text().splitlines()) == 4


@pytest.mark.slow
def test_two_hosts_one_of_which_is_cut_off_end_with_the_same_bits() -> None:
    """docs/scale.md has the whole campaign."""
    reason = load_script("hosts_campaign").unavailable()
    if reason:
        pytest.skip(reason)
    words = [
        sys.executable,
        str(SCRIPTS / "hosts_campaign.py"),
        "--kills",
        "0",
        "--losses",
        "1",
        "--outages",
        "0",
        "--epochs",
        "8",
        "--limit",
        "100",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("identical, bit for bit") == 1


# The parts, in this process.


def test_shards_cover_every_row_once_and_differ_by_one() -> None:
    for size in range(1, 6):
        for rows in range(20):
            bounds = []
            for rank in range(size):
                processes = SingleProcess()
                processes.rank, processes.world_size = rank, size
                bounds.append(processes.shard_range(rows))
            assert bounds[0][0] == 0 and bounds[-1][1] == rows
            assert all(a[1] == b[0] for a, b in pairwise(bounds))
            sizes = [stop - start for start, stop in bounds]
            assert max(sizes) - min(sizes) <= 1


class Nobody:
    """SingleProcess of which only this one has rows."""

    def all_gather(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers[None].clone()

    def all_reduce(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 5), (6, 3, 4, 4)])
@pytest.mark.parametrize(
    "options", [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}]
)
def test_shared_batch_norm_is_torchs(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)]
    stock, shared = kind(3, **options), kind(3, **options)
    convert_sync_layers(shared, Nobody())
    assert isinstance(shared, kind)
    torch.manual_seed(0)
    for _ in range(2):
        x = (torch.randn(shape) * 3 + 100).requires_grad_()
        copy = x.detach().clone().requires_grad_()
        weight = torch.randn(shape)
        (stock(x) * weight).sum().backward()
        with batch_shard(BatchShard(0, 6, 6)):
            (shared(copy) * weight).sum().backward()
        torch.testing.assert_close(copy.grad, x.grad, rtol=1e-4, atol=1e-5)
        for one, other in zip(stock.parameters(), shared.parameters(), strict=True):
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(stock.state_dict(), shared.state_dict())
        torch.testing.assert_close(shared(copy), stock(x))  # not shared: torch's own


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    "layer",
    [
        nn.Dropout(0.5),
        nn.GRU(4, 5, 2, dropout=0.5),
        nn.LSTM(4, 5, 3, dropout=0.3, proj_size=2, bidirectional=True),
        nn.RNN(4, 5, 2, dropout=0.5, batch_first=True, nonlinearity="relu"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_dropout_of_shards_is_that_of_the_whole_batch(layer: nn.Module) -> None:
    """Also in networks of other packages, whatever torch's layers they are made of."""
    dim = 0 if getattr(layer, "batch_first", True) else 1
    x = torch.randn(6, 6, 4)

    def output_of(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        y = layer(x)
        return y if isinstance(y, torch.Tensor) else y[0]

    whole = output_of(x)
    names = list(layer.state_dict())
    convert_sync_layers(layer, Nobody())
    assert list(layer.state_dict()) == names
    torch.testing.assert_close(output_of(x), whole)
    parts = []
    for start, stop in ((0, 4), (4, 4), (4, 6)):
        with batch_shard(BatchShard(start, stop, 6)):
            parts.append(output_of(x.narrow(dim, start, stop - start)))
    torch.testing.assert_close(torch.cat(parts, dim), whole)


# Devices, threads, folders.


def test_torchruns_processes_divide_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert device.all_threads() == 7
    for name, value in environments(2)[0].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert device.all_threads() == 4
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert device.all_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "5")  # someone has decided
    assert device.all_threads() == 7


def test_each_process_of_a_machine_takes_its_own_cuda_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environments(2)[1].items():
        monkeypatch.setenv(name, value)
    processes = SingleProcess()
    processes.is_distributed, processes.local_rank = True, 1
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *_, **__: None)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    assert device.choose_device("auto", processes) == torch.device("cuda:1") == chosen[0]
    with pytest.raises(UsageError, match="need one each"):
        device.choose_device("cuda:0", processes)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")  # one a machine: any of them
    assert device.choose_device("cuda:0", processes) == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="1 CUDA device\\(s\\) for 2 processes"):
        device.choose_device("cuda", processes)


def test_fresh_counts_once_for_a_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    place = run_dir.RunDir(Path("out/run"))
    assert not place.was_started_by("42")
    place.path.mkdir(parents=True)
    for text, known in (
        ("environment: {launch: '42'}", True),
        ("environment: {launch: 42}", True),
        ("environment: {}", False),
        ("[", False),
        ("", False),
    ):
        place.config.write_text(text)
        assert place.was_started_by("42") == known, text
    place.config.write_text("environment: {launch: none}")
    for name, value in (environments(1)[0] | {"TORCHELASTIC_RUN_ID": "none"}).items():
        monkeypatch.setenv(name, value)
    assert not resume.started_by_this_launch(place)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert resume.started_by_this_launch(place)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "43")
    assert not resume.started_by_this_launch(place)
