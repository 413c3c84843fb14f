/* npz_tool extract, rename, merge and insert. */
#include "tools/npz_tool.h"

#include "utils/npy.h"
#include "utils/strings.h"

#include <string.h>

/* --- extract ----------------------------------------------------------------------------------- */

static mica_status extract(npz_run *run, const char *in_path, const char *out_path,
                           const char *names) {
    size_t n = 0;
    char **keys = mica_split(run->arena, names, ',', &n);
    mica_npz *in = mica_npz_open(in_path, &run->err);
    if (in == NULL) {
        return MICA_FAIL;
    }
    mica_npz_writer *writer = mica_npz_create(out_path, false, &run->err);
    mica_status status = writer != NULL ? MICA_OK : MICA_FAIL;
    for (size_t i = 0; i < n && status == MICA_OK; i++) {
        const mica_ndarray *array = mica_npz_get(in, keys[i], &run->err);
        status = array != NULL ? npz_put(writer, keys[i], array, &run->err) : MICA_FAIL;
    }
    status = npz_finish(writer, status, &run->err);
    mica_npz_close(in);
    return status;
}

int npz_extract_main(int argc, char **argv) {
    npz_run run;
    const char *in = NULL, *out = NULL, *names = NULL;
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true, .help = "npz to read",
         .dest = &in},
        {.name = "output", .kind = MICA_OPT_STRING, .required = true, .help = "npz to write",
         .dest = &out},
        {.name = "names", .kind = MICA_OPT_STRING, .required = true, .multi = true,
         .help = "arrays to copy, separated by commas or blanks", .dest = &names},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "extract", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    return npz_run_end(&run, extract(&run, in, out, names));
}

/* --- rename ------------------------------------------------------------------------------------ */

typedef struct renaming {
    char **names; /* old, new, old, new, ... */
    size_t n;
} renaming;

static mica_status rename_one(void *user, mica_ndarray *array, bool *changed, mica_error *err) {
    (void)err;
    const renaming *r = user;
    for (size_t i = 0; i + 1 < r->n; i += 2) {
        if (strcmp(array->name, r->names[i]) == 0) {
            array->name = r->names[i + 1];
            *changed = true;
            break;
        }
    }
    return MICA_OK;
}

/* All old names must be there, so that a misspelled one is not passed over in silence. */
static mica_status check_names(const renaming *r, const char *path, mica_error *err) {
    if (r->n % 2 != 0) {
        return mica_fail(err, "argument 'names': expected pairs of an old and a new name, got %zu "
                              "names", r->n);
    }
    mica_npz *npz = mica_npz_open(path, err);
    mica_status status = npz != NULL ? MICA_OK : MICA_FAIL;
    for (size_t i = 0; i < r->n && status == MICA_OK; i += 2) {
        status = mica_npz_get(npz, r->names[i], err) != NULL ? MICA_OK : MICA_FAIL;
    }
    mica_npz_close(npz);
    return status;
}

int npz_rename_main(int argc, char **argv) {
    npz_run run;
    const char *path = NULL, *names = NULL, *output = NULL;
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true,
         .help = "npz to change in place", .dest = &path},
        {.name = "names", .kind = MICA_OPT_STRING, .required = true, .multi = true,
         .help = "old and new name, any number of pairs", .dest = &names},
        {.name = "--output", .alias = "-o", .kind = MICA_OPT_STRING, .metavar = "FILE",
         .help = "write here and leave the input as it is", .dest = &output},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "rename", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    renaming r = {0};
    r.names = mica_split(run.arena, names, ',', &r.n);
    mica_status status = check_names(&r, path, &run.err);
    if (status == MICA_OK) {
        status = npz_rewrite(path, output != NULL ? output : path, rename_one, &r, "such array",
                             &run.err);
    }
    return npz_run_end(&run, status);
}

/* --- merge ------------------------------------------------------------------------------------- */

