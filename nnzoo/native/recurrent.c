/* Recurrent layers of one direction, all time steps in one call.

A step of a small recurrent network is a few products that take microseconds each, and a call from
Python for each of them, for its sigmoids and for its sums takes longer than they do. Here a thread
takes some rows of the batch through all time steps: their states stay in its caches, the weights
are laid out once for all steps, and threads need not meet before the end. No sum crosses rows, so
the number of threads does not change a bit of what comes out.

Several members, layers of one shape with weights and a batch each, lie behind each other in every
buffer; threads share the rows of all of them.

Buffers of a member:
  z      (steps + 1, batch, kx + hp)  input of each step, zeros, a one at kx - 1, the state before it
  gates  (steps, batch, groups * hp)  what the activations gave; GRU: n, r, z, U h + b' of n
  cells  (steps + 1, batch, hp)       LSTM: the cell; GRU: the state, where z holds it in bfloat16
  d      (steps, batch, groups * hp)  gradient of what stands before the activations, in z's type
hp is the width of a state, padded. */

#include "product.h"

enum kind { RNN, LSTM, GRU };

/* What is given to both functions. relu: in place of tanh; batch: rows of a member; features: of x. */
struct shape {
    long kind, low, relu, threads, members, steps, batch, kx, hp, features;
};

/* The rows of one member that a thread takes. */
struct rows {
    long member, first, count;
};

/* The rows of member m among those that are the part-th share of all. */
INLINE struct rows rows_of(const struct shape *s, long part, long m) {
    long all = s->members * s->batch, begin = all * part / s->threads - m * s->batch;
    long end = all * (part + 1) / s->threads - m * s->batch;
    begin = begin > 0 ? begin : 0, end = end < s->batch ? end : s->batch;
    return (struct rows){m, begin, end > begin ? end - begin : 0};
}

INLINE vec sigmoid(vec x) { return 1 / (1 + exponential(-x)); }

/* By the size of x: near 1 and -1, where the gradient is a small difference, nothing is lost. */
INLINE vec hyperbolic(vec x) {
    vec q = exponential(choose(x < 0, x, -x) * 2), y = (1 - q) / (1 + q);
    return choose(x < 0, -y, y);
}

INLINE vec activate(int relu, vec x) { return relu ? choose(x < 0, ZERO, x) : hyperbolic(x); }

/* By what a gradient behind the activation becomes the one before it, from what it gave. */
INLINE vec slope(int relu, vec y) { return relu ? choose(y > 0, ZERO + 1, ZERO) : 1 - y * y; }

INLINE uint16_t rounded(REAL x) {
    float single = (float)x;
    uint32_t bits;
    memcpy(&bits, &single, 4);
    return single != single ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/* The packed weights of `groups` of h outputs (padded to hp) and `parts` of k inputs (padded to kp), from
numbers that lie by_out and by_in apart; group g of the result is group order[g]. With `low` bfloat16,
rounded to the nearest. */
void pack(int low, int threads, long members, long groups, const int32_t *order, long h, long hp, long parts,
          long k, long kp, const REAL *from, long by_out, long by_in, void *to) {
    long blocks = groups * hp / VL;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long block = 0; block < members * blocks; block++) {
        long j = block * VL % hp, lanes = h - j < VL ? h - j : VL;
        const REAL *first = from + block / blocks * groups * h * parts * k
                            + (order[block % blocks * VL / hp] * h + j) * by_out;
        char *out = (char *)to + block * VL * parts * kp * (low ? 2 : sizeof(REAL));
        memset(out, 0, VL * parts * kp * (low ? 2 : sizeof(REAL)));
        for (long part = 0; part < parts; part++)
            for (long p = 0; p < k; p++) {
                const REAL *column = first + (part * k + p) * by_in;
                long at = part * kp + p;
                for (long lane = 0; lane < lanes; lane++) {
                    REAL x = column[lane * by_out];
                    if (low) ((uint16_t *)out)[(at / 2 * VL + lane) * 2 + at % 2] = rounded(x);
                    else ((REAL *)out)[at * VL + lane] = x;
                }
            }
    }
}

/* The activations of a step, from what stands in `gates`; cell, next: before and after. */
INLINE void step_forward(int kind, int low, int relu, long hp, REAL *gate, const REAL *cell,
                         REAL *next, char *state) {
    for (long j = 0; j < hp; j += VL) {
        REAL *at = gate + j;
        if (kind == RNN) {
            store_as(low, state, j, activate(relu, load(at)));
        } else if (kind == LSTM) {
            vec i = sigmoid(load(at)), f = sigmoid(load(at + hp));
            vec g = activate(relu, load(at + 2 * hp)), o = sigmoid(load(at + 3 * hp));
            vec c = f * load(cell + j) + i * g;
            store(at, i), store(at + hp, f), store(at + 2 * hp, g), store(at + 3 * hp, o);
            store(next + j, c);
            store_as(low, state, j, o * activate(relu, c));
        } else {
            vec r = sigmoid(load(at + hp)), z = sigmoid(load(at + 2 * hp));
            vec n = hyperbolic(load(at) + r * load(at + 3 * hp));
            vec h = n + z * (load(cell + j) - n);
            store(at, n), store(at + hp, r), store(at + 2 * hp, z);
            store(next + j, h);
            store_as(low, state, j, h);
        }
    }
}

