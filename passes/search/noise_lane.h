/* What the files noise*.c share: one thread's float executor that can be disturbed and brought back. */
#ifndef MICA_SEARCH_NOISE_LANE_H
#define MICA_SEARCH_NOISE_LANE_H

#include "passes/search/noise.h"
#include "runtime/mrt_exec.h"

typedef struct mica_noise_lane {
    const mica_net *net;
    const mica_compare *compare;
    const mica_slices *slices; /* of the float plan */
    mrt_exec *exec;            /* the float plan */
    mrt_tensor **inputs;
    uint8_t *clean;            /* values of all roots for the sample */
    const int64_t *offset;     /* per tensor: place in clean; -1: constant or alias */
    bool *dirty;               /* per root: the executor has another value */
    bool *reached;             /* per root, scratch */
    bool *wanted;              /* per step, scratch; all false between calls */
    float *want;               /* vector of all points */
} mica_noise_lane;

/* Offsets of all roots in one block of *out_bytes; freed by the caller. */
int64_t *mica_noise_offsets(const mrt_plan *plan, int64_t *out_bytes);

mica_status mica_noise_lane_open(mica_noise_lane *lane, const mica_search_job *job, const mica_slices *slices,
                                 const int64_t *offset, int64_t bytes, mica_error *err);
void mica_noise_lane_close(mica_noise_lane *lane);

/* Runs the float model on sample i of the job and keeps its values. */
mica_status mica_noise_lane_sample(mica_noise_lane *lane, const mica_search_job *job, size_t i, mica_error *err);
/* Float value of the sample. */
static inline const void *mica_noise_clean(const mica_noise_lane *lane, int32_t tensor) {
    return lane->clean + lane->offset[lane->net->plan->tensors[tensor].root];
}
/* Gives a tensor other bytes. */
void mica_noise_disturb(mica_noise_lane *lane, int32_t tensor, const void *data);
/* Gives it back the value of the sample if it has another one. */
void mica_noise_restore(mica_noise_lane *lane, int32_t tensor);
/* Runs op k alone on what its inputs have. */
void mica_noise_run_op(mica_noise_lane *lane, size_t k);
/* Runs all that depends on the results of op k. keep: other values stay as they are, else they are those of the
 * sample. got: vector of all points. */
void mica_noise_run_behind(mica_noise_lane *lane, size_t k, bool keep, float *got);

/* A real value in the type of `type`, and back. Types: f32, f16, bf16, quantized integers. */
bool mica_noise_can_store(const mrt_tensor *type);
void mica_noise_store(const mrt_tensor *type, const float *values, void *data);
void mica_noise_load(const mrt_tensor *type, const void *data, float *values);

/* Largest number of bytes that a tensor has, and of f32 values that all results of an op have. */
int64_t mica_noise_most_bytes(const mrt_plan *plan);
int64_t mica_noise_most_results(const mica_slices *slices);

/* Lanes that fit: `bytes` for each, at most `threads` and `samples`. */
int mica_noise_lanes(int64_t bytes, int threads, size_t samples);

/* Calls body(context, lane, sample) for all samples: lanes take them in turn. The error of the first sample
 * that fails is told. */
typedef mica_status mica_noise_sample_fn(void *context, int lane, size_t sample, mica_error *err);
mica_status mica_noise_each(int lanes, size_t samples, const char *label, bool quiet, mica_noise_sample_fn *body,
                            void *context, mica_error *err);

#endif
