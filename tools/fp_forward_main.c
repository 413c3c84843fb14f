/* fp_forward: regions of a model that stay in float, as a quantize table. */
#include <stdio.h>
#include <string.h>

#include "passes/search/fp_forward.h"
#include "tools/tool.h"
#include "utils/file.h"
#include "utils/strbuf.h"
#include "utils/strings.h"

static const char *const program = "fp_forward";

typedef struct settings {
    const char *mlir, *processor, *quantize, *fp_type, *table;
    mica_fp_regions regions;
} settings;

/* The float mode of the regions. auto: the processor's narrowest one. */
static mica_status choose_mode(const settings *s, const mica_processor *processor, mica_mode *out,
                               mica_error *err) {
    if (strcmp(s->fp_type, "auto") == 0) {
        *out = mica_processor_has_mode(processor, MICA_MODE_F16)    ? MICA_MODE_F16
               : mica_processor_has_mode(processor, MICA_MODE_BF16) ? MICA_MODE_BF16
                                                                    : MICA_MODE_F32;
    } else if (mica_mode_find(s->fp_type, out) && !mica_processor_has_mode(processor, *out)) {
        return mica_fail(err, "processor %s does not execute %s; nearest mode: %s", processor->name, s->fp_type,
                         mica_mode_name(mica_processor_nearest_mode(processor, *out)));
    }
    mica_mode rest = MICA_MODE_INT8;
    if (!mica_mode_find(s->quantize, &rest)) {
        return mica_fail(err, "unknown mode --quantize %s (modes: " MICA_MODE_NAMES ")", s->quantize);
    }
    return rest != *out ? MICA_OK
                        : mica_fail(err, "--quantize and --fp_type are both %s: no op would differ",
                                    mica_mode_name(rest));
}

static void describe(mica_strbuf *header, const char *option, const char *value) {
    if (value != NULL) {
        mica_strbuf_printf(header, "# %s: %s\n", option, value);
    }
}

static mica_status write_table(const settings *s, mica_arena *arena, const mica_processor *processor,
                               mica_mode mode, const mica_qtable *table, mica_error *err) {
    mica_strbuf header = {0};
    mica_strbuf_printf(&header, "# mlir: %s\n# chip: %s  mix_mode: %s\n# number of %s layer: %zu\n",
                       mica_path_base(arena, s->mlir), processor->name, mica_mode_name(mode),
                       mica_mode_name(mode), mica_qtable_count(table));
    describe(&header, "fpfwd_inputs", s->regions.inputs);
    describe(&header, "fpfwd_outputs", s->regions.outputs);
    describe(&header, "fpfwd_blocks", s->regions.blocks);
    const mica_status status = mica_qtable_write(table, s->table, mica_strbuf_text(&header), err);
    mica_strbuf_free(&header);
    return status;
}

static mica_status run(void *given, const mica_option_table *options, mica_context *context, mica_error *err) {
    const settings *s = given;
    (void)options;
    const mica_processor *processor = NULL;
    MICA_TRY(tool_processor(s->processor, &processor, err));
    mica_mode mode = MICA_MODE_F32;
    MICA_TRY(choose_mode(s, processor, &mode, err));
    MICA_TRY(tool_check_output(s->table, err));
    mica_module *module = tool_read_top(context, s->mlir, "fp_forward needs", err);
    if (module == NULL) {
        return MICA_FAIL;
    }
    size_t ops = 0;
    mica_qtable *table = mica_qtable_create();
    mica_status status = mica_fp_forward(module, &s->regions, mode, table, &ops, err);
    status = status == MICA_OK
                 ? write_table(s, mica_context_arena(context), processor, mode, table, err)
                 : status;
    if (status == MICA_OK) {
        printf("%zu of %zu ops in %s\n", mica_qtable_count(table), ops, mica_mode_name(mode));
    }
    mica_qtable_destroy(table);
    mica_module_destroy(module);
    return status;
}

int main(int argc, char **argv) {
    settings s = {0};
    mica_option rows[] = {
        {.name = "mlir_file", .kind = MICA_OPT_STRING, .metavar = "MLIR", .required = true, .dest = &s.mlir,
         .help = "module of the top dialect, as model_transform writes it"},
        {.name = "--processor", .alias = "--chip", .kind = MICA_OPT_STRING, .metavar = "NAME", .required = true,
         .dest = &s.processor, .help = "target: bm1684x, bm1688, bm1690, cv186x, cpu, ..."},
        {.name = "--quantize", .kind = MICA_OPT_STRING, .metavar = "MODE", .default_text = "INT8", .dest = &s.quantize,
         .help = "mode that all other ops will have"},
        {.name = "--fpfwd_inputs", .kind = MICA_OPT_STRING, .multi = true, .metavar = "NAMES", .dest = &s.regions.inputs,
         .help = "these ops and all before them stay in float; separated by commas"},
        {.name = "--fpfwd_outputs", .kind = MICA_OPT_STRING, .multi = true, .metavar = "NAMES", .dest = &s.regions.outputs,
         .help = "these ops and all after them stay in float; separated by commas"},
        {.name = "--fpfwd_blocks", .kind = MICA_OPT_STRING, .multi = true, .metavar = "START:END", .dest = &s.regions.blocks,
         .help = "all ops on the paths from START to END, both included, stay in float; blocks are separated by spaces"},
        {.name = "--fp_type", .kind = MICA_OPT_CHOICE, .choices = "auto,F16,F32,BF16", .default_text = "auto", .dest = &s.fp_type,
         .help = "their float mode; auto: F16 where the processor has it, else BF16, else F32"},
        {.name = "--quantize_table", .alias = "-o", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true,
         .dest = &s.table, .help = "output: one 'op_name MODE' row per op that stays in float"},
    };
    const tool_program self = {.name = program, .rows = rows, .count = sizeof rows / sizeof rows[0], .run = run,
                               .settings = &s,
                               .summary = "Writes the quantize table that keeps regions of a model in float."};
    return tool_main(&self, argc, argv);
}
