/* Parts that rnn_forward.c and rnn_backward.c share: sizes, buffers and activations of one
 * recurrent layer in one direction.
 *
 * All time steps are computed in one call. A step of a small network is a few products of
 * microseconds; calling each of them, their sigmoids and their sums from Python would take longer.
 * A thread computes some rows of the batch for all time steps: their states stay in its caches, and
 * weights are packed once for all steps. No sum crosses rows, and those of the weights' gradients
 * run over all rows in an order that depends on sizes alone, so the number of threads does not
 * change a bit of the result.
 *
 * Members are layers of one shape, each with its own weights and batch; threads share the rows of
 * all of them.
 *
 * Sequences of different lengths are packed: a step has the rows of the sequences that have not
 * ended, which are the first ones, and nothing is computed for the others. Sums for the weights'
 * gradients run over time from the end to the beginning, so that the terms of a sequence have one
 * order, whatever the lengths of the others.
 *
 * The gates are (RNN: one; LSTM: i, f, g, o; GRU: n, r, z, and U h + b' of n), of hidden_padded
 * elements each.
 *
 * Contract: see args.h. z has the product's type; x and dy may be scalar_t or bfloat16. */

#include "gemm.h"

/* Elements of gate gradients in a time chunk, 1 MB: they are kept until the weights' gradients have
 * consumed them, and stay in the caches. For wide layers a chunk is KC rows: the sums would get too
 * short. */
#define CHUNK_SIZE (1L << 18)

enum cell_type { RNN, LSTM, GRU };

/* A row of z: the state before a step, padded; its input; a one, with which the biases are
 * multiplied; zeros. With tokens it is the state alone. */
struct sizes {
    long hidden_padded, x_padded, row; /* elements: of the state, of the rest, of both */
    long gates, width;                 /* number of gates, and of their elements */
    long h_steps, x_steps, k;      /* k steps of the state, of the input with its one, of both */
    long batch_steps, chunk_steps; /* k steps of a batch; time steps in a chunk */
};

static inline struct sizes sizes_of(const struct rnn_args *c) {
    struct sizes s = {0};
    s.hidden_padded = round_up(c->hidden);
    s.x_padded = c->vocabulary ? 0 : round_up(c->features + 1);
    s.row = s.hidden_padded + s.x_padded;
    s.gates = c->cell_type == RNN ? 1 : 4, s.width = s.gates * s.hidden_padded;
    s.h_steps = num_k_steps(c->bf16, s.hidden_padded);
    s.x_steps = c->vocabulary ? 0 : num_k_steps(c->bf16, c->features + 1);
    s.k = s.h_steps + s.x_steps;
    s.batch_steps = num_k_steps(c->bf16, c->batch);
    long rows = s.width * KC < CHUNK_SIZE ? CHUNK_SIZE / s.width : KC;
    s.chunk_steps = rows < s.batch_steps ? 1 : rows / s.batch_steps;
    if (!c->lengths && s.chunk_steps > c->steps) s.chunk_steps = c->steps;
    return s;
}

/* Rows of a member that have step t, the first ones; 0 behind the last step. */
INLINE long rows_at(const struct rnn_args *c, long member, long t) {
    if (t >= c->steps) return 0;
    if (!c->lengths) return c->batch;
    const int64_t *offset = c->offsets + member * (c->steps + 1) + t;
    return offset[1] - offset[0];
}

/* First row of a step in the gates, and with lengths in x and dx. */
INLINE long step_row(const struct rnn_args *c, long member, long t) {
    return c->lengths ? c->offsets[member * (c->steps + 1) + t] : (member * c->steps + t) * c->batch;
}

/* First row of the states before step t (0 to steps) in z and the cells. */
INLINE long state_row(const struct rnn_args *c, long member, long t) {
    if (!c->lengths) return (member * (c->steps + 1) + t) * c->batch;
    return t ? c->members * c->batch + step_row(c, member, t - 1) : member * c->batch;
}

/* Number of gates in torch's weights. */
INLINE long torch_gates(long cell_type) { return cell_type == RNN ? 1 : cell_type == LSTM ? 4 : 3; }

/* Index of a gate in torch's weights of the state or of the input; -1: the gate has no such
 * weights. */
INLINE long torch_gate(long cell_type, int of_state, long gate) {
    if (cell_type != GRU) return gate;
    return of_state ? gate - 1 : gate == 0 ? 2 : gate == 3 ? -1 : gate - 1;
}

/* Elements of the first gates that do not depend on the state. */
INLINE long stateless_size(const struct sizes *s, long cell_type) {
    return cell_type == GRU ? s->hidden_padded : 0;
}

/* Buffers of a member; z, gates and cells of all members. */
struct buffers {
    char *z;
    scalar_t *packed;                  /* weights from a row of z to the gates */
    scalar_t *packed_back, *packed_dx; /* from the gates back to the state, and to the input */
    scalar_t *gates;   /* (step rows, width) after their activations */
    scalar_t *cells;   /* (state rows, hidden_padded); GRU: the state in scalar_t */
    scalar_t *dh, *dc; /* (batch, hidden_padded) */
    char *d;           /* (batch, width) gate gradients of a step in bfloat16 */
    scalar_t *d_steps[2],
        *z_steps[2];   /* (k steps of a chunk, width or row) of d and z, double-buffered */
    scalar_t *product; /* (row, width) z' d */
    scalar_t *dx;      /* (batch, features padded) of one step */
    scalar_t *dtable;  /* (vocabulary, width) */
};

/* Lay out the buffers of a member; those in scratch only for backward. Returns the end of scratch
 * or workspace. */
