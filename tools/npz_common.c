/* Helpers of the npz_tool sub-commands. */
#include "tools/npz_tool.h"

#include "utils/half.h"
#include "utils/strbuf.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *name, *summary;
} commands[] = {
#define NPZ_COMMAND(name, alias, summary) {#name, summary},
#include "tools/npz_commands.def"
#undef NPZ_COMMAND
};

bool npz_run_begin(npz_run *run, const char *name, mica_option *rows, size_t count, int argc,
                   char **argv, int *out_exit) {
    run->arena = mica_arena_create();
    run->err = (mica_error){0};
    run->table = (mica_option_table){
        .program = mica_arena_printf(run->arena, "npz_tool %s", name),
        .version = MICA_VERSION,
        .rows = rows,
        .count = count,
        .arena = run->arena,
    };
    for (size_t i = 0; i < MICA_COUNT(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            run->table.summary = commands[i].summary;
        }
    }
    if (tool_options(&run->table, argc, argv, out_exit)) {
        return true;
    }
    mica_arena_destroy(run->arena);
    return false;
}

int npz_run_end(npz_run *run, mica_status status) {
    int code = TOOL_OK;
    if (status != MICA_OK) {
        code = tool_failed(run->table.program, &run->err);
    }
    mica_arena_destroy(run->arena);
    return code;
}

/* --- arrays ------------------------------------------------------------------------------------ */

mrt_dtype npz_dtype(const mica_ndarray *array) {
    static const struct {
        mrt_dtype dtype;
        const char *descr;
    } types[] = {
#define X(name, code, bytes, text, descr) {MRT_##name, descr},
        MRT_DTYPE_LIST(X)
#undef X
    };
    for (size_t i = 0; i < MICA_COUNT(types); i++) {
        if (types[i].dtype != MRT_BF16 && strcmp(types[i].descr, array->descr) == 0) {
            return types[i].dtype;
        }
    }
    return MRT_DTYPE_NONE;
}

mrt_tensor npz_tensor(const mica_ndarray *array) {
    mrt_tensor tensor = {.name = array->name, .dtype = npz_dtype(array)};
    tensor.shape.rank = array->rank;
    memcpy(tensor.shape.dims, array->dims, (size_t)array->rank * sizeof array->dims[0]);
    tensor.data = (void *)(uintptr_t)array->data; /* only read */
    return tensor;
}

const char *npz_shape_text(mica_arena *arena, const mica_ndarray *array) {
    const char *text = "scalar";
    for (int i = 0; i < array->rank; i++) {
        text = i == 0 ? mica_arena_printf(arena, "%" PRId64, array->dims[0])
                      : mica_arena_printf(arena, "%sx%" PRId64, text, array->dims[i]);
    }
    return text;
}

const char *npz_index_text(mica_arena *arena, const mica_ndarray *array, int64_t index) {
    const char *text = "";
    for (int i = array->rank - 1; i >= 0; i--) {
        const int64_t dim = array->dims[i] > 0 ? array->dims[i] : 1;
        text = mica_arena_printf(arena, "%" PRId64 "%s%s", index % dim, *text != '\0' ? "," : "",
                                 text);
        index /= dim;
    }
    return mica_arena_printf(arena, "[%s]", text);
}

#define ELEMENT(type) (((const type *)array->data)[i])

double npz_value(const mica_ndarray *array, int64_t i) {
    switch (npz_dtype(array)) {
    case MRT_F32: return (double)ELEMENT(float);
    case MRT_F64: return ELEMENT(double);
    case MRT_F16: return (double)mica_f16_to_f32(ELEMENT(uint16_t));
    case MRT_I8: return ELEMENT(int8_t);
    case MRT_BOOL:
    case MRT_U8: return ELEMENT(uint8_t);
    case MRT_I16: return ELEMENT(int16_t);
    case MRT_BF16:
    case MRT_U16: return ELEMENT(uint16_t);
    case MRT_I32: return ELEMENT(int32_t);
    case MRT_U32: return ELEMENT(uint32_t);
    case MRT_I64: return (double)ELEMENT(int64_t);
    case MRT_U64: return (double)ELEMENT(uint64_t);
    default: break;
    }
    return 0;
}

