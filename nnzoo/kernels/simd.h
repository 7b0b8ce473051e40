/* Vectors, bfloat16, threads and memory for all kernels.
 *
 * scalar_t (args.h) is float or double. With `bf16`, matrix products take bfloat16 operands
 * (AVX-512 BF16) and sums stay scalar_t. Vectors have LANES elements and are GNU C's, for any
 * processor that gcc and clang support; rows are padded with zeros to whole vectors. A k step is
 * what a product consumes at once of the dimension that it sums over: one element, or with `bf16` a
 * pair of bfloat16 (as in VNNI); both have the size of a scalar_t. */

#pragma once

#include "args.h"

#include <math.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

#define NNZOO_API __attribute__((visibility("default")))

#if defined(__AVX512F__)
#define VEC_BYTES 64
#elif defined(__AVX2__)
#define VEC_BYTES 32
#else
#define VEC_BYTES 16
#endif
#define LANES ((long)(VEC_BYTES / sizeof(scalar_t)))

typedef scalar_t vec __attribute__((vector_size(VEC_BYTES), aligned(sizeof(scalar_t))));
#define INLINE static inline __attribute__((always_inline))

#define IS_DOUBLE (sizeof(scalar_t) == 8)
#define VEC_ZERO ((vec){0})

INLINE vec load(const scalar_t *p) { return *(const vec *)p; }
INLINE void store(scalar_t *p, vec x) { *(vec *)p = x; }

/* Result of comparing vectors: integers of the same size, all bits set or none. */
typedef __typeof__((vec){0} < (vec){0}) ivec;

INLINE vec blend(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

/* The first `count` elements of a row, then zeros. Not inline: it would be expanded a hundred
 * times. */
static __attribute__((noinline, unused)) vec load_tail(const scalar_t *row, long count) {
    scalar_t lanes[LANES];
    for (long i = 0; i < LANES; i++) lanes[i] = i < count ? row[i] : 0;
    return load(lanes);
}

/* LANES elements of a row of `count` from `at` on, zeros beyond its end. */
INLINE vec load_partial(const scalar_t *row, long at, long count) {
    return at + LANES <= count ? load(row + at) : load_tail(row + at, count - at);
}

/* e^x to 2 units in the last place (polynomial of Cephes' expf); nan stays nan. */
INLINE vec exp_vec(vec x) {
    if (IS_DOUBLE) {
        for (int i = 0; i < LANES; i++) x[i] = exp((double)x[i]);
        return x;
    }
#ifdef __AVX512F__
    /* min and max return their second operand where either is nan. */
    x = (vec)_mm512_max_ps(_mm512_set1_ps(-87), _mm512_min_ps(_mm512_set1_ps(88), (__m512)x));
#else
    x = blend(x < -87, VEC_ZERO - 87, blend(x > 88, VEC_ZERO + 88, x));
#endif
    /* Adding 1.5 * 2^23 rounds to an integer, which is then in the last bits. */
    vec shifted = x * (scalar_t)1.44269504088896341 + (scalar_t)12582912,
        n = shifted - (scalar_t)12582912;
    x = x - n * (scalar_t)0.693359375 + n * (scalar_t)2.12194440e-4;
    vec p = x * (scalar_t)1.9875691500e-4 + (scalar_t)1.3981999507e-3;
    p = p * x + (scalar_t)8.3334519073e-3;
    p = p * x + (scalar_t)4.1665795894e-2;
    p = p * x + (scalar_t)1.6666665459e-1;
    p = p * x + (scalar_t)5.0000001201e-1;
    return (vec)((ivec)(p * x * x + x + 1) + ((ivec)shifted << 23));
}

/* Load and store elements of a buffer of scalar_t, or with `bf16` of bfloat16. */
INLINE void store_as(int bf16, char *base, long at, vec x) {
    (void)bf16; /* unused without AVX-512 BF16 */
#ifdef __AVX512BF16__
    if (bf16 && !IS_DOUBLE) {
        _mm256_storeu_si256((__m256i *)(base + 2 * at), (__m256i)_mm512_cvtneps_pbh((__m512)x));
        return;
    }
#endif
    store((scalar_t *)base + at, x);
}

INLINE vec load_as(int bf16, const char *base, long at) {
    (void)bf16; /* unused without AVX-512 BF16 */
#ifdef __AVX512BF16__
    if (bf16 && !IS_DOUBLE) {
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(base + 2 * at)));
        return (vec)_mm512_slli_epi32(wide, 16);
    }
#endif
    return load((const scalar_t *)base + at);
}

