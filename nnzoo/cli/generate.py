"""`nnzoo generate`: text from a language model."""

from __future__ import annotations

import math
import sys
import time
from itertools import chain
from typing import Annotated

import typer

from nnzoo.cli.common import (
    DebugOption,
    DeviceOption,
    JsonOption,
    OptionalRunArgument,
    WeightsOption,
    load_torch,
    note,
)
from nnzoo.errors import UsageError, escape_controls

MAX_LENGTH = 100_000_000
MAX_SEED = 2**63 - 1
STREAM_CHUNK = 32
"""Tokens between two pieces of a stream."""

PromptOption = Annotated[
    str,
    typer.Option(
        "--prompt", metavar="TEXT", help="What the text begins with [default: a line break]"
    ),
]
LengthOption = Annotated[
    int, typer.Option("--length", metavar="N", help="Tokens to write: characters, bytes or words.")
]
TemperatureOption = Annotated[
    float,
    typer.Option(
        "--temperature",
        metavar="T",
        help="Below 1 more likely tokens get likelier; 0: always the most likely one.",
    ),
]
TopKOption = Annotated[
    int,
    typer.Option(
        "--top-k", metavar="K", help="Sample from the K most likely tokens alone; 0: from all."
    ),
]


def generate(
    checkpoint: OptionalRunArgument = None,
    prompt: PromptOption = "",
    length: LengthOption = 500,
    temperature: TemperatureOption = 0.8,
    top_k: TopKOption = 40,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="The same seed writes the same text.")
    ] = 0,
    stream: Annotated[
        bool, typer.Option("--stream", help="Show the text while it is written.")
    ] = False,
    json_: JsonOption = False,
    weights: WeightsOption = "best",
    device: DeviceOption = "auto",
    debug: DebugOption = False,
) -> None:
    """Write text by a trained language model."""
    if checkpoint is None:
        example = 'nnzoo generate checkpoints/lstm_text --prompt "The "'
        raise UsageError(f"missing run: {example}", code="E01")
    _check(length, temperature, top_k, seed)
    if json_ and stream:
        reason = "--json writes the text at the end, --stream at once"
        raise UsageError(f"give one of the two: {reason}", code="E01")
    load_torch()
    from nnzoo.config.formatting import to_json
    from nnzoo.device import choose_device
    from nnzoo.generate import CHUNK, TextGenerator
    from nnzoo.kernels.generate import Sampling
    from nnzoo.runs.loaded_run import load_network

    network, _, fallback = load_network(checkpoint, choose_device(device), weights)
    writer = TextGenerator(network)
    writer.read(prompt)
    for text in filter(None, [fallback, *writer.notes]):
        note(text)
    start = time.perf_counter()
    sampling = Sampling(temperature, top_k, seed)
    pieces = writer.write(length, sampling, STREAM_CHUNK if stream else CHUNK)
    unit = writer.tokenizer.unit
    if json_:
        options = {"temperature": temperature, "top_k": top_k, "seed": seed}
        result = {"run": network.config.name, "prompt": prompt, "text": "".join(pieces)}
        sys.stdout.write(f"{to_json(result | {'length': length, 'unit': unit} | options)}\n")
        return
    for piece in chain([prompt], pieces, ["\n"]):
        _write(piece, stream)
    speed = length / max(time.perf_counter() - start, 1e-9)
    note(f"{length:,} {unit}, {speed:,.0f} per second")


def _check(length: int, temperature: float, top_k: int, seed: int) -> None:
    if not 1 <= length <= MAX_LENGTH:
        raise UsageError(
            f"--length: expected a number from 1 to {MAX_LENGTH:,}, got {length}", code="E02"
        )
    if not (math.isfinite(temperature) and temperature >= 0):
        raise UsageError(
            f"--temperature: expected a number of at least 0, got {temperature}", code="E02"
        )
    if top_k < 0:
        raise UsageError(f"--top-k: expected a whole number of at least 0, got {top_k}", code="E02")
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(
            f"--seed: expected a whole number from 0 to 2^63 - 1, got {seed}", code="E02"
        )


def _write(text: str, flush: bool) -> None:
    """Write to stdout; characters that would control a terminal are escaped on one."""
    encoding = sys.stdout.encoding or "utf-8"
    safe = escape_controls(text) if sys.stdout.isatty() else text
    sys.stdout.write(safe.encode(encoding, "backslashreplace").decode(encoding))
    if flush:
        sys.stdout.flush()
