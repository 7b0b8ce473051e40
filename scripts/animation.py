"""Remake the animated image of README: `python scripts/animation.py`.

It trains an MLP on two spirals, and takes a screenshot of the page of `nnzoo watch` at each recorded epoch. Needs Chromium; takes a minute.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import nnzoo

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import Browser  # noqa: E402
from tests.watch.conftest import serving  # noqa: E402
from tests.watch.test_page import READY, showing, wait  # noqa: E402

ANIMATION = ROOT / "docs" / "images" / "watch.webp"
# Width of the page and of the image, in pixels.
WIDTH, SHOWN_WIDTH = 1280, 900
# Milliseconds of a frame, and of the last one.
FRAME, LAST_FRAME = 150, 2500
CONFIG = {
    "name": "spirals",
    "data": {"name": "csv", "path": "spirals.csv", "target": "arm"},
    "model": {"name": "mlp", "hidden": [64, 64]},
    "optim": {"lr": 0.01, "schedule": "cosine"},
    "train": {"epochs": 150, "batch_size": 32, "history": 40},
}


def write_spirals(path: Path) -> None:
    """Write a table of two spirals with some noise: columns x and y, and the arm."""
    rng = np.random.default_rng(0)
    rows = ["x,y,arm"]
    for arm, phase in (("blue", 0.0), ("orange", np.pi)):
        turn = np.sqrt(rng.uniform(0.03, 1, 250)) * 3 * np.pi
        x, y = turn * np.cos(turn + phase) / 9, turn * np.sin(turn + phase) / 9
        noise = rng.normal(0, 0.02, (2, 250))
        rows += [f"{a:.4f},{b:.4f},{arm}" for a, b in zip(x + noise[0], y + noise[1], strict=True)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def take_frames(folder: Path) -> list[Image.Image]:
    """Return a screenshot of the page at each recorded epoch, from the slider to the decision boundary."""
    browser, frames = Browser(folder / "browser"), []
    with (
        serving(Path("runs")) as (server, _),
        showing(browser, server, "spirals", WIDTH) as page,
    ):
        epochs = page.evaluate("nnzoo.page.main.recorded.length")
        for i in range(epochs):
            slider = "document.getElementById('slider')"
            page.evaluate(f"{slider}.value = {i}; {slider}.dispatchEvent(new Event('input'))")
            wait(page, f"nnzoo.page.epoch === nnzoo.page.main.recorded[{i}] && {READY}")
            part = page.part("#player", "#boundarySection")
            frame = Image.open(io.BytesIO(part)).convert("RGB")
            frames.append(frame.resize((SHOWN_WIDTH, frame.height * SHOWN_WIDTH // WIDTH)))
    browser.close()
    return frames


def main() -> None:
    """Train in a temporary folder, and write docs/images/watch.webp."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_spirals(Path("spirals.csv"))
        nnzoo.train(CONFIG, out="runs").fit()
        frames = take_frames(Path(folder))
        os.chdir(ROOT)
    size = min(frame.size for frame in frames)
    first, *rest = [frame.crop((0, 0, *size)) for frame in frames]
    durations = [FRAME] * len(rest) + [LAST_FRAME]
    first.save(
        ANIMATION,
        save_all=True,
        append_images=rest,
        duration=durations,
        loop=0,
        quality=60,
        method=6,
    )
    print(f"{ANIMATION}: {len(frames)} frames, {ANIMATION.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
