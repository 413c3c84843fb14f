/* model_deploy: a top module becomes a bundle for a processor, checked at every stage. */
#include <stdio.h>
#include <string.h>

#include "backends/bundle/bundle_from_module.h"
#include "dialects/processors.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/calibration/cali_table.h"
#include "passes/lowering/lowering.h"
#include "passes/tpu/tpu_passes.h"
#include "tools/tool.h"
#include "utils/file.h"
#include "utils/npz.h"
#include "utils/progress.h"
#include "utils/strbuf.h"
#include "utils/strings.h"

static const char *const program = "model_deploy";

typedef struct settings {
    const char *mlir, *processor, *quantize, *model, *calibration_table, *quantize_table;
    const char *quant_input_list, *quant_output_list, *test_input, *test_reference, *tolerance, *excepts, *scale, *requantize;
    bool asymmetric, quant_input, quant_output, compare_all, skip_validation, not_gen_bmodel;
    int64_t threads;
} settings;

static void fill_options(settings *s, mica_option *rows, size_t *count) {
    const mica_option made[] = {
        {.name = "--mlir", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true, .dest = &s->mlir,
         .help = "module of the top dialect"},
        {.name = "--processor", .alias = "--chip", .kind = MICA_OPT_STRING, .metavar = "NAME", .required = true, .dest = &s->processor,
         .help = "target: bm1684x, bm1688, bm1690, cv186x, cpu, ..."},
        {.name = "--quantize", .kind = MICA_OPT_STRING, .metavar = "MODE", .default_text = "F32", .dest = &s->quantize,
         .help = "numeric mode of all ops that the quantize table does not name: F32, F16, BF16, INT8; W8A8: products of 8-bit integers, everything else float; INT4: products of 4-bit integers, W4INT8: of 4-bit weights and 8-bit values, everything else as in INT8; W4A8: W8A8 with 4-bit weights"},
        {.name = "--calibration_table", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s->calibration_table,
         .help = "ranges from run_calibration; needed when any op is INT8"},
        {.name = "--quantize_table", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s->quantize_table,
         .help = "one 'op_name MODE' per line for ops that differ from --quantize"},
        {.name = "--asymmetric", .kind = MICA_OPT_FLAG, .dest = &s->asymmetric, .help = "activations with zero points (INT8)"},
        {.name = "--scale", .kind = MICA_OPT_CHOICE, .choices = "free,pow2", .default_text = "free", .dest = &s->scale,
         .help = "pow2: scales of activations and weights are powers of two (INT8); for a table of run_calibration --scale pow2"},
        {.name = "--requantize", .kind = MICA_OPT_CHOICE, .choices = "needed,all", .default_text = "needed", .dest = &s->requantize,
         .help = "integer products give 8 bits only where something reads integers, else f32 (INT8); all: always 8 bits"},
        {.name = "--quant_input", .kind = MICA_OPT_FLAG, .dest = &s->quant_input, .help = "inputs are integers, no cast from f32"},
        {.name = "--quant_output", .kind = MICA_OPT_FLAG, .dest = &s->quant_output, .help = "outputs are integers, no cast to f32"},
        {.name = "--quant_input_list", .kind = MICA_OPT_STRING, .metavar = "N,..", .dest = &s->quant_input_list,
         .help = "1-based numbers of the inputs that are integers"},
        {.name = "--quant_output_list", .kind = MICA_OPT_STRING, .metavar = "N,..", .dest = &s->quant_output_list,
         .help = "1-based numbers of the outputs that are integers"},
        {.name = "--test_input", .kind = MICA_OPT_STRING, .multi = true, .metavar = "FILES", .dest = &s->test_input,
         .help = "jpg, png, npy or npz sample(s): top, tpu and bundle are run on it and compared"},
        {.name = "--test_reference", .kind = MICA_OPT_STRING, .metavar = "NPZ", .dest = &s->test_reference,
         .help = "tensors to compare the tpu module with; default: the top module is run"},
        {.name = "--tolerance", .kind = MICA_OPT_STRING, .metavar = "COS,EUCLID", .dest = &s->tolerance,
         .help = "least similarity top to tpu; default: 0.99,0.99 for F32, 0.99,0.90 for F16 and BF16, 0.80,0.50 for the integer modes"},
        {.name = "--compare_all", .kind = MICA_OPT_FLAG, .dest = &s->compare_all,
         .help = "every tensor must pass, not only the outputs, and each is printed"},
        {.name = "--excepts", .kind = MICA_OPT_STRING, .metavar = "NAMES", .default_text = "-", .dest = &s->excepts,
         .help = "tensors left out of the comparison"},
        {.name = "--skip_validation", .kind = MICA_OPT_FLAG, .dest = &s->skip_validation, .help = "do not run the test input"},
        {.name = "--not_gen_bmodel", .kind = MICA_OPT_FLAG, .dest = &s->not_gen_bmodel, .help = "stop after the tpu module"},
        {.name = "--model", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true, .dest = &s->model,
         .help = "output: the bundle (.bmodel); the tpu and final modules go beside it"},
        {.name = "--threads", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s->threads,
         .help = "threads; 0: MICA_NUM_THREADS, else one per core"},
    };
    *count = sizeof made / sizeof made[0];
    memcpy(rows, made, sizeof made);
}

