/* Einsum as permutations, reductions and matrix products, two operands at a time. */
#include "frontends/onnx/onnx_internal.h"

#include <ctype.h>
#include <string.h>

enum { ELLIPSIS = 128, MAX_LABELS = ELLIPSIS + MRT_MAX_RANK };

/* An operand whose axis i is called label[i]: a letter, or ELLIPSIS + place in the ellipsis counted
 * so that the last axis is the same for all operands. */
typedef struct term {
    mica_value *value;
    int rank;
    int label[MRT_MAX_RANK];
} term;

static mica_status bad(mica_onnx_node *node, const char *equation, const char *why) {
    return mica_onnx_error(node, "attribute 'equation' has value '%s': %s", equation, why);
}

static int find(const term *t, int label) {
    for (int i = 0; i < t->rank; i++) {
        if (t->label[i] == label) {
            return i;
        }
    }
    return -1;
}

/* Labels of one part of the equation; an ellipsis stands for `hidden` axes. */
static mica_status parse_labels(mica_onnx_node *node, const char *equation, const char *text,
                                size_t length, int hidden, term *out) {
    out->rank = 0;
    for (size_t i = 0; i < length; i++) {
        int count = 1, first = (unsigned char)text[i];
        if (text[i] == ' ') {
            continue;
        }
        if (strncmp(text + i, "...", 3) == 0 && i + 3 <= length) {
            count = hidden;
            first = MAX_LABELS - hidden;
            i += 2;
        } else if (!isalpha(first)) {
            return bad(node, equation, "expected letters, '...', ',' and '->'");
        }
        for (int k = 0; k < count; k++) {
            if (out->rank == MRT_MAX_RANK) {
                return bad(node, equation, "a term has too many axes");
            }
            out->label[out->rank++] = first + k;
        }
    }
    return MICA_OK;
}

static int count_letters(const char *text, size_t length) {
    int n = 0;
    for (size_t i = 0; i < length; i++) {
        n += isalpha((unsigned char)text[i]) != 0;
    }
    return n;
}

static mica_status parse_operand(mica_onnx_node *node, const char *equation, const char *text,
                                 size_t length, size_t index, term *out) {
    out->value = mica_onnx_in(node, index);
    MICA_TRY(mica_onnx_finish(node));
    if (out->value == NULL) {
        return bad(node, equation, "more terms than inputs");
    }
    const int rank = mica_onnx_shape(out->value).rank;
    const int hidden = rank - count_letters(text, length);
    const bool dots = memchr(text, '.', length) != NULL;
    if (hidden < 0 || (hidden > 0 && !dots)) {
        return bad(node, equation, "a term does not fit the rank of its input");
    }
    return parse_labels(node, equation, text, length, hidden, out);
}

/* Without "->": the ellipsis, then the letters that occur once, in alphabetical order. */
static void implicit_output(const term *terms, size_t n, term *out) {
    int seen[MAX_LABELS] = {0};
    out->rank = 0;
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < terms[i].rank; k++) {
            seen[terms[i].label[k]]++;
        }
    }
    for (int label = ELLIPSIS; label < MAX_LABELS; label++) {
        if (seen[label] > 0 && out->rank < MRT_MAX_RANK) {
            out->label[out->rank++] = label;
        }
    }
    for (int label = 0; label < ELLIPSIS; label++) {
        if (seen[label] == 1 && out->rank < MRT_MAX_RANK) {
            out->label[out->rank++] = label;
        }
    }
}

/* --- steps ----------------------------------------------------------------------------------- */
/* Brings the axes into the order of `labels` (all of the term's, once each). */
static void reorder(mica_onnx_node *node, const char *suffix, term *t, const int *labels) {
    int64_t order[MRT_MAX_RANK] = {0};
    for (int i = 0; i < t->rank; i++) {
        order[i] = find(t, labels[i]);
    }
    t->value = mica_onnx_permute(node, suffix, t->value, order);
    memcpy(t->label, labels, (size_t)t->rank * sizeof *labels);
}

/* A label that a term has twice: only the diagonal counts. The two axes go to the end, become one
 * of n * n elements, and every (n + 1)-th of them stays. */
