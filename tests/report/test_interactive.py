"""Interactive reports in a browser: rows behind numbers, values of charts, thresholds, tables; nothing else runs."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from nnzoo.predict.predictions import predict_split
from nnzoo.report import examples
from nnzoo.report.interactive import run_script
from nnzoo.report.page import render_comparison, render_run
from nnzoo.report.run_report import RunReport
from tests import zoo
from tests.browser import CHROMIUM, Browser, Opened

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)
HOSTILE = "</script><script>document.title='bad'</script><!-- ' \" & \x1b \u202e"


def report_of(folder: Path, name: str, model: Any, data: Any, **more: Any) -> RunReport:
    """A new run, opened for a report."""
    run = zoo.begin(zoo.config(model, data, name=name, **more), folder)
    zoo.finish(run)
    return RunReport.open(run.folder.path, torch.device("cpu"))


def page_of(folder: Path, name: str, *parts: Any, **more: Any) -> tuple[Path, RunReport]:
    """The page of a new run, and the run."""
    report = report_of(folder, name, *parts, **more)
    page = folder / f"{name}.html"
    page.write_text(render_run(report))
    return page, report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("interactive")


@pytest.fixture(scope="module")
def digits(folder: Path) -> tuple[Path, RunReport]:
    return page_of(folder, "digits", "mlp", "image", train={"epochs": 2})


@pytest.fixture
def opened(digits: tuple[Path, RunReport], browser: Browser) -> Iterator[Opened]:
    """The page of `digits`, without a console message or a request until its end."""
    with browser.open(digits[0]) as page:
        yield page
        assert page.complaints == []
        assert [url for url in page.requests if not url.startswith("data:")] == [digits[0].as_uri()]


def shown_rows(page: Opened) -> list[int]:
    """The numbers of the rows that the panel shows."""
    rows = page.evaluate("[...document.querySelectorAll('#cell .card')].map(c => c.dataset.row)")
    return [int(row) for row in rows]


def test_a_cell_of_the_matrix_shows_its_rows(
    digits: tuple[Path, RunReport], opened: Opened
) -> None:
    predictions = digits[1].predictions
    targets, confidence = predictions.targets, predictions.confidence
    assert targets is not None
    counts = confusion_matrix(targets, predictions.classes)
    np.fill_diagonal(counts, 0)
    actual, predicted = divmod(int(counts.argmax()), 10)
    opened.mouse(f"td[data-cell='{actual},{predicted}']")
    title = opened.evaluate("document.querySelector('#cell h3').textContent")
    members = np.flatnonzero((targets == actual) & (predictions.classes == predicted))
    count = len(members)
    some = f"12 of {count}" if count > 12 else f"{count}"
    assert title.startswith(f"actual {actual}, predicted as {predicted}: {some} row")
    rows = members[np.argsort(-confidence[members], kind="stable")][:12]
    assert shown_rows(opened) == rows.tolist()
    card = opened.evaluate("document.querySelector('#cell .card').textContent")
    assert f"predicted: {predicted} {100 * confidence[rows[0]]:.2f} %" in card
    assert f"actual: {actual} row {rows[0]}" in card
    assert opened.evaluate("document.querySelector('#cell img').naturalWidth") == 8

    # By keyboard: along the diagonal's row to the left, the rows that are right; Escape closes.
    opened.evaluate("document.querySelector(\"td[data-cell='0,0']\").focus()")
    opened.press("Enter")
    correct = np.flatnonzero((targets == 0) & (predictions.classes == 0))
    expected = correct[np.argsort(confidence[correct], kind="stable")][:12]
    assert shown_rows(opened) == expected.tolist()
    title = opened.evaluate("document.querySelector('#cell h3').textContent")
    assert title == f"actual 0, predicted correctly: 12 of {len(correct)} rows"
    opened.press("ArrowDown")
    assert opened.evaluate("document.activeElement.dataset.cell") != "0,0"
    opened.press("Escape")
    assert opened.evaluate("document.getElementById('cell').hidden")

    # All false positives of a class, which are in several cells.
    opened.mouse(f"td[data-cell='{predicted},fp']")
    wrong = np.flatnonzero((targets != predicted) & (predictions.classes == predicted))
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:12]
    assert set(shown_rows(opened)) <= set(wrong.tolist())
    assert len(shown_rows(opened)) == len(rows)


def test_a_threshold_moves_what_scikit_learn_computes(
    digits: tuple[Path, RunReport], opened: Opened
) -> None:
    run = digits[1]
    assert "looks better than it is" in opened.evaluate(
        "document.getElementById('threshold').textContent"
    )
    opened.evaluate(
        "document.querySelector('#threshold select').value = '8';"
        "document.querySelector('#threshold select').dispatchEvent(new Event('change'))"
    )
    splits = [predict_split(run.network, run.loaded.prepared(name)) for name in ("val", "test")]
    highest = float(str(splits[1].values[:, 8].max()))
    for threshold in (0.5, 0.1234, highest, 1.0):
        opened.evaluate(
            "(() => { const field = document.getElementById('threshold-value');"
            f"field.value = '{threshold}'; field.dispatchEvent(new Event('input')); }})()"
        )
        table = opened.evaluate(
            "[...document.querySelectorAll('#threshold-table tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
        )
        for column, predictions in enumerate(splits, 1):
            positive = predictions.values[:, 8] >= threshold
            truth = predictions.targets == 8
            tn, fp, fn, tp = confusion_matrix(truth, positive, labels=[False, True]).ravel()
            ratios = precision_recall_fscore_support(
                truth, positive, average="binary", zero_division=0
            )
            assert [row[column] for row in table] == [
                *map(str, (tp, fp, fn, tn)),
                *(f"{ratio:.4f}" for ratio in ratios[:3]),
            ]
    # By keyboard, and from a mark.
    opened.evaluate("document.getElementById('threshold-slider').focus()")
    opened.press("Home")
    assert opened.evaluate("document.getElementById('threshold-value').value") == "0"
    assert opened.evaluate("document.querySelector('#threshold-table td.n').textContent") == str(
        int(np.sum(splits[0].targets == 8))
    )
    opened.mouse("#threshold .tool button")
    assert opened.evaluate("document.getElementById('threshold-value').value") == "0.5"


def test_charts_are_read_with_mouse_and_keys(
    digits: tuple[Path, RunReport], opened: Opened
) -> None:
    rows = digits[1].epochs
    chart = "#curves svg[aria-label='Loss by epoch']"
    opened.evaluate(f'document.querySelector("{chart}").focus()')
    opened.press("End")
    text = opened.evaluate("document.querySelector('.readout').innerText")
    losses = [f"{rows[-1][key]:.6g}" for key in ("train_loss", "val_loss")]
    assert text.split() == [
        "epoch",
        "2",
        "train",
        "loss",
        losses[0],
        "validation",
        "loss",
        losses[1],
    ]
    opened.press("ArrowLeft")
    text = opened.evaluate("document.querySelector('.readout').innerText")
    assert f"{rows[0]['train_loss']:.6g}" in text
    # The mark is on the line as it is drawn.
    drawn = opened.evaluate(
        f'(() => {{ const svg = document.querySelector("{chart}");'
        "const path = svg.querySelector('[data-line=\"0\"] path').getAttribute('d').split(/[ML ]+/).filter(Boolean);"
        "const mark = svg.querySelector('.marks circle');"
        "return [path[0], path[1], mark.getAttribute('cx'), mark.getAttribute('cy')].map(Number); })()"
    )
    assert drawn[:2] == pytest.approx(drawn[2:], abs=0.1)
    opened.mouse(chart, 0.95, 0.5, click=False)
    assert losses[0] in opened.evaluate("document.querySelector('.readout').innerText")
    opened.mouse("h1", click=False)
    assert opened.evaluate("document.querySelector('.readout').hidden")


def test_tables_sort_and_filter(digits: tuple[Path, RunReport], opened: Opened) -> None:
    table = "#answers table.sort"
    column = f"[...document.querySelectorAll('{table} tr')].slice(1).filter(r => !r.hidden).map(r => r.cells[%d].textContent)"
    recalls = [row["recall"] for row in digits[1].result["per_class"]]
    opened.mouse(f"{table} th:nth-child(3) button")
    assert opened.evaluate(column % 2) == [f"{value:.4f}" for value in sorted(recalls)]
    assert opened.evaluate("document.querySelector('[aria-sort]').textContent") == "recall"
    opened.press("Enter")
    assert opened.evaluate(column % 2) == [f"{value:.4f}" for value in sorted(recalls)[::-1]]
    opened.press("Enter")
    assert opened.evaluate(column % 0) == [str(i) for i in range(10)]
    opened.evaluate("document.querySelector('#answers .filter input').focus()")
    opened.press("7")
    assert opened.evaluate(column % 0) == ["7"]


def test_without_its_script_a_page_reads_as_it_did(
    digits: tuple[Path, RunReport], browser: Browser
) -> None:
    with browser.open(digits[0], scripts=False) as page:
        text = page.evaluate("document.body.innerText")
        assert "Confusion matrix" in text
        assert "Threshold" not in text and "Click" not in text
        assert (
            page.evaluate(
                "document.querySelectorAll('button, input, select, [role=button]').length"
            )
            == 0
        )
        assert page.complaints == []


def test_a_page_is_printed_as_it_is_without_its_script(
    digits: tuple[Path, RunReport], browser: Browser
) -> None:
    texts = []
    for scripts in (False, True):
        with browser.open(digits[0], scripts=scripts) as page:
            if scripts:
                page.mouse("td[data-cell]")
                page.evaluate("document.querySelector('#answers .filter input').focus()")
                page.press("7")
                page.mouse("#curves [data-legend]")
            page.tab.call("Emulation.setEmulatedMedia", media="print")
            texts.append(page.evaluate("document.body.innerText").split())
    assert texts[0] == texts[1]


def test_a_changed_script_does_not_run(
    digits: tuple[Path, RunReport], browser: Browser, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.html"
    text = digits[0].read_text()
    assert text.count('classList.add("script")') == 1
    changed.write_text(text.replace('classList.add("script")', 'classList.add("Script")'))
    with browser.open(changed) as page:
        assert page.evaluate("document.documentElement.className") == ""
        assert page.evaluate("document.querySelectorAll('button').length") == 0
        assert "Content Security Policy" in "".join(page.complaints)
    added = tmp_path / "added.html"
    added.write_text(
        text.replace("<h1>", "<h1 onclick='document.title=1'><script>document.title='bad'</script>")
    )
    with browser.open(added) as page:
        page.mouse("h1")
        assert page.evaluate("document.title") == "digits · nnzoo"


def test_hostile_names_stay_text_in_every_part(folder: Path, browser: Browser) -> None:
    with (folder / "bad.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([f"x{HOSTILE}", "kind", "y"])
        rows.writerows([HOSTILE * (i % 3 == 0), f"{i % 2}{HOSTILE}", i % 7] for i in range(200))
    data = {"name": "csv", "path": str(folder / "bad.csv"), "target": "kind"}
    page, report = page_of(folder, "bad", "mlp", data, train={"epochs": 1})
    text = page.read_text()
    assert not {"\x1b", "\u202e"} & set(text)
    assert text.count("<script") == 2 and text.count("</script>") == 2
    with browser.open(page, 380, dark=True) as opened:
        opened.mouse("td[data-cell]")
        assert "document.title='bad'" in opened.evaluate(
            "document.getElementById('cell').textContent"
        )
        assert "document.title='bad'" in opened.evaluate(
            "document.querySelector('#threshold select').textContent"
        )
        assert opened.evaluate("document.title") == "bad · nnzoo" and opened.complaints == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= 380
    assert report.predictions.names[0].startswith("0</script>")


def test_bars_and_points_of_numbers_show_their_rows(folder: Path, browser: Browser) -> None:
    page, report = page_of(folder, "numbers", "mlp", "table_number", train={"epochs": 1})
    predictions = report.predictions
    assert predictions.targets is not None
    errors = predictions.values[:, 0] - predictions.targets[:, 0]
    counts, edges = np.histogram(errors, min(40, max(8, int(np.sqrt(len(errors))))))
    with browser.open(page) as opened:
        opened.evaluate("document.querySelector('[data-rows=bars] svg').focus()")
        opened.press("Home")
        for bar in range(3):
            title = opened.evaluate("document.querySelector('#cell h3').textContent")
            inside = np.flatnonzero((errors >= edges[bar]) & (errors < edges[bar + 1]))
            some = f"12 of {counts[bar]}" if counts[bar] > 12 else str(counts[bar])
            assert f": {some} row" in title
            assert set(shown_rows(opened)) <= set(inside.tolist())
            assert len(shown_rows(opened)) == min(12, counts[bar])
            opened.press("ArrowRight")
        # The point that is clicked is the row with these values.
        row = int(predictions.targets[:, 0].argmax())
        x, y = opened.evaluate(
            "(() => { const svg = document.querySelector('[data-rows=points] svg');"
            "const c = JSON.parse(svg.dataset.chart), {width, height} = svg.viewBox.baseVal;"
            f"const row = nnzoo.data.cells.rows[{row}], [l, t, r, b] = c.box;"
            "return [nnzoo.hover.place(c.x, l, r, row.x[0]) / width, nnzoo.hover.place(c.y, b, t, row.y[0]) / height]; })()"
        )
        opened.mouse("[data-rows=points] svg", x, y)
        assert shown_rows(opened) == [row]
        card = opened.evaluate("document.querySelector('#cell .card').textContent")
        assert f"actual: {predictions.targets[row, 0]:.1f}" in card and "bmi: " in card
        assert opened.complaints == []


def test_a_row_of_a_series_is_a_curve(folder: Path, browser: Browser) -> None:
    page, report = page_of(folder, "waves", "cnn", "series", train={"epochs": 1})
    with browser.open(page, 380, dark=True) as opened:
        opened.evaluate("document.querySelector('[data-rows=points] svg').focus()")
        opened.press("End")
        (row,) = shown_rows(opened)
        assert report.predictions.targets is not None
        assert row == int(report.predictions.targets[:, 0].argmax())
        inputs, _ = report.loaded.raw("test", torch.tensor([row]))
        drawn = opened.evaluate(
            "document.querySelector('#cell polyline').getAttribute('points').split(' ').map(p => Number(p.split(',')[1]))"
        )
        # Upside down, from the top of the drawing to its bottom.
        values = inputs[0, :, 0].numpy()
        scaled = 61 - (values - values.min()) / (values.max() - values.min()) * 58
        assert drawn == pytest.approx(scaled.tolist(), abs=0.5)
        assert opened.evaluate("document.documentElement.scrollWidth") <= 380
        assert opened.complaints == []


def test_a_page_holds_as_many_rows_as_fit(
    digits: tuple[Path, RunReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = examples.describe_cells(digits[1])
    monkeypatch.setattr(examples, "MAX_BYTES", 5000)
    cut = examples.describe_cells(digits[1])
    assert 10 < len(cut["rows"]) < len(whole["rows"])
    for key, cell in whole["cells"].items():
        assert cut["cells"][key]["count"] == cell["count"]
        assert len(cell["rows"]) == min(12, cell["count"])
        assert set(cut["cells"][key]["rows"]) <= set(cell["rows"])


def test_labels_have_cells_and_thresholds(folder: Path, browser: Browser) -> None:
    random = np.random.default_rng(0)
    with (folder / "tags.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["a", "b", "tags"])
        for a, b in random.normal(size=(400, 2)).round(3).tolist():
            tags = [name for name, holds in (("warm", a > 0), ("big", b > 0.5)) if holds]
            rows.writerow([a, b, ";".join(tags)])
    data = {"name": "csv", "path": str(folder / "tags.csv"), "target": "tags", "task": "multilabel"}
    page, report = page_of(folder, "tags", "mlp", data, train={"epochs": 3})
    predictions = report.predictions
    assert predictions.targets is not None
    with browser.open(page) as opened:
        for i, label in enumerate(report.result["per_label"]):
            for key in ("tp", "fp", "fn", "tn"):
                if not label[key]:
                    continue
                opened.mouse(f"td[data-cell='{i},{key}']")
                title = opened.evaluate("document.querySelector('#cell h3').textContent")
                assert title.endswith(f"{label[key]} row{'s' * (label[key] != 1)}")
                predicted, actual = key in ("tp", "fp"), key in ("tp", "fn")
                for row in shown_rows(opened):
                    assert (predictions.values[row, i] >= 0.5) == predicted
                    assert (predictions.targets[row, i] > 0.5) == actual
        assert opened.complaints == []


def test_legends_hide_and_show_runs(folder: Path, browser: Browser) -> None:
    model = {"name": "mlp", "hidden": [4]}
    reports = [report_of(folder, name, model, "table_classes") for name in ("left", "right")]
    page = folder / "both.html"
    page.write_text(render_comparison(reports))
    visible = (
        "[...document.querySelectorAll('[data-line=\"0\"]')].map(l => getComputedStyle(l).display)"
    )
    with browser.open(page) as opened:
        opened.mouse("#curves [data-legend='0']")
        assert opened.evaluate(visible) == ["none"] * 3
        assert (
            opened.evaluate("document.querySelector('[data-legend]').getAttribute('aria-pressed')")
            == "false"
        )
        opened.evaluate("document.querySelector('#curves svg').focus()")
        opened.press("Home")
        readout = opened.evaluate("document.querySelector('.readout').textContent")
        assert "right" in readout and "left" not in readout
        opened.evaluate("document.querySelector('[data-legend]').focus()")
        opened.press(" ")
        assert "none" not in opened.evaluate(visible)
        assert opened.complaints == []


def test_a_page_without_its_data_has_no_rows(folder: Path) -> None:
    (folder / "gone.csv").write_text("a,b\n" + "".join(f"{i % 5},{i}\n" for i in range(60)))
    data = {"name": "csv", "path": str(folder / "gone.csv")}
    report = report_of(folder, "gone", "mlp", data, train={"epochs": 1})
    (folder / "gone.csv").unlink()
    again = RunReport.open(report.folder.path, torch.device("cpu"))
    assert run_script(again).data == {}
