/* The driver of the lowering: walks main in order and calls each op's lower hook. */
#include <string.h>

#include "dialects/live.h"
#include "dialects/top/cut.h"
#include "ir/verify.h"
#include "passes/lowering/lower_internal.h"
#include "passes/top/optimize.h"

void mica_lower_report_free(mica_lower_report *report) {
    mica_free(report->rows);
    mica_free(report->uncalibrated);
    *report = (mica_lower_report){0};
}

mica_status mica_lowering_check(const mica_lowering_options *options, mica_error *err) {
    const mica_processor *p = options->processor;
    if (!mica_processor_has_mode(p, options->mode)) {
        return mica_fail(err, "processor %s does not execute %s; nearest mode: %s", p->name,
                         mica_mode_name(options->mode),
                         mica_mode_name(mica_processor_nearest_mode(p, options->mode)));
    }
    mica_mode mode = MICA_MODE_F32;
    bool has_int8 = mica_mode_has_integers(options->mode);
    for (size_t i = 0; options->qtable != NULL && i < mica_qtable_count(options->qtable); ++i) {
        const char *op = mica_qtable_at(options->qtable, i, &mode);
        if (!mica_processor_has_mode(p, mode)) {
            return mica_fail(err, "quantize table wants %s for op '%s', which processor %s does not "
                                  "execute; nearest mode: %s", mica_mode_name(mode), op, p->name,
                             mica_mode_name(mica_processor_nearest_mode(p, mode)));
        }
        has_int8 = has_int8 || mica_mode_has_integers(mode);
    }
    return !has_int8 || p->scheme == MICA_SCHEME_MULTIPLIER_SHIFT
               ? MICA_OK
               : mica_fail(err, "processor %s requantizes by %s, which this version does not generate; "
                                "nearest processor for INT8: bm1684x", p->name, mica_scheme_name(p->scheme));
}

/* A fused location stands for several results or several source ops: any of its names counts. */
static bool find_row(const mica_lowering *l, const mica_op *op, mica_mode *mode) {
    const size_t parts = op->loc->kind == MICA_LOC_FUSED ? op->loc->n_parts : 1;
    for (size_t i = 0; i < parts && l->options->qtable != NULL; ++i) {
        if (mica_qtable_get(l->options->qtable, mica_loc_get_name_at(op->loc, i), mode)) {
            return true;
        }
    }
    return false;
}

/* Why an op has no form with weights of 4 bits, or NULL. A depthwise convolution has few weights, and all of them
 * matter. */
static const char *no_four_bits(const mica_op *op) {
    const bool conv = mica_op_is(op, "top.Conv");
    const mica_value *weights = op->n_operands > 1 ? mica_op_operand(op, 1) : NULL;
    if ((!conv && !mica_op_is(op, "top.MatMul")) || !mica_is_weight(weights)) {
        return "4 bits are for convolutions and products with constant weights";
    }
    if (conv) {
        return mica_op_i64(op, "group") > 1 && weights->type->dims[1] == 1 ? "depthwise" : NULL;
    }
    return weights->type->rank != 2 ? "batched weights" : NULL;
}

mica_mode mica_lower_narrow(const mica_op *op, mica_mode mode) {
    const bool fits = no_four_bits(op) == NULL;
    if (mode != MICA_MODE_W4A8) {
        return mica_mode_is_narrow(mode) && !fits ? MICA_MODE_INT8 : mode;
    }
    if (mica_op_is(op, "top.Conv") && fits) {
        return MICA_MODE_W4INT8;
    }
    return fits ? MICA_MODE_W4A8 : MICA_MODE_W8A8;
}

mica_mode mica_lower_mode_of(const mica_lowering *l, const mica_op *op) {
    mica_mode mode = l->options->mode;
    return mica_lower_narrow(op, find_row(l, op, &mode) ? mode : l->options->mode);
}

