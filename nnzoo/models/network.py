"""Build a network from a config and the description of its data: the only place that does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from nnzoo.config import MODELS, RunConfig
from nnzoo.config.registry import plugin_error
from nnzoo.config.run_config import from_dict, locates_errors
from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, Split, total_memory
from nnzoo.data.preprocess import Preprocess, Scale, target_scale
from nnzoo.data.sampling import derive_seed
from nnzoo.data.sequences import Inputs, PaddedSequences, map_values
from nnzoo.device import check_precision, gpu_memory, use_tf32
from nnzoo.errors import CheckpointError, ConfigError, PluginError
from nnzoo.evaluation.calibration import Calibration, decision_of
from nnzoo.evaluation.decision import Decision, check_eval
from nnzoo.evaluation.tasks.build import build_task
from nnzoo.evaluation.tasks.classification import Classification, balanced_weights
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.evaluation.tasks.task import Task
from nnzoo.kernels.openmp import fit_threads
from nnzoo.models.flips import with_flips
from nnzoo.runs.checkpoint import check_finite, check_state_dict

# Bytes: its value, its gradient and the two averages that Adam keeps.
TRAINED_WEIGHT = 16
# Limit of the elements that a layer reads and writes for one sample: 256 MB, of which COPIES exist at once.
MAX_ACTIVATIONS = 1 << 26
COPIES = 8


class Network(nn.Module):
    """A model with its preprocessing, its task and the description of its data: everything that predictions need.

    Input: a raw batch of images, or a prepared batch of a table or series, where sequences have different
    lengths as PaddedSequences; output (batch, outputs) in the task's scaled units.
    """

    def __init__(
        self,
        config: RunConfig,
        data_spec: DataSpec,
        preprocess: Preprocess,
        model: nn.Module,
        task: Task,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.config = config
        self.data_spec = data_spec
        self.preprocess = preprocess
        self.model = model
        self.task = task
        self.device = device
        self.flip = config.eval.flip
        self.calibration: Calibration | None = None
        self.decision: Decision | None = None
        # Not a module of this one: its weights are the model's.
        self.compiled: Callable[[Inputs], Any] | None = None
        self.configure(config.train, compiled=False)
        self.origin: dict[str, Any] = {}
        """Where the weights started from, if it is set by `model.start_from`: path, sha256, notes."""
        # The number of leading features that are targets, if forecasts are differences from the last value.
        relative = isinstance(task, Regression) and getattr(
            config.data, "difference_from_last", False
        )
        self.num_anchor_features = len(cast(Regression, task).scale.shift) if relative else 0
        self.to(device)
        if device.type == "cuda":
            from nnzoo.models.conversion import convert_cuda_layers

            convert_cuda_layers(model)

    def forward(self, x: Inputs) -> Tensor:
        return self._forward_preprocessed(
            self.preprocess(x) if self.preprocess.input_spec.kind == "image" else x
        )

    def _forward_preprocessed(self, x: Inputs) -> Tensor:
        """Outputs (batch, outputs) in the task's scaled units for what `preprocess` made."""
        if not self.num_anchor_features or isinstance(x, PaddedSequences):
            return self._run_model(x)
        anchor = x[:, -1:, : self.num_anchor_features]
        x = torch.cat(
            [x[..., : self.num_anchor_features] - anchor, x[..., self.num_anchor_features :]], -1
        )
        steps = self.task.outputs // self.num_anchor_features
        anchors = anchor.expand(-1, steps, -1).flatten(1)
        members = getattr(self.model, "ensemble", 1)
        if members > 1 and self.model.training:  # which has an output per member
            anchors = anchors.repeat_interleave(members, 0)
        return self._run_model(x) + anchors

    def predict(self, raw: Inputs) -> Tensor:
        """Answers for raw inputs, whatever their kind: probabilities (batch, classes), or values in
        the target's own units (batch, outputs) float64.

        raw: uint8 images (batch, channels, height, width); float64 rows of a table as
        `encode_columns` makes them; float64 windows or sequences (batch, time, features) in their own units.
        """
        x = map_values(self.preprocess, raw)
        return self.task.postprocess(self._forward_preprocessed(x))

    is_group = False
    """Whether its predictions are the mean of those of a group of runs."""
    is_of_folds = False
    """Whether these have validated on different rows."""

    @property
    def networks(self) -> list[Network]:
        """The networks whose predictions are averaged: this one alone."""
        return [self]

    def predict_members(self, raw: Inputs) -> Tensor:
        """`predict` of each of `networks`, (networks, batch, outputs)."""
        return self.predict(raw)[None]

    def combine(self, members: Tensor) -> Tensor:
        """`predict` by the predictions of each of `networks`, (networks, batch, outputs)."""
        return members[0]

    def configure(self, options: TrainOptions, compiled: bool = True) -> None:
        """Set precision and kernels by these options, of which any may still be 'auto'."""
        self.precision = options.precision
        self.native = options.kernels != "torch" and bool(self.native_layers())
        for module in self.modules():
            if hasattr(module, "use_native"):
                module.use_native = self.native  # type: ignore[assignment]
        self.compiled = torch.compile(self.model) if compiled and options.compile is True else None

    def calibrate(self, calibration: Calibration | None) -> None:
        """Use what was learned from validation rows, as the section `eval` says; None to use nothing."""
        options = self.config.eval
        self.calibration = calibration
        if isinstance(self.task, Classification):
            is_applied = options.temperature == "apply"
            self.task.temperature = (
                getattr(calibration, "temperature", None) if is_applied else None
            )
            self.decision = decision_of(options.decide, self.task.names, calibration)

    def native_layers(self) -> list[Any]:
        """The modules that native layers can compute."""
        return [module for module in self.model.modules() if hasattr(module, "use_native")]

    def _run_model(self, x: Inputs) -> Tensor:
        """The model's outputs, float32; with precision bf16 its products are bfloat16, with tf32 on CUDA TF32."""
        if self.device.type == "cpu":
            fit_threads()
        else:
            use_tf32(self.precision == "tf32")
        model = with_flips(self.model if self.compiled is None else self.compiled, self.flip)
        if self.precision != "bf16":
            return cast(Tensor, model(x))
        with torch.autocast(self.device.type, torch.bfloat16):
            output = model(x)
        return cast(Tensor, output.float())

    def _prepare_inputs(self, x: Tensor) -> Tensor:
        return x if self.preprocess.input_spec.kind == "image" else self.preprocess(x)

    def prepare(self, split: Split) -> Split:
        """A split on the device as `forward` takes it, or from where it streams there (`HostSplit`).

        Images stay uint8 and are encoded batch by batch; tables and series are encoded once, on
        the CPU, where float64 is at hand.
        """

        def targets(y: Tensor) -> Tensor:
            return self.task.scaled(y) if isinstance(self.task, Regression) else y

        self.preprocess.cpu(), self.task.cpu()
        prepared = split.map(self._prepare_inputs, targets)
        if self.device.type == "cuda":
            from nnzoo.data.streaming import place_split

            prepared = place_split(prepared, self.device)
        self.preprocess.to(self.device), self.task.to(self.device)
        return prepared

    def state(self) -> dict[str, Any]:
        """The parts of a checkpoint, without the trainer's."""
        return {
            "config": self.config.to_dict(),
            "data": self.data_spec.to_dict(),
            "model": self.model.state_dict(),
            "preprocess": self.preprocess.state_dict(),
            "task": self.task.state_dict(),
        } | ({"origin": self.origin} if self.origin else {})


