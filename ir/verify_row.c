/* Checks of an op against its row in the op table. */
#include "ir/verify_impl.h"

#include "ir/context_impl.h"
#include "ir/op_impl.h"
#include "utils/strings.h"

#include <math.h>
#include <string.h>

/* --- names ------------------------------------------------------------------------------------ */

static bool same_dialect(const char *a, const char *b) {
    const char *dot = strchr(a, '.');
    size_t length = dot ? (size_t)(dot - a) + 1 : 0;
    return dot && strncmp(a, b, length) == 0;
}

static mica_status check_registered(const mica_op *op) {
    mica_context *context = mica_op_context(op);
    size_t count = mica_op_info_count(context);
    const char **names = mica_alloc(count * sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const mica_op_info *info = mica_op_info_at(context, i);
        if (same_dialect(op->name, info->name)) {
            names[n++] = info->name;
        }
    }
    mica_status status = MICA_OK;
    if (n > 0) {
        const char *nearest = mica_nearest(op->name, names, n);
        status = mica_emit_error(context, op->loc, "unknown op '%.100s'%s%s%s", op->name,
                                 nearest ? "; did you mean '" : "", nearest ? nearest : "",
                                 nearest ? "'?" : "");
    }
    mica_free(names);
    return status;
}

/* --- operands and results --------------------------------------------------------------------- */

static mica_status check_count(const mica_op *op, const char *what, size_t least, size_t most,
                               size_t actual) {
    if (actual >= least && actual <= most) {
        return MICA_OK;
    }
    mica_context *context = mica_op_context(op);
    if (least == most) {
        return mica_emit_error(context, op->loc, "'%s' op expects %zu %s, got %zu", op->name, least,
                               what, actual);
    }
    if (most == SIZE_MAX) {
        return mica_emit_error(context, op->loc, "'%s' op expects at least %zu %s, got %zu",
                               op->name, least, what, actual);
    }
    return mica_emit_error(context, op->loc, "'%s' op expects %zu to %zu %s, got %zu", op->name,
                           least, most, what, actual);
}

/* A required operand must not be the absent value. Only rows without a variadic part before it
 * have fixed positions. */
static mica_status check_present(const mica_op *op) {
    const mica_op_info *info = op->info;
    mica_status status = MICA_OK;
    for (uint32_t i = 0; i < info->n_operands && i < op->n_operands; i++) {
        if (info->operands[i].arity == MICA_VARIADIC) {
            break;
        }
        if (info->operands[i].arity == MICA_ONE && !mica_op_present(op, i)) {
            status = mica_emit_error(mica_op_context(op), op->loc,
                                     "'%s' op operand #%u '%s' must be a value, got none", op->name,
                                     i, info->operands[i].name);
        }
    }
    return status;
}

static mica_status check_operands(const mica_op *op) {
    const mica_op_info *info = op->info;
    size_t least = 0;
    size_t most = info->n_operands;
    for (size_t i = 0; i < info->n_operands; i++) {
        if (info->operands[i].arity == MICA_ONE) {
            least = i + 1; /* optional ones in front of it must be written as none */
        } else if (info->operands[i].arity == MICA_VARIADIC) {
            most = SIZE_MAX;
        }
    }
    if (most == SIZE_MAX) {
        least = 0;
        for (size_t i = 0; i < info->n_operands; i++) {
            least += info->operands[i].arity == MICA_ONE;
        }
    }
    MICA_TRY(check_count(op, "operands", least, most, op->n_operands));
    return check_present(op);
}

static mica_status check_results(const mica_op *op) {
    size_t least = (size_t)op->info->n_results;
    bool more = op->info->traits & MICA_VARIADIC_RESULTS;
    return check_count(op, "results", least, more ? SIZE_MAX : least, op->n_results);
}

/* --- attributes ------------------------------------------------------------------------------- */

typedef struct class_name {
    mica_attr_class kind;
    mica_attr_kind accepted;
    const char *text;
} class_name;

static const class_name classes[] = {
    {MICA_A_I64, MICA_ATTR_INTEGER, "an integer"},
    {MICA_A_F64, MICA_ATTR_FLOAT, "a floating point number like 1.0"},
    {MICA_A_BOOL, MICA_ATTR_BOOL, "true or false"},
    {MICA_A_STR, MICA_ATTR_STRING, "a string"},
    {MICA_A_I64S, MICA_ATTR_I64S, "a list like array<i64: 1, 2>"},
    {MICA_A_F64S, MICA_ATTR_F64S, "a list like array<f64: 1.0, 2.0>"},
    {MICA_A_DICT, MICA_ATTR_DICT, "a dictionary"},
};

