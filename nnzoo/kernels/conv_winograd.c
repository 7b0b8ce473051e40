/* Convolutions with 3x3 kernels at stride 1 by minimal filtering (Winograd; Lavin and Gray 2016).
 *
 * A tile of 2x2 outputs comes from 4x4 inputs, d, and a kernel g with 16 products instead of 36:
 *
 *     y = A' ((G g G') * (B' d B)) A
 *
 * where * is elementwise. Over all tiles and channels each of the 16 points is a matrix product,
 * (tiles, in) times (in, out). Backward is the adjoint of each step, with as many products for the
 * kernels as for the inputs. With `bf16` the points are bfloat16; transforms and sums stay
 * scalar_t.
 *
 * A thread computes some of the images, in blocks of as many tiles as stay in its cache. */

#include "conv.h"

#define POINTS 16
#define TAPS 9
/* Bytes per block of tiles. Tiles per block are a multiple of the rows of a microkernel. */
#define BLOCK_BYTES (384 * 1024)
#define TILE_MULTIPLE (2 * MR)

/* Buffers of a part. */
struct buffers {
    long tiles;                 /* per block */
    scalar_t *inputs, *outputs; /* (tiles, points, in or out), tiles tile_stride apart; backward
                                   with `bf16` (k steps of the tiles, points, in or out) */
    char *grad_outputs;         /* (tiles, points, out) in the product's type */
    scalar_t *patch;            /* (2, points, in) inputs of tiles that reach beyond their image */
    scalar_t *grad_weights;     /* (points, in, out) sums over the part */
};

INLINE long block_tiles(const struct conv_args *c) {
    long tile_bytes = POINTS * (c->in + c->out) * (long)sizeof(scalar_t);
    long tiles = BLOCK_BYTES / tile_bytes / TILE_MULTIPLE * TILE_MULTIPLE;
    return tiles < TILE_MULTIPLE ? TILE_MULTIPLE : tiles;
}

/* Elements from one tile to the next: a vector more than its points, or all tiles would share a few
 * sets of the cache. */
INLINE long tile_stride(long channels) { return POINTS * channels + LANES; }

/* The points of the weights, which all threads read. */
INLINE scalar_t *weight_points(const struct conv_args *c) { return (scalar_t *)end_of_sums(c); }

/* Lay out the buffers of a part behind them; returns the end of scratch. */
static char *plan_workspace(const struct conv_args *c, int backward, long part, struct buffers *b) {
    char *next = end_of_sums(c) + POINTS * c->in * c->out * (long)sizeof(scalar_t);
    long tiles = block_tiles(c);
    b->tiles = tiles;
#define ALLOC(count)                                                                               \
    (scalar_t *)arena_alloc(&next, c->parts, part, (count) * (long)sizeof(scalar_t))
    b->inputs = ALLOC(tiles * tile_stride(c->in)), b->outputs = ALLOC(tiles * tile_stride(c->out));
    b->patch = ALLOC(2 * POINTS * c->in);
    b->grad_weights = ALLOC(backward ? POINTS * c->in * c->out : 0);
    b->grad_outputs = (char *)b->outputs;
    if (backward && c->bf16) b->grad_outputs = (char *)ALLOC(tiles * tile_stride(c->out) / 2);
#undef ALLOC
    return next;
}

/* Bytes of scratch for forward or backward; of the arguments it reads sizes alone. */
NNZOO_API long nnzoo_conv_winograd_workspace(const struct conv_args *c, long backward) {
    struct buffers b;
    return plan_workspace(c, backward, 0, &b) - c->scratch;
}

/* The matrices of the transforms, applied in place to four vectors `s` apart. */

/* B' */
INLINE void transform_inputs(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], d = t[3 * s];
    t[0] = a - c, t[s] = b + c, t[2 * s] = c - b, t[3 * s] = b - d;
}

/* B */
INLINE void adjoint_inputs(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], d = t[3 * s];
    t[1 * s] = b - c + d, t[2 * s] = b + c - a, t[3 * s] = -d;
}

/* A', from four to two */
INLINE void inverse_outputs(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], d = t[3 * s];
    t[0] = a + b + c, t[s] = b - c - d;
}

/* A, from two to four */
INLINE void adjoint_outputs(vec *t, int s) {
    vec a = t[0], b = t[s];
    t[s] = a + b, t[2 * s] = a - b, t[3 * s] = -b;
}

/* G, from three to four */
INLINE void transform_kernel(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], ends = a + c;
    t[s] = (ends + b) * (scalar_t)0.5, t[2 * s] = (ends - b) * (scalar_t)0.5, t[3 * s] = c;
}

