/* A chain of linear layers, each but the last alone or followed by ReLU, or by ReLU and dropout
 * (its epilogue): all of them in one call forward and one backward.
 *
 * A thread computes some columns of each product for the whole batch and packs the panels of b that
 * belong to them; after each layer the threads wait for each other. Weights are read as they are
 * and rounded to bfloat16 when they are packed; gradients of weights are scalar_t: nothing is cast
 * before or after.
 *
 * Members are networks of one shape, each with its own batch. If there are at least as many as
 * threads, a thread computes whole members and waits for nobody.
 *
 * Contract: see args.h. batch may be 0. */

#include "gemm.h"

/* A layer of one member with its buffers. `padded` widths are whole vectors; x is zero beyond `in`.
 */
struct layer {
    long in, out, in_padded, out_padded;
    const scalar_t *weight, *bias;
    char *x;     /* (batch, in_padded) input, in the product's type */
    scalar_t *y; /* (batch, out_padded) output before the epilogue */
    long relu;
    const uint8_t *dropout_mask;
    double dropout_scale;
    scalar_t *dy;      /* (batch, out_padded) gradient behind the epilogue, then before it */
    char *d;           /* (batch, out_padded) gradient before the epilogue, in the product's type */
    scalar_t *d_steps; /* (k steps of the batch, out_padded) the same as k steps */
    scalar_t *dweight; /* (out, in_padded) */
    scalar_t *dbias;   /* (out_padded) */
    scalar_t *dx;      /* (batch, in_padded) gradient of x, or null */
};

/* Workspace and scratch begin with a panel of b and an array of layers per thread. */
#define PANEL_SIZE (NR_VEC * KC * LANES)

INLINE long header_bytes(const struct linear_args *c) {
    long panel = PANEL_SIZE * (long)sizeof(scalar_t);
    return (c->threads * (panel + c->layers * (long)sizeof(struct layer)) + 63) / 64 * 64;
}

INLINE scalar_t *thread_panel(char *memory, long thread) {
    return (scalar_t *)memory + thread * PANEL_SIZE;
}

INLINE struct layer *thread_layers(const struct linear_args *c, char *memory, long thread) {
    return (struct layer *)thread_panel(memory, c->threads) + thread * c->layers;
}

/* Lay out the buffers of a member into `layers`, unless it is null; those in scratch only for
 * backward. Returns the end of scratch (backward) or workspace. */
static char *plan_workspace(const struct linear_args *c, int backward, long member,
                            struct layer *layers) {
    const struct linear_layer_args *args = (const struct linear_layer_args *)(c + 1);
    long size = c->bf16 ? 2 : sizeof(scalar_t), batch = c->batch;
    char *workspace = c->workspace + header_bytes(c), *scratch = c->scratch + header_bytes(c);
    scalar_t *grads = c->grads, *dx = c->dx ? c->dx + member * batch * round_up(args->in) : 0;
    for (long l = 0; l < c->layers; l++, args++) {
        struct layer layer = {.in = args->in, .out = args->out};
        layer.in_padded = round_up(args->in), layer.out_padded = round_up(args->out);
        long x_size = batch * layer.in_padded, y_size = batch * layer.out_padded;
        layer.weight = args->weight + member * layer.out * layer.in;
        layer.bias = args->bias + member * layer.out;
        layer.relu = args->relu, layer.dropout_scale = args->dropout_scale;
        layer.dropout_mask = args->dropout_mask ? args->dropout_mask + member * y_size : 0;
        layer.x = l || !c->x_packed ? arena_alloc(&workspace, c->members, member, x_size * size)
                                    : (char *)c->x + member * x_size * size;
#define ALLOC(arena, count)                                                                        \
    (scalar_t *)arena_alloc(&arena, c->members, member, (count) * (long)sizeof(scalar_t))
        layer.y = ALLOC(workspace, y_size);
        if (backward) {
            layer.dy = ALLOC(scratch, y_size);
            layer.d = (char *)layer.dy, layer.d_steps = layer.dy;
            if (c->bf16) {
                layer.d = arena_alloc(&scratch, c->members, member, y_size * size);
                layer.d_steps = ALLOC(scratch, layer.out_padded * num_k_steps(1, batch));
            }
            layer.dx = dx, dx = layer.dy;
            layer.dweight = grads + member * layer.out * layer.in_padded;
            grads += c->members * layer.out * layer.in_padded;
            layer.dbias = grads + member * layer.out_padded, grads += c->members * layer.out_padded;
        }
#undef ALLOC
        if (layers) layers[l] = layer;
    }
    return backward ? scratch : workspace;
}

/* Bytes of workspace, or of scratch for backward; of the arguments it reads sizes alone. */
NNZOO_API long nnzoo_linear_workspace(const struct linear_args *c, long backward) {
    return plan_workspace(c, backward, 0, 0) - (backward ? c->scratch : c->workspace);
}

