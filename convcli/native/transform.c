/* Transforms from Python: arrays become Tiles, which are checked and computed without the interpreter's lock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>
#include <string.h>

#include "strip.h"

#define LAYOUT 8
#define ARGUMENTS 6

int64_t tiles_scratch(const Tiles *tiles)
{
    const int64_t planes = tiles->depth * tiles->channels, held = planes > tiles->maps ? planes : tiles->maps;
    const int64_t area = tiles->rows * (tiles->columns * 2 + 2 * SPECTRUM);
    return (held * area + (planes + 1) * tiles->rows * 2 * SPECTRUM) * (tiles->is_double ? 8 : 4);
}

/* Values of the roots of all passes over n complex values, or -1 where n is no size of a tile. */
static int64_t root_count(int64_t n)
{
    int64_t count = 0, block = n;
    if (n < SPECTRUM || n % SPECTRUM || n > 1 << 20) return -1;
    if (block % 3 == 0) count += block / 3 * 4, block /= 3;
    for (; block % 4 == 0; block /= 4) count += block / 4 * 6;
    if (block == 2) count += 2, block = 1;
    return block == 1 ? count : -1;
}

/* The first thing that does not hold for tiles whose arrays have these views, or NULL; products of sizes that are not
 * known yet are floats, which do not overflow. */
static const char *wrong_with(const Tiles *tiles, const Py_buffer *views)
{
#define REQUIRE(condition) \
    if (!(condition)) return #condition;
    const Py_buffer *planes = views + 1, *sums = views + 2;
    const int64_t size = tiles->is_double ? 8 : 4;
    const int64_t row_roots = root_count(tiles->rows), column_roots = root_count(tiles->columns);
    REQUIRE(row_roots > 0 && column_roots > 0);
    REQUIRE(tiles->down >= 1 && tiles->down <= tiles->rows && tiles->across >= 1 && tiles->across <= tiles->columns);
    REQUIRE(tiles->lanes >= 1 && tiles->inputs >= 1 && tiles->groups >= 1 && tiles->maps >= 1 && tiles->depth >= 1);
    REQUIRE(tiles->channels == (double)tiles->inputs * tiles->groups && tiles->maps % tiles->groups == 0);
    REQUIRE(sums->shape[2] % tiles->lanes == 0);
    REQUIRE(planes->shape[2] == tiles->height + tiles->rows - tiles->down);
    REQUIRE(planes->shape[3] == (tiles->width + tiles->columns - tiles->across) * tiles->lanes);
    REQUIRE(planes->shape[3] == 1 || planes->strides[3] == size);
    REQUIRE(sums->shape[2] == 1 || sums->strides[2] == size);
    for (int i = 0; i < 3; i++) REQUIRE(planes->strides[i] % size == 0);
    for (int i = 0; i < 2; i++) REQUIRE(sums->strides[i] % size == 0);
    const double spectra = (double)tiles->depth * tiles->inputs * tiles->maps;
    REQUIRE(views[3].shape[0] == spectra * tiles->rows * tiles->columns * 2);
    REQUIRE(views[4].shape[0] == row_roots && views[5].shape[0] == column_roots);
    REQUIRE(!tiles->is_exact || tiles->is_double);
    return NULL;
}

static int computed(const Kernels *kernels, const Tiles *tiles)
{
    char *memory = malloc((size_t)tiles_scratch(tiles) + 64);
    if (!memory) return 0;
    kernels->tiles(tiles, memory + (64 - (uintptr_t)memory % 64));
    free(memory);
    return 1;
}

static void describe(Tiles *tiles, const Py_buffer *views)
{
    const int64_t *layout = views[0].buf, size = views[1].itemsize;
    tiles->is_double = size == 8;
    tiles->rows = layout[0], tiles->columns = layout[1], tiles->down = layout[2], tiles->across = layout[3];
    tiles->lanes = layout[4], tiles->inputs = layout[5], tiles->groups = layout[6], tiles->is_exact = layout[7];
    tiles->depth = views[1].shape[0], tiles->channels = views[1].shape[1], tiles->maps = views[2].shape[0];
    tiles->planes = views[1].buf, tiles->sums = views[2].buf, tiles->spectra = views[3].buf;
    tiles->row_roots = views[4].buf, tiles->column_roots = views[5].buf;
    for (int i = 0; i < 3; i++) tiles->plane_strides[i] = views[1].strides[i] / size;
    for (int i = 0; i < 2; i++) tiles->sum_strides[i] = views[2].strides[i] / size;
    tiles->height = views[2].shape[1];
    tiles->width = tiles->lanes > 0 ? views[2].shape[2] / tiles->lanes : 0;
}

/* Whether the views have the axes and types they should. */
static int typed(const Py_buffer *views)
{
    static const int axes[ARGUMENTS] = {1, 4, 3, 1, 1, 1};
    const char *type = views[1].format;
    for (int i = 0; i < ARGUMENTS; i++) {
        const char *format = views[i].format;
        if (views[i].ndim != axes[i] || !format || !format[0] || format[1]) return 0;
        if (i ? format[0] != type[0] : views[i].itemsize != 8 || !strchr("lq", format[0])) return 0;
    }
    if ((uintptr_t)views[0].buf % 8) return 0;
    return (type[0] == 'f' || type[0] == 'd') && views[0].shape[0] == LAYOUT;
}

PyObject *tiles_function(const Kernels *kernels, PyObject *const *given, Py_ssize_t count)
{
    Py_buffer views[ARGUMENTS];
    Tiles tiles = {0};
    int held = 0, done = 0;
    if (count != ARGUMENTS) return PyErr_Format(PyExc_TypeError, "tiles() takes %d arguments", ARGUMENTS);
    for (; held < ARGUMENTS; held++) {
        const int simple = held != 1 && held != 2;
        const int flags = PyBUF_FORMAT | (simple ? PyBUF_C_CONTIGUOUS : PyBUF_STRIDES) | (held == 2 ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(given[held], views + held, flags) < 0) goto end;
    }
    if (!typed(views)) {
        PyErr_SetString(PyExc_TypeError, "arrays have unexpected types or numbers of axes");
        goto end;
    }
    describe(&tiles, views);
    const char *wrong = wrong_with(&tiles, views);
    if (wrong) {
        PyErr_Format(PyExc_ValueError, "not true of these tiles: %s", wrong);
        goto end;
    }
    Py_BEGIN_ALLOW_THREADS
    done = computed(kernels, &tiles);
    Py_END_ALLOW_THREADS
    if (!done) PyErr_NoMemory();
end:
    while (held) PyBuffer_Release(views + --held);
    if (!done) return NULL;
    Py_RETURN_NONE;
}
