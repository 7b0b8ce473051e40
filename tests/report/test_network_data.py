"""The network in a run's page: clicks show PyTorch's numbers, and what is not computed has its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nnzoo.data.read_dataset import read_dataset
from nnzoo.evaluation.layer_stats import eval_in_fp32, layer_outputs
from nnzoo.inspect.internals import gates
from nnzoo.models.network import Network, build_network
from nnzoo.report import network_data as module
from nnzoo.report.network_data import SCRIPTS, network_data
from nnzoo.report.run_report import RunReport
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run_dir import RunDir
from nnzoo.web.render import Script, render
from tests import zoo
from tests.browser import CHROMIUM, Browser, Opened
from tests.web.network_cases import draw_case, shake

CPU = torch.device("cpu")
HOSTILE = "<img src=x onerror=alert(1)>"
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)
RUNS: dict[str, tuple[Any, Any]] = {
    "cnn": (
        {
            "name": "cnn",
            "channels": [3, 4],
            "norm": "batch",
            "kernel_size": [[3, 3], [3, 2]],
            "head": {"hidden": [20]},
        },
        "image",
    ),
    "lstm": ({"name": "lstm", "hidden_size": 6, "num_layers": 2}, "image"),
    "gru": ("gru", "sequences"),
    "table": ("mlp", {"name": "csv", "path": "mixed.csv", "target": "y"}),
    "rings": ("mlp", {"name": "csv", "path": "rings.csv", "target": "ring"}),
    "texts": (
        {
            "name": "cnn",
            "channels": [3],
            "pool": "none",
            "embedding": 4,
            "head": {"pooling": "max"},
        },
        {"name": "text", "path": "texts.csv", "target": "label"},
    ),
    "writer": (
        {"name": "gru", "hidden_size": 6, "embedding": 4},
        {"name": "corpus", "path": "text.txt", "window": 16},
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunReport]:
    """Each of RUNS with its data and weights as they are after the first draw; made when it is first asked for."""
    folder = tmp_path_factory.mktemp("runs")
    write_data(folder)
    opened: dict[str, RunReport] = {}

    def run(name: str) -> RunReport:
        if name not in opened:
            model, data = RUNS[name]
            config = zoo.config(model, data, name=name)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                dataset = read_dataset(config)
            network = build_network(config, dataset, CPU).eval()
            shake(network.model, torch.Generator().manual_seed(0))
            loaded = LoadedRun(network, folder / "best.pt")
            loaded.__dict__["dataset"] = dataset
            opened[name] = RunReport(RunDir(folder), loaded)
        return opened[name]

    return run


def write_data(folder: Path) -> None:
    generator = np.random.default_rng(0)
    rows = []
    for i in range(120):
        age, city = generator.integers(20, 60), ["Rome", HOSTILE, "Oslo"][i % 3]
        rows.append(f"{'' if i % 7 == 0 else age},{i / 7:.2f},{city},{age + i % 3 * 10}\n")
    (folder / "mixed.csv").write_text(f"age,size,{HOSTILE},y\n" + "".join(rows))
    xy = generator.normal(size=(120, 2))
    kinds = [["in", HOSTILE][int(x * x + y * y > 1)] for x, y in xy]
    lines = [f"{x:.3f},{y:.3f},{kind}\n" for (x, y), kind in zip(xy, kinds, strict=True)]
    (folder / "rings.csv").write_text("x,y,ring\n" + "".join(lines))
    words = ["good", "bad", "film", "plot", "the"]
    texts = [" ".join(words[k] for k in generator.integers(0, 5, 4 + i % 5)) for i in range(60)]
    lines = [f"{text},{'up' if 'good' in text else 'down'}\n" for text in texts]
    (folder / "text.txt").write_text("the cat sat on the mat. " * 120)
    (folder / "texts.csv").write_text("text,label\n" + "".join(lines))


def write_page(data: dict[str, Any]) -> Path:
    """Write the part of the page that shows the network, with its scripts."""
    page = render("web/templates/base.html", {"title": "page"}, Script(SCRIPTS, {"network": data}))
    part = render("report/templates/network.html", {"network": data})
    Path("page.html").write_text(page.replace("<body>", f"<body><main>{part}</main>"))
    return Path("page.html")


@contextmanager
def open_part(run: RunReport, browser: Browser, **window: Any) -> Iterator[Opened]:
    with browser.open(write_page(network_data(run, 1000)), **window) as opened:
        assert opened.complaints == []
        yield opened
        assert opened.complaints == [] and len(opened.requests) <= 2


def raw_input(run: RunReport, place: int) -> Tensor:
    """The input in a place of the list that the page shows, as a batch of one."""
    raw, *_ = module._shown_inputs(run)
    return raw[place]


@torch.no_grad()
def layers_of(network: Network, raw: Tensor) -> dict[str, Tensor]:
    """Each layer's output for one input, without the batch; "input" is the preprocessed one."""
    with eval_in_fp32(network):
        encoded = network.preprocess(raw)
        outputs, _ = layer_outputs(network, encoded)
    named: dict[str, Any] = {name: output for name, (_, output) in outputs.items()}
    return {name: output[0] for name, output in (named | {"input": encoded}).items()}


