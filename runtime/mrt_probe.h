/* What this machine can do at most, measured: the yardstick of profiles.
 *
 * Rates are those of all threads of a pool together. Arithmetic is measured by loops on registers
 * alone, which no kernel can beat; an instruction set without such a loop by its table row's own tile
 * call on data in the first cache. Bytes are measured by copies, of blocks that stay in the second
 * cache of a core, and of 16 MiB. */
#ifndef MRT_PROBE_H
#define MRT_PROBE_H

#include "runtime/mrt_work.h"

typedef struct mrt_limits {
    double macs[MRT_WORK_KINDS]; /* MACs per second; 0 for MRT_WORK_NONE */
    double near_bytes;           /* bytes read plus written per second, within the second cache */
    double far_bytes;            /* and of large blocks */
    double cache;                /* bytes of the second caches of all threads together */
    const char *int8_isa;        /* row whose arithmetic macs[MRT_WORK_INT8] is */
    int threads;
} mrt_limits;

/* Measures for about `seconds` (0.05 is enough on a quiet machine). Errors: MRT_NO_MEMORY. */
mrt_status mrt_probe(mrt_pool *pool, double seconds, mrt_limits *out, mrt_error *err);

/* Least seconds that the work can take: its MACs, or its bytes at the near rate when all fit into the
 * second caches, else at the far one. *out_memory (may be NULL) tells whether the bytes need longer. */
double mrt_limits_seconds(const mrt_limits *limits, const mrt_work *work, bool *out_memory);

#endif
