/* A strip in bands: where everything lies, and in which order it is computed. */
#include "strip.h"

#include <string.h>

#define CACHE (512 * 1024) /* bytes of a band, below the second-level cache of today's processors */
#define LEAST_ROWS 8       /* of a band, whatever it takes: fewer would load the rows of tall kernels too often */

/* The memory of a band: planes, sums, and what is between them; sizes in values unless they say otherwise. */
typedef struct {
    int64_t rows, pitch;                /* rows of a full band, values of a plane's row */
    int64_t sums_pitch;                 /* values from one row of sums to the next */
    int64_t plane_rows, plane, planes;  /* rows of a plane for each phase of the rows; values of a plane; planes */
    int64_t map, middle;                /* values of a map's sums, and of each buffer between two steps */
    int64_t planes_at, middle_at, sums_at, row_at, offsets_at, bytes; /* places in the scratch, in bytes */
    char *scratch;
} Band;

static int64_t rounded_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

/* Takes `bytes` of the scratch, aligned to a cache line, and returns their place. */
static int64_t taken(Band *band, int64_t bytes)
{
    const int64_t place = band->bytes;
    band->bytes += rounded_up(bytes, LINE);
    return place;
}

static int64_t tap_count(const Strip *strip)
{
    int64_t most = 0;
    for (int64_t i = 0; i < strip->block_count; i++)
        if (strip->blocks[i].tap + strip->blocks[i].taps > most) most = strip->blocks[i].tap + strip->blocks[i].taps;
    return most;
}

/* Maps that blocks write, unused ones included. */
static int64_t map_count(const Strip *strip)
{
    int64_t most = strip->maps;
    for (int64_t i = 0; i < strip->block_count; i++)
        if (strip->blocks[i].first + strip->blocks[i].maps > most) most = strip->blocks[i].first + strip->blocks[i].maps;
    return most;
}

#define WIDE_ROW 512 /* bytes of a row of sums that is worth a loop of its own */

/* Whether sums are taken row by row, which leaves out the positions between them; else all lie on one line. */
static int goes_by_row(const Strip *strip)
{
    if (strip->kind != DIRECT) return 1;
    for (int64_t i = 0; i < strip->block_count; i++)
        if (strip->blocks[i].maps > 1) return 0;
    return strip->result.shape[2] * strip->lanes * size_of(strip->work) >= WIDE_ROW;
}

/* Whether the values of a row of results follow each other. */
static int is_joined(const Strip *strip)
{
    const int64_t *shape = strip->result.shape, *strides = strip->result.strides, size = size_of(strip->result.type);
    return (shape[3] == 1 || strides[3] == size) && (shape[2] == 1 || strides[2] == size * shape[3]);
}

/* Whether sums may be written to the result itself, a vector at a time: they are the results, no block has an unused
 * map, and positions between rows, if any, are left out. */
static int writes_results(const Strip *strip, const Band *band)
{
    const int64_t *strides = strip->result.strides, size = size_of(strip->work);
    const int64_t width = strip->result.shape[2] * strip->lanes;
    if (strip->finishes || !is_joined(strip) || width * size < LINE) return 0;
    if (strides[0] % size || strides[1] % size || map_count(strip) != strip->maps) return 0;
    return goes_by_row(strip) || (band->pitch == width && strides[1] == width * size);
}

static Band laid_out(const Strip *strip, int64_t rows)
{
    const int64_t size = size_of(strip->work);
    Band band = {.rows = rows, .pitch = strip->columns * strip->lanes};
    band.plane_rows = ((rows - 1) * strip->stride + strip->extent + strip->stride - 1) / strip->stride;
    band.planes = strip->depth * strip->channels * strip->phases * strip->stride;
    /* An odd number of cache lines from plane to plane keeps them from sharing the same few places of a cache. */
    band.plane = rounded_up(band.plane_rows * band.pitch * size, LINE);
    if (band.planes > 1 && band.plane / LINE % 2 == 0) band.plane += LINE;
    band.plane /= size;
    band.sums_pitch = goes_by_row(strip) ? strip->result.shape[2] * strip->lanes + LINE : band.pitch;
    band.map = rounded_up(rows * band.sums_pitch * size, LINE) / size;
    band.middle = strip->kind == SEPARABLE ? rounded_up(rows * band.pitch * size, LINE) / size : 0;
    band.planes_at = taken(&band, band.planes * band.plane * size + SLACK);
    band.middle_at = taken(&band, strip->phases * band.middle * size + SLACK);
    band.sums_at = taken(&band, writes_results(strip, &band) ? 0 : map_count(strip) * band.map * size + SLACK);
    band.row_at = taken(&band, strip->result.shape[2] * strip->lanes * 8);
    band.offsets_at = taken(&band, tap_count(strip) * (int64_t)sizeof(int64_t));
    return band;
}

