"""Notes about how a run starts: what was chosen, read in one of two ways, or changed since its checkpoint."""

from __future__ import annotations

import platform
from datetime import datetime
from typing import Any

import torch

from nnzoo import __version__
from nnzoo.config import RunConfig
from nnzoo.config.model_options import CnnOptions
from nnzoo.data.dataset import Split
from nnzoo.data.preprocess import PCA
from nnzoo.data.sampling import batch_sizes
from nnzoo.device import describe_gpu, device_label
from nnzoo.distributed import torchrun_id
from nnzoo.models.layers import uses_cudnn
from nnzoo.models.network import Network
from nnzoo.runs.run_dir import RunDir
from nnzoo.text import Note, plural
from nnzoo.training.trainer import Trainer


def new_run_notes(network: Network) -> list[str]:
    """Notes on a new network that may surprise: the weights it starts from, ambiguous sizes, PCA."""
    notes = list(network.origin.get("notes", []))
    model = network.config.model
    if isinstance(model, CnnOptions) and network.preprocess.output_spec.kind == "image":
        notes += [
            Note(
                "N25",
                f"model.{key} {pair} is one size per layer: {pair[0]}×{pair[0]}, then {pair[1]}×{pair[1]}; "
                f"for height {pair[0]} and width {pair[1]} in both write [{pair}, {pair}]",
            )
            for key, pair in model.ambiguous_pairs()
        ]
    pca = getattr(network.preprocess, "pca", None)
    if isinstance(pca, PCA) and pca.kept_variance is not None:
        count = pca.components.shape[1]
        text = (
            f"pca: {count:,} component{'s' if count > 1 else ''} of {pca.components.shape[0]:,} keep "
            f"{pca.kept_variance:.1%} of the variance of the training rows"
        )
        notes.append(Note("N26", text))
    return notes


def exact_statistics_note(config: RunConfig, chosen: dict[str, Any], rows: int) -> list[str]:
    """A line if batch norm's statistics are computed anew because an epoch has few batches."""
    if config.train.norm_statistics != "auto" or chosen.get("norm_statistics") != "exact":
        return []
    batches = len(batch_sizes(rows, config.train.batch_size))
    return [
        Note(
            "N28",
            f"{plural(batches, 'batch', 'batches')} per epoch: batch norm's statistics are computed anew "
            "for each validation (train.norm_statistics: exact)",
        )
    ]


def schedule_note(before: dict[str, Any], trainer: Trainer) -> list[str]:
    """A note on the schedule if `train.epochs` has changed since the checkpoint."""
    epochs, schedule = trainer.config.train.epochs, trainer.config.optim.schedule
    if before["train"]["epochs"] == epochs or schedule.name in ("constant", "step", "plateau"):
        return []
    return [
        Note(
            "N34",
            f"train.epochs was {before['train']['epochs']}: the {schedule.name} schedule now runs over "
            f"{epochs} epochs, and the learning rate continues at {trainer.lr_at(trainer.state.step):.3g}",
        )
    ]


def precision_notes(network: Network, is_chosen: bool) -> list[str]:
    """Notes on the precision on a GPU: which one `auto` has chosen, if it `is_chosen`, and the layers that bf16
    leaves out."""
    precision = network.precision
    notes: list[str] = []
    if is_chosen:
        label = device_label(network.device)
        notes.append(Note("N30", f"precision auto on {label}: {precision}; recorded for this run"))
    if precision == "bf16" and any(uses_cudnn(module) for module in network.model.modules()):
        text = (
            "precision bf16: recurrent layers stay float32 on a GPU, where torch would take float16"
        )
        notes.append(Note("N30", text))
    return notes


def gpu_notes(network: Network, splits: dict[str, Split], compared: RunConfig | None) -> list[str]:
    """Notes on the rows that stream to the network's GPU, and on a CPU that is faster.

    compared: the config with its `auto` values, which steps on both are timed with; None to leave that out.
    """
    from nnzoo.data.streaming import stream_notes
    from nnzoo.training.compare_devices import cpu_note

    notes = stream_notes(splits)
    return notes if compared is None else notes + cpu_note(compared, network, splits)


def waiting_note(trainer: Trainer) -> list[str]:
    """A note if the host waits for the GPU in every step, with the reason."""
    if trainer.device.type != "cuda":
        return []
    from nnzoo.training.device_step import eager_reason

    reason = eager_reason([trainer])
    text = f"each step waits for {device_label(trainer.device)}: {reason}"
    return [Note("N30", text)] if reason else []


def device_note(before: Any, now: torch.device) -> list[str]:
    """A note if a run is resumed on another device than its checkpoint names."""
    here = device_label(now)
    if before in (None, here):
        return []
    return [
        Note(
            "N33",
            f"trained on {before} so far, and resumes on {here}: the last digits will differ from a run "
            "on one device",
        )
    ]


def start_note(folder: RunDir, trainer: Trainer, state: str) -> str:
    epochs = trainer.config.train.epochs
    if state == "new":
        return Note("N31", f"no checkpoint in {folder.path}: starting new")
    if state == "resumed":
        inside = (
            f", step {trainer.state.step_in_epoch + 1} of {len(trainer.step_sizes)}"
            if 0 < trainer.state.step_in_epoch < len(trainer.step_sizes)
            else ""
        )
        return Note(
            "N31", f"resumed {folder.path} at epoch {trainer.state.epoch + 1} of {epochs}{inside}"
        )
    if trainer.state.epoch < epochs:
        return Note(
            "N31",
            f"{folder.path} is complete: stopped early after epoch {trainer.state.epoch} of {epochs}; raise "
            "train.early_stopping.patience to resume it, or --fresh to start over",
        )
    if trainer.state.epoch > epochs:
        return Note(
            "N31",
            f"{folder.path} is complete: it has {trainer.state.epoch} epochs, more than the {epochs} asked "
            "for; --fresh starts over",
        )
    return Note(
        "N31",
        f"{folder.path} is complete: {trainer.state.epoch} of {epochs} epochs; raise train.epochs to "
        "resume it, or --fresh to start over",
    )


def environment(network: Network, processes: int = 1) -> dict[str, Any]:
    """Return the environment that config.yaml records beside the config."""
    by = {"launch": torchrun_id()} if torchrun_id() else {}
    return {
        "nnzoo": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": str(network.device),
        **describe_gpu(network.device),
        "precision": network.precision,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "data_fingerprint": network.data_spec.fingerprint,
        "rows": network.data_spec.num_rows,
        "parameters": sum(p.numel() for p in network.model.parameters()),
        "started": datetime.now().isoformat(timespec="seconds"),
        **({"started_from": network.origin} if network.origin else {}),
        **by,
    }