INLINE void rows_forward(const struct shape *s, struct rows own, char *z, const REAL *wx, const REAL *wh,
                         const REAL *bias, REAL *gates, long gates_step, REAL *cells, long cells_step) {
    if (!own.count) return;
    int kind = s->kind, low = s->low;
    long groups = kind == RNN ? 1 : 4, x_groups = kind == GRU ? 3 : groups;
    long h_first = groups - x_groups; /* GRU: the input has no part in the last group, h none in n */
    long kx = s->kx, hp = s->hp, features = s->features;
    long size = low ? 2 : sizeof(REAL), row = (kx + hp) * size, width = groups * hp;
    long x_k = low ? (features + 1) / 2 : features, h_k = low ? hp / 2 : hp;
    z += own.member * (s->steps + 1) * s->batch * row;
    wx += own.member * x_groups * hp * x_k, wh += own.member * x_groups * hp * h_k;
    bias += own.member * width;
    gates += own.member * (gates_step ? s->steps : 1) * s->batch * width;
    cells += own.member * (cells_step ? s->steps + 1 : 1) * s->batch * hp;
    for (long i = own.first; i < own.first + own.count; i++) {
        memset(z + i * row + kx * size, 0, hp * size);
        if (kind != RNN) memset(cells + i * hp, 0, hp * sizeof(REAL));
    }
    for (long t = 0; t < s->steps; t++) {
        char *in = z + (t * s->batch + own.first) * row, *out = in + s->batch * row + kx * size;
        REAL *gate = gates + t * gates_step + own.first * width;
        REAL *cell = cells + t * cells_step + own.first * hp, *next = cell + cells_step;
        for (long i = 0; i < own.count; i++) {
            /* What is behind the features: zeros, and the one that gathers the gradient of the biases. */
            memset(in + i * row + features * size, 0, (kx - features) * size);
            if (low) ((uint16_t *)(in + i * row))[kx - 1] = 0x3f80;
            else ((REAL *)(in + i * row))[kx - 1] = 1;
            memcpy(gate + i * width, bias, width * sizeof(REAL));
        }
        multiply(low, 1, own.count, x_groups * hp / VL, x_k, in, row, wx, gate, width);
        if (t) multiply(low, 1, own.count, x_groups * hp / VL, h_k, in + kx * size, row, wh,
                        gate + h_first * hp, width);
        for (long i = 0; i < own.count; i++) {
            REAL *g = gate + i * width, *c = cell + i * hp, *n = next + i * hp;
            char *h = out + i * row;
            if (kind == RNN) step_forward(RNN, low, s->relu, hp, g, c, n, h);
            else if (kind == LSTM) step_forward(LSTM, low, s->relu, hp, g, c, n, h);
            else step_forward(GRU, low, s->relu, hp, g, c, n, h);
        }
    }
}

/* All states. wx: (groups of x, k of x), wh: (groups of h, hp), packed; bias (groups * hp). Where
gates_step or cells_step is 0 only the last is kept, for answers without gradients. */
void forward(const struct shape *s, char *z, const REAL *wx, const REAL *wh, const REAL *bias, REAL *gates,
             long gates_step, REAL *cells, long cells_step) {
#pragma omp parallel for num_threads(s->threads) schedule(static, 1)
    for (long part = 0; part < s->threads; part++)
        for (long m = 0; m < s->members; m++)
            rows_forward(s, rows_of(s, part, m), z, wx, wh, bias, gates, gates_step, cells, cells_step);
}

/* The gradient before the gates of one row of a step into d, from dh and dc, which become those of
the step before, but for what goes through the product. */
INLINE void step_backward(int kind, int low, int relu, long hp, const REAL *gate, const REAL *cell,
                          const REAL *next, const char *state, const REAL *grad, REAL *dh, REAL *dc,
                          char *d) {
    for (long j = 0; j < hp; j += VL) {
        const REAL *at = gate + j;
        vec g_h = load(dh + j);
        if (grad) g_h += load(grad + j);
        if (kind == RNN) {
            store_as(low, d, j, g_h * slope(relu, load_as(low, state, j)));
            store(dh + j, ZERO);
        } else if (kind == LSTM) {
            vec i = load(at), f = load(at + hp), g = load(at + 2 * hp), o = load(at + 3 * hp);
            vec a = activate(relu, load(next + j));
            vec g_c = load(dc + j) + g_h * o * slope(relu, a);
            store_as(low, d, j, g_c * g * i * (1 - i));
            store_as(low, d, hp + j, g_c * load(cell + j) * f * (1 - f));
            store_as(low, d, 2 * hp + j, g_c * i * slope(relu, g));
            store_as(low, d, 3 * hp + j, g_h * a * o * (1 - o));
            store(dc + j, g_c * f);
            store(dh + j, ZERO);
        } else {
            vec n = load(at), r = load(at + hp), z = load(at + 2 * hp), inner = load(at + 3 * hp);
            vec g_n = g_h * (1 - z) * (1 - n * n);
            store_as(low, d, j, g_n);
            store_as(low, d, hp + j, g_n * inner * r * (1 - r));
            store_as(low, d, 2 * hp + j, g_h * (load(cell + j) - n) * z * (1 - z));
            store_as(low, d, 3 * hp + j, g_n * r);
            store(dh + j, g_h * z);
        }
    }
}

