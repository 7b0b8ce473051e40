"""Statistics of the preprocessing in fine-tuning: those of the source are kept, or others fitted on the training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from nnzoo.config.run_config import from_dict
from nnzoo.errors import ConfigError
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.models.weights_file import KEY, Weights
from nnzoo.text import Note, list_some

if TYPE_CHECKING:
    from nnzoo.models.network import Network

# From here on a note reports that kept statistics fit badly: deviations between the means, and their ratio.
FAR, RATIO = 3.0, 4.0


@torch.no_grad()
def take_statistics(network: Network, weights: Weights, asked: str) -> list[str]:
    """Keep the statistics of the source's preprocessing, or leave those fitted on the training rows; notes say which.

    Raises ConfigError where they are to be kept and do not fit.
    """
    notes: list[str] = []
    kept_scale = {
        name.removeprefix("scale."): t
        for name, t in weights.task.items()
        if name.startswith("scale.")
    }
    reason = _other_inputs(network, weights)
    parts: list[tuple[str, nn.Module, dict[str, Tensor], str]] = [
        ("inputs", network.preprocess, weights.preprocess, reason)
    ]
    if isinstance(network.task, Regression):
        reason = _other_target(network, weights, kept_scale)
        parts.append(("target", network.task.scale, kept_scale, reason))
    for what, module, kept, reason in parts:
        if not _has_statistics(module):
            continue
        text = f"scaling of the {what}: fitted on this run's training rows"
        if asked == "fit":
            notes.append(Note("N27", f"{text}, as asked"))
        elif reason and asked == "keep":
            raise ConfigError.at(
                f"{KEY}.scaling", f"cannot keep that of the {what}: {reason}", code="E20"
            )
        elif reason:
            notes.append(Note("N27", f"{text}, as {reason}"))
        else:
            misfit = _misfit(module.state_dict(), kept)
            module.load_state_dict(kept)
            notes.append(Note("N27", f"scaling of the {what}: kept from there{misfit}"))
    return notes


def _has_statistics(module: nn.Module) -> bool:
    """Whether anything was fitted on training rows."""
    return any(
        buffer.numel() and getattr(part, "method", "") != "none"
        for part in module.modules()
        for buffer in part.buffers(recurse=False)
    )


def _other_inputs(network: Network, weights: Weights) -> str:
    """Why the statistics of the source's inputs are not those of this network's inputs; "" if they are."""
    spec, theirs = network.data_spec, weights.spec
    if theirs is None:
        return f"{weights.path} holds none"
    if spec.input.kind != theirs.input.kind:
        return f"the inputs there are of kind {theirs.input.kind}"
    if spec.max_pixel_value != theirs.max_pixel_value:
        return f"pixels here end at {spec.max_pixel_value}, and at {theirs.max_pixel_value} there"
    after = network.preprocess.options.model_dump(exclude={"target"})
    if _options(weights) != after:
        return "data.preprocess is another one there"
    numbers = [[c.name for c in s.columns if c.categories is None] for s in (spec, theirs)]
    others = [[c.to_dict() for c in s.columns if c.categories is not None] for s in (spec, theirs)]
    if numbers[0] != numbers[1] or (after.get("pca") and others[0] != others[1]):
        return f"the columns there are {list_some(theirs.column_names, 3, True)}"
    ours = network.preprocess.state_dict()
    if {n: t.shape for n, t in ours.items()} != {n: t.shape for n, t in weights.preprocess.items()}:
        return "the inputs there have another shape"
    return ""


def _options(weights: Weights, only: str = "") -> dict[str, Any] | None:
    """The options of the source's preprocessing, of its inputs or of one key; None where they do not hold here."""
    try:
        options = getattr(from_dict(weights.options, weights.path).data, "preprocess")
    except (ConfigError, AttributeError):
        return None
    chosen = {"include": {only}} if only else {"exclude": {"target"}}
    values: dict[str, Any] = options.model_dump(**chosen)
    return values


def _other_target(network: Network, weights: Weights, scale: dict[str, Tensor]) -> str:
    """Why the scale of the source's target is not that of this network's; "" if it is."""
    if weights.spec is None:
        return f"{weights.path} holds none"
    if weights.spec.targets != network.data_spec.targets:
        return f"the target there is {list_some(weights.spec.targets, 3, True) or 'classes'}"
    ours = cast(Regression, network.task).scale.state_dict()
    if {n: t.shape for n, t in ours.items()} != {n: t.shape for n, t in scale.items()}:
        return "the target there has another shape"
    options = _options(weights, "target"), network.preprocess.options.model_dump(include={"target"})
    return "data.preprocess.target is another one there" if options[0] != options[1] else ""


def _misfit(fitted: dict[str, Tensor], kept: dict[str, Tensor]) -> str:
    """How far the training rows lie from the statistics that are kept, and what to do if it is far."""
    place = "scale." if "scale.shift" in kept else ""
    shift, std = f"{place}shift", f"{place}spread"
    if not kept[shift].numel():
        return ""
    unit = kept[std]
    far = float(((fitted[shift].cpu() - kept[shift]).abs() / unit).max())
    ratios = fitted[std].cpu() / unit
    factor = float(torch.maximum(ratios, 1 / ratios).max())
    text = (
        f" (of this run's training rows the mean lies up to {far:.2g} deviations off, and the deviation differs by a "
        f"factor of up to {factor:.2g})"
    )
    if far > FAR or factor > RATIO:
        text += "; these fit badly: set model.start_from to {path: …, scaling: fit}"
    return text
