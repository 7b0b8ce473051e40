/* Rows of a CSV to numbers: decimal numbers and known categories of the columns that a network reads.
 *
 * Rows are cut as by Python's reader of CSV, each on one line. Cells of other forms are listed for Python to read; if
 * a line has another form, nothing is read. */

#include "args.h"
#include "simd.h"

#include <stdlib.h>

#define EXACT_DIGITS 15 /* of which a double holds any */
#define MAX_WHOLE 18    /* digits of a whole number */
#define MAX_POWER 22    /* the largest power of ten that a double holds exactly */
#define MAX_NUMBER 64   /* bytes */
#define HUGE_NUMBER 1e30

static const double POWERS[MAX_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                             1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                             1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static inline int is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

/* The number in [at, end), which is a decimal one; NAN in a locale that writes it otherwise. */
static double convert(const uint8_t *at, const uint8_t *end) {
    char text[MAX_NUMBER + 1], *stop;
    memcpy(text, at, end - at);
    text[end - at] = 0;
    double number = strtod(text, &stop);
    return *stop ? NAN : number;
}

/* Read a decimal number that fills [begin, end), to the nearest double. Returns 1; 0 if it is none or is beyond 1e30;
 * -1 for whole numbers of very many digits, which pandas reads in one of several ways. */
static int read_decimal(const uint8_t *begin, const uint8_t *end, double *value) {
    const uint8_t *at = begin;
    int negative = at < end && *at == '-', digits = 0, decimals = 0, point = 0, exponent = 0;
    if (end - begin > MAX_NUMBER) return 0;
    if (at < end && (*at == '-' || *at == '+')) at++;
    uint64_t exact = 0;
    for (; at < end; at++) {
        if (*at == '.' && !point) {
            point = 1;
            continue;
        }
        if (!is_digit(*at)) break;
        if (++digits <= EXACT_DIGITS) exact = exact * 10 + (*at - '0'), decimals += point;
    }
    if (!digits) return 0;
    if (at == end && !point && digits > MAX_WHOLE) return -1;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        int below = at < end && *at == '-', count = 0;
        if (at < end && (*at == '-' || *at == '+')) at++;
        for (; at < end && is_digit(*at) && count < 4; at++, count++)
            exponent = exponent * 10 + (*at - '0');
        if (!count) return 0;
        if (below) exponent = -exponent;
    }
    if (at != end) return 0;
    exponent -= decimals;
    if (digits > EXACT_DIGITS || exponent > MAX_POWER || exponent < -MAX_POWER)
        *value = convert(begin, end);
    else {
        double number = (double)exact;
        number = exponent < 0 ? number / POWERS[-exponent] : number * POWERS[exponent];
        *value = negative ? -number : number;
    }
    return fabs(*value) <= HUGE_NUMBER;
}

/* The code of a category; -1 if it is not among those of the column. */
static long find_category(const struct rows_args *args, const struct rows_column *column,
                          const uint8_t *text, long length) {
    long first = column->first, last = column->last;
    while (first < last) {
        long middle = (first + last) / 2, begin = args->starts[middle];
        long other = args->starts[middle + 1] - begin, both = length < other ? length : other;
        int order = memcmp(text, args->texts + begin, both);
        if (!order && length == other) return args->codes[middle];
        if (order > 0 || (!order && length > other)) first = middle + 1;
        else last = middle;
    }
    return -1;
}

/* Read all rows of a text; returns their number, or -1 if a line is not a plain row of the table, there are more
 * than `max_open` open cells or more than `max_rows` rows. */
NNZOO_API long nnzoo_read_rows(const struct rows_args *args) {
    const struct rows_column *columns = (const struct rows_column *)(args + 1);
    const uint8_t *text = args->text, *end = text + args->length, *at = text;
    uint8_t delimiter = (uint8_t)args->delimiter;
    long row = 0, open = 0;
    for (; at < end; row++) {
        if (row == args->max_rows) return -1;
        long field = 0, present = 0, next = 0, is_edge_empty = 0;
        for (int is_last = 0; !is_last; field++) {
            while (at < end && *at == ' ') at++;
            const uint8_t *begin = at, *stop;
            if (at < end && *at == '"') {
                begin = ++at;
                while (at < end && *at != '"' && *at != '\n' && *at != '\r') at++;
                if (at == end || *at != '"') return -1;
                stop = at++;
                if (at < end && *at != delimiter && *at != '\n' && *at != '\r') return -1;
            } else {
                while (at < end && *at != delimiter && *at != '\n' && *at != '\r') at++;
                stop = at;
            }
            if (stop - begin > args->max_value) return -1;
            is_last = at == end || *at != delimiter;
            if (stop == begin && (!field || is_last)) is_edge_empty = 1;
            present += stop > begin && *begin > ' ' && *begin < 0x7f;
            while (next < args->columns && columns[next].field == field) {
                const struct rows_column *column = &columns[next++];
                double *value = args->values + row * args->columns + column->place;
                *value = column->is_category ? -1 : NAN;
                if (stop == begin) continue;
                if (column->is_category) {
                    long code = find_category(args, column, begin, stop - begin);
                    *value = (double)code;
                    if (code >= 0) continue;
                } else {
                    int read = read_decimal(begin, stop, value);
                    if (read < 0) return -1;
                    if (read) continue;
                    *value = NAN;
                }
                if (open == args->max_open) return -1;
                int64_t *cell = args->open + 4 * open++;
                cell[0] = column->place, cell[1] = row, cell[2] = begin - text, cell[3] = stop - text;
            }
            if (!is_last) at++;
        }
        /* A row with more than half of its values is one, whatever its ends. */
        if (field != args->width || (is_edge_empty && 2 * present <= field)) return -1;
        if (at < end && *at == '\r') at++;
        if (at == end ? at[-1] == '\r' : *at != '\n') return -1;
        at += at < end;
    }
    *args->num_open = open;
    return row;
}
