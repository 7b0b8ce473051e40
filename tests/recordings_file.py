"""A long table of recordings of different lengths; tests/processes.py imports it outside of the package."""

from __future__ import annotations

import random
from pathlib import Path


def write_recordings(path: Path, count: int = 90) -> None:
    """Recordings of 2 to 14 steps and two channels, whose class is the sign of their drift."""
    rng = random.Random(0)
    lines = ["id,x,y,label"]
    for i in range(count):
        drift = rng.choice([-1, 1])
        for step in range(rng.randint(2, 14)):
            x, y = drift * step / 10 + rng.gauss(0, 1), rng.gauss(0, 1)
            lines.append(f"{i},{x:.4f},{y:.4f},{'up' if drift > 0 else 'down'}")
    path.write_text("\n".join(lines) + "\n")
