/* Agreement of two models on the same samples: SQNR, cosine, largest output, nearest neighbour.
 *
 *   agreement FLOAT.mlir QUANTIZED.bmodel DIR [FIRST [COUNT]]
 *
 * Samples FIRST .. FIRST + COUNT - 1 of the folder. SQNR is that of the mean of noise / signal over
 * samples and outputs, as in recovery; beside it that of all values together. The neighbour of a sample is the other one of the highest cosine
 * of the first output. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"
#include "utils/arena.h"

typedef struct outputs {
    float *values; /* first output, [samples][count] */
    int64_t count;
} outputs;

typedef struct totals {
    double ratio, cosine, worst, cells, noise, signal;
    size_t same_top;
} totals;

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static double cosine(const float *a, const float *b, int64_t n) {
    return dot(a, b, n) / sqrt(dot(a, a, n) * dot(b, b, n) + 1e-60);
}

static int64_t largest(const float *a, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; ++i) {
        best = a[i] > a[best] ? i : best;
    }
    return best;
}

static void compare(const mrt_tensor *x, const mrt_tensor *y, totals *t) {
    const int64_t n = mrt_shape_count(&x->shape);
    if (x->dtype != MRT_F32 || y->dtype != MRT_F32 || mrt_shape_count(&y->shape) != n) {
        return;
    }
    const float *a = x->data;
    const float *b = y->data;
    double noise = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        noise += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    const double c = cosine(a, b, n);
    t->ratio += noise / (dot(a, a, n) + 1e-30);
    t->noise += noise;
    t->signal += dot(a, a, n);
    t->cosine += c;
    t->worst = c < t->worst ? c : t->worst;
    t->cells += 1.0;
}

static void keep(outputs *o, size_t at, size_t samples, const mrt_tensor *t) {
    if (o->values == NULL) {
        o->count = mrt_shape_count(&t->shape);
        o->values = mica_alloc(((size_t)o->count * samples + 1) * sizeof(float));
    }
    memcpy(o->values + (int64_t)at * o->count, t->data, (size_t)o->count * sizeof(float));
}

static size_t neighbour(const outputs *o, size_t samples, size_t of) {
    double best = -2.0;
    size_t found = of;
    for (size_t i = 0; i < samples; ++i) {
        const double c = i == of ? -2.0
                                 : cosine(o->values + (int64_t)of * o->count,
                                          o->values + (int64_t)i * o->count, o->count);
        if (c > best) {
            best = c;
            found = i;
        }
    }
    return found;
}

static void print(const totals *t, const outputs o[2], size_t samples) {
    size_t same = 0;
    for (size_t i = 0; i < samples; ++i) {
        same += neighbour(&o[0], samples, i) == neighbour(&o[1], samples, i);
    }
    printf("%zu samples: SQNR %.2f dB (of all together %.2f dB), cosine mean %.5f worst %.5f, same largest %.2f %%, same neighbour %.1f %%\n",
           samples, -10.0 * log10(t->ratio / t->cells + 1e-20),
           -10.0 * log10(t->noise / (t->signal + 1e-30) + 1e-20), t->cosine / t->cells, t->worst,
           100.0 * (double)t->same_top / (double)samples, 100.0 * (double)same / (double)samples);
}

static mica_status run(int argc, char **argv, mica_error *err) {
    tool_model models[2] = {{0}};
    MICA_TRY(tool_model_open(argv[1], NULL, false, 1, &models[0], err));
    MICA_TRY(tool_model_open(argv[2], NULL, false, 1, &models[1], err));
    mica_dataset *data[2] = {NULL, NULL};
    for (int i = 0; i < 2; ++i) {
        data[i] = tool_model_dataset(&models[i], NULL, argv[3], NULL, 0, err);
        if (data[i] == NULL) {
            return MICA_FAIL;
        }
    }
    const size_t all = mica_dataset_count(data[0]);
    const size_t first = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    const size_t wanted = argc > 5 ? strtoul(argv[5], NULL, 10) : all;
    if (first >= all) {
        return mica_fail(err, "the folder has only %zu samples", all);
    }
    const size_t samples = wanted < all - first ? wanted : all - first;
    outputs o[2] = {{0}};
    totals t = {.worst = 1.0};
    for (size_t i = 0; i < samples; ++i) {
        MICA_TRY(tool_model_run(&models[0], data[0], first + i, err));
        MICA_TRY(tool_model_run(&models[1], data[1], first + i, err));
        const mrt_tensor *first_out[2] = {NULL, NULL};
        for (int32_t k = 0; k < models[0].plan->n_outputs; ++k) {
            const mrt_tensor *x = mrt_exec_tensor(models[0].exec, models[0].plan->outputs[k]);
            const mrt_tensor *y = mrt_exec_tensor(models[1].exec, models[1].plan->outputs[k]);
            compare(x, y, &t);
            first_out[0] = k == 0 ? x : first_out[0];
            first_out[1] = k == 0 ? y : first_out[1];
        }
        keep(&o[0], i, samples, first_out[0]);
        keep(&o[1], i, samples, first_out[1]);
        t.same_top += largest(first_out[0]->data, o[0].count) == largest(first_out[1]->data, o[1].count);
    }
    print(&t, o, samples);
    mica_free(o[0].values);
    mica_free(o[1].values);
    for (int i = 0; i < 2; ++i) {
        mica_dataset_close(data[i]);
        tool_model_close(&models[i]);
    }
    return MICA_OK;
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 6) {
        fprintf(stderr, "usage: agreement FLOAT.mlir QUANTIZED DIR [FIRST [COUNT]]\n");
        return TOOL_USAGE;
    }
    mica_error err = {0};
    return run(argc, argv, &err) == MICA_OK ? TOOL_OK : tool_failed("agreement", &err);
}
