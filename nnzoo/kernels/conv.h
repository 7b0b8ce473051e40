/* Parts that conv_direct.c and conv_winograd.c share: tiles of outputs and the epilogue.
 *
 * Outputs are computed in tiles of 2x2, which are also the windows of max pooling: without batch
 * norm the output of the convolution itself is never stored. With batch norm it is (z), because its
 * mean and variance are those of the whole batch. Images are channels-last; output channels are
 * whole vectors.
 *
 * Sums over images are taken part by part, `parts` parts of the batch, and then merged: their last
 * bits depend on the number of parts, but not on which thread computes a part or how many threads
 * there are.
 *
 * Contract: see args.h. */

#include "gemm.h"

/* Sums of a part for batch norm and biases, per channel: the first value, two sums over some tiles,
 * and in double the same two over all of them (in float32 a running sum loses a digit for every
 * power of ten that it adds up). Before them, for the whole batch, the three coefficients of batch
 * norm's backward, (3, out). */
#define COEFFICIENTS 3
#define SUMS (3 + 2 * (long)(sizeof(double) / sizeof(scalar_t)))

INLINE scalar_t *norm_coefficients(const struct conv_args *c) { return (scalar_t *)c->scratch; }
INLINE scalar_t *part_sums(const struct conv_args *c, long part) {
    return norm_coefficients(c) + (COEFFICIENTS + part * SUMS) * c->out;
}
INLINE double *part_totals(const struct conv_args *c, long part) {
    return (double *)(part_sums(c, part) + 3 * c->out);
}
INLINE char *end_of_sums(const struct conv_args *c) { return (char *)part_sums(c, c->parts); }

INLINE void clear_sums(const struct conv_args *c, long part) {
    memset(part_sums(c, part), 0, SUMS * c->out * sizeof(scalar_t));
}

INLINE void flush_sums(const struct conv_args *c, long part) {
    scalar_t *sums = part_sums(c, part) + c->out;
    double *totals = part_totals(c, part);
    for (long j = 0; j < 2 * c->out; j++) totals[j] += sums[j], sums[j] = 0;
}

/* Loop over the parts of the batch that a thread computes; `part` is a struct shard of the batch.
 */
#define FOR_EACH_PART(part, c, thread)                                                             \
    for (struct shard part = {(thread).index, (c)->parts}; part.index < (c)->parts;                \
         part.index += (thread).count)

/* A tile: its image, and the row and column of its first output. */
struct tile {
    long image, row, column;
};

INLINE long tiles_per_image(const struct conv_args *c) {
    return ((c->out_height + 1) / 2) * ((c->out_width + 1) / 2);
}

INLINE struct tile tile_at(const struct conv_args *c, long index) {
    long per_row = (c->out_width + 1) / 2, per_image = tiles_per_image(c), i = index % per_image;
    return (struct tile){index / per_image, i / per_row * 2, i % per_row * 2};
}

INLINE struct tile next_tile(const struct conv_args *c, struct tile tile) {
    if ((tile.column += 2) < c->out_width) return tile;
    tile.column = 0;
    if ((tile.row += 2) < c->out_height) return tile;
    return (struct tile){tile.image + 1, 0, 0};
}

/* Offsets of a tile's four outputs in z, and of what is left of them in y (pooled: the first one
 * alone); -1 outside. */
struct tile_outputs {
    long z[4], y[4];
};

INLINE struct tile_outputs locate_outputs(const struct conv_args *c, struct tile tile) {
    struct tile_outputs at;
    for (int p = 0; p < 4; p++) {
        long row = tile.row + p / 2, column = tile.column + p % 2;
        int inside = row < c->out_height && column < c->out_width;
        at.z[p] = -1;
        if (inside) at.z[p] = ((tile.image * c->out_height + row) * c->out_width + column) * c->out;
        if (!c->max_pool) at.y[p] = at.z[p];
        else {
            long height = c->out_height / 2, width = c->out_width / 2;
            inside = !p && tile.row / 2 < height && tile.column / 2 < width;
            at.y[p] = -1;
            if (inside)
                at.y[p] = ((tile.image * height + tile.row / 2) * width + tile.column / 2) * c->out;
        }
    }
    return at;
}

