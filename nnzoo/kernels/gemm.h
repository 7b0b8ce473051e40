/* Matrix products of small matrices, in the terms of BLIS: microkernels of MR rows and NR_VEC
 * vectors of columns, blocks of KC k steps.
 *
 * c (rows, columns) = a (rows, k) b (k, columns), or += with `accumulate`. Columns are whole
 * vectors. Each sum runs over its k steps in order, wherever its row and column are, so that the
 * number of threads and of rows does not change a bit of it. Rows of a may overlap (windows of a
 * convolution do); c aliases neither a nor b. No alignment beyond that of a scalar_t is needed. */

#pragma once

#include "simd.h"

/* MR x NR_VEC accumulators, NR_VEC vectors of b and the broadcast elements of a have to fit the
 * registers. AVX-512 has 32 and broadcasts from memory; NEON has 32, and compilers load the elements
 * of all rows first. The others have 16; without fused multiply-add a product needs one of its own
 * and a broadcast is a shuffle, so that fewer rows and more columns are faster. */
#if defined(__AVX512F__)
#define MR 6
#define NR_VEC 4
#elif defined(__aarch64__)
#define MR 5
#define NR_VEC 4
#elif defined(__FMA__)
#define MR 6
#define NR_VEC 2
#else
#define MR 3
#define NR_VEC 4
#endif
#define NR_HALF (NR_VEC / 2)
/* k steps per block: of b 128 kB in the second cache (AVX-512), or 32 kB in the first. */
#define KC 512

/* Operand a, read in place: distances from one row, and from one k step, to the next in bytes. */
struct matrix_a {
    const char *data;
    long row_bytes, k_bytes;
};

/* a as rows that are `row_bytes` apart. */
INLINE struct matrix_a a_rows(const void *data, long row_bytes) {
    return (struct matrix_a){(const char *)data, row_bytes, sizeof(scalar_t)};
}

/* a as the transpose of (k, width). */
INLINE struct matrix_a a_columns(const void *data, long width) {
    return (struct matrix_a){(const char *)data, sizeof(scalar_t), width * (long)sizeof(scalar_t)};
}

/* With b packed in panels (vectors, k, LANES) that are `panel_stride` elements apart; k counts k
 * steps. */
void nnzoo_gemm_packed(int bf16, int accumulate, long rows, long vectors, long k, struct matrix_a a,
                       const scalar_t *b, long panel_stride, scalar_t *c, long c_stride);

/* With b (k, vectors * LANES) as it is in memory, its k steps `b_stride` elements apart. */
void nnzoo_gemm_rows(int bf16, int accumulate, long rows, long vectors, long k, struct matrix_a a,
                     const scalar_t *b, long b_stride, scalar_t *c, long c_stride);
