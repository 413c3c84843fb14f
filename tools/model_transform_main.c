/* model_transform: a framework model becomes a top module with its constants. */
#include <stdio.h>
#include <string.h>

#include "dialects/top/cut.h"
#include "dialects/top/top.h"
#include "frontends/onnx/onnx.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/calibration/preprocess.h"
#include "passes/top/optimize.h"
#include "tools/model_check.h"
#include "tools/tool.h"
#include "utils/file.h"
#include "utils/npz.h"
#include "utils/progress.h"
#include "utils/strings.h"

static const char *const program = "model_transform";

typedef struct settings {
    const char *model_name, *model_def, *model_file, *input_shapes, *output_names, *input_names, *truncate_names, *mlir;
    const char *test_input, *test_result, *test_reference, *tolerance, *excepts;
    const char *resize_dims, *keep_ratio_mode, *pad_type, *mean, *scale, *pixel_format;
    const char *channel_format, *preprocess_list, *disable_pattern, *patterns_count;
    bool check, json, keep_aspect_ratio, not_inference, debug, print_pattern_stats;
    int64_t pad_value, threads;
} settings;

static void fill_options(settings *s, mica_option *rows, size_t *count) {
    const mica_option made[] = {
        {.name = "--model_name", .kind = MICA_OPT_STRING, .metavar = "NAME", .dest = &s->model_name,
         .help = "needed without --check; name of the model: symbol of the module, stem of file names"},
        {.name = "model", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s->model_file,
         .help = "the same as --model_def FILE"},
        {.name = "--model_def", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s->model_def,
         .help = "model to read: .onnx, or .mlir of the top dialect"},
        {.name = "--input_shapes", .kind = MICA_OPT_STRING, .metavar = "SHAPES", .dest = &s->input_shapes,
         .help = "[[1,3,224,224],[10]], name:[..], or symbolic batch=1,seq=32; needed where the model leaves a dimension open; for a "
                 "sequence name:[[2,3],[4,3]], one shape per element, for an optional input that is absent name:none"},
        {.name = "--output_names", .kind = MICA_OPT_STRING, .multi = true, .metavar = "NAMES", .dest = &s->output_names,
         .help = "cut the graph at these tensors, in this order"},
        {.name = "--input_names", .kind = MICA_OPT_STRING, .multi = true, .metavar = "NAMES", .dest = &s->input_names,
         .help = "cut the graph at these tensors, which become the inputs, in this order"},
        {.name = "--truncate_var_names", .kind = MICA_OPT_STRING, .multi = true, .metavar = "NAMES", .dest = &s->truncate_names,
         .help = "split the model at these tensors: what lies behind them stays float, in the same deliverable"},
        {.name = "--mlir", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s->mlir,
         .help = "needed without --check; output: text of the top module; constants go to <model_name>_top_f32_all_weight.npz beside it"},
        {.name = "--test_input", .kind = MICA_OPT_STRING, .multi = true, .metavar = "FILES", .dest = &s->test_input,
         .help = "jpg, png, npy or npz sample(s) to run the module on"},
        {.name = "--test_result", .kind = MICA_OPT_STRING, .metavar = "NPZ", .dest = &s->test_result,
         .help = "output: every tensor of that run; needed with --test_input"},
        {.name = "--test_reference", .kind = MICA_OPT_STRING, .metavar = "NPZ", .dest = &s->test_reference,
         .help = "tensors of another framework to compare with; without it the graph before optimization is the reference"},
        {.name = "--tolerance", .kind = MICA_OPT_STRING, .metavar = "COS,EUCLID", .default_text = "0.99,0.99", .dest = &s->tolerance,
         .help = "least cosine and Euclidean similarity of each tensor"},
        {.name = "--excepts", .kind = MICA_OPT_STRING, .metavar = "NAMES", .default_text = "-", .dest = &s->excepts,
         .help = "tensors left out of the comparison"},
        {.name = "--resize_dims", .kind = MICA_OPT_STRING, .metavar = "H,W", .dest = &s->resize_dims,
         .help = "size in pixels that an image is resized to before the centre crop; default: the network's"},
        {.name = "--keep_aspect_ratio", .kind = MICA_OPT_FLAG, .dest = &s->keep_aspect_ratio,
         .help = "keep the ratio of width and height when resizing"},
        {.name = "--keep_ratio_mode", .kind = MICA_OPT_CHOICE, .choices = "letterbox,short_side_scale", .default_text = "letterbox",
         .dest = &s->keep_ratio_mode, .help = "how the ratio is kept"},
        {.name = "--pad_value", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s->pad_value, .help = "pixel value of letterbox borders, 0 to 255"},
        {.name = "--pad_type", .kind = MICA_OPT_CHOICE, .choices = "normal,center", .default_text = "center", .dest = &s->pad_type,
         .help = "where the picture lies in the letterbox"},
        {.name = "--mean", .kind = MICA_OPT_STRING, .metavar = "V,..", .default_text = "0,0,0", .dest = &s->mean,
         .help = "per channel, in pixel units: y = (x - mean) * scale"},
        {.name = "--scale", .kind = MICA_OPT_STRING, .metavar = "V,..", .default_text = "1,1,1", .dest = &s->scale, .help = "per channel"},
        {.name = "--pixel_format", .kind = MICA_OPT_CHOICE, .choices = "rgb,bgr,gray", .default_text = "bgr", .dest = &s->pixel_format,
         .help = "channel order that the network wants"},
        {.name = "--channel_format", .kind = MICA_OPT_CHOICE, .choices = "nchw,nhwc,none", .default_text = "nchw", .dest = &s->channel_format,
         .help = "layout of the image input; none: no image"},
        {.name = "--preprocess_list", .kind = MICA_OPT_STRING, .metavar = "N,..", .dest = &s->preprocess_list,
         .help = "1-based numbers of the inputs that are images; default: all of rank 4"},
        {.name = "--not_inference", .kind = MICA_OPT_FLAG, .dest = &s->not_inference, .help = "transform only, even when --test_input is given"},
        {.name = "--disable-pattern", .kind = MICA_OPT_STRING, .metavar = "NAMES", .dest = &s->disable_pattern,
         .help = "comma-separated rewrite patterns to leave out"},
        {.name = "--patterns_count", .kind = MICA_OPT_STRING, .metavar = "NAME=N,..", .dest = &s->patterns_count,
         .help = "how often rewrite patterns must fire; another number is an error"},
        {.name = "--print-pattern-stats", .kind = MICA_OPT_FLAG, .dest = &s->print_pattern_stats, .help = "print how often each pattern fired"},
        {.name = "--debug", .kind = MICA_OPT_FLAG, .dest = &s->debug, .help = "also keep <model_name>_origin.mlir, the module before optimization"},
        {.name = "--check", .kind = MICA_OPT_FLAG, .dest = &s->check,
         .help = "only print the operators of an ONNX model, whether they are supported, and what they cost: parameters, bytes of "
                 "activations, and MACs (of convolutions, matrix products and recurrent ops; all others count as none)"},
        {.name = "--json", .kind = MICA_OPT_FLAG, .dest = &s->json, .help = "with --check: print JSON"},
        {.name = "--threads", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s->threads, .help = "threads; 0: MICA_NUM_THREADS, else one per core"},
    };
    *count = sizeof made / sizeof made[0];
    memcpy(rows, made, sizeof made);
}

