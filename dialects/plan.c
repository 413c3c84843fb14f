/* Tensors and steps for plan hooks, and the plan of a function. */
#include "dialects/op_util.h"
#include "dialects/plan_impl.h"
#include "dialects/quant/quant.h"
#include "ir/builder.h"
#include "ir/weights.h"
#include "runtime/mrt_params.h"
#include "utils/arena.h"


#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- errors ----------------------------------------------------------------------------------- */

mica_status mica_planner_fail(mica_planner *planner, const mica_op *op, const char *format, ...) {
    if (!planner->failed && !planner->quiet) {
        char text[640];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        mica_op_error_text(op ? op : planner->op, "%s", text);
    }
    planner->failed = true;
    return MICA_FAIL;
}

/* --- values ----------------------------------------------------------------------------------- */

mica_status mica_planner_init(mica_planner *planner, mica_module *module) {
    planner->context = module->context;
    planner->module = module;
    planner->plan = mrt_plan_create();
    planner->n_slots = 16;
    planner->slots = mica_alloc(planner->n_slots * sizeof planner->slots[0]);
    if (!planner->plan) {
        mica_out_of_memory(sizeof(mrt_plan));
    }
    return MICA_OK;
}

void mica_planner_deinit(mica_planner *planner) {
    mica_free(planner->slots);
}

/* Slot of the value, or the free one where it belongs. */
static mica_planner_slot *find_slot(const mica_planner *planner, const mica_value *value) {
    const size_t mask = planner->n_slots - 1;
    uint64_t hash = (uint64_t)(uintptr_t)value * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(hash >> 32) & mask;
    while (planner->slots[i].value && planner->slots[i].value != value) {
        i = (i + 1) & mask;
    }
    return &planner->slots[i];
}

void mica_planner_bind(mica_planner *planner, const mica_value *value, int32_t id) {
    if (2 * (planner->used + 1) > planner->n_slots) {
        mica_planner_slot *old = planner->slots;
        const size_t n_old = planner->n_slots;
        planner->n_slots *= 2;
        planner->slots = mica_alloc(planner->n_slots * sizeof planner->slots[0]);
        for (size_t i = 0; i < n_old; i++) {
            if (old[i].value) {
                *find_slot(planner, old[i].value) = old[i];
            }
        }
        mica_free(old);
    }
    mica_planner_slot *slot = find_slot(planner, value);
    planner->used += slot->value == NULL;
    *slot = (mica_planner_slot){value, id};
}

bool mica_planner_is_known(const mica_planner *planner, const mica_value *value) {
    return find_slot(planner, value)->value != NULL;
}

mrt_tensor mica_planner_info(mica_planner *planner, const mica_value *value) {
    (void)planner;
    mrt_tensor info = {.name = mica_value_name(value)};
    mica_shape shape;
    if (!mica_shape_of(value, &shape)) {
        return info;
    }
    info.dtype = mica_dtype_of(mica_type_element(value->type));
    info.shape.rank = shape.rank;
    memcpy(info.shape.dims, shape.dims, sizeof shape.dims);
    mica_quant quant;
    if (mica_quant_of(value, &quant)) {
        info.scale = quant.scale;
        info.zero_point = quant.zero_point;
    }
    info.bits = mica_type_quant_bits(mica_type_element(value->type)) == 4 ? 4 : 0;
    return info;
}

/* Bytes of a constant, after they were compared with its type. */
static mica_status constant_data(mica_planner *planner, const mica_value *value, mrt_tensor *info) {
    const mica_op *op = planner->op ? planner->op : value->def;
    const mica_ndarray *array = mica_weights_get(planner->module->weights, info->name);
    if (!array) {
        return mica_planner_fail(planner, op, "needs constant '%s', which is not among the weights",
                                 info->name);
    }
    const char *descr = mica_descr_of_dtype(info->dtype);
    int64_t bytes = 0;
    if (!mrt_shape_bytes(&info->shape, info->dtype, &bytes) || (size_t)bytes != array->bytes ||
        strcmp(descr, array->descr) != 0) {
        return mica_planner_fail(planner, op,
                                 "needs constant '%s' of type %s (%" PRId64
                                 " bytes of %s), but the weights hold %zu bytes of %s",
                                 info->name, mica_type_text(value->type), bytes, descr,
                                 array->bytes, array->descr);
    }
    info->data = (void *)(uintptr_t)array->data;
    return MICA_OK;
}

