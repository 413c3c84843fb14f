/* What the command mains share: opening models, running them, saving and comparing tensors. */
#ifndef MICA_TOOL_H
#define MICA_TOOL_H

#include "dialects/dialects.h"
#include "dialects/processors.h"
#include "ir/op.h"
#include "passes/calibration/dataset.h"
#include "runtime/mrt_bundle.h"
#include "runtime/mrt_compare.h"
#include "runtime/mrt_exec.h"
#include "utils/options.h"
#include "utils/vec.h"

#define MICA_VERSION "0.1.0"

/* Exit codes of all commands. */
enum {
    TOOL_OK = 0,
    TOOL_FAILED = 1, /* the job failed: one line said why */
    TOOL_USAGE = 2,  /* bad command line */
    TOOL_UNREACHED = 3, /* files are written, but a search did not reach its target */
};

/* Prints "program: error: text" and returns TOOL_FAILED. */
int tool_error(const char *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For failures whose reason a diagnostic has told: empties the message and fails. */
mica_status tool_reported(mica_error *err);
/* Prints the message, if there is one, as tool_error does. */
int tool_failed(const char *program, const mica_error *err);

/* Parses options; when the program must end now, returns false and the exit code. Values of MICA_ISA,
 * MICA_NUM_THREADS and --threads that cannot have an effect are errors, in every program. */
bool tool_options(const mica_option_table *table, int argc, char **argv, int *out_exit);

/* Option rows of commands that read samples: a folder or a list of them. */
#define TOOL_SAMPLE_ROWS(folder, list)                                                                                \
    {.name = "--dataset", .kind = MICA_OPT_STRING, .metavar = "DIR", .dest = &(folder),                                \
     .help = "folder of jpg, png, npy or npz samples, taken in the order of their names"},                             \
    {.name = "--data_list", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &(list),                               \
     .help = "text file with one sample per line, files of several inputs joined by commas, relative to the list"}

/* A context with all dialects. */
mica_context *tool_context(void);

/* What a command does once its options stand in `settings`; `options` tells which were given. */
typedef mica_status tool_run_fn(void *settings, const mica_option_table *options, mica_context *context, mica_error *err);
typedef struct tool_program {
    const char *name, *summary;
    mica_option *rows; /* whose targets are in settings */
    size_t count;
    tool_run_fn *run;
    void *settings;
    const mica_option_refusal *refusals; /* or NULL */
    size_t n_refusals;
    const bool *unreached; /* run sets it when it fails only because a search missed its target; or NULL */
} tool_program;

/* The main function of a command with one context: options, run, the message of a failure, exit code. */
int tool_main(const tool_program *program, int argc, char **argv);
/* Threads to use: the option's value, else MICA_NUM_THREADS, else one per processor that this process
 * may run on. */
int tool_threads(int64_t option);

/* Processor called `name`; fails with the nearest one. */
mica_status tool_processor(const char *name, const mica_processor **out, mica_error *err);

/* Reads a module of the top dialect with its constants: text that parses and verifies, has a function
 * main, and says so in module.state. `what` begins the message for one in another state. */
mica_module *tool_read_top(mica_context *context, const char *path, const char *what, mica_error *err);

/* --- models ------------------------------------------------------------------------------------ */
/* Anything that can be executed: .onnx, .mlir of any state, .bmodel. */
typedef struct tool_model {
    mica_context *context;
    mica_module *module;    /* for a bundle: only its inputs with their preprocessing */
    mrt_bundle *bundle;     /* NULL unless a .bmodel */
    const mrt_plan *plan;
    mrt_plan *owned_plan;
    mrt_pool *pool;
    mrt_exec *exec;
} tool_model;

/* Opens by file extension. keep_all: every tensor can be read after a run. */
mica_status tool_model_open(const char *path, const char *input_shapes, bool keep_all, int threads,
                            tool_model *out, mica_error *err);
/* Plans function main of a module that the caller keeps. */
mica_status tool_model_of(mica_module *module, bool keep_all, int threads, tool_model *out,
                          mica_error *err);
void tool_model_close(tool_model *model);
/* The samples of --input (files) or of --dataset / --data_list, opened for the model's inputs; npz
 * samples may hold any other tensor of the model. Exactly one of the three is set. */
mica_dataset *tool_model_dataset(const tool_model *model, const char *files, const char *folder,
                                 const char *list, int64_t limit, mica_error *err);
/* Reads sample i into the inputs and runs. */
mica_status tool_model_run(tool_model *model, const mica_dataset *dataset, size_t i,
                           mica_error *err);
/* Copies the inputs of `from` to the inputs of `to` (converting f32 to integer inputs by their scale)
 * and runs `to`. */
mica_status tool_model_run_like(tool_model *to, tool_model *from, mica_error *err);

/* --- tensors ----------------------------------------------------------------------------------- */
/* Writes tensors after a run as npz: outputs only, or all named ones. Integers of quantized tensors are
 * kept when `fixed`, else turned into f32. */
mica_status tool_save_tensors(tool_model *model, bool all, bool fixed, const char *path,
                              mica_error *err);
/* Writes the inputs as npz. */
mica_status tool_save_inputs(tool_model *model, const char *path, mica_error *err);

/* Tolerances "cos,euclid" of TPU-MLIR's commands. */
mica_status tool_parse_tolerance(const char *text, mrt_tolerance *out, mica_error *err);

/* What a comparison compares against: a model that was run, or an npz. */
typedef struct tool_reference {
    tool_model *model;
    struct mica_npz *npz;
} tool_reference;

typedef struct tool_compare_options {
    const char *title;    /* "top -> tpu" */
    mrt_tolerance tolerance;
    const char *excepts;  /* comma-separated names left out, or NULL */
    bool all;             /* every tensor decides, else only the outputs */
    bool table;           /* print one line per tensor */
    bool integers;        /* compare stored integers instead of real values */
    bool *out_differs;    /* set when a deciding tensor fails (not for what cannot be compared); or NULL */
} tool_compare_options;

/* Compares every tensor that both have, in execution order; prints the table and a summary line. When a
 * deciding tensor fails, the message names the first failing tensor, its producer, the worst element and
 * the likely reason. */
mica_status tool_compare(tool_model *got, const tool_reference *reference,
                         const tool_compare_options *options, mica_error *err);

/* --- files ------------------------------------------------------------------------------------- */
/* Files that a command has written, so that a failure leaves none behind. Zeroed at the beginning. */
typedef struct tool_outputs {
    MICA_VEC(char *) paths;
} tool_outputs;

/* Fails when no file can be written at `path`: no such folder, no permission, a folder of that name.
 * For a look before the work begins. */
mica_status tool_check_output(const char *path, mica_error *err);
/* Nothing to do without `outputs` (NULL). */
void tool_outputs_add(tool_outputs *outputs, const char *path);
/* Removes `path`, NULL: all files added, and forgets them. Pipes and devices stay. */
void tool_outputs_remove(tool_outputs *outputs, const char *path);
/* Forgets all, the files stay. */
void tool_outputs_keep(tool_outputs *outputs);

/* Writes the constants of main to `npz_path` and the text to `mlir_path`, which names the npz; adds both
 * to outputs (may be NULL). */
mica_status tool_save_module(mica_module *module, const char *mlir_path, const char *npz_path,
                             tool_outputs *outputs, mica_error *err);
/* "dir/name.mlir" -> "name" with the directory of `path` dropped; arena memory. */
const char *tool_stem(mica_arena *arena, const char *path);

#endif
