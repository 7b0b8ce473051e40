"""Reports: one page that holds everything, opens in a browser without a complaint, and is correct."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.predict.predictions import Predictions
from nnzoo.report.run_report import RunReport
from nnzoo.report.uncertainty import calibration_bins
from tests import zoo
from tests.browser import CHROMIUM, Browser
from tests.recordings_file import write_recordings

NNZOO = Callable[..., Any]


CPU = torch.device("cpu")


SECTIONS = ["facts", "result", "curves", "answers", "inside", "repeat"]


def without_script(page: str) -> str:
    """A page without its own data and script, which come last and are the only ones."""
    pattern = r'<script type="application/json" id="data">[^<]*</script>\n<script>(?s:.*?)</script>\n</body>'
    page, count = re.subn(pattern, "</body>", page)
    assert count == 1
    return page


def text_of(page: str) -> str:
    """The visible text of a page, as one line."""
    page = re.sub(r"<script.*?</script>", " ", page, flags=re.S)
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def ready(model: Any, data: Any, name: str = "run", **more: Any) -> Path:
    """A run folder after a few epochs."""
    more = {"train": {"epochs": 3}} | more
    run = zoo.begin(zoo.config(model, data, name=name, **more), "checkpoints")
    zoo.finish(run)
    run.folder.rows()
    return run.folder.path


CASES = [
    ("cnn", "image"),
    ("mlp", "image_pca"),
    ("mlp", "table_classes"),
    ("mlp", "table_number"),
    ("lstm", "series"),
    ("gru", "sequences"),
    ("cnn", "series"),
    ("rnn", "image"),
]


@pytest.mark.parametrize("model, data", CASES)
def test_every_kind_of_run_has_its_page(model: str, data: str, nnzoo: NNZOO) -> None:
    folder = ready(model, data)
    result = nnzoo("report", folder)
    assert result.code == 0, result.err
    page = (folder / "report.html").read_text()
    assert result.out == f"{folder / 'report.html'}\n"
    assert [section for section in SECTIONS if f'<section id="{section}">' not in page] == []
    shown = text_of(page)
    measured = nnzoo("eval", folder, "--json").json
    if "accuracy" in measured:
        assert f"{100 * measured['accuracy']:.2f} %" in shown
        assert "Confusion matrix" in shown and "Calibration" in shown
        for row in measured["per_class"]:
            counts = " ".join(str(row[key]) for key in ("support", "tp", "fp", "fn", "tn"))
            assert counts in shown
    else:
        assert f"rmse {measured['rmse']:.4f}"[:9] in shown
        assert "Residuals" in shown and "Largest errors" in shown
    assert ("Error by step ahead" in shown) == (data == "series")
    assert "mathdefault" not in page
    assert ("Gradient over time" in shown) == (model in ("lstm", "gru", "rnn"))
    # Nothing is asked for from anywhere: links lead within the page, images are in it.
    assert set(re.findall(r'(?:src|href)="(?!#)([a-z]+:)', page)) <= {"data:"}
    assert "url(http" not in page and "<script" not in without_script(page)


def test_what_is_shown_as_wrong_is_wrong(nnzoo: NNZOO) -> None:
    folder = ready("mlp", "image", train={"epochs": 1})
    run = RunReport.open(folder, CPU)
    predictions = run.predictions
    classes, targets = predictions.classes, predictions.targets
    assert targets is not None
    errors = predictions.most_confident_errors
    matrix = np.array(run.result["confusion_matrix"])
    assert len(errors) == matrix.sum() - matrix.trace()
    assert (classes[errors] != targets[errors]).all()
    assert (np.diff(predictions.confidence[errors]) <= 0).all()
    nnzoo("report", folder)
    shown = text_of((folder / "report.html").read_text())
    labels, row = run.spec.labels, int(errors[0])
    confidence = f"{100 * predictions.confidence[row]:.2f} %"
    assert f"predicted: {labels[classes[row]]} {confidence}" in shown
    assert f"actual: {labels[targets[row]]} row {row}" in shown


def test_calibration_is_the_distance_of_sureness_and_truth() -> None:
    def calibrated(confidence: np.ndarray) -> tuple[list[dict[str, Any]], float]:
        values = np.stack([confidence, 1 - confidence], 1)
        return calibration_bins(Predictions(["a", "b"], True, values, targets=np.repeat([0, 1], 3)))

    bins, error = calibrated(np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55]))
    assert [b["rows"] for b in bins] == [2, 4]
    assert [b["accuracy"] for b in bins] == [0.0, 0.75]
    assert error == pytest.approx((4 * 0.2 + 2 * 0.55) / 6)
    bins, _ = calibrated(np.ones(6))
    assert bins == [{"confidence": 1.0, "accuracy": 0.5, "rows": 6}]


def test_over_fitting_is_said_in_words(nnzoo: NNZOO) -> None:
    folder = ready("mlp", "image")
    rows = [
        {
            "epoch": i + 1,
            "step": i,
            "lr": 0.1,
            "train_loss": 1 / (i + 1),
            "val_loss": loss,
            "samples_per_second": 1.0,
            "seconds": 1.0,
        }
        for i, loss in enumerate([1.0, 0.5, 0.4, 0.6, 0.8])
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    nnzoo("report", folder)
    shown = text_of((folder / "report.html").read_text())
    assert (
        "Over-fitting: since epoch 3 the validation loss has risen from 0.4000 to 0.8000" in shown
    )
    for row in rows:
        row["val_loss"] = row["train_loss"]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    nnzoo("report", folder)
    shown = text_of((folder / "report.html").read_text())
    assert "Over-fitting" not in shown and "More epochs may bring more." in shown


def test_names_out_of_files_are_text_and_nothing_else(nnzoo: NNZOO) -> None:
    bad = "<script>alert(1)</script>"
    lines = [f'"a{bad}",b,c'] + [f'{i % 7},{i},"{bad if i % 2 else "x"}"' for i in range(60)]
    Path("t.csv").write_text("\n".join(lines))
    folder = ready("mlp", {"name": "csv", "path": "t.csv", "target": "c"})
    assert nnzoo("report", folder).code == 0
    page = (folder / "report.html").read_text()
    assert "<script" not in without_script(page) and "&lt;script&gt;alert" in page


def test_without_the_data_the_rest_is_there(nnzoo: NNZOO) -> None:
    Path("t.csv").write_text("a,b,c\n" + "".join(f"{i % 5},{i},{i % 2}\n" for i in range(60)))
    folder = ready("mlp", {"name": "csv", "path": "t.csv"})
    Path("t.csv").rename("elsewhere.csv")
    result = nnzoo("report", folder)
    assert result.code == 0
    assert (
        "note: run: left out what needs the data: checkpoints/run/best.pt  data.path  no file"
        in result.err
    )
    page = (folder / "report.html").read_text()
    assert '<section id="curves">' in page and '<section id="answers">' not in page
    assert nnzoo("report", folder, "--set", "data.path=elsewhere.csv").code == 0
    assert '<section id="answers">' in (folder / "report.html").read_text()


def test_several_runs_stand_beside_each_other(nnzoo: NNZOO) -> None:
    folders = [
        ready("mlp", "image", "wide"),
        ready("cnn", "image", "deep"),
        ready({"name": "mlp", "hidden": [4]}, "image", "narrow"),
    ]
    result = nnzoo("report", *folders)
    assert (result.code, result.out) == (0, "report.html\n")
    page = Path("report.html").read_text()
    shown = text_of(page)
    assert "model.hidden [16] – [4]" in shown
    for folder in folders:
        accuracy = nnzoo("eval", folder, "--json").json["accuracy"]
        assert f"{folder.name} {accuracy:.4f}" in shown
    assert page.count("<svg") == 3
    assert nnzoo("report", *folders, "--out", "pages/all.html").out == "pages/all.html\n"
    assert nnzoo("report", *folders, "-s", "data.root=x").code == 2


def test_formulas_links_and_gaps_do_no_harm(nnzoo: NNZOO, tmp_path: Path) -> None:
    Path("t.csv").write_text("a,price $x_{ $\n" + "".join(f"{i % 5},{i}.5\n" for i in range(60)))
    folder = ready("mlp", {"name": "csv", "path": "t.csv"})
    secret = tmp_path / "secret"
    secret.write_text("password: 1")
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").symlink_to(secret)
    (folder / "report.html").symlink_to(secret)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rows[1]["train_loss"] = None
    del rows[2]["seconds"], rows[2]["samples_per_second"]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = ready("mlp", "table_number", "other")
    assert nnzoo("report", folder).code == 0
    assert secret.read_text() == "password: 1" and not (folder / "report.html").is_symlink()
    page = (folder / "report.html").read_text()
    assert "password" not in page and "price $x_{ $" in text_of(page)
    twice = nnzoo("report", folder, other, other)
    assert (twice.code, twice.err) == (2, f"{other} is given twice; each run once\n")
    assert nnzoo("report", folder, other).code == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "inspect").symlink_to(elsewhere)
    result = nnzoo("inspect", folder)
    assert result.code == 5 and "is a link; name where to write with --out" in result.err


@pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)
@pytest.mark.parametrize(
    "model, data", [("cnn", "image"), ("lstm", "series"), ("mlp", "table_classes")]
)
def test_a_browser_shows_it_without_a_word(
    model: str, data: str, nnzoo: NNZOO, browser: Browser
) -> None:
    """On a desktop in light colors, on a phone in dark ones."""
    folder = ready(model, data)
    nnzoo("report", folder)
    for width in (1280, 380):
        check_page(folder / "report.html", browser, width)


def check_page(page: Path, browser: Browser, width: int) -> None:
    with browser.open(page, width, dark=width < 600) as opened:
        assert opened.complaints == []
        assert [u for u in opened.requests if not u.startswith("data:")] == [
            page.resolve().as_uri()
        ]
        shown = "[...document.querySelectorAll('section')].filter(s => s.offsetHeight > 60).map(s => s.id)"
        assert opened.evaluate(shown) == SECTIONS
        # Nothing sticks out: what is wider than the page scrolls by itself.
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
        assert opened.evaluate("document.querySelectorAll('svg').length") >= 4
        paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(18, 22, 27)" if width < 600 else "rgb(255, 255, 255)")


@pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)
def test_a_browser_shows_several_runs_without_a_word(nnzoo: NNZOO, browser: Browser) -> None:
    nnzoo("report", ready("mlp", "image", "a"), ready("cnn", "image", "b"))
    with browser.open(Path("report.html")) as opened:
        assert opened.complaints == []
        assert len([u for u in opened.requests if not u.startswith("data:")]) == 1
        ids = opened.evaluate("[...document.querySelectorAll('section')].map(s => s.id)")
        assert ids == ["results", "differences", "curves"]


def test_mistakes_of_recordings_are_drawn_with_their_names(nnzoo: NNZOO) -> None:
    write_recordings(Path("recordings.csv"), 60)
    data = {"name": "recordings", "path": "recordings.csv", "id": "id"}
    model = {"name": "cnn", "channels": [4], "pool": "none", "head": {"pooling": "max"}}
    tree = {"name": "run", "data": data, "model": model, "train": {"epochs": 1}}
    Path("run.yaml").write_text(json.dumps(tree))
    named = "eval.baselines=[majority,linear]"
    end = nnzoo("train", "--config", "run.yaml", "--json", "-s", named).lines[-1]
    baselines = [baseline["name"] for baseline in end["test"]["baselines"]]
    assert sorted(baselines) == ["linear on channel statistics", "majority class"]
    assert nnzoo("report", "checkpoints/run").code == 0
    page = Path("checkpoints/run/report.html").read_text()
    wrong = round((1 - end["test"]["accuracy"]) * end["test"]["n"])
    assert page.count('aria-label="The recording"') == min(wrong, 12) > 0
    assert re.search(r"recording '\d+'", text_of(page)) and baselines[0] in page
    shown = nnzoo("inspect", "checkpoints/run", "--json").json
    names = [Path(item["file"]).name for item in shown["files"]]
    assert names == ["attributions.png", "filters.png", "channels.png", "arrays.npz"]
