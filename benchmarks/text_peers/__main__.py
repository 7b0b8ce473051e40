"""A worker of benchmarks/text.py; see sequence_peers/worker.py."""

from __future__ import annotations

from sequence_peers.worker import run

from text_peers import PEERS, Job
from text_peers.data import num_tokens


def main() -> None:
    run("text_peers", PEERS, Job, num_tokens)


if __name__ == "__main__":
    main()
