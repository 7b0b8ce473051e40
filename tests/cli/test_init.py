"""`nnzoo init`: bundled configs, tables, series and folders of images."""

from __future__ import annotations

import json
import math
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nnzoo.config.load import bundled_configs, load_config
from tests.cli.first_config import NNZOO


def test_init_copies_a_bundled_config_and_says_what_is_next(nnzoo: NNZOO) -> None:
    result = nnzoo("init", "cnn")
    assert (result.code, result.out) == (0, "cnn.yaml\n")
    assert result.err == "next: nnzoo train --config cnn.yaml\n"
    bundled = next(path for path in bundled_configs() if path.stem == "cnn")
    assert Path("cnn.yaml").read_text() == bundled.read_text()


def test_init_writes_to_the_path_of_out(nnzoo: NNZOO) -> None:
    assert nnzoo("init", "mlp", "deep/mine.yaml").out == "deep/mine.yaml\n"
    assert load_config("deep/mine.yaml").name == "mine"
    Path("there").mkdir()
    assert nnzoo("init", "mlp", "there").out == "there/mlp.yaml\n"


def test_init_replaces_a_file_only_when_forced(nnzoo: NNZOO) -> None:
    Path("cnn.yaml").write_text("mine")
    result = nnzoo("init", "cnn")
    assert result.code == 2
    assert result.err == ("cnn.yaml exists already; name another file, or --force replaces it\n")
    assert Path("cnn.yaml").read_text() == "mine"
    assert nnzoo("init", "--force", "mlp", "cnn.yaml").code == 0
    assert Path("cnn.yaml").read_text() != "mine"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "cnm",
            "no config 'cnm': not a file, not in ./configs, not bundled; did you mean 'cnn'?\n",
        ),
        ("missing.csv", "no file missing.csv\n"),
    ],
)
def test_init_of_what_is_not_there_exits_with_2(nnzoo: NNZOO, source: str, message: str) -> None:
    result = nnzoo("init", source)
    assert (result.code, result.out, result.err) == (2, "", message)
    assert not list(Path().glob("*.yaml"))


def table(path: str, header: bool = True, classes: str = "abc") -> None:
    draw = random.Random(0)
    rows = [
        f"{draw.random():.3f},{draw.choice(['red', 'blue'])},{draw.choice(classes)}"
        for _ in range(60)
    ]
    Path(path).write_text("\n".join(["width,colour,kind", *rows] if header else rows) + "\n")


def images(folder: str, mode: str) -> None:
    for label, value in (("cat", 40), ("dog", 200)):
        (Path(folder) / label).mkdir(parents=True)
        for i in range(10):
            Image.new(mode, (20, 16), value + i if mode == "L" else (value, i, 9)).save(
                Path(folder) / label / f"{i}.png"
            )


def months(path: str, covariate: bool) -> None:
    rows = [
        f"{1950 + i // 12}-{i % 12 + 1:02d},"
        + ("1.5," if covariate else "")
        + f"{100 + i + 10 * math.sin(i / 2):.1f}"
        for i in range(60)
    ]
    header = "month,fuel,passengers" if covariate else "month,passengers"
    Path(path).write_text("\n".join([header, *rows]) + "\n")


def initialised(nnzoo: NNZOO, source: str) -> dict[str, Any]:
    """The resolved config that `init` wrote, after `check` and a dry run of it."""
    result = nnzoo("init", source)
    assert result.code == 0, result.err
    written = result.out.strip()
    checked = nnzoo("check", written, "--json")
    assert checked.code == 0, checked.err
    dry = nnzoo("train", "--dry-run", "--json", written)
    assert dry.code == 0, dry.err
    assert dry.lines[-1]["event"] == "dry-run"
    assert not Path("checkpoints").exists()
    assert not Path(checked.json["name"]).is_absolute()
    return dict(checked.json)


def after_schema(path: str) -> str:
    """A config that `init` wrote, after the line that names its schema to an editor."""
    first, _, text = Path(path).read_text().partition("\n")
    schema = first.removeprefix("# yaml-language-server: $schema=file://")
    assert json.loads(Path(schema).read_text())["properties"]["data"]
    return text


def test_init_of_a_table_writes_a_config_that_trains_on_it(nnzoo: NNZOO, tmp_path: Path) -> None:
    table("shapes.csv")
    actual = initialised(nnzoo, "shapes.csv")
    assert actual["data"]["name"] == "csv"
    assert actual["data"]["path"] == str(tmp_path / "shapes.csv")
    assert actual["data"]["target"] == "kind"
    assert after_schema("shapes.yaml").startswith(
        "# shapes.csv: 60 rows, 1 number, 1 category; the target is 3 classes (a, b, c).\n"
        "#   nnzoo train --config shapes\n"
    )


