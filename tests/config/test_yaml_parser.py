"""YAML text to plain values: YAML 1.2, positions, equal keys, bounds."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnzoo.config import yaml_parser
from nnzoo.config.yaml_parser import parse_yaml


def issues_of(text: str | bytes) -> list[tuple[str, str, str]]:
    return [(issue.where, issue.path, issue.message) for issue in parse_yaml(text, "f.yaml").issues]


def only_issue(text: str | bytes) -> tuple[str, str, str]:
    actual = issues_of(text)
    assert len(actual) == 1, actual
    return actual[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1e4", 10000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-2.5E+1", -25.0),
        ("+7", 7),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("1e400", math.inf),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        # Words that YAML 1.1 turned into something else.
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("Off", "Off"),
        ("y", "y"),
        ("3:30", "3:30"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("2024-01-31", "2024-01-31"),
        ("1,5", "1,5"),
        ("1e", "1e"),
        (".", "."),
        # Quotes make text.
        ("'1e-3'", "1e-3"),
        ('"5"', "5"),
        ("'true'", "true"),
        ("''", ""),
        ("|\n  5\n", "5\n"),
    ],
)
def test_a_scalar_has_the_value_and_type_that_yaml_1_2_gives_it(text: str, value: Any) -> None:
    actual = parse_yaml(f"a: {text}", "f").value["a"]
    assert (actual, type(actual)) == (value, type(value))


def test_nan_is_read() -> None:
    assert math.isnan(parse_yaml(".nan", "f").value)


def test_a_whole_number_beyond_64_bits_is_no_whole_number_any_more() -> None:
    assert parse_yaml(str(2**63 - 1), "f").value == 2**63 - 1
    assert parse_yaml(str(-(2**63)), "f").value == -(2**63)
    for text in (str(2**63), "1" * 500, "9" * 10_000):
        assert type(parse_yaml(text, "f").value) is float


def test_a_duplicate_key_names_both_lines() -> None:
    document = parse_yaml("optim:\n  lr: 1\n  name: sgd\n  lr: 2\n", "f.yaml")
    assert [(f.where, f.path, f.message) for f in document.issues] == [
        ("f.yaml:4:3", "optim.lr", "given twice; first on line 2")
    ]
    assert document.value == {"optim": {"lr": 1, "name": "sgd"}}


def test_equal_keys_in_different_sections_are_no_duplicates() -> None:
    assert issues_of("a: {name: x}\nb: {name: y}") == []


def test_each_key_and_value_has_its_line_and_column() -> None:
    document = parse_yaml("model:\n  name: cnn\n  channels: [8,\n    16]\n", "f")
    assert document.keys == {
        ("model",): (1, 1),
        ("model", "name"): (2, 3),
        ("model", "channels"): (3, 3),
    }
    assert document.values[("model", "name")] == (2, 9)
    assert document.values[("model", "channels")] == (3, 13)
    assert document.values[("model", "channels", 0)] == (3, 14)
    assert document.values[("model", "channels", 1)] == (4, 5)


def test_a_path_is_written_with_dots_and_brackets() -> None:
    assert yaml_parser.dotted(("model", "kernel_size", 0, 1)) == "model.kernel_size[0][1]"
    assert yaml_parser.dotted(("model", "")) == "model.''"


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("a: !!python/object/apply:os.system ['true']", "!!python/object/apply:os.system"),
        ("a: !!python/name:os.system ''", "!!python/name:os.system"),
        ("a: !mine {b: 1}", "!mine"),
        ("a: !!str 5", "!!str"),
        ("a: ! 5", "!"),
        ("!!set a: 1", "!!set"),
        ("%TAG !p! tag:yaml.org,2002:python/\n--- !p!tuple [1]", "!!python/tuple"),
    ],
)
def test_a_tag_is_refused_on_any_kind_of_value(text: str, tag: str) -> None:
    assert only_issue(text)[2] == f"the tag '{tag}' is not allowed"


def test_every_tag_of_a_file_is_reported() -> None:
    assert [where for where, _, _ in issues_of("a: !x 1\nb: [!y 2]")] == [
        "f.yaml:1:4",
        "f.yaml:2:5",
    ]


def test_merge_keys_are_refused_and_quoted_ones_are_keys() -> None:
    where, _, message = only_issue("a: &a {x: 1}\nb:\n  <<: *a\n")
    assert (where, message) == ("f.yaml:3:3", "merge keys ('<<') are not part of YAML 1.2")
    assert parse_yaml("'<<': 1", "f").value == {"<<": 1}


def test_an_alias_stands_for_the_anchored_value() -> None:
    assert parse_yaml("a: &x [1, {b: 2}]\nc: *x\n", "f").value["c"] == [1, {"b": 2}]


def laughs() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join(lines)


def chain() -> str:
    """Lists in lists by alias, hidden under a merge key, which is not built."""
    links = ", ".join(f"&k{i} [*k{i - 1}]" for i in range(1, 2000))
    return f"a: &k0 [1]\n<<: [{links}]\nx: *k1999\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (laughs(), "aliases expand to too many values"),
        ("&a [*a, 1]", "an alias that contains itself"),
        ("&a {b: *a}", "an alias that contains itself"),
        (chain(), "aliases expand deeper than 20 levels"),
        ("[" * 10_000, "not valid YAML: deeper than 20 levels"),
        ("- " * 10_000, "not valid YAML: deeper than 20 levels"),
        ("? " * 10_000, "not valid YAML: deeper than 20 levels"),
        ("{a: " * 10_000, "not valid YAML: deeper than 20 levels"),
        ("[" + "1," * 50_000 + "]", "not valid YAML: too long"),
        ("#" * 300_000, "larger than 200,000 bytes; that is no config"),
    ],
    ids=["laughs", "self", "self-map", "chain", "deep", "dashes", "keys", "maps", "long", "bytes"],
)
def test_what_could_hang_a_reader_ends_quickly_with_an_issue(text: str, message: str) -> None:
    start = time.perf_counter()
    assert message in [actual for _, _, actual in issues_of(text)]
    assert time.perf_counter() - start < 5


def test_the_deepest_value_that_is_allowed_is_read() -> None:
    depth = yaml_parser.MAX_DEPTH - 1
    assert issues_of("[" * depth + "1" + "]" * depth) == []


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        (b"a: 1\nb: \xff\n", "2:1", "not UTF-8 text (byte 9); save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "1:1", "not UTF-8 text (byte 1); save the file as UTF-8"),
        ("a: 1\nb: x\x07", "2:5", "not valid YAML: a control character (U+0007)"),
        ("a:\n\tb: 1\n", "2:1", "not valid YAML: a tab; indent with spaces"),
        (
            "a: 1\n---\nb: 1\n",
            "2:1",
            "not valid YAML: a second document ('---'); a config is one",
        ),
        (
            "optim:\n  name: adam\n lr: 3\n",
            "3:2",
            "not valid YAML: this does not belong here; is the indentation right?",
        ),
        (
            "optim:\n  lr 3\n  name: adam\n",
            "3:7",
            "not valid YAML: a ':' that does not belong here: wrong indentation, a line above "
            "that is not 'key: value', or text with ': ' but no quotes",
        ),
        (
            "a: 1\nb\nc: 2\n",
            "2:1",
            "not valid YAML: a line without ':'; a key is written 'key: value'",
        ),
        (
            "hidden: [1, 2\nname: x\n",
            "1:9",
            "not valid YAML: a '[' is not closed, or a ',' is missing",
        ),
        ("a: {b: 1\nc: 2", "1:4", "not valid YAML: a '{' is not closed, or a ',' is missing"),
        ("a: 'x\nb: 1\n", "1:4", "not valid YAML: a quote is not closed"),
        ("a: [", "1:5", "not valid YAML: a value is missing, or a '[' or '{' is not closed"),
        (
            "a: @x",
            "1:4",
            "not valid YAML: text that begins with this character needs quotes",
        ),
        (
            "a: *x",
            "1:4",
            "not valid YAML: no anchor of that name; text that begins with '*' needs quotes",
        ),
        (
            'a: "C:\\data"',
            "1:8",
            "not valid YAML: a '\\' in double quotes; in single quotes it stands for itself",
        ),
        ("a: &x 1\nb: &x 2", "2:4", "not valid YAML: this anchor ('&') is given twice"),
        ('a: "\\UFFFFFFFF"', "1:7", "not valid YAML: a number here is too large"),
        ("%YAML " + "9" * 5000 + ".1\n---\n", "1:7", "not valid YAML: a number here is too large"),
        ("[a, b]: 1", "1:1", "a key must be a word"),
    ],
)
def test_a_mistake_is_named_plainly_and_where_it_is(
    text: str | bytes, where: str, message: str
) -> None:
    assert only_issue(text) == (f"f.yaml:{where}", "", message)


def test_a_byte_order_mark_is_skipped() -> None:
    document = parse_yaml(b"\xef\xbb\xbfa: 1\n", "f")
    assert document.value == {"a": 1}
    assert document.keys == {("a",): (1, 1)}


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_nothing_and_no_issue(text: str | bytes) -> None:
    assert (parse_yaml(text, "f").value, issues_of(text)) == (None, [])


def test_windows_line_ends_are_read_alike() -> None:
    assert parse_yaml("a: 1\r\nb:\r\n  c: 2\r\n", "f").value == {"a": 1, "b": {"c": 2}}


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="ab:-[]{}&*!?|>'\"\\#%@ \n\t,0.1e<~U"), st.binary()))
@example('"\\UFFFFFFFF"')
@example("a: \x00")
@example("&a [*a]")
@example("\ud800")
def test_any_text_gives_a_document(text: str | bytes) -> None:
    document = parse_yaml(text, "f")
    assert document.issues or document.value is None or () in document.values


# YAML 1.1 leaves some text bare that YAML 1.2 reads as a number ("1e3", "0o7"): no such text here.
words = st.text(max_size=8).filter(
    lambda text: yaml_parser.scalar(text) in (text, None, True, False)
)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | words | st.floats()
nested = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(words.filter(lambda word: word != "<<"), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(nested)
def test_what_yaml_dumps_reads_back_equal(value: Any) -> None:
    document = parse_yaml(yaml.safe_dump(value), "f")
    assert document.issues == []
    assert repr(document.value) == repr(_sorted(value))


def _sorted(value: Any) -> Any:
    """As safe_dump writes it: keys in order."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
