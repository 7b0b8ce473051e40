"""JSON: records, columns, bounds."""

from __future__ import annotations

import json

import pandas
import pytest

from nnzoo.data.table_files import limits
from tests.data.table_files.reading import (
    NAMES,
    ROWS,
    check,
    read,
    refused,
)

RECORDS = [dict(zip(NAMES, [float(a), float(b), c], strict=True)) for a, b, c in ROWS]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORDS),
        json.dumps(RECORDS, indent=1, ensure_ascii=False),
        "\n".join(map(json.dumps, RECORDS)),
        json.dumps({"data": RECORDS}),
        json.dumps({name: [item[name] for item in RECORDS] for name in NAMES}),
        pandas.DataFrame(RECORDS).to_json(),
        pandas.DataFrame(RECORDS).to_json(orient="split"),
        json.dumps([NAMES, *([item[name] for name in NAMES] for item in RECORDS)]),
    ],
)
def test_json_of_records_is_read(text: str) -> None:
    check(read(text, "d.json"), [[str(float(a)), str(float(b)), c] for a, b, c in ROWS])


def test_values_of_json_stay_as_they_are_written() -> None:
    table = read('[{"a": 1e400, "b": 12345678901234567890, "c": true}, {"a": null, "c": "NA "}]')
    assert table.frame.fillna("").to_numpy().tolist() == [
        ["1e400", "12345678901234567890", "True"],
        ["", "", "NA "],
    ]
    assert table.notes == ["1 records lack keys that others have: missing values"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": [1]}]', "'a' of record 1 holds several values"),
        ('[{"a": 1}, 2]', "record 2 is no object"),
        ('[{"a": 1}', "d.csv:1: not JSON: "),
        ('{"a": 1}\n{"a": \n', "d.csv:2: not a JSON record"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_other_json_is_refused(text: str, message: str) -> None:
    assert message in refused(text)


def test_json_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MAX_JSON", 1000)
        assert "more than 1,000 characters of JSON" in refused(json.dumps(RECORDS))
    monkeypatch.setattr(limits, "MAX_CELLS", 100)
    assert "at most 100 values" in refused(json.dumps(RECORDS))
