/* Linear layers in a row, each alone or with relu, or relu and dropout, behind it: all of them in one
call forward and one back.

A thread takes some columns of each product through the whole batch and lays the right matrix of its
columns out itself; after a layer the threads meet. Weights are read as they are and rounded where they
are laid out, gradients of weights come out as REAL: nothing is cast before or after.

Several members, networks of one shape with a batch each, lie behind each other in every buffer. Where
there are enough of them a thread takes whole members, and need not meet the others. */

#include "product.h"
#ifdef _OPENMP
#include <omp.h>
#endif

/* Of one member. rows: those of the batch. `padded` widths are whole vectors; what is behind a width is
zero in x. */
struct layer {
    long in, out, in_padded, out_padded;
    const REAL *weight, *bias; /* (out, in), (out) */
    char *x;                   /* (rows, in_padded) its input, in the product's type */
    REAL *y;                   /* (rows, out_padded) what it gives, before what is behind it */
    long relu;
    const uint8_t *mask; /* (rows, out_padded) ones where a value is kept, or null */
    double factor;       /* by what the kept ones are multiplied */
    REAL *dy;            /* (rows, out_padded) gradient of y, or of what is behind it */
    char *d;             /* (rows, out_padded) gradient of y, in the product's type */
    char *d_turned;      /* (out_padded, units of the batch) the same, by outputs */
    REAL *dweight;       /* (out, in_padded) */
    REAL *dbias;         /* (out_padded) */
    REAL *dx;            /* (rows, in_padded) gradient of x; null where nobody wants it */
};

/* VL numbers of a row from `at` on, zeros from `count` on. */
INLINE vec numbers(const REAL *row, long at, long count) {
    if (at + VL <= count) return load(row + at);
    REAL some[VL];
    for (long i = 0; i < VL; i++) some[i] = at + i < count ? row[at + i] : 0;
    return load(some);
}

/* VL units of a row of numbers, likewise; `at` counts units. */
INLINE vec units(int low, const REAL *row, long at, long count) {
#ifdef __AVX512BF16__
    if (low && !DOUBLE)
        return (vec)_mm512_cvtne2ps_pbh((__m512)numbers(row, 2 * at + VL, count),
                                        (__m512)numbers(row, 2 * at, count));
#endif
    return numbers(row, at, count);
}

/* Lane by lane units of two rows: with `low` pairs of their numbers, else the numbers of the first. */
INLINE vec side_by_side(int low, vec first, vec second) {
#ifdef __AVX512BF16__
    if (low && !DOUBLE) {
        const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9,
                                               24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17,
                                               1, 16, 0);
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
        return (vec)_mm512_permutexvar_epi16(order, both);
    }
#endif
    return first;
}

/* VL vectors of VL units, rows made columns: blocks of 1, 2, 4, … units change places. */
INLINE void turn(vec *r) {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 8
    for (int s = 1; s < VL; s *= 2) {
        bits low, high;
        for (int j = 0; j < VL; j++) {
            low[j] = j & s ? VL + j - s : j;
            high[j] = j & s ? VL + j : j + s;
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++) {
            if (i & s) continue;
            vec a = r[i], b = r[i + s];
            r[i] = __builtin_shuffle(a, b, low);
            r[i + s] = __builtin_shuffle(a, b, high);
        }
    }
#else
    for (int i = 0; i < VL; i++)
        for (int j = i + 1; j < VL; j++) {
            REAL other = r[i][j];
            r[i][j] = r[j][i];
            r[j][i] = other;
        }
#endif
}

INLINE long units_of(int low, long numbers) { return low ? (numbers + 1) / 2 : numbers; }

/* Units of a row of d_turned: those of the batch, as whole vectors. */
INLINE long turned_units(int low, long batch) { return (units_of(low, batch) + VL - 1) / VL * VL; }

/* A layer of another member than the first. */
INLINE struct layer of_member(int low, long batch, long member, struct layer at) {
    long size = low ? 2 : sizeof(REAL), ins = member * batch * at.in_padded;
    long outs = member * batch * at.out_padded;
    at.weight += member * at.out * at.in, at.bias += member * at.out;
    at.x += ins * size, at.y += outs;
    if (at.mask) at.mask += outs;
    /* Those of the way back are null on the way forward. */
    if (at.dx) at.dx += ins;
    if (at.dy) {
        at.dy += outs, at.d += outs * size;
        at.d_turned += member * at.out_padded * turned_units(low, batch) * (long)sizeof(REAL);
        at.dweight += member * at.out * at.in_padded, at.dbias += member * at.out_padded;
    }
    return at;
}

