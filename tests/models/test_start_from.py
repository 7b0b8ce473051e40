"""Fine-tuning: what a network takes of trained weights, by shape and by name, and what is noted of the rest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.config.load import load_config
from nnzoo.errors import CheckpointError, ConfigError, UsageError
from nnzoo.models.network import Network
from nnzoo.runs import checkpoint
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run import Run
from nnzoo.runs.run_group import seeds
from nnzoo.runs.run_index import members_of
from tests.data.text_files.writing import some_documents, write_csv
from tests.zoo import begin, config, finish, same

CPU = torch.device("cpu")
CNN = {"name": "cnn", "channels": [4, 8], "norm": "batch", "head": {"pooling": "average"}}
MLP = {"name": "mlp", "hidden": [16]}
SOURCE = "out/source"


def train(model: Any, data: Any, name: str = "source", **more: Any) -> Run:
    run = begin(config(model, data, name=name, **more))
    finish(run)
    return run


def start(model: dict[str, Any], data: Any, source: Any = SOURCE, **more: Any) -> Run:
    """A new run that starts from trained weights."""
    run = begin(config(model | {"start_from": source}, data, seed=5, name="tuned", **more))
    run.lock.release()
    return run


def best(folder: str = SOURCE) -> Network:
    return LoadedRun.open(Path(folder), CPU).network


def note(run: Run, beginning: str) -> str:
    """The one note with this beginning; "" without one."""
    notes = [text for text in run.notes if text.startswith(beginning)]
    assert len(notes) < 2
    return notes[0] if notes else ""


def table(columns: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The options of a table with 40 rows, which repeat the given ones."""
    rows = len(next(iter(columns.values())))
    lines = [",".join(str(values[i % rows]) for values in columns.values()) for i in range(40)]
    Path(name).write_text("\n".join([",".join(columns), *lines]) + "\n")
    return {"name": "csv", "path": str(Path(name).resolve())}


def test_the_same_network_starts_as_it_was_with_the_statistics_of_its_source() -> None:
    source = train(MLP, "table_number")
    run = start(MLP, {"name": "diabetes", "split": {"seed": 3}})
    raw = torch.randn(5, 10, dtype=torch.float64) * 50 + 50
    run.network.eval()
    assert torch.equal(run.network.predict(raw), best().predict(raw))
    assert note(run, "started from").endswith(
        "): 4 of 4 tensors came from there: 1.weight, 1.bias, 3.weight, 3.bias"
    )
    assert "kept from there (of this run's" in note(run, "scaling of the inputs")
    assert "kept from there (of this run's" in note(run, "scaling of the target")
    assert note(run, "the source was trained on the same data with other rows")
    sha256 = hashlib.sha256(source.folder.best.read_bytes()).hexdigest()
    origin = run.network.origin
    assert origin["sha256"] == sha256
    assert sha256 in run.folder.config.read_text()
    assert origin["notes"] == [text for text in run.notes if text in origin["notes"]]


def test_statistics_can_be_fitted_anew() -> None:
    train(MLP, "table_number")
    data = {"name": "diabetes", "split": {"seed": 3}}
    run = start(MLP, data, {"path": SOURCE, "scaling": "fit"})
    plain = begin(config(MLP, data, name="plain"))
    assert same(run.network.preprocess.state_dict(), plain.network.preprocess.state_dict())
    assert not same(run.network.preprocess.state_dict(), best().preprocess.state_dict())
    assert note(run, "scaling of the inputs").endswith("training rows, as asked")


@pytest.mark.parametrize(
    ("here", "reason"),
    [
        (
            {"name": "digits", "preprocess": {"scale": "minmax"}},
            "data.preprocess is another one there",
        ),
        ({"name": "iris"}, "the inputs there are of kind image"),
    ],
)
def test_statistics_of_other_inputs_are_not_kept_and_the_reason_is_named(
    here: dict[str, Any], reason: str
) -> None:
    train({"name": "mlp", "hidden": [16, 8]}, "image")
    run = start({"name": "mlp", "hidden": [16, 8]}, here)
    assert note(run, "scaling of the inputs").endswith(f"training rows, as {reason}")
    with pytest.raises(ConfigError, match=f"cannot keep that of the inputs: {reason}"):
        start({"name": "mlp", "hidden": [16, 8]}, here, {"path": SOURCE, "scaling": "keep"})


def test_statistics_that_fit_badly_are_reported() -> None:
    values = {"a": [1.0, 2.0, 3.0, 5.0], "b": [2.0, 1.0, 1.0, 3.0], "y": [1.5, 2.5, 3.5, 9.5]}
    train(MLP, table(values, "a.csv"))
    values["a"] = [1000.0, 2000.0, 2500.0, 4500.0]
    run = start(MLP, table(values, "b.csv"))
    assert "these fit badly: set model.start_from to {path: …, scaling: fit}" in note(
        run, "scaling of the inputs"
    )
    assert "badly" not in note(run, "scaling of the target")


