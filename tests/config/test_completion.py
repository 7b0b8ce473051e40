"""Keys and values that complete KEY=VALUE, by the options and the config so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from nnzoo.config.completion import (
    complete_setting,
    complete_value,
    config_so_far,
    files_below,
)
from nnzoo.config.load import bundled_configs, load_config
from nnzoo.config.model_options import Activation
from nnzoo.config.registry import DATA, MODELS


def texts(incomplete: str, tree: dict[str, Any] | None = None) -> list[str]:
    return [text for text, _ in complete_setting(incomplete, tree or {})]


CNN = config_so_far("cnn", [])


def test_sections_come_first() -> None:
    assert texts("") == ["data.", "model.", "optim.", "train.", "eval.", "name=", "seed="]
    assert texts("na") == ["name="]


def test_keys_are_those_of_the_config() -> None:
    assert "model.kernel_size=" in texts("model.", CNN)
    assert "model.hidden_size=" not in texts("model.", CNN)
    assert "model.hidden_size=" in texts("model.")
    assert texts("model.channels", CNN)[0] == "model.channels="
    lstm = config_so_far("cnn", ["model.name=lstm", "optim.name=sgd"])
    assert "model.forget_bias=" in texts("model.", lstm)
    assert texts("optim.mom", lstm) == ["optim.momentum=", "optim.momentum=0.9"]
    assert "data.augment." in texts("data.", CNN) and "data.window=" not in texts("data.", CNN)
    named = config_so_far(None, ["model=gru"])
    assert "model.channels=" not in texts("model.", named)


def test_nested_keys_follow_the_chosen_name() -> None:
    cosine = config_so_far(None, ["optim.schedule=cosine"])
    keys = ["optim.schedule.final=", "optim.schedule.name=", "optim.schedule.warmup="]
    assert texts("optim.schedule.", cosine) == keys
    assert "optim.schedule.gamma=" in texts("optim.schedule.")
    assert texts("model.head.", CNN) == [
        f"model.head.{k}=" for k in ("dropout", "hidden", "pooling")
    ]
    assert "train.early_stopping.patience=" in texts("train.early_stopping.")
    assert {"train.early_stopping=", "train.early_stopping."} == set(texts("train.early"))
    assert texts("nothing.at.") == texts("model.activation.") == []


def test_a_single_key_goes_on_with_what_follows() -> None:
    assert texts("mod", CNN) == texts("model.", CNN)
    head = texts("model.head.pool", CNN)
    assert head == [
        "model.head.pooling=",
        *(f"model.head.pooling={v}" for v in ("flatten", "average", "max")),
    ]


def test_values_are_choices_names_and_defaults() -> None:
    assert texts("model.activation=", CNN) == [
        f"model.activation={v}" for v in get_args(Activation)
    ]
    assert texts("model.activation=re", CNN) == ["model.activation=relu"]
    assert texts("model.name=") == [f"model.name={name}" for name in MODELS.names()]
    assert texts("data.name=") == [f"data.name={name}" for name in DATA.names()]
    assert texts("train.tensorboard=") == ["train.tensorboard=true", "train.tensorboard=false"]
    assert texts("optim.schedule.name=c") == [
        f"optim.schedule.name={n}" for n in ("constant", "cosine", "coslog")
    ]
    assert texts("optim.schedule=lin") == ["optim.schedule=linear"]
    assert texts("optim.clip.norm=n") == ["optim.clip.norm=null"]
    assert texts("model.hidden=", config_so_far("mlp", [])) == ["model.hidden=[512,256]"]
    assert complete_value("optim.lr", "", CNN) == [("0.001", "default")]
    assert dict(complete_value("model.norm", "", CNN))["none"] == "default"
    assert texts("seed=") == texts("name=") == texts("model.gone=") == []


def test_values_that_are_offered_are_valid() -> None:
    for key in ("model.activation", "model.norm", "optim.schedule", "train.loss", "model.init"):
        for value, _ in complete_value(key, "", CNN):
            if (key, value) not in [("train.loss", "quantile")]:
                load_config("cnn", [f"{key}={value}"])


@pytest.mark.parametrize("source", [path.stem for path in bundled_configs()])
def test_keys_that_are_offered_are_those_of_the_loaded_config(source: str) -> None:
    config, tree = load_config(source), config_so_far(source, [])
    for section in ("data", "model", "optim", "train", "eval"):
        offered = {text.rstrip(".=") for text in texts(f"{section}.", tree)}
        fields = {f"{section}.{key}" for key in type(getattr(config, section)).model_fields}
        assert offered | {f"{section}.name"} == fields | {f"{section}.name"}


def test_columns_of_the_file_are_offered_for_keys_that_name_them() -> None:
    Path("d").mkdir()
    Path("d/t.csv").write_text("age;a b;sex\n1;2;3\n")
    Path("d/c.yaml").write_text("data: {name: csv, path: t.csv, target: sex}\nmodel: mlp\n")
    tree = config_so_far("d/c.yaml", [])
    assert texts("data.target=a", tree) == ["data.target=age", "data.target=a b"]
    assert "data.split.group=sex" in texts("data.split.group=", tree)
    assert texts("data.header=", tree) == [f"data.header={v}" for v in ("auto", "true", "false")]
    for path in ("d/gone.csv", "d/c.yaml", "d"):
        assert "data.target=age" not in texts(
            "data.target=", config_so_far("d/c.yaml", [f"data.path={path}"])
        )


def test_a_config_that_cannot_be_read_offers_all_keys() -> None:
    Path("broken.yaml").write_text("model: [\n")
    Path("list.yaml").write_text("- 1\n")
    for source in ("broken.yaml", "list.yaml", "gone", "x.csv"):
        assert texts("model.", config_so_far(source, [])) == texts("model.")
    assert config_so_far(None, ["=", "a..b=1", "x"]) == {"x": None}


def test_files_and_folders_continue_a_path() -> None:
    for name in ("a/b/c.yaml", "a/b/d.csv", "e.yaml", ".hidden", "line\nend.yaml"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    assert files_below("", (".yaml",)) == ["a/", "cache/", "e.yaml"]
    assert files_below("a/") == ["a/b/c.yaml", "a/b/d.csv"] == files_below("a")
    assert files_below("a", (".pt",)) == ["a/b/"]
    assert files_below("a", (), lambda path: path.name == "b") == ["a/b"]
    assert files_below("gone/") == [] and files_below("\0/") == []
    assert files_below(f"{Path.cwd()}/e") == [f"{Path.cwd()}/e.yaml"]
    assert texts("data.test_path=a/b/d") == ["data.test_path=a/b/d.csv"]
