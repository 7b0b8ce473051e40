/* Backward of recurrent layers; see rnn.h. */

#include "rnn.h"

/* Time steps of a chunk, and which of two buffers it uses: a thread may still read the other one.
 */
struct time_chunk {
    long first, last, buffer;
};

/* Pack a panel of LANES columns of torch's w_hh or w_ih, (k steps of the gates, LANES): from the
 * gates back. */
INLINE void pack_weights(int bf16, const struct rnn_args *c, const struct sizes *s, int of_state,
                         long member, long panel, scalar_t *to) {
    long h = c->hidden, columns = of_state ? h : c->features, per_step = bf16 ? 2 : 1;
    long gates = torch_gates(c->cell_type);
    const scalar_t *weight = (of_state ? c->w_hh : c->w_ih) + member * gates * h * columns;
    for (long p = 0; p < num_k_steps(bf16, s->width); p++) {
        vec row[2] = {VEC_ZERO, VEC_ZERO};
        for (long i = 0; i < per_step; i++) {
            long gate = (p * per_step + i) / s->hidden_padded;
            long j = (p * per_step + i) % s->hidden_padded;
            long group = torch_gate(c->cell_type, of_state, gate);
            if (group >= 0 && j < h)
                row[i] = load_partial(weight + (group * h + j) * columns, panel * LANES, columns);
        }
        store(to + p * LANES, interleave_bf16(bf16, row[0], row[1]));
    }
}

/* Gate gradients of a row of a step into d. dh and dc are the gradients of its state and cell, and
 * become those of the step before, except for what goes through the product. dy: gradient of the
 * state, or null. */
INLINE void step_backward(int cell_type, int bf16, int relu, long hidden_padded,
                          const scalar_t *gate, const scalar_t *cell, const scalar_t *next,
                          const char *state, int dy_bf16, const void *dy, long hidden, scalar_t *dh,
                          scalar_t *dc, char *d) {
    long hp = hidden_padded;
    for (long j = 0; j < hp; j += LANES) {
        const scalar_t *at = gate + j;
        vec g_h = load(dh + j);
        if (dy) g_h += load_row(dy_bf16, dy, j, hidden);
        if (cell_type == RNN) {
            store_as(bf16, d, j, g_h * activation_grad(relu, load_as(bf16, state, j)));
            store(dh + j, VEC_ZERO);
        } else if (cell_type == LSTM) {
            vec i = load(at), f = load(at + hp), g = load(at + 2 * hp), o = load(at + 3 * hp);
            vec a = activate(relu, load(next + j));
            vec g_c = load(dc + j) + g_h * o * activation_grad(relu, a);
            store_as(bf16, d, j, g_c * g * i * (1 - i));
            store_as(bf16, d, hp + j, g_c * load(cell + j) * f * (1 - f));
            store_as(bf16, d, 2 * hp + j, g_c * i * activation_grad(relu, g));
            store_as(bf16, d, 3 * hp + j, g_h * a * o * (1 - o));
            store(dc + j, g_c * f);
            store(dh + j, VEC_ZERO);
        } else {
            vec n = load(at), r = load(at + hp), z = load(at + 2 * hp), inner = load(at + 3 * hp);
            vec g_n = g_h * (1 - z) * (1 - n * n);
            store_as(bf16, d, j, g_n);
            store_as(bf16, d, hp + j, g_n * inner * r * (1 - r));
            store_as(bf16, d, 2 * hp + j, g_h * (load(cell + j) - n) * z * (1 - z));
            store_as(bf16, d, 3 * hp + j, g_n * r);
            store(dh + j, g_h * z);
        }
    }
}

/* Interleave rows of bfloat16 as k steps of the batch. */
INLINE void interleave_rows(int bf16, struct range rows, long width, const char *from,
                            scalar_t *to) {
    for (long n = rows.first; n < rows.last; n += 2)
        for (long j = 0; j < width; j += LANES) {
            vec second = n + 1 < rows.last ? load_as(bf16, from, (n + 1) * width + j) : VEC_ZERO;
            vec first = load_as(bf16, from, n * width + j);
            store(to + n / 2 * width + j, interleave_bf16(bf16, first, second));
        }
}

