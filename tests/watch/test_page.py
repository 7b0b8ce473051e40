"""The page in Chromium: not a word in the console, no foreign request, and the numbers of torch."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import Tensor

from nnzoo.inspect import internals
from nnzoo.runs import checkpoint
from nnzoo.watch import run_list
from nnzoo.watch.server import WatchServer
from tests.browser import CHROMIUM, Browser, Opened
from tests.watch.conftest import HOSTILE, serving
from tests.watch.test_frames import network_at

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
READY = (
    "Boolean(nnzoo.page.frame && nnzoo.page.main.records.size === nnzoo.page.main.recorded.length"
    " && nnzoo.page.frame.epoch === nnzoo.page.epoch)"
)


def wait(page: Opened, condition: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"{condition}: {page.complaints}"
        time.sleep(0.03)


@contextmanager
def showing(
    browser: Browser, server: WatchServer, run: str, width: int = 1280, dark: bool = False
) -> Iterator[Opened]:
    """The page with a run that is ready; afterwards the console is empty, and no one else was asked."""
    with browser.open(server.url, width, dark=dark) as page:
        wait(page, READY)
        click(page, "#runList button", run)
        wait(page, f"nnzoo.page.main.name === '{run}' && {READY}")
        yield page
        assert page.complaints == []
        assert all(url.startswith(server.url) or url == "data:," for url in page.requests)


def click(page: Opened, selector: str, text: str) -> None:
    page.evaluate(
        f"[...document.querySelectorAll({selector!r})].find((e) => e.textContent === {text!r}).click()"
    )


def stop_at(page: Opened, epoch: int) -> None:
    """Move the slider with the keyboard."""
    page.evaluate("document.getElementById('slider').focus()")
    page.press("Home")
    for _ in range(epoch):
        page.press("ArrowRight")
    wait(page, f"nnzoo.page.epoch === {epoch} && {READY}")


@pytest.mark.parametrize(
    ("run", "width", "dark"),
    [("digits", 1280, False), ("cloud", 380, True), ("book", 380, False), ("cloud", 1280, True)],
)
def test_it_fits_and_says_nothing(
    browser: Browser, server: WatchServer, run: str, width: int, dark: bool
) -> None:
    with showing(browser, server, run, width, dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.getElementById('lost').hidden")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(18, 22, 27)" if dark else "rgb(255, 255, 255)")


def test_the_slider_shows_the_numbers_of_its_epoch(
    browser: Browser, server: WatchServer, run_folder: Path
) -> None:
    network, history = network_at(run_folder / "digits", 2)
    raw = cast(Tensor, history.samples.inputs[:10])
    with torch.no_grad():
        predictions = network.predict(raw)
        maps = internals.hidden_outputs(network, network.preprocess(raw))["features.2"].sum(1)
    with showing(browser, server, "digits") as page:
        stop_at(page, 2)
        assert page.evaluate("document.getElementById('epoch').textContent") == "epoch 2 of 4"
        shown = page.evaluate("Array.from(nnzoo.page.frame.predictions.values)")
        np.testing.assert_allclose(shown, predictions.flatten(), atol=1e-6)
        shown = page.evaluate("Array.from(nnzoo.page.frame.layers[0].values.values)")
        np.testing.assert_allclose(shown, maps.flatten(), atol=1e-6)
        cells = page.evaluate(
            "[...document.querySelectorAll('.sheet tbody tr')].map((row) => row.lastChild.textContent)"
        )
        best = predictions.argmax(1).tolist()
        assert cells == [f"{c} {100 * float(predictions[i, c]):.1f} %" for i, c in enumerate(best)]
        # The image itself: the first map, from black to white.
        pixels = page.evaluate(
            "(() => { const c = document.querySelectorAll('.sheet tbody tr')[0].querySelectorAll('canvas')[1];"
            " return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
            ".filter((_, i) => i % 4 === 0); })()"
        )
        first = maps[0].flatten()
        gray = 255 * (first - first.min()) / (first.max() - first.min())
        np.testing.assert_allclose(pixels, gray, atol=1)
        row = (run_folder / "digits" / "metrics.jsonl").read_text().splitlines()[1]
        loss = page.evaluate("document.querySelector('#curves .legend').textContent")
        value = float(row.split('"train_loss": ')[1].split(",")[0])
        assert loss.startswith(f"epoch 2training {value:.4g}")


def test_samples_are_chosen_and_the_boundary_is_read(
    browser: Browser, server: WatchServer, run_folder: Path
) -> None:
    network, history = network_at(run_folder / "cloud", 3)
    with showing(browser, server, "cloud") as page:
        stop_at(page, 3)
        # A click on the dot of the sixth sample adds it to the lines.
        x, y = page.evaluate("nnzoo.page.boundary.position(5)")
        page.mouse(".stack", x, 1 - y)
        assert page.evaluate("nnzoo.page.predictions.chosen") == [0, 1, 2, 3, 5]
        with torch.no_grad():
            expected = network.predict(history.samples.inputs)
        truth = history.samples.targets
        lines = page.evaluate(
            "[...document.querySelectorAll('#predictions .legend b')].map((e) => e.textContent)"
        )
        shown = [f"{float(expected[i, truth[i]]):.4g}" for i in (0, 1, 2, 3, 5)]
        assert [float(line) for line in lines] == [float(value) for value in shown]
        # The arrow keys read the prediction at points of the grid.
        page.evaluate("document.querySelector('.plane').focus()")
        page.press("ArrowRight")
        text = page.evaluate("document.querySelector('.boundary .reading').textContent")
        (x0, x1), (y0, y1) = page.evaluate(
            "[nnzoo.page.main.samples.plane.x, nnzoo.page.main.samples.plane.y]"
        )
        column, row = page.evaluate("nnzoo.page.boundary.place")
        point = [[x0 + (x1 - x0) * column / 49, y0 + (y1 - y0) * row / 49]]
        with torch.no_grad():
            prediction = network.predict(torch.tensor(point, dtype=torch.float64))[0]
        assert text.startswith(
            f"a {float(f'{point[0][0]:.4g}'):g}, b {float(f'{point[0][1]:.4g}'):g}: "
        )
        assert float(text.rpartition(" ")[2]) == float(f"{float(prediction.max()):.4g}")


def test_a_hostile_label_is_text(browser: Browser, server: WatchServer) -> None:
    with showing(browser, server, "cloud") as page:
        shown = page.evaluate("document.querySelector('.boundary .legend').textContent")
        # The mark that turns the writing direction is dropped when a table is read.
        escaped = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "")
        assert escaped in shown
        assert page.evaluate("document.querySelectorAll('script').length") == 2
        assert "\u202e" not in page.evaluate("document.documentElement.outerHTML")


def test_gates_and_text_follow_the_epoch_and_the_sample(
    browser: Browser, server: WatchServer, run_folder: Path
) -> None:
    network, history = network_at(run_folder / "book", 1)
    with torch.no_grad():
        gates = internals.gates(network, cast(Tensor, history.samples.inputs[1:2]))["l0"]
    with showing(browser, server, "book") as page:
        written = page.evaluate("document.querySelector('#text pre').textContent")
        stop_at(page, 1)
        assert page.evaluate("document.querySelector('#text pre').textContent") not in ("", written)
        page.evaluate("document.querySelector('#rows :nth-child(2)').click()")
        wait(page, f"nnzoo.page.frame.row === 1 && {READY}")
        assert (
            page.evaluate("document.querySelector('#gates .text').textContent")
            == "be, that is the "
        )
        page.evaluate("document.querySelectorAll('#gates .heat')[1].focus()")
        page.press("ArrowDown")
        page.press("ArrowRight")
        text = page.evaluate("document.querySelectorAll('#gates .reading')[1].textContent")
        value = float(gates["forget"][0, 1, 1])
        assert text == f'unit 1, step 1 ("e"): {float(f"{value:.4g}"):g}'


def test_runs_are_laid_over_each_other_and_played(browser: Browser, server: WatchServer) -> None:
    with showing(browser, server, "cloud") as page:
        page.evaluate("document.querySelectorAll('#runList input')[0].click()")
        wait(
            page,
            "document.querySelectorAll('#curves .legend')[0].textContent.includes('book, training')",
        )
        page.evaluate("document.getElementById('slider').blur()")
        page.press(" ")
        assert page.evaluate("document.getElementById('play').textContent") == "pause"
        wait(page, "nnzoo.page.epoch === 1")
        page.press(" ")
        page.press("ArrowRight")
        wait(page, f"nnzoo.page.epoch === 2 && {READY}")
        click(page, "button", "newest")
        wait(page, f"nnzoo.page.epoch === 4 && nnzoo.page.isLive && {READY}")


def test_the_page_follows_a_run_that_trains(
    browser: Browser, tmp_path: Path, run_folder: Path
) -> None:
    """Metrics and weights arrive while the page is open; it shows the newest until the slider is moved."""
    folder = tmp_path / "runs" / "live"
    shutil.copytree(run_folder / "cloud", folder)
    for name in ("result.json", ".lock"):
        (folder / name).unlink(missing_ok=True)
    metrics, weights = folder / "metrics.jsonl", folder / "history" / "weights.bin"
    rows, records = metrics.read_text().splitlines(True), weights.read_bytes()
    size = len(records) // 4

    def train_to(epoch: int) -> None:
        metrics.write_text("".join(rows[:epoch]))
        weights.write_bytes(records[: epoch * size])

    train_to(1)
    progress = {"epoch": 2, "step_in_epoch": 1, "steps_per_epoch": 2, "step": 3, "steps": 8}
    (folder / "progress.json").write_text(json.dumps(progress | {"time": 0.0, "loss": 1.0}))
    lock = FileLock(folder / ".lock")
    with lock, serving(tmp_path / "runs") as (server, _), browser.open(server.url) as page:
        wait(page, f"nnzoo.page.epoch === 1 && {READY}")
        status = page.evaluate("document.getElementById('status').textContent")
        assert status.startswith("training: epoch 2 of 4, step 1 of 2")
        assert page.evaluate("document.getElementById('bar').value") == pytest.approx(3 / 8)
        train_to(3)
        page.evaluate("nnzoo.page.tick()")
        wait(page, f"nnzoo.page.epoch === 3 && {READY}")
        stop_at(page, 2)
        train_to(4)
        page.evaluate("nnzoo.page.tick()")
        wait(page, "nnzoo.page.main.recorded.length === 5")
        assert page.evaluate("nnzoo.page.epoch") == 2
        assert page.evaluate("document.getElementById('slider').max") == "4"
        assert page.complaints == []


def test_a_run_that_is_begun_anew_or_removed_leaves_nothing_of_the_old_one(
    browser: Browser, tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another network with a history of just the same size; then a run without a history; then no folder."""
    monkeypatch.setattr(run_list, "INTERVAL", 0.0)
    folder = tmp_path / "runs" / "cloud"
    shutil.copytree(run_folder / "cloud", folder)
    _, old = network_at(folder, 0)
    first = "Array.from(nnzoo.page.frame.predictions.values.slice(0, 2))"

    def ask_again(condition: str) -> None:
        page.evaluate("nnzoo.page.listed = 0; nnzoo.page.tick()")
        wait(page, condition)

    with serving(tmp_path / "runs") as (server, _), browser.open(server.url) as page:
        wait(page, READY)
        stop_at(page, 0)
        before = page.evaluate(first)
        start = folder / "history" / "start.pt"
        content = old.content
        for name, value in content["model"].items():
            if name.endswith("weight"):
                content["model"][name] = -value
        start.rename(tmp_path / "old.pt")
        start.write_bytes(checkpoint.to_bytes(content))
        (folder / "history" / "weights.bin").unlink()
        network, history = network_at(folder, 0)
        with torch.no_grad():
            expected = network.predict(cast(Tensor, history.samples.inputs[:1]))[0]
        ask_again(f"nnzoo.page.main.recorded.length === 1 && {READY}")
        shown = page.evaluate(first)
        np.testing.assert_allclose(shown, expected, atol=1e-6)
        assert not np.allclose(shown, before, atol=1e-3)
        shutil.rmtree(folder / "history")
        ask_again("document.getElementById('frames').hidden")
        assert "recorded no weights" in page.evaluate("document.getElementById('why').textContent")
        assert page.evaluate("document.getElementById('epoch').textContent") == "epoch 4 of 4"
        shutil.rmtree(folder)
        page.evaluate("nnzoo.page.listed = Date.now(); nnzoo.page.tick()")
        wait(page, "nnzoo.page.main === null")
        text = page.evaluate("document.getElementById('status').textContent")
        assert text == "The run folder is gone. Waiting for a run …"
        assert page.evaluate("document.getElementById('player').hidden")
        assert page.evaluate("document.querySelectorAll('#curves canvas, #curves svg').length") == 0
        assert page.complaints == []


