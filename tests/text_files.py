"""Small texts for tests: a running one, and a table of sentences; tests/processes.py imports it outside of the package."""

from __future__ import annotations

import random
from pathlib import Path

SUBJECTS = ("the cat", "a dog", "my aunt", "the old king", "nobody")
VERBS = ("sees", "hears", "wants", "paints", "forgets")
OBJECTS = ("the moon", "a red house", "five apples", "the sea", "rain")
WORDS = {"good": ("fine", "lovely", "bright"), "bad": ("awful", "dull", "broken")}


def running_text(sentences: int = 200) -> str:
    rng = random.Random(0)
    lines = []
    for _ in range(sentences):
        words = rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(OBJECTS)
        lines.append(" ".join(words).capitalize() + rng.choice(".!?"))
    return "\n".join(lines)


def write_corpus(path: Path, sentences: int = 200) -> None:
    path.write_text(running_text(sentences))


def write_texts(path: Path, count: int = 120) -> None:
    """A table of sentences of 3 to 12 words, whose class follows from one of them."""
    rng = random.Random(0)
    lines = ["text,label"]
    for _ in range(count):
        label = rng.choice(sorted(WORDS))
        words = [rng.choice(OBJECTS).split()[-1] for _ in range(rng.randint(2, 11))]
        words.insert(rng.randint(0, len(words)), rng.choice(WORDS[label]))
        lines.append(f"{' '.join(words)},{label}")
    path.write_text("\n".join(lines) + "\n")
