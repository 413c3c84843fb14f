/* Every rewrite pattern of the top dialect: that it fires, what it leaves, that the network computes the
 * same; and the cases in which it must not fire. */
#include "test/unit/check_main.h"
#include "test/unit/graph_case.h"

#include "passes/top/patterns.h"
#include "utils/compiler.h"

typedef struct pattern_case {
    const char *pattern; /* the one that is watched */
    int fires;           /* how often, with all other patterns switched off; -1: at least once */
    const char *left;    /* an op that must be there afterwards, "!top.X": that must not; or NULL */
    const char *text;
} pattern_case;

enum { MAX_PATTERNS = 512 };

static const pattern_case cases[] = {
#include "test/unit/pattern_cases.def"
#include "test/unit/pattern_cases_parts.def"
#include "test/unit/pattern_cases_attention.def"
};

static size_t find_pattern(const mica_pattern *patterns, size_t count, const char *name) {
    for (size_t i = 0; i < count; ++i) {
        if (strcmp(patterns[i].name, name) == 0) {
            return i;
        }
    }
    ck_abort_msg("no pattern is called %s", name);
    return 0;
}

static bool has_op(mica_module *module, const char *name) {
    for (mica_op *op = mica_func_body(mica_module_func(module, "main"))->first; op != NULL; op = op->next) {
        if (mica_op_is(op, name)) {
            return true;
        }
    }
    return false;
}

static void compare(graph *g, mica_module *before, const char *what) {
    ck_assert_msg(mica_verify(g->module) == MICA_OK, "%s: %s", what, g->diags);
    for (uint64_t seed = 1; seed <= 2; ++seed) {
        graph_run a = graph_execute(g, before, seed, false);
        graph_run b = graph_execute(g, g->module, seed, false);
        graph_check_equal(&a, &b, 1e-5, what);
        graph_run_end(&a);
        graph_run_end(&b);
    }
}

START_TEST(one_pattern) {
    const pattern_case *c = &cases[_i];
    char what[64];
    snprintf(what, sizeof what, "case %d of %s", _i, c->pattern);
    graph g;
    graph_begin(&g, 17, c->text);
    mica_module *before = mica_module_clone(g.module);
    size_t count = 0;
    const mica_pattern *patterns = mica_top_patterns(g.module, &count);
    const size_t watched = find_pattern(patterns, count, c->pattern);
    const char *disabled[MAX_PATTERNS];
    uint64_t counts[MAX_PATTERNS] = {0};
    mica_rewrite_options options = {.disabled = disabled, .counts = counts};
    for (size_t i = 0; i < count; ++i) {
        if (i != watched) {
            disabled[options.n_disabled++] = patterns[i].name;
        }
    }
    ck_assert_msg(mica_top_canonicalize(g.module, &options) == MICA_OK, "%s: %s", what, g.diags);
    char *text = graph_text(g.module);
    ck_assert_msg(c->fires < 0 ? counts[watched] > 0 : counts[watched] == (uint64_t)c->fires,
                  "%s fired %llu times\n%s", what, (unsigned long long)counts[watched], text);
    if (c->left != NULL && c->left[0] == '!') {
        ck_assert_msg(!has_op(g.module, c->left + 1), "%s leaves %s\n%s", what, c->left + 1, text);
    } else if (c->left != NULL) {
        ck_assert_msg(has_op(g.module, c->left), "%s does not leave %s\n%s", what, c->left, text);
    }
    free(text);
    compare(&g, before, what);
    mica_module_destroy(before);
    graph_end(&g);
}
END_TEST

/* All patterns together, twice: the second time nothing is left to do. */
START_TEST(all_patterns) {
    graph g;
    char what[64];
    snprintf(what, sizeof what, "case %d, all patterns", _i);
    graph_begin(&g, 23, cases[_i].text);
    mica_module *before = mica_module_clone(g.module);
    uint64_t counts[MAX_PATTERNS] = {0};
    uint64_t again[MAX_PATTERNS] = {0};
    size_t count = 0;
    const mica_pattern *patterns = mica_top_patterns(g.module, &count);
    ck_assert(mica_top_canonicalize(g.module, &(mica_rewrite_options){.counts = counts}) == MICA_OK);
    compare(&g, before, what);
    ck_assert(mica_top_canonicalize(g.module, &(mica_rewrite_options){.counts = again}) == MICA_OK);
    for (size_t i = 0; i < count; ++i) {
        ck_assert_msg(again[i] == 0, "%s: %s fires again", what, patterns[i].name);
    }
    mica_module_destroy(before);
    graph_end(&g);
}
END_TEST

/* Every pattern has a case in which it fires and one in which it does not. */
START_TEST(all_are_covered) {
    graph g;
    graph_begin(&g, 1, "x = Input 4\ny = Exp(x)\nreturn y\n");
    size_t count = 0;
    const mica_pattern *patterns = mica_top_patterns(g.module, &count);
    for (size_t i = 0; i < count; ++i) {
        bool fires = false;
        bool stays = false;
        for (size_t k = 0; k < MICA_COUNT(cases); ++k) {
            if (strcmp(cases[k].pattern, patterns[i].name) == 0) {
                fires = fires || cases[k].fires != 0;
                stays = stays || cases[k].fires == 0;
            }
        }
        ck_assert_msg(fires && stays, "%s lacks a %s case", patterns[i].name, fires ? "negative" : "positive");
    }
    graph_end(&g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("patterns");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, one_pattern, 0, MICA_COUNT(cases));
    tcase_add_loop_test(tcase, all_patterns, 0, MICA_COUNT(cases));
    tcase_add_test(tcase, all_are_covered);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
