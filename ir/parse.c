/* Whole texts and files. */
#include "ir/text.h"

#include "ir/context_impl.h"
#include "ir/op_impl.h"
#include "ir/parser.h"
#include "ir/verify.h"
#include "ir/weights.h"
#include "utils/file.h"
#include "utils/strings.h"

#include <string.h>

/* Largest text that is read: a model's text is a few megabytes. */
#define MAX_TEXT_BYTES ((size_t)1 << 30)

static bool parse_top_level(mica_parser *parser, mica_block *body) {
    while (parser->token.kind != MICA_TOK_EOF) {
        bool alias = parser->token.kind == MICA_TOK_HASH || parser->token.kind == MICA_TOK_BANG;
        if (alias ? !mica_parser_alias_definition(parser) : !mica_parser_op(parser, body)) {
            return false;
        }
    }
    return true;
}

/* A text that holds one module is that module; anything else is inside an implicit one. */
static void unwrap(mica_module *module) {
    mica_op *first = mica_module_body(module)->first;
    if (first && !first->next && mica_op_is(first, "builtin.module")) {
        mica_op_detach(first);
        module->op = first;
    }
}

static bool has_source(const mica_context *context, const char *file, const char *text) {
    const mica_source *source = mica_find_source(context, file);
    return source && source->text == text;
}

mica_module *mica_parse(mica_context *context, const char *text, size_t length, const char *file) {
    bool known = has_source(context, file, text);
    if (!known) {
        mica_register_source(context, file, text, length);
    }
    mica_parser parser;
    mica_parser_init(&parser, context, text, length, file);
    mica_module *module = mica_module_create(context, mica_loc_file(context, file, 0, 0));
    parser.module = module;
    mica_scope scope = mica_parser_push_scope(&parser, true);
    if (parse_top_level(&parser, mica_module_body(module))) {
        mica_parser_pop_scope(&parser, scope);
        unwrap(module);
    } else {
        mica_module_destroy(module);
        module = NULL;
    }
    mica_parser_deinit(&parser);
    if (!known) {
        mica_forget_source(context, file);
    }
    return module;
}

static mica_status load_weights(mica_module *module, const char *path) {
    mica_context *context = module->context;
    mica_attr file = mica_op_attr(module->op, "module.weight_file");
    if (!file) {
        return MICA_OK;
    }
    if (file->kind != MICA_ATTR_STRING) {
        return mica_emit_error(context, module->op->loc,
                               "module.weight_file must be a string, got %s",
                               mica_attr_text(file));
    }
    mica_error err = {0};
    const char *folder = mica_path_dir(module->arena, path);
    const char *full = mica_path_join(module->arena, folder, file->text);
    if (mica_weights_load(module->weights, full, &err) != MICA_OK) {
        return mica_emit_error(context, module->op->loc, "%s", err.text);
    }
    return MICA_OK;
}

mica_module *mica_parse_file(mica_context *context, const char *path, bool with_weights) {
    char *text = NULL;
    size_t length = 0;
    mica_error err = {0};
    if (mica_read_file(path, MAX_TEXT_BYTES, &text, &length, &err) != MICA_OK) {
        mica_emit_error(context, mica_loc_unknown(context), "%s", err.text);
        return NULL;
    }
    mica_take_source(context, path, text, length);
    mica_module *module = mica_parse(context, text, length, path);
    if (!module) {
        return NULL;
    }
    if ((with_weights && load_weights(module, path) != MICA_OK) ||
        mica_verify(module) != MICA_OK) {
        mica_module_destroy(module);
        return NULL;
    }
    return module;
}
