"""The record that a run in training leaves for a viewer: its warnings, the step that it is at, and its history.

None of it changes what is trained. If it cannot be written (disk full, no permission), there is one notice, and
training continues.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nnzoo import file_io
from nnzoo.config.formatting import to_json
from nnzoo.data.dataset import Dataset
from nnzoo.errors import DivergedError, NnzooError
from nnzoo.evaluation.diagnostics import Finding
from nnzoo.runs.history import MAX_BYTES, MAX_EPOCHS, HistoryWriter, remove_history, snapshot_epochs
from nnzoo.runs.run_dir import RunDir
from nnzoo.status import notice
from nnzoo.text import Note
from nnzoo.training.trainer import EpochEnd, StepEnd, Trainer

HISTORY, WARNINGS, PROGRESS = "the history of the weights", "the list of warnings", "the progress"
# Fraction of the training time that recording weights may take; with progress.json it stays below 0.5 %.
MAX_COST = 0.0035
# Seconds of a record before one has been timed: fixed, and per byte.
_RECORD_SECONDS, _BYTE_SECONDS = 2e-4, 1e-9


@dataclass
class _Budget:
    """Decides whether recording another epoch's weights costs little beside the training. epochs: to be trained."""

    epochs: int
    first_cost: float
    """Seconds of a record, before one was timed."""
    times: list[float] = field(default_factory=list)
    trained: float = 0.0
    done: int = 0

    def add_epoch(self, seconds: float) -> None:
        self.trained += seconds
        self.done += 1

    def allows(self, is_last: bool) -> bool:
        """Whether to record now. A tenth of the whole run's budget may be spent ahead, since the first epochs change
        most; the last epoch is always recorded."""
        expected = self.trained / self.done * max(self.epochs, self.done)
        limit = MAX_COST * (0.8 * self.trained + 0.1 * expected)
        # The median, since one record may have waited for a busy processor. The last of them is that of the last epoch.
        cost = statistics.median(self.times) if self.times else self.first_cost
        return is_last or (len(self.times) + 2) * cost <= limit

    def add_record(self, seconds: float) -> None:
        self.times.append(seconds)


class Recorder:
    """Writes the record of a run in training."""

    def __init__(self, folder: RunDir, trainer: Trainer, dataset: Dataset, is_member: bool) -> None:
        """is_member: whether the run belongs to a group or a sweep."""
        self.folder = folder
        self.trainer = trainer
        self.notes: list[str] = []
        self.reported = {(row.get("kind"), row.get("layer")) for row in folder.findings()}
        self.writer: HistoryWriter | None = None
        self.planned: frozenset[int] = frozenset()
        self._failed: set[str] = set()
        epoch, options = trainer.state.epoch, trainer.config.train
        self.attempt(HISTORY, lambda: self._open_history(dataset, is_member), self.notes.append)
        cost = _RECORD_SECONDS
        if self.writer is not None:
            cost += _BYTE_SECONDS * self.writer.record_size
        self.budget = _Budget(options.epochs - epoch, cost)

    def _open_history(self, dataset: Dataset, is_member: bool) -> None:
        """Start the history of a new run, or continue that of one that is resumed."""
        trainer, asked = self.trainer, self.trainer.config.train.history
        state, epochs = trainer.state, trainer.config.train.epochs
        is_wanted = asked != "none" and not (asked == "auto" and is_member)
        size = sum(t.nbytes for t in trainer.model.state_dict().values())
        count = MAX_EPOCHS if isinstance(asked, str) else asked
        if asked == "auto":
            count = min(count, MAX_BYTES // max(1, size))
        if is_wanted and count < 2 and asked == "auto":
            text = (
                f"no history for nnzoo watch: {size / 1e6:,.0f} MB of weights are too many to keep "
                "several times (train.history=10 keeps ten)"
            )
            self.notes.append(Note("N49", text))
            is_wanted = False
        self.planned = frozenset(snapshot_epochs(epochs, count))
        if state.step == 0:
            remove_history(self.folder)
            if is_wanted:
                self.writer = HistoryWriter.start(self.folder, trainer.network, dataset)
            return
        kept = {epoch for epoch in self.planned if epoch <= state.epoch}
        writer = HistoryWriter.resume(self.folder, trainer.network, kept)
        self.writer = writer if is_wanted else None

    def attempt(
        self, part: str, action: Callable[[], None], report: Callable[[str], None] = notice
    ) -> None:
        """Write a part of the record, which may fail without harm to the run: then there is one message, and no more
        of that part is written."""
        if part in self._failed:
            return
        try:
            action()
        except NnzooError as error:
            self._failed.add(part)
            report(Note("N49", f"training continues without {part} for nnzoo watch: {error}"))

    def record_epoch(self, event: EpochEnd) -> None:
        """Write the new warnings of an epoch, and its weights if that was planned and costs little."""
        epoch = event.row["epoch"]
        self.budget.add_epoch(float(event.row["seconds"]))
        self.attempt(WARNINGS, lambda: self._write_warnings(epoch, event.findings))
        is_last = self.trainer.finished
        if self.writer is None or not (is_last or epoch in self.planned):
            return
        if self.trainer.config.train.history == "auto" and not self.budget.allows(is_last):
            return
        writer, start = self.writer, time.perf_counter()
        self.attempt(HISTORY, lambda: writer.append(epoch, self.trainer.model))
        self.budget.add_record(time.perf_counter() - start)

    def record_divergence(self, error: DivergedError) -> None:
        """Write why the run ended."""
        finding = Finding("diverged", "", str(error), error.code)
        self.attempt(
            WARNINGS, lambda: self._write_warnings(self.trainer.state.epoch + 1, [finding])
        )

    def _write_warnings(self, epoch: int, findings: Sequence[Finding]) -> None:
        # A resumed process reports again what an earlier one has reported.
        new = [f for f in findings if (f.kind, f.layer) not in self.reported]
        self.reported |= {(finding.kind, finding.layer) for finding in new}
        rows = [
            {"epoch": epoch, "code": f.code, "kind": f.kind, "layer": f.layer, "message": f.message}
            for f in new
        ]
        if rows:
            lines = "".join(to_json(row) + "\n" for row in rows)
            file_io.append(self.folder.warnings, lines.encode())

    def write_progress(self, step: StepEnd) -> None:
        """Replace progress.json."""
        loss = self.trainer.running_loss.compute()["loss"]
        content = {
            "epoch": step.epoch,
            "step_in_epoch": step.step_in_epoch,
            "steps_per_epoch": step.steps_per_epoch,
            "step": step.step,
            "steps": self.trainer.total_steps,
            "time": time.time(),
            "loss": loss if math.isfinite(loss) else None,
        }
        data = f"{to_json(content)}\n".encode()
        self.attempt(PROGRESS, lambda: file_io.write(self.folder.progress, data, sync=False))
