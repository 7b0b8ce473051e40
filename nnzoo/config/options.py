"""The base of all option classes: strict pydantic models, their field helper, shared value types."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Options(BaseModel):
    """One mapping of a config file; unknown keys and implicit conversions are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


def option(default: Any, description: str, formerly: str = "", **constraints: Any) -> Any:
    """A field with its documented meaning; `...` as default makes the key required.

    formerly: the key's name before it was renamed; files may keep that name (see renamed_keys.py).
    """
    extra: Any = {"formerly": formerly} if formerly else None
    return Field(default, description=description, json_schema_extra=extra, **constraints)


def nested_options(annotation: Any) -> list[type[Options]]:
    """The option classes inside a field's annotation, such as `X | None` or a union of schedules."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Options) else []
    if get_origin(annotation) in (dict, list):
        return []
    return [options for part in get_args(annotation) for options in nested_options(part)]


def field_error(field: str, message: str) -> PydanticCustomError:
    """The exception by which a validator blames one field of its class ("" blames the value itself)."""
    return PydanticCustomError("field_error", "{reason}", {"reason": message, "field": field})


def sanity_limit(limit: float, items: str = "") -> AfterValidator:
    """Limit a number, or the length of a list, so that a typo such as an extra zero raises an error
    instead of exhausting memory. Not shown in the documented range.

    items: what a list holds, for the message.
    """

    def check(value: Any) -> Any:
        size = len(value) if isinstance(value, list) else value
        if size > limit:
            unit = f" {items}" if items else ""
            raise field_error("", f"expected at most {limit:,}{unit}, got {size:,}")
        return value

    return AfterValidator(check)


# float32 ends at 3e38, and a network computes squares and sums.
MAX_MAGNITUDE = 1e30

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), sanity_limit(MAX_MAGNITUDE)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), sanity_limit(MAX_MAGNITUDE)]
HalfOpenFraction = Annotated[float, Field(ge=0, lt=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
ImageLength = Annotated[PositiveInt, sanity_limit(10_000)]
Size = ImageLength | Annotated[list[ImageLength], Field(min_length=2, max_length=2)]
PixelCount = Annotated[Count, sanity_limit(1000)]

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"

_AMOUNT = r"^([0-9]{1,9}(?:\.[0-9]{1,9})?) *"


@cache  # schedules ask in every step
def parse_duration(text: str) -> tuple[float, str]:
    """Split a duration, "500 steps" into (500.0, "step"); units: epoch, step, s (seconds), % (of time)."""
    match = re.match(_AMOUNT + "(epoch|step|s|%)", text)
    assert match is not None
    return float(match[1]), match[2]


def _check_above_zero(text: str) -> str:
    if parse_duration(text)[0] == 0:
        raise field_error("", "a duration above zero, as in '1 epoch'")
    return text


_SAVE_INTERVALS = ["0.5 %", "1 epoch", "500 steps", "60 s"]
SaveInterval = Annotated[
    str,
    Field(pattern=_AMOUNT + "(epochs?|steps?|s|%)$", examples=_SAVE_INTERVALS),
    AfterValidator(_check_above_zero),
]
# In schedules no seconds: the steps of a repeated run would differ.
StepDuration = Annotated[
    str, Field(pattern=_AMOUNT + "(epochs?|steps?)$", examples=["1 epoch", "500 steps"])
]
StepInterval = Annotated[StepDuration, AfterValidator(_check_above_zero)]


def is_name(name: Any) -> bool:
    """Whether a value can name a run and its folder."""
    return isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) is not None


def is_seed(seed: Any) -> bool:
    return type(seed) is int and 0 <= seed < 2**63
