/* Backward of recurrent layers; see rnn.h. */

#include "rnn.h"

/* Time steps of a chunk, and which of two buffers it uses: a thread may still read the other one.
 */
struct time_chunk {
    struct range time;
    long buffer;
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

/* The gradients of the last state and cell of some rows of a member, whose last step it is. */
INLINE void start_rows(const struct rnn_args *c, const struct sizes *s, long member,
                       struct range rows, const struct buffers *b) {
    long hp = s->hidden_padded;
    for (long i = rows.first; i < rows.last; i++)
        for (long j = 0; j < hp; j += LANES) {
            long at = (member * c->batch + i) * c->hidden;
            store(b->dh + i * hp + j,
                  c->dlast ? load_partial(c->dlast + at, j, c->hidden) : VEC_ZERO);
            store(b->dc + i * hp + j,
                  c->dcell ? load_partial(c->dcell + at, j, c->hidden) : VEC_ZERO);
        }
}

/* Step t of some rows of a member. kept: k step of the chunk's buffers at which the step begins. */
INLINE void backward_step(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                          long t, struct range rows, long buffer, long kept,
                          const struct buffers *b) {
    long cell_type = c->cell_type, count = rows.last - rows.first, hp = s->hidden_padded;
    long size = bf16 ? 2 : sizeof(scalar_t), row = s->row * size, width = s->width;
    long f = c->features, f_padded = round_up(f), dy_size = c->dy_bf16 ? 2 : sizeof(scalar_t);
    long k = num_k_steps(bf16, width), skipped = num_k_steps(bf16, stateless_size(s, cell_type));
    long step = step_row(c, member, t), before = state_row(c, member, t);
    long after = state_row(c, member, t + 1);
    scalar_t *d_steps = b->d_steps[buffer] + kept * width;
    scalar_t *z_steps = b->z_steps[buffer] + kept * s->row;
    char *d = bf16 ? b->d : (char *)d_steps, *first_d = d + rows.first * width * size;
    const char *dy = c->dy, *z = b->z + before * row;
    if (dy && c->lengths) dy += step * c->dy_batch * dy_size;
    else if (dy) dy += (t * c->dy_time + member * c->dy_member) * dy_size;
    for (long i = rows.first; i < rows.last; i++) {
#define STEP(CELL_TYPE)                                                                            \
    step_backward(CELL_TYPE, bf16, c->relu, hp, b->gates + (step + i) * width,                     \
                  b->cells + (before + i) * hp, b->cells + (after + i) * hp,                       \
                  b->z + (after + i) * row, c->dy_bf16, dy ? dy + i * c->dy_batch * dy_size : 0,   \
                  c->hidden, b->dh + i * hp, b->dc + i * hp, d + i * width * size)
        if (cell_type == RNN) STEP(RNN);
        else if (cell_type == LSTM) STEP(LSTM);
        else STEP(GRU);
#undef STEP
    }
    if (bf16) {
        interleave_rows(bf16, rows, width, d, d_steps);
        interleave_rows(bf16, rows, s->row, z, z_steps);
    } else if (c->lengths) {
        memcpy(z_steps + rows.first * s->row, z + rows.first * row, count * row);
    }
    if (t)
        nnzoo_gemm_packed(bf16, 1, count, hp / LANES, k - skipped,
                          a_rows(first_d + skipped * (long)sizeof(scalar_t), width * size),
                          b->packed_back + skipped * LANES, k * LANES, b->dh + rows.first * hp, hp);
    if (c->dx) {
        scalar_t *dx = b->dx + rows.first * f_padded;
        nnzoo_gemm_packed(bf16, 0, count, f_padded / LANES, k, a_rows(first_d, width * size),
                          b->packed_dx, k * LANES, dx, f_padded);
        long to = c->lengths ? step : (t * c->members + member) * c->batch;
        for (long i = 0; i < count; i++)
            memcpy(c->dx + (to + rows.first + i) * f, dx + i * f_padded, f * sizeof(scalar_t));
    }
}

/* The time steps of a chunk, last first, for some rows of a member. */
INLINE void backward_rows(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                          struct range rows, struct time_chunk chunk, const struct buffers *b) {
    long packed = 0;
    for (long t = chunk.time.last - 1; t >= chunk.time.first; t--) {
        struct range active = rows_within(c, member, t, rows), ending = active;
        long others = rows_at(c, member, t + 1);
        if (ending.first < others) ending.first = others;
        start_rows(c, s, member, ending, b);
        long kept = c->lengths ? packed : (t - chunk.time.first) * s->batch_steps;
        if (active.first < active.last)
            backward_step(bf16, c, s, member, t, active, chunk.buffer, kept, b);
        packed += num_k_steps(bf16, rows_at(c, member, t));
    }
}

/* k steps of a member in a chunk. */
INLINE long chunk_k_steps(const struct rnn_args *c, long member, struct range time) {
    long k = 0;
    for (long t = time.first; t < time.last; t++)
        k += num_k_steps(c->bf16, rows_at(c, member, t));
    return k;
}

/* The chunk before time step `last`: as many steps as the buffers hold. */
INLINE struct range previous_chunk(const struct rnn_args *c, const struct sizes *s, long last) {
    struct range time = {last > s->chunk_steps ? last - s->chunk_steps : 0, last};
    if (!c->lengths) return time;
    long free = s->chunk_steps * s->batch_steps;
    for (time.first = last; time.first; time.first--) {
        long most = 0;
        for (long m = 0; m < c->members; m++) {
            long k = num_k_steps(c->bf16, rows_at(c, m, time.first - 1));
            if (k > most) most = k;
        }
        free -= most;
        if (free < 0) break;
    }
    return time;
}

/* The gate gradients of row i of a step, LANES of them: of bfloat16 a k step has those of two rows. */
INLINE vec load_d(int bf16, const scalar_t *d, long i, long width) {
    if (!bf16) return load(d + i * width);
    const ivec half = (ivec)VEC_ZERO + 16;
    ivec pair = (ivec)load(d + i / 2 * width);
    return (vec)(i % 2 ? pair >> half << half : pair << half);
}

/* Some columns (whole vectors) of the table's gradient in a chunk: gate gradients summed per token;
 * after the last chunk write them. */
INLINE void table_grads(int bf16, const struct rnn_args *c, const struct sizes *s,
                        struct range columns, struct time_chunk chunk, const struct buffers *b) {
    long width = s->width, hp = s->hidden_padded, h = c->hidden;
    if (chunk.time.last == c->steps)
        for (long id = 0; id < c->vocabulary; id++)
            memset(b->dtable + id * width + columns.first, 0,
                   (columns.last - columns.first) * sizeof(scalar_t));
    for (long t = chunk.time.first; t < chunk.time.last; t++) {
        const scalar_t *d =
            b->d_steps[chunk.buffer] + (t - chunk.time.first) * s->batch_steps * width;
        for (long i = 0; i < c->batch; i++) {
            scalar_t *sum = b->dtable + c->ids[t * c->x_time + i * c->x_batch] * width;
            for (long j = columns.first; j < columns.last; j += LANES)
                store(sum + j, load(sum + j) + load_d(bf16, d + j, i, width));
        }
    }
    if (chunk.time.first) return;
    for (long id = 0; id < c->vocabulary; id++)
        for (long r = columns.first; r < columns.last; r += LANES) {
            long gate = r / hp, j = r % hp;
            store_partial(c->dtable + (id * s->gates + gate) * h + j,
                          load(b->dtable + id * width + r), h - j);
        }
}

/* Some columns (whole vectors) of z' d of a chunk, of the state's rows of z or of the input's;
 * after the last chunk write those gradients of the weights and biases. */
INLINE void weight_grads(int bf16, const struct rnn_args *c, const struct sizes *s, long member,
                         int of_state, struct range columns, struct time_chunk chunk,
                         const struct buffers *b) {
    long h = c->hidden, f = c->features, gates = torch_gates(c->cell_type), width = s->width;
    long inputs = of_state ? h : f, member_gate = member * gates;
    long k = chunk_k_steps(c, member, chunk.time), from = 0;
    /* A state that is zero at first has no part: that of the first step of all, which is the last
     * one of packed rows. */
    if (of_state && !c->carried && !chunk.time.first && rows_at(c, member, 1)) {
        long first = num_k_steps(bf16, rows_at(c, member, 0));
        k -= first, from = c->lengths ? 0 : first;
    }
    long row = of_state ? 0 : s->hidden_padded;
    const scalar_t *z = b->z_steps[chunk.buffer];
    if (!bf16 && !c->lengths)
        z = (const scalar_t *)b->z + state_row(c, member, chunk.time.first) * s->row;
    scalar_t *product = b->product + row * width;
    nnzoo_gemm_rows(bf16, rows_at(c, member, chunk.time.last) > 0, of_state ? h : f + 1,
                    (columns.last - columns.first) / LANES, k,
                    a_columns(z + from * s->row + row, s->row),
                    b->d_steps[chunk.buffer] + from * width + columns.first, width,
                    product + columns.first, width);
    if (chunk.time.first) return;
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
    struct time_chunk chunk = {{0, c->steps}, 0};
    for (; chunk.time.last; chunk.time.last = chunk.time.first, chunk.buffer = !chunk.buffer) {
        chunk.time = previous_chunk(c, &s, chunk.time.last);
        for (long m = 0; m < c->members; m++) {
            plan_workspace(c, &s, 1, m, &b);
            struct range rows = batch_range(c, thread, m, chunk.time);
            backward_rows(bf16, c, &s, m, rows, chunk, &b);
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
                if (columns.first >= columns.last) continue;
                if (c->vocabulary && !of_state) table_grads(bf16, c, &s, columns, chunk, &b);
                else
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
