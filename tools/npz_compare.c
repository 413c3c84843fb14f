/* npz_tool compare: every tensor that both files have, none left out by sampling. */
#include "tools/npz_compare.h"

#include "utils/file.h"
#include "utils/strings.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { NAME_WIDTH = 40 }; /* widest column of names */

typedef struct comparison {
    npz_run run;
    const char *target_path, *reference_path, *tolerance_text, *excepts, *op_info_path, *save;
    bool verbose, dequant, full, stats;
    int64_t exact, axis;
    mrt_tolerance tolerance;
    mica_npz *target, *reference;
    mica_map *excepted, *op_info;
    npz_report report;
} comparison;

/* --- one tensor -------------------------------------------------------------------------------- */

/* Gathers slice `index` of axis `axis` into out. */
static void gather_slice(const mica_ndarray *array, int axis, int64_t index, uint8_t *out) {
    size_t inner = mica_descr_size(array->descr);
    int64_t outer = 1;
    for (int i = axis + 1; i < array->rank; i++) {
        inner *= (size_t)array->dims[i];
    }
    for (int i = 0; i < axis; i++) {
        outer *= array->dims[i];
    }
    const size_t row = inner * (size_t)array->dims[axis];
    for (int64_t i = 0; i < outer; i++) {
        memcpy(out + (size_t)i * inner,
               (const uint8_t *)array->data + (size_t)i * row + (size_t)index * inner, inner);
    }
}

/* Worst value of each metric and the worst verdict over all slices. */
static void keep_worst(npz_result *result, mrt_verdict verdict, const mrt_metrics *m,
                       int64_t slice) {
    mrt_metrics *all = &result->metrics;
    all->euclid = fmin(all->euclid, m->euclid);
    all->sqnr_db = fmin(all->sqnr_db, m->sqnr_db);
    if (verdict > result->verdict ||
        (verdict == result->verdict && m->cosine < all->cosine)) {
        result->worst_slice = slice;
    }
    all->cosine = fmin(all->cosine, m->cosine);
    result->verdict = verdict > result->verdict ? verdict : result->verdict;
}

static mrt_status compare_slices(const comparison *c, const mrt_tensor *ref, const mrt_tensor *got,
                                 const mrt_tolerance *tolerance, npz_result *result,
                                 mrt_error *err) {
    const int axis = (int)c->axis;
    const int64_t slices = ref->shape.dims[axis];
    mrt_tensor r = *ref, g = *got;
    r.shape.dims[axis] = g.shape.dims[axis] = 1;
    r.data = mica_alloc(result->reference->bytes + 1);
    g.data = mica_alloc(result->target->bytes + 1);
    mrt_status status = MRT_OK;
    for (int64_t i = 0; i < slices && status == MRT_OK; i++) {
        gather_slice(result->reference, axis, i, r.data);
        gather_slice(result->target, axis, i, g.data);
        mrt_verdict verdict;
        mrt_metrics metrics;
        status = mrt_compare(&r, &g, tolerance, &verdict, &metrics, err);
        if (status == MRT_OK) {
            keep_worst(result, verdict, &metrics, i);
        }
    }
    mica_free(r.data);
    mica_free(g.data);
    return status;
}

static void set_scale(const comparison *c, const npz_result *result, mrt_tensor *tensor) {
    if (c->dequant && result->op != NULL && !mrt_dtype_is_float(tensor->dtype)) {
        tensor->scale = result->op->scale;
        tensor->zero_point = result->op->zero_point;
    }
}

static mica_status measure(comparison *c, npz_result *result) {
    mrt_tensor ref = npz_tensor(result->reference), got = npz_tensor(result->target);
    mrt_error error = {{0}};
    result->measured = mrt_shape_count(&ref.shape) == mrt_shape_count(&got.shape);
    result->worst_slice = -1;
    if (!result->measured) {
        result->status = "NOT_MATCH";
        return MICA_OK;
    }
    set_scale(c, result, &ref);
    set_scale(c, result, &got);
    mrt_tolerance tolerance = c->tolerance;
    tolerance.dequantize = c->dequant;
    tolerance.exact_integers = c->exact != 0 && ref.scale == 0.0 && got.scale == 0.0;
    mrt_status status =
        mrt_compare(&ref, &got, &tolerance, &result->verdict, &result->metrics, &error);
    if (status == MRT_OK && c->axis >= 0 && c->axis < ref.shape.rank &&
        mrt_shape_equal(&ref.shape, &got.shape)) {
        status = compare_slices(c, &ref, &got, &tolerance, result, &error);
    }
    if (status != MRT_OK) {
        return mica_fail(&c->run.err, "tensor '%s': %s", result->name, error.text);
    }
    result->status = mrt_verdict_text(result->verdict);
    result->passes = mrt_verdict_passes(result->verdict);
    return MICA_OK;
}

