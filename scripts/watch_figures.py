"""Remake the figures of docs/watch.md from real runs: `python scripts/watch_figures.py`.

Needs Chromium; takes half a minute.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import make_moons

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT))

import nnzoo  # noqa: E402
from tests.browser import Browser  # noqa: E402
from tests.watch.conftest import serving  # noqa: E402
from tests.watch.test_page import showing, stop_at  # noqa: E402

# Name of the run, place of the slider, width and height, dark, the part of the page at the top.
FIGURES = {
    "watch-boundary.png": ("moons", 12, 1240, 1440, False, "body"),
    "watch-images.png": ("digits", 3, 1240, 920, True, "#sheetSection"),
    "watch-gates.png": ("rows", 3, 1240, 900, False, "#gatesSection"),
}


def train(name: str, data: object, model: dict[str, object], epochs: int) -> None:
    config = {"name": name, "data": data, "model": model}
    training = nnzoo.train(config | {"train": {"epochs": epochs, "history": 50}}, out="runs")
    training.fit()


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        x, y = make_moons(600, noise=0.2, random_state=0)
        names = np.where(y == 1, "inner", "outer")
        rows = [f"{a:.4f},{b:.4f},{name}" for (a, b), name in zip(x, names, strict=True)]
        Path("moons.csv").write_text("\n".join(["x,y,moon", *rows, ""]))
        table = {"name": "csv", "path": "moons.csv", "target": "moon"}
        train("moons", table, {"name": "mlp", "hidden": [32, 32]}, 30)
        train("digits", "digits", {"name": "cnn"}, 8)
        train("rows", "digits", {"name": "gru", "hidden_size": 24}, 8)
        browser = Browser(Path("browser"))
        with serving(Path("runs")) as (server, _):
            for file, (run, place, width, height, dark, part) in FIGURES.items():
                with showing(browser, server, run, width, dark) as page:
                    stop_at(page, place)
                    size = {"width": width, "height": height, "deviceScaleFactor": 1}
                    page.tab.call("Emulation.setDeviceMetricsOverride", mobile=False, **size)
                    page.evaluate(f"document.querySelector({part!r}).scrollIntoView()")
                    page.evaluate("document.activeElement.blur()")
                    time.sleep(0.3)
                    page.screenshot(IMAGES / file)
                colors = Image.open(IMAGES / file).quantize(256)
                colors.save(IMAGES / file, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