/* The time steps of a chunk, last first, for some rows of a member. */
INLINE void backward_rows(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                          struct range rows, struct time_chunk chunk, const struct buffers *b) {
    long cell_type = c->cell_type, count = rows.last - rows.first, hp = s->hidden_padded;
    long size = bf16 ? 2 : sizeof(scalar_t), row = s->row * size, width = s->width;
    long f = c->features, f_padded = round_up(f), dy_size = c->dy_bf16 ? 2 : sizeof(scalar_t);
    long k = num_k_steps(bf16, width), skipped = num_k_steps(bf16, stateless_size(s, cell_type));
    if (count <= 0) return;
    for (long i = rows.first; i < rows.last && chunk.last == c->steps; i++)
        for (long j = 0; j < hp; j += LANES) {
            long at = (member * c->batch + i) * c->hidden;
            store(b->dh + i * hp + j,
                  c->dlast ? load_partial(c->dlast + at, j, c->hidden) : VEC_ZERO);
            store(b->dc + i * hp + j,
                  c->dcell ? load_partial(c->dcell + at, j, c->hidden) : VEC_ZERO);
        }
    for (long t = chunk.last - 1; t >= chunk.first; t--) {
        long step = (t - chunk.first) * s->batch_steps;
        scalar_t *d_steps = b->d_steps[chunk.buffer] + step * width;
        char *d = bf16 ? b->d : (char *)d_steps, *first_d = d + rows.first * width * size;
        for (long i = rows.first; i < rows.last; i++) {
            long at = t * c->batch + i;
            const scalar_t *cell = b->cells + at * hp, *next = cell + c->batch * hp;
            const char *state = b->z + (at + c->batch) * row, *dy = 0;
            if (c->dy)
                dy = (const char *)c->dy +
                     (t * c->dy_time + member * c->dy_member + i * c->dy_batch) * dy_size;
#define STEP(CELL_TYPE)                                                                            \
    step_backward(CELL_TYPE, bf16, c->relu, hp, b->gates + at * width, cell, next, state,          \
                  c->dy_bf16, dy, c->hidden, b->dh + i * hp, b->dc + i * hp, d + i * width * size)
            if (cell_type == RNN) STEP(RNN);
            else if (cell_type == LSTM) STEP(LSTM);
            else STEP(GRU);
#undef STEP
        }
        if (bf16) {
            interleave_rows(bf16, rows, width, d, d_steps);
            interleave_rows(bf16, rows, s->row, b->z + t * c->batch * row,
                            b->z_steps[chunk.buffer] + step * s->row);
        }
        if (t)
            nnzoo_gemm_packed(bf16, 1, count, hp / LANES, k - skipped,
                              a_rows(first_d + skipped * (long)sizeof(scalar_t), width * size),
                              b->packed_back + skipped * LANES, k * LANES, b->dh + rows.first * hp,
                              hp);
        if (c->dx) {
            scalar_t *dx = b->dx + rows.first * f_padded;
            nnzoo_gemm_packed(bf16, 0, count, f_padded / LANES, k, a_rows(first_d, width * size),
                              b->packed_dx, k * LANES, dx, f_padded);
            long to = (t * c->members + member) * c->batch + rows.first;
            for (long i = 0; i < count; i++)
                memcpy(c->dx + (to + i) * f, dx + i * f_padded, f * sizeof(scalar_t));
        }
    }
}

/* Some columns (whole vectors) of z' d of a chunk, of the state's rows of z or of the input's;
 * after the last chunk write those gradients of the weights and biases. */
