"""Accuracy of 1-nearest-neighbor dynamic time warping, the usual baseline for recordings.

`python benchmarks/dtw.py FOLDER PROBLEM ...`: FOLDER holds NAME_TRAIN.ts and NAME_TEST.ts, in it or in a folder NAME.
Squared Euclidean distance over all channels, no window, each recording as it is in the file (z-normalized there for
most problems with one channel).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

PAIRS = 4096
"""Pairs of recordings that are compared at once."""


def read_ts(path: Path) -> tuple[list[Tensor], list[str]]:
    """The recordings (time, channels) of a .ts file and their labels."""
    recordings, labels = [], []
    for line in path.read_text().splitlines():
        if not line or line[0] in "#@":
            continue
        *channels, label = line.split(":")
        columns = [torch.tensor([float(v) for v in channel.split(",")]) for channel in channels]
        recordings.append(torch.stack(columns, 1))
        labels.append(label)
    return recordings, labels


def dtw(a: Tensor, a_lengths: Tensor, b: Tensor, b_lengths: Tensor) -> Tensor:
    """Squared DTW distance of each pair; a (pairs, time, channels) and b (pairs, other time, channels), padded.

    By anti-diagonals. A cell depends on cells before it alone, so padding changes none that is read.
    """
    pairs, rows, columns = len(a), a.shape[1], b.shape[1]
    infinity = torch.full((pairs, rows + 1), torch.inf)
    before, last = infinity.clone(), infinity.clone()  # diagonals d - 2 and d - 1, by row + 1
    result = torch.full((pairs,), torch.inf)
    last_cell = a_lengths + b_lengths - 2
    for d in range(rows + columns - 1):
        first, end = max(0, d - columns + 1), min(rows, d + 1)
        i = torch.arange(first, end)
        cost = (a[:, i] - b[:, d - i]).square().sum(2)
        previous = torch.minimum(torch.minimum(last[:, i], last[:, i + 1]), before[:, i])
        current = infinity.clone()
        current[:, i + 1] = cost if d == 0 else cost + previous
        done = last_cell == d
        result[done] = current[done, a_lengths[done]]
        before, last = last, current
    return result


def nearest_neighbor_accuracy(folder: Path, problem: str) -> float:
    """Fraction of test recordings whose nearest training recording has their label."""
    folder = folder if (folder / f"{problem}_TRAIN.ts").exists() else folder / problem
    train, train_labels = read_ts(folder / f"{problem}_TRAIN.ts")
    test, test_labels = read_ts(folder / f"{problem}_TEST.ts")
    lengths = torch.tensor([len(x) for x in train])
    padded = torch.nn.utils.rnn.pad_sequence(train, batch_first=True)
    correct = 0
    for recording, label in zip(test, test_labels, strict=True):
        own_length = torch.tensor([len(recording)])
        distances = torch.cat(
            [
                dtw(recording.expand(len(b), -1, -1), own_length.expand(len(b)), b, n)
                for b, n in zip(padded.split(PAIRS), lengths.split(PAIRS), strict=True)
            ]
        )
        correct += train_labels[int(distances.argmin())] == label
    return correct / len(test)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("problems", nargs="+")
    options = parser.parse_args()
    for problem in options.problems:
        print(f"{problem:<24} {nearest_neighbor_accuracy(options.folder, problem):.4f}", flush=True)


if __name__ == "__main__":
    main()
