"""Call every entry of the native kernels' C under the address and undefined-behavior sanitizers.

    python scripts/sanitize.py [--seconds 60] [--seed 1]

Compiles the C with -fsanitize=address,undefined into a folder of its own and calls it through the package's own
functions with random shapes, types, threads, members and followers, forward and back. Memory of torch's tensors
is the sanitizer's, too, so that one number read or written outside of a buffer ends the run. Exit code 0: nothing
was found; 1: something was, with the sanitizer's report; 2: there is no compiler with sanitizers here.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

SANITIZERS = ("-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Werror")
REPORTS = {
    # Python and torch keep what they have to the end.
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=1:alloc_dealloc_mismatch=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if os.environ.get("NNZOO_SANITIZED"):
        return drive(arguments.seconds, arguments.seed)
    return start(sys.argv[1:])


def start(words: list[str]) -> int:
    """Compile, and run this file again with the sanitizers' libraries loaded first."""
    from nnzoo.kernels import build

    compiler = build.compiler()
    if compiler is None or not build.available():
        print(f"no native kernels here: {build.unavailable_reason()}")
        return 2
    runtimes = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    if not all(map(os.path.isabs, runtimes)):
        print(f"{compiler} has no sanitizers")
        return 2
    build.COMPILE_SECONDS = 600
    with tempfile.TemporaryDirectory() as folder:
        for real in ("float", "double"):
            build.compile_library(compiler, real, Path(folder) / f"{real}.so", SANITIZERS)
        env = os.environ | REPORTS | {"LD_PRELOAD": ":".join(runtimes), "NNZOO_SANITIZED": folder}
        return subprocess.run([sys.executable, __file__, *words], check=False, env=env).returncode


