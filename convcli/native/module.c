/* The extension module: arrays and numbers from Python become a Strip, which is checked and computed without the
 * interpreter's lock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "strip.h"

/* The best that the processor runs, unless an instruction set is chosen by name. */
static const Kernels *kernels = &kernels_base;

static int runs(const Kernels *candidate)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (candidate == &kernels_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (candidate == &kernels_avx2) return __builtin_cpu_supports("avx2") != 0;
#endif
    return candidate == &kernels_base;
}

static const Kernels *const all_kernels[] = {
#if defined(__x86_64__)
    &kernels_avx512,
    &kernels_avx2,
#endif
    &kernels_base,
};
#define KERNELS (sizeof all_kernels / sizeof *all_kernels)

static Type type_of(const Py_buffer *view)
{
    const char own_order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>';
    const char *format = view->format ? view->format : "B";
    if (format[0] == '@' || format[0] == '=' || format[0] == own_order) format++;
    if (format[0] == 0 || format[1] != 0) return UNKNOWN;
    if (format[0] == 'f' && view->itemsize == 4) return F32;
    if (format[0] == 'd' && view->itemsize == 8) return F64;
    const int is_signed = strchr("bhilq", format[0]) != NULL;
    if (!is_signed && !strchr("BHILQ?", format[0])) return UNKNOWN;
    switch (view->itemsize) {
    case 1: return is_signed ? I8 : U8;
    case 2: return is_signed ? I16 : U16;
    case 4: return is_signed ? I32 : U32;
    case 8: return is_signed ? I64 : UNKNOWN;
    default: return UNKNOWN;
    }
}

/* The buffers of a call, which are released together. */
#define MOST_VIEWS 16
typedef struct {
    Py_buffer views[MOST_VIEWS];
    int count;
} Views;

static void release(Views *views)
{
    while (views->count) PyBuffer_Release(views->views + --views->count);
}

/* The buffer of an object with `axes` axes, or NULL with an exception set. */
static Py_buffer *view_of(Views *views, PyObject *object, int axes, int flags)
{
    Py_buffer *view = views->views + views->count;
    if (PyObject_GetBuffer(object, view, flags | PyBUF_FORMAT) < 0) return NULL;
    views->count++;
    if (view->ndim == axes) return view;
    PyErr_Format(PyExc_ValueError, "array has %d axes; expected %d", view->ndim, axes);
    return NULL;
}

/* The bytes of a contiguous object, or NULL with an exception set. */
static Py_buffer *bytes_of(Views *views, PyObject *object, int flags)
{
    Py_buffer *view = views->views + views->count;
    if (PyObject_GetBuffer(object, view, flags) < 0) return NULL;
    views->count++;
    return view;
}

static int as_array(Views *views, PyObject *object, int axes, int flags, Array *array)
{
    const Py_buffer *view = view_of(views, object, axes, PyBUF_STRIDES | flags);
    if (!view) return 0;
    array->data = view->buf;
    array->type = type_of(view);
    for (int i = 0; i < axes; i++) array->shape[i] = view->shape[i], array->strides[i] = view->strides[i];
    if (array->type != UNKNOWN) return 1;
    PyErr_Format(PyExc_TypeError, "values of format %s are not supported", view->format);
    return 0;
}

/* A contiguous table of 64-bit numbers with `width` columns; `count` becomes its number of rows. */
static const void *as_table(Views *views, PyObject *object, int64_t width, char format, int64_t *count)
{
    const Py_buffer *view = view_of(views, object, 2, PyBUF_C_CONTIGUOUS);
    if (!view) return NULL;
    const int is_integer = view->format && strchr("lq", view->format[0]) != NULL;
    const int is_aligned = (uintptr_t)view->buf % 8 == 0;
    if (is_aligned && view->itemsize == 8 && view->shape[1] == width &&
        (format == 'd' ? view->format[0] == 'd' : is_integer)) {
        *count = view->shape[0];
        return view->buf;
    }
    PyErr_SetString(PyExc_ValueError, "a table has the wrong type, alignment or number of columns");
    return NULL;
}

static const void *as_values(Views *views, PyObject *object, Type type, int64_t *count)
{
    const Py_buffer *view = view_of(views, object, 1, PyBUF_C_CONTIGUOUS);
    if (!view) return NULL;
    *count = view->shape[0];
    if (type_of(view) == type && (uintptr_t)view->buf % view->itemsize == 0) return view->buf;
    PyErr_SetString(PyExc_TypeError, "values have the wrong type or alignment");
    return NULL;
}

