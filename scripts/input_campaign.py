"""Hostile input by the ten thousand: mutated and generated configs, --set values and tables.

python scripts/input_campaign.py [--configs 100000] [--csvs 10000] [--seed 0] [--keep FOLDER]

A config must be accepted or refused with located messages and exit code 2, within a second and
200 MB; a table or series must train a step or end in an error of nnzoo's own. Each case follows
from the seed and its number; what fails is kept in FOLDER, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from nnzoo.config import RunConfig, yaml_parser
from nnzoo.config.formatting import to_yaml
from nnzoo.config.load import bundled_configs, load_config
from nnzoo.config.option_tables import option_table
from nnzoo.config.registry import DOCUMENTED_OPTIONS, REGISTRIES
from nnzoo.config.run_config import from_dict
from nnzoo.errors import ConfigError, NnzooError, UsageError
from nnzoo.runs.run import RunOptions
from nnzoo.training.train_step import dry_run

BLOCK = 250  # cases of one forked process
CONFIG_SECONDS, CONFIG_BYTES = 1.0, 200_000_000
CSV_SECONDS, CSV_BYTES = 5.0, 1_000_000_000
HANGS_AFTER = 120.0  # seconds without a word from a process
THROUGH_COMMAND = 500  # one config in so many goes through the whole command line

Case = tuple[str, bytes, list[str]]  # group, file, --set values

# Changes of text.

TOKENS = [
    "9" * 30,
    "-1",
    "0",
    "1e400",
    "-0.0",
    ".nan",
    ".inf",
    "-.inf",
    "1e-400",
    "0x7fffffffffffffff",
    "2**63",
    "9223372036854775808",
    "~",
    "null",
    "",
    "true",
    "no",
    "''",
    '""',
    "'",
    '"',
    "!!python/name:os.system",
    "!x",
    "!!binary aGk=",
    "!!set {a, b}",
    "&a",
    "*a",
    "&a [*a]",
    "*undefined",
    "<<: *a",
    "<<",
    "? ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "[[[[[[[[[[[[[[[[[[[[[[1]]]]]",
    "{a: {b: {c: {d: 1}}}}",
    "[]",
    "{}",
    "|",
    ">",
    "|9",
    "%YAML 1.1",
    "---",
    "...",
    "#",
    "\t",
    "\x00",
    "\x07",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\ud83d\ude00",
    "é",
    "\u202e",
    "१२",
    "½",
    "a" * 1500,
    "a.b.c",
    "../../etc/passwd",
    "/dev/zero",
    "~root/x",
    "~nobody-here/x",
    "\\",
    "\\x00",
    '"\\U00110000"',
    '"\\ud800"',
    '"\\x1b]0;x\\a"',
    "1_000",
    "0o17",
    "2024-01-31",
    "12:30:45",
    "name",
    "model",
    "data",
    "mlp",
    "cnn",
    "lstm",
    "series",
    "csv",
    "adding",
    "1 epoch",
    "0 s",
    "1 ep och",
    "cosine",
    "[h, w]",
    "[3, 3]",
    "[1" + ", 1" * 300 + "]",
    "1e5",
    "5.0",
    "'5'",
    "NaN",
    "Infinity",
]


def words_of(text: str) -> list[str]:
    return re.findall(r"[\w.'\"-]+|[:\[\]{},#&*!|>?%@`-]", text)


def mutate(rng: random.Random, data: bytes, others: list[bytes], times: int) -> bytes:
    """A file with a few things done to it, as bytes, lines and tokens."""
    for _ in range(times):
        method = rng.randrange(14)
        lines = data.splitlines(keepends=True) or [b""]
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        position = rng.randrange(len(data) + 1)
        if method == 0 and data:
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 8)):
                changed[rng.randrange(len(data))] = rng.randrange(256)
            data = bytes(changed)
        elif method == 1:
            data = b"".join(lines[:i] + lines[i + 1 :])
        elif method == 2:
            data = b"".join([*lines[:i], lines[i] * rng.choice([2, 3, 40]), *lines[i + 1 :]])
        elif method == 3:
            lines[i], lines[j] = lines[j], lines[i]
            data = b"".join(lines)
        elif method == 4:
            data = data[:position]
        elif method == 5:
            data = (
                data[:position]
                + rng.choice(TOKENS).encode("utf-8", "surrogatepass")
                + data[position:]
            )
        elif method in (6, 7, 8):
            text = data.decode("utf-8", "replace")
            result = words_of(text)
            if result:
                token = rng.choice([*TOKENS, *(rng.choice(result) for _ in range(30))])
                spot = rng.choice(list(re.finditer(re.escape(rng.choice(result)), text)))
                text = text[: spot.start()] + token + text[spot.end() :]
                data = text.encode("utf-8", "surrogatepass")
        elif method == 9:
            lines[i] = rng.choice([b" ", b"\t", b"    ", b"- ", b"? ", b"#"]) + lines[i]
            data = b"".join(lines)
        elif method == 10:
            data = rng.choice(
                [
                    b"\xef\xbb\xbf" + data,
                    data.replace(b"\n", b"\r\n"),
                    data.replace(b"\n", b"\r"),
                    data.decode("utf-8", "replace").encode("utf-16"),
                    data.replace(b"  ", b"\t"),
                    data + b"\x00",
                    data + data,
                ]
            )
        elif method == 11:
            other = rng.choice(others)
            data = data[:position] + other[rng.randrange(len(other) + 1) :]
        elif method == 12:
            end = rng.randrange(position, min(len(data), position + 40) + 1)
            data = data[:position] + data[end:]
        else:
            data = (
                data[:position]
                + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 6)))
                + data[position:]
            )
    return data


# Changes of trees.


@dataclass
class Language:
    """The bundled configs, every dotted key of the language and the values in them."""

    texts: list[bytes]
    trees: list[dict[str, Any]]
    keys: list[str]
    values: list[Any]
    pairs: list[list[tuple[str, Any]]]


def language() -> Language:
    texts = [path.read_bytes() for path in bundled_configs()]
    trees = [yaml_parser.parse_yaml(text, "").value for text in texts]
    keys = {"name": None, "seed": None, "data": None, "model": None, "optim": None, "train": None}
    for section, registry in (*REGISTRIES.items(), ("train", DOCUMENTED_OPTIONS)):
        for name, entry in registry:
            place = (
                section if section != "train" else "train" if name == "train" else "optim.schedule"
            )
            keys |= {f"{place}.name": None}
            keys |= {f"{place}.{key}": None for key, _, _ in option_table(entry.options)}
    flat = [load_config(str(path)).flat() for path in bundled_configs()]
    result = [item.values() for item in flat]
    values = [yaml_parser.scalar(token) for token in TOKENS] + [
        item for some in result for item in some
    ]
    values += [name for registry in REGISTRIES.values() for name in registry.names()]
    values += [
        0,
        1,
        2,
        3,
        0.0,
        0.5,
        1.0,
        1e30,
        1e-30,
        10**6,
        2**31,
        2**53,
        10**15,
        2**63 - 1,
        -(2**63),
    ]
    values += [
        [],
        {},
        [1],
        [2, 2],
        [[3, 3], [5, 5]],
        ["a", "b"],
        [None],
        [[]],
        [{}],
        {"name": "cosine"},
    ]
    return Language(texts, trees, list(keys), values, [list(item.items()) for item in flat])


def any_value(rng: random.Random, known: Language, depth: int = 0) -> Any:
    chance = rng.random()
    if depth < 4 and chance < 0.1:
        return [any_value(rng, known, depth + 1) for _ in range(rng.randrange(5))]
    if depth < 4 and chance < 0.2:
        names = [*(key.rpartition(".")[2] for key in known.keys), "x", "", "<<", "a b", "1"]
        return {
            rng.choice(names): any_value(rng, known, depth + 1) for _ in range(rng.randrange(5))
        }
    return deepcopy(rng.choice(known.values))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of everything in a tree."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def mutate_tree(rng: random.Random, known: Language) -> bytes:
    tree: Any = deepcopy(rng.choice(known.trees))
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        holder, key = rng.choice(list(places(tree)))
        method = rng.randrange(5)
        if method == 0 and holder is not tree:
            del holder[key]
        elif method == 1 and isinstance(holder, dict):
            holder[rng.choice(known.keys).rpartition(".")[2]] = any_value(rng, known)
        elif method == 2:
            other, name = rng.choice(list(places(tree)))
            holder[key] = deepcopy(other[name])
        elif method == 3:
            put(tree, rng.choice(known.keys).split("."), any_value(rng, known))
        else:
            holder[key] = any_value(rng, known)
        if not tree:
            break
    return dump(rng, tree)


def put(tree: Any, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        if not isinstance(tree.get(part), dict):
            tree[part] = {"name": tree[part]} if isinstance(tree.get(part), str) else {}
        tree = tree[part]
    tree[parts[-1]] = value


def dump(rng: random.Random, tree: Any) -> bytes:
    try:
        text = yaml.dump(
            tree,
            Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper),
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=rng.choice([None, True, False]),
        )
        return str(text).encode("utf-8", "surrogatepass")
    except (UnicodeError, yaml.YAMLError):
        return json.dumps(tree).encode()


def set_text(rng: random.Random, known: Language, text: bytes) -> str:
    """A --set value for a bundled config: mostly a real key, mostly a hostile value."""
    if rng.random() < 0.4:
        key, value = rng.choice(known.pairs[known.texts.index(text)])
        near = [value, rng.choice(rng.choice(known.pairs))[1], 0, 1, 2, 0.5, 1e-3, 64, 10**7, 1e9]
        return f"{key}={json.dumps(rng.choice([*near, *near, rng.choice(known.values)]))}"
    key = rng.choice(known.keys)
    chance = rng.random()
    if chance < 0.1:
        key = "".join(rng.choice("abc.[]01= \t\x1b\ud800é") for _ in range(rng.randrange(12)))
    elif chance < 0.2:
        key += rng.choice(
            ["[0]", "[1]", "[999999]", "[-1]", ".x", ".", "..", "[", "[0][0]", ".x" * 40, " "]
        )
    elif chance < 0.25:
        i = rng.randrange(len(key))
        key = key[:i] + rng.choice("xX._ -\u0301") + key[i + 1 :]
    value = any_value(rng, known)
    if rng.random() < 0.5:
        value = rng.choice(TOKENS)
    elif not isinstance(value, str):
        value = json.dumps(value)
    if rng.random() < 0.1:
        value = mutate(rng, value.encode("utf-8", "replace"), known.texts, 2).decode(
            "utf-8", "replace"
        )
    return key + rng.choice(["=", "=", "=", "=", "=", "=", " = ", "", "=="]) + value


# Inputs made too large.


def bombs(rng: random.Random) -> bytes:
    """A file of up to (and beyond) the largest size, of one thing over and over."""
    n = rng.choice([10, 300, 2_000, 9_000, 20_000, 66_000, 190_000])
    size = max(1, 190_000 // rng.choice([1, 1, 10]))
    head = "data: digits\nmodel: {name: mlp}\n"
    lists = [
        "data: digits\nmodel: {name: mlp, hidden: [%s]}",
        "data: digits\nmodel: {name: cnn, channels: [%s]}",
        "data: digits\nmodel: {name: cnn, kernel_size: [%s]}",
        "data: digits\nmodel: {name: cnn, padding: [%s]}",
        "data: digits\nmodel: {name: cnn, stride: [%s]}",
        "data: digits\nmodel: {name: cnn, pool: [%s]}",
        "data: digits\nmodel: {name: cnn, pool_size: [%s]}",
        "data: digits\nmodel: {name: cnn, dropout: [%s]}",
        "data: digits\nmodel: {name: cnn, head: {hidden: [%s]}}",
        "data: {name: csv, path: x, drop: [%s]}\nmodel: mlp",
        "data: {name: csv, path: x, numbers: [%s]}\nmodel: mlp",
        "data: {name: csv, path: x, categories: [%s]}\nmodel: mlp",
        "data: {name: series, path: x, target: [%s]}\nmodel: mlp",
        "data: {name: series, path: x, covariates: [%s]}\nmodel: mlp",
        "data: digits\nmodel: mlp\noptim: {betas: [%s]}",
        "data: {name: image_folder, path: x, size: [%s]}\nmodel: mlp",
    ]
    items = [
        "1",
        "0",
        "x",
        "0.5",
        "max",
        "same",
        "[3, 3]",
        "[x]",
        "{a: 1}",
        "null",
        "-1",
        "1e9",
        "'x'",
        "[]",
    ]
    many = [
        "k{}: 1",
        "model{}: 1",
        "'{}': []",
        "? k{}",
        '"\\x1b{}": 1',
        "k: {}",
        "channel{}: {{name: 1}}",
    ]
    laugh = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * rng.choice([2, 9]))}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    item = rng.choice(items)
    lines = rng.choice(many)
    indent = rng.choice(["", "model:\n  ", "train:\n  ", "optim:\n  schedule:\n    "])
    step = " " * (len(indent) - len(indent.rstrip(" ")))
    big = rng.choice(["k", "9", "é", "x ", "\\", "'", '"', "a: ", "0x1", "-", "1.", "1e", "[a]"])
    made = [
        lambda: rng.choice(lists) % ", ".join([item] * min(n, size // (len(item) + 2))),
        lambda: rng.choice(lists) % ",".join(rng.choice(items) for _ in range(min(n, 30_000))),
        lambda: indent + "".join(f"{lines.format(i)}\n{step}" for i in range(min(n, 12_000))),
        lambda: head + "".join(f"{lines.format(i)}\n" for i in range(min(n, 12_000))),
        lambda: laugh + rng.choice(["", head, "model: *i\ndata: *h"]),
        lambda: (
            "a: &a {"
            + ",".join(f"k{i}: 1" for i in range(min(n, 900)))
            + "}\nmodel: ["
            + "*a," * min(n, 9000)
            + "]"
        ),
        lambda: (
            "a: &a '"
            + "x" * 90_000
            + "'\nmodel: {"
            + ",".join(f"k{i}: *a" for i in range(min(n, 5000)))
            + "}"
        ),
        lambda: (
            f"? '{'k' * (size // 2)}'\n:\n" + "".join(f"  k{i}: 1\n" for i in range(min(n, 5000)))
        ),
        lambda: head.replace("mlp", big * (size // len(big))),
        lambda: f"seed: {big * (size // len(big))}\n{head}",
        lambda: f"name: {big * (size // len(big))}\n{head}",
        lambda: f"'{big * (size // len(big))}': 1\n{head}",
        lambda: (
            rng.choice(
                [
                    "[",
                    "{",
                    "- ",
                    "? ",
                    "{a: ",
                    "[[",
                    "- - ",
                    "!!x ",
                    "&a ",
                    "*a ",
                    "---\n",
                    "|\n",
                    ": ",
                ]
            )
            * n
        ),
        lambda: (
            rng.choice(
                ["\n", " ", "#\n", "\t", "%", "%X\n", "\r\n", "- 1\n", "- !x 1\n", "a: 1\n", "'a' "]
            )
            * n
        ),
        lambda: (
            'model: "'
            + rng.choice(["\\x41", "\n", "\\u0041", "\\\n", "x\n"]) * min(n, 45_000)
            + '"'
        ),
        lambda: "".join(f"a{i}: &a{i} 1\n" for i in range(min(n, 9000))),
    ]
    return str(rng.choice(made)()).encode()[: rng.choice([200_000, 200_000, 250_000])]


words = st.text(max_size=8) | st.sampled_from(
    ["name", "model", "data", "optim", "train", "lr", "mlp", "csv"]
)
scalars = st.none() | st.booleans() | st.integers() | words | st.floats()
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | scalars, inner, max_size=5),
    max_leaves=20,
)
raw = st.text() | st.text(alphabet="ab:-[]{}&*!?|>'\"\\#%@ \n\t,0.1e<~U") | st.binary()
set_words = st.tuples(st.sampled_from(["model", "data.name", "seed", "train.x", "a[0]"]), st.text())


def hypothesis_cases(count: int, number: int, known: Language) -> Iterator[Case]:
    """Trees and text from Hypothesis; it calls back, so that the cases are gathered first."""
    result: list[Case] = []
    sections = st.fixed_dictionaries(
        {}, optional={key: trees for key in ("data", "model", "optim", "train")}
    )

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(trees | sections | raw, st.lists(set_words, max_size=2))
    def gather(value: Any, sets: list[tuple[str, str]]) -> None:
        if isinstance(value, bytes):
            data = value
        elif isinstance(value, str):
            data = value.encode("utf-8", "surrogatepass")
        else:
            data = dump(random.Random(number), value)
        result.append(("hypothesis", data, [f"{key}={text}" for key, text in sets]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gather()
    yield from result[:count]


def config_cases(block: int, count: int, number: int, known: Language) -> Iterator[Case]:
    """The cases of one block; a tenth of them by Hypothesis."""
    generated = count // 10
    for i in range(count - generated):
        rng = random.Random(f"{number} config {block} {i}")
        method = rng.random()
        text = rng.choice(known.texts)
        if method < 0.4:
            yield "text", mutate(rng, text, known.texts, rng.choice([1, 1, 2, 3, 5])), []
        elif method < 0.7:
            yield "tree", mutate_tree(rng, known), []
        elif method < 0.98:
            yield (
                "--set",
                text,
                [set_text(rng, known, text) for _ in range(rng.choice([1, 1, 1, 2, 4]))],
            )
        else:
            yield "bomb", bombs(rng), []
    yield from hypothesis_cases(generated, number * 1_000_003 + block, known)


# Conditions that must hold.

WHERE = re.compile(r"case\.yaml:([1-9]\d*):[1-9]\d*|--set|case\.yaml")


def check_config(data: bytes, sets: list[str], through_command: bool) -> tuple[str, float]:
    """The outcome, "accepted" or "refused", and its time; raises where it must not."""
    Path("case.yaml").write_bytes(data)
    error: NnzooError | None = None
    config: RunConfig | None = None
    began = time.process_time()
    try:
        config = load_config("case.yaml", sets)
    except (ConfigError, UsageError) as caught:
        error = caught
    seconds = time.process_time() - began
    if through_command and not any("\0" in item for item in sets):
        check_command(config, sets)
    if config is not None:
        assert from_dict(config.to_dict(), "x") == config, "to_dict and from_dict differ"
        check_printed(to_yaml(config.to_dict()), config)
        return "accepted", seconds
    assert isinstance(error, ConfigError), f"{type(error).__name__}: {error}"
    assert error.issues and error.exit_code == 2
    lines = len(data.decode("utf-8-sig", "replace").splitlines()) + 1
    for issue in error.issues:
        place = WHERE.fullmatch(issue.where)
        assert place, f"not located: {issue}"
        assert place[1] is None or int(place[1]) <= lines, f"beyond the file: {issue}"
        assert issue.message.strip(), f"no message: {issue}"
    bad = {c for c in str(error) if c != "\n" and not c.isprintable()}
    assert not bad, f"unprintable in the message: {sorted(bad)!r}"
    assert len(str(error)) < 100_000, f"{len(str(error)):,} characters of message"
    return "refused", seconds


def check_printed(text: str, config: RunConfig) -> None:
    document = yaml_parser.parse_yaml(text, "printed")
    assert not document.issues, f"what is printed cannot be read: {document.issues[0]}"
    assert from_dict(document.value, "printed") == config, "what is printed reads otherwise"


def check_command(config: RunConfig | None, sets: list[str]) -> None:
    """`nnzoo check` as a user calls it, in this process."""
    from nnzoo.cli import app

    out, err = io.StringIO(), io.StringIO()
    words = ["check", "case.yaml", *(f"--set={item}" for item in sets)]
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app(words, prog_name="nnzoo")
        except SystemExit as stop:
            code = int(stop.code or 0)
    assert code == (2 if config is None else 0), f"exit code {code}: {err.getvalue()[:300]}"
    assert "Traceback" not in err.getvalue() and (config or err.getvalue().strip())
    if config is not None:
        check_printed(out.getvalue(), config)


# Tables and series.

CELLS = [
    "",
    "NA",
    "nan",
    "inf",
    "-Infinity",
    "1e999",
    "1e400",
    "-1e308",
    "9" * 400,
    "1e31",
    "0x10",
    "1,5",
    "1.234,5",
    "1'000",
    "1 000",
    "1_000",
    "١٢",
    "½",
    "²",
    "−5",
    "+5",
    " 5 ",
    "5%",
    "$5",
    "True",
    "FALSE",
    "2020-13-45",
    "0000-00-00",
    "9999-12-31",
    "1e3",
    "2020-01-01T00:00:00+25:00",
    "12/31/2020",
    "31/12/2020",
    "24:61",
    "\0",
    "\ufeff",
    '"',
    '""',
    '"a',
    'a"b',
    '"a\nb"',
    "a\rb",
    "x" * 3000,
    "x" * 140_000,
    ",",
    ";",
    "\t",
    "|",
    "'",
    "#",
    "//",
    "=1+1",
    "é",
    "\u2028",
    "\x85",
    "\x0b",
    "\x1c",
    "-",
    "?",
    "null",
    "1e-320",
    "1.7976931348623157e308",
    "None",
    "0",
    "1",
    "a",
    "b",
]


def base_table(rng: random.Random, series: bool) -> list[list[str]]:
    """Rows of text with a header row: some kinds of columns, the last one to be predicted."""
    rows = rng.choice([1, 3, 12, 40, 80, 80, 80, 80])
    columns: dict[str, list[str]] = {}
    if series or rng.random() < 0.2:
        style = rng.choice(
            ["%Y-%m-%d", "%d/%m/%Y", "%Y-%m-%dT%H:%M:%S", "%s", '"%b %d, %Y"', "%H:%M"]
        )
        gap = rng.choice([3600, 86_400, 604_800, 2_629_800])
        days = [time.gmtime(1e9 + i * gap) for i in range(rows)]
        columns["date"] = [time.strftime(style, day) for day in days]
    if rng.random() < 0.3:
        columns["group"] = [f"g{i % rng.choice([1, 2, 3])}" for i in range(rows)]
    kinds = ["float", "int", "word", "flag", "missing", "text", "empty", "constant", "bool"]
    for i in range(rng.choice([0, 1, 2, 3, 6])):
        kind = rng.choice(kinds[:2] if series and rng.random() < 0.7 else kinds)
        columns[f"{kind}{i}"] = [cell_of(rng, kind, row) for row in range(rows)]
    target = rng.choice(["float", "int", "word", "flag", "float", "float" if series else "word"])
    columns["y"] = [cell_of(rng, target, row) for row in range(rows)]
    names = list(columns)
    if rng.random() < 0.2:
        names = [rng.choice([name, f" {name}", name.upper(), "1", "", "é"]) for name in columns]
    body = [list(row) for row in zip(*columns.values(), strict=True)]
    return [names, *body] if rng.random() < 0.8 else body


def cell_of(rng: random.Random, kind: str, row: int) -> str:
    return {
        "float": lambda: f"{rng.gauss(5, 3):.3f}",
        "int": lambda: str(rng.randrange(-50, 1000)),
        "word": lambda: rng.choice(["red", "green", "blue"]),
        "flag": lambda: rng.choice("01"),
        "missing": lambda: rng.choice(["", "NA", f"{rng.random():.2f}"]),
        "text": lambda: rng.choice(['"a, b"', '"say ""x"""', '"two\nlines"', "plain"]),
        "empty": lambda: "",
        "constant": lambda: "7",
        "bool": lambda: rng.choice(["True", "False"]),
    }[kind]()


