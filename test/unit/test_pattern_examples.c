/* The safety net of all rewrite patterns, without a table of its own: every function of the text tests
 * and many random graphs are run before and after optimization on random inputs. Every pattern must
 * fire in a text test or have a case of test_patterns.c, which runs it alone; locations must survive; a
 * second optimization finds nothing. */
#include "test/unit/check_main.h"
#include "test/unit/graph_case.h"

#include "passes/top/patterns.h"
#include "utils/compiler.h"
#include "utils/file.h"

#include <dirent.h>

enum { MAX_PATTERNS = 512, RANDOM_GRAPHS = 800 };

typedef struct example_counts {
    uint64_t counts[MAX_PATTERNS];
    size_t examples;
} example_counts;

static bool all_located(mica_module *module, char *out_name, size_t size) {
    mica_op *func = mica_module_func(module, "main");
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        if (!mica_op_is(op, "top.None") && !mica_op_is(op, "func.return") && op->loc->kind == MICA_LOC_UNKNOWN) {
            snprintf(out_name, size, "%s", op->name);
            return false;
        }
    }
    return true;
}

static size_t weighty_ops(mica_module *module) {
    size_t count = 0;
    mica_op *func = mica_module_func(module, "main");
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        count += !mica_op_has_trait(op, MICA_IS_CONSTANT) && !mica_op_is(op, "top.Reshape") && !mica_op_is(op, "top.None");
    }
    return count;
}

/* Bytes that Permutes move. */
static int64_t permuted_elements(mica_module *module) {
    int64_t sum = 0;
    mica_op *func = mica_module_func(module, "main");
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        sum += mica_op_is(op, "top.Permute") ? mica_type_count(op->results[0].type) : 0;
    }
    return sum;
}

/* Optimizes g->module and compares it with what it was. Packed products may become several ops; other
 * graphs do not grow. */
static void check_module(graph *g, const char *what, uint64_t *counts, bool shrinks) {
    char name[64];
    mica_module *before = mica_module_clone(g->module);
    char *start = graph_text(g->module);
    const bool located = all_located(before, name, sizeof name);
    const int64_t moved = permuted_elements(before);
    ck_assert_msg(mica_top_canonicalize(g->module, &(mica_rewrite_options){.counts = counts}) == MICA_OK,
                  "%s: %s\n%s", what, g->diags, start);
    mica_func_update_type(mica_module_func(g->module, "main"));
    char *text = graph_text(g->module);
    ck_assert_msg(mica_verify(g->module) == MICA_OK, "%s: %s\n%s", what, g->diags, text);
    ck_assert_msg(!located || all_located(g->module, name, sizeof name), "%s: a %s has no location\n%s", what, name, text);
    for (uint64_t seed = 1; seed <= 2; ++seed) {
        graph_run a = graph_execute(g, before, seed, false);
        graph_run b = graph_execute(g, g->module, seed, false);
        graph_check_equal(&a, &b, 1e-5, what);
        graph_run_end(&a);
        graph_run_end(&b);
    }
    const size_t ops = weighty_ops(g->module);
    ck_assert_msg(!shrinks || ops <= weighty_ops(before), "%s: %zu ops became %zu\n%s", what, weighty_ops(before), ops, text);
    ck_assert_msg(!shrinks || permuted_elements(g->module) <= moved, "%s: more elements are permuted\n%s", what, text);
    uint64_t again[MAX_PATTERNS] = {0};
    size_t count = 0;
    const mica_pattern *patterns = mica_top_patterns(g->module, &count);
    ck_assert(mica_top_canonicalize(g->module, &(mica_rewrite_options){.counts = again}) == MICA_OK);
    for (size_t i = 0; i < count; ++i) {
        ck_assert_msg(again[i] == 0, "%s: %s fires again\n%s", what, patterns[i].name, text);
    }
    free(start);
    free(text);
    mica_module_destroy(before);
}

/* Graphs of test_patterns.c. */
static const struct {
    const char *pattern;
    int fires;
    const char *left, *text;
} cases[] = {
#include "test/unit/pattern_cases.def"
#include "test/unit/pattern_cases_parts.def"
#include "test/unit/pattern_cases_attention.def"
};

static bool has_case(const char *pattern) {
    for (size_t i = 0; i < MICA_COUNT(cases); ++i) {
        if (cases[i].fires != 0 && strcmp(cases[i].pattern, pattern) == 0) {
            return true;
        }
    }
    return false;
}