enum product {
    FORWARD,     /* y = x w', k: inputs */
    GRAD_INPUT,  /* dx = dy w, k: outputs */
    GRAD_WEIGHT, /* dw = dy' x, k: batch */
};

/* Pack k steps p to p + kc of operand b, `panels` panels from `panel` on: (panels, kc, LANES). */
INLINE void pack_b(int bf16, int product, const struct layer *layer, long batch, long panel,
                   long panels, long p, long kc, scalar_t *to) {
    long per_step = bf16 ? 2 : 1;
    for (long b = panel; b < panel + panels; b++, to += kc * LANES)
        for (long q = 0; q < kc; q += product == FORWARD ? LANES : 1) {
            if (product == FORWARD) {
                vec r[LANES];
                for (long i = 0; i < LANES; i++) {
                    long out = b * LANES + i;
                    const scalar_t *row = layer->weight + out * layer->in;
                    if (out < layer->out) __builtin_prefetch(row + (p + q + 2 * LANES) * per_step);
                    r[i] = out < layer->out ? load_k_steps(bf16, row, p + q, layer->in) : VEC_ZERO;
                }
                transpose(r);
                for (long i = 0; i < LANES && q + i < kc; i++) store(to + (q + i) * LANES, r[i]);
                continue;
            }
            vec row[2] = {VEC_ZERO, VEC_ZERO};
            for (long i = 0; i < per_step; i++) {
                long n = (p + q) * per_step + i;
                if (product == GRAD_WEIGHT && n < batch)
                    row[i] = load_as(bf16, layer->x, n * layer->in_padded + b * LANES);
                if (product == GRAD_INPUT && n < layer->out)
                    row[i] = load_partial(layer->weight + n * layer->in, b * LANES, layer->in);
            }
            store(to + q * LANES, interleave_bf16(bf16, row[0], row[1]));
        }
}

/* Panels first to last - 1 of a layer's output through its epilogue into the next layer's x. */
INLINE void epilogue_forward(int bf16, const struct layer *layer, const struct layer *next,
                             long rows, long first, long last) {
    for (long n = 0; n < rows; n++)
        for (long j = first * LANES; j < last * LANES; j += LANES) {
            long i = n * layer->out_padded + j;
            vec y = load(layer->y + i);
            if (layer->relu) y = blend(y < 0, VEC_ZERO, y);
            if (layer->dropout_mask)
                y *= load_bytes(layer->dropout_mask + i) * (scalar_t)layer->dropout_scale;
            store_as(bf16, next->x, i, y);
        }
}

/* Panels first to last - 1 of dy back through the epilogue, into d, d_steps and dbias. */
INLINE void epilogue_backward(int bf16, const struct layer *layer, const struct layer *next,
                              long rows, long first, long last) {
    long width = layer->out_padded;
    for (long j = first * LANES; j < last * LANES; j += LANES) {
        vec sum = VEC_ZERO, before = VEC_ZERO;
        for (long n = 0; n < rows; n++) {
            long i = n * width + j;
            vec g = load(layer->dy + i);
            /* A value that was dropped or negative is zero in the next layer's input. */
            if (layer->relu)
                g = blend(load_as(bf16, next->x, i) > 0, g * (scalar_t)layer->dropout_scale,
                          VEC_ZERO);
            sum += g;
            store_as(bf16, layer->d, i, g);
            if (!bf16) continue;
            scalar_t *step = layer->d_steps + n / 2 * width + j;
            if (n % 2) store(step, interleave_bf16(bf16, before, g));
            else if (n + 1 == rows) store(step, interleave_bf16(bf16, g, VEC_ZERO));
            before = g;
        }
        store(layer->dbias + j, sum);
    }
}

/* A thread's columns of a product, panel by panel, each multiplied while it is in the caches; then
 * the epilogue of `layer` into `other`, the next one (FORWARD, or null), or that of `other`, the
 * one before (GRAD_INPUT, or null). */
INLINE void gemm_layer(int bf16, int product, struct shard thread, scalar_t *packed,
                       const struct layer *layer, const struct layer *other, long batch, long rows,
                       long k, struct matrix_a a, scalar_t *c, long c_stride) {
    long last = shard_end(thread, c_stride / LANES), panels;
    for (long panel = shard_begin(thread, c_stride / LANES); panel < last; panel += panels) {
        panels = last - panel < NR_VEC ? last - panel : NR_VEC;
        for (long j = panel * LANES; product == FORWARD && j < (panel + panels) * LANES;
             j += LANES) {
            vec bias = load_partial(layer->bias, j, layer->out);
            for (long n = 0; n < rows; n++) store(c + n * c_stride + j, bias);
        }
        for (long p = 0; p < k; p += KC) {
            long kc = k - p < KC ? k - p : KC;
            pack_b(bf16, product, layer, batch, panel, panels, p, kc, packed);
            struct matrix_a a_block = {a.data + p * a.k_bytes, a.row_bytes, a.k_bytes};
            nnzoo_gemm_packed(bf16, product == FORWARD || p, rows, panels, kc, a_block, packed,
                              kc * LANES, c + panel * LANES, c_stride);
        }
        if (other && product == FORWARD)
            epilogue_forward(bf16, layer, other, batch, panel, panel + panels);
        if (other && product == GRAD_INPUT)
            epilogue_backward(bf16, other, layer, batch, panel, panel + panels);
    }
    barrier(thread);
}

