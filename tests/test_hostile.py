"""Run folders, checkpoints and configs that a stranger made: bounded, and nothing written elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import nnzoo as zoo
from nnzoo.config import MODELS
from nnzoo.config.run_config import from_dict
from nnzoo.data.data_spec import InputSpec
from nnzoo.data.vision_datasets import import_torchvision
from nnzoo.errors import ConfigError
from nnzoo.models import network as networks
from nnzoo.runs import checkpoint

NNZOO = Callable[..., Any]
AVERAGE = "data: digits\nmodel: {name: cnn, channels: [4], pool: avg, head: {pooling: average}}\n"


def trained(nnzoo: NNZOO, text: str) -> Path:
    Path("r.yaml").write_text(f"{text}train: {{epochs: 1}}\n")
    assert nnzoo("train", "r.yaml", "-v", "0").code == 0
    return Path("checkpoints/r/best.pt")


def image() -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("p.png")


def forged(path: Path, shape: list[int], **model: Any) -> None:
    """The checkpoint with another shape of its inputs, and weights that fit it."""
    content = checkpoint.load(path)
    content["data"]["shape"] = shape
    content["config"]["model"] |= model
    options = from_dict(content["config"], "forged").model
    kind = InputSpec(content["data"]["kind"], tuple(shape))
    entry = MODELS.get(options.name)
    assert entry is not None
    outputs = len(content["data"]["spec"]["labels"])
    content["model"] = entry.load()(options, kind, outputs).state_dict()
    checkpoint.save(path, content)


# Memory: what a few kB unfold to is known before it is made.


def test_a_small_checkpoint_of_large_inputs_is_refused(nnzoo: NNZOO) -> None:
    path = trained(nnzoo, AVERAGE)
    forged(path, [1, 8000, 8000], channels=[8])
    assert path.stat().st_size < 10_000
    image()
    for words in (["predict", path, "p.png"], ["export", path], ["eval", path], ["inspect", path]):
        result = nnzoo(*words)
        assert result.code == 5
        assert "one input of 1×8000×8000 makes 576,000,000 numbers in one layer" in result.err


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ({"name": "cnn", "channels": [2, 4000]}, InputSpec("image", (3, 300, 300))),
        ({"name": "cnn", "channels": [128], "kernel_size": 3}, InputSpec("series", (1_000_000, 2))),
        ({"name": "cnn", "channels": [900], "residual": True}, InputSpec("image", (1, 300, 300))),
        (
            {"name": "cnn", "channels": [1], "stride": 2000, "padding": "valid", "kernel_size": 1},
            InputSpec("image", (1, 9000, 9000)),
        ),
        ({"name": "lstm", "hidden_size": 500}, InputSpec("series", (1_000_000, 1))),
        ({"name": "gru", "hidden_size": 4000}, InputSpec("image", (3, 10_000, 10))),
        ({"name": "mlp", "hidden": [1]}, InputSpec("image", (1, 9000, 9000))),
    ],
)
def test_what_one_sample_takes_in_a_layer_is_bounded_for_every_network(
    model: dict[str, Any], kind: InputSpec
) -> None:
    config = from_dict({"name": "x", "data": "digits", "model": model}, "x")
    entry = MODELS.get(config.model.name)
    assert entry is not None
    with torch.device("meta"):
        built = entry.load()(config.model, kind, 10)
    with pytest.raises(ConfigError, match="numbers in one layer; at most"):
        networks._check_activations(max(kind.size, getattr(built, "activations", 0)), kind)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ({"name": "cnn", "channels": [32, 64, 128]}, InputSpec("image", (3, 512, 512))),
        ({"name": "lstm", "hidden_size": 256}, InputSpec("series", (10_000, 8))),
        ({"name": "mlp"}, InputSpec("image", (3, 1024, 1024))),
    ],
)
def test_usual_networks_are_far_from_the_bound(model: dict[str, Any], kind: InputSpec) -> None:
    config = from_dict({"name": "x", "data": "digits", "model": model}, "x")
    entry = MODELS.get(config.model.name)
    assert entry is not None
    with torch.device("meta"):
        built = entry.load()(config.model, kind, 10)
    networks._check_activations(max(kind.size, getattr(built, "activations", 0)), kind)


def test_an_export_of_large_inputs_is_compared_on_fewer(nnzoo: NNZOO) -> None:
    from nnzoo.export import checked_batches

    path = trained(nnzoo, AVERAGE)
    forged(path, [1, 1200, 1200])
    assert checked_batches(zoo.load(path).network) == (1, 3)


# Weights and answers that are no numbers.


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("part", ["model", "preprocess"])
def test_weights_that_are_no_numbers_are_refused(nnzoo: NNZOO, part: str, value: float) -> None:
    path = trained(nnzoo, "data: iris\nmodel: {name: mlp, hidden: [4]}\n")
    content = checkpoint.load(path)
    name, tensor = next((k, t) for k, t in content[part].items() if t.is_floating_point())
    tensor.view(-1)[0] = value
    checkpoint.save(path, content)
    result = nnzoo("eval", path)
    assert result.code == 5
    assert f"{part}: '{name}' holds values that are not finite numbers" in result.err


def test_a_prediction_of_nan_is_noted_and_names_no_class(nnzoo: NNZOO) -> None:
    rows = "".join(f"{i},{i % 7},{'no' if i % 2 else 'yes'}\n" for i in range(60))
    Path("t.csv").write_text(f"a,b,kind\n{rows}")
    path = trained(nnzoo, "data: {name: csv, path: t.csv}\nmodel: {name: mlp, hidden: [4]}\n")
    content = checkpoint.load(path)
    for name, tensor in content["model"].items():  # finite, but the sums are not
        tensor.fill_(1e38 if "head" in name or "bias" in name or tensor.shape[0] == 2 else 0.0)
    checkpoint.save(path, content)
    result = nnzoo("predict", path, "t.csv")
    assert "60 of 60 answers are not numbers (nan), the first: " in result.err
    assert {line.split(",")[1] for line in result.out.splitlines()[1:]} == {""}
    predictions = zoo.load(path).predict("t.csv")
    assert predictions.labels == [""] * 60
    assert any("not numbers" in note for note in predictions.notes)


# A config names nothing to write to.

SWEEP = """\
data: iris
model: {name: mlp, hidden: [4]}
train: {epochs: 1, precision: fp32}
sweep:
  trials: 1
  storage: STORAGE
  space: {optim.lr: [0.1]}