/* --- text tests --------------------------------------------------------------------------------- */

static void lit_folder(char *out, size_t size) {
    const char *slash = strrchr(__FILE__, '/');
    ck_assert_msg(slash != NULL, "built with a relative path: %s", __FILE__);
    snprintf(out, size, "%.*s/../lit/passes", (int)(slash - __FILE__), __FILE__);
}

static void load_weights(graph *g, const char *folder) {
    if (!mica_op_has_attr(g->module->op, "module.weight_file")) {
        return;
    }
    mica_error err = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, mica_op_attr(g->module->op, "module.weight_file")->text);
    ck_assert_msg(mica_weights_load(g->module->weights, path, &err) == MICA_OK, "%s: %s", path, err.text);
}

static void run_part(const char *folder, const char *file, int part, const char *text, size_t length,
                     example_counts *all) {
    graph g = {0};
    char what[512];
    snprintf(what, sizeof what, "%s, part %d", file, part);
    g.context = mica_context_create();
    mica_register_dialects(g.context);
    mica_set_diag_handler(g.context, graph_diag, &g);
    g.module = mica_parse(g.context, text, length, file);
    ck_assert_msg(g.module != NULL, "%s: %s", what, g.diags);
    load_weights(&g, folder);
    if (mica_module_func(g.module, "main") != NULL) {
        check_module(&g, what, all->counts, false);
        all->examples++;
    }
    graph_end(&g);
}

static void run_file(const char *folder, const char *file, example_counts *all) {
    static const char separator[] = "\n// -----\n";
    char path[4096];
    mica_error err = {0};
    mica_mapped mapped = {0};
    snprintf(path, sizeof path, "%s/%s", folder, file);
    ck_assert_msg(mica_map_file(path, &mapped, &err) == MICA_OK, "%s", err.text);
    char *text = strndup((const char *)mapped.data, mapped.size);
    mica_unmap_file(&mapped);
    int part = 1;
    for (char *at = text; at != NULL; ++part) {
        char *stop = strstr(at, separator);
        run_part(folder, file, part, at, stop != NULL ? (size_t)(stop - at) : strlen(at), all);
        at = stop != NULL ? stop + strlen(separator) : NULL;
    }
    free(text);
}

START_TEST(text_tests) {
    char folder[2048];
    lit_folder(folder, sizeof folder);
    DIR *dir = opendir(folder);
    ck_assert_msg(dir != NULL, "cannot read %s", folder);
    example_counts *all = calloc(1, sizeof *all);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const size_t n = strlen(entry->d_name);
        if (strncmp(entry->d_name, "patterns", 8) == 0 && n > 5 && strcmp(entry->d_name + n - 5, ".mlir") == 0) {
            run_file(folder, entry->d_name, all);
        }
    }
    closedir(dir);
    graph g;
    graph_begin(&g, 1, "x = Input 4\ny = Exp(x)\nreturn y\n");
    size_t count = 0;
    const mica_pattern *patterns = mica_top_patterns(g.module, &count);
    ck_assert_uint_le(count, MAX_PATTERNS);
    char missing[2048] = "";
    for (size_t i = 0; i < count; ++i) {
        if (all->counts[i] == 0 && !has_case(patterns[i].name)) {
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), " %s", patterns[i].name);
        }
    }
    ck_assert_msg(missing[0] == '\0', "%zu examples, none for:%s", all->examples, missing);
    size_t fired = 0;
    for (size_t i = 0; i < count; ++i) {
        fired += all->counts[i] > 0;
    }
    printf("%zu text examples, %zu of %zu patterns fire in them\n", all->examples, fired, count);
    graph_end(&g);
    free(all);
}
END_TEST

/* --- random graphs ------------------------------------------------------------------------------ */

enum { MAX_VALUES = 64 };

typedef struct maker {
    graph *g;
    mica_builder builder;
    mica_value *values[MAX_VALUES];
    size_t n;
    int made;
} maker;

static uint64_t below(maker *m, uint64_t n) { return mica_prng_below(&m->g->prng, n); }