@torch.no_grad()
def predict(network: Network, values: list[float]) -> list[float]:
    with eval_in_fp32(network):
        return [float(x) for x in network.predict(torch.tensor([values], dtype=torch.float64))[0]]


def numbers(opened: Opened, selector: str) -> list[float]:
    """The numbers of elements with all their digits."""
    shown = opened.evaluate(
        f"[...document.querySelectorAll({selector!r})].filter(e => e.title).map(e => Number(e.title))"
    )
    return [float(value) for value in shown]


def choose(opened: Opened, label: str, option: int | str) -> None:
    """Choose an option of a labelled list, by its place or a part of its text."""
    is_there = opened.evaluate(
        f"""(() => {{ const select = [...document.querySelectorAll('.choice')].find(c =>
        c.querySelector('span').textContent === {label!r}).querySelector('select');
        const option = {option!r};
        select.selectedIndex = typeof option === 'number' ? option :
          [...select.options].findIndex(o => o.textContent.includes(option));
        select.dispatchEvent(new Event('change')); return select.selectedIndex >= 0; }})()"""
    )
    assert is_there, option


def text(opened: Opened, selector: str) -> str:
    return str(opened.evaluate(f"document.querySelector({selector!r}).textContent"))


close: Callable[[Any], Any] = lambda values: pytest.approx(values, rel=1e-4, abs=1e-4)  # noqa: E731


@needs_browser
def test_a_click_on_a_map_shows_how_torch_computes_the_place(
    runs: Callable[[str], RunReport], browser: Browser
) -> None:
    run = runs("cnn")
    layers = layers_of(run.network, raw_input(run, 2))
    conv: Any = run.network.model.get_submodule("features.0")
    with open_part(run, browser) as opened:
        choose(opened, "Input", 2)
        # The map of channel 1 at row 2, column 5 of 8x8.
        opened.mouse("#feature-maps .maps > button:nth-of-type(2)", 5.5 / 8, 2.5 / 8)
        assert text(opened, ".panel h4") == "features.0, channel 1, row 2, column 5"
        window = layers["input"][0, 1:4, 4:7]
        shown = [numbers(opened, f".matrices figure:nth-of-type({i + 1}) td") for i in range(3)]
        kernel = conv.weight[1, 0].detach()
        for values, expected in zip(shown, (window, kernel, window * kernel), strict=True):
            assert values == close(expected.flatten().tolist())
        assert sum(shown[2]) == close(float(layers["features.0"][1, 2, 5]))
        # Sum, bias and their sum; then what is behind: norm, pooling, activation.
        chain = numbers(opened, ".panel > p b")
        pooled = [float(layers[f"features.{i}"][1, 1, 2]) for i in (2, 3)]
        normed = float(layers["features.1"][1, 2, 5])
        before = float(layers["features.0"][1, 2, 5])
        assert chain[:3] == close(
            [before, float(conv.bias[1]) if conv.bias is not None else 0.0, before]
        )
        assert chain[chain.index(chain[0], 3) :][0] == close(before)
        lines = opened.evaluate(
            "[...document.querySelectorAll('.panel > p')].map(p => [p.textContent, Number([...p.querySelectorAll('b')].at(-1).title)])"
        )
        assert [line[1] for line in lines[-3:]] == close([normed, *pooled])
        is_largest = normed == pooled[0]
        assert ("which is this one" in lines[-2][0]) == is_largest
        # Arrow keys move the place from there.
        opened.press("ArrowDown")
        opened.press("ArrowLeft")
        assert text(opened, ".panel h4") == "features.0, channel 1, row 3, column 4"
        # The sum of channels keeps the channel.
        opened.mouse("#feature-maps .sum button", 0.5 / 8, 7.5 / 8)
        assert text(opened, ".panel h4") == "features.0, channel 1, row 7, column 0"
        corner = opened.evaluate(
            "[...document.querySelectorAll('.matrices figure:first-of-type td')].map(e => e.textContent)"
        )
        assert [i for i, shown in enumerate(corner) if shown == "0"] == [0, 3, 6, 7, 8]