/* Why an op is not in the mode of 4 bits that was asked for: by its name, or as a convolution or product with
 * constant weights. */
static const char *narrow_reason(const mica_lowering *l, const mica_op *op) {
    mica_mode mode = l->options->mode;
    const bool by_name = find_row(l, op, &mode);
    const char *why = mica_mode_is_narrow(mode) ? no_four_bits(op) : NULL;
    const bool product = mica_op_is(op, "top.Conv") || mica_op_is(op, "top.MatMul");
    return by_name || (product && mica_is_weight(mica_op_operand(op, 1))) ? why : NULL;
}

/* Numbers all values of main: block arguments first, then the results of each op. */
static uint32_t number_values(const mica_block *body) {
    uint32_t next = body->n_args;
    for (mica_op *op = body->first; op != NULL; op = op->next) {
        op->order = next;
        next += op->n_results;
    }
    return next;
}

static mica_status lower_return(mica_lowering *l, const mica_op *op) {
    mica_value **values = mica_arena_alloc(l->tpu->arena, (op->n_operands + 1) * sizeof *values);
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        values[i] = mica_lower_as(l, mica_op_operand(op, i), mica_type_f32(l->context));
    }
    mica_build_return(&l->builder, values, op->n_operands, op->loc);
    return MICA_OK;
}

/* W8A8 is a mode of products: a MatMul gives float, a convolution is as in INT8, all else is float. */
static mica_mode mode_in_w8a8(const mica_lowering *l, const mica_op *op) {
    if (mica_op_is(op, "top.MatMul")) {
        return MICA_MODE_W8A8;
    }
    return mica_op_is(op, "top.Conv") || mica_op_is(op, "top.Deconv") ? MICA_MODE_INT8
                                                                      : l->options->processor->fallback;
}

mica_mode mica_lower_final_mode(const mica_lowering *l, const mica_op *op, const char **out_reason) {
    const mica_mode mode = mica_lower_mode_of(l, op);
    const bool behind = l->is_cut && mica_ptr_map_get_pointer(&l->front, op) == NULL;
    if (out_reason != NULL) {
        *out_reason = behind ? "behind the cut" : narrow_reason(l, op);
    }
    if (behind) {
        return mica_processor_has_mode(l->options->processor, MICA_MODE_F32)
                   ? MICA_MODE_F32
                   : l->options->processor->fallback;
    }
    return mode == MICA_MODE_W8A8 ? mode_in_w8a8(l, op) : mode; /* also what has no 4 bits in W4A8 */
}

static mica_status lower_op(mica_lowering *l, const mica_op *op) {
    if (mica_op_is(op, "top.None") || mica_op_is(op, "top.Weight")) {
        return MICA_OK; /* cloned where they are used */
    }
    if (mica_op_is(op, "func.return")) {
        return lower_return(l, op);
    }
    mica_lower_fn *hook = mica_lower_hook(op);
    if (hook == NULL) {
        return mica_emit_error(l->context, op->loc, "'%s' op has no lowering to the tpu dialect",
                               op->name);
    }
    const char *reason = NULL;
    const mica_mode mode = mica_lower_final_mode(l, op, &reason);
    if (!mica_op_is(op, "top.Input") && !mica_op_is(op, "top.Cut")) {
        mica_vec_push(&l->rows, (mica_lower_row){mica_value_name(&op->results[0]), op->name, mode, reason, false});
    }
    return hook(l, op, mode);
}

