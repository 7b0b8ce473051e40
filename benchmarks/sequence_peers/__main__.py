"""A worker: train one network with one tool, a round for each line on stdin.

python -m sequence_peers NAME --row ROW --scratch DIR --seconds S

Replies are JSON lines on what was stdout: {"steps", "epochs", "versions", "chosen"} once it is warm, or {"skip"};
then {"samples", "seconds"} a round, samples being time steps without padding. Whatever a tool prints goes to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sequence_peers import PEERS, Job
from sequence_peers.data import COUNTS, draw_lengths


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("--row", required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def reply(**values: Any) -> None:
        replies.write(json.dumps(values) + "\n")

    peer = PEERS[options.name]
    try:
        versions = {package: version(package) for package in peer.packages}
        build = importlib.import_module(f"sequence_peers.{peer.module}").build
    except (PackageNotFoundError, ModuleNotFoundError) as error:
        reply(skip=f"{type(error).__name__}: {error}")
        return
    job = Job(options.row, peer.variant, options.scratch)
    train = build(job)
    train(1)  # compiles, and wakes what sleeps
    epochs = max(1, round(options.seconds / train(1)))
    steps = int(draw_lengths(job.lengths, COUNTS[job.lengths]).sum())
    reply(steps=steps, epochs=epochs, versions=versions, chosen=job.chosen)
    for _ in sys.stdin:
        reply(samples=epochs * steps, seconds=train(epochs))


if __name__ == "__main__":
    main()
