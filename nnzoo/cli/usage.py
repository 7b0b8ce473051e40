"""Usage errors that say what to type instead."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer
import typer.core

if TYPE_CHECKING:
    from nnzoo.config.options import Options

VERBOSE = "expected 0 (silent), 1 (live) or 2 (one line per epoch), as in -v 2"


def check_verbose(value: int | None) -> int | None:
    """A callback of --verbose; raises typer.BadParameter."""
    if value not in (None, 0, 1, 2):
        raise typer.BadParameter(VERBOSE)
    return value


class Command(typer.core.TyperCommand):
    """A command with hints for options that belong into the config."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            if param.param_type_name == "argument":
                # The name says it; typer adds Python's type, "<list[Path]>".
                param.display_type_rich = lambda ctx=None: ""  # type: ignore[attr-defined]

    def get_short_help_str(self, limit: int = 45) -> str:
        """The whole sentence: the listing of commands wraps it, and typer would cut it."""
        return inspect.cleandoc(self.help or "").partition("\n\n")[0].replace("\n", " ")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = [*args]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Some versions of typer contain click's exceptions, so they are recognized by their attributes.
            if isinstance(getattr(error, "message", None), str):
                sets = any("--set" in param.opts for param in self.params)
                _mend(error, words, sets)
            raise


def _mend(error: Any, words: list[str], sets: bool) -> None:
    """Replace the message of a usage error by a better one, if there is one; sets: whether the command has
    --set."""
    option = getattr(error, "option_name", "") or ""
    message: str = error.message
    param = getattr(error, "param", None)
    if "--verbose" in (option, *getattr(param, "opts", ())) or "'--verbose'" in message:
        error.message = f"--verbose: {VERBOSE}" if param is None else VERBOSE
    elif message.startswith("Value error, "):
        error.message = message.removeprefix("Value error, ")
    elif message.startswith("Input should be a valid integer"):
        error.message = "expected a whole number"
    elif message.startswith("No such option") and option and sets:
        hint = option_hint(option, words)
        if hint:
            error.message = f"No such option: {option}; {hint}"
            error.possibilities = None
    elif "extra argument" in message and sets:
        hint = _argument_hint(words)
        error.message += f"; {hint}" if hint else ""


def option_hint(option: str, words: list[str]) -> str:
    """How to give what an option of another tool is called: "it is -s train.epochs=5"."""
    from nnzoo.config.hints import KEY_REMARKS

    name = option.lstrip("-").casefold().replace("-", "_")
    value = "…"
    for i, word in enumerate(words):
        if word.startswith(f"{option}="):
            value = word.partition("=")[2]
        elif word == option and i + 1 < len(words) and not words[i + 1].startswith("--"):
            value = words[i + 1]
    key = key_of(name)
    if key:
        return f"it is -s {key}={value}"
    return _OPTIONS.get(name) or KEY_REMARKS.get(name, "")


_OPTIONS = {
    **dict.fromkeys(("overwrite", "restart", "reset", "force"), "it is --fresh"),
    **dict.fromkeys(
        ("output", "output_dir", "outdir", "save_dir", "work_dir", "logdir"), "it is --out"
    ),
    **dict.fromkeys(("continue", "checkpoint", "from_checkpoint", "ckpt"), "it is --resume must"),
    "quiet": "it is -v 0",
}


def _options_by_section() -> list[tuple[str, type[Options]]]:
    """Each section of a config with each class of options that it may hold."""
    from nnzoo.config.eval_options import EvalOptions
    from nnzoo.config.registry import REGISTRIES
    from nnzoo.config.train_options import TrainOptions

    entries = [
        (section, entry.options)
        for section, registry in REGISTRIES.items()
        for _, entry in registry
    ]
    return [("train", TrainOptions), ("eval", EvalOptions), *entries]


def key_of(word: str) -> str | None:
    """The dotted key that a word means: the key itself, its last part, or a synonym."""
    from nnzoo.config.hints import KEY_SYNONYMS

    options = _options_by_section()
    if "." in word and word.partition(".")[0] in dict(options):
        return word
    if word == "name":
        return word
    if word in KEY_SYNONYMS and KEY_SYNONYMS[word][0] != "name":
        return KEY_SYNONYMS[word][0]
    sections = (section for section, fields in options if word in fields.model_fields)
    return next((f"{section}.{word}" for section in sections), None)


def _argument_hint(words: list[str]) -> str:
    """The likely meaning of an extra argument: the value of --set, or a key with its value."""
    for i, word in enumerate(words[:-2]):
        if word in ("--set", "-s") and "=" not in words[i + 1]:
            return f"write it with '=': {word} {words[i + 1]}={words[i + 2]}"
    for word in words:
        name, equals, value = word.partition("=")
        key = key_of(name.casefold()) if equals and not name.startswith("-") else None
        if key:
            return f"a value is set with -s {key}={value}"
    return ""
