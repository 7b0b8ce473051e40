/* What the native layers share: vectors, and the product of small matrices.

REAL is float or double. With `low` products take bfloat16 (AVX-512 BF16) and sums stay REAL. Vectors
of VL numbers are GNU C's, for any processor that gcc and clang know; widths are padded with zeros to
whole ones. A unit is what a product takes at once of the dimension that it sums over: a number, or
with `low` a pair of bfloat16; both have the size of REAL.

A product's right matrix is packed, (columns / VL, units, VL), its left one read as it lies. Each sum
runs over its units in their order, wherever its row and column stand, so that the number of threads and
of rows does not change a bit of it. */

#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#ifdef _OPENMP
#include <omp.h>
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
#define HALF (VECTORS / 2)
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

/* The last numbers of a row, zeros behind. Not inline: it would be there a hundred times. */
static __attribute__((noinline, unused)) vec tail(const REAL *row, long count) {
    REAL some[VL];
    for (long i = 0; i < VL; i++) some[i] = i < count ? row[i] : 0;
    return load(some);
}

/* VL numbers of a row from `at` on, zeros from `count` on. */
INLINE vec numbers(const REAL *row, long at, long count) {
    return at + VL <= count ? load(row + at) : tail(row + at, count - at);
}

/* e^x to 2 units in the last place (the polynomial is that of Cephes' expf); nan stays nan. */
INLINE vec exponential(vec x) {
    if (DOUBLE) {
        for (int i = 0; i < VL; i++) x[i] = exp((double)x[i]);
        return x;
    }
#ifdef __AVX512F__
    /* Of these two the second operand comes out where one is not a number. */
    x = (vec)_mm512_max_ps(_mm512_set1_ps(-87), _mm512_min_ps(_mm512_set1_ps(88), (__m512)x));
#else
    x = choose(x < -87, ZERO - 87, choose(x > 88, ZERO + 88, x));
#endif
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

/* The first so many numbers of a vector. */
INLINE void store_some(REAL *p, vec x, long count) {
    if (count >= VL) store(p, x);
    else memcpy(p, &x, count * sizeof(REAL));
}

/* VL units of a row of numbers, likewise; `at` counts units. */
INLINE vec units(int low, const REAL *row, long at, long count) {
#ifdef __AVX512BF16__
    if (low && !DOUBLE)
        return (vec)_mm512_cvtne2ps_pbh((__m512)numbers(row, 2 * at + VL, count),
                                        (__m512)numbers(row, 2 * at, count));
#endif
    return numbers(row, at, count);
}

/* Lane by lane units of two rows: with `low` pairs of their numbers, else the numbers of the first. */
INLINE vec side_by_side(int low, vec first, vec second) {
#ifdef __AVX512BF16__
    if (low && !DOUBLE) {
        const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9,
                                               24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17,
                                               1, 16, 0);
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
        return (vec)_mm512_permutexvar_epi16(order, both);
    }
#endif
    return first;
}

/* VL vectors of VL units, rows made columns: blocks of 1, 2, 4, … units change places. */
INLINE void turn(vec *r) {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 8
    for (int s = 1; s < VL; s *= 2) {
        bits low, high;
        for (int j = 0; j < VL; j++) {
            low[j] = j & s ? VL + j - s : j;
            high[j] = j & s ? VL + j : j + s;
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++) {
            if (i & s) continue;
            vec a = r[i], b = r[i + s];
            r[i] = __builtin_shuffle(a, b, low);
            r[i + s] = __builtin_shuffle(a, b, high);
        }
    }
#else
    for (int i = 0; i < VL; i++)
        for (int j = i + 1; j < VL; j++) {
            REAL other = r[i][j];
            r[i][j] = r[j][i];
            r[j][i] = other;
        }
#endif
}

INLINE long units_of(int low, long numbers) { return low ? (numbers + 1) / 2 : numbers; }

/* So many numbers as whole vectors. */
INLINE long whole(long numbers) { return (numbers + VL - 1) / VL * VL; }

/* The next buffer of the members, of so many bytes each: that of one of them. */
INLINE char *take(char **work, long members, long member, long bytes) {
    char *found = *work + member * bytes;
    *work += (members * bytes + 63) / 64 * 64;
    return found;
}

/* A thread's part: which of how many. */
struct share {
    long part, parts;
};

INLINE struct share own_share(void) {
#ifdef _OPENMP
    return (struct share){omp_get_thread_num(), omp_get_num_threads()};
#else
    return (struct share){0, 1};
#endif
}

/* A left matrix: from one row, and from one unit, to the next in bytes. */
struct left {
    const char *at;
    long row, unit;
};

/* Row by row. */
INLINE struct left by_row(const void *at, long row) {
    return (struct left){(const char *)at, row, sizeof(REAL)};
}

/* The columns of (units, width) as its rows. */
INLINE struct left by_column(const void *at, long width) {
    return (struct left){(const char *)at, sizeof(REAL), width * (long)sizeof(REAL)};
}

/* c (rows, vectors * VL) = or, with `add`, += a (rows, k) times packed w, whose vectors of columns lie
w_vector numbers apart; k counts units. */
HIDDEN void multiply(int low, int add, long rows, long vectors, long k, struct left a, const REAL *w,
                     long w_vector, REAL *c, long c_row);

/* The same from w (k, vectors * VL) as it lies in memory, w_unit numbers a row. */
HIDDEN void multiply_rows(int low, int add, long rows, long vectors, long k, struct left a, const REAL *w,
                          long w_unit, REAL *c, long c_row);