/* Adds the arrays of one file that no later file has. */
static mica_status merge_file(npz_run *run, mica_npz **files, size_t n, size_t at,
                              mica_npz_writer *writer) {
    for (size_t i = 0; i < mica_npz_count(files[at]); i++) {
        const char *key = mica_npz_key(files[at], i);
        bool replaced = false;
        for (size_t later = at + 1; later < n; later++) {
            replaced = replaced || mica_npz_has(files[later], key);
        }
        if (replaced) {
            continue;
        }
        const mica_ndarray *array = mica_npz_get(files[at], key, &run->err);
        if (array == NULL) {
            return MICA_FAIL;
        }
        MICA_TRY(npz_put(writer, key, array, &run->err));
        mica_npz_release(files[at], key);
    }
    return MICA_OK;
}

static mica_status merge(npz_run *run, const char *list) {
    size_t n = 0;
    char **paths = mica_split(run->arena, list, ',', &n);
    if (n < 3) {
        return mica_fail(&run->err, "argument 'files': expected two or more inputs and an output, "
                                    "got %zu files", n);
    }
    n--;
    mica_npz **files = mica_arena_array(run->arena, n, sizeof(mica_npz *));
    mica_npz_writer *writer = NULL;
    mica_status status = MICA_OK;
    for (size_t i = 0; i < n && status == MICA_OK; i++) {
        files[i] = mica_npz_open(paths[i], &run->err);
        status = files[i] != NULL ? MICA_OK : MICA_FAIL;
    }
    if (status == MICA_OK) {
        writer = mica_npz_create(paths[n], false, &run->err);
        status = writer != NULL ? MICA_OK : MICA_FAIL;
    }
    for (size_t i = 0; i < n && status == MICA_OK; i++) {
        status = merge_file(run, files, n, i, writer);
    }
    status = npz_finish(writer, status, &run->err);
    for (size_t i = 0; i < n; i++) {
        mica_npz_close(files[i]);
    }
    return status;
}

int npz_merge_main(int argc, char **argv) {
    npz_run run;
    const char *files = NULL;
    mica_option rows[] = {
        {.name = "files", .kind = MICA_OPT_STRING, .required = true, .multi = true,
         .help = "npz files to read, and last the one to write; where two have the same name, the "
                 "later file wins",
         .dest = &files},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "merge", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    return npz_run_end(&run, merge(&run, files));
}

/* --- insert ------------------------------------------------------------------------------------ */

static mica_status insert(npz_run *run, const char *path, const char *name, const char *npy) {
    mica_ndarray added = {0};
    MICA_TRY(mica_npy_read(npy, &added, &run->err));
    mica_free(added.name);
    added.name = mica_strdup(name);
    mica_npz *in = mica_npz_open(path, &run->err);
    mica_npz_writer *writer = in != NULL ? mica_npz_create(path, false, &run->err) : NULL;
    mica_status status = writer != NULL ? MICA_OK : MICA_FAIL;
    for (size_t i = 0; status == MICA_OK && i < mica_npz_count(in); i++) {
        const mica_ndarray *array = mica_npz_get(in, mica_npz_key(in, i), &run->err);
        status = array != NULL ? npz_put(writer, mica_npz_key(in, i), array, &run->err) : MICA_FAIL;
    }
    if (status == MICA_OK) {
        status = npz_put(writer, name, &added, &run->err);
    }
    status = npz_finish(writer, status, &run->err);
    mica_npz_close(in);
    mica_ndarray_free(&added);
    return status;
}

int npz_insert_main(int argc, char **argv) {
    npz_run run;
    const char *path = NULL, *name = NULL, *npy = NULL;
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true,
         .help = "npz to change in place", .dest = &path},
        {.name = "name", .kind = MICA_OPT_STRING, .required = true,
         .help = "name of the new array", .dest = &name},
        {.name = "array", .kind = MICA_OPT_STRING, .required = true, .help = "npy file to put in",
         .dest = &npy},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "insert", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    return npz_run_end(&run, insert(&run, path, name, npy));
}
