/* Opening and running models of every kind. */
#include <string.h>

#include "dialects/plan.h"
#include "frontends/onnx/onnx.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "runtime/mrt_quant.h"
#include "tools/tool.h"
#include "utils/arena.h"
#include "utils/npz.h"
#include "utils/strings.h"

mica_module *tool_read_top(mica_context *context, const char *path, const char *what, mica_error *err) {
    mica_module *module = mica_parse_file(context, path, true);
    if (module == NULL || mica_verify(module) != MICA_OK) {
        (void)!tool_reported(err);
        mica_module_destroy(module);
        return NULL;
    }
    const char *state = mica_op_str(module->op, "module.state");
    if (strncmp(state, "TOP_", 4) == 0 && mica_module_func(module, "main") != NULL) {
        return module;
    }
    (void)!(strncmp(state, "TOP_", 4) == 0
                ? mica_fail(err, "'%s' has no function 'main'", path)
                : mica_fail(err, "'%s' has module.state %s: %s a top module", path,
                            *state != '\0' ? state : "(none)", what));
    mica_module_destroy(module);
    return NULL;
}

static mica_status finish(tool_model *model, int threads, mica_error *err) {
    mrt_error error;
    model->pool = mrt_pool_create(threads);
    if (mrt_exec_create(model->plan, model->pool, &model->exec, &error) != MRT_OK) {
        return mica_fail(err, "%s", error.text);
    }
    return MICA_OK;
}

mica_status tool_model_of(mica_module *module, bool keep_all, int threads, tool_model *out,
                          mica_error *err) {
    *out = (tool_model){.context = module->context, .module = module};
    mica_op *func = mica_module_func(module, "main");
    if (func == NULL) {
        return mica_fail(err, "module has no function 'main'");
    }
    const mica_plan_options options = {.keep_all = keep_all};
    if (mica_plan_func(module, func, &options, &out->owned_plan) != MICA_OK) {
        return tool_reported(err);
    }
    out->owned_plan->outputs_only = !keep_all;
    out->plan = out->owned_plan;
    return finish(out, threads, err);
}

/* A module that has only the bundle's inputs, so that datasets read for it as for any model. */
static mica_status inputs_of_bundle(tool_model *model, mica_error *err) {
    mica_context *context = model->context;
    model->module = mica_module_create(context, mica_loc_unknown(context));
    mica_builder outer = mica_builder_at_end(model->module, mica_module_body(model->module));
    mica_op *func = mica_build_func(&outer, "main", NULL, NULL, 0, NULL, 0, mica_loc_unknown(context));
    mica_block *body = mica_func_body(func);
    mica_builder builder = mica_builder_at_end(model->module, body);
    for (int32_t i = 0; i < model->plan->n_inputs; ++i) {
        const mrt_tensor *t = &model->plan->tensors[model->plan->inputs[i]].info;
        const mica_type type = mica_type_tensor(context, t->shape.rank, t->shape.dims,
                                                mica_type_of_dtype(context, t->dtype), NULL);
        const mica_loc loc = mica_loc_name(context, t->name, NULL);
        mica_value *argument = mica_block_add_arg(body, type, loc);
        mica_op *input = mica_build_op(&builder, "top.Input", loc, &argument, 1, 1);
        input->results[0].type = type;
        const char *text = mrt_bundle_get_info(model->bundle)->preprocess[i];
        const mica_attr attrs = *text != '\0' ? mica_parse_attr(context, text) : NULL;
        if (attrs != NULL && attrs->kind != MICA_ATTR_DICT) {
            return mica_fail(err, "bundle: preprocessing of input '%s' is no dictionary", t->name);
        }
        for (size_t k = 0; attrs != NULL && k < attrs->count; ++k) {
            mica_op_set_attr(input, attrs->entries[k].name, attrs->entries[k].value);
        }
    }
    mica_func_update_type(func);
    return MICA_OK;
}

static mica_status open_bundle(tool_model *model, const char *path, bool keep_all, mica_error *err) {
    mrt_error error;
    const unsigned flags = keep_all ? MRT_BUNDLE_KEEP_ALL : 0;
    if (mrt_bundle_open(path, flags, &model->bundle, &error) != MRT_OK) {
        return mica_fail(err, "%s", error.text);
    }
    model->plan = mrt_bundle_plan(model->bundle);
    return inputs_of_bundle(model, err);
}

static mica_status open_module(tool_model *model, const char *path, const char *input_shapes,
                               const char *ext, mica_error *err) {
    if (strcmp(ext, ".onnx") == 0) {
        const mica_onnx_options options = {.input_shapes = input_shapes};
        return mica_onnx_import(model->context, path, &options, &model->module) == MICA_OK
                   ? MICA_OK
                   : tool_reported(err);
    }
    if (strcmp(ext, ".mlir") == 0) {
        model->module = mica_parse_file(model->context, path, true);
        return model->module != NULL && mica_verify(model->module) == MICA_OK ? MICA_OK
                                                                              : tool_reported(err);
    }
    return mica_fail(err, "'%s': expected a .onnx, .mlir or .bmodel file", path);
}