/* --- preprocessing ----------------------------------------------------------------------------- */

static mica_status set_numbers(mica_op *input, const char *attr, const char *text, size_t channels,
                               mica_error *err) {
    mica_arena *arena = mica_op_module(input)->arena;
    size_t n = 0;
    char **parts = mica_split(arena, text, ',', &n);
    double values[4] = {0};
    for (size_t i = 0; i < n && i < 4; ++i) {
        if (!mica_parse_f64(parts[i], &values[i])) {
            return mica_fail(err, "--%s '%s': '%s' is no number", attr, text, parts[i]);
        }
    }
    if (n != 1 && n < channels) {
        return mica_fail(err, "--%s '%s' has %zu values for %zu channels", attr, text, n, channels);
    }
    mica_op_set_f64s(input, attr, values, n == 1 ? 1 : channels);
    return MICA_OK;
}

static mica_status set_resize(mica_op *input, const char *text, mica_error *err) {
    mica_arena *arena = mica_op_module(input)->arena;
    size_t n = 0;
    int64_t dims[2] = {0};
    char **parts = mica_split(arena, text, ',', &n);
    if (n != 2 || !mica_parse_i64(parts[0], &dims[0]) || !mica_parse_i64(parts[1], &dims[1]) ||
        dims[0] < 1 || dims[1] < 1 || dims[0] > 65535 || dims[1] > 65535) {
        return mica_fail(err, "--resize_dims '%s': expected height,width in pixels", text);
    }
    mica_op_set_i64s(input, "resize_dims", dims, 2);
    return MICA_OK;
}

