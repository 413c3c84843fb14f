/* Writing and comparing the tensors of a run. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/mrt_half.h"
#include "runtime/mrt_quant.h"
#include "runtime/mrt_small.h"
#include "tools/tool.h"
#include "utils/arena.h"
#include "utils/map.h"
#include "utils/npz.h"
#include "utils/strings.h"

static const char *descr_of(mrt_dtype dtype) {
    switch (dtype) {
#define X(name, code, bytes, text, descr)                                                          \
    case MRT_##name:                                                                               \
        return descr;
        MRT_DTYPE_LIST(X)
#undef X
    default:
        return "|u1";
    }
}

/* Real values of a quantized tensor or one of narrow floats. */
static void to_real(const mrt_tensor *t, float *out) {
    const int64_t n = mrt_shape_count(&t->shape);
    if (mrt_dtype_is_small_float(t->dtype)) {
        mrt_small_to_f32(t->dtype, t->data, out, n);
        return;
    }
    for (int64_t i = 0; i < n; ++i) {
        switch (t->dtype) {
        case MRT_I8:
            out[i] = mrt_dequantize_value(((const int8_t *)t->data)[i], t->scale, t->zero_point);
            break;
        case MRT_U8:
            out[i] = mrt_dequantize_value(((const uint8_t *)t->data)[i], t->scale, t->zero_point);
            break;
        case MRT_F16:
            out[i] = mrt_f16_to_f32(((const uint16_t *)t->data)[i]);
            break;
        case MRT_BF16:
            out[i] = mrt_bf16_to_f32(((const uint16_t *)t->data)[i]);
            break;
        default:
            out[i] = 0.0f;
        }
    }
}

static mica_status add_tensor(mica_npz_writer *writer, const mrt_tensor *t, bool fixed,
                              mica_error *err) {
    const bool quantized = t->scale > 0.0 && (t->dtype == MRT_I8 || t->dtype == MRT_U8);
    const bool half = t->dtype == MRT_F16 || t->dtype == MRT_BF16 ||
                      mrt_dtype_is_small_float(t->dtype);
    if (!(quantized && !fixed) && !half) {
        return mica_npz_add(writer, t->name, descr_of(t->dtype), t->shape.rank, t->shape.dims, t->data,
                            err);
    }
    float *real = mica_alloc((size_t)mrt_shape_count(&t->shape) * sizeof *real + 1);
    to_real(t, real);
    const mica_status status =
        mica_npz_add(writer, t->name, "<f4", t->shape.rank, t->shape.dims, real, err);
    mica_free(real);
    return status;
}

/* Tensors worth a name: everything computed or given, but no constants and no unnamed temporaries. */
static bool is_named(const mrt_plan *plan, int32_t id) {
    const mrt_plan_tensor *t = &plan->tensors[id];
    return t->kind != MRT_CONST && t->info.name != NULL && *t->info.name != '\0';
}

mica_status tool_save_tensors(tool_model *model, bool all, bool fixed, const char *path,
                              mica_error *err) {
    mica_npz_writer *writer = mica_npz_create(path, false, err);
    if (writer == NULL) {
        return MICA_FAIL;
    }
    mica_status status = MICA_OK;
    mica_map *seen = mica_map_create();
    const mrt_plan *plan = model->plan;
    const int32_t n = all ? plan->n_tensors : plan->n_outputs;
    for (int32_t i = 0; i < n && status == MICA_OK; ++i) {
        const int32_t id = all ? i : plan->outputs[i];
        if (is_named(plan, id) && mica_map_set(seen, plan->tensors[id].info.name, NULL)) {
            status = add_tensor(writer, mrt_exec_tensor(model->exec, id), fixed, err);
        }
    }
    mica_map_destroy(seen);
    if (status != MICA_OK) {
        mica_npz_discard(writer);
        return MICA_FAIL;
    }
    return mica_npz_finish(writer, err);
}

mica_status tool_save_inputs(tool_model *model, const char *path, mica_error *err) {
    mica_npz_writer *writer = mica_npz_create(path, false, err);
    if (writer == NULL) {
        return MICA_FAIL;
    }
    for (int32_t i = 0; i < model->plan->n_inputs; ++i) {
        const mrt_tensor *t = mrt_exec_tensor(model->exec, model->plan->inputs[i]);
        if (add_tensor(writer, t, true, err) != MICA_OK) {
            mica_npz_discard(writer);
            return MICA_FAIL;
        }
    }
    return mica_npz_finish(writer, err);
}

/* --- comparing --------------------------------------------------------------------------------- */

/* Tensor `name` of the reference as a runtime tensor; false when it has none. Arrays of an npz have no
 * scale, so they are real values or plain integers. */
