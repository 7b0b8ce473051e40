"""The origin of weights: kept by a resumed run and by groups, and checked in checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.errors import CheckpointError, ConfigError
from nnzoo.models.initial_weights import (
    checked_origin,
    start_from_vectors,
    start_from_weights,
)
from nnzoo.runs import checkpoint
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run_group import seeds
from nnzoo.runs.run_index import members_of
from tests.models.started_runs import (
    CNN,
    CPU,
    MLP,
    SOURCE,
    train_run,
)
from tests.zoo import begin, config, finish, same


def test_a_group_does_not_mix_two_states_of_its_source() -> None:
    train_run(CNN, "image")
    first = begin(config(CNN | {"start_from": SOURCE}, "image", name="a"))
    shutil.rmtree(SOURCE)
    train_run(CNN, "image", seed=9)
    with pytest.raises(ConfigError, match="has changed since the first run of this group"):
        begin(config(CNN | {"start_from": SOURCE}, "image", name="b", seed=1), share_with=first)


def test_seeds_start_from_the_same_weights_and_differ_in_the_rest() -> None:
    train_run(CNN, "image")
    model = CNN | {"head": {"pooling": "average", "hidden": [6]}, "start_from": SOURCE}
    group = seeds(config(model, "image", name="g", train={"epochs": 1}), 3, Path("out"))
    opened = [event for events in group.events(CPU) for event in events.values()]
    assert opened and not group.sequential_reason and len(members_of(group.path)) == 3
    contents = [checkpoint.load(member.folder.best) for member in group.members]
    assert len({content["origin"]["sha256"] for content in contents}) == 1
    heads = [content["model"]["head.4.weight"] for content in contents]
    assert not same(heads[0], heads[1])


def test_what_a_checkpoint_holds_of_its_origin_is_checked() -> None:
    run = train_run(CNN, "image")
    content = checkpoint.load(run.folder.best)
    for origin in (5, {"path": 1}, {"path": "a", "sha256": "b", "notes": "c"}):
        checkpoint.save(Path("x.pt"), content | {"origin": origin})
        with pytest.raises(CheckpointError, match="its parts do not fit together"):
            LoadedRun.open(Path("x.pt"), CPU)


def test_a_run_resumes_to_the_same_bits_without_its_source() -> None:
    train_run(CNN, "image")
    model = CNN | {"start_from": SOURCE, "freeze": ["features.0.*"]}
    whole = train_run(model, "image", "whole", train={"epochs": 3})
    train_run(model, "image", "parts", train={"epochs": 1})
    shutil.rmtree(SOURCE)
    resumed = begin(config(model, name="parts", train={"epochs": 3}))
    assert resumed.state == "resumed"
    assert resumed.network.origin == whole.network.origin
    finish(resumed)
    contents = [checkpoint.load(run.folder.last) for run in (whole, resumed)]
    for key in ("model", "best_model", "origin"):
        assert same(contents[0][key], contents[1][key])
    assert LoadedRun.open(resumed.folder.path, CPU).network.origin == whole.network.origin


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"path": "a"},
        {"path": "a", "sha256": "b", "notes": [], "more": 1},
        {"path": "a", "sha256": "b", "notes": [1]},
        {"path": 1, "sha256": "b", "notes": []},
    ],
)
def test_an_origin_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="an origin of weights"):
        checked_origin(value)


def test_an_origin_is_nothing_or_whole() -> None:
    whole = {"path": "a", "sha256": "b", "notes": ["c"]}
    assert checked_origin({}) == {} and checked_origin(whole) == whole


def test_a_network_without_a_source_has_no_origin() -> None:
    run = begin(config(MLP, "table_classes"))
    before = {name: t.clone() for name, t in run.network.state_dict().items()}
    start_from_weights(run.network)
    assert run.network.origin == {} and start_from_vectors(run.network) == []
    assert same(before, dict(run.network.state_dict()))


def table_with_labels(name: str, labels: list[str]) -> None:
    rows = [f"{i % 7},{i % 5},{labels[i % 3]}" for i in range(60)]
    Path(f"{name}.csv").write_text("\n".join(["a,b,y", *rows]) + "\n")


def test_the_commands_go_on_without_the_source(nnzoo: Callable[..., Any]) -> None:
    """From the command line: other labels, a sweep, seeds; then the source is deleted, and they are resumed."""
    table_with_labels("old", ["cat", "dog", "eel"])
    table_with_labels("new", ["eel", "bee", "cat"])
    text = "name: {0}\ndata: {{name: csv, path: {1}.csv}}\nmodel: {{name: mlp, hidden: [6]{2}}}\n"
    text += "train: {{epochs: 2, threads: 1}}\neval: {{baselines: none}}\n"
    Path("old.yaml").write_text(text.format("old", "old", ""))
    Path("new.yaml").write_text(text.format("new", "new", ", start_from: checkpoints/old"))
    assert nnzoo("train", "old.yaml").code == 0
    first = nnzoo("train", "new.yaml", "--verbose", "2")
    assert first.code == 0, first.err
    assert "3.weight (2 of 3 labels by name; new: bee)" in first.out + first.err
    long = ("-s", "train.epochs=4")
    assert nnzoo("train", "new.yaml", "-s", "name=whole", *long).code == 0
    assert nnzoo("train", "new.yaml", "--seeds", "2").code == 0
    space = ("-s", "sweep.space={optim.lr: [0.01, 0.02]}", "-s", "name=tried")
    swept = nnzoo("sweep", "new.yaml", "--trials", "2", *space)
    assert swept.code == 0, swept.err
    origins = [
        checkpoint.load(file)["origin"]["sha256"]
        for file in Path("checkpoints").glob("[ntw]*/**/best.pt")
    ]
    assert len(origins) == 6 and len(set(origins)) == 1
    shutil.rmtree("checkpoints/old")
    resumed = nnzoo("train", "new.yaml", *long)
    assert resumed.code == 0 and "resumed" in resumed.out + resumed.err, resumed.err
    contents = [checkpoint.load(Path(f"checkpoints/{name}/last.pt")) for name in ("new", "whole")]
    assert same(contents[0]["model"], contents[1]["model"])
    assert nnzoo("train", "new.yaml", "--seeds", "2", *long).code == 0
    more = nnzoo("train", "new.yaml", "--seeds", "3", *long)
    assert more.code == 5 and "no run folder and no file" in more.err
    assert nnzoo("eval", "checkpoints/new").code == nnzoo("eval", "checkpoints/new-seeds").code == 0
    fresh = nnzoo("train", "new.yaml", "-s", "name=fresh")
    assert fresh.code == 5 and "new.yaml:3" in fresh.err
    assert not Path("checkpoints/fresh/last.pt").exists()
