"""The parts of benchmarks/cuda.py: checks on a device, within a given time, and the loops that are timed there."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import gpu_speed
import mnist
import report
from peers import ROWS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.cuda_cases

import torch  # noqa: E402

import nnzoo  # noqa: E402
from nnzoo.config.train_options import TrainOptions  # noqa: E402
from nnzoo.data import streaming  # noqa: E402
from nnzoo.device import choose_device, describe_gpu, gpu_has_tf32, use_tf32  # noqa: E402
from tests.cuda_cases import (  # noqa: E402
    CNN,
    IMAGES,
    all_settings,
    check_resume,
    check_same,
    loss_and_predictions,
    settings,
    trained,
    weights,
)
from tests.emulated_cuda import emulated  # noqa: E402
from tests.launching import distance, environments  # noqa: E402

TWO_PROCESSES = "two processes on one device"
# Fractions of the time at which the parts end.
PARTS = {"checks": 0.55, "speed": 0.95}


@dataclass
class Budget:
    """The time that is left, what was run, and what was left out."""

    seconds: float
    began: float = field(default_factory=time.monotonic)
    left_out: list[str] = field(default_factory=list)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Seconds and problem ("" where there is none) by name."""
    longest: dict[str, float] = field(default_factory=dict)

    def has_time(self, part: str, name: str) -> bool:
        """Whether the part's longest piece so far still fits; else `name` is left out."""
        left = self.seconds * PARTS[part] - (time.monotonic() - self.began)
        fits = left > 1.3 * self.longest.get(part, 1.0)
        if not fits:
            self.left_out.append(f"{name} (no time)")
        return fits

    def run(self, part: str, name: str, piece: Callable[[Path], Any]) -> Any:
        """Call `piece` with a folder of its own, if there is time; whatever it raises is a problem, and the
        rest goes on."""
        if not self.has_time(part, name):
            return None
        began, problem, value = time.monotonic(), "", None
        with tempfile.TemporaryDirectory(prefix="nnzoo-cuda-") as folder:
            try:
                value = piece(Path(folder))
            except Exception as error:
                problem = f"{type(error).__name__}: {str(error)[:500]}"
        spent = time.monotonic() - began
        self.longest[part] = max(spent, self.longest.get(part, 0.0))
        self.results[name] = {"seconds": round(spent, 2), "problem": problem}
        report.note(f"{spent:6.1f} s  {name}: {problem or 'done'}")
        return value


