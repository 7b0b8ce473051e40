/* Packed sequences (packing.py): their rows from sequences one behind the other, and their mean or
 * maximum over time.
 *
 * x and dx have a row per time step, `x_row` and `width` elements apart; y and dy (members, batch,
 * width). Sums run over time in order, so that a sequence's mean does not depend on the others. */

#include "simd.h"

/* lengths (members, batch), offsets (members, steps + 1). */
struct sequences {
    long batch, steps;
    const int64_t *lengths, *offsets;
};

/* The row of step t of a sequence, counted over all members. */
INLINE long row_of(const struct sequences *s, long sequence, long t) {
    return s->offsets[sequence / s->batch * (s->steps + 1) + t] + sequence % s->batch;
}

NNZOO_API void nnzoo_pool_forward(long threads, long max, long members, long batch, long steps,
                                  long width, long x_row, const int64_t *lengths,
                                  const int64_t *offsets, const scalar_t *x, scalar_t *y) {
    const struct sequences s = {batch, steps, lengths, offsets};
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (long i = 0; i < members * batch; i++) {
        scalar_t *restrict to = y + i * width;
        memcpy(to, x + row_of(&s, i, 0) * x_row, width * sizeof(scalar_t));
        for (long t = 1; t < lengths[i]; t++) {
            const scalar_t *restrict from = x + row_of(&s, i, t) * x_row;
            /* nan stays nan. */
            if (max)
                for (long j = 0; j < width; j++) to[j] = from[j] <= to[j] || to[j] != to[j] ? to[j] : from[j];
            else
                for (long j = 0; j < width; j++) to[j] += from[j];
        }
        for (long j = 0; !max && j < width; j++) to[j] /= (scalar_t)lengths[i];
    }
}

/* Write dx; of a maximum that several steps have, each gets an equal part. counts: like y. */
NNZOO_API void nnzoo_pool_backward(long threads, long max, long members, long batch, long steps,
                                   long width, long x_row, const int64_t *lengths,
                                   const int64_t *offsets, const scalar_t *x, const scalar_t *y,
                                   const scalar_t *dy, scalar_t *counts, scalar_t *dx) {
    const struct sequences s = {batch, steps, lengths, offsets};
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (long i = 0; i < members * batch; i++) {
        const scalar_t *restrict best = y + i * width, *restrict from = dy + i * width;
        scalar_t *restrict count = counts + i * width;
        for (long j = 0; j < width; j++) count[j] = max ? 0 : (scalar_t)lengths[i];
        for (long t = 0; max && t < lengths[i]; t++) {
            const scalar_t *restrict value = x + row_of(&s, i, t) * x_row;
            for (long j = 0; j < width; j++) count[j] += value[j] == best[j];
        }
        for (long t = 0; t < lengths[i]; t++) {
            long row = row_of(&s, i, t);
            const scalar_t *restrict value = x + row * x_row;
            scalar_t *restrict to = dx + row * width;
            for (long j = 0; j < width; j++)
                to[j] = !max || value[j] == best[j] ? from[j] / count[j] : 0;
        }
    }
}

/* Copy the steps of sequences to the rows of a packing, (rows, width): sequence i begins at row
 * starts[i] of x (x_rows, width). Returns 1 if one is not within x, where nothing is written, else
 * 0. */
NNZOO_API long nnzoo_pack_rows(long members, long batch, long steps, long width, long x_rows,
                               const int64_t *starts, const int64_t *lengths,
                               const int64_t *offsets, const scalar_t *x, scalar_t *y) {
    for (long i = 0; i < members * batch; i++)
        if (starts[i] < 0 || starts[i] > x_rows || lengths[i] > x_rows - starts[i]) return 1;
    for (long m = 0; m < members; m++, starts += batch, offsets += steps + 1)
        for (long t = 0; t < steps; t++)
            for (long row = offsets[t]; row < offsets[t + 1]; row++)
                memcpy(y + row * width, x + (starts[row - offsets[t]] + t) * width,
                       width * sizeof(scalar_t));
    return 0;
}