def drive(seconds: float, seed: int) -> int:
    """Call the sanitized library for so long, or until something is found, which ends the process."""
    import torch

    from nnzoo.kernels import build, openmp

    openmp.runtime()
    for dtype, real in ((torch.float32, "float"), (torch.float64, "double")):
        path = Path(os.environ["NNZOO_SANITIZED"]) / f"{real}.so"
        build._loaded[dtype] = build.load_library(path), ""
    torch.manual_seed(seed)
    draw = random.Random(seed)
    entries = (
        linear,
        recurrent,
        convolution,
        losses,
        optimizer,
        normalization,
        embedding,
        generation,
        csv_rows,
    )
    calls = dict.fromkeys(entries, 0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        torch.set_num_threads(draw.choice((1, 2, 3, 5)))
        entry = draw.choice(list(calls))
        dtype = torch.float64 if draw.random() < 0.3 else torch.float32
        low = (
            dtype == torch.float32 and draw.random() < 0.4 and build.supports_dtype(torch.bfloat16)
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            entry(draw, dtype)
        calls[entry] += 1
    print(
        ", ".join(f"{entry.__name__} {count:,}" for entry, count in calls.items()),
        "calls; 0 reports",
    )
    return 0


def tensor(dtype: Any, *shape: int) -> Any:
    import torch

    return torch.randn(shape, dtype=dtype).mul_(0.3).requires_grad_()


def back(outputs: Any, inputs: list[Any]) -> None:
    """Take gradients of everything that gives some."""
    import torch

    torch.autograd.grad(
        [y for y in outputs if y.requires_grad],
        [t for t in inputs if t is not None],
        [torch.randn_like(y) for y in outputs if y.requires_grad],
        allow_unused=True,
    )


def linear(draw: random.Random, dtype: Any) -> None:
    import torch

    from nnzoo.kernels.ops import LinearChain

    members = draw.choice((0, 0, 1, 3))
    stack = (members,) if members else ()
    rows = draw.choice((1, 2, 7, 33)) * max(1, members)
    widths = [draw.choice((1, 3, 15, 16, 17, 40, 64, 530)) for _ in range(draw.randint(2, 4))]
    parameters, follows = [], []
    for ins, outs in pairwise(widths):
        parameters += [tensor(dtype, *stack, outs, ins), tensor(dtype, *stack, outs)]
        mask = (torch.rand(rows, outs) < 0.7).to(torch.uint8)
        follows.append(draw.choice((None, (None, 1.0), (mask, 1 / 0.7))))
    follows[-1] = None
    x = tensor(dtype, rows, widths[0])
    if draw.random() < 0.3:
        x = x.detach()
    if torch.is_autocast_enabled("cpu") and draw.random() < 0.5:
        x = x.detach().bfloat16()
    y = LinearChain.apply(x, follows, *parameters)
    back([y], [*parameters, *([x] if x.requires_grad else [])])


def recurrent(draw: random.Random, dtype: Any) -> None:
    import torch

    from nnzoo.kernels.ops import PoolSteps, RecurrentLayer, pack_rows
    from nnzoo.kernels.packing import Packing
    from nnzoo.kernels.plan import CELL_TYPES
    from nnzoo.kernels.tokens import Cell, TokenLayer

    kind, members = draw.choice(CELL_TYPES), draw.choice((0, 0, 1, 3))
    stack = (members,) if members else ()
    steps, batch = draw.choice((1, 2, 9)), draw.choice((1, 2, 5, 16))
    features, hidden = (draw.choice((1, 3, 15, 16, 17, 33)) for _ in "ab")
    rows = {"rnn": 1, "lstm": 4, "gru": 3}[kind] * hidden
    shapes = ((rows, features), (rows, hidden), (rows,), (rows,))
    parameters = [tensor(dtype, *stack, *shape) for shape in shapes]
    x = tensor(dtype, batch, *stack, steps, features).movedim(-2, 0)
    if members:
        x = x.transpose(1, 2)
    packing = None
    if draw.random() < 0.5:
        lengths = torch.randint(1, steps + 1, (max(1, members), batch))
        packing = Packing(lengths.sort(dim=1, descending=True).values)
        starts = torch.randint(0, 9, (packing.members * batch,))
        starts -= int(draw.random() < 0.05)
        with contextlib.suppress(ValueError):
            pack_rows(torch.randn(steps + draw.randint(7, 9), features), starts, packing)
        x = tensor(dtype, packing.rows, features + 2)[:, draw.choice((0, 2)) :][:, :features]
        PoolSteps.apply(packing, draw.random() < 0.5, x).sum().backward()
    first = []
    if packing is None and draw.random() < 0.4:
        first = [
            tensor(dtype, *stack, batch, hidden).detach() for _ in "hc"[: 1 + (kind == "lstm")]
        ]
    low = torch.is_autocast_enabled("cpu")
    x = x.detach().bfloat16() if low and draw.random() < 0.5 else x
    if packing is None and not members and draw.random() < 0.4:
        vocabulary = draw.choice((1, 2, 19))
        gates = 1 if kind == "rnn" else 4
        table, w_hh = tensor(dtype, vocabulary, gates * hidden), parameters[1]
        ids = torch.randint(vocabulary, (batch, steps), dtype=torch.int32).T
        cell = Cell(kind, draw.random() < 0.3, torch.bfloat16 if low else dtype)
        if draw.random() < 0.1:
            ids[-1, -1] = draw.choice((-1, vocabulary))
        with contextlib.suppress(IndexError):
            back(TokenLayer.apply(cell, ids, table, w_hh, *first), [table, w_hh])
    outputs = RecurrentLayer.apply(
        kind, draw.random() < 0.3, torch.bfloat16 if low else dtype, packing, x, *parameters, *first
    )
    inputs = [*parameters, x] if x.requires_grad and draw.random() < 0.5 else parameters
    back([y for y in outputs if draw.random() < 0.8] or outputs, inputs)


def convolution(draw: random.Random, dtype: Any) -> None:
    import torch

    from nnzoo.kernels.build import lanes_of
    from nnzoo.kernels.ops import BatchNorm, Convolution, Epilogue
    from nnzoo.kernels.plan import conv_shape

    lanes = lanes_of(dtype)
    few = draw.random() < 0.5
    ins, outs = (
        draw.randint(1, 4) if few else max(lanes, 8) * draw.randint(1, 3),
        lanes * draw.randint(1, 3),
    )
    kernel = (draw.randint(1, 5), draw.randint(1, 5)) if few else (3, 3)
    stride = (draw.randint(1, 3), draw.randint(1, 3)) if few else (1, 1)
    padding = (draw.randint(0, 3), draw.randint(0, 3))
    x = tensor(dtype, draw.randint(1, 5), ins, draw.randint(1, 14), draw.randint(1, 14))
    x = x.detach() if few else x
    weight = tensor(dtype, outs, ins, *kernel)
    epilogue = Epilogue(None, draw.random() < 0.5, draw.random() < 0.7)
    raw = conv_shape(x.shape, weight.shape, stride, padding)
    shape = conv_shape(x.shape, weight.shape, stride, padding, epilogue.max_pool)
    if min(raw) < 1 or min(shape) < 1:
        return
    mask = (torch.rand(shape) < 0.7).to(torch.uint8)
    if epilogue.relu and draw.random() < 0.5:
        epilogue = epilogue._replace(dropout_mask=mask, dropout_scale=1 / 0.7)
    bias, gamma, beta = (tensor(dtype, outs) for _ in "abc")
    if draw.random() < 0.5:
        running = BatchNorm(
            torch.zeros(outs, dtype=dtype), torch.ones(outs, dtype=dtype), 0.1, 1e-5
        )
        epilogue = epilogue._replace(norm=running)
    more = [None, gamma, beta] if epilogue.norm else [draw.choice((None, bias)), None, None]
    y = Convolution.apply(x, weight, stride, padding, epilogue, *more)
    back([y], [weight, *more, *([] if few else [x])])


def losses(draw: random.Random, dtype: Any) -> None:
    import torch

    from nnzoo.kernels.step import LOSSES, NativeLoss, loss_and_grad

    members, batch, width = (
        draw.randint(1, 3),
        draw.choice((1, 7, 600)),
        draw.choice((1, 3, 16, 17, 40)),
    )
    rows, kind = members * batch, draw.choice(LOSSES)
    output = tensor(dtype, rows, width).detach()
    target = tensor(dtype, rows, width).detach()
    weights = torch.rand(width, dtype=dtype) if draw.random() < 0.5 else None
    if kind == "cross_entropy":
        target = torch.randint(width, (rows,))
        target[torch.rand(rows) < 0.1] = -100
        if draw.random() < 0.2:
            target[-1] = draw.choice((width, -1, 2**62, -(2**63)))
    with contextlib.suppress(IndexError):
        of_rows = torch.rand(rows, dtype=torch.float64) if draw.random() < 0.5 else None
        loss = NativeLoss(kind, 0.3, weights if kind == "cross_entropy" else None)
        loss_and_grad(output, target, loss, [1.0] * members, of_rows)


def optimizer(draw: random.Random, dtype: Any) -> None:
    import torch

    from nnzoo.kernels.adam import AdamStep, ParameterTable

    members = draw.randint(1, 3)
    weights = [torch.randn(members, draw.choice((0, 1, 17, 8192, 20001))) for _ in range(3)]
    averages = ([torch.zeros_like(w) for w in weights] for _ in "ab")
    table = ParameterTable(weights, [0.1, 0.0, 0.2], members, *averages)
    for step in range(1, 4):
        gradients = [torch.randn_like(w) if draw.random() < 0.8 else None for w in weights]
        table.grad_norms(gradients)
        options = AdamStep(0.1, (0.9, 0.99), 1e-8, draw.random() < 0.5, step)
        table.adam_step(gradients, options, [1.0] * members)


def normalization(draw: random.Random, dtype: Any) -> None:
    import torch

    from nnzoo.kernels.step import normalize_uint8

    channels = draw.randint(1, 4)
    shape = draw.randint(0, 5), channels, draw.randint(1, 19), draw.randint(1, 19)
    x = torch.randint(256, shape, dtype=torch.uint8)
    normalize_uint8(x, torch.rand(channels), torch.rand(channels))


def embedding(draw: random.Random, dtype: Any) -> None:
    import torch

    from nnzoo.kernels.adam import AdamRows, AdamStep, grad_norm
    from nnzoo.kernels.embedding import EmbeddingMeans, EmbeddingRows

    vocabulary, width = draw.choice((1, 5, 2048, 2049, 70_000)), draw.choice((1, 3, 16, 37))
    weight = tensor(dtype, vocabulary, width)
    lengths = torch.randint(1, draw.choice((2, 40)), (draw.choice((1, 2, 9)),))
    ids = torch.randint(vocabulary, (int(lengths.sum()),), dtype=torch.int32)
    EmbeddingMeans.apply(ids, lengths, weight).sum().backward()
    if draw.random() < 0.2:
        ids[-1] = draw.choice((-1, vocabulary, -(2**31), 2**31 - 1))
    with contextlib.suppress(IndexError, RuntimeError):
        EmbeddingRows.apply(ids, weight).sum().backward()
    assert weight.grad is not None
    gradient = weight.grad.coalesce()
    if dtype is torch.float32:
        averages = torch.zeros_like(weight), torch.zeros_like(weight)
        grad_norm(gradient.values())
        options = AdamStep(0.1, (0.9, 0.99), 1e-8, draw.random() < 0.5, 1)
        rows = AdamRows(weight.detach(), *averages, 0.1)
        rows.step(gradient.indices()[0], gradient.values(), options, 1.0)


def generation(draw: random.Random, dtype: Any) -> None:
    import torch

    from nnzoo.kernels.generate import NativeWriter, Parts, Sampling
    from nnzoo.kernels.plan import CELL_TYPES, GATES

    kind, vocabulary = draw.choice(CELL_TYPES), draw.choice((1, 2, 17, 66))
    size, hidden = draw.choice((1, 3, 16, 17)), draw.choice((1, 5, 16, 33))
    layers = []
    for i in range(draw.randint(1, 3)):
        rows = GATES[kind] * hidden
        shapes = (rows, hidden if i else size), (rows, hidden), (rows,), (rows,)
        layers.append([torch.randn(shape) for shape in shapes])
    head, bias = torch.randn(vocabulary, hidden), torch.randn(vocabulary)
    if draw.random() < 0.1:
        bias[-1] = torch.nan
    parts = Parts(kind, draw.random() < 0.3, layers, torch.randn(vocabulary, size), head, bias)
    writer = NativeWriter(parts)
    ids = [draw.randrange(vocabulary) for _ in range(draw.randint(0, 4))]
    with contextlib.suppress(IndexError):
        writer.read([*ids, draw.choice((0, -1, vocabulary))])
    temperature = draw.choice((0.0, 0.8, 1e-300, 1e300))
    top_k, excluded = draw.choice((0, 1, 3, 99)), draw.choice((-1, 0))
    sampling = Sampling(temperature, top_k, draw.randrange(-(2**63), 2**63), excluded)
    assert all(0 <= i < vocabulary for i in writer.sample(draw.randint(0, 9), sampling))


def csv_rows(draw: random.Random, dtype: Any) -> None:
    from nnzoo.kernels.rows import Column, RowReader

    width, kinds = draw.randint(1, 5), ["", "b", "bb", "é", "1"]
    known = [None, [], kinds, kinds[: draw.randint(1, 4)]]
    columns = [Column(i, draw.choice(known)) for i in range(width) if draw.random() < 0.7]
    draw.shuffle(columns)
    reader = RowReader(",", width, columns)
    pieces = [",", "\n", "\r\n", "\r", '"', " ", "1", "-2.5e3", "9" * draw.randint(1, 90), "e", "é"]
    pieces += [",".join(draw.choices(["1.5", "b", '"é"', "", "x"], k=width)) + "\n"] * 20
    reader.read("".join(draw.choices(pieces, k=draw.randint(0, 60))).encode())


if __name__ == "__main__":
    sys.exit(main())
