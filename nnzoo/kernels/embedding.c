/* Gradients of an embedding's rows: tokens sorted by id, and for each id the sum of their gradients.
 *
 * Sums run over the tokens of an id in their order, so that neither the number of threads nor the
 * other ids change a bit of them. */

#include "simd.h"

#define DIGIT_BITS 11

/* Sort the tokens (n) by id, those of one id in their order (radix sort). Write `order` (n), the
 * tokens; the different ids (n at most) and `starts`, where in `order` those of each begin, and n.
 * scratch: (n). Returns how many different ids there are, or -1 if one is not within the vocabulary,
 * where nothing is written. */
NNZOO_API long nnzoo_sort_ids(long n, long vocabulary, const int32_t *ids, int64_t *order,
                              int64_t *different, int64_t *starts, int64_t *scratch) {
    for (long i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= vocabulary) return -1;
    long passes = 1;
    while ((vocabulary - 1) >> passes * DIGIT_BITS) passes++;
    const int64_t *from = 0;
    for (long pass = 0; pass < passes; pass++) {
        int64_t *to = (passes - pass) % 2 ? order : scratch;
        long counts[1 << DIGIT_BITS] = {0}, mask = (1 << DIGIT_BITS) - 1, next = 0;
        int shift = (int)(pass * DIGIT_BITS);
        for (long i = 0; i < n; i++) counts[ids[i] >> shift & mask]++;
        for (long digit = 0; digit <= mask; digit++) {
            long count = counts[digit];
            counts[digit] = next, next += count;
        }
        for (long i = 0; i < n; i++) {
            int64_t token = from ? from[i] : i;
            to[counts[ids[token] >> shift & mask]++] = token;
        }
        from = to;
    }
    long count = 0;
    for (long i = 0; i < n; i++)
        if (!i || ids[order[i]] != different[count - 1])
            different[count] = ids[order[i]], starts[count++] = i;
    starts[count] = n;
    return count;
}

/* The first of `count` groups that begins at item `at` or later. */
static long group_from(long count, const int64_t *starts, long at) {
    long first = 0, last = count;
    while (first < last) {
        long middle = (first + last) / 2;
        if (starts[middle] < at) first = middle + 1;
        else last = middle;
    }
    return first;
}

/* Write the sums (count, width) of groups of rows: group i is rows[source[starts[i]]] to
 * rows[source[starts[i + 1] - 1]], at least one. */
NNZOO_API void nnzoo_sum_rows(long threads, long count, long width, const int64_t *source,
                              const int64_t *starts, const scalar_t *rows, scalar_t *sums) {
#pragma omp parallel num_threads((int)threads)
    {
        struct shard thread = current_thread();
        long n = starts[count];
        long last = group_from(count, starts, shard_end(thread, n));
        for (long i = group_from(count, starts, shard_begin(thread, n)); i < last; i++) {
            scalar_t *restrict to = sums + i * width;
            memcpy(to, rows + source[starts[i]] * width, width * sizeof(scalar_t));
            for (long k = starts[i] + 1; k < starts[i + 1]; k++) {
                const scalar_t *restrict from = rows + source[k] * width;
                for (long j = 0; j < width; j++) to[j] += from[j];
            }
        }
    }
}
