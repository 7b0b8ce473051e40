/* What convolutions share: a call, and what stands behind them.

Outputs are taken as tiles of 2x2, which are the windows of max pooling, too: where that stands behind a
convolution, and relu and dropout behind it, what the convolution itself gives is not kept. With batch norm
it is: its mean and variance are those of the whole batch. Pictures have their channels last; those that
come out are whole vectors.

Sums over pictures are added up part by part, `threads` parts of the batch. With another number of parts their
last bits are others; which thread of the team computes a part, and how large the team is, changes nothing.

The caller (convolution.py) has checked: all buffers are of REAL, dense, of the sizes below, and apart from each
other, but that dy may lie in y's memory or x's; 1 <= threads <= batch; out is a multiple of VL, as is in of
Winograd's; sizes are those of a convolution that gives at least one output. No buffer need be aligned beyond a
REAL, `work` beyond a double. Nothing is kept after a call. */

#include "product.h"

/* What is given of a call. */
struct call {
    long low, threads, batch, in, out, height, width, top, left, rows, columns; /* threads: also parts */
    long kernel_rows, kernel_columns, down, across; /* the kernel, and from one window to the next */
    long norm, pool, relu; /* whether they stand behind it, in this order */
    double factor;         /* by what dropout multiplies what it keeps */
    double epsilon, momentum;  /* of batch norm */
    const REAL *x;             /* (batch, height, width, in) */
    const REAL *weight, *bias; /* (out, in, kernel_rows, kernel_columns), (out) or null */
    const REAL *gamma, *beta;  /* (out) of batch norm */
    REAL *mean_so_far, *variance_so_far; /* (out) its running ones, brought up to date */
    const uint8_t *mask;       /* like y: ones where dropout keeps a value, or null; not without relu */
    char *work;                /* memory of a call: what is here, then what a way of convolving needs */
    REAL *mean, *inverse;      /* (out) of batch norm, and one by its deviation, kept from forward on */
    REAL *z;                   /* (batch, rows, columns, out) what goes into batch norm */
    uint8_t *largest;          /* like y: which of a window is the largest, row by row; or null */
    REAL *y;                   /* (batch, rows, columns, out), or pooled (batch, rows / 2, columns / 2, out) */
    const REAL *dy;            /* gradient of it */
    REAL *dweight, *dbias;     /* gradients; dbias may be null */
    REAL *dgamma, *dbeta;
    REAL *dx;                  /* gradient of x; null where nobody wants it */
};

/* A part's sums for batch norm and biases: the first value of a channel, two sums over some tiles, and, in
double, the same over all of them: what is summed one by one in float32 loses as many digits as there are
numbers. In front of them (3, out) by what the way back of batch norm multiplies. */
#define FACTORS 3
#define SUMS (3 + 2 * (long)(sizeof(double) / sizeof(REAL)))

INLINE REAL *factors_of(const struct call *c) { return (REAL *)c->work; }
INLINE REAL *sums_of(const struct call *c, long part) { return factors_of(c) + (FACTORS + part * SUMS) * c->out; }
INLINE char *behind_sums(const struct call *c) { return (char *)sums_of(c, c->threads); }
INLINE double *totals_of(const struct call *c, long part) { return (double *)(sums_of(c, part) + 3 * c->out); }

INLINE void begin_sums(const struct call *c, long part) {
    memset(sums_of(c, part), 0, SUMS * c->out * sizeof(REAL));
}

INLINE void add_sums(const struct call *c, long part) {
    REAL *sums = sums_of(c, part) + c->out;
    double *totals = totals_of(c, part);
    for (long j = 0; j < 2 * c->out; j++) totals[j] += sums[j], sums[j] = 0;
}

typedef uint8_t bytes __attribute__((vector_size(BYTES / sizeof(REAL)), aligned(1)));

/* Where a tile is: in which picture, and its first row and column of outputs. */
struct place {
    long picture, row, column;
};

/* The parts of the batch that are a thread's. */
#define EACH_PART(part, c, team) for (long part = (team).part; part < (c)->threads; part += (team).parts)

INLINE long tiles_of_picture(const struct call *c) { return ((c->rows + 1) / 2) * ((c->columns + 1) / 2); }

INLINE struct place place_of(const struct call *c, long tile) {
    long across = (c->columns + 1) / 2, of_picture = tiles_of_picture(c), in = tile % of_picture;
    return (struct place){tile / of_picture, in / across * 2, in % across * 2};
}

INLINE struct place next_place(const struct call *c, struct place at) {
    if ((at.column += 2) < c->columns) return at;
    at.column = 0;
    if ((at.row += 2) < c->rows) return at;
    return (struct place){at.picture + 1, 0, 0};
}

/* Where a tile's four outputs lie in z, which is not pooled, and where in y; of pooled ones the first. Less
than zero where there is none. */
struct outputs {
    long z[4], y[4];
};

