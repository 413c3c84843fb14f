/* Samples for calibration, validation and searches: images, npy, npz or raw files, read one at a time.
 *
 * A dataset knows the inputs of a module (its top.Input ops with their preprocessing) and turns sample
 * i into one array per input. */
#ifndef MICA_DATASET_H
#define MICA_DATASET_H

#include "ir/op.h"
#include "runtime/mrt_tensor.h"
#include "utils/hash.h"
#include "utils/status.h"

typedef struct mica_dataset mica_dataset;

/* Opens a folder of jpg/png/npy/npz files (sorted by name) or a list file (one sample per line,
 * comma-joined files for several inputs, paths relative to the list file). Exactly one of `folder` and
 * `list` is set. limit: use the first `limit` samples, 0 = all. Refuses empty sets, missing files
 * (names and counts), and files whose kind does not fit the inputs. NULL on error. */
mica_dataset *mica_dataset_open(mica_module *module, const char *folder, const char *list,
                                int64_t limit, mica_error *err);
/* One sample from a comma-joined list of files, as --test_input has it. */
mica_dataset *mica_dataset_of_files(mica_module *module, const char *files, mica_error *err);
void mica_dataset_close(mica_dataset *dataset);
/* Lets npz samples hold `tensor` beside the inputs (names of the module's tensors are known already). */
void mica_dataset_know(mica_dataset *dataset, const char *tensor);
size_t mica_dataset_count(const mica_dataset *dataset);
/* File name(s) of sample i, for messages. */
const char *mica_dataset_name(const mica_dataset *dataset, size_t i);
/* XXH3-128 of the content of the file(s) of sample i, in hexadecimal. */
mica_status mica_dataset_hash(const mica_dataset *dataset, size_t i, char out[MICA_HASH_HEX],
                              mica_error *err);
/* File of sample i for input k when it is an image, else NULL. */
const char *mica_dataset_image(const mica_dataset *dataset, size_t i, size_t k);

/* Writes sample i into `inputs` (one tensor per module input, in order, with data of the right size;
 * f32 or integer types). Images are preprocessed as the top.Input says; npy/npz arrays must have the
 * input's element count (shape [1,..] or without the batch axis) and are taken as they are. Errors
 * name file, key, expected and found shape; NaN and Inf are refused with their number. */
mica_status mica_dataset_read(const mica_dataset *dataset, size_t i, mrt_tensor *const *inputs,
                              size_t n_inputs, mica_error *err);

#endif
