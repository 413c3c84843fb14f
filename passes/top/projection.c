#include "passes/top/projection.h"

#include <string.h>

#include "passes/top/pattern_util.h"

enum { MIN_COLUMNS = 16 };

/* --- reading ------------------------------------------------------------------------------------- */

/* The parts of one op that cuts `base` along `axis` (-1: not known yet). */
static bool read_slice(mica_packed *p, mica_op *op, int64_t *axis) {
    size_t n = 0;
    const int64_t *offset = mica_op_i64s(op, "offset", &n);
    const int64_t *steps = mica_op_i64s(op, "steps", &n);
    const mica_type in = mica_op_operand(op, 0)->type;
    const mica_type out = op->results[0].type;
    int64_t cut = -1;
    for (size_t i = 0; i < n; ++i) {
        if (steps[i] != 1 || (in->dims[i] != out->dims[i] && cut >= 0)) {
            return false;
        }
        cut = in->dims[i] != out->dims[i] ? (int64_t)i : cut;
    }
    if (cut < 0 || (*axis >= 0 && *axis != cut) || p->n_parts == MICA_MAX_PARTS) {
        return false;
    }
    *axis = cut;
    const int64_t begin = offset[cut] < 0 ? offset[cut] + in->dims[cut] : offset[cut];
    p->parts[p->n_parts++] = (mica_part){op, 0, begin, out->dims[cut]};
    return true;
}

static bool read_gather(mica_packed *p, mica_op *op, int64_t *axis) {
    int64_t count = 0;
    const int64_t *index = mica_weight_i64(mica_op_operand(op, 1), &count);
    const mica_type in = mica_op_operand(op, 0)->type;
    const int64_t given = mica_op_i64(op, "axis");
    const int64_t cut = given < 0 ? given + in->rank : given;
    if (index == NULL || count != 1 || (*axis >= 0 && *axis != cut) || p->n_parts == MICA_MAX_PARTS) {
        return false;
    }
    *axis = cut;
    p->parts[p->n_parts++] = (mica_part){op, 0, *index < 0 ? *index + in->dims[cut] : *index, 1};
    return true;
}

static bool read_split(mica_packed *p, mica_op *op, int64_t *axis) {
    const mica_type in = mica_op_operand(op, 0)->type;
    const int64_t given = mica_op_i64(op, "axis");
    const int64_t cut = given < 0 ? given + in->rank : given;
    int64_t begin = 0;
    if (*axis >= 0 || p->n_parts + op->n_results > MICA_MAX_PARTS) {
        return false;
    }
    *axis = cut;
    for (uint32_t i = 0; i < op->n_results; ++i) {
        if (!mica_type_is_static(op->results[i].type)) {
            return false;
        }
        const int64_t size = op->results[i].type->dims[cut];
        p->parts[p->n_parts++] = (mica_part){op, i, begin, size};
        begin += size;
    }
    return true;
}

