/* Rules from JSON, and the tensors and ops that they mean. */
#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "passes/calibration/settings_internal.h"
#include "passes/search/fp_forward.h"
#include "utils/strings.h"

typedef struct reader {
    mica_settings *settings;
    const char *path, *text;
    mica_module *module;
    const mica_processor *processor;
    mica_strbuf *problems;
    settings_tensors tensors;
    mica_map *modes; /* op -> rule that set its precision */
} reader;

typedef struct rule {
    json_t *json;
    size_t index;
    int line;
    const mica_method *method; /* NULL: not set */
    const mica_range *range;
    int bits;
    bool has_mode;
    mica_mode mode;
} rule;

static void tell(reader *r, int line, const char *format, ...) MICA_PRINTF(3, 4);

static void tell(reader *r, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mica_strbuf_printf(r->problems, "%s:%d: %s\n", r->path, line, text);
}

static int line_of(const reader *r, const rule *at, const char *key) {
    return mica_settings_line(r->text, at->index, key);
}

/* --- values ------------------------------------------------------------------------------------- */

static void read_method(reader *r, rule *at) {
    const json_t *value = json_object_get(at->json, "method");
    const json_t *percent = json_object_get(at->json, "percentile");
    char text[64] = {0};
    if (value != NULL && !json_is_string(value)) {
        tell(r, line_of(r, at, "method"), "method: expected a name");
        return;
    }
    if (percent != NULL) {
        const double p = json_number_value(percent);
        if (!json_is_number(percent) || !(p >= 50.0 && p <= 100.0)) {
            tell(r, line_of(r, at, "percentile"), "percentile: expected a number from 50 to 100");
            return;
        }
        if (value != NULL && strcmp(json_string_value(value), "percentile") != 0) {
            tell(r, line_of(r, at, "percentile"), "percentile has no effect with method '%s'",
                 json_string_value(value));
            return;
        }
    }
    if (value == NULL && percent == NULL) {
        return;
    }
    snprintf(text, sizeof text, "%s", value != NULL ? json_string_value(value) : "percentile");
    mica_method *method = mica_arena_alloc(r->settings->arena, sizeof *method);
    if (!mica_method_parse(text, method)) {
        size_t n = 0;
        const char *const *names = mica_method_names(&n);
        const char *nearest = mica_nearest(text, names, n);
        tell(r, line_of(r, at, "method"), "unknown method '%s'%s%s", text, nearest != NULL ? "; nearest is " : "",
             nearest != NULL ? nearest : "");
        return;
    }
    if (percent != NULL) {
        method->settings.percentile = json_number_value(percent);
    }
    at->method = method;
}

static void read_range(reader *r, rule *at) {
    const json_t *value = json_object_get(at->json, "range");
    if (value == NULL) {
        return;
    }
    const int line = line_of(r, at, "range");
    const json_t *low = json_array_get(value, 0);
    const json_t *high = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_number(low) || !json_is_number(high)) {
        tell(r, line, "range: expected [least, largest]");
        return;
    }
    const double min = json_number_value(low);
    const double max = json_number_value(high);
    const double t = fmax(fabs(min), fabs(max));
    if (!(min <= max) || !(t >= MICA_MIN_THRESHOLD && t <= 1e30)) {
        tell(r, line, "range [%g, %g]: expected least <= largest, and one of them from %g to 1e30 in magnitude", min,
             max, MICA_MIN_THRESHOLD);
        return;
    }
    if (at->method != NULL) {
        tell(r, line, "range and method exclude each other");
        return;
    }
    mica_range *range = mica_arena_alloc(r->settings->arena, sizeof *range);
    *range = (mica_range){t, min, max};
    at->range = range;
}

static void read_bits(reader *r, rule *at) {
    const json_t *value = json_object_get(at->json, "bits");
    if (value == NULL) {
        return;
    }
    const json_int_t bits = json_integer_value(value);
    if (bits != 4 && bits != 8 && bits != 16) {
        tell(r, line_of(r, at, "bits"), "bits: expected 4, 8 or 16");
        return;
    }
    at->bits = (int)bits;
}

static void read_precision(reader *r, rule *at) {
    const json_t *value = json_object_get(at->json, "precision");
    if (value == NULL) {
        return;
    }
    const int line = line_of(r, at, "precision");
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    if (!mica_mode_find(text, &at->mode)) {
        size_t n = 0;
        const char *const *names = mica_mode_names(&n);
        const char *nearest = mica_nearest(text, names, n);
        tell(r, line, "unknown precision '%s'%s%s", text, nearest != NULL ? "; nearest is " : "",
             nearest != NULL ? nearest : "");
    } else if (!mica_processor_has_mode(r->processor, at->mode)) {
        tell(r, line, "processor %s has no %s; nearest is %s", r->processor->name, mica_mode_name(at->mode),
             mica_mode_name(mica_processor_nearest_mode(r->processor, at->mode)));
    } else {
        at->has_mode = true;
    }
}

/* --- selectors ---------------------------------------------------------------------------------- */

