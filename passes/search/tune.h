/* Ranges by what they do to the ops that read the tensor: the tensor alone is quantized, the ops behind it run
 * in float, and their outputs are compared with those of the float model. */
#ifndef MICA_SEARCH_TUNE_H
#define MICA_SEARCH_TUNE_H

#include "passes/calibration/calibrate.h"

enum { MICA_TUNE_MOST = 32 }; /* candidates of a tensor */

typedef struct mica_tune_tensor {
    const char *name;
    bool is_signed;               /* of its symmetric grid of 8 bits */
    mica_range candidates[MICA_TUNE_MOST];
    size_t n;
    double losses[MICA_TUNE_MOST]; /* out: noise over signal of the readers' outputs, summed over samples and readers */
    size_t best;                  /* out: candidate of least loss, the first of equals */
} mica_tune_tensor;

/* Fills losses and best of all tensors with samples [0, samples) of the dataset. asymmetric: grids from
 * min and max instead of the threshold. Tensors that nothing reads keep candidate 0. Progress goes to stderr
 * unless quiet. The result does not depend on the number of threads. */
mica_status mica_tune(mica_module *module, const mica_dataset *dataset, size_t samples, bool asymmetric,
                      int threads, bool quiet, mica_tune_tensor *tensors, size_t count, mica_error *err);

/* Candidates of auto-tune: the threshold and 21 steps from it to the largest magnitude; one only when these are
 * within a hundredth of each other. */
void mica_tune_steps(const mica_tensor_statistics *statistics, double threshold, mica_tune_tensor *out);

#endif
