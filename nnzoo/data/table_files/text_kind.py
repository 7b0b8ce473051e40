"""Text that is no table of rows and columns, told by its first lines."""

from __future__ import annotations

import re
from pathlib import Path

from nnzoo.errors import DataError

_KINDS = (
    (r"<!doctype\s+html|<html\b|<head\b|<body\b|<table\b|<div\b",
     "a web page (HTML)", "download the data itself, or save the page's table as CSV"),
    (r"<\?xml|<[\w:]+(\s+[\w:]+=\"[^\"]*\")*\s*>\s*<", "XML",
     "write it as CSV: pandas.read_xml(…).to_csv(…, index=False)"),
    (r"(%[^\n]*\n|\s)*@relation\b", "an ARFF file of Weka",
     "write it as CSV: in Weka, or pandas.DataFrame(scipy.io.arff.loadarff(…)[0]).to_csv(…)"),
    (r"version https://git-lfs\.github\.com", "a pointer of Git LFS, not the data",
     "fetch that: git lfs pull"),
    (r"%%MatrixMarket", "a Matrix Market file", "write it as CSV: scipy.io.mmread, numpy.savetxt"),
    (r"([-+]?[\d.]+(\s+\d+:[-+\d.eE]+)+\s*\n){3}", "in LIBSVM's format",
     "write it as CSV: sklearn.datasets.load_svmlight_file(…)[0].toarray(), numpy.savetxt"),
)  # fmt: skip


def refuse_other_text(file: Path, lines: list[str]) -> None:
    """Raise DataError, naming the kind of text and what to do, for what is no table."""
    text = "".join(lines[:20])[:5000].lstrip()
    for pattern, kind, remedy in _KINDS:
        if re.match(pattern, text, re.IGNORECASE):
            raise DataError(f"{file} is {kind}, which is not read: {remedy}")
