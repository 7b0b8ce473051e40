"""The run folder `checkpoints/<name>/`: its files, its lock, and when the next save is due."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nnzoo.config import RunConfig
from nnzoo.config.schema import parse_duration
from nnzoo.config.show import to_json, to_yaml
from nnzoo.errors import CheckpointError
from nnzoo.training.trainer import Trainer


@dataclass(frozen=True)
class Folder:
    """`checkpoints/<name>/`."""

    path: Path

    @property
    def last(self) -> Path:
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        return self.path / "best.pt"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    def acquire(self, lock: FileLock) -> None:
        """Make the folder and hold its lock, which a crash releases; raises CheckpointError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise CheckpointError(
                f"another process is training in {self.path}; wait for it, or give this run "
                "another name"
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"cannot write to {self.path}: {error.strerror}; choose another folder with --out"
            ) from None

    def set_aside(self) -> Path | None:
        """Rename the folder out of the way; returns its new path, None where there was none."""
        if not self.path.exists():
            return None
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.{stamp}")
        count = 1
        while aside.exists():
            count += 1
            aside = self.path.with_name(f"{self.path.name}.{stamp}-{count}")
        try:
            self.path.rename(aside)
        except OSError as error:
            raise CheckpointError(f"cannot set {self.path} aside: {error.strerror}") from None
        return aside

    def rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl that are whole."""
        try:
            lines = self.metrics.read_text().splitlines()
        except OSError:
            return []
        rows = []
        for line in lines:
            try:
                rows.append(json.loads(line))
            except ValueError:
                break  # a line that a crash cut short
        return rows

    def cut_metrics(self, step: int) -> None:
        """Drop the lines of epochs that end after `step`: they will be written again."""
        rows = [row for row in self.rows() if row["step"] <= step]
        self.replace(self.metrics, "".join(to_json(row) + "\n" for row in rows))

    def append_metrics(self, row: dict[str, Any]) -> None:
        try:
            with self.metrics.open("a") as file:
                file.write(to_json(row) + "\n")
        except OSError as error:
            raise CheckpointError(f"cannot write {self.metrics}: {error.strerror}") from None

    def replace(self, path: Path, text: str) -> None:
        """Put a text file in place at once; raises CheckpointError."""
        temporary = path.with_name(f"{path.name}.tmp")
        try:
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)
        except OSError as error:
            raise CheckpointError(f"cannot write {path}: {error.strerror}") from None

    def write_config(self, config: RunConfig, environment: dict[str, Any]) -> None:
        tree = config.to_dict() | {"environment": environment}
        self.replace(
            self.config,
            "# Written by nnzoo: every value of this run, defaults and 'auto' filled in.\n"
            + to_yaml(tree),
        )


class SaveClock:
    """When the next checkpoint is due, by `train.save_every`."""

    def __init__(self, duration: str, trainer: Trainer) -> None:
        self.number, self.unit = parse_duration(duration)
        self.trainer = trainer
        self.last = self.now()

    def now(self) -> float:
        if self.unit == "s":
            return time.monotonic()
        return self.trainer.step if self.unit == "step" else self.trainer.epoch

    def due(self) -> bool:
        if self.now() - self.last < self.number:
            return False
        self.last = self.now()
        return True
