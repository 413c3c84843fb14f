/* What the processor and the operating system offer, and which rows of the kernel tables are used.
 *
 * For people and tools: kernels choose for themselves, by the same rules. All functions look at the
 * environment and the machine at each call and keep nothing, but for the system's answer on tiles. */
#ifndef MRT_CPU_H
#define MRT_CPU_H

#include "runtime/mrt_status.h"

#include <stdbool.h>

/* One feature that kernels know. present: the processor has it and the system saves its registers. */
typedef struct mrt_cpu_feature {
    const char *name;
    bool present;
} mrt_cpu_feature;

/* Feature i of a fixed list; false past its end. */
bool mrt_cpu_feature_at(int i, mrt_cpu_feature *out);

enum { MRT_CPU_NAME = 64, MRT_CPU_ROWS = 12, MRT_CPU_MOST_THREADS = 256 };
/* Brand text of the processor, "unknown" where there is none. */
void mrt_cpu_name(char text[MRT_CPU_NAME]);
/* Processors that this process may run on (its affinity mask), 1 to MRT_CPU_MOST_THREADS. */
int mrt_cpu_threads(void);

/* Whether this process may use the tile registers (AMX) and their int8 products. The system grants them
 * to processes that ask; they are asked for at the first call. */
bool mrt_cpu_tiles(void);
/* True when the processor has AVX-VNNI and the system saves its registers; kept likewise. */
bool mrt_cpu_avx_vnni(void);
/* Whether a 64-bit ARM has the dot products of bytes, of bytes of both signs; elsewhere false. */
bool mrt_cpu_dotprod(void);
bool mrt_cpu_i8mm(void);

/* One table of inner loops: a row per instruction set, best first. */
typedef struct mrt_cpu_table {
    const char *name;
    int rows;
    const char *row[MRT_CPU_ROWS];
    bool available[MRT_CPU_ROWS];
    const char *chosen;
} mrt_cpu_table;

/* Table i; false past the last. */
bool mrt_cpu_table_at(int i, mrt_cpu_table *out);

/* Checks the environment variable MICA_ISA (unset or empty: nothing to check). Errors: MRT_INVALID
 * when no table has a row of that name, MRT_UNSUPPORTED when this processor can use none of them;
 * the text lists the names. Kernels themselves ignore such a value. */
mrt_status mrt_cpu_check_isa(mrt_error *err);

#endif
