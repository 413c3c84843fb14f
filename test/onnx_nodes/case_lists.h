/* Which cases must pass and which are left out, by the lists beside the runner. */
#ifndef MICA_TEST_ONNX_NODES_CASE_LISTS_H
#define MICA_TEST_ONNX_NODES_CASE_LISTS_H

#include "utils/arena.h"
#include "utils/map.h"

/* A line of the list of what is left out: "name reason", or "beginning* reason". */
typedef struct case_rule {
    const char *name, *reason;
    bool prefix;
    size_t count; /* cases that it named */
} case_rule;

typedef struct case_lists {
    mica_arena *arena;
    mica_map *required; /* names that must still pass */
    mica_map *listed;   /* all names that are required */
    case_rule *rules;
    size_t n_rules;
    size_t wrong; /* cases that the lists do not describe */
} case_lists;

case_lists case_lists_create(void);
void case_lists_destroy(case_lists *lists);

/* One name per line; empty lines and comments ('#') are skipped. False after a message. */
bool case_lists_read_required(case_lists *lists, const char *path);
bool case_lists_read_excluded(case_lists *lists, const char *path);
void case_lists_require(case_lists *lists, const char *name);

/* The rule that leaves a case out, or NULL. */
case_rule *case_lists_rule(const case_lists *lists, const char *name);
/* Tells how a case ended. When something is left out, both lists together must name every case, and
 * one that is left out must not pass. */
void case_lists_result(case_lists *lists, const char *name, bool passed);
/* Prints what is left out and what is wrong; true when nothing is. `all`: every case was run. */
bool case_lists_report(case_lists *lists, bool all);

#endif
