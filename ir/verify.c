/* Structure: use lists, dominance, terminators, symbols, builtin ops. Rows are in verify_row.c. */
#include "ir/verify.h"

#include "ir/context_impl.h"
#include "ir/verify_impl.h"
#include "utils/map.h"

#include <string.h>

/* --- use lists -------------------------------------------------------------------------------- */

static mica_status broken_uses(const mica_op *op) {
    return mica_emit_error(mica_op_context(op), op->loc, "'%s' op has a broken use list", op->name);
}

/* Uses and operands must name each other; a list of n uses takes n steps. */
static mica_status check_uses(const mica_op *op) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const mica_use *use = &op->operands[i];
        if (!use->value || use->user != op || use->index != i ||
            (use->prev ? use->prev->next : use->value->first_use) != use ||
            (use->next ? use->next->prev : use->value->last_use) != use) {
            return broken_uses(op);
        }
    }
    for (uint32_t r = 0; r < op->n_results; r++) {
        const mica_value *result = &op->results[r];
        if (result->def != op || result->index != r || !result->type) {
            return broken_uses(op);
        }
        for (const mica_use *use = result->first_use; use; use = use->next) {
            if (use->value != result || use->user->erased) {
                return broken_uses(op);
            }
        }
    }
    return MICA_OK;
}

/* --- dominance -------------------------------------------------------------------------------- */

static bool allows_any_order(const mica_block *block) {
    return mica_op_is(block->region->parent, "builtin.module");
}

/* Climbs from the user to the op that lies in the value's block. Values do not cross from one
 * block to another of the same region: there are no branches. Functions see nothing outside. */
static bool dominates(const mica_value *value, const mica_op *user) {
    const mica_block *home = value->def ? value->def->block : value->block;
    while (user && user->block && user->block != home) {
        const mica_op *parent = user->block->region->parent;
        if (mica_op_is(parent, "func.func") || mica_op_is(parent, "builtin.module")) {
            return false;
        }
        user = parent;
    }
    if (!user || user->block != home) {
        return false;
    }
    return !value->def || value->def->order < user->order || allows_any_order(home);
}

static mica_status check_dominance(const mica_op *op) {
    mica_status status = MICA_OK;
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const mica_value *value = op->operands[i].value;
        if (!dominates(value, op)) {
            const char *name = mica_value_name(value);
            status = mica_emit_error(mica_op_context(op), op->loc,
                                     "operand #%u%s%.100s%s of '%s' op is not defined before it", i,
                                     name[0] ? " '" : "", name, name[0] ? "'" : "", op->name);
        }
    }
    return status;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static void number_ops(const mica_block *block) {
    uint32_t order = 0;
    for (mica_op *op = block->first; op; op = op->next) {
        op->order = order++;
    }
}

/* Functions end with func.return. Regions of registered ops end with a terminator of the table,
 * those of unregistered ops may end with anything. */
static mica_status check_block_end(const mica_op *parent, const mica_block *block) {
    bool func = mica_op_is(parent, "func.func");
    const mica_op *last = block->last;
    mica_context *context = mica_op_context(parent);
    if (func && !last) {
        return mica_emit_error(context, parent->loc,
                               "'func.func' op must end with 'func.return', but it is empty");
    }
    if (func && !mica_op_is(last, "func.return")) {
        return mica_emit_error(context, last->loc,
                               "'func.func' op must end with 'func.return', got '%s'", last->name);
    }
    if (parent->info && last && last->info && !mica_op_has_trait(last, MICA_TERMINATOR)) {
        return mica_emit_error(context, last->loc,
                               "block of '%s' op must end with a terminator, got '%s'",
                               parent->name, last->name);
    }
    return MICA_OK;
}

static mica_status check_blocks(const mica_op *op) {
    mica_status status = MICA_OK;
    for (uint32_t r = 0; r < op->n_regions; r++) {
        for (const mica_block *block = op->regions[r]->first; block; block = block->next) {
            if (block->region != op->regions[r]) {
                return broken_uses(op);
            }
            number_ops(block);
            if (check_block_end(op, block) != MICA_OK) {
                status = MICA_FAIL;
            }
        }
    }
    return status;
}

static mica_status check_not_last(const mica_op *op) {
    bool terminator = mica_op_is(op, "func.return") || mica_op_has_trait(op, MICA_TERMINATOR);
    if (terminator && op->next) {
        return mica_emit_error(mica_op_context(op), op->loc,
                               "'%s' op must be the last of its block", op->name);
    }
    return MICA_OK;
}

/* --- builtin ops ------------------------------------------------------------------------------ */

