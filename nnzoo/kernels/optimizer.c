/* Norms of gradients and steps of Adam, over all parameters in one call.

A parameter's numbers, those of all members behind each other, are cut into blocks of the same size,
which threads share: no number depends on how many there are.

The caller (optimizer.py) has checked: a parameter's weight, gradient and averages are dense, of REAL, of
members * size numbers, and apart from those of all others. A parameter whose gradient is null has none in this
step, and stays as it is. No buffer need be aligned beyond a REAL; nothing is kept after a call. */

#include "product.h"

#define BLOCK 8192L /* optimizer.py reckons with it */
#define ROOT(x) (DOUBLE ? sqrt(x) : sqrtf(x))

/* One parameter of all members. */
struct parameter {
    long size; /* numbers of a member */
    REAL *weight;
    const REAL *gradient; /* or null */
    REAL *mean, *square; /* Adam's averages of the gradient and of its square */
    double decay;
    long missed; /* in how many of the steps before it had no gradient */
};

struct adam {
    double rate, beta1, beta2, epsilon, correction1, correction2; /* corrections: 1 - beta^step */
    long decoupled, step;                                         /* AdamW's weight decay; from 1 */
};

static long blocks_of(const struct parameter *p) { return p->gradient ? (p->size + BLOCK - 1) / BLOCK : 0; }

/* Which parameter and where in it the block begins. */
struct place {
    const struct parameter *parameter;
    long member, first, count;
};

static struct place find(const struct parameter *p, long members, long block) {
    for (;; p++) {
        long own = blocks_of(p);
        if (block < members * own) {
            long member = block / own, first = block % own * BLOCK;
            return (struct place){p, member, member * p->size + first,
                                  p->size - first < BLOCK ? p->size - first : BLOCK};
        }
        block -= members * own;
    }
}

/* How many blocks all parameters have that have a gradient. */
static long all_blocks(const struct parameter *p, long count, long members) {
    long blocks = 0;
    for (long i = 0; i < count; i++) blocks += members * blocks_of(p + i);
    return blocks;
}

/* The norm of each member's gradients together; `squares`: memory for all blocks. */
void norms(long threads, long members, long count, const struct parameter *parameters, double *squares,
           double *found) {
    long blocks = all_blocks(parameters, count, members);
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (long b = 0; b < blocks; b++) {
        struct place at = find(parameters, members, b);
        const REAL *g = at.parameter->gradient + at.first;
        vec sum[4] = {ZERO, ZERO, ZERO, ZERO};
        long i = 0;
        for (; i + 4 * VL <= at.count; i += 4 * VL)
            for (int v = 0; v < 4; v++) {
                vec x = load(g + i + v * VL);
                sum[v] += x * x;
            }
        double square = 0;
        for (; i < at.count; i++) square += (double)g[i] * g[i];
        for (int v = 0; v < 4; v++)
            for (int lane = 0; lane < VL; lane++) square += sum[v][lane];
        squares[b] = square;
    }
    for (long m = 0; m < members; m++) found[m] = 0;
    for (long b = 0; b < blocks; b++) found[find(parameters, members, b).member] += squares[b];
    for (long m = 0; m < members; m++) found[m] = sqrt(found[m]);
}

/* A step of torch.optim.Adam or AdamW for all members; gradients are divided by their member's `scales`. */
void adam(long threads, long members, long count, const struct parameter *parameters,
          const double *scales, const struct adam *o) {
    long blocks = all_blocks(parameters, count, members);
    REAL keep = (REAL)(1 - o->beta1), beta2 = (REAL)o->beta2, fresh = (REAL)(1 - o->beta2);
    REAL epsilon = (REAL)o->epsilon;
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (long b = 0; b < blocks; b++) {
        struct place at = find(parameters, members, b);
        const struct parameter *p = at.parameter;
        double correction1 = o->correction1, correction2 = o->correction2;
        if (p->missed) {
            correction1 = 1 - pow(o->beta1, (double)(o->step - p->missed));
            correction2 = 1 - pow(o->beta2, (double)(o->step - p->missed));
        }
        REAL size = (REAL)(o->rate / correction1), unbiased = (REAL)(1 / correction2);
        REAL coupled = o->decoupled ? 0 : (REAL)p->decay;
        REAL shrink = o->decoupled ? (REAL)(1 - o->rate * p->decay) : 1;
        REAL scale = (REAL)(1 / scales[at.member]);
        REAL *restrict w = p->weight + at.first, *restrict m = p->mean + at.first;
        REAL *restrict v = p->square + at.first;
        const REAL *restrict g = p->gradient + at.first;
        for (long i = 0; i < at.count; i++) {
            REAL x = w[i], d = g[i] * scale + coupled * x;
            REAL mean = m[i] + keep * (d - m[i]);
            REAL square = beta2 * v[i] + fresh * d * d;
            m[i] = mean, v[i] = square;
            w[i] = shrink * x - size * mean / (ROOT(square * unbiased) + epsilon);
        }
    }
}
