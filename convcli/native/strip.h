/* One strip of a convolution: what to load, which sums to take, and how they become results.
 *
 * A strip is computed in bands of rows that fit the second-level cache: load a band's input, border included, into
 * planes; take the sums; finish them into the result. Within a plane, rows follow each other without a gap, so that
 * every tap reads the planes at a fixed distance from the output's position. Sums are taken row by row, or, for several
 * maps together and for short rows, over all outputs of a band as one line; then the few positions between the rows are
 * computed too, and left out when the sums are finished. */
#ifndef CONVCLI_STRIP_H
#define CONVCLI_STRIP_H

#include <stdint.h>

#include "transform.h"

/* Types of pixels, sums and results. Sums that wrap around are computed in unsigned types. */
typedef enum { U8, I8, U16, I16, U32, I32, I64, F32, F64, UNKNOWN } Type;

/* Bytes behind every buffer that vectors may read or write beyond what is used. */
#define SLACK 1024

#define LINE 64    /* bytes of a cache line */
#define PIECE 1536  /* values at a time, which stay in the first-level cache */

/* An array as Python passed it: at most five axes, strides in bytes. */
typedef struct {
    char *data;
    Type type;
    int64_t shape[5], strides[5];
} Array;

/* A tap: a plane, and how far the value it reads lies from the output's position, in rows and in values. */
typedef struct {
    int64_t plane, row, column;
} Tap;

/* Maps that read the same taps: 1, 4 or 8 are computed together, of which the last ones may not be `used`. The weights
 * of a map follow each other, and those of the next are `apart` further. */
typedef struct {
    int64_t first, maps, used, tap, taps, weight, apart;
} Block;

/* The weights of a block. */
typedef struct {
    int64_t taps, used, apart;
} WeightRows;

/* How the sums of one map become results; see `finish.inc`. */
typedef struct {
    double is_double, gain, offset, divisor, factor, magnitude, low, high, rounds;
    double is_short, half, multiplier, shift; /* the same in integers of 16 bits, where those suffice */
} Finish;

/* DIRECT: blocks of any taps. ROWS: maps that read one plane each, with a full window: the same number of taps in
 * every row of the kernel, one row below the other. SEPARABLE: pairs of blocks, down the columns and along the rows.
 * BOX: equal weights. */
typedef enum { DIRECT, ROWS, SEPARABLE, BOX } Kind;

typedef struct {
    /* The method. */
    Kind kind;
    Type work;
    int64_t lanes, depth, channels, phases;      /* planes: depth x channels x phases of the columns x of the rows */
    int64_t stride, extent;                      /* of the rows */
    int64_t columns;                             /* columns of a plane */
    const Tap *taps;
    const Block *blocks;
    int64_t block_count, maps;
    const char *weights;
    int64_t kernel_rows, row_taps;               /* of ROWS and BOX: rows of the kernel, and taps of each */
    int64_t apart;                               /* columns between the taps of a BOX */

    /* The source: (depth, rows, columns, channels, lanes). */
    Array source;
    const int64_t *row_table, *depth_table;      /* source rows of plane rows, or -1 for the constant */
    const int64_t *column_runs;                  /* per phase: first plane column, count, first source column, step */
    const int64_t *edges;                        /* (phase, plane column, source column or -1) */
    int64_t edge_count;
    const char *constants;                       /* one per lane, in the type of the sums */

    /* The result: (maps, rows, columns, lanes). */
    Array result;
    const Finish *finishes;                      /* one per map; NULL where the sums are the results */
} Strip;

/* Rows of columns of lanes in memory; steps in bytes. */
typedef struct {
    const char *data;
    int64_t row_step, step, lane_step, rows, count;
} Block2D;

/* The filters of PNG rows, by their numbers in a file. */
enum { UNFILTERED, SUB, UP, AVERAGE, PAETH };

/* The functions that exist once for each instruction set. */
typedef struct {
    const char *name;
    void (*load)(const Block2D *, Type from, Type to, int64_t lanes, char *target, int64_t pitch);
    void (*sums)(Type, const char *planes, const int64_t *offsets, const char *weights, const WeightRows *,
                 int64_t maps, int64_t count, char *out, int64_t apart);
    void (*row_sums)(Type, const char *planes, int64_t pitch, const int64_t *offsets, const char *weights, int64_t row,
                     int64_t height, int64_t count, int64_t width, char *out, int64_t apart);
    void (*move)(Type from, Type to, const char *entering, const char *leaving, int64_t count, char *sums);
    void (*box)(Type, const char *in, int64_t size, int64_t step, int64_t count, char *out, char *scratch);
    void (*scale)(Type, char *values, const char *weight, int64_t count);
    void (*finish)(Type from, const char *sums, int64_t count, Type to, char *out, const Finish *);
    void (*tiles)(const Tiles *, void *scratch);
    void (*unfilter)(const uint8_t *filtered, const uint8_t *above, int64_t rows, int64_t width, int64_t each,
                     uint8_t *out);
} Kernels;

extern const Kernels kernels_base, kernels_avx2, kernels_avx512;

/* Bytes of a value. */
static inline int64_t size_of(Type type)
{
    static const int64_t sizes[] = {1, 1, 2, 2, 4, 4, 8, 4, 8};
    return sizes[type];
}

/* How a strip is divided into tasks, which several threads may compute: bands of rows, and where there are fewer of
 * them than threads, a part of the blocks each. */
typedef struct {
    int64_t rows, parts, tasks;
} Division;

Division divided(const Strip *strip, int64_t threads);

/* Bytes of scratch that a thread needs for tasks of a division. */
int64_t scratch_needed(const Strip *strip, const Division *division);

/* Computes tasks until `next`, which threads share, has passed the last one; scratch is aligned to a cache line. */
void compute(const Strip *strip, const Kernels *kernels, const Division *division, int64_t *next, char *scratch);

#endif
