/* model_tool: looks into bundles and proves that this machine computes what they say; cuts modules;
 * tells what kernels this machine uses. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialects/top/cut.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "runtime/mrt_cpu.h"
#include "runtime/mrt_quant.h"
#include "tools/tool.h"
#include "utils/file.h"
#include "utils/npz.h"
#include "utils/strings.h"

static const char *const program = "model_tool";

typedef struct settings {
    const char *info, *weight, *verify, *extract, *dump, *cut, *input_names, *output_names, *output;
    bool cpu;
    int64_t threads;
} settings;

static mica_status open_bundle(const char *path, mrt_bundle **out, mica_error *err) {
    mrt_error error;
    return mrt_bundle_open(path, 0, out, &error) == MRT_OK ? MICA_OK : mica_fail(err, "%s", error.text);
}

static const char *shape_text(const mrt_shape *shape, char *text, size_t size) {
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < shape->rank && at < size; ++i) {
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i > 0 ? "x" : "", (long long)shape->dims[i]);
    }
    return shape->rank == 0 ? "scalar" : text;
}

/* Values of 4 bits are i8 or u8 to kernels. */
static const char *type_name(const mrt_tensor *t) {
    return t->bits == 4 ? mrt_dtype_name(t->dtype == MRT_I8 ? MRT_I4 : MRT_U4) : mrt_dtype_name(t->dtype);
}

/* Of a constant in the file. */
static int64_t stored_bytes(const mrt_plan_tensor *t) {
    return t->info.bits == 4 ? mrt_packed4_bytes(t->bytes) : t->bytes;
}

static void print_tensor(const char *kind, const mrt_plan *plan, int32_t id, const char *preprocess) {
    const mrt_tensor *t = &plan->tensors[id].info;
    char shape[128];
    printf("  %s '%s' %s %s", kind, t->name, type_name(t),
           shape_text(&t->shape, shape, sizeof shape));
    if (t->scale > 0.0) {
        printf(" scale %.9g zero point %d", t->scale, (int)t->zero_point);
    }
    printf("%s%s\n", *preprocess != '\0' ? " " : "", preprocess);
}

static void print_info(const mrt_bundle *bundle, const char *path) {
    const mrt_bundle_info *info = mrt_bundle_get_info(bundle);
    const mrt_plan *plan = mrt_bundle_plan(bundle);
    char bytes[16];
    printf("%s: bundle format %u by %s\n", path, info->format, info->producer);
    printf("  model '%s' for %s", info->name, info->processor);
    for (uint32_t i = 0; i < info->n_attributes; ++i) {
        printf(", %s %s", info->attributes[i].key, info->attributes[i].value);
    }
    printf("\n  file %s", mica_human_bytes(info->file_bytes, bytes));
    printf(", activations %s", mica_human_bytes((uint64_t)plan->arena_bytes, bytes));
    printf(" (largest live set %s)", mica_human_bytes((uint64_t)plan->live_bytes, bytes));
    printf(", %d steps, %d tensors, golden input: %s\n", (int)plan->n_steps, (int)plan->n_tensors,
           info->has_golden ? "yes" : "no");
    for (uint32_t i = 0; i < info->n_sections; ++i) {
        printf("  section '%s' at %" PRIu64 ", %s, xxh3 %016" PRIx64 "%016" PRIx64 "\n",
               info->sections[i].name, info->sections[i].offset,
               mica_human_bytes(info->sections[i].bytes, bytes), info->sections[i].hash.high,
               info->sections[i].hash.low);
    }
    for (int32_t i = 0; i < plan->n_inputs; ++i) {
        print_tensor("input", plan, plan->inputs[i], info->preprocess[i]);
    }
    for (int32_t i = 0; i < plan->n_outputs; ++i) {
        print_tensor("output", plan, plan->outputs[i], "");
    }
}

