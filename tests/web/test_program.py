"""Networks in a page: their description, and its forward pass beside PyTorch's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nnzoo.evaluation.layer_stats import eval_in_fp32, layer_outputs
from nnzoo.inspect.internals import gates
from nnzoo.web.program import MAX_PARAMETERS, UndescribedError, describe
from nnzoo.web.render import Script, encode_array, render
from tests.browser import CHROMIUM, Browser
from tests.web.network_cases import PAIRS, Case, draw_case

SEEDS = 4
TOLERANCE = 1e-4
SCRIPTS = ["forward.js", "layers.js"]
# Every layer's name, output and gates, for each input of each network.
RUN = """(() => {
  const list = (x) => [x.shape, Array.from(x.values, (v) => Number.isFinite(v) ? v : String(v))];
  return nnzoo.data.cases.map(({program, inputs}) => {
    const decoded = nnzoo.forward.decodeProgram(program);
    return inputs.map((input) => nnzoo.network.run(decoded, nnzoo.array(input)).map((output, i) => {
      const gates = Object.entries(output.gates ?? {}).map(([direction, states]) =>
        [direction, Object.entries(states).map(([name, values]) => [name, list(values)])]);
      return [decoded.layers[i].name, list(output), gates];
    }));
  });
})()"""
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)


def compute(cases: list[Case], browser: Browser) -> Any:
    """Return what a page computes: for each network, input and layer its name, output and gates."""
    described = [
        {
            "program": describe(case.network),
            "inputs": [encode_array(x[0].double().numpy(), keep_float64=True) for x in case.inputs],
        }
        for case in cases
    ]
    script = Script(SCRIPTS, {"cases": described})
    Path("page.html").write_text(render("web/templates/base.html", {"title": "page"}, script))
    with browser.open(Path("page.html")) as opened:
        assert opened.complaints == []
        return opened.evaluate(RUN)


def deviation(actual: Any, expected: Tensor) -> float:
    """The largest difference, as a fraction of values above 1; infinite where shapes differ."""
    shape, values = actual
    if math.prod(shape) != expected.numel():
        return math.inf
    a = np.array([float(value) for value in values])
    b = expected.double().flatten().numpy()
    differences = np.abs(a - b) / np.maximum(1, np.abs(b))
    return float(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, differences).max(initial=0))


@torch.no_grad()
def expected_outputs(case: Case, x: Tensor) -> dict[str, Tensor]:
    """Return what torch computes: the prediction, each layer's output, and gates by layer, direction and name."""
    network = case.network
    with eval_in_fp32(network):
        expected = {"prediction": network.predict(x)}
    with eval_in_fp32(network):
        encoded = network.preprocess(x)
        layers, _ = layer_outputs(network, encoded)
    expected |= {name: layers[name][1] for name in layers}  # type: ignore[misc]
    for layer, states in gates(network, encoded).items():
        number, _, direction = layer.partition(" ")
        expected |= {
            f"rnn.{number} {direction or 'forward'} {n}": values for n, values in states.items()
        }
    return expected


@needs_browser
def test_a_page_computes_every_layer_as_torch_does(browser: Browser) -> None:
    cases = [draw_case(seed, *pair) for pair in PAIRS for seed in range(SEEDS)]
    compared = 0
    for case, computed in zip(cases, compute(cases, browser), strict=True):
        for x, layers in zip(case.inputs, computed, strict=True):
            expected = expected_outputs(case, x)
            actual = {name: output for name, output, _ in layers}
            actual["prediction"] = layers[-1][1]
            for name, _, directions in layers:
                for direction, states in directions:
                    actual |= {f"{name} {direction} {gate}": values for gate, values in states}
            # Padding is part of convolutions, and what a residual block adds is a layer of its own.
            missing = {
                name
                for name in expected.keys() - actual.keys()
                if type(case.network.model.get_submodule(name)).__name__
                not in ("ZeroPad1d", "ZeroPad2d", "Identity", "Dropout", *ACTIVATION_PARTS)
            }
            assert missing == set(), case.name
            for name in expected.keys() & actual.keys():
                compared += 1
                assert deviation(actual[name], expected[name]) <= TOLERANCE, (case.name, name)
    assert compared > 2000