static bool reference_tensor(const tool_reference *reference, const char *name, mrt_tensor *out) {
    if (reference->model != NULL) {
        const int32_t id = mrt_plan_find(reference->model->plan, name);
        if (id < 0 || reference->model->plan->tensors[id].kind == MRT_CONST) {
            return false;
        }
        *out = *mrt_exec_tensor(reference->model->exec, id);
        return true;
    }
    mica_error err;
    const mica_ndarray *array =
        mica_npz_has(reference->npz, name) ? mica_npz_get(reference->npz, name, &err) : NULL;
    if (array == NULL) {
        return false;
    }
    *out = (mrt_tensor){.name = name, .data = (void *)(uintptr_t)array->data};
    out->shape.rank = array->rank;
    memcpy(out->shape.dims, array->dims, sizeof(int64_t) * (size_t)array->rank);
    for (int code = 1; code <= MRT_BOOL; ++code) {
        if (code != MRT_BF16 && strcmp(descr_of((mrt_dtype)code), array->descr) == 0) {
            out->dtype = (mrt_dtype)code;
        }
    }
    return out->dtype != MRT_DTYPE_NONE;
}

/* Share of the elements that lie on the ends of the integer range. */
static double saturated_share(const mrt_tensor *t) {
    int64_t low = 0;
    int64_t high = 0;
    const int64_t n = mrt_shape_count(&t->shape);
    if (t->scale <= 0.0 || n == 0 || !mrt_int_range(t->dtype, &low, &high)) {
        return 0.0;
    }
    int64_t at_end = 0;
    for (int64_t i = 0; i < n; ++i) {
        const int v = t->dtype == MRT_I8 ? ((const int8_t *)t->data)[i] : ((const uint8_t *)t->data)[i];
        at_end += v == high || (v == low && low < 0);
    }
    return (double)at_end / (double)n;
}

/* The likely reason of a failure, in one phrase that names what to do. */
static const char *likely_reason(const mrt_tensor *got, const mrt_metrics *m, char *text,
                                 size_t size) {
    const double share = saturated_share(got);
    const double noise_cosine = 1.0 / sqrt(1.0 + m->nsr);
    if (m->mismatched > 0) {
        snprintf(text, size, "%lld elements are NaN or infinite on one side only",
                 (long long)m->mismatched);
    } else if (share > 0.02) {
        snprintf(text, size, "%.1f %% of its integers are saturated: the calibrated range is too small "
                             "for this input (more or other calibration samples, or --cali_method max)",
                 100.0 * share);
    } else if (m->cosine > noise_cosine + 0.01) {
        snprintf(text, size, "the error is a common factor or offset, not noise: check scale and "
                             "preprocessing");
    } else if (got->scale > 0.0 && m->max_abs_ref < 16.0 * got->scale) {
        snprintf(text, size, "its values span only %.0f of 256 steps: the range was set by rare large "
                             "values (try --cali_method mse or keep this op in float)",
                 m->max_abs_ref / got->scale);
    } else {
        snprintf(text, size, "rounding noise has accumulated; keep the op in F16 or F32 by a quantize "
                             "table");
    }
    return text;
}

/* The op that made a tensor: its IR name, or the kernel in a bundle. */
static const char *producer_of(const tool_model *model, int32_t id) {
    const mrt_plan *plan = model->plan;
    const char *name = plan->tensors[id].info.name;
    mica_op *func = model->bundle == NULL ? mica_module_func(model->module, "main") : NULL;
    for (const mica_op *op = func != NULL ? mica_func_body(func)->first : NULL; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; ++i) {
            if (strcmp(mica_value_name(&op->results[i]), name) == 0) {
                return op->name;
            }
        }
    }
    const int32_t step = plan->tensors[plan->tensors[id].root].def_step;
    return step >= 0 ? plan->steps[step].kernel->name : "input";
}

static bool is_excepted(const char *excepts, const char *name) {
    if (excepts == NULL || strcmp(excepts, "-") == 0) {
        return false;
    }
    mica_arena *arena = mica_arena_create();
    size_t n = 0;
    char **parts = mica_split(arena, excepts, ',', &n);
    bool found = false;
    for (size_t i = 0; i < n; ++i) {
        found = found || strcmp(parts[i], name) == 0;
    }
    mica_arena_destroy(arena);
    return found;
}

typedef struct summary {
    int compared, equal, failed, decided;
    int resized; /* sizes that depend on data and differ */
    double min_cosine, min_euclid, min_sqnr;
} summary;

static void print_row(const char *name, const mrt_tensor *t, mrt_verdict verdict,
                      const mrt_metrics *m) {
    printf("  %-44s %-5s %-11s cos %.6f  euclid %.6f  sqnr %6.1f dB  max diff %.3g\n", name,
           mrt_dtype_name(t->dtype), mrt_verdict_text(verdict), m->cosine, m->euclid, m->sqnr_db,
           m->max_abs_diff);
}

