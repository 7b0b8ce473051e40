"""A first configuration for one or several time series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nnzoo.config.schema import SeriesOptions
from nnzoo.config.show import quoted
from nnzoo.init_config.table import header_line

if TYPE_CHECKING:
    import pandas


def series_config(
    frame: pandas.DataFrame,
    data: Path,
    path: str,
    dates: list[str],
    numbers: list[str],
    group: str | None = None,
) -> tuple[str, str]:
    from nnzoo.data.series import load_series, season_of

    series = [frame] if group is None else [each for _, each in frame.groupby(group)]
    season = season_of(series[0], dates[0] if dates else None)
    window = 2 * season if season else SeriesOptions(name="series", path="").window
    window = max(2, min(window, min(map(len, series)) // 6))
    headless = header_line(frame)
    last = numbers[-1] == frame.columns[-1]
    load_series(
        SeriesOptions(name="series", path=str(data), target=numbers[-1], group=group, window=window)
    )
    target = "-1" if headless and last else quoted(numbers[-1])
    grouped = f"  group: {quoted(group)}    # tells the series apart\n" if group else ""
    covariates = ""
    if len(numbers) > 1:
        named = ", ".join(quoted(name) for name in numbers[:-1])
        covariates = f"  covariates: none    # or all, or a list: {named}\n"
    of_series = f" of {len(series):,} series" if group else ""
    distance = f", a season of {season} by its dates" if season else ""
    return (
        f"{data.name}: {len(frame):,} time steps{of_series}{distance}.",
        f"""data:
  name: series
  path: {quoted(path)}
{headless}  target: {target}
{grouped}{covariates}  window: {window}    # past time steps the network sees
  horizon: 1     # future time steps it predicts
model:
  name: lstm
  hidden_size: 64
optim:
  name: adam
  lr: 1e-3
  schedule: cosine
  clip: {{norm: 1.0}}
train:
  epochs: {200 if len(frame) < 2000 else 60 if len(frame) < 8000 else 20}
  batch_size: {16 if len(frame) < 2000 else 64}
  early_stopping: {{patience: {40 if len(frame) < 2000 else 10}}}
""",
    )
