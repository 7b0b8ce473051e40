"""The same recordings written in every form that is read."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas

Array = np.ndarray[Any, Any]
Recording = tuple[Array, str]
"""Values (time, channels) and the label."""


def some_recordings(
    count: int = 12, channels: int = 2, lengths: tuple[int, int] = (3, 9), seed: int = 0
) -> list[Recording]:
    """Recordings of random values, lengths in a range, and three classes."""
    rng = np.random.default_rng(seed)
    return [
        (
            rng.normal(size=(int(rng.integers(lengths[0], lengths[1] + 1)), channels)).round(4),
            "abc"[i % 3],
        )
        for i in range(count)
    ]


def _texts(values: Iterable[float]) -> list[str]:
    return [repr(float(value)) for value in values]


def write_ts(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    labels = sorted({label for _, label in recordings})
    channels, lengths = recordings[0][0].shape[1], {len(values) for values, _ in recordings}
    lines = [
        "# a comment",
        "@problemName P",
        f"@dimensions {channels}",
        f"@equalLength {str(len(lengths) == 1).lower()}",
        f"@classLabel true {' '.join(labels)}",
        "@data",
    ]
    for values, label in recordings:
        lines.append(":".join([*(",".join(_texts(channel)) for channel in values.T), label]))
    path = folder / "P.ts"
    path.write_text("\n".join(lines) + "\n")
    return {"path": str(path)}


def write_arff(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    longest = max(len(values) for values, _ in recordings)
    channels = recordings[0][0].shape[1]
    labels = ",".join(sorted({label for _, label in recordings}))
    inner = [f"@attribute t{i} numeric" for i in range(longest)]
    if channels > 1:
        inner = [
            "@attribute relationalAtt relational",
            *(f"  {line}" for line in inner),
            "@end relationalAtt",
        ]
    lines = ["%comment", "@relation P", *inner, f"@attribute classAttribute {{{labels}}}", "@data"]
    for values, label in recordings:
        rows = [",".join([*_texts(c), *["?"] * (longest - len(values))]) for c in values.T]
        body = "'" + "\\n".join(rows) + "'" if channels > 1 else rows[0]
        lines.append(f"{body},{label}")
    path = folder / "P.arff"
    path.write_text("\n".join(lines) + "\n")
    return {"path": str(path)}


def write_folder(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    for i, (values, label) in enumerate(reversed(recordings)):
        place = folder / "by_class" / label
        place.mkdir(parents=True, exist_ok=True)
        with (place / f"r{i}.csv").open("w") as file:
            writer = csv.writer(file)
            writer.writerow(["time", *(f"c{j}" for j in range(values.shape[1]))])
            writer.writerows([str(t), *_texts(row)] for t, row in enumerate(values))
    (folder / "by_class" / recordings[0][1] / ".DS_Store").write_text("x")
    return {"path": str(folder / "by_class")}


def write_bare_folder(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    for i, (values, label) in enumerate(recordings):
        place = folder / "bare" / label
        place.mkdir(parents=True, exist_ok=True)
        decimal = "," if values.shape[1] > 1 else "."
        lines = [";".join(text.replace(".", decimal) for text in _texts(row)) for row in values]
        (place / f"{i}.csv").write_text("\n".join(lines) + "\n")
    return {"path": str(folder / "bare")}


def long_frame(recordings: list[Recording]) -> pandas.DataFrame:
    """A long table whose recordings are in another order."""
    frames = []
    for i, (values, label) in list(enumerate(recordings))[::-1]:
        frame = pandas.DataFrame(values, columns=[f"c{j}" for j in range(values.shape[1])])
        frame.insert(0, "step", range(len(values)))
        frame.insert(0, "rec", f"r{i}")
        frames.append(frame.assign(label=label))
    return pandas.concat(frames, ignore_index=True)


def write_long(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    long_frame(recordings).to_csv(folder / "long.csv", index=False)
    return {"path": str(folder / "long.csv"), "id": "rec", "time": "step", "target": "label"}


def write_shuffled_parquet(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    frame = long_frame(recordings).sample(frac=1, random_state=0)
    frame.to_parquet(folder / "long.parquet")
    return {"path": str(folder / "long.parquet"), "id": "rec", "time": "step", "target": "label"}


def write_joined(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    frame = long_frame(recordings)
    frame.drop(columns="label").to_csv(folder / "steps.csv", index=False)
    labels = frame.groupby("rec").label.first().reset_index()
    labels.to_csv(folder / "labels.csv", index=False)
    return {"path": str(folder / "steps.csv"), "id": "rec", "targets": str(folder / "labels.csv")}


def write_wide(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    """Columns c0_0, c0_1, … of each channel, empty where a recording is shorter."""
    longest = max(len(values) for values, _ in recordings)
    channels = recordings[0][0].shape[1]
    names = [f"c{j}_{t}" for j in range(channels) for t in range(longest)]
    with (folder / "wide.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "label"])
        for values, label in recordings:
            cells = [[*_texts(c), *[""] * (longest - len(values))] for c in values.T]
            writer.writerow([*(cell for channel in cells for cell in channel), label])
    return {"path": str(folder / "wide.csv")}


def write_tsv(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    """The form of UCR: of one channel, the label first, NaN where a recording is shorter."""
    longest = max(len(values) for values, _ in recordings)
    rows = [
        "\t".join([label, *_texts(values[:, 0]), *["NaN"] * (longest - len(values))])
        for values, label in recordings
    ]
    (folder / "P.tsv").write_text("\n".join(rows) + "\n")
    return {"path": str(folder / "P.tsv")}


def write_ragged(folder: Path, recordings: list[Recording]) -> dict[str, Any]:
    """Rows that end where the recording does, of one channel, the label first."""
    rows = [",".join([label, *_texts(values[:, 0])]) for values, label in recordings]
    (folder / "ragged.csv").write_text("\n".join(rows) + "\n")
    return {"path": str(folder / "ragged.csv")}


Writer = Callable[[Path, list[Recording]], dict[str, Any]]
WRITERS: dict[str, Writer] = {
    "ts": write_ts,
    "arff": write_arff,
    "folder": write_folder,
    "bare_folder": write_bare_folder,
    "long": write_long,
    "parquet": write_shuffled_parquet,
    "joined": write_joined,
    "wide": write_wide,
}
