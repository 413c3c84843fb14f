#include "passes/search/post_process.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "utils/npz.h"
#include "utils/progress.h"
#include "utils/strings.h"

extern char **environ;

mica_status mica_post_process_check(const mica_post_process *post, mica_error *err) {
    if (access(post->program, F_OK) != 0) {
        return mica_fail(err, "--post_process %s: no such file", post->program);
    }
    return mica_ends_with(post->program, ".py") || access(post->program, X_OK) == 0
               ? MICA_OK
               : mica_fail(err, "--post_process %s: not executable", post->program);
}

/* --- running it --- */

/* Waits for the process group `pid`, which is ended at the limit. */
static mica_status wait_for(const mica_post_process *post, pid_t pid, mica_error *err) {
    const double end = mica_seconds() + post->seconds;
    const struct timespec nap = {.tv_nsec = 2000000};
    int state = 0;
    pid_t done = 0;
    while ((done = waitpid(pid, &state, WNOHANG)) == 0 || (done < 0 && errno == EINTR)) {
        if (mica_seconds() > end) {
            kill(-pid, SIGKILL);
            waitpid(pid, &state, 0);
            return mica_fail(err, "--post_process %s did not end within %g s", post->program, post->seconds);
        }
        nanosleep(&nap, NULL);
    }
    if (done < 0) { /* somebody else took its end, so how it ended is not known */
        return mica_fail(err, "--post_process %s: no exit status: %s", post->program, strerror(errno));
    }
    if (WIFSIGNALED(state)) {
        return mica_fail(err, "--post_process %s was ended by signal %d", post->program, WTERMSIG(state));
    }
    return WEXITSTATUS(state) == 0 ? MICA_OK
                                   : mica_fail(err, "--post_process %s failed with exit status %d", post->program,
                                               WEXITSTATUS(state));
}

/* The program with its arguments; when that has written nothing and it defines PostProcess, as programs for TPU-MLIR do,
 * this function is called for each sample. */
static const char RUN_PYTHON[] =
    "import os, runpy, sys\n"
    "del sys.argv[0]\n"
    "sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))\n"
    "names = runpy.run_path(sys.argv[0], run_name='__main__')\n"
    "if 'PostProcess' in names and not os.path.exists(sys.argv[2]):\n"
    "    import numpy as np\n"
    "    given = np.load(sys.argv[1])\n"
    "    count = len(given[given.files[0]])\n"
    "    results = [names['PostProcess']({k: given[k][i] for k in given.files}) for i in range(count)]\n"
    "    lists = [r if isinstance(r, dict) else dict(zip(map(str, range(len(r))), r)) if isinstance(r, (list, tuple))\n"
    "             else {'0': r} for r in results]\n"
    "    np.savez(sys.argv[2], **{k: np.stack([np.asarray(d[k], np.float32) for d in lists]) for k in lists[0]})\n";