/* True for inputs that --preprocess_list (or, without it, their shape) makes images. */
static mica_status is_image(const settings *s, const mica_op *input, size_t number, bool *out,
                            mica_error *err) {
    const mica_type type = input->results[0].type;
    const bool nhwc = strcmp(s->channel_format, "nhwc") == 0;
    const int64_t channels = type->rank == 4 ? type->dims[nhwc ? 3 : 1] : 0;
    *out = channels == 1 || channels == 3;
    if (strcmp(s->channel_format, "none") == 0) {
        *out = false;
    }
    if (s->preprocess_list == NULL) {
        return MICA_OK;
    }
    mica_arena *arena = mica_op_module(input)->arena;
    size_t n = 0;
    char **parts = mica_split(arena, s->preprocess_list, ',', &n);
    bool listed = false;
    for (size_t i = 0; i < n; ++i) {
        int64_t wanted = 0;
        listed = listed || (mica_parse_i64(parts[i], &wanted) && wanted == (int64_t)number);
    }
    if (listed && !*out) {
        return mica_fail(err, "--preprocess_list names input %zu ('%s'), whose type %s is no image", number,
                         mica_loc_get_name(input->loc), mica_type_text(type));
    }
    *out = listed;
    return MICA_OK;
}

/* Numbers of --preprocess_list are those of inputs. */
static mica_status check_preprocess_list(const settings *s, size_t n_inputs, mica_arena *arena,
                                         mica_error *err) {
    size_t n = 0;
    char **parts = s->preprocess_list != NULL ? mica_split(arena, s->preprocess_list, ',', &n) : NULL;
    for (size_t i = 0; i < n; ++i) {
        int64_t wanted = 0;
        if (!mica_parse_i64(parts[i], &wanted) || wanted < 1 || wanted > (int64_t)n_inputs) {
            return mica_fail(err, "--preprocess_list '%s': '%s' is no number from 1 to %zu", s->preprocess_list,
                             parts[i], n_inputs);
        }
    }
    return MICA_OK;
}

static mica_status set_preprocess(const settings *s, mica_module *module, mica_error *err) {
    size_t number = 0;
    for (mica_op *op = mica_func_body(mica_module_func(module, "main"))->first; op != NULL; op = op->next) {
        bool image = false;
        if (!mica_op_is(op, "top.Input")) {
            continue;
        }
        MICA_TRY(is_image(s, op, ++number, &image, err));
        if (!image) {
            continue;
        }
        const bool nhwc = strcmp(s->channel_format, "nhwc") == 0;
        const size_t channels = (size_t)op->results[0].type->dims[nhwc ? 3 : 1];
        mica_op_set_bool(op, "do_preprocess", true);
        mica_op_set_str(op, "pixel_format", channels == 1 ? "gray" : s->pixel_format);
        mica_op_set_str(op, "channel_format", s->channel_format);
        MICA_TRY(set_numbers(op, "mean", s->mean, channels, err));
        MICA_TRY(set_numbers(op, "scale", s->scale, channels, err));
        if (s->resize_dims != NULL) {
            MICA_TRY(set_resize(op, s->resize_dims, err));
        }
        if (s->keep_aspect_ratio) {
            mica_op_set_bool(op, "keep_aspect_ratio", true);
            mica_op_set_str(op, "keep_ratio_mode", s->keep_ratio_mode);
            mica_op_set_i64(op, "pad_value", s->pad_value);
            mica_op_set_str(op, "pad_type", s->pad_type);
        }
        if (op->results[0].type->dims[0] == 1) {
            mica_preprocess p;
            MICA_TRY(mica_preprocess_of(op, &p, err));
        }
    }
    return check_preprocess_list(s, number, module->arena, err);
}

/* --- the job ------------------------------------------------------------------------------------ */

static const char *const *list_of(mica_arena *arena, const char *text, size_t *out_count) {
    *out_count = 0;
    return text != NULL ? (const char *const *)mica_split(arena, text, ',', out_count) : NULL;
}

