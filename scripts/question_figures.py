"""Remake the figures of docs/questions.md by running its commands: `python scripts/question_figures.py [FOLDER]`.

FOLDER keeps the runs. Needs Chromium; takes a minute on two idle cores.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import Browser  # noqa: E402
from tests.watch.conftest import serving  # noqa: E402
from tests.watch.test_page import READY, showing, wait  # noqa: E402

PAGE = ROOT / "docs" / "questions.md"
IMAGES = ROOT / "docs" / "images" / "questions"
WIDTH, MAX_HEIGHT = 1000, 1000

CHOOSE = """for (const [i, text] of %s) {
  const select = document.querySelectorAll("%s select")[i];
  select.selectedIndex = [...select.options].findIndex((option) => option.text.includes(text));
  select.dispatchEvent(new Event("change"));
}
"""


def maps(layer: str, channel: int, row: int, column: int) -> str:
    """JavaScript that chooses a layer of the feature maps, and clicks a place."""
    place = f"{{channel: {channel}, row: {row}, column: {column}}}"
    chosen = CHOOSE % (f'[[1, "{layer}"]]', "#feature-maps")
    return f"{chosen} Object.assign(nnzoo.maps.state, {place}); nnzoo.maps.show()"


def steps(step: int, unit: int) -> str:
    """JavaScript that chooses the input of class 1, a time step and a unit."""
    chosen = CHOOSE % ('[[0, "actual 1"]]', "#time-steps")
    return f"{chosen} nnzoo.steps.go({step}); nnzoo.steps.choose({unit})"


# Name of the figure -> page of `nnzoo report`, element (or the first and the last), what is clicked before.
REPORT = {
    "kernel": ("checkpoints/cnn/report.html", "#feature-maps", maps("features.0", 4, 3, 4)),
    "rnn": ("checkpoints/rnn_mnist1d/report.html", "#time-steps", steps(39, 4)),
    "dropout": ("dropout.html", "#curves", ""),
    "clipping": ("clipping.html", "#curves", ""),
    "xavier": ("xavier.html", "#curves", ""),
    "over-fitting": ("checkpoints/no_dropout/report.html", "#curves, #curves figure", ""),
    "pooling": ("checkpoints/cnn_mnist1d/report.html", "#feature-maps", maps("pool", 4, 0, 8)),
    "gates": ("checkpoints/lstm_mnist1d/report.html", "#time-steps", steps(25, 4)),
    "scaling": ("scaling.html", "#curves", ""),
    "confidence": (
        "checkpoints/no_dropout/report.html",
        "#answers .grid > figure:nth-child(2)",
        "",
    ),
}
# Name of the figure -> run, key that moves the slider, and element of `nnzoo watch`.
WATCH = {
    "dead": ("dead", "End", "#layersSection"),
    "first-loss": ("cnn", "Home", "#sheetSection"),
}


def save(shot: bytes, name: str) -> None:
    """Save a screenshot with a palette."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, MAX_HEIGHT)))
    image.quantize(128, method=Image.Quantize.FASTOCTREE).save(
        IMAGES / f"{name}.png", optimize=True
    )


def take_figures(browser: Browser) -> None:
    """Take all figures from the runs and pages in the working folder."""
    for name, (path, selector, clicks) in REPORT.items():
        with browser.open(Path(path).resolve(), WIDTH, MAX_HEIGHT) as page:
            page.evaluate(clicks or "0")
            save(page.part(*selector.split(", ")), name)
    with serving(Path("checkpoints")) as (server, _):
        for name, (run, key, selector) in WATCH.items():
            with showing(browser, server, run, WIDTH) as page:
                page.evaluate("document.getElementById('slider').focus()")
                page.press(key)
                wait(page, READY)
                save(page.part(selector), name)


def main() -> None:
    """Run the commands of the page, and take its figures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory())
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        folder.mkdir(exist_ok=True)
        stack.enter_context(contextlib.chdir(folder))
        for line in "".join(blocks).splitlines():
            words = shlex.split(line)[1:]
            quiet = ["-v", "0"] if words[0] == "train" else []
            subprocess.run(
                [sys.executable, "-m", "nnzoo", *words, *quiet],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        browser = Browser(Path(temporary) / "browser")
        take_figures(browser)
        browser.close()


if __name__ == "__main__":
    main()
