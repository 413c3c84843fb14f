#include "test/onnx_nodes/case_lists.h"

#include "utils/file.h"
#include "utils/strings.h"

#include <stdio.h>
#include <string.h>

case_lists case_lists_create(void) {
    return (case_lists){.arena = mica_arena_create(), .required = mica_map_create(),
                        .listed = mica_map_create()};
}

void case_lists_destroy(case_lists *lists) {
    mica_map_destroy(lists->required);
    mica_map_destroy(lists->listed);
    mica_arena_destroy(lists->arena);
}

static char **read_lines(case_lists *lists, const char *path, size_t *out_count) {
    mica_error err = {0};
    char *text = NULL;
    size_t n = 0;
    *out_count = 0;
    if (mica_read_file(path, (size_t)1 << 24, &text, NULL, &err) != MICA_OK) {
        fprintf(stderr, "onnx_nodes: %s\n", err.text);
        return NULL;
    }
    char **lines = mica_split(lists->arena, text, '\n', &n);
    mica_free(text);
    for (size_t i = 0; i < n; i++) {
        if (lines[i][0] != '\0' && lines[i][0] != '#') {
            lines[(*out_count)++] = lines[i];
        }
    }
    return lines;
}

void case_lists_require(case_lists *lists, const char *name) {
    mica_map_set(lists->required, name, NULL);
    mica_map_set(lists->listed, name, NULL);
}

bool case_lists_read_required(case_lists *lists, const char *path) {
    size_t n = 0;
    char **lines = read_lines(lists, path, &n);
    for (size_t i = 0; i < n; i++) {
        case_lists_require(lists, lines[i]);
    }
    return lines != NULL;
}

bool case_lists_read_excluded(case_lists *lists, const char *path) {
    char **lines = read_lines(lists, path, &lists->n_rules);
    lists->rules = mica_arena_array(lists->arena, lists->n_rules, sizeof *lists->rules);
    for (size_t i = 0; i < lists->n_rules; i++) {
        const size_t length = strcspn(lines[i], " ");
        const bool prefix = length > 0 && lines[i][length - 1] == '*';
        lists->rules[i] = (case_rule){
            .name = mica_arena_strndup(lists->arena, lines[i], length - prefix),
            .reason = lines[i] + length + strspn(lines[i] + length, " "), .prefix = prefix};
    }
    return lines != NULL;
}

case_rule *case_lists_rule(const case_lists *lists, const char *name) {
    for (size_t i = 0; i < lists->n_rules; i++) {
        const case_rule *rule = &lists->rules[i];
        if (rule->prefix ? mica_starts_with(name, rule->name) : strcmp(name, rule->name) == 0) {
            return &lists->rules[i];
        }
    }
    return NULL;
}

static void wrong(case_lists *lists, const char *name, const char *why) {
    lists->wrong++;
    printf("wrong list: %s %s\n", name, why);
}

void case_lists_result(case_lists *lists, const char *name, bool passed) {
    case_rule *rule = case_lists_rule(lists, name);
    const bool listed = mica_map_has(lists->listed, name);
    if (passed) {
        mica_map_remove(lists->required, name);
    }
    if (rule != NULL) {
        rule->count++;
        if (listed || passed) {
            wrong(lists, name, listed ? "is required and left out" : "is left out, but passes");
        }
    } else if (lists->n_rules > 0 && !listed) {
        wrong(lists, name, "is neither required nor left out");
    }
}

bool case_lists_report(case_lists *lists, bool all) {
    const char *name = NULL;
    for (size_t i = 0; i < lists->n_rules; i++) {
        const case_rule *rule = &lists->rules[i];
        printf("left out: %zu %s%s: %s\n", rule->count, rule->name, rule->prefix ? "*" : "",
               rule->reason);
        if (rule->reason[0] == '\0' || (rule->count == 0 && all)) {
            wrong(lists, rule->name, "is left out, but has no case or no reason");
        }
    }
    for (size_t i = 0; mica_map_at(lists->required, i, &name, NULL); i++) {
        printf("required case failed or is missing: %s\n", name);
    }
    return mica_map_count(lists->required) == 0 && lists->wrong == 0;
}