class Checks:
    """The checks on the device; each raises AssertionError, or whatever else goes wrong."""

    def __init__(self, kind: str, device: str) -> None:
        self.kind, self.device = kind, device
        self.is_gpu = kind == "cuda"
        self.has_graphs = self.is_gpu and "graph" in TrainOptions.model_fields

    def all(self) -> Iterator[tuple[str, Callable[[Path], None]]]:
        yield "precision: errors of the mantissas", self.precision
        yield "rows that stream", self.streamed
        for name, config in all_settings().items():
            yield name, partial(self.case, config)
        yield TWO_PROCESSES, self.two_processes

    def reason_against(self, name: str) -> str:
        """Why a check cannot be made on this device; empty if it can."""
        if self.device == "cpu" and ("tf32" in name or "stream" in name):
            return "not on a CPU"
        if name.startswith("precision") and not self.is_gpu:
            return "only on a GPU"
        if name == TWO_PROCESSES and self.kind == "emulated":
            return "not emulated"
        if "tf32" in name and self.is_gpu and not gpu_has_tf32(torch.device(self.device)):
            return "this GPU has no TF32"
        return ""

    def case(self, config: dict[str, Any], folder: Path) -> None:
        """A run, stopped and resumed; captured and eager; its predictions here and on the CPU."""
        check_resume(config, self.device, folder)
        if self.has_graphs:
            for graph in (False, True):
                changed = config | {"train": config["train"] | {"graph": graph}}
                trained(changed, folder / f"graph {graph}", self.device)
            check_same(folder / "graph True", folder / "graph False", "captured and eager steps")
        (loss, numbers), (cpu_loss, cpu_numbers) = (
            loss_and_predictions(folder / "left alone", device) for device in (self.device, "cpu")
        )
        assert abs(loss - cpu_loss) < 0.02 * abs(cpu_loss), f"loss {loss}, on the CPU {cpu_loss}"
        largest = abs(numbers - cpu_numbers).max()
        assert largest < 0.02 + 0.05 * abs(cpu_numbers).max(), f"predictions differ by {largest}"

    def streamed(self, folder: Path) -> None:
        """Rows that stay in the machine's memory give the bits of rows on the device."""
        config = settings((IMAGES, CNN, {"batch_size": 32}))
        trained(config, folder / "resident", self.device)
        before = streaming.RESIDENT_FRACTION, streaming.HALF_BYTES
        streaming.RESIDENT_FRACTION, streaming.HALF_BYTES = 0.0, 64 * 70
        try:
            training = trained(config, folder / "streamed", self.device)
            assert training.run.trainer.row_stream is not None, "nothing was streamed"
        finally:
            streaming.RESIDENT_FRACTION, streaming.HALF_BYTES = before
        check_same(folder / "streamed", folder / "resident", "streamed and resident rows")

    def precision(self, folder: Path) -> None:
        """Products and convolutions have 23, 10 and 7 bits of mantissa."""
        x, w = torch.randn(256, 256), torch.randn(256, 256)
        images, kernels = torch.randn(16, 32, 12, 12), torch.randn(32, 32, 3, 3)
        exact = x.double() @ w.double(), torch.conv2d(images.double(), kernels.double())
        on_device = [item.to(self.device) for item in (x, w, images, kernels)]
        limits = {"fp32": (0, 3e-6), "tf32": (3e-5, 1e-3), "bf16": (1e-3, 1e-2)}
        for name, (low, high) in limits.items():
            if name == "tf32" and not gpu_has_tf32(torch.device(self.device)):
                continue
            use_tf32(name == "tf32")
            with torch.autocast("cuda", torch.bfloat16, enabled=name == "bf16"):
                results = on_device[0] @ on_device[1], torch.conv2d(on_device[2], on_device[3])
            for result, right, what in zip(results, exact, ("product", "convolution"), strict=True):
                error = float((result.cpu().double() - right).norm() / right.norm())
                assert low <= error <= high, f"relative error of a {what} in {name}: {error:.2g}"
        use_tf32(False)

    def two_processes(self, folder: Path) -> None:
        """Two processes on one device by gloo end where one does, but for the rounding of sums."""
        model = {key: value for key, value in CNN.items() if key != "dropout"}
        config = settings((IMAGES, model, {}))
        (folder / "run.json").write_text(json.dumps(config))  # which is YAML, too
        trained(config, folder / "one", self.device)
        command = [
            sys.executable,
            "-m",
            "nnzoo",
            "train",
            "-c",
            "run.json",
            "--device",
            self.device,
        ]
        environment = {"NNZOO_CUDA_BACKEND": "gloo", "NNZOO_TIMEOUT": "60", "PYTHONPATH": str(ROOT)}
        running = [
            subprocess.Popen(
                [*command, "--out", "two"],
                cwd=folder,
                env=variables,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for variables in environments(2, **environment)
        ]
        for process in running:
            try:
                errors = process.communicate(timeout=90)[1]
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            assert process.returncode == 0, errors[-1000:]
        apart = distance(weights(folder / "one"), weights(folder / "two"))
        assert apart < 1e-3, f"two processes end {apart:.2g} from one"


def run_checks(checks: Checks, only: str, budget: Budget) -> None:
    """Run the checks whose names contain any of the texts in `only`, which commas divide."""
    for name, check in checks.all():
        if any(text in name for text in only.split(",")):
            if reason := checks.reason_against(name):
                budget.left_out.append(f"{name} ({reason})")
            else:
                budget.run("checks", name, check)


def images(options: argparse.Namespace, folder: Path) -> str:
    """Write MNIST's files, or random ones of its shape, where loops read them; returns which."""
    try:
        mnist.shorten(options.data, folder, options.epoch_rows)
        return "MNIST"
    except OSError:
        raw = folder / "MNIST" / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(0)
        for part, count in (("train", options.epoch_rows), ("t10k", 1000)):
            pixels = torch.randint(256, (count, 28, 28), generator=generator, dtype=torch.uint8)
            labels = torch.randint(10, (count,), generator=generator, dtype=torch.uint8)
            mnist.write_idx(raw / f"{part}-images-idx3-ubyte", pixels.numpy())
            mnist.write_idx(raw / f"{part}-labels-idx1-ubyte", labels.numpy())
        return "random images of MNIST's shape"


def run_speed(checks: Checks, options: argparse.Namespace, budget: Budget) -> dict[str, Any]:
    """Steps per second by network, precision and loop."""
    precisions = ["fp32", "bf16"]
    if checks.is_gpu and gpu_has_tf32(torch.device(checks.device)):
        precisions.insert(1, "tf32")
    loops = ["torch", "nnzoo, eager", *(["nnzoo, captured"] if checks.has_graphs else [])]
    if not checks.has_graphs:
        budget.left_out.append("captured steps (not on this device)")
    speeds: dict[str, Any] = {}
    # One precision of all networks first: so a short run has the most important column.
    for precision in precisions:
        for row in options.rows.split(","):
            for loop in loops:
                name = f"{row} {precision} {loop}"
                job = gpu_speed.SpeedJob(row, precision, loop, options.images)
                measure = partial(gpu_speed.measure, job, checks.device, options.seconds)
                speed = budget.run("speed", name, measure)
                speeds.setdefault(row, {}).setdefault(precision, {})[loop] = speed
    return speeds


def speed_table(speeds: dict[str, Any]) -> str:
    """A Markdown table: a line per network, a column per precision and loop."""
    precisions = list(dict.fromkeys(p for item in speeds.values() for p in item))
    loops = list(dict.fromkeys(x for item in speeds.values() for p in item.values() for x in p))
    columns = [(precision, loop) for precision in precisions for loop in loops]
    return report.table(
        ["", *(f"{loop}, {precision}" for precision, loop in columns)],
        [
            [row, *(report.number(item.get(p, {}).get(loop)) for p, loop in columns)]
            for row, item in speeds.items()
        ],
    )


def parse_options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, cpu or emulated")
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument("--only", default="", help="checks whose names have one of these texts")
    parser.add_argument("--rows", default=",".join(ROWS), help="networks; '' for none")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each loop")
    parser.add_argument("--epoch-rows", type=int, default=60_000, help="images of an epoch")
    parser.add_argument("--data", type=Path, default=mnist.default_folder())
    parser.add_argument("--json", type=Path, help="write all results here")
    options = parser.parse_args()
    if unknown := set(filter(None, options.rows.split(","))) - set(ROWS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def main(description: str) -> int:
    """Run everything and print it; returns the exit code."""
    options = parse_options(description)
    budget = Budget(60 * options.minutes)
    kind = options.device.partition(":")[0]
    device = "cuda" if kind == "emulated" else options.device
    with emulated() if kind == "emulated" else nullcontext():
        checks = Checks(kind, device)
        device_info = describe_gpu(choose_device(device))
        run_checks(checks, options.only, budget)
        speeds: dict[str, Any] = {}
        with tempfile.TemporaryDirectory(prefix="nnzoo-cuda-data-") as folder:
            if kind == "emulated":
                budget.left_out.append("speed (an emulated device has none)")
            elif options.rows:
                options.images = Path(folder)
                device_info["images"] = images(options, options.images)
                speeds = run_speed(checks, options, budget)
    results = budget.results
    problems = {name: item["problem"] for name, item in results.items() if item["problem"]}
    good, total = len(results) - len(problems), len(results)
    report.say(f"{good} of {total} checks and timings are as they should be on {options.device}.")
    for name, problem in problems.items():
        report.say(f"- {name}: {problem}")
    if speeds:
        report.say("\nSteps per second of training, batch 128:\n\n" + speed_table(speeds))
    if budget.left_out:
        report.say("\nLeft out:\n" + "\n".join(f"- {item}" for item in budget.left_out))
    seconds = time.monotonic() - budget.began
    gpu = "".join(f"{name} {value}, " for name, value in device_info.items())
    report.say(f"\n{gpu}torch {torch.__version__}, nnzoo {nnzoo.__version__}, {seconds:.0f} s")
    report.say(f"Machine: {report.machine()}\nCommand: {report.command()}")
    if options.json:
        content: dict[str, Any] = {
            "results": results,
            "steps_per_second": speeds,
            "left_out": budget.left_out,
        }
        versions = {"torch": str(torch.__version__), "nnzoo": nnzoo.__version__}
        content |= {"device": device_info | versions, "seconds": round(seconds, 1)}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return int(bool(problems))
