#include "passes/calibration/dataset.h"

#include <math.h>
#include <string.h>

#include "dialects/plan.h"
#include "passes/calibration/preprocess.h"
#include "runtime/mrt_quant.h"
#include "utils/arena.h"
#include "utils/file.h"
#include "utils/map.h"
#include "utils/npy.h"
#include "utils/npz.h"
#include "utils/strings.h"
#include "utils/vec.h"

typedef enum file_kind { KIND_OTHER, KIND_IMAGE, KIND_NPY, KIND_NPZ } file_kind;

typedef struct sample {
    const char *text; /* as given, for messages */
    char **files;
    file_kind *kinds;
    size_t n_files;
} sample;

/* What images become for one input; found out once, since threads that read samples must not use the
 * context. */
typedef struct image_rule {
    mica_preprocess preprocess;
    mica_status status;
    mica_error error;
} image_rule;

struct mica_dataset {
    mica_arena *arena;
    image_rule *rules; /* per input */
    const mica_op **inputs; /* top.Input ops */
    size_t n_inputs;
    mica_map *names; /* of all tensors */
    MICA_VEC(sample) samples;
};

static file_kind kind_of(mica_arena *arena, const char *path) {
    const char *ext = mica_path_ext(arena, path);
    if (strcmp(ext, ".jpg") == 0 || strcmp(ext, ".jpeg") == 0 || strcmp(ext, ".png") == 0) {
        return KIND_IMAGE;
    }
    return strcmp(ext, ".npy") == 0 ? KIND_NPY : (strcmp(ext, ".npz") == 0 ? KIND_NPZ : KIND_OTHER);
}

static mica_dataset *dataset_of(mica_module *module, mica_error *err) {
    mica_op *func = mica_module_func(module, "main");
    if (func == NULL) {
        (void)!mica_fail(err, "module has no function 'main'");
        return NULL;
    }
    mica_dataset *d = mica_alloc(sizeof *d);
    d->arena = mica_arena_create();
    d->names = mica_map_create();
    d->inputs = mica_arena_alloc(d->arena, (mica_func_body(func)->n_args + 1) * sizeof *d->inputs);
    d->rules = mica_arena_alloc(d->arena, (mica_func_body(func)->n_args + 1) * sizeof *d->rules);
    for (const mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        if (mica_op_is(op, "top.Input") && d->n_inputs < mica_func_body(func)->n_args) {
            image_rule *rule = &d->rules[d->n_inputs];
            rule->status = mica_preprocess_of(op, &rule->preprocess, &rule->error);
            d->inputs[d->n_inputs++] = op;
        }
        for (uint32_t i = 0; i < op->n_results; ++i) {
            mica_map_set(d->names, mica_value_name(&op->results[i]), NULL);
        }
    }
    return d;
}

void mica_dataset_close(mica_dataset *dataset) {
    if (dataset != NULL) {
        mica_vec_free(&dataset->samples);
        mica_map_destroy(dataset->names);
        mica_arena_destroy(dataset->arena);
        mica_free(dataset);
    }
}

void mica_dataset_know(mica_dataset *dataset, const char *tensor) {
    mica_map_set(dataset->names, tensor, NULL);
}

size_t mica_dataset_count(const mica_dataset *dataset) { return dataset->samples.len; }

const char *mica_dataset_name(const mica_dataset *dataset, size_t i) {
    return dataset->samples.data[i].text;
}

mica_status mica_dataset_hash(const mica_dataset *dataset, size_t i, char out[MICA_HASH_HEX],
                              mica_error *err) {
    const sample *s = &dataset->samples.data[i];
    if (s->n_files == 1) {
        return mica_hash_file_hex(s->files[0], out, err);
    }
    char *all = mica_alloc(s->n_files * MICA_HASH_HEX + 1);
    mica_status status = MICA_OK;
    for (size_t k = 0; k < s->n_files && status == MICA_OK; ++k) {
        status = mica_hash_file_hex(s->files[k], all + k * MICA_HASH_HEX, err);
    }
    if (status == MICA_OK) {
        mica_hash_hex(all, s->n_files * MICA_HASH_HEX, out);
    }
    mica_free(all);
    return status;
}

