/* What rows lose, and the gradient of it, in one pass over outputs that are still in the caches.

Rows of several members follow each other; a member's loss is summed over its rows in their order, in
double, so that the number of threads does not change a bit of it. The gradient is that of the sum over
members of loss / total.

The caller (loss.py) has checked: output, gradient and numbers as targets are of REAL, classes int64, all dense, of
the sizes below, and apart from each other; width is at least 1. That a class is one of them is checked here. Nothing
need be aligned beyond a number of its type, and nothing is kept after a call. */

#include "product.h"

enum loss { CROSS_ENTROPY, MSE, MAE, HUBER };

struct call {
    long kind, threads, members, batch, width; /* batch: rows of a member; width: of a row */
    const REAL *output;                        /* (rows, width) */
    const void *target;                        /* (rows) int64, or (rows, width) REAL */
    const REAL *weights;                       /* (width) of the classes, or null */
    double option;                             /* label smoothing, or the delta of Huber's loss */
    const double *totals;                      /* (members) */
    double *losses;                            /* (members) */
    int64_t *right;                            /* (members) how many answers are right */
    REAL *gradient;                            /* (rows, width) */
    double *each;                              /* (rows) for the loss of each */
};

/* The class of a row that does not count, as in torch. */
#define IGNORED (-100)
/* Below so many numbers threads cost more than they save. */
#define SMALL 16384

/* torch.nn.functional.cross_entropy of a row: the target is a class, of which `option` goes to all alike. */
INLINE double cross_entropy(const struct call *c, const REAL *x, long class, double scale, REAL *d) {
    long n = c->width;
    double share = c->option / n, own = (1 - c->option) * (c->weights ? c->weights[class] : 1);
    REAL largest = x[0];
    for (long j = 1; j < n; j++) largest = x[j] > largest ? x[j] : largest;
    vec sums = ZERO;
    for (long j = 0; j < n; j += VL) {
        vec e = exponential(numbers(x, j, n) - largest);
        store_some(d + j, e, n - j);
        for (long i = n - j; i < VL; i++) e[i] = 0;
        sums += e;
    }
    double sum = 0, all = own, loss = -own * x[class];
    for (long i = 0; i < VL; i++) sum += sums[i];
    if (share > 0)
        for (long j = 0; j < n; j++) {
            double part = share * (c->weights ? c->weights[j] : 1);
            all += part, loss -= part * x[j];
        }
    for (long j = 0; j < n; j++) {
        double part = share * (c->weights ? c->weights[j] : 1) + (j == class ? own : 0);
        d[j] = (REAL)((d[j] * (all / sum) - part) * scale);
    }
    return loss + all * (largest + log(sum));
}

/* Those of torch.nn.functional, a row's mean. */
INLINE double distance(const struct call *c, const REAL *x, const REAL *y, double scale, REAL *d) {
    long n = c->width;
    double loss = 0, delta = c->option;
    for (long j = 0; j < n; j++) {
        double by = (double)x[j] - y[j], size = fabs(by), sign = by > 0 ? 1 : by < 0 ? -1 : by;
        if (c->kind == MSE) loss += by * by, by *= 2;
        else if (c->kind == MAE) loss += size, by = sign;
        else if (size <= delta) loss += by * by / 2;
        else loss += delta * (size - delta / 2), by = delta * sign;
        d[j] = (REAL)(by * scale / n);
    }
    return loss / n;
}

/* losses, gradient, and of classes how many are right: the first of the largest outputs is the answer. Gives the
first row whose class is none of 0 to width - 1, nor IGNORED, or -1; then nothing else is meant. */
long losses(const struct call *c) {
    long rows = c->members * c->batch, classes = c->kind == CROSS_ENTROPY;
    const int64_t *class_of = (const int64_t *)c->target;
    for (long i = 0; classes && i < rows; i++)
        if ((class_of[i] < 0 || class_of[i] >= c->width) && class_of[i] != IGNORED) return i;
#pragma omp parallel for num_threads((int)c->threads) if (rows * c->width > SMALL)
    for (long i = 0; i < rows; i++) {
        const REAL *x = c->output + i * c->width;
        REAL *d = c->gradient + i * c->width;
        double scale = 1 / c->totals[i / c->batch];
        if (classes && class_of[i] == IGNORED) {
            memset(d, 0, c->width * sizeof(REAL));
            c->each[i] = 0;
            continue;
        }
        c->each[i] = classes ? cross_entropy(c, x, class_of[i], scale, d)
                             : distance(c, x, (const REAL *)c->target + i * c->width, scale, d);
    }
    for (long m = 0; m < c->members; m++) {
        c->losses[m] = 0, c->right[m] = 0;
        for (long i = m * c->batch; i < (m + 1) * c->batch; i++) {
            c->losses[m] += c->each[i];
            if (c->kind != CROSS_ENTROPY) continue;
            const REAL *x = c->output + i * c->width;
            long class = class_of[i], best = 0;
            for (long j = 1; j < c->width; j++) best = x[j] > x[best] ? j : best;
            c->right[m] += best == class;
        }
    }
    return -1;
}