static mica_status lower_body(mica_lowering *l, mica_op *func) {
    const mica_block *body = mica_func_body(func);
    MICA_VEC(mica_type) inputs = {0};
    MICA_VEC(mica_loc) locs = {0};
    for (uint32_t i = 0; i < body->n_args; ++i) {
        mica_vec_push(&inputs, body->args[i]->type);
        mica_vec_push(&locs, body->args[i]->loc);
    }
    mica_builder outer = mica_builder_at_end(l->tpu, mica_module_body(l->tpu));
    mica_op *made = mica_build_func(&outer, "main", inputs.data, locs.data, inputs.len, NULL, 0,
                                    func->loc);
    mica_vec_free(&inputs);
    mica_vec_free(&locs);
    mica_block *new_body = mica_func_body(made);
    l->builder = mica_builder_at_end(l->tpu, new_body);
    l->map = mica_alloc((number_values(body) + 1) * sizeof *l->map);
    for (uint32_t i = 0; i < body->n_args; ++i) {
        l->map[i] = new_body->args[i];
    }
    /* Names of the model are taken before any constant or cast gets one. */
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; ++i) {
            mica_map_set(l->names, mica_value_name(&op->results[i]), NULL);
        }
    }
    l->is_cut = mica_top_mark_front(func, &l->front);
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        MICA_TRY(lower_op(l, op));
    }
    mica_func_update_type(made);
    return MICA_OK;
}

static void copy_module_attrs(mica_lowering *l) {
    const mica_op *from = l->top->op;
    for (uint32_t i = 0; i < from->n_attrs; ++i) {
        mica_op_set_attr(l->tpu->op, from->attrs[i].name, from->attrs[i].value);
    }
    mica_op_set_attr(l->tpu->op, "module.weight_file", NULL);
    mica_op_set_str(l->tpu->op, "module.state", "TPU_LOWERED");
    mica_op_set_str(l->tpu->op, "module.chip", l->options->processor->name);
    mica_op_set_str(l->tpu->op, "module.mode", mica_mode_name(l->options->mode));
    mica_op_set_bool(l->tpu->op, "module.asymmetric", l->options->asymmetric);
}

/* Sizes of the new module that depend on data become unknown again. */
static mica_status mark_sizes(mica_module *tpu) {
    mica_op *func = mica_module_func(tpu, "main");
    mica_live *live = mica_live_create(tpu->context);
    const mica_status status = mica_live_func(live, func);
    mica_live_destroy(live);
    mica_func_update_type(func);
    return status;
}

mica_status mica_lower_module(mica_module *top, const mica_lowering_options *options,
                              mica_module **out_tpu, mica_lower_report *report) {
    mica_op *func = mica_module_func(top, "main");
    if (func == NULL) {
        return mica_emit_error(top->context, top->op->loc, "module has no function 'main'");
    }
    MICA_TRY(mica_top_narrow_f64(top));
    mica_lowering l = {.context = top->context,
                       .top = top,
                       .tpu = mica_module_create(top->context, top->op->loc),
                       .options = options,
                       .casts = mica_map_create(),
                       .names = mica_map_create()};
    copy_module_attrs(&l);
    /* Hooks want static shapes: sizes that depend on data are lowered as their bounds. */
    mica_live *live = mica_live_create(top->context);
    mica_status status = mica_live_func(live, func);
    mica_live_bind(live);
    if (status == MICA_OK) {
        status = lower_body(&l, func);
    }
    mica_live_unbind(live);
    if (status == MICA_OK && mica_live_symbol_count(live) > 0) {
        status = mark_sizes(l.tpu);
    }
    mica_live_destroy(live);
    if (status == MICA_OK) {
        status = mica_verify(l.tpu);
    }
    mica_map_destroy(l.casts);
    mica_map_destroy(l.names);
    mica_ptr_map_free(&l.front);
    mica_ptr_map_free(&l.in_float);
    mica_free(l.map);
    if (status == MICA_OK && report != NULL) {
        *report = (mica_lower_report){l.rows.data, l.rows.len, l.uncalibrated.data, l.uncalibrated.len};
    } else {
        mica_vec_free(&l.rows);
        mica_vec_free(&l.uncalibrated);
    }
    if (status != MICA_OK) {
        mica_module_destroy(l.tpu);
        return MICA_FAIL;
    }
    *out_tpu = l.tpu;
    return MICA_OK;
}