INLINE struct outputs outputs_of(const struct call *c, struct place at) {
    struct outputs found;
    for (int p = 0; p < 4; p++) {
        long row = at.row + p / 2, column = at.column + p % 2;
        int is_one = row < c->rows && column < c->columns;
        found.z[p] = is_one ? ((at.picture * c->rows + row) * c->columns + column) * c->out : -1;
        if (!c->pool) found.y[p] = found.z[p];
        else {
            long rows = c->rows / 2, columns = c->columns / 2;
            is_one = !p && at.row / 2 < rows && at.column / 2 < columns;
            found.y[p] = is_one ? ((at.picture * rows + at.row / 2) * columns + at.column / 2) * c->out : -1;
        }
    }
    return found;
}

/* From what goes into pooling, of the channels from j on, row by row, what comes out. */
INLINE void give_outputs(const struct call *c, const struct outputs *at, long j, vec *t) {
    if (c->pool && at->y[0] >= 0) {
        vec which = ZERO;
        for (int p = 1; p < 4; p++) {
            /* What is not a number is the largest, as in torch. */
            bits larger = (t[p] > t[0]) | (t[p] != t[p]);
            t[0] = choose(larger, t[p], t[0]);
            which = choose(larger, ZERO + (REAL)p, which);
        }
        *(bytes *)(c->largest + at->y[0] + j) = __builtin_convertvector(which, bytes);
    }
    for (int p = 0; p < 4; p++) {
        if (at->y[p] < 0) continue;
        vec y = t[p];
        if (c->relu) y = choose(y < 0, ZERO, y);
        if (c->mask)
            y *= __builtin_convertvector(*(const bytes *)(c->mask + at->y[p] + j), vec) * (REAL)c->factor;
        store(c->y + at->y[p] + j, y);
    }
}

/* The gradients of what goes into pooling; zero outside. */
INLINE void take_gradients(const struct call *c, const struct outputs *at, long j, vec *d) {
    for (int p = 0; p < 4; p++) {
        d[p] = ZERO;
        if (at->y[p] < 0) continue;
        d[p] = load(c->dy + at->y[p] + j);
        /* What was dropped or below zero is zero. */
        if (c->relu) d[p] = choose(load(c->y + at->y[p] + j) > 0, d[p] * (REAL)c->factor, ZERO);
    }
    if (c->pool && at->y[0] >= 0) {
        vec given = d[0], which = __builtin_convertvector(*(const bytes *)(c->largest + at->y[0] + j), vec);
        for (int p = 0; p < 4; p++) d[p] = choose(which == (REAL)p, given, ZERO);
    }
}

/* What a convolution gives of a tile goes on, as far as it can: with batch norm into z, and into a thread's
sums of values and squares, each less the first value, `starts` being whether this is it. */
INLINE void give_tile(const struct call *c, const struct outputs *at, REAL *sums, int starts, long j, vec *t) {
    if (c->bias)
        for (int p = 0; p < 4; p++) t[p] += load(c->bias + j);
    if (!c->norm) {
        give_outputs(c, at, j, t);
        return;
    }
    if (starts) store(sums + j, t[0]);
    vec first = load(sums + j), sum = load(sums + c->out + j), square = load(sums + 2 * c->out + j);
    for (int p = 0; p < 4; p++) {
        if (at->z[p] < 0) continue;
        vec d = t[p] - first;
        sum += d, square += d * d;
        store(c->z + at->z[p] + j, t[p]);
    }
    store(sums + c->out + j, sum), store(sums + 2 * c->out + j, square);
}

/* The gradients of what a convolution gives of a tile; where it has a bias, also into a thread's sums. */
INLINE void take_tile(const struct call *c, const struct outputs *at, REAL *sums, long j, vec *d) {
    take_gradients(c, at, j, d);
    const REAL *by = factors_of(c) + j;
    for (int p = 0; p < 4 && c->norm; p++)
        if (at->z[p] >= 0)
            d[p] = load(by) * (d[p] - load(by + 2 * c->out)) +
                   load(by + c->out) * (load(c->z + at->z[p] + j) - load(c->mean + j));
    if (c->dbias) store(sums + c->out + j, load(sums + c->out + j) + d[0] + d[1] + d[2] + d[3]);
}

/* How many numbers of a channel the threads before one have, or all of `parts`. */
INLINE long numbers_of(const struct call *c, long part, long parts) {
    return c->batch * part / parts * c->rows * c->columns;
}

