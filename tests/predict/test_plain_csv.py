"""Plain rows of a CSV read natively: the predictions, notes and errors of the reader of CSV."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.data.table_files import csv_reader
from nnzoo.data.table_files.csv_layout import Layout
from nnzoo.data.table_files.csv_rows import Columns
from nnzoo.errors import DataError
from nnzoo.kernels import build
from nnzoo.models.network import Network
from nnzoo.predict import plain_csv
from nnzoo.predict.csv_lines import csv_lines
from nnzoo.predict.inputs import predict
from nnzoo.predict.plain_csv import PlainReader, open_plain
from tests.predict.prediction_runs import TABLE, train, write_table

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")
HEADER = "a,b,kind"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("run"))
        write_table("regression")
        return train({"name": "mlp", "hidden": [8]}, TABLE | {"target": "y"})


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of the blocks that are read natively; chunks are short."""
    rows: list[int] = []
    read = PlainReader.__call__

    def counting(reader: PlainReader, text: str) -> Any:
        values = read(reader, text)
        rows.append(0 if values is None else len(values))
        return values

    monkeypatch.setattr(csv_reader, "CHUNK", 2000)
    monkeypatch.setattr(PlainReader, "__call__", counting)
    return rows


def lines(count: int = 800, end: str = "\n") -> list[str]:
    rng = random.Random(3)
    return [
        f"{rng.gauss(0, 1):.5f},{rng.gauss(0, 1)!r},{rng.choice('uvw')}{end}" for _ in range(count)
    ]


def outcome(network: Network, text: str | bytes) -> tuple[str, list[str], str]:
    """The CSV of all predictions of a file, the notes, and the error."""
    Path("new.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    written, notes, error = "", list[str](), ""
    try:
        for batch in predict(network, "new.csv"):
            written += csv_lines(batch, header=False)
            notes += batch.notes
    except DataError as raised:
        error = str(raised)
    return written, notes, error


def both(
    network: Network, text: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, list[str], str]:
    """`outcome`, which is the same without native code."""
    native = outcome(network, text)
    with monkeypatch.context() as patch:
        patch.setattr(build, "available", lambda: False)
        assert outcome(network, text) == native
    return native


def insert(place: int, *new: str) -> Callable[[list[str]], list[str]]:
    return lambda rows: [*rows[:place], *(f"{line}\n" for line in new), *rows[place:]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_plain_rows_are_read_natively_after_the_first_chunk(
    end: str, network: Network, blocks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = HEADER + end + "".join(lines(end=end))
    written, notes, error = both(network, text, monkeypatch)
    assert written.count("\n") == 800 and not notes and not error
    assert written.splitlines()[-1].startswith("800,")
    assert sum(blocks) > 650 and 0 not in blocks


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (insert(400, "1,,u", "NA,2,v", "1,none,w"), "missing values filled"),
        (insert(400, "1,2,U", "1,2, new", '"1","2","u "'), "typed differently"),
        (insert(400, "1,2,x", "1,2,", "1,2,NA", "1,2,x"), "never saw"),
        (insert(400, HEADER), "the header again"),
        (insert(400, "# a comment"), "comments"),
        (insert(400, "", "  "), ""),
        (insert(400, "1,2,u,,"), "delimiters at the end"),
        (insert(400, '1,2,"u', '"'), "typed differently"),
        (insert(400, '="1",2,u'), "was read as the text"),
        (insert(400, "1,2,\ufeffu"), "byte order mark"),
        (insert(400, ",,"), "all missing"),
        (insert(800, ",,", "the end"), "text below the table"),
        (insert(400, "1" * 19 + ",2,u", "-0,+.5,u"), ""),
        (lambda rows: [*rows[:-1], rows[-1].strip()], ""),
        (lambda rows: ["1,2,\n" if i % 7 == 0 else row for i, row in enumerate(rows)], ""),
        (lambda rows: ["NA,NA,new\n"] * 500 + rows, "words that count"),
    ],
)
def test_other_rows_are_read_as_without_native_code(
    change: Callable[[list[str]], list[str]],
    note: str,
    network: Network,
    blocks: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = f"{HEADER}\n" + "".join(change(lines()))
    written, notes, error = both(network, text, monkeypatch)
    assert note in "".join(notes) and bool(note) == bool(notes) and not error
    assert written.count("\n") >= 798 and sum(blocks) > 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (insert(400, "1,2"), "new.csv:402: ragged rows"),
        (insert(400, "1,2,u,3"), "new.csv:402: ragged rows"),
        (insert(400, "1,fast,u"), "data row 401 has 'fast'"),
        (insert(400, "1,1e31,u"), "'1e31' in data row 401 is beyond"),
        (insert(400, '1,2,"u'), "new.csv:402"),
        (insert(400, '1,2,"u"v'), "new.csv:402"),
    ],
)
def test_errors_name_the_same_line(
    change: Callable[[list[str]], list[str]],
    message: str,
    network: Network,
    blocks: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = f"{HEADER}\n" + "".join(change(lines()))
    assert message in both(network, text, monkeypatch)[2]
    assert blocks[0] > 0 and 0 in blocks


def test_a_wrong_byte_is_named_by_its_line(
    network: Network, blocks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = lines()
    text = "".join([f"{HEADER}\n", *rows[:400]]).encode() + b"1,2,\xff\n" + rows[0].encode()
    assert "new.csv:402: not UTF-8" in both(network, text, monkeypatch)[2]


def layout(**values: Any) -> Layout:
    names = HEADER.split(",")
    options: dict[str, Any] = {
        "delimiter": ",",
        "skip": 1,
        "names": names,
        "named": True,
        "width": 3,
        "blank": 0,
    }
    return Layout(**(options | {"header": names, "sample": Columns([], 3)} | values))


def test_layouts_and_columns_of_other_forms_have_no_reader(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, names = network.data_spec.columns, HEADER.split(",")
    assert open_plain(layout(), names, columns) is not None
    assert open_plain(layout(header=None), names, columns) is not None
    for other in (
        {"delimiter": "::"},
        {"delimiter": " "},
        {"blank": 1},
        {"header": ["1", "2", "u"]},
    ):
        assert open_plain(layout(**other), names, columns) is None
    assert open_plain(layout(), ["a", "a", "kind"], columns) is None
    assert open_plain(layout(), ["a", "c", "kind"], columns) is None
    monkeypatch.setattr(plain_csv, "_USUAL", None)
    assert open_plain(layout(), names, columns) is None