@needs_browser
def test_every_input_channel_a_pooling_window_and_the_largest_contributions(
    runs: Callable[[str], RunReport], browser: Browser
) -> None:
    run = runs("cnn")
    layers = layers_of(run.network, raw_input(run, 0))
    second: Any = run.network.model.get_submodule("features.5")
    head: Any = run.network.model.get_submodule("head.1")
    with open_part(run, browser) as opened:
        choose(opened, "Layer", "features.5: ")
        opened.mouse("#feature-maps .maps > button:nth-of-type(4)", 1.5 / 4, 2.5 / 4)
        assert text(opened, ".panel h4") == "features.5, channel 3, row 2, column 1"
        window = layers["features.3"][:, 1:4, 1:3]
        products = (window * second.weight[3].detach()).sum((1, 2))
        assert numbers(opened, ".sums td") == close(products.tolist())
        for channel in (0, 2):
            opened.mouse(f".sums tr:nth-of-type(1) th:nth-of-type({channel + 1}) button")
            values = numbers(opened, ".matrices figure:first-of-type td")
            assert values == close(window[channel].flatten().tolist())
        choose(opened, "Layer", "max pooling")
        opened.mouse("#feature-maps .maps > button:nth-of-type(1)", 0.5 / 4, 0.5 / 4)
        window = layers["features.1"][0, :2, :2]
        assert numbers(opened, ".matrices td") == close(window.flatten().tolist())
        assert numbers(opened, ".matrices td.chosen") == close([float(window.max())])
        row, column = divmod(int(window.argmax()), 2)
        assert f"row {row}, column {column} wins" in text(opened, ".panel")
        choose(opened, "Layer", "head.1: linear")
        opened.evaluate("document.querySelector('#feature-maps .units').focus()")
        opened.press("ArrowRight")
        name = re.fullmatch(r"head.1, unit (\d+)", text(opened, ".panel h4"))
        assert name
        unit = int(name[1])
        flat = layers["features.8"].flatten()
        contributions = flat * head.weight[unit].detach()
        order = contributions.abs().argsort(descending=True)[:12]
        shown = numbers(opened, ".panel table tr td:last-child")
        assert shown[:-1] == close(contributions[order].tolist())
        assert shown[-1] == close(float(contributions.sum() - contributions[order].sum()))
        channel, rest = divmod(int(order[0]), 4)
        place = f"channel {channel}, row {rest // 2}, column {rest % 2}"
        assert place == text(opened, ".panel table tr:nth-of-type(2) th")
        assert numbers(opened, ".panel > p:nth-of-type(2) b")[-1] == close(
            float(layers["head.1"][unit])
        )


@needs_browser
def test_the_outline_is_the_receptive_field(
    runs: Callable[[str], RunReport], browser: Browser
) -> None:
    run = runs("cnn")
    network, raw = run.network, raw_input(run, 0)
    replaced = {torch.nn.MaxPool2d: torch.nn.AvgPool2d(2), torch.nn.ReLU: torch.nn.Identity()}
    modules: Any = run.network.model.get_submodule("features")
    features = torch.nn.Sequential(*[replaced.get(type(m), m) for m in modules])
    with open_part(run, browser) as opened:
        for name, row, column in (("features.0", 0, 7), ("features.5", 1, 2), ("features.7", 1, 0)):
            choose(opened, "Layer", f"{name}: ")
            opened.evaluate(
                f"Object.assign(nnzoo.maps.state, {{channel: 0, row: {row}, column: {column}}}); nnzoo.maps.show()"
            )
            style = opened.evaluate(
                "(() => { const s = document.querySelector('.shown-input .box').style; "
                "return [s.top, s.left, s.height, s.width].map(parseFloat); })()"
            )
            x = network.preprocess(raw).requires_grad_()
            # Every path counts, also those that this input does not take.
            place = features[: int(name[-1]) + 1]
            (gradient,) = torch.autograd.grad(place(x)[0, 0, row, column], x)
            seen = gradient[0, 0].nonzero()
            low, size = seen.amin(0), seen.amax(0) - seen.amin(0) + 1
            assert style == close((torch.cat([low, size]) * 100 / 8).tolist()), name


