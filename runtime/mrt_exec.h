/* Executes a finalized plan. One executor is used by one thread at a time; kernels may use a pool.
 */
#ifndef MRT_EXEC_H
#define MRT_EXEC_H

#include "runtime/mrt_plan.h"

typedef struct mrt_exec mrt_exec;

/* Called for every input before the first step and for every output of a step right after it, while
 * the data is valid. Aliases are reported after the tensor whose bytes they share. */
typedef void mrt_observer_fn(void *user, int32_t tensor_id, const mrt_tensor *tensor);

/* Allocates arena and scratch (MRT_NO_MEMORY when that fails). `pool` is borrowed, may be NULL. */
mrt_status mrt_exec_create(const mrt_plan *plan, mrt_pool *pool, mrt_exec **out_exec,
                           mrt_error *err);
void mrt_exec_destroy(mrt_exec *exec);

/* The tensor with its data pointer. Dimensions that depend on data have the size of the last run;
 * before the first one, their bound. Inputs: write before run. Values: valid after run only for
 * outputs, or for all of them in a keep_all plan. Borrowed. */
mrt_tensor *mrt_exec_tensor(mrt_exec *exec, int32_t tensor_id);

/* Runs all steps. observer may be NULL. */
void mrt_exec_run(mrt_exec *exec, mrt_observer_fn *observer, void *user);
/* Runs steps [first, last) only: suffix execution in keep_all plans. */
void mrt_exec_run_range(mrt_exec *exec, int32_t first, int32_t last, mrt_observer_fn *observer,
                        void *user);

/* Parts of a model, for keep_all plans whose sizes do not depend on data. `get` copies the value of a
 * tensor out, `set` replaces it for every step that reads it (inputs, values and aliases; an alias is
 * its root): plain row-major bytes in the tensor's type, in whatever form the executor keeps them.
 * run_steps runs the steps of the caller's plan that are marked in wanted[n_steps], in their order; what
 * they read has to be there from an earlier run or from `set`. */
void mrt_exec_get(const mrt_exec *exec, int32_t tensor_id, void *data);
void mrt_exec_set(mrt_exec *exec, int32_t tensor_id, const void *data);
void mrt_exec_run_steps(mrt_exec *exec, const bool *wanted);

/* any: observers of the following runs take the elements of a tensor in any order (statistics do), so
 * that values kept channels-last are not brought back for them. Type and shape are unchanged. */
void mrt_exec_observe_any_order(mrt_exec *exec, bool any);

/* Why a step of the last run was left out (its results are zeros), or NULL. Only a bundle that no
 * compiler wrote can have one: live sizes that do not fit its steps. */
const char *mrt_exec_problem(const mrt_exec *exec);

/* Seconds that each step took in the last run are written to `seconds` (plan->n_steps values) when
 * it is not NULL. */
void mrt_exec_set_timing(mrt_exec *exec, double *seconds);

/* The plan that is executed: the caller's, or a channels-last one derived from it (mrt_layout.h). */
const mrt_plan *mrt_exec_plan(const mrt_exec *exec);

/* Called after every executed step: its index in mrt_exec_plan, the operands with their live shapes
 * as the kernel saw them, and when it began and ended (seconds of CLOCK_MONOTONIC). */
typedef void mrt_trace_fn(void *user, int32_t step, const mrt_call *call, double begin,
                          double end);
/* Traces the following runs; NULL ends it. */
void mrt_exec_set_trace(mrt_exec *exec, mrt_trace_fn *trace, void *user);

#endif
