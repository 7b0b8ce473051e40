"""Joining a study, starting it anew, and being refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nnzoo import errors
from nnzoo.config.default_space import default_space, section_text
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.load import load_config
from nnzoo.errors import UsageError
from nnzoo.sweep.open_study import open_study
from tests.sweep.studies import NNZOO, config, files

pytestmark = pytest.mark.usefixtures("compiled")


def test_another_search_under_the_same_name_is_refused_naming_the_keys(nnzoo: NNZOO) -> None:
    assert nnzoo("sweep", "flowers.yaml", "--trials", "1").code == 0
    result = nnzoo(
        "sweep",
        "flowers.yaml",
        "-s",
        "train.epochs=9",
        "--seed",
        "4",
        "-s",
        "sweep.sampler=random",
        "-s",
        "sweep.space.model.hidden=[[4], [9]]",
    )
    assert result.code == 2
    assert (
        "checkpoints/flowers/sweep.db holds a study of another config. Search this one beside it: "
        in result.err
    )
    assert "  train.epochs: 4 there, 9 here" in result.err
    assert "  seed: 0 there, 4 here" in result.err
    assert "  sweep.sampler: tpe there, random here" in result.err
    assert "  sweep.space.model.hidden: [[4], [8, 8]] there, [[4], [9]] here" in result.err
    assert "start over with --fresh" in result.err
    same = nnzoo("sweep", "flowers.yaml", "--trials", "1", "-s", "train.save_every=1 epoch")
    assert same.code == 0, same.err


def test_other_data_under_the_same_name_is_refused(nnzoo: NNZOO) -> None:
    def write(last: str) -> None:
        Path("t.csv").write_text(
            "a,b,y\n" + "".join(f"{i},{i % 5},{i * 0.5}\n" for i in range(60)) + last
        )

    Path("t.yaml").write_text(
        "data: {name: csv, path: t.csv, task: regression}\nmodel: mlp\ntrain: {epochs: 1}\n"
        "sweep: {trials: 1, space: {optim.lr: [0.1, 0.2]}}\n"
    )
    write("60,0,1.0\n")
    assert nnzoo("sweep", "t.yaml").code == 0
    write("60,0,2.0\n")
    result = nnzoo("sweep", "t.yaml")
    assert result.code == 2
    assert "data: other rows or values there than here" in result.err


def test_fresh_sets_the_old_study_aside_and_loses_nothing(nnzoo: NNZOO) -> None:
    nnzoo("train", "flowers.yaml")
    nnzoo("sweep", "flowers.yaml", "--trials", "2")
    before = {
        path: Path("checkpoints/flowers", path).read_bytes() for path in ("last.pt", "best.yaml")
    }
    result = nnzoo("sweep", "flowers.yaml", "--trials", "1", "--seed", "3", "--fresh")
    assert result.code == 0, result.err
    (aside,) = Path("checkpoints").glob("flowers.sweep.*")
    assert f"the old study was moved to {aside}" in result.err
    assert (aside / "best.yaml").read_bytes() == before["best.yaml"]
    assert {"0", "1"} <= files(aside / "trials") and (aside / "sweep.db").exists()
    # A run under the same name has nothing to do with it.
    assert Path("checkpoints/flowers/last.pt").read_bytes() == before["last.pt"]
    assert len(open_study(config("seed=3"), Path("checkpoints")).records()) == 1
    assert nnzoo("sweep", "flowers.yaml", "--trials", "1", "-s", "name=new", "--fresh").code == 0


def test_fresh_is_refused_while_a_trial_is_made_and_for_a_shared_storage(nnzoo: NNZOO) -> None:
    study = open_study(config(), Path("checkpoints"))
    claim = study.claim()
    assert claim is not None
    result = nnzoo("sweep", "flowers.yaml", "--fresh")
    assert result.code == 5
    assert "another process is making trial 0 of checkpoints/flowers" in result.err
    result = nnzoo("sweep", "flowers.yaml", "--fresh", "-s", "sweep.storage=mysql://u:secret@h/d")
    assert result.code == 2
    assert "--fresh is for a study in its own folder; this one is in mysql://u@h/d" in result.err


def test_trials_of_a_study_that_is_gone_are_not_written_over(nnzoo: NNZOO) -> None:
    nnzoo("sweep", "flowers.yaml", "--trials", "1")
    for left in Path("checkpoints/flowers").glob("sweep.db*"):
        left.unlink()
    result = nnzoo("sweep", "flowers.yaml", "--trials", "1")
    assert result.code == 2
    assert "checkpoints/flowers/trials holds the trials of another study; give this" in result.err
    assert "start over with --fresh" in result.err
    assert nnzoo("sweep", "flowers.yaml", "--trials", "1", "--fresh").code == 0


def test_a_study_of_something_else_is_refused() -> None:
    import optuna

    other = optuna.create_study(storage="sqlite:///x.db", study_name="flowers")
    other.ask()
    with pytest.raises(UsageError, match=r"the study 'flowers' in .*x.db is not one of nnzoo's"):
        open_study(config("sweep.storage=x.db"), Path("out"))


def test_what_a_study_is_is_said_by_who_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    optuna.create_study(
        storage="sqlite:///x.db", study_name="flowers"
    )  # and died, or is about to say
    monkeypatch.setattr("nnzoo.sweep.open_study.REGISTER_TIMEOUT", 1)
    sets = ("sweep.storage=x.db", "sweep.trials=1")
    first = open_study(config(*sets), Path("a"))
    assert first.is_new and "starting one of 1 trials" in first.notes[-1]
    again = open_study(config(*sets), Path("a"))
    assert not again.is_new and again.site == first.site
    other = open_study(config(*sets), Path("b"))
    assert other.site != first.site


def test_a_study_of_another_version_is_joined_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    open_study(config(), Path("out"))
    monkeypatch.setattr("nnzoo.sweep.open_study.__version__", "9.9")
    (note, _) = open_study(config(), Path("out")).notes
    assert re.fullmatch(r"the study was created with nnzoo \S+; this is 9.9", note)


def test_a_config_without_a_sweep_or_without_validation_rows_says_what_to_write(
    nnzoo: NNZOO,
) -> None:
    with pytest.raises(UsageError, match="this config has no 'sweep' section; add one"):
        open_study(load_config("cnn"), Path("out"))
    result = nnzoo("sweep", "flowers.yaml", "-s", "data.split.val=0")
    assert result.code == 2
    assert "trials are compared by validation rows; data.split.val is 0" in result.err


@pytest.mark.parametrize("name", ["cnn", "mlp", "rnn", "lstm", "gru", "mlp_csv", "lstm_sine"])
def test_a_config_without_a_sweep_gets_a_space_of_its_model(name: str) -> None:
    plain = load_config(name)
    space = default_space(plain)
    actual = load_config(name, [f"sweep.space={flow_yaml(space)}"])
    assert actual.sweep is not None and list(actual.sweep.options.space) == list(space)
    assert any(key.startswith("model.") for key in space)
    low, high = space["optim.lr"]["low"], space["optim.lr"]["high"]
    assert low < plain.optim.lr < high
    # The text shown can be pasted into the file.
    Path("pasted.yaml").write_text(
        f"data: digits\nmodel: {plain.model.name}\n{section_text(space)}\n"
    )
    pasted = load_config("pasted.yaml").sweep
    assert pasted is not None and pasted.options.space == actual.sweep.options.space


def test_a_sweep_without_a_section_says_what_it_tries_and_what_comes_next(nnzoo: NNZOO) -> None:
    Path("small.yaml").write_text(
        "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 1}\n"
    )
    result = nnzoo("sweep", "small.yaml", "--trials", "2")
    assert result.code == 0
    assert "small.yaml has no section 'sweep', so usual values are tried" in result.err
    assert "    optim.lr: {low: 0.0001, high: 0.01, log: true}\n" in result.err
    assert "next: nnzoo train checkpoints/small/best.yaml\n" in result.err
    again = nnzoo("sweep", "small.yaml", "--trials", "2")
    assert "2 of 2 trials finished" in again.err


def test_without_optuna_the_message_says_what_to_install(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    result = nnzoo("sweep", "flowers.yaml")
    assert (result.code, result.err) == (
        2,
        "nnzoo sweep needs optuna: pip install 'nnzoo[sweep]'\n",
    )


def test_a_folder_that_cannot_be_written_is_one_message(nnzoo: NNZOO) -> None:
    Path("file").write_text("")
    result = nnzoo("sweep", "flowers.yaml", "--out", "file/x")
    assert result.code == 5
    assert "cannot write to file/x/flowers" in result.err
