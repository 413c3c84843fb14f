#include "tools/mica_opt_diag.h"

#include "ir/location.h"
#include "utils/vec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct expectation {
    mica_severity severity;
    int line;
    const char *text; /* in the source */
    int length;
    bool matched;
} expectation;

struct mica_opt_expectations {
    MICA_VEC(expectation) list;
    MICA_VEC(char *) unexpected; /* finished messages */
};

static const char *const kinds[] = {
    [MICA_ERROR] = "error",
    [MICA_WARNING] = "warning",
    [MICA_NOTE] = "note",
    [MICA_REMARK] = "remark",
};

static const char *find(const char *p, const char *end, const char *word) {
    return memmem(p, (size_t)(end - p), word, strlen(word));
}

static bool skip_word(const char **p, const char *end, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(end - *p) < length || memcmp(*p, word, length) != 0) {
        return false;
    }
    *p += length;
    return true;
}

/* "@+1", "@below", "@7" or nothing; moves past it. */
static int read_line(const char **p, const char *end, int line) {
    if (!skip_word(p, end, "@")) {
        return line;
    }
    if (skip_word(p, end, "below")) {
        return line + 1;
    }
    if (skip_word(p, end, "above")) {
        return line - 1;
    }
    int sign = skip_word(p, end, "+") ? 1 : skip_word(p, end, "-") ? -1 : 0;
    int number = 0;
    while (*p < end && **p >= '0' && **p <= '9' && number < 1000000) {
        number = number * 10 + (*(*p)++ - '0');
    }
    return sign == 0 ? number : line + sign * number;
}

/* All expectations in one line. */
static void read_comments(mica_opt_expectations *expected, const char *p, const char *end,
                          int line) {
    while ((p = find(p, end, "expected-"))) {
        p += strlen("expected-");
        for (size_t k = 0; k < MICA_COUNT(kinds); k++) {
            const char *q = p;
            if (!skip_word(&q, end, kinds[k])) {
                continue;
            }
            int at = read_line(&q, end, line);
            const char *open = find(q, end, "{{");
            const char *close = open ? find(open, end, "}}") : NULL;
            if (close) {
                expectation one = {(mica_severity)k, at, open + 2, (int)(close - open - 2), false};
                mica_vec_push(&expected->list, one);
                p = close;
            }
            break;
        }
    }
}

mica_opt_expectations *mica_opt_expect(const char *text, size_t length, int first_line) {
    mica_opt_expectations *expected = mica_alloc(sizeof *expected);
    const char *end = text + length;
    for (const char *p = text; p < end; first_line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        const char *comment = find(p, stop, "//");
        if (comment) {
            read_comments(expected, comment, stop, first_line);
        }
        p = stop + 1;
    }
    return expected;
}

void mica_opt_expect_destroy(mica_opt_expectations *expected) {
    for (size_t i = 0; i < expected->unexpected.len; i++) {
        mica_free(expected->unexpected.data[i]);
    }
    mica_vec_free(&expected->unexpected);
    mica_vec_free(&expected->list);
    mica_free(expected);
}

void mica_opt_expect_handler(void *user, mica_severity severity, mica_loc loc, const char *text) {
    mica_opt_expectations *expected = user;
    const char *file = "";
    int line = 0;
    int column = 0;
    if (loc) {
        mica_loc_find_place(loc, &file, &line, &column);
    }
    for (size_t i = 0; i < expected->list.len; i++) {
        expectation *one = &expected->list.data[i];
        if (!one->matched && one->severity == severity && one->line == line &&
            memmem(text, strlen(text), one->text, (size_t)one->length)) {
            one->matched = true;
            return;
        }
    }
    char message[2304];
    snprintf(message, sizeof message, "%s:%d:%d: unexpected %s: %s", file, line, column,
             kinds[severity], text);
    mica_vec_push(&expected->unexpected, mica_strdup(message));
}

size_t mica_opt_expect_finish(const mica_opt_expectations *expected, const char *file) {
    size_t problems = expected->unexpected.len;
    for (size_t i = 0; i < expected->unexpected.len; i++) {
        fprintf(stderr, "%s\n", expected->unexpected.data[i]);
    }
    for (size_t i = 0; i < expected->list.len; i++) {
        const expectation *one = &expected->list.data[i];
        if (!one->matched) {
            fprintf(stderr, "%s:%d: expected %s was not produced: %.*s\n", file, one->line,
                    kinds[one->severity], one->length, one->text);
            problems++;
        }
    }
    return problems;
}
