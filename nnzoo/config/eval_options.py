"""Options of the section `eval`: baselines, decisions and calibration. They change no weight of the network."""

from __future__ import annotations

from typing import Literal

from nnzoo.config.options import Options, option


class EvalOptions(Options):
    """Evaluation."""

    baselines: Literal["auto", "none"] = option(
        "auto", "models beside which the network's metrics are shown"
    )