/* A thread's share of the channels: mean and deviation, merged from the sums of all parts (Chan et al. 1979). */
INLINE void merge_sums(const struct call *c, struct share own) {
    for (long j = c->out * own.part / own.parts; j < c->out * (own.part + 1) / own.parts; j++) {
        double count = 0, mean = 0, spread = 0;
        for (long b = 0; b < c->threads; b++) {
            double some = numbers_of(c, b + 1, c->threads) - numbers_of(c, b, c->threads);
            if (!some) continue;
            const double *totals = totals_of(c, b) + j;
            double sum = totals[0], off = sums_of(c, b)[j] + sum / some - mean;
            spread += totals[c->out] - sum * sum / some + off * off * count * some / (count + some);
            count += some;
            mean += off * some / count;
        }
        double variance = spread / count, momentum = c->momentum;
        c->mean[j] = mean;
        c->inverse[j] = 1 / sqrt(variance + c->epsilon);
        c->mean_so_far[j] = (1 - momentum) * c->mean_so_far[j] + momentum * mean;
        c->variance_so_far[j] = (1 - momentum) * c->variance_so_far[j] + momentum * variance * count / (count - 1);
    }
}

/* What comes out of a part's pictures in z. */
INLINE void give_normalized(const struct call *c, struct share own) {
    long tiles = tiles_of_picture(c), last = c->batch * (own.part + 1) / own.parts * tiles;
    struct place place = {c->batch * own.part / own.parts, 0, 0};
    for (long i = place.picture * tiles; i < last; i++, place = next_place(c, place)) {
        struct outputs at = outputs_of(c, place);
        for (long j = 0; j < c->out; j += VL) {
            vec t[4], scale = load(c->gamma + j) * load(c->inverse + j), mean = load(c->mean + j);
            for (int p = 0; p < 4; p++)
                t[p] = at.z[p] < 0 ? ZERO : (load(c->z + at.z[p] + j) - mean) * scale + load(c->beta + j);
            give_outputs(c, &at, j, t);
        }
    }
}

/* A part's sums of the gradients of what batch norm gives, and of them times what it normalized. */
INLINE void sum_gradients(const struct call *c, struct share own) {
    long tiles = tiles_of_picture(c), last = c->batch * (own.part + 1) / own.parts * tiles;
    REAL *sums = sums_of(c, own.part) + c->out;
    begin_sums(c, own.part);
    struct place place = {c->batch * own.part / own.parts, 0, 0};
    for (long i = place.picture * tiles; i < last; i++, place = next_place(c, place)) {
        struct outputs at = outputs_of(c, place);
        for (long j = 0; j < c->out; j += VL) {
            vec d[4], sum = load(sums + j), along = load(sums + c->out + j), mean = load(c->mean + j);
            take_gradients(c, &at, j, d);
            for (int p = 0; p < 4; p++)
                if (at.z[p] >= 0) sum += d[p], along += d[p] * (load(c->z + at.z[p] + j) - mean);
            store(sums + j, sum), store(sums + c->out + j, along);
        }
        if (place.column + 2 >= c->columns) add_sums(c, own.part);
    }
}

/* Of a thread's share of the channels the gradients of gamma and beta, and from d, that of what batch norm
gives, that of z as a (d - c) + b (z - mean): these three. */
INLINE void merge_gradients(const struct call *c, struct share own) {
    for (long j = c->out * own.part / own.parts; j < c->out * (own.part + 1) / own.parts; j++) {
        double sum = 0, along = 0, count = numbers_of(c, 1, 1), inverse = c->inverse[j], scale = c->gamma[j] * inverse;
        for (long b = 0; b < c->threads; b++) sum += totals_of(c, b)[j], along += totals_of(c, b)[c->out + j];
        c->dbeta[j] = sum;
        c->dgamma[j] = along * inverse;
        REAL *by = factors_of(c) + j;
        by[0] = scale, by[c->out] = -scale * inverse * inverse * along / count, by[2 * c->out] = sum / count;
    }
}

/* Of a thread's share of the channels the gradient of the bias, from the sums of all parts. */
INLINE void merge_bias(const struct call *c, struct share own) {
    if (!c->dbias) return;
    for (long j = c->out * own.part / own.parts; j < c->out * (own.part + 1) / own.parts; j++) {
        double sum = 0;
        for (long b = 0; b < c->threads; b++) sum += totals_of(c, b)[j];
        c->dbias[j] = sum;
    }
}

INLINE void wait_for_all(void) {
#ifdef _OPENMP
#pragma omp barrier
#endif
}

/* What batch norm does after a thread's forward, and before its way back. */
INLINE void finish_norm(const struct call *c, struct share team) {
    if (!c->norm) return;
    wait_for_all();
    merge_sums(c, team);
    wait_for_all();
    EACH_PART(part, c, team) give_normalized(c, (struct share){part, c->threads});
}

INLINE void begin_norm(const struct call *c, struct share team) {
    if (!c->norm) return;
    EACH_PART(part, c, team) sum_gradients(c, (struct share){part, c->threads});
    wait_for_all();
    merge_gradients(c, team);
}