/* Buffers of a row that running sums need: the sums, a row that enters, one that leaves, results, and the levels of
 * sums of 2, 4, 8, ... neighbors. */
static int64_t box_rows(const Strip *strip)
{
    int64_t levels = 0;
    while (strip->row_taps >> levels) levels++;
    return 4 + levels;
}

static int64_t box_row(const Strip *strip) { return rounded_up(strip->columns * strip->lanes * 8 + SLACK, LINE); }

/* Rows of a band: as many as fit the cache, and no fewer than a few where a kernel is tall. */
static int64_t band_rows(const Strip *strip)
{
    const int64_t all = strip->result.shape[1];
    int64_t least = strip->extent / strip->stride > LEAST_ROWS ? strip->extent / strip->stride : LEAST_ROWS;
    if (least > all) least = all;
    const int64_t one = laid_out(strip, least).bytes, two = laid_out(strip, 2 * least).bytes;
    if (one >= CACHE) return least;
    const int64_t rows = least + (CACHE - one) * least / (two - one + 1);
    return rows < all ? rows : all;
}

Division divided(const Strip *strip, int64_t threads)
{
    const int64_t all = strip->result.shape[1];
    Division division = {.parts = 1};
    int64_t rows = strip->kind == BOX ? all : band_rows(strip);
    if (threads > 1) {
        const int64_t least = strip->kind == BOX ? 4 * strip->extent : all < 2 * LEAST_ROWS ? all : LEAST_ROWS;
        const int64_t share = (all + 2 * threads - 1) / (2 * threads);
        if (rows > share) rows = share > least ? share : least < all ? least : all;
    }
    int64_t bands = (all + rows - 1) / rows;
    if (threads > 1 && bands < 4 * threads) bands = (bands + threads - 1) / threads * threads;
    division.rows = (all + bands - 1) / bands;
    bands = (all + division.rows - 1) / division.rows;
    if (bands < threads && strip->kind == DIRECT) {
        division.parts = (threads + bands - 1) / bands;
        if (division.parts > strip->block_count) division.parts = strip->block_count;
    }
    division.tasks = bands * division.parts;
    return division;
}

int64_t scratch_needed(const Strip *strip, const Division *division)
{
    return strip->kind == BOX ? box_rows(strip) * box_row(strip) : laid_out(strip, division->rows).bytes;
}

static int64_t *offsets(const Band *band) { return (int64_t *)(void *)(band->scratch + band->offsets_at); }

/* Where every tap reads, relative to an output's position; in the second of a separable pair, in what the first gave. */
static void place_taps(const Strip *strip, const Band *band)
{
    for (int64_t i = 0; i < strip->block_count; i++) {
        const Block *block = strip->blocks + i;
        const int64_t plane = strip->kind == SEPARABLE && i % 2 ? band->middle : band->plane;
        if (strip->kind != SEPARABLE && i && block->tap == block[-1].tap && block->taps == block[-1].taps) continue;
        for (int64_t j = block->tap; j < block->tap + block->taps; j++) {
            const Tap *tap = strip->taps + j;
            offsets(band)[j] = tap->plane * plane + tap->row * band->pitch + tap->column;
        }
    }
}

/* Copies a value of all lanes; those of few bytes without a call. */
static void copy(char *to, const char *from, int64_t bytes)
{
    switch (bytes) {
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    default: memcpy(to, from, bytes);
    }
}

/* Rows of a plane that lie outside the image. */
static void fill(const Strip *strip, char *to, int64_t rows, int64_t pitch)
{
    const int64_t size = size_of(strip->work), bytes = size * strip->lanes;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < strip->columns; i++) copy(to + row * pitch * size + i * bytes, strip->constants, bytes);
}

