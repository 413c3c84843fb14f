/* Batches: when every step of a plan takes each image by itself, the plan runs a few images at a time.
 *
 * What the steps hand to each other then stays in the caches, memory is that of a few images, and
 * threads take images instead of pieces of one kernel. Integers come out the same, and so do floats, as
 * no sum crosses images. Inputs and outputs are those of the whole batch. */
#ifndef MRT_BATCH_H
#define MRT_BATCH_H

#include "runtime/mrt_exec.h"

/* Derives a plan for a part of the images: the same tensors, ids and steps, axis 0 of inputs and values
 * `*out_parts` times shorter. *out_plan is NULL when steps mix images, a size depends on data, all
 * values shall be kept, or weights outweigh activations so that one pass over them is best; else
 * finalized, to be destroyed before the source. Errors: MRT_NO_MEMORY. */
mrt_status mrt_batch_derive(const mrt_plan *source, mrt_plan **out_plan, int32_t *out_parts,
                            mrt_error *err);

/* An executor that runs the parts; the functions are those of mrt_exec.h. */
typedef struct mrt_batch_exec mrt_batch_exec;

mrt_status mrt_batch_exec_create(const mrt_plan *source, const mrt_plan *part, int32_t parts,
                                 mrt_pool *pool, mrt_batch_exec **out_exec, mrt_error *err);
void mrt_batch_exec_destroy(mrt_batch_exec *exec);
/* Values that are no inputs or outputs have no data. */
mrt_tensor *mrt_batch_exec_tensor(mrt_batch_exec *exec, int32_t tensor_id);
/* Without an observer. `seconds` adds up the parts, which then run one after the other, as with `trace`. */
void mrt_batch_exec_run(mrt_batch_exec *exec, double *seconds, mrt_trace_fn *trace, void *user);
/* The plan that each part executes. */
const mrt_plan *mrt_batch_exec_plan(const mrt_batch_exec *exec);

#endif