static bool take_diagonal(mica_onnx_node *node, term *t) {
    for (int i = 0; i < t->rank; i++) {
        for (int k = i + 1; k < t->rank; k++) {
            if (t->label[i] != t->label[k]) {
                continue;
            }
            const mrt_shape old = mica_onnx_shape(t->value);
            const int64_t n = old.dims[i];
            int64_t order[MRT_MAX_RANK], dims[MRT_MAX_RANK], zero[MRT_MAX_RANK] = {0};
            int64_t steps[MRT_MAX_RANK], at = 0;
            const int label = t->label[i];
            for (int axis = 0; axis < t->rank; axis++) {
                if (axis != i && axis != k) {
                    t->label[at] = t->label[axis];
                    dims[at] = old.dims[axis];
                    order[at] = axis;
                    steps[at++] = 1;
                }
            }
            order[at] = i;
            order[at + 1] = k;
            dims[at] = n * n;
            steps[at] = n + 1;
            t->value = mica_onnx_permute(node, "diagonal_axes", t->value, order);
            t->rank--;
            t->label[at] = label;
            t->value = mica_onnx_reshape(node, "diagonal_flat", t->value, t->rank, dims);
            t->value = mica_onnx_slice(node, "diagonal", t->value, zero, steps, dims);
            return true;
        }
    }
    return false;
}

/* Sums over axes whose labels nobody needs. */
static void sum_out(mica_onnx_node *node, term *t, const bool *needed) {
    uint32_t axes = 0;
    int rank = 0;
    for (int i = 0; i < t->rank; i++) {
        if (!needed[t->label[i]]) {
            axes |= 1u << i;
        } else {
            t->label[rank++] = t->label[i];
        }
    }
    if (axes != 0) {
        t->value = mica_onnx_reduce(node, "sum", t->value, "ReduceSum", axes, false);
        t->rank = rank;
    }
}

static void mark(const term *t, bool *set) {
    for (int i = 0; i < t->rank; i++) {
        set[t->label[i]] = true;
    }
}

/* Groups of labels of a pair of terms. */
typedef struct groups {
    int label[4][MRT_MAX_RANK]; /* both and kept, only left, only right, both and summed */
    int n[4];
} groups;
enum { BATCH, LEFT, RIGHT, INNER };

static void classify(const term *a, const term *b, const bool *keep, groups *g) {
    for (int side = 0; side < 2; side++) {
        const term *t = side == 0 ? a : b, *other = side == 0 ? b : a;
        for (int i = 0; i < t->rank; i++) {
            const int label = t->label[i];
            const bool both = find(other, label) >= 0;
            const int group = both ? (keep[label] ? BATCH : INNER) : side == 0 ? LEFT : RIGHT;
            if (!both || side == 0) {
                g->label[group][g->n[group]++] = label;
            }
        }
    }
}

static int64_t size_of(const term *t, int label) {
    const int axis = find(t, label);
    return axis >= 0 ? mica_onnx_shape(t->value).dims[axis] : 1;
}

static void append(int *labels, int *n, const groups *g, int group) {
    for (int i = 0; i < g->n[group]; i++) {
        labels[(*n)++] = g->label[group][i];
    }
}

static int64_t group_size(const term *t, const groups *g, int group) {
    int64_t size = 1;
    for (int i = 0; i < g->n[group]; i++) {
        size *= size_of(t, g->label[group][i]);
    }
    return size;
}

/* [batch..., first, second] with the axes of two groups joined. */
static mica_value *as_matrix(mica_onnx_node *node, const char *name, term *t, const groups *g,
                             int first, int second) {
    int labels[2 * MRT_MAX_RANK], n = 0;
    int64_t dims[MRT_MAX_RANK] = {0};
    mica_arena *arena = node->importer->arena;
    append(labels, &n, g, BATCH);
    append(labels, &n, g, first);
    append(labels, &n, g, second);
    const int64_t rows = group_size(t, g, first), cols = group_size(t, g, second);
    reorder(node, mica_arena_printf(arena, "%s_axes", name), t, labels);
    for (int i = 0; i < g->n[BATCH]; i++) {
        dims[i] = size_of(t, g->label[BATCH][i]);
    }
    dims[g->n[BATCH]] = rows;
    dims[g->n[BATCH] + 1] = cols;
    return mica_onnx_reshape(node, name, t->value, g->n[BATCH] + 2, dims);
}

