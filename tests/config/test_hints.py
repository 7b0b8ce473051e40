"""Hints for unknown keys and values: misspelled, of another section, words of other tools."""

from __future__ import annotations

import pytest

from nnzoo.config.hints import KEY_SYNONYMS
from nnzoo.config.option_tables import option_table
from nnzoo.config.options import Options
from nnzoo.config.registry import REGISTRIES
from nnzoo.config.train_options import TrainOptions
from tests.config.config_cases import issues, message

SERIES = "data: {name: series, path: x.csv}\nmodel: lstm\n"
IMAGES = "data: digits\nmodel: cnn\n"
TABLE = "data: {name: csv, path: x.csv}\nmodel: mlp\n"


def problems(text: str, *overrides: str) -> dict[str, str]:
    """The message of each key to blame."""
    return {path: message for _, path, message in issues(text, *overrides)}


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("model: {name: cnn, chanels: [8]}", "did you mean 'channels'?"),
        ("model: {name: cnn, Channels: [8]}", "did you mean 'channels'?"),
        ("model: {name: lstm, hidden: 8}", "it is 'hidden_size'"),
        ("model: {name: cnn, head: {poling: flatten}}", "did you mean 'pooling'?"),
        ("optim: {schedule: {name: step, evry: 1 epoch}}", "did you mean 'step_size'?"),
        ("optimizer: adam", "it is 'optim'"),
        ("training: {epochs: 1}", "it is 'train'"),
        # Keys that live in another section.
        ("train: {clip: 1}", "it is optim.clip"),
        ("train: {betas: [0.9, 0.9]}", "it is optim.betas"),
        ("train: {learning_rate: 1}", "it is optim.lr"),
        ("train: {patience: 3}", "it is train.early_stopping.patience"),
        ("train: {seed: 3}", "it is seed, beside the sections"),
        ("model: {name: mlp, augment: {}}", "it is data.augment"),
        ("epochs: 3", "it is train.epochs"),
        ("device: cpu", "it is the option --device"),
        # Neither.
        (
            "optim: {momentum: 0.9}",
            "known here: name, lr, weight_decay, schedule, clip, lr_factors, betas, eps",
        ),
        ("optim: {schedule: {name: cosine, gamma: 1}}", "known here: name, warmup, final"),
        ("5: 5", "known here: name, seed, data, model, optim, train, eval, sweep"),
    ],
)
def test_an_unknown_key_says_what_was_meant_or_what_is_known(line: str, hint: str) -> None:
    assert message(line) == f"unknown key; {hint}"


def test_a_networks_type_is_its_name() -> None:
    assert problems(IMAGES, "model={name: cnn, type: cnn}") == {
        "model.type": "unknown key; it is 'name'"
    }


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        (SERIES, "data.n_steps", "it is 'window'"),
        (SERIES, "data.timesteps", "it is 'window'"),
        (SERIES, "data.look_back", "it is 'window'"),
        (SERIES, "model.look_back", "it is data.window"),
        (SERIES, "data.n_steps_out", "it is 'horizon'"),
        (SERIES, "data.n_features", "it is counted from the data; leave it out"),
        (SERIES, "model.units", "it is 'hidden_size'"),
        (SERIES, "model.nonlinearity", "it is 'activation'"),
        (SERIES, "model.layers", "it is 'num_layers'"),
        (SERIES.replace("lstm", "rnn"), "model.activation", "it is 'nonlinearity'"),
        (SERIES, "data.preprocess.svd", "it is 'pca'"),
        (TABLE, "model.units", "it is 'hidden'"),
        (TABLE, "model.learning_rate", "it is optim.lr"),
        (TABLE, "train.optimizer", "it is optim"),
        (TABLE, "optim.learning_rate", "it is 'lr'"),
        (TABLE, "data.label", "it is 'target'"),
        (TABLE, "data.test_size", "it is data.split.test"),
        (IMAGES, "model.filters", "it is 'channels'"),
        (IMAGES, "model.kernel", "it is 'kernel_size'"),
        (IMAGES, "model.strides", "it is 'stride'"),
        (IMAGES, "train.criterion", "it is 'loss'"),
        (IMAGES, "train.gpu", "it is the option --device cuda"),
        (IMAGES, "train.scheduler", "it is optim.schedule"),
        (IMAGES, "data.augmentation", "it is 'augment'"),
    ],
)
def test_words_of_other_tools_lead_to_the_key(text: str, key: str, hint: str) -> None:
    assert problems(text, f"{key}=1")[key] == f"unknown key; {hint}"


@pytest.mark.parametrize(
    ("text", "key", "value", "hint"),
    [
        (
            IMAGES,
            "model.activation",
            "softmax",
            "; a classifier's outputs always go through softmax (cross-entropy loss)",
        ),
        (IMAGES, "model.activation", "swish", "; did you mean 'silu'?"),
        (IMAGES, "model.init", "glorot_uniform", "; did you mean 'xavier_uniform'?"),
        (IMAGES, "train.loss", "binary_crossentropy", "; did you mean 'cross_entropy'?"),
        (IMAGES, "model.name", "convnet", "; did you mean 'cnn'?"),
        (IMAGES, "data.name", "folder", "; did you mean 'image_folder'?"),
        (IMAGES, "optim.schedule", "CosineAnnealingLR", "; did you mean 'cosine'?"),
        (TABLE, "data.preprocess.scale", "zscore", "; did you mean 'standardize'?"),
    ],
)
def test_values_of_other_tools_lead_to_the_value(
    text: str, key: str, value: str, hint: str
) -> None:
    (message,) = problems(text, f"{key}={value}").values()
    assert message.endswith(hint)


def test_every_synonym_names_a_key_of_the_language() -> None:
    known = {"name", "seed", "optim", "optim.schedule", "optim.schedule.warmup"}
    classes: list[tuple[str, type[Options]]] = [
        (section, entry.options)
        for section, registry in REGISTRIES.items()
        for _, entry in registry
    ]
    classes.append(("train", TrainOptions))
    for section, options in classes:
        for key, _, _ in option_table(options):
            parts = key.split(".")
            known |= {f"{section}.{'.'.join(parts[: i + 1])}" for i in range(len(parts))}
    for word, targets in KEY_SYNONYMS.items():
        assert set(targets) <= known, word


def test_issues_inside_misnamed_sections_are_seen_at_once() -> None:
    text = (
        "data: digits\nmodel: {type: cnn}\noptimizer: {learning_rate: 0.1, name: adm}\n"
        "training: {epoch: 3}\n"
    )
    assert problems(text) == {
        "model.name": "missing: one of mlp, cnn, rnn, lstm, gru; it is 'name', not 'type'",
        "optimizer": "unknown key; it is 'optim'",
        "optimizer.name": "unknown optimizer 'adm'; did you mean 'adam'?",
        "training": "unknown key; it is 'train'",
        "training.epoch": "unknown key; it is 'epochs'",
    }


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("data.batch_sise", "did you mean train.batch_size?"),
        ("model.epoch", "it is train.epochs"),
        ("train.learning_rat", "did you mean optim.lr?"),
        ("train.traget", "did you mean data.target?"),
        ("optim.hiden", "did you mean model.hidden?"),
        ("optim.hidden", "it is model.hidden"),
        ("model.hiden", "did you mean 'hidden'?"),
        ("weight_decy", "did you mean optim.weight_decay?"),
    ],
)
def test_a_key_of_another_section_is_known_when_misspelled(key: str, hint: str) -> None:
    assert problems(TABLE, f"{key}=1")[key] == f"unknown key; {hint}"