/* Which op uses which constant, and where it lies in the file. */
static void print_weights(const mrt_bundle *bundle) {
    const mrt_plan *plan = mrt_bundle_plan(bundle);
    char shape[128];
    printf("%-40s %-40s %-5s %-16s %12s\n", "op", "constant", "type", "shape", "bytes");
    for (int32_t s = 0; s < plan->n_steps; ++s) {
        const mrt_step *step = &plan->steps[s];
        for (int32_t i = 0; i < step->n_in; ++i) {
            if (step->in[i] < 0 || plan->tensors[step->in[i]].kind != MRT_CONST) {
                continue;
            }
            const mrt_plan_tensor *t = &plan->tensors[step->in[i]];
            printf("%-40s %-40s %-5s %-16s %12" PRId64 "\n", step->op, t->info.name,
                   type_name(&t->info), shape_text(&t->info.shape, shape, sizeof shape), stored_bytes(t));
        }
    }
}

/* Steps with their parameters, as text for a look or a diff. */
static void print_dump(const mrt_bundle *bundle) {
    const mrt_plan *plan = mrt_bundle_plan(bundle);
    const mrt_bundle_info *info = mrt_bundle_get_info(bundle);
    char shape[128];
    for (int32_t i = 0; i < plan->n_tensors; ++i) {
        const mrt_plan_tensor *t = &plan->tensors[i];
        printf("tensor %d '%s' %s %s", (int)i, t->info.name, type_name(&t->info),
               shape_text(&t->info.shape, shape, sizeof shape));
        if (t->info.scale > 0.0) {
            printf(" scale %.17g zp %d", t->info.scale, (int)t->info.zero_point);
        }
        printf(" offset %" PRId64 "%s\n", t->offset, t->alias_of >= 0 ? " alias" : "");
    }
    for (int32_t s = 0; s < plan->n_steps; ++s) {
        const mrt_step *step = &plan->steps[s];
        printf("step %d %s '%s' (", (int)s, step->kernel->name, step->op);
        for (int32_t i = 0; i < step->n_in; ++i) {
            printf("%s%d", i > 0 ? " " : "", (int)step->in[i]);
        }
        printf(") -> (");
        for (int32_t i = 0; i < step->n_out; ++i) {
            printf("%s%d", i > 0 ? " " : "", (int)step->out[i]);
        }
        printf(")");
        for (size_t w = 0; w < step->kernel->param_bytes / 8u; ++w) {
            int64_t word = 0;
            memcpy(&word, (const char *)step->params + 8 * w, 8);
            printf(" %" PRId64, word);
        }
        printf("\n");
    }
    for (uint32_t i = 0; i < info->n_ops; ++i) {
        printf("op '%s' %s %s\n", info->ops[i].name, info->ops[i].type, info->ops[i].mode);
    }
}

static mica_status verify(const settings *s, const mrt_bundle *bundle, mica_error *err) {
    mrt_bundle_report report;
    mrt_error error;
    mrt_pool *pool = mrt_pool_create(tool_threads(s->threads));
    const mrt_status status = mrt_bundle_verify(bundle, pool, &report, &error);
    mrt_pool_destroy(pool);
    if (status != MRT_OK) {
        return mica_fail(err, "%s", error.text);
    }
    if (!report.equal) {
        return mica_fail(err, "%d of %d tensors differ from the producer's; the first is '%s' (op '%s'), "
                              "elements %" PRId64 " to %" PRId64, (int)report.different, (int)report.checked,
                         report.name, report.op, report.first, report.last - 1);
    }
    printf("equal: all %d tensors of the golden run have the producer's bytes\n", (int)report.checked);
    return MICA_OK;
}

static const char *descr_of(mrt_dtype dtype) {
    switch (dtype) {
#define X(name, code, bytes, text, descr)                                                          \
    case MRT_##name:                                                                               \
        return descr;
        MRT_DTYPE_LIST(X)
#undef X
    default:
        return "|u1";
    }
}