static mica_status check_module(const mica_op *op) {
    mica_context *context = mica_op_context(op);
    mica_attr name = mica_op_attr(op, "sym_name");
    mica_status status = MICA_OK;
    if (op->n_regions != 1 || !op->regions[0]->first || op->regions[0]->first->next) {
        return mica_emit_error(context, op->loc,
                               "'builtin.module' op must have one region of one block");
    }
    if (name && name->kind != MICA_ATTR_STRING) {
        status = mica_emit_error(context, op->loc,
                                 "'builtin.module' op attribute 'sym_name' must be a string");
    }
    for (uint32_t i = 0; i < op->n_attrs; i++) {
        const char *key = op->attrs[i].name;
        if (!strchr(key, '.') && strcmp(key, "sym_name") != 0 &&
            strcmp(key, "sym_visibility") != 0) {
            status = mica_emit_error(context, op->loc,
                                     "'builtin.module' op attribute '%.100s' must have a dialect "
                                     "prefix, like 'module.%.100s'",
                                     key, key);
        }
    }
    mica_map *symbols = mica_map_create();
    for (const mica_op *inner = op->regions[0]->first->first; inner; inner = inner->next) {
        mica_attr symbol = mica_op_attr(inner, "sym_name");
        if (symbol && symbol->kind == MICA_ATTR_STRING &&
            !mica_map_set(symbols, symbol->text, NULL)) {
            status = mica_emit_error(context, inner->loc, "symbol '%.200s' is defined twice",
                                     symbol->text);
        }
    }
    mica_map_destroy(symbols);
    return status;
}

static mica_status check_func_args(const mica_op *op, mica_type type) {
    const mica_block *body = op->regions[0]->first;
    mica_context *context = mica_op_context(op);
    if (!body) {
        return MICA_OK;
    }
    if (body->n_args != type->n_inputs) {
        return mica_emit_error(context, op->loc,
                               "'func.func' op has %u arguments, but its type has %zu",
                               body->n_args, type->n_inputs);
    }
    for (uint32_t i = 0; i < body->n_args; i++) {
        if (body->args[i]->type != type->inputs[i]) {
            return mica_emit_error(context, op->loc,
                                   "argument %u of 'func.func' op has type %s, but its type says "
                                   "%s",
                                   i, mica_type_text(body->args[i]->type),
                                   mica_type_text(type->inputs[i]));
        }
    }
    return MICA_OK;
}

static mica_type func_type(const mica_op *op) {
    mica_attr type = mica_op_attr(op, "function_type");
    bool good = type && type->kind == MICA_ATTR_TYPE && type->type->kind == MICA_TYPE_FUNCTION;
    return good ? type->type : NULL;
}

static mica_status check_func(const mica_op *op) {
    mica_context *context = mica_op_context(op);
    mica_attr name = mica_op_attr(op, "sym_name");
    mica_type type = func_type(op);
    if (!name || name->kind != MICA_ATTR_STRING) {
        return mica_emit_error(context, op->loc, "'func.func' op needs a name (sym_name)");
    }
    if (!type) {
        return mica_emit_error(context, op->loc, "'func.func' op needs a function type");
    }
    if (op->n_operands > 0 || op->n_results > 0 || op->n_regions != 1 ||
        (op->regions[0]->first && op->regions[0]->first->next)) {
        return mica_emit_error(context, op->loc,
                               "'func.func' op must have one region of at most one block");
    }
    return check_func_args(op, type);
}

static mica_status check_return(const mica_op *op) {
    mica_context *context = mica_op_context(op);
    const mica_op *func = op->block ? op->block->region->parent : NULL;
    if (!func || !mica_op_is(func, "func.func")) {
        return mica_emit_error(context, op->loc, "'func.return' op must be inside 'func.func'");
    }
    mica_type type = func_type(func);
    if (!type) {
        return MICA_OK; /* an error of the function */
    }
    if (type->n_results != op->n_operands) {
        return mica_emit_error(context, op->loc,
                               "'func.return' op has %u operands, but the function has %zu results",
                               op->n_operands, type->n_results);
    }
    for (uint32_t i = 0; i < op->n_operands; i++) {
        mica_type actual = op->operands[i].value->type;
        if (actual != type->results[i]) {
            return mica_emit_error(context, op->loc,
                                   "operand %u of 'func.return' op has type %s, but the function "
                                   "returns %s",
                                   i, mica_type_text(actual), mica_type_text(type->results[i]));
        }
    }
    return MICA_OK;
}

static mica_status check_builtin(const mica_op *op) {
    if (mica_op_is(op, "builtin.module")) {
        return check_module(op);
    }
    if (mica_op_is(op, "func.func")) {
        return check_func(op);
    }
    return mica_op_is(op, "func.return") ? check_return(op) : MICA_OK;
}

/* --- whole ------------------------------------------------------------------------------------ */

/* Checks that read through an op's parts come only after the structure of those parts is sound. */
static mica_status verify_op(const mica_op *op) {
    MICA_TRY(check_uses(op));
    mica_status status = MICA_OK;
    mica_status (*const checks[])(const mica_op *) = {
        check_blocks, check_dominance, check_not_last, check_builtin, mica_verify_types,
        mica_verify_row,
    };
    for (size_t i = 0; i < MICA_COUNT(checks); i++) {
        if (checks[i](op) != MICA_OK) {
            status = MICA_FAIL;
        }
    }
    if (status == MICA_OK && op->info && op->info->verify) {
        status = op->info->verify(op);
    }
    return status;
}

mica_status mica_verify(mica_module *module) {
    mica_status status = MICA_OK;
    for (mica_op *op = module->op; op; op = mica_op_walk_next(module->op, op)) {
        if (verify_op(op) != MICA_OK) {
            status = MICA_FAIL;
        }
    }
    return status;
}