/* The columns at the border of rows whose inner columns are loaded, from which most are copied. */
static void load_edges(const Strip *strip, const Kernels *kernels, int64_t phase, const Block2D *rows, char *to,
                       int64_t pitch)
{
    const int64_t *run = strip->column_runs + 4 * phase;
    const int64_t size = size_of(strip->work), bytes = size * strip->lanes, step = strip->source.strides[2];
    for (int64_t i = 0; i < strip->edge_count; i++) {
        const int64_t *edge = strip->edges + 3 * i, inner = edge[2] - run[2];
        if (edge[0] != phase) continue;
        char *place = to + edge[1] * bytes;
        const char *from = strip->constants;
        if (edge[2] >= 0 && run[1] && inner >= 0 && inner % run[3] == 0 && inner / run[3] < run[1]) {
            from = to + (run[0] + inner / run[3]) * bytes;
        } else if (edge[2] >= 0) {
            const Block2D column = {rows->data + edge[2] * step, rows->row_step, step, rows->lane_step, rows->rows, 1};
            kernels->load(&column, strip->source.type, strip->work, strip->lanes, place, pitch);
            continue;
        }
        const int64_t apart = edge[2] < 0 ? 0 : pitch * size;
        for (int64_t row = 0; row < rows->rows; row++) copy(place + row * pitch * size, from + row * apart, bytes);
    }
}

/* Rows of a phase, `pitch` values apart: the columns inside the image, then those at its border. */
static void load_rows(const Strip *strip, const Kernels *kernels, int64_t phase, const Block2D *rows, char *to,
                      int64_t pitch)
{
    const int64_t *run = strip->column_runs + 4 * phase, step = strip->source.strides[2];
    Block2D inside = *rows;
    if (run[1]) inside.data += run[2] * step;
    inside.step = run[3] * step;
    inside.count = run[1];
    kernels->load(&inside, strip->source.type, strip->work, strip->lanes,
                  to + run[0] * strip->lanes * size_of(strip->work), pitch);
    if (strip->edge_count) load_edges(strip, kernels, phase, rows, to, pitch);
}

/* Rows `first`, `first` + `step`, ... of the planes that a source plane gives; runs of rows are loaded at once. */
static void load_plane(const Strip *strip, const Kernels *kernels, int64_t phase, const char *source, int64_t first,
                       int64_t step, int64_t rows, char *to, int64_t pitch)
{
    const int64_t *table = strip->row_table + first, size = size_of(strip->work);
    for (int64_t i = 0, run; i < rows; i += run, to += run * pitch * size) {
        const int64_t from = table[i * step], apart = i + 1 < rows ? table[(i + 1) * step] - from : 1;
        for (run = 1; i + run < rows; run++) {
            const int64_t next = table[(i + run) * step];
            if ((next < 0) != (from < 0) || next != from + run * apart) break;
        }
        if (from < 0 || !source) {
            fill(strip, to, run, pitch);
            continue;
        }
        const Block2D block = {source + from * strip->source.strides[1], apart * strip->source.strides[1], 0,
                               strip->source.strides[4], run, 0};
        load_rows(strip, kernels, phase, &block, to, pitch);
    }
}

/* The plane of the source for a depth and a channel; NULL outside. */
static const char *source_plane(const Strip *strip, int64_t depth, int64_t channel)
{
    const int64_t from = strip->depth_table[depth], *strides = strip->source.strides;
    return from < 0 ? NULL : strip->source.data + from * strides[0] + channel * strides[3];
}

/* The planes of the band that begins at output row `top`. */
static void load_band(const Strip *strip, const Kernels *kernels, const Band *band, int64_t top, int64_t rows)
{
    const int64_t stride = strip->stride, reach = (rows - 1) * stride + strip->extent;
    char *plane = band->scratch + band->planes_at;
    for (int64_t d = 0; d < strip->depth; d++)
        for (int64_t c = 0; c < strip->channels; c++)
            for (int64_t phase = 0; phase < strip->phases; phase++)
                for (int64_t i = 0; i < stride; i++, plane += band->plane * size_of(strip->work))
                    load_plane(strip, kernels, phase, source_plane(strip, d, c), top * stride + i, stride,
                               (reach - i + stride - 1) / stride, plane, band->pitch);
}

/* Where sums go: a map's are `map` values apart, a row's `pitch`. */
typedef struct {
    char *data;
    int64_t map, pitch;
} Out;

