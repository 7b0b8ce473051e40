/* Convolutions with kernels of 3x3 at stride 1, by minimal filtering (Winograd; Lavin and Gray 2016).

A tile of 2x2 outputs comes from 4x4 inputs, d, and a kernel g with 16 products in place of 36:

    y = A' ((G g G') * (B' d B)) A

where * multiplies point by point. Over all tiles and channels each of the 16 points is a product of
matrices, (tiles, in) times (in, out). The way back is the adjoint of each step: it takes 16 products a
tile, too, for the kernels as for the inputs. With `low` the points are bfloat16; transforms and sums stay
REAL.

A thread has some of the pictures, and takes as many of their tiles at once as stay in its cache. */

#include "convolution.h"

#define POINTS 16
#define KERNEL 9
/* Bytes of a block of tiles, and their number a multiple of what a product takes at once. */
#define CACHE (384 * 1024)
#define STEP (2 * ROWS)

/* Memory of a part. */
struct block {
    long tiles;
    REAL *inputs, *outputs; /* (tiles, points, in) and (tiles, points, out), tiles a span apart; on the way
                               back with `low` (units of the tiles, points, in or out) */
    char *rows;             /* the gradients of the outputs (tiles, points, out): another form of them, if `low` */
    REAL *patch;            /* (2, points, in) inputs of tiles that reach out of their pictures */
    REAL *kernels;          /* (points, in, out) sums of gradients */
};

INLINE long block_tiles(const struct call *c) {
    long fit = CACHE / (POINTS * (c->in + c->out) * (long)sizeof(REAL)) / STEP * STEP;
    return fit < STEP ? STEP : fit;
}

/* From one tile to the next: a vector more than its points, or all tiles would share a few sets of the cache. */
INLINE long span(long channels) { return POINTS * channels + VL; }

/* The kernels' points, which all threads read. */
INLINE REAL *points_of(const struct call *c) { return (REAL *)behind_sums(c); }

/* The memory of a part, behind them, those of all parts behind each other; gives the end of all. */
static char *lay_out(const struct call *c, int back, long part, struct block *b) {
    char *work = behind_sums(c) + POINTS * c->in * c->out * (long)sizeof(REAL);
    long tiles = block_tiles(c);
    *b = (struct block){.tiles = tiles};
#define TAKE(count) (REAL *)take(&work, c->threads, part, (count) * (long)sizeof(REAL))
    b->inputs = TAKE(tiles * span(c->in)), b->outputs = TAKE(tiles * span(c->out));
    b->patch = TAKE(2 * POINTS * c->in);
    b->kernels = TAKE(back ? POINTS * c->in * c->out : 0);
    b->rows = (char *)(back && c->low ? TAKE(tiles * span(c->out) / 2) : b->outputs);
#undef TAKE
    return work;
}

/* How many bytes a call takes of `work`, forward or back. */
long winograd_work(const struct call *c, int back) {
    struct block b;
    return lay_out(c, back, 0, &b) - c->work;
}

/* The matrices of the transforms, in place of four vectors `s` apart. */

/* B' */
INLINE void spread_inputs(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], d = t[3 * s];
    t[0] = a - c, t[s] = b + c, t[2 * s] = c - b, t[3 * s] = b - d;
}

/* B */
INLINE void gather_inputs(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], d = t[3 * s];
    t[1 * s] = b - c + d, t[2 * s] = b + c - a, t[3 * s] = -d;
}

/* A' , of four to two */
INLINE void gather_outputs(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], d = t[3 * s];
    t[0] = a + b + c, t[s] = b - c - d;
}

/* A, of two to four */
INLINE void spread_outputs(vec *t, int s) {
    vec a = t[0], b = t[s];
    t[s] = a + b, t[2 * s] = a - b, t[3 * s] = -b;
}

