/* Arguments of the entry points. Python (call.py) reads these declarations to pack them: fields
 * are of type `long`, `double` or pointers. Sizes count elements unless a comment says otherwise.
 * Shapes are row-major; images are channels-last (batch, height, width, channels).
 *
 * Contract of every entry point; the caller (ops.py, step.py) has checked it:
 *   - all buffers are dense, have the shapes below, belong to the caller and do not alias each
 *     other unless stated;
 *   - buffers are aligned to their element type only, workspace and scratch to 8 bytes;
 *   - every size is at least 1 unless stated;
 *   - nothing is kept after a call: backward gets the same workspace again, wherever it is by then;
 *   - OpenMP may give fewer threads than `threads`.
 * Pointers that are not used may be null. `workspace` is written by forward and only read by
 * backward; `scratch` is used within one call. Their sizes in bytes come from
 * nnzoo_*_workspace(args, backward). */

#pragma once

#include <stdint.h>

#ifndef NNZOO_SCALAR
#define NNZOO_SCALAR float
#endif
typedef NNZOO_SCALAR scalar_t;

/* A chain of linear layers; see linear.c. In memory `layers` structs linear_layer_args follow. */
struct linear_args {
    long bf16, threads, members, batch, layers; /* batch: rows per member; may be 0 */
    const void *x;         /* (members, batch, in) scalar_t, or bfloat16 if x_bf16 */
    long x_bf16, x_packed; /* x_packed: x can be read as the first product's operand */
    char *workspace, *scratch;
    scalar_t *y;        /* (members, batch, out) of the last layer */
    const scalar_t *dy; /* its gradient */
    /* Per layer: dweight (members, out, in_padded), then dbias (members, out_padded). */
    scalar_t *grads;
    scalar_t *dx; /* (members, batch, in_padded), or null */
};

struct linear_layer_args {
    long in, out, relu;
    double dropout_scale;
    const scalar_t *weight; /* (members, out, in) */
    const scalar_t *bias;   /* (members, out) */
    /* (members, batch, out_padded) ones where a value is kept, or null. */
    const uint8_t *dropout_mask;
};

/* One recurrent layer in one direction; see rnn.h. The strides of x and dy are in elements, 1
 * within a row. With `lengths`, sequences are packed: instead of (steps, members, batch) their x,
 * states, dy and dx have (packed_rows), in the order of packing.py, x_batch and dy_batch apart. */
struct rnn_args {
    /* batch: rows per member; steps: of the longest sequence. */
    long cell_type, bf16, relu, threads, members, steps, batch, features, hidden;
    long keep;     /* whether backward will follow: its inputs are kept in z and workspace */
    long carried; /* whether the first step starts from h0 and c0, not from zero; not with lengths */
    long packed_rows;       /* with lengths: at least their sum */
    const int64_t *lengths; /* (members, batch), each member's longest first; null: all are `steps` */
    const int64_t *offsets; /* (members, steps + 1): the row at which each step begins, and the end */
    const void *x; /* (steps, members, batch, features) */
    long x_bf16, x_time, x_member, x_batch; /* strides */
    /* Unless 0, the input is a token of such a vocabulary, of one member and without lengths: instead
     * of x, w_ih and biases there are ids, x_time and x_batch apart, and what each adds to the
     * gates. */
    long vocabulary;
    const int32_t *ids;    /* (steps, batch) */
    const scalar_t *table; /* (vocabulary, gates * hidden), gates as in rnn.h */
    scalar_t *dtable;      /* its gradient */
    const scalar_t *w_ih; /* (members, gates * hidden, features), gates as torch orders them */
    const scalar_t *w_hh; /* (members, gates * hidden, hidden) */
    const scalar_t *b_ih, *b_hh; /* (members, gates * hidden) */
    const scalar_t *h0, *c0;     /* (members, batch, hidden), for forward alone; c0: LSTM only */
    /* (members, steps + 1, batch, row), see struct sizes in rnn.h; with lengths (members * batch +
     * packed_rows, row): the rows of the first states, and of those after each step. */
    char *z;
    char *workspace, *scratch;
    scalar_t *last, *cell; /* (members, batch, hidden); cell: LSTM only */
    const void *dy;        /* gradient of all states (steps, members, batch, hidden), or null */
    long dy_bf16, dy_time, dy_member, dy_batch; /* strides */
    const scalar_t *dlast, *dcell;              /* gradients of last and cell, or null */
    scalar_t *grads;                            /* of w_ih, w_hh, b_ih and b_hh, in this order */
    scalar_t *dx;                               /* (steps, members, batch, features), or null */
};

/* A 2-D convolution and its epilogue, in this order: batch norm, 2x2 max pooling, ReLU, dropout
 * (only after ReLU); see conv.h. dy may alias x or y. */