@locates_errors
def build_network(config: RunConfig, dataset: Dataset, device: torch.device) -> Network:
    """A fresh network, fitted preprocessing included; raises ConfigError if parts do not fit."""
    from nnzoo.models import initial_weights

    check_precision(config.train, device)
    options = getattr(config.data, "preprocess")
    weights = None
    if getattr(config.data, "class_weights", "") == "balanced":
        from nnzoo.evaluation.tasks.multilabel import positive_weights

        balance = {"classification": balanced_weights, "multilabel": positive_weights}
        weights_of = balance.get(dataset.spec.task)
        if weights_of is None:
            raise ConfigError.at("data.class_weights", "is for classes and labels, not for numbers")
        weights = weights_of(dataset)
    spec = replace(
        dataset.spec,
        balanced=weights is not None,
        fingerprint=dataset.fingerprint(),
        num_rows={name: len(split) for name, split in dataset.splits.items()},
    )
    scale = target_scale(options, dataset)
    network = _build(config, spec, weights, scale, device)
    dataset.notes += initial_weights.start_from_vectors(network)
    _check_lengths(network.model, dataset)
    monitor = config.train.monitor
    if "val" not in dataset.splits and (monitor != "auto" or config.train.early_stopping):
        key = "train.monitor" if monitor != "auto" else "train.early_stopping"
        raise ConfigError.at(key, "needs validation rows; data.split.val is 0", code="E18")
    network.preprocess.cpu().fit(dataset.splits["train"])
    if isinstance(network.task, Regression):
        network.task.centre = dataset.splits["train"].targets().double().mean(0)
    initial_weights.start_from_patches(network, dataset.splits["train"])
    initial_weights.start_from_weights(network)
    return network.to(device)


