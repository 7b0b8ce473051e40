/* Loss and its gradient in one pass over outputs that are still in the caches; formulas of
 * torch.nn.functional.
 *
 * A member's loss is the weighted sum over its rows in their order, in double, so that the number of threads
 * does not change a bit of it. The gradient is that of the sum over members of loss / denominator.
 *
 * Contract: see args.h. Classes are checked here. */

#include "simd.h"

enum loss_name { CROSS_ENTROPY, MSE, MAE, HUBER };

/* Class of a row that does not count, as in torch. */
#define IGNORE_INDEX (-100)
/* With fewer elements threads cost more than they save. */
#define MIN_PARALLEL 16384

/* Cross entropy of a row; `option` of the target's probability goes to all classes alike (label
 * smoothing). */
INLINE double cross_entropy(const struct loss_args *c, const scalar_t *x, long target, double scale,
                            scalar_t *grad) {
    long n = c->width;
    const scalar_t *weights = c->class_weights;
    double smooth = c->option / n;
    double target_weight = (1 - c->option) * (weights ? weights[target] : 1);
    scalar_t max = x[0];
    for (long j = 1; j < n; j++) max = x[j] > max ? x[j] : max;
    vec sums = VEC_ZERO;
    for (long j = 0; j < n; j += LANES) {
        vec e = exp_vec(load_partial(x, j, n) - max);
        store_partial(grad + j, e, n - j);
        for (long i = n - j; i < LANES; i++) e[i] = 0;
        sums += e;
    }
    double sum = 0, total_weight = target_weight, loss = -target_weight * x[target];
    for (long i = 0; i < LANES; i++) sum += sums[i];
    if (smooth > 0)
        for (long j = 0; j < n; j++) {
            double weight = smooth * (weights ? weights[j] : 1);
            total_weight += weight, loss -= weight * x[j];
        }
    for (long j = 0; j < n; j++) {
        double weight = smooth * (weights ? weights[j] : 1) + (j == target ? target_weight : 0);
        grad[j] = (scalar_t)((grad[j] * (total_weight / sum) - weight) * scale);
    }
    return loss + total_weight * (max + log(sum));
}

/* Mean over a row's values of the squared, absolute or Huber error; `option` is the delta of the
 * latter. */
INLINE double regression_loss(const struct loss_args *c, const scalar_t *x, const scalar_t *y,
                              double scale, scalar_t *grad) {
    long n = c->width;
    double loss = 0, delta = c->option;
    for (long j = 0; j < n; j++) {
        double diff = (double)x[j] - y[j], size = fabs(diff);
        double sign = diff > 0 ? 1 : diff < 0 ? -1 : diff; /* nan stays nan */
        if (c->loss == MSE) loss += diff * diff, diff *= 2;
        else if (c->loss == MAE) loss += size, diff = sign;
        else if (size <= delta) loss += diff * diff / 2;
        else loss += delta * (size - delta / 2), diff = delta * sign;
        grad[j] = (scalar_t)(diff * scale / n);
    }
    return loss / n;
}

/* Write losses, grad and, for classes, num_correct (of equal outputs the first is the prediction).
 * A class is 0 to width - 1 or IGNORE_INDEX. */
NNZOO_API void nnzoo_loss(const struct loss_args *c) {
    long rows = c->members * c->batch, classes = c->loss == CROSS_ENTROPY;
    const int64_t *target = (const int64_t *)c->target;
    *c->wrong_row = -1;
    for (long i = 0; classes && i < rows; i++)
        if ((target[i] < 0 || target[i] >= c->width) && target[i] != IGNORE_INDEX) {
            *c->wrong_row = i;
            return;
        }
#pragma omp parallel for num_threads((int)c->threads) if (rows * c->width > MIN_PARALLEL)
    for (long i = 0; i < rows; i++) {
        const scalar_t *x = c->output + i * c->width;
        scalar_t *grad = c->grad + i * c->width;
        double weight = c->row_weights ? c->row_weights[i] : 1;
        double scale = weight / c->denominators[i / c->batch];
        if (classes && target[i] == IGNORE_INDEX) {
            memset(grad, 0, c->width * sizeof(scalar_t));
            c->row_losses[i] = 0;
            continue;
        }
        const scalar_t *y = (const scalar_t *)c->target + i * c->width;
        c->row_losses[i] = weight * (classes ? cross_entropy(c, x, target[i], scale, grad)
                                             : regression_loss(c, x, y, scale, grad));
    }
    for (long m = 0; m < c->members; m++) {
        c->losses[m] = 0, c->num_correct[m] = 0;
        for (long i = m * c->batch; i < (m + 1) * c->batch; i++) {
            c->losses[m] += c->row_losses[i];
            if (!classes) continue;
            const scalar_t *x = c->output + i * c->width;
            long best = 0;
            for (long j = 1; j < c->width; j++) best = x[j] > x[best] ? j : best;
            c->num_correct[m] += best == target[i];
        }
    }
}
