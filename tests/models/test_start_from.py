"""Fine-tuning: what a network takes of trained weights, by shape and by name, and what is noted of the rest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.config.load import load_config
from nnzoo.errors import ConfigError, UsageError
from tests.data.text_files.writing import some_documents, write_csv
from tests.models.started_runs import (
    CNN,
    MLP,
    SOURCE,
    best_network,
    note_of,
    start_run,
    train_run,
    write_columns,
)
from tests.zoo import begin, config


def test_columns_and_labels_are_matched_by_name() -> None:
    old = {
        "age": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "color": ["red", "blue", "red", "red", "blue", "red"],
        "y": ["cat", "dog", "eel", "cat", "dog", "eel"],
    }
    train_run({"name": "mlp", "hidden": [6]}, write_columns(old, "old.csv"))
    new = {
        "size": [9.5, 3.0, 1.0, 7.0, 2.0, 4.0],
        "age": old["age"],
        "color": ["green", "blue", "green", "blue", "blue", "green"],
        "y": ["dog", "cat", "ant", "dog", "cat", "ant"],
    }
    run = start_run({"name": "mlp", "hidden": [6]}, write_columns(new, "new.csv"))
    before, after = best_network().model.state_dict(), run.network.model.state_dict()
    fresh = begin(
        config({"name": "mlp", "hidden": [6]}, write_columns(new, "new.csv"), seed=5, name="x")
    )
    random = fresh.network.model.state_dict()
    # There: age, color=blue, color=red. Here: size, age, color=blue, color=green.
    assert torch.equal(after["1.weight"][:, 1:3], before["1.weight"][:, 0:2])
    assert torch.equal(after["1.weight"][:, [0, 3]], random["1.weight"][:, [0, 3]])
    # There: cat, dog, eel. Here: ant, cat, dog.
    assert torch.equal(after["3.weight"][1:], before["3.weight"][:2])
    assert torch.equal(after["3.bias"][1:], before["3.bias"][:2])
    assert torch.equal(after["3.weight"][0], random["3.weight"][0])
    assert torch.equal(after["1.bias"], before["1.bias"])
    assert note_of(run, "taken in part") == (
        "taken in part: 1.weight (2 of 4 inputs by name; new: size, color=green), "
        "3.weight (2 of 3 labels by name; new: ant), 3.bias (2 of 3 labels by name; new: ant)"
    )
    assert note_of(run, "scaling of the inputs").endswith("as the columns there are age, color")


def test_classes_of_other_names_have_a_new_output_layer_although_its_shape_fits() -> None:
    values = {"a": [1.0, 2.0, 3.0], "y": ["cat", "dog", "eel"]}
    train_run(MLP, write_columns(values, "old.csv"))
    values["y"] = ["ant", "bee", "fly"]
    run = start_run(MLP, write_columns(values, "new.csv"))
    assert note_of(run, "new, at").startswith(
        "new, at their random start: 3.weight ((3, 16), (3, 16) there; of other labels), 3.bias ("
    )


def test_vectors_of_tokens_are_matched_by_token() -> None:
    data = {"name": "text", "target": "label"}
    files = []
    for i, name in enumerate(("old", "new")):
        Path(name).mkdir()
        files.append(write_csv(Path(name).resolve(), some_documents(40 + 7 * i, seed=i)))
    model = {"name": "mlp", "hidden": [], "embedding": 8}
    train_run(model, data | files[0])
    run = start_run(model, data | files[1])
    source = best_network()
    ours, theirs = (n.data_spec.tokenizer for n in (run.network, source))
    assert ours is not None and theirs is not None
    names = [next(iter(n.model.state_dict())) for n in (run.network, source)]
    vectors, before = run.network.model.state_dict()[names[0]], source.model.state_dict()[names[1]]
    common = [token for token in ours.vocabulary if token in theirs.ids]
    assert len(common) > 3
    for token in common:
        assert torch.equal(vectors[ours.ids[token]], before[theirs.ids[token]])


def test_windows_that_are_flattened_are_matched_by_column_at_each_time_step() -> None:
    old = {"a": list(range(40)), "b": [i % 3 for i in range(40)], "c": [i % 5 for i in range(40)]}
    more = {"name": "series", "window": 4, "target": "a", "covariates": "all"}
    model = {"name": "mlp", "hidden": [5]}
    train_run(model, write_columns(old, "old.csv") | more)
    new = {"c": old["c"], "a": old["a"], "d": old["b"]}
    run = start_run(model, write_columns(new, "new.csv") | more)
    before, after = best_network().model.state_dict(), run.network.model.state_dict()
    names = [network.data_spec.column_names for network in (best_network(), run.network)]
    for step in range(4):
        for name in ("a", "c"):
            there, here = (step * 3 + columns.index(name) for columns in names)
            assert torch.equal(after["1.weight"][:, here], before["1.weight"][:, there])
    assert "2 of 3 columns by name; new: d" in note_of(run, "taken in part")


def test_components_of_another_pca_are_other_inputs() -> None:
    pca = {"name": "digits", "preprocess": {"pca": 8}}
    train_run(MLP, pca)
    kept = start_run(MLP, pca)
    assert not note_of(kept, "new, at")
    shutil.rmtree("out/tuned")
    fitted = start_run(
        MLP,
        pca | {"split": {"seed": 9}},
        {"path": SOURCE, "scaling": "fit"},
    )
    assert "((16, 8), (16, 8) there; of other inputs)" in note_of(fitted, "new, at")


def test_every_mismatch_is_named_with_both_shapes_and_long_lists_are_counted() -> None:
    train_run(CNN | {"channels": [4, 8], "head": {"hidden": [9]}}, "image")
    model = CNN | {"channels": [4, 6, 5], "activation": "tanh"}
    run = start_run(model | {"freeze": ["features.4.*"]}, "image")
    new = note_of(run, "new, at their random start")
    assert "features.4.weight ((6, 4, 3, 3), (8, 4, 3, 3) there)" in new
    assert "features.8.weight (5, 6, 3, 3) (no such tensor there)" in new
    assert "head.2.weight (10, 5) (no such tensor there)" in new
    assert note_of(run, "left there").startswith(
        "left there: head.1.weight (9, 32), head.1.bias (9,)"
    )
    assert note_of(run, "frozen at their") == "frozen at their random start: features.4.weight"
    assert note_of(run, "other options").startswith(
        "other options: model.channels [4, 8] there, [4, 6, 5] here, model.activation relu there"
    )


def test_nothing_that_fits_is_an_error_that_names_both_sides() -> None:
    train_run("gru", "image")
    with pytest.raises(ConfigError, match=r"none of the \d+ tensors .* fits this network") as info:
        start_run(CNN, "image")
    assert "rnn.weight_ih_l0 (" in str(info.value) and "features.0.weight (4, 1" in str(info.value)


def test_values_that_are_not_finite_are_not_taken() -> None:
    torch.save({"1.weight": torch.full((16, 64), torch.nan)}, "x.pt")
    with pytest.raises(ConfigError, match=r"'1\.weight' there holds values that are not finite"):
        start_run(MLP, "image", "x.pt")


def test_a_state_dict_of_pytorch_is_taken_by_position_and_type() -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16)).half()
    state = {f"module.{name}": t for name, t in module.state_dict().items()}
    torch.save(
        {"epoch": 3, "state_dict": state | {"module.3.weight": torch.ones(10, 16).int()}}, "x.pt"
    )
    run = start_run(MLP, "image", "x.pt")
    assert torch.equal(run.network.model.state_dict()["1.weight"], state["module.1.weight"].float())
    assert "3.weight (float32; int32 there), 3.bias (10,) (no such tensor there)" in note_of(
        run, "new"
    )
    assert "training rows, as x.pt holds none" in note_of(run, "scaling of the inputs").replace(
        f"{Path.cwd()}/", ""
    )


def test_a_run_is_the_same_one_wherever_the_same_weights_lie() -> None:
    train_run(CNN, "image")
    shutil.copytree(SOURCE, "copy")
    train_run(CNN | {"start_from": SOURCE}, "image", "run", train={"epochs": 1})
    begin(config(CNN | {"start_from": "copy"}, "image", name="run")).lock.release()
    begin(config(CNN | {"start_from": "gone"}, "image", name="run")).lock.release()
    train_run(CNN, "image", "other", seed=9)
    with pytest.raises(UsageError, match=f"start_from: {SOURCE} there, other weights here"):
        begin(config(CNN | {"start_from": "out/other"}, "image", name="run"))
    with pytest.raises(UsageError, match=r"start_from: .* not set here"):
        begin(config(CNN, "image", name="run"))
    with pytest.raises(UsageError, match="scaling: auto"):
        fit = {"path": SOURCE, "scaling": "fit"}
        begin(config(CNN | {"start_from": fit}, "image", name="run"))


def test_paths_are_relative_to_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("sub").mkdir()
    text = "name: x\ndata: {name: digits}\nmodel: {name: mlp, start_from: SOURCE}\n"
    for name, value in (("a", "runs/a"), ("b", "{path: runs/a, scaling: fit}")):
        Path(f"sub/{name}.yaml").write_text(text.replace("SOURCE", value))
        source: Any = load_config(f"sub/{name}.yaml").model
        assert source.source.path == str(Path("sub/runs/a").resolve())
    changed: Any = load_config("sub/a.yaml", ["model.start_from=runs/b"]).model
    assert changed.source.path == str(Path("runs/b").resolve())


def test_a_plain_sequential_is_taken_where_its_names_are_those_of_the_network() -> None:
    first, last = torch.nn.Linear(64, 16), torch.nn.Linear(16, 10)
    layers = [first, torch.nn.ReLU(), last]
    torch.save(torch.nn.Sequential(torch.nn.Flatten(), *layers).state_dict(), "same.pt")
    run = start_run(MLP, "image", "same.pt")
    after = run.network.model.state_dict()
    assert torch.equal(after["1.weight"], first.weight)
    assert torch.equal(after["3.bias"], last.bias)
    assert "4 of 4 tensors came from there" in note_of(run, "started from")
    torch.save(torch.nn.Sequential(*layers).state_dict(), "other.pt")
    with pytest.raises(ConfigError, match="none of the 4 tensors of") as error:
        begin(config(MLP | {"start_from": "other.pt"}, "image", name="other"))
    assert "it has 0.weight (16, 64)" in str(error.value)
    assert "the network has 1.weight (16, 64)" in str(error.value)
