/* A user's own program between the outputs of the model and the comparison.
 *
 * It is called as `program IN.npz OUT.npz`. IN holds one f32 array per compared tensor, all samples stacked
 * along a new first axis; OUT has to hold at least one f32 array, the same keys and shapes every time.
 * Programs that end in .py are run by python3. */
#ifndef MICA_SEARCH_POST_PROCESS_H
#define MICA_SEARCH_POST_PROCESS_H

#include "passes/search/compare.h"

typedef struct mica_post_process {
    const char *program;
    double seconds; /* time limit of one call */
} mica_post_process;

/* What the program made, in the order of its keys. */
typedef struct mica_post_values {
    char **keys;
    int64_t *counts;
    size_t n;
    float *data;
    int64_t total;
} mica_post_values;

/* Fails when the program cannot be executed. */
mica_status mica_post_process_check(const mica_post_process *post, mica_error *err);
/* Hands vectors [samples * total] to the program. `like` NULL: any keys; else those of an earlier call. Errors:
 * exit status, time limit, missing or other keys, types, shapes, values that are not finite. */
mica_status mica_post_process_run(const mica_post_process *post, const mica_compare *compare, const float *vectors,
                                  size_t samples, const mica_post_values *like, mica_post_values *out, mica_error *err);
void mica_post_values_free(mica_post_values *values);

/* Mean over keys of noise over signal, and of cosines. */
mica_distance mica_post_distance(const mica_post_values *want, const mica_post_values *got);

#endif
