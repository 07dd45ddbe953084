/* A strip by overlap-save: tiles of the planes, transformed, times the spectra of the weights, and back.
 *
 * Two tiles are the real and the imaginary part of one complex array. The weights are real, so the product with their
 * spectrum is, transformed back, the sums of both tiles, again as real and imaginary part. Nothing has to be put in
 * order in between: forward passes leave the frequencies in the order of their digits reversed, the spectra have that
 * order too, and backward passes begin with it. */
#ifndef CONVCLI_TRANSFORM_H
#define CONVCLI_TRANSFORM_H

#include <stdint.h>

/* Columns of a tile whose spectrum is kept together, whatever the vectors of the processor; sizes are multiples. */
#define SPECTRUM 16

typedef struct {
    int is_double;                                    /* type of all values */
    int64_t rows, columns;                            /* of a tile: 2^a or 3 * 2^a, multiples of SPECTRUM */
    int64_t down, across;                             /* sums of a tile */
    int64_t lanes, depth, channels, inputs, maps, groups;
    int64_t is_exact;                                 /* whether sums are rounded to integers */
    const char *row_roots, *column_roots;             /* factors of the passes, see engine/transform.py */
    const char *spectra;                              /* (depth, inputs, maps, columns / 16, rows, 2, 16) */
    const char *planes;                               /* (depth, channels, rows, columns x lanes) */
    char *sums;                                       /* (maps, rows, columns x lanes) */
    int64_t plane_strides[3], sum_strides[2];         /* in values; columns follow each other */
    int64_t height, width;                            /* of the sums; width in columns */
} Tiles;

/* Bytes of scratch. */
int64_t tiles_scratch(const Tiles *tiles);

#endif
