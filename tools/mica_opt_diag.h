/* Expected diagnostics in comments of a text: what mica-opt --verify-diagnostics checks.
 *
 *     // expected-error@+1 {{part of the message}}
 *
 * Kinds: expected-error, -warning, -note, -remark. Lines: @+N, @-N (relative), @below, @above,
 * @N (absolute), none (this line). Each expectation must match one diagnostic and each diagnostic
 * one expectation. */
#ifndef MICA_TOOLS_OPT_DIAG_H
#define MICA_TOOLS_OPT_DIAG_H

#include "ir/context.h"

typedef struct mica_opt_expectations mica_opt_expectations;

/* Reads the comments of a text; `first_line` is the number of its first line. */
mica_opt_expectations *mica_opt_expect(const char *text, size_t length, int first_line);
void mica_opt_expect_destroy(mica_opt_expectations *expected);
/* A handler for mica_set_diag_handler; user is the mica_opt_expectations. */
void mica_opt_expect_handler(void *user, mica_severity severity, mica_loc loc, const char *text);
/* Prints what did not match to stderr; returns how many. */
size_t mica_opt_expect_finish(const mica_opt_expectations *expected, const char *file);

#endif
