/* Inner parts of plans, shared by the files mrt_plan*.c, mrt_arena_plan.c, mrt_exec.c. */
#ifndef MRT_PLAN_PRIVATE_H
#define MRT_PLAN_PRIVATE_H

#include "runtime/mrt_layout.h"
#include "runtime/mrt_plan.h"

#include <pthread.h>

/* Alignment of every tensor in the arena and of scratch. */
#define MRT_ALIGN 64
/* No tensor, arena or scratch may be larger, so that sums of sizes never overflow. */
#define MRT_MAX_BYTES ((int64_t)1 << 60)

static inline int64_t mrt_align_up(int64_t bytes) {
    return (bytes + MRT_ALIGN - 1) & ~(int64_t)(MRT_ALIGN - 1);
}

/* --- bump allocator: blocks that are freed together --- */

typedef struct mrt_bump_block mrt_bump_block;
typedef struct mrt_bump {
    mrt_bump_block *blocks; /* newest first */
    bool failed;            /* an allocation failed; sticky */
} mrt_bump;

/* 64-byte aligned zeroed memory; NULL when there is none. 0 bytes give a valid pointer. */
void *mrt_bump_alloc(mrt_bump *bump, size_t bytes);
/* The same for count elements; an overflow counts as no memory. */
void *mrt_bump_array(mrt_bump *bump, size_t count, size_t size);
char *mrt_bump_string(mrt_bump *bump, const char *text);
void mrt_bump_free(mrt_bump *bump);

/* --- private memory of a plan --- */

typedef struct mrt_plan_memory {
    mrt_bump bump;
    int32_t cap_tensors, cap_steps, cap_inputs, cap_outputs, cap_symbols, cap_terms;
    bool invalid;          /* a build call was wrong; finalize reports it */
    char problem[160];
    bool finalized;
    const float **widened; /* per tensor: f32 copy of an f16, bf16 or f64 constant, or NULL */
    int32_t *names;        /* hash table of tensor ids + 1, size a power of two */
    uint32_t name_slots;
    int32_t *alias_first;  /* aliases of root r: alias_ids[alias_first[r] .. alias_first[r+1]) */
    int32_t *alias_ids;
    int32_t max_in, max_out;
    /* Sizes that depend on data; NULL when the plan has no symbols. */
    int32_t *term_first;    /* terms of tensor t: live_terms[term_first[t] .. term_first[t+1]) */
    mrt_live_term *live_terms; /* sorted by tensor, with one for each symbol's own dimension */
    int32_t *step_symbol;   /* per step: a symbol that it defines, or -1 */
    int32_t *symbol_next;   /* another one of the same step, or -1 */
    uint8_t *step_live;     /* per step: an operand has a size that depends on data */
    const mrt_layout *layout; /* of a derived plan, else NULL */
    pthread_mutex_t lock;     /* guards those below */
    bool part_known;
    mrt_plan *part;           /* mrt_batch.h: what executors run `parts` times; NULL: there is none */
    int32_t parts;
    bool derived_known;
    mrt_plan *derived;        /* what executors run; NULL: this plan itself */
} mrt_plan_memory;

/* --- finalize, in this order --- */

/* Ids, kinds, order, aliases, arity, bytes; sets root, def_step, last_step, bytes. */
mrt_status mrt_plan_check_graph(mrt_plan *plan, mrt_error *err);
/* Symbols and terms: ids, order, bounds; sets the indexes of mrt_plan_memory. */
mrt_status mrt_plan_check_live(mrt_plan *plan, mrt_error *err);
/* Shape of a tensor while the symbols have the sizes live[n_symbols]. */
void mrt_plan_live_shape(const mrt_plan *plan, int32_t tensor, const int64_t *live,
                         mrt_shape *out);
/* True when a dimension of the tensor depends on data. */
static inline bool mrt_plan_is_live(const mrt_plan *plan, int32_t tensor) {
    const mrt_plan_memory *memory = plan->memory;
    return memory->term_first != NULL &&
           memory->term_first[tensor] < memory->term_first[tensor + 1];
}
/* Kernels, with shapes only; sets scratch of every step. */
mrt_status mrt_plan_check_kernels(mrt_plan *plan, mrt_error *err);
/* Prepared constants of the steps whose kernels want them. */
mrt_status mrt_plan_pack(mrt_plan *plan, mrt_pool *pool, mrt_error *err);
/* Offsets and arena sizes. */
mrt_status mrt_plan_arena(mrt_plan *plan, mrt_error *err);

/* --- binding of a step: which tensors its kernel sees --- */

/* Operand of a float-storage step that is converted to or from f32 around the kernel. */
typedef struct mrt_shadow {
    mrt_tensor tensor; /* f32; data in scratch */
    int32_t id;
    bool is_out;
    bool is_const;     /* data is the plan's widened copy: nothing to convert */
} mrt_shadow;

/* Room for one step: n_in and n_out pointers, n_in + n_out shadows. */
typedef struct mrt_binding {
    const mrt_tensor **in;
    mrt_tensor **out;
    mrt_shadow *shadows;
    int32_t n_shadows;
    size_t shadow_bytes; /* a multiple of MRT_ALIGN; the kernel's own scratch follows */
} mrt_binding;

/* True when the step has operands that must be converted. */
bool mrt_step_has_shadows(const mrt_plan *plan, const mrt_step *step);
/* Fills binding->in/out with pointers into `tensors` (n_tensors of them) or to shadows that lie in
 * `scratch` from its start (NULL: shapes only). False when the shadows are too large. */
bool mrt_step_bind(const mrt_plan *plan, const mrt_step *step, mrt_tensor *tensors, void *scratch,
                   mrt_binding *binding);

#endif
