"""Hints for words that the YAML language does not have: misspelled keys and values, words of other tools.

Words of other tools and of textbooks only give hints, so that a configuration has one spelling; former names
of the language's own keys are accepted (see renamed_keys.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from nnzoo.config import yaml_parser
from nnzoo.config.json_schema import accepts, choices
from nnzoo.config.yaml_parser import Path, dotted

# Shorter words of other tools resemble too many keys.
MIN_SYNONYM = 5


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant: the same in another case, else a similar one."""
    words = list(known)
    same = [candidate for candidate in words if candidate.casefold() == word.casefold()]
    return next(iter(same or get_close_matches(word, words, n=1, cutoff=cutoff)), None)


def nearest_value(word: str, known: Iterable[str]) -> str | None:
    """As `nearest`, for a value: a synonym from other tools comes before a similar word."""
    words = list(known)
    synonym = VALUE_SYNONYMS.get(word.casefold())
    return synonym if synonym in words else nearest(word, words)


def did_you_mean(near: str | None, otherwise: str = "") -> str:
    """The question for the word that was probably meant; `otherwise` if none is near."""
    return f"did you mean '{near}'?" if near else otherwise


def key_hint(path: Path, known: Mapping[str, str], file_keys: Mapping[str, str]) -> str:
    """A hint for an unknown key at a path.

    known: names that are legal beside it, former ones too -> the current name; file_keys: the keys that
    the sections of this file can have -> their dotted paths.
    """
    key, section = str(path[-1]), dotted(path[:-1])
    word = key.casefold().replace("-", "_")
    target = _synonym_target(word, path, known, set(file_keys.values()))
    if target is None and not section:
        target = SECTION_SYNONYMS.get(word)
    if target is not None:
        head, _, last = target.rpartition(".")
        return f"it is '{last}'" if head == section or target == "name" else f"it is {target}"
    other_keys = {name: target for name, target in file_keys.items() if target != dotted(path)}
    if key in other_keys:
        return f"it is {other_keys[key]}"
    if word in KEY_REMARKS:
        return KEY_REMARKS[word]
    other_keys |= {
        name: targets[0]
        for name, targets in KEY_SYNONYMS.items()
        if len(name) >= MIN_SYNONYM and name != word and not targets[0].startswith(f"{section}.")
    }
    near, similar = nearest(key, known), nearest(key, other_keys, cutoff=0.75)
    if similar and (near is None or _similarity(key, similar) > _similarity(key, near) + 0.1):
        return f"did you mean {other_keys[similar]}?"
    return did_you_mean(
        known[near] if near else None,
        otherwise=f"known here: {', '.join(dict.fromkeys(known.values()))}",
    )


def _synonym_target(word: str, path: Path, known: Mapping[str, str], legal: set[str]) -> str | None:
    """The dotted path of the key that other tools call `word`; None if no other tool uses the word."""
    section = dotted(path[:-1])
    targets = [target for target in KEY_SYNONYMS.get(word, ()) if target != dotted(path)]
    for target in targets:
        head, _, last = target.rpartition(".")
        if target == "name":
            fits = "name" in known
        elif head:
            fits = (head == section and last in known) or ".".join(target.split(".")[:2]) in legal
        else:
            fits = target != section
        if fits:
            return target
    # A section that is not in the file yet.
    others = (
        target for target in targets if "." in target and target.split(".")[0] != str(path[0])
    )
    return next(others, None)