# The activation inside one of learned strength, which is a layer of the page as a whole.
ACTIVATION_PARTS = ["ReLU", "LeakyReLU", "Tanh", "Sigmoid", "GELU", "SiLU", "ELU", "SELU", "Mish"]


@needs_browser
def test_what_torch_can_and_nnzoo_does_not_build_is_computed_too(browser: Browser) -> None:
    """Networks of a plugin that are nn.Sequential: dilation, groups, another GELU, norms without parameters."""
    case = draw_case(1, "cnn", "image")
    channels = case.network.preprocess.output_spec.shape[0]
    generator = torch.Generator().manual_seed(0)
    case.network.model = nn.Sequential(
        nn.Conv2d(channels, 4 * channels, (3, 2), (2, 1), (1, 2), (1, 2), groups=channels),
        nn.BatchNorm2d(4 * channels, affine=False),
        nn.Sequential(nn.GELU("tanh"), nn.Identity()),
        nn.GroupNorm(2, 4 * channels),
        nn.AvgPool2d(2, 1),
        nn.ELU(0.7),
        nn.Flatten(),
        nn.LazyLinear(case.network.task.outputs, bias=False),
    ).eval()
    case.network.predict(case.inputs[0])  # gives the lazy layer its shape
    for parameter in case.network.model.parameters():
        nn.init.normal_(parameter, generator=generator)
    ((layers, *_),) = compute([case], browser)
    expected = expected_outputs(case, case.inputs[0])
    for name, output, _ in layers:
        if name in expected:
            assert deviation(output, expected[name]) <= TOLERANCE, name
    assert deviation(layers[-1][1], expected["prediction"]) <= TOLERANCE


class Custom(nn.Module):
    """A layer of somebody's own."""


class Linear(nn.Linear):
    """A layer of somebody's own, whose forward may be another."""


@pytest.mark.parametrize(
    "model, reason",
    [
        (Custom(), "cannot compute 'Custom'"),
        (nn.Sequential(Custom()), r"layer '0' \(Custom\)"),
        (nn.Sequential(Linear(1, 1)), r"layer '0' \(Linear\)"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding_mode="reflect")), "the padding of layer '0'"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding="same")), "the padding of layer '0'"),
        (nn.Sequential(nn.MaxPool2d(2, padding=1)), "the pooling of layer '0'"),
        (nn.Sequential(nn.LPPool2d(3, 2)), "the pooling of layer '0'"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2)), "the pooling of layer '0'"),
        (nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)), "normalizes by the batch"),
        (nn.Sequential(nn.PReLU()), r"layer '0' \(PReLU\)"),
        (nn.Sequential(nn.Linear(700, 700)), "it has 490,70. parameters; .* up to 400,000"),
    ],
)
def test_what_a_page_cannot_compute_has_its_reason(model: nn.Module, reason: str) -> None:
    network = draw_case(0, "mlp", "image").network
    network.model = model
    with pytest.raises(UndescribedError, match=reason):
        describe(network)


def test_a_group_has_its_reason() -> None:
    network = draw_case(0, "mlp", "image").network
    network.is_group = True
    with pytest.raises(UndescribedError, match="group of several networks"):
        describe(network)


def test_vectors_of_other_tokens_are_left_out() -> None:
    case = draw_case(0, "lstm", "tokens")
    ids = case.inputs[0].unique().tolist()
    layer = describe(case.network, case.inputs[0])["layers"][1]
    assert layer["ids"] == ids and layer["weight"]["shape"] == [len(ids), 5]
    whole = describe(case.network)
    assert "ids" not in whole["layers"][1]
    counted = sum(p.numel() for p in case.network.model.parameters())
    assert counted <= whole["parameters"] < counted + 10 < MAX_PARAMETERS