def test_a_page_waits_for_a_run_and_says_what_is_missing(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "INTERVAL", 0.0)
    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True)
    with serving(tmp_path / "runs") as (server, _), browser.open(server.url) as page:
        wait(page, "nnzoo.page.asked > 0")
        assert (
            page.evaluate("document.getElementById('status').textContent") == "Waiting for a run …"
        )
        (folder / "metrics.jsonl").write_text('{"epoch": 1, "train_loss": 0.5, "val_loss": NaN}\n')
        page.evaluate("nnzoo.page.listed = 0")
        page.evaluate("nnzoo.page.tick()")
        wait(page, "document.getElementById('why').textContent.includes('recorded no weights')")
        assert page.evaluate("document.getElementById('status').textContent").startswith(
            "interrupted: no process"
        )
        assert (
            page.evaluate("document.querySelector('#curves .legend').textContent") == "training 0.5"
        )
        assert page.complaints == []


def test_a_server_that_has_ended_is_said(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as (server, _), browser.open(server.url) as page:
        wait(page, "nnzoo.page.asked > 0")
        page.evaluate("nnzoo.ask = () => Promise.reject(new Error())")
        page.evaluate("nnzoo.page.listed = 0; nnzoo.page.tick().then(() => nnzoo.page.tick())")
        wait(page, "!document.getElementById('lost').hidden")


def test_a_hostile_run_folder_is_shown_as_text(
    browser: Browser, tmp_path: Path, run_folder: Path
) -> None:
    """Every file of a run may be anyone's: nothing runs, nothing of another file is shown, nothing is written."""
    secret = tmp_path / "secret"
    secret.write_text("name: SECRET\nmodel: {name: SECRET}\n")
    folder = tmp_path / "runs" / "<img src=x onerror=alert(1)>"
    folder.mkdir(parents=True)
    (folder / "config.yaml").symlink_to(secret)
    key = "val_<img src=x onerror=alert(2)>"
    rows = [
        {"epoch": 1, "train_loss": 1e400, key: 1.0},
        {"epoch": 2**62, "train_loss": -1, key: 2.0},
    ]
    rows[0]["gradient_norms"] = {HOSTILE: 1.0}  # type: ignore[assignment]
    lines = [json.dumps(row) for row in rows]
    (folder / "metrics.jsonl").write_text("\n".join([*lines, "\0broken", ""]))
    warning = {"epoch": 1, "code": HOSTILE, "message": HOSTILE, "layer": [], "kind": None}
    (folder / "warnings.jsonl").write_text(json.dumps(warning) + "\n")
    os.mkfifo(folder / "progress.json")
    (folder / "history").mkdir()
    start = (run_folder / "cloud" / "history" / "start.pt").read_bytes()
    (folder / "history" / "start.pt").write_bytes(start)
    (folder / "history" / "weights.bin").write_bytes(b"nnzoo h1" + b"\xff" * 5000)
    before = sorted((str(p), p.lstat().st_mtime_ns) for p in tmp_path.rglob("*"))
    with serving(tmp_path / "runs") as (server, reports), browser.open(server.url) as page:
        wait(page, READY)  # the network before its first step; the weights after it are none
        assert page.evaluate("nnzoo.page.main.recorded") == [0]
        shown = page.evaluate("document.body.innerText")
        assert "</script><script>alert(1)</script>\\x1b[2J\\u202egnp.exe" in shown
        assert "1 lines of metrics.jsonl cannot be read" in shown and "SECRET" not in shown
        assert page.evaluate("document.querySelectorAll('img').length") == 0
        assert page.evaluate("document.querySelectorAll('script').length") == 2
        assert page.complaints == [] and reports == []
    assert sorted((str(p), p.lstat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


def test_another_page_gets_nothing_even_with_the_token(
    browser: Browser, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of another port of this machine: it knows the address, and only the browser says whose request it is."""
    responses: list[tuple[str, int]] = []
    send = BaseHTTPRequestHandler.send_response

    def send_response(self: Any, code: int, message: str | None = None) -> None:
        responses.append((self.path, int(code)))
        send(self, code, message)

    monkeypatch.setattr(BaseHTTPRequestHandler, "send_response", send_response)
    with (
        serving(run_folder) as (server, _),
        WatchServer(b"<p>another page", "default-src *", {}) as other,
    ):
        thread = threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        with browser.open(other.url) as page:
            ask = f"fetch('{server.url}runs', MODE).then((r) => r.text(), () => 'refused')"
            assert page.evaluate(ask.replace("MODE", "{}")) == "refused"
            assert page.evaluate(ask.replace("MODE", "{mode: 'no-cors'}")) == "refused"
            page.evaluate(
                "new Promise((done) => { const frame = document.createElement('iframe');"
                f" frame.onload = done; frame.src = '{server.url}'; document.body.append(frame); }})"
            )
        other.shutdown()
        thread.join()
    path = f"/{server.token}/"
    asked = [response for response in responses if response[0].startswith(path)]
    assert asked == [(f"{path}runs", 403), (f"{path}runs", 403), (path, 403)]