/* Store the first `count` elements of a vector. */
INLINE void store_partial(scalar_t *p, vec x, long count) {
    if (count >= LANES) store(p, x);
    else memcpy(p, &x, count * sizeof(scalar_t));
}

/* LANES k steps of a row of `count` elements from k step `at` on, zeros beyond its end. */
INLINE vec load_k_steps(int bf16, const scalar_t *row, long at, long count) {
    (void)bf16; /* unused without AVX-512 BF16 */
#ifdef __AVX512BF16__
    if (bf16 && !IS_DOUBLE)
        return (vec)_mm512_cvtne2ps_pbh((__m512)load_partial(row, 2 * at + LANES, count),
                                        (__m512)load_partial(row, 2 * at, count));
#endif
    return load_partial(row, at, count);
}

/* One k step per lane: with `bf16` pairs of the elements of two rows, else the elements of the
 * first. */
INLINE vec interleave_bf16(int bf16, vec first, vec second) {
    (void)bf16, (void)second;
#ifdef __AVX512BF16__
    if (bf16 && !IS_DOUBLE) {
        const __m512i order =
            _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                             22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
        return (vec)_mm512_permutexvar_epi16(order, both);
    }
#endif
    return first;
}

/* Transpose LANES vectors in place, by swapping blocks of 1, 2, 4, ... elements. */
INLINE void transpose(vec *r) {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 8
    for (int s = 1; s < LANES; s *= 2) {
        ivec lower = (ivec)VEC_ZERO, upper = (ivec)VEC_ZERO; /* gcc warns otherwise */
        for (int j = 0; j < LANES; j++) {
            lower[j] = j & s ? LANES + j - s : j;
            upper[j] = j & s ? LANES + j : j + s;
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) {
            if (i & s) continue;
            vec a = r[i], b = r[i + s];
            r[i] = __builtin_shuffle(a, b, lower);
            r[i + s] = __builtin_shuffle(a, b, upper);
        }
    }
#else
    for (int i = 0; i < LANES; i++)
        for (int j = i + 1; j < LANES; j++) {
            scalar_t other = r[i][j];
            r[i][j] = r[j][i];
            r[j][i] = other;
        }
#endif
}

INLINE long num_k_steps(int bf16, long count) { return bf16 ? (count + 1) / 2 : count; }

/* `count` rounded up to whole vectors. */
INLINE long round_up(long count) { return (count + LANES - 1) / LANES * LANES; }

/* Allocate one buffer of `bytes` per member from an arena at `*next`, in steps of 64 bytes; returns
 * that of `member` and moves `*next` behind all of them. */
INLINE char *arena_alloc(char **next, long members, long member, long bytes) {
    char *buffer = *next + member * bytes;
    *next += (members * bytes + 63) / 64 * 64;
    return buffer;
}

/* Shard `index` of `count` of some work, usually that of one thread of a team. */
struct shard {
    long index, count;
};

INLINE struct shard current_thread(void) {
#ifdef _OPENMP
    return (struct shard){omp_get_thread_num(), omp_get_num_threads()};
#else
    return (struct shard){0, 1};
#endif
}

/* The items of a shard, first to last - 1, of n. */
INLINE long shard_begin(struct shard shard, long n) { return n * shard.index / shard.count; }
INLINE long shard_end(struct shard shard, long n) { return n * (shard.index + 1) / shard.count; }

/* Wait for all threads of a team. */
INLINE void barrier(struct shard team) {
    if (team.count > 1) {
#pragma omp barrier
    }
}

/* Bytes, one per lane. */
typedef uint8_t bvec __attribute__((vector_size(VEC_BYTES / sizeof(scalar_t)), aligned(1)));

/* Compilers convert vectors of elements of such different sizes one element at a time, unless it is
 * done in steps. */
typedef uint16_t hvec __attribute__((vector_size(2 * VEC_BYTES / sizeof(scalar_t))));

/* Widen bytes to scalar_t. */
INLINE vec load_bytes(const uint8_t *p) {
#ifdef __AVX512F__
    if (!IS_DOUBLE)
        return (vec)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
#endif
    hvec wide = __builtin_convertvector(*(const bvec *)p, hvec);
    return __builtin_convertvector(__builtin_convertvector(wide, ivec), vec);
}

/* Store whole numbers from 0 to 255 as bytes. */
INLINE void store_bytes(uint8_t *p, vec x) {
#ifdef __AVX512F__
    if (!IS_DOUBLE) {
        _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32((__m512)x)));
        return;
    }
#endif
    hvec narrow = __builtin_convertvector(__builtin_convertvector(x, ivec), hvec);
    *(bvec *)p = __builtin_convertvector(narrow, bvec);
}
