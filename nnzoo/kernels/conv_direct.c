/* Convolutions of images with few channels, which need no gradient of their input: the first layer.
 * Kernels of any size, any stride.
 *
 * A row of outputs is a sum of products, one per row of the kernel: the windows overlap in memory,
 * which operand a may, so that only the image is copied, to put zeros around it. */

#include "conv.h"

/* Buffers of a part. */
struct buffers {
    scalar_t *image;        /* (height + 2 pad_y, width + 2 pad_x, in) padded with zeros */
    scalar_t *strip;        /* (2, out_width, out) two rows of outputs, or of their gradients */
    scalar_t *grad_weights; /* (kernel_height, kernel_width * in, out) sums over the part */
};

/* Elements in a row of the kernel, and in a row of the padded image. */
INLINE long kernel_row(const struct conv_args *c) { return c->kernel_width * c->in; }
INLINE long padded_row(const struct conv_args *c) { return (c->width + 2 * c->pad_x) * c->in; }

/* The packed weights, (kernel_height, out / LANES, kernel_width * in, LANES), which all threads
 * read. */
INLINE scalar_t *packed_weights(const struct conv_args *c) { return (scalar_t *)end_of_sums(c); }

/* Lay out the buffers of a part behind the packed weights; returns the end of scratch. */
static char *plan_workspace(const struct conv_args *c, int backward, long part, struct buffers *b) {
    long kernel = c->kernel_height * kernel_row(c) * c->out;
    char *next = end_of_sums(c) + kernel * (long)sizeof(scalar_t);
#define ALLOC(count)                                                                               \
    (scalar_t *)arena_alloc(&next, c->parts, part, (count) * (long)sizeof(scalar_t))
    b->image = ALLOC((c->height + 2 * c->pad_y) * padded_row(c));
    b->strip = ALLOC(2 * (c->out_width + 1) * c->out);
    b->grad_weights = ALLOC(backward ? kernel : 0);
#undef ALLOC
    return next;
}

/* Bytes of scratch for forward or backward; of the arguments it reads sizes alone. */
NNZOO_API long nnzoo_conv_direct_workspace(const struct conv_args *c, long backward) {
    struct buffers b;
    return plan_workspace(c, backward, 0, &b) - c->scratch;
}

/* Offset in `weight` of element q of row y of the kernel of output o, (kernel_width, in) there and
 * (in, kernel_height, kernel_width) here. */
INLINE long weight_offset(const struct conv_args *c, long o, long y, long q) {
    return ((o * c->in + q % c->in) * c->kernel_height + y) * c->kernel_width + q / c->in;
}

/* Pack a thread's rows of the kernels. */
static void pack_weights(const struct conv_args *c, struct shard thread) {
    long k = kernel_row(c);
    scalar_t *packed = packed_weights(c);
    for (long y = thread.index; y < c->kernel_height; y += thread.count)
        for (long o = 0; o < c->out; o++)
            for (long q = 0; q < k; q++)
                packed[(y * c->out + o / LANES * LANES) * k + q * LANES + o % LANES] =
                    c->weight[weight_offset(c, o, y, q)];
}

/* A thread's outputs of dweight from the sums of all parts. */
static void merge_weight_grads(const struct conv_args *c, struct shard thread) {
    long k = kernel_row(c), kernel = c->kernel_height * k * c->out;
    struct buffers first;
    plan_workspace(c, 1, 0, &first);
    for (long o = thread.index; o < c->out; o += thread.count)
        for (long y = 0; y < c->kernel_height; y++)
            for (long q = 0; q < k; q++) {
                scalar_t sum = 0;
                for (long b = 0; b < c->parts; b++)
                    sum += first.grad_weights[b * kernel + (y * k + q) * c->out + o];
                c->dweight[weight_offset(c, o, y, q)] = sum;
            }
}