/* A thread's rows of x as the first product reads them. */
INLINE void pack_input(int bf16, const struct linear_args *c, struct shard thread, long member,
                       const struct layer *first) {
    long size = c->x_bf16 ? 2 : sizeof(scalar_t);
    for (long n = shard_begin(thread, c->batch); n < shard_end(thread, c->batch); n++) {
        const char *row = (const char *)c->x + (member * c->batch + n) * first->in * size;
        long to = n * first->in_padded;
        if (c->x_bf16) {
            memcpy(first->x + to * 2, row, first->in * 2);
            memset(first->x + (to + first->in) * 2, 0, (first->in_padded - first->in) * 2);
        } else {
            for (long j = 0; j < first->in_padded; j += LANES)
                store_as(bf16, first->x, to + j, load_partial((const scalar_t *)row, j, first->in));
        }
    }
    barrier(thread);
}

INLINE void forward_member(int bf16, const struct linear_args *c, struct shard thread,
                           scalar_t *packed, long member, const struct layer *layers) {
    long batch = c->batch;
    const struct layer *last = layers + c->layers - 1;
    if (!c->x_packed) pack_input(bf16, c, thread, member, layers);
    for (const struct layer *layer = layers; layer <= last; layer++) {
        long k = num_k_steps(bf16, layer->in_padded);
        gemm_layer(bf16, FORWARD, thread, packed, layer, layer < last ? layer + 1 : 0, batch, batch,
                   k, a_rows(layer->x, k * sizeof(scalar_t)), layer->y, layer->out_padded);
    }
    for (long n = shard_begin(thread, batch); n < shard_end(thread, batch); n++)
        memcpy(c->y + (member * batch + n) * last->out, last->y + n * last->out_padded,
               last->out * sizeof(scalar_t));
}

INLINE void backward_member(int bf16, const struct linear_args *c, struct shard thread,
                            scalar_t *packed, long member, const struct layer *layers) {
    long batch = c->batch, k_batch = num_k_steps(bf16, batch);
    const struct layer *last = layers + c->layers - 1;
    for (long n = shard_begin(thread, batch); n < shard_end(thread, batch); n++)
        for (long j = 0; j < last->out_padded; j += LANES)
            store(last->dy + n * last->out_padded + j,
                  load_partial(c->dy + (member * batch + n) * last->out, j, last->out));
    barrier(thread);
    long panels = last->out_padded / LANES;
    epilogue_backward(bf16, last, 0, batch, shard_begin(thread, panels), shard_end(thread, panels));
    barrier(thread);
    for (const struct layer *layer = last; layer >= layers; layer--) {
        long k_out = num_k_steps(bf16, layer->out_padded);
        gemm_layer(bf16, GRAD_WEIGHT, thread, packed, layer, 0, batch, layer->out, k_batch,
                   a_columns(layer->d_steps, layer->out_padded), layer->dweight, layer->in_padded);
        if (layer->dx)
            gemm_layer(bf16, GRAD_INPUT, thread, packed, layer, layer > layers ? layer - 1 : 0,
                       batch, batch, k_out, a_rows(layer->d, k_out * sizeof(scalar_t)), layer->dx,
                       layer->in_padded);
    }
}

/* The work of one thread of the team. */
INLINE void run_thread(int bf16, int backward, const struct linear_args *c) {
    struct shard thread = current_thread();
    char *memory = backward ? c->scratch : c->workspace;
    scalar_t *packed = thread_panel(memory, thread.index);
    struct layer *layers = thread_layers(c, memory, thread.index);
    long first = 0, last = c->members;
    if (last >= thread.count) {
        first = shard_begin(thread, c->members), last = shard_end(thread, c->members);
        thread = (struct shard){0, 1};
    }
    for (long m = first; m < last; m++) {
        plan_workspace(c, backward, m, layers);
        if (backward) backward_member(bf16, c, thread, packed, m, layers);
        else forward_member(bf16, c, thread, packed, m, layers);
    }
}

/* Write y and workspace. */
NNZOO_API void nnzoo_linear_forward(const struct linear_args *c) {
#pragma omp parallel num_threads((int)c->threads)
    if (c->bf16) run_thread(1, 0, c);
    else run_thread(0, 0, c);
}

/* Write grads and dx from dy and workspace. */
NNZOO_API void nnzoo_linear_backward(const struct linear_args *c) {
#pragma omp parallel num_threads((int)c->threads)
    if (c->bf16) run_thread(1, 1, c);
    else run_thread(0, 1, c);
}