def test_init_of_a_table_without_a_header_counts_its_columns(nnzoo: NNZOO) -> None:
    table("bare.csv", header=False)
    actual = initialised(nnzoo, "bare.csv")
    assert actual["data"]["header"] is False
    assert actual["data"]["target"] == -1
    assert after_schema("bare.yaml").startswith("# bare.csv: 60 rows,")


def test_init_of_a_series_finds_its_dates_and_season(nnzoo: NNZOO) -> None:
    months("air.csv", covariate=False)
    actual = initialised(nnzoo, "air.csv")
    assert actual["data"]["name"] == "series"
    assert actual["data"]["target"] == "passengers"
    assert after_schema("air.yaml").startswith(
        "# air.csv: 60 time steps, a season of 12 by its dates.\n"
    )


def test_init_of_a_series_names_the_covariates_that_could_be_used(nnzoo: NNZOO) -> None:
    months("air.csv", covariate=True)
    assert initialised(nnzoo, "air.csv")["data"]["covariates"] == "none"
    assert '# or all, or a list: "fuel"\n' in Path("air.yaml").read_text()


def cities(path: str, first: str = "date,city,y", stacked: bool = True) -> None:
    rows = [
        f"2020-{1 + i // 28:02d}-{1 + i % 28:02d},{city},{value + i}.5"
        for city, value in (("Paris", 10), ("Lyon", 90))
        for i in range(40)
    ]
    rows = rows if stacked else sorted(rows)
    Path(path).write_text("\n".join([*([first] if first else []), *rows]) + "\n")


@pytest.mark.parametrize("stacked", [True, False])
def test_init_of_several_series_names_the_column_that_tells_them_apart(
    nnzoo: NNZOO, stacked: bool
) -> None:
    cities("groups.csv", stacked=stacked)
    data = initialised(nnzoo, "groups.csv")["data"]
    assert (data["name"], data["group"], data["target"]) == ("series", "city", "y")
    assert after_schema("groups.yaml").startswith(
        "# groups.csv: 80 time steps of 2 series, a season of 7 by its dates.\n"
    )


def test_init_of_several_series_without_a_header_goes_by_positions(nnzoo: NNZOO) -> None:
    cities("bare.csv", first="")
    data = initialised(nnzoo, "bare.csv")["data"]
    assert (data["name"], data["header"], data["group"], data["target"]) == (
        "series",
        False,
        "1",
        -1,
    )


def test_init_takes_words_beside_rising_dates_for_a_table(nnzoo: NNZOO) -> None:
    rows = [
        f"2020-{1 + i // 28:02d}-{1 + i % 28:02d},{['sun', 'rain'][i % 2]},{i}.5" for i in range(60)
    ]
    Path("weather.csv").write_text("date,sky,y\n" + "\n".join(rows) + "\n")
    assert initialised(nnzoo, "weather.csv")["data"]["name"] == "csv"


