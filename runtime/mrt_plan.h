/* A plan: a flat list of steps over a table of tensors, with an arena planned by liveness.
 *
 * Built by the compiler from top or tpu IR, or read from a bundle; executed by mrt_exec.h.
 * Build: add tensors and steps in execution order, then finalize once. A finalized plan is
 * immutable and may be shared by any number of executors and threads. */
#ifndef MRT_PLAN_H
#define MRT_PLAN_H

#include "runtime/mrt_kernel.h"

typedef enum mrt_tensor_kind {
    MRT_INPUT = 0,  /* written by the caller before a run */
    MRT_CONST = 1,  /* data owned by somebody else, alive as long as the plan */
    MRT_VALUE = 2,  /* produced by a step, or an alias */
} mrt_tensor_kind;

typedef struct mrt_plan_tensor {
    mrt_tensor info;      /* data set only for constants */
    mrt_tensor_kind kind;
    int32_t alias_of;     /* tensor with the same bytes (a reshape), or -1 */
    bool is_output;
    /* Set by finalize: */
    int32_t root;         /* end of the alias chain, itself when there is none */
    int32_t def_step;     /* step that writes the root; -1 for inputs and constants */
    int32_t last_step;    /* last step that reads the root; n_steps for outputs */
    int64_t bytes;
    int64_t offset;       /* in the arena; -1 for constants */
} mrt_plan_tensor;

typedef struct mrt_step {
    const mrt_kernel *kernel;
    void *params;         /* kernel->param_bytes */
    int32_t *in;          /* tensor ids, -1 for an absent optional input */
    int32_t *out;
    int32_t n_in, n_out;
    const char *op;       /* name of the source op, for messages and profiles */
    size_t scratch;       /* set by finalize */
    const void *packed;   /* set by finalize: prepared constants, or NULL */
} mrt_step;

/* A size that depends on data: dimension `axis` of a step's output. The planned dimension is its
 * bound; the kernel (one with MRT_WRITES_SHAPE) writes the live size at run time. */
typedef struct mrt_live_symbol {
    int32_t tensor, axis;
} mrt_live_symbol;

/* Dimension `axis` of a tensor is `factor` (at least 1) shorter for every element that the symbol
 * lacks to its bound. Several terms of one dimension add up. So a live dimension lies between 0 and
 * the planned one whatever the data is. */
typedef struct mrt_live_term {
    int32_t tensor, axis, symbol;
    int64_t factor;
} mrt_live_term;

typedef struct mrt_plan {
    mrt_plan_tensor *tensors;
    int32_t n_tensors;
    mrt_step *steps;
    int32_t n_steps;
    int32_t *inputs, n_inputs;   /* in declaration order */
    int32_t *outputs, n_outputs;
    mrt_live_symbol *symbols; /* sizes that depend on data; most plans have none */
    int32_t n_symbols;
    mrt_live_term *terms;
    int32_t n_terms;
    /* Set by finalize: */
    int64_t arena_bytes;         /* planned activations */
    int64_t live_bytes;          /* lower bound: the largest set of tensors alive at one step */
    int64_t scratch_bytes;       /* largest step */
    bool keep_all;
    /* Set by the owner before the first executor: only outputs are read, so that steps may be joined and
     * the values between them left out (observers do not see them). */
    bool outputs_only;
    void *memory;                /* private */
} mrt_plan;

mrt_plan *mrt_plan_create(void);
void mrt_plan_destroy(mrt_plan *plan);

/* Adds a tensor and returns its id. `name` is copied. `data` is for MRT_CONST only and borrowed. */
int32_t mrt_plan_add_tensor(mrt_plan *plan, const mrt_tensor *info, mrt_tensor_kind kind);
/* Adds a value that has the bytes of tensor `of` under another name, shape or quantization. */
int32_t mrt_plan_add_alias(mrt_plan *plan, const mrt_tensor *info, int32_t of);
/* Copies `bytes` bytes into memory that lives as long as the plan (small derived constants). */
const void *mrt_plan_store(mrt_plan *plan, const void *data, size_t bytes);
void mrt_plan_add_output(mrt_plan *plan, int32_t tensor);
/* Adds a step; params (kernel->param_bytes, may be NULL when 0), ids and op name are copied. */
void mrt_plan_add_step(mrt_plan *plan, uint16_t kernel_code, const void *params, const int32_t *in,
                       int n_in, const int32_t *out, int n_out, const char *op);

/* Declares a size that depends on data and returns the symbol's id; the dimension itself needs no
 * term. The tensor is a value that a step writes. */
int32_t mrt_plan_add_symbol(mrt_plan *plan, int32_t tensor, int32_t axis);
/* Declares that a dimension follows a symbol. */
void mrt_plan_add_term(mrt_plan *plan, const mrt_live_term *term);

/* Checks everything (ids, order, kernels, shapes, aliases), then plans the arena.
 * keep_all: every tensor gets bytes of its own, so that all can be read after a run.
 * Errors: MRT_INVALID or MRT_UNSUPPORTED with the op's name and the kernel's reason. */
mrt_status mrt_plan_finalize(mrt_plan *plan, bool keep_all, mrt_error *err);

/* True when a dimension of the tensor depends on data. The plan is finalized. */
bool mrt_plan_depends_on_data(const mrt_plan *plan, int32_t tensor);

/* Id of the tensor called `name`, or -1. */
int32_t mrt_plan_find(const mrt_plan *plan, const char *name);

#endif