/* All named constants as npz. */
static mica_status extract(const settings *s, const mrt_bundle *bundle, mica_error *err) {
    const mrt_plan *plan = mrt_bundle_plan(bundle);
    mica_npz_writer *writer = mica_npz_create(s->output, false, err);
    if (writer == NULL) {
        return MICA_FAIL;
    }
    size_t count = 0;
    mica_status status = MICA_OK;
    for (int32_t i = 0; i < plan->n_tensors && status == MICA_OK; ++i) {
        const mrt_plan_tensor *t = &plan->tensors[i];
        if (t->kind != MRT_CONST) {
            continue;
        }
        char name[64];
        snprintf(name, sizeof name, "const_%d", (int)i);
        const char *key = *t->info.name != '\0' ? t->info.name : name;
        status = mica_npz_add(writer, key, descr_of(t->info.dtype), t->info.shape.rank, t->info.shape.dims,
                              t->info.data, err);
        ++count;
    }
    if (status != MICA_OK) {
        mica_npz_discard(writer);
        return MICA_FAIL;
    }
    printf("%zu constants written to %s\n", count, s->output);
    return mica_npz_finish(writer, err);
}

/* The part of a module between two cuts, with the constants that it needs. */
static mica_status cut_module(const settings *s, mica_context *context, mica_error *err) {
    mica_arena *arena = mica_context_arena(context);
    mica_cut cut = {0};
    if (s->input_names == NULL && s->output_names == NULL) {
        return mica_fail(err, "--cut needs --input_names, --output_names or both");
    }
    if (s->input_names != NULL) {
        cut.inputs = (const char *const *)mica_split(arena, s->input_names, ',', &cut.n_inputs);
    }
    if (s->output_names != NULL) {
        cut.outputs = (const char *const *)mica_split(arena, s->output_names, ',', &cut.n_outputs);
    }
    MICA_TRY(tool_check_output(s->output, err));
    mica_module *module = mica_parse_file(context, s->cut, true);
    if (module == NULL || mica_verify(module) != MICA_OK) {
        mica_module_destroy(module);
        return tool_reported(err);
    }
    const char *npz = mica_path_join(arena, mica_path_dir(arena, s->output),
                                     mica_arena_printf(arena, "%s_weight.npz", tool_stem(arena, s->output)));
    mica_status status = mica_top_cut(module, &cut, err);
    if (status == MICA_OK && mica_verify(module) != MICA_OK) {
        status = tool_reported(err);
    }
    status = status == MICA_OK ? tool_save_module(module, s->output, npz, NULL, err) : status;
    mica_module_destroy(module);
    return status;
}

static void print_variable(const char *name, const char *unset) {
    const char *value = getenv(name);
    printf("%s: %s\n", name, value != NULL && *value != '\0' ? value : unset);
}

/* What was found on this machine, and what is used of it. */
static void print_cpu(const settings *s) {
    char name[MRT_CPU_NAME];
    mrt_cpu_feature feature;
    mrt_cpu_table table;
    mrt_cpu_name(name);
    printf("processor: %s\n", name);
    for (int present = 1; present >= 0; --present) {
        printf("%s", present ? "features:" : "not there:");
        for (int i = 0; mrt_cpu_feature_at(i, &feature); ++i) {
            if (feature.present == (present == 1)) {
                printf(" %s", feature.name);
            }
        }
        printf("\n");
    }
    for (int i = 0; mrt_cpu_table_at(i, &table); ++i) {
        printf("kernels, %s: %s (of", table.name, table.chosen);
        for (int k = 0; k < table.rows; ++k) {
            printf(table.available[k] ? " %s" : " [%s]", table.row[k]);
        }
        printf(")\n");
    }
    print_variable("MICA_ISA", "not set: the best row of each table");
    print_variable("MICA_NUM_THREADS", "not set: one thread per processor");
    printf("threads: %d (processors for this process: %d)\n", tool_threads(s->threads), mrt_cpu_threads());
}