/* What `check` compares the tables with. */
typedef struct {
    int64_t taps, weights, rows, depths, runs, constants, finishes;
} Counts;

#define MOST_BYTES 1e12 /* of scratch memory */

#define REQUIRE(condition) \
    if (!(condition)) return #condition;

static const char *check_taps(const Strip *strip, const Counts *counts)
{
    const int64_t planes = strip->depth * strip->channels * strip->phases * strip->stride;
    const int64_t reach = (strip->columns - strip->result.shape[2]) * strip->lanes;
    for (int64_t i = 0; i < strip->block_count; i++) {
        const Block *block = strip->blocks + i;
        const int is_pair = strip->kind == SEPARABLE, is_along = is_pair && i % 2;
        const int is_single = strip->kind != DIRECT;
        REQUIRE(block->maps == 1 || (!is_single && (block->maps == 4 || block->maps == 8)));
        REQUIRE(block->first >= 0 && block->first < strip->maps);
        REQUIRE(block->taps >= 0 && block->taps <= counts->taps);
        REQUIRE(block->tap >= 0 && block->tap <= counts->taps - block->taps);
        REQUIRE(strip->kind != ROWS || block->taps == strip->kernel_rows * strip->row_taps);
        REQUIRE(block->used >= 1 && block->used <= block->maps && block->used <= strip->maps - block->first);
        REQUIRE(block->weight >= 0 && block->weight <= counts->weights - block->taps);
        REQUIRE(block->apart >= 0 && block->apart <= counts->weights);
        REQUIRE((block->used - 1) * block->apart <= counts->weights - block->taps - block->weight);
        if (i && !is_pair && block->tap == block[-1].tap && block->taps == block[-1].taps) continue;
        for (int64_t j = block->tap; j < block->tap + block->taps; j++) {
            const Tap *tap = strip->taps + j;
            const int64_t phases = is_pair ? (strip->phases - 1) * strip->stride : 0;
            REQUIRE(tap->plane >= 0 && tap->plane < (is_along ? strip->phases : planes - phases));
            REQUIRE(tap->row >= 0 && tap->row <= (strip->extent - 1) / strip->stride);
            REQUIRE(tap->column >= 0 && tap->column <= reach);
            REQUIRE(!is_pair || (is_along ? tap->row == 0 : tap->column == 0));
        }
    }
    return NULL;
}

static const char *check_source(const Strip *strip, const Counts *counts)
{
    const int64_t *shape = strip->source.shape;
    REQUIRE(counts->rows == (strip->result.shape[1] - 1) * strip->stride + strip->extent);
    for (int64_t i = 0; i < counts->rows; i++) REQUIRE(strip->row_table[i] >= -1 && strip->row_table[i] < shape[1]);
    for (int64_t i = 0; i < strip->depth; i++) REQUIRE(strip->depth_table[i] >= -1 && strip->depth_table[i] < shape[0]);
    for (int64_t i = 0; i < strip->phases; i++) {
        const int64_t *run = strip->column_runs + 4 * i;
        REQUIRE(run[0] >= 0 && run[0] <= strip->columns && run[1] >= 0 && run[1] <= strip->columns - run[0]);
        REQUIRE(run[2] >= -INT32_MAX && run[2] <= INT32_MAX && run[3] >= 1 && run[3] <= INT32_MAX);
        REQUIRE(!run[1] || (run[2] >= 0 && run[2] < shape[2]));
        REQUIRE(!run[1] || run[1] - 1 <= (shape[2] - 1 - run[2]) / run[3]);
    }
    for (int64_t i = 0; i < strip->edge_count; i++) {
        const int64_t *edge = strip->edges + 3 * i;
        REQUIRE(edge[0] >= 0 && edge[0] < strip->phases && edge[1] >= 0 && edge[1] < strip->columns);
        REQUIRE(edge[2] >= -1 && edge[2] < shape[2]);
    }
    return NULL;
}

/* Whether the scratch memory of a strip has a size that can be computed; in floats, which do not overflow. */
static int has_size(const Strip *strip)
{
    const double planes = (double)strip->depth * strip->channels * strip->phases * strip->stride;
    const double line = ((double)strip->columns * strip->lanes + LINE) * 8, rows = 3.0 * strip->extent + 32;
    return (planes + strip->maps + strip->phases + 8) * line * rows < MOST_BYTES &&
           (double)strip->result.shape[1] * strip->stride < MOST_BYTES;
}