const char *mica_dataset_image(const mica_dataset *dataset, size_t i, size_t k) {
    const sample *s = &dataset->samples.data[i];
    return k < s->n_files && s->kinds[k] == KIND_IMAGE ? s->files[k] : NULL;
}

/* One npz serves all inputs, every other file one input. */
static mica_status add_sample(mica_dataset *d, const char *text, const char *dir, mica_error *err) {
    sample s = {.text = mica_arena_strdup(d->arena, text)};
    s.files = mica_split(d->arena, text, ',', &s.n_files);
    s.kinds = mica_arena_alloc(d->arena, (s.n_files + 1) * sizeof *s.kinds);
    for (size_t i = 0; i < s.n_files; ++i) {
        s.files[i] = mica_path_join(d->arena, dir, s.files[i]);
        s.kinds[i] = kind_of(d->arena, s.files[i]);
    }
    const bool one_npz = s.n_files == 1 && s.kinds[0] == KIND_NPZ;
    if (!one_npz && s.n_files != d->n_inputs) {
        return mica_fail(err, "sample '%s' names %zu file(s), but the model has %zu input(s)", text,
                         s.n_files, d->n_inputs);
    }
    for (size_t i = 0; i < s.n_files; ++i) {
        if (s.kinds[i] == KIND_OTHER) {
            return mica_fail(err, "'%s' is no sample: expected .jpg, .jpeg, .png, .npy or .npz",
                             s.files[i]);
        }
    }
    mica_vec_push(&d->samples, s);
    return MICA_OK;
}

static mica_status open_folder(mica_dataset *d, const char *folder, int64_t limit, mica_error *err) {
    size_t n = 0;
    if (!mica_is_dir(folder)) {
        return mica_fail(err, "dataset '%s' is not a folder", folder);
    }
    char **names = NULL;
    MICA_TRY(mica_list_dir(folder, d->arena, &names, &n, err));
    size_t others = 0;
    for (size_t i = 0; i < n && (limit == 0 || (int64_t)d->samples.len < limit); ++i) {
        const file_kind kind = kind_of(d->arena, names[i]);
        if (kind == KIND_OTHER) {
            ++others; /* a readme or a label file beside the samples is no error */
            continue;
        }
        if (d->n_inputs > 1 && kind != KIND_NPZ) {
            return mica_fail(err, "the model has %zu inputs, so a folder must hold one npz per sample; "
                                  "found '%s' (or use --data_list)", d->n_inputs, names[i]);
        }
        if (strchr(names[i], ',') != NULL) {
            return mica_fail(err, "sample name '%s' holds a comma", names[i]);
        }
        MICA_TRY(add_sample(d, names[i], folder, err));
    }
    return d->samples.len > 0 ? MICA_OK
                              : mica_fail(err, "dataset '%s' holds no jpg, png, npy or npz file (%zu "
                                               "other files)", folder, others);
}

static mica_status open_list(mica_dataset *d, const char *list, int64_t limit, mica_error *err) {
    enum { MAX_LIST_BYTES = 256 << 20 };
    char *text = NULL;
    size_t length = 0;
    MICA_TRY(mica_read_file(list, MAX_LIST_BYTES, &text, &length, err));
    const char *dir = mica_path_dir(d->arena, list);
    size_t n = 0;
    char **lines = mica_split(d->arena, text, '\n', &n);
    mica_free(text);
    enum { SHOWN = 3 };
    size_t missing = 0;
    const char *missing_names = "";
    for (size_t i = 0; i < n && (limit == 0 || (int64_t)d->samples.len < limit); ++i) {
        if (*lines[i] == '\0' || *lines[i] == '#') {
            continue;
        }
        MICA_TRY(add_sample(d, lines[i], dir, err));
        const sample *s = &d->samples.data[d->samples.len - 1];
        for (size_t k = 0; k < s->n_files; ++k) {
            if (!mica_file_exists(s->files[k]) && ++missing <= SHOWN) {
                missing_names = mica_arena_printf(d->arena, "%s%s'%s'", missing_names,
                                                  missing > 1 ? ", " : "", s->files[k]);
            }
        }
    }
    if (missing > 0) {
        return mica_fail(err, "data list '%s': %zu file(s) of %zu samples do not exist: %s%s", list, missing,
                         d->samples.len, missing_names, missing > SHOWN ? ", ..." : "");
    }
    return d->samples.len > 0 ? MICA_OK : mica_fail(err, "data list '%s' names no sample", list);
}