static mica_status contract(mica_onnx_node *node, const char *equation, term *a, term *b,
                            const bool *keep) {
    groups g = {0};
    classify(a, b, keep, &g);
    const int rank = g.n[BATCH] + g.n[LEFT] + g.n[RIGHT];
    if (g.n[BATCH] + 2 > MRT_MAX_RANK || rank > MRT_MAX_RANK) {
        return bad(node, equation, "an intermediate result has too many axes");
    }
    int64_t dims[MRT_MAX_RANK] = {0};
    int labels[2 * MRT_MAX_RANK], n = 0;
    append(labels, &n, &g, BATCH);
    append(labels, &n, &g, LEFT);
    append(labels, &n, &g, RIGHT);
    for (int i = 0; i < n; i++) {
        const int64_t left = size_of(a, labels[i]), right = size_of(b, labels[i]);
        if (left != right && left != 1 && right != 1) {
            return bad(node, equation, "sizes of one label differ");
        }
        dims[i] = left != 1 ? left : right;
    }
    for (int i = 0; i < g.n[INNER]; i++) {
        if (size_of(a, g.label[INNER][i]) != size_of(b, g.label[INNER][i])) {
            return bad(node, equation, "sizes of one label differ");
        }
    }
    mica_value *operands[] = {as_matrix(node, "left", a, &g, LEFT, INNER),
                              as_matrix(node, "right", b, &g, INNER, RIGHT), NULL};
    mica_op *op = mica_onnx_op(node, "top.MatMul", "product", operands, 3, 1);
    a->value = mica_onnx_reshape(node, "terms", mica_onnx_done(node, op), n, dims);
    a->rank = n;
    memcpy(a->label, labels, (size_t)n * sizeof *labels);
    return mica_onnx_finish(node);
}

/* --- the whole ------------------------------------------------------------------------------- */
static mica_status parse(mica_onnx_node *node, const char *equation, term *terms, term *out) {
    const char *arrow = strstr(equation, "->");
    const char *end = arrow != NULL ? arrow : equation + strlen(equation);
    const size_t n = mica_onnx_n_in(node);
    int hidden = 0;
    size_t index = 0;
    for (const char *at = equation; at <= end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        if (index == n) {
            return bad(node, equation, "more terms than inputs");
        }
        term *t = &terms[index];
        MICA_TRY(parse_operand(node, equation, at, (size_t)(stop - at), index++, t));
        for (int i = 0; i < t->rank; i++) {
            const int places = MAX_LABELS - t->label[i];
            hidden = t->label[i] >= ELLIPSIS && places > hidden ? places : hidden;
        }
        at = stop + 1;
    }
    if (index != n) {
        return bad(node, equation, "fewer terms than inputs");
    }
    if (arrow == NULL) {
        implicit_output(terms, n, out);
        return MICA_OK;
    }
    return parse_labels(node, equation, arrow + 2, strlen(arrow + 2), hidden, out);
}

static mica_status deliver(mica_onnx_node *node, const char *equation, term *t, const term *out) {
    for (int i = 0; i < out->rank; i++) {
        if (find(t, out->label[i]) < 0) {
            return bad(node, equation, "the result has a label that no input has");
        }
    }
    if (t->rank != out->rank) {
        return bad(node, equation, "the result has a label twice");
    }
    reorder(node, "ordered", t, out->label);
    return mica_onnx_alias(node, 0, t->value);
}

mica_status mica_onnx_convert_einsum(mica_onnx_node *node) {
    const char *equation = mica_onnx_attr_s(node, "equation", "");
    const size_t n = mica_onnx_n_in(node);
    mica_arena *arena = node->importer->arena;
    term *terms = mica_arena_array(arena, n, sizeof *terms), out = {0};
    MICA_TRY(mica_onnx_finish(node));
    MICA_TRY(parse(node, equation, terms, &out));
    for (size_t i = 0; i < n; i++) {
        while (!node->failed && take_diagonal(node, &terms[i])) {
        }
    }
    for (size_t i = 0; i < n; i++) {
        bool later[MAX_LABELS] = {false}, needed[MAX_LABELS] = {false};
        mark(&out, later);
        for (size_t k = i + 1; k < n; k++) {
            mark(&terms[k], later);
        }
        memcpy(needed, later, sizeof needed);
        if (i > 0) {
            mark(&terms[0], needed);
        }
        sum_out(node, &terms[i], needed);
        if (i > 0) {
            MICA_TRY(mica_onnx_finish(node));
            MICA_TRY(contract(node, equation, &terms[0], &terms[i], later));
        }
    }
    MICA_TRY(mica_onnx_finish(node));
    return deliver(node, equation, &terms[0], &out);
}