/* G', from four to three */
INLINE void adjoint_kernel(vec *t, int s) {
    vec a = t[0], b = t[s], c = t[2 * s], d = t[3 * s], middle = (b + c) * (scalar_t)0.5;
    t[0] = a + middle, t[s] = (b - c) * (scalar_t)0.5, t[2 * s] = middle + d;
}

/* Apply one of them along both dimensions of a 4x4 tile: to `columns` columns, then to `rows` rows.
 */
#define TRANSFORM_2D(transform, t, columns, rows)                                                  \
    do {                                                                                           \
        for (int i_ = 0; i_ < columns; i_++) transform(t + i_, 4);                                 \
        for (int i_ = 0; i_ < rows; i_++) transform(t + 4 * i_, 1);                                \
    } while (0)

/* Transform a thread's weights to points and pack them as operand b: forward (out / LANES, k steps
 * of in, LANES), backward (in / LANES, k steps of out, LANES). */
INLINE void pack_weights(int bf16, const struct conv_args *c, int backward, struct shard thread) {
    long from = backward ? c->out : c->in, to = backward ? c->in : c->out;
    long k = num_k_steps(bf16, from), per_step = bf16 ? 2 : 1;
    long row = backward ? c->in * TAPS : TAPS, column = backward ? TAPS : c->in * TAPS;
    scalar_t *points = weight_points(c);
    for (long i = shard_begin(thread, k); i < shard_end(thread, k); i++)
        for (long j = 0; j < to; j += LANES) {
            vec t[2][POINTS];
            for (long h = 0; h < per_step; h++) {
                const scalar_t *at = c->weight + (i * per_step + h) * row + j * column;
                for (int y = 0; y < 3; y++)
                    for (int x = 0; x < 3; x++)
                        for (long l = 0; l < LANES; l++)
                            t[h][4 * y + x][l] = at[l * column + 3 * y + x];
                TRANSFORM_2D(transform_kernel, t[h], 3, 4);
            }
            for (int p = 0; p < POINTS; p++)
                store(points + (p * to + j) * k + i * LANES,
                      interleave_bf16(bf16, t[0][p], t[per_step - 1][p]));
        }
}

/* A thread's input channels of dweight from the sums of all parts. */
static void merge_weight_grads(const struct conv_args *c, struct shard thread) {
    struct buffers first;
    plan_workspace(c, 1, 0, &first);
    long size = POINTS * c->in * c->out;
    for (long i = shard_begin(thread, c->in); i < shard_end(thread, c->in); i++)
        for (long j = 0; j < c->out; j += LANES) {
            vec t[POINTS];
            for (int p = 0; p < POINTS; p++) {
                t[p] = VEC_ZERO;
                for (long b = 0; b < c->parts; b++)
                    t[p] += load(first.grad_weights + b * size + (p * c->in + i) * c->out + j);
            }
            TRANSFORM_2D(adjoint_kernel, t, 4, 3);
            scalar_t *to = c->dweight + (j * c->in + i) * TAPS;
            for (int y = 0; y < 3; y++)
                for (int x = 0; x < 3; x++)
                    for (long l = 0; l < LANES; l++)
                        to[l * c->in * TAPS + 3 * y + x] = t[4 * y + x][l];
        }
}

/* The 4x4 inputs of a tile: row and column of the first, its offset in x or dx, elements from row
 * to row, and whether all are inside the image. */
struct input_window {
    long row, column, offset, line;
    int is_inside;
};

INLINE struct input_window window_of(const struct conv_args *c, struct tile tile) {
    long row = tile.row - c->pad_y, column = tile.column - c->pad_x, line = c->width * c->in;
    int inside = row >= 0 && row + 4 <= c->height && column >= 0 && column + 4 <= c->width;
    long offset = (tile.image * c->height + row) * line + column * c->in;
    return (struct input_window){row, column, offset, line, inside};
}

INLINE int is_inside(const struct conv_args *c, const struct input_window *window, int p) {
    long row = window->row + p / 4, column = window->column + p % 4;
    return row >= 0 && row < c->height && column >= 0 && column < c->width;
}

/* The inputs of a tile, rows `*line` apart; copied to `patch` with zeros outside of the image
 * unless all are inside. is_none: there is no tile, all are zero. */