def value_hint(value: Any, node: dict[str, Any], root: dict[str, Any], key: str = "") -> str:
    """A hint for a wrong value of a key: a similar word, or the same value without or with quotes.

    node: the JSON Schema of the key, inside the schema `root`.
    """
    if key == "pca" and isinstance(value, float):
        return f"; {PCA_REMARK}"
    if isinstance(value, str):
        if value.casefold() in VALUE_REMARKS:
            return VALUE_REMARKS[value.casefold()]
        near = nearest_value(value, choices(node, root))
        if near:
            return f"; {did_you_mean(near)}"
        plain = yaml_parser.scalar(value)
        if not isinstance(plain, str) and plain is not None and accepts(node, plain, root):
            return "; write it without quotes"
    elif _is_whole(value) and accepts(node, int(value), root):
        return f"; write {int(value)}"
    elif type(value) in (int, float) and accepts(node, str(value), root):
        return "; text that looks like a number needs quotes"
    return ""


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and abs(value) < 1e9 and value.is_integer()


def _similarity(word: str, other: str) -> float:
    return SequenceMatcher(None, word.casefold(), other.casefold()).ratio()


# Words of other tools and of textbooks.


def _by_word(table: str) -> dict[str, str]:
    """word -> meaning, from lines "meaning <- words"."""
    rows = [line.split(" <- ") for line in table.strip().replace("\\\n", "").splitlines()]
    return {word: meaning for meaning, words in rows for word in words.split()}


SECTION_SYNONYMS = _by_word(r"""
data <- dataset datasets input
model <- network net architecture
optim <- optimizer optimiser
train <- training trainer fit
sweep <- hyperopt search tune
""")

# The dotted keys that a word stands for, of which the first that the file at hand can have is meant; without a
# dot: a key of the same section, or a section.
KEY_SYNONYMS = {
    word: tuple(keys.split())
    for word, keys in _by_word(r"""
name <- type class kind
optim.lr <- lr learning_rate learningrate eta alpha_0 base_lr init_lr
optim.clip <- clip gradient_clipping grad_clip
optim.clip.norm <- clip_norm clipnorm max_norm max_grad_norm gradient_clip_val
optim.clip.value <- clip_value clipvalue
optim.schedule <- schedule scheduler lr_scheduler lr_schedule lr_decay decay
optim.schedule.warmup <- warmup_steps warmup_epochs
optim.weight_decay <- weight_decay l2 l2_reg l2_regularization regularization
optim.momentum <- momentum
optim <- optimizer optimiser
train.epochs <- epochs epoch n_epochs num_epochs max_epochs nb_epoch iterations max_iter
train.batch_size <- batch_size batch batchsize bs mini_batch minibatch minibatch_size
train.accumulate_grad_batches <- accumulate gradient_accumulation grad_accum
train.loss <- loss criterion objective loss_function loss_fn
train.label_smoothing <- label_smoothing
train.monitor <- monitor metric metrics
train.early_stopping <- early_stopping early_stop earlystopping
train.early_stopping.patience <- patience
train.save_every <- save_every checkpoint_every save_freq
train.precision <- amp fp16 dtype mixed_precision allow_tf32
train.threads <- num_threads n_jobs
data.augment <- augment augmentation transforms transform data_augmentation
data.augment.flip <- horizontal_flip hflip random_flip
data.augment.rotate <- rotation rotation_range degrees
data.preprocess <- preprocess preprocessing
data.preprocess.scale <- normalize normalise standardize scaler scaling normalization_input
data.preprocess.pca <- pca svd truncated_svd n_components components
data.preprocess.impute <- impute imputer fillna fill_missing
data.split <- split
data.split.val <- validation_split val_split val_size validation_size valid_size valid
data.split.test <- test_size test_split
data.split.folds <- cv n_splits k_folds kfold
data.class_weights <- class_weights class_weight
data.window <- window n_steps n_steps_in timesteps time_steps look_back lookback seq_len seq_length \
    sequence_length window_size input_chunk_length input_len n_lags lags history
data.horizon <- horizon n_steps_out forecast_horizon output_chunk_length pred_len steps_ahead
data.season <- seasonality period_length m
data.group <- series_id unique_id item_id group_id
data.time <- date_column time_column timestamp datetime date
data.target <- label labels y target_column target_col output_column
data.drop <- ignore exclude drop_columns
data.size <- image_size img_size input_size resize
data.path <- file filename csv data_path data_dir folder directory
model.hidden model.hidden_size model.head.hidden <- units neurons hidden_units hidden_layers hidden_dim \
    hidden_dims hidden_layer_sizes hidden_sizes layer_sizes n_hidden width hidden
model.hidden_size model.hidden <- hidden_size
model.num_layers <- layers n_layers num_hidden_layers depth
model.channels <- filters n_filters num_filters out_channels feature_maps conv_channels
model.kernel_size <- kernel kernels kernel_sizes filter_size ksize
model.stride <- strides
model.pool <- pooling pool_type
model.pool_size <- pool_kernel pooling_size
model.dropout <- dropout dropout_rate drop_rate drop_prob p_drop recurrent_dropout
model.norm <- batch_norm batchnorm batch_normalization use_bn normalization layer_norm
model.residual <- skip skip_connections resnet
model.readout <- return_sequences pooling_over_time
model.bidirectional <- bidir bi
model.init <- init initializer initialization kernel_initializer weight_init
model.activation model.nonlinearity <- activation activations act activation_function transfer_function
model.nonlinearity model.activation <- nonlinearity non_linearity
seed <- random_state random_seed rng
""").items()
}

