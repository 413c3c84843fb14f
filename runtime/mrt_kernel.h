/* The contract between the executor and a kernel.
 *
 * A kernel is two pure functions on caller memory: `check` validates types, shapes and parameters
 * once (also for bundles, whose every byte is untrusted) and says how much scratch it wants; `run`
 * computes. After `check` has passed, `run` may assert but never fails, allocates or keeps state.
 * Parameters are a struct of int64_t and double fields only, so that a bundle stores it as an array
 * of 64-bit words. runtime/kernels.def lists every kernel. */
#ifndef MRT_KERNEL_H
#define MRT_KERNEL_H

#include "runtime/mrt_pool.h"
#include "runtime/mrt_status.h"
#include "runtime/mrt_tensor.h"

/* What one step of a plan hands to its kernel. Absent optional inputs are NULL.
 * Input and output buffers never overlap unless the kernel has MRT_INPLACE. */
typedef struct mrt_call {
    const mrt_tensor *const *in;
    int n_in;
    mrt_tensor *const *out; /* shapes are read only but for MRT_WRITES_SHAPE */
    int n_out;
    const void *params;
    void *scratch; /* 64-byte aligned, at least the bytes that check asked for */
    mrt_pool *pool;
    const void *packed; /* what pack made, NULL when the kernel has none */
} mrt_call;

/* Validates a call whose data pointers may be NULL (constants have theirs). On success writes the
 * scratch size in bytes. Errors name the operand, what was expected and what was found. */
typedef mrt_status mrt_check_fn(const mrt_call *call, size_t *out_scratch, mrt_error *err);
typedef void mrt_run_fn(const mrt_call *call);
/* Prepares constants once per plan: writes the prepared form to `packed` (64-byte aligned; NULL: only
 * asks) and returns its bytes. Called after check; constants have data, values none. */
typedef size_t mrt_pack_fn(const mrt_call *call, void *packed);

/* Kernel flags. */
enum {
    MRT_F32_MATH = 1, /* written for f32: the executor converts f16, bf16 and f64 operands around it
                         (rule float-storage) */
    MRT_INPLACE = 2,  /* out[0] may be the same buffer as in[0] when both have the same bytes */
    MRT_INTERNAL = 32,  /* of derived plans only: refused in bundles */
    MRT_OPTIONAL_2 = 4, /* in[2] may be absent although min_in counts it */
    MRT_F64_MATH = 16,  /* written for f64, too: f64 operands are left alone */
    MRT_PER_IMAGE = 128, /* element i of axis 0 of the results depends on element i of the operands' alone,
                            unless parameters or broadcasting say otherwise: mrt_batch.c */
    MRT_WRITES_SHAPE = 64, /* dimensions of outputs are bounds: run writes the true ones */
};

typedef struct mrt_kernel {
    const char *name;
    uint16_t code;        /* pinned; stored in bundles */
    uint16_t param_bytes; /* sizeof the parameter struct, a multiple of 8; 0 for none */
    int16_t min_in, max_in;
    int16_t min_out, max_out;
    uint32_t flags;
    mrt_check_fn *check;
    mrt_run_fn *run;
    mrt_pack_fn *pack; /* may be NULL */
} mrt_kernel;

/* True when the kernel sees operands of that type as f32 (rule float-storage). */
static inline bool mrt_kernel_sees_f32(const mrt_kernel *kernel, mrt_dtype dtype) {
    const bool half = dtype == MRT_F16 || dtype == MRT_BF16;
    const bool wide = dtype == MRT_F64 && (kernel->flags & MRT_F64_MATH) == 0;
    return (kernel->flags & MRT_F32_MATH) != 0 && (half || wide);
}

/* Kernel codes: MRT_K_<name>. */
enum mrt_kernel_code {
#define KERNEL(name, code, params, min_in, max_in, min_out, max_out, flags) MRT_K_##name = code,
#include "runtime/kernels.def"
};

/* Looks a kernel up by code; NULL when there is none. */
const mrt_kernel *mrt_kernel_find(uint16_t code);

#endif
