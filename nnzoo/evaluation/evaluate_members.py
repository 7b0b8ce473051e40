"""The networks of a group one by one: mean, deviation and range of each metric, beside those of the group."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from nnzoo.data.dataset import Split
from nnzoo.evaluation.evaluate import evaluate

if TYPE_CHECKING:
    from nnzoo.models.group_network import GroupNetwork


def evaluate_members(group: GroupNetwork, prepared: Split) -> dict[str, Any]:
    """Return `count` and, of each metric that is a number, mean, std (n - 1), min and max over the networks, and `values`.

    prepared: a split as the group takes it. Losses are in the scaled units of the first network.
    """
    names = [network.config.name for network in group.networks]
    reports = [
        evaluate(group.member(i), prepared, group.task, group.device) for i in range(len(names))
    ]
    metrics = {}
    for metric, value in reports[0].items():
        values = [report.get(metric) for report in reports]
        if type(value) is not float or not all(type(x) is float for x in values):
            continue
        known = [x for x in values if isinstance(x, float)]
        metrics[metric] = {
            "mean": statistics.fmean(known),
            "std": statistics.stdev(known) if len(known) > 1 else None,
            "min": min(known),
            "max": max(known),
            "values": known,
        }
    return {"count": len(names), "runs": names, "metrics": metrics}