def test_columns_and_labels_are_matched_by_name() -> None:
    old = {
        "age": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "color": ["red", "blue", "red", "red", "blue", "red"],
        "y": ["cat", "dog", "eel", "cat", "dog", "eel"],
    }
    train({"name": "mlp", "hidden": [6]}, table(old, "old.csv"))
    new = {
        "size": [9.5, 3.0, 1.0, 7.0, 2.0, 4.0],
        "age": old["age"],
        "color": ["green", "blue", "green", "blue", "blue", "green"],
        "y": ["dog", "cat", "ant", "dog", "cat", "ant"],
    }
    run = start({"name": "mlp", "hidden": [6]}, table(new, "new.csv"))
    before, after = best().model.state_dict(), run.network.model.state_dict()
    fresh = begin(config({"name": "mlp", "hidden": [6]}, table(new, "new.csv"), seed=5, name="x"))
    random = fresh.network.model.state_dict()
    # There: age, color=blue, color=red. Here: size, age, color=blue, color=green.
    assert torch.equal(after["1.weight"][:, 1:3], before["1.weight"][:, 0:2])
    assert torch.equal(after["1.weight"][:, [0, 3]], random["1.weight"][:, [0, 3]])
    # There: cat, dog, eel. Here: ant, cat, dog.
    assert torch.equal(after["3.weight"][1:], before["3.weight"][:2])
    assert torch.equal(after["3.bias"][1:], before["3.bias"][:2])
    assert torch.equal(after["3.weight"][0], random["3.weight"][0])
    assert torch.equal(after["1.bias"], before["1.bias"])
    assert note(run, "taken in part") == (
        "taken in part: 1.weight (2 of 4 inputs by name; new: size, color=green), "
        "3.weight (2 of 3 labels by name; new: ant), 3.bias (2 of 3 labels by name; new: ant)"
    )
    assert note(run, "scaling of the inputs").endswith("as the columns there are age, color")


def test_classes_of_other_names_have_a_new_output_layer_although_its_shape_fits() -> None:
    values = {"a": [1.0, 2.0, 3.0], "y": ["cat", "dog", "eel"]}
    train(MLP, table(values, "old.csv"))
    values["y"] = ["ant", "bee", "fly"]
    run = start(MLP, table(values, "new.csv"))
    assert note(run, "new, at").startswith(
        "new, at their random start: 3.weight ((3, 16), (3, 16) there; of other labels), 3.bias ("
    )


def test_vectors_of_tokens_are_matched_by_token() -> None:
    data = {"name": "text", "target": "label"}
    files = []
    for i, name in enumerate(("old", "new")):
        Path(name).mkdir()
        files.append(write_csv(Path(name).resolve(), some_documents(40 + 7 * i, seed=i)))
    model = {"name": "mlp", "hidden": [], "embedding": 8}
    train(model, data | files[0])
    run = start(model, data | files[1])
    source = best()
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
    train(model, table(old, "old.csv") | more)
    new = {"c": old["c"], "a": old["a"], "d": old["b"]}
    run = start(model, table(new, "new.csv") | more)
    before, after = best().model.state_dict(), run.network.model.state_dict()
    names = [network.data_spec.column_names for network in (best(), run.network)]
    for step in range(4):
        for name in ("a", "c"):
            there, here = (step * 3 + columns.index(name) for columns in names)
            assert torch.equal(after["1.weight"][:, here], before["1.weight"][:, there])
    assert "2 of 3 columns by name; new: d" in note(run, "taken in part")


def test_components_of_another_pca_are_other_inputs() -> None:
    pca = {"name": "digits", "preprocess": {"pca": 8}}
    train(MLP, pca)
    kept = start(MLP, pca)
    assert not note(kept, "new, at")
    shutil.rmtree("out/tuned")
    fitted = start(
        MLP,
        pca | {"split": {"seed": 9}},
        {"path": SOURCE, "scaling": "fit"},
    )
    assert "((16, 8), (16, 8) there; of other inputs)" in note(fitted, "new, at")


def test_every_mismatch_is_named_with_both_shapes_and_long_lists_are_counted() -> None:
    train(CNN | {"channels": [4, 8], "head": {"hidden": [9]}}, "image")
    model = CNN | {"channels": [4, 6, 5], "activation": "tanh"}
    run = start(model | {"freeze": ["features.4.*"]}, "image")
    new = note(run, "new, at their random start")
    assert "features.4.weight ((6, 4, 3, 3), (8, 4, 3, 3) there)" in new
    assert "features.8.weight (5, 6, 3, 3) (no such tensor there)" in new
    assert "head.2.weight (10, 5) (no such tensor there)" in new
    assert note(run, "left there").startswith("left there: head.1.weight (9, 32), head.1.bias (9,)")
    assert note(run, "frozen at their") == "frozen at their random start: features.4.weight"
    assert note(run, "other options").startswith(
        "other options: model.channels [4, 8] there, [4, 6, 5] here, model.activation relu there"
    )


def test_nothing_that_fits_is_an_error_that_names_both_sides() -> None:
    train("gru", "image")
    with pytest.raises(ConfigError, match=r"none of the \d+ tensors .* fits this network") as info:
        start(CNN, "image")
    assert "rnn.weight_ih_l0 (" in str(info.value) and "features.0.weight (4, 1" in str(info.value)


