"""Lightning's Trainer.

To its advantage: tensors in memory and whole batches by index (a DataLoader over a BatchSampler,
which PyTorch's documentation recommends where reading a batch at once is cheaper) in place of one
sample at a time; fused Adam; no logger, bar or checkpoints. Loss and accuracy by self.log.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable

import torch
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from nnzoo.data.vision_datasets import import_torchvision
from peers import BATCH, RATE, Job, torchnets

import_torchvision("torchvision")  # torchmetrics fails on one that was built for another torch
import lightning  # noqa: E402


class Net(lightning.LightningModule):
    def __init__(self, row: str) -> None:
        super().__init__()
        self.net = torchnets.build(row)

    def training_step(self, batch, _):
        x, y = batch
        output = self.net(x)
        loss = functional.cross_entropy(output, y)
        hits = (output.argmax(1) == y).float().mean()
        self.log_dict(
            {"loss": loss, "accuracy": hits}, on_step=False, on_epoch=True, batch_size=len(y)
        )
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=RATE, fused=True)


class Clock(lightning.Callback):
    """From the start of the first epoch to the end of the last."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.began = self.began or time.perf_counter()

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self.ended = time.perf_counter()


def build(job: Job) -> Callable[[int], float]:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    x, y = torchnets.data(job)
    batches = BatchSampler(RandomSampler(y), BATCH, drop_last=False)
    loader = DataLoader(TensorDataset(x, y), sampler=batches, batch_size=None)
    net = Net(job.row)

    def train(epochs: int) -> float:
        clock = Clock()
        lightning.Trainer(
            accelerator="cpu",
            devices=1,
            precision=job.variant,
            max_epochs=epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[clock],
            default_root_dir=job.scratch,
        ).fit(net, loader)
        return clock.ended - clock.began

    return train
