"""Predictions for texts: strings of any kind, files in every form, stdin; notes on what is cut and unknown."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

import nnzoo
from nnzoo.errors import DataError
from nnzoo.models.network import Network
from nnzoo.predict import texts
from nnzoo.predict.inputs import predict
from nnzoo.predict.predictions import Predictions
from nnzoo.runs.loaded_run import load_network
from tests.conftest import Result
from tests.data.text_files.writing import WRITERS, some_documents, write_csv, write_tsv
from tests.predict.prediction_runs import RUN, refused, rows_of
from tests.zoo import begin, config, finish

NNZOO = Callable[..., Result]
MLP = {"name": "mlp", "hidden": [], "embedding": 8}
CNN = {
    "name": "cnn",
    "channels": [4],
    "branches": [2, 3],
    "pool": "none",
    "embedding": 8,
    "head": {"pooling": "max"},
}
GRU = {"name": "gru", "hidden_size": 4, "embedding": 8}
DOCUMENTS = some_documents()
NEW = [text for text, _ in some_documents(7, seed=5)]
STRANGE = [
    "",
    "   ",
    "quite unheard",
    "猫が好き",
    "🙂🙂",
    "שלום עולם",
    "a\udce9b",
    "great " * 1000,
    "x" * 5000,
]


def train_on(data: dict[str, Any], model: Any = MLP) -> Network:
    options = config(model, {"name": "text", **data}, train={"epochs": 1}, optim={"lr": 0.1})
    finish(begin(options))
    return load_network(RUN, torch.device("cpu"))[0]


def predicted(network: Network, x: Any) -> Predictions:
    return Predictions.concat(predict(network, x))


@pytest.mark.parametrize("form", WRITERS)
def test_new_texts_in_any_form_have_the_same_predictions(form: str, tmp_path: Path) -> None:
    network = train_on(WRITERS[form](tmp_path, DOCUMENTS))
    reference = predicted(network, NEW)
    assert len(reference) == 7 and reference.index["text"][0] == NEW[0]
    np.testing.assert_array_equal(predicted(network, NEW[2]).values, reference.values[2:3])
    one_by_one = np.concatenate([predicted(network, text).values for text in NEW])
    np.testing.assert_allclose(one_by_one, reference.values, rtol=1e-6)
    frame = pandas.DataFrame({"review": NEW})
    for x in (pandas.Series(NEW), np.array(NEW), *([frame] if form == "csv" else [])):
        np.testing.assert_array_equal(predicted(network, x).values, reference.values)
    new = tmp_path / "new"
    new.mkdir()
    alike = {"csv": ["csv", "parquet"], "parquet": ["csv", "parquet"], "tsv": ["tsv"]}
    for other in alike.get(form, []):
        path = WRITERS[other](new, [(text, "pos") for text in NEW])["path"]
        rows = predicted(network, Path(path))
        np.testing.assert_array_equal(rows.values, reference.values)
        assert rows.index["row"] == [*range(1, 8)]
    (new / "a.txt").write_text("\n\n".join(NEW))
    if form == "folder":
        for i, text in enumerate(NEW):
            (new / f"{i}.txt").write_text(text)
        (new / "a.txt").unlink()
        assert predicted(network, new).index["text"][1] == str(new / "1.txt")
    of_files = predicted(network, new if form in ("folder", "lines") else new / "a.txt")
    np.testing.assert_array_equal(of_files.values, reference.values)


@pytest.mark.parametrize("model", [MLP, CNN, GRU], ids=lambda model: model["name"])
@pytest.mark.parametrize("tokens", ["words", "characters", "bytes"])
def test_any_string_is_predicted(model: Any, tokens: str, tmp_path: Path) -> None:
    network = train_on(
        {**write_csv(tmp_path, DOCUMENTS), "tokens": tokens, "max_length": 50}, model
    )
    predictions = predicted(network, STRANGE)
    assert np.isfinite(predictions.values).all() and len(predictions) == len(STRANGE)
    notes = "\n".join(predictions.notes)
    assert ("not in the vocabulary (<unknown>)" in notes) == (tokens != "bytes")
    assert "cut to the first 50 tokens (data.max_length): " in notes
    empty = 2 if tokens == "words" else 1
    assert f"texts without any token, read as one <unknown>: {empty}" in notes
    # Padding and its neighbors do not change a text's answer.
    single = predicted(network, STRANGE[2]).values
    np.testing.assert_allclose(predictions.values[2:3], single, rtol=1e-5)


def test_inputs_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = train_on(write_csv(tmp_path, DOCUMENTS))
    assert "no file new.csv" in refused(DataError, network, "new.csv")
    assert "no file gone" in refused(DataError, network, Path("gone.txt"))
    assert "expected texts, got int" in refused(DataError, network, [1])
    assert "expected a text, a list of texts" in refused(DataError, network, 1.5)
    assert "nothing to predict" in refused(Exception, network, [])
    Path("bad.txt").write_bytes(b"fine\ncaf\xe9\n")
    assert "bad.txt:2: not UTF-8 text" in refused(DataError, network, Path("bad.txt"))
    Path("other.csv").write_text("title,body\nx y z,u v w\na b,c d\n")
    message = refused(DataError, network, "other.csv")
    assert "expected a column 'review', which training has; the file has 'title', 'body'" in message
    Path("folder").mkdir()
    assert "folder has no .txt files" in refused(DataError, network, Path("folder"))
    monkeypatch.setattr(texts, "MAX_TOKENS", 3)
    assert "text 2 has 4 tokens; at most 3" in refused(DataError, network, ["a b", "a b c d"])


def test_a_table_without_its_target_column(tmp_path: Path) -> None:
    """The text is the second of two columns without names; alone, it is the first."""
    network = train_on(write_tsv(tmp_path, DOCUMENTS))
    Path("new.tsv").write_text("".join(f"{text.replace(',', '')}\n" for text in NEW))
    np.testing.assert_array_equal(
        predicted(network, "new.tsv").values,
        predicted(network, [text.replace(",", "") for text in NEW]).values,
    )


def test_batches_hold_few_padded_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MAX_BATCH_VALUES", 10)
    monkeypatch.setattr(texts, "MAX_BATCH_ROWS", 3)
    batches = [[*rows] for rows in texts._batches([1, 2, 3, 1, 30, 4, 4])]
    assert batches == [[0, 1, 2], [3], [4], [5, 6]]


def test_the_command_takes_texts_files_and_stdin(
    nnzoo: NNZOO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_on(write_csv(tmp_path, DOCUMENTS))
    result = nnzoo("predict", RUN, "a great film", "", "--json")
    assert result.code == 0 and [line["text"] for line in result.lines] == ["a great film", ""]
    assert "note: tokens that are not in the vocabulary" in result.err
    Path("new.csv").write_text("id,review\n" + "".join(f"n{i},{i} fine\n" for i in range(3)))
    rows = rows_of(nnzoo("predict", RUN, "new.csv", "--keep", "id").out)
    assert [row["id"] for row in rows] == ["n0", "n1", "n2"]
    assert nnzoo("predict", RUN, "a text", "--keep", "id").code == 2
    rows = rows_of(nnzoo("predict", RUN, "new.csv", "some text").out)
    assert [row["text"] for row in rows] == ["new.csv:1", "new.csv:2", "new.csv:3", "some text"]
    content = io.BytesIO(b"one\n\nthree\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    for words in (["-"], []):
        content.seek(0)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.getvalue())))
        assert len(rows_of(nnzoo("predict", RUN, *words).out)) == 3
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n\xff\n")))
    result = nnzoo("predict", RUN, "-")
    assert result.code == 3 and "stdin:2: not UTF-8 text" in result.err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "nothing to predict" in nnzoo("predict", RUN).err


def test_a_loaded_model_predicts_a_list_of_texts(tmp_path: Path) -> None:
    train_on(write_csv(tmp_path, DOCUMENTS))
    frame = nnzoo.load(RUN).predict(["a great film", "dull"]).to_frame()
    assert list(frame["text"]) == ["a great film", "dull"] and {"prediction", "p_pos"} <= set(frame)
    assert json.dumps(list(frame["prediction"]))
