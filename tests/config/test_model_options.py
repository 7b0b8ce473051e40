"""Options of networks: one value, or one for each layer."""

from __future__ import annotations

from typing import Any

from tests.config.config_cases import config


def test_options_per_layer_take_one_value_or_one_a_layer() -> None:
    text = "data: digits\nmodel: {name: cnn, channels: [4, 8, 8], %s}\n"

    def layers(option: str, key: str) -> list[Any]:
        options: Any = config(text % option).model
        return options.per_layer(key)

    assert layers("kernel_size: 5", "kernel_size") == [5, 5, 5]
    assert layers("kernel_size: [5, 3, 1]", "kernel_size") == [5, 3, 1]
    assert layers("kernel_size: [5, 3]", "kernel_size") == [[5, 3]] * 3
    assert layers("kernel_size: [[5, 3], 3, [1, 1]]", "kernel_size") == [[5, 3], 3, [1, 1]]
    assert layers("padding: [same, valid, 1]", "padding") == ["same", "valid", 1]
    assert layers("pool: [max, none, avg]", "pool") == ["max", "none", "avg"]
    assert layers("dropout: [0, 0.1, 0.2]", "dropout") == [0, 0.1, 0.2]


def test_two_numbers_in_a_network_of_two_layers_are_one_a_layer() -> None:
    model = config("data: digits\nmodel: {name: cnn, channels: [4, 8], kernel_size: [5, 3]}").model
    assert model.per_layer("kernel_size") == [5, 3]  # type: ignore[attr-defined]
