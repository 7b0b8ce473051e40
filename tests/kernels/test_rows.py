"""Plain rows of a CSV: the cells that Python's reader cuts, the numbers that Python reads."""

from __future__ import annotations

import csv
import random

import numpy as np
import pytest

from nnzoo.kernels import build
from nnzoo.kernels.rows import MAX_VALUE, Column, RowReader

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")
KINDS = ["blue", "b", "bluegreen", "é", "red", "10"]
READER = RowReader(",", 4, [Column(2), Column(0), Column(3, KINDS)])


def number(rng: random.Random) -> str:
    """A number in one of the notations of programs."""
    value = rng.gauss(0, 1) * 10.0 ** rng.randint(-12, 12)
    digits = rng.randint(0, 22)
    whole = rng.randint(-(10**18) + 1, 10**18 - 1) // 10 ** rng.randint(0, 17)
    forms = [
        repr(value),
        f"{value:.{digits}f}",
        f"{value:.{digits}e}",
        f"{whole}",
        f"+{abs(whole)}.",
    ]
    return rng.choice([*forms, f".{abs(whole)}"])


def test_numbers_are_the_nearest_doubles() -> None:
    rng = random.Random(0)
    texts = [number(rng) for _ in range(20_000)]
    lines = "".join(f"{text},x,0.5,red\n" for text in texts)
    read = READER.read(lines.encode())
    assert read is not None and not len(read[1])
    assert read[0][:, 1].tolist() == [float(text) for text in texts]
    assert set(read[0][:, 0]) == {0.5} and set(read[0][:, 2]) == {4.0}


@pytest.mark.parametrize(
    "text",
    ["NA", "1e31", "-2e30", "1,5", "0x10", "1_0", "inf", "nan", "1e", "-", ".", "1.2.3", "5 ", "٣"],
)
def test_other_texts_are_open_cells_with_their_places(text: str) -> None:
    data = f'1,x,2,red\n2,"é","{text}",Red\n'.encode()
    read = READER.read(data)
    assert read is not None
    cells = [
        (column, row, data[begin:end].decode()) for column, row, begin, end in read[1].tolist()
    ]
    assert cells == [(0, 1, text), (2, 1, "Red")]
    assert np.isnan(read[0][1, 0]) and read[0][1].tolist()[1:] == [2.0, -1.0]


def test_every_category_has_its_code_and_an_empty_cell_none() -> None:
    lines = "".join(f"1,,,{kind}\n" for kind in KINDS) + '1,2,3,""\n'
    read = READER.read(lines.encode())
    assert read is not None and not len(read[1])
    assert read[0][:, 2].tolist() == [0, 1, 2, 3, 4, 5, -1]
    assert np.isnan(read[0][:-1, 0]).all()


@pytest.mark.parametrize(
    "lines",
    [
        "1,2,3\n",
        "1,2,3,red,5\n",
        "1,x,2,red\n\n1,x,2,red\n",
        "1,x,2,red\r1,x,2,red\r",
        '1,"x\n",2,red\n',
        '1,"x""y",2,red\n',
        '1,"x"y,2,red\n',
        '1,"x,2,red\n',
        ",,2,red\n",
        ",,,\n",
        "# a comment\n",
        f"1,{'x' * (MAX_VALUE + 1)},2,red\n",
        "1234567890123456789,x,2,red\n",
    ],
)
def test_a_line_that_is_not_plain_leaves_all_to_python(lines: str) -> None:
    assert READER.read(b"1,x,2,red\n" + lines.encode()) is None


def test_many_open_cells_leave_all_to_python() -> None:
    assert READER.read(b"a,b,c,d\n" * 100) is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_cells_are_cut_as_by_pythons_reader(delimiter: str, end: str) -> None:
    rng = random.Random(1)
    cells = ["1", "-2.5", "red", " x", '"1"', '"re;d,|\t"', "", ' "7"', 'a"b', "x y "]
    reader = RowReader(delimiter, 7, [Column(i, []) for i in range(1, 6)])
    for _ in range(300):
        line = delimiter.join(["0", *rng.choices(cells, k=5), "9"])
        data = f"{line}{end}".encode()
        read = reader.read(data)
        (row,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
        assert read is not None and len(read[0]) == 1
        texts = {column: data[first:last].decode() for column, _, first, last in read[1].tolist()}
        assert [texts.get(i, "") for i in range(5)] == row[1:6]
