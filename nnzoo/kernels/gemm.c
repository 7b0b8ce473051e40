/* The matrix products of gemm.h. */

#include "gemm.h"

/* A tile of c, `rows` x `vectors` * LANES, with all its sums in registers. */
INLINE void microkernel(int bf16, int accumulate, int rows, int vectors, long k, struct matrix_a a,
                        const scalar_t *b, long panel_stride, long k_stride, scalar_t *c,
                        long c_stride) {
    (void)bf16; /* unused without AVX-512 BF16 */
    vec sum[2 * MR][NR_VEC], columns[NR_VEC];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            sum[i][v] = accumulate ? load(c + i * c_stride + v * LANES) : VEC_ZERO;
    for (long p = 0; p < k; p++) {
        for (int v = 0; v < vectors; v++) columns[v] = load(b + v * panel_stride + p * k_stride);
        for (int i = 0; i < rows; i++) {
#ifdef __AVX512BF16__
            if (bf16 && !IS_DOUBLE) {
                int32_t pair;
                memcpy(&pair, a.data + i * a.row_bytes + p * a.k_bytes, 4);
                __m512i pairs = _mm512_set1_epi32(pair);
                for (int v = 0; v < vectors; v++)
                    sum[i][v] = (vec)_mm512_dpbf16_ps((__m512)sum[i][v], (__m512bh)pairs,
                                                      (__m512bh)columns[v]);
                continue;
            }
#endif
            scalar_t x = *(const scalar_t *)(a.data + i * a.row_bytes + p * a.k_bytes);
            for (int v = 0; v < vectors; v++) sum[i][v] += x * columns[v];
        }
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) store(c + i * c_stride + v * LANES, sum[i][v]);
}

/* All rows of c for `vectors` (NR_VEC, NR_HALF or 1) vectors of columns. */
INLINE void gemm_columns(int bf16, int accumulate, long rows, long vectors, long k,
                         struct matrix_a a, const scalar_t *b, long panel_stride, long k_stride,
                         scalar_t *c, long c_stride) {
    long i = 0;
#define TILES(ROWS, VECTORS)                                                                       \
    for (; i + ROWS <= rows; i += ROWS, a.data += ROWS * a.row_bytes, c += ROWS * c_stride)        \
    microkernel(bf16, accumulate, ROWS, VECTORS, k, a, b, panel_stride, k_stride, c, c_stride)
    if (vectors == NR_VEC) {
        TILES(MR, NR_VEC);
        TILES((MR > 4 ? 4 : 2), NR_VEC);
        TILES(2, NR_VEC);
        TILES(1, NR_VEC);
    } else if (vectors == NR_HALF) {
        TILES(2 * MR, NR_HALF);
        TILES(4, NR_HALF);
        TILES(2, NR_HALF);
        TILES(1, NR_HALF);
    } else {
        TILES(2 * MR, 1);
        TILES(4, 1);
        TILES(2, 1);
        TILES(1, 1);
    }
#undef TILES
}

/* Any size, in blocks of b that stay in the caches. */
INLINE void gemm(int bf16, int accumulate, long rows, long vectors, long k, struct matrix_a a,
                 const scalar_t *b, long panel_stride, long k_stride, scalar_t *c, long c_stride) {
    for (long p = 0; p < k; p += KC) {
        long kc = k - p < KC ? k - p : KC;
        struct matrix_a a_block = {a.data + p * a.k_bytes, a.row_bytes, a.k_bytes};
        for (long v = 0, width; v < vectors; v += width) {
            width = vectors - v >= NR_VEC ? NR_VEC : vectors - v >= NR_HALF ? NR_HALF : 1;
            const scalar_t *b_block = b + v * panel_stride + p * k_stride;
            gemm_columns(bf16, accumulate || p, rows, width, kc, a_block, b_block, panel_stride,
                         k_stride, c + v * LANES, c_stride);
        }
    }
}

void nnzoo_gemm_packed(int bf16, int accumulate, long rows, long vectors, long k, struct matrix_a a,
                       const scalar_t *b, long panel_stride, scalar_t *c, long c_stride) {
    if (bf16) gemm(1, accumulate, rows, vectors, k, a, b, panel_stride, LANES, c, c_stride);
    else gemm(0, accumulate, rows, vectors, k, a, b, panel_stride, LANES, c, c_stride);
}

void nnzoo_gemm_rows(int bf16, int accumulate, long rows, long vectors, long k, struct matrix_a a,
                     const scalar_t *b, long b_stride, scalar_t *c, long c_stride) {
    if (bf16) gemm(1, accumulate, rows, vectors, k, a, b, LANES, b_stride, c, c_stride);
    else gemm(0, accumulate, rows, vectors, k, a, b, LANES, b_stride, c, c_stride);
}

/* Elements per vector. */
NNZOO_API long nnzoo_lanes(void) { return LANES; }

/* Whether products take bfloat16. */
NNZOO_API long nnzoo_has_bf16(void) {
#ifdef __AVX512BF16__
    return !IS_DOUBLE;
#else
    return 0;
#endif
}