static mica_status compare_one(comparison *c, const char *name) {
    npz_result result = {.name = name};
    result.target = mica_npz_get(c->target, name, &c->run.err);
    if (result.target == NULL) {
        return MICA_FAIL;
    }
    result.reference = mica_npz_get(c->reference, name, &c->run.err);
    if (result.reference == NULL) {
        return MICA_FAIL;
    }
    result.op = c->op_info != NULL ? mica_map_get(c->op_info, name) : NULL;
    MICA_TRY(measure(c, &result));
    npz_report_add(&c->report, &result);
    mica_npz_release(c->target, name);
    mica_npz_release(c->reference, name);
    return MICA_OK;
}

/* --- all tensors ------------------------------------------------------------------------------- */

static bool is_common(const comparison *c, const char *name) {
    return mica_npz_has(c->reference, name) && !mica_map_has(c->excepted, name);
}

/* "only in the target (2): a b" */
static void print_only_in(const comparison *c, const char *side, const mica_npz *in,
                          const mica_npz *other) {
    size_t n = 0;
    mica_strbuf names = {0};
    for (size_t i = 0; i < mica_npz_count(in); i++) {
        const char *name = mica_npz_key(in, i);
        if (!mica_npz_has(other, name) && !mica_map_has(c->excepted, name)) {
            mica_strbuf_printf(&names, " %s", name);
            n++;
        }
    }
    if (n > 0) {
        printf("only in the %s (%zu):%s\n", side, n, mica_strbuf_text(&names));
    }
    mica_strbuf_free(&names);
}

static mica_status compare_all(comparison *c) {
    size_t common = 0;
    c->report.name_width = (int)strlen("tensor");
    for (size_t i = 0; i < mica_npz_count(c->target); i++) {
        const char *name = mica_npz_key(c->target, i);
        const int length = (int)strlen(name);
        if (is_common(c, name)) {
            common++;
            c->report.name_width = length > c->report.name_width ? length : c->report.name_width;
        }
    }
    c->report.name_width = c->report.name_width > NAME_WIDTH ? NAME_WIDTH : c->report.name_width;
    if (common == 0) {
        return mica_fail(&c->run.err, "'%s' and '%s' have no tensor in common", c->target_path,
                         c->reference_path);
    }
    npz_report_begin(&c->report);
    for (size_t i = 0; i < mica_npz_count(c->target); i++) {
        if (is_common(c, mica_npz_key(c->target, i))) {
            MICA_TRY(compare_one(c, mica_npz_key(c->target, i)));
        }
    }
    print_only_in(c, "target", c->target, c->reference);
    print_only_in(c, "reference", c->reference, c->target);
    npz_report_end(&c->report);
    return MICA_OK;
}

static mica_status judge(comparison *c) {
    const npz_report *r = &c->report;
    if (r->passed < r->compared) {
        puts("npz compare FAILED");
        return mica_fail(&c->run.err, "%zu of %zu tensors fail under tolerance %s, the first is "
                                      "'%s'", r->compared - r->passed, r->compared,
                         c->tolerance_text, r->first_failed);
    }
    puts("npz compare PASSED");
    return MICA_OK;
}

/* --- command line ------------------------------------------------------------------------------ */

static mica_status check_options(comparison *c) {
    mica_error *err = &c->run.err;
    if (c->dequant && c->op_info_path == NULL) {
        return mica_fail(err, "option '--dequant' needs '--op_info', which names the scales");
    }
    if (c->full && !c->verbose) {
        return mica_fail(err, "option '--full-array' needs '-v'");
    }
    if (c->exact != 0 && c->exact != 1) {
        return mica_fail(err, "option '--int8_tensor_close': expected 0 or 1, got %" PRId64,
                         c->exact);
    }
    if (c->axis < -1 || c->axis >= MICA_NDARRAY_MAX_RANK) {
        return mica_fail(err, "option '--per_axis_compare': expected an axis from 0 to %d, or -1, "
                              "got %" PRId64, MICA_NDARRAY_MAX_RANK - 1, c->axis);
    }
    return tool_parse_tolerance(c->tolerance_text, &c->tolerance, err);
}

