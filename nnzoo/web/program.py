"""A network as a list of layers with options and weights, from raw input to prediction, that a page computes.

`describe` gives plain values for JSON; `scripts/forward.js` runs them. A layer is {"type", "name", "inputs", options}:
`inputs` are the places in the list of the layers that it reads, the first layer is the raw input of one sample. Names of
the model's layers are those of its modules. Maps are (channels, height, width) or (channels, time), sequences (time,
features).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn

from nnzoo.data import preprocess
from nnzoo.evaluation.tasks.classification import Classification
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.models import table_layers
from nnzoo.models.cnn import CNN, Branches, ResidualBlock
from nnzoo.models.embedding import Embedding, EmbeddingMean
from nnzoo.models.layers import parameter
from nnzoo.models.network import Network
from nnzoo.models.recurrent_layers import PARAMETERS, ReluLSTM
from nnzoo.models.rnn import Recurrent
from nnzoo.web.render import encode_array

MAX_PARAMETERS = 400_000
"""Numbers of all layers together; in the page they take 5.3 bytes each."""


class UndescribedError(Exception):
    """The network has no description; the message is the reason, for the page."""


def describe(network: Network, ids: Tensor | None = None) -> dict[str, Any]:
    """Describe a network in evaluation mode and float32, as {"kind", "layers", "parameters"}.

    ids: tokens of the inputs that the page shows; only their vectors are in the description. Raises UndescribedError
    if a layer is not one of nnzoo's, or if there are more than MAX_PARAMETERS numbers.
    """
    if network.is_group:
        raise UndescribedError(
            "it is a group of several networks; open the page of one of its runs"
        )
    builder = _Builder(network, ids)
    builder.add_preprocessing()
    builder.add_model()
    builder.add_task()
    if builder.parameters > MAX_PARAMETERS:
        raise UndescribedError(
            f"it has {builder.parameters:,} parameters; a page computes networks of up to {MAX_PARAMETERS:,}"
        )
    kind = network.data_spec.input.kind
    return {"kind": kind, "layers": builder.layers, "parameters": builder.parameters}


class _Builder:
    """The layers so far, and how modules become layers.

    place: the layer that the next one reads; has_channels: whether that one's output has channels first.
    """

    def __init__(self, network: Network, ids: Tensor | None) -> None:
        self.network = network
        self.ids = ids
        self.layers: list[dict[str, Any]] = []
        self.parameters = 0
        self.has_channels = network.data_spec.input.kind == "image"
        self.padding: list[list[int]] | None = None
        self.place = 0
        self.add("input", "input", inputs=[])

    def add(self, type_: str, name: str, inputs: list[int] | None = None, **options: Any) -> int:
        """Add a layer, of which tensors are encoded; it reads the one before unless `inputs` names others."""
        layer: dict[str, Any] = {"type": type_, "name": name}
        layer["inputs"] = [self.place] if inputs is None else inputs
        for key, value in options.items():
            if isinstance(value, Tensor):
                self.parameters += value.numel()
                # Encoding takes time, and what is too large is not shown.
                fits = self.parameters <= MAX_PARAMETERS
                array = value.detach().cpu().numpy()
                layer[key] = encode_array(array, keep_float64=True) if fits else None
            elif value is not None:
                layer[key] = value
        self.layers.append(layer)
        self.place = len(self.layers) - 1
        return self.place

    # From the raw input to the model's.

    def add_preprocessing(self) -> None:
        for name, step in self.network.preprocess.named_children():
            _PREPROCESSING[type(step)](self, step, f"preprocess.{name}")
        if len(self.network.preprocess):
            self.add("float32", "preprocess")
        if self.network.num_anchor_features:
            self.anchors = self.place
            features = self.network.num_anchor_features
            self.add("difference", "difference from last", features=features)

    def add_model(self) -> None:
        model = self.network.model
        if isinstance(model, CNN):
            self._add_cnn(model)
        elif isinstance(model, Recurrent):
            self._add_recurrent(model)
        elif isinstance(model, nn.Sequential):
            self.add_modules(model, "")
        else:
            raise UndescribedError(f"a page cannot compute '{type(model).__name__}'")
        if self.network.num_anchor_features:
            inputs = [self.place, self.anchors]
            features = self.network.num_anchor_features
            self.add("add_last", "add last", inputs, features=features)

    def add_task(self) -> None:
        """Add what makes predictions of the outputs: probabilities, or values in units of the target."""
        task = self.network.task
        if isinstance(task, Regression):
            scale = task.scale
            self.add("unscale", "target scale", shift=scale.shift, scale=scale.spread)
            if task.quantiles:
                self.add("sort", "sorted quantiles", outputs=len(task.names))
            return
        if isinstance(task, Classification) and task.temperature is not None:
            self.add("scale", "temperature", factor=1 / task.temperature)
        self.add("softmax" if task.is_classification else "probability", "prediction")

    # Models.

    def add_modules(self, modules: nn.Module, prefix: str) -> None:
        for name, module in modules.named_children():
            self.add_module(module, f"{prefix}{name}")

    def add_module(self, module: nn.Module, name: str) -> None:
        is_known = type(module).__module__.partition(".")[0] in ("torch", "nnzoo")
        for kind, add in _MODULES.items():
            if is_known and isinstance(module, kind):
                add(self, module, name)
                return
        raise UndescribedError(f"a page cannot compute layer '{name}' ({type(module).__name__})")

    def _add_cnn(self, model: CNN) -> None:
        if model.embedding is not None:
            self.add_module(model.embedding, "embedding")
        if model.is_series:
            self.add("transpose", "channels first")
        self.has_channels = True
        if isinstance(model.features, Branches):
            start, ends = self.place, []
            for name, branch in model.features.named_children():
                self.place = start
                self.add_modules(branch, f"features.{name}.")
                kind = model.features.pooling
                ends.append(self.add("global_pool", f"features.{name} pooled", kind=kind))
            self.add("concat", "features", ends)
        else:
            self.add_modules(model.features, "features.")
        self.add_modules(model.head, "head.")

    def _add_recurrent(self, model: Recurrent) -> None:
        if model.embedding is not None:
            self.add_module(model.embedding, "embedding")
        if model.is_image:
            self.add("rows", "rows as steps")
        rnn = cast(Any, model.rnn)
        is_relu = isinstance(rnn, ReluLSTM) or getattr(rnn, "nonlinearity", "") == "relu"
        cell = {nn.LSTM: "lstm", nn.GRU: "gru", nn.RNN: "rnn"}
        for i in range(rnn.num_layers):
            weights = {
                name + suffix: parameter(rnn, f"{name}_l{i}{suffix}")
                for suffix in ("", "_reverse")[: 2 if rnn.bidirectional else 1]
                for name in PARAMETERS
            }
            self.add(
                "recurrent",
                f"rnn.l{i}",
                cell=next(name for kind, name in cell.items() if isinstance(rnn, kind)),
                function="relu" if is_relu else "tanh",
                bidirectional=rnn.bidirectional,
                **weights,
            )
        if not model.per_step:
            self.add("readout", "readout", kind=model.readout, bidirectional=rnn.bidirectional)
        self.add_module(model.head, "head")

    def add_convolution(self, module: Any, name: str) -> None:
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise UndescribedError(f"a page cannot compute the padding of layer '{name}'")
        padding = self.padding or [[size, size] for size in module.padding]
        self.padding = None
        self.add(
            "conv",
            name,
            weight=parameter(module, "weight"),
            bias=parameter(module, "bias"),
            stride=list(module.stride),
            padding=padding,
            dilation=list(module.dilation),
            groups=module.groups,
        )

    def add_padding(self, module: Any, name: str) -> None:
        """Zeros around the input are part of the convolution that follows; torch names the last direction first."""
        sides = [*module.padding]
        self.padding = [sides[i : i + 2] for i in range(0, len(sides), 2)][::-1]

    def add_residual(self, module: ResidualBlock, name: str) -> None:
        start = self.place
        self.add_modules(module.body, f"{name}.body.")
        body, self.place = self.place, start
        if not isinstance(module.skip, nn.Identity):
            self.add_module(module.skip, f"{name}.skip")
        self.add("add", f"{name} sum", [body, self.place])
        self.add_module(module.activation, f"{name}.activation")

    def add_embedding(self, module: Embedding, name: str) -> None:
        weight, ids = parameter(module, "weight"), None
        if self.ids is not None:
            ids = self.ids.flatten().unique().long()
            weight = weight[ids]
            ids = ids.tolist()
        is_mean = isinstance(module, EmbeddingMean)
        self.add("embedding", f"{name} vectors" if is_mean else name, weight=weight, ids=ids)
        if is_mean:
            self.add("readout", name, kind="mean", bidirectional=False)

    def add_pool(self, module: Any, name: str, kind: str, dims: int) -> None:
        def sizes(value: Any) -> list[int]:
            return list(value) if isinstance(value, tuple | list) else [value] * dims

        plain = getattr(module, "padding", 0) in (0, (0,), (0, 0)) and not module.ceil_mode
        if not plain or getattr(module, "dilation", 1) != 1 or getattr(module, "norm_type", 2) != 2:
            raise UndescribedError(f"a page cannot compute the pooling of layer '{name}'")
        size = sizes(module.kernel_size)
        self.add("pool", name, kind=kind, size=size, stride=sizes(module.stride or size))

    def add_flatten(self, module: nn.Module, name: str) -> None:
        self.has_channels = False
        self.add("flatten", name)

    def add_batch_norm(self, module: Any, name: str) -> None:
        statistics = {"mean": module.running_mean, "variance": module.running_var}
        if statistics["mean"] is None:
            raise UndescribedError(
                f"layer '{name}' normalizes by the batch, which a page has none of"
            )
        parameters = {"weight": module.weight, "bias": module.bias, "eps": module.eps}
        self.add("batch_norm", name, axis=self._axis, **statistics, **parameters)

    def add_activation(self, module: nn.Module, name: str) -> None:
        strength = None
        if isinstance(module, table_layers.LearnedActivation):
            strength, module = module.strength, module.activation
        function = _ACTIVATIONS[type(module)]
        slope = getattr(module, "negative_slope", getattr(module, "alpha", None))
        if isinstance(module, nn.GELU) and module.approximate != "none":
            function = "gelu_tanh"
        self.add("activation", name, function=function, slope=slope, strength=strength)

    @property
    def _axis(self) -> int:
        """The dimension of channels or features: 0 of maps, else -1."""
        return 0 if self.has_channels else -1


_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.ELU: "elu",
    nn.SELU: "selu",
    nn.Mish: "mish",
}

_Add = Callable[[_Builder, Any, str], Any]


def _scale(builder: _Builder, step: preprocess.Scale, name: str) -> None:
    axis = 0 if step.axis == 1 else -1
    builder.add("scale", name, shift=step.shift, factor=1 / step.spread, axis=axis)


_PREPROCESSING: dict[type[nn.Module], _Add] = {
    preprocess.Impute: lambda b, m, name: b.add("impute", name, fill=m.fill),
    preprocess.OneHot: lambda b, m, name: b.add("one_hot", name, numbers=m.numbers, sizes=m.sizes),
    preprocess.Scale: _scale,
    preprocess.QuantileScale: lambda b, m, name: b.add(
        "quantile", name, knots=m.knots, values=m.values
    ),
    preprocess.SmoothClip: lambda b, m, name: b.add("clip", name, numbers=m.numbers, limit=m.limit),
    preprocess.Flatten: _Builder.add_flatten,
    preprocess.PCA: lambda b, m, name: b.add("pca", name, mean=m.mean, components=m.components),
}


def _pool(kind: str, dims: int) -> _Add:
    return lambda builder, module, name: builder.add_pool(module, name, kind, dims)


def _global_pool(kind: str) -> _Add:
    def add(builder: _Builder, module: Any, name: str) -> None:
        if module.output_size not in (1, (1, 1)):
            raise UndescribedError(f"a page cannot compute the pooling of layer '{name}'")
        builder.add("global_pool", name, kind=kind)

    return add


# By class of a module, how it is added; the first that fits.
_MODULES: dict[Any, _Add] = {
    ResidualBlock: _Builder.add_residual,
    nn.Sequential: lambda b, m, name: b.add_modules(m, f"{name}."),
    (nn.Dropout, nn.Identity): lambda b, m, name: b.add("identity", name),
    nn.Flatten: _Builder.add_flatten,
    nn.Linear: lambda b, m, name: b.add(
        "linear", name, weight=parameter(m, "weight"), bias=parameter(m, "bias")
    ),
    (nn.Conv1d, nn.Conv2d): _Builder.add_convolution,
    (nn.ZeroPad1d, nn.ZeroPad2d): _Builder.add_padding,
    (nn.BatchNorm1d, nn.BatchNorm2d): _Builder.add_batch_norm,
    nn.GroupNorm: lambda b, m, name: b.add(
        "group_norm", name, groups=m.num_groups, weight=m.weight, bias=m.bias, eps=m.eps
    ),
    nn.LayerNorm: lambda b, m, name: b.add(
        "layer_norm", name, weight=m.weight, bias=m.bias, eps=m.eps
    ),
    nn.MaxPool1d: _pool("max", 1),
    nn.MaxPool2d: _pool("max", 2),
    nn.AvgPool1d: _pool("average", 1),
    nn.AvgPool2d: _pool("average", 2),
    nn.LPPool1d: _pool("lp", 1),
    nn.LPPool2d: _pool("lp", 2),
    (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d): _global_pool("average"),
    (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d): _global_pool("max"),
    Embedding: _Builder.add_embedding,
    table_layers.NumericEmbedding: lambda b, m, name: b.add(
        "numeric_embedding",
        name,
        **{key: getattr(m, key) for key in ("frequencies", "phases", "weight", "bias")},
    ),
    table_layers.CategoryEmbedding: lambda b, m, name: b.add(
        "category_embedding",
        name,
        sizes=m.split_sizes,
        is_embedded=m.is_embedded,
        weight=m.weight,
    ),
    table_layers.InputScale: lambda b, m, name: b.add("scale", name, factor=m.factors),
    table_layers.EnsembleInput: lambda b, m, name: b.add(
        "members", name, factors=m.factors.view(m.members, -1)
    ),
    table_layers.EnsembleOutput: lambda b, m, name: b.add(
        "member_outputs", name, weight=m.weight, bias=m.bias.view(m.members, -1)
    ),
    (table_layers.LearnedActivation, *_ACTIVATIONS): _Builder.add_activation,
}