int32_t mica_planner_add(mica_planner *planner, const mica_value *value, mrt_tensor_kind kind) {
    mrt_tensor info = mica_planner_info(planner, value);
    const mica_op *op = planner->op ? planner->op : value->def;
    if (info.dtype == MRT_DTYPE_NONE) {
        if (op) {
            mica_planner_fail(planner, op, "cannot run: value '%s' has type %s", info.name,
                              mica_type_text(value->type));
        } else if (!planner->failed && !planner->quiet) {
            mica_emit(planner->context, MICA_ERROR, value->loc,
                      "input '%s' has type %s, expected a static tensor", info.name,
                      mica_type_text(value->type));
        }
        planner->failed = true;
        return -1;
    }
    if (kind == MRT_CONST && constant_data(planner, value, &info) != MICA_OK) {
        return -1;
    }
    const int32_t id = mrt_plan_add_tensor(planner->plan, &info, kind);
    mica_planner_bind(planner, value, id);
    return id;
}

int32_t mica_planner_value(mica_planner *planner, const mica_value *value) {
    if (!value || mica_type_is_none(value->type)) {
        return -1;
    }
    const mica_planner_slot *slot = find_slot(planner, value);
    if (slot->value) {
        return slot->id;
    }
    if (value->def && mica_op_has_trait(value->def, MICA_IS_CONSTANT)) {
        return mica_planner_add(planner, value, MRT_CONST);
    }
    if (value->def != planner->op) {
        mica_planner_fail(planner, planner->op, "uses '%s' before it is computed",
                          mica_value_name(value));
        return -1;
    }
    return mica_planner_add(planner, value, MRT_VALUE);
}

/* --- tensors that hooks make ------------------------------------------------------------------ */

int32_t mica_planner_const(mica_planner *planner, mrt_dtype dtype, int rank, const int64_t *dims,
                           const void *data) {
    mrt_tensor info = {.dtype = dtype, .shape.rank = rank};
    if (rank > 0) {
        memcpy(info.shape.dims, dims, (size_t)rank * sizeof dims[0]);
    }
    int64_t bytes;
    if (!mrt_shape_bytes(&info.shape, dtype, &bytes)) {
        mica_planner_fail(planner, planner->op, "needs a constant of impossible size");
        return -1;
    }
    info.data = (void *)(uintptr_t)mrt_plan_store(planner->plan, data, (size_t)bytes);
    return mrt_plan_add_tensor(planner->plan, &info, MRT_CONST);
}

int32_t mica_planner_temp(mica_planner *planner, const mrt_tensor *info) {
    mrt_tensor unnamed = *info;
    unnamed.name = NULL;
    return mrt_plan_add_tensor(planner->plan, &unnamed, MRT_VALUE);
}

int32_t mica_planner_view(mica_planner *planner, const mrt_tensor *info, int32_t of) {
    if (of < 0) {
        planner->failed = true;
        return -1;
    }
    const mrt_tensor *source = &planner->plan->tensors[of].info;
    int64_t have = 0, want = 0;
    if (!mrt_shape_bytes(&source->shape, source->dtype, &have) ||
        !mrt_shape_bytes(&info->shape, info->dtype, &want) || have != want) {
        mica_planner_fail(planner, planner->op, "cannot view %" PRId64 " bytes as %" PRId64
                          " bytes", have, want);
        return -1;
    }
    return mrt_plan_add_alias(planner->plan, info, of);
}

mica_status mica_planner_alias(mica_planner *planner, const mica_op *op) {
    const mica_value *result = mica_op_result(op, 0);
    const mrt_tensor info = mica_planner_info(planner, result);
    const int32_t id =
        mica_planner_view(planner, &info, mica_planner_value(planner, mica_op_operand(op, 0)));
    mica_planner_bind(planner, result, id);
    return planner->failed ? MICA_FAIL : MICA_OK;
}

mrt_tensor mica_planner_tensor(mica_planner *planner, int32_t id) {
    return planner->plan->tensors[id].info;
}

bool mica_planner_sizes_itself(const mica_planner *planner, const mica_op *op) {
    return planner->live && mica_live_is_source(planner->live, op);
}

int64_t mica_planner_float_order(const mica_planner *planner) {
    return strncmp(planner->op->name, "tpu.", 4) == 0 ? MRT_ORDER_WRITTEN : MRT_ORDER_BLAS;
}

/* --- steps ------------------------------------------------------------------------------------ */

