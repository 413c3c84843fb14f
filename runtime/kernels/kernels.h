/* Prototypes of every kernel: mrt_<name>_check and mrt_<name>_run, expanded from kernels.def. */
#ifndef MRT_KERNELS_H
#define MRT_KERNELS_H

#include "runtime/mrt_kernel.h"
#include "runtime/mrt_params.h"

#define KERNEL(name, code, params, min_in, max_in, min_out, max_out, flags)                        \
    mrt_check_fn mrt_##name##_check;                                                               \
    mrt_run_fn mrt_##name##_run;
#define PACKED_KERNEL(name, code, params, min_in, max_in, min_out, max_out, flags)                 \
    mrt_pack_fn mrt_##name##_pack;                                                                 \
    KERNEL(name, code, params, min_in, max_in, min_out, max_out, flags)
#include "runtime/kernels.def"

#endif