static void take_minimum(summary *s, mrt_verdict verdict, const mrt_metrics *m) {
    ++s->compared;
    s->equal += verdict == MRT_VERDICT_EQUAL;
    s->min_cosine = fmin(s->min_cosine, m->cosine);
    s->min_euclid = fmin(s->min_euclid, m->euclid);
    s->min_sqnr = fmin(s->min_sqnr, m->sqnr_db);
}

/* True when tensor `id` stands for a network output. The reference does not know the cast that gives an
 * output its float form, so what goes into that cast decides in its place. */
static bool is_deciding(const mrt_plan *plan, int32_t id, const tool_reference *reference) {
    mrt_tensor ignored;
    for (int32_t i = 0; i < plan->n_outputs; ++i) {
        int32_t output = plan->outputs[i];
        const int32_t step = plan->tensors[plan->tensors[output].root].def_step;
        if (!reference_tensor(reference, plan->tensors[output].info.name, &ignored) && step >= 0) {
            output = plan->steps[step].in[0];
        }
        if (output == id) {
            return true;
        }
    }
    return false;
}

/* The first tensor below tolerance is where the error starts; a later one only inherits it. */
static void describe_first(tool_model *got, int32_t id, const mrt_tensor *t,
                           const tool_compare_options *options, const mrt_metrics *m, char *text,
                           size_t size) {
    char reason[256];
    snprintf(text, size, "the first tensor below tolerance is '%s' (made by %s): cos %.4f, euclid %.4f "
                         "(needed more than %g, %g), worst element [%lld] off by %.4g of at most %.4g; %s",
             t->name, producer_of(got, id), m->cosine, m->euclid, options->tolerance.cosine,
             options->tolerance.euclid, (long long)m->max_index, m->max_abs_diff, m->max_abs_ref,
             likely_reason(t, m, reason, sizeof reason));
}

/* In other precision other elements may be found: nothing to compare, and no error of the model. */
static bool has_other_size(const tool_model *got, int32_t id, const mrt_tensor *ref,
                           const mrt_tensor *t, const tool_compare_options *options) {
    const int64_t expected = mrt_shape_count(&ref->shape), found = mrt_shape_count(&t->shape);
    if (options->integers || expected == found || !mrt_plan_depends_on_data(got->plan, id)) {
        return false;
    }
    printf("'%s' has %lld elements, the reference %lld: its size depends on data, not compared\n",
           t->name, (long long)found, (long long)expected);
    return true;
}

mica_status tool_compare(tool_model *got, const tool_reference *reference,
                         const tool_compare_options *options, mica_error *err) {
    char first[768] = "";
    summary s = {.min_cosine = 1.0, .min_euclid = 1.0, .min_sqnr = INFINITY};
    mica_status status = MICA_OK;
    mrt_tolerance tolerance = options->tolerance;
    tolerance.dequantize = !options->integers;
    tolerance.exact_integers = options->integers;
    for (int32_t id = 0; id < got->plan->n_tensors; ++id) {
        const char *name = got->plan->tensors[id].info.name;
        mrt_tensor ref;
        if (!is_named(got->plan, id) || is_excepted(options->excepts, name) ||
            !reference_tensor(reference, name, &ref)) {
            continue;
        }
        const mrt_tensor *t = mrt_exec_tensor(got->exec, id);
        mrt_verdict verdict = MRT_VERDICT_EQUAL;
        mrt_metrics m;
        mrt_error error;
        const bool decides = options->all || is_deciding(got->plan, id, reference);
        s.decided += decides;
        if (has_other_size(got, id, &ref, t, options)) {
            ++s.resized;
            continue;
        }
        if (mrt_compare(&ref, t, &tolerance, &verdict, &m, &error) != MRT_OK) {
            return mica_fail(err, "%s: tensor '%s': %s", options->title, name, error.text);
        }
        take_minimum(&s, verdict, &m);
        const bool passes = mrt_verdict_passes(verdict);
        if (options->table || !passes) {
            print_row(name, t, verdict, &m);
        }
        if (!passes && s.failed++ == 0) {
            describe_first(got, id, t, options, &m, first, sizeof first);
        }
        if (!passes && status == MICA_OK && decides) {
            if (options->out_differs != NULL) {
                *options->out_differs = true;
            }
            status = mica_fail(err, "%s: '%s' differs (cos %.4f, euclid %.4f); %s", options->title, name,
                               m.cosine, m.euclid, first);
        }
    }
    if (s.compared + s.resized == 0) {
        return mica_fail(err, "%s: no tensor has the same name on both sides", options->title);
    }
    printf("%s: %d tensors compared, %d equal, %d below tolerance; minimum cos %.6f, euclid %.6f, sqnr "
           "%.1f dB\n", options->title, s.compared, s.equal, s.failed, s.min_cosine, s.min_euclid,
           s.min_sqnr);
    if (s.decided == 0) {
        return mica_fail(err, "%s: the reference has no output of the network", options->title);
    }
    return status;
}
