/* The products. */

#include "product.h"

/* c = or += a times w, with ROWS x VECTORS sums in registers. */
INLINE void tile(int low, int add, int rows, int vectors, long k, const char *a, long a_row, long a_unit,
                 const REAL *w, long w_vector, long w_unit, REAL *c, long c_row) {
    vec sum[2 * ROWS][VECTORS], weight[VECTORS];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) sum[i][v] = add ? load(c + i * c_row + v * VL) : ZERO;
    for (long p = 0; p < k; p++) {
        for (int v = 0; v < vectors; v++) weight[v] = load(w + v * w_vector + p * w_unit);
        for (int i = 0; i < rows; i++) {
#ifdef __AVX512BF16__
            if (low && !DOUBLE) {
                int32_t pair;
                memcpy(&pair, a + i * a_row + p * a_unit, 4);
                __m512i both = _mm512_set1_epi32(pair);
                for (int v = 0; v < vectors; v++)
                    sum[i][v] = (vec)_mm512_dpbf16_ps((__m512)sum[i][v], (__m512bh)both,
                                                      (__m512bh)weight[v]);
                continue;
            }
#endif
            REAL x = *(const REAL *)(a + i * a_row + p * a_unit);
            for (int v = 0; v < vectors; v++) sum[i][v] += x * weight[v];
        }
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) store(c + i * c_row + v * VL, sum[i][v]);
}

/* Any number of rows. */
INLINE void tiles(int low, int add, long rows, long vectors, long k, const char *a, long a_row, long a_unit,
                  const REAL *w, long w_vector, long w_unit, REAL *c, long c_row) {
    long i = 0;
#define TILES(R, V)                                                                                \
    for (; i + R <= rows; i += R)                                                                  \
        tile(low, add, R, V, k, a + i * a_row, a_row, a_unit, w, w_vector, w_unit, c + i * c_row, c_row)
    if (vectors == VECTORS) { TILES(ROWS, VECTORS); TILES(4, VECTORS); TILES(2, VECTORS); TILES(1, VECTORS); }
    else if (vectors == HALF) { TILES(2 * ROWS, HALF); TILES(4, HALF); TILES(2, HALF); TILES(1, HALF); }
    else { TILES(2 * ROWS, 1); TILES(4, 1); TILES(2, 1); TILES(1, 1); }
#undef TILES
}

/* Any number of rows and vectors, in pieces of w that stay in the caches, and with each all that a has
for it. */
INLINE void multiply_any(int low, int add, long rows, long vectors, long k, struct left a, const REAL *w,
                         long w_vector, long w_unit, REAL *c, long c_row) {
    for (long p = 0; p < k; p += PIECE) {
        long part = k - p < PIECE ? k - p : PIECE;
        for (long v = 0, taken; v < vectors; v += taken) {
            taken = vectors - v >= VECTORS ? VECTORS : vectors - v >= HALF ? HALF : 1;
            const REAL *piece = w + v * w_vector + p * w_unit;
            tiles(low, add || p, rows, taken, part, a.at + p * a.unit, a.row, a.unit, piece, w_vector, w_unit,
                  c + v * VL, c_row);
        }
    }
}

void multiply(int low, int add, long rows, long vectors, long k, struct left a, const REAL *w, long w_vector,
              REAL *c, long c_row) {
    if (low) multiply_any(1, add, rows, vectors, k, a, w, w_vector, VL, c, c_row);
    else multiply_any(0, add, rows, vectors, k, a, w, w_vector, VL, c, c_row);
}

void multiply_rows(int low, int add, long rows, long vectors, long k, struct left a, const REAL *w, long w_unit,
                   REAL *c, long c_row) {
    if (low) multiply_any(1, add, rows, vectors, k, a, w, VL, w_unit, c, c_row);
    else multiply_any(0, add, rows, vectors, k, a, w, VL, w_unit, c, c_row);
}

long vector_length(void) { return VL; }

int has_bfloat16(void) {
#ifdef __AVX512BF16__
    return !DOUBLE;
#else
    return 0;
#endif
}
