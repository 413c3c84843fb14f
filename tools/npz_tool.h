/* What the sub-commands of npz_tool share. */
#ifndef MICA_TOOLS_NPZ_TOOL_H
#define MICA_TOOLS_NPZ_TOOL_H

#include "runtime/mrt_compare.h"
#include "runtime/mrt_tensor.h"
#include "tools/tool.h"
#include "utils/npz.h"
#include "utils/options.h"

/* Entry points: argv[0] is ignored, options start at argv[1]; returns the exit code. */
#define NPZ_COMMAND(name, alias, summary) int npz_##name##_main(int argc, char **argv);
#include "tools/npz_commands.def"
#undef NPZ_COMMAND

/* One sub-command's run: option parsing and the error line. */
typedef struct npz_run {
    mica_option_table table;
    mica_arena *arena;
    mica_error err;
} npz_run;

/* Parses the rows of sub-command `name`; false with the exit code when the program ends now. The
 * caller ends the run with npz_run_end() either way. */
bool npz_run_begin(npz_run *run, const char *name, mica_option *rows, size_t count, int argc,
                   char **argv, int *out_exit);
/* Prints the error of a failed status and gives the exit code. */
int npz_run_end(npz_run *run, mica_status status);

/* Runtime element type of an array; "<u2" is u16. */
mrt_dtype npz_dtype(const mica_ndarray *array);
/* A view of the array as a plain tensor. */
mrt_tensor npz_tensor(const mica_ndarray *array);
/* "1x3x8x8", "scalar"; arena memory. */
const char *npz_shape_text(mica_arena *arena, const mica_ndarray *array);
/* "[0,1,2]" of flat element `index`; arena memory. */
const char *npz_index_text(mica_arena *arena, const mica_ndarray *array, int64_t index);

/* Element i as double (64-bit integers beyond 2^53 are rounded). */
double npz_value(const mica_ndarray *array, int64_t i);
/* Element i as text: floats with 9 digits, integers exactly. */
void npz_value_text(const mica_ndarray *array, int64_t i, char out[32]);
enum { NPZ_MAX_TOP = 1000 };
/* The k <= NPZ_MAX_TOP elements with the largest key, largest first, ties by index; *out_n of them. */
typedef double npz_key_fn(const void *user, int64_t i);
int64_t *npz_largest(mica_arena *arena, npz_key_fn *key, const void *user, int64_t count,
                     int64_t k, int64_t *out_n);

/* Changes one array on its way into another file: it may replace name and the layout fields, and
 * data by a block of mica_alloc() that it also stores in `owned`; it says so in *changed. */
typedef mica_status npz_edit_fn(void *user, mica_ndarray *array, bool *changed, mica_error *err);
/* Copies an archive through `edit`; out_path may equal in_path and is replaced atomically. When no
 * array is changed nothing is written and the error is "'in_path' has no <nothing>". */
mica_status npz_rewrite(const char *in_path, const char *out_path, npz_edit_fn *edit, void *user,
                        const char *nothing, mica_error *err);
/* Appends an array under another key. */
mica_status npz_put(mica_npz_writer *writer, const char *key, const mica_ndarray *array,
                    mica_error *err);
/* Finishes the archive on MICA_OK, drops it otherwise. */
mica_status npz_finish(mica_npz_writer *writer, mica_status status, mica_error *err);

#endif