static mica_op *make_op(maker *m, const char *name, mica_value *const *operands, size_t n, size_t results) {
    char text[32];
    mica_loc parts[8];
    for (size_t i = 0; i < results; ++i) {
        snprintf(text, sizeof text, "t%d", m->made++);
        parts[i] = mica_loc_name(m->g->context, text, NULL);
    }
    const mica_loc loc = results == 1 ? parts[0] : mica_loc_fused(m->g->context, parts, results);
    return mica_build_op(&m->builder, name, loc, operands, n, results);
}

static void finish(maker *m, mica_op *op) {
    ck_assert_msg(mica_op_infer(op) == MICA_OK, "%s: %s", op->name, m->g->diags);
    for (uint32_t i = 0; i < op->n_results && m->n < MAX_VALUES; ++i) {
        m->values[m->n++] = &op->results[i];
    }
}

static mica_value *constant(maker *m, int rank, const int64_t *dims) {
    int64_t count = 1;
    for (int i = 0; i < rank; ++i) {
        count *= dims[i];
    }
    float *data = malloc((size_t)count * sizeof *data + 1);
    for (int64_t i = 0; i < count; ++i) {
        data[i] = 0.5f + mica_prng_f32(&m->g->prng);
    }
    char name[32];
    snprintf(name, sizeof name, "w%d", m->made++);
    mica_value *value = mica_top_weight(&m->builder, name, mica_type_f32(m->g->context), rank, dims, data);
    free(data);
    return value;
}

/* An order: often one of channels-first and channels-last. */
static void random_order(maker *m, int rank, int64_t *order) {
    static const int64_t known[4][4] = {{0, 2, 3, 1}, {0, 3, 1, 2}, {0, 2, 1, 3}, {0, 1, 3, 2}};
    for (int i = 0; i < rank; ++i) {
        order[i] = i;
    }
    if (rank == 4 && below(m, 5) != 0) {
        memcpy(order, known[below(m, 4)], sizeof known[0]);
        return;
    }
    for (int i = rank - 1; i > 0; --i) {
        const int k = (int)below(m, (uint64_t)i + 1);
        const int64_t swap = order[i];
        order[i] = order[k];
        order[k] = swap;
    }
}

static void add_permute(maker *m, mica_value *x) {
    int64_t order[MICA_MAX_RANK];
    mica_op *op = make_op(m, "top.Permute", &x, 1, 1);
    random_order(m, x->type->rank, order);
    mica_op_set_i64s(op, "order", order, (size_t)x->type->rank);
    finish(m, op);
}

static void add_reshape(maker *m, mica_value *x) {
    int64_t dims[MICA_MAX_RANK];
    int rank = x->type->rank;
    memcpy(dims, x->type->dims, (size_t)rank * sizeof *dims);
    const int at = rank > 0 ? (int)below(m, (uint64_t)rank) : 0;
    if (rank >= 2 && below(m, 2) == 0) { /* two axes become one */
        const int k = at > 0 ? at - 1 : 0;
        dims[k] *= dims[k + 1];
        memmove(dims + k + 1, dims + k + 2, (size_t)(rank - k - 2) * sizeof *dims);
        rank--;
    } else if (rank > 0 && rank < 6) { /* one axis becomes two */
        const int64_t part = dims[at] % 2 == 0 && below(m, 2) == 0 ? 2 : 1;
        memmove(dims + at + 1, dims + at, (size_t)(rank - at) * sizeof *dims);
        dims[at] = part;
        dims[at + 1] /= part;
        rank++;
    }
    mica_op *op = make_op(m, "top.Reshape", &x, 1, 1);
    mica_op_set_i64s(op, "shape", dims, (size_t)rank);
    finish(m, op);
}

static void add_binary(maker *m, mica_value *x) {
    static const char *const names[] = {"top.Add", "top.Mul", "top.Sub", "top.Max", "top.Min", "top.PRelu"};
    mica_value *other = NULL;
    for (int tries = 0; tries < 8 && other == NULL; ++tries) {
        mica_value *value = m->values[below(m, m->n)];
        other = value->type == x->type ? value : NULL;
    }
    const uint64_t pick = below(m, 6);
    if (other == NULL || pick == 5 || below(m, 3) == 0) {
        int64_t dims[MICA_MAX_RANK];
        const int rank = (int)below(m, (uint64_t)x->type->rank + 1);
        for (int i = 0; i < rank; ++i) {
            dims[i] = below(m, 2) == 0 ? 1 : x->type->dims[x->type->rank - rank + i];
        }
        other = constant(m, rank, dims);
    }
    const bool swap = pick < 5 && below(m, 2) == 0;
    mica_value *operands[2] = {swap ? other : x, swap ? x : other};
    finish(m, make_op(m, names[pick], operands, 2, 1));
}