INLINE const scalar_t *load_window(const struct conv_args *c, struct tile tile, int is_none,
                                   scalar_t *patch, long *line) {
    struct input_window window = window_of(c, tile);
    if (window.is_inside && !is_none) {
        *line = window.line;
        return c->x + window.offset;
    }
    for (int p = 0; p < POINTS; p++, patch += c->in)
        if (!is_none && is_inside(c, &window, p))
            memcpy(patch, c->x + window.offset + p / 4 * window.line + p % 4 * c->in,
                   c->in * sizeof(scalar_t));
        else memset(patch, 0, c->in * sizeof(scalar_t));
    *line = 4 * c->in;
    return patch - POINTS * c->in;
}

/* B' d B of `count` tiles from `first` on. */
INLINE void transform_input_tiles(int bf16, int backward, const struct conv_args *c,
                                  const struct buffers *b, long first, long count) {
    struct tile tile = tile_at(c, first);
    long per_step = bf16 && backward ? 2 : 1;
    for (long i = 0; i < count; i += per_step) {
        const scalar_t *from[2];
        long line[2];
        for (long h = 0; h < per_step; h++, tile = next_tile(c, tile))
            from[h] = load_window(c, tile, i + h == count, b->patch + h * POINTS * c->in, line + h);
        for (long j = 0; j < c->in; j += LANES) {
            vec t[2][POINTS];
            for (long h = 0; h < per_step; h++) {
                for (int p = 0; p < POINTS; p++)
                    t[h][p] = load(from[h] + p / 4 * line[h] + p % 4 * c->in + j);
                TRANSFORM_2D(transform_inputs, t[h], 4, 4);
            }
            for (int p = 0; p < POINTS; p++) {
                long to = p * c->in + j, stride = tile_stride(c->in);
                if (backward)
                    store(b->inputs + i / per_step * stride + to,
                          interleave_bf16(bf16, t[0][p], t[per_step - 1][p]));
                else store_as(bf16, (char *)b->inputs, i * stride + to, t[0][p]);
            }
        }
    }
}

/* A' M A of some tiles, then their epilogue. */
static void store_output_tiles(const struct conv_args *c, const struct buffers *b, scalar_t *sums,
                               int is_first, long first, long count) {
    struct tile tile = tile_at(c, first);
    for (long i = 0; i < count; i++, tile = next_tile(c, tile)) {
        struct tile_outputs at = locate_outputs(c, tile);
        for (long j = 0; j < c->out; j += LANES) {
            vec t[POINTS];
            for (int p = 0; p < POINTS; p++)
                t[p] = load(b->outputs + i * tile_stride(c->out) + p * c->out + j);
            TRANSFORM_2D(inverse_outputs, t, 4, 2);
            t[2] = t[4], t[3] = t[5];
            store_tile(c, &at, sums, is_first && !i, j, t);
        }
    }
}

/* A dy A' of some tiles. */
INLINE void transform_grad_tiles(int bf16, const struct conv_args *c, const struct buffers *b,
                                 scalar_t *sums, long first, long count) {
    struct tile tile = tile_at(c, first);
    long per_step = bf16 ? 2 : 1, stride = tile_stride(c->out);
    for (long i = 0; i < count; i += per_step) {
        struct tile_outputs at[2];
        for (long h = 0; h < per_step; h++, tile = next_tile(c, tile)) {
            at[h] = locate_outputs(c, tile);
            for (int p = 0; p < 4 && i + h == count; p++) at[h].z[p] = at[h].y[p] = -1;
        }
        for (long j = 0; j < c->out; j += LANES) {
            vec t[2][POINTS], d[4];
            for (long h = 0; h < per_step; h++) {
                load_grad_tile(c, &at[h], sums, j, d);
                t[h][0] = d[0], t[h][1] = d[1], t[h][4] = d[2], t[h][5] = d[3];
                TRANSFORM_2D(adjoint_outputs, t[h], 2, 4);
                for (int p = 0; p < POINTS && bf16; p++)
                    store_as(bf16, b->grad_outputs, (i + h) * stride + p * c->out + j, t[h][p]);
            }
            for (int p = 0; p < POINTS; p++)
                store(b->outputs + i / per_step * stride + p * c->out + j,
                      interleave_bf16(bf16, t[0][p], t[per_step - 1][p]));
        }
    }
}