mica_dataset *mica_dataset_open(mica_module *module, const char *folder, const char *list,
                                int64_t limit, mica_error *err) {
    mica_dataset *d = dataset_of(module, err);
    if (d != NULL && (folder != NULL ? open_folder(d, folder, limit, err)
                                     : open_list(d, list, limit, err)) != MICA_OK) {
        mica_dataset_close(d);
        return NULL;
    }
    return d;
}

mica_dataset *mica_dataset_of_files(mica_module *module, const char *files, mica_error *err) {
    mica_dataset *d = dataset_of(module, err);
    if (d != NULL && add_sample(d, files, "", err) != MICA_OK) {
        mica_dataset_close(d);
        return NULL;
    }
    return d;
}

/* --- reading ------------------------------------------------------------------------------------ */

static const char *dims_text(mica_arena *arena, int rank, const int64_t *dims) {
    char *text = mica_arena_strdup(arena, "[");
    for (int i = 0; i < rank; ++i) {
        text = mica_arena_printf(arena, "%s%s%lld", text, i > 0 ? "," : "", (long long)dims[i]);
    }
    return mica_arena_printf(arena, "%s]", text);
}

/* Equal shapes, or equal but for axes of size 1 (a missing batch axis). */
static bool same_shape(const mica_ndarray *array, const mrt_shape *shape) {
    int i = 0;
    int k = 0;
    for (;;) {
        while (i < array->rank && array->dims[i] == 1) {
            ++i;
        }
        while (k < shape->rank && shape->dims[k] == 1) {
            ++k;
        }
        if (i == array->rank || k == shape->rank) {
            return i == array->rank && k == shape->rank;
        }
        if (array->dims[i++] != shape->dims[k++]) {
            return false;
        }
    }
}

static mica_status check_finite(const float *x, int64_t n, const char *file, mica_error *err) {
    int64_t bad = 0;
    for (int64_t i = 0; i < n; ++i) {
        bad += !isfinite(x[i]);
    }
    return bad == 0 ? MICA_OK
                    : mica_fail(err, "sample '%s' holds %lld of %lld values that are NaN or infinite",
                                file, (long long)bad, (long long)n);
}

/* Whole numbers into an integer input; what its type cannot hold is refused. */
static mica_status fill_integers(const mica_ndarray *array, mrt_tensor *input, const char *file,
                                 const char *name, mica_error *err) {
    const int64_t count = mrt_shape_count(&input->shape);
    int64_t low = INT64_MIN;
    int64_t high = INT64_MAX;
    if (input->dtype == MRT_BOOL) {
        low = 0;
        high = 1;
    } else {
        (void)mrt_int_range(input->dtype, &low, &high);
    }
    int64_t *wide = mica_alloc((size_t)count * sizeof *wide + 1);
    mica_status status = mica_ndarray_to_i64(array, wide)
                             ? MICA_OK
                             : mica_fail(err, "sample '%s': input '%s' expects integers (%s), got %s", file,
                                         name, mrt_dtype_name(input->dtype), array->descr);
    for (int64_t i = 0; status == MICA_OK && i < count; ++i) {
        if (wide[i] < low || wide[i] > high) {
            status = mica_fail(err, "sample '%s': input '%s' is %s, which cannot hold its value %lld", file,
                               name, mrt_dtype_name(input->dtype), (long long)wide[i]);
            break;
        }
        const size_t bytes = mrt_dtype_bytes(input->dtype);
        memcpy((char *)input->data + (size_t)i * bytes, &wide[i], bytes); /* little endian */
    }
    mica_free(wide);
    return status;
}

