"""The hidden state that a language model carries from one step to the next."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nnzoo.distributed import SingleProcess


class CarriedState:
    """State at the end of each row of the last step, where the same row of the next step of as many rows goes on.

    The first step of an epoch, a last one of fewer rows and one after a step that was skipped start from zero. Every process
    holds the state of all rows.
    """

    def __init__(self, model: Any, enabled: bool) -> None:
        """enabled: whether the state is carried; else every row starts from zero."""
        self.model = model
        self.enabled = enabled
        self.tensors: tuple[Tensor, ...] = ()
        """Hidden state (and cell), each (layers, rows, hidden); empty: zero."""
        self._parts: list[tuple[Tensor, ...]] = []

    def start(self, rows: int, first: int, stop: int) -> None:
        """Give the model its state for rows `first` to `stop` of a step of `rows` rows."""
        fits = bool(self.tensors) and self.tensors[0].shape[1] == rows
        whole = (first, stop) == (0, rows)
        state = (
            self.tensors if whole else tuple(t[:, first:stop].contiguous() for t in self.tensors)
        )
        self.model.state = state if fits else None

    def keep(self) -> None:
        """Note the model's state at the end of a batch of the step."""
        if self.enabled:
            self._parts.append(self.model.state)

    def finish(self, rows: int, batches: list[tuple[int, int]], processes: SingleProcess) -> None:
        """Take over what `keep` noted; batches: first row and end of each batch of the step on this process."""
        parts, self._parts = self._parts, []
        if not parts:
            return
        # Every process takes part in the sum below, also one that has all rows.
        if batches == [(0, rows)] and not processes.is_distributed:
            self.tensors = parts[0]
            return
        whole = [t.new_zeros(t.shape[0], rows, t.shape[2]) for t in parts[0]]
        for (first, stop), part in zip(batches, parts, strict=True):
            for to, tensor in zip(whole, part, strict=True):
                to[:, first:stop] = tensor
        self.tensors = tuple(map(processes.all_reduce, whole))

    def reset(self) -> None:
        self.tensors, self._parts = (), []

    def state_dict(self) -> list[Tensor]:
        return [tensor.detach().cpu().clone() for tensor in self.tensors]

    def fits(self, state: Any) -> bool:
        """Whether `load_state_dict` can take this value of a checkpoint, which may be anyone's."""
        if not isinstance(state, list) or not all(isinstance(t, Tensor) for t in state):
            return False
        rnn = self.model.rnn
        shapes = [(t.ndim == 3 and (t.shape[0], t.shape[2])) for t in state]
        names = 2 if isinstance(rnn, torch.nn.LSTM) else 1
        expected = (rnn.num_layers, rnn.hidden_size)
        finite = all(t.dtype is torch.float32 and bool(t.isfinite().all()) for t in state)
        return not state or (shapes == [expected] * names and finite)

    def load_state_dict(self, state: list[Tensor], device: torch.device) -> None:
        self.tensors = tuple(tensor.to(device) for tensor in state)
