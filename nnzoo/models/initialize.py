"""Initialize weights: Xavier, Kaiming or orthogonal, with the gain of the activation.

Sources: Glorot & Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et al. 2014 (orthogonal).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from nnzoo.config.model_options import Init

# 1 / sqrt(E[f(z)^2]) for z ~ N(0, 1), where torch.nn.init.calculate_gain has no entry.
_GAINS = {"gelu": 1.5335, "silu": 1.6768, "elu": 1.2452, "selu": 1.0, "mish": 1.4868}
# torch's default slope of nn.LeakyReLU.
_LEAKY_SLOPE = 0.01


def activation_gain(activation: str) -> float:
    """Factor of the weights with which an activation keeps the std of its input."""
    if activation in _GAINS:
        return _GAINS[activation]
    if activation == "leaky_relu":
        return nn.init.calculate_gain("leaky_relu", _LEAKY_SLOPE)
    return nn.init.calculate_gain(activation)  # type: ignore[arg-type]


def _kaiming_uniform(weight: Tensor, gain: float) -> Tensor:
    bound = gain * (3 / _fan_in(weight)) ** 0.5
    return nn.init.uniform_(weight, -bound, bound)


def _kaiming_normal(weight: Tensor, gain: float) -> Tensor:
    return nn.init.normal_(weight, 0, gain / _fan_in(weight) ** 0.5)


def _fan_in(weight: Tensor) -> int:
    return weight[0].numel()


_SCHEMES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": _kaiming_uniform,
    "kaiming_normal": _kaiming_normal,
    "orthogonal": nn.init.orthogonal_,
}


def init_layer(layer: nn.Module, scheme: Init, activation: str) -> None:
    """Initialize a linear or convolutional layer that feeds `activation` ("linear" for an output)."""
    if scheme == "torch" or not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
        return
    _SCHEMES[scheme](layer.weight, activation_gain(activation))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def init_recurrent(cell: nn.RNNBase, scheme: Init, activation: str) -> None:
    """Initialize a recurrent layer, gate by gate.

    Input weights get the gain of the activation. Recurrent weights get gain 1: they are applied
    once a time step, so any other factor would grow with the power of the length.
    """
    if scheme == "torch":
        return
    fill = partial(_SCHEMES[scheme])
    for name, parameter in cell.named_parameters():
        if parameter.ndim < 2:
            nn.init.zeros_(parameter)
            continue
        gain = 1.0 if name.startswith("weight_hh") else activation_gain(activation)
        for gate in parameter.data.split(cell.hidden_size):
            fill(gate, gain)


def init_forget_bias(cell: nn.LSTM) -> None:
    """Set forget gate biases to one, so that a fresh LSTM remembers (Gers et al. 2000)."""
    size = cell.hidden_size
    for name, parameter in cell.named_parameters():
        if name.startswith("bias"):
            parameter.data[size : 2 * size] = 1.0 if name.startswith("bias_ih") else 0.0