/* A name or an array of names; NULL past the end. */
static const char *name_at(const json_t *value, size_t i) {
    if (json_is_string(value)) {
        return i == 0 ? json_string_value(value) : NULL;
    }
    return json_string_value(json_array_get(value, i));
}

static bool are_names(reader *r, int line, const char *key, const json_t *value) {
    bool good = json_is_string(value) || json_array_size(value) > 0;
    for (size_t i = 0; i < json_array_size(value); ++i) {
        good = good && json_is_string(json_array_get(value, i));
    }
    if (!good) {
        tell(r, line, "%s: expected a name or an array of names", key);
    }
    return good;
}

static bool is_pattern(const char *name) { return strpbrk(name, "*?") != NULL; }

static bool fits(const char *pattern, const char *name) {
    return strcmp(pattern, name) == 0 || (is_pattern(pattern) && fnmatch(pattern, name, 0) == 0);
}

static void tell_unknown(reader *r, int line, const char *key, const char *name, bool types) {
    MICA_VEC(const char *) known = {0};
    for (size_t i = 0; i < r->tensors.len; ++i) {
        const char *type = r->tensors.data[i].op->name;
        mica_vec_push(&known, types ? (mica_starts_with(type, "top.") ? type + 4 : type)
                                    : r->tensors.data[i].name);
    }
    const char *nearest = is_pattern(name) ? NULL : mica_nearest(name, known.data, known.len);
    tell(r, line, "%s '%s' fits nothing in the model%s%s%s", key, name, nearest != NULL ? "; nearest is '" : "",
         nearest != NULL ? nearest : "", nearest != NULL ? "'" : "");
    mica_vec_free(&known);
}

/* Leaves in `chosen` the tensors that a name of the list fits; `not`: takes those away. */
static void select_by(reader *r, const rule *at, const char *key, bool *chosen, bool not) {
    const json_t *value = json_object_get(at->json, key);
    const bool types = strcmp(key, "type") == 0;
    const int line = line_of(r, at, key);
    if (value == NULL || !are_names(r, line, key, value)) {
        return;
    }
    bool *hit = mica_alloc(r->tensors.len + 1);
    for (size_t k = 0; name_at(value, k) != NULL; ++k) {
        const char *name = name_at(value, k);
        bool any = false;
        for (size_t i = 0; i < r->tensors.len; ++i) {
            const settings_tensor *t = &r->tensors.data[i];
            const bool here = types ? fits(name, t->op->name) || (mica_starts_with(t->op->name, "top.") &&
                                                                  fits(name, t->op->name + 4))
                                    : fits(name, t->name);
            hit[i] = hit[i] || here;
            any = any || here;
        }
        if (!any) {
            tell_unknown(r, line, key, name, types);
        }
    }
    for (size_t i = 0; i < r->tensors.len; ++i) {
        chosen[i] = chosen[i] && hit[i] != not;
    }
    mica_free(hit);
}

/* Ops on a path from an edge of "from" to one of "to": what reads the first, up to what writes the other. */
static void select_between(reader *r, const rule *at, bool *chosen) {
    const json_t *value = json_object_get(at->json, "between");
    if (value == NULL) {
        return;
    }
    const int line = line_of(r, at, "between");
    const json_t *from = json_object_get(value, "from");
    const json_t *to = json_object_get(value, "to");
    if (json_object_size(value) != 2 || !json_is_string(from) || !json_is_string(to)) {
        tell(r, line, "between: expected {\"from\": name, \"to\": name}");
        return;
    }
    const bool *marks = NULL;
    mica_error error = {0};
    if (mica_fp_path(r->module, "between", json_string_value(from), json_string_value(to), &marks, &error) !=
        MICA_OK) {
        tell(r, line, "%s", error.text);
        return;
    }
    for (size_t i = 0; i < r->tensors.len; ++i) {
        const settings_tensor *t = &r->tensors.data[i];
        chosen[i] = chosen[i] && marks[t->op->order] && strcmp(t->name, json_string_value(from)) != 0;
    }
}

/* --- application -------------------------------------------------------------------------------- */

/* A rule names the tensor itself, not by a pattern or a region. */
static bool names_exactly(const rule *at, const char *tensor) {
    const json_t *value = json_object_get(at->json, "name");
    for (size_t i = 0; value != NULL && name_at(value, i) != NULL; ++i) {
        if (strcmp(name_at(value, i), tensor) == 0) {
            return true;
        }
    }
    return false;
}

/* One line for each pair of rules, however many tensors they share. */
typedef struct overlap {
    int line, count;
    const char *what, *first;
} overlap;

typedef MICA_VEC(overlap) overlaps;

static void add_overlap(overlaps *list, int line, const char *what, const char *name) {
    for (size_t i = 0; i < list->len; ++i) {
        if (list->data[i].line == line && strcmp(list->data[i].what, what) == 0) {
            list->data[i].count += 1;
            return;
        }
    }
    mica_vec_push(list, (overlap){line, 1, what, name});
}

