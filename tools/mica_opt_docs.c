#include "tools/mica_opt_docs.h"

#include "frontends/onnx/onnx.h"
#include "ir/op_info.h"
#include "utils/arena.h"
#include "utils/compiler.h"

#include <stdlib.h>
#include <string.h>

typedef struct trait_name {
    uint32_t bit;
    const char *text;
} trait_name;

static const trait_name traits[] = {
    {MICA_PURE, "pure"},
    {MICA_SAME_SHAPE, "same shape"},
    {MICA_ELEMENTWISE, "element-wise"},
    {MICA_MOVEMENT, "moves elements"},
    {MICA_COMMUTATIVE, "commutative"},
    {MICA_CAN_FUSE_RELU, "takes a relu"},
    {MICA_VARIADIC_RESULTS, "variadic results"},
    {MICA_IS_CONSTANT, "constant"},
    {MICA_FLOAT_ONLY, "float only"},
    {MICA_TERMINATOR, "terminator"},
    {MICA_VALUE_IN_PLACE, "in place"},
};

static const char *const arity_names[] = {
    [MICA_ONE] = "", [MICA_OPTIONAL] = " (optional)", [MICA_VARIADIC] = " (any number)"};

static const char *const class_names[] = {
    [MICA_A_I64] = "integer",   [MICA_A_F64] = "float",         [MICA_A_BOOL] = "bool",
    [MICA_A_STR] = "string",    [MICA_A_I64S] = "integer list", [MICA_A_F64S] = "float list",
    [MICA_A_DICT] = "dictionary", [MICA_A_ANY] = "any",
};

/* A vertical bar would end the cell of a Markdown table. */
static void print_cell(FILE *out, const char *text) {
    for (; text && *text; text++) {
        fputs(*text == '|' ? "\\|" : (char[]){*text, '\0'}, out);
    }
}

static void show_attrs(const mica_op_info *info, FILE *out) {
    if (info->n_attrs == 0) {
        return;
    }
    fputs("\n| attribute | kind | default | meaning |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < info->n_attrs; i++) {
        const mica_attr_info *row = &info->attrs[i];
        const char *fallback = row->fallback ? row->fallback : row->required ? "required" : "-";
        fprintf(out, "| `%s` | %s | ", row->name, class_names[row->kind]);
        print_cell(out, fallback);
        fputs(" | ", out);
        print_cell(out, row->doc ? row->doc : "");
        if (row->choices) {
            fputs(" (", out);
            print_cell(out, row->choices);
            fputs(")", out);
        }
        fputs(" |\n", out);
    }
}

static void show_op(const mica_op_info *info, FILE *out) {
    fprintf(out, "\n### `%s`\n\n%s\n\n", info->name, info->summary);
    fprintf(out, "Code 0x%04x. Operands: ", info->code);
    for (size_t i = 0; i < info->n_operands; i++) {
        fprintf(out, "%s`%s`%s", i > 0 ? ", " : "", info->operands[i].name,
                arity_names[info->operands[i].arity]);
    }
    fprintf(out, "%s. Results: %d%s.", info->n_operands > 0 ? "" : "none", info->n_results,
            info->traits & MICA_VARIADIC_RESULTS ? " or more" : "");
    const char *separator = " Traits: ";
    for (size_t i = 0; i < MICA_COUNT(traits); i++) {
        if (info->traits & traits[i].bit) {
            fprintf(out, "%s%s", separator, traits[i].text);
            separator = ", ";
        }
    }
    fputs(*separator == ',' ? ".\n" : "\n", out);
    show_attrs(info, out);
}

/* Whether an earlier op has the same dialect, so that its section has been written. */
static bool dialect_seen(const mica_context *context, size_t index, size_t length) {
    const char *name = mica_op_info_at(context, index)->name;
    for (size_t i = 0; i < index; i++) {
        if (strncmp(mica_op_info_at(context, i)->name, name, length) == 0) {
            return true;
        }
    }
    return false;
}

void mica_opt_show_dialects(const mica_context *context, FILE *out) {
    size_t count = mica_op_info_count(context);
    fputs("# Ops\n", out);
    for (size_t i = 0; i < count; i++) {
        const char *name = mica_op_info_at(context, i)->name;
        size_t length = strcspn(name, ".") + 1;
        if (dialect_seen(context, i, length)) {
            continue;
        }
        fprintf(out, "\n## %.*s\n", (int)length - 1, name);
        for (size_t k = i; k < count; k++) {
            const mica_op_info *info = mica_op_info_at(context, k);
            if (strncmp(info->name, name, length) == 0) {
                show_op(info, out);
            }
        }
    }
}

void mica_opt_list_passes(const mica_pass_info *passes, size_t count, FILE *out) {
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "  --%-28s %s\n", passes[i].name, passes[i].summary);
        for (size_t k = 0; k < passes[i].n_options; k++) {
            const mica_pass_option_info *option = &passes[i].options[k];
            fprintf(out, "      %-26s   %s (default: %s)\n", option->key, option->doc,
                    option->fallback && option->fallback[0] ? option->fallback : "none");
        }
    }
}

static int by_name(const void *a, const void *b) {
    const mica_onnx_op_info *x = a, *y = b;
    const int order = strcmp(x->domain, y->domain);
    return order != 0 ? order : strcmp(x->op, y->op);
}

void mica_opt_show_operators(FILE *out) {
    const size_t count = mica_onnx_op_count();
    mica_onnx_op_info *ops = mica_alloc(count * sizeof *ops);
    size_t supported = 0;
    for (size_t i = 0; i < count; i++) {
        ops[i] = mica_onnx_op_at(i);
        supported += ops[i].reason == NULL;
    }
    qsort(ops, count, sizeof *ops, by_name);
    fprintf(out, "# ONNX operators\n\n%zu of %zu known operators are imported. Opsets are those of the "
                 "domain in which the operator is known; ai.onnx is the default domain.\n\n"
                 "| Domain | Operator | Opsets | Supported |\n| --- | --- | --- | --- |\n",
            supported, count);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "| %s | %s | %d to %d | %s%s |\n", ops[i].domain, ops[i].op, ops[i].since,
                ops[i].until, ops[i].reason == NULL ? "yes" : "no: ",
                ops[i].reason == NULL ? "" : ops[i].reason);
    }
    mica_free(ops);
}
