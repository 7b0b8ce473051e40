"""Write docs/reference.md: every key of the YAML language, out of the classes that define it.

python scripts/reference.py [FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nnzoo.config.option_tables import first_paragraph, option_table
from nnzoo.config.registry import DATA, DOCUMENTED_OPTIONS, MODELS, Registry

HEAD = """# The YAML language

Written by `python scripts/reference.py` from `nnzoo/config/*_options.py`; `nnzoo models`,
`nnzoo datasets` and `nnzoo training` print the same in a terminal, and `nnzoo schema` gives it to
editors as JSON Schema. What textbooks and other tools call it: [words](words.md).

A file has the sections `data` and `model`, and where the defaults do not fit `optim`, `train` and `eval` (which changes no weight);
`sweep` is for [searching](sweep.md). Beside them `name` (the run's folder below `checkpoints/`; default: the file's name) and `seed`
(default 0). In `data`, `model` and `optim` the key `name` decides which other keys are legal.
`data: digits` is short for `data: {name: digits}`; dotted keys below stand for nested ones. Relative
paths are relative to the file; durations are written `1 epoch`, `500 steps` or `60 s`.
"""


def registry_text(title: str, registry: Registry) -> str:
    """One family as Markdown tables; entries with the same options share one."""
    groups: dict[type, list[str]] = {}
    for name, entry in registry:
        groups.setdefault(entry.options, []).append(name)
    parts = [f"\n## {title}\n"]
    for options, names in groups.items():
        parts.append(f"\n### {', '.join(names)}\n\n{first_paragraph(options)}\n")
        rows = option_table(options)
        if rows:
            parts.append("\n| key | default | meaning |\n|---|---|---|\n")
            parts += [
                f"| `{key}` | `{default}` | {meaning.replace('|', chr(92) + '|')} |\n"
                for key, default, meaning in rows
            ]
    return "".join(parts)


def reference() -> str:
    """The whole page."""
    return (
        HEAD
        + registry_text("`model`", MODELS)
        + registry_text("`data`", DATA)
        + registry_text(
            "`optim`, `optim.schedule`, `train`, `eval` and `sweep`", DOCUMENTED_OPTIONS
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=Path("docs/reference.md"))
    parser.parse_args().file.write_text(reference(), encoding="utf-8")