def csv_case(rng: random.Random) -> tuple[bytes, dict[str, Any]]:
    """A file and the config that reads it."""
    series = rng.random() < 0.4
    mild = rng.random() < 0.6  # few changes, and options that fit: most of these load
    table = base_table(rng, series)
    for _ in range(rng.choice([0, 1]) if mild else rng.choice([1, 1, 2, 5])):
        row = rng.choice(table)
        method = rng.choice([0, 0, 0, 6, 7, 8] if mild else [0, 0, 0, 0, 0, 0, 4, 5, 6, 7, 7, 8])
        if method == 0 and row:
            cell = rng.choice(CELLS)
            if rng.random() < 0.8 and re.search('[,;\t|:"\n\r ]', cell):
                cell = '"' + cell.replace('"', '""') + '"'
            row[rng.randrange(len(row))] = cell
        elif method == 4 and row:
            del row[rng.randrange(len(row))]
        elif method == 5:
            row.append(rng.choice(CELLS))
        elif method == 6:
            table += [list(row)] * rng.choice([1, 5])
        elif method == 7:
            column = rng.randrange(len(table[0])) if table[0] else 0
            cell = rng.choice(CELLS)
            for item in table:
                if column < len(item):
                    item[column] = cell if len(cell) < 100 else "x"
        else:
            rng.shuffle(table)
    if rng.random() < 0.004:
        table = [row * rng.choice([300, 1000]) for row in table[:12]]
        table[0] = [f"{name}{i}" for i, name in enumerate(table[0])]
    delimiter = rng.choice([",", ",", ",", ",", ",", ",", ";", "\t", "|", ":", " "])
    data = "\n".join(delimiter.join(row) for row in table).encode("utf-8", "surrogatepass") + b"\n"
    if rng.random() < (0.05 if mild else 0.4):
        data = mutate(rng, data, [data], rng.choice([1, 1, 2, 4]))[:2_000_000]
    names = [0, 1, -1, -1, *(["y"] if mild else [*table[0][:6], 2, "date", "group", 99, "nowhere"])]
    source: dict[str, Any] = {"name": "series" if series else "csv", "path": "case.csv"}

    def maybe(key: str, chance: float, make: Callable[[], Any]) -> None:
        if rng.random() < chance / (3 if mild else 1):
            source[key] = make()

    maybe("header", 0.2, lambda: rng.choice([True, False]))
    if delimiter != "," and rng.random() < 0.9:
        source["delimiter"] = delimiter
    maybe("delimiter", 0.05, lambda: rng.choice([",", ";", "x", '"', "\n", "é", " ", "\\"]))
    maybe("target", 0.3, lambda: rng.choice(names))
    preprocess: dict[str, Any] = {}
    if rng.random() < 0.4:
        preprocess["scale"] = rng.choice(["standardize", "minmax", "none"])
        preprocess["target"] = preprocess["scale"] if series else rng.choice(["minmax", "none"])
    if rng.random() < 0.1:
        preprocess |= {"pca": rng.choice([1, 2, 5]), "whiten": rng.choice([True, False])}
    if series:
        source["window"] = rng.choice([1, 2, 5, 24])
        maybe("horizon", 0.3, lambda: rng.choice([1, 2, 7]))
        maybe("time", 0.15, lambda: rng.choice(names))
        maybe("group", 0.1, lambda: rng.choice(names))
        maybe("covariates", 0.3, lambda: rng.choice(["all", "none", [rng.choice(names)]]))
        maybe("target", 0.1, lambda: [rng.choice(names) for _ in range(2)])
        maybe("difference_from_last", 0.3, lambda: rng.choice([True, False]))
        maybe("season", 0.2, lambda: rng.choice([0, 1, 7, 10_000]))
        maybe(
            "split",
            0.4,
            lambda: rng.choice(
                [{"val": 0, "test": 0}, {"val": 0.3, "test": 0.3}, {"val": 2, "test": 2}]
            ),
        )
    else:
        if rng.random() < 0.2:
            preprocess["impute"] = rng.choice(["mean", "median", "zero"])
        for key in ("numbers", "categories", "drop"):
            maybe(key, 0.07, lambda: [rng.choice(names) for _ in range(rng.choice([1, 2]))])
        maybe("task", 0.3, lambda: rng.choice(["classification", "regression"]))
        maybe("class_weights", 0.2, lambda: "balanced")
        maybe("test_path", 0.1, lambda: "case.csv")
        maybe("max_categories", 0.1, lambda: rng.choice([1, 3]))
        maybe(
            "split",
            0.4,
            lambda: rng.choice(
                [
                    {"val": 0, "test": 0},
                    {"val": 0.4, "test": 0.4},
                    {"val": 1, "test": 1, "stratify": False},
                ]
            ),
        )
    if preprocess:
        source["preprocess"] = preprocess
    model: dict[str, Any] = {"name": "mlp", "hidden": [4]}
    if series and rng.random() < 0.5:
        model = rng.choice([{"name": "gru", "hidden_size": 4}, {"name": "cnn", "channels": [4]}])
    tree = {"name": "case", "data": source, "model": model}
    return data, tree


