/* Ops, values, blocks, regions, modules. All of a module lives in the module's arena. */
#ifndef MICA_IR_OP_H
#define MICA_IR_OP_H

#include "ir/attr.h"
#include "ir/location.h"
#include "ir/op_info.h"
#include "ir/type.h"

/* One use of a value: operand `index` of `user`. Uses of a value form a list in creation order. */
typedef struct mica_use {
    mica_value *value;
    mica_op *user;
    uint32_t index;
    struct mica_use *prev, *next;
} mica_use;

struct mica_value {
    mica_type type;
    mica_op *def;       /* NULL for a block argument */
    mica_block *block;  /* owner of a block argument, else NULL */
    uint32_t index;     /* result or argument number */
    mica_loc loc;       /* block argument; results use their op's location */
    mica_use *first_use, *last_use;
};

struct mica_op {
    const mica_op_info *info; /* NULL for an unregistered op */
    const char *name;         /* "top.Conv", interned */
    mica_loc loc;
    mica_use *operands;
    uint32_t n_operands, operand_capacity;
    mica_value *results;      /* array of n_results */
    uint32_t n_results;
    mica_named_attr *attrs;   /* sorted by name */
    uint32_t n_attrs, attr_capacity;
    mica_region **regions;
    uint32_t n_regions;
    mica_block *block;        /* NULL while detached or erased */
    mica_module *owner;       /* whose arena it lives in */
    mica_op *prev, *next;
    uint32_t order;           /* scratch number for passes */
    bool erased;
};

struct mica_block {
    mica_region *region;
    mica_value **args;
    uint32_t n_args, arg_capacity;
    mica_op *first, *last;
    mica_block *next;
};

struct mica_region {
    mica_op *parent;
    mica_block *first, *last;
};

/* A module is the op "builtin.module" plus the arena of everything inside and its constants. */
struct mica_module {
    mica_context *context;
    mica_arena *arena;
    mica_op *op;
    struct mica_weights *weights; /* named constants, see ir/weights.h; created with the module */
};

mica_module *mica_module_create(mica_context *context, mica_loc loc);
void mica_module_destroy(mica_module *module);
/* Exchanges all that is in two modules; pointers to ops and values stay valid. For passes that make
 * a new module and hand it out under the old identity. */
void mica_module_swap(mica_module *a, mica_module *b);
mica_block *mica_module_body(mica_module *module);
/* The function called `name` (a func.func op), or NULL. */
mica_op *mica_module_func(mica_module *module, const char *name);
/* Body block of a func.func. */
mica_block *mica_func_body(mica_op *func);
/* Module that an op belongs to (walks up to builtin.module), NULL for a detached op. */
mica_module *mica_op_module(const mica_op *op);

/* Order of all ops inside `root`, each before the ops of its regions: start with op = root; NULL at
 * the end. The op may be changed, not erased, before asking for the next. */
mica_op *mica_op_walk_next(const mica_op *root, mica_op *op);

/* --- reading ---------------------------------------------------------------------------------- */
mica_context *mica_op_context(const mica_op *op);
bool mica_op_is(const mica_op *op, const char *name); /* by name text */
static inline mica_value *mica_op_operand(const mica_op *op, uint32_t i) {
    return op->operands[i].value;
}
static inline mica_value *mica_op_result(const mica_op *op, uint32_t i) { return &op->results[i]; }
bool mica_op_has_trait(const mica_op *op, uint32_t trait);
/* Operand that exists and is not of type none; NULL otherwise. */
mica_value *mica_op_present(const mica_op *op, uint32_t i);
/* Tensor name of a value: name of its op (part i of a fused location) or of the block argument. */
const char *mica_value_name(const mica_value *value);
bool mica_value_has_one_use(const mica_value *value);
size_t mica_value_use_count(const mica_value *value);

/* Attribute by name; NULL when absent. */
mica_attr mica_op_attr(const mica_op *op, const char *name);
/* Typed access with the row's default; only for attributes that the row declares (the verifier has
 * checked kinds). A missing optional attribute without default gives 0, 0.0, false, "", count 0. */
int64_t mica_op_i64(const mica_op *op, const char *name);
double mica_op_f64(const mica_op *op, const char *name);
bool mica_op_bool(const mica_op *op, const char *name);
const char *mica_op_str(const mica_op *op, const char *name);
const int64_t *mica_op_i64s(const mica_op *op, const char *name, size_t *out_count);
const double *mica_op_f64s(const mica_op *op, const char *name, size_t *out_count);
bool mica_op_has_attr(const mica_op *op, const char *name);

/* --- changing --------------------------------------------------------------------------------- */
void mica_op_set_attr(mica_op *op, const char *name, mica_attr value); /* NULL removes */
void mica_op_set_i64(mica_op *op, const char *name, int64_t value);
void mica_op_set_f64(mica_op *op, const char *name, double value);
void mica_op_set_bool(mica_op *op, const char *name, bool value);
void mica_op_set_str(mica_op *op, const char *name, const char *value);
void mica_op_set_i64s(mica_op *op, const char *name, const int64_t *values, size_t count);
void mica_op_set_f64s(mica_op *op, const char *name, const double *values, size_t count);
void mica_op_set_operand(mica_op *op, uint32_t i, mica_value *value);
void mica_op_set_operands(mica_op *op, mica_value *const *values, uint32_t count);
void mica_op_append_operand(mica_op *op, mica_value *value);
void mica_value_replace_uses(mica_value *value, mica_value *with);
/* Removes an op without uses from its block; its memory stays with the module. */
void mica_op_erase(mica_op *op);
void mica_op_move_before(mica_op *op, mica_op *anchor);
/* Appends an empty block. */
mica_block *mica_region_add_block(mica_region *region);
mica_value *mica_block_add_arg(mica_block *block, mica_type type, mica_loc loc);

#endif
