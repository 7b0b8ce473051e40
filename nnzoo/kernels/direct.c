/* Convolutions of pictures of few channels, which need no gradient: the first layer. Kernels of any shape,
any stride.

A row of outputs is a sum of products, one for each row of the kernel: its windows overlap in memory, which
a left matrix may, so that nothing is copied but the picture, with zeros around it. */

#include "convolution.h"

/* Memory of a part. */
struct block {
    REAL *picture; /* (height + 2 top, width + 2 left, in) with zeros around it */
    REAL *strip;   /* (2, columns, out) two rows of outputs, or their gradients */
    REAL *kernels; /* (kernel_rows, kernel_columns * in, out) sums of gradients */
};

INLINE long line(const struct call *c) { return c->kernel_columns * c->in; }
INLINE long padded_width(const struct call *c) { return (c->width + 2 * c->left) * c->in; }

/* The packed kernels, which all threads read. */
INLINE REAL *packed_of(const struct call *c) { return (REAL *)behind_sums(c); }

/* The memory of a part, behind them, those of all parts behind each other; gives the end of all. */
static char *lay_out(const struct call *c, int back, long part, struct block *b) {
    long kernel = c->kernel_rows * line(c) * c->out;
    char *work = behind_sums(c) + kernel * (long)sizeof(REAL);
#define TAKE(count) (REAL *)take(&work, c->threads, part, (count) * (long)sizeof(REAL))
    b->picture = TAKE((c->height + 2 * c->top) * padded_width(c));
    b->strip = TAKE(2 * (c->columns + 1) * c->out);
    b->kernels = TAKE(back ? kernel : 0);
#undef TAKE
    return work;
}

/* How many bytes a call takes of `work`, forward or back. */
long direct_work(const struct call *c, int back) {
    struct block b;
    return lay_out(c, back, 0, &b) - c->work;
}

/* Number q of a kernel's row y and channel o in `weight`, whose columns and channels lie the other way round. */
INLINE long weight_at(const struct call *c, long o, long y, long q) {
    return ((o * c->in + q % c->in) * c->kernel_rows + y) * c->kernel_columns + q / c->in;
}

/* A thread's rows of kernels, each packed as a right matrix, (out / VL, kernel_columns * in, VL). */
static void pack_kernels(const struct call *c, struct share own) {
    long k = line(c);
    for (long y = own.part; y < c->kernel_rows; y += own.parts)
        for (long o = 0; o < c->out; o++)
            for (long q = 0; q < k; q++)
                packed_of(c)[(y * c->out + o / VL * VL) * k + q * VL + o % VL] = c->weight[weight_at(c, o, y, q)];
}

/* A thread's gradients of kernels from the sums of all parts. */
static void gather_kernels(const struct call *c, struct share own) {
    long k = line(c), kernel = c->kernel_rows * k * c->out;
    struct block first;
    lay_out(c, 1, 0, &first);
    for (long o = own.part; o < c->out; o += own.parts)
        for (long y = 0; y < c->kernel_rows; y++)
            for (long q = 0; q < k; q++) {
                REAL sum = 0;
                for (long b = 0; b < c->threads; b++)
                    sum += first.kernels[b * kernel + (y * k + q) * c->out + o];
                c->dweight[weight_at(c, o, y, q)] = sum;
            }
}

/* The outputs of two rows, and what comes of them. */
INLINE void give_strip(const struct call *c, const struct block *b, REAL *sums, int starts, long picture, long row) {
    long step = c->columns * c->out;
    for (long column = 0; column < c->columns; column += 2) {
        struct outputs to = outputs_of(c, (struct place){picture, row, column});
        for (long j = 0; j < c->out; j += VL) {
            /* What is read outside is not used. */
            REAL *at = b->strip + column * c->out + j;
            vec t[4] = {load(at), load(at + c->out), load(at + step), load(at + step + c->out)};
            give_tile(c, &to, sums, starts && !column, j, t);
        }
    }
}

INLINE void take_strip(const struct call *c, const struct block *b, REAL *sums, long picture, long row) {
    long step = c->columns * c->out;
    for (long column = 0; column < c->columns; column += 2) {
        struct outputs from = outputs_of(c, (struct place){picture, row, column});
        for (long j = 0; j < c->out; j += VL) {
            vec d[4];
            take_tile(c, &from, sums, j, d);
            for (int p = 0; p < 4; p++)
                if (column + p % 2 < c->columns)
                    store(b->strip + p / 2 * step + (column + p % 2) * c->out + j, d[p]);
        }
    }
}

INLINE void share_pictures(const struct call *c, int back, const struct block *b, struct share own) {
    long k = line(c), wide = padded_width(c), size = c->width * c->in;
    memset(b->picture, 0, (c->height + 2 * c->top) * wide * sizeof(REAL));
    memset(b->strip, 0, 2 * (c->columns + 1) * c->out * sizeof(REAL));
    if (back) memset(b->kernels, 0, c->kernel_rows * k * c->out * sizeof(REAL));
    REAL *sums = sums_of(c, own.part);
    begin_sums(c, own.part);
    long first = c->batch * own.part / own.parts;
    for (long n = first; n < c->batch * (own.part + 1) / own.parts; n++) {
        for (long y = 0; y < c->height; y++)
            memcpy(b->picture + (y + c->top) * wide + c->left * c->in, c->x + (n * c->height + y) * size,
                   size * sizeof(REAL));
        for (long row = 0; row < c->rows; row += 2) {
            if (back) take_strip(c, b, sums, n, row);
            for (long y = row; y < row + 2 && y < c->rows; y++)
                for (long i = 0; i < c->kernel_rows; i++) {
                    const REAL *from = b->picture + (y * c->down + i) * wide;
                    REAL *strip = b->strip + (y - row) * c->columns * c->out;
                    long next = c->across * c->in * (long)sizeof(REAL);
                    if (!back)
                        multiply(0, i > 0, c->columns, c->out / VL, k, by_row(from, next),
                                 packed_of(c) + i * k * c->out, k * VL, strip, c->out);
                    else
                        multiply_rows(0, 1, k, c->out / VL, c->columns,
                                      by_column(from, c->across * c->in), strip, c->out,
                                      b->kernels + i * k * c->out, c->out);
                }
            if (!back) give_strip(c, b, sums, n == first && !row, n, row);
        }
        add_sums(c, own.part);
    }
}

static void convolve(const struct call *c, int back) {
#pragma omp parallel num_threads((int)c->threads)
    {
        struct share team = own_share();
        if (back) begin_norm(c, team);
        else pack_kernels(c, team);
        wait_for_all();
        EACH_PART(part, c, team) {
            struct block b;
            lay_out(c, back, part, &b);
            share_pictures(c, back, &b, (struct share){part, c->threads});
        }
        if (!back) finish_norm(c, team);
        else {
            wait_for_all();
            gather_kernels(c, team);
            merge_bias(c, team);
        }
    }
}

/* y. */
void direct_forward(const struct call *c) { convolve(c, 0); }

/* The gradients of kernels and bias. */
void direct_backward(const struct call *c) { convolve(c, 1); }
