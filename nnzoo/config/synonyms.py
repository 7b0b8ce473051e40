"""Words of other tools and of textbooks for what the YAML language calls otherwise; hints alone are made
of them, so a config has one spelling."""

from __future__ import annotations

SECTIONS = {
    "dataset": "data", "datasets": "data", "input": "data",
    "network": "model", "net": "model", "architecture": "model",
    "optimizer": "optim", "optimiser": "optim",
    "training": "train", "trainer": "train", "fit": "train",
    "hyperopt": "sweep", "search": "sweep", "tune": "sweep",
}  # fmt: skip

# Where a key belongs: the first of the dotted keys that this file can have. Without a dot: in the same
# section.
_GROUPS: dict[tuple[str, ...], str] = {
    ("name",): "type class kind",
    ("optim.lr",): "lr learning_rate learningrate eta alpha_0 base_lr init_lr",
    ("optim.clip",): "clip gradient_clipping grad_clip",
    ("optim.clip.norm",): "clip_norm clipnorm max_norm max_grad_norm gradient_clip_val",
    ("optim.clip.value",): "clip_value clipvalue",
    ("optim.schedule",): "schedule scheduler lr_scheduler lr_schedule lr_decay decay",
    ("optim.schedule.warmup",): "warmup_steps warmup_epochs",
    ("optim.weight_decay",): "weight_decay l2 l2_reg l2_regularization regularization",
    ("optim.momentum",): "momentum",
    ("optim",): "optimizer optimiser",
    ("train.epochs",): "epochs epoch n_epochs num_epochs max_epochs nb_epoch iterations max_iter",
    ("train.batch_size",): "batch_size batch batchsize bs mini_batch minibatch minibatch_size",
    ("train.accumulate_grad_batches",): "accumulate gradient_accumulation grad_accum",
    ("train.loss",): "loss criterion objective loss_function loss_fn",
    ("train.label_smoothing",): "label_smoothing",
    ("train.monitor",): "monitor metric metrics",
    ("train.early_stopping",): "early_stopping early_stop earlystopping",
    ("train.early_stopping.patience",): "patience",
    ("train.save_every",): "save_every checkpoint_every save_freq",
    ("train.precision",): "amp fp16 dtype mixed_precision",
    ("train.threads",): "num_threads n_jobs",
    ("data.augment",): "augment augmentation transforms transform data_augmentation",
    ("data.augment.flip",): "horizontal_flip hflip random_flip",
    ("data.augment.rotate",): "rotation rotation_range degrees",
    ("data.preprocess",): "preprocess preprocessing",
    ("data.preprocess.scale",): "normalize normalise standardize scaler scaling normalization_input",
    ("data.preprocess.pca",): "pca svd truncated_svd n_components components",
    ("data.preprocess.impute",): "impute imputer fillna fill_missing",
    ("data.split",): "split",
    ("data.split.val",): "validation_split val_split val_size validation_size valid_size valid",
    ("data.split.test",): "test_size test_split",
    ("data.split.folds",): "cv n_splits k_folds kfold",
    ("data.class_weights",): "class_weights class_weight",
    ("data.window",): "window n_steps n_steps_in timesteps time_steps look_back lookback seq_len "
    "seq_length sequence_length window_size input_chunk_length input_len n_lags lags history",
    ("data.horizon",): "horizon n_steps_out forecast_horizon output_chunk_length pred_len steps_ahead",
    ("data.season",): "seasonality period_length m",
    ("data.group",): "series_id unique_id item_id group_id",
    ("data.time",): "date_column time_column timestamp datetime date",
    ("data.target",): "label labels y target_column target_col output_column",
    ("data.drop",): "ignore exclude drop_columns",
    ("data.size",): "image_size img_size input_size resize",
    ("data.path",): "file filename csv data_path data_dir folder directory",
    ("model.hidden", "model.hidden_size", "model.head.hidden"): "units neurons hidden_units hidden_layers hidden_dim "
    "hidden_dims hidden_layer_sizes hidden_sizes layer_sizes n_hidden width hidden",
    ("model.hidden_size", "model.hidden"): "hidden_size",
    ("model.num_layers",): "layers n_layers num_hidden_layers depth",
    ("model.channels",): "filters n_filters num_filters out_channels feature_maps conv_channels",
    ("model.kernel_size",): "kernel kernels kernel_sizes filter_size ksize",
    ("model.stride",): "strides",
    ("model.pool",): "pooling pool_type",
    ("model.pool_size",): "pool_kernel pooling_size",
    ("model.dropout",): "dropout dropout_rate drop_rate drop_prob p_drop recurrent_dropout",
    ("model.norm",): "batch_norm batchnorm batch_normalization use_bn normalization layer_norm",
    ("model.residual",): "skip skip_connections resnet",
    ("model.readout",): "return_sequences pooling_over_time",
    ("model.bidirectional",): "bidir bi",
    ("model.init",): "init initializer initialization kernel_initializer weight_init",
    ("model.activation", "model.nonlinearity"): "activation activations act activation_function "
    "transfer_function",
    ("model.nonlinearity", "model.activation"): "nonlinearity non_linearity",
    ("seed",): "random_state random_seed rng",
}  # fmt: skip
KEYS: dict[str, tuple[str, ...]] = {
    word: places for places, words in _GROUPS.items() for word in words.split()
}