/* Channels j to j + LANES of a tile, row by row, through pooling, ReLU and dropout into y. */
INLINE void store_outputs(const struct conv_args *c, const struct tile_outputs *at, long j,
                          vec *t) {
    if (c->max_pool && at->y[0] >= 0) {
        vec argmax = VEC_ZERO;
        for (int p = 1; p < 4; p++) {
            /* nan is the largest, as in torch. */
            ivec larger = (t[p] > t[0]) | (t[p] != t[p]);
            t[0] = blend(larger, t[p], t[0]);
            argmax = blend(larger, VEC_ZERO + (scalar_t)p, argmax);
        }
        store_bytes(c->argmax + at->y[0] + j, argmax);
    }
    for (int p = 0; p < 4; p++) {
        if (at->y[p] < 0) continue;
        vec y = t[p];
        if (c->relu) y = blend(y < 0, VEC_ZERO, y);
        if (c->dropout_mask)
            y *= load_bytes(c->dropout_mask + at->y[p] + j) * (scalar_t)c->dropout_scale;
        store(c->y + at->y[p] + j, y);
    }
}

/* Backward of store_outputs: gradients before pooling from dy; zero outside. */
INLINE void load_grad_outputs(const struct conv_args *c, const struct tile_outputs *at, long j,
                              vec *d) {
    for (int p = 0; p < 4; p++) {
        d[p] = VEC_ZERO;
        if (at->y[p] < 0) continue;
        d[p] = load(c->dy + at->y[p] + j);
        /* A value that was dropped or negative is zero in y. */
        if (c->relu)
            d[p] =
                blend(load(c->y + at->y[p] + j) > 0, d[p] * (scalar_t)c->dropout_scale, VEC_ZERO);
    }
    if (c->max_pool && at->y[0] >= 0) {
        vec grad = d[0], argmax = load_bytes(c->argmax + at->y[0] + j);
        for (int p = 0; p < 4; p++) d[p] = blend(argmax == (scalar_t)p, grad, VEC_ZERO);
    }
}

/* Outputs of the convolution for a tile: add the bias, then without batch norm store_outputs; with
 * it store them in z and add them and their squares, each less the channel's first value, to a
 * part's sums. is_first: it is the part's first tile. */
INLINE void store_tile(const struct conv_args *c, const struct tile_outputs *at, scalar_t *sums,
                       int is_first, long j, vec *t) {
    if (c->bias)
        for (int p = 0; p < 4; p++) t[p] += load(c->bias + j);
    if (!c->batch_norm) {
        store_outputs(c, at, j, t);
        return;
    }
    if (is_first) store(sums + j, t[0]);
    vec first = load(sums + j), sum = load(sums + c->out + j), square = load(sums + 2 * c->out + j);
    for (int p = 0; p < 4; p++) {
        if (at->z[p] < 0) continue;
        vec d = t[p] - first;
        sum += d, square += d * d;
        store(c->z + at->z[p] + j, t[p]);
    }
    store(sums + c->out + j, sum), store(sums + 2 * c->out + j, square);
}

/* Gradients of the convolution's outputs for a tile; with a bias also added to a part's sums. */
INLINE void load_grad_tile(const struct conv_args *c, const struct tile_outputs *at, scalar_t *sums,
                           long j, vec *d) {
    load_grad_outputs(c, at, j, d);
    const scalar_t *k = norm_coefficients(c) + j, *mean = c->stats + j;
    for (int p = 0; p < 4 && c->batch_norm; p++)
        if (at->z[p] >= 0)
            d[p] = load(k) * (d[p] - load(k + 2 * c->out)) +
                   load(k + c->out) * (load(c->z + at->z[p] + j) - load(mean));
    if (c->dbias) store(sums + c->out + j, load(sums + c->out + j) + d[0] + d[1] + d[2] + d[3]);
}

/* Values per channel in a part of the batch. */
INLINE long values_in(const struct conv_args *c, struct shard part) {
    long before = shard_begin(part, c->batch) * c->out_height * c->out_width;
    return shard_end(part, c->batch) * c->out_height * c->out_width - before;
}

/* A thread's channels of stats and of the running statistics, from the sums of all parts (Chan et
 * al. 1979). */
INLINE void merge_statistics(const struct conv_args *c, struct shard thread) {
    scalar_t *means = c->stats, *inv_stds = c->stats + c->out;
    for (long j = shard_begin(thread, c->out); j < shard_end(thread, c->out); j++) {
        double count = 0, mean = 0, sum_sq = 0;
        for (long b = 0; b < c->parts; b++) {
            double n = values_in(c, (struct shard){b, c->parts});
            if (!n) continue;
            const double *totals = part_totals(c, b) + j;
            double sum = totals[0], delta = part_sums(c, b)[j] + sum / n - mean;
            sum_sq += totals[c->out] - sum * sum / n + delta * delta * count * n / (count + n);
            count += n;
            mean += delta * n / count;
        }
        double var = sum_sq / count, momentum = c->momentum;
        means[j] = mean;
        inv_stds[j] = 1 / sqrt(var + c->epsilon);
        c->running_mean[j] = (1 - momentum) * c->running_mean[j] + momentum * mean;
        c->running_var[j] =
            (1 - momentum) * c->running_var[j] + momentum * var * count / (count - 1);
    }
}