void npz_value_text(const mica_ndarray *array, int64_t i, char out[32]) {
    const mrt_dtype dtype = npz_dtype(array);
    if (dtype == MRT_I64) {
        snprintf(out, 32, "%" PRId64, ELEMENT(int64_t));
    } else if (dtype == MRT_U64) {
        snprintf(out, 32, "%" PRIu64, ELEMENT(uint64_t));
    } else if (dtype == MRT_BOOL) {
        snprintf(out, 32, "%s", ELEMENT(uint8_t) != 0 ? "true" : "false");
    } else if (mrt_dtype_is_float(dtype)) {
        snprintf(out, 32, "%.9g", npz_value(array, i));
    } else {
        snprintf(out, 32, "%.0f", npz_value(array, i));
    }
}

int64_t *npz_largest(mica_arena *arena, npz_key_fn *key, const void *user, int64_t count,
                     int64_t k, int64_t *out_n) {
    k = k > count ? count : k;
    int64_t n = 0;
    int64_t *best = mica_arena_array(arena, (size_t)k + 1, sizeof *best);
    double *keys = mica_arena_array(arena, (size_t)k + 1, sizeof *keys);
    for (int64_t i = 0; i < count && k > 0; i++) {
        const double value = key(user, i);
        if (n == k && !(value > keys[n - 1])) {
            continue;
        }
        int64_t at = n < k ? n++ : n - 1;
        for (; at > 0 && value > keys[at - 1]; at--) {
            keys[at] = keys[at - 1];
            best[at] = best[at - 1];
        }
        keys[at] = value;
        best[at] = i;
    }
    *out_n = n;
    return best;
}

/* --- writing ----------------------------------------------------------------------------------- */

mica_status npz_put(mica_npz_writer *writer, const char *key, const mica_ndarray *array,
                    mica_error *err) {
    return mica_npz_add(writer, key, array->descr, array->rank, array->dims, array->data, err);
}

mica_status npz_finish(mica_npz_writer *writer, mica_status status, mica_error *err) {
    if (writer != NULL && status == MICA_OK) {
        return mica_npz_finish(writer, err);
    }
    mica_npz_discard(writer);
    return MICA_FAIL;
}

static mica_status rewrite_one(mica_npz *in, mica_npz_writer *writer, const char *key,
                               npz_edit_fn *edit, void *user, bool *changed, mica_error *err) {
    const mica_ndarray *array = mica_npz_get(in, key, err);
    if (array == NULL) {
        return MICA_FAIL;
    }
    mica_ndarray edited = *array;
    edited.owned = NULL;
    mica_status status = edit(user, &edited, changed, err);
    if (status == MICA_OK) {
        status = npz_put(writer, edited.name, &edited, err);
    }
    mica_free(edited.owned);
    mica_npz_release(in, key);
    return status;
}

mica_status npz_rewrite(const char *in_path, const char *out_path, npz_edit_fn *edit, void *user,
                        const char *nothing, mica_error *err) {
    mica_npz *in = mica_npz_open(in_path, err);
    if (in == NULL) {
        return MICA_FAIL;
    }
    mica_npz_writer *writer = mica_npz_create(out_path, false, err);
    mica_status status = writer != NULL ? MICA_OK : MICA_FAIL;
    bool changed = false;
    for (size_t i = 0; i < mica_npz_count(in) && status == MICA_OK; i++) {
        status = rewrite_one(in, writer, mica_npz_key(in, i), edit, user, &changed, err);
    }
    if (status == MICA_OK && !changed) {
        status = mica_fail(err, "'%s' has no %s", in_path, nothing);
    }
    status = npz_finish(writer, status, err);
    mica_npz_close(in);
    return status;
}