/* Everything of one deployment. */
typedef struct job {
    const settings *s;
    mica_context *context;
    mica_arena *arena;
    mica_module *top, *tpu;
    mica_lowering_options lowering;
    mica_qtable *qtable;
    mica_lower_report report;
    bool *quant_input, *quant_output; /* per input and output of the model */
    const char *prefix; /* "<dir>/<name>_<chip>_<mode>[_sym|_asym]" */
    tool_outputs outputs;
} job;

static mica_status read_settings(job *j, mica_error *err) {
    const settings *s = j->s;
    j->lowering.processor = mica_processor_find(s->processor);
    if (j->lowering.processor == NULL) {
        size_t n = 0;
        const char *const *names = mica_processor_names(&n);
        const char *nearest = mica_nearest(s->processor, names, n);
        return mica_fail(err, "unknown processor '%s'%s%s", s->processor,
                         nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "");
    }
    if (!mica_mode_find(s->quantize, &j->lowering.mode)) {
        return mica_fail(err, "unknown mode --quantize %s (modes: " MICA_MODE_NAMES ")", s->quantize);
    }
    if (s->asymmetric && !mica_mode_has_integers(j->lowering.mode) && s->quantize_table == NULL) {
        return mica_fail(err, "--asymmetric has no effect in mode %s", s->quantize);
    }
    j->lowering.pow2 = strcmp(s->scale, "pow2") == 0;
    if (j->lowering.pow2 && s->asymmetric) {
        return mica_fail(err, "--scale pow2 goes with symmetric ranges; leave out --asymmetric");
    }
    if (j->lowering.pow2 && !mica_mode_has_integers(j->lowering.mode) && s->quantize_table == NULL) {
        return mica_fail(err, "--scale pow2 has no effect in mode %s", s->quantize);
    }
    j->lowering.requantize_all = strcmp(s->requantize, "all") == 0;
    if (j->lowering.requantize_all && !mica_mode_has_integers(j->lowering.mode) && s->quantize_table == NULL) {
        return mica_fail(err, "--requantize all has no effect in mode %s", s->quantize);
    }
    if ((s->quant_input && s->quant_input_list != NULL) || (s->quant_output && s->quant_output_list != NULL)) {
        return mica_fail(err, "--quant_input and --quant_input_list (or their output forms) exclude each other");
    }
    if (s->test_input == NULL && (s->compare_all || s->test_reference != NULL || s->tolerance != NULL)) {
        return mica_fail(err, "--compare_all, --test_reference and --tolerance need --test_input");
    }
    j->lowering.asymmetric = s->asymmetric;
    if (s->quantize_table != NULL) {
        j->qtable = mica_qtable_read(s->quantize_table, err);
        if (j->qtable == NULL) {
            return MICA_FAIL;
        }
        j->lowering.qtable = j->qtable;
    }
    return mica_lowering_check(&j->lowering, err);
}

static bool wants_int8(const job *j) {
    mica_mode mode = j->lowering.mode;
    bool found = mica_mode_has_integers(mode);
    for (size_t i = 0; j->qtable != NULL && i < mica_qtable_count(j->qtable); ++i) {
        (void)mica_qtable_at(j->qtable, i, &mode);
        found = found || mica_mode_has_integers(mode);
    }
    return found;
}