/* Which part of each product is a thread's, and where it lays out right matrices. */
struct share {
    long part, parts;
    REAL *packed;
};

/* Wait for the threads that have the other parts. */
INLINE void meet(struct share own) {
    if (own.parts > 1) {
#pragma omp barrier
    }
}

enum product {
    FORWARD, /* y = x w': units of the inputs */
    BACK,    /* dx = dy w: units of the outputs */
    WEIGHTS  /* dw = dy' x: units of the batch */
};

/* Units p to p + part of a right matrix, of `taken` blocks of columns: (taken, part, VL). */
INLINE void pack_panel(int low, int product, const struct layer *at, long batch, long block, long taken,
                       long p, long part, REAL *to) {
    long per = low ? 2 : 1;
    for (long b = block; b < block + taken; b++, to += part * VL)
        for (long q = 0; q < part; q += product == FORWARD ? VL : 1) {
            if (product == FORWARD) {
                vec r[VL];
                for (long i = 0; i < VL; i++) {
                    long out = b * VL + i;
                    const REAL *row = at->weight + out * at->in;
                    if (out < at->out) __builtin_prefetch(row + (p + q + 2 * VL) * per);
                    r[i] = out < at->out ? units(low, row, p + q, at->in) : ZERO;
                }
                turn(r);
                for (long i = 0; i < VL && q + i < part; i++) store(to + (q + i) * VL, r[i]);
                continue;
            }
            vec row[2] = {ZERO, ZERO};
            for (long i = 0; i < per; i++) {
                long n = (p + q) * per + i;
                if (product == WEIGHTS && n < batch)
                    row[i] = load_as(low, at->x, n * at->in_padded + b * VL);
                if (product == BACK && n < at->out)
                    row[i] = numbers(at->weight + n * at->in, b * VL, at->in);
            }
            store(to + q * VL, side_by_side(low, row[0], row[1]));
        }
}

/* What follows a product, for the outputs of some blocks: into the next layer's x, if there is one. */
INLINE void follow(int low, const struct layer *at, const struct layer *next, long rows, long first,
                   long last) {
    typedef uint8_t bytes __attribute__((vector_size(BYTES / sizeof(REAL)), aligned(1)));
    for (long n = 0; n < rows && next; n++)
        for (long j = first * VL; j < last * VL; j += VL) {
            long i = n * at->out_padded + j;
            vec y = load(at->y + i);
            if (at->relu) y = choose(y < 0, ZERO, y);
            if (at->mask)
                y *= __builtin_convertvector(*(const bytes *)(at->mask + i), vec) * (REAL)at->factor;
            store_as(low, next->x, i, y);
        }
}

/* The gradient of y from that of what is behind it, for the outputs of some blocks, in the forms in
which the products take it; and that of the bias. */
INLINE void unfollow(int low, const struct layer *at, const struct layer *next, long rows, long first,
                     long last) {
    long per = low ? 2 : 1, width = at->out_padded, k = units_of(low, rows);
    long turned_row = turned_units(low, rows);
    for (long j = first * VL; j < last * VL; j += VL) {
        vec sum = ZERO;
        for (long n = 0; n < rows; n++) {
            long i = n * width + j;
            vec g = load(at->dy + i);
            /* What was dropped or below zero is zero. */
            if (at->relu) g = choose(load_as(low, next->x, i) > 0, g * (REAL)at->factor, ZERO);
            store(at->dy + i, g);
            if (low) store_as(low, at->d, i, g);
            sum += g;
        }
        store(at->dbias + j, sum);
        for (long p = 0; p < k; p += VL) {
            vec r[VL];
            for (long i = 0; i < VL; i++) {
                long n = (p + i) * per;
                vec one = n < rows ? load(at->dy + n * width + j) : ZERO;
                vec other = n + 1 < rows ? load(at->dy + (n + 1) * width + j) : ZERO;
                r[i] = side_by_side(low, one, other);
            }
            turn(r);
            for (long i = 0; i < VL; i++)
                store((REAL *)at->d_turned + (j + i) * turned_row + p, r[i]);
        }
    }
}

