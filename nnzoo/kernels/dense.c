/* Linear layers in a row, each alone or with relu, or relu and dropout, behind it: all of them in one
call forward and one back.

A thread takes some columns of each product through the whole batch and lays the right matrix of its
columns out itself; after a layer the threads meet. Weights are read as they are and rounded where they
are laid out, gradients of weights come out as REAL: nothing is cast before or after.

Several members, networks of one shape with a batch each, lie behind each other in every buffer. Where
there are enough of them a thread takes whole members, and need not meet the others.

The caller (dense.py) has checked: all buffers are of REAL, x of REAL or, with x_low, of bfloat16, dense, of the
sizes below, and apart from each other; every size is at least 1, but that a batch may be of no rows. No buffer need
be aligned beyond a REAL, `work` and `back` beyond a pointer. The team may have fewer than `threads` threads.
Nothing is kept after a call: the way back reads the same `work`, wherever it has come to lie. */

#include "product.h"

/* What is given of a layer, of the first member. */
struct given {
    long in, out;
    const REAL *weight, *bias; /* (out, in), (out) */
    long relu;
    const uint8_t *mask; /* (rows, out_padded) ones where a value is kept, or null */
    double factor;       /* by what the kept ones are multiplied */
};

/* What is given of a call. */
struct call {
    long low, threads, members, batch, count; /* batch: rows of a member; count: of layers */
    const void *x;    /* (rows, in) */
    long x_low, as_is; /* whether x is bfloat16; whether it has the layout of the first layer's x */
    char *work, *back; /* memory of a call: kept from forward on and then only read, and of the way back */
    REAL *y;          /* (rows, out) of the last layer */
    const REAL *dy;   /* (rows, out) gradient of it */
    REAL *gradients;  /* of each layer dweight of all members, then dbias */
    REAL *dx;         /* (rows, in_padded) gradient of x; null where nobody wants it */
};

/* A layer of one member, with its buffers. rows: those of the batch. `padded` widths are whole vectors;
what is behind a width is zero in x. */
struct layer {
    long in, out, in_padded, out_padded;
    const REAL *weight, *bias;
    char *x;                   /* (rows, in_padded) its input, in the product's type */
    REAL *y;                   /* (rows, out_padded) what it gives, before what is behind it */
    long relu;
    const uint8_t *mask;
    double factor;
    REAL *dy;            /* (rows, out_padded) gradient of y, or of what is behind it */
    char *d;             /* (rows, out_padded) gradient of y, in the product's type */
    REAL *d_units;       /* (units of the batch, out_padded) the same, as units */
    REAL *dweight;       /* (out, in_padded) */
    REAL *dbias;         /* (out_padded) */
    REAL *dx;            /* (rows, in_padded) gradient of x; null where nobody wants it */
};

/* At the front of `work`, and of `back`, each thread has a panel of a right matrix, and the layers of the member
that it is at. */
#define PANEL (VECTORS * PIECE * VL)

INLINE long front(const struct call *c) {
    return (c->threads * (PANEL * (long)sizeof(REAL) + c->count * (long)sizeof(struct layer)) + 63) / 64 * 64;
}

INLINE REAL *panel_of(char *memory, long thread) { return (REAL *)memory + thread * PANEL; }

INLINE struct layer *layers_of(const struct call *c, char *memory, long thread) {
    return (struct layer *)panel_of(memory, c->threads) + thread * c->count;
}