static mica_status read_top(job *j, mica_error *err) {
    const settings *s = j->s;
    j->top = tool_read_top(j->context, s->mlir, "model_deploy starts from", err);
    if (j->top == NULL) {
        return MICA_FAIL;
    }
    if (j->qtable != NULL) {
        MICA_TRY(mica_qtable_check(j->qtable, mica_module_func(j->top, "main"), err));
    }
    if (wants_int8(j) && s->calibration_table == NULL) {
        return mica_fail(err, "%s needs --calibration_table (made by run_calibration)",
                         mica_mode_name(mica_mode_has_integers(j->lowering.mode) ? j->lowering.mode : MICA_MODE_INT8));
    }
    if (!wants_int8(j) && s->calibration_table != NULL) {
        return mica_fail(err, "--calibration_table has no effect: no op is INT8");
    }
    if (s->calibration_table == NULL) {
        return MICA_OK;
    }
    mica_cali_table *table = mica_cali_table_read(s->calibration_table, err);
    if (table == NULL) {
        return MICA_FAIL;
    }
    const mica_status status = mica_import_calibration(j->top, table, s->asymmetric, err);
    mica_cali_table_destroy(table);
    return status;
}

/* Before the lowering: integers that go out are not made f32. */
static mica_status read_borders(job *j, mica_error *err) {
    const settings *s = j->s;
    const mica_block *body = mica_func_body(mica_module_func(j->top, "main"));
    const char *in_text = s->quant_input ? "all" : (s->quant_input_list != NULL ? s->quant_input_list : "none");
    const char *out_text = s->quant_output ? "all" : (s->quant_output_list != NULL ? s->quant_output_list : "none");
    j->quant_input = mica_arena_alloc(j->arena, body->n_args + 1);
    j->quant_output = mica_arena_alloc(j->arena, body->last->n_operands + 1);
    MICA_TRY(mica_parse_io_list(in_text, j->quant_input, body->n_args, "--quant_input_list", err));
    j->lowering.quant_output = j->quant_output;
    return mica_parse_io_list(out_text, j->quant_output, body->last->n_operands, "--quant_output_list", err);
}

static mica_status strip_borders(job *j, mica_error *err) {
    const mica_block *body = mica_func_body(mica_module_func(j->tpu, "main"));
    return mica_strip_io_quant(j->tpu, j->quant_input, body->n_args, j->quant_output, body->last->n_operands) == MICA_OK
               ? MICA_OK
               : tool_reported(err);
}

/* A table made for the whole model has every tensor that INT8 needs; running the ops without a range in
 * float would hide that something is wrong with it. */
static mica_status check_calibrated(const job *j, mica_error *err) {
    enum { SHOWN = 5 };
    const char *names = "";
    const size_t n = j->report.n_uncalibrated;
    for (size_t i = 0; i < n && i < SHOWN; ++i) {
        names = mica_arena_printf(j->arena, "%s%s'%s'", names, i > 0 ? ", " : "", j->report.uncalibrated[i]);
    }
    return n == 0 ? MICA_OK
                  : mica_fail(err, "calibration table '%s' has no row for %zu tensor%s that INT8 needs: %s%s",
                              j->s->calibration_table, n, n > 1 ? "s" : "", names, n > SHOWN ? ", ..." : "");
}

/* Which modes were used, and every op that is not in the mode it was asked for. */
static void print_report(const job *j) {
    size_t counts[MICA_MODE_COUNT] = {0};
    size_t real = 0;
    for (size_t i = 0; i < j->report.count; ++i) {
        ++counts[j->report.rows[i].mode];
        real += j->report.rows[i].is_real;
    }
    printf("%zu ops:", j->report.count);
    for (int mode = 0; mode < MICA_MODE_COUNT; ++mode) {
        if (counts[mode] > 0) {
            printf(" %zu %s", counts[mode], mica_mode_name((mica_mode)mode));
        }
    }
    printf("\n");
    if (real > 0) {
        printf("  %zu INT8 with f32 results: only float ops and outputs read them\n", real);
    }
    for (size_t i = 0; i < j->report.count; ++i) {
        const mica_lower_row *row = &j->report.rows[i];
        if (row->reason != NULL) {
            printf("  %s (%s) stays %s: %s\n", row->op, row->type, mica_mode_name(row->mode), row->reason);
        }
    }
}

