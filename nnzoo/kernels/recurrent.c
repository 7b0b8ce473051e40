/* Recurrent layers of one direction: all time steps in one call forward, and one back.

A step of a small recurrent network is a few products that take microseconds each, and a call from
Python for each of them, for its sigmoids and for its sums takes longer than they do. Here a thread
takes some rows of the batch through all time steps: their states stay in its caches, the weights
are laid out once for all steps. No sum crosses rows, and those of the weights' gradients run over all rows
in an order that sizes alone decide, so the number of threads does not change a bit of what comes out.

Several members, layers of one shape with weights and a batch each, lie behind each other in every
buffer; threads share the rows of all of them.

The caller (recurrent.py) has checked: all buffers are of REAL (z of the product's type, x and dy of either), of the
sizes below, the numbers of a row beside each other, and apart from each other; every size is at least 1. No buffer
need be aligned beyond a number of its type. The team may have fewer than `threads` threads. Nothing is kept after
a call: the way back reads the same `z` and `work`, wherever they have come to lie, and changes neither.

Gates are (rnn: one; lstm: i, f, g, o; gru: n, r, z, and U h + b' of n) of hp numbers each, the width of a
state as whole vectors. */

#include "product.h"

/* Of so many numbers before the gates at once the gradients are kept, until those of the weights have taken
them in: 1 MB, which the caches hold. Of wide layers it is PIECE rows: the sums are longer than those. */
#define SPAN (1L << 18)

enum kind { RNN, LSTM, GRU };

/* What is given of a call. Sizes of x and dy are numbers from one time step, member, row to the next. */
struct call {
    long kind, low, relu, threads, members, steps, batch, features, hidden; /* batch: rows of a member */
    long kept; /* whether what the way back needs is */
    const void *x;
    long x_low, x_time, x_member, x_batch;
    const REAL *w_ih, *w_hh, *b_ih, *b_hh; /* as torch has them, of all members */
    char *z;                               /* (members, steps + 1, batch, row), see `struct sizes` */
    char *work, *back;                     /* memory of a call: kept from forward on, and of the way back */
    REAL *last, *cell;                     /* (members, batch, hidden); cell: of an lstm */
    const void *dy;                        /* gradient of all states, or null */
    long dy_low, dy_time, dy_member, dy_batch;
    const REAL *dlast, *dcell; /* of the last ones, or null */
    REAL *gradients;           /* those of w_ih, w_hh, b_ih and b_hh behind each other */
    REAL *dx;                  /* (steps, members, batch, features), or null */
};

/* A row of z: the state before a step, its input, a one that gathers what biases do, zeros. */
struct sizes {
    long hp, kx, row;        /* numbers: of a state, of the rest, of both */
    long groups, width;      /* how many gates, and how many numbers they are */
    long h_units, x_units, k; /* units of a state, of the input with its one, and of both */
    long units, span;         /* units of a batch; how many steps go back at once */
};

static struct sizes sizes_of(const struct call *c) {
    struct sizes s = {0};
    s.hp = whole(c->hidden), s.kx = whole(c->features + 1), s.row = s.hp + s.kx;
    s.groups = c->kind == RNN ? 1 : 4, s.width = s.groups * s.hp;
    s.h_units = units_of(c->low, s.hp), s.x_units = units_of(c->low, c->features + 1);
    s.k = s.h_units + s.x_units;
    s.units = units_of(c->low, c->batch);
    long rows = s.width * PIECE < SPAN ? SPAN / s.width : PIECE;
    s.span = rows < s.units ? 1 : rows / s.units;
    if (s.span > c->steps) s.span = c->steps;
    return s;
}

/* How many groups of rows torch's weights have. */
INLINE long groups_of(long kind) { return kind == RNN ? 1 : kind == LSTM ? 4 : 3; }

/* Which of them is a gate's, in the weights of the input and of the state; -1: none. */
INLINE long group_of(long kind, int state, long gate) {
    if (kind != GRU) return gate;
    return state ? gate - 1 : gate == 0 ? 2 : gate == 3 ? -1 : gate - 1;
}

