/* The store of choices, and what both readers need. */
#include "passes/calibration/settings.h"

#include <string.h>

#include "ir/builder.h"
#include "passes/calibration/settings_internal.h"
#include "utils/file.h"

mica_settings *mica_settings_create(void) {
    mica_settings *s = mica_alloc(sizeof *s);
    s->arena = mica_arena_create();
    s->choices = mica_map_create();
    s->precisions = mica_qtable_create();
    return s;
}

void mica_settings_destroy(mica_settings *settings) {
    if (settings != NULL) {
        mica_map_destroy(settings->choices);
        mica_qtable_destroy(settings->precisions);
        mica_arena_destroy(settings->arena);
        mica_free(settings);
    }
}

const mica_tensor_choice *mica_settings_get(const mica_settings *settings, const char *tensor) {
    return settings != NULL ? mica_map_get(settings->choices, tensor) : NULL;
}

mica_tensor_choice *mica_settings_make(mica_settings *settings, const char *tensor) {
    mica_tensor_choice *choice = mica_map_get(settings->choices, tensor);
    if (choice == NULL) {
        choice = mica_arena_alloc(settings->arena, sizeof *choice);
        mica_map_set(settings->choices, tensor, choice);
    }
    return choice;
}

mica_arena *mica_settings_arena(mica_settings *settings) { return settings->arena; }

const mica_qtable *mica_settings_precisions(const mica_settings *settings) { return settings->precisions; }

json_t *mica_settings_load(const char *path, char **out_text, mica_error *err) {
    enum { MOST_BYTES = 64 << 20 };
    size_t length = 0;
    *out_text = NULL;
    if (mica_read_file(path, MOST_BYTES, out_text, &length, err) != MICA_OK) {
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadb(*out_text, length, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        (void)!mica_fail(err, "%s:%d: %s", path, error.line, error.text);
        mica_free(*out_text);
        *out_text = NULL;
    }
    return root;
}

static bool is_border(const mica_value *value) {
    for (const mica_use *use = value->first_use; use != NULL; use = use->next) {
        if (mica_op_is(use->user, "func.return")) {
            return true;
        }
    }
    return mica_op_is(value->def, "top.Input");
}

void mica_settings_tensors(mica_module *module, settings_tensors *out) {
    for (mica_op *op = mica_func_body(mica_module_func(module, "main"))->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; ++i) {
            const mica_value *value = &op->results[i];
            const mica_type element = mica_type_element(value->type);
            if (!mica_op_has_trait(op, MICA_IS_CONSTANT) && mica_type_is_float(element, MICA_F32)) {
                mica_vec_push(out, (settings_tensor){.name = mica_value_name(value), .op = op,
                                                     .is_border = is_border(value)});
            }
        }
    }
}

/* --- lines -------------------------------------------------------------------------------------- */

/* End of the string that begins at text[i] == '"'. */
static size_t string_end(const char *text, size_t i) {
    for (++i; text[i] != '\0' && text[i] != '"'; ++i) {
        i += text[i] == '\\' && text[i + 1] != '\0';
    }
    return i;
}

static bool is_key(const char *text, size_t end) {
    for (++end; text[end] == ' ' || text[end] == '\t' || text[end] == '\n' || text[end] == '\r'; ++end) {
    }
    return text[end] == ':';
}

int mica_settings_line(const char *text, size_t rule, const char *key) {
    enum { RULE_DEPTH = 3 };
    int depth = 0;
    int line = 1;
    size_t rules = 0;
    for (size_t i = 0; text[i] != '\0'; ++i) {
        const char c = text[i];
        line += c == '\n';
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (c == '{' && depth == RULE_DEPTH && rules++ == rule && key == NULL) {
            return line;
        }
        if (c == '"') {
            const size_t end = string_end(text, i);
            if (key != NULL && depth == RULE_DEPTH && rules == rule + 1 && end - i - 1 == strlen(key) &&
                strncmp(text + i + 1, key, end - i - 1) == 0 && is_key(text, end)) {
                return line;
            }
            i = end;
        }
        if (text[i] == '\0') {
            break;
        }
    }
    return 0;
}
