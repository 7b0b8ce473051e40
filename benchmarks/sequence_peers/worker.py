"""A worker: train one network with one tool, a round for each line on stdin.

python -m PACKAGE NAME --row ROW --scratch DIR --seconds S

Replies are JSON lines on what was stdout: {"steps", "epochs", "versions", "chosen"} once it is warm, or {"skip"};
then {"samples", "seconds", "memory"} a round, samples being time steps without padding and memory the most bytes that
were resident so far. Whatever a tool prints goes to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sequence_peers import Peer


def run(
    package: str,
    peers: Mapping[str, Peer],
    make_job: Callable[[str, str, Path], Any],
    steps_of: Callable[[Any], int],
) -> None:
    """make_job: of row, variant and scratch folder; steps_of: time steps in an epoch of a job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=peers)
    parser.add_argument("--row", required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def reply(**values: Any) -> None:
        replies.write(json.dumps(values) + "\n")

    peer = peers[options.name]
    try:
        versions = {needed: version(needed) for needed in peer.packages}
        build = importlib.import_module(f"{package}.{peer.module}").build
    except (PackageNotFoundError, ModuleNotFoundError) as error:
        reply(skip=f"{type(error).__name__}: {error}")
        return
    job = make_job(options.row, peer.variant, options.scratch)
    train = build(job)
    train(1)  # compiles, and wakes what sleeps
    epochs = max(1, round(options.seconds / train(1)))
    steps = steps_of(job)
    reply(steps=steps, epochs=epochs, versions=versions, chosen=job.chosen)
    for _ in sys.stdin:
        seconds = train(epochs)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        reply(samples=epochs * steps, seconds=seconds, memory=memory)