/* G, of three to four */
INLINE void spread_kernel(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], ends = a + c;
    t[s] = (ends + b) * (REAL)0.5, t[2 * s] = (ends - b) * (REAL)0.5, t[3 * s] = c;
}

/* G', of four to three */
INLINE void gather_kernel(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], d = t[3 * s], middle = (b + c) * (REAL)0.5;
    t[0] = a + middle, t[s] = (b - c) * (REAL)0.5, t[2 * s] = middle + d;
}

/* One of them along both directions of a tile of 4x4, `first` lines of which count before and `then` after
the first. */
#define BOTH(transform, t, first, then)                                                            \
    do {                                                                                           \
        for (int i_ = 0; i_ < first; i_++) transform(t + i_, 4);                                   \
        for (int i_ = 0; i_ < then; i_++) transform(t + 4 * i_, 1);                                \
    } while (0)

/* A thread's kernels as points, packed as right matrices: forward (out / VL, units of in, VL), back (in / VL,
units of out, VL). */
INLINE void transform_kernels(int low, const struct call *c, int back, struct share own) {
    long from = back ? c->out : c->in, to = back ? c->in : c->out, k = units_of(low, from), per = low ? 2 : 1;
    long row = back ? c->in * KERNEL : KERNEL, column = back ? KERNEL : c->in * KERNEL;
    REAL *points = points_of(c);
    for (long i = k * own.part / own.parts; i < k * (own.part + 1) / own.parts; i++)
        for (long j = 0; j < to; j += VL) {
            vec t[2][POINTS];
            for (long h = 0; h < per; h++) {
                const REAL *at = c->weight + (i * per + h) * row + j * column;
                for (int y = 0; y < 3; y++)
                    for (int x = 0; x < 3; x++)
                        for (long l = 0; l < VL; l++) t[h][4 * y + x][l] = at[l * column + 3 * y + x];
                BOTH(spread_kernel, t[h], 3, 4);
            }
            for (int p = 0; p < POINTS; p++)
                store(points + (p * to + j) * k + i * VL, side_by_side(low, t[0][p], t[per - 1][p]));
        }
}

/* A thread's gradients of kernels from the sums of all parts. */
static void gather_kernels(const struct call *c, struct share own) {
    struct block first;
    lay_out(c, 1, 0, &first);
    long kernels = POINTS * c->in * c->out;
    for (long i = c->in * own.part / own.parts; i < c->in * (own.part + 1) / own.parts; i++)
        for (long j = 0; j < c->out; j += VL) {
            vec t[POINTS];
            for (int p = 0; p < POINTS; p++) {
                t[p] = ZERO;
                for (long b = 0; b < c->threads; b++)
                    t[p] += load(first.kernels + b * kernels + (p * c->in + i) * c->out + j);
            }
            BOTH(gather_kernel, t, 4, 3);
            REAL *to = c->dweight + (j * c->in + i) * KERNEL;
            for (int y = 0; y < 3; y++)
                for (int x = 0; x < 3; x++)
                    for (long l = 0; l < VL; l++) to[l * c->in * KERNEL + 3 * y + x] = t[4 * y + x][l];
        }
}

/* Where the 4x4 inputs of a tile are in a picture of x or its gradient: the first, and from row to row. */
struct inputs {
    long row, column, at, line;
    int whole; /* whether all are inside */
};

INLINE struct inputs inputs_of(const struct call *c, struct place place) {
    long row = place.row - c->top, column = place.column - c->left, line = c->width * c->in;
    int whole = row >= 0 && row + 4 <= c->height && column >= 0 && column + 4 <= c->width;
    return (struct inputs){row, column, (place.picture * c->height + row) * line + column * c->in, line, whole};
}

INLINE int is_inside(const struct call *c, const struct inputs *of, int p) {
    long row = of->row + p / 4, column = of->column + p % 4;
    return row >= 0 && row < c->height && column >= 0 && column < c->width;
}

