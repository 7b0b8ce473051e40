/* Gradient norms and steps of Adam, over all parameters in one call.
 *
 * The elements of a parameter, those of all members in order, are cut into blocks of one size,
 * which threads share: no result depends on how many threads there are.
 *
 * Contract: see args.h; parameters do not overlap. A parameter whose grad is null is left as it is.
 */

#include "simd.h"

#define BLOCK_SIZE 8192L /* step.py has the same */
#define SQRT(x) (IS_DOUBLE ? sqrt(x) : sqrtf(x))

static long num_blocks(const struct adam_param *p) {
    return p->grad ? (p->size + BLOCK_SIZE - 1) / BLOCK_SIZE : 0;
}

static long total_blocks(const struct adam_param *params, long count, long members) {
    long blocks = 0;
    for (long i = 0; i < count; i++) blocks += members * num_blocks(params + i);
    return blocks;
}

/* A block: elements first to first + count - 1 of a parameter, all of one member. */
struct block {
    const struct adam_param *param;
    long member, first, count;
};

static struct block locate_block(const struct adam_param *p, long members, long index) {
    for (;; p++) {
        long per_member = num_blocks(p);
        if (index < members * per_member) {
            long member = index / per_member, first = index % per_member * BLOCK_SIZE;
            long count = p->size - first < BLOCK_SIZE ? p->size - first : BLOCK_SIZE;
            return (struct block){p, member, member * p->size + first, count};
        }
        index -= members * per_member;
    }
}

/* Write norms, the L2 norm of each member's gradients together. */
NNZOO_API void nnzoo_grad_norms(const struct adam_args *c) {
    long members = c->members, blocks = total_blocks(c->params, c->count, members);
    double *norms = c->norms;
#pragma omp parallel for num_threads((int)c->threads) schedule(static)
    for (long b = 0; b < blocks; b++) {
        struct block block = locate_block(c->params, members, b);
        const scalar_t *g = block.param->grad + block.first;
        vec sum[4] = {VEC_ZERO, VEC_ZERO, VEC_ZERO, VEC_ZERO};
        long i = 0;
        for (; i + 4 * LANES <= block.count; i += 4 * LANES)
            for (int v = 0; v < 4; v++) {
                vec x = load(g + i + v * LANES);
                sum[v] += x * x;
            }
        double square = 0;
        for (; i < block.count; i++) square += (double)g[i] * g[i];
        for (int v = 0; v < 4; v++)
            for (int lane = 0; lane < LANES; lane++) square += sum[v][lane];
        c->squares[b] = square;
    }
    for (long m = 0; m < members; m++) norms[m] = 0;
    for (long b = 0; b < blocks; b++)
        norms[locate_block(c->params, members, b).member] += c->squares[b];
    for (long m = 0; m < members; m++) norms[m] = sqrt(norms[m]);
}

/* The numbers of a step, the same for each element. */
struct coefficients {
    scalar_t one_minus_beta1, beta2, one_minus_beta2, epsilon;
    scalar_t step_size, unbiased, l2, shrink, scale;
};

static struct coefficients coefficients_of(const struct adam_options *o,
                                           const struct adam_param *p, double clip_divisor) {
    double lr = o->lr * p->lr_factor, weight_decay = p->weight_decay;
    long missed_steps = p->missed_steps;
    double correction1 = o->bias_correction1, correction2 = o->bias_correction2;
    if (missed_steps) {
        correction1 = 1 - pow(o->beta1, (double)(o->step - missed_steps));
        correction2 = 1 - pow(o->beta2, (double)(o->step - missed_steps));
    }
    return (struct coefficients){
        .one_minus_beta1 = (scalar_t)(1 - o->beta1),
        .beta2 = (scalar_t)o->beta2,
        .one_minus_beta2 = (scalar_t)(1 - o->beta2),
        .epsilon = (scalar_t)o->epsilon,
        .step_size = (scalar_t)(lr / correction1),
        .unbiased = (scalar_t)(1 / correction2),
        .l2 = o->decoupled ? 0 : (scalar_t)weight_decay,
        .shrink = o->decoupled ? (scalar_t)(1 - lr * weight_decay) : 1,
        .scale = (scalar_t)(1 / clip_divisor),
    };
}

INLINE void step_elements(struct coefficients c, long count, const scalar_t *restrict g,
                          scalar_t *restrict w, scalar_t *restrict m, scalar_t *restrict v) {
    for (long i = 0; i < count; i++) {
        scalar_t x = w[i], d = g[i] * c.scale + c.l2 * x;
        scalar_t mean = m[i] + c.one_minus_beta1 * (d - m[i]);
        scalar_t square = c.beta2 * v[i] + c.one_minus_beta2 * d * d;
        m[i] = mean, v[i] = square;
        w[i] = c.shrink * x - c.step_size * mean / (SQRT(square * c.unbiased) + c.epsilon);
    }
}

/* Take a step of torch.optim.Adam or AdamW. */
NNZOO_API void nnzoo_adam_step(const struct adam_args *c) {
    long blocks = total_blocks(c->params, c->count, c->members);
#pragma omp parallel for num_threads((int)c->threads) schedule(static)
    for (long b = 0; b < blocks; b++) {
        struct block block = locate_block(c->params, c->members, b);
        const struct adam_param *p = block.param;
        double divisor = c->clip_divisors[block.member];
        step_elements(coefficients_of(c->options, p, divisor), block.count, p->grad + block.first,
                      p->weight + block.first, p->exp_avg + block.first,
                      p->exp_avg_sq + block.first);
    }
}

/* Take such a step on some rows (count), all different, of a weight (., width) and its averages;
 * gradients (count, width). */
NNZOO_API void nnzoo_adam_rows(long threads, long count, long width, const int64_t *rows,
                               const struct adam_param *p, double clip_divisor,
                               const struct adam_options *o) {
    const struct coefficients c = coefficients_of(o, p, clip_divisor);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (long i = 0; i < count; i++) {
        long at = rows[i] * width;
        step_elements(c, width, p->grad + i * width, p->weight + at, p->exp_avg + at,
                      p->exp_avg_sq + at);
    }
}