/* The layers of a member, what the way back needs only where it is asked for, into `layers` unless it is null; gives
the end of that memory, else of `work`. */
static char *lay_out(const struct call *c, const struct given *given, int back, long member, struct layer *layers) {
    long size = c->low ? 2 : sizeof(REAL), batch = c->batch;
    char *work = c->work + front(c), *later = c->back + front(c);
    REAL *gradient = c->gradients, *dx = c->dx ? c->dx + member * batch * whole(given->in) : 0;
    for (long l = 0; l < c->count; l++, given++) {
        struct layer at = {.in = given->in, .out = given->out, .in_padded = whole(given->in),
                           .out_padded = whole(given->out)};
        long ins = batch * at.in_padded, outs = batch * at.out_padded, weights = at.out * at.in_padded;
        at.weight = given->weight + member * at.out * at.in, at.bias = given->bias + member * at.out;
        at.relu = given->relu, at.factor = given->factor;
        at.mask = given->mask ? given->mask + member * outs : 0;
        at.x = l || !c->as_is ? take(&work, c->members, member, ins * size)
                              : (char *)c->x + member * ins * size;
        at.y = (REAL *)take(&work, c->members, member, outs * sizeof(REAL));
        if (back) {
            at.dy = (REAL *)take(&later, c->members, member, outs * sizeof(REAL));
            at.d = c->low ? take(&later, c->members, member, outs * size) : (char *)at.dy;
            long numbers = at.out_padded * units_of(c->low, batch);
            at.d_units = c->low ? (REAL *)take(&later, c->members, member, numbers * sizeof(REAL)) : at.dy;
            at.dx = dx, dx = at.dy;
            at.dweight = gradient + member * weights, gradient += c->members * weights;
            at.dbias = gradient + member * at.out_padded, gradient += c->members * at.out_padded;
        }
        if (layers) layers[l] = at;
    }
    return back ? later : work;
}

/* How many bytes a call takes of `work`, or of `back`. */
long dense_work(const struct call *c, const struct given *given, int back) {
    return lay_out(c, given, back, 0, 0) - (back ? c->back : c->work);
}

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
    long width = at->out_padded;
    for (long j = first * VL; j < last * VL; j += VL) {
        vec sum = ZERO, before = ZERO;
        for (long n = 0; n < rows; n++) {
            long i = n * width + j;
            vec g = load(at->dy + i);
            /* What was dropped or below zero is zero. */
            if (at->relu) g = choose(load_as(low, next->x, i) > 0, g * (REAL)at->factor, ZERO);
            sum += g;
            store_as(low, at->d, i, g);
            if (!low) continue;
            if (n % 2) store(at->d_units + n / 2 * width + j, side_by_side(low, before, g));
            else if (n + 1 == rows) store(at->d_units + n / 2 * width + j, side_by_side(low, g, ZERO));
            before = g;
        }
        store(at->dbias + j, sum);
    }
}

/* A thread's share of the columns of a product, panel by panel, each multiplied while it is in the
caches, and then what comes after it. */
INLINE void multiply_layer(int low, int product, struct share own, REAL *packed, const struct layer *at,
                           const struct layer *other, long batch, long rows, long k, struct left a,
                           REAL *c, long c_row) {
    long blocks = c_row / VL, last = blocks * (own.part + 1) / own.parts, taken;
    for (long block = blocks * own.part / own.parts; block < last; block += taken) {
        taken = last - block < VECTORS ? last - block : VECTORS;
        for (long j = block * VL; product == FORWARD && j < (block + taken) * VL; j += VL) {
            vec bias = numbers(at->bias, j, at->out);
            for (long n = 0; n < rows; n++) store(c + n * c_row + j, bias);
        }
        for (long p = 0; p < k; p += PIECE) {
            long piece = k - p < PIECE ? k - p : PIECE;
            pack_panel(low, product, at, batch, block, taken, p, piece, packed);
            struct left from = {a.at + p * a.unit, a.row, a.unit};
            multiply(low, product == FORWARD || p, rows, taken, piece, from, packed, piece * VL,
                     c + block * VL, c_row);
        }
        if (other && product == FORWARD) follow(low, at, other, batch, block, block + taken);
        if (other && product == BACK) unfollow(low, other, at, batch, block, block + taken);
    }
    meet(own);
}

