"""Real data inside scikit-learn's wheel, read without importing scikit-learn."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from nnzoo.config.data_options import BundledTableOptions, DigitsOptions
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, row_splits
from nnzoo.data.splitting import split_rows
from nnzoo.errors import DataError

_FILES = {"iris": "iris.csv", "wine": "wine_data.csv", "breast_cancer": "breast_cancer.csv"}
_COLUMNS = {
    "iris": "sepal length (cm)|sepal width (cm)|petal length (cm)|petal width (cm)",
    "wine": "alcohol|malic_acid|ash|alcalinity_of_ash|magnesium|total_phenols|flavanoids|"
    "nonflavanoid_phenols|proanthocyanins|color_intensity|hue|od280/od315_of_diluted_wines|proline",
    "diabetes": "age|sex|bmi|bp|s1|s2|s3|s4|s5|s6",
    "breast_cancer": "|".join(
        f"{prefix}{name}{suffix}"
        for prefix, suffix in (("mean ", ""), ("", " error"), ("worst ", ""))
        for name in (
            "radius",
            "texture",
            "perimeter",
            "area",
            "smoothness",
            "compactness",
            "concavity",
            "concave points",
            "symmetry",
            "fractal dimension",
        )
    ),
}


def _file(name: str) -> Path:
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise DataError("this data set comes with scikit-learn: pip install scikit-learn")
    return Path(found.origin).parent / "datasets" / "data" / name


def _gzip_table(name: str) -> np.ndarray:
    with gzip.open(_file(name), "rt") as file:
        delimiter = "," if name.startswith("digits") else None
        return np.loadtxt(file, delimiter=delimiter, ndmin=2)


def load_digits(options: DigitsOptions, spec: DataSpec | None = None) -> Dataset:
    """Images (1, 8, 8) with values 0 to 16."""
    table = _gzip_table("digits.csv.gz")
    x = torch.from_numpy(table[:, :-1].astype(np.uint8).reshape(-1, 1, 8, 8))
    y = torch.from_numpy(table[:, -1].astype(np.int64))
    rows = split_rows(len(x), options.split, y.numpy())
    splits = row_splits(x, y, rows)
    labels = [str(digit) for digit in range(10)]
    spec = DataSpec(InputSpec("image", (1, 8, 8)), "classification", labels, max_pixel_value=16)
    return Dataset(spec, splits)


def load_table(options: BundledTableOptions, spec: DataSpec | None = None) -> Dataset:
    """iris, wine, breast_cancer: classes; diabetes: disease progression as a number."""
    name = options.name
    if name == "diabetes":
        x = _gzip_table("diabetes_data_raw.csv.gz")
        y = torch.from_numpy(_gzip_table("diabetes_target.csv.gz"))
        labels: list[str] = []
    else:
        with _file(_FILES[name]).open() as file:
            labels = file.readline().strip().split(",")[2:]
            table = np.loadtxt(file, delimiter=",")
        if name == "wine":
            labels = ["class_0", "class_1", "class_2"]
        x = table[:, :-1]
        y = torch.from_numpy(table[:, -1].astype(np.int64))
    inputs = torch.from_numpy(np.ascontiguousarray(x))
    rows = split_rows(len(x), options.split, y.numpy() if labels else None)
    splits = row_splits(inputs, y, rows)
    columns = [ColumnSpec(column) for column in _COLUMNS[name].split("|")]
    spec = DataSpec(
        InputSpec("table", (len(columns),)),
        "classification" if labels else "regression",
        labels,
        [] if labels else ["progression"],
        columns,
    )
    return Dataset(spec, splits)
