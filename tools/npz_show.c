/* npz_tool dump and get_shape. */
#include "tools/npz_tool.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { SHOWN = 1000 }; /* elements printed without --full-array */

typedef struct dump {
    npz_run run;
    const char *path, *name;
    int64_t top;
    bool full;
} dump;

/* One line: name, shape, type and the range of the finite elements. */
static mica_status print_line(dump *d, mica_npz *npz, const char *key, int width) {
    const mica_ndarray *array = mica_npz_get(npz, key, &d->run.err);
    if (array == NULL) {
        return MICA_FAIL;
    }
    const int64_t count = mica_ndarray_count(array);
    double low = INFINITY, high = -INFINITY, sum = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < count; i++) {
        const double x = npz_value(array, i);
        if (isfinite(x)) {
            low = x < low ? x : low;
            high = x > high ? x : high;
            sum += x;
            finite++;
        }
    }
    printf("%-*s  %-18s %-5s", width, key, npz_shape_text(d->run.arena, array),
           mrt_dtype_name(npz_dtype(array)));
    if (finite > 0) {
        printf(" min %.6g max %.6g mean %.6g", low, high, sum / (double)finite);
    }
    if (finite < count) {
        printf(" (%" PRId64 " NaN or infinite)", count - finite);
    }
    putchar('\n');
    mica_npz_release(npz, key);
    return MICA_OK;
}

static mica_status list_arrays(dump *d, mica_npz *npz) {
    int width = 4;
    for (size_t i = 0; i < mica_npz_count(npz); i++) {
        const int length = (int)strlen(mica_npz_key(npz, i));
        width = length > width ? length : width;
    }
    mica_status status = MICA_OK;
    for (size_t i = 0; i < mica_npz_count(npz) && status == MICA_OK; i++) {
        status = print_line(d, npz, mica_npz_key(npz, i), width);
    }
    return status;
}

/* Rows of the last axis, one a line. */
static void print_elements(dump *d, const mica_ndarray *array) {
    const int64_t count = mica_ndarray_count(array);
    const int64_t shown = d->full || count < SHOWN ? count : SHOWN;
    const int64_t row = array->rank > 0 ? array->dims[array->rank - 1] : 1;
    for (int64_t i = 0; i < shown; i++) {
        char text[32];
        npz_value_text(array, i, text);
        printf("%s%s", i % row == 0 ? (i > 0 ? "\n" : "") : " ", text);
    }
    printf("%s", shown > 0 ? "\n" : "");
    if (shown < count) {
        printf("... %" PRId64 " more, --full-array prints all\n", count - shown);
    }
}

static double element_key(const void *user, int64_t i) {
    const double x = npz_value(user, i);
    return isnan(x) ? -INFINITY : x;
}

static void print_largest(dump *d, const mica_ndarray *array) {
    int64_t n = 0;
    const int64_t count = mica_ndarray_count(array);
    const int64_t *best = npz_largest(d->run.arena, element_key, array, count, d->top, &n);
    printf("largest %" PRId64 ":\n", n);
    for (int64_t i = 0; i < n; i++) {
        char text[32];
        npz_value_text(array, best[i], text);
        printf("  %s %s\n", npz_index_text(d->run.arena, array, best[i]), text);
    }
}

static mica_status print_array(dump *d, mica_npz *npz) {
    const mica_ndarray *array = mica_npz_get(npz, d->name, &d->run.err);
    if (array == NULL) {
        return MICA_FAIL;
    }
    printf("%s %s %s\n", d->name, npz_shape_text(d->run.arena, array),
           mrt_dtype_name(npz_dtype(array)));
    if (d->top > 0) {
        print_largest(d, array);
    } else {
        print_elements(d, array);
    }
    return MICA_OK;
}

static mica_status check_dump(dump *d) {
    if (d->full && (d->name == NULL || d->top > 0)) {
        return mica_fail(&d->run.err, "option '--full-array' needs the name of an array and no K");
    }
    if (mica_option_given(&d->run.table, "K") && (d->top < 1 || d->top > NPZ_MAX_TOP)) {
        return mica_fail(&d->run.err, "argument 'K': expected 1 to %d, got %" PRId64, NPZ_MAX_TOP,
                         d->top);
    }
    return MICA_OK;
}

int npz_dump_main(int argc, char **argv) {
    dump d = {0};
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true, .help = "npz to read",
         .dest = &d.path},
        {.name = "name", .kind = MICA_OPT_STRING, .help = "array to print; without: list them all",
         .dest = &d.name},
        {.name = "K", .kind = MICA_OPT_INT, .help = "print only the K largest elements",
         .dest = &d.top},
        {.name = "--full-array", .kind = MICA_OPT_FLAG, .help = "print more than 1000 elements",
         .dest = &d.full},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&d.run, "dump", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    mica_status status = check_dump(&d);
    mica_npz *npz = status == MICA_OK ? mica_npz_open(d.path, &d.run.err) : NULL;
    if (npz == NULL) {
        return npz_run_end(&d.run, MICA_FAIL);
    }
    status = d.name != NULL ? print_array(&d, npz) : list_arrays(&d, npz);
    mica_npz_close(npz);
    return npz_run_end(&d.run, status);
}

static void print_dims(const mica_ndarray *array) {
    for (int i = 0; i < array->rank; i++) {
        printf("%s%" PRId64, i > 0 ? "," : "", array->dims[i]);
    }
    putchar('\n');
}

static mica_status print_shapes(npz_run *run, const char *path, const char *name) {
    mica_npz *npz = mica_npz_open(path, &run->err);
    if (npz == NULL) {
        return MICA_FAIL;
    }
    mica_status status = MICA_OK;
    const size_t count = name != NULL ? 1 : mica_npz_count(npz);
    for (size_t i = 0; i < count && status == MICA_OK; i++) {
        const char *key = name != NULL ? name : mica_npz_key(npz, i);
        const mica_ndarray *array = mica_npz_get(npz, key, &run->err);
        status = array != NULL ? MICA_OK : MICA_FAIL;
        if (array != NULL) {
            printf("%s%s", name != NULL ? "" : key, name != NULL ? "" : " ");
            print_dims(array);
            mica_npz_release(npz, key);
        }
    }
    mica_npz_close(npz);
    return status;
}

int npz_get_shape_main(int argc, char **argv) {
    npz_run run;
    const char *path = NULL, *name = NULL;
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true, .help = "npz to read",
         .dest = &path},
        {.name = "name", .kind = MICA_OPT_STRING,
         .help = "print only the shape of this array, without its name", .dest = &name},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "get_shape", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    return npz_run_end(&run, print_shapes(&run, path, name));
}