/* Blocks `first` up to `last`. */
static void direct(const Strip *strip, const Kernels *kernels, const Band *band, const Out *out, int64_t rows,
                   int64_t first, int64_t last)
{
    const int64_t size = size_of(strip->work), width = strip->result.shape[2] * strip->lanes;
    const int by_row = goes_by_row(strip);
    const char *planes = band->scratch + band->planes_at;
    for (int64_t i = first; i < last; i++) {
        const Block *block = strip->blocks + i;
        const WeightRows weight_rows = {block->taps, block->used, block->apart};
        const char *weights = strip->weights + block->weight * size;
        char *place = out->data + block->first * out->map * size;
        if (by_row)
            kernels->row_sums(strip->work, planes, band->pitch, offsets(band) + block->tap, weights, block->taps, 1, rows,
                              width, place, out->pitch);
        else
            kernels->sums(strip->work, planes, offsets(band) + block->tap, weights, &weight_rows, block->maps,
                          (rows - 1) * band->pitch + width, place, out->map);
    }
}

/* Whether the taps of a block are one below the other in one plane. */
static int is_column(const Strip *strip, const Block *block)
{
    const Tap *taps = strip->taps + block->tap;
    for (int64_t i = 0; i < block->taps; i++)
        if (taps[i].row != i || taps[i].column || taps[i].plane != taps->plane) return 0;
    return block->taps > 0;
}

/* Blocks come in pairs: down the columns of every phase, then along the rows. */
static void separable(const Strip *strip, const Kernels *kernels, const Band *band, const Out *out, int64_t rows)
{
    const int64_t size = size_of(strip->work), width = strip->result.shape[2] * strip->lanes;
    char *planes = band->scratch + band->planes_at, *middle = band->scratch + band->middle_at;
    for (int64_t i = 0; i < strip->block_count; i += 2) {
        const Block *down = strip->blocks + i, *along = down + 1;
        const WeightRows column = {down->taps, 1, 0};
        const int joined = is_column(strip, down);
        for (int64_t phase = 0; phase < strip->phases; phase++) {
            const char *plane = planes + phase * strip->stride * band->plane * size;
            const char *weights = strip->weights + down->weight * size;
            char *sums = middle + phase * band->middle * size;
            if (joined)
                kernels->row_sums(strip->work, plane, band->pitch, offsets(band) + down->tap, weights, 1, down->taps, rows,
                                  band->pitch, sums, band->pitch);
            else
                kernels->sums(strip->work, plane, offsets(band) + down->tap, weights, &column, 1, rows * band->pitch,
                              sums, 0);
        }
        kernels->row_sums(strip->work, middle, band->pitch, offsets(band) + along->tap,
                          strip->weights + along->weight * size, along->taps, 1, rows, width,
                          out->data + down->first * out->map * size, out->pitch);
    }
}

static void row_sums(const Strip *strip, const Kernels *kernels, const Band *band, const Out *out, int64_t rows)
{
    for (int64_t i = 0; i < strip->block_count; i++) {
        const Block *block = strip->blocks + i;
        kernels->row_sums(strip->work, band->scratch + band->planes_at, band->pitch, offsets(band) + block->tap,
                          strip->weights + block->weight * size_of(strip->work), strip->row_taps, strip->kernel_rows, rows,
                          strip->result.shape[2] * strip->lanes, out->data + block->first * out->map * size_of(strip->work),
                          out->pitch);
    }
}

#define SCATTER(T)                                                                      \
    for (int64_t x = 0; shape[3] == 1 && x < shape[2]; x++)                             \
        memcpy(to + x * strides[2], from + x * (int64_t)sizeof(T), sizeof(T));          \
    for (int64_t x = 0; shape[3] > 1 && x < shape[2]; x++)                              \
        for (int64_t lane = 0; lane < shape[3]; lane++, from += sizeof(T))              \
            memcpy(to + x * strides[2] + lane * strides[3], from, sizeof(T));           \
    break;

/* Moves (columns, lanes) to where their strides in the result say. */
static void scatter(const Strip *strip, const char *from, char *to)
{
    const int64_t *shape = strip->result.shape, *strides = strip->result.strides;
    switch (size_of(strip->result.type)) {
    case 1: SCATTER(uint8_t)
    case 2: SCATTER(uint16_t)
    case 4: SCATTER(uint32_t)
    default: SCATTER(uint64_t)
    }
}

/* Rows of one map, whose sums follow each other. */
static void finish_rows(const Strip *strip, const Kernels *kernels, int64_t map, int64_t row, int64_t rows,
                        const char *sums, char *spare)
{
    const int64_t size = size_of(strip->result.type), count = rows * strip->result.shape[2] * strip->result.shape[3];
    char *place = strip->result.data + map * strip->result.strides[0] + row * strip->result.strides[1];
    const int joined = is_joined(strip);
    char *out = joined ? place : spare;
    if (strip->finishes)
        kernels->finish(strip->work, sums, count, strip->result.type, out, strip->finishes + map);
    else if (joined)
        memcpy(out, sums, count * size);
    if (!joined) scatter(strip, strip->finishes ? out : sums, place);
}

