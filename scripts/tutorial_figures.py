"""Remake the figures of docs/zh/tutorial.md by running its commands: `python scripts/tutorial_figures.py`.

Needs Chromium; takes two minutes.
"""

from __future__ import annotations

import base64
import contextlib
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import open_page  # noqa: E402

PAGE = ROOT / "docs" / "zh" / "tutorial.md"
IMAGES = ROOT / "docs" / "images" / "zh"
MAX_WIDTH = 900
COLORS = 64

# Name of the image -> what `inspect` wrote, or a page of `report` and the element to show.
INSPECT = {
    "mlp-filters": "mlp/inspect/filters.png",
    "cnn-sheet": "cnn/inspect/sheet.png",
    "cnn-layer": "cnn/inspect/layer-features.4.png",
    "rnn-states": "rnn/inspect/gates-l0.png",
    "lstm-gates": "lstm_sine/inspect/gates-l0.png",
    "gru-gates": "gru/inspect/gates-l0.png",
    "loaded-sheet": "cnn/inspect/sheet.png",
}
REPORT = {
    "overfit-curves": ("checkpoints/overfit/report.html", "#curves"),
    "vanishing-curves": ("checkpoints/vanishing/report.html", "#curves"),
    "clipped-curves": ("checkpoints/clipped/report.html", "#curves"),
    "init-curves": ("report.html", "#curves"),
    "confusion": ("checkpoints/mlp_breast_cancer/report.html", "#answers"),
    "pca-curves": ("report.html", "#curves"),
}


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of the page's code blocks, in order."""
    return re.findall(r"```(\w+)\n(.*?)```", page, flags=re.DOTALL)


def write_configs(text: str) -> None:
    """Write a YAML block that begins with the name of its file, as the reader is asked to."""
    match = re.match(r"# (\S+\.yaml)\n", text)
    if match:
        Path(match[1]).write_text(text, encoding="utf-8")


def save(data: bytes, name: str) -> None:
    """Save an image, small: at most MAX_WIDTH wide, with a palette."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if image.width > MAX_WIDTH:
        image = image.resize((MAX_WIDTH, round(image.height * MAX_WIDTH / image.width)))
    image.quantize(COLORS).save(IMAGES / f"{name}.png", optimize=True)


def element(page: Path, selector: str, folder: Path) -> bytes:
    """Take a screenshot of one element of a page."""
    with open_page(page, folder, MAX_WIDTH, 1000) as opened:
        box = opened.evaluate(
            f"(() => {{ const e = document.querySelector('{selector}');"
            " const b = (e.querySelector('figure') ? e : e).getBoundingClientRect();"
            " return [b.x + scrollX, b.y + scrollY, b.width, Math.min(b.height, 900)]; })()"
        )
        clip = dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)
        shot = opened.tab.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    return base64.b64decode(shot["data"])


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        folder = Path(temporary)
        for language, text in blocks(PAGE.read_text(encoding="utf-8")):
            if language == "yaml":
                write_configs(text)
            if language != "sh":
                continue
            for line in text.splitlines():
                words = line.split()[1:]
                subprocess.run([sys.executable, "-m", "nnzoo", *words], check=True)
                take_figures(words, folder)


def take_figures(words: list[str], folder: Path) -> None:
    """Save the figures that a command has written."""
    if words[0] == "inspect":
        row = "--row" in words
        for name, path in INSPECT.items():
            if words[1] == f"checkpoints/{path.split('/')[0]}" and row == (name == "loaded-sheet"):
                save((folder / "checkpoints" / path).read_bytes(), name)
    if words[0] == "report":
        page = "report.html" if len(words) > 2 else f"{words[1]}/report.html"
        shown = "pca-curves" if "checkpoints/pca" in words else "init-curves"
        for name, (path, selector) in REPORT.items():
            if path == page and (page != "report.html" or name == shown):
                save(element(folder / page, selector, folder / "browser"), name)


if __name__ == "__main__":
    main()