/* A thread's share of x as the first layer takes it. */
INLINE void take_x(int low, const struct call *c, struct share own, long member, const struct layer *at) {
    long size = c->x_low ? 2 : sizeof(REAL);
    for (long n = c->batch * own.part / own.parts; n < c->batch * (own.part + 1) / own.parts; n++) {
        const char *row = (const char *)c->x + (member * c->batch + n) * at->in * size;
        if (c->x_low) {
            memcpy(at->x + n * at->in_padded * 2, row, at->in * 2);
            memset(at->x + (n * at->in_padded + at->in) * 2, 0, (at->in_padded - at->in) * 2);
        } else {
            for (long j = 0; j < at->in_padded; j += VL)
                store_as(low, at->x, n * at->in_padded + j, numbers((const REAL *)row, j, at->in));
        }
    }
    meet(own);
}

INLINE void forward_layers(int low, const struct call *c, struct share own, REAL *packed, long member,
                           const struct layer *layers) {
    long batch = c->batch;
    const struct layer *last = layers + c->count - 1;
    if (!c->as_is) take_x(low, c, own, member, layers);
    for (const struct layer *at = layers; at <= last; at++) {
        long k = units_of(low, at->in_padded);
        multiply_layer(low, FORWARD, own, packed, at, at < last ? at + 1 : 0, batch, batch, k,
                       by_row(at->x, k * sizeof(REAL)), at->y, at->out_padded);
    }
    for (long n = batch * own.part / own.parts; n < batch * (own.part + 1) / own.parts; n++)
        memcpy(c->y + (member * batch + n) * last->out, last->y + n * last->out_padded,
               last->out * sizeof(REAL));
}

INLINE void backward_layers(int low, const struct call *c, struct share own, REAL *packed, long member,
                            const struct layer *layers) {
    long batch = c->batch;
    long k_batch = units_of(low, batch);
    const struct layer *last = layers + c->count - 1;
    for (long n = batch * own.part / own.parts; n < batch * (own.part + 1) / own.parts; n++)
        for (long j = 0; j < last->out_padded; j += VL)
            store(last->dy + n * last->out_padded + j,
                  numbers(c->dy + (member * batch + n) * last->out, j, last->out));
    meet(own);
    long blocks = last->out_padded / VL;
    unfollow(low, last, 0, batch, blocks * own.part / own.parts, blocks * (own.part + 1) / own.parts);
    meet(own);
    for (const struct layer *at = last; at >= layers; at--) {
        long k_out = units_of(low, at->out_padded);
        multiply_layer(low, WEIGHTS, own, packed, at, 0, batch, at->out, k_batch,
                       by_column(at->d_units, at->out_padded), at->dweight, at->in_padded);
        if (at->dx)
            multiply_layer(low, BACK, own, packed, at, at > layers ? at - 1 : 0, batch, batch, k_out,
                           by_row(at->d, k_out * sizeof(REAL)), at->dx, at->in_padded);
    }
}

/* What one thread does of all members, forward or back. */
INLINE void share_layers(int low, int back, const struct call *c, const struct given *given) {
    struct share own = own_share();
    char *memory = back ? c->back : c->work;
    REAL *packed = panel_of(memory, own.part);
    struct layer *layers = layers_of(c, memory, own.part);
    long first = 0, last = c->members;
    if (last >= own.parts) {
        first = last * own.part / own.parts, last = last * (own.part + 1) / own.parts;
        own = (struct share){0, 1};
    }
    for (long m = first; m < last; m++) {
        lay_out(c, given, back, m, layers);
        if (back) backward_layers(low, c, own, packed, m, layers);
        else forward_layers(low, c, own, packed, m, layers);
    }
}

/* y, and in `work` what the way back needs. */
void dense_forward(const struct call *c, const struct given *given) {
#pragma omp parallel num_threads((int)c->threads)
    if (c->low) share_layers(1, 0, c, given);
    else share_layers(0, 0, c, given);
}

/* The gradients of all weights, and dx. */
void dense_backward(const struct call *c, const struct given *given) {
#pragma omp parallel num_threads((int)c->threads)
    if (c->low) share_layers(1, 1, c, given);
    else share_layers(0, 1, c, given);
}