@needs_browser
@pytest.mark.parametrize("name, layer", [("lstm", "l1"), ("gru", "l0 reverse")])
def test_steps_show_the_gates_that_torch_computes(
    name: str, layer: str, runs: Callable[[str], RunReport], browser: Browser
) -> None:
    run = runs(name)
    raw = raw_input(run, 3)
    with eval_in_fp32(run.network), torch.no_grad():
        states = gates(run.network, run.network.preprocess(raw))[layer]
        prediction = run.network.predict(raw)[0]
    with open_part(run, browser, width=380, dark=True) as opened:
        assert opened.evaluate("document.documentElement.scrollWidth") <= 380
        choose(opened, "Input", 3)
        choose(
            opened, "Layer", layer.replace("l0 ", "rnn.l0, ") if " " in layer else f"rnn.{layer}"
        )
        for _ in range(3):
            opened.mouse("[aria-label='One step on']")
        opened.mouse("[aria-label='One step back']")
        units = states["hidden"].shape[-1]
        opened.mouse("[data-gate=hidden]", 4.5 / units, 0.5)
        opened.press("ArrowRight")
        assert text(opened, "#time-steps h4") == "Unit 5 at step 2"
        assert numbers(opened, "#time-steps .result td.n")[: len(states)] == close(
            [float(values[0, 2, 5]) for values in states.values()]
        )
        slider = "document.querySelector('#time-steps input')"
        opened.evaluate(f"{slider}.value = 6; {slider}.dispatchEvent(new Event('input'))")
        assert text(opened, "output") == "step 6 of 7"
        assert numbers(opened, "#time-steps .result td.n")[len(states) - 1] == close(
            float(states["hidden"][0, 6, 5])
        )
        shown = numbers(opened, "#time-steps .prediction td.n")
        if "reverse" not in layer:  # the state after each step, read out
            with eval_in_fp32(run.network), torch.no_grad():
                prediction = run.network.predict(raw[:, :, :7])[0]
        assert shown == close(sorted(prediction.tolist(), reverse=True)[: len(shown)])
        opened.mouse("[aria-label=Play]")
        assert text(opened, "[aria-label=Pause]") == "❚❚"
        opened.evaluate("new Promise((done) => setTimeout(done, 900))")
        assert text(opened, "output") == "step 7 of 7"
        assert opened.evaluate("document.querySelector('[aria-label=Play]') !== null")


@needs_browser
def test_a_text_is_stepped_token_by_token(
    runs: Callable[[str], RunReport], browser: Browser
) -> None:
    run = runs("writer")
    raw = raw_input(run, 0)
    with eval_in_fp32(run.network), torch.no_grad():
        predictions = run.network.predict(raw)
    with open_part(run, browser) as opened:
        opened.mouse(".token:nth-of-type(5)")
        assert text(opened, "output").startswith("step 4 of ")
        assert text(opened, "[aria-current=true]") == text(opened, ".token:nth-of-type(5)")
        shown = numbers(opened, ".prediction td.n")
        assert shown == close(predictions[4].sort(descending=True).values[: len(shown)].tolist())