/* How many of the gates' numbers, the first ones, the state has no part in. */
INLINE long stateless(const struct sizes *s, long kind) { return kind == GRU ? s->hp : 0; }

/* The buffers of a member. */
struct buffers {
    char *z;
    REAL *forward, *back, *input_back; /* packed weights */
    REAL *gates;                       /* (steps, batch, width) what the activations gave */
    REAL *cells;                       /* (steps + 1, batch, hp) the cell; GRU: the state, unrounded */
    REAL *dh, *dc;                     /* (batch, hp) */
    char *d;                           /* (batch, width) gradient before the gates, of one step of bfloat16 */
    REAL *d_units[2], *z_units[2];     /* (units of span steps, width), (…, row): d and z as units */
    REAL *product;                     /* (row, width) z' d */
    REAL *dx;                          /* (batch, whole(features)) of one step */
};

/* Those of the way back only where it is asked for; gives the end of that memory, else of `work`. */
static char *lay_out(const struct call *c, const struct sizes *s, int back, long member, struct buffers *to) {
    char *work = c->work;
    long size = sizeof(REAL), m = c->members, batch = c->batch, steps = c->kept ? c->steps : 1;
#define TAKE(NUMBERS) (REAL *)take(&work, m, member, (NUMBERS) * size)
    to->z = c->z + member * (c->steps + 1) * batch * s->row * (c->low ? 2 : size);
    to->forward = TAKE(s->width * s->k);
    to->gates = TAKE(steps * batch * s->width);
    to->cells = TAKE(c->kind == RNN ? 0 : (c->kept ? steps + 1 : 1) * batch * s->hp);
    if (!back) return work;
    work = c->back;
    to->back = TAKE(s->hp * units_of(c->low, s->width));
    to->input_back = TAKE(whole(c->features) * units_of(c->low, s->width));
    to->dh = TAKE(batch * s->hp), to->dc = TAKE(batch * s->hp);
    to->d = (char *)TAKE(c->low ? s->units * s->width : 0);
    for (int i = 0; i < 2; i++) {
        long numbers = i == 0 || s->span < c->steps ? s->span * s->units : 0;
        to->d_units[i] = TAKE(numbers * s->width);
        to->z_units[i] = TAKE(c->low ? numbers * s->row : 0);
    }
    to->product = TAKE(s->row * s->width);
    to->dx = TAKE(batch * whole(c->features));
#undef TAKE
    return work;
}

/* How many bytes a call takes of `work`, or of `back`. */
long recurrent_work(const struct call *c, int back) {
    struct sizes s = sizes_of(c);
    struct buffers b;
    return lay_out(c, &s, back, 0, &b) - (back ? c->back : c->work);
}

/* Some rows of a member. */
struct rows {
    long first, last;
};

/* Some steps, and which of two buffers is theirs: a thread may still read the other one. */
struct stretch {
    long first, last, odd;
};

/* Of what each member has `of_one` of, those of member m that are in a thread's share of all. */
INLINE struct rows share_of(struct share own, long members, long of_one, long m) {
    long all = members * of_one, ends[2];
    for (int i = 0; i < 2; i++) ends[i] = all * (own.part + i) / own.parts - m * of_one;
    return (struct rows){ends[0] < 0 ? 0 : ends[0], ends[1] < of_one ? ends[1] : of_one};
}

/* Rows of the batch likewise; pairs stay together. */
INLINE struct rows rows_of(const struct call *c, struct share own, long m) {
    struct rows found = share_of(own, c->members, c->batch, m);
    /* Where a share begins behind the last row, that row is another thread's. */
    if (found.first < c->batch) found.first -= found.first % 2;
    if (found.last < c->batch) found.last -= found.last % 2;
    return found;
}

INLINE vec sigmoid(vec x) { return 1 / (1 + exponential(-x)); }

