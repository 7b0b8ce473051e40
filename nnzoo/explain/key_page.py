"""The page of a key of the YAML language: meaning, type, default, values, and an example."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from nnzoo.config.formatting import flow_yaml, value_text
from nnzoo.config.json_schema import choices, describe_type, node_at
from nnzoo.config.option_tables import first_paragraph
from nnzoo.config.options import Options, nested_options
from nnzoo.config.registry import REGISTRIES
from nnzoo.explain.codes import TEXTS
from nnzoo.explain.describe_type import describe_type_zh
from nnzoo.explain.keys import (
    KeyUse,
    all_keys,
    former_names,
    inner_keys,
    synonyms,
    variant_name,
)
from nnzoo.explain.languages import Language
from nnzoo.explain.page import Page, Row

NAME_TEXT = "chooses the entry, and with it which other keys are legal"
TOP_TEXTS = {
    "name": "the name of the run, and of its folder below checkpoints/; default: the name of the file",
    "seed": "seed of the initial weights, the order of rows, dropout and augmentation",
    "data": "the data: a source by its name, and its options",
    "model": "the network: its name, and its options",
    "optim": "the optimizer: its name, learning rate, schedule and clipping",
    "train": "the training loop: epochs, batch size, loss, early stopping",
    "eval": "evaluation: baselines, decisions, calibration; it changes no weight",
    "sweep": "what `nnzoo sweep` searches, and how; `nnzoo train` ignores it",
}
LABELS = {
    "en": ("type", "default", "of", "also called", "formerly", "required", "source"),
    "zh": ("类型", "默认", "属于", "又名", "旧名", "必填", "出处"),
}
HEADINGS = {
    "en": {"values": "values", "keys": "keys in it", "example": "example", "related": "related"},
    "zh": {"values": "取值", "keys": "其中的键", "example": "例子", "related": "相关"},
}
SEPARATOR = {"en": ", ", "zh": "、"}
MAX_OWNERS = 6

# Examples where the first other value explains little, by key.
EXAMPLES: dict[str, Any] = {
    "optim.schedule": "cosine",
    "optim.clip": {"norm": 1.0},
    "optim.clip.norm": 1.0,
    "optim.clip.value": 0.5,
    "optim.schedule.warmup": "1 epoch",
    "train.early_stopping": {"patience": 10},
    "data.augment": {"shift": 2},
    "data.augment.rotate": 10,
    "data.split.val": 0.2,
    "data.split.test": 0.2,
    "data.split.folds": 5,
    "data.preprocess.pca": 20,
    "model.hidden": [128, 64],
    "model.channels": [16, 32],
    "model.dropout": 0.3,
    "optim.lr": 0.01,
    "optim.weight_decay": 0.01,
    "optim.momentum": 0.9,
    "train.epochs": 50,
    "train.batch_size": 32,
    "eval.baselines": ["linear"],
    "seed": 1,
    "name": "second-try",
}
# The papers that keys are known from, where the text of the key does not name one.
SOURCES = {
    "model.dropout": "Srivastava et al. 2014",
    "model.residual": "He et al. 2016",
    "model.bidirectional": "Schuster & Paliwal 1997",
    "model.forget_bias": "Gers et al. 2000; Jozefowicz et al. 2015",
    "optim.clip": "Pascanu et al. 2013",
    "optim.momentum": "Polyak 1964; Sutskever et al. 2013",
    "optim.nesterov": "Nesterov 1983; Sutskever et al. 2013",
    "optim.weight_decay": "Krogh & Hertz 1991; Loshchilov & Hutter 2019",
    "optim.schedule.warmup": "Goyal et al. 2017",
    "train.early_stopping": "Prechelt 1998",
    "train.label_smoothing": "Szegedy et al. 2016",
    "train.huber_delta": "Huber 1964",
    "train.quantiles": "Koenker & Bassett 1978",
    "data.augment.erase": "Zhong et al. 2020",
    "data.augment.crop": "Szegedy et al. 2015",
    "data.preprocess.pca": "Pearson 1901; Hotelling 1933",
    "data.class_weights": "King & Zeng 2001",
    "eval.temperature": "Guo et al. 2017",
}
RELATED = {
    "optim.lr": ("optim.schedule", "optim.clip", "train.batch_size", "optim.lr_factors"),
    "optim.schedule": ("optim.lr", "train.epochs", "train.monitor"),
    "optim.clip": ("optim.lr", "train.on_nan"),
    "optim.weight_decay": ("model.dropout", "train.early_stopping"),
    "model.dropout": ("optim.weight_decay", "data.augment", "train.early_stopping"),
    "model.activation": ("model.init", "model.norm"),
    "model.init": ("model.activation", "model.norm", "seed"),
    "model.norm": ("train.norm_statistics", "train.batch_size", "model.init"),
    "model.kernel_size": ("model.stride", "model.padding", "model.pool"),
    "model.pool": ("model.pool_size", "model.stride", "model.head.pooling"),
    "model.readout": ("model.num_layers", "model.bidirectional"),
    "train.epochs": ("train.early_stopping", "optim.schedule"),
    "train.batch_size": ("optim.lr", "train.accumulate_grad_batches"),
    "train.monitor": ("train.early_stopping", "data.split.val"),
    "train.early_stopping": ("train.monitor", "train.epochs"),
    "train.loss": ("train.huber_delta", "train.quantiles", "train.label_smoothing"),
    "data.window": ("data.horizon", "data.split"),
    "data.split": ("data.split.val", "data.split.test", "seed"),
    "data.augment": ("model.dropout", "data.size"),
    "seed": ("data.split.seed", "model.init"),
}


@cache
def _option_texts() -> dict[str, str]:
    """English text of an option -> its Chinese one."""
    lines = (TEXTS / "zh" / "options.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("# ")]
    return dict(zip(lines[::2], map(str.strip, lines[1::2]), strict=True))


@cache
def value_texts(language: Language) -> dict[str, str]:
    """The meaning of words by "key.word"."""
    lines = (TEXTS / language / "values.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines if line and not line.startswith("#"))
    return {key: text for key, _, text in pairs}


def translate(text: str, language: Language) -> str:
    """A text of the options in a language."""
    return _option_texts()[text] if language == "zh" and text else text


def key_page(key: str, language: Language) -> Page:
    """The page of a dotted key."""
    uses = all_keys()[key]
    meanings = _meanings(key, uses)
    rows = [
        Row(_of(translate(text, language), owners if len(meanings) > 1 else "", language))
        for text, owners in meanings.items()
    ]
    values = _values(key, uses, language)
    inner = [Row(_inner_text(path, language), term=path) for path in inner_keys(key)]
    headings = HEADINGS[language]
    example = example_line(key)
    related = [name for name in RELATED.get(key, ()) if name in all_keys()]
    parts = [
        ("", rows),
        ("", _summary_rows(key, uses, language)),
        (headings["values"], values),
        (headings["keys"], inner),
        (headings["example"], [Row(example, is_command=True)] if example else []),
        (headings["related"], [Row(SEPARATOR[language].join(related))] if related else []),
    ]
    figures = {
        "key": key,
        "meanings": {owners: translate(text, language) for text, owners in meanings.items()},
        "entries": list(dict.fromkeys(use.owner for use in uses)),
        "defaults": _by_owner(uses, lambda use: _default(use, language)),
        "values": {row.term: row.text for row in values},
        "keys": [row.term for row in inner],
        "example": example,
        "related": related,
    }
    return Page(key, parts, figures)


def _inner_text(key: str, language: Language) -> str:
    """The meaning of a key inside another, behind the choices that have it where not all do."""
    uses = all_keys()[key]
    meanings = list(_meanings(key, uses))
    # The longest of texts that begin alike says all, such as the name in PyTorch, too.
    meanings = [x for x in meanings if not any(y != x and y.startswith(x) for y in meanings)]
    comma, semicolon, colon = ("、", "；", "：") if language == "zh" else (", ", "; ", ": ")
    text = semicolon.join(translate(meaning, language) for meaning in meanings)
    variants = list(dict.fromkeys(use.variant for use in uses if use.variant))
    is_common = not variants or key.endswith(".warmup")
    return text if is_common else f"{comma.join(variants)}{colon}{text}"


def _meanings(key: str, uses: Sequence[KeyUse]) -> dict[str, str]:
    """Text -> the entries, or schedules, that it is of."""
    if key in TOP_TEXTS:
        return {TOP_TEXTS[key]: ""}
    if key.endswith(".name"):
        return {NAME_TEXT: ""}
    texts: dict[str, list[str]] = {}
    for use in uses:
        texts.setdefault(use.info.description or "", []).append(use.variant or use.owner)
    return {text: _listed(owners) for text, owners in texts.items()}


def _summary_rows(key: str, uses: Sequence[KeyUse], language: Language) -> list[Row]:
    """Type, default, entries and other names as rows of two columns."""
    type_, default, of, called, formerly, _, source = LABELS[language]
    separator = SEPARATOR[language]
    if not uses:
        rows = []
    else:
        types = _by_owner(uses, lambda use: _type(use, language))
        defaults = _by_owner(uses, lambda use: _default(use, language))
        rows = _rows_by_owner(type_, types, language)
        rows += _rows_by_owner(default, defaults, language)
        owners = list(dict.fromkeys(use.owner for use in uses))
        if key.partition(".")[0] in REGISTRIES:
            rows.append(Row(separator.join(owners), term=of))
    rows += [Row(separator.join(words), term=called)] if (words := synonyms(key)) else []
    rows += [Row(separator.join(words), term=formerly)] if (words := former_names(key)) else []
    rows += [Row(SOURCES[key], term=source)] if key in SOURCES else []
    return rows


def _by_owner(uses: Sequence[KeyUse], text: Callable[[KeyUse], str]) -> dict[str, str]:
    """A text -> the entries that it holds for."""
    owners: dict[str, list[str]] = {}
    for use in uses:
        owners.setdefault(text(use), []).append(use.variant or use.owner)
    return {value: _listed(names) for value, names in owners.items()}


def _listed(owners: Sequence[str]) -> str:
    names = list(dict.fromkeys(owners))
    return ", ".join(names[:MAX_OWNERS]) + ", …" * (len(names) > MAX_OWNERS)


def _of(text: str, owners: str, language: Language) -> str:
    """A text with the entries that it is of in brackets."""
    brackets = "（{}）" if language == "zh" else " ({})"
    return text + (brackets.format(owners) if owners else "")


def _rows_by_owner(label: str, texts: dict[str, str], language: Language) -> list[Row]:
    """A row per text, with the entries where there are several."""
    return [
        Row(_of(text, owners if len(texts) > 1 else "", language), term=" " if i else label)
        for i, (text, owners) in enumerate(texts.items())
    ]


@cache
def _schema(options: type[Options]) -> dict[str, Any]:
    return options.model_json_schema()


def _node(use: KeyUse) -> dict[str, Any]:
    node: dict[str, Any] = _schema(use.options)["properties"][use.field]
    return node


def _type(use: KeyUse, language: Language) -> str:
    describe = describe_type if language == "en" else describe_type_zh
    return describe(_node(use), _schema(use.options))


def _default(use: KeyUse, language: Language) -> str:
    if use.info.is_required():
        return LABELS[language][5]
    default = use.info.default
    if isinstance(default, Options):
        dumped = default.model_dump()
        return value_text(dumped.get("name", dumped))
    return value_text(default)


def _values(key: str, uses: Sequence[KeyUse], language: Language) -> list[Row]:
    """The words that a key takes with their meaning."""
    section, _, field = key.partition(".")
    if not uses or field == "name":
        entries = REGISTRIES.get(section, ())
        return [
            Row(translate(first_paragraph(entry.options), language), term=name)
            for name, entry in entries
        ]
    rows: dict[str, Row] = {}
    texts = value_texts(language)
    for use in uses:
        nested = nested_options(use.info.annotation)
        for options in nested if len(nested) > 1 else ():
            if name := variant_name(options):
                rows[name] = Row(translate(first_paragraph(options), language), term=name)
        for word in words_of(use):
            if text := texts.get(f"{use.field}.{word}"):
                rows.setdefault(word, Row(text, term=word))
    return list(rows.values())


def words_of(use: KeyUse) -> list[str]:
    """The words that a key takes, those in a list too."""
    node, root = _node(use), _schema(use.options)
    items = node_at({**root, "properties": {"key": node}}, {"key": [None]}, ("key", 0))
    return list(dict.fromkeys([*choices(node, root), *(choices(items, root) if items else [])]))


def example_line(key: str) -> str:
    """A value that differs from the default, as `--set` takes it; "" for keys that name your own files and columns."""
    if key in EXAMPLES:
        return _set_option(key, EXAMPLES[key])
    for use in all_keys()[key]:
        value = _other_value(use)
        if value is not None:
            return _set_option(key, value)
    return ""


def _set_option(key: str, value: Any) -> str:
    """The option of a command that sets a value; braces and spaces are quoted for the shell."""
    text = f"{key}={flow_yaml(value)}"
    needs_quotes = set(text) & set(' {}*$"')
    return f"-s {shlex.quote(text) if needs_quotes else text}"


def _other_value(use: KeyUse) -> Any:
    default = use.info.default
    words = [word for word in words_of(use) if word not in (default, "auto", "none")]
    if words and use.field != "name":
        return words[0]
    if isinstance(default, bool):
        return not default
    if isinstance(default, int) and not use.info.is_required():
        return default * 2 or 1
    if isinstance(default, float) and default:
        return default / 2
    return None
