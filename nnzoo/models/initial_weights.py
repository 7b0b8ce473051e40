"""Weights from which a fresh network starts: vectors of tokens, trained weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from nnzoo.config.model_options import ModelOptions
from nnzoo.errors import ConfigError

if TYPE_CHECKING:
    from nnzoo.data.dataset import Split
    from nnzoo.models.network import Network


def start_from_vectors(network: Network) -> list[str]:
    """Let a fresh network of text start from the vectors that its configuration names; a note on them."""
    tokenizer, model = network.data_spec.tokenizer, network.config.model
    if (
        tokenizer is None
        or not isinstance(model, ModelOptions)
        or not model.token_embedding.vectors
    ):
        return []
    from nnzoo.models.vectors import load_vectors

    return [load_vectors(network.model, model.token_embedding, tokenizer)]


def start_from_patches(network: Network, train: Split) -> None:
    """Set the whitening filters of a fresh network from its training rows, where its configuration has `model.whiten`."""
    if getattr(network.config.model, "whiten", False):
        from nnzoo.models.whiten import fit_whitening

        fit_whitening(network, train)


def copy_patches(fresh: Network, network: Network) -> None:
    """Copy the whitening filters of a network of the same data to a fresh one, where they have any."""
    if getattr(network.config.model, "whiten", False):
        from nnzoo.models.whiten import copy_whitening

        copy_whitening(fresh, network)


def start_from_weights(network: Network, shared: dict[str, Any] | None = None) -> None:
    """Let a fresh network start from the weights that its configuration names, and note in `origin` what came of them.

    shared: the origin of another network of the same group, whose statistics this one shares.
    """
    options = getattr(network.config.model, "source", None)
    if options is None:
        return
    from nnzoo.models.start_from import take_weights
    from nnzoo.models.take_statistics import take_statistics
    from nnzoo.models.weights_file import KEY, read_weights

    weights = read_weights(options.path)
    if shared is None:
        notes = take_statistics(network, weights, options.scaling)
    elif weights.sha256 != shared["sha256"]:
        raise ConfigError.at(
            KEY,
            f"{weights.path} has changed since the first run of this group started from it",
            code="E20",
        )
    else:
        notes = []
    notes = [*take_weights(network, weights), *notes]
    network.origin = {"path": weights.path, "sha256": weights.sha256, "notes": notes}


def checked_origin(value: Any) -> dict[str, Any]:
    """The origin of a network's weights that a checkpoint stores; raises TypeError where it holds something else."""
    if value != {} and not (
        isinstance(value, dict)
        and value.keys() == {"path", "sha256", "notes"}
        and isinstance(value["notes"], list)
        and all(isinstance(text, str) for text in (value["path"], value["sha256"], *value["notes"]))
    ):
        raise TypeError("an origin of weights that is none")
    return cast(dict[str, Any], value)