static const char *default_tolerance(const job *j) {
    switch (j->lowering.mode) {
    case MICA_MODE_INT8:
    case MICA_MODE_W8A8:
    case MICA_MODE_INT4:
    case MICA_MODE_W4INT8:
    case MICA_MODE_W4A8:
        return "0.80,0.50";
    case MICA_MODE_F32:
        return j->qtable == NULL ? "0.99,0.99" : "0.80,0.50";
    default:
        return j->qtable == NULL ? "0.99,0.90" : "0.80,0.50";
    }
}

/* The test input for one of the modules; an npz may hold the tensors of either. */
static mica_dataset *sample_for(const job *j, mica_module *module, mica_error *err) {
    mica_dataset *sample = mica_dataset_of_files(module, j->s->test_input, err);
    mica_module *both[2] = {j->top, j->tpu};
    for (int i = 0; sample != NULL && i < 2; ++i) {
        for (const mica_op *op = mica_func_body(mica_module_func(both[i], "main"))->first; op != NULL;
             op = op->next) {
            for (uint32_t k = 0; k < op->n_results; ++k) {
                mica_dataset_know(sample, mica_value_name(&op->results[k]));
            }
        }
    }
    return sample;
}

/* top -> tpu within tolerance, then tpu -> bundle bit by bit. When they differ, the modules and tensors
 * stay, so that one can look why, but no bundle. */
static mica_status validate(job *j, const char *bundle_path, tool_model *tpu, mica_error *err) {
    const settings *s = j->s;
    bool differs = false;
    tool_compare_options compare = {.title = "top -> tpu", .excepts = s->excepts, .all = s->compare_all,
                                    .table = s->compare_all, .out_differs = &differs};
    MICA_TRY(tool_parse_tolerance(s->tolerance != NULL ? s->tolerance : default_tolerance(j),
                                  &compare.tolerance, err));
    tool_model top = {0};
    tool_model bundle = {0};
    mica_npz *npz = NULL;
    const int threads = tool_threads(s->threads);
    mica_status status = MICA_OK;
    tool_reference reference = {0};
    if (s->test_reference != NULL) {
        npz = mica_npz_open(s->test_reference, err);
        status = npz != NULL ? MICA_OK : MICA_FAIL;
        compare.title = "reference -> tpu";
        reference.npz = npz;
    } else {
        mica_dataset *sample = sample_for(j, j->top, err);
        status = sample != NULL ? tool_model_of(j->top, true, threads, &top, err) : MICA_FAIL;
        status = status == MICA_OK ? tool_model_run(&top, sample, 0, err) : status;
        mica_dataset_close(sample);
        reference.model = &top;
    }
    status = status == MICA_OK ? tool_compare(tpu, &reference, &compare, err) : status;
    if (status == MICA_OK && bundle_path != NULL) {
        status = tool_model_open(bundle_path, NULL, true, threads, &bundle, err);
        status = status == MICA_OK ? tool_model_run_like(&bundle, tpu, err) : status;
        const tool_reference exact = {.model = tpu};
        const tool_compare_options equal = {.title = "tpu -> bundle", .all = true, .integers = true,
                                            .out_differs = &differs,
                                            .tolerance = {.cosine = 1.0, .euclid = 1.0, .sqnr_db = 1e300}};
        status = status == MICA_OK ? tool_compare(&bundle, &exact, &equal, err) : status;
        tool_model_close(&bundle);
    }
    if (differs) {
        tool_outputs_remove(&j->outputs, s->model);
        tool_outputs_keep(&j->outputs);
    }
    mica_npz_close(npz);
    top.module = NULL;
    top.context = NULL;
    tool_model_close(&top);
    return status;
}

static mica_status write_bundle(job *j, tool_model *tpu, mica_error *err) {
    const settings *s = j->s;
    const void **golden = mica_arena_alloc(j->arena, ((size_t)tpu->plan->n_inputs + 1) * sizeof *golden);
    const bool has_golden = s->test_input != NULL && !s->skip_validation;
    for (int32_t i = 0; i < tpu->plan->n_inputs; ++i) {
        golden[i] = mrt_exec_tensor(tpu->exec, tpu->plan->inputs[i])->data;
    }
    mrt_bundle_op *ops = mica_arena_alloc(j->arena, (j->report.count + 1) * sizeof *ops);
    for (size_t i = 0; i < j->report.count; ++i) {
        const mica_lower_row *row = &j->report.rows[i];
        ops[i] = (mrt_bundle_op){row->op, row->type, mica_mode_name(row->mode)};
    }
    MICA_TRY(mica_bundle_from_module(j->tpu, ops, (uint32_t)j->report.count, has_golden ? golden : NULL,
                                     s->model, err));
    tool_outputs_add(&j->outputs, s->model);
    return MICA_OK;
}