static bool is_choice(const char *choices, const char *text) {
    size_t length = strlen(text);
    for (const char *p = choices; p;) {
        const char *bar = strchr(p, '|');
        size_t n = bar ? (size_t)(bar - p) : strlen(p);
        if (n == length && memcmp(p, text, n) == 0) {
            return true;
        }
        p = bar ? bar + 1 : NULL;
    }
    return false;
}

static mica_status check_attr(const mica_op *op, const mica_attr_info *row, mica_attr value) {
    mica_context *context = mica_op_context(op);
    for (size_t i = 0; i < MICA_COUNT(classes); i++) {
        if (classes[i].kind == row->kind && classes[i].accepted != value->kind) {
            return mica_emit_error(context, op->loc,
                                   "'%s' op attribute '%s' must be %s, got %.200s", op->name,
                                   row->name, classes[i].text, mica_attr_text(value));
        }
    }
    if (row->choices && !is_choice(row->choices, value->text)) {
        return mica_emit_error(context, op->loc,
                               "'%s' op attribute '%s' must be one of %s, got '%.100s'", op->name,
                               row->name, row->choices, value->text);
    }
    return MICA_OK;
}

static mica_status unknown_attr(const mica_op *op, const char *name) {
    const char **names = mica_alloc(op->info->n_attrs * sizeof *names);
    for (size_t i = 0; i < op->info->n_attrs; i++) {
        names[i] = op->info->attrs[i].name;
    }
    const char *nearest = mica_nearest(name, names, op->info->n_attrs);
    mica_free(names);
    return mica_emit_error(mica_op_context(op), op->loc, "'%s' op has no attribute '%.100s'%s%s%s",
                           op->name, name, nearest ? "; did you mean '" : "",
                           nearest ? nearest : "", nearest ? "'?" : "");
}

static mica_status check_attrs(const mica_op *op) {
    mica_status status = MICA_OK;
    for (size_t i = 0; i < op->info->n_attrs; i++) {
        const mica_attr_info *row = &op->info->attrs[i];
        mica_attr value = mica_op_attr(op, row->name);
        if (!value && row->required) {
            status = mica_emit_error(mica_op_context(op), op->loc, "'%s' op needs attribute '%s'",
                                     op->name, row->name);
        }
        if (value && check_attr(op, row, value) != MICA_OK) {
            status = MICA_FAIL;
        }
    }
    for (uint32_t i = 0; i < op->n_attrs; i++) {
        const char *name = op->attrs[i].name;
        /* Names with a dialect prefix are remarks that anybody may leave on an op. */
        if (!mica_op_info_attr(op->info, name) && !strchr(name, '.')) {
            status = unknown_attr(op, name);
        }
    }
    return status;
}

mica_status mica_verify_row(const mica_op *op) {
    if (!op->info) {
        return check_registered(op);
    }
    mica_status status = MICA_OK;
    mica_status (*const checks[])(const mica_op *) = {check_operands, check_results, check_attrs};
    for (size_t i = 0; i < MICA_COUNT(checks); i++) {
        if (checks[i](op) != MICA_OK) {
            status = MICA_FAIL;
        }
    }
    return status;
}

/* --- types ------------------------------------------------------------------------------------ */

static mica_status check_type(const mica_op *op, mica_type result) {
    mica_context *context = mica_op_context(op);
    mica_type type = mica_type_element(result);
    if (type->kind == MICA_TYPE_CALIBRATED && !(type->min < type->max)) {
        return mica_emit_error(context, op->loc,
                               "'%s' op has a calibrated range with min %g and max %g; min must "
                               "be below max",
                               op->name, type->min, type->max);
    }
    if (!mica_type_is_quant(type)) {
        return MICA_OK;
    }
    for (size_t i = 0; i < type->n_scales; i++) {
        if (!(type->scales[i] > 0.0) || isinf(type->scales[i])) {
            return mica_emit_error(context, op->loc, "'%s' op has scale %g; it must be above zero",
                                   op->name, type->scales[i]);
        }
    }
    if (type->kind != MICA_TYPE_UNIFORM_AXIS || !mica_type_is_tensor(result) || result->rank < 0) {
        return MICA_OK;
    }
    if (type->axis >= result->rank || (result->dims[type->axis] >= 0 &&
                                       result->dims[type->axis] != (int64_t)type->n_scales)) {
        return mica_emit_error(context, op->loc,
                               "'%s' op has %zu scales on axis %d, which does not fit %s", op->name,
                               type->n_scales, type->axis, mica_type_text(result));
    }
    return MICA_OK;
}

mica_status mica_verify_types(const mica_op *op) {
    mica_status status = MICA_OK;
    for (uint32_t i = 0; i < op->n_results; i++) {
        if (check_type(op, op->results[i].type) != MICA_OK) {
            status = MICA_FAIL;
        }
    }
    return status;
}
