/* What this machine can do at most, measured: the yardstick of profiles.
 *
 * Rates are those of all threads of a pool together. Arithmetic is measured by loops on registers
 * alone, which no kernel can beat; an instruction set without such a loop by its table row's own tile
 * call on data in the first cache. Memory is a copy of blocks larger than the caches of a core; data
 * that stays in caches can move faster. */
#ifndef MRT_PROBE_H
#define MRT_PROBE_H

#include "runtime/mrt_work.h"

typedef struct mrt_limits {
    double macs[MRT_WORK_KINDS]; /* MACs per second; 0 for MRT_WORK_NONE */
    double bytes;                /* bytes read plus bytes written per second of a copy */
    const char *int8_isa;        /* row whose arithmetic macs[MRT_WORK_INT8] is */
    int threads;
} mrt_limits;

/* Measures for about `seconds` (0.05 is enough on a quiet machine). Errors: MRT_NO_MEMORY. */
mrt_status mrt_probe(mrt_pool *pool, double seconds, mrt_limits *out, mrt_error *err);

/* Least seconds that the work can take; *out_memory (may be NULL) tells whether its bytes need longer
 * than its MACs. */
double mrt_limits_seconds(const mrt_limits *limits, const mrt_work *work, bool *out_memory);

#endif
