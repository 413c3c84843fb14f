/* Text of ops. Value names are numbers in order of appearance, fresh for each function. */
#include "ir/text.h"

#include "ir/op_impl.h"
#include "ir/print.h"
#include "ir/ptr_map.h"
#include "utils/file.h"

#include <string.h>

typedef struct printer {
    mica_strbuf *out;
    unsigned flags;
    int indent;
    mica_ptr_map names; /* value (or the op of several results) -> number */
    uint64_t next_result, next_arg;
} printer;

static void print_op(printer *p, const mica_op *op);

/* --- values ----------------------------------------------------------------------------------- */

static void print_value(printer *p, const mica_value *value) {
    uint64_t number = 0;
    const void *key = value->def ? (const void *)value->def : (const void *)value;
    if (!mica_ptr_map_get(&p->names, key, &number)) {
        /* Only in invalid IR, which dumps must show all the same. */
        mica_strbuf_append(p->out, "%undefined");
        return;
    }
    mica_strbuf_printf(p->out, value->def ? "%%%llu" : "%%arg%llu", (unsigned long long)number);
    if (value->def && value->def->n_results > 1) {
        mica_strbuf_printf(p->out, "#%u", value->index);
    }
}

static void print_operands(printer *p, const mica_op *op) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        mica_strbuf_append(p->out, i > 0 ? ", " : "");
        print_value(p, op->operands[i].value);
    }
}

static void name_args(printer *p, const mica_block *block) {
    for (uint32_t i = 0; i < block->n_args; i++) {
        mica_ptr_map_set(&p->names, block->args[i], p->next_arg++);
    }
}

static void print_trailing_loc(printer *p, mica_loc loc) {
    if (!(p->flags & MICA_PRINT_NO_LOCS)) {
        mica_strbuf_append(p->out, " loc(");
        mica_print_loc(p->out, loc);
        mica_strbuf_append(p->out, ")");
    }
}

static void print_arg(printer *p, const mica_value *arg, mica_attr dict) {
    print_value(p, arg);
    mica_strbuf_append(p->out, ": ");
    mica_print_type(p->out, arg->type);
    if (dict) {
        mica_print_entries(p->out, " {", dict->entries, dict->count, NULL, "}");
    }
    print_trailing_loc(p, arg->loc);
}

static void print_indent(printer *p) {
    mica_strbuf_printf(p->out, "%*s", p->indent, "");
}

/* --- regions ---------------------------------------------------------------------------------- */

static void print_block_label(printer *p, const mica_block *block, uint64_t number) {
    print_indent(p);
    mica_strbuf_printf(p->out, "^bb%llu", (unsigned long long)number);
    if (block->n_args > 0) {
        mica_strbuf_append(p->out, "(");
        for (uint32_t i = 0; i < block->n_args; i++) {
            mica_strbuf_append(p->out, i > 0 ? ", " : "");
            print_arg(p, block->args[i], NULL);
        }
        mica_strbuf_append(p->out, ")");
    }
    mica_strbuf_append(p->out, ":\n");
}

/* From '{' to '}'. The entry block's label is left out when it has no arguments or when they are
 * in the signature of a function. */
static void print_region(printer *p, const mica_region *region, bool args_printed) {
    mica_strbuf_append(p->out, "{\n");
    uint64_t number = 0;
    for (const mica_block *block = region->first; block; block = block->next) {
        bool is_entry = block == region->first;
        if (!(is_entry && args_printed)) {
            name_args(p, block);
        }
        /* An empty block is only there if its label says so. */
        if (!is_entry || (!args_printed && (block->n_args > 0 || !block->first))) {
            print_block_label(p, block, number);
        }
        number++;
        p->indent += 2;
        for (const mica_op *op = block->first; op; op = op->next) {
            print_indent(p);
            print_op(p, op);
            mica_strbuf_append(p->out, "\n");
        }
        p->indent -= 2;
    }
    print_indent(p);
    mica_strbuf_append(p->out, "}");
}

/* --- pretty forms ----------------------------------------------------------------------------- */

static bool is_pretty_module(const mica_op *op) {
    mica_attr name = mica_op_attr(op, "sym_name");
    return mica_op_is(op, "builtin.module") && op->n_operands == 0 && op->n_results == 0 &&
           op->n_regions == 1 && op->regions[0]->first && !op->regions[0]->first->next &&
           op->regions[0]->first->n_args == 0 && (!name || name->kind == MICA_ATTR_STRING) &&
           !mica_op_attr(op, "sym_visibility");
}

