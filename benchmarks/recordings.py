"""Test accuracy of the five networks on problems of the UCR/UEA archive, over seeds: the table of docs/sequences.md.

`python benchmarks/recordings.py --root FOLDER [PROBLEM ...]`: FOLDER holds NAME_TRAIN.ts and NAME_TEST.ts, in it or in a
folder NAME. One recipe for each network, of about 1,500 steps; nothing validates, since a tenth of 36 recordings says
nothing. Test rows are touched once, at the end of each run. An MLP reads recordings of different lengths resampled to their longest (`data.length`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev

RECURRENT = """
model: {{name: {name}, hidden_size: 128, bidirectional: true, readout: mean, dropout: 0.5}}
optim: {{name: adamw, lr: 3e-3, schedule: cosine, clip: {{norm: 1.0}}}}
"""
RECIPES = {
    "mlp": """
model: {name: mlp, hidden: [256, 256], dropout: 0.3}
optim: {name: adamw, lr: 1e-3, schedule: cosine}
""",
    "cnn": """
model:
  {name: cnn, channels: [128, 256, 128], kernel_size: [8, 5, 3], norm: batch, pool: none, head: {pooling: average}}
optim: {name: adam, lr: 1e-3, schedule: cosine}
""",
} | {name: RECURRENT.format(name=name) for name in ("rnn", "lstm", "gru")}
BATCH, STEPS, MAX_EPOCHS = 16, 1500, 300
# Training recordings, and the length to which an MLP's are resampled where they differ.
PROBLEMS = {
    "ArrowHead": (36, None),
    "BasicMotions": (40, None),
    "GunPoint": (50, None),
    "ItalyPowerDemand": (67, None),
    "JapaneseVowels": (270, 29),
    "PickupGestureWiimoteZ": (50, 361),
}


def accuracies(problem: str, network: str, root: Path, seeds: int) -> list[float]:
    """Test accuracy of each seed after its last epoch."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        rows, longest = PROBLEMS[problem]
        length = f", length: {longest}" if network == "mlp" and longest else ""
        data = (
            f"data: {{name: ucr, problem: {problem}, root: '{root}', split: {{val: 0}}{length}}}\n"
        )
        epochs = min(MAX_EPOCHS, round(STEPS * BATCH / rows))
        train = f"train: {{epochs: {epochs}, batch_size: {BATCH}, label_smoothing: 0.1}}\n"
        config.write_text(data + RECIPES[network] + train)
        command = [
            sys.executable,
            "-m",
            "nnzoo",
            "train",
            "--config",
            str(config),
            "--verbose",
            "0",
        ]
        command += ["--seeds", str(seeds), "--out", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        results = sorted(Path(folder).glob("config-seeds/seed-*/result.json"))
        return [json.loads(result.read_text())["test"]["accuracy"] for result in results]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("problems", nargs="*", default=list(PROBLEMS))
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--networks", default=",".join(RECIPES))
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    networks = options.networks.split(",")
    print("| problem |", " | ".join(networks), "|\n|---|" + "---|" * len(networks), flush=True)
    for problem in options.problems:
        cells = []
        for network in networks:
            began = time.perf_counter()
            values = accuracies(problem, network, options.root.resolve(), options.seeds)
            cells.append(f"{mean(values):.3f} ({stdev(values):.3f})")
            taken = time.perf_counter() - began
            print(problem, network, cells[-1], f"{taken:.0f} s", file=sys.stderr, flush=True)
        print(f"| {problem} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
