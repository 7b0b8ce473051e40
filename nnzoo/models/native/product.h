/* What the native layers share: vectors, and the product of small matrices.

REAL is float or double. With `low` products take bfloat16 (AVX-512 BF16) and sums stay REAL. Vectors
of VL numbers are GNU C's, for any processor that gcc and clang know; widths are padded with zeros to
whole ones. A unit is what a product takes at once of the dimension that it sums over: a number, or
with `low` a pair of bfloat16; both have the size of REAL.

A product's left matrix is row by row, (rows, units); its right one is packed, (columns / VL, units,
VL). Each sum runs over its units in their order, wherever its row and column stand, so that the
number of threads and of rows does not change a bit of it. */

#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#ifndef REAL
#define REAL float
#endif

/* ROWS x VECTORS accumulators, VECTORS weights and one input have to fit the registers. */
#if defined(__AVX512F__)
#define BYTES 64
#define ROWS 6
#define VECTORS 4
#elif defined(__AVX2__)
#define BYTES 32
#define ROWS 6
#define VECTORS 2
#else
#define BYTES 16
#define ROWS 6
#define VECTORS 2
#endif
/* Units of the right matrix that are multiplied together: 128 kB of it. */
#define PIECE 512
#define VL ((long)(BYTES / sizeof(REAL)))

typedef REAL vec __attribute__((vector_size(BYTES), aligned(sizeof(REAL))));
#define INLINE static inline __attribute__((always_inline))

#define DOUBLE (sizeof(REAL) == 8)
#define ZERO ((vec){0})

INLINE vec load(const REAL *p) { return *(const vec *)p; }
INLINE void store(REAL *p, vec x) { *(vec *)p = x; }

/* What a comparison of vectors gives: integers of their size, all bits set or none. */
typedef __typeof__((vec){0} < (vec){0}) bits;

INLINE vec choose(bits where, vec a, vec b) { return (vec)((where & (bits)a) | (~where & (bits)b)); }

/* Numbers of a buffer: REAL, or bfloat16. */
INLINE void store_as(int low, char *base, long at, vec x) {
#ifdef __AVX512BF16__
    if (low && !DOUBLE) {
        _mm256_storeu_si256((__m256i *)(base + 2 * at), (__m256i)_mm512_cvtneps_pbh((__m512)x));
        return;
    }
#endif
    store((REAL *)base + at, x);
}

INLINE vec load_as(int low, const char *base, long at) {
#ifdef __AVX512BF16__
    if (low && !DOUBLE) {
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(base + 2 * at)));
        return (vec)_mm512_slli_epi32(wide, 16);
    }
#endif
    return load((const REAL *)base + at);
}

/* c (rows, vectors * VL) = or, with `add`, += a (rows, k) times w (vectors, k, VL); k counts units. Of a
steps are bytes, of the others numbers. */
INLINE void tile(int low, int add, int rows, int vectors, long k, const char *a, long a_row, long a_unit,
                 const REAL *w, long w_vector, long w_unit, REAL *c, long c_row) {
    vec sum[ROWS][VECTORS], weight[VECTORS];
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

/* The same for any number of rows and vectors, in pieces of w that stay in the caches. */
INLINE void tiles(int low, int add, long rows, long vectors, long k, const char *a, long a_row, long a_unit,
                  const REAL *w, long w_vector, long w_unit, REAL *c, long c_row) {
#define TILES(R, V)                                                                                \
    for (; i + R <= rows; i += R)                                                                  \
        tile(low, more, R, V, part, from + i * a_row, a_row, a_unit, w + p * w_unit, w_vector,     \
             w_unit, c + i * c_row, c_row)
    while (vectors > 0) {
        long taken = vectors >= VECTORS ? VECTORS : 1;
        for (long p = 0; p < k; p += PIECE) {
            long i = 0, part = k - p < PIECE ? k - p : PIECE;
            int more = add || p;
            const char *from = a + p * a_unit;
            if (taken > 1) { TILES(ROWS, VECTORS); TILES(2, VECTORS); TILES(1, VECTORS); }
            else { TILES(ROWS, 1); TILES(2, 1); TILES(1, 1); }
        }
        vectors -= taken, w += taken * w_vector, c += taken * VL;
    }
#undef TILES
}

/* Times a packed right matrix. */
static void multiply(int low, int add, long rows, long vectors, long k, const char *a, long a_row,
                     const REAL *w, REAL *c, long c_row) {
    if (low) tiles(1, add, rows, vectors, k, a, a_row, 4, w, k * VL, VL, c, c_row);
    else tiles(0, add, rows, vectors, k, a, a_row, sizeof(REAL), w, k * VL, VL, c, c_row);
}
