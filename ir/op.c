/* Ops, values and use lists: reading and changing. Attributes are in op_attr.c. */
#include "ir/op.h"

#include "ir/context_impl.h"
#include "ir/op_impl.h"

#include <assert.h>
#include <string.h>

/* --- reading ---------------------------------------------------------------------------------- */

mica_context *mica_op_context(const mica_op *op) {
    return op->owner->context;
}

bool mica_op_is(const mica_op *op, const char *name) {
    return op->name == name || strcmp(op->name, name) == 0;
}

bool mica_op_has_trait(const mica_op *op, uint32_t trait) {
    return op->info && (op->info->traits & trait) != 0;
}

mica_value *mica_op_present(const mica_op *op, uint32_t i) {
    if (i >= op->n_operands || mica_type_is_none(op->operands[i].value->type)) {
        return NULL;
    }
    return op->operands[i].value;
}

const char *mica_value_name(const mica_value *value) {
    if (!value->def) {
        return mica_loc_get_name(value->loc);
    }
    if (value->def->n_results == 1) {
        return mica_loc_get_name(value->def->loc);
    }
    return mica_loc_get_name_at(value->def->loc, value->index);
}

bool mica_value_has_one_use(const mica_value *value) {
    return value->first_use && value->first_use == value->last_use;
}

size_t mica_value_use_count(const mica_value *value) {
    size_t count = 0;
    for (const mica_use *use = value->first_use; use; use = use->next) {
        count++;
    }
    return count;
}

/* First op of the regions of `op` from region `r` and block `block` (NULL: its first) on. */
static mica_op *first_inside(const mica_op *op, uint32_t r, const mica_block *block) {
    for (; r < op->n_regions; r++) {
        for (block = block ? block : op->regions[r]->first; block; block = block->next) {
            if (block->first) {
                return block->first;
            }
        }
    }
    return NULL;
}

mica_op *mica_op_walk_next(const mica_op *root, mica_op *op) {
    mica_op *inside = first_inside(op, 0, NULL);
    if (inside) {
        return inside;
    }
    while (op != root) {
        if (op->next) {
            return op->next;
        }
        mica_block *block = op->block;
        mica_op *parent = block->region->parent;
        uint32_t r = 0;
        while (parent->regions[r] != block->region) {
            r++;
        }
        inside = block->next ? first_inside(parent, r, block->next)
                             : first_inside(parent, r + 1, NULL);
        if (inside) {
            return inside;
        }
        op = parent;
    }
    return NULL;
}

/* --- use lists -------------------------------------------------------------------------------- */

static void link_use(mica_use *use, mica_value *value) {
    use->value = value;
    use->next = NULL;
    use->prev = value->last_use;
    if (value->last_use) {
        value->last_use->next = use;
    } else {
        value->first_use = use;
    }
    value->last_use = use;
}

static void unlink_use(mica_use *use) {
    mica_value *value = use->value;
    if (use->prev) {
        use->prev->next = use->next;
    } else {
        value->first_use = use->next;
    }
    if (use->next) {
        use->next->prev = use->prev;
    } else {
        value->last_use = use->prev;
    }
    use->value = NULL;
    use->prev = use->next = NULL;
}

/* Moves the operand array, so that it has room for `need`; neighbours in use lists follow, also
 * those in the old array that are still to be moved. */
static void reserve_operands(mica_op *op, uint32_t need) {
    if (need <= op->operand_capacity) {
        return;
    }
    uint32_t capacity = op->operand_capacity * 2 > need ? op->operand_capacity * 2 : need;
    mica_use *moved = mica_arena_array(op->owner->arena, capacity, sizeof *moved);
    for (uint32_t i = 0; i < op->n_operands; i++) {
        mica_use *use = &moved[i];
        *use = op->operands[i];
        if (use->prev) {
            use->prev->next = use;
        } else {
            use->value->first_use = use;
        }
        if (use->next) {
            use->next->prev = use;
        } else {
            use->value->last_use = use;
        }
    }
    op->operands = moved;
    op->operand_capacity = capacity;
}

