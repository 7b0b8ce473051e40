"""Interface of an exported network: names, types and shapes of its inputs and outputs, and metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnzoo import __version__
from nnzoo.config.formatting import to_json
from nnzoo.evaluation.calibration import Calibration
from nnzoo.evaluation.tasks.multilabel import Multilabel
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.export_text import IDS, is_language_model, state_names, tokenizer_values
from nnzoo.models.network import Network

INPUT = "input"
LENGTHS = "lengths"
"""Second input of networks on sequences of different lengths: the time steps of each row of the padded first one."""


def tokenizer_path(path: Path) -> Path:
    """The file of the tokenizer beside an exported network."""
    return path.with_name(f"{path.stem}.tokenizer.json")


def describe_io(
    network: Network, has_lengths: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return type and shape of each input and output of an exported network by name, in order."""
    input_spec, task = network.preprocess.input_spec, network.task
    output = "probabilities" if task.gives_probabilities else "values"
    output_type = "float32" if task.gives_probabilities else "float64"
    is_text = input_spec.kind == "tokens"
    input_type = {"image": "uint8", "tokens": "int64"}.get(input_spec.kind, "float64")
    shape = ["batch", "time"] if is_text else ["batch", *input_spec.shape]
    inputs: dict[str, Any] = {IDS if is_text else INPUT: {"type": input_type, "shape": shape}}
    outputs: dict[str, Any] = {output: {"type": output_type, "shape": ["batch", task.outputs]}}
    if is_language_model(network):
        outputs[output]["shape"].insert(1, "time")
        rnn: Any = network.model.rnn
        for name in state_names(network):
            state = {"type": "float32", "shape": [rnn.num_layers, "batch", rnn.hidden_size]}
            inputs[name] = outputs[f"{name}_out"] = state
    elif input_spec.variable_length and has_lengths:
        shape[1] = "time"
        inputs[LENGTHS] = {"type": "int64", "shape": ["batch"]}
    return inputs, outputs


def metadata(network: Network) -> dict[str, str]:
    """Return what a program needs to know to use the network, as texts; lists are JSON."""
    spec = network.data_spec
    texts = {"nnzoo": __version__, "run": network.config.name, "kind": spec.input.kind}
    texts |= {"shape": to_json(list(spec.input.shape)), "task": spec.task}
    if len(network.networks) > 1:
        texts["members"] = str(len(network.networks))
    stored = spec.source_dict()
    keys = ("labels", "targets", "horizon", "columns")
    data: Any = network.config.data
    if hasattr(data, "max_length"):  # what is done to recordings before they are inputs
        cuts = {"max_length": data.max_length, "length": getattr(data, "length", None)}
        cuts |= {"keep": data.keep if data.max_length else None}
        texts |= {key: str(value) for key, value in cuts.items() if value is not None}
    if spec.tokenizer is not None:
        texts["tokenizer"] = to_json(tokenizer_values(network))
    if isinstance(network.task, Multilabel):
        texts["thresholds"] = to_json(network.task.thresholds.tolist())
    if isinstance(network.task, Regression) and network.task.quantiles:
        texts["quantiles"] = to_json(network.task.quantiles)
    if network.calibration is not None:
        texts["calibration"] = to_json(_calibration_values(network, network.calibration))
    return texts | {key: to_json(stored[key]) for key in keys if key in stored}


def _calibration_values(network: Network, calibration: Calibration) -> dict[str, Any]:
    """Return what turns predictions into intervals, sets and decisions: `low` and `high` are added to the values of
    each output, to the smallest and the largest quantile where there are quantiles, and ends that cross are
    replaced by their mean; a class belongs to a set from `set_threshold` on; logits are divided by
    `temperature` where it is applied."""
    coverage = calibration.default_coverage
    values: dict[str, Any] = {"validation_rows": calibration.rows, "coverage": coverage}
    if isinstance(network.task, Regression):
        if coverage is not None:
            low, high = calibration.margins(coverage)
            values |= {"low": low.tolist(), "high": high.tolist()}
        return values
    if coverage is not None:
        values["set_threshold"] = calibration.set_threshold(coverage)
    values |= {"temperature": calibration.temperature}
    values["temperature_applied"] = network.task.temperature is not None
    return values | ({"decision": network.decision.to_dict()} if network.decision else {})