/* What the kernel sees of a tensor: float-storage kernels see other floats as f32. */
static mrt_tensor seen_by(const mica_planner *planner, const mrt_kernel *kernel, int32_t id) {
    mrt_tensor info = planner->plan->tensors[id].info;
    if (mrt_kernel_sees_f32(kernel, info.dtype)) {
        info.dtype = MRT_F32;
        info.data = NULL;
    }
    return info;
}

/* The kernel's own check, here because the op's location is known here. */
static mica_status check_step(mica_planner *planner, const mica_op *op, const mrt_kernel *kernel,
                              const void *params, const int32_t *in, int n_in, const int32_t *out,
                              int n_out) {
    const size_t n = (size_t)(n_in + n_out);
    mrt_tensor *infos = mica_alloc(n * sizeof infos[0]);
    const mrt_tensor **inputs = mica_alloc(n * sizeof inputs[0]);
    mrt_tensor **outputs = mica_alloc(n * sizeof outputs[0]);
    for (int i = 0; i < n_in; i++) {
        if (in[i] >= 0) {
            infos[i] = seen_by(planner, kernel, in[i]);
            inputs[i] = &infos[i];
        }
    }
    for (int i = 0; i < n_out; i++) {
        infos[n_in + i] = seen_by(planner, kernel, out[i]);
        outputs[i] = &infos[n_in + i];
    }
    const mrt_call call = {
        .in = inputs, .n_in = n_in, .out = outputs, .n_out = n_out, .params = params};
    size_t scratch;
    mrt_error err = {{0}};
    const mrt_status status = kernel->check(&call, &scratch, &err);
    mica_free(infos);
    mica_free(inputs);
    mica_free(outputs);
    return status == MRT_OK ? MICA_OK : mica_planner_fail(planner, op, "cannot run: %s", err.text);
}

mica_status mica_planner_step_ids(mica_planner *planner, const mica_op *op, uint16_t kernel_code,
                                  const void *params, const int32_t *in, int n_in,
                                  const int32_t *out, int n_out) {
    if (planner->failed) {
        return MICA_FAIL;
    }
    const mrt_kernel *kernel = mrt_kernel_find(kernel_code);
    if (!kernel) {
        return mica_planner_fail(planner, op, "needs a kernel that this build does not have");
    }
    while (n_in > kernel->min_in && in[n_in - 1] < 0) {
        n_in--;
    }
    if (n_in < kernel->min_in || (kernel->max_in >= 0 && n_in > kernel->max_in) ||
        n_out < kernel->min_out || n_out > kernel->max_out) {
        return mica_planner_fail(planner, op, "has %d operands and %d results, not what kernel %s takes",
                                 n_in, n_out, kernel->name);
    }
    for (int i = 0; i < n_in; i++) {
        const bool optional = i >= kernel->min_in || (i == 2 && (kernel->flags & MRT_OPTIONAL_2));
        if (in[i] < 0 && !optional) {
            return mica_planner_fail(planner, op, "lacks operand %d of kernel %s", i, kernel->name);
        }
    }
    for (int i = 0; i < n_out; i++) {
        if (out[i] < 0) {
            return mica_planner_fail(planner, op, "lacks result %d of kernel %s", i, kernel->name);
        }
    }
    MICA_TRY(check_step(planner, op, kernel, params, in, n_in, out, n_out));
    const char *name = op->n_results > 0 ? mica_value_name(mica_op_result(op, 0)) : "";
    mrt_plan_add_step(planner->plan, kernel_code, params, in, n_in, out, n_out,
                      name[0] ? name : op->name);
    return MICA_OK;
}

int mica_planner_results(mica_planner *planner, const mica_op *op, int min, int32_t *ids) {
    int n = min > (int)op->n_results ? (int)op->n_results : min;
    for (int i = n; i < (int)op->n_results; i++) {
        if (planner->all_results || mica_op_result(op, (uint32_t)i)->first_use) {
            n = i + 1;
        }
    }
    for (int i = 0; i < n; i++) {
        ids[i] = mica_planner_value(planner, mica_op_result(op, (uint32_t)i));
    }
    return n;
}

mica_status mica_planner_step(mica_planner *planner, const mica_op *op, uint16_t kernel_code,
                              const void *params) {
    const mrt_kernel *kernel = mrt_kernel_find(kernel_code);
    const int n_in = (int)op->n_operands;
    int32_t *ids = mica_alloc((op->n_operands + (size_t)op->n_results) * sizeof ids[0]);
    for (int i = 0; i < n_in; i++) {
        ids[i] = mica_planner_value(planner, mica_op_operand(op, (uint32_t)i));
    }
    const int n_out = mica_planner_results(planner, op, kernel ? kernel->min_out : 0, ids + n_in);
    const mica_status status = mica_planner_step_ids(planner, op, kernel_code, params, ids, n_in,
                                                     ids + n_in, n_out);
    mica_free(ids);
    return status;
}

