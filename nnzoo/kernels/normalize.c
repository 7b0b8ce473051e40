/* Normalization of uint8 images, of all or of some rows of a data set. */

#include "simd.h"

INLINE void normalize(long pixels, const uint8_t *restrict x, scalar_t offset, scalar_t scale,
                      scalar_t *restrict y) {
    for (long p = 0; p < pixels; p++) y[p] = ((scalar_t)x[p] - offset) * scale;
}

/* y = (x - offset) * scale per channel; x and y (rows, channels, pixels), offset and scale
 * (channels). Sizes may be 0; y does not alias the others. */
NNZOO_API void nnzoo_normalize_uint8(long threads, long rows, long channels, long pixels,
                                     const uint8_t *x, const scalar_t *offset,
                                     const scalar_t *scale, scalar_t *y) {
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (long i = 0; i < rows * channels; i++)
        normalize(pixels, x + i * pixels, offset[i % channels], scale[i % channels],
                  y + i * pixels);
}

/* Write the rows with these numbers, images normalized as above, and their targets. */
NNZOO_API void nnzoo_gather(const struct gather_args *c) {
    long size = c->channels * c->pixels;
    *c->wrong_row = -1;
    for (long i = 0; i < c->rows; i++)
        if (c->numbers[i] < 0 || c->numbers[i] >= c->count) {
            *c->wrong_row = i;
            return;
        }
#pragma omp parallel for num_threads((int)c->threads) schedule(static)
    for (long i = 0; i < c->rows; i++) {
        long row = c->numbers[i];
        memcpy(c->taken_targets + i * c->target_bytes, c->targets + row * c->target_bytes,
               c->target_bytes);
        if (c->is_bytes)
            for (long k = 0; k < c->channels; k++)
                normalize(c->pixels, (const uint8_t *)c->x + row * size + k * c->pixels,
                          c->offset[k], c->scale[k], c->taken + i * size + k * c->pixels);
        else
            memcpy(c->taken + i * size, (const scalar_t *)c->x + row * size,
                   size * sizeof(scalar_t));
    }
}