def check_csv(data: bytes, tree: dict[str, Any]) -> tuple[str, float]:
    """The outcome, "trained" or "refused", and its time; raises where it must not."""
    import torch

    from nnzoo.runs.run import open_run

    Path("case.csv").write_bytes(data)
    began = time.process_time()
    try:
        run = open_run(
            from_dict(tree, "case"), RunOptions(Path("out"), torch.device("cpu"), write=False)
        )
        dry_run(run.trainer)
        outcome = "trained"
    except NnzooError as error:
        outcome = "refused"
        bad = {c for c in str(error) if c != "\n" and not c.isprintable()}
        assert not bad, f"unprintable in the message: {sorted(bad)!r}: {str(error)[:200]!r}"
        assert 0 < len(str(error)) < 3000, f"{len(str(error)):,} characters of message"
    return outcome, time.process_time() - began


# Blocks of cases in processes of their own.


def memory(key: str) -> int:
    """VmData or VmRSS of this process, in bytes."""
    match = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(match[1]) * 1024 if match else 0


def bounded(megabytes: int) -> None:
    """More memory than this beyond what is in use raises MemoryError."""
    with contextlib.suppress(OSError, ValueError):
        limit = memory("VmData") + megabytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def work(kind: str, block: int, first: int, count: int, number: int, send: Any) -> None:
    """The cases of a block from the `first` on: two messages each, before and after."""
    warnings.simplefilter("error")
    known = language()
    before = memory("VmRSS")
    if kind == "configs":
        cases: Any = list(config_cases(block, count, number, known))
        limit, most = CONFIG_SECONDS, CONFIG_BYTES
    else:
        made = (csv_case(random.Random(f"{number} csv {block} {i}")) for i in range(count))
        cases = [("series" if t["data"]["name"] == "series" else "csv", d, t) for d, t in made]
        limit, most = CSV_SECONDS, CSV_BYTES
    before = memory("VmRSS")
    bounded(most)
    for i, (group, data, more) in enumerate(cases):
        if i < first:
            continue
        send.send((i, group, data, more))
        why = ""
        seconds = 0.0
        outcome = "failed"
        try:
            if kind == "configs":
                through = (block * count + i) % THROUGH_COMMAND == 0
                outcome, seconds = check_config(data, more, through)
            else:
                outcome, seconds = check_csv(data, more)
        except BaseException as error:
            why = "".join(traceback.format_exception(error)[-4:])[-3000:] or repr(error)
        if seconds > limit:
            why = f"{seconds:.2f} s"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        send.send((outcome, seconds, peak, why))
    send.send(None)