static mica_status run_program(const mica_post_process *post, const char *in, const char *out, mica_error *err) {
    const bool python = mica_ends_with(post->program, ".py");
    char *arguments[] = {(char *)(uintptr_t)"python3", (char *)(uintptr_t)"-c", (char *)(uintptr_t)RUN_PYTHON,
                         (char *)(uintptr_t)post->program, (char *)(uintptr_t)in, (char *)(uintptr_t)out, NULL};
    char **argv = python ? arguments : arguments + 3;
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    pid_t pid = 0;
    const int failure = posix_spawnp(&pid, argv[0], NULL, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    return failure == 0 ? wait_for(post, pid, err)
                        : mica_fail(err, "--post_process %s cannot be started: %s", post->program, strerror(failure));
}

/* --- files --- */

static mica_status write_input(const char *path, const mica_compare *compare, const float *vectors, size_t samples,
                               mica_error *err) {
    mica_npz_writer *writer = mica_npz_create(path, false, err);
    mica_status status = writer != NULL ? MICA_OK : MICA_FAIL;
    for (size_t p = 0; p < compare->count && status == MICA_OK; ++p) {
        const mica_compare_point *point = &compare->points[p];
        const size_t count = (size_t)point->count;
        float *stack = mica_alloc((samples * count + 1) * sizeof *stack);
        for (size_t s = 0; s < samples; ++s) {
            memcpy(stack + s * count, vectors + s * (size_t)compare->total + point->first, count * sizeof *stack);
        }
        int64_t dims[MRT_MAX_RANK + 1] = {(int64_t)samples};
        memcpy(dims + 1, point->shape.dims, sizeof point->shape.dims);
        status = mica_npz_add(writer, point->name, "<f4", point->shape.rank + 1, dims, stack, err);
        mica_free(stack);
    }
    if (status != MICA_OK) {
        mica_npz_discard(writer);
        return MICA_FAIL;
    }
    return mica_npz_finish(writer, err);
}

static mica_status read_key(const mica_post_process *post, mica_npz *npz, const char *key, mica_post_values *out,
                            mica_error *err) {
    const mica_ndarray *a = mica_npz_get(npz, key, err);
    if (a == NULL) {
        return MICA_FAIL;
    }
    if (strcmp(a->descr, "<f4") != 0) {
        return mica_fail(err, "--post_process %s wrote '%s' as %s; expected f32 ('<f4')", post->program, key, a->descr);
    }
    const int64_t count = mica_ndarray_count(a);
    const float *values = a->data;
    for (int64_t i = 0; i < count; ++i) {
        if (!isfinite(values[i])) {
            return mica_fail(err, "--post_process %s wrote values in '%s' that are not finite", post->program, key);
        }
    }
    out->data = mica_realloc(out->data, (size_t)(out->total + count + 1) * sizeof *out->data);
    memcpy(out->data + out->total, values, (size_t)count * sizeof *values);
    out->total += count;
    out->keys[out->n] = strcpy(mica_alloc(strlen(key) + 1), key);
    out->counts[out->n++] = count;
    return MICA_OK;
}

static mica_status check_like(const mica_post_process *post, const mica_npz *npz, const mica_post_values *like,
                              const mica_post_values *got, mica_error *err) {
    for (size_t i = 0; i < like->n; ++i) {
        if (got->counts[i] != like->counts[i]) {
            return mica_fail(err, "--post_process %s wrote %lld values in '%s' for the quantized model, %lld for the "
                                  "float one", post->program, (long long)got->counts[i], like->keys[i],
                             (long long)like->counts[i]);
        }
    }
    return mica_npz_count(npz) == like->n
               ? MICA_OK
               : mica_fail(err, "--post_process %s wrote %zu keys for the quantized model, %zu for the float one",
                           post->program, mica_npz_count(npz), like->n);
}

static mica_status read_output(const mica_post_process *post, mica_npz *npz, const mica_post_values *like,
                               mica_post_values *out, mica_error *err) {
    const size_t n = like != NULL ? like->n : mica_npz_count(npz);
    if (n == 0) {
        return mica_fail(err, "--post_process %s wrote no array", post->program);
    }
    out->keys = mica_alloc((n + 1) * sizeof *out->keys);
    out->counts = mica_alloc((n + 1) * sizeof *out->counts);
    for (size_t i = 0; i < n; ++i) {
        const char *key = like != NULL ? like->keys[i] : mica_npz_key(npz, i);
        if (!mica_npz_has(npz, key)) {
            return mica_fail(err, "--post_process %s wrote '%s' for the float model, but not for the quantized one",
                             post->program, key);
        }
        MICA_TRY(read_key(post, npz, key, out, err));
    }
    return like != NULL ? check_like(post, npz, like, out, err) : MICA_OK;
}

mica_status mica_post_process_run(const mica_post_process *post, const mica_compare *compare, const float *vectors,
                                  size_t samples, const mica_post_values *like, mica_post_values *out,
                                  mica_error *err) {
    const char *base = getenv("TMPDIR");
    char folder[512];
    char in[600];
    char result[600];
    *out = (mica_post_values){0};
    snprintf(folder, sizeof folder, "%.400s/mica_post_XXXXXX", base != NULL && base[0] == '/' ? base : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return mica_fail(err, "--post_process: cannot make a folder in %.200s: %s", folder, strerror(errno));
    }
    snprintf(in, sizeof in, "%s/in.npz", folder);
    snprintf(result, sizeof result, "%s/out.npz", folder);
    mica_status status = write_input(in, compare, vectors, samples, err);
    status = status == MICA_OK ? run_program(post, in, result, err) : status;
    if (status == MICA_OK && access(result, F_OK) != 0) {
        status = mica_fail(err, "--post_process %s ended without writing its second argument", post->program);
    }
    mica_npz *npz = status == MICA_OK ? mica_npz_open(result, err) : NULL;
    status = npz != NULL ? read_output(post, npz, like, out, err) : MICA_FAIL;
    mica_npz_close(npz);
    unlink(in);
    unlink(result);
    rmdir(folder);
    if (status != MICA_OK) {
        mica_post_values_free(out);
    }
    return status;
}

void mica_post_values_free(mica_post_values *values) {
    for (size_t i = 0; i < values->n; ++i) {
        mica_free(values->keys[i]);
    }
    mica_free(values->keys);
    mica_free(values->counts);
    mica_free(values->data);
    *values = (mica_post_values){0};
}

mica_distance mica_post_distance(const mica_post_values *want, const mica_post_values *got) {
    mica_distance sum = {0};
    int64_t at = 0;
    for (size_t i = 0; i < want->n; ++i) {
        mica_compare_point all = {.weight = 1.0, .count = want->counts[i]};
        const mica_compare one = {.points = &all, .count = 1, .total = all.count};
        const mica_distance d = mica_compare_vectors(&one, want->data + at, got->data + at);
        sum.nsr += d.nsr / (double)want->n;
        sum.cosine += d.cosine / (double)want->n;
        at += all.count;
    }
    return sum;
}