static mica_status save_final(job *j, mica_error *err) {
    if (mica_assign_address(j->tpu) != MICA_OK) {
        return tool_reported(err);
    }
    return mica_print_file(j->tpu, mica_arena_printf(j->arena, "%s_final.mlir", j->prefix), err);
}

static mica_status deploy(job *j, mica_error *err) {
    const settings *s = j->s;
    const double start = mica_seconds();
    MICA_TRY(read_settings(j, err));
    MICA_TRY(tool_check_output(s->model, err));
    MICA_TRY(read_top(j, err));
    MICA_TRY(read_borders(j, err));
    if (mica_lower_module(j->top, &j->lowering, &j->tpu, &j->report) != MICA_OK) {
        return tool_reported(err);
    }
    MICA_TRY(check_calibrated(j, err));
    print_report(j);
    MICA_TRY(strip_borders(j, err));
    const char *suffix = !mica_mode_has_integers(j->lowering.mode) ? "" : (s->asymmetric ? "_asym" : "_sym");
    char *mode = mica_arena_strdup(j->arena, mica_mode_name(j->lowering.mode));
    for (char *c = mode; *c != '\0'; ++c) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    }
    j->prefix = mica_path_join(
        j->arena, mica_path_dir(j->arena, s->model),
        mica_arena_printf(j->arena, "%s_%s_%s%s", tool_stem(j->arena, s->mlir), j->lowering.processor->name,
                          mode, suffix));
    MICA_TRY(tool_save_module(j->tpu, mica_arena_printf(j->arena, "%s_tpu.mlir", j->prefix),
                              mica_arena_printf(j->arena, "%s_tpu_weights.npz", j->prefix), &j->outputs, err));
    tool_model tpu = {0};
    mica_status status = tool_model_of(j->tpu, true, tool_threads(s->threads), &tpu, err);
    const bool test = s->test_input != NULL && !s->skip_validation;
    if (status == MICA_OK && test) {
        mica_dataset *sample = sample_for(j, j->tpu, err);
        status = sample != NULL ? tool_model_run(&tpu, sample, 0, err) : MICA_FAIL;
        mica_dataset_close(sample);
        if (status == MICA_OK) {
            const char *path = mica_arena_printf(j->arena, "%s_tpu_outputs.npz", j->prefix);
            status = tool_save_tensors(&tpu, true, true, path, err);
            if (status == MICA_OK) {
                tool_outputs_add(&j->outputs, path);
            }
        }
    }
    if (status == MICA_OK && !s->not_gen_bmodel) {
        status = write_bundle(j, &tpu, err);
    }
    if (status == MICA_OK && test) {
        status = validate(j, s->not_gen_bmodel ? NULL : s->model, &tpu, err);
    }
    tpu.module = NULL;
    tpu.context = NULL;
    tool_model_close(&tpu);
    if (status == MICA_OK) {
        status = save_final(j, err);
    }
    if (status == MICA_OK) {
        printf("%s in %.2f s\n", s->not_gen_bmodel ? j->prefix : s->model, mica_seconds() - start);
    }
    return status;
}

int main(int argc, char **argv) {
    settings s = {0};
    mica_option rows[32];
    mica_arena *arena = mica_arena_create();
    mica_option_table table = {.program = program, .version = MICA_VERSION, .rows = rows, .arena = arena,
                               .summary = "Lowers a top module for a processor and writes the bundle."};
    int code = TOOL_OK;
    fill_options(&s, rows, &table.count);
    if (tool_options(&table, argc, argv, &code)) {
        mica_error err = {0};
        job j = {.s = &s, .context = tool_context(), .arena = arena};
        if (deploy(&j, &err) != MICA_OK) {
            code = tool_failed(program, &err);
            tool_outputs_remove(&j.outputs, NULL);
        }
        tool_outputs_keep(&j.outputs);
        mica_lower_report_free(&j.report);
        mica_qtable_destroy(j.qtable);
        mica_module_destroy(j.tpu);
        mica_module_destroy(j.top);
        mica_context_destroy(j.context);
    }
    mica_arena_destroy(arena);
    return code;
}