/* By the size of x: near 1 and -1, where the gradient is a small difference, nothing is lost. */
INLINE vec hyperbolic(vec x) {
    const bits sign = (bits)(-ZERO);
    vec q = exponential((vec)((bits)x | sign) * 2);
    return (vec)((bits)((1 - q) / (1 + q)) | ((bits)x & sign));
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

/* The last numbers of a row of bfloat16 (not with a REAL of 8 bytes), zeros behind. */
static __attribute__((noinline)) vec rest_of(const char *row, long count) {
    uint16_t low[VL];
    REAL some[VL];
    memset(low, 0, sizeof(low));
    memcpy(low, row, count * 2);
    for (long i = 0; i < VL; i++) {
        uint32_t bits = (uint32_t)low[i] << 16;
        memcpy(some + i, &bits, 4);
    }
    return load(some);
}

/* Write a bfloat16 into a buffer of any type. */
INLINE void put_low(char *base, long at, uint16_t x) { memcpy(base + 2 * at, &x, 2); }

/* Numbers of a given row, REAL or bfloat16, from `at` on. */
INLINE vec given(int low, const void *row, long at, long count) {
    if (!low || DOUBLE) return numbers((const REAL *)row, at, count);
    if (at + VL <= count) return load_as(1, row, at);
    return rest_of((const char *)row + 2 * at, count - at);
}

/* A block of VL outputs of the packed weights (width / VL, k, VL): from the row of z to the gates. */
INLINE void pack_forward(int low, const struct call *c, const struct sizes *s, long m, long block,
                         REAL *to) {
    long gate = block * VL / s->hp, j = block * VL % s->hp, h = c->hidden, f = c->features;
    long gates = groups_of(c->kind);
    long by_input = group_of(c->kind, 0, gate), by_state = group_of(c->kind, 1, gate);
    for (int state = 0; state < 2; state++) {
        long group = state ? by_state : by_input, count = state ? h : f;
        const REAL *weight = (state ? c->w_hh : c->w_ih) + ((m * gates + group) * h + j) * count;
        long units_here = state ? s->h_units : s->x_units;
        REAL *at = to + (state ? 0 : s->h_units) * VL;
        for (long p = 0; p < units_here; p += VL) {
            vec r[VL];
            for (long i = 0; i < VL; i++)
                r[i] = group >= 0 && j + i < h ? units(low, weight + i * count, p, count) : ZERO;
            turn(r);
            for (long i = 0; i < VL && p + i < units_here; i++) store(at + (p + i) * VL, r[i]);
        }
    }
    REAL *one = to + (s->h_units + (low ? f / 2 : f)) * VL;
    for (long i = 0; i < VL && j + i < h; i++) {
        REAL bias = by_input < 0 ? 0 : c->b_ih[(m * gates + by_input) * h + j + i];
        bias += by_state < 0 ? 0 : c->b_hh[(m * gates + by_state) * h + j + i];
        if (low) put_low((char *)(one + i), f % 2, rounded(bias));
        else one[i] = bias;
    }
}

/* A block of VL columns of a weight (groups * hidden, columns), packed (columns / VL, units of the gates,
VL): from the gates back. */
INLINE void pack_back(int low, const struct call *c, const struct sizes *s, int state, long m, long block,
                      REAL *to) {
    long h = c->hidden, columns = state ? h : c->features, per = low ? 2 : 1;
    long gates = groups_of(c->kind);
    const REAL *weight = (state ? c->w_hh : c->w_ih) + m * gates * h * columns;
    for (long p = 0; p < units_of(low, s->width); p++) {
        vec row[2] = {ZERO, ZERO};
        for (long i = 0; i < per; i++) {
            long gate = (p * per + i) / s->hp, j = (p * per + i) % s->hp;
            long group = group_of(c->kind, state, gate);
            if (group >= 0 && j < h)
                row[i] = numbers(weight + (group * h + j) * columns, block * VL, columns);
        }
        store(to + p * VL, side_by_side(low, row[0], row[1]));
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

INLINE void rows_forward(int low, const struct call *c, const struct sizes *s, long m, struct rows own,
                         const struct buffers *b) {
    long kind = c->kind;
    long count = own.last - own.first, size = low ? 2 : sizeof(REAL), row = s->row * size;
    long f = c->features, width = s->width, gates_step = c->kept ? c->batch * width : 0;
    long cells_step = c->kept ? c->batch * s->hp : 0, x_size = c->x_low ? 2 : sizeof(REAL);
    if (count <= 0) return;
    for (long i = own.first; i < own.last; i++) {
        memset(b->z + i * row, 0, s->hp * size);
        if (kind != RNN) memset(b->cells + i * s->hp, 0, s->hp * sizeof(REAL));
    }
    for (long t = 0; t < c->steps; t++) {
        char *in = b->z + (t * c->batch + own.first) * row, *out = in + c->batch * row;
        REAL *gate = b->gates + t * gates_step + own.first * width;
        REAL *cell = b->cells + t * cells_step + own.first * s->hp, *next = cell + cells_step;
        for (long i = 0; i < count; i++) {
            const char *x = (const char *)c->x
                            + (t * c->x_time + m * c->x_member + (own.first + i) * c->x_batch) * x_size;
            char *to = in + i * row + s->hp * size;
            for (long j = 0; j < s->kx; j += VL)
                store_as(low, to, j, given(c->x_low, x, j, f));
            if (low) put_low(to, f, 0x3f80);
            else ((REAL *)to)[f] = 1;
        }
        /* The state is zero at first, and has no part in n of a GRU; the input has none in the last. */
        long blocks = width / VL, first = t ? stateless(s, kind) / VL : 0, of_x = t ? first : blocks;
        const char *x = in + s->hp * size;
        const REAL *w_x = b->forward + s->h_units * VL;
        multiply(low, 0, count, of_x, s->x_units, by_row(x, row), w_x, s->k * VL, gate, width);
        if (t)
            multiply(low, 0, count, blocks - first, s->k, by_row(in, row), b->forward + first * s->k * VL,
                     s->k * VL, gate + first * VL, width);
        for (long i = 0; i < count; i++) {
#define STEP(KIND)                                                                                 \
    step_forward(KIND, low, c->relu, s->hp, gate + i * width, cell + i * s->hp, next + i * s->hp, out + i * row)
            if (kind == RNN) STEP(RNN);
            else if (kind == LSTM) STEP(LSTM);
            else STEP(GRU);
#undef STEP
        }
    }
    for (long i = own.first; i < own.last; i++) {
        const char *state = b->z + (c->steps * c->batch + i) * row;
        const REAL *cell = b->cells + c->steps * cells_step + i * s->hp;
        REAL *last = c->last + (m * c->batch + i) * c->hidden;
        for (long j = 0; j < c->hidden; j += VL) {
            vec h = kind == GRU ? load(cell + j) : load_as(low, state, j);
            store_some(last + j, h, c->hidden - j);
            if (kind == LSTM)
                store_some(c->cell + (m * c->batch + i) * c->hidden + j, load(cell + j), c->hidden - j);
        }
    }
}

INLINE void forward_share(int low, const struct call *c) {
    struct share own = own_share();
    struct sizes s = sizes_of(c);
    struct buffers b;
    long blocks = s.width / VL, all = c->members * blocks;
    for (long i = all * own.part / own.parts; i < all * (own.part + 1) / own.parts; i++) {
        lay_out(c, &s, 0, i / blocks, &b);
        pack_forward(low, c, &s, i / blocks, i % blocks, b.forward + i % blocks * s.k * VL);
    }
#pragma omp barrier
    for (long m = 0; m < c->members; m++) {
        struct rows rows = rows_of(c, own, m);
        lay_out(c, &s, 0, m, &b);
        rows_forward(low, c, &s, m, rows, &b);
    }
}

/* All states in z, the last ones, and in `work` what the way back needs. */
void recurrent_forward(const struct call *c) {
#pragma omp parallel num_threads((int)c->threads)
    if (c->low) forward_share(1, c);
    else forward_share(0, c);
}

/* The gradient before the gates of one row of a step into d, from dh and dc, which become those of
the step before, but for what goes through the product. */
INLINE void step_backward(int kind, int low, int relu, long hp, const REAL *gate, const REAL *cell,
                          const REAL *next, const char *state, int dy_low, const void *dy, long hidden,
                          REAL *dh, REAL *dc, char *d) {
    for (long j = 0; j < hp; j += VL) {
        const REAL *at = gate + j;
        vec g_h = load(dh + j);
        if (dy) g_h += given(dy_low, dy, j, hidden);
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

/* Rows of bfloat16 as units: pairs of them side by side. */
INLINE void pair_rows(int low, struct rows own, long width, const char *from, REAL *to) {
    for (long n = own.first; n < own.last; n += 2)
        for (long j = 0; j < width; j += VL) {
            vec other = n + 1 < own.last ? load_as(low, from, (n + 1) * width + j) : ZERO;
            store(to + n / 2 * width + j, side_by_side(low, load_as(low, from, n * width + j), other));
        }
}

INLINE void rows_backward(int low, const struct call *c, const struct sizes *s, long m, struct rows own,
                          struct stretch now, const struct buffers *b) {
    long kind = c->kind;
    long count = own.last - own.first, size = low ? 2 : sizeof(REAL), row = s->row * size, hp = s->hp;
    long f = c->features, fp = whole(f), width = s->width, dy_size = c->dy_low ? 2 : sizeof(REAL);
    long back = units_of(low, width), skipped = units_of(low, stateless(s, kind));
    if (count <= 0) return;
    for (long i = own.first; i < own.last && now.last == c->steps; i++)
        for (long j = 0; j < hp; j += VL) {
            long at = (m * c->batch + i) * c->hidden;
            store(b->dh + i * hp + j, c->dlast ? numbers(c->dlast + at, j, c->hidden) : ZERO);
            store(b->dc + i * hp + j, c->dcell ? numbers(c->dcell + at, j, c->hidden) : ZERO);
        }
    for (long t = now.last - 1; t >= now.first; t--) {
        long unit = (t - now.first) * s->units;
        REAL *d_units = b->d_units[now.odd] + unit * width;
        char *d = low ? b->d : (char *)d_units, *own_d = d + own.first * width * size;
        for (long i = own.first; i < own.last; i++) {
            long at = t * c->batch + i;
            const REAL *cell = b->cells + at * hp, *next = cell + c->batch * hp;
            const char *state = b->z + (at + c->batch) * row;
            const char *dy = c->dy ? (const char *)c->dy
                                         + (t * c->dy_time + m * c->dy_member + i * c->dy_batch) * dy_size
                                   : 0;
#define STEP(KIND)                                                                                 \
    step_backward(KIND, low, c->relu, hp, b->gates + at * width, cell, next, state, c->dy_low, dy, c->hidden, \
                  b->dh + i * hp, b->dc + i * hp, d + i * width * size)
            if (kind == RNN) STEP(RNN);
            else if (kind == LSTM) STEP(LSTM);
            else STEP(GRU);
#undef STEP
        }
        if (low) {
            pair_rows(low, own, width, d, d_units);
            pair_rows(low, own, s->row, b->z + t * c->batch * row, b->z_units[now.odd] + unit * s->row);
        }
        if (t)
            multiply(low, 1, count, hp / VL, back - skipped,
                     by_row(own_d + skipped * (long)sizeof(REAL), width * size), b->back + skipped * VL, back * VL, b->dh + own.first * hp, hp);
        if (c->dx) {
            REAL *dx = b->dx + own.first * fp;
            multiply(low, 0, count, fp / VL, back, by_row(own_d, width * size), b->input_back, back * VL, dx, fp);
            for (long i = 0; i < count; i++)
                memcpy(c->dx + ((t * c->members + m) * c->batch + own.first + i) * f, dx + i * fp,
                       f * sizeof(REAL));
        }
    }
}

/* Some columns of z' d over all steps, whole vectors of them, of the state's rows or of the input's, and from
them those gradients. */
INLINE void weight_gradients(int low, const struct call *c, const struct sizes *s, long m, int state,
                             struct rows own, struct stretch now, const struct buffers *b) {
    long h = c->hidden, gates = groups_of(c->kind), width = s->width, columns = state ? h : c->features;
    /* The state is zero at first. */
    long from = state && c->steps > 1 && !now.first ? s->units : 0, row = state ? 0 : s->hp;
    const REAL *z_units = low ? b->z_units[now.odd] : (const REAL *)b->z + now.first * s->units * s->row;
    struct left z = by_column(z_units + from * s->row + row, s->row);
    REAL *product = b->product + row * width;
    multiply_rows(low, now.last < c->steps, state ? h : columns + 1, (own.last - own.first) / VL,
                  (now.last - now.first) * s->units - from, z, b->d_units[now.odd] + from * width + own.first, width,
                  product + own.first, width);
    if (now.first) return;
    REAL *w_ih = c->gradients, *w_hh = w_ih + c->members * gates * h * c->features;
    REAL *b_ih = w_hh + c->members * gates * h * h, *b_hh = b_ih + c->members * gates * h;
    for (long r = own.first; r < own.last; r += VL) {
        long j = r % s->hp, by_input = group_of(c->kind, 0, r / s->hp), by_state = group_of(c->kind, 1, r / s->hp);
        long group = state ? by_state : by_input;
        REAL *to = (state ? w_hh : w_ih) + ((m * gates + group) * h + j) * columns;
        for (long i = 0; group >= 0 && i < columns; i += VL) {
            vec block[VL];
            for (long l = 0; l < VL; l++) block[l] = load(product + (i + l) * width + r);
            turn(block);
            for (long l = 0; l < VL && j + l < h; l++) store_some(to + l * columns + i, block[l], columns - i);
        }
        if (state) continue;
        vec bias = load(product + columns * width + r);
        if (by_input >= 0) store_some(b_ih + (m * gates + by_input) * h + j, bias, h - j);
        if (by_state >= 0) store_some(b_hh + (m * gates + by_state) * h + j, bias, h - j);
    }
}

INLINE void backward_share(int low, const struct call *c) {
    struct share own = own_share();
    struct sizes s = sizes_of(c);
    struct buffers b;
    long of_state = s.hp / VL, blocks = of_state + (c->dx ? whole(c->features) / VL : 0);
    long all = c->members * blocks, k = units_of(low, s.width);
    for (long i = all * own.part / own.parts; i < all * (own.part + 1) / own.parts; i++) {
        long m = i / blocks, block = i % blocks;
        int state = block < of_state;
        lay_out(c, &s, 1, m, &b);
        if (!state) block -= of_state;
        pack_back(low, c, &s, state, m, block, (state ? b.back : b.input_back) + block * k * VL);
    }
#pragma omp barrier
    for (struct stretch now = {0, c->steps, 0}; now.last; now.last = now.first, now.odd = !now.odd) {
        now.first = now.last > s.span ? now.last - s.span : 0;
        for (long m = 0; m < c->members; m++) {
            lay_out(c, &s, 1, m, &b);
            rows_backward(low, c, &s, m, rows_of(c, own, m), now, &b);
        }
#pragma omp barrier
        for (int state = 0; state < 2; state++) {
            long skipped = state ? stateless(&s, c->kind) : 0;
            for (long m = 0; m < c->members; m++) {
                struct rows blocks = share_of(own, c->members, (s.width - skipped) / VL, m);
                struct rows columns = {skipped + blocks.first * VL, skipped + blocks.last * VL};
                lay_out(c, &s, 1, m, &b);
                if (columns.first < columns.last) weight_gradients(low, c, &s, m, state, columns, now, &b);
            }
        }
    }
}

/* The gradients of all weights, and dx. */
void recurrent_backward(const struct call *c) {
#pragma omp parallel num_threads((int)c->threads)
    if (c->low) backward_share(1, c);
    else backward_share(0, c);
}
