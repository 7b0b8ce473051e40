"""The search that `nnzoo sweep` makes for a config without a section `sweep`."""

from __future__ import annotations

from typing import Any

from nnzoo.config.default_space import default_space
from nnzoo.config.run_config import from_dict


def test_a_default_search_of_a_cnn_has_widths_where_no_list_names_each_layer() -> None:
    plain: dict[str, Any] = {
        "name": "x",
        "data": "digits",
        "model": {"name": "cnn", "channels": [4, 8, 8]},
    }
    space = default_space(from_dict(plain, "x"))
    assert space["model.channels"] == [[8, 16, 32], [16, 32, 64], [32, 64, 128]]
    assert "model.dropout" in space
    plain["model"] |= {"dropout": [0.1, 0.2, 0.1]}
    listed = default_space(from_dict(plain, "x"))
    assert "model.channels" not in listed and "model.dropout" not in listed
