"""Names of folders: which ones mean a split (train, val, test), which masks or images without labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WORDS_BY_PART = {
    "train": "train training tr trn learn learning",
    "val": "val valid validate validation dev devel development eval evaluation",
    "test": "test testing tests tst holdout",
}
PARTS = tuple(_WORDS_BY_PART)
PART_WORDS = {word: part for part, words in _WORDS_BY_PART.items() for word in words.split()}
# Beside a word for a part they change nothing: train_set, test-images.
FILLERS = frozenset(
    re.findall(
        r"\S+",
        "set data dataset split images image img imgs pictures photos pics folder dir files "
        "the my final",
    )
)
IMAGE_WORDS = frozenset(
    re.findall(r"\S+", "image images img imgs photo photos picture pictures rgb input inputs")
)
MASK_WORDS = frozenset(
    re.findall(
        r"\S+",
        "mask masks label labels annotation annotations gt groundtruth seg segmentation "
        "segmentations depth edges output outputs target targets",
    )
)
UNLABELLED = {"unlabelled", "unlabeled", "unknown", "test", "all", "images", "none", "pictures"}


def same_name(name: str) -> str:
    """The form in which two names of a class are compared: NFC, without blanks around."""
    return unicodedata.normalize("NFC", name).strip()


def split_of_folder(name: str) -> str | None:
    """The part (train, val, test) that a folder's name stands for, such as "Training_set"; None: none."""
    parts = [PART_WORDS[word] for word in words_of(name) if word in PART_WORDS]
    others = [word for word in words_of(name) if word not in PART_WORDS and word not in FILLERS]
    return parts[0] if len(set(parts)) == 1 and not others else None


def parts_of(names: Sequence[str]) -> dict[str, str]:
    """The parts that some names of folders beside each other stand for; also where all have the same further
    words, as in seg_train and seg_test, and one is for training."""
    parts = {name: part for name in names if (part := split_of_folder(name))}
    alike: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        words = words_of(name)
        known = {PART_WORDS[word] for word in words if word in PART_WORDS}
        rest = tuple(word for word in words if word not in PART_WORDS)
        if len(known) == 1 and name not in parts:
            alike.setdefault(rest, {})[name] = known.pop()
    for group in alike.values():
        if len(set(group.values())) == len(group) > 1 and "train" in group.values():
            parts |= group
    return parts


def is_plain(name: str) -> bool:
    """Whether a name says nothing of what a folder holds, such as "images" or "data_set"."""
    return {*words_of(name)} <= FILLERS


def words_of(name: str) -> list[str]:
    """The words of a name in lower case, without digits: "trainB_set2" gives train, b, set."""
    name = re.sub(r"(?i)hold[\W_]*out", "holdout", same_name(name))
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[\W\d_]+", " ", name).lower().split()
    words = []
    for word in spaced:
        stem = re.sub("(dataset|data|set|images|imgs|split)$", "", word)
        words.append(stem if stem in PART_WORDS else word)
    return words