INLINE void weight_grads(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                         int of_state, struct range columns, struct time_chunk chunk,
                         const struct buffers *b) {
    long h = c->hidden, f = c->features, gates = torch_gates(c->cell_type), width = s->width;
    long inputs = of_state ? h : f, member_gate = member * gates;
    /* The state is zero at first. */
    long from = of_state && c->steps > 1 && !chunk.first ? s->batch_steps : 0;
    long row = of_state ? 0 : s->hidden_padded;
    const scalar_t *z = (const scalar_t *)b->z + chunk.first * s->batch_steps * s->row;
    if (bf16) z = b->z_steps[chunk.buffer];
    scalar_t *product = b->product + row * width;
    nnzoo_gemm_rows(bf16, chunk.last < c->steps, of_state ? h : f + 1,
                    (columns.last - columns.first) / LANES,
                    (chunk.last - chunk.first) * s->batch_steps - from,
                    a_columns(z + from * s->row + row, s->row),
                    b->d_steps[chunk.buffer] + from * width + columns.first, width,
                    product + columns.first, width);
    if (chunk.first) return;
    scalar_t *w_ih = c->grads, *w_hh = w_ih + c->members * gates * h * f;
    scalar_t *b_ih = w_hh + c->members * gates * h * h, *b_hh = b_ih + c->members * gates * h;
    for (long r = columns.first; r < columns.last; r += LANES) {
        long j = r % s->hidden_padded;
        long input_gate = torch_gate(c->cell_type, 0, r / s->hidden_padded);
        long state_gate = torch_gate(c->cell_type, 1, r / s->hidden_padded);
        long gate = of_state ? state_gate : input_gate;
        scalar_t *to = (of_state ? w_hh : w_ih) + ((member_gate + gate) * h + j) * inputs;
        for (long i = 0; gate >= 0 && i < inputs; i += LANES) {
            vec block[LANES];
            for (long l = 0; l < LANES; l++) block[l] = load(product + (i + l) * width + r);
            transpose(block);
            for (long l = 0; l < LANES && j + l < h; l++)
                store_partial(to + l * inputs + i, block[l], inputs - i);
        }
        if (of_state) continue;
        vec bias = load(product + f * width + r);
        if (input_gate >= 0) store_partial(b_ih + (member_gate + input_gate) * h + j, bias, h - j);
        if (state_gate >= 0) store_partial(b_hh + (member_gate + state_gate) * h + j, bias, h - j);
    }
}

/* The work of one thread of the team. */
INLINE void run_thread(int bf16, const struct rnn_args *c) {
    struct shard thread = current_thread();
    struct sizes s = sizes_of(c);
    struct buffers b;
    long h_panels = s.hidden_padded / LANES;
    long panels = h_panels + (c->dx ? round_up(c->features) / LANES : 0);
    long all = c->members * panels, k = num_k_steps(bf16, s.width);
    for (long i = shard_begin(thread, all); i < shard_end(thread, all); i++) {
        long m = i / panels, panel = i % panels;
        int of_state = panel < h_panels;
        plan_workspace(c, &s, 1, m, &b);
        if (!of_state) panel -= h_panels;
        pack_weights(bf16, c, &s, of_state, m, panel,
                     (of_state ? b.packed_back : b.packed_dx) + panel * k * LANES);
    }
    barrier(thread);
    struct time_chunk chunk = {0, c->steps, 0};
    for (; chunk.last; chunk.last = chunk.first, chunk.buffer = !chunk.buffer) {
        chunk.first = chunk.last > s.chunk_steps ? chunk.last - s.chunk_steps : 0;
        for (long m = 0; m < c->members; m++) {
            plan_workspace(c, &s, 1, m, &b);
            backward_rows(bf16, c, &s, m, batch_range(c, thread, m), chunk, &b);
        }
        barrier(thread);
        for (int of_state = 0; of_state < 2; of_state++) {
            long skipped = of_state ? stateless_size(&s, c->cell_type) : 0;
            for (long m = 0; m < c->members; m++) {
                struct range panels_of_m =
                    member_range(thread, c->members, (s.width - skipped) / LANES, m);
                struct range columns = {skipped + panels_of_m.first * LANES,
                                        skipped + panels_of_m.last * LANES};
                plan_workspace(c, &s, 1, m, &b);
                if (columns.first < columns.last)
                    weight_grads(bf16, c, &s, m, of_state, columns, chunk, &b);
            }
        }
    }
}

/* Write grads and dx from dy, dlast, dcell, z and workspace. */
NNZOO_API void nnzoo_rnn_backward(const struct rnn_args *c) {
#pragma omp parallel num_threads((int)c->threads)
    if (c->bf16) run_thread(1, c);
    else run_thread(0, c);
}