static mica_status cut_module(mica_module *module, const mica_onnx_options *options, mica_error *err) {
    const mica_cut cut = {.inputs = options->input_names, .n_inputs = options->n_input_names,
                          .outputs = options->output_names, .n_outputs = options->n_output_names};
    if (cut.n_inputs + cut.n_outputs > 0) {
        MICA_TRY(mica_top_cut(module, &cut, err));
    }
    return options->n_truncate_names == 0
               ? MICA_OK
               : mica_top_truncate_names(module, options->truncate_names, options->n_truncate_names, err);
}

static mica_onnx_options onnx_options(const settings *s, mica_arena *arena) {
    mica_onnx_options options = {.input_shapes = s->input_shapes, .model_name = s->model_name};
    options.output_names = list_of(arena, s->output_names, &options.n_output_names);
    options.input_names = list_of(arena, s->input_names, &options.n_input_names);
    options.truncate_names = list_of(arena, s->truncate_names, &options.n_truncate_names);
    return options;
}

static mica_status read_model(const settings *s, mica_context *context, mica_module **out,
                              mica_error *err) {
    mica_arena *arena = mica_context_arena(context);
    const mica_onnx_options options = onnx_options(s, arena);
    if (strcmp(mica_path_ext(arena, s->model_def), ".mlir") == 0) {
        *out = tool_read_top(context, s->model_def, "model_transform reads", err);
        if (*out == NULL || cut_module(*out, &options, err) != MICA_OK) {
            mica_module_destroy(*out);
            return MICA_FAIL;
        }
        return MICA_OK;
    }
    return mica_onnx_import(context, s->model_def, &options, out) == MICA_OK
               ? MICA_OK
               : tool_reported(err);
}

/* Runs origin and optimized module on the sample, saves all tensors, compares. When they differ, the
 * files stay, so that one can look why. */
static mica_status validate(const settings *s, mica_module *origin, mica_module *module,
                            tool_outputs *outputs, mica_error *err) {
    bool differs = false;
    mica_arena *arena = module->arena;
    tool_compare_options compare = {.title = "origin -> top", .excepts = s->excepts, .all = true,
                                    .out_differs = &differs};
    MICA_TRY(tool_parse_tolerance(s->tolerance, &compare.tolerance, err));
    tool_model top = {0};
    tool_model before = {0};
    mica_npz *npz = NULL;
    const int threads = tool_threads(s->threads);
    mica_dataset *sample = mica_dataset_of_files(module, s->test_input, err);
    mica_status status = sample != NULL ? MICA_OK : MICA_FAIL;
    status = status == MICA_OK ? tool_model_of(module, true, threads, &top, err) : status;
    status = status == MICA_OK ? tool_model_run(&top, sample, 0, err) : status;
    if (status == MICA_OK) {
        status = tool_save_tensors(&top, true, false, s->test_result, err);
    }
    if (status == MICA_OK) {
        tool_outputs_add(outputs, s->test_result);
        const char *inputs = mica_path_join(arena, mica_path_dir(arena, s->mlir),
                                            mica_arena_printf(arena, "%s_in_f32.npz", s->model_name));
        status = tool_save_inputs(&top, inputs, err);
        if (status == MICA_OK) {
            tool_outputs_add(outputs, inputs);
        }
    }
    tool_reference reference = {0};
    if (status == MICA_OK && s->test_reference != NULL) {
        npz = mica_npz_open(s->test_reference, err);
        status = npz != NULL ? MICA_OK : MICA_FAIL;
        compare.title = "reference -> top";
        reference.npz = npz;
    } else if (status == MICA_OK) {
        status = tool_model_of(origin, true, threads, &before, err);
        status = status == MICA_OK ? tool_model_run_like(&before, &top, err) : status;
        reference.model = &before;
    }
    status = status == MICA_OK ? tool_compare(&top, &reference, &compare, err) : status;
    if (differs) {
        tool_outputs_keep(outputs);
    }
    mica_npz_close(npz);
    mica_dataset_close(sample);
    top.module = before.module = NULL;
    top.context = before.context = NULL;
    tool_model_close(&top);
    tool_model_close(&before);
    return status;
}

static void report(const mica_module *module, double seconds) {
    size_t ops = 0;
    int64_t weights = 0;
    for (const mica_op *op = mica_func_body(mica_module_func((mica_module *)module, "main"))->first; op != NULL;
         op = op->next) {
        if (mica_op_has_trait(op, MICA_IS_CONSTANT)) {
            const mica_ndarray *array = mica_weight_data(&op->results[0]);
            weights += array != NULL ? (int64_t)array->bytes : 0;
        } else if (!mica_op_is(op, "top.None") && !mica_op_is(op, "func.return")) {
            ++ops;
        }
    }
    char text[16];
    printf("%zu ops, %s of constants, %.2f s\n", ops, mica_human_bytes((uint64_t)weights, text), seconds);
}