/* Copies rows of sums that are results to rows of the result that are not scattered. */
static void copy_rows(const Strip *strip, int64_t map, int64_t row, int64_t rows, const char *sums, int64_t pitch)
{
    const int64_t bytes = strip->result.shape[2] * strip->result.shape[3] * size_of(strip->result.type);
    char *place = strip->result.data + map * strip->result.strides[0] + row * strip->result.strides[1];
    for (int64_t i = 0; i < rows; i++, place += strip->result.strides[1], sums += pitch) {
        if (bytes > LINE) {
            memcpy(place, sums, bytes);
            continue;
        }
        int64_t at = 0;
        for (; at + 8 <= bytes; at += 8) memcpy(place + at, sums + at, 8);
        for (; at < bytes; at++) place[at] = sums[at];
    }
}

/* The results of maps `first` up to `last`. */
static void finish_band(const Strip *strip, const Kernels *kernels, const Band *band, int64_t top, int64_t rows,
                        int64_t first, int64_t last)
{
    const char *sums = band->scratch + band->sums_at;
    const int64_t width = strip->result.shape[2] * strip->lanes, size = size_of(strip->work);
    const int joined = is_joined(strip);
    const int is_whole = joined && band->sums_pitch == width &&
                         strip->result.strides[1] == width * size_of(strip->result.type);
    const int64_t together = is_whole || (joined && !strip->finishes) ? rows : 1;
    for (int64_t row = 0; row < rows; row += together) /* all maps of a row, which may lie beside each other */
        for (int64_t map = first; map < last; map++) {
            const char *from = sums + (map * band->map + row * band->sums_pitch) * size;
            if (together > 1 && !is_whole)
                copy_rows(strip, map, top + row, together, from, band->sums_pitch * size);
            else
                finish_rows(strip, kernels, map, top + row, together, from, band->scratch + band->row_at);
        }
}

/* The source's values of a row of the plane, lanes included; NULL where they do not follow each other, or the columns
 * at the border are not copies of them. */
static const char *inner_row(const Strip *strip, int64_t row)
{
    const int64_t *run = strip->column_runs, *strides = strip->source.strides, size = size_of(strip->source.type);
    const char *plane = source_plane(strip, 0, 0);
    if (!plane || strip->row_table[row] < 0 || strides[2] != size * strip->lanes) return NULL;
    if (strip->lanes > 1 && strides[4] != size) return NULL;
    for (int64_t i = 0; i < strip->edge_count; i++) {
        const int64_t from = strip->edges[3 * i + 2];
        if (from < run[2] || from >= run[2] + run[1]) return NULL;
    }
    return plane + strip->row_table[row] * strides[1] + run[2] * strides[2];
}

/* Moves the sums of columns down: row `enters` of the plane is added, and row `leaves`, if it is not -1, subtracted.
 * Where possible, values are taken from the source, and sums at the border from those of the columns that they copy. */
static void move_down(const Strip *strip, const Kernels *kernels, int64_t enters, int64_t leaves, char *sums,
                      char *entering, char *leaving)
{
    const int64_t *run = strip->column_runs, bytes = size_of(strip->work) * strip->lanes;
    const int64_t all = strip->columns * strip->lanes;
    const char *in = inner_row(strip, enters), *out = leaves < 0 ? NULL : inner_row(strip, leaves);
    if (in && (out || leaves < 0)) {
        kernels->move(strip->source.type, strip->work, in, out ? out : leaving, run[1] * strip->lanes, sums + run[0] * bytes);
        for (int64_t i = 0; i < strip->edge_count; i++) {
            const int64_t *edge = strip->edges + 3 * i;
            copy(sums + edge[1] * bytes, sums + (run[0] + edge[2] - run[2]) * bytes, bytes);
        }
        return;
    }
    load_plane(strip, kernels, 0, source_plane(strip, 0, 0), enters, 1, 1, entering, all);
    if (leaves >= 0) load_plane(strip, kernels, 0, source_plane(strip, 0, 0), leaves, 1, 1, leaving, all);
    kernels->move(strip->work, strip->work, entering, leaving, all, sums);
    if (leaves >= 0) memset(leaving, 0, all * size_of(strip->work));
}

