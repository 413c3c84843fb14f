/* The lowering and the import of a calibration table as passes of mica-opt. */
#include <string.h>

#include "ir/pass.h"
#include "ir/weights.h"
#include "passes/calibration/cali_table.h"
#include "passes/lowering/lowering.h"
#include "passes/tpu/tpu_passes.h"
#include "utils/strings.h"

mica_pass_fn mica_pass_import_calibration_table, mica_pass_convert_top_to_tpu;

static bool option_true(const mica_pass_options *options, const char *key) {
    const char *text = mica_pass_option(options, key);
    return text != NULL && strcmp(text, "true") == 0;
}

mica_status mica_pass_import_calibration_table(mica_module *module,
                                               const mica_pass_options *options) {
    mica_error err;
    mica_cali_table *table = mica_cali_table_read(mica_pass_option(options, "file"), &err);
    if (table == NULL) {
        return mica_emit_error(module->context, module->op->loc, "%s", err.text);
    }
    const mica_status status =
        mica_import_calibration(module, table, option_true(options, "asymmetric"), &err);
    mica_cali_table_destroy(table);
    return status == MICA_OK ? MICA_OK
                             : mica_emit_error(module->context, module->op->loc, "%s", err.text);
}

static void release_module(void *module) { mica_module_destroy(module); }

mica_status mica_pass_convert_top_to_tpu(mica_module *module, const mica_pass_options *options) {
    mica_error err;
    mica_lowering_options lowering = {.asymmetric = option_true(options, "asymmetric")};
    lowering.processor = mica_processor_find(mica_pass_option(options, "processor"));
    if (lowering.processor == NULL) {
        return mica_emit_error(module->context, module->op->loc, "unknown processor '%s'",
                               mica_pass_option(options, "processor"));
    }
    if (!mica_mode_find(mica_pass_option(options, "mode"), &lowering.mode)) {
        return mica_emit_error(module->context, module->op->loc, "unknown mode '%s'",
                               mica_pass_option(options, "mode"));
    }
    const char *requantize = mica_pass_option(options, "requantize");
    lowering.requantize_all = strcmp(requantize, "all") == 0;
    if (!lowering.requantize_all && strcmp(requantize, "needed") != 0) {
        return mica_emit_error(module->context, module->op->loc, "requantize '%s' is neither 'needed' nor 'all'",
                               requantize);
    }
    mica_op *func = mica_module_func(module, "main");
    const size_t n_outputs = func != NULL ? mica_func_body(func)->last->n_operands : 0;
    bool *quant_output = mica_arena_alloc(module->arena, n_outputs + 1);
    if (mica_parse_io_list(mica_pass_option(options, "quant_output"), quant_output, n_outputs, "quant_output",
                           &err) != MICA_OK) {
        return mica_emit_error(module->context, module->op->loc, "%s", err.text);
    }
    lowering.quant_output = quant_output;
    mica_qtable *qtable = NULL;
    if (*mica_pass_option(options, "qtable") != '\0') {
        qtable = mica_qtable_read(mica_pass_option(options, "qtable"), &err);
        if (qtable == NULL) {
            return mica_emit_error(module->context, module->op->loc, "%s", err.text);
        }
    }
    lowering.qtable = qtable;
    mica_status status = MICA_OK;
    mica_module *made = NULL;
    if (mica_lowering_check(&lowering, &err) != MICA_OK) {
        status = mica_emit_error(module->context, module->op->loc, "%s", err.text);
    } else {
        status = mica_lower_module(module, &lowering, &made, NULL);
    }
    mica_qtable_destroy(qtable);
    if (status == MICA_OK) {
        /* The old contents live on with the new constants, which borrow from them. */
        mica_module_swap(module, made);
        mica_weights_keep(module->weights, made, release_module);
    }
    return status;
}
