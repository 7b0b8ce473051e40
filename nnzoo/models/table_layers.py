"""Layers of an MLP on tables: embeddings of numbers and categories, scaled inputs, learned activations, an ensemble.

Sources: "RealMLP" is Holzmüller, Grinsztajn & Steinwart 2024, "Better by Default"; "TabM" is Gorishniy, Kotelnikov &
Babenko 2024, "TabM: Advancing tabular deep learning with parameter-efficient ensembling".

Weight decay leaves parameters of one dimension alone (see training/optim.py), which is why factors and frequencies are
kept flat.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nnzoo.config.model_options import CategoryEmbeddingOptions, Init, NumericEmbeddingOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.errors import ConfigError
from nnzoo.models.initialize import init_layer


class TableLayer(nn.Module):
    """Base of the layers here, which a batched model of several networks computes network by network.

    lr_kind: the key of `optim.lr_factors` that is for all its parameters; empty for none.
    """

    lr_kind = ""


class NumericEmbedding(TableLayer):
    """Each number x beside a linear map of cos(2 pi (frequency x) + phase) with frequencies and phases of its own.

    RealMLP's "PBLD", after the periodic embeddings of Gorishniy et al. 2022, "On embeddings for numerical features".
    Input (batch, features) with the numbers first; output (batch, numbers * size + other features).
    """

    lr_kind = "embedding"

    def __init__(self, options: NumericEmbeddingOptions, input_spec: InputSpec) -> None:
        super().__init__()
        self.numbers = numbers = input_spec.size - sum(input_spec.category_sizes)
        if input_spec.kind != "table" or not numbers:
            raise ConfigError.at(
                "model.numeric_embedding", f"needs columns of numbers, but the data is {input_spec}"
            )
        count, added = options.frequencies, options.size - 1
        self.out_features = numbers * options.size + input_spec.size - numbers
        self.frequencies = nn.Parameter(torch.randn(numbers * count).mul_(options.std))
        self.phases = nn.Parameter(torch.rand(numbers * count).mul_(2).sub_(1).mul_(math.pi))
        self.weight = nn.Parameter(torch.randn(numbers, count, added).div_(math.sqrt(count)))
        self.bias = nn.Parameter(torch.zeros(numbers * added))

    def forward(self, x: Tensor) -> Tensor:
        numbers = x[:, : self.numbers].unsqueeze(2)
        shape = self.numbers, -1
        waves = (2 * math.pi) * numbers * self.frequencies.view(shape) + self.phases.view(shape)
        # (numbers, batch, frequencies) times (numbers, frequencies, added)
        mapped = torch.bmm(waves.cos().transpose(0, 1), self.weight).transpose(0, 1)
        embedded = torch.cat([numbers, mapped + self.bias.view(shape)], 2)
        return torch.cat([embedded.flatten(1), x[:, self.numbers :]], 1)


class CategoryEmbedding(TableLayer):
    """Vectors for the categories of columns with many of them, in place of their one-hot columns.

    Input (batch, features), one-hot columns last; output (batch, fewer features). A missing or unknown category, which
    has zeros only, becomes a vector of zeros. features: those of its input, of which the one-hot columns are the last.
    """

    lr_kind = "embedding"

    def __init__(
        self, options: CategoryEmbeddingOptions, input_spec: InputSpec, features: int
    ) -> None:
        super().__init__()
        sizes = input_spec.category_sizes
        embedded = [size for size in sizes if size > options.above]
        if not embedded:
            raise ConfigError.at(
                "model.category_embedding",
                f"no column has more than {options.above} categories (model.category_embedding.above)",
            )
        first = features - sum(sizes)
        self.split_sizes = [first, *sizes] if first else list(sizes)
        self.above = options.above
        self.is_embedded = [False] * bool(first) + [size > options.above for size in sizes]
        self.out_features = features + sum(options.size - size for size in embedded)
        self.weight = nn.Parameter(torch.randn(sum(embedded), options.size))

    def forward(self, x: Tensor) -> Tensor:
        parts = list(x.split(self.split_sizes, 1))
        start = 0
        for i, part in enumerate(parts):
            if self.is_embedded[i]:
                stop = start + part.shape[1]
                parts[i] = part @ self.weight[start:stop]
                start = stop
        return torch.cat(parts, 1)


class InputScale(TableLayer):
    """Each feature times a learned factor, at first 1 (RealMLP's scaling layer)."""

    lr_kind = "input_scale"

    def __init__(self, features: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors


class LearnedActivation(TableLayer):
    """An activation f of learned strength: x + strength * (f(x) - x), with one strength per unit, at first 1 (RealMLP)."""

    lr_kind = "activation"

    def __init__(self, activation: nn.Module, features: int) -> None:
        super().__init__()
        self.activation = activation
        self.strength = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.activation(x), self.strength.to(x.dtype))


class EnsembleInput(TableLayer):
    """Copies of each row, one per member of an ensemble in one network, each times factors of its own, at first 1 or -1
    at random (TabM-mini). Input (batch, features), output (batch * members, features), row by row."""

    def __init__(self, members: int, features: int) -> None:
        super().__init__()
        self.members = members
        # In place, as everything here: on the meta device `signs * 2` loads torch._dynamo, which takes a second.
        signs = torch.empty(members * features).random_(0, 2).mul_(2).sub_(1)
        self.factors = nn.Parameter(signs)

    def forward(self, x: Tensor) -> Tensor:
        return (x.unsqueeze(1) * self.factors.view(self.members, -1)).flatten(0, 1)


class EnsembleOutput(TableLayer):
    """The output layer of an ensemble in one network: a linear layer per member.

    Input (batch * members, features), row by row; output in training (batch * members, outputs), so that each member
    learns by its own loss, in evaluation the mean over the members (batch, outputs).
    """

    def __init__(self, members: int, features: int, outputs: int, init: Init) -> None:
        super().__init__()
        self.members = members
        layers = [nn.Linear(features, outputs) for _ in range(members)]
        self.weight = nn.Parameter(torch.empty(members, outputs, features))
        self.bias = nn.Parameter(torch.empty(members * outputs))
        with torch.no_grad():
            for layer, weight, bias in zip(
                layers, self.weight, self.bias.split(outputs), strict=True
            ):
                init_layer(layer, init, "linear")
                weight.copy_(layer.weight)
                bias.copy_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.unflatten(0, (-1, self.members)).transpose(0, 1)
        bias = self.bias.view(self.members, 1, -1)
        outputs = torch.baddbmm(bias, rows, self.weight.mT).transpose(0, 1)
        return outputs.flatten(0, 1) if self.training else outputs.mean(1)
