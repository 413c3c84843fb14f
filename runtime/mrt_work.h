/* What a step has to do at least: multiply-accumulates and bytes, from its kernel and shapes.
 *
 * The rules for MACs stand here alone, one per kernel: convolutions, matrix products and recurrent
 * layers have them; biases, pools, element-wise functions and moves count as none. */
#ifndef MRT_WORK_H
#define MRT_WORK_H

#include "runtime/mrt_kernel.h"

/* The arithmetic that bounds a step's MACs. */
typedef enum mrt_work_kind {
    MRT_WORK_NONE = 0,    /* no MACs */
    MRT_WORK_INT8,        /* 8-bit products, 32-bit sums */
    MRT_WORK_F32,         /* float, any order: fused multiply-add */
    MRT_WORK_F32_WRITTEN, /* float in the written order: a product, then a sum */
    MRT_WORK_KINDS
} mrt_work_kind;

typedef struct mrt_work {
    mrt_work_kind kind;
    double macs;
    double bytes_read, bytes_written; /* every operand once, as the kernel sees it; of a table that is
                                         looked up only the entries that are taken */
} mrt_work;

/* The work of one call with live shapes; data is not looked at. `kernel` has checked the call. */
mrt_work mrt_work_of(const mrt_kernel *kernel, const mrt_call *call);

#endif
