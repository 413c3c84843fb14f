/* Calibration table -> calibrated types on the top module. */
#include <math.h>
#include <string.h>

#include "ir/builder.h"
#include "passes/calibration/cali_table.h"
#include "passes/calibration/methods.h"
#include "utils/map.h"
#include "utils/strings.h"
#include "utils/vec.h"

static mica_type calibrated(mica_context *context, const mica_cali_row *row, bool asymmetric) {
    /* A row is at least as wide as the smallest threshold, so that every range has a scale. */
    const double threshold = fmax(row->threshold, MICA_MIN_THRESHOLD);
    double min = row->min >= 0.0 ? 0.0 : -threshold;
    double max = threshold;
    if (asymmetric) {
        min = fmin(row->min, 0.0);
        max = fmax(fmax(row->max, 0.0), min + MICA_MIN_THRESHOLD);
    }
    return mica_type_calibrated(context, mica_type_f32(context), min, max);
}

/* Ops of the section #asym_op have zero points in a symmetric model, too. */
static bool is_asymmetric(const mica_cali_table *table, const char *name) {
    const char *const *lines = NULL;
    const size_t n = mica_cali_table_lines(table, MICA_CALI_ASYM_OP, &lines);
    for (size_t i = 0; i < n; ++i) {
        if (strcmp(lines[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static mica_status unknown(const char *what, const char *name, const char *const *names, size_t n, mica_error *err) {
    const char *nearest = mica_nearest(name, names, n);
    return mica_fail(err, "calibration table has a %s for '%s', which the model does not have%s%s%s; was it made for "
                          "another model?", what, name, nearest != NULL ? " (nearest is '" : "",
                     nearest != NULL ? nearest : "", nearest != NULL ? "')" : "");
}

/* The threshold for 4 bits goes to the ops that may want it; seen: values by name. */
static mica_status import_int4(const mica_cali_table *table, const mica_map *seen, const char *const *names, size_t n,
                               mica_error *err) {
    const mica_cali_row *row = NULL;
    for (size_t i = 0; (row = mica_cali_table_int4_at(table, i)) != NULL; ++i) {
        const mica_value *value = mica_map_get(seen, row->name);
        if (value == NULL) {
            return unknown("threshold for 4 bits", row->name, names, n, err);
        }
        for (const mica_use *use = value->first_use; use != NULL; use = use->next) {
            const bool product = mica_op_is(use->user, "top.Conv") || mica_op_is(use->user, "top.MatMul");
            if (product && mica_op_operand(use->user, 0) == value) {
                mica_op_set_f64(use->user, "in_int4_threshold", fmax(row->threshold, MICA_MIN_THRESHOLD));
            }
        }
    }
    return MICA_OK;
}

mica_status mica_import_calibration(mica_module *module, const mica_cali_table *table,
                                    bool asymmetric, mica_error *err) {
    mica_op *func = mica_module_func(module, "main");
    if (func == NULL) {
        return mica_fail(err, "module has no function 'main'");
    }
    mica_map *seen = mica_map_create();
    MICA_VEC(const char *) names = {0};
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; ++i) {
            mica_value *value = &op->results[i];
            const char *name = mica_value_name(value);
            mica_map_set(seen, name, value);
            mica_vec_push(&names, name);
            const mica_cali_row *row = mica_cali_table_get(table, name);
            const mica_type element = mica_type_element(value->type);
            if (row != NULL && !mica_op_has_trait(op, MICA_IS_CONSTANT) &&
                (mica_type_is_float(element, MICA_F32) || mica_type_is_calibrated(element))) {
                value->type = mica_type_with_element(
                    value->type, calibrated(module->context, row, asymmetric || is_asymmetric(table, name)));
            }
        }
    }
    mica_status status = MICA_OK;
    for (size_t i = 0; status == MICA_OK && i < mica_cali_table_count(table); ++i) {
        const char *name = mica_cali_table_at(table, i)->name;
        if (!mica_map_has(seen, name)) {
            status = unknown("row", name, names.data, names.len, err);
        }
    }
    status = status == MICA_OK ? import_int4(table, seen, names.data, names.len, err) : status;
    mica_map_destroy(seen);
    mica_vec_free(&names);
    if (status == MICA_OK) {
        mica_op_set_str(module->op, "module.state", "TOP_CALIBRATED");
        mica_func_update_type(func);
    }
    return status;
}
