"""Counters of steps on a GPU come back to the host as they were, and are added up as the host does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import nnzoo
from nnzoo.training.device_state import COUNTERS, TOTALS, DeviceState
from tests.cuda_cases import IMAGES, settings
from tests.emulated_cuda import emulated


def double(number: float, device: str) -> torch.Tensor:
    return torch.tensor(number, dtype=torch.float64).to(device)


def test_counters_come_back_and_add_up(own_folder: Path) -> None:
    with emulated() as cuda:
        tree = settings((IMAGES, {"name": "mlp", "hidden": [4]}, {"on_nan": "skip"}))
        trainer = nnzoo.train(tree, device="cuda").run.trainer
        state = DeviceState(trainer, ["a.weight", "a.bias"])
        state.receive()
        assert not cuda.counts["readback"] and state.vector.shape == (len(COUNTERS),)
        trainer.host_loss.totals = dict(zip(TOTALS, (1.5, 2.0, 3.0, 4.0), strict=True))
        trainer.state.norm_sum, trainer.state.norm_max, trainer.state.skipped = 7.0, 5.0, 1
        trainer.optimizer.counts[0].steps = 9
        for loss, norms in ((8.0, (3.0, 4.0)), (float("inf"), (1.0, 1.0)), (2.0, (12.0, 5.0))):
            state.launch()
            taken, norm = state.count_step(
                double(loss, "cuda"),
                double(4.0, "cuda"),
                double(1.0, "cuda"),
                4,
                torch.tensor(norms).to("cuda"),
            )
            assert bool(taken.cpu()) == (loss < 10)
            assert float(norm.cpu()) == pytest.approx(sum(n**2 for n in norms) ** 0.5)
        state.receive()
        assert trainer.host_loss.totals == {"loss": 11.5, "weight": 10, "right": 5, "rows": 12}
        position = trainer.state
        assert (position.norm_sum, position.norm_max, position.first_loss) == (25.0, 13.0, 2.0)
        assert (position.skipped, position.skipped_in_row, trainer.last_norm) == (2, 0, 13.0)
        assert trainer.optimizer.counts[0].steps == 11
        assert state.bad_norms.tolist() == [1.0, 1.0] and state.error is None
