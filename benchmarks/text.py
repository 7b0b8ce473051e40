"""Tokens a second of training on text, nnzoo beside its peers.

python benchmarks/text.py [--rows lstm-256-characters] [--peers nnzoo,torch] [--rounds 5] [--seconds 3]
    [--cores 1] [--processor-time] [--python NAME=INTERPRETER ...] [--json FILE]

A language model of 65 characters, 64 rows of 128 per batch, whose hidden state is carried from batch to batch; and a
classifier of texts as long as IMDB's reviews (10 to 400 words of 20,000), 64 per batch of like lengths, from the last
state. One LSTM or GRU layer behind an embedding of 128, Adam at 1e-3, clipping at norm 1.0, cross entropy, no
validation. The tokens are drawn at random. Padding does not count: torch packs its sequences, Keras masks them. The
tools, rounds and options are those of sequences.py; memory is the most that a tool had resident.
"""

from __future__ import annotations

import report
from sequences import SequenceWorker, measure_rows, read_options, say_results
from text_peers import PEERS, ROWS


class TextWorker(SequenceWorker):
    """One tool on one network of text."""

    package, peers = "text_peers", PEERS


def say_memory(result: dict[str, dict[str, SequenceWorker]]) -> None:
    report.say("\nMost memory resident, MB:\n")
    names = list(dict.fromkeys(name for workers in result.values() for name in workers))
    lines = [
        [row, *(f"{workers[n].memory / 1e6:,.0f}" if n in workers else "–" for n in names)]
        for row, workers in result.items()
    ]
    report.say(report.table(["", *(PEERS[name].title for name in names)], lines))


def main() -> None:
    options = read_options(__doc__.splitlines()[0], ROWS, PEERS)
    result = measure_rows(options, TextWorker)
    say_memory(result)
    say_results(result, PEERS)


if __name__ == "__main__":
    main()
