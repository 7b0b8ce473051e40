"""A first configuration for a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nnzoo.config.schema import CsvOptions
from nnzoo.config.show import quoted

if TYPE_CHECKING:
    import pandas


def header_line(frame: pandas.DataFrame) -> str:
    from nnzoo.data.table_io import numbered

    return "  header: false\n" if numbered(frame) else ""


def table_config(
    frame: pandas.DataFrame, data: Path, path: str, dates: list[str]
) -> tuple[str, str]:
    from nnzoo.data.table_columns import describe_counts
    from nnzoo.data.tables import load_csv

    # A date is no category; the target, the last column, stays whatever it is.
    dropped = [name for name in dates if name != frame.columns[-1]]
    dataset = load_csv(CsvOptions(name="csv", path=str(data), drop=list(dropped)))
    spec = dataset.spec
    headless = header_line(frame)
    target = "-1" if headless else quoted(spec["target"])
    if dataset.task == "classification":
        labels = ", ".join(spec["labels"][:6]) + (", …" if len(spec["labels"]) > 6 else "")
        what = f"{len(spec['labels'])} classes ({labels})"
    else:
        what = "a number"
    columns = describe_counts(spec["columns"])
    drop = f"  drop: [{', '.join(map(quoted, dropped))}]    # dates\n" if dropped else ""
    about = f"{data.name}: {len(frame):,} rows, {columns}; the target is {what}."
    return (
        about,
        f"""data:
  name: csv
  path: {quoted(path)}
{headless}  target: {target}    # another column? its name or position
{drop}model:
  name: mlp
  hidden: [128, 64]
  dropout: 0.1
optim:
  name: adamw
  lr: 1e-3
  schedule: cosine
  clip: {{norm: 1.0}}
train:
  epochs: 100
  batch_size: 32
""",
    )