/* Two rows of outputs through the epilogue. */
INLINE void store_strip(const struct conv_args *c, const struct buffers *b, scalar_t *sums,
                        int is_first, long image, long row) {
    long line = c->out_width * c->out;
    for (long column = 0; column < c->out_width; column += 2) {
        struct tile_outputs to = locate_outputs(c, (struct tile){image, row, column});
        for (long j = 0; j < c->out; j += LANES) {
            /* Values beyond the last row or column are not used. */
            scalar_t *at = b->strip + column * c->out + j;
            vec t[4] = {load(at), load(at + c->out), load(at + line), load(at + line + c->out)};
            store_tile(c, &to, sums, is_first && !column, j, t);
        }
    }
}

INLINE void load_grad_strip(const struct conv_args *c, const struct buffers *b, scalar_t *sums,
                            long image, long row) {
    long line = c->out_width * c->out;
    for (long column = 0; column < c->out_width; column += 2) {
        struct tile_outputs from = locate_outputs(c, (struct tile){image, row, column});
        for (long j = 0; j < c->out; j += LANES) {
            vec d[4];
            load_grad_tile(c, &from, sums, j, d);
            for (int p = 0; p < 4; p++)
                if (column + p % 2 < c->out_width)
                    store(b->strip + p / 2 * line + (column + p % 2) * c->out + j, d[p]);
        }
    }
}

/* All images of a part. */
INLINE void run_part(const struct conv_args *c, int backward, const struct buffers *b,
                     struct shard part) {
    long k = kernel_row(c), padded = padded_row(c), line = c->width * c->in;
    memset(b->image, 0, (c->height + 2 * c->pad_y) * padded * sizeof(scalar_t));
    memset(b->strip, 0, 2 * (c->out_width + 1) * c->out * sizeof(scalar_t));
    if (backward) memset(b->grad_weights, 0, c->kernel_height * k * c->out * sizeof(scalar_t));
    scalar_t *sums = part_sums(c, part.index);
    clear_sums(c, part.index);
    long first = shard_begin(part, c->batch), window = c->stride_x * c->in;
    for (long n = first; n < shard_end(part, c->batch); n++) {
        for (long y = 0; y < c->height; y++)
            memcpy(b->image + (y + c->pad_y) * padded + c->pad_x * c->in,
                   c->x + (n * c->height + y) * line, line * sizeof(scalar_t));
        for (long row = 0; row < c->out_height; row += 2) {
            if (backward) load_grad_strip(c, b, sums, n, row);
            for (long y = row; y < row + 2 && y < c->out_height; y++)
                for (long i = 0; i < c->kernel_height; i++) {
                    const scalar_t *from = b->image + (y * c->stride_y + i) * padded;
                    scalar_t *strip = b->strip + (y - row) * c->out_width * c->out;
                    if (!backward)
                        nnzoo_gemm_packed(0, i > 0, c->out_width, c->out / LANES, k,
                                          a_rows(from, window * (long)sizeof(scalar_t)),
                                          packed_weights(c) + i * k * c->out, k * LANES, strip,
                                          c->out);
                    else
                        nnzoo_gemm_rows(0, 1, k, c->out / LANES, c->out_width,
                                        a_columns(from, window), strip, c->out,
                                        b->grad_weights + i * k * c->out, c->out);
                }
            if (!backward) store_strip(c, b, sums, n == first && !row, n, row);
        }
        flush_sums(c, part.index);
    }
}

static void convolve(const struct conv_args *c, int backward) {
#pragma omp parallel num_threads((int)c->threads)
    {
        struct shard thread = current_thread();
        if (backward) norm_backward(c, thread);
        else pack_weights(c, thread);
        barrier(thread);
        FOR_EACH_PART(part, c, thread) {
            struct buffers b;
            plan_workspace(c, backward, part.index, &b);
            run_part(c, backward, &b, part);
        }
        if (!backward) norm_forward(c, thread);
        else {
            barrier(thread);
            merge_weight_grads(c, thread);
            merge_bias_grads(c, thread);
        }
    }
}

/* Write y and, if there are any, stats, z, argmax and the running statistics. bf16 has no effect.
 */
NNZOO_API void nnzoo_conv_direct_forward(const struct conv_args *c) { convolve(c, 0); }

/* Write dweight and, if there are any, dbias, dgamma and dbeta. */
NNZOO_API void nnzoo_conv_direct_backward(const struct conv_args *c) { convolve(c, 1); }