def test_values_that_are_not_finite_are_not_taken() -> None:
    torch.save({"1.weight": torch.full((16, 64), torch.nan)}, "x.pt")
    with pytest.raises(ConfigError, match=r"'1\.weight' there holds values that are not finite"):
        start(MLP, "image", "x.pt")


def test_a_state_dict_of_pytorch_is_taken_by_position_and_type() -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16)).half()
    state = {f"module.{name}": t for name, t in module.state_dict().items()}
    torch.save(
        {"epoch": 3, "state_dict": state | {"module.3.weight": torch.ones(10, 16).int()}}, "x.pt"
    )
    run = start(MLP, "image", "x.pt")
    assert torch.equal(run.network.model.state_dict()["1.weight"], state["module.1.weight"].float())
    assert "3.weight (float32; int32 there), 3.bias (10,) (no such tensor there)" in note(
        run, "new"
    )
    assert "training rows, as x.pt holds none" in note(run, "scaling of the inputs").replace(
        f"{Path.cwd()}/", ""
    )


def test_a_run_resumes_to_the_same_bits_without_its_source() -> None:
    train(CNN, "image")
    model = CNN | {"start_from": SOURCE, "freeze": ["features.0.*"]}
    whole = train(model, "image", "whole", train={"epochs": 3})
    train(model, "image", "parts", train={"epochs": 1})
    shutil.rmtree(SOURCE)
    resumed = begin(config(model, name="parts", train={"epochs": 3}))
    assert resumed.state == "resumed"
    assert resumed.network.origin == whole.network.origin
    finish(resumed)
    contents = [checkpoint.load(run.folder.last) for run in (whole, resumed)]
    for key in ("model", "best_model", "origin"):
        assert same(contents[0][key], contents[1][key])
    assert LoadedRun.open(resumed.folder.path, CPU).network.origin == whole.network.origin


def test_a_run_is_the_same_one_wherever_the_same_weights_lie() -> None:
    train(CNN, "image")
    shutil.copytree(SOURCE, "copy")
    train(CNN | {"start_from": SOURCE}, "image", "run", train={"epochs": 1})
    begin(config(CNN | {"start_from": "copy"}, "image", name="run")).lock.release()
    begin(config(CNN | {"start_from": "gone"}, "image", name="run")).lock.release()
    train(CNN, "image", "other", seed=9)
    with pytest.raises(UsageError, match=f"start_from: {SOURCE} there, other weights here"):
        begin(config(CNN | {"start_from": "out/other"}, "image", name="run"))
    with pytest.raises(UsageError, match=r"start_from: .* not set here"):
        begin(config(CNN, "image", name="run"))
    with pytest.raises(UsageError, match="scaling: auto"):
        fit = {"path": SOURCE, "scaling": "fit"}
        begin(config(CNN | {"start_from": fit}, "image", name="run"))


def test_seeds_start_from_the_same_weights_and_differ_in_the_rest() -> None:
    train(CNN, "image")
    model = CNN | {"head": {"pooling": "average", "hidden": [6]}, "start_from": SOURCE}
    group = seeds(config(model, "image", name="g", train={"epochs": 1}), 3, Path("out"))
    opened = [event for events in group.events(CPU) for event in events.values()]
    assert opened and not group.sequential_reason and len(members_of(group.path)) == 3
    contents = [checkpoint.load(member.folder.best) for member in group.members]
    assert len({content["origin"]["sha256"] for content in contents}) == 1
    heads = [content["model"]["head.4.weight"] for content in contents]
    assert not same(heads[0], heads[1])


def test_a_group_does_not_mix_two_states_of_its_source() -> None:
    train(CNN, "image")
    first = begin(config(CNN | {"start_from": SOURCE}, "image", name="a"))
    shutil.rmtree(SOURCE)
    train(CNN, "image", seed=9)
    with pytest.raises(ConfigError, match="has changed since the first run of this group"):
        begin(config(CNN | {"start_from": SOURCE}, "image", name="b", seed=1), share_with=first)


def test_paths_are_relative_to_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("sub").mkdir()
    text = "name: x\ndata: {name: digits}\nmodel: {name: mlp, start_from: SOURCE}\n"
    for name, value in (("a", "runs/a"), ("b", "{path: runs/a, scaling: fit}")):
        Path(f"sub/{name}.yaml").write_text(text.replace("SOURCE", value))
        source: Any = load_config(f"sub/{name}.yaml").model
        assert source.source.path == str(Path("sub/runs/a").resolve())
    changed: Any = load_config("sub/a.yaml", ["model.start_from=runs/b"]).model
    assert changed.source.path == str(Path("runs/b").resolve())


def test_what_a_checkpoint_holds_of_its_origin_is_checked() -> None:
    run = train(CNN, "image")
    content = checkpoint.load(run.folder.best)
    for origin in (5, {"path": 1}, {"path": "a", "sha256": "b", "notes": "c"}):
        checkpoint.save(Path("x.pt"), content | {"origin": origin})
        with pytest.raises(CheckpointError, match="its parts do not fit together"):
            LoadedRun.open(Path("x.pt"), CPU)