static void print_module(printer *p, const mica_op *op) {
    static const char *const own[] = {"sym_name", NULL};
    mica_attr name = mica_op_attr(op, "sym_name");
    mica_strbuf_append(p->out, "module ");
    if (name) {
        mica_print_symbol(p->out, name->text);
        mica_strbuf_append(p->out, " ");
    }
    mica_print_entries(p->out, "attributes {", op->attrs, op->n_attrs, own, "} ");
    print_region(p, op->regions[0], true);
}

static bool is_dict_list(mica_attr attr, size_t count) {
    if (!attr) {
        return true;
    }
    if (attr->kind != MICA_ATTR_ARRAY || attr->count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (attr->items[i]->kind != MICA_ATTR_DICT) {
            return false;
        }
    }
    return true;
}

/* Malformed functions are shown in the generic form, so that a dump says what is there. */
static bool is_pretty_func(const mica_op *op) {
    mica_attr type = mica_op_attr(op, "function_type");
    mica_attr name = mica_op_attr(op, "sym_name");
    mica_attr visibility = mica_op_attr(op, "sym_visibility");
    if (!mica_op_is(op, "func.func") || op->n_operands > 0 || op->n_results > 0 ||
        op->n_regions != 1 || !type || type->kind != MICA_ATTR_TYPE ||
        type->type->kind != MICA_TYPE_FUNCTION || !name || name->kind != MICA_ATTR_STRING ||
        !is_dict_list(mica_op_attr(op, "arg_attrs"), type->type->n_inputs) ||
        !is_dict_list(mica_op_attr(op, "res_attrs"), type->type->n_results)) {
        return false;
    }
    if (visibility &&
        (visibility->kind != MICA_ATTR_STRING || (strcmp(visibility->text, "private") != 0 &&
                                                  strcmp(visibility->text, "nested") != 0 &&
                                                  strcmp(visibility->text, "public") != 0))) {
        return false;
    }
    const mica_block *body = op->regions[0]->first;
    if (!body) {
        return true;
    }
    bool agrees = body->n_args == type->type->n_inputs && body->first;
    for (uint32_t i = 0; agrees && i < body->n_args; i++) {
        agrees = body->args[i]->type == type->type->inputs[i];
    }
    return agrees;
}

static void print_func_results(printer *p, mica_type type, mica_attr dicts) {
    if (type->n_results == 0) {
        return;
    }
    bool bare = type->n_results == 1 && type->results[0]->kind != MICA_TYPE_FUNCTION && !dicts;
    mica_strbuf_append(p->out, bare ? " -> " : " -> (");
    for (size_t i = 0; i < type->n_results; i++) {
        mica_strbuf_append(p->out, i > 0 ? ", " : "");
        mica_print_type(p->out, type->results[i]);
        if (dicts) {
            mica_attr dict = dicts->items[i];
            mica_print_entries(p->out, " {", dict->entries, dict->count, NULL, "}");
        }
    }
    mica_strbuf_append(p->out, bare ? "" : ")");
}

static void print_func(printer *p, const mica_op *op) {
    static const char *const own[] = {"sym_name",  "function_type", "sym_visibility",
                                      "arg_attrs", "res_attrs",     NULL};
    mica_type type = mica_op_attr(op, "function_type")->type;
    mica_attr arg_dicts = mica_op_attr(op, "arg_attrs");
    mica_attr visibility = mica_op_attr(op, "sym_visibility");
    const mica_block *body = op->regions[0]->first;
    mica_strbuf_append(p->out, "func.func ");
    if (visibility) {
        mica_strbuf_printf(p->out, "%s ", visibility->text);
    }
    mica_print_symbol(p->out, mica_op_attr(op, "sym_name")->text);
    mica_strbuf_append(p->out, "(");
    if (body) {
        name_args(p, body);
    }
    for (size_t i = 0; i < type->n_inputs; i++) {
        mica_strbuf_append(p->out, i > 0 ? ", " : "");
        mica_attr dict = arg_dicts ? arg_dicts->items[i] : NULL;
        if (body) {
            print_arg(p, body->args[i], dict);
            continue;
        }
        mica_print_type(p->out, type->inputs[i]);
        if (dict) {
            mica_print_entries(p->out, " {", dict->entries, dict->count, NULL, "}");
        }
    }
    mica_strbuf_append(p->out, ")");
    print_func_results(p, type, mica_op_attr(op, "res_attrs"));
    mica_print_entries(p->out, " attributes {", op->attrs, op->n_attrs, own, "}");
    if (body) {
        mica_strbuf_append(p->out, " ");
        print_region(p, op->regions[0], true);
    }
}

