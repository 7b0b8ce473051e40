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
#define HIDDEN __attribute__((visibility("hidden")))

#define DOUBLE (sizeof(REAL) == 8)
#define ZERO ((vec){0})

INLINE vec load(const REAL *p) { return *(const vec *)p; }
INLINE void store(REAL *p, vec x) { *(vec *)p = x; }

/* What a comparison of vectors gives: integers of their size, all bits set or none. */
typedef __typeof__((vec){0} < (vec){0}) bits;

INLINE vec choose(bits where, vec a, vec b) { return (vec)((where & (bits)a) | (~where & (bits)b)); }

/* VL numbers of a row from `at` on, zeros from `count` on. */
INLINE vec numbers(const REAL *row, long at, long count) {
    if (at + VL <= count) return load(row + at);
    REAL some[VL];
    for (long i = 0; i < VL; i++) some[i] = at + i < count ? row[at + i] : 0;
    return load(some);
}

/* e^x to 2 units in the last place (the polynomial is that of Cephes' expf); nan stays nan. */
INLINE vec exponential(vec x) {
    if (DOUBLE) {
        for (int i = 0; i < VL; i++) x[i] = exp((double)x[i]);
        return x;
    }
    x = choose(x < -87, ZERO - 87, choose(x > 88, ZERO + 88, x));
    /* 1.5 * 2^23: what is added to it loses its fraction, and stands in its last bits. */
    vec shifted = x * (REAL)1.44269504088896341 + (REAL)12582912, n = shifted - (REAL)12582912;
    x = x - n * (REAL)0.693359375 + n * (REAL)2.12194440e-4;
    vec p = x * (REAL)1.9875691500e-4 + (REAL)1.3981999507e-3;
    p = p * x + (REAL)8.3334519073e-3;
    p = p * x + (REAL)4.1665795894e-2;
    p = p * x + (REAL)1.6666665459e-1;
    p = p * x + (REAL)5.0000001201e-1;
    return (vec)((bits)(p * x * x + x + 1) + ((bits)shifted << 23));
}

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

/* c (rows, vectors * VL) = or, with `add`, += a (rows, k) times packed w; k counts units, a_row bytes. */
HIDDEN void multiply(int low, int add, long rows, long vectors, long k, const char *a, long a_row,
                     const REAL *w, REAL *c, long c_row);

/* The same, of any layout, not with `low`: of a steps are bytes, of w (vectors, k, VL) numbers. */
HIDDEN void multiply_strided(long rows, long vectors, long k, const char *a, long a_row, long a_unit,
                             const REAL *w, long w_vector, long w_unit, REAL *c, long c_row);
