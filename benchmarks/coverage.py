"""Measure what fraction of test rows intervals and sets of 0.9 cover, over splits of the rows.

python benchmarks/coverage.py FILE... [--splits 10] [--vary KEY] [--set KEY=VALUE] [--out results.jsonl]

FILE: a table or series, for which `nnzoo init` writes the config, or a config. Each split trains a run of its
own: KEY, which is data.split.seed, goes from 0 up. Series are divided by time: vary their seed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import nnzoo

COVERAGE = 0.9


def config_of(file: Path, folder: Path) -> Path:
    """Return a config, or the one that `nnzoo init` writes for a file of data."""
    if file.suffix in (".yaml", ".yml"):
        return file
    config = folder / f"{file.stem}.yaml"
    command = [sys.executable, "-m", "nnzoo", "init", str(file.absolute()), str(config)]
    subprocess.run(command, check=True, capture_output=True)
    return config


def measure(config: Path, sets: list[str]) -> dict[str, Any]:
    """Train a run; returns the object of `nnzoo eval --json`."""
    with tempfile.TemporaryDirectory() as out:
        values = [*sets, "train.threads=1"]
        run = nnzoo.train(config, sets=values, out=out, device="cpu").fit()
        result = run.result()
        run.close()
    assert result is not None
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--vary", default="data.split.seed")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for file in options.files:
        with tempfile.TemporaryDirectory() as folder:
            config = config_of(file, Path(folder))
            results = [
                measure(config, [*options.set, f"{options.vary}={i}"])
                for i in range(options.splits)
            ]
        reached = [result["coverage"]["reached"] for result in results]
        size = "mean_width" if "mean_width" in results[0]["coverage"] else "mean_set_size"
        row: dict[str, Any] = {"file": file.name, "rows": results[0]["n"]}
        row |= {"validation_rows": results[0]["coverage"]["validation_rows"]}
        row |= {"coverage": mean(reached), "std": stdev(reached) if len(reached) > 1 else 0.0}
        row[size] = mean(result["coverage"][size] for result in results)
        row["drift"] = sum("drift" in result["coverage"] for result in results)
        print(json.dumps(row), flush=True)
        if options.out is not None:
            with options.out.open("a") as lines:
                lines.write(json.dumps(row | {"reached": reached}) + "\n")


if __name__ == "__main__":
    main()