INLINE void rows_backward(const struct shape *s, struct rows own, const char *z, const REAL *w,
                          const REAL *gates, const REAL *cells, const REAL *grad, REAL *dh, REAL *dc,
                          char *d) {
    if (!own.count) return;
    int kind = s->kind, low = s->low, relu = s->relu;
    long groups = kind == RNN ? 1 : 4, h_groups = kind == GRU ? 3 : groups;
    long h_first = groups - h_groups;
    long kx = s->kx, hp = s->hp, batch = s->batch, rows = s->steps * batch;
    long size = low ? 2 : sizeof(REAL), row = (kx + hp) * size, width = groups * hp;
    long k = h_groups * hp / (low ? 2 : 1);
    z += own.member * (rows + batch) * row, w += own.member * hp * k;
    gates += own.member * rows * width, cells += own.member * (rows + batch) * hp;
    dh += own.member * batch * hp, dc += own.member * batch * hp;
    d += own.member * rows * width * size;
    if (grad) grad += own.member * rows * hp;
    for (long t = s->steps - 1; t >= 0; t--) {
        for (long i = own.first; i < own.first + own.count; i++) {
            long at = t * batch + i;
            const REAL *gate = gates + at * width;
            const REAL *cell = cells + at * hp, *next = cell + batch * hp;
            const char *state = z + (at + batch) * row + kx * size;
            const REAL *given = grad ? grad + at * hp : 0;
            REAL *h = dh + i * hp, *c = dc + i * hp;
            char *to = d + at * width * size;
#define STEP(KIND) step_backward(KIND, low, relu, hp, gate, cell, next, state, given, h, c, to)
            if (kind == RNN) STEP(RNN);
            else if (kind == LSTM) STEP(LSTM);
            else STEP(GRU);
        }
        if (t) multiply(low, 1, own.count, hp / VL, k, d + ((t * batch + own.first) * width + h_first * hp) * size,
                        width * size, w, dh + own.first * hp, hp);
    }
}

/* d of all steps. w: (hp, groups of h * hp) packed; grad (steps, batch, hp) of all states, or
null; dh, dc (batch, hp): those of the last state and cell, used up. */
void backward(const struct shape *s, const char *z, const REAL *w, const REAL *gates, const REAL *cells,
              const REAL *grad, REAL *dh, REAL *dc, char *d) {
#pragma omp parallel for num_threads(s->threads) schedule(static, 1)
    for (long part = 0; part < s->threads; part++)
        for (long m = 0; m < s->members; m++)
            rows_backward(s, rows_of(s, part, m), z, w, gates, cells, grad, dh, dc, d);
}

/* c (members, groups * hp, kx + hp): d' z over all steps, the gradients of all weights; not with `low`. A
thread takes some rows of it, so that here too no sum depends on how many there are. */
void weight_gradients(const struct shape *s, const char *z, const REAL *d, REAL *c) {
    long width = (s->kind == RNN ? 1 : 4) * s->hp, row = s->kx + s->hp, rows = s->steps * s->batch;
    long h_first = s->kind == GRU ? s->hp : 0; /* what the state has no part in is left out */
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (long i = 0; i < s->members * s->threads; i++) {
        long m = i / s->threads, part = i % s->threads;
        long first = width * part / s->threads, last = width * (part + 1) / s->threads;
        const REAL *right = (const REAL *)z + m * (rows + s->batch) * row, *left = d + m * rows * width;
        REAL *to = c + m * width * row;
#define PRODUCT(FIRST, VECTORS_OF, COLUMN)                                                         \
    multiply_strided(last - (FIRST), (VECTORS_OF) / VL, rows, (const char *)(left + (FIRST)), sizeof(REAL), \
          width * sizeof(REAL), right + (COLUMN), VL, row, to + (FIRST) * row + (COLUMN), row)
        PRODUCT(first, s->kx, 0);
        if (first < h_first) first = h_first;
        PRODUCT(first, s->hp, s->kx);
    }
}