/* All users of the tensor that `cut` cuts are parts of it along one axis. */
static bool read_parts(mica_packed *p, const mica_value *base, int64_t *axis) {
    for (const mica_use *use = base->first_use; use != NULL; use = use->next) {
        mica_op *op = use->user;
        bool ok = mica_op_operand(op, 0) == base && op->n_results > 0 &&
                  mica_type_is_static(op->results[0].type);
        if (ok && mica_op_is(op, "top.Slice")) {
            ok = read_slice(p, op, axis);
        } else if (ok && mica_op_is(op, "top.Gather")) {
            ok = read_gather(p, op, axis);
        } else {
            ok = ok && mica_op_is(op, "top.Split") && read_split(p, op, axis);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* Axis before a Reshape that only adds or drops axes of size 1; -1: it does more. */
static int64_t axis_before_units(const mica_op *reshape, int64_t axis) {
    const mica_type in = mica_op_operand(reshape, 0)->type;
    const mica_type out = reshape->results[0].type;
    int64_t found = -1;
    int i = 0;
    for (int o = 0; o < out->rank; ++o) {
        if (out->dims[o] == 1) {
            continue;
        }
        while (i < in->rank && in->dims[i] == 1) {
            ++i;
        }
        if (i == in->rank || in->dims[i] != out->dims[o]) {
            return -1;
        }
        found = o == axis ? i : found;
        ++i;
    }
    while (i < in->rank && in->dims[i] == 1) {
        ++i;
    }
    return i == in->rank ? found : -1;
}

/* How many columns of the MatMul an element of the cut axis stands for; 0: other axes are cut. */
static int64_t columns_inside(const mica_packed *p) {
    const mica_type in = p->matmul->results[0].type;
    const int64_t columns = in->dims[in->rank - 1];
    const mica_type type = p->reshape != NULL ? p->reshape->results[0].type : in;
    int64_t inner = 1;
    int64_t total = 1;
    for (int i = type->rank - 1; i >= 0; --i) {
        inner *= i > p->axis ? type->dims[i] : 1;
        total *= type->dims[i];
        if (total == columns) {
            return i <= p->axis ? inner : 0;
        }
        if (total > columns) {
            return 0;
        }
    }
    return 0;
}

static bool is_packed_matmul(const mica_op *op) {
    int64_t count = 0;
    int64_t n_bias = 0;
    const mica_value *right = mica_op_operand(op, 1);
    const mica_value *bias = mica_op_present(op, 2);
    const mica_type type = op->results[0].type;
    return mica_const_f32(right, &count) != NULL && right->type->rank == 2 && mica_no_relu(op) &&
           mica_type_is_static(type) && type->rank >= 1 &&
           (bias == NULL || (mica_const_f32(bias, &n_bias) != NULL && bias->type->rank == 1 &&
                             n_bias == type->dims[type->rank - 1]));
}

/* Two halves that are both used more than once are pairs to be rotated rather than two projections. */
static bool are_pairs(const mica_packed *p) {
    for (size_t i = 0; i < p->n_parts; ++i) {
        if (mica_value_has_one_use(&p->parts[i].op->results[p->parts[i].result])) {
            return false;
        }
    }
    return p->n_parts == 2;
}

bool mica_packed_read(mica_op *cut, mica_packed *out) {
    mica_value *value = mica_op_operand(cut, 0);
    int64_t axis = -1;
    memset(out, 0, sizeof *out);
    if (value->def == NULL || !mica_type_is_static(value->type) ||
        (!mica_op_is(value->def, "top.MatMul") && !mica_op_is(value->def, "top.Reshape") &&
         !mica_op_is(value->def, "top.Permute")) ||
        !read_parts(out, value, &axis) || are_pairs(out)) {
        return false;
    }
    out->extent = value->type->dims[axis];
    mica_op *op = value->def;
    const mica_op *below = mica_op_is(op, "top.Reshape") ? mica_sole_producer(mica_op_operand(op, 0), "top.Permute")
                                                         : NULL;
    if (below != NULL) {
        axis = axis_before_units(op, axis);
        op = mica_op_operand(op, 0)->def;
    }
    if (axis >= 0 && mica_op_is(op, "top.Permute")) {
        size_t n = 0;
        out->permute = op;
        axis = mica_op_i64s(op, "order", &n)[axis];
        op = mica_value_has_one_use(mica_op_operand(op, 0)) ? mica_op_operand(op, 0)->def : NULL;
    }
    if (axis >= 0 && op != NULL && mica_op_is(op, "top.Reshape")) {
        out->reshape = op;
        op = mica_value_has_one_use(mica_op_operand(op, 0)) ? mica_op_operand(op, 0)->def : NULL;
    }
    if (axis < 0 || op == NULL || !mica_op_is(op, "top.MatMul") || !is_packed_matmul(op)) {
        return false;
    }
    out->matmul = op;
    out->axis = axis;
    out->inner = columns_inside(out);
    int64_t taken = 0;
    for (size_t i = 0; i < out->n_parts; ++i) {
        const mica_type type = op->results[0].type;
        const int64_t times = out->inner > 0 ? type->dims[type->rank - 1] / (out->extent * out->inner) : 0;
        if (times * out->parts[i].size * out->inner < MIN_COLUMNS) {
            return false;
        }
        taken += out->parts[i].size;
    }
    return out->n_parts > 0 && taken <= out->extent;
}

/* --- making the parts ------------------------------------------------------------------------------ */

/* The part's columns of `data`, [rows, columns] or, transposed, [columns, rows]. */
static mica_value *take_columns(mica_rewriter *rewriter, mica_builder *builder, const mica_packed *p,
                                const mica_part *part, const char *name, const mica_value *constant,
                                bool transposed) {
    int64_t count = 0;
    const float *data = mica_const_f32(constant, &count);
    const mica_type type = constant->type;
    const int column_axis = type->rank == 1 || transposed ? 0 : 1;
    const int64_t columns = type->dims[column_axis];
    const int64_t rows = count / columns;
    int64_t dims[2] = {type->dims[0], type->rank == 2 ? type->dims[1] : 1};
    dims[column_axis] = columns / p->extent * part->size;
    /* Elements of one column that lie side by side, and runs of the part's columns. */
    const int64_t unit = p->inner * (transposed ? rows : 1);
    const int64_t run = part->size * unit;
    const int64_t runs = count / (p->extent * unit);
    float *taken = mica_alloc((size_t)(runs * run) * sizeof *taken + 1);
    for (int64_t i = 0; i < runs; ++i) {
        memcpy(taken + i * run, data + (i * p->extent + part->begin) * unit, (size_t)run * sizeof *taken);
    }
    mica_value *made = mica_top_weight(builder, name, mica_type_f32(mica_rewriter_module(rewriter)->context),
                                       type->rank, dims, taken);
    mica_free(taken);
    return made;
}

static mica_value *build_reshape(mica_builder *builder, mica_loc loc, mica_value *x, int rank, const int64_t *dims) {
    mica_op *op = mica_build_op(builder, "top.Reshape", loc, &x, 1, 1);
    mica_op_set_i64s(op, "shape", dims, (size_t)rank);
    return mica_op_infer(op) == MICA_OK ? &op->results[0] : NULL;
}

/* [.., columns of the part] -> the part: an axis of one element does not come back. */
static mica_value *build_heads(mica_builder *builder, const mica_packed *p, const mica_part *part,
                               const char *name, mica_value *x) {
    mica_module *module = builder->module;
    const bool drop = part->size == 1;
    const mica_type type = part->op->results[part->result].type;
    if (p->reshape != NULL) {
        const mica_type wide = p->reshape->results[0].type;
        int64_t dims[MICA_MAX_RANK];
        int rank = 0;
        for (int i = 0; i < wide->rank; ++i) {
            if (i != p->axis || !drop) {
                dims[rank++] = i == p->axis ? part->size : wide->dims[i];
            }
        }
        x = build_reshape(builder, mica_named_loc(module, mica_arena_printf(module->arena, "%s_split", name), p->reshape),
                          x, rank, dims);
    }
    if (x != NULL && p->permute != NULL) {
        size_t n = 0;
        const int64_t *order = mica_op_i64s(p->permute, "order", &n);
        int64_t kept[MICA_MAX_RANK];
        size_t rank = 0;
        const bool dropped = drop && p->reshape != NULL;
        for (size_t i = 0; i < n; ++i) {
            if (order[i] != p->axis || !dropped) {
                kept[rank++] = dropped && order[i] > p->axis ? order[i] - 1 : order[i];
            }
        }
        mica_op *op = mica_build_op(builder, "top.Permute",
                                    mica_named_loc(module, mica_arena_printf(module->arena, "%s_heads", name), p->permute),
                                    &x, 1, 1);
        mica_op_set_i64s(op, "order", kept, rank);
        x = mica_op_infer(op) == MICA_OK ? &op->results[0] : NULL;
    }
    if (x != NULL && x->type != type) {
        x = build_reshape(builder, mica_named_loc(module, mica_arena_printf(module->arena, "%s_shape", name), part->op), x,
                          type->rank, type->dims);
    }
    return x;
}

static mica_value *build_part(mica_rewriter *rewriter, const mica_packed *p, const mica_part *part) {
    mica_builder *builder = mica_rewriter_builder(rewriter, part->op);
    mica_module *module = builder->module;
    mica_op *matmul = p->matmul;
    const char *name = mica_loc_get_name_at(part->op->loc, part->result);
    const char *filter = mica_arena_printf(module->arena, "%s_filter", name);
    const char *offset = mica_arena_printf(module->arena, "%s_bias", name);
    mica_value *bias = mica_op_present(matmul, 2);
    mica_value *operands[3] = {
        mica_op_operand(matmul, 0),
        take_columns(rewriter, builder, p, part, filter, mica_op_operand(matmul, 1),
                     mica_op_bool(matmul, "right_transpose")),
        bias == NULL ? mica_op_operand(matmul, 2)
                     : take_columns(rewriter, builder, p, part, offset, bias, false)};
    const char *product = mica_arena_printf(module->arena, "%s_proj", name);
    mica_op *made = mica_build_op(builder, "top.MatMul", mica_named_loc(module, product, matmul), operands, 3, 1);
    mica_copy_attrs(made, matmul);
    if (mica_op_infer(made) != MICA_OK) {
        return NULL;
    }
    mica_value *value = build_heads(builder, p, part, name, &made->results[0]);
    if (value != NULL) {
        const mica_op *last = p->permute != NULL ? p->permute : p->reshape != NULL ? p->reshape : matmul;
        value->def->loc = mica_named_loc(module, name, last);
    }
    return value;
}

bool mica_packed_unpack(mica_rewriter *rewriter, const mica_packed *packed) {
    mica_value *values[MICA_MAX_PARTS];
    for (size_t i = 0; i < packed->n_parts; ++i) {
        values[i] = build_part(rewriter, packed, &packed->parts[i]);
        if (values[i] == NULL || values[i]->type != packed->parts[i].op->results[packed->parts[i].result].type) {
            return false;
        }
    }
    for (size_t i = 0; i < packed->n_parts; i += packed->parts[i].op->n_results) {
        mica_rewriter_replace(rewriter, packed->parts[i].op, &values[i], packed->parts[i].op->n_results);
    }
    return true;
}