/* What is wrong with a strip, or NULL: nothing is read or written outside its arrays. */
static const char *check(const Strip *strip, const Counts *counts)
{
    const Type source = strip->source.type, work = strip->work, result = strip->result.type;
    REQUIRE(work >= U16);
    REQUIRE(strip->kind >= DIRECT && strip->kind <= BOX);
    REQUIRE(strip->kind != BOX || work < F32);
    REQUIRE(source != F64 || work == F64);
    REQUIRE(source != F32 || work >= F32);
    REQUIRE(source != U32 || work < F32);
    REQUIRE(source != I64 || work >= I64);
    REQUIRE(strip->finishes || result == work);
    REQUIRE(result != I64 || !strip->finishes);
    REQUIRE(strip->lanes >= 1 && strip->depth >= 1 && strip->channels >= 1 && strip->phases >= 1);
    REQUIRE(strip->stride >= 1 && strip->extent >= 1 && strip->columns >= strip->result.shape[2]);
    REQUIRE(has_size(strip));
    REQUIRE(strip->source.shape[3] == strip->channels && strip->source.shape[4] == strip->lanes);
    REQUIRE(strip->result.shape[0] == strip->maps && strip->result.shape[3] == strip->lanes);
    REQUIRE(strip->result.shape[1] >= 1 && strip->result.shape[2] >= 1);
    REQUIRE(counts->depths == strip->depth && counts->runs == strip->phases && counts->constants == strip->lanes);
    REQUIRE(!strip->finishes || counts->finishes == strip->maps);
    REQUIRE(strip->kind != SEPARABLE || strip->block_count == 2 * strip->maps);
    if (strip->kind == ROWS || strip->kind == BOX) {
        REQUIRE(strip->kernel_rows >= 1 && strip->row_taps >= 1 && strip->kernel_rows == strip->extent && strip->stride == 1);
        REQUIRE(strip->phases == 1 && strip->row_taps <= strip->columns);
    }
    if (strip->kind == BOX) {
        REQUIRE(counts->weights == 1 && strip->block_count == 0 && strip->apart >= 1 && strip->maps == 1);
        REQUIRE(strip->row_taps - 1 <= (strip->columns - strip->result.shape[2]) / strip->apart);
    }
    for (int64_t i = 0; strip->finishes && i < strip->maps; i++) {
        REQUIRE(!strip->finishes[i].is_short || ((work == U16 || work == I16) && result <= I16));
        REQUIRE(strip->finishes[i].shift >= 0 && strip->finishes[i].shift < 16);
    }
    const char *wrong = check_taps(strip, counts);
    return wrong ? wrong : check_source(strip, counts);
}

/* Scratch memory that is kept for the next strip: the first touch of new memory costs more than many passes over it. */
typedef struct {
    size_t size;
    char data[];
} Scratch;

#define MOST_KEPT ((size_t)8 << 20) /* bytes */
static Scratch *idle[4];

static Scratch *taken(size_t size)
{
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
        Scratch *scratch = __atomic_exchange_n(idle + i, NULL, __ATOMIC_ACQUIRE);
        if (scratch && scratch->size >= size) return scratch;
        free(scratch);
    }
    Scratch *scratch = malloc(sizeof *scratch + size);
    if (scratch) scratch->size = size;
    return scratch;
}

