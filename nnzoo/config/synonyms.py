"""Words of other tools and of textbooks for keys, sections and values that the YAML language calls otherwise.

They only give hints, so that a configuration has one spelling; former names of its own keys, which are
accepted, are in the option classes (see renamed_keys.py).
"""

from __future__ import annotations


def _by_word(table: str) -> dict[str, str]:
    """word -> meaning, from lines "meaning <- words"."""
    rows = [line.split(" <- ") for line in table.strip().replace("\\\n", "").splitlines()]
    return {word: meaning for meaning, words in rows for word in words.split()}


SECTIONS = _by_word(r"""
data <- dataset datasets input
model <- network net architecture
optim <- optimizer optimiser
train <- training trainer fit
sweep <- hyperopt search tune
""")

# The dotted keys that a word stands for, of which the first that the file at hand can have is meant; without a
# dot: a key of the same section, or a section.
KEYS = {
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
train.precision <- amp fp16 dtype mixed_precision
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
REMARKS = _by_word(r"""
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
VALUES = _by_word(r"""
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