/* A thread's share of the columns of a product, panel by panel, each multiplied while it is in the
caches, and then what comes after it. */
INLINE void multiply_layer(int low, int product, struct share own, const struct layer *at,
                           const struct layer *other, long batch, long rows, long k, const char *a,
                           long a_row, REAL *c, long c_row) {
    long blocks = c_row / VL, last = blocks * (own.part + 1) / own.parts, taken;
    for (long block = blocks * own.part / own.parts; block < last; block += taken) {
        taken = last - block < VECTORS ? last - block : VECTORS;
        for (long j = block * VL; product == FORWARD && j < (block + taken) * VL; j += VL) {
            vec bias = numbers(at->bias, j, at->out);
            for (long n = 0; n < rows; n++) store(c + n * c_row + j, bias);
        }
        for (long p = 0; p < k; p += PIECE) {
            long piece = k - p < PIECE ? k - p : PIECE;
            pack_panel(low, product, at, batch, block, taken, p, piece, own.packed);
            multiply(low, product == FORWARD || p, rows, taken, piece, a + p * (long)sizeof(REAL), a_row,
                     own.packed, c + block * VL, c_row);
        }
        if (other && product == FORWARD) follow(low, at, other, batch, block, block + taken);
        if (other && product == BACK) unfollow(low, other, at, batch, block, block + taken);
    }
    meet(own);
}

INLINE void forward_layers(int low, struct share own, long batch, const struct layer *layers, long count) {
    for (long l = 0; l < count; l++) {
        const struct layer *at = layers + l;
        long k = units_of(low, at->in_padded);
        multiply_layer(low, FORWARD, own, at, l + 1 < count ? at + 1 : 0, batch, batch, k, at->x,
                       k * sizeof(REAL), at->y, at->out_padded);
    }
}

INLINE void backward_layers(int low, struct share own, long batch, const struct layer *layers, long count) {
    long k_batch = units_of(low, batch), turned_row = turned_units(low, batch) * sizeof(REAL);
    const struct layer *last = layers + count - 1;
    long blocks = last->out_padded / VL;
    unfollow(low, last, 0, batch, blocks * own.part / own.parts, blocks * (own.part + 1) / own.parts);
    meet(own);
    for (long l = count - 1; l >= 0; l--) {
        const struct layer *at = layers + l;
        long k_out = units_of(low, at->out_padded);
        multiply_layer(low, WEIGHTS, own, at, 0, batch, at->out, k_batch, at->d_turned, turned_row,
                       at->dweight, at->in_padded);
        if (at->dx)
            multiply_layer(low, BACK, own, at, l ? at - 1 : 0, batch, batch, k_out,
                           low ? at->d : (char *)at->dy, k_out * sizeof(REAL), at->dx, at->in_padded);
    }
}

/* What one thread does of all members, forward or back. */
INLINE void share_layers(int low, int back, long members, long batch, const struct layer *layers, long count,
                         REAL *packed) {
    struct share own = {0, 1, packed};
    long first = 0, last = members;
#ifdef _OPENMP
    long part = omp_get_thread_num(), parts = omp_get_num_threads();
    own.packed += part * VECTORS * PIECE * VL;
    if (members >= parts) first = members * part / parts, last = members * (part + 1) / parts;
    else own.part = part, own.parts = parts;
#endif
    for (long m = first; m < last; m++) {
        struct layer its[count];
        for (long l = 0; l < count; l++) its[l] = of_member(low, batch, m, layers[l]);
        if (back) backward_layers(low, own, batch, its, count);
        else forward_layers(low, own, batch, its, count);
    }
}

/* y of all layers, and x of all but the first; batch is that of a member. packed: a panel of a right
matrix a thread, `panel_size` numbers each. */
void dense_forward(int low, int threads, long members, long batch, const struct layer *layers, long count,
                   REAL *packed) {
#pragma omp parallel num_threads(threads)
    if (low) share_layers(1, 0, members, batch, layers, count, packed);
    else share_layers(0, 0, members, batch, layers, count, packed);
}

/* dweight and dbias of all layers, and the first one's dx, from the last one's dy. The dx of a layer
is the dy of the one before it. */
void dense_backward(int low, int threads, long members, long batch, const struct layer *layers, long count,
                    REAL *packed) {
#pragma omp parallel num_threads(threads)
    if (low) share_layers(1, 1, members, batch, layers, count, packed);
    else share_layers(0, 1, members, batch, layers, count, packed);
}

long panel_size(void) { return VECTORS * PIECE * VL; }
