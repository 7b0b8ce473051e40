"""Frames: what a run's network makes of its recorded samples after each recorded epoch, computed when it is asked for."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.sequences import Inputs, single_row
from nnzoo.errors import CheckpointError
from nnzoo.models.network import Network
from nnzoo.predict.images import max_pixel_value
from nnzoo.predict.predictions import predict_values
from nnzoo.runs.history import History
from nnzoo.runs.run_dir import RunDir
from nnzoo.text import format_metric, shorten
from nnzoo.watch import frame_parts
from nnzoo.watch.frame_parts import MAX_ROWS, Plane
from nnzoo.web.render import encode_array

# Seconds for which epochs are computed before an answer is sent; frames that are kept; sides of an image.
BUDGET = 0.5
MAX_FRAMES = 60
MAX_SIDE = 128
MAX_LABELS, MAX_LABEL = 1_000, 60
MAX_COLUMNS, MAX_TEXT = 40, 600
# Bytes of history/start.pt.
MAX_START = 1 << 30


@dataclass
class Frames:
    """The recorded course of one run. Methods may be called from several threads."""

    history: History
    network: Network = field(init=False)
    _frames: OrderedDict[tuple[int, int], dict[str, Any]] = field(default_factory=OrderedDict)
    _epochs: dict[int, dict[str, Any]] = field(default_factory=dict)
    _weights: dict[str, Tensor] = field(default_factory=dict)
    _weights_epoch: int = -1

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self.network = self.history.network()
        # Native kernels would be compiled here, and written to the cache.
        options = self.network.config.train
        torch_only = options.model_copy(update={"kernels": "torch", "precision": "fp32"})
        self.network.configure(torch_only, compiled=False)

    @classmethod
    def open(cls, folder: RunDir) -> Frames | None:
        """Open the history of a run; None if it has none. Raises CheckpointError."""
        torch.set_num_threads(1)
        start = folder.path / "history" / "start.pt"
        if os.path.islink(start):
            raise CheckpointError("history/start.pt is a link; links are not followed", code="E65")
        if os.path.isfile(start) and os.path.getsize(start) > MAX_START:
            raise CheckpointError("history/start.pt is too large", code="E65")
        history = History.open(folder)
        return None if history is None else cls(history)

    @cached_property
    def inputs(self) -> Inputs:
        """The samples; of inputs that are drawn on no plane those alone that are shown one by one."""
        inputs = self.history.samples.inputs
        return inputs if self.network.data_spec.input.kind == "table" else inputs[:MAX_ROWS]

    @cached_property
    def plane(self) -> Plane | None:
        return frame_parts.plane_of(self.network, self.inputs)

    @cached_property
    def targets(self) -> Tensor:
        """The targets of the samples: (rows,) classes, else (rows, outputs) of their own; raises CheckpointError."""
        task, targets = self.network.task, self.history.samples.targets
        if task.is_classification:
            is_valid = targets.dtype == torch.int64 and targets.ndim == 1
            if not is_valid or not 0 <= int(targets.min()) <= int(targets.max()) < task.outputs:
                raise CheckpointError(
                    "history/start.pt: the classes of its samples are none of its network's",
                    code="E65",
                )
            return targets[: len(self.inputs)]
        return targets.double().reshape(len(self.history.samples.rows), -1)[: len(self.inputs)]

    def describe(self) -> dict[str, Any]:
        """Everything that stays the same over the epochs: the samples with their targets, labels, the plane of the boundary."""
        with self._lock:
            network, samples, spec = self.network, self.history.samples, self.network.data_spec
            return {
                "task": spec.task,
                "kind": spec.input.kind,
                "model": network.config.model.name,
                "labels": [shorten(label, MAX_LABEL) for label in spec.labels[:MAX_LABELS]],
                "targets": [shorten(name, MAX_LABEL) for name in spec.targets[:MAX_COLUMNS]],
                "horizon": spec.horizon,
                "layers": frame_parts.layer_types(network),
                "split": samples.split,
                "names": [shorten(name, MAX_LABEL) for name in samples.names[: len(self.inputs)]],
                "shown": min(MAX_ROWS, len(self.inputs)),
                "truth": self._truth(),
                "inputs": self._show_inputs(),
                "plane": None if self.plane is None else self.plane.to_dict(),
            }

    def _truth(self) -> list[Any]:
        """Return the true class of each sample, or its first number; None of a language model."""
        if self.network.data_spec.task == "language_model":
            return [None] * len(self.inputs)
        targets = self.targets
        return targets.tolist() if targets.ndim == 1 else targets[:, 0].tolist()

    def _show_inputs(self) -> dict[str, Any]:
        """Return the first samples as a page draws them: images, curves, texts, or values by column."""
        network, spec = self.network, self.network.data_spec
        count = min(MAX_ROWS, len(self.inputs))
        if spec.input.kind == "image":
            images = cast(Tensor, self.inputs)[:count].double() / max_pixel_value(network)
            stride = -(-max(images.shape[2:]) // MAX_SIDE)
            pixels = (images.clamp(0, 1) * 255).round().byte()[:, :3, ::stride, ::stride]
            return {"images": encode_array(pixels.permute(0, 2, 3, 1).contiguous().numpy())}
        rows = [single_row(self.inputs, row)[0] for row in range(count)]
        if spec.input.kind == "series":
            curves = [row[:: frame_parts.step_between(len(row)), :8] for row in rows]
            return {
                "curves": [encode_array(curve.numpy()) for curve in curves],
                "names": [shorten(name, MAX_LABEL) for name in spec.column_names[:8]],
            }
        if spec.input.kind == "tokens":
            assert spec.tokenizer is not None
            decode = spec.tokenizer.decode
            steps = [row[:: frame_parts.step_between(len(row)), 0].tolist() for row in rows]
            return {
                "texts": [shorten(decode(row[:, 0].tolist()), MAX_TEXT) for row in rows],
                "tokens": [[decode([token]) for token in ids] for ids in steps],
            }
        names = spec.column_names or [f"feature {i + 1}" for i in range(spec.input.size)]
        values = [self._table_values(row) for row in cast(Tensor, self.inputs)]
        return {
            "columns": [shorten(name, MAX_LABEL) for name in names[:MAX_COLUMNS]],
            "values": values,
            "more": max(0, len(names) - MAX_COLUMNS),
        }

    def _table_values(self, row: Tensor) -> list[str]:
        """Return the values of a row of a table as text; numbers come first, then places among categories."""
        columns = self.network.data_spec.columns
        texts = []
        for column, value in zip(columns, row.tolist(), strict=False):
            known = column.categories
            if known is None:
                texts.append(format_metric(value))
            else:
                texts.append(
                    shorten(known[int(value)], MAX_LABEL) if 0 <= value < len(known) else "–"
                )
        return (texts or [format_metric(value) for value in row.tolist()])[:MAX_COLUMNS]

    def epochs(self, start: int) -> dict[str, Any]:
        """Return the recorded epochs, and what is known of those after `start`, as many as are computed in half a second.

        Each has `predicted` and `scores` of the samples, see `_scores`, and `changes`: how far the weights of each layer
        have moved since the epoch before, relative to their norm. `damage`: why those that follow cannot be read.
        """
        with self._lock:
            recorded = self.history.epochs
            self._forget(recorded)
            known: list[dict[str, Any]] = []
            damage = None
            deadline = time.monotonic() + BUDGET
            for i, epoch in enumerate(recorded):
                if epoch < start:
                    continue
                if epoch not in self._epochs and known and time.monotonic() > deadline:
                    break
                try:
                    known.append(self._epoch(epoch, recorded[i - 1] if i else None))
                except CheckpointError as error:
                    if i == 0:
                        raise
                    recorded, damage = recorded[:i], str(error)
                    break
            return {"recorded": recorded, "known": known, "damage": damage}

    def _forget(self, recorded: list[int]) -> None:
        """Drop what was computed of epochs that a resumed run has taken back."""
        if any(epoch not in recorded for epoch in self._epochs):
            self._epochs.clear()
            self._frames.clear()
            self._weights_epoch = -1

    def _load(self, epoch: int) -> dict[str, Tensor]:
        """Give the network the weights of an epoch."""
        if epoch != self._weights_epoch:
            self._weights = self.history.state_dict(epoch)
            self.network.model.load_state_dict(self._weights)
            self._weights_epoch = epoch
        return self._weights

    def _epoch(self, epoch: int, before: int | None) -> dict[str, Any]:
        if epoch not in self._epochs:
            names = [name for name, _ in self.network.model.named_parameters()]
            old = {} if before is None else self._load(before)
            new = self._load(epoch)
            old = {name: old[name] for name in names if name in old}
            record: dict[str, Any] = {"epoch": epoch}
            record["changes"] = frame_parts.relative_changes(old, new)
            if self.network.data_spec.task != "language_model":
                record |= self._scores(self._predict())
            self._epochs[epoch] = record
        return self._epochs[epoch]

    def _predict(self) -> np.ndarray[Any, Any]:
        return predict_values(self.network, self.inputs)[0]

    def _scores(self, predictions: np.ndarray[Any, Any]) -> dict[str, Any]:
        """Each sample's predicted class and the probability of the true one; for labels the mean probability of what is
        true of each; for numbers the predicted one, the first if there are several."""
        task, rows = self.network.task, np.arange(len(predictions))
        if task.is_classification:
            scores = predictions[rows, self.targets.numpy()]
            return {"predicted": predictions.argmax(1).tolist(), "scores": scores.tolist()}
        if self.network.data_spec.task == "multilabel":
            is_true = self.targets.numpy() > 0.5
            return {"scores": np.where(is_true, predictions, 1 - predictions).mean(1).tolist()}
        return {"scores": predictions[:, 0].tolist()}

    def frame(self, epoch: int, row: int) -> dict[str, Any]:
        """Return what the network of an epoch makes of the samples, and of the sample `row` over time.

        Raises LookupError if there is no such epoch or sample.
        """
        with self._lock:
            if not 0 <= row < min(MAX_ROWS, len(self.inputs)):
                raise LookupError(row)
            recorded = self.history.epochs
            self._forget(recorded)
            if epoch not in recorded:
                raise LookupError(epoch)
            if (epoch, row) not in self._frames:
                self._load(epoch)
                self._frames[epoch, row] = self._make_frame(epoch, row)
                while len(self._frames) > MAX_FRAMES:
                    self._frames.popitem(last=False)
            return self._frames[epoch, row]

    def _make_frame(self, epoch: int, row: int) -> dict[str, Any]:
        network = self.network
        layers, omissions = frame_parts.layers(network, self.inputs, row)
        frame: dict[str, Any] = {
            "epoch": epoch,
            "row": row,
            "layers": layers,
            "omissions": omissions,
        }
        frame["gates"] = frame_parts.gates(network, self.inputs, row)
        if self.plane is not None:
            frame["boundary"] = frame_parts.on_plane(network, self.plane)
        if network.data_spec.task == "language_model":
            frame["text"] = frame_parts.text(network)
        else:
            first = predict_values(network, self.inputs[:MAX_ROWS])[0]
            frame["predictions"] = encode_array(first[:, :MAX_LABELS])
        return frame