@locates_errors
def build_untrained(config: RunConfig, spec: DataSpec, device: torch.device) -> Network:
    """A network of classes with its first weights by a description of the data alone: preprocessing is not fitted.

    Raises ConfigError if parts do not fit.
    """
    return _build(config, spec, None, None, device)


def _check_lengths(model: nn.Module, dataset: Dataset) -> None:
    """Raise DataError that names the shortest sequence of a split where the model needs longer ones."""
    check: Callable[[int, str], None] | None = getattr(model, "check_length", None)
    for name, split in dataset.splits.items():
        if check is not None and split.lengths is not None and len(split):
            row = int(split.lengths.argmin())
            which = f"{dataset.row_name(name, row)} of the {name} split, the shortest,"
            check(int(split.lengths[row]), which)


def reseeded(network: Network, config: RunConfig) -> Network:
    """A fresh network of `config`, which differs in seed and name alone: what was learned from the
    data, and that is all but the model, it shares with `network`."""
    from nnzoo.models import initial_weights

    model = _model(config, network.preprocess, network.task)
    parts = network.preprocess, model, network.task
    fresh = Network(config, network.data_spec, *parts, network.device)
    initial_weights.start_from_vectors(fresh)
    initial_weights.copy_patches(fresh, network)
    initial_weights.start_from_weights(fresh, network.origin)
    return fresh


def network_from_checkpoint(content: dict[str, Any], source: str, device: torch.device) -> Network:
    """The network of a checkpoint, built through the registry from its plain values.

    Raises CheckpointError if its parts do not fit together: they may be anyone's.
    """
    try:
        config = _stored_config(content["config"], source)
        spec = DataSpec.from_dict(content["data"])
        weights = content["task"]["class_weights"] if spec.balanced else None

        def build(where: torch.device) -> Network:
            scale = None
            if not spec.is_classification:
                scale = Scale(len(spec.targets), "none")
            return _build(config, spec, weights, scale, where)

        # On the device without memory first: sizes that the file does not hold are never allocated.
        with torch.device("meta"):
            probe = build(torch.device("meta"))
        for name in _PARTS:
            check_state_dict(getattr(probe, name), content[name], f"{source}, {name}")
            check_finite(content[name], f"{source}, {name}")
        network = build(device)
        for name in _PARTS:
            getattr(network, name).load_state_dict(content[name])
        if "origin" in content:
            from nnzoo.models.initial_weights import checked_origin

            network.origin = checked_origin(content["origin"])
        network.calibration = Calibration.from_state(
            content.get("calibration"), network.task, source
        )
    except ConfigError as error:
        first = error.issues[0]
        raise CheckpointError(
            f"{source}: its configuration does not hold here: {first.path}: {first.message}",
            code="E65",
        ) from None
    except (CheckpointError, PluginError):
        raise
    except Exception as error:
        if plugin_error(error):
            raise
        raise CheckpointError(
            f"{source} is not a checkpoint of nnzoo: its parts do not fit together "
            f"({type(error).__name__}: {str(error)[:100]})",
            code="E65",
        ) from error
    return network


