/* Text of pipelines: name{key=value key="a b"},name,... optionally inside builtin.module(...). */
#include "ir/pass_impl.h"

#include "utils/strings.h"

#include <string.h>

typedef struct reader {
    mica_pass_manager *manager;
    const char *p;
    mica_error *err;
} reader;

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(reader *r) {
    while (is_space(*r->p)) {
        r->p++;
    }
}

static bool take(reader *r, char c) {
    skip_space(r);
    if (*r->p != c) {
        return false;
    }
    r->p++;
    return true;
}

/* Text up to one of the characters in `stop` or white space. */
static const char *read_word(reader *r, const char *stop) {
    skip_space(r);
    const char *start = r->p;
    while (*r->p && !is_space(*r->p) && !strchr(stop, *r->p)) {
        r->p++;
    }
    return mica_arena_strndup(r->manager->arena, start, (size_t)(r->p - start));
}

/* A value may be in single or double quotes, or be balanced with {} or []. */
static mica_status read_value(reader *r, const char **out) {
    char quote = *r->p;
    if (quote == '"' || quote == '\'') {
        const char *end = strchr(r->p + 1, quote);
        if (!end) {
            return mica_fail(r->err, "value in pipeline lacks its closing %c", quote);
        }
        *out = mica_arena_strndup(r->manager->arena, r->p + 1, (size_t)(end - r->p - 1));
        r->p = end + 1;
        return MICA_OK;
    }
    const char *start = r->p;
    int depth = 0;
    for (; *r->p && !(depth == 0 && (is_space(*r->p) || *r->p == '}')); r->p++) {
        depth += *r->p == '{' || *r->p == '[';
        depth -= *r->p == '}' || *r->p == ']';
    }
    *out = mica_arena_strndup(r->manager->arena, start, (size_t)(r->p - start));
    return MICA_OK;
}

static mica_status unknown(reader *r, const char *what, const char *word,
                           const char *const *names, size_t count) {
    const char *nearest = mica_nearest(word, names, count);
    if (nearest) {
        return mica_fail(r->err, "unknown %s '%s'; did you mean '%s'?", what, word, nearest);
    }
    return mica_fail(r->err, "unknown %s '%s'", what, word);
}

static mica_status find_pass(reader *r, const char *name, const mica_pass_info **out) {
    const mica_pass_manager *manager = r->manager;
    const char **names = mica_arena_array(manager->arena, manager->count, sizeof *names);
    for (size_t i = 0; i < manager->count; i++) {
        if (strcmp(manager->table[i].name, name) == 0) {
            *out = &manager->table[i];
            return MICA_OK;
        }
        names[i] = manager->table[i].name;
    }
    return unknown(r, "pass", name, names, manager->count);
}

static mica_status set_option(reader *r, mica_pass_options *step, const char *key,
                              const char *value) {
    const mica_pass_info *info = step->info;
    const char **names = mica_arena_array(r->manager->arena, info->n_options, sizeof *names);
    for (size_t i = 0; i < info->n_options; i++) {
        if (strcmp(info->options[i].key, key) == 0) {
            step->values[i] = value;
            return MICA_OK;
        }
        names[i] = info->options[i].key;
    }
    const char *what = mica_arena_printf(r->manager->arena, "option of pass '%s':", info->name);
    return unknown(r, what, key, names, info->n_options);
}

static mica_status read_options(reader *r, mica_pass_options *step) {
    if (!take(r, '{')) {
        return MICA_OK;
    }
    while (!take(r, '}')) {
        const char *key = read_word(r, "={},");
        if (!*key) {
            return mica_fail(r->err, "expected an option or '}' of pass '%s' at '%.40s'",
                             step->info->name, r->p);
        }
        const char *value = "true";
        if (*r->p == '=') {
            r->p++;
            MICA_TRY(read_value(r, &value));
        }
        MICA_TRY(set_option(r, step, key, value));
    }
    return MICA_OK;
}

static mica_status read_step(reader *r) {
    const char *name = read_word(r, "{},()");
    mica_pass_options step = {0};
    if (!*name) {
        return mica_fail(r->err, "expected the name of a pass at '%.40s'", r->p);
    }
    MICA_TRY(find_pass(r, name, &step.info));
    step.values = mica_arena_array(r->manager->arena, step.info->n_options, sizeof *step.values);
    for (size_t i = 0; i < step.info->n_options; i++) {
        step.values[i] = step.info->options[i].fallback;
    }
    MICA_TRY(read_options(r, &step));
    mica_vec_push(&r->manager->steps, step);
    return MICA_OK;
}

static mica_status read_steps(reader *r) {
    do {
        MICA_TRY(read_step(r));
    } while (take(r, ','));
    return MICA_OK;
}

mica_status mica_pass_manager_add(mica_pass_manager *manager, const char *pipeline,
                                  mica_error *err) {
    static const char anchor[] = "builtin.module(";
    reader r = {.manager = manager, .p = pipeline, .err = err};
    skip_space(&r);
    bool anchored = strncmp(r.p, anchor, strlen(anchor)) == 0;
    if (anchored) {
        r.p += strlen(anchor);
    }
    skip_space(&r);
    if (*r.p && !(anchored && *r.p == ')')) {
        MICA_TRY(read_steps(&r));
    }
    if (anchored && !take(&r, ')')) {
        return mica_fail(err, "pipeline lacks the closing ')' of builtin.module(");
    }
    skip_space(&r);
    if (*r.p) {
        return mica_fail(err, "unexpected text '%.40s' in pipeline", r.p);
    }
    return MICA_OK;
}