/* y of a part's images from z. */
INLINE void store_normalized(const struct conv_args *c, struct shard part) {
    long tiles = tiles_per_image(c), last = shard_end(part, c->batch) * tiles;
    const scalar_t *means = c->stats, *inv_stds = c->stats + c->out;
    struct tile tile = {shard_begin(part, c->batch), 0, 0};
    for (long i = tile.image * tiles; i < last; i++, tile = next_tile(c, tile)) {
        struct tile_outputs at = locate_outputs(c, tile);
        for (long j = 0; j < c->out; j += LANES) {
            vec t[4], scale = load(c->gamma + j) * load(inv_stds + j), mean = load(means + j);
            for (int p = 0; p < 4; p++)
                t[p] = at.z[p] < 0 ? VEC_ZERO
                                   : (load(c->z + at.z[p] + j) - mean) * scale + load(c->beta + j);
            store_outputs(c, &at, j, t);
        }
    }
}

/* A part's sums of the gradient behind batch norm, d, and of d (z - mean). */
INLINE void sum_norm_grads(const struct conv_args *c, struct shard part) {
    long tiles = tiles_per_image(c), last = shard_end(part, c->batch) * tiles;
    scalar_t *sums = part_sums(c, part.index) + c->out;
    clear_sums(c, part.index);
    struct tile tile = {shard_begin(part, c->batch), 0, 0};
    for (long i = tile.image * tiles; i < last; i++, tile = next_tile(c, tile)) {
        struct tile_outputs at = locate_outputs(c, tile);
        for (long j = 0; j < c->out; j += LANES) {
            vec d[4], sum = load(sums + j), dot = load(sums + c->out + j),
                      mean = load(c->stats + j);
            load_grad_outputs(c, &at, j, d);
            for (int p = 0; p < 4; p++)
                if (at.z[p] >= 0) sum += d[p], dot += d[p] * (load(c->z + at.z[p] + j) - mean);
            store(sums + j, sum), store(sums + c->out + j, dot);
        }
        if (tile.column + 2 >= c->out_width) flush_sums(c, part.index);
    }
}

/* A thread's channels of dgamma and dbeta, and of the coefficients k with dz = k0 (d - k2) + k1 (z
 * - mean). */
INLINE void merge_norm_grads(const struct conv_args *c, struct shard thread) {
    for (long j = shard_begin(thread, c->out); j < shard_end(thread, c->out); j++) {
        double sum = 0, dot = 0, count = values_in(c, (struct shard){0, 1});
        double inv_std = c->stats[c->out + j], scale = c->gamma[j] * inv_std;
        for (long b = 0; b < c->parts; b++)
            sum += part_totals(c, b)[j], dot += part_totals(c, b)[c->out + j];
        c->dbeta[j] = sum;
        c->dgamma[j] = dot * inv_std;
        scalar_t *k = norm_coefficients(c) + j;
        k[0] = scale, k[c->out] = -scale * inv_std * inv_std * dot / count;
        k[2 * c->out] = sum / count;
    }
}

/* A thread's channels of dbias. */
INLINE void merge_bias_grads(const struct conv_args *c, struct shard thread) {
    if (!c->dbias) return;
    for (long j = shard_begin(thread, c->out); j < shard_end(thread, c->out); j++) {
        double sum = 0;
        for (long b = 0; b < c->parts; b++) sum += part_totals(c, b)[j];
        c->dbias[j] = sum;
    }
}

/* Batch norm after all tiles of a thread, and before its backward. */
INLINE void norm_forward(const struct conv_args *c, struct shard thread) {
    if (!c->batch_norm) return;
    barrier(thread);
    merge_statistics(c, thread);
    barrier(thread);
    FOR_EACH_PART(part, c, thread) store_normalized(c, part);
}

INLINE void norm_backward(const struct conv_args *c, struct shard thread) {
    if (!c->batch_norm) return;
    FOR_EACH_PART(part, c, thread) sum_norm_grads(c, part);
    barrier(thread);
    merge_norm_grads(c, thread);
}
