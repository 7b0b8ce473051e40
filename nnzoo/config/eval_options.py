"""Options of the section `eval`: baselines, decisions and calibration. They change no weight of the network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nnzoo.config.options import Options, field_error, option

Cost = Annotated[int | float, Field(ge=0, le=1e30, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1)]


class DecideOptions(Options):
    """How the predicted class follows from the probabilities: by costs, or by the recall or the precision of a class."""

    cost: dict[str, dict[str, Cost]] | list[list[Cost]] | None = option(
        None,
        "what each answer costs: {class: {answer: cost}}, without the right answers, which cost nothing; or a matrix "
        "in the order of the classes, a row per class; the answer with the smallest expected cost is chosen",
    )
    recall: Rate | None = option(
        None,
        "this fraction of the rows of class `of` is found, by a threshold of its probability from validation rows",
    )
    precision: Rate | None = option(
        None,
        "this fraction of the answers `of` is right, by a threshold of its probability from validation rows",
    )
    of: str | int | float | bool | None = option(None, "with recall or precision: the class")

    @model_validator(mode="after")
    def _check_keys(self) -> DecideOptions:
        keys = [key for key in ("cost", "recall", "precision") if getattr(self, key) is not None]
        if len(keys) != 1:
            raise field_error("", "give one of: cost, recall, precision")
        if keys == ["cost"] and self.of is not None:
            raise field_error("of", "goes with recall or precision")
        if keys != ["cost"] and self.of is None:
            raise field_error(keys[0], f"of which class? as in {{{keys[0]}: 0.95, of: CLASS}}")
        return self


BaselineName = Literal[
    "majority",
    "frequencies",
    "mean",
    "last_value",
    "last_season",
    "seasonal_mean",
    "linear",
    "boosted_trees",
    "ngrams",
]


class EvalOptions(Options):
    """Evaluation."""

    baselines: Literal["auto", "none"] | list[BaselineName] = option(
        "auto",
        "models beside which the network's metrics are shown; auto: those for the data that together take less than a "
        "third of the time of a run",
    )
    decide: DecideOptions | None = option(
        None, "cost, or recall or precision with of; default: the most probable class is predicted"
    )
    temperature: Literal["report", "apply"] = option(
        "report",
        "the temperature that fits the validation rows best: report calibration before and after it, or apply "
        "it to all probabilities",
    )
    flip: Literal["none", "horizontal", "vertical", "both"] = option(
        "none",
        "of images, test-time augmentation: predictions are from the mean of the outputs for an image and its mirror "
        "images, at two or four times the cost",
    )