/* The inputs of a tile, where it is not whole with zeros outside, in `patch`; `line` becomes from row to row. */
INLINE const REAL *read_inputs(const struct call *c, struct place place, int is_none, REAL *patch, long *line) {
    struct inputs of = inputs_of(c, place);
    if (of.whole && !is_none) {
        *line = of.line;
        return c->x + of.at;
    }
    for (int p = 0; p < POINTS; p++, patch += c->in)
        if (!is_none && is_inside(c, &of, p))
            memcpy(patch, c->x + of.at + p / 4 * of.line + p % 4 * c->in, c->in * sizeof(REAL));
        else
            memset(patch, 0, c->in * sizeof(REAL));
    *line = 4 * c->in;
    return patch - POINTS * c->in;
}

/* B' d B of some tiles. */
INLINE void transform_inputs(int low, int back, const struct call *c, const struct block *b, long first,
                             long count) {
    struct place at = place_of(c, first);
    long per = low && back ? 2 : 1;
    for (long i = 0; i < count; i += per) {
        const REAL *from[2];
        long line[2];
        for (long h = 0; h < per; h++, at = next_place(c, at))
            from[h] = read_inputs(c, at, i + h == count, b->patch + h * POINTS * c->in, line + h);
        for (long j = 0; j < c->in; j += VL) {
            vec t[2][POINTS];
            for (long h = 0; h < per; h++) {
                for (int p = 0; p < POINTS; p++) t[h][p] = load(from[h] + p / 4 * line[h] + p % 4 * c->in + j);
                BOTH(spread_inputs, t[h], 4, 4);
            }
            for (int p = 0; p < POINTS; p++) {
                long to = p * c->in + j;
                if (back) store(b->inputs + i / per * span(c->in) + to, side_by_side(low, t[0][p], t[per - 1][p]));
                else store_as(low, (char *)b->inputs, i * span(c->in) + to, t[0][p]);
            }
        }
    }
}

/* A' M A of some tiles, and what comes of it. */
static void gather_tiles(const struct call *c, const struct block *b, REAL *sums, int starts, long first,
                         long count) {
    struct place place = place_of(c, first);
    for (long i = 0; i < count; i++, place = next_place(c, place)) {
        struct outputs at = outputs_of(c, place);
        for (long j = 0; j < c->out; j += VL) {
            vec t[POINTS];
            for (int p = 0; p < POINTS; p++)
                t[p] = load(b->outputs + i * span(c->out) + p * c->out + j);
            BOTH(gather_outputs, t, 4, 2);
            t[2] = t[4], t[3] = t[5];
            give_tile(c, &at, sums, starts && !i, j, t);
        }
    }
}

/* A dy A' of some tiles. */
INLINE void transform_gradients(int low, const struct call *c, const struct block *b, REAL *sums, long first,
                                long count) {
    struct place place = place_of(c, first);
    long per = low ? 2 : 1;
    for (long i = 0; i < count; i += per) {
        struct outputs at[2];
        for (long h = 0; h < per; h++, place = next_place(c, place)) {
            at[h] = outputs_of(c, place);
            for (int p = 0; p < 4 && i + h == count; p++) at[h].z[p] = at[h].y[p] = -1;
        }
        for (long j = 0; j < c->out; j += VL) {
            vec t[2][POINTS], d[4];
            for (long h = 0; h < per; h++) {
                take_tile(c, &at[h], sums, j, d);
                t[h][0] = d[0], t[h][1] = d[1], t[h][4] = d[2], t[h][5] = d[3];
                BOTH(spread_outputs, t[h], 2, 4);
                for (int p = 0; p < POINTS && low; p++)
                    store_as(low, b->rows, (i + h) * span(c->out) + p * c->out + j, t[h][p]);
            }
            for (int p = 0; p < POINTS; p++)
                store(b->outputs + i / per * span(c->out) + p * c->out + j,
                      side_by_side(low, t[0][p], t[per - 1][p]));
        }
    }
}

