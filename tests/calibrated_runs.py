"""Runs of small tables and series with validation rows, for tests of what is learned from those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas

import nnzoo

PARTS = ["train"] * 60 + ["val"] * 80 + ["test"] * 100


def write_table(path: str = "t.csv", poison: float = 0.0) -> pandas.DataFrame:
    """Write 240 rows with a number `y`, a class `kind` and their part; poison: added to what test rows hold."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(len(PARTS), 2))
    noise = generator.normal(size=len(PARTS))
    score = x[:, 0] + 0.7 * noise
    kind = np.where(score > 0.8, "high", np.where(score < -0.6, "low", "mid"))
    frame = pandas.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": 3 * x[:, 0] + noise, "kind": kind})
    frame["part"] = PARTS
    if poison:
        is_test = frame["part"] == "test"
        frame.loc[is_test, ["a", "b", "y"]] += poison
        frame.loc[is_test, "kind"] = frame.loc[is_test, "kind"].to_numpy()[::-1]
    frame.to_csv(path, index=False)
    return frame


def table_config(target: str, **sections: Any) -> dict[str, Any]:
    data = {"name": "csv", "path": "t.csv", "target": target, "split": {"column": "part"}}
    data["drop"] = ["kind" if target == "y" else "y"]
    config: dict[str, Any] = {"name": target, "data": data, "model": {"name": "mlp", "hidden": [8]}}
    train = {"epochs": 3, "batch_size": 20, "threads": 1, "precision": "fp32"}
    return config | {"train": train | sections.pop("train", {})} | sections


def train(config: dict[str, Any], **options: Any) -> Path:
    """Train a run; returns its folder."""
    training = nnzoo.train(config, out="out", **options).fit()
    training.close()
    return training.folder


def write_series(rows: int = 260) -> None:
    generator = np.random.default_rng(0)
    y = np.sin(np.arange(rows) / 3) + 0.2 * generator.normal(size=rows)
    pandas.DataFrame({"y": y}).to_csv("s.csv", index=False)


def series_config(**sections: Any) -> dict[str, Any]:
    data = {"name": "series", "path": "s.csv", "target": "y", "window": 8, "horizon": 3}
    model = {"name": "mlp", "hidden": [8]}
    train = {"epochs": 2, "threads": 1} | sections.pop("train", {})
    return {"name": "series", "data": data, "model": model, "train": train} | sections
