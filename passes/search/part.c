#include "passes/search/part.h"

#include <string.h>

#include "passes/lowering/lowering.h"
#include "utils/strings.h"

static const char N_KINDS[] = "Relu,MaxPool,Conv,MatMul,PRelu,AvgPool,Add,Sigmoid,Deconv";
static const char H_KINDS[] = "Conv,MatMul,AvgPool,Deconv,MaxPool";

static const char *kind_of(const mica_op *op) { return op->name + strlen("top."); }

static bool has_row(const mica_op *op) {
    return op->n_results > 0 && mica_starts_with(op->name, "top.") && !mica_op_has_trait(op, MICA_IS_CONSTANT) &&
           !mica_op_is(op, "top.Input") && !mica_op_is(op, "top.None");
}

static bool is_listed(const mica_op *op, char *const *kinds, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        const char *kind = mica_starts_with(kinds[i], "top.") ? kinds[i] + strlen("top.") : kinds[i];
        if (strcmp(kind, kind_of(op)) == 0) {
            return true;
        }
    }
    return false;
}

/* Every kind that a user lists must be one of the model. */
static mica_status check_custom(const mica_block *body, char **kinds, size_t n, mica_arena *arena, mica_error *err) {
    size_t count = 0;
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        count++;
    }
    const char **known = mica_arena_array(arena, count + 1, sizeof *known);
    count = 0;
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        if (has_row(op)) {
            known[count++] = kind_of(op);
        }
    }
    for (size_t i = 0; i < n; ++i) {
        const char *kind = mica_starts_with(kinds[i], "top.") ? kinds[i] + strlen("top.") : kinds[i];
        bool found = false;
        for (size_t k = 0; k < count && !found; ++k) {
            found = strcmp(known[k], kind) == 0;
        }
        if (!found) {
            const char *nearest = mica_nearest(kind, known, count);
            return mica_fail(err, "--custom_operator: the model has no op of kind '%s'%s%s", kind,
                             nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "");
        }
    }
    return n > 0 ? MICA_OK : mica_fail(err, "--custom_operator names no kind of op");
}

mica_status mica_part_table(mica_module *module, const char *part, const char *custom, mica_mode mode,
                            mica_qtable *table, size_t *out_integer, mica_error *err) {
    const mica_block *body = mica_func_body(mica_module_func(module, "main"));
    const bool own = strcmp(part, "custom_mode") == 0;
    size_t n = 0;
    char **kinds = mica_split(module->arena, own ? custom : strcmp(part, "N_mode") == 0 ? N_KINDS : H_KINDS, ',', &n);
    MICA_TRY(own ? check_custom(body, kinds, n, module->arena, err) : MICA_OK);
    *out_integer = 0;
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        if (!has_row(op) || mica_lower_follows(op)) {
            continue;
        }
        if (is_listed(op, kinds, n)) {
            ++*out_integer;
        } else {
            mica_qtable_set(table, mica_value_name(&op->results[0]), mode);
        }
    }
    return MICA_OK;
}

/* Perhaps by way of ops that keep its type. */
static bool feeds_products_only(const mica_op *op) {
    for (const mica_use *use = op->results[0].first_use; use != NULL; use = use->next) {
        const bool product = mica_op_is(use->user, "top.Conv") || mica_op_is(use->user, "top.MatMul");
        const bool passes = use->user->n_results == 1 && mica_lower_follows(use->user) && feeds_products_only(use->user);
        if (!product && !passes) {
            return false;
        }
    }
    return op->results[0].first_use != NULL;
}

size_t mica_part_asymmetric(mica_module *module, mica_cali_table *table) {
    static const char *const kinds[] = {"top.SiLU", "top.GELU", "top.GELUTanh", "top.QuickGELU"};
    size_t count = 0;
    for (const mica_op *op = mica_func_body(mica_module_func(module, "main"))->first; op != NULL; op = op->next) {
        bool listed = false;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
            listed = listed || mica_op_is(op, kinds[i]);
        }
        if (listed && feeds_products_only(op) && mica_cali_table_get(table, mica_value_name(&op->results[0])) != NULL) {
            mica_cali_table_add_line(table, MICA_CALI_ASYM_OP, mica_value_name(&op->results[0]));
            count++;
        }
    }
    return count;
}
