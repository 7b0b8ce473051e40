"""A worker of benchmarks/sequences.py; see worker.py."""

from __future__ import annotations

from sequence_peers import PEERS, Job
from sequence_peers.data import COUNTS, draw_lengths
from sequence_peers.worker import run


def main() -> None:
    run(
        "sequence_peers",
        PEERS,
        Job,
        lambda job: int(draw_lengths(job.lengths, COUNTS[job.lengths]).sum()),
    )


if __name__ == "__main__":
    main()
