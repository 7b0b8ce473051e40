"""nnzoo's training loop against the same network in a manual loop, interleaved by epochs in one process.

python benchmarks/loop.py [--rows mlp,cnn] [--rounds 14] [--data DIR]

Both sides are those of benchmarks/throughput.py. In one process they have the same memory and the same
moments of the machine: between processes the ratio scatters by a tenth.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

import mnist
from peers import ROWS, Job, loop, nnzoo
from throughput import EPOCH


def ratios(row: str, data: Path, rounds: int) -> list[float]:
    """Seconds of the manual loop over those of nnzoo's, for each pair of epochs."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NNZOO_CACHE"] = f"{folder}/cache"
        mnist.shorten(data, Path(folder), EPOCH[row])
        jobs = [Job(row, Path(folder), "auto", Path(folder) / name, {}) for name in ("a", "b")]
        for job in jobs:
            job.scratch.mkdir()
        manual, network = loop.build(jobs[0]), nnzoo.build(jobs[1])
        manual(1), network(1)
        return [manual(1) / network(1) for _ in range(rounds)]


def main() -> None:
    """A line a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=14)
    parser.add_argument("--data", type=Path, default=mnist.default_folder())
    options = parser.parse_args()
    for row in options.rows.split(","):
        result = sorted(ratios(row, options.data, options.rounds))
        print(
            f"{row}: nnzoo's loop runs at {median(result):.3f} of the manual loop "
            f"({result[0]:.3f} to {result[-1]:.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
