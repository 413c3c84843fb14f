#include <string.h>

#include "dialects/top/top.h"
#include "ir/builder.h"
#include "ir/pass.h"
#include "passes/tpu/tpu_passes.h"
#include "utils/strings.h"

mica_status mica_parse_io_list(const char *text, bool *flags, size_t n, const char *what,
                               mica_error *err) {
    memset(flags, 0, n * sizeof *flags);
    if (strcmp(text, "none") == 0 || *text == '\0') {
        return MICA_OK;
    }
    if (strcmp(text, "all") == 0) {
        memset(flags, 1, n * sizeof *flags);
        return MICA_OK;
    }
    mica_arena *arena = mica_arena_create();
    mica_status status = MICA_OK;
    size_t count = 0;
    char **parts = mica_split(arena, text, strchr(text, '|') != NULL ? '|' : ',', &count);
    for (size_t i = 0; i < count && status == MICA_OK; ++i) {
        int64_t number = 0;
        if (!mica_parse_i64(parts[i], &number) || number < 1 || number > (int64_t)n) {
            status = mica_fail(err, "%s '%s': '%s' is no number from 1 to %zu", what, text,
                               parts[i], n);
        } else {
            flags[number - 1] = true;
        }
    }
    mica_arena_destroy(arena);
    return status;
}

/* The Cast that all users of `input` go through, or NULL. */
static mica_op *only_cast(const mica_value *input) {
    if (!mica_value_has_one_use(input)) {
        return NULL;
    }
    mica_op *cast = input->first_use->user;
    return mica_op_is(cast, "tpu.Cast") && mica_type_is_quant(mica_type_element(cast->results[0].type))
               ? cast
               : NULL;
}

static void strip_input(mica_op *input) {
    mica_op *cast = only_cast(&input->results[0]);
    if (cast == NULL) {
        return;
    }
    const mica_type type = cast->results[0].type;
    mica_value *argument = mica_op_operand(input, 0);
    argument->type = mica_type_with_element(argument->type, mica_type_element(type));
    input->results[0].type = mica_type_with_element(input->results[0].type, mica_type_element(type));
    mica_value_replace_uses(&cast->results[0], &input->results[0]);
    mica_op_erase(cast);
}

static void strip_output(mica_op *ret, uint32_t i) {
    mica_op *cast = mica_op_operand(ret, i)->def;
    if (cast == NULL || !mica_op_is(cast, "tpu.Cast") ||
        !mica_type_is_quant(mica_type_element(mica_op_operand(cast, 0)->type))) {
        return;
    }
    mica_op_set_operand(ret, i, mica_op_operand(cast, 0));
    if (mica_value_use_count(&cast->results[0]) == 0) {
        mica_op_erase(cast);
    }
}

mica_status mica_strip_io_quant(mica_module *module, const bool *quant_input, size_t n_inputs,
                                const bool *quant_output, size_t n_outputs) {
    mica_op *func = mica_module_func(module, "main");
    if (func == NULL) {
        return mica_emit_error(module->context, module->op->loc, "module has no function 'main'");
    }
    size_t number = 0;
    for (mica_op *op = mica_func_body(func)->first, *next = NULL; op != NULL; op = next) {
        next = op->next;
        if (mica_op_is(op, "top.Input")) {
            if (quant_input != NULL && number < n_inputs && quant_input[number]) {
                strip_input(op);
                next = op->next;
            }
            ++number;
        } else if (mica_op_is(op, "func.return")) {
            for (uint32_t i = 0; quant_output != NULL && i < op->n_operands && i < n_outputs; ++i) {
                if (quant_output[i]) {
                    strip_output(op, i);
                }
            }
        }
    }
    mica_func_update_type(func);
    return MICA_OK;
}

mica_pass_fn mica_pass_tpu_strip_io_quant;

mica_status mica_pass_tpu_strip_io_quant(mica_module *module, const mica_pass_options *options) {
    mica_op *func = mica_module_func(module, "main");
    const size_t n_inputs = func != NULL ? mica_func_body(func)->n_args : 0;
    const mica_op *last = func != NULL ? mica_func_body(func)->last : NULL;
    const size_t n_outputs = last != NULL ? last->n_operands : 0;
    bool *in = mica_arena_alloc(module->arena, n_inputs + 1);
    bool *out = mica_arena_alloc(module->arena, n_outputs + 1);
    mica_error err;
    if (mica_parse_io_list(mica_pass_option(options, "inputs"), in, n_inputs, "inputs", &err) != MICA_OK ||
        mica_parse_io_list(mica_pass_option(options, "outputs"), out, n_outputs, "outputs", &err) !=
            MICA_OK) {
        return mica_emit_error(module->context, module->op->loc, "%s", err.text);
    }
    return mica_strip_io_quant(module, in, n_inputs, out, n_outputs);
}
