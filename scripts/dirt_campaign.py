"""Make thousands of clean tables, series and image folders dirty as people's files are.

    python scripts/dirt_campaign.py --cases 5000 [--kind table] [--first 0]

For each case either the trained weights are those of the clean file, bit for bit, or a line names
the difference. Any other case is printed with its seed, and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from tests.campaigns.dirt_runner import MAKERS, Outcome, check_case

SHOWN = 12


def work(jobs: tuple[int, list[tuple[str, int]]]) -> list[tuple[str, int, str, list[str], str]]:
    """Run some cases in a process of its own."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ["NNZOO_CACHE"] = os.environ.get("NNZOO_CACHE", tempfile.gettempdir() + "/nnzoo-dirt")
    known: dict[str, Outcome] = {}
    results: list[tuple[str, int, str, list[str], str]] = []
    for kind, seed in jobs[1]:
        try:
            verdict = check_case(kind, seed, known)
        except Exception as error:  # an error of the generator must not end the campaign unseen
            results.append((kind, seed, "failed", [], f"{type(error).__name__}: {error}"))
            continue
        text = verdict.dirty.text[-700:] if verdict.kind == "silent" else ""
        why = f"unnamed: {', '.join(verdict.unnamed)}"
        results.append((kind, seed, verdict.kind, verdict.case.operations, f"{why}\n{text}"))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", choices=list(MAKERS), action="append")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    kinds = options.kind or list(MAKERS)
    jobs = [(kinds[i % len(kinds)], options.first + i) for i in range(options.cases)]
    pieces = [(i, jobs[i : i + 50]) for i in range(0, len(jobs), 50)]
    counts: Counter[tuple[str, str]] = Counter()
    silent: Counter[str] = Counter()
    with get_context("spawn").Pool(options.processes, maxtasksperchild=20) as pool:
        for results in pool.imap_unordered(work, pieces):
            for kind, seed, verdict, operations, text in results:
                counts[kind, verdict] += 1
                if verdict in ("silent", "failed"):
                    silent.update(operations or ["generator"])
                    if sum(silent.values()) < SHOWN * 3:
                        print(f"-- {kind} {seed}: {', '.join(operations)}\n{text}\n", flush=True)
            if sum(counts.values()) % 500 == 0:
                print(f"{sum(counts.values()):,} cases", flush=True)
    for kind in kinds:
        fractions = {name: counts[kind, name] for name in ("equal", "named", "silent", "failed")}
        print(kind, fractions)
    if silent:
        print("in neither, by operation:", dict(silent.most_common()))
        sys.exit(1)


if __name__ == "__main__":
    main()
