/* Forward of recurrent layers; see rnn.h. */

#include "rnn_step.h"

/* Write the last state and cell of some rows. */
INLINE void store_last(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                       struct range rows, const struct buffers *b) {
    long size = bf16 ? 2 : sizeof(scalar_t), hidden = c->hidden;
    for (long i = rows.first; i < rows.last; i++) {
        long steps = c->lengths ? c->lengths[member * c->batch + i] : c->steps;
        long last = state_row(c, member, steps) + i, to = (member * c->batch + i) * hidden;
        const char *state = b->z + last * s->row * size;
        const scalar_t *cell =
            b->cells + (c->keep ? last : member * c->batch + i) * s->hidden_padded;
        for (long j = 0; j < hidden; j += LANES) {
            vec h = c->cell_type == GRU ? load(cell + j) : load_as(bf16, state, j);
            store_partial(c->last + to + j, h, hidden - j);
            if (c->cell_type == LSTM) store_partial(c->cell + to + j, load(cell + j), hidden - j);
        }
    }
}

/* Write the states and cells of some rows before the first step. */
INLINE void store_first(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                        struct range rows, const struct buffers *b) {
    long size = bf16 ? 2 : sizeof(scalar_t), hidden = s->hidden_padded;
    for (long i = rows.first; i < rows.last; i++) {
        long first = state_row(c, member, 0) + i, from = (member * c->batch + i) * c->hidden;
        char *state = b->z + first * s->row * size;
        scalar_t *cell = b->cells + (c->keep ? first : member * c->batch + i) * hidden;
        if (!c->carried) {
            memset(state, 0, hidden * size);
            if (c->cell_type != RNN) memset(cell, 0, hidden * sizeof(scalar_t));
            continue;
        }
        for (long j = 0; j < hidden; j += LANES) {
            vec h = load_partial(c->h0 + from, j, c->hidden);
            store_as(bf16, state, j, h);
            if (c->cell_type == LSTM) h = load_partial(c->c0 + from, j, c->hidden);
            if (c->cell_type != RNN) store(cell + j, h);
        }
    }
}

/* All time steps of some rows of a member. */
INLINE void forward_rows(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                         struct range rows, const struct buffers *b) {
    store_first(bf16, c, s, member, rows, b);
    for (long t = 0; t < c->steps; t++) {
        struct range active = rows_within(c, member, t, rows);
        if (active.first >= active.last) break;
        forward_step(bf16, c, s, member, t, active, b);
    }
    store_last(bf16, c, s, member, rows, b);
}

/* The work of one thread of the team. */
INLINE void run_thread(int bf16, const struct rnn_args *c) {
    struct shard thread = current_thread();
    struct sizes s = sizes_of(c);
    struct buffers b;
    long panels = s.width / LANES, all = c->members * panels;
    for (long i = shard_begin(thread, all); i < shard_end(thread, all); i++) {
        plan_workspace(c, &s, 0, i / panels, &b);
        pack_weights(bf16, c, &s, i / panels, i % panels, b.packed + i % panels * s.k * LANES);
    }
    barrier(thread);
    for (long m = 0; m < c->members; m++) {
        plan_workspace(c, &s, 0, m, &b);
        struct range time = {0, c->steps};
        forward_rows(bf16, c, &s, m, batch_range(c, thread, m, time), &b);
    }
}

/* Bytes of workspace, or of scratch for backward; of the arguments it reads sizes alone. */
NNZOO_API long nnzoo_rnn_workspace(const struct rnn_args *c, long backward) {
    struct sizes s = sizes_of(c);
    struct buffers b;
    return plan_workspace(c, &s, backward, 0, &b) - (backward ? c->scratch : c->workspace);
}

/* Write z, last, cell and workspace. The state after step t is the first part of row t + 1 of z. */
NNZOO_API void nnzoo_rnn_forward(const struct rnn_args *c) {
#pragma omp parallel num_threads((int)c->threads)
    if (c->bf16) run_thread(1, c);
    else run_thread(0, c);
}