static mica_status check_paths(const settings *s, bool test, mica_error *err) {
    if (test && s->test_result == NULL) {
        return mica_fail(err, "--test_input needs --test_result, the npz that the tensors go to");
    }
    MICA_TRY(tool_check_output(s->mlir, err));
    return test ? tool_check_output(s->test_result, err) : MICA_OK;
}

static mica_status run(const settings *s, mica_context *context, tool_outputs *outputs, mica_error *err) {
    mica_arena *arena = mica_context_arena(context);
    const double start = mica_seconds();
    if (s->check) {
        bool good = false;
        const mica_onnx_options options = onnx_options(s, arena);
        MICA_TRY(model_check(context, s->model_def, &options, s->json, &good) == MICA_OK && good
                     ? MICA_OK
                     : tool_reported(err));
        return MICA_OK;
    }
    const bool test = s->test_input != NULL && !s->not_inference;
    MICA_TRY(check_paths(s, test, err));
    if (s->pad_value < 0 || s->pad_value > 255) {
        return mica_fail(err, "--pad_value %lld: expected 0 to 255", (long long)s->pad_value);
    }
    mica_module *module = NULL;
    MICA_TRY(read_model(s, context, &module, err));
    mica_status status = set_preprocess(s, module, err);
    mica_module *origin = status == MICA_OK && (test || s->debug) ? mica_module_clone(module) : NULL;
    if (status == MICA_OK) {
        const mica_optimize_options options = {.disabled = s->disable_pattern,
                                               .expected = s->patterns_count,
                                               .stats = s->print_pattern_stats ? stdout : NULL};
        status = mica_top_optimize(module, &options) == MICA_OK && mica_verify(module) == MICA_OK
                     ? MICA_OK
                     : tool_reported(err);
    }
    const char *dir = mica_path_dir(arena, s->mlir);
    if (status == MICA_OK && s->debug) {
        status = tool_save_module(
            origin, mica_path_join(arena, dir, mica_arena_printf(arena, "%s_origin.mlir", s->model_name)),
            mica_path_join(arena, dir, mica_arena_printf(arena, "%s_origin_weight.npz", s->model_name)),
            outputs, err);
    }
    if (status == MICA_OK) {
        const char *npz = mica_arena_printf(arena, "%s_top_f32_all_weight.npz", s->model_name);
        status = tool_save_module(module, s->mlir, mica_path_join(arena, dir, npz), outputs, err);
    }
    if (status == MICA_OK) {
        report(module, mica_seconds() - start);
    }
    if (status == MICA_OK && test) {
        status = validate(s, origin, module, outputs, err);
    }
    mica_module_destroy(origin);
    mica_module_destroy(module);
    return status;
}

int main(int argc, char **argv) {
    settings s = {0};
    mica_option rows[40];
    mica_arena *arena = mica_arena_create();
    mica_option_table table = {.program = program, .version = MICA_VERSION, .rows = rows, .arena = arena,
                               .summary = "Turns an ONNX model into a module of the top dialect."};
    int code = TOOL_OK;
    fill_options(&s, rows, &table.count);
    bool run_it = tool_options(&table, argc, argv, &code);
    if (run_it && (s.model_file == NULL) == (s.model_def == NULL)) {
        tool_error(program, s.model_def == NULL ? "no model given: expected FILE or --model_def FILE"
                                                : "the model is given twice, as FILE and as --model_def");
        code = TOOL_USAGE;
        run_it = false;
    }
    s.model_def = s.model_def != NULL ? s.model_def : s.model_file;
    if (run_it && !s.check && (s.model_name == NULL || s.mlir == NULL)) {
        tool_error(program, "option %s is required (only --check goes without it)",
                   s.model_name == NULL ? "--model_name" : "--mlir");
        code = TOOL_USAGE;
    } else if (run_it) {
        mica_error err = {0};
        tool_outputs outputs = {0};
        mica_context *context = tool_context();
        if (run(&s, context, &outputs, &err) != MICA_OK) {
            code = tool_failed(program, &err);
            tool_outputs_remove(&outputs, NULL);
        }
        tool_outputs_keep(&outputs);
        mica_context_destroy(context);
    }
    mica_arena_destroy(arena);
    return code;
}