static mica_status run(const settings *s, mica_error *err) {
    const char *const jobs[] = {s->info, s->weight, s->verify, s->extract, s->dump, s->cut};
    const char *path = NULL;
    int count = s->cpu;
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; ++i) {
        path = jobs[i] != NULL ? jobs[i] : path;
        count += jobs[i] != NULL;
    }
    if (count != 1) {
        return mica_fail(err, "give exactly one of --info, --weight, --verify, --extract, --dump, --cut and --cpu");
    }
    const bool writes = s->extract != NULL || s->cut != NULL;
    if (writes != (s->output != NULL)) {
        return mica_fail(err, writes ? "--extract and --cut need --output, the file to write"
                                     : "--output goes with --extract and --cut");
    }
    if (s->cut == NULL && (s->input_names != NULL || s->output_names != NULL)) {
        return mica_fail(err, "--input_names and --output_names go with --cut");
    }
    if (s->cpu) {
        print_cpu(s);
        return MICA_OK;
    }
    if (s->cut != NULL) {
        mica_context *context = tool_context();
        const mica_status status = cut_module(s, context, err);
        mica_context_destroy(context);
        return status;
    }
    mrt_bundle *bundle = NULL;
    MICA_TRY(open_bundle(path, &bundle, err));
    mica_status status = MICA_OK;
    if (s->info != NULL) {
        print_info(bundle, path);
    } else if (s->weight != NULL) {
        print_weights(bundle);
    } else if (s->dump != NULL) {
        print_dump(bundle);
    } else {
        status = s->verify != NULL ? verify(s, bundle, err) : extract(s, bundle, err);
    }
    mrt_bundle_close(bundle);
    return status;
}

int main(int argc, char **argv) {
    settings s = {0};
    mica_option rows[] = {
        {.name = "--info", .kind = MICA_OPT_STRING, .metavar = "BMODEL", .dest = &s.info,
         .help = "what is in the bundle: processor, sizes, inputs, outputs, sections"},
        {.name = "--weight", .kind = MICA_OPT_STRING, .metavar = "BMODEL", .dest = &s.weight,
         .help = "constants of each op: type, shape, size in bytes"},
        {.name = "--verify", .kind = MICA_OPT_STRING, .metavar = "BMODEL", .dest = &s.verify,
         .help = "run the golden input and compare every tensor with the recorded hashes"},
        {.name = "--extract", .kind = MICA_OPT_STRING, .metavar = "BMODEL", .dest = &s.extract,
         .help = "write all constants as npz to --output"},
        {.name = "--dump", .kind = MICA_OPT_STRING, .metavar = "BMODEL", .dest = &s.dump,
         .help = "every tensor and step with its parameters, as text"},
        {.name = "--cpu", .kind = MICA_OPT_FLAG, .dest = &s.cpu,
         .help = "what this processor has, which kernels are chosen, what MICA_ISA and MICA_NUM_THREADS say"},
        {.name = "--cut", .kind = MICA_OPT_STRING, .metavar = "MLIR", .dest = &s.cut,
         .help = "write the part of a module between --input_names and --output_names to --output, its constants to <output>_weight.npz"},
        {.name = "--input_names", .kind = MICA_OPT_STRING, .multi = true, .metavar = "NAMES", .dest = &s.input_names,
         .help = "with --cut: tensors that become the inputs, in this order; default: the inputs that are needed"},
        {.name = "--output_names", .kind = MICA_OPT_STRING, .multi = true, .metavar = "NAMES", .dest = &s.output_names,
         .help = "with --cut: tensors to return, in this order; default: the outputs"},
        {.name = "--output", .alias = "-o", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.output,
         .help = "output of --extract (npz) and --cut (mlir)"},
        {.name = "--threads", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.threads,
         .help = "threads of --verify and --cpu; 0: MICA_NUM_THREADS, else one per core"},
    };
    mica_arena *arena = mica_arena_create();
    const mica_option_table table = {.program = program, .version = MICA_VERSION, .rows = rows,
                                     .count = sizeof rows / sizeof rows[0], .arena = arena,
                                     .summary = "Shows, checks and takes apart bundles; cuts modules; tells what this machine uses."};
    int code = TOOL_OK;
    if (tool_options(&table, argc, argv, &code)) {
        mica_error err = {0};
        if (run(&s, &err) != MICA_OK) {
            code = tool_failed(program, &err);
        }
    }
    mica_arena_destroy(arena);
    return code;
}