# Words that no key stands for.
KEY_REMARKS = _by_word(r"""
it is counted from the data; leave it out <- n_features num_features input_dim input_shape in_features \
    in_channels n_classes num_classes output_dim output_size out_features
there is one layer for each number in the list 'hidden' (mlp) or 'channels' (cnn) <- layers n_layers \
    num_layers num_hidden_layers depth
it is seed, beside the sections <- seed
it is the option --device <- device
it is the option --device cuda <- gpu cuda gpus
it is the option --verbose <- verbose
it is the option --out <- out output_dir
it is the option --resume <- resume
training rows are always drawn in a new order each epoch <- shuffle
there are none: data sets are held in memory <- num_workers
each window starts from a zero state <- stateful
a classifier's outputs always go through softmax (it is part of the loss) <- softmax
classes always go through softmax, numbers through nothing <- output_activation
""")

# Other spellings of values.
VALUE_SYNONYMS = _by_word(r"""
silu <- swish
leaky_relu <- leaky lrelu
sigmoid <- logistic
xavier_uniform <- glorot glorot_uniform xavier
xavier_normal <- glorot_normal
kaiming_normal <- he he_normal kaiming
kaiming_uniform <- he_uniform
cross_entropy <- binary_crossentropy bce crossentropy categorical_crossentropy nll log_loss \
    sparse_categorical_crossentropy
mae <- l1 mean_absolute_error
mse <- l2 mean_squared_error rmse
huber <- smooth_l1
quantile <- pinball
val_accuracy <- accuracy acc val_acc
val_f1_macro <- f1
cosine <- cosine_annealing cosineannealinglr
one_cycle <- onecyclelr 1cycle
step <- steplr
plateau <- reduce_on_plateau reducelronplateau
standardize <- standard zscore z-score standardscaler
minmax <- min_max minmaxscaler 0-1
batch <- bn batchnorm
layer <- layernorm
mean <- mean_pool
average <- global_average gap
avg <- average
max <- maxpool
mlp <- dense fc perceptron feedforward nn dnn ann
cnn <- conv convnet conv2d conv1d resnet
lstm <- bilstm
rnn <- elman
csv <- tabular table parquet excel dataframe
series <- timeseries time_series forecast
image_folder <- images folder imagefolder
fashion_mnist <- fashionmnist
rmsprop <- rms_prop
""")

# Values that no key takes.
_SOFTMAX = "; a classifier's outputs always go through softmax (cross-entropy loss)"
VALUE_REMARKS = {"softmax": _SOFTMAX, "log_softmax": _SOFTMAX}
# scikit-learn takes a fraction of the variance, too.
PCA_REMARK = "it is the number of components; train prints which fraction of the variance they keep"