static void give_back(Scratch *scratch)
{
    for (size_t i = 0; scratch && scratch->size <= MOST_KEPT && i < sizeof idle / sizeof *idle; i++) {
        Scratch *none = NULL;
        if (__atomic_compare_exchange_n(idle + i, &none, scratch, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) return;
    }
    free(scratch);
}

/* What the threads of a call share. */
typedef struct {
    const Strip *strip;
    Division division;
    int64_t next, done; /* tasks that are taken, and threads that had memory for some */
} Job;

static void *work(void *argument)
{
    Job *job = argument;
    Scratch *scratch = taken((size_t)scratch_needed(job->strip, &job->division) + LINE);
    if (!scratch) return NULL;
    compute(job->strip, kernels, &job->division, &job->next, scratch->data + (LINE - (uintptr_t)scratch->data % LINE));
    give_back(scratch);
    __atomic_fetch_add(&job->done, 1, __ATOMIC_RELAXED);
    return NULL;
}

#define MOST_THREADS 64

/* Computes a strip, with as many helping threads as the system gives. -1 if no thread has memory for its scratch. */
static int computed(const Strip *strip, int64_t threads)
{
    Job job = {.strip = strip, .division = divided(strip, threads)};
    pthread_t helpers[MOST_THREADS];
    int64_t started = 0;
    const int64_t most = threads < job.division.tasks ? threads : job.division.tasks;
    while (started < most - 1 && pthread_create(helpers + started, NULL, work, &job) == 0) started++;
    work(&job);
    while (started) pthread_join(helpers[--started], NULL);
    return job.done ? 0 : -1;
}

static const char strip_doc[] =
    "strip(layout, taps, blocks, weights, source, rows, depths, runs, edges, constants, result, finishes, threads)\n\n"
    "Compute one strip of a convolution on up to so many threads; strip.h and engine/program.py describe the arrays.\n\n"
    "Raises:\n"
    "    ValueError: arrays that contradict each other.\n"
    "    TypeError: arrays of a type that is not supported.\n"
    "    MemoryError: there is no memory for a band.\n";

#define ARGUMENTS 13

static int parsed(PyObject *const *given, Views *views, Strip *strip, Counts *counts)
{
    int64_t one = 0;
    const int64_t *layout = as_table(views, given[0], 11, 'q', &one);
    if (!layout || one != 1) return 0;
    strip->kind = (Kind)layout[0];
    strip->lanes = layout[1], strip->depth = layout[2], strip->channels = layout[3], strip->phases = layout[4];
    strip->stride = layout[5], strip->extent = layout[6], strip->columns = layout[7];
    strip->kernel_rows = layout[8], strip->row_taps = layout[9], strip->apart = layout[10];
    const Py_buffer *weights = view_of(views, given[3], 1, PyBUF_C_CONTIGUOUS);
    if (!weights) return 0;
    strip->work = type_of(weights);
    strip->weights = weights->buf;
    counts->weights = weights->shape[0];
    if (!(strip->taps = as_table(views, given[1], 3, 'q', &counts->taps))) return 0;
    if (!(strip->blocks = as_table(views, given[2], 7, 'q', &strip->block_count))) return 0;
    if (!as_array(views, given[4], 5, 0, &strip->source)) return 0;
    if (!(strip->row_table = as_values(views, given[5], I64, &counts->rows))) return 0;
    if (!(strip->depth_table = as_values(views, given[6], I64, &counts->depths))) return 0;
    if (!(strip->column_runs = as_table(views, given[7], 4, 'q', &counts->runs))) return 0;
    if (!(strip->edges = as_table(views, given[8], 3, 'q', &strip->edge_count))) return 0;
    if (!(strip->constants = as_values(views, given[9], strip->work, &counts->constants))) return 0;
    if (!as_array(views, given[10], 4, PyBUF_WRITABLE, &strip->result)) return 0;
    strip->maps = strip->result.shape[0];
    if (given[11] != Py_None && !(strip->finishes = as_table(views, given[11], 13, 'd', &counts->finishes))) return 0;
    return 1;
}

static PyObject *strip_function(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    Views views = {.count = 0};
    Strip strip = {0};
    Counts counts = {0};
    if (count != ARGUMENTS) return PyErr_Format(PyExc_TypeError, "strip() takes %d arguments", ARGUMENTS);
    const char *wrong = NULL;
    int failed = 1;
    if (parsed(given, &views, &strip, &counts)) {
        const long threads = PyLong_AsLong(given[12]);
        wrong = threads >= 1 && threads <= MOST_THREADS ? check(&strip, &counts) : "1 <= threads <= 64";
        if (!wrong) {
            Py_BEGIN_ALLOW_THREADS
            failed = computed(&strip, threads);
            Py_END_ALLOW_THREADS
            if (failed) PyErr_NoMemory();
        } else {
            if (!PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "not true of this strip: %s", wrong);
        }
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "a table has the wrong shape or type");
    }
    release(&views);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static const char unfilter_doc[] =
    "unfilter(filtered, above, each, pixels)\n\n"
    "Undo the filters of PNG rows.\n\n"
    "Args:\n"
    "    filtered: the rows, each behind the number of its filter.\n"
    "    above: the row before them; zeros before the first.\n"
    "    each: bytes of a pixel: 1, 2, 3, 4, 6 or 8.\n"
    "    pixels: where the bytes of the rows go.\n\n"
    "Returns:\n"
    "    Whether PNG has all their filters; otherwise nothing is written.\n\n"
    "Raises:\n"
    "    ValueError: lengths that contradict each other, or no such pixels.\n"
    "    BufferError, TypeError: not contiguous, not writable, or not arrays.\n";

static const char *check_rows(const Py_buffer *filtered, const Py_buffer *above, const Py_buffer *pixels, long each)
{
    const Py_ssize_t width = above->len;
    REQUIRE(each == 1 || each == 2 || each == 3 || each == 4 || each == 6 || each == 8);
    REQUIRE(width > 0 && width % each == 0 && pixels->len % width == 0);
    REQUIRE(filtered->len - pixels->len == pixels->len / width);
    return NULL;
}

static PyObject *unfilter_function(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    if (count != 4) return PyErr_Format(PyExc_TypeError, "unfilter() takes 4 arguments");
    const long each = PyLong_AsLong(given[2]);
    if (each == -1 && PyErr_Occurred()) return NULL;
    Views views = {.count = 0};
    const Py_buffer *filtered = bytes_of(&views, given[0], PyBUF_SIMPLE);
    const Py_buffer *above = filtered ? bytes_of(&views, given[1], PyBUF_SIMPLE) : NULL;
    const Py_buffer *pixels = above ? bytes_of(&views, given[3], PyBUF_WRITABLE) : NULL;
    const char *wrong = pixels ? check_rows(filtered, above, pixels, each) : NULL;
    PyObject *result = NULL;
    if (wrong) PyErr_Format(PyExc_ValueError, "not true of these rows: %s", wrong);
    if (pixels && !wrong) {
        const uint8_t *in = filtered->buf;
        const int64_t width = above->len, rows = pixels->len / width;
        int is_known = 1;
        for (int64_t i = 0; i < rows; i++) is_known &= in[i * (width + 1)] <= PAETH;
        Py_BEGIN_ALLOW_THREADS
        if (is_known) kernels->unfilter(in, above->buf, rows, width, each, pixels->buf);
        Py_END_ALLOW_THREADS
        result = PyBool_FromLong(is_known);
    }
    release(&views);
    return result;
}

static PyObject *use_function(PyObject *module, PyObject *name)
{
    (void)module;
    for (size_t i = 0; i < KERNELS; i++)
        if (runs(all_kernels[i]) &&
            (name == Py_None || (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, all_kernels[i]->name) == 0))) {
            kernels = all_kernels[i];
            return PyUnicode_FromString(kernels->name);
        }
    return PyErr_Format(PyExc_ValueError, "%R is not an instruction set that this processor has", name);
}