static bool is_pretty_return(const mica_op *op) {
    return mica_op_is(op, "func.return") && op->n_results == 0 && op->n_regions == 0 && op->block &&
           op->block->region->parent && is_pretty_func(op->block->region->parent);
}

static void print_return(printer *p, const mica_op *op) {
    mica_strbuf_append(p->out, "return");
    mica_print_entries(p->out, " {", op->attrs, op->n_attrs, NULL, "}");
    if (op->n_operands == 0) {
        return;
    }
    mica_strbuf_append(p->out, " ");
    print_operands(p, op);
    for (uint32_t i = 0; i < op->n_operands; i++) {
        mica_strbuf_append(p->out, i > 0 ? ", " : " : ");
        mica_print_type(p->out, op->operands[i].value->type);
    }
}

/* --- generic form ----------------------------------------------------------------------------- */

static void print_signature(printer *p, const mica_op *op) {
    mica_strbuf_append(p->out, " : (");
    for (uint32_t i = 0; i < op->n_operands; i++) {
        mica_strbuf_append(p->out, i > 0 ? ", " : "");
        mica_print_type(p->out, op->operands[i].value->type);
    }
    mica_strbuf_append(p->out, ") -> ");
    bool bare = op->n_results == 1 && op->results[0].type->kind != MICA_TYPE_FUNCTION;
    mica_strbuf_append(p->out, bare ? "" : "(");
    for (uint32_t i = 0; i < op->n_results; i++) {
        mica_strbuf_append(p->out, i > 0 ? ", " : "");
        mica_print_type(p->out, op->results[i].type);
    }
    mica_strbuf_append(p->out, bare ? "" : ")");
}

static void print_generic(printer *p, const mica_op *op) {
    mica_print_string(p->out, op->name, strlen(op->name));
    mica_strbuf_append(p->out, "(");
    print_operands(p, op);
    mica_strbuf_append(p->out, ")");
    for (uint32_t i = 0; i < op->n_regions; i++) {
        mica_strbuf_append(p->out, i > 0 ? ", " : " (");
        print_region(p, op->regions[i], false);
    }
    mica_strbuf_append(p->out, op->n_regions > 0 ? ")" : "");
    mica_print_entries(p->out, " {", op->attrs, op->n_attrs, NULL, "}");
    print_signature(p, op);
}

static void print_results(printer *p, const mica_op *op) {
    if (op->n_results == 0) {
        return;
    }
    uint64_t number = p->next_result++;
    mica_ptr_map_set(&p->names, op, number);
    mica_strbuf_printf(p->out, "%%%llu", (unsigned long long)number);
    if (op->n_results > 1) {
        mica_strbuf_printf(p->out, ":%u", op->n_results);
    }
    mica_strbuf_append(p->out, " = ");
}

static void print_op(printer *p, const mica_op *op) {
    bool pretty = !(p->flags & MICA_PRINT_GENERIC);
    bool isolated = mica_op_is(op, "func.func") || mica_op_is(op, "builtin.module");
    print_results(p, op);
    uint64_t result = p->next_result;
    uint64_t arg = p->next_arg;
    if (isolated) {
        p->next_result = p->next_arg = 0;
    }
    if (pretty && is_pretty_module(op)) {
        print_module(p, op);
    } else if (pretty && is_pretty_func(op)) {
        print_func(p, op);
    } else if (pretty && is_pretty_return(op)) {
        print_return(p, op);
    } else {
        print_generic(p, op);
    }
    if (isolated) {
        p->next_result = result;
        p->next_arg = arg;
    }
    print_trailing_loc(p, op->loc);
}

void mica_print_with(mica_strbuf *out, const mica_op *op, unsigned flags) {
    printer p = {.out = out, .flags = flags};
    print_op(&p, op);
    mica_strbuf_append(out, "\n");
    mica_ptr_map_free(&p.names);
}

void mica_print(mica_strbuf *out, const mica_op *op) {
    mica_print_with(out, op, 0);
}

mica_status mica_print_file(mica_module *module, const char *path, mica_error *err) {
    mica_strbuf text = {0};
    mica_print(&text, module->op);
    mica_status status = mica_write_file_atomic(path, text.data, text.len, err);
    mica_strbuf_free(&text);
    return status;
}