"""


def tree_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "storage",
    [
        "../victim.db",
        "made/here.db",
        "study.log",
        "/tmp/nnzoo-never.log",
        "~/never.db",
        "sqlite:///victim.db",
        "postgresql://h/d",
        "checkpoints/link/x.db",
        "checkpoints/../x.db",
    ],
)
def test_a_config_cannot_have_a_study_written_elsewhere(
    storage: str, nnzoo: NNZOO, tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    Path("checkpoints").mkdir()
    Path("elsewhere").mkdir()
    Path("checkpoints/link").symlink_to(tmp_path / "elsewhere")
    Path("s.yaml").write_text(SWEEP.replace("STORAGE", storage))
    before = tree_of(tmp_path)
    result = nnzoo("sweep", "s.yaml")
    assert result.code == 2
    assert (
        "s.yaml:6:12  sweep.storage  a config file may keep a study below checkpoints" in result.err
    )
    assert "-s sweep.storage=" in result.err
    made = tree_of(tmp_path) - before
    assert not any(name for name in made if not name.startswith(("cache", "checkpoints/s")))
    assert not any(name.endswith((".db", ".log")) for name in made)


@pytest.mark.parametrize("storage", ["checkpoints/mine.db", "checkpoints/s/mine.log"])
def test_a_config_may_keep_its_study_below_the_runs_and_the_command_line_anywhere(
    storage: str, nnzoo: NNZOO, tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    Path("s.yaml").write_text(SWEEP.replace("STORAGE", storage))
    assert nnzoo("sweep", "s.yaml").code == 0
    assert Path(storage).is_file()
    Path("s.yaml").write_text(SWEEP.replace("STORAGE", "/elsewhere/x.db"))
    other = nnzoo("sweep", "s.yaml", "--out", "o", "-s", f"sweep.storage={tmp_path / 'named.db'}")
    assert other.code == 0
    assert Path("named.db").is_file()


def test_a_database_or_a_file_of_something_else_stays_as_it_is(nnzoo: NNZOO) -> None:
    pytest.importorskip("optuna")
    import os
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect("notes.db")) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.commit()
    Path("app.log").write_text('{"level": "info"}\n{"level": "warn"}\n')
    Path("text.log").write_text("no JSON\nat all\n")
    Path("list.log").write_text("[1]\n")
    Path("bad.log").write_text('{"op_code": 4}\n')
    os.mkfifo("pipe.db")
    Path("link.db").symlink_to("notes.db")
    Path("s.yaml").write_text(SWEEP.replace("STORAGE", "auto"))
    for name in ("notes.db", "app.log", "text.log", "list.log", "bad.log", "pipe.db", "link.db"):
        content = Path(name).read_bytes() if Path(name).is_file() else b""
        result = nnzoo("sweep", "s.yaml", "-s", f"sweep.storage={name}")
        assert result.code == 2, name
        assert result.err.startswith("cannot open the study in "), result.err
        assert "internal error" not in result.err
        assert not content or Path(name).read_bytes() == content


def test_a_link_in_place_of_a_studys_files_is_not_followed(nnzoo: NNZOO, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    Path("s.yaml").write_text(SWEEP.replace("STORAGE", "auto"))
    Path("elsewhere").mkdir()
    Path("checkpoints/s").mkdir(parents=True)
    Path("checkpoints/s/trials").symlink_to(tmp_path / "elsewhere")
    assert nnzoo("sweep", "s.yaml").code == 5
    Path("checkpoints/s/trials").unlink()
    Path("checkpoints/s/sweep.db").symlink_to(tmp_path / "elsewhere" / "x.db")
    assert "is a link" in nnzoo("sweep", "s.yaml").err
    assert not list(Path("elsewhere").iterdir())


def test_a_config_file_has_nothing_downloaded_elsewhere(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mnist = import_torchvision("torchvision.datasets").MNIST
    asked: list[Path] = []

    def fake(self: Any, root: Any, download: bool = False, **_: Any) -> None:
        if download:
            asked.append(Path(root))
        raise RuntimeError("not found")

    monkeypatch.setattr(mnist, "__init__", fake)
    Path("work").mkdir()
    Path("configs").mkdir()
    monkeypatch.chdir("work")
    config = tmp_path / "configs" / "m.yaml"

    def train(root: str, *more: str) -> Any:
        config.write_text(f"data: {{name: mnist, root: {root}}}\nmodel: mlp\n")
        return nnzoo("train", config, *more)

    for root in ("/elsewhere", "../victim", "~/x"):
        result = train(root)
        assert result.code == 3 and not asked
        assert ":1:27  data.root  'mnist' is not in" in result.err
        assert "-s data.root=" in result.err
    for root, more in (
        ("data", ()),
        (str(tmp_path / "work" / "d"), ()),
        ("/elsewhere", ("-s", f"data.root={tmp_path / 'named'}")),
    ):
        asked.clear()
        assert "its download failed" in train(root, *more).err
        assert asked


def test_what_torch_save_once_wrote_for_mnist_is_not_read(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("data/MNIST/processed")
    folder.mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(4, 28, 28, dtype=torch.uint8), torch.arange(4)), folder / name)
    loaded: list[Any] = []
    monkeypatch.setattr(torch, "load", lambda *a, **k: loaded.append(a))
    mnist = import_torchvision("torchvision.datasets").MNIST
    monkeypatch.setattr(mnist, "download", lambda self: 1 / 0)
    Path("m.yaml").write_text("data: mnist\nmodel: mlp\n")
    result = nnzoo("train", "m.yaml")
    assert (result.code, loaded) == (3, [])


# A machine that lacks what one expects.


def test_without_a_home_folder_the_cache_is_private(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import os
    import tempfile

    from nnzoo import cache

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("NNZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cache._private_tmp_dir.cache_clear()
    folder = cache.cache_dir()
    assert folder == tmp_path / f"nnzoo-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    cache._private_tmp_dir.cache_clear()
    other = cache.cache_dir()
    assert other != folder and other.stat().st_mode & 0o777 == 0o700
    cache._private_tmp_dir.cache_clear()


def test_a_working_folder_that_is_gone_is_one_message(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    Path("gone").mkdir()
    os.chdir("gone")
    os.rmdir("../gone")
    for words in (["train", "cnn"], ["predict", "x", "y"], ["runs"]):
        result = nnzoo(*words)
        assert result.code == 2
        assert result.err == "the working folder no longer exists; change to another one\n"
