/* A language model that writes: it reads a token, and samples the next one from its outputs.
 *
 * A layer is a struct rnn_args of one step of one row, whose first row of z and whose cells keep its
 * state; its weights are packed once. Random numbers are a function of the seed and of how many
 * tokens have been sampled, so that a text does not depend on how many are asked for at once.
 *
 * Contract: see args.h; generate.py has the same sampling for other processors. */

#include "rnn_step.h"

#define GOLDEN_GAMMA 0x9e3779b97f4a7c15u

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* A number from 0 (included) to 1: output `position` of the generator splitmix64, whose start is
 * mixed from the seed. */
static double uniform(long seed, long position) {
    uint64_t start = mix((uint64_t)seed + GOLDEN_GAMMA);
    return (double)(mix(start + GOLDEN_GAMMA * ((uint64_t)position + 1)) >> 11) * 0x1p-53;
}

/* Pack the weights of layers and set their states to zero. */
NNZOO_API void nnzoo_generate_start(long count, const struct rnn_args *layers) {
    for (const struct rnn_args *c = layers; c < layers + count; c++) {
        struct sizes s = sizes_of(c);
        struct buffers b;
        plan_workspace(c, &s, 0, 0, &b);
        for (long panel = 0; panel < s.width / LANES; panel++)
            pack_weights(0, c, &s, 0, panel, b.packed + panel * s.k * LANES);
        memset(b.z, 0, s.row * sizeof(scalar_t));
        if (c->cell_type != RNN) memset(b.cells, 0, s.hidden_padded * sizeof(scalar_t));
    }
}

/* Run the layers for one token; returns the last one's state (hidden). */
static const scalar_t *read_token(const struct generate_args *g, const struct rnn_args *layers,
                                  long id) {
    const scalar_t *x = g->embedding + id * g->size;
    for (long i = 0; i < g->layers; i++) {
        struct rnn_args c = layers[i];
        struct sizes s = sizes_of(&c);
        struct buffers b;
        plan_workspace(&c, &s, 0, 0, &b);
        c.x = x;
        forward_step(0, &c, &s, 0, 0, (struct range){0, 1}, &b);
        scalar_t *state = (scalar_t *)b.z;
        memcpy(state, state + s.row, s.hidden_padded * sizeof(scalar_t));
        x = state;
    }
    return x;
}

static void compute_logits(const struct generate_args *g, const scalar_t *state) {
    long panels = round_up(g->vocabulary) / LANES;
    memcpy(g->logits, g->bias, panels * LANES * sizeof(scalar_t));
    nnzoo_gemm_packed(0, 1, 1, panels, g->hidden, a_rows(state, 0), g->head, g->hidden * LANES,
                      g->logits, panels * LANES);
}

/* Whether token a comes after b: it is less likely, or as likely with a higher id. */
INLINE int is_behind(const scalar_t *logits, int64_t a, int64_t b) {
    return logits[a] < logits[b] || (logits[a] == logits[b] && a > b);
}

/* Put a token in the place of a heap's root, which is the last one in it. */
static void replace_root(const scalar_t *logits, int64_t *heap, long count, int64_t id) {
    long at = 0;
    for (long child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && is_behind(logits, heap[child + 1], heap[child])) child++;
        if (!is_behind(logits, heap[child], id)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = id;
}

/* The last one of the top_k first tokens. */
static int64_t last_candidate(const struct generate_args *g) {
    const scalar_t *logits = g->logits;
    int64_t *heap = g->candidates;
    long count = 0;
    for (long id = 0; id < g->vocabulary; id++) {
        if (id == g->excluded) continue;
        if (count < g->top_k) {
            long at = count++;
            for (; at && is_behind(logits, id, heap[(at - 1) / 2]); at = (at - 1) / 2)
                heap[at] = heap[(at - 1) / 2];
            heap[at] = id;
        } else if (is_behind(logits, heap[0], id)) {
            replace_root(logits, heap, count, id);
        }
    }
    return heap[0];
}

/* A token, or -1 if there is none or an output is not finite. position: of its random number. */
static long sample(const struct generate_args *g, long position) {
    const scalar_t *logits = g->logits;
    long best = -1, chosen = -1;
    for (long id = 0; id < g->vocabulary; id++) {
        if (!isfinite(logits[id])) return -1;
        if (id != g->excluded && (best < 0 || logits[id] > logits[best])) best = id;
    }
    if (best < 0 || g->temperature <= 0) return best;
    int64_t last = g->top_k < g->vocabulary ? last_candidate(g) : -1;
    double sum = 0;
    for (long id = 0; id < g->vocabulary; id++) {
        int is_out = id == g->excluded || (last >= 0 && is_behind(logits, id, last));
        double difference = (double)logits[id] - (double)logits[best];
        g->weights[id] = is_out ? 0 : exp(difference / g->temperature);
        sum += g->weights[id];
    }
    double rest = uniform(g->seed, position) * sum;
    for (long id = 0; id < g->vocabulary; id++) {
        if (g->weights[id] <= 0) continue;
        chosen = id;
        if (rest < g->weights[id]) break;
        rest -= g->weights[id];
    }
    return chosen;
}

/* Read n tokens. Returns 0, or 1 if one is not within the vocabulary: then none is read. */
NNZOO_API long nnzoo_generate_read(const struct generate_args *g, const struct rnn_args *layers,
                                   long n, const int32_t *ids) {
    for (long i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= g->vocabulary) return 1;
    const scalar_t *state = 0;
    for (long i = 0; i < n; i++) state = read_token(g, layers, ids[i]);
    if (state) compute_logits(g, state);
    return 0;
}

/* Sample n tokens and read each. Returns how many: fewer if the outputs are not finite. */
NNZOO_API long nnzoo_generate(const struct generate_args *g, const struct rnn_args *layers, long n,
                              int32_t *ids) {
    for (long i = 0; i < n; i++) {
        long id = sample(g, g->position + i);
        if (id < 0) return i;
        ids[i] = (int32_t)id;
        compute_logits(g, read_token(g, layers, id));
    }
    return n;
}
