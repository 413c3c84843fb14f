/* npz_tool transpose, int8_to_fp32 and bf16_to_fp32. */
#include "tools/npz_tool.h"

#include "utils/half.h"
#include "utils/strings.h"

#include <string.h>

static const char output_help[] = "write here and leave the input as it is";

/* --- transpose --------------------------------------------------------------------------------- */

typedef struct transposition {
    int rank;
    int from[MICA_NDARRAY_MAX_RANK]; /* axis of the source that becomes axis i of the result */
    const char *name;                /* NULL: every array of this rank */
} transposition;

static void permute(const mica_ndarray *in, const transposition *t, const int64_t *dims,
                    uint8_t *out) {
    const size_t size = mica_descr_size(in->descr);
    const int64_t count = mica_ndarray_count(in);
    int64_t stride[MICA_NDARRAY_MAX_RANK], at[MICA_NDARRAY_MAX_RANK] = {0};
    for (int i = 0; i < t->rank; i++) {
        stride[i] = 1;
        for (int k = t->from[i] + 1; k < t->rank; k++) {
            stride[i] *= in->dims[k];
        }
    }
    for (int64_t n = 0, offset = 0; n < count; n++) {
        memcpy(out + (size_t)n * size, (const uint8_t *)in->data + (size_t)offset * size, size);
        for (int i = t->rank - 1; i >= 0; i--) {
            offset += stride[i];
            if (++at[i] < dims[i]) {
                break;
            }
            offset -= stride[i] * dims[i];
            at[i] = 0;
        }
    }
}

static mica_status transpose_one(void *user, mica_ndarray *array, bool *changed, mica_error *err) {
    transposition *t = user;
    if (t->name != NULL && strcmp(t->name, array->name) != 0) {
        return MICA_OK;
    }
    if (array->rank != t->rank) {
        return t->name == NULL ? MICA_OK
                               : mica_fail(err, "array '%s' has %d axes, the layouts name %d",
                                           array->name, array->rank, t->rank);
    }
    int64_t dims[MICA_NDARRAY_MAX_RANK];
    for (int i = 0; i < t->rank; i++) {
        dims[i] = array->dims[t->from[i]];
    }
    uint8_t *data = mica_alloc(array->bytes + 1);
    permute(array, t, dims, data);
    memcpy(array->dims, dims, sizeof array->dims);
    array->data = array->owned = data;
    *changed = true;
    return MICA_OK;
}

/* "nhwc", "nchw": letters of the axes before and after. */
static mica_status parse_layouts(const char *from, const char *to, transposition *t,
                                 mica_error *err) {
    const size_t n = strlen(from);
    bool ok = n > 0 && n <= MICA_NDARRAY_MAX_RANK && strlen(to) == n;
    for (size_t i = 0; ok && i < n; i++) {
        const char *place = strchr(from, to[i]);
        ok = place != NULL && strchr(to + i + 1, to[i]) == NULL;
        t->from[i] = ok ? (int)(place - from) : 0;
    }
    t->rank = (int)n;
    return ok ? MICA_OK
              : mica_fail(err, "layouts '%s' and '%s': expected the same letters, each once, for "
                               "example nhwc nchw", from, to);
}

int npz_transpose_main(int argc, char **argv) {
    npz_run run;
    transposition t = {0};
    const char *path = NULL, *from = NULL, *to = NULL, *output = NULL;
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true,
         .help = "npz to change in place", .dest = &path},
        {.name = "from", .kind = MICA_OPT_STRING, .required = true,
         .help = "layout now, one letter an axis, for example nhwc", .dest = &from},
        {.name = "to", .kind = MICA_OPT_STRING, .required = true,
         .help = "layout wanted, the same letters, for example nchw", .dest = &to},
        {.name = "--name", .kind = MICA_OPT_STRING,
         .help = "only this array; without: all with as many axes as the layouts", .dest = &t.name},
        {.name = "--output", .alias = "-o", .kind = MICA_OPT_STRING, .metavar = "FILE",
         .help = output_help, .dest = &output},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "transpose", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    mica_status status = parse_layouts(from, to, &t, &run.err);
    if (status == MICA_OK) {
        const char *nothing =
            t.name != NULL ? mica_arena_printf(run.arena, "array '%s'", t.name)
                           : mica_arena_printf(run.arena, "array of %d axes", t.rank);
        status = npz_rewrite(path, output != NULL ? output : path, transpose_one, &t, nothing,
                             &run.err);
    }
    return npz_run_end(&run, status);
}

/* --- to float32 -------------------------------------------------------------------------------- */

typedef struct widening {
    double scale;
    int64_t zero_point;
    bool bf16;
} widening;

static mica_status widen_one(void *user, mica_ndarray *array, bool *changed, mica_error *err) {
    (void)err;
    widening *w = user;
    const mrt_dtype dtype = npz_dtype(array);
    if (w->bf16 ? dtype != MRT_U16 : dtype != MRT_I8 && dtype != MRT_U8) {
        return MICA_OK;
    }
    const int64_t count = mica_ndarray_count(array);
    float *out = mica_alloc((size_t)count * sizeof *out + 1);
    for (int64_t i = 0; i < count; i++) {
        out[i] = w->bf16 ? mica_bf16_to_f32(((const uint16_t *)array->data)[i])
                         : (float)(w->scale * (npz_value(array, i) - (double)w->zero_point));
    }
    memcpy(array->descr, "<f4", sizeof "<f4");
    array->data = array->owned = out;
    array->bytes = (size_t)count * sizeof *out;
    *changed = true;
    return MICA_OK;
}

static mica_status widen(npz_run *run, const char *in, const char *out, widening *w) {
    return npz_rewrite(in, out, widen_one, w,
                       w->bf16 ? "array of type u16 (bfloat16)" : "array of type i8 or u8",
                       &run->err);
}

int npz_int8_to_fp32_main(int argc, char **argv) {
    npz_run run;
    widening w = {0};
    const char *in = NULL, *out = NULL;
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true, .help = "npz to read",
         .dest = &in},
        {.name = "output", .kind = MICA_OPT_STRING, .required = true,
         .help = "npz to write; arrays of other types are copied", .dest = &out},
        {.name = "--scale", .kind = MICA_OPT_FLOAT, .default_text = "1",
         .help = "real value of one step: real = scale * (q - zero_point)", .dest = &w.scale},
        {.name = "--zero_point", .kind = MICA_OPT_INT, .default_text = "0",
         .help = "integer that stands for 0", .dest = &w.zero_point},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "int8_to_fp32", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    return npz_run_end(&run, widen(&run, in, out, &w));
}

int npz_bf16_to_fp32_main(int argc, char **argv) {
    npz_run run;
    widening w = {.bf16 = true};
    const char *in = NULL, *out = NULL;
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true, .help = "npz to read",
         .dest = &in},
        {.name = "output", .kind = MICA_OPT_STRING, .required = true,
         .help = "npz to write; arrays of other types are copied", .dest = &out},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "bf16_to_fp32", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    return npz_run_end(&run, widen(&run, in, out, &w));
}
