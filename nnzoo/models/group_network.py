"""The networks of a group (`--seeds`, `--folds`) as one, whose predictions are the mean of theirs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo.config import RunConfig
from nnzoo.data.data_spec import ColumnSpec, DataSpec
from nnzoo.data.sequences import Inputs, PaddedSequences
from nnzoo.data.tokenizer import UNKNOWN, UNKNOWN_ID, Tokenizer
from nnzoo.errors import CheckpointError
from nnzoo.models.network import Network
from nnzoo.text import shorten

Recode = Callable[[Inputs], Inputs]


class GroupNetwork(Network):
    """Several networks of one data set; probabilities, or values in the target's own units, are averaged.

    Each keeps its own preprocessing: those of folds were fitted on other rows, and may know other categories or
    tokens, so that the data are read with those of all. Input of `forward` and `predict`: raw, as
    `Network.predict` takes it; `model`, `preprocess` and the scale of the task are those of the first network.
    Calibration, temperature and decision are the group's own.
    """

    is_group = True

    def __init__(self, config: RunConfig, networks: Sequence[Network]) -> None:
        first = networks[0]
        spec = _common_spec(networks)
        task = copy.deepcopy(first.task)
        super().__init__(config, spec, first.preprocess, nn.Module(), task, first.device)
        first.configure(first.config.train, compiled=False)
        self.model = first.model
        self.members = nn.ModuleList(networks)
        self.recodes = [_recode(spec, network.data_spec) for network in networks]
        split: Any = getattr(config.data, "split", None)
        self.is_of_folds = getattr(split, "folds", None) is not None

    @property
    def networks(self) -> list[Network]:
        return [network for network in self.members if isinstance(network, Network)]

    def member(self, i: int) -> GroupNetwork:
        """One of the networks, with the inputs and the scale of the group."""
        single = copy.copy(self)
        single._modules = {**self._modules, "members": nn.ModuleList([self.networks[i]])}
        single.recodes = [self.recodes[i]]
        return single

    def predict_members(self, raw: Inputs) -> Tensor:
        pairs = zip(self.networks, self.recodes, strict=True)
        return torch.stack([network.predict(recode(raw)) for network, recode in pairs])

    def combine(self, members: Tensor) -> Tensor:
        """The mean; where the group has a temperature, at that."""
        mean = members.mean(0)
        if self.task.temperature is None:
            return mean
        return self.task.postprocess(self.task.outputs_of(mean))

    def predict(self, raw: Inputs) -> Tensor:
        return self.combine(self.predict_members(raw))

    def forward(self, x: Inputs) -> Tensor:
        return self.task.outputs_of(self.predict_members(x).mean(0))

    def _prepare_inputs(self, x: Tensor) -> Tensor:
        return x


def _common_spec(networks: Sequence[Network]) -> DataSpec:
    """The description by which data are read for all; raises CheckpointError if there is none."""
    specs = [network.data_spec for network in networks]
    first, columns = specs[0], specs[0].columns
    for network, spec in zip(networks, specs, strict=True):
        for what, ours, theirs in (
            ("another task", first.task, spec.task),
            ("other inputs", _input_form(first), _input_form(spec)),
            ("other classes", first.labels, spec.labels),
            ("other targets", (first.targets, first.horizon), (spec.targets, spec.horizon)),
            ("other columns", _without_categories(first), _without_categories(spec)),
        ):
            if ours != theirs:
                raise CheckpointError(
                    f"the runs of this group cannot be averaged: '{shorten(network.config.name)}' has {what} than "
                    f"'{shorten(networks[0].config.name)}'",
                    code="E69",
                )
    for i, column in enumerate(columns):
        known = [spec.columns[i].categories or [] for spec in specs]
        if column.categories is not None and any(some != known[0] for some in known):
            merged = sorted({category for some in known for category in some})
            columns = [*columns[:i], replace(column, categories=merged), *columns[i + 1 :]]
    longest = tuple(max(sizes) for sizes in zip(*(spec.input.shape for spec in specs), strict=True))
    tokenizer = _common_tokenizer([spec.tokenizer for spec in specs])
    vocabulary = 0 if tokenizer is None else tokenizer.size
    inputs = replace(first.input, shape=longest, vocabulary=vocabulary)
    common = replace(first, columns=columns, tokenizer=tokenizer, input=inputs)
    # The fingerprint of data depends on the categories and tokens with which they are read.
    return common if common == first else replace(common, fingerprint="")


def _input_form(spec: DataSpec) -> object:
    shape = spec.input.shape[1:] if spec.input.variable_length else spec.input.shape
    unit = None if spec.tokenizer is None else (spec.tokenizer.unit, spec.tokenizer.lowercase)
    return spec.input.kind, spec.input.variable_length, shape, spec.bits, spec.max_pixel_value, unit


def _without_categories(spec: DataSpec) -> list[ColumnSpec]:
    return [
        column if column.categories is None else replace(column, categories=[])
        for column in spec.columns
    ]


def _common_tokenizer(tokenizers: Sequence[Tokenizer | None]) -> Tokenizer | None:
    first = tokenizers[0]
    if first is None or all(one == first for one in tokenizers):
        return first
    tokens = dict.fromkeys(token for one in tokenizers if one for token in one.vocabulary)
    return replace(first, vocabulary=[UNKNOWN, *(token for token in tokens if token != UNKNOWN)])


def _recode(common: DataSpec, spec: DataSpec) -> Recode:
    """A function from inputs that are read by the common description to those that one network reads."""
    if common.tokenizer is not None and spec.tokenizer is not None:
        if common.tokenizer == spec.tokenizer:
            return lambda raw: raw
        get = spec.tokenizer.ids.get
        ids = torch.tensor([get(token, UNKNOWN_ID) for token in common.tokenizer.vocabulary])
        return lambda raw: _map_tokens(ids, raw)
    tables: dict[int, Tensor] = {}
    for place, (ours, theirs) in enumerate(zip(common.columns, spec.columns, strict=True)):
        if ours.categories is not None and ours.categories != theirs.categories:
            codes = {category: float(i) for i, category in enumerate(theirs.categories or ())}
            # The last one is that of unknown categories, whose code is -1.
            known = [codes.get(category, -1.0) for category in ours.categories]
            tables[place] = torch.tensor([*known, -1.0], dtype=torch.float64)
    return lambda raw: _map_categories(tables, raw)


def _map_tokens(ids: Tensor, raw: Inputs) -> Inputs:
    values = raw.values if isinstance(raw, PaddedSequences) else raw
    mapped = ids.to(values.device)[values.long()].to(values.dtype)
    return raw.with_values(mapped) if isinstance(raw, PaddedSequences) else mapped


def _map_categories(tables: dict[int, Tensor], raw: Inputs) -> Inputs:
    if not tables or isinstance(raw, PaddedSequences):
        return raw
    columns = list(raw.unbind(-1))
    for place, table in tables.items():
        columns[place] = table.to(raw)[columns[place].long()]
    return torch.stack(columns, -1)