static void add_unary(maker *m, mica_value *x) {
    static const char *const names[] = {"top.Relu", "top.Sigmoid", "top.Tanh", "top.Neg", "top.LeakyRelu", "top.Clip"};
    const size_t k = below(m, MICA_COUNT(names));
    mica_op *op = make_op(m, names[k], &x, 1, 1);
    if (k == 5) {
        mica_op_set_f64(op, "min", -0.5);
        mica_op_set_f64(op, "max", 2.0);
    }
    finish(m, op);
}

static void add_concat(maker *m, mica_value *x) {
    mica_value *operands[3] = {x, x, x};
    const int64_t axis = (int64_t)below(m, (uint64_t)x->type->rank);
    size_t n = 1;
    for (int tries = 0; tries < 12 && n < 3; ++tries) {
        mica_value *value = m->values[below(m, m->n)];
        bool fits = value->type->rank == x->type->rank;
        for (int i = 0; fits && i < x->type->rank; ++i) {
            fits = i == axis || value->type->dims[i] == x->type->dims[i];
        }
        if (fits) {
            operands[n++] = value;
        }
    }
    mica_op *op = make_op(m, "top.Concat", operands, n, 1);
    mica_op_set_i64(op, "axis", axis);
    finish(m, op);
}

static void add_slice(maker *m, mica_value *x) {
    int64_t offset[MICA_MAX_RANK], steps[MICA_MAX_RANK], ends[MICA_MAX_RANK];
    const int rank = x->type->rank;
    for (int i = 0; i < rank; ++i) {
        const int64_t dim = x->type->dims[i];
        const bool cut = dim > 1 && below(m, 2) == 0;
        offset[i] = cut ? (int64_t)below(m, 2) : 0;
        steps[i] = cut && below(m, 2) == 0 ? 2 : 1;
        ends[i] = dim;
        if (below(m, 8) == 0) {
            offset[i] = dim - 1;
            steps[i] = -1;
            ends[i] = -1;
        }
    }
    mica_op *op = make_op(m, "top.Slice", &x, 1, 1);
    mica_op_set_i64s(op, "offset", offset, (size_t)rank);
    mica_op_set_i64s(op, "steps", steps, (size_t)rank);
    mica_op_set_i64s(op, "ends", ends, (size_t)rank);
    finish(m, op);
}

static void add_split(maker *m, mica_value *x) {
    const int64_t axis = (int64_t)below(m, (uint64_t)x->type->rank);
    const int64_t dim = x->type->dims[axis];
    if (dim < 2) {
        return;
    }
    const int64_t sizes[2] = {dim / 2, dim - dim / 2};
    mica_op *op = make_op(m, "top.Split", &x, 1, 2);
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_i64s(op, "split_size", sizes, 2);
    finish(m, op);
}

static void add_pad(maker *m, mica_value *x) {
    static const char *const modes[] = {"constant", "reflect", "edge"};
    int64_t pads[2 * MICA_MAX_RANK] = {0};
    const int rank = x->type->rank;
    for (int i = 0; i < 2 * rank; ++i) {
        pads[i] = x->type->dims[i % rank] > 1 && x->type->dims[i % rank] < 10 ? (int64_t)below(m, 2) : 0;
    }
    mica_op *op = make_op(m, "top.Pad", &x, 1, 1);
    mica_op_set_i64s(op, "paddings", pads, 2 * (size_t)rank);
    mica_op_set_str(op, "mode", modes[below(m, 3)]);
    finish(m, op);
}

static void add_reduce(maker *m, mica_value *x) {
    static const char *const modes[] = {"ReduceSum", "ReduceMean", "ReduceMax"};
    int64_t axes[MICA_MAX_RANK];
    size_t n = 0;
    for (int i = 0; i < x->type->rank; ++i) {
        if (below(m, 2) == 0) {
            axes[n++] = i;
        }
    }
    if (n == 0) {
        return;
    }
    mica_op *op = make_op(m, "top.Reduce", &x, 1, 1);
    mica_op_set_str(op, "mode", modes[below(m, 3)]);
    mica_op_set_i64s(op, "axes", axes, n);
    mica_op_set_bool(op, "keepdims", below(m, 2) == 0);
    finish(m, op);
}

