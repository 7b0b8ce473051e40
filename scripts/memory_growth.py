"""How much a long run's memory grows: `python scripts/memory_growth.py --config mlp --epochs 1000`.

Reads the resident memory of `nnzoo train` from /proc (so Linux) at the end of every epoch; exit
code 1 where it grows by 5 MB or more after the first hundred.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 5.0


def main() -> None:
    """Train, read along, and print the memory at round numbers of epochs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="mlp")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--set", action="append", default=[], help="as of nnzoo train")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = [
            sys.executable,
            "-m",
            "nnzoo",
            "train",
            "-c",
            options.config,
            "--json",
            "--out",
            folder,
        ]
        for item in [f"train.epochs={options.epochs}", *options.set]:
            words += ["--set", item]
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        resident = []
        for line in process.stdout:
            if json.loads(line)["event"] == "epoch":
                status = Path(f"/proc/{process.pid}/status").read_text()
                resident.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
        if process.wait():
            sys.exit(f"nnzoo train ended with {process.returncode}")
    for epoch in sorted({1, 10, 100, *range(200, len(resident) + 1, 200), len(resident)}):
        if epoch <= len(resident):
            print(f"epoch {epoch:5}: {resident[epoch - 1]:8.2f} MB")
    growth = max(resident[100:]) - resident[99]
    print(f"{options.config}: grows by {growth:.2f} MB at most after the first 100 epochs")
    sys.exit(growth >= LIMIT)


if __name__ == "__main__":
    main()