mica_status tool_model_open(const char *path, const char *input_shapes, bool keep_all, int threads,
                            tool_model *out, mica_error *err) {
    mica_arena *arena = mica_arena_create();
    const char *ext = mica_path_ext(arena, path);
    tool_model model = {.context = tool_context()};
    mica_status status = MICA_OK;
    if (strcmp(ext, ".bmodel") == 0) {
        status = open_bundle(&model, path, keep_all, err);
        status = status == MICA_OK ? finish(&model, threads, err) : status;
    } else {
        status = open_module(&model, path, input_shapes, ext, err);
        mica_context *context = model.context;
        if (status == MICA_OK) {
            status = tool_model_of(model.module, keep_all, threads, &model, err);
        }
        model.context = context;
    }
    mica_arena_destroy(arena);
    *out = model;
    return status;
}

/* A model made by tool_model_of borrows module and context; only the opened kind owns them. The caller
 * of tool_model_of clears both before closing. */
void tool_model_close(tool_model *model) {
    mrt_exec_destroy(model->exec);
    mrt_plan_destroy(model->owned_plan);
    mrt_bundle_close(model->bundle);
    mrt_pool_destroy(model->pool);
    mica_module_destroy(model->module);
    if (model->context != NULL) {
        mica_context_destroy(model->context);
    }
    *model = (tool_model){0};
}

mica_dataset *tool_model_dataset(const tool_model *model, const char *files, const char *folder,
                                 const char *list, int64_t limit, mica_error *err) {
    mica_dataset *dataset = files != NULL
                                ? mica_dataset_of_files(model->module, files, err)
                                : mica_dataset_open(model->module, folder, list, limit, err);
    for (int32_t id = 0; dataset != NULL && id < model->plan->n_tensors; ++id) {
        mica_dataset_know(dataset, model->plan->tensors[id].info.name);
    }
    return dataset;
}

/* Rule quantize over a whole input. */
static void quantize_into(mrt_tensor *target, const float *x) {
    int64_t low = 0;
    int64_t high = 0;
    mrt_int_range(target->dtype, &low, &high);
    const int64_t count = mrt_shape_count(&target->shape);
    for (int64_t i = 0; i < count; ++i) {
        ((uint8_t *)target->data)[i] = (uint8_t)mrt_quantize_value(
            x[i], target->scale, target->zero_point, (int32_t)low, (int32_t)high);
    }
}

mica_status tool_model_run(tool_model *model, const mica_dataset *dataset, size_t i,
                           mica_error *err) {
    const size_t n = (size_t)model->plan->n_inputs;
    mrt_tensor **inputs = mica_alloc((n + 1) * sizeof(mrt_tensor *));
    mrt_tensor *real = mica_alloc((n + 1) * sizeof *real);
    /* Samples are real numbers; an integer input takes them quantized by its own scale. */
    for (size_t k = 0; k < n; ++k) {
        inputs[k] = mrt_exec_tensor(model->exec, model->plan->inputs[k]);
        real[k] = *inputs[k];
        if (inputs[k]->scale > 0.0) {
            real[k].dtype = MRT_F32;
            real[k].data = mica_alloc((size_t)mrt_shape_count(&real[k].shape) * sizeof(float) + 1);
            inputs[k] = &real[k];
        }
    }
    const mica_status status = mica_dataset_read(dataset, i, inputs, n, err);
    for (size_t k = 0; k < n; ++k) {
        mrt_tensor *target = mrt_exec_tensor(model->exec, model->plan->inputs[k]);
        if (inputs[k] != &real[k]) {
            continue;
        }
        if (status == MICA_OK) {
            quantize_into(target, real[k].data);
        }
        mica_free(real[k].data);
    }
    mica_free(real);
    mica_free(inputs);
    if (status == MICA_OK) {
        mrt_exec_run(model->exec, NULL, NULL);
    }
    if (status == MICA_OK && mrt_exec_problem(model->exec) != NULL) {
        return mica_fail(err, "%s", mrt_exec_problem(model->exec));
    }
    return status;
}

mica_status tool_model_run_like(tool_model *to, tool_model *from, mica_error *err) {
    if (to->plan->n_inputs != from->plan->n_inputs) {
        return mica_fail(err, "models have %d and %d inputs", (int)to->plan->n_inputs,
                         (int)from->plan->n_inputs);
    }
    for (int32_t i = 0; i < to->plan->n_inputs; ++i) {
        mrt_tensor *target = mrt_exec_tensor(to->exec, to->plan->inputs[i]);
        const mrt_tensor *source = mrt_exec_tensor(from->exec, from->plan->inputs[i]);
        const int64_t count = mrt_shape_count(&source->shape);
        if (count != mrt_shape_count(&target->shape)) {
            return mica_fail(err, "input '%s' has another size in the two models", target->name);
        }
        if (target->dtype == source->dtype) {
            memcpy(target->data, source->data, (size_t)count * mrt_dtype_bytes(source->dtype));
        } else if (source->dtype == MRT_F32 && target->scale > 0.0) {
            quantize_into(target, source->data);
        } else {
            return mica_fail(err, "input '%s' is %s in one model and %s in the other", target->name,
                             mrt_dtype_name(source->dtype), mrt_dtype_name(target->dtype));
        }
    }
    mrt_exec_run(to->exec, NULL, NULL);
    return MICA_OK;
}