_COUNTED = "it is counted from the data; leave it out"
REMARKS: dict[str, str] = {
    **dict.fromkeys(
        ("n_features", "num_features", "input_dim", "input_shape", "in_features", "in_channels",
         "n_classes", "num_classes", "output_dim", "output_size", "out_features"), _COUNTED,
    ),
    **dict.fromkeys(
        ("layers", "n_layers", "num_layers", "num_hidden_layers", "depth"),
        "there is one layer for each number in the list 'hidden' (mlp) or 'channels' (cnn)",
    ),
    "seed": "it is seed, beside the sections",
    "device": "it is the option --device",
    "gpu": "it is the option --device cuda",
    "cuda": "it is the option --device cuda",
    "gpus": "it is the option --device cuda",
    "verbose": "it is the option --verbose",
    "out": "it is the option --out",
    "output_dir": "it is the option --out",
    "resume": "it is the option --resume",
    "shuffle": "training rows are always drawn in a new order each epoch",
    "num_workers": "there are none: data sets are held in memory",
    "stateful": "each window starts from a zero state",
    "softmax": "a classifier's outputs always go through softmax (it is part of the loss)",
    "output_activation": "classes always go through softmax, numbers through nothing",
}  # fmt: skip

# Other spellings of values.
VALUES: dict[str, str] = {
    "swish": "silu", "leaky": "leaky_relu", "lrelu": "leaky_relu", "logistic": "sigmoid",
    "glorot": "xavier_uniform", "glorot_uniform": "xavier_uniform", "glorot_normal": "xavier_normal",
    "xavier": "xavier_uniform", "he": "kaiming_normal", "he_uniform": "kaiming_uniform",
    "he_normal": "kaiming_normal", "kaiming": "kaiming_normal",
    "binary_crossentropy": "cross_entropy", "bce": "cross_entropy", "crossentropy": "cross_entropy",
    "categorical_crossentropy": "cross_entropy", "nll": "cross_entropy", "log_loss": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "l1": "mae", "l2": "mse", "mean_squared_error": "mse", "mean_absolute_error": "mae",
    "smooth_l1": "huber", "rmse": "mse",
    "accuracy": "val_accuracy", "acc": "val_accuracy", "val_acc": "val_accuracy", "f1": "val_f1_macro",
    "cosine_annealing": "cosine", "cosineannealinglr": "cosine", "onecyclelr": "one_cycle",
    "1cycle": "one_cycle", "steplr": "step", "reduce_on_plateau": "plateau",
    "reducelronplateau": "plateau",
    "standard": "standardize", "zscore": "standardize", "z-score": "standardize",
    "standardscaler": "standardize", "min_max": "minmax", "minmaxscaler": "minmax", "0-1": "minmax",
    "bn": "batch", "batchnorm": "batch", "layernorm": "layer", "mean_pool": "mean",
    "global_average": "average", "gap": "average", "average": "avg", "maxpool": "max",
    "dense": "mlp", "fc": "mlp", "perceptron": "mlp", "feedforward": "mlp", "nn": "mlp", "dnn": "mlp",
    "ann": "mlp", "conv": "cnn", "convnet": "cnn", "conv2d": "cnn", "conv1d": "cnn", "resnet": "cnn",
    "bilstm": "lstm", "elman": "rnn",
    "tabular": "csv", "table": "csv", "parquet": "csv", "excel": "csv", "dataframe": "csv",
    "timeseries": "series", "time_series": "series", "forecast": "series",
    "images": "image_folder", "folder": "image_folder", "imagefolder": "image_folder",
    "fashionmnist": "fashion_mnist", "rms_prop": "rmsprop",
}  # fmt: skip
# A value that no key takes, and why.
_SOFTMAX = "; a classifier's outputs always go through softmax (cross-entropy loss)"
# scikit-learn takes a fraction of the variance.
PCA_REMARK = "it is the number of components; train prints which fraction of the variance they keep"
VALUE_REMARKS: dict[str, str] = {"softmax": _SOFTMAX, "log_softmax": _SOFTMAX}