/* B dV B' of some tiles, added to dx, in which tiles overlap. */
static void add_gradients(const struct call *c, const struct block *b, long first, long count) {
    struct place at = place_of(c, first);
    long picture = c->height * c->width * c->in;
    for (long i = 0; i < count; i++, at = next_place(c, at)) {
        if (!at.row && !at.column) memset(c->dx + at.picture * picture, 0, picture * sizeof(REAL));
        struct inputs of = inputs_of(c, at);
        REAL *to = c->dx + of.at;
        for (long j = 0; j < c->in; j += VL) {
            vec t[POINTS];
            for (int p = 0; p < POINTS; p++)
                t[p] = load(b->inputs + i * span(c->in) + p * c->in + j);
            BOTH(gather_inputs, t, 4, 4);
            for (int p = 0; p < POINTS; p++) {
                REAL *pixel = to + p / 4 * of.line + p % 4 * c->in + j;
                if (of.whole || is_inside(c, &of, p)) store(pixel, load(pixel) + t[p]);
            }
        }
    }
}

/* The products of all points of some tiles. */
INLINE void products(int low, int back, const struct call *c, const struct block *b, long count) {
    long in = span(c->in), out = span(c->out), size = low ? 2 : sizeof(REAL);
    long k_in = units_of(low, c->in), k_out = units_of(low, c->out);
    for (long p = 0; p < POINTS; p++) {
        REAL *outputs = b->outputs + p * c->out;
        char *inputs = (char *)b->inputs + p * c->in * (back ? (long)sizeof(REAL) : size);
        const REAL *packed = points_of(c) + p * (back ? k_out * c->in : k_in * c->out);
        if (!back) {
            multiply(low, 0, count, c->out / VL, k_in, by_row(inputs, in * size), packed, k_in * VL, outputs, out);
            continue;
        }
        multiply_rows(low, 1, c->in, c->out / VL, units_of(low, count), by_column(inputs, in), outputs, out,
                      b->kernels + p * c->in * c->out, c->out);
        if (c->dx)
            multiply(low, 0, count, c->in / VL, k_out, by_row(b->rows + p * c->out * size, out * size), packed,
                     k_out * VL, (REAL *)inputs, in);
    }
}

/* What is done of a part, between two meetings of all threads. */
INLINE void share_pictures(int low, int back, const struct call *c, const struct block *b, struct share own) {
    long tiles = tiles_of_picture(c);
    long first = c->batch * own.part / own.parts * tiles, last = c->batch * (own.part + 1) / own.parts * tiles;
    if (back) memset(b->kernels, 0, POINTS * c->in * c->out * sizeof(REAL));
    REAL *sums = sums_of(c, own.part);
    begin_sums(c, own.part);
    int starts = 1;
    for (long count; first < last; first += count, starts = 0) {
        count = last - first < b->tiles ? last - first : b->tiles;
        transform_inputs(low, back, c, b, first, count);
        if (back) transform_gradients(low, c, b, sums, first, count);
        products(low, back, c, b, count);
        if (!back) gather_tiles(c, b, sums, starts, first, count);
        else if (c->dx) add_gradients(c, b, first, count);
        add_sums(c, own.part);
    }
}

INLINE void convolve(int low, int back, const struct call *c) {
#pragma omp parallel num_threads((int)c->threads)
    {
        struct share team = own_share();
        if (!back || c->dx) transform_kernels(low, c, back, team);
        if (back) begin_norm(c, team);
        wait_for_all();
        EACH_PART(part, c, team) {
            struct block b;
            lay_out(c, back, part, &b);
            share_pictures(low, back, c, &b, (struct share){part, c->threads});
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
void winograd_forward(const struct call *c) {
    if (c->low) convolve(1, 0, c);
    else convolve(0, 0, c);
}

/* The gradients. */
void winograd_backward(const struct call *c) {
    if (c->low) convolve(1, 1, c);
    else convolve(0, 1, c);
}