void mica_op_append_operand(mica_op *op, mica_value *value) {
    assert(value);
    reserve_operands(op, op->n_operands + 1);
    mica_use *use = &op->operands[op->n_operands];
    use->user = op;
    use->index = op->n_operands++;
    link_use(use, value);
}

void mica_op_set_operand(mica_op *op, uint32_t i, mica_value *value) {
    assert(i < op->n_operands && value);
    if (op->operands[i].value == value) {
        return;
    }
    unlink_use(&op->operands[i]);
    link_use(&op->operands[i], value);
}

void mica_op_drop_operands(mica_op *op) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        unlink_use(&op->operands[i]);
    }
    op->n_operands = 0;
}

void mica_op_set_operands(mica_op *op, mica_value *const *values, uint32_t count) {
    mica_op_drop_operands(op);
    reserve_operands(op, count);
    for (uint32_t i = 0; i < count; i++) {
        mica_op_append_operand(op, values[i]);
    }
}

void mica_value_replace_uses(mica_value *value, mica_value *with) {
    if (value == with) {
        return;
    }
    while (value->first_use) {
        mica_use *use = value->first_use;
        unlink_use(use);
        link_use(use, with);
    }
}

/* --- placing ---------------------------------------------------------------------------------- */

void mica_op_insert(mica_op *op, mica_block *block, mica_op *before) {
    assert(!op->block && (!before || before->block == block));
    op->block = block;
    op->next = before;
    op->prev = before ? before->prev : block->last;
    if (op->prev) {
        op->prev->next = op;
    } else {
        block->first = op;
    }
    if (before) {
        before->prev = op;
    } else {
        block->last = op;
    }
}

void mica_op_detach(mica_op *op) {
    mica_block *block = op->block;
    if (!block) {
        return;
    }
    if (op->prev) {
        op->prev->next = op->next;
    } else {
        block->first = op->next;
    }
    if (op->next) {
        op->next->prev = op->prev;
    } else {
        block->last = op->prev;
    }
    op->prev = op->next = NULL;
    op->block = NULL;
}

void mica_op_move_before(mica_op *op, mica_op *anchor) {
    assert(op != anchor && anchor->block);
    mica_op_detach(op);
    mica_op_insert(op, anchor->block, anchor);
}

void mica_op_erase(mica_op *op) {
    for (uint32_t i = 0; i < op->n_results; i++) {
        assert(!op->results[i].first_use && "erased op still has uses");
    }
    for (mica_op *inner = op; inner; inner = mica_op_walk_next(op, inner)) {
        mica_op_drop_operands(inner);
        inner->erased = true;
    }
    mica_op_detach(op);
}

/* --- blocks ----------------------------------------------------------------------------------- */

mica_block *mica_region_add_block(mica_region *region) {
    mica_block *block = mica_arena_alloc(region->parent->owner->arena, sizeof *block);
    block->region = region;
    if (region->last) {
        region->last->next = block;
    } else {
        region->first = block;
    }
    region->last = block;
    return block;
}

mica_value *mica_block_add_arg(mica_block *block, mica_type type, mica_loc loc) {
    mica_arena *arena = block->region->parent->owner->arena;
    if (block->n_args == block->arg_capacity) {
        uint32_t capacity = block->arg_capacity ? block->arg_capacity * 2 : 4;
        mica_value **moved = mica_arena_array(arena, capacity, sizeof *moved);
        if (block->n_args > 0) {
            memcpy(moved, block->args, block->n_args * sizeof *moved);
        }
        block->args = moved;
        block->arg_capacity = capacity;
    }
    mica_value *value = mica_arena_alloc(arena, sizeof *value);
    value->type = type;
    value->block = block;
    value->index = block->n_args;
    value->loc = loc;
    block->args[block->n_args++] = value;
    return value;
}