static void apply_to(reader *r, const rule *at, settings_tensor *t, overlaps *clashes) {
    if (at->method != NULL || at->range != NULL) {
        if (t->range_rule != 0) {
            add_overlap(clashes, t->range_rule, "range", t->name);
        }
        t->range_rule = at->line;
        mica_tensor_choice *choice = mica_settings_make(r->settings, t->name);
        choice->method = at->method;
        choice->range = at->range;
        choice->border_too = names_exactly(at, t->name);
    }
    if (at->bits != 0) {
        if (t->bits_rule != 0) {
            add_overlap(clashes, t->bits_rule, "bits", t->name);
        }
        t->bits_rule = at->line;
        mica_settings_make(r->settings, t->name)->bits = at->bits;
    }
    if (at->has_mode && !mica_op_is(t->op, "top.Input")) {
        const char *op = mica_loc_get_name_at(t->op->loc, 0);
        const rule *before = mica_map_get(r->modes, op);
        if (before != NULL && before != at) {
            add_overlap(clashes, before->line, "precision", op);
        }
        mica_map_set(r->modes, op, (void *)(uintptr_t)at);
        mica_qtable_set(r->settings->precisions, op, at->mode);
    }
}

static void apply(reader *r, const rule *at) {
    bool *chosen = mica_alloc(r->tensors.len + 1);
    memset(chosen, true, r->tensors.len);
    const size_t before = r->problems->len;
    select_by(r, at, "name", chosen, false);
    select_by(r, at, "type", chosen, false);
    select_by(r, at, "except", chosen, true);
    select_between(r, at, chosen);
    size_t count = 0;
    overlaps clashes = {0};
    for (size_t i = 0; i < r->tensors.len; ++i) {
        if (chosen[i]) {
            apply_to(r, at, &r->tensors.data[i], &clashes);
            ++count;
        }
    }
    if (count == 0 && r->problems->len == before) {
        tell(r, at->line, "the selectors of the rule fit nothing together");
    }
    for (size_t i = 0; i < clashes.len && r->problems->len == before; ++i) {
        const overlap *o = &clashes.data[i];
        tell(r, at->line, "the rule of line %d sets the %s of %d tensor(s), too, the first is '%s'", o->line, o->what,
             o->count, o->first);
    }
    mica_vec_free(&clashes);
    mica_free(chosen);
}

static bool is_one_of(const char *key, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        if (strcmp(list[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void read_rule(reader *r, rule *at) {
    static const char *const keys[] = {"name",   "type",       "between", "except",   "method",
                                       "percentile", "range",  "bits",    "precision", "comment"};
    enum { KEYS = sizeof keys / sizeof keys[0] };
    at->line = line_of(r, at, NULL);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(at->json, key, value) {
        if (!is_one_of(key, keys, KEYS)) {
            const char *nearest = mica_nearest(key, keys, KEYS);
            tell(r, line_of(r, at, key), "unknown key '%s'%s%s", key, nearest != NULL ? "; nearest is " : "",
                 nearest != NULL ? nearest : "");
        }
    }
    const size_t before = r->problems->len;
    read_method(r, at);
    read_range(r, at);
    read_bits(r, at);
    read_precision(r, at);
    const bool selects = json_object_get(at->json, "name") != NULL || json_object_get(at->json, "type") != NULL ||
                         json_object_get(at->json, "between") != NULL;
    if (!selects) {
        tell(r, at->line, "the rule selects nothing: expected name, type or between");
        return;
    }
    if (at->method == NULL && at->range == NULL && at->bits == 0 && !at->has_mode &&
        r->problems->len == before) {
        tell(r, at->line, "the rule sets nothing: expected method, percentile, range, bits or precision");
    }
    apply(r, at);
}

mica_status mica_settings_read(mica_settings *settings, const char *path, mica_module *module,
                               const mica_processor *processor, mica_strbuf *problems, mica_error *err) {
    char *text = NULL;
    json_t *root = mica_settings_load(path, &text, err);
    if (root == NULL) {
        return MICA_FAIL;
    }
    reader r = {.settings = settings, .path = path, .text = text, .module = module,
                .processor = processor, .problems = problems, .modes = mica_map_create()};
    json_t *list = json_object_get(root, "rules");
    if (!json_is_array(list) || json_object_size(root) != 1) {
        tell(&r, 1, "expected {\"rules\": [...]} and nothing else");
    }
    mica_settings_tensors(module, &r.tensors);
    const size_t n = json_array_size(list);
    rule *rules = mica_alloc((n + 1) * sizeof *rules);
    size_t objects = 0;
    for (size_t i = 0; i < n; ++i) {
        rules[i] = (rule){.json = json_array_get(list, i), .index = objects};
        if (json_is_object(rules[i].json)) {
            ++objects;
            read_rule(&r, &rules[i]);
        } else {
            tell(&r, 1, "rule %zu is no object", i + 1);
        }
    }
    mica_free(rules);
    mica_vec_free(&r.tensors);
    mica_map_destroy(r.modes);
    json_decref(root);
    mica_free(text);
    return problems->len == 0 ? MICA_OK : mica_fail(err, "%s: the settings cannot be used", path);
}