static PyObject *instruction_sets(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    PyObject *names = PyList_New(0);
    for (size_t i = 0; names && i < KERNELS; i++) {
        if (!runs(all_kernels[i])) continue;
        PyObject *name = PyUnicode_FromString(all_kernels[i]->name);
        if (!name || PyList_Append(names, name) < 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

PyObject *tiles_function(const Kernels *kernels, PyObject *const *given, Py_ssize_t count); /* in transform.c */

static const char tiles_doc[] =
    "tiles(layout, planes, sums, spectra, row_roots, column_roots)\n\n"
    "Compute the sums of one strip by transforms; see transform.h and engine/transform.py for what the arrays hold.\n\n"
    "Raises:\n"
    "    ValueError: arrays that contradict each other.\n"
    "    TypeError: arrays of a type that is not supported.\n"
    "    MemoryError: there is no memory for two tiles.\n";

static PyObject *tiles_call(PyObject *module, PyObject *const *given, Py_ssize_t count)
{
    (void)module;
    return tiles_function(kernels, given, count);
}

static PyMethodDef functions[] = {
    {"strip", (PyCFunction)(void (*)(void))strip_function, METH_FASTCALL, strip_doc},
    {"tiles", (PyCFunction)(void (*)(void))tiles_call, METH_FASTCALL, tiles_doc},
    {"unfilter", (PyCFunction)(void (*)(void))unfilter_function, METH_FASTCALL, unfilter_doc},
    {"use", use_function, METH_O, "use(name)\n\nUse an instruction set by name, or the best one for None; return its name."},
    {"instruction_sets", instruction_sets, METH_NOARGS, "Return the names of those this processor has, best first."},
    {NULL, NULL, 0, NULL},
};

static int started(PyObject *module)
{
    PyObject *name = use_function(module, Py_None);
    Py_XDECREF(name);
    return name ? 0 : -1;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, started},
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "convcli.native._native", "The compiled methods of convcli.", 0, functions, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