_PARTS = ("model", "preprocess", "task")


def _stored_config(tree: Any, source: str) -> RunConfig:
    """The config of a checkpoint; raises ConfigError."""
    if isinstance(tree, dict) and isinstance(tree.get("train"), dict):
        # Values of runs from before these keys existed, which keep their bits.
        before = {"kernels": "torch", "norm_statistics": "running"}
        tree = tree | {"train": before | tree["train"]}
    return from_dict(tree, source)


def _build(
    config: RunConfig, spec: DataSpec, weights: Tensor | None, scale: Any, device: torch.device
) -> Network:
    preprocess = Preprocess(getattr(config.data, "preprocess"), spec)
    if getattr(config.data, "augment", None) and spec.input.kind != "image":
        raise ConfigError.at("data.augment", "is for images")
    if getattr(config.model, "embedding", None) is not None and spec.input.kind != "tokens":
        raise ConfigError.at("model.embedding", f"is for text, but the data is {spec.input}")
    if config.train.batch_size == 1 and getattr(config.model, "norm", "none") == "batch":
        raise ConfigError.at("train.batch_size", "batch norm needs batches of at least two rows")
    if getattr(config.data, "difference_from_last", False):
        if preprocess.options.pca is not None:
            raise ConfigError.at(
                "data.difference_from_last", "needs the target among the inputs; not with pca"
            )
        if preprocess.options.target != preprocess.options.scale:
            raise ConfigError.at(
                "data.difference_from_last",
                "needs one scale: data.preprocess.target as data.preprocess.scale",
            )
    check_eval(config.eval, spec)
    task = build_task(config.train, spec, weights, scale)
    entry = MODELS.get(config.model.name)
    assert entry is not None
    build = entry.load()
    with torch.device("meta"):  # which takes no memory
        probe = build(config.model, preprocess.output_spec, task.outputs)
    _check_activations(max(spec.input.size, getattr(probe, "activations", 0)), spec.input)
    weights_wanted = sum(p.numel() for p in probe.parameters())
    on_gpu = gpu_memory(device) if device.type == "cuda" else None
    place, most = (
        ("this machine's", total_memory()) if on_gpu is None else (f"{device}'s", on_gpu[1])
    )
    if weights_wanted * TRAINED_WEIGHT > most:
        raise ConfigError.at(
            "model",
            f"has {weights_wanted:,} weights; {place} memory can train {most // TRAINED_WEIGHT:,}",
            code="E19",
        )
    model = _model(config, preprocess, task)
    return Network(config, spec, preprocess, model, task, device)


def _check_activations(numbers: int, input_spec: InputSpec) -> None:
    """Raise ConfigError if one sample would not fit into memory in a layer; numbers:
    the most that a layer reads and writes for it."""
    limit = min(MAX_ACTIVATIONS, total_memory() // COPIES // 4)
    if numbers > limit:
        raise ConfigError.at(
            "model",
            f"one input of {'×'.join(map(str, input_spec.shape))} makes {numbers:,} numbers in one layer; at "
            f"most {limit:,}. Use smaller inputs (data.size, data.window), fewer channels or units",
            code="E19",
        )


def _model(config: RunConfig, preprocess: Preprocess, task: Task) -> nn.Module:
    """The weights follow from the seed alone, whatever was drawn before."""
    entry = MODELS.get(config.model.name)
    assert entry is not None
    torch.manual_seed(derive_seed(config.seed, "init"))
    model: nn.Module = entry.load()(config.model, preprocess.output_spec, task.outputs)
    if patterns := getattr(config.model, "freeze", []):
        from nnzoo.models.freeze import freeze

        freeze(model, patterns)
    return model
