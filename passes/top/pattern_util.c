#include "passes/top/pattern_util.h"

#include <math.h>
#include <string.h>

mica_op *mica_producer(const mica_value *value, const char *name) {
    return value != NULL && value->def != NULL && mica_op_is(value->def, name) ? value->def : NULL;
}

mica_op *mica_sole_producer(const mica_value *value, const char *name) {
    mica_op *op = mica_producer(value, name);
    return op != NULL && mica_value_has_one_use(value) ? op : NULL;
}

/* Appends the locations that `loc` is made of. */
enum { MAX_LOC_PARTS = 16 };

static size_t add_parts(mica_loc parts[MAX_LOC_PARTS], size_t n, mica_loc loc) {
    const bool fused = loc->kind == MICA_LOC_FUSED;
    const size_t count = fused ? loc->n_parts : 1;
    for (size_t k = 0; k < count && n < MAX_LOC_PARTS; ++k) {
        parts[n++] = fused ? loc->parts[k] : loc;
    }
    return n;
}

mica_loc mica_merged_loc(const mica_op *last, const mica_op *first) {
    mica_loc parts[MAX_LOC_PARTS];
    size_t n = add_parts(parts, 0, last->loc);
    n = first != NULL ? add_parts(parts, n, first->loc) : n;
    return n == 1 ? parts[0] : mica_loc_fused(mica_op_context(last), parts, n);
}

mica_loc mica_named_loc(mica_module *module, const char *name, const mica_op *from) {
    mica_loc parts[MAX_LOC_PARTS] = {mica_loc_name(module->context, name, NULL)};
    return mica_loc_fused(module->context, parts, add_parts(parts, 1, from->loc));
}

mica_op *mica_replace_with(mica_rewriter *rewriter, mica_op *op, const mica_op *with,
                           const char *name, mica_value *const *operands, size_t n_operands) {
    mica_builder *builder = mica_rewriter_builder(rewriter, op);
    mica_op *made = mica_build_op(builder, name, mica_merged_loc(op, with), operands, n_operands,
                                  op->n_results);
    mica_value *values[8];
    for (uint32_t i = 0; i < op->n_results; ++i) {
        made->results[i].type = op->results[i].type;
        values[i] = &made->results[i];
    }
    mica_rewriter_replace(rewriter, op, values, op->n_results);
    if (!mica_no_relu(op)) {
        mica_op_set_bool(made, "do_relu", true);
        mica_op_set_f64(made, "relu_limit", mica_op_f64(op, "relu_limit"));
    }
    return made;
}

void mica_copy_attrs(mica_op *to, const mica_op *from) {
    for (uint32_t i = 0; i < from->n_attrs; ++i) {
        if (strcmp(from->attrs[i].name, "do_relu") != 0 && strcmp(from->attrs[i].name, "relu_limit") != 0) {
            mica_op_set_attr(to, from->attrs[i].name, from->attrs[i].value);
        }
    }
}

bool mica_split_const(const mica_op *op, mica_value **out_other, mica_value **out_const) {
    const bool left = mica_is_weight(mica_op_operand(op, 0));
    const bool right = mica_is_weight(mica_op_operand(op, 1));
    if (left == right) {
        return false;
    }
    *out_const = mica_op_operand(op, left ? 0 : 1);
    *out_other = mica_op_operand(op, left ? 1 : 0);
    return true;
}

const float *mica_const_f32(const mica_value *value, int64_t *out_count) {
    const mica_ndarray *array = value != NULL ? mica_weight_data(value) : NULL;
    if (array == NULL || strcmp(array->descr, "<f4") != 0) {
        return NULL;
    }
    *out_count = mica_ndarray_count(array);
    return array->data;
}

const float *mica_per_channel(mica_module *module, const mica_value *constant, const mica_value *x) {
    int64_t count = 0;
    const float *data = mica_const_f32(constant, &count);
    const mica_type type = x->type;
    const mica_type c_type = constant->type;
    if (data == NULL || !mica_type_is_static(type) || type->rank < 2 || c_type->rank > type->rank) {
        return NULL;
    }
    const int64_t channels = type->dims[1];
    if (count != 1 && (count != channels || c_type->rank < type->rank - 1 ||
                       c_type->dims[c_type->rank - type->rank + 1] != channels)) {
        return NULL;
    }
    float *out = mica_arena_alloc(module->arena, (size_t)channels * sizeof *out + 1);
    for (int64_t i = 0; i < channels; ++i) {
        out[i] = data[count == 1 ? 0 : i];
    }
    return out;
}