static inline char *plan_workspace(const struct rnn_args *c, const struct sizes *s, int backward,
                                   long member, struct buffers *b) {
    char *next = c->workspace;
    long size = sizeof(scalar_t), m = c->members, batch = c->batch, hidden = s->hidden_padded;
    long k_back = num_k_steps(c->bf16, s->width), step_rows = m * batch, state_rows = m * batch;
    if (c->keep) {
        step_rows = c->lengths ? c->packed_rows : m * c->steps * batch;
        state_rows += step_rows;
    }
#define ALLOC(count) (scalar_t *)arena_alloc(&next, m, member, (count) * size)
    b->z = c->z;
    b->packed = ALLOC(s->width * s->k);
    b->gates = (scalar_t *)arena_alloc(&next, 1, 0, step_rows * s->width * size);
    b->cells =
        (scalar_t *)arena_alloc(&next, 1, 0, c->cell_type == RNN ? 0 : state_rows * hidden * size);
    if (!backward) return next;
    next = c->scratch;
    b->packed_back = ALLOC(hidden * k_back);
    b->packed_dx = ALLOC(round_up(c->features) * k_back);
    b->dh = ALLOC(batch * hidden), b->dc = ALLOC(batch * hidden);
    b->d = (char *)ALLOC(c->bf16 ? s->batch_steps * s->width : 0);
    for (int i = 0; i < 2; i++) {
        int is_used = i == 0 || c->lengths || s->chunk_steps < c->steps;
        long chunk = is_used ? s->chunk_steps * s->batch_steps : 0;
        b->d_steps[i] = ALLOC(chunk * s->width);
        b->z_steps[i] = ALLOC(c->bf16 || c->lengths ? chunk * s->row : 0);
    }
    b->product = ALLOC(s->row * s->width);
    b->dx = ALLOC(batch * round_up(c->features));
    b->dtable = ALLOC(c->vocabulary * s->width);
#undef ALLOC
    return next;
}

/* Some rows or columns. */
struct range {
    long first, last;
};

/* Items of `member` (each has `per_member`) that are in a thread's shard of all. */
INLINE struct range member_range(struct shard thread, long members, long per_member, long member) {
    long before = member * per_member;
    struct range range = {shard_begin(thread, members * per_member) - before,
                          shard_end(thread, members * per_member) - before};
    if (range.first < 0) range.first = 0;
    if (range.last > per_member) range.last = per_member;
    return range;
}

/* Steps of all rows of a member within some time. */
INLINE long steps_within(const struct rnn_args *c, long member, struct range time) {
    return step_row(c, member, time.last) - step_row(c, member, time.first);
}

/* The row of a member at which `steps` of all its steps within some time have passed. */
INLINE long row_after(const struct rnn_args *c, long member, struct range time, long steps) {
    if (steps >= steps_within(c, member, time)) return c->batch;
    long row = 0;
    for (; steps > 0; row++) {
        long last = c->lengths[member * c->batch + row];
        steps -= (last < time.last ? last : time.last) - time.first;
    }
    return row;
}

/* A thread's rows of a member's batch for the time steps of a chunk; pairs stay together. With
 * different lengths every thread has about as many steps, else about as many rows. */
INLINE struct range batch_range(const struct rnn_args *c, struct shard thread, long member,
                                struct range time) {
    struct range range;
    if (c->lengths) {
        long all = 0, before = 0;
        for (long m = 0; m < c->members; m++) {
            if (m == member) before = all;
            all += steps_within(c, m, time);
        }
        range.first = row_after(c, member, time, shard_begin(thread, all) - before);
        range.last = row_after(c, member, time, shard_end(thread, all) - before);
    } else {
        range = member_range(thread, c->members, c->batch, member);
    }
    /* A shard that begins behind the last row has none: that row is another thread's. */
    if (range.first < c->batch) range.first -= range.first % 2;
    if (range.last < c->batch) range.last -= range.last % 2;
    return range;
}

/* The part of some rows that has step t. */
INLINE struct range rows_within(const struct rnn_args *c, long member, long t, struct range rows) {
    long active = rows_at(c, member, t);
    if (rows.last > active) rows.last = active;
    return rows;
}

/* By the size of x: near 1 and -1, where the gradient is a small difference, nothing is lost. */
INLINE vec tanh_vec(vec x) {
    const ivec sign = (ivec)(-VEC_ZERO);
    vec q = exp_vec((vec)((ivec)x | sign) * 2);
    return (vec)((ivec)((1 - q) / (1 + q)) | ((ivec)x & sign));
}

INLINE vec activate(int relu, vec x) { return relu ? blend(x < 0, VEC_ZERO, x) : tanh_vec(x); }

/* Derivative of the activation from its output. */
INLINE vec activation_grad(int relu, vec y) {
    return relu ? blend(y > 0, VEC_ZERO + 1, VEC_ZERO) : 1 - y * y;
}

/* The first `count` bfloat16 of a row, then zeros (not with doubles). */
static __attribute__((noinline, unused)) vec load_bf16_tail(const char *row, long count) {
    uint16_t half[LANES];
    scalar_t lanes[LANES];
    memset(half, 0, sizeof(half));
    memcpy(half, row, count * 2);
    for (long i = 0; i < LANES; i++) {
        uint32_t bits = (uint32_t)half[i] << 16;
        memcpy(lanes + i, &bits, 4);
    }
    return load(lanes);
}

/* LANES elements of a row of `count` scalar_t or bfloat16 from `at` on, zeros beyond its end. */
INLINE vec load_row(int bf16, const void *row, long at, long count) {
    if (!bf16 || IS_DOUBLE) return load_partial((const scalar_t *)row, at, count);
    if (at + LANES <= count) return load_as(1, row, at);
    return load_bf16_tail((const char *)row + 2 * at, count - at);
}