/* Taps of a row up to which they are added one by one, all in one pass. */
#define FEW 8

/* Each row of sums is the one above it plus the row that enters the window minus the one that leaves it. Along a row,
 * few values are added one by one, and of many, sums of 2, 4, 8, ... neighbors. */
static void box(const Strip *strip, const Kernels *kernels, char *scratch)
{
    const int64_t size = size_of(strip->work), step = strip->apart * strip->lanes;
    const int64_t width = strip->result.shape[2] * strip->lanes;
    char *sums = scratch, *entering = sums + box_row(strip), *leaving = entering + box_row(strip);
    char *spare = leaving + box_row(strip), *levels = spare + box_row(strip);
    char weights[FEW * sizeof(int64_t)];
    int64_t places[FEW];
    const WeightRows few = {strip->row_taps, 1, 0};
    for (int64_t i = 0; i < FEW; i++) places[i] = i * step, memcpy(weights + i * size, strip->weights, size);
    memset(sums, 0, box_row(strip));
    memset(leaving, 0, box_row(strip));
    for (int64_t row = 0; row < strip->result.shape[1] + strip->kernel_rows - 1; row++) {
        const int64_t output = row - (strip->kernel_rows - 1);
        move_down(strip, kernels, row, output > 0 ? output - 1 : -1, sums, entering, leaving);
        if (output < 0) continue;
        if (strip->row_taps <= FEW) {
            kernels->sums(strip->work, sums, places, weights, &few, 1, width, entering, 0);
        } else {
            for (int64_t at = 0, part; at < width; at += part) {
                part = width - at < PIECE ? width - at : PIECE;
                kernels->box(strip->work, sums + at * size, strip->row_taps, step, part, entering + at * size, levels);
            }
            kernels->scale(strip->work, entering, strip->weights, width);
        }
        finish_rows(strip, kernels, 0, output, 1, entering, spare);
    }
}

/* The first map of a block; behind the last block, the number of maps. */
static int64_t first_map(const Strip *strip, int64_t block)
{
    return block < strip->block_count ? strip->blocks[block].first : strip->maps;
}

/* Part `part` of a band. */
static void compute_band(const Strip *strip, const Kernels *kernels, const Band *band, Out out, int64_t top,
                         int64_t rows, int64_t part, int64_t parts)
{
    const int64_t first = strip->block_count * part / parts, last = strip->block_count * (part + 1) / parts;
    const int writes_sums = out.data != NULL;
    if (!writes_sums) out.data = strip->result.data + top * strip->result.strides[1];
    load_band(strip, kernels, band, top, rows);
    if (strip->kind == DIRECT)
        direct(strip, kernels, band, &out, rows, first, last);
    else if (strip->kind == ROWS)
        row_sums(strip, kernels, band, &out, rows);
    else
        separable(strip, kernels, band, &out, rows);
    if (!writes_sums) return;
    if (parts == 1)
        finish_band(strip, kernels, band, top, rows, 0, strip->maps);
    else
        finish_band(strip, kernels, band, top, rows, first_map(strip, first), first_map(strip, last));
}

/* Rows `top` to `top` + `rows` of a box. */
static void compute_box(const Strip *strip, const Kernels *kernels, int64_t top, int64_t rows, char *scratch)
{
    Strip part = *strip;
    part.result.data += top * part.result.strides[1];
    part.result.shape[1] = rows;
    part.row_table += top;
    box(&part, kernels, scratch);
}

void compute(const Strip *strip, const Kernels *kernels, const Division *division, int64_t *next, char *scratch)
{
    const int64_t all = strip->result.shape[1], size = size_of(strip->work), *strides = strip->result.strides;
    Band band = {0};
    Out out = {0};
    if (strip->kind != BOX) {
        band = laid_out(strip, division->rows);
        band.scratch = scratch;
        place_taps(strip, &band);
        out = (Out){scratch + band.sums_at, band.map, band.sums_pitch};
        if (writes_results(strip, &band)) out = (Out){NULL, strides[0] / size, strides[1] / size};
    }
    for (int64_t task; (task = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED)) < division->tasks;) {
        const int64_t top = task / division->parts * division->rows, part = task % division->parts;
        const int64_t rows = all - top < division->rows ? all - top : division->rows;
        if (strip->kind == BOX)
            compute_box(strip, kernels, top, rows, scratch);
        else
            compute_band(strip, kernels, &band, out, top, rows, part, division->parts);
    }
}