bool mica_is_scalar(const mica_value *value, double expected) {
    double v = 0.0;
    return value != NULL && mica_weight_scalar(value, &v) &&
           fabs(v - expected) <= 1e-6 * fmax(fabs(expected), 1e-30);
}

mica_value *mica_new_const(mica_rewriter *rewriter, mica_op *op, const char *suffix, int rank,
                           const int64_t *dims, const float *data) {
    mica_builder *builder = mica_rewriter_builder(rewriter, op);
    const char *name = mica_arena_printf(builder->module->arena, "%s_%s", mica_loc_get_name(op->loc),
                                         suffix);
    return mica_top_weight(builder, name, mica_type_f32(builder->module->context), rank, dims, data);
}

bool mica_no_relu(const mica_op *op) {
    return mica_op_attr(op, "do_relu") == NULL || !mica_op_bool(op, "do_relu");
}

bool mica_is_output(const mica_op *op) {
    for (uint32_t i = 0; i < op->n_results; ++i) {
        for (const mica_use *use = op->results[i].first_use; use != NULL; use = use->next) {
            if (mica_op_is(use->user, "func.return")) {
                return true;
            }
        }
    }
    return false;
}

/* --- regions ------------------------------------------------------------------------------------ */

enum { REGION_MAX = 32 };

typedef struct region {
    const mica_op *ops[REGION_MAX];
    size_t n;
} region;

static bool region_has(const region *r, const mica_op *op) {
    for (size_t i = 0; i < r->n; ++i) {
        if (r->ops[i] == op) {
            return true;
        }
    }
    return false;
}

/* Collects backwards from root; false when it is too large or reaches an input other than x. */
static bool collect_region(region *r, const mica_op *root, const mica_value *x) {
    r->ops[0] = root;
    r->n = 1;
    for (size_t at = 0; at < r->n; ++at) {
        for (uint32_t i = 0; i < r->ops[at]->n_operands; ++i) {
            const mica_value *value = mica_op_operand(r->ops[at], i);
            if (value == x || mica_is_weight(value)) {
                continue;
            }
            if (value->def == NULL || mica_op_is(value->def, "top.Input")) {
                return false;
            }
            if (mica_op_is(value->def, "top.None") || region_has(r, value->def)) {
                continue;
            }
            if (r->n == REGION_MAX) {
                return false;
            }
            r->ops[r->n++] = value->def;
        }
    }
    return true;
}

static bool closed(region *r, const mica_op *root, const mica_value *x) {
    if (!collect_region(r, root, x)) {
        return false;
    }
    for (size_t k = 1; k < r->n; ++k) {
        for (uint32_t i = 0; i < r->ops[k]->n_results; ++i) {
            for (const mica_use *use = r->ops[k]->results[i].first_use; use != NULL; use = use->next) {
                if (!region_has(r, use->user)) {
                    return false;
                }
            }
        }
    }
    return true;
}

bool mica_region_is_closed(const mica_op *root, const mica_value *x) {
    region r;
    return closed(&r, root, x);
}

mica_op *mica_replace_region(mica_rewriter *rewriter, mica_op *root, const mica_value *x,
                             const char *name, mica_value *const *operands, size_t n_operands) {
    region r;
    if (!mica_no_relu(root) || !closed(&r, root, x)) {
        return NULL;
    }
    mica_loc parts[REGION_MAX];
    for (size_t i = 0; i < r.n; ++i) {
        parts[i] = r.ops[i]->loc;
    }
    const mica_loc loc = mica_loc_fused(mica_op_context(root), parts, r.n);
    mica_op *made = mica_replace_with(rewriter, root, NULL, name, operands, n_operands);
    made->loc = r.n > 1 ? loc : made->loc;
    return made;
}
