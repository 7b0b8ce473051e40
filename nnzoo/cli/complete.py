"""What the Tab key offers: configs, keys of --set, words of an option."""

from __future__ import annotations

from collections.abc import Callable
from glob import escape
from pathlib import Path


def words(*choices: str) -> Callable[[str], list[str]]:
    """Offer those of some words that begin as typed."""
    return lambda incomplete: [word for word in choices if word.startswith(incomplete)]


def configs(incomplete: str) -> list[str]:
    """Offer YAML files and folders here, then the bundled configs."""
    from nnzoo.config.load import bundled_configs

    found = []
    folder, _, name = incomplete.rpartition("/")
    base = Path(folder) if folder else Path("/" if incomplete.startswith("/") else ".")
    for path in sorted(base.glob(f"{escape(name)}*")):
        if path.is_dir() and not path.name.startswith("."):
            found.append(f"{path}/")
        elif path.suffix in (".yaml", ".yml"):
            found.append(str(path))
    return found + [each.stem for each in bundled_configs() if each.stem.startswith(incomplete)]


def keys(incomplete: str) -> list[str]:
    """Offer the keys of --set, as far as the next dot; of all models, data sources and optimizers."""
    from nnzoo.config.load import SHELVES
    from nnzoo.config.schema import Options, TrainOptions
    from nnzoo.config.show import entry_options

    names = {"name=", "seed="}
    options: list[tuple[str, type[Options]]] = [("train", TrainOptions), *(
        (section, entry.options) for section, shelf in SHELVES.items() for _, entry in shelf
    )]  # fmt: skip
    for section, each in options:
        if section.startswith(incomplete.partition(".")[0]) or incomplete.startswith(section):
            names |= {f"{section}.{key}=" for key, _, _ in entry_options(each)}
            names |= {f"{section}.name="} if section != "train" else set()
    depth = incomplete.count(".") + 1
    offered = set()
    for name in names:
        if name.startswith(incomplete):
            parts = name.split(".")
            offered.add(name if len(parts) <= depth else ".".join(parts[:depth]) + ".")
    return sorted(offered)
