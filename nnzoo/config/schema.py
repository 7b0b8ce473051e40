"""The sections of a configuration as pydantic classes: the one place that says what a file may say.

Each class is one entry's options; `nnzoo models`, `nnzoo datasets` and `nnzoo schema` print what
stands here. No torch in this module: checking a file is instant.
"""

from __future__ import annotations

import codecs
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)
from pydantic_core import PydanticCustomError


def fault(field: str, message: str) -> PydanticCustomError:
    """What a validator raises to blame one field of its class."""
    return PydanticCustomError("field_fault", "{reason}", {"reason": message, "field": field})


def at_most(limit: float, what: str = "") -> AfterValidator:
    """A bound that nothing sensible reaches: a slip of some digits is a message, not a full memory.

    It is no part of what a key is said to accept. what: the items, of a list.
    """

    def check(value: Any) -> Any:
        size = len(value) if isinstance(value, list) else value
        if size > limit:
            raise fault("", f"expected at most {limit:,}{f' {what}' * bool(what)}, got {size:,}")
        return value

    return AfterValidator(check)


# Values that several sections share.

# float32 ends at 3e38, and a network works with squares and sums.
LARGEST = 1e30

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), at_most(LARGEST)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), at_most(LARGEST)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Rows = Annotated[int, Field(ge=0)]
Column = str | int
Columns = Annotated[list[Column], Field(min_length=1)]
Width = Annotated[PositiveInt, at_most(1_000_000)]
Depth = at_most(1000, "layers")
Steps = Annotated[PositiveInt, at_most(10_000_000)]

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
DEFAULT_OPTIMIZER = "adam"

_AMOUNT = r"^([0-9]{1,9}(?:\.[0-9]{1,9})?) *"

Cadence = Annotated[
    str,
    Field(pattern=_AMOUNT + "(epochs?|steps?|s|%)$",
          examples=["0.5 %", "1 epoch", "500 steps", "60 s"]),
]  # fmt: skip
# Of a schedule: seconds would not repeat exactly.
StepDuration = Annotated[
    str, Field(pattern=_AMOUNT + "(epochs?|steps?)$", examples=["1 epoch", "500 steps"])
]


def parse_duration(text: str) -> tuple[float, str]:
    """A `Cadence`: "500 steps" as (500.0, "step"); units: epoch, step, s (seconds), % (of time)."""
    match = re.match(_AMOUNT + "(epoch|step|s|%)", text)
    assert match is not None
    return float(match[1]), match[2]


def _above_zero(text: str) -> str:
    if parse_duration(text)[0] == 0:
        raise PydanticCustomError("field_fault", "a duration above zero, as in '1 epoch'")
    return text