struct conv_args {
    /* parts: 1 to batch; threads: 1 to parts. out: a multiple of LANES. */
    long bf16, parts, threads, batch, in, out, height, width;
    long pad_y, pad_x, out_height, out_width, kernel_height, kernel_width, stride_y, stride_x;
    long batch_norm, max_pool, relu; /* which of the epilogue there are */
    double dropout_scale, epsilon, momentum;
    const scalar_t *x;            /* (batch, height, width, in) */
    const scalar_t *weight;       /* (out, in, kernel_height, kernel_width), as torch has it */
    const scalar_t *bias;         /* (out), or null */
    const scalar_t *gamma, *beta; /* (out) weight and bias of batch norm */
    scalar_t *running_mean, *running_var; /* (out), updated */
    const uint8_t *dropout_mask;          /* like y: ones where a value is kept, or null */
    char *scratch;                        /* of each call: nothing in it is kept */
    scalar_t *stats; /* (2, out) mean and 1 / std of the batch, from forward to backward */
    scalar_t *z;     /* (batch, out_height, out_width, out) input of batch norm, likewise */
    uint8_t *argmax; /* like y: index in the pooling window, row by row, or null; likewise */
    scalar_t *y;     /* (batch, out_height, out_width, out); pooled: height and width halved */
    const scalar_t *dy;
    scalar_t *dweight, *dbias; /* dbias may be null */
    scalar_t *dgamma, *dbeta;
    scalar_t *dx; /* or null; conv_direct gives none */
};

/* Loss and its gradient; see loss.c. */
struct loss_args {
    long loss, threads, members, batch, width; /* loss: enum loss_name; batch: rows per member */
    const scalar_t *output;                    /* (members, batch, width) */
    const void *target;                        /* (members, batch) int64 classes, or like output */
    const scalar_t *class_weights;             /* (width), or null */
    const double *row_weights;                 /* (members, batch), or null */
    double option;                             /* label smoothing, or delta of the Huber loss */
    const double *denominators;                /* (members) */
    double *losses;                            /* (members) sums over the rows */
    int64_t *num_correct;                      /* (members) */
    scalar_t *grad;                            /* like output */
    double *row_losses;                        /* (members, batch) scratch */
    /* -1, or the first row whose class is none; then the other results are undefined. */
    int64_t *wrong_row;
};

/* One parameter of all members; see adam.c. size may be 0. */
struct adam_param {
    long size;                      /* elements per member */
    scalar_t *weight;               /* (members, size), like the three below */
    const scalar_t *grad;           /* null: no gradient in this step, the weight stays as it is */
    scalar_t *exp_avg, *exp_avg_sq; /* of the gradient and of its square */
    double weight_decay, lr_factor; /* lr_factor: of the step's learning rate */
    long missed_steps; /* in how many steps before this one there was no gradient */
};

struct adam_options {
    double lr, beta1, beta2, epsilon, bias_correction1, bias_correction2; /* 1 - beta^step */
    long decoupled, step; /* decoupled: AdamW's weight decay; step: from 1 */
};

/* Gradient norms and a step of Adam over all parameters; see adam.c. */
struct adam_args {
    long threads, members, count; /* count: of parameters */
    const struct adam_param *params;
    double *squares;             /* scratch of the norms: one per block */
    double *norms;               /* (members) */
    const double *clip_divisors; /* (members) by which gradients are divided */
    const struct adam_options *options;
};

/* Rows to be copied, each `x_row` and `y_row` elements after the one before; see calls.c. */
struct copy_args {
    long threads, rows, width, x_row, y_row;
    const scalar_t *x;
    scalar_t *y;
};

/* Rows of a data set with their targets; see normalize.c. */
struct gather_args {
    long threads, count, rows; /* count: rows of the data set; rows: how many are taken */
    const int64_t *numbers;    /* (rows) which ones */
    long channels, pixels, is_bytes;
    const void *x;                  /* (count, channels, pixels) uint8 if is_bytes, else scalar_t */
    const scalar_t *offset, *scale; /* (channels), of bytes */
    long target_bytes;              /* of a row's target */
    const char *targets;            /* (count) */
    scalar_t *taken;                /* (rows, channels, pixels) */
    char *taken_targets;            /* (rows) */
    int64_t *wrong_row; /* -1, or the place of the first number that is no row; then nothing else is written */
};

/* A language model that samples tokens; see generate.c. */
struct generate_args {
    long layers, vocabulary, size, hidden; /* size: of the vectors of tokens */
    const scalar_t *embedding;             /* (vocabulary, size) */
    const scalar_t *head; /* (panels, hidden, LANES) the output layer's weights, packed */
    const scalar_t *bias; /* (vocabulary, padded to whole panels) */
    scalar_t *logits;     /* like bias, from one call to the next */
    double *weights;      /* (vocabulary) scratch */
    int64_t *candidates;  /* (top_k) scratch */
    long top_k;           /* how many of the most likely tokens may be sampled; vocabulary: all */
    long excluded;        /* a token that is never sampled, or -1 */
    double temperature;   /* 0: the most likely token */
    long seed, position;  /* position: how many tokens have been sampled before */
};

/* Rows of a CSV as numbers; see rows.c. In memory `columns` structs rows_column follow, by field. */
struct rows_args {
    long length, delimiter, width, columns; /* bytes of the text; fields per row */
    long max_rows, max_open, max_value;     /* rows and open cells that fit; bytes of a cell */
    const uint8_t *text;                    /* (length) UTF-8 */
    const uint8_t *texts;  /* the categories of all columns, of each column in the order of their bytes */
    const int64_t *starts; /* where in `texts` each begins, and the end */
    const int64_t *codes;  /* their codes */
    double *values;        /* (max_rows, columns), NAN and -1 where a cell is empty or open */
    int64_t *open;         /* (max_open, 4): column, row, begin and end in the text */
    int64_t *num_open;     /* (1) */
};

struct rows_column {
    long field, place, is_category; /* place: the column of `values` */
    long first, last;               /* the range of its categories */
};
