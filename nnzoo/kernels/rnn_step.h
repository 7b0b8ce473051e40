/* One step of a recurrent layer forward, for all of them (rnn_forward.c) and for one after another
 * (generate.c). */

#pragma once

#include "rnn.h"

INLINE vec sigmoid(vec x) { return 1 / (1 + exp_vec(-x)); }

INLINE uint16_t to_bf16(scalar_t x) {
    float single = (float)x;
    uint32_t bits;
    memcpy(&bits, &single, 4);
    return single != single ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/* Store a bfloat16 in a buffer of any type. */
INLINE void store_bf16(char *base, long at, uint16_t x) { memcpy(base + 2 * at, &x, 2); }

/* Pack a panel of LANES gate elements of the weights, (k, LANES): from a row of z to the gates. */
INLINE void pack_weights(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                         long panel, scalar_t *to) {
    long gate = panel * LANES / s->hidden_padded, j = panel * LANES % s->hidden_padded;
    long h = c->hidden, f = c->features, gates = torch_gates(c->cell_type);
    long input_gate = torch_gate(c->cell_type, 0, gate);
    long state_gate = torch_gate(c->cell_type, 1, gate);
    for (int of_state = 0; of_state < 2; of_state++) {
        long group = of_state ? state_gate : input_gate, columns = of_state ? h : f;
        long first_row = (member * gates + group) * h + j;
        const scalar_t *weight = (of_state ? c->w_hh : c->w_ih) + first_row * columns;
        long k = of_state ? s->h_steps : s->x_steps;
        scalar_t *at = to + (of_state ? 0 : s->h_steps) * LANES;
        for (long p = 0; p < k; p += LANES) {
            vec r[LANES];
            for (long i = 0; i < LANES; i++)
                r[i] = group >= 0 && j + i < h
                           ? load_k_steps(bf16, weight + i * columns, p, columns)
                           : VEC_ZERO;
            transpose(r);
            for (long i = 0; i < LANES && p + i < k; i++) store(at + (p + i) * LANES, r[i]);
        }
    }
    if (c->vocabulary) return;
    /* The biases, where z has its one. */
    scalar_t *one = to + (s->h_steps + (bf16 ? f / 2 : f)) * LANES;
    for (long i = 0; i < LANES && j + i < h; i++) {
        scalar_t bias = input_gate < 0 ? 0 : c->b_ih[(member * gates + input_gate) * h + j + i];
        bias += state_gate < 0 ? 0 : c->b_hh[(member * gates + state_gate) * h + j + i];
        if (bf16) store_bf16((char *)(one + i), f % 2, to_bf16(bias));
        else one[i] = bias;
    }
}

/* The activations of a row of a step, in place in `gate`; cell and next: before and after. */
INLINE void step_forward(int cell_type, int bf16, int relu, long hidden, scalar_t *gate,
                         const scalar_t *cell, scalar_t *next, char *state) {
    for (long j = 0; j < hidden; j += LANES) {
        scalar_t *at = gate + j;
        if (cell_type == RNN) {
            store_as(bf16, state, j, activate(relu, load(at)));
        } else if (cell_type == LSTM) {
            vec i = sigmoid(load(at)), f = sigmoid(load(at + hidden));
            vec g = activate(relu, load(at + 2 * hidden)), o = sigmoid(load(at + 3 * hidden));
            vec c = f * load(cell + j) + i * g;
            store(at, i), store(at + hidden, f);
            store(at + 2 * hidden, g), store(at + 3 * hidden, o);
            store(next + j, c);
            store_as(bf16, state, j, o * activate(relu, c));
        } else {
            vec r = sigmoid(load(at + hidden)), z = sigmoid(load(at + 2 * hidden));
            vec n = tanh_vec(load(at) + r * load(at + 3 * hidden));
            vec h = n + z * (load(cell + j) - n);
            store(at, n), store(at + hidden, r), store(at + 2 * hidden, z);
            store(next + j, h);
            store_as(bf16, state, j, h);
        }
    }
}

/* Write the input of a step and its one into a row of z. */
INLINE void store_input(int bf16, const struct rnn_args *c, const struct sizes *s, const char *x,
                        char *z) {
    long f = c->features;
    for (long j = 0; j < s->x_padded; j += LANES)
        store_as(bf16, z, j, load_row(c->x_bf16, x, j, f));
    if (bf16) store_bf16(z, f, 0x3f80);
    else ((scalar_t *)z)[f] = 1;
}

/* Write what a token adds to the gates. */
INLINE void store_token(const struct rnn_args *c, const struct sizes *s, long id, scalar_t *gate) {
    for (long g = 0; g < s->gates; g++)
        for (long j = 0; j < s->hidden_padded; j += LANES)
            store(gate + g * s->hidden_padded + j,
                  load_partial(c->table + (id * s->gates + g) * c->hidden, j, c->hidden));
}

/* A step of some rows of a member. */
INLINE void forward_step(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                         long t, struct range rows, const struct buffers *b) {
    long cell_type = c->cell_type, count = rows.last - rows.first, hidden = s->hidden_padded;
    long size = bf16 ? 2 : sizeof(scalar_t), row = s->row * size, width = s->width;
    long x_size = c->x_bf16 ? 2 : sizeof(scalar_t), kept = member * c->batch + rows.first;
    long before = state_row(c, member, t) + rows.first;
    long after = state_row(c, member, t + 1) + rows.first;
    long step = step_row(c, member, t) + rows.first;
    char *in = b->z + before * row, *out = b->z + after * row;
    scalar_t *gate = b->gates + (c->keep ? step : kept) * width;
    const scalar_t *cell = b->cells + (c->keep ? before : kept) * hidden;
    scalar_t *next = b->cells + (c->keep ? after : kept) * hidden;
    const char *x = c->x;
    if (c->lengths) x += step * c->x_batch * x_size;
    else x += (t * c->x_time + member * c->x_member + rows.first * c->x_batch) * x_size;
    for (long i = 0; i < count; i++)
        if (c->vocabulary)
            store_token(c, s, c->ids[t * c->x_time + (rows.first + i) * c->x_batch], gate + i * width);
        else store_input(bf16, c, s, x + i * c->x_batch * x_size, in + i * row + hidden * size);
    /* The state has no part in n of a GRU, and the input has none in its last gate. */
    int has_state = t || c->carried;
    long panels = width / LANES, first = has_state ? stateless_size(s, cell_type) / LANES : 0;
    if (!c->vocabulary)
        nnzoo_gemm_packed(bf16, 0, count, has_state ? first : panels, s->x_steps,
                          a_rows(in + hidden * size, row), b->packed + s->h_steps * LANES,
                          s->k * LANES, gate, width);
    if (has_state)
        nnzoo_gemm_packed(bf16, c->vocabulary > 0, count, panels - first, s->k, a_rows(in, row),
                          b->packed + first * s->k * LANES, s->k * LANES, gate + first * LANES,
                          width);
    for (long i = 0; i < count; i++) {
#define STEP(CELL_TYPE)                                                                            \
    step_forward(CELL_TYPE, bf16, c->relu, hidden, gate + i * width, cell + i * hidden,            \
                 next + i * hidden, out + i * row)
        if (cell_type == RNN) STEP(RNN);
        else if (cell_type == LSTM) STEP(LSTM);
        else STEP(GRU);
#undef STEP
    }
}