static mica_status fill(const mica_ndarray *array, mrt_tensor *input, const char *file,
                        const char *name, mica_error *err) {
    mica_arena *arena = mica_arena_create();
    mica_status status = MICA_OK;
    const int64_t count = mrt_shape_count(&input->shape);
    if (!same_shape(array, &input->shape)) {
        status = mica_fail(err, "sample '%s': input '%s' expects shape %s, got %s", file, name,
                           dims_text(arena, input->shape.rank, input->shape.dims),
                           dims_text(arena, array->rank, array->dims));
    } else if (input->dtype == MRT_F32) {
        status = mica_ndarray_to_f32(array, input->data)
                     ? check_finite(input->data, count, file, err)
                     : mica_fail(err, "sample '%s': input '%s' has type %s, which is no number", file,
                                 name, array->descr);
    } else if (input->dtype == MRT_F64 || input->dtype == MRT_F16 || input->dtype == MRT_BF16) {
        status = mica_fail(err, "sample '%s': input '%s' is %s; samples fill f32 and integer inputs only",
                           file, name, mrt_dtype_name(input->dtype));
    } else {
        status = fill_integers(array, input, file, name, err);
    }
    mica_arena_destroy(arena);
    return status;
}

static mica_status read_npz(const mica_dataset *d, const char *file, mrt_tensor *const *inputs,
                            mica_error *err) {
    mica_npz *npz = mica_npz_open(file, err);
    if (npz == NULL) {
        return MICA_FAIL;
    }
    mica_status status = MICA_OK;
    for (size_t i = 0; i < d->n_inputs && status == MICA_OK; ++i) {
        const char *name = mica_loc_get_name(d->inputs[i]->loc);
        mica_error inner;
        const mica_ndarray *array = mica_npz_get(npz, name, &inner);
        status = array != NULL ? fill(array, inputs[i], file, name, err)
                               : mica_fail(err, "sample %s", inner.text);
    }
    for (size_t k = 0; k < mica_npz_count(npz) && status == MICA_OK; ++k) {
        /* Files that hold other tensors of the model beside its inputs are samples too. */
        if (!mica_map_has(d->names, mica_npz_key(npz, k))) {
            status = mica_fail(err, "sample '%s': key '%s' is no input and no other tensor of the model",
                               file, mica_npz_key(npz, k));
        }
    }
    mica_npz_close(npz);
    return status;
}

static mica_status read_image(const mica_dataset *d, size_t i, const char *file, mrt_tensor *input,
                              mica_error *err) {
    const image_rule *rule = &d->rules[i];
    if (input->dtype != MRT_F32) {
        return mica_fail(err, "sample '%s': input '%s' is %s, an image needs f32", file,
                         mica_loc_get_name(d->inputs[i]->loc), mrt_dtype_name(input->dtype));
    }
    if (rule->status != MICA_OK) {
        *err = rule->error;
        return rule->status;
    }
    return mica_preprocess_image(&rule->preprocess, file, input->data, err);
}

mica_status mica_dataset_read(const mica_dataset *dataset, size_t i, mrt_tensor *const *inputs,
                              size_t n_inputs, mica_error *err) {
    const sample *s = &dataset->samples.data[i];
    if (n_inputs != dataset->n_inputs) {
        return mica_fail(err, "the model has %zu inputs, the dataset was opened for %zu", n_inputs,
                         dataset->n_inputs);
    }
    if (s->n_files == 1 && s->kinds[0] == KIND_NPZ) {
        return read_npz(dataset, s->files[0], inputs, err);
    }
    for (size_t k = 0; k < s->n_files; ++k) {
        if (s->kinds[k] == KIND_IMAGE) {
            MICA_TRY(read_image(dataset, k, s->files[k], inputs[k], err));
            continue;
        }
        mica_ndarray array = {0};
        MICA_TRY(mica_npy_read(s->files[k], &array, err));
        const mica_status status = fill(&array, inputs[k], s->files[k],
                                        mica_loc_get_name(dataset->inputs[k]->loc), err);
        mica_ndarray_free(&array);
        MICA_TRY(status);
    }
    return MICA_OK;
}
