"""Places of keys and values: of the file, of --set, of what a value replaced."""

from __future__ import annotations

from nnzoo.config.source_map import SourceMap
from nnzoo.config.yaml_parser import parse_yaml
from nnzoo.errors import ConfigIssue

TEXT = "data: iris\nmodel:\n  name: mlp\n  hidden: [4, 8]\n"


def source_map() -> SourceMap:
    return SourceMap(parse_yaml(TEXT, "f.yaml"), "f.yaml")


def test_an_issue_is_at_the_value_at_the_key_or_at_the_section_that_lacks_it() -> None:
    places = source_map()
    hidden = ("model", "hidden")
    assert places.issue(hidden, "x") == ConfigIssue(
        "f.yaml:4:11", "model.hidden", "x", (4, 11), "E13"
    )
    assert places.issue(hidden, "x", at_key=True).where == "f.yaml:4:3"
    assert places.issue((*hidden, 1), "x") == ConfigIssue(
        "f.yaml:4:15", "model.hidden[1]", "x", (4, 15), "E13"
    )
    assert places.locate(("model", "dropout")) == ("f.yaml:3:3", (3, 3))
    assert places.locate(("train", "epochs")) == ("f.yaml:1:1", (1, 1))
    assert (
        SourceMap(parse_yaml("", "plain values"), "plain values").locate(("x",))[0]
        == "plain values"
    )


def test_what_is_set_is_located_there_and_the_rest_of_a_section_in_the_file() -> None:
    places = source_map()
    places.record_override(("model", "hidden"), parse_yaml("[2]", "--set"))
    assert places.locate(("model", "hidden", 0)) == ("--set", (0, 0))
    assert places.locate(("model", "name"))[0] == "f.yaml:3:9"
    assert places.locate(("model",))[0] == "f.yaml:3:3"
    assert places.origins() == {
        "data": (1, 7),
        "model": (3, 3),
        "model.name": (3, 9),
        "model.hidden": None,
    }
    places.record_override(("model",), parse_yaml("{name: cnn, hidden: [1]}", "--set"))
    assert places.locate(("model", "hidden")) == ("--set", (0, 0))
    assert places.origins() == {
        "data": (1, 7),
        "model": None,
        "model.name": None,
        "model.hidden": None,
    }


def test_a_key_below_one_that_is_not_in_the_file_is_set() -> None:
    places = source_map()
    places.record_override(("optim", "clip", "norm"), parse_yaml("1", "--set"))
    assert places.locate(("optim", "clip"))[0] == places.locate(("optim",))[0] == "--set"


def test_a_renamed_key_keeps_its_place() -> None:
    places = source_map()
    places.record_override(("model", "hidden", 1), parse_yaml("3", "--set"))
    places.rename(("model", "hidden"), ("model", "widths"))
    assert places.locate(("model", "widths", 0))[0] == "f.yaml:4:12"
    assert places.locate(("model", "widths", 1))[0] == "--set"
    assert places.locate(("model", "widths"), at_key=True) == ("f.yaml:4:3", (4, 3))
    assert places.origins()["model.widths"] is None


def test_what_gave_way_has_no_place_any_more() -> None:
    places = source_map()
    places.forget(("model", "hidden"))
    assert places.locate(("model", "hidden", 1))[0] == "f.yaml:3:3"