/* Every excepted name must be known to a file: a misspelled one would have no effect. */
static mica_status open_files(comparison *c) {
    mica_error *err = &c->run.err;
    c->target = mica_npz_open(c->target_path, err);
    c->reference = c->target != NULL ? mica_npz_open(c->reference_path, err) : NULL;
    if (c->reference == NULL) {
        return MICA_FAIL;
    }
    size_t n = 0;
    char **names = mica_split(c->run.arena, c->excepts != NULL ? c->excepts : "", ',', &n);
    for (size_t i = 0; i < n; i++) {
        if (!mica_npz_has(c->target, names[i]) && !mica_npz_has(c->reference, names[i])) {
            return mica_fail(err, "option '--excepts': no tensor '%s' in either file", names[i]);
        }
        mica_map_set(c->excepted, names[i], NULL);
    }
    if (c->op_info_path != NULL) {
        c->op_info = npz_read_op_info(c->op_info_path, c->run.arena, err);
        return c->op_info != NULL ? MICA_OK : MICA_FAIL;
    }
    return MICA_OK;
}

static mica_status compare(comparison *c) {
    MICA_TRY(check_options(c));
    MICA_TRY(open_files(c));
    c->report = (npz_report){.arena = c->run.arena, .verbose = c->verbose, .full = c->full,
                             .stats = c->stats, .ops = c->op_info != NULL};
    MICA_TRY(compare_all(c));
    if (c->save != NULL) {
        MICA_TRY(mica_write_file_atomic(c->save, c->report.csv.data, c->report.csv.len,
                                        &c->run.err));
    }
    return judge(c);
}

int npz_compare_main(int argc, char **argv) {
    comparison c = {0};
    mica_option rows[] = {
        {.name = "target", .kind = MICA_OPT_STRING, .required = true, .help = "npz to judge",
         .dest = &c.target_path},
        {.name = "reference", .kind = MICA_OPT_STRING, .required = true,
         .help = "npz to compare with", .dest = &c.reference_path},
        {.name = "--tolerance", .kind = MICA_OPT_STRING, .default_text = "0.99,0.99",
         .metavar = "COS,EUCLID", .dest = &c.tolerance_text,
         .help = "similarities that a tensor must exceed to pass"},
        {.name = "--excepts", .kind = MICA_OPT_STRING, .metavar = "NAMES", .dest = &c.excepts,
         .help = "tensors to leave out, separated by commas"},
        {.name = "--verbose", .alias = "-v,-vv,-vvv", .kind = MICA_OPT_FLAG, .dest = &c.verbose,
         .help = "show the first differing elements of each tensor"},
        {.name = "--full-array", .kind = MICA_OPT_FLAG, .dest = &c.full,
         .help = "with -v: show all differing elements"},
        {.name = "--op_info", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &c.op_info_path,
         .help = "model (.mlir) that names op, scale and zero point of each tensor"},
        {.name = "--dequant", .kind = MICA_OPT_FLAG, .dest = &c.dequant,
         .help = "compare integers as real values, with the scales of --op_info"},
        {.name = "--int8_tensor_close", .kind = MICA_OPT_INT, .default_text = "1",
         .metavar = "0|1", .dest = &c.exact,
         .help = "1: integer tensors must be equal; 0: they are judged by similarity"},
        {.name = "--per_axis_compare", .kind = MICA_OPT_INT, .default_text = "-1",
         .metavar = "AXIS", .dest = &c.axis,
         .help = "judge each slice of this axis by itself and show the worst; -1: whole tensors"},
        {.name = "--stats_int8_tensor", .kind = MICA_OPT_FLAG, .dest = &c.stats,
         .help = "show how many elements of 8-bit tensors are saturated or zero"},
        {.name = "--save", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &c.save,
         .help = "write the table as CSV too"},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&c.run, "compare", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    c.excepted = mica_map_create();
    const mica_status status = compare(&c);
    mica_npz_close(c.target);
    mica_npz_close(c.reference);
    mica_map_destroy(c.excepted);
    mica_map_destroy(c.op_info);
    mica_strbuf_free(&c.report.csv);
    return npz_run_end(&c.run, status);
}