class Options(BaseModel):
    """A mapping of a file: unknown keys and implicit conversions are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


# Models.

Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu"]
Init = Literal[
    "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "torch"
]
Norm = Literal["none", "batch", "layer"]


class ModelOptions(Options):
    name: str
    init: Init = Field(
        "xavier_uniform",
        description="weight initialization; the gain is chosen for the activation, biases start at zero; "
        "'torch' keeps PyTorch's own",
    )


class MlpOptions(ModelOptions):
    """Multilayer perceptron: fully connected layers on a table, a flattened image or window. A classifier's
    outputs go through softmax."""

    name: Literal["mlp"]
    hidden: Annotated[list[Width], Depth] = Field(
        [512, 256], description="width of each hidden layer"
    )
    activation: Activation = Field("relu", description="between the layers")
    norm: Norm = Field("none", description="normalization before each activation")
    dropout: Fraction = Field(0.0, description="fraction of hidden units dropped in training")


Length = Annotated[PositiveInt, at_most(10_000)]
Size = Length | Annotated[list[Length], Field(min_length=2, max_length=2)]
Border = Annotated[Count, at_most(1000)]
PaddingSize = Border | Annotated[list[Border], Field(min_length=2, max_length=2)]
Padding = Literal["same", "valid"] | PaddingSize
Pool = Literal["max", "avg", "lp", "none"]


class HeadOptions(Options):
    """Layers between the last feature map and the output."""

    pooling: Literal["flatten", "average"] = Field(
        "flatten", description="flatten, or global average pooling"
    )
    hidden: Annotated[list[Width], Depth] = Field(
        [], description="hidden layers before the output layer"
    )
    dropout: Fraction = Field(
        0.0, description="fraction of units dropped before each of its layers"
    )


class CnnOptions(ModelOptions):
    """Convolutional network: 2-D on images, 1-D on series.

    `kernel_size`, `stride`, `padding`, `pool`, `pool_size` and `dropout` take one value, or a list
    with one value per layer. A size is a number or [height, width]; two numbers in a network of two
    layers are one per layer (write [[h, w], [h, w]] there). A classifier's outputs go through softmax.
    """

    name: Literal["cnn"]
    channels: Annotated[list[Width], Field(min_length=1), Depth] = Field(
        [32, 64], description="output channels of each layer"
    )
    kernel_size: Size | list[Size] = Field(
        3,
        description="one number, one per layer, or [height, width] (a list as long as `channels` is read as one "
        "per layer)",
    )
    stride: Size | list[Size] = Field(1, description="step of the kernel")
    padding: Padding | list[Padding] = Field(
        "same", description="zeros around: same, valid (none), or how many on each side"
    )
    pool: Pool | list[Pool] = Field("max", description="max, avg, lp (p = 2) or none")
    pool_size: Size | list[Size] = Field(2, description="window and step of the pooling")
    activation: Activation = Field("relu", description="after each convolution")
    norm: Norm = Field("none", description="normalization after each convolution")
    dropout: Fraction | list[Fraction] = Field(0.0, description="after each layer")
    residual: bool = Field(
        False, description="each layer becomes two convolutions with a skip around them"
    )
    head: HeadOptions = Field(HeadOptions(), description="pooling, hidden, dropout")

    @model_validator(mode="after")
    def _one_a_layer(self) -> CnnOptions:
        for key in ("kernel_size", "stride", "padding", "pool", "pool_size", "dropout"):
            value = getattr(self, key)
            if isinstance(value, list):
                pair = key not in ("pool", "dropout") and len(value) == 2
                pair = pair and all(isinstance(item, int) for item in value)
                if len(value) != len(self.channels) and not pair:
                    raise fault(
                        key, f"{len(value)} values for {len(self.channels)} layers of 'channels'"
                    )
        return self

    def ambiguous_sizes(self) -> list[tuple[str, list[int]]]:
        """The options of two layers that are two numbers, one per layer, and could be meant as height
        and width; with their values."""
        pairs = [(key, getattr(self, key)) for key in ("kernel_size", "stride", "pool_size")]
        return [
            (key, pair) for key, pair in pairs
            if len(self.channels) == 2 and isinstance(pair, list) and pair[0] != pair[1]
            and all(isinstance(size, int) for size in pair)
        ]  # fmt: skip

    def per_layer(self, key: str) -> list[Any]:
        """The value of an option for each layer of `channels`."""
        value = getattr(self, key)
        if isinstance(value, list) and len(value) == len(self.channels):
            return value
        return [value] * len(self.channels)


class RecurrentOptions(ModelOptions):
    hidden_size: Width = Field(128, description="units per layer and direction")
    num_layers: Annotated[PositiveInt, at_most(1000)] = Field(
        1, description="stacked layers, each reading the output of the one below"
    )
    bidirectional: bool = Field(False, description="also run over the sequence backwards")
    dropout: Fraction = Field(0.0, description="between layers and before the output layer")
    readout: Literal["last", "mean", "max"] = Field(
        "last", description="which hidden states feed the output layer: last, mean or max over time"
    )


class RnnOptions(RecurrentOptions):
    """Elman network (torch.nn.RNN) on a series, or on an image row by row."""

    name: Literal["rnn"]
    nonlinearity: Literal["tanh", "relu"] = Field(
        "tanh", description="activation of the hidden state"
    )


class LstmOptions(RecurrentOptions):
    """Long short-term memory (torch.nn.LSTM) on a series, or on an image row by row."""

    name: Literal["lstm"]
    activation: Literal["tanh", "relu"] = Field(
        "tanh",
        description="activation of the cell candidate and the cell output; relu is Keras's LSTM(activation='relu')",
    )
    forget_bias: bool = Field(True, description="initialize the forget gate's bias to one")


class GruOptions(RecurrentOptions):
    """Gated recurrent unit (torch.nn.GRU) on a series, or on an image row by row."""

    name: Literal["gru"]


# Data.


class ValSplit(Options):
    """Rows held out of the training rows, where the source has test rows of its own."""

    val: Share | Rows = Field(0.1, description="for validation: a fraction, or a number of rows")
    stratify: bool = Field(True, description="keep the class proportions")
    seed: Count = Field(0, description="seed of the split; independent of the run's seed")
    folds: Annotated[int, Field(ge=2), at_most(1000)] | None = Field(
        None,
        description="number of cross-validation folds made of the non-test rows; replaces `val`; 'nnzoo train "
        "--folds' trains a run for each",
    )
    fold: PositiveInt = Field(
        1, description="with folds: the fold that validates, from 1; the others train"
    )

    @model_validator(mode="after")
    def _fold_is_one_of_them(self) -> Self:
        if self.folds is None and self.fold > 1:
            raise fault("fold", "needs 'folds'")
        if self.folds is not None and self.fold > self.folds:
            raise fault("fold", f"expected at most {self.folds}, which is 'folds', got {self.fold}")
        return self


class RowSplit(ValSplit):
    """Rows held out for validation and test, drawn at random."""

    test: Share | Rows = Field(0.2, description="for testing: a fraction, or a number of rows")


class TimeSplit(Options):
    """The earliest time steps train, the next validate, the latest test."""

    train: Share | PositiveInt | None = Field(
        None, description="a fraction, or a number of time steps; default: the rest"
    )
    val: Share | Rows = Field(0.1, description="a fraction, or a number of time steps")
    test: Share | Rows = Field(0.2, description="a fraction, or a number of time steps")


class ScaleOptions(Options):
    """Fitted on training rows alone and saved with the weights."""

    scale: Literal["standardize", "minmax", "none"] = Field(
        "standardize", description="for numeric inputs: zero mean and unit variance, or into [0, 1]"
    )
    pca: PositiveInt | None = Field(
        None,
        description="number of principal components to keep (by SVD; an image is flattened first)",
    )
    whiten: bool = Field(False, description="with pca: unit variance along each component")

    @model_validator(mode="after")
    def _whiten_needs_pca(self) -> ScaleOptions:
        if self.whiten and self.pca is None:
            raise fault("whiten", "needs 'pca'")
        return self


class SeriesPreprocess(ScaleOptions):
    target: Literal["standardize", "minmax", "none"] = Field(
        "standardize", description="scaling of a numeric target; metrics are in its own units"
    )


class TablePreprocess(SeriesPreprocess):
    impute: Literal["mean", "median", "zero"] = Field(
        "mean",
        description="replaces missing numbers; categories are one-hot, missing ones all zero",
    )


class AugmentOptions(Options):
    """Random changes of training images, drawn anew for each batch and done on the whole batch."""

    shift: Border = Field(0, description="up to this many pixels in each direction")
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(
        0.0, description="up to this many degrees"
    )
    flip: Literal["none", "horizontal", "vertical", "both"] = Field(
        "none", description="mirror with probability one half"
    )
    crop: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="zoom into a random part with at least this fraction of each side"
    )
    erase: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="probability of blanking a random rectangle (2 to 20 % of the area)"
    )


class DataOptions(Options):
    name: str


class ImageOptions(DataOptions):
    preprocess: ScaleOptions = Field(ScaleOptions(), description="scale, pca, whiten")
    augment: AugmentOptions | None = Field(None, description="shift, rotate, flip, crop, erase")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: rare classes count as much as frequent ones in the loss"
    )


class TableOptions(DataOptions):
    preprocess: TablePreprocess = Field(
        TablePreprocess(), description="impute, scale, pca, whiten, target"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: rare classes count as much as frequent ones in the loss"
    )


class WindowOptions(DataOptions):
    preprocess: SeriesPreprocess = Field(
        SeriesPreprocess(), description="scale, pca, whiten, target"
    )


class DigitsOptions(ImageOptions):
    """1,797 handwritten digits of 8x8 grey pixels (UCI, in scikit-learn's wheel)."""

    name: Literal["digits"]
    split: RowSplit = Field(RowSplit(), description="val, test, stratify, seed")


class BundledTableOptions(TableOptions):
    """A table out of scikit-learn's wheel: iris, wine, breast_cancer (classes), diabetes (number)."""

    name: Literal["iris", "wine", "breast_cancer", "diabetes"]
    split: RowSplit = Field(RowSplit(), description="val, test, stratify, seed")


class TorchvisionOptions(ImageOptions):
    """A published image set read by torchvision; downloaded into `root` when missing."""

    name: Literal["mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "svhn", "usps"]
    root: str | None = Field(None, description="folder of the files; default: NNZOO_DATA or ./data")
    _may_write: bool = PrivateAttr(True)

    @property
    def may_write(self) -> bool:
        """Whether files may be downloaded into `root`: not where a config file alone names a folder
        elsewhere."""
        return self._may_write

    def reading_only(self) -> Self:
        """The same, downloading nothing."""
        copy = self.model_copy()
        copy._may_write = False
        return copy

    split: ValSplit = Field(ValSplit(), description="val, stratify, seed")


class EmnistOptions(TorchvisionOptions):
    """EMNIST: handwritten letters and digits in six arrangements, read by torchvision."""

    name: Literal["emnist"]  # type: ignore[assignment]
    subset: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = Field(
        "balanced", description="which arrangement"
    )


class ImageFolderOptions(ImageOptions):
    """Your images: one folder per class; train/, val/ and test/ above them where you have them."""

    name: Literal["image_folder"]
    path: str = Field(description="the folder")
    size: Size = Field(64, description="images are resized to this, a number or [height, width]")
    color: bool = Field(True, description="three channels, or one (grey)")
    broken: Literal["stop", "skip"] = Field(
        "stop",
        description="where pictures cannot be decoded: name them all and stop, or leave them out",
    )
    classes: Annotated[list[str], Field(min_length=2)] | None = Field(
        None,
        description="names of the class folders; default: all, unless they look like parts or masks",
    )
    split: RowSplit = Field(
        RowSplit(), description="val, test, stratify, seed; for the parts that have no folder"
    )


def _separates(text: str) -> str:
    if len(text) > 3 or not text.isascii() or any(each in text for each in '"\r\n\0'):
        raise fault(
            "", f"expected one to three ASCII characters, no quote or line end, got {text!r}"
        )
    return text


def _is_encoding(name: str) -> str:
    try:
        known = name == "auto" or getattr(codecs.lookup(name), "_is_text_encoding", True)
        codecs.getincrementaldecoder("ascii" if name == "auto" else name)
    except (LookupError, ValueError):
        known = False
    if not known:
        raise fault(
            "", f"expected auto or an encoding such as utf-8, cp1252 or utf-16, got {name!r}"
        )
    return name


Delimiter = Annotated[str, Field(min_length=1), AfterValidator(_separates)]
Encoding = Annotated[str, Field(max_length=40), AfterValidator(_is_encoding)]


def _is_date_format(value: str) -> str:
    if value not in ("auto", "day_first", "month_first") and "%" not in value:
        raise fault("", "expected auto, day_first, month_first, or a form such as %d.%m.%Y")
    return value


class FileOptions(DataOptions):
    """How a file of columns is read: CSV (also packed with gzip or zip), Parquet or Excel."""

    path: str = Field(description="the file")
    header: Literal["auto"] | bool = Field("auto", description="does the first row name columns?")
    delimiter: Literal["auto"] | Delimiter = Field(
        "auto",
        description="between values; ' ' is any run of blanks; auto: comma, semicolon, tab, pipe "
        "(`|`), or plainly blanks or `::`",
    )
    encoding: Encoding = Field(
        "auto",
        description="of the text, such as utf-8 or cp1252; auto: UTF-8, or UTF-16 and UTF-32 by their mark",
    )
    skip_rows: Literal["auto"] | Count = Field(
        "auto", description="lines above the header; auto: a title or comments are found and named"
    )
    decimal: Literal["auto", ".", ","] = Field(
        "auto", description="decimal separator; auto: by the values of each column"
    )
    thousands: Literal["auto", "none", ",", ".", " ", "'"] = Field(
        "auto", description="thousands separator; auto: by the values of each column"
    )
    missing: list[str] = Field(
        [], description="further words that stand for a missing value, such as unknown"
    )
    date_format: Annotated[str, AfterValidator(_is_date_format)] = Field(
        "auto",
        description="of dates: day_first, month_first or as in strptime, such as %d.%m.%Y; "
        "auto: by the values",
    )


class CsvOptions(FileOptions, TableOptions):
    """Your table: CSV or Parquet, one row per sample."""

    name: Literal["csv"]
    test_path: str | None = Field(None, description="test rows in a file of their own")
    target: Column = Field(-1, description="name or position of the column to predict")
    task: Literal["auto", "classification", "regression"] = Field(
        "auto", description="classes or a number; auto looks at the target's training rows"
    )
    numbers: list[Column] = Field([], description="columns to read as numbers; others are found")
    categories: list[Column] = Field([], description="columns to read as categories")
    drop: list[Column] = Field([], description="columns to leave out")
    max_categories: PositiveInt = Field(
        100,
        description="text columns with more distinct values are rejected instead of one-hot encoded",
    )
    split: RowSplit = Field(RowSplit(), description="val, test, stratify, seed")


class SeriesOptions(FileOptions, WindowOptions):
    """Your time series: a CSV or Parquet in order of time, cut into windows."""

    name: Literal["series"]
    time: Column | Columns | None = Field(
        None,
        description="column of dates, or columns: date and time, or year, month, …; default: found",
    )
    target: Column | Columns = Field(-1, description="column or columns to predict")
    covariates: Literal["none", "all"] | list[Column] = Field(
        "none", description="further columns that the network sees up to the present"
    )
    group: Column | Columns | None = Field(
        None, description="column, or columns, that identify the series (such as a shop)"
    )
    window: Steps = Field(24, description="past time steps the network sees (n_steps, look_back)")
    horizon: Steps = Field(1, description="future time steps it predicts at once (n_steps_out)")
    relative: bool = Field(
        True, description="the network sees and predicts changes from the last value of its window"
    )
    season: Literal["auto"] | Count = Field(
        "auto", description="time steps of a season, for the baseline; auto: by the dates; 0: none"
    )
    split: TimeSplit = Field(TimeSplit(), description="train, val, test")


class SineOptions(WindowOptions):
    """A sine wave, generated: the usual first exercise of forecasting."""

    name: Literal["sine"]
    length: Steps = Field(1000, description="time steps")
    period: Annotated[Positive, at_most(1e9)] = Field(
        40.0, description="time steps of one oscillation"
    )
    amplitude: Positive = Field(1.0, description="height")
    noise: NonNegative = Field(0.0, description="standard deviation of added Gaussian noise")
    seed: Count = Field(0, description="seed of the noise")
    window: Steps = Field(20, description="past time steps the network sees (n_steps, look_back)")
    horizon: Steps = Field(1, description="future time steps it predicts at once (n_steps_out)")
    split: TimeSplit = Field(TimeSplit(), description="train, val, test")

    @model_validator(mode="after")
    def _phase_has_digits(self) -> SineOptions:
        if self.length / self.period > 1e12:
            raise fault("period", "too short: of its last oscillations no digit would be left")
        return self


MAX_ADDING = 100_000_000  # 32 bytes each while they are made


class AddingOptions(DataOptions):
    """The adding problem (Hochreiter & Schmidhuber 1997): add two marked numbers of a sequence."""

    name: Literal["adding"]
    length: Annotated[int, Field(ge=2), at_most(MAX_ADDING)] = Field(
        100, description="time steps of a sequence"
    )
    train: PositiveInt = Field(20000, description="training sequences")
    val: Rows = Field(1000, description="validation sequences")
    test: Rows = Field(1000, description="test sequences")
    seed: Count = Field(0, description="seed of the sequences")
    preprocess: SeriesPreprocess = Field(
        SeriesPreprocess(scale="none", target="none"), description="scale, pca, whiten, target"
    )

    @model_validator(mode="after")
    def _fits_into_memory(self) -> AddingOptions:
        steps = (self.train + self.val + self.test) * self.length
        if steps > MAX_ADDING:
            raise fault(
                "train", f"{steps:,} time steps in all sequences together; at most {MAX_ADDING:,}"
            )
        return self


# Optimizers and schedules.


class ScheduleOptions(Options):
    name: str
    warmup: StepDuration = Field("0 steps", description="linear rise from zero at the start")


class ConstantOptions(ScheduleOptions):
    """Constant learning rate."""

    name: Literal["constant"]


class CosineOptions(ScheduleOptions):
    """Half a cosine from the learning rate down to `final` times it (Loshchilov & Hutter 2017)."""

    name: Literal["cosine"]
    final: Fraction = Field(0.0, description="fraction of the learning rate at the end")


class OneCycleOptions(ScheduleOptions):
    """Up from `start` to the learning rate, then down to `final`, by half cosines (Smith & Topin 2018)."""

    name: Literal["one_cycle"]
    rise: Share = Field(0.3, description="fraction of the steps that rise")
    start: Fraction = Field(0.04, description="fraction of the learning rate at the start")
    final: Fraction = Field(0.0001, description="fraction of the learning rate at the end")


class StepOptions(ScheduleOptions):
    """The learning rate is multiplied by `gamma` at regular intervals."""

    name: Literal["step"]
    every: Annotated[StepDuration, AfterValidator(_above_zero)] = Field(
        "10 epochs", description="interval"
    )
    gamma: Share = Field(0.1, description="factor")


class LinearOptions(ScheduleOptions):
    """A straight line from the learning rate down to `final` times it."""

    name: Literal["linear"]
    final: Fraction = Field(0.0, description="fraction of the learning rate at the end")


class PlateauOptions(ScheduleOptions):
    """The learning rate is multiplied by `gamma` when `train.monitor` has not improved for a while."""

    name: Literal["plateau"]
    patience: PositiveInt = Field(5, description="epochs without improvement")
    gamma: Share = Field(0.1, description="factor")
    floor: Fraction = Field(0.0, description="lowest fraction of the learning rate")


def _named(value: Any) -> Any:
    """`schedule: cosine` is short for `schedule: {name: cosine}`."""
    return {"name": value} if isinstance(value, str) else value


ScheduleName = Literal["constant", "cosine", "one_cycle", "step", "linear", "plateau"]
AnySchedule = Annotated[
    ConstantOptions
    | CosineOptions
    | OneCycleOptions
    | StepOptions
    | LinearOptions
    | PlateauOptions,
    Field(discriminator="name"),
]
Schedule = Annotated[
    AnySchedule, BeforeValidator(_named, json_schema_input_type=ScheduleName | AnySchedule)
]


class ClipOptions(Options):
    """Gradient clipping, by one of the two."""

    norm: Positive | None = Field(None, description="scale the gradient to at most this norm")
    value: Positive | None = Field(None, description="cut every entry into [-value, value]")

    @model_validator(mode="after")
    def _one(self) -> ClipOptions:
        if (self.norm is None) == (self.value is None):
            raise fault("", "give either 'norm' or 'value'")
        return self


class OptimOptions(Options):
    name: str
    lr: Positive = Field(0.001, description="learning rate")
    weight_decay: NonNegative = Field(
        0.0, description="L2 penalty on weights; not on biases and norms"
    )
    schedule: Schedule = Field(
        ConstantOptions(name="constant"),
        description="how the learning rate changes: constant, cosine, one_cycle, step, linear, plateau; "
        "its name, or a mapping with its name and options",
    )
    clip: ClipOptions | None = Field(None, description="{norm: 1.0} or {value: 0.5}")


class SgdOptions(OptimOptions):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    lr: Positive = Field(0.01, description="learning rate")
    momentum: Fraction = Field(
        0.9, description="momentum factor: fraction of the last update that is kept"
    )
    nesterov: bool = Field(False, description="look ahead along the momentum")

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SgdOptions:
        if self.nesterov and self.momentum == 0:
            raise fault("nesterov", "needs momentum above 0")
        return self


class AdamOptions(OptimOptions):
    """Adam (Kingma & Ba 2015); weight decay is added to the gradient."""

    name: Literal["adam"]
    betas: Annotated[list[Fraction], Field(min_length=2, max_length=2)] = Field(
        [0.9, 0.999], description="decay of the averages of gradient and square"
    )
    eps: Positive = Field(1e-8, description="added to the denominator for numerical stability")


class AdamWOptions(AdamOptions):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"]  # type: ignore[assignment]
    weight_decay: NonNegative = Field(
        0.01, description="decoupled weight decay; not on biases and norms"
    )


class RmspropOptions(OptimOptions):
    """RMSprop (Hinton 2012)."""

    name: Literal["rmsprop"]
    alpha: Fraction = Field(0.99, description="decay of the average of squares")
    eps: Positive = Field(1e-8, description="added to the denominator for numerical stability")
    momentum: Fraction = Field(
        0.0, description="momentum factor: fraction of the last update that is kept"
    )


# Training.


class EarlyStopping(Options):
    patience: PositiveInt = Field(10, description="epochs without improvement of `monitor`")
    min_delta: NonNegative = Field(0.0, description="smaller improvements do not count")


Monitor = Literal[
    "auto", "val_loss",
    "val_accuracy", "val_f1_macro", "val_precision_macro", "val_recall_macro",
    "val_auc", "val_average_precision",
    "val_mse", "val_rmse", "val_mae", "val_r2",
]  # fmt: skip


HIGHER_IS_BETTER = (
    "accuracy", "f1_macro", "precision_macro", "recall_macro", "auc", "average_precision", "r2",
)  # fmt: skip


class TrainOptions(Options):
    """The training loop."""

    epochs: PositiveInt = Field(20, description="passes over the training rows")
    batch_size: PositiveInt = Field(64, description="batch size: rows per batch")
    accumulate: PositiveInt = Field(
        1, description="gradient accumulation: batches per optimizer step"
    )
    loss: Literal["auto", "cross_entropy", "mse", "mae", "huber"] = Field(
        "auto", description="auto: cross_entropy (softmax included) for classes, mse for numbers"
    )
    huber_delta: Positive = Field(
        1.0,
        description="with huber: where the loss changes from quadratic to linear, in scaled units",
    )
    label_smoothing: Fraction = Field(
        0.0, description="with cross_entropy: probability mass spread over all classes"
    )
    monitor: Monitor = Field(
        "auto",
        description="what decides the best epoch; auto: val_loss, or the last epoch where nothing "
        "validates",
    )
    early_stopping: EarlyStopping | None = Field(None, description="patience, min_delta")
    save_every: Annotated[Cadence, AfterValidator(_above_zero)] = Field(
        "0.5 %",
        description="checkpoint interval in epochs, steps or seconds, or the fraction of time that saving "
        "may take; also saved at the end",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="of the matrix products; auto: bf16 for classes where the processor has "
        "instructions for it and a few timed steps are faster, else fp32",
    )
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = Field(
        "auto",
        description="CPU threads; auto: one or all, whichever is faster in a few timed steps",
    )
    kernels: Literal["auto", "native", "torch"] = Field(
        "auto",
        description="implementation of layers, losses and Adam on a CPU: native, which this machine's C compiler "
        "compiles once, or torch's; auto: native where there is a compiler",
    )
    compile: bool | Literal["auto"] = Field(
        "auto",
        description="torch.compile the model: needs a C++ compiler and some 15 s at start; auto: no",
    )
    norm_statistics: Literal["auto", "running", "exact"] = Field(
        "auto",
        description="batch norm's mean and variance in evaluation: running averages over the steps, or "
        "taken anew from training rows after each epoch (exact); auto: exact where an epoch has fewer "
        "than 20 batches",
    )
    on_nan: Literal["stop", "skip"] = Field(
        "stop",
        description="where loss or gradient is not finite: end the run, or skip the step and continue",
    )
    max_skipped: PositiveInt = Field(
        10, description="with skip: the run ends after so many such steps in a row"
    )
    tensorboard: bool = Field(
        False,
        description="write the curves into tensorboard/ of the run's folder; needs pip install "
        "'nnzoo[tensorboard]'",
    )


# Searching.

MAX_CHOICES = 100
MAX_TRIALS = 100_000

Number = Annotated[int | float, Field(allow_inf_nan=False)]


class RangeOptions(Options):
    """The numbers from `low` to `high`."""

    low: Number = Field(description="the smallest value")
    high: Number = Field(description="the largest value")
    log: bool = Field(False, description="sample on a log scale")
    step: Positive | None = Field(None, description="only low, low + step, low + 2 step, …")

    @model_validator(mode="after")
    def _holds_numbers(self) -> RangeOptions:
        if self.low >= self.high:
            raise fault("high", f"expected a number above 'low' ({self.low:g}), got {self.high:g}")
        if self.log and self.low <= 0:
            raise fault("low", f"with 'log': expected a number above 0, got {self.low:g}")
        if self.step is not None and self.log:
            raise fault("step", "not with 'log'; list the values instead")
        if self.step is not None and self.step > self.high - self.low:
            raise fault("step", f"larger than the range ({self.high - self.low:g})")
        return self


class SweepOptions(Options):
    """Search space for `nnzoo sweep`; ignored by `nnzoo train`."""

    trials: Literal["auto"] | Annotated[PositiveInt, at_most(MAX_TRIALS)] = Field(
        "auto",
        description="runs to be made, by all processes together; auto: 30, or the whole grid",
    )
    sampler: Literal["tpe", "random", "grid"] = Field(
        "tpe",
        description="which values come next: tpe learns from those before (Bergstra et al. 2011), "
        "random does not, grid tries every combination",
    )
    pruner: Literal["median", "halving", "none"] = Field(
        "median",
        description="which trials end early: median, those worse than half of the others were at that "
        "epoch; halving, all but the best quarter at each rung (Li et al. 2020)",
    )
    grace: PositiveInt = Field(
        5, description="epochs that every trial gets before it may be pruned"
    )
    storage: str = Field(
        "auto",
        min_length=1,
        description="where the study is kept; auto: sweep.db in the run's folder (SQLite, processes of "
        "one machine); a file *.log: a journal, also on a disk that machines share; the URL of a "
        "database server",
    )
    space: dict[
        str,
        RangeOptions | Annotated[list[Any], Field(min_length=1), at_most(MAX_CHOICES, "values")],
    ] = Field(
        min_length=1,
        description="key: [values], or key: {low, high, log, step}, with keys such as optim.lr",
    )