/* Add B dV B' of some tiles to dx, in which tiles overlap. */
static void add_input_grads(const struct conv_args *c, const struct buffers *b, long first,
                            long count) {
    struct tile tile = tile_at(c, first);
    long image = c->height * c->width * c->in;
    for (long i = 0; i < count; i++, tile = next_tile(c, tile)) {
        if (!tile.row && !tile.column)
            memset(c->dx + tile.image * image, 0, image * sizeof(scalar_t));
        struct input_window window = window_of(c, tile);
        scalar_t *to = c->dx + window.offset;
        for (long j = 0; j < c->in; j += LANES) {
            vec t[POINTS];
            for (int p = 0; p < POINTS; p++)
                t[p] = load(b->inputs + i * tile_stride(c->in) + p * c->in + j);
            TRANSFORM_2D(adjoint_inputs, t, 4, 4);
            for (int p = 0; p < POINTS; p++) {
                scalar_t *pixel = to + p / 4 * window.line + p % 4 * c->in + j;
                if (window.is_inside || is_inside(c, &window, p)) store(pixel, load(pixel) + t[p]);
            }
        }
    }
}

/* The products at all points of a block of tiles. */
INLINE void gemm_points(int bf16, int backward, const struct conv_args *c, const struct buffers *b,
                        long count) {
    long in_stride = tile_stride(c->in), out_stride = tile_stride(c->out);
    long size = bf16 ? 2 : sizeof(scalar_t);
    long k_in = num_k_steps(bf16, c->in), k_out = num_k_steps(bf16, c->out);
    for (long p = 0; p < POINTS; p++) {
        scalar_t *outputs = b->outputs + p * c->out;
        char *inputs = (char *)b->inputs + p * c->in * (backward ? (long)sizeof(scalar_t) : size);
        const scalar_t *packed = weight_points(c) + p * (backward ? k_out * c->in : k_in * c->out);
        if (!backward) {
            nnzoo_gemm_packed(bf16, 0, count, c->out / LANES, k_in,
                              a_rows(inputs, in_stride * size), packed, k_in * LANES, outputs,
                              out_stride);
            continue;
        }
        nnzoo_gemm_rows(bf16, 1, c->in, c->out / LANES, num_k_steps(bf16, count),
                        a_columns(inputs, in_stride), outputs, out_stride,
                        b->grad_weights + p * c->in * c->out, c->out);
        if (c->dx)
            nnzoo_gemm_packed(bf16, 0, count, c->in / LANES, k_out,
                              a_rows(b->grad_outputs + p * c->out * size, out_stride * size),
                              packed, k_out * LANES, (scalar_t *)inputs, in_stride);
    }
}

/* All images of a part. */
INLINE void run_part(int bf16, int backward, const struct conv_args *c, const struct buffers *b,
                     struct shard part) {
    long tiles = tiles_per_image(c);
    long first = shard_begin(part, c->batch) * tiles, last = shard_end(part, c->batch) * tiles;
    if (backward) memset(b->grad_weights, 0, POINTS * c->in * c->out * sizeof(scalar_t));
    scalar_t *sums = part_sums(c, part.index);
    clear_sums(c, part.index);
    int is_first = 1;
    for (long count; first < last; first += count, is_first = 0) {
        count = last - first < b->tiles ? last - first : b->tiles;
        transform_input_tiles(bf16, backward, c, b, first, count);
        if (backward) transform_grad_tiles(bf16, c, b, sums, first, count);
        gemm_points(bf16, backward, c, b, count);
        if (!backward) store_output_tiles(c, b, sums, is_first, first, count);
        else if (c->dx) add_input_grads(c, b, first, count);
        flush_sums(c, part.index);
    }
}

INLINE void convolve(int bf16, int backward, const struct conv_args *c) {
#pragma omp parallel num_threads((int)c->threads)
    {
        struct shard thread = current_thread();
        if (!backward || c->dx) pack_weights(bf16, c, backward, thread);
        if (backward) norm_backward(c, thread);
        barrier(thread);
        FOR_EACH_PART(part, c, thread) {
            struct buffers b;
            plan_workspace(c, backward, part.index, &b);
            run_part(bf16, backward, c, &b, part);
        }
        if (!backward) norm_forward(c, thread);
        else {
            barrier(thread);
            merge_weight_grads(c, thread);
            merge_bias_grads(c, thread);
        }
    }
}

/* Write y and, if there are any, stats, z, argmax and the running statistics. in: a multiple of
 * LANES. */
NNZOO_API void nnzoo_conv_winograd_forward(const struct conv_args *c) {
    if (c->bf16) convolve(1, 0, c);
    else convolve(0, 0, c);
}

/* Write dweight and, if there are any, dbias, dgamma, dbeta and dx. */
NNZOO_API void nnzoo_conv_winograd_backward(const struct conv_args *c) {
    if (c->bf16) convolve(1, 1, c);
    else convolve(0, 1, c);
}