@needs_browser
def test_what_if_follows_every_control(runs: Callable[[str], RunReport], browser: Browser) -> None:
    run = runs("table")
    values = raw_input(run, 1)[0].tolist()
    before = predict(run.network, values)
    with open_part(run, browser) as opened:
        choose(opened, "Start from", 1)
        prediction = "#what-if .prediction td.n"

        def change(name: str, value: Any, event: str = "input", key: str = "value") -> list[float]:
            control = f"[...document.querySelectorAll('#what-if [aria-label]')].find(e => e.ariaLabel === {name!r})"
            opened.evaluate(
                f"(() => {{ const c = {control}; c.{key} = {value}; c.dispatchEvent(new Event('{event}')); }})()"
            )
            return numbers(opened, prediction)[:1]

        assert numbers(opened, prediction)[:1] == close(before)
        values[0] = 41.0
        assert change("age", 41) == close(predict(run.network, values))
        values[1] = 55.5
        assert change("size, as a number", 55.5) == close(predict(run.network, values))
        values[2] = 1.0
        assert change(HOSTILE, 1, "change") == close(predict(run.network, values))
        values[2] = -1.0
        assert change(HOSTILE, -1, "change") == close(predict(run.network, values))
        values[0] = float("nan")
        assert change("age is missing", "true", "change", "checked") == close(
            predict(run.network, values)
        )
        shown = text(opened, "#what-if .prediction td:last-child")
        assert shown.startswith("+" if predict(run.network, values)[0] > before[0] else "−")
        assert opened.evaluate("document.querySelector('#what-if input[type=range]').disabled")
        check_response(opened, run, values)
        assert opened.evaluate("document.querySelector('#what-if img')") is None
        low, high = opened.evaluate(
            "(() => { const r = document.querySelector('#what-if input[type=range]'); return [r.min, r.max]; })()"
        )
        ages = run.loaded.dataset.splits["train"].tensors()[0][:, 0]
        ages = ages[~ages.isnan()]
        assert [float(low), float(high)] == [float(ages.min()), float(ages.max())]


def check_response(opened: Opened, run: RunReport, values: list[float]) -> None:
    """The curve is the prediction over the range of the column that was changed last, drawn from 96 up to 4."""
    ages = run.loaded.dataset.splits["train"].tensors()[0][:, 0]
    ages = ages[~ages.isnan()]
    grid = torch.linspace(float(ages.min()), float(ages.max()), 41).tolist()
    expected = np.array([predict(run.network, [age, *values[1:]])[0] for age in grid])
    points = opened.evaluate("document.querySelector('.response polyline').getAttribute('points')")
    heights = np.array([float(point.split(",")[1]) for point in points.split()])
    fraction = (expected - expected.min()) / (expected.max() - expected.min())
    assert heights == pytest.approx(96 - 92 * fraction, abs=0.05)
    assert f"as age goes from {ages.min():g} to {ages.max():g}" in text(opened, ".response")


@needs_browser
def test_a_click_on_the_plane_of_two_columns_takes_the_values_there(
    runs: Callable[[str], RunReport], browser: Browser
) -> None:
    run = runs("rings")
    with open_part(run, browser, dark=True) as opened:
        opened.mouse("#what-if .map", 0.25, 0.75)
        x, y = opened.evaluate(
            "[...document.querySelectorAll('#what-if input[type=number]')].map(e => Number(e.value))"
        )
        rows = run.loaded.dataset.splits["train"].tensors()[0]
        low, high = rows.amin(0), rows.amax(0)
        margin = 0.08 * (high - low)
        left, size = low - margin, high - low + 2 * margin
        expected = (left + size * 0.25).tolist()
        assert [x, y] == pytest.approx(expected, rel=0.02, abs=0.02)
        assert numbers(opened, ".prediction td.n") == close(predict(run.network, [x, y]))
        opened.press("ArrowUp")
        moved = opened.evaluate(
            "Number(document.querySelectorAll('#what-if input[type=number]')[1].value)"
        )
        assert moved - y == pytest.approx(float(size[1]) / 64, rel=0.02)
        # Its color there is that of the more probable class.
        pixel = opened.evaluate(
            "[...document.querySelector('.map canvas').getContext('2d').getImageData(16, 48, 1, 1).data]"
        )
        blue = predict(run.network, [x, y])[0] > 0.5
        assert (pixel[2] > pixel[0]) == blue
        assert opened.evaluate("document.querySelector('img')") is None


@needs_browser
def test_a_page_that_computes_something_else_shows_no_number(
    runs: Callable[[str], RunReport], browser: Browser
) -> None:
    run = runs("rings")
    data = network_data(run, 1)
    layer = data["program"]["layers"][-2]
    assert layer["type"] == "linear"
    data["program"]["layers"].insert(-1, layer | {"type": "scale", "factor": 1.01})
    data["program"]["layers"][-2]["inputs"] = [len(data["program"]["layers"]) - 3]
    data["program"]["layers"][-1]["inputs"] = [len(data["program"]["layers"]) - 2]
    with browser.open(write_page(data)) as opened:
        shown = text(opened, ".explore")
        assert "computes another prediction than PyTorch did" in shown
        assert opened.evaluate("document.querySelectorAll('.explore table').length") == 0