@dataclass
class Tally:
    """The results so far."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: dict[str, tuple[float, str]] = field(default_factory=dict)
    peak: int = 0
    failures: int = 0

    def note(self, group: str, what: str, outcome: str, seconds: float, peak: int) -> None:
        self.outcomes[group, outcome] += 1
        self.peak = max(self.peak, peak)
        self.slowest[group] = max(self.slowest.get(group, (0.0, "")), (seconds, what))


def run_block(kind: str, block: int, count: int, number: int, keep: Path, tally: Tally) -> None:
    """Run a block in a forked process; where that dies or hangs, the rest in another."""
    context = multiprocessing.get_context("fork")
    first = 0
    while first < count:
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(kind, block, first, count, number, send))
        process.start()
        send.close()
        case: Any = None
        try:
            while True:
                if not receive.poll(HANGS_AFTER):
                    raise EOFError
                case = receive.recv()
                if case is None:
                    first = count
                    break
                first = case[0] + 1
                if not receive.poll(HANGS_AFTER):
                    raise EOFError
                outcome, seconds, peak, why = receive.recv()
                what = f"--seed {number}, block {block}, case {case[0]}"
                tally.note(case[1], what, "failed" if why else outcome, seconds, peak)
                if why:
                    fail(kind, what, case, why, keep, tally)
        except EOFError:
            process.kill()
            what = f"--seed {number}, block {block}, case {case[0] if case else 0}"
            if case is None:
                raise SystemExit(f"no cases: {what}") from None
            tally.note(case[1], what, "failed", 0.0, 0)
            fail(kind, what, case, "the process died or hung", keep, tally)
        process.join()


def fail(kind: str, what: str, case: Any, why: str, keep: Path, tally: Tally) -> None:
    """Keep the files of a failure and say how to repeat it."""
    tally.failures += 1
    _, group, data, more = case
    keep.mkdir(parents=True, exist_ok=True)
    stem = keep / f"{kind}-{re.sub(r'[^0-9]+', '-', what).strip('-')}"
    name = "case.yaml" if kind == "configs" else "case.csv"
    stem.mkdir(exist_ok=True)
    (stem / name).write_bytes(data)
    if kind == "configs":
        sets = " ".join(f"--set {item!r}" for item in more)
        repeat = f"nnzoo check {stem / name} {sets}"
    else:
        (stem / "case.yaml").write_text(to_yaml(more), encoding="utf-8")
        repeat = f"nnzoo train --dry-run --config {stem / 'case.yaml'}"
    sys.stdout.write(f"FAILED ({group}; {what}): {repeat}\n{why.rstrip()}\n")


def campaign(kind: str, total: int, number: int, keep: Path) -> Tally:
    """All blocks of a kind, sequentially."""
    tally = Tally()
    began = time.monotonic()
    done = 0
    for block in range((total + BLOCK - 1) // BLOCK):
        count = min(BLOCK, total - done)
        run_block(kind, block, count, number, keep, tally)
        done += count
        if sys.stderr.isatty() or (block + 1) % 40 == 0:
            sys.stderr.write(f"{kind}: {done:,} of {total:,}, {time.monotonic() - began:.0f} s\n")
    return tally


def report(kind: str, tally: Tally) -> None:
    groups = sorted({group for group, _ in tally.outcomes})
    names = sorted({outcome for _, outcome in tally.outcomes})
    sys.stdout.write(
        f"\n{kind}: {sum(tally.outcomes.values()):,}, {tally.failures} failed, at most "
    )
    sys.stdout.write(f"{tally.peak / 1e6:.0f} MB beyond the start\n")
    for group in groups:
        counts = "  ".join(f"{tally.outcomes[group, name]:,} {name}" for name in names)
        seconds, what = tally.slowest[group]
        sys.stdout.write(f"  {group:<10}  {counts}; slowest {seconds:.2f} s ({what})\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--configs", type=int, default=100_000)
    parser.add_argument("--csvs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("campaign-failures"))
    options = parser.parse_args(arguments)
    keep = options.keep.resolve()
    home = Path.cwd()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for kind, total in (("configs", options.configs), ("csvs", options.csvs)):
                if kind == "csvs" and total:
                    import pandas  # noqa: F401  (before the fork: they take seconds)
                    import torch

                    import nnzoo.runs.run  # noqa: F401

                    torch.set_num_threads(1)
                tally = campaign(kind, total, options.seed, keep)
                report(kind, tally)
                failures += tally.failures
        finally:
            os.chdir(home)
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"\n{failures} failures{f', kept in {keep}' if failures else ''}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
