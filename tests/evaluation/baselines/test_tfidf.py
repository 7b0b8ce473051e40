"""The baseline of texts: TF-IDF in a linear model, the same as scikit-learn's own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.config.text_options import TextOptions
from nnzoo.data.dataset import Dataset
from nnzoo.data.sequences import SequenceSplit
from nnzoo.data.text import load_text
from nnzoo.evaluation.baselines import tfidf
from nnzoo.evaluation.baselines.budget import Budget, OverBudgetError
from tests.data.text_files.writing import some_documents, write_csv
from tests.evaluation.baselines.problems import problem, results


def load(path: Path, documents: list[tuple[str, str]], **more: Any) -> Dataset:
    return load_text(TextOptions(name="text", **write_csv(path, documents), **more))


def fit_predict(data: Dataset, split: str = "test") -> torch.Tensor:
    return tfidf.TextLinear().fit(problem(data), Budget())(data.splits[split])


def test_it_is_the_pipeline_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    data = load(tmp_path, some_documents(80))
    train, test = data.splits["train"], data.splits["test"]
    assert isinstance(train, SequenceSplit) and isinstance(test, SequenceSplit)
    before = [tensor.clone() for tensor in train.tensors()]
    outputs = fit_predict(data)
    assert all(map(torch.equal, before, train.tensors()))

    def words(split: SequenceSplit) -> list[str]:
        parts = split.values.flatten().split(split.lengths.tolist())
        return [" ".join(f"t{i}" for i in part.tolist()) for part in parts]

    pipeline = make_pipeline(
        TfidfVectorizer(sublinear_tf=True),
        LogisticRegression(C=tfidf.PENALTY, max_iter=tfidf.MAX_ITERATIONS),
    )
    pipeline.fit(words(train), train.targets().numpy())
    np.testing.assert_allclose(outputs, pipeline.predict_log_proba(words(test)), atol=1e-4)
    assert torch.equal(outputs, fit_predict(data))


def test_it_is_beside_the_majority_class(tmp_path: Path) -> None:
    data = load(tmp_path, some_documents(80))
    first, second = results(problem(data)).values()
    assert (first["name"], second["name"]) == ("TF-IDF, logistic regression", "majority class")
    assert first["accuracy"] > 0.9 and "auc" in first


def test_numbers_are_predicted_by_ridge_regression(tmp_path: Path) -> None:
    documents = [(text, f"{text.count('a ') + 0.25:.2f}") for text, _ in some_documents(200)]
    data = load(tmp_path, documents)
    test = data.splits["test"]
    values = fit_predict(data)
    assert values.shape == (40, 1) and values.dtype == torch.float64
    error = float((values - test.targets()).square().mean())
    assert error < 0.7 * float(test.targets().var())
    assert list(results(problem(data), "test", "linear")) == ["TF-IDF, ridge regression"]


def test_more_tokens_than_are_read_and_classes_without_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(tmp_path, some_documents(80))
    train = data.splits["train"]
    assert isinstance(train, SequenceSplit)
    monkeypatch.setattr(tfidf, "MAX_TRAIN_TOKENS", 100)
    assert fit_predict(data).shape == (len(data.splits["test"]), 2)
    one = train.select((train.targets() == 1).nonzero().flatten())
    data.splits = {"train": one, "test": train}
    assert fit_predict(data).argmax(1).eq(1).all() and fit_predict(data)[:, 0].isneginf().all()


def test_it_is_left_out_where_it_takes_too_long(tmp_path: Path) -> None:
    with pytest.raises(OverBudgetError):
        tfidf.TextLinear().fit(problem(load(tmp_path, some_documents(80))), Budget(1e-6))