static void add_softmax(maker *m, mica_value *x) {
    mica_op *op = make_op(m, "top.Softmax", &x, 1, 1);
    mica_op_set_i64(op, "axis", (int64_t)below(m, 2) == 0 ? -1 : (int64_t)below(m, (uint64_t)x->type->rank));
    finish(m, op);
}

static void add_conv(maker *m, mica_value *x) {
    if (x->type->rank != 4) {
        return;
    }
    const int64_t dims[4] = {x->type->dims[1], x->type->dims[1], 1, 1};
    const int64_t ones[2] = {1, 1};
    mica_value *operands[3] = {x, constant(m, 4, dims), mica_top_none(&m->builder)};
    mica_op *op = make_op(m, "top.Conv", operands, 3, 1);
    mica_op_set_i64s(op, "kernel_shape", ones, 2);
    finish(m, op);
}

static void add_matmul(maker *m, mica_value *x) {
    if (x->type->rank < 2) {
        return;
    }
    const int64_t dims[2] = {x->type->dims[x->type->rank - 1], 3};
    mica_value *operands[3] = {x, constant(m, 2, dims), mica_top_none(&m->builder)};
    finish(m, make_op(m, "top.MatMul", operands, 3, 1));
}

/* Undoes or repeats the Permute behind a value, as exporters do around each op. */
static void add_inverse(maker *m, mica_value *x) {
    static const int64_t back[2][4] = {{0, 3, 1, 2}, {0, 2, 3, 1}};
    if (x->type->rank != 4) {
        return;
    }
    mica_op *op = make_op(m, "top.Permute", &x, 1, 1);
    mica_op_set_i64s(op, "order", back[below(m, 2)], 4);
    finish(m, op);
}

static void random_graph(graph *g, uint64_t seed) {
    typedef void adder(maker *m, mica_value *x);
    static adder *const adders[] = {
        add_permute, add_permute, add_inverse, add_reshape, add_reshape, add_binary, add_binary, add_unary, add_unary,
        add_concat, add_slice, add_slice, add_split, add_pad, add_reduce, add_softmax, add_conv, add_matmul};
    graph_begin(g, seed, "x = Input 1x4x6x8\nreturn x\n");
    mica_block *body = mica_func_body(mica_module_func(g->module, "main"));
    maker m = {.g = g, .builder = mica_builder_before(g->module, body->last)};
    m.values[m.n++] = graph_find(g, "x");
    const size_t steps = 4 + below(&m, 16);
    for (size_t i = 0; i < steps; ++i) {
        mica_value *x = m.values[below(&m, 2) == 0 ? m.n - 1 : below(&m, m.n)];
        if (x->type->rank > 0 && mica_type_count(x->type) > 0 && mica_type_count(x->type) < 20000) {
            adders[below(&m, MICA_COUNT(adders))](&m, x);
        }
    }
    mica_value *results[3] = {m.values[m.n - 1]};
    size_t n = m.n > 1 ? 1 : 0;
    for (; n < 3 && m.n > 4; ++n) {
        mica_value *value = m.values[1 + below(&m, m.n - 2)];
        if (value == results[0] || (n > 1 && value == results[1])) {
            break;
        }
        results[n] = value;
    }
    mica_op_set_operands(body->last, results, (uint32_t)n);
    mica_func_update_type(mica_module_func(g->module, "main"));
    ck_assert_msg(mica_verify(g->module) == MICA_OK, "seed %llu: %s", (unsigned long long)seed, g->diags);
}

START_TEST(random_graphs) {
    graph g;
    char what[32];
    uint64_t counts[MAX_PATTERNS] = {0};
    for (uint64_t seed = (uint64_t)_i * RANDOM_GRAPHS / 8; seed < (uint64_t)(_i + 1) * RANDOM_GRAPHS / 8; ++seed) {
        snprintf(what, sizeof what, "seed %llu", (unsigned long long)seed);
        random_graph(&g, seed);
        check_module(&g, what, counts, true);
        graph_end(&g);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pattern examples");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, text_tests);
    tcase_add_loop_test(tcase, random_graphs, 0, 8);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
