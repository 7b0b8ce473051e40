"""Options that make a run of the config cnn fast."""

from __future__ import annotations

FAST = ("-s", "train.epochs=2", "-s", "model.channels=[4,8]")