@needs_browser
def test_texts_mark_the_words_that_a_place_sees(
    runs: Callable[[str], RunReport], browser: Browser
) -> None:
    run = runs("texts")
    with open_part(run, browser) as opened:
        steps = raw_input(run, 0).shape[1]
        opened.mouse("#feature-maps button.strip:not(.one)", 1.5 / steps, 0.5)
        assert text(opened, ".panel h4") == "features.0, channel 1, step 1"
        marked = "[...document.querySelectorAll('.token')].map(e => e.ariaCurrent === 'true')"
        assert opened.evaluate(marked) == [i < 3 for i in range(steps)]
        layers = layers_of(run.network, raw_input(run, 0))
        assert numbers(opened, ".panel > p b")[-1] == close(float(layers["features.1"][1, 1]))


# For every input and layer the places that arrow keys lead to: those of which the panel does not show the number itself.
WALK = """(() => {
  const wrong = [], {state} = nnzoo.maps, {program, outputs} = nnzoo.explore;
  let compared = 0;
  const compare = (sample) => {
    const name = document.querySelector('.panel h4').textContent.replace(/, (channel|unit) .*/, '');
    const output = outputs(sample)[program.layers.findIndex((layer) => layer.name === name)];
    const number = output.values[nnzoo.places.flatIndex(output.shape, state.channel, state.row, state.column)];
    const shown = [...document.querySelectorAll('.panel > p b')].map((b) => Number(b.title));
    compared += 1;
    if (!shown.some((each) => Math.abs(each - number) <= 1e-9 * (1 + Math.abs(number)))) wrong.push([name, number, shown]);
  };
  const [inputs, layers] = document.querySelectorAll('.choice select');
  for (const select of [inputs, layers]) {
    for (const option of select.options) {
      select.value = option.value;
      select.dispatchEvent(new Event('change'));
      for (const button of [...document.querySelectorAll('.maps button')].slice(0, 3)) {
        for (const key of ['ArrowRight', 'ArrowDown']) button.dispatchEvent(new KeyboardEvent('keydown', {key}));
        compare(inputs.selectedIndex);
      }
    }
  }
  return [wrong, compared];
})()"""


@needs_browser
def test_every_layer_shows_the_number_of_the_place(browser: Browser) -> None:
    for seed, model, kind in [
        (8, "cnn", "image"),
        (5, "cnn", "recordings"),
        (7, "cnn", "forecast"),
        (3, "mlp", "image"),
    ]:
        case = draw_case(seed, model, kind)
        loaded = LoadedRun(case.network, Path("best.pt"))
        loaded.__dict__["dataset"] = case.dataset
        with open_part(RunReport(RunDir(Path()), loaded), browser) as opened:
            wrong, compared = opened.evaluate(WALK)
            assert wrong == [] and compared >= 15, case.name


def test_what_is_not_computed_has_its_reason(
    runs: Callable[[str], RunReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs("cnn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnzoo.web.program.MAX_PARAMETERS", 10)
        data = network_data(run, 1)
    assert data["widgets"] == [] and "parameters; a page computes" in data["reason"]
    assert network_data(run, 10**9)["reason"] == (
        "one input takes 1,000,000,000 multiply-adds; a page computes up to 100,000,000"
    )
    shown = render("report/templates/network.html", {"network": data})
    assert "does not compute the network itself: it has" in shown and "<div" not in shown
    monkeypatch.setattr(module, "MAX_NUMBERS", 10)
    assert "inputs are too large" in network_data(run, 1)["reason"]
    monkeypatch.setattr(module, "MAX_COLUMNS", 2)
    assert network_data(runs("table"), 1)["reason"] == "it reads 3 columns; what-if is for up to 2"


def test_inputs_are_of_every_class_and_have_names(runs: Callable[[str], RunReport]) -> None:
    data = network_data(runs("rings"), 1)
    classes = {title.partition("actual ")[2] for title in data["titles"]}
    assert classes == {"in", HOSTILE} and len(data["inputs"]) == 8
    assert data["names"] == sorted(classes) and data["widgets"] == ["what-if"]
