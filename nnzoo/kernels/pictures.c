/* Pictures of bytes as numbers. */

#include "product.h"

/* (x - shift) * factor, channel by channel; x and `to` (rows, channels, pixels), shift and factor (channels). The
caller (pictures.py) has checked types and sizes; `to` is apart from the others. */
void scale_bytes(long threads, long rows, long channels, long pixels, const uint8_t *x, const REAL *shift,
                 const REAL *factor, REAL *to) {
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (long i = 0; i < rows * channels; i++) {
        const uint8_t *restrict from = x + i * pixels;
        REAL *restrict out = to + i * pixels, s = shift[i % channels], f = factor[i % channels];
        for (long p = 0; p < pixels; p++) out[p] = ((REAL)from[p] - s) * f;
    }
}
