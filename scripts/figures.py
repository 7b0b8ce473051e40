"""Remake the figures of README and docs by real runs: `python scripts/figures.py`.

Needs tmux, Chromium, and MNIST where NNZOO_DATA says; takes four minutes.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT))

from tests.browser import open_page  # noqa: E402

COLUMNS, LINES = 96, 40
FIGURES = {
    "cnn_mnist/inspect/sheet.png": "sheet.png",
    "lstm_sine/inspect/gates-l0.png": "gates.png",
    "lstm_text/inspect/units.png": "units.png",
    "cnn_mnist/inspect/layer-features.3.png": "layer.png",
    "cnn_mnist/inspect/filters.png": "filters.png",
}
PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 18px; background: #12161b; width: max-content; }}
pre {{ margin: 0; color: #e6eaee; font: 14px/1.35 "DejaVu Sans Mono", monospace; }}
</style><pre>{code}</pre>"""


def nnzoo(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "nnzoo", *words], check=True, stdout=subprocess.DEVNULL)


def screen(folder: Path, command: str, until: str, patience: float = 60) -> str:
    """Run a command in a terminal; returns the screen with its colors once the pattern `until` matches."""
    tmux = ["tmux", "-L", f"figures{time.monotonic_ns()}"]  # a server of its own
    size = ["-x", str(COLUMNS), "-y", str(LINES)]
    subprocess.run(
        [*tmux, "new-session", "-d", *size, "env PS1='$ ' bash --norc"], check=True, cwd=folder
    )
    try:
        time.sleep(1)
        subprocess.run([*tmux, "send-keys", "clear", "Enter"], check=True)
        time.sleep(0.5)
        subprocess.run([*tmux, "send-keys", command, "Enter"], check=True)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            shown = subprocess.run(
                [*tmux, "capture-pane", "-p", "-e"], check=True, capture_output=True, text=True
            ).stdout
            if re.search(until, shown):
                return shown.rstrip().removesuffix("$").rstrip()
            time.sleep(0.05)
        raise SystemExit(f"'{until}' never came:\n{shown}")
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def terminal(folder: Path, screens: list[str]) -> None:
    """Write several screens as one image."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for text in screens:
        # The terminal's own background is the page's.
        console.print(Text.from_ansi(text.replace("\x1b[49m", "")))
        console.print()
    page = folder / "terminal.html"
    page.write_text(console.export_html(theme=MONOKAI, inline_styles=True, code_format=PAGE))
    shot(page, folder, IMAGES / "terminal.png", 10, 10, fit=True)


def shot(
    page: Path,
    folder: Path,
    path: Path,
    width: int,
    height: int,
    dark: bool = False,
    fit: bool = False,
) -> None:
    """Take a screenshot of a page; fit: in the size of its content."""
    if fit:
        with open_page(page, folder / "browser", 1400, 1000) as opened:
            width = opened.evaluate("Math.ceil(document.body.getBoundingClientRect().width)")
            height = opened.evaluate("Math.ceil(document.body.getBoundingClientRect().height)")
    with open_page(page, folder / "browser", width, height, dark) as opened:
        opened.screenshot(path)


def widget(page: Path, folder: Path, path: Path, part: str, steps: str, dark: bool = False) -> None:
    """Take a screenshot of a part of a page that scripts fill, by its id, after some JavaScript."""
    size = f"document.getElementById('{part}').getBoundingClientRect()"
    height = 900
    for _ in range(2):  # the first time for its height
        with open_page(page, folder / "browser", 1120, height, dark) as opened:
            opened.evaluate(steps)
            height = opened.evaluate(f"Math.ceil({size}.height) + 24")
            opened.evaluate(f"scrollBy({{top: {size}.top - 12, behavior: 'instant'}})")
            opened.screenshot(path)


def main() -> None:
    """Train, inspect, report, and copy the figures into docs/images."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        folder = Path(temporary)
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        live = screen(folder, "nnzoo train --config lstm_sine", r"epoch 1[2-5]\d/200")
        nnzoo("train", "--config", "lstm_sine", "--verbose", "0")
        nnzoo("train", "--config", "cnn_mnist", "--verbose", "0")
        nnzoo("train", "--config", "mlp", "--verbose", "0")
        nnzoo("train", "--config", "lstm_text", "--verbose", "0")
        nnzoo("train", "--config", "mlp_csv", "--verbose", "0")
        nnzoo("train", "--config", "mlp_breast_cancer", "--verbose", "0")
        table = screen(folder, "nnzoo eval checkpoints/cnn_mnist", r"\n9 [^\0]*\$ ?\n")
        terminal(folder, [live, table])
        for run in ("cnn_mnist", "lstm_sine", "mlp", "lstm_text", "mlp_csv", "mlp_breast_cancer"):
            nnzoo("inspect", f"checkpoints/{run}", "--json")
            nnzoo("report", f"checkpoints/{run}")
        nnzoo("report", "checkpoints/cnn_mnist", "checkpoints/mlp")
        for figure, name in FIGURES.items():
            shutil.copy(folder / "checkpoints" / figure, IMAGES / name)
        page = folder / "checkpoints" / "cnn_mnist" / "report.html"
        shot(page, folder, IMAGES / "report.png", 1120, 1500)
        shot(page, folder, IMAGES / "report-phone.png", 390, 1400, dark=True)
        show = (
            "Object.assign(nnzoo.maps.state, {channel: 2, row: 9, column: 12}); nnzoo.maps.show()"
        )
        widget(page, folder, IMAGES / "feature-maps.png", "feature-maps", show)
        show = "document.querySelector('span[data-cell]').click()"
        widget(page, folder, IMAGES / "cell.png", "cell", show)
        page = folder / "checkpoints" / "lstm_sine" / "report.html"
        show = "nnzoo.steps.go(12); nnzoo.steps.choose(7)"
        widget(page, folder, IMAGES / "time-steps.png", "time-steps", show, dark=True)
        shot(page, folder, IMAGES / "report-dark.png", 1120, 1500, dark=True)
        page = folder / "checkpoints" / "mlp_csv" / "report.html"
        widget(page, folder, IMAGES / "what-if.png", "what-if", "nnzoo.whatIf.set(1, 40)")
        page = folder / "checkpoints" / "mlp_breast_cancer" / "report.html"
        widget(page, folder, IMAGES / "threshold.png", "threshold", "nnzoo.threshold.move(0.9)")


if __name__ == "__main__":
    main()
