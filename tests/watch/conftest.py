"""One folder of small runs for all tests of the viewer, and a server of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnzoo
from nnzoo.watch.serve import open_server
from nnzoo.watch.server import WatchServer

HOSTILE = "</script><script>alert(1)</script>\x1b[2J\u202egnp.exe"


def train(folder: Path, **config: Any) -> None:
    training = nnzoo.train(
        {"train": {"epochs": 4, "kernels": "torch", "threads": 1}} | config, out=folder
    )
    training.fit()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with a history: images, two columns with a hostile label, text, a series."""
    folder = tmp_path_factory.mktemp("watched")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    labels = np.where(x[:, 0] * x[:, 1] > 0, "same", HOSTILE)
    rows = [f"{a:.4f},{b:.4f},{label}" for (a, b), label in zip(x, labels, strict=True)]
    (folder / "cloud.csv").write_text("a,b,side\n" + "\n".join(rows) + "\n")
    (folder / "book.txt").write_text("to be or not to be, that is the question\n" * 60)
    runs = folder / "runs"
    history = {"train": {"epochs": 4, "kernels": "torch", "threads": 1, "history": 5}}
    train(runs, name="digits", data="digits", model={"name": "cnn", "channels": [2, 3]}, **history)
    table = {"name": "csv", "path": str(folder / "cloud.csv"), "target": "side"}
    train(runs, name="cloud", data=table, model={"name": "mlp", "hidden": [4]}, **history)
    corpus = {"name": "corpus", "path": str(folder / "book.txt"), "window": 16}
    train(runs, name="book", data=corpus, model={"name": "lstm", "hidden_size": 5}, **history)
    return runs


@contextmanager
def serving(folder: Path) -> Iterator[tuple[WatchServer, list[str]]]:
    """A server that answers, and the tracebacks that it reports."""
    reports: list[str] = []
    with open_server(folder, report=reports.append) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server, reports
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def server(run_folder: Path) -> Iterator[WatchServer]:
    with serving(run_folder) as (server, reports):
        yield server
        assert reports == []
