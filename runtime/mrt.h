/* The Mica runtime: everything a program needs to execute a bundle.
 *
 * Five calls: open the bundle, create an executor, set the inputs, run, read the outputs.
 *
 *     mrt_error err;
 *     mrt_bundle *bundle;
 *     if (mrt_bundle_open("net.bmodel", 0, &bundle, &err) != MRT_OK) {
 *         return report(err.text);
 *     }
 *     const mrt_plan *plan = mrt_bundle_plan(bundle);
 *     mrt_exec *exec;
 *     if (mrt_exec_create(plan, NULL, &exec, &err) != MRT_OK) {
 *         mrt_bundle_close(bundle);
 *         return report(err.text);
 *     }
 *     const mrt_tensor *x = mrt_exec_tensor(exec, plan->inputs[0]);
 *     memcpy(x->data, pixels, (size_t)plan->tensors[plan->inputs[0]].bytes);
 *     mrt_exec_run(exec, NULL, NULL);
 *     const mrt_tensor *y = mrt_exec_tensor(exec, plan->outputs[0]);
 *     use(y->data, y->dtype, &y->shape);
 *     mrt_exec_destroy(exec);
 *     mrt_bundle_close(bundle);
 *
 * Inputs share the arena with later tensors: write all of them before every run. Integer inputs and
 * outputs carry scale and zero_point; mrt_bundle_get_info(bundle)->preprocess says how raw data
 * becomes an input. A pool (mrt_pool_create) in place of NULL uses more threads and gives the same
 * bytes. Several executors may run one bundle at once, each in its own thread; a pool serves one of
 * them at a time, the others then run in their own thread.
 *
 * Nothing here prints, exits or keeps global state. From C++ include this header only. */
#ifndef MRT_H
#define MRT_H

#ifdef __cplusplus
extern "C" {
#endif

#include "runtime/mrt_bundle.h"
#include "runtime/mrt_compare.h"
#include "runtime/mrt_exec.h"
#include "runtime/mrt_plan.h"
#include "runtime/mrt_pool.h"
#include "runtime/mrt_status.h"
#include "runtime/mrt_tensor.h"

#ifdef __cplusplus
}
#endif

#endif