def test_init_of_a_series_without_a_header_takes_its_last_number(nnzoo: NNZOO) -> None:
    rows = [f"{i}.5,2020-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(60)]
    Path("bare.csv").write_text("\n".join(rows) + "\n")
    assert initialised(nnzoo, "bare.csv")["data"]["target"] == "0"


def test_init_does_not_take_thousands_for_dates(nnzoo: NNZOO) -> None:
    rows = [f'"1,{200 + i}",{i % 7}.5' for i in range(60)]
    Path("money.csv").write_text("price,y\n" + "\n".join(rows) + "\n")
    assert nnzoo("init", "money.csv").code == 0
    assert load_config("money").data.name == "csv"


def disordered() -> None:
    months("d.csv", covariate=False)
    first, second, *rest = Path("d.csv").read_text().splitlines()
    Path("d.csv").write_text("\n".join([first, *rest, second]) + "\n")


def gappy() -> None:
    months("d.csv", covariate=False)
    lines = Path("d.csv").read_text().splitlines()
    lines[9] = lines[9].split(",")[0] + ","
    Path("d.csv").write_text("\n".join(lines) + "\n")


def one_class() -> None:
    images("d", "RGB")
    shutil.rmtree("d/cat")


def empty_class() -> None:
    images("d", "RGB")
    Path("d/fox").mkdir()


def no_class() -> None:
    Path("d").mkdir()
    Image.new("RGB", (8, 8)).save("d/a.png")


def test_init_and_train_say_which_rows_of_a_series_have_no_target(nnzoo: NNZOO) -> None:
    gappy()
    assert nnzoo("init", "d.csv").code == 0
    message = "left out inside the series: 1 row without a value of 'passengers', first data row 9"
    assert message in Path("d.yaml").read_text()
    result = nnzoo("train", "--config", "d", "--set", "train.epochs=1")
    assert result.code == 0
    assert message in " ".join(result.err.split())


def test_init_of_a_series_in_disorder_says_that_it_is_sorted(nnzoo: NNZOO) -> None:
    disordered()
    assert initialised(nnzoo, "d.csv")["data"]["name"] == "series"
    note = "1 row is earlier than the row before: the file is sorted by 'month'"
    assert f"# {note}" in Path("d.yaml").read_text()


@pytest.mark.parametrize(
    ("make", "comment"),
    [
        (
            one_class,
            "# cannot train yet: d has 1 class folder(s); a classifier needs at least two (labels come from the names of folders, not from .txt, .csv or other files)",
        ),
        (empty_class, "# left out: 1 folder without images (fox/)"),
        (
            no_class,
            "# cannot train yet: d has no class folders; put each class's images into its own",
        ),
    ],
)
def test_init_of_images_that_cannot_train_writes_a_config_that_says_why(
    nnzoo: NNZOO, make: Callable[[], Any], comment: str
) -> None:
    make()
    assert nnzoo("init", "d").code == 0
    assert comment in Path("d.yaml").read_text().splitlines()
    message = "cannot train" in comment
    result = nnzoo("check", "d")
    assert result.code == (3 if message else 0)
    assert comment.partition(": ")[2] in " ".join((result.out + result.err).split())


def test_init_of_images_sees_their_size_and_colour(nnzoo: NNZOO) -> None:
    images("pets", "RGB")
    actual = initialised(nnzoo, "pets")
    assert (actual["data"]["name"], actual["data"]["size"], actual["data"]["color"]) == (
        "image_folder",
        28,
        True,
    )
    images("gray", "L")
    assert nnzoo("init", "gray").code == 0
    assert load_config("gray").data.color is False  # type: ignore[attr-defined]


def test_init_of_images_leaves_out_what_it_cannot_read(nnzoo: NNZOO) -> None:
    images("pets", "RGB")
    bomb = bytearray(Path("pets/cat/0.png").read_bytes())
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    Path("pets/cat/0.png").write_bytes(bomb)
    assert nnzoo("init", "pets").code == 0
    assert load_config("pets").data.size == 28  # type: ignore[attr-defined]


def test_init_into_another_folder_writes_a_path_that_fits(nnzoo: NNZOO, tmp_path: Path) -> None:
    Path("raw").mkdir()
    table("raw/t.csv")
    assert nnzoo("init", "raw/t.csv", "deep/er/t.yaml").code == 0
    assert f'path: "{tmp_path}/raw/t.csv"' in Path("deep/er/t.yaml").read_text()
    assert load_config("deep/er/t.yaml").data.path == str(tmp_path / "raw" / "t.csv")  # type: ignore[attr-defined]


def test_init_of_a_file_with_an_odd_name_names_the_run(nnzoo: NNZOO) -> None:
    table("my data, 1.csv")
    assert initialised(nnzoo, "my data, 1.csv")["name"] == "my-data-1"
    assert "nnzoo train --config 'my data, 1'\n" in Path("my data, 1.yaml").read_text()


def test_init_survives_names_and_labels_with_line_breaks_and_quotes(nnzoo: NNZOO) -> None:
    kinds = ["do\nwn", "up: #1"]
    rows = "".join(f'{i * 0.37 % 1:.3f},{i * 0.11 % 1:.3f},"{kinds[i % 2]}"\n' for i in range(60))
    Path("odd.csv").write_text('a,b,"the ""kind"",\nof: it"\n' + rows)
    assert nnzoo("init", "odd.csv").code == 0
    actual = load_config("odd")
    assert actual.data.target == 'the "kind",\nof: it'  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", [lambda: Path("d").mkdir(), lambda: Path("d").write_text("")])
def test_init_of_data_that_cannot_be_read_exits_with_3(
    nnzoo: NNZOO, make: Callable[[], Any]
) -> None:
    make()
    result = nnzoo("init", "d")
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith("d ") or "d:" in result.err
    assert not Path("d.yaml").exists()
