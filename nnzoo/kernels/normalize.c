/* Normalization of uint8 images. */

#include "simd.h"

/* y = (x - offset) * scale per channel; x and y (rows, channels, pixels), offset and scale
 * (channels). Sizes may be 0; y does not alias the others. */
NNZOO_API void nnzoo_normalize_uint8(long threads, long rows, long channels, long pixels,
                                     const uint8_t *x, const scalar_t *offset,
                                     const scalar_t *scale, scalar_t *y) {
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (long i = 0; i < rows * channels; i++) {
        const uint8_t *restrict from = x + i * pixels;
        scalar_t *restrict to = y + i * pixels, s = offset[i % channels], f = scale[i % channels];
        for (long p = 0; p < pixels; p++) to[p] = ((scalar_t)from[p] - s) * f;
    }
}
