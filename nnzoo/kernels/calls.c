/* A sequence of entry points in one call from Python: of a training step, each line of Python
 * between them would run with cold caches. */

#include "simd.h"

/* An entry point of one argument struct, and the struct. */
struct prepared_call {
    void (*function)(const void *);
    const void *args;
};

/* Make the calls in their order. */
NNZOO_API void nnzoo_run_calls(const struct prepared_call *calls, long count) {
    for (long i = 0; i < count; i++) calls[i].function(calls[i].args);
}

/* Copy rows of padded matrices. */
NNZOO_API void nnzoo_copy_rows(const struct copy_args *c) {
#pragma omp parallel for num_threads((int)c->threads) schedule(static)
    for (long i = 0; i < c->rows; i++)
        memcpy(c->y + i * c->y_row, c->x + i * c->x_row, c->width * sizeof(scalar_t));
}
