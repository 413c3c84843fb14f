/* TfIdfVectorizer over items that are numbers. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct gram {
    const int64_t *items;
    int64_t length, column;
    float weight;
} gram;

typedef struct pool {
    const int64_t *items, *starts, *columns;
    const double *weights;
    size_t n_items, n_starts, n_grams, n_weights;
    gram *grams;
} pool;

static int by_items(const void *a, const void *b) {
    const gram *x = a, *y = b;
    if (x->length != y->length) {
        return x->length < y->length ? -1 : 1;
    }
    for (int64_t i = 0; i < x->length; i++) {
        if (x->items[i] != y->items[i]) {
            return x->items[i] < y->items[i] ? -1 : 1;
        }
    }
    return 0;
}

/* Cuts the pool into n-grams. */
static mica_status cut_pool(mica_onnx_node *node, pool *p) {
    size_t count = 0;
    p->grams = mica_arena_array(node->importer->arena, p->n_grams, sizeof *p->grams);
    for (size_t n = 1; n <= p->n_starts; n++) {
        const int64_t begin = p->starts[n - 1];
        const int64_t end = n < p->n_starts ? p->starts[n] : (int64_t)p->n_items;
        if (begin < 0 || end < begin || end > (int64_t)p->n_items ||
            (end - begin) % (int64_t)n != 0 || (n == 1 && begin != 0)) {
            return mica_onnx_error(node, "attribute 'ngram_counts' gives n-grams of %zu items the "
                                         "places %" PRId64 " to %" PRId64 " of a pool of %zu", n,
                                   begin, end, p->n_items);
        }
        for (int64_t at = begin; at < end; at += (int64_t)n, count++) {
            if (count < p->n_grams) {
                p->grams[count] = (gram){p->items + at, (int64_t)n, p->columns[count],
                                         p->weights != NULL ? (float)p->weights[count] : 1.0f};
            }
        }
    }
    if (count != p->n_grams) {
        return mica_onnx_error(node, "attribute 'ngram_indexes' has %zu values, the pool has %zu "
                                     "n-grams", p->n_grams, count);
    }
    return MICA_OK;
}

static mica_status read_pool(mica_onnx_node *node, pool *p) {
    if (mica_onnx_has_attr(node, "pool_strings")) {
        return mica_onnx_error(node, "attribute 'pool_strings' holds strings, which are not "
                                     "supported; number the words before the model and use "
                                     "'pool_int64s'");
    }
    p->items = mica_onnx_attr_ints(node, "pool_int64s", &p->n_items);
    p->starts = mica_onnx_attr_ints(node, "ngram_counts", &p->n_starts);
    p->columns = mica_onnx_attr_ints(node, "ngram_indexes", &p->n_grams);
    p->weights = mica_onnx_attr_floats(node, "weights", &p->n_weights);
    MICA_TRY(mica_onnx_finish(node));
    if (p->n_starts == 0 || (p->weights != NULL && p->n_weights != p->n_grams)) {
        return mica_onnx_error(node, "attribute 'ngram_counts' has %zu values, 'ngram_indexes' %zu "
                                     "and 'weights' %zu, expected 1 or more, and as many weights "
                                     "as indexes", p->n_starts, p->n_grams, p->n_weights);
    }
    return cut_pool(node, p);
}

/* Operands of top.TfIdf: n-grams of one length are sorted. */
static mica_status make_operands(mica_onnx_node *node, pool *p, mica_value **out,
                                 int64_t *out_size) {
    int64_t *items = mica_onnx_buffer(node, MRT_I64, (int64_t)p->n_items);
    int64_t *columns = mica_onnx_buffer(node, MRT_I64, (int64_t)p->n_grams);
    float *weights = mica_onnx_buffer(node, MRT_F32, (int64_t)p->n_grams);
    MICA_TRY(mica_onnx_finish(node));
    qsort(p->grams, p->n_grams, sizeof *p->grams, by_items);
    *out_size = 0;
    int64_t *to = items;
    for (size_t i = 0; i < p->n_grams; i++) {
        const gram *g = &p->grams[i];
        if (i > 0 && by_items(g - 1, g) == 0) {
            return mica_onnx_error(node, "an n-gram of %" PRId64 " items that begins with %" PRId64
                                         " stands in the pool twice", g->length, g->items[0]);
        }
        if (g->column < 0 || g->column >= INT32_MAX) {
            return mica_onnx_error(node, "attribute 'ngram_indexes' has value %" PRId64
                                         ", expected 0 or more", g->column);
        }
        memcpy(to, g->items, (size_t)g->length * sizeof *to);
        to += g->length;
        columns[i] = g->column;
        weights[i] = g->weight;
        *out_size = g->column >= *out_size ? g->column + 1 : *out_size;
    }
    const int64_t n_items = (int64_t)p->n_items, n_grams = (int64_t)p->n_grams;
    out[0] = mica_onnx_i64s(node, "pool", n_items, items);
    out[1] = mica_onnx_i64s(node, "starts", (int64_t)p->n_starts, p->starts);
    out[2] = mica_onnx_i64s(node, "columns", n_grams, columns);
    out[3] = mica_onnx_weight(node, "weights", MRT_F32, 1, &n_grams, weights);
    return mica_onnx_finish(node);
}

mica_status mica_onnx_convert_tf_idf(mica_onnx_node *node) {
    mica_value *operands[5] = {mica_onnx_in(node, 0)};
    const char *mode = mica_onnx_attr_choice(node, "mode", "TF", "TF|IDF|TFIDF");
    const int64_t min = mica_onnx_attr_i(node, "min_gram_length", 1);
    const int64_t max = mica_onnx_attr_i(node, "max_gram_length", 1);
    const int64_t skip = mica_onnx_attr_i(node, "max_skip_count", 0);
    pool p = {0};
    int64_t size = 0;
    MICA_TRY(mica_onnx_finish(node));
    const mrt_dtype type = mica_onnx_type(operands[0]);
    if (type != MRT_I32 && type != MRT_I64) {
        return mica_onnx_error(node, "input 0 has element type %s, expected i32 or i64",
                               mrt_dtype_name(type));
    }
    MICA_TRY(read_pool(node, &p));
    if (max < 1 || (uint64_t)max > p.n_starts) {
        return mica_onnx_error(node, "attribute 'max_gram_length' has value %" PRId64
                                     ", expected 1 to the %zu of 'ngram_counts'", max, p.n_starts);
    }
    MICA_TRY(make_operands(node, &p, operands + 1, &size));
    mica_op *op = mica_onnx_op(node, "top.TfIdf", NULL, operands, 5, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_str(op, "mode", mode);
    mica_op_set_i64(op, "size", size);
    mica_op_set_i64(op, "min_length", min);
    mica_op_set_i64(op, "max_length", max);
    mica_op_set_i64(op, "max_skip", skip);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