/* --- functions -------------------------------------------------------------------------------- */

mica_status mica_planner_op(mica_planner *planner, const mica_op *op) {
    mica_plan_fn *hook = mica_plan_hook(op);
    planner->op = op;
    if (!hook) {
        return mica_planner_fail(planner, op, "has no executable form");
    }
    if (op->info->verify) {
        MICA_TRY(op->info->verify(op));
    }
    return hook(op, planner) == MICA_OK && !planner->failed ? MICA_OK : MICA_FAIL;
}

static bool depends_on_data(const mica_planner *planner, const mica_op *op) {
    const mica_live *live = planner->live;
    bool depends = false;
    for (uint32_t i = 0; mica_live_symbol_count(live) > 0 && i < op->n_operands; i++) {
        depends = depends || mica_live_of(live, mica_op_operand(op, i));
    }
    for (uint32_t i = 0; mica_live_symbol_count(live) > 0 && i < op->n_results; i++) {
        depends = depends || mica_live_of(live, mica_op_result(op, i));
    }
    return depends;
}

/* A block argument becomes an input under the name of the top.Input that takes it. */
static mica_status plan_argument(mica_planner *planner, const mica_value *arg) {
    const mica_value *named = arg;
    for (const mica_use *use = arg->first_use; use; use = use->next) {
        if (mica_op_is(use->user, "top.Input")) {
            named = mica_op_result(use->user, 0);
            break;
        }
    }
    const int32_t id = mica_planner_add(planner, named, MRT_INPUT);
    mica_planner_bind(planner, arg, id);
    return planner->failed ? MICA_FAIL : MICA_OK;
}

static bool is_return(const mica_op *op) {
    return mica_op_has_trait(op, MICA_TERMINATOR) || mica_op_is(op, "func.return") ||
           mica_op_is(op, "return");
}

static mica_status plan_body(mica_planner *planner, const mica_block *body) {
    for (uint32_t i = 0; i < body->n_args; i++) {
        MICA_TRY(plan_argument(planner, body->args[i]));
    }
    for (const mica_op *op = body->first; op; op = op->next) {
        if (mica_op_has_trait(op, MICA_IS_CONSTANT) || mica_op_is(op, "top.None")) {
            continue;
        }
        if (!is_return(op)) {
            MICA_TRY(depends_on_data(planner, op) ? mica_planner_live_op(planner, op)
                                                  : mica_planner_op(planner, op));
            continue;
        }
        planner->op = op;
        for (uint32_t i = 0; i < op->n_operands; i++) {
            const int32_t id = mica_planner_value(planner, mica_op_operand(op, i));
            if (id < 0) {
                return mica_planner_fail(planner, op, "expects tensors, operand %u is none", i);
            }
            mrt_plan_add_output(planner->plan, id);
        }
    }
    return planner->failed ? MICA_FAIL : MICA_OK;
}

mica_status mica_plan_func(mica_module *module, mica_op *func, const mica_plan_options *options,
                           mrt_plan **out_plan) {
    const mica_block *body = mica_func_body(func);
    if (!body) {
        return mica_emit_error(module->context, func->loc, "a function without body cannot run");
    }
    mica_planner planner = {.live = mica_live_create(module->context)};
    mica_status status = mica_planner_init(&planner, module);
    if (status == MICA_OK) {
        status = mica_live_func(planner.live, func);
    }
    mica_live_bind(planner.live);
    if (status == MICA_OK) {
        status = plan_body(&planner, body);
    }
    mica_live_unbind(planner.live);
    if (mica_live_symbol_count(planner.live) > 0) {
        mica_func_update_type(func);
    }
    mica_live_destroy(planner.live);
    mica_planner_deinit(&planner);
    if (status == MICA_OK) {
        mrt_error err = {{0}};
        if (mrt_plan_finalize(planner.plan, options && options->keep_all, &err) != MRT_OK) {
            status = mica_emit_error(module->context, func->loc, "the function cannot run: %s",
                                     err.text);
        }
    }
    if (status != MICA_OK) {
        mrt_plan_destroy(planner.plan);
        return MICA_FAIL;
    }
    *out_plan = planner.plan;
    return MICA_OK;
}
