/* Sequences and optionals. They exist only while importing: how many tensors a sequence holds and
 * which one a node takes is decided here, so that no op and no kernel knows of them. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

/* Elements of one sequence, and of all that a model makes: a sequence is copied by each node that
 * changes it, and loops are unrolled. */
enum { MAX_LENGTH = 1 << 16, MAX_ITEMS = 1 << 24 };

/* --- entries --------------------------------------------------------------------------------- */
mica_onnx_entry *mica_onnx_tensor_entry(mica_onnx_importer *im, mica_value *value) {
    mica_onnx_entry *entry = mica_arena_alloc(im->arena, sizeof *entry);
    entry->value = value;
    return entry;
}

mica_onnx_entry *mica_onnx_absent_entry(mica_onnx_importer *im) {
    mica_onnx_entry *entry = mica_arena_alloc(im->arena, sizeof *entry);
    entry->absent = true;
    return entry;
}

mica_onnx_entry *mica_onnx_sequence_entry(mica_onnx_importer *im, mrt_dtype dtype,
                                          mica_value *const *items, size_t count) {
    mica_onnx_entry *entry = mica_arena_alloc(im->arena, sizeof *entry);
    mica_onnx_sequence *sequence = mica_arena_alloc(im->arena, sizeof *sequence);
    *sequence = (mica_onnx_sequence){dtype, count, NULL};
    sequence->items = mica_arena_memdup(im->arena, items, count * sizeof *items);
    entry->sequence = sequence;
    im->n_items += count;
    return entry;
}

const char *mica_onnx_entry_kind(const mica_onnx_entry *entry) {
    return entry->sequence != NULL ? "a sequence" : entry->absent ? "an absent optional"
                                                                  : "a tensor";
}

/* --- operands -------------------------------------------------------------------------------- */
static const mica_onnx_sequence *sequence_in(mica_onnx_node *node, size_t i) {
    static const mica_onnx_sequence none = {0};
    const mica_onnx_entry *entry = mica_onnx_in_entry(node, i);
    if (entry != NULL && entry->sequence == NULL) {
        mica_onnx_error(node, "input %zu ('%s') is %s, expected a sequence", i,
                        mica_onnx_in_name(node, i), mica_onnx_entry_kind(entry));
    }
    return entry != NULL && entry->sequence != NULL ? entry->sequence : &none;
}

/* Constants of type f64 keep it until a kernel reads them, other values do not. */
static mrt_dtype element_type(const mica_value *value) {
    return mica_onnx_computed(mica_onnx_type(value));
}

static bool same_type(mica_onnx_node *node, mrt_dtype dtype, const mica_value *value, size_t i) {
    if (!node->failed && dtype != MRT_DTYPE_NONE && dtype != element_type(value)) {
        mica_onnx_error(node, "element %zu has type %s, the sequence has type %s", i,
                        mrt_dtype_name(element_type(value)), mrt_dtype_name(dtype));
    }
    return !node->failed;
}

/* Constant position in input i; `places` counts those that may be named, from both ends. */
static size_t position_in(mica_onnx_node *node, size_t i, size_t length, size_t places) {
    mica_value *value = mica_onnx_in(node, i);
    if (value != NULL && !mica_is_weight(value)) {
        mica_onnx_error(node, "input %zu ('%s') is a position in a sequence and must be known at "
                              "import, but depends on the data of a graph input; export the model "
                              "with a fixed position", i, mica_onnx_in_name(node, i));
    }
    const int64_t at = mica_onnx_const_i64(node, i, 0);
    const int64_t low = -(int64_t)length, high = (int64_t)places - 1;
    if (!node->failed && (at < low || at > high)) {
        mica_onnx_error(node, "position %" PRId64 " is outside of a sequence of %zu elements", at,
                        length);
    }
    return node->failed ? 0 : (size_t)(at < 0 ? at + (int64_t)length : at);
}

static mica_status bind_sequence(mica_onnx_node *node, size_t i, mrt_dtype dtype,
                                 mica_value *const *items, size_t count) {
    MICA_TRY(mica_onnx_finish(node));
    if (count > MAX_LENGTH || node->importer->n_items + count > MAX_ITEMS) {
        return mica_onnx_error(node, "a sequence of %zu elements is too long, at most %d and %d in "
                                     "all sequences are supported", count, MAX_LENGTH, MAX_ITEMS);
    }
    mica_onnx_bind_entry(node, i, mica_onnx_sequence_entry(node->importer, dtype, items, count));
    return mica_onnx_finish(node);
}

/* --- making and changing --------------------------------------------------------------------- */
mica_status mica_onnx_convert_sequence_empty(mica_onnx_node *node) {
    const int64_t wanted = mica_onnx_attr_i(node, "dtype", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    const bool narrow = wanted > 0 && wanted <= INT32_MAX;
    const mrt_dtype dtype = narrow ? mica_onnx_dtype((int32_t)wanted) : MRT_DTYPE_NONE;
    MICA_TRY(mica_onnx_finish(node));
    if (dtype == MRT_DTYPE_NONE) {
        return mica_onnx_error(node, "attribute 'dtype' has value %" PRId64 ", which is no "
                                     "supported element type", wanted);
    }
    return bind_sequence(node, 0, mica_onnx_computed(dtype), NULL, 0);
}

mica_status mica_onnx_convert_sequence_construct(mica_onnx_node *node) {
    const size_t n = mica_onnx_n_in(node);
    mica_value **items = mica_arena_array(node->importer->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        items[i] = mica_onnx_in(node, i);
        if (items[i] == NULL && !node->failed) {
            return mica_onnx_error(node, "input %zu is required, but absent", i);
        }
        MICA_TRY(same_type(node, element_type(items[0]), items[i], i) ? MICA_OK : MICA_FAIL);
    }
    return bind_sequence(node, 0, element_type(items[0]), items, n);
}

mica_status mica_onnx_convert_sequence_insert(mica_onnx_node *node) {
    const mica_onnx_sequence *s = sequence_in(node, 0);
    mica_value *value = mica_onnx_in(node, 1);
    const bool placed = mica_onnx_in_name(node, 2)[0] != '\0';
    const size_t at = placed ? position_in(node, 2, s->count, s->count + 1) : s->count;
    MICA_TRY(same_type(node, s->dtype, value, at) ? MICA_OK : MICA_FAIL);
    mica_value **items = mica_arena_array(node->importer->arena, s->count + 1, sizeof *items);
    for (size_t i = 0; i < s->count; i++) {
        items[i < at ? i : i + 1] = s->items[i];
    }
    items[at] = value;
    return bind_sequence(node, 0, element_type(value), items, s->count + 1);
}

mica_status mica_onnx_convert_sequence_erase(mica_onnx_node *node) {
    const mica_onnx_sequence *s = sequence_in(node, 0);
    MICA_TRY(mica_onnx_finish(node));
    if (s->count == 0) {
        return mica_onnx_error(node, "the sequence is empty, there is nothing to erase");
    }
    const bool placed = mica_onnx_in_name(node, 1)[0] != '\0';
    const size_t at = placed ? position_in(node, 1, s->count, s->count) : s->count - 1;
    mica_value **items = mica_arena_array(node->importer->arena, s->count, sizeof *items);
    for (size_t i = 0; i + 1 < s->count; i++) {
        items[i] = s->items[i < at ? i : i + 1];
    }
    return bind_sequence(node, 0, s->dtype, items, s->count - 1);
}

/* --- sizes of the parts of SplitToSequence ----------------------------------------------------- */
typedef struct parts {
    int64_t *sizes;
    size_t count;
    bool single; /* each part is one slice, no sizes were given */
} parts;

static mica_status split_parts(mica_onnx_node *node, int64_t size, parts *out) {
    mica_value *split = mica_onnx_in(node, 1);
    int64_t n_given = 0;
    const int64_t *given = split != NULL ? mica_onnx_const_i64s(node, 1, &n_given) : NULL;
    MICA_TRY(mica_onnx_finish(node));
    const bool list = split != NULL && mica_onnx_shape(split).rank > 0;
    const int64_t each = split == NULL ? 1 : list ? 0 : given[0];
    if (!list && each < 1) {
        return mica_onnx_error(node, "parts of size %" PRId64 ", expected 1 or more", each);
    }
    const int64_t count = list ? n_given : size / each + (size % each != 0);
    if (count > MAX_LENGTH) {
        return mica_onnx_error(node, "%" PRId64 " parts, at most %d are supported", count,
                               MAX_LENGTH);
    }
    *out = (parts){mica_arena_array(node->importer->arena, (size_t)count, sizeof *out->sizes),
                   (size_t)count, split == NULL};
    int64_t left = size;
    for (int64_t i = 0; i < count; i++) {
        out->sizes[i] = list ? given[i] : each < left ? each : left;
        if (out->sizes[i] < 0 || out->sizes[i] > left) {
            return mica_onnx_error(node, "part %" PRId64 " has size %" PRId64 ", %" PRId64
                                         " elements are left", i, out->sizes[i], left);
        }
        left -= out->sizes[i];
    }
    if (left != 0) {
        return mica_onnx_error(node, "the parts have %" PRId64 " elements in all, expected %" PRId64,
                               size - left, size);
    }
    return MICA_OK;
}

static mica_status cut(mica_onnx_node *node, mica_value *x, int axis, const parts *p,
                       mica_value **out) {
    if (p->count == 1) {
        out[0] = x;
        return MICA_OK;
    }
    mica_op *op = mica_onnx_op(node, "top.Split", "part", &x, 1, p->count);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_i64s(op, "split_size", p->sizes, p->count);
    return mica_onnx_done_all(node, op, out);
}

mica_status mica_onnx_convert_split_to_sequence(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", 0), shape.rank);
    const bool keep = mica_onnx_attr_bool(node, "keepdims", true);
    parts p = {0};
    MICA_TRY(mica_onnx_finish(node));
    MICA_TRY(split_parts(node, shape.dims[axis], &p));
    mica_arena *arena = node->importer->arena;
    mica_value **items = mica_arena_array(arena, p.count, sizeof *items);
    if (p.count > 0) {
        MICA_TRY(cut(node, x, axis, &p, items));
    }
    int64_t dims[MRT_MAX_RANK] = {0};
    for (int i = 0, to = 0; i < shape.rank; i++) {
        if (i != axis) {
            dims[to++] = shape.dims[i];
        }
    }
    for (size_t i = 0; i < p.count && p.single && !keep; i++) {
        items[i] = mica_onnx_reshape(node, mica_arena_printf(arena, "slice%zu", i), items[i],
                                     shape.rank - 1, dims);
    }
    return bind_sequence(node, 0, element_type(x), items, p.count);
}

/* --- reading --------------------------------------------------------------------------------- */
mica_status mica_onnx_convert_sequence_length(mica_onnx_node *node) {
    const mica_onnx_sequence *s = sequence_in(node, 0);
    const int64_t length = (int64_t)s->count;
    return mica_onnx_alias(node, 0, mica_onnx_weight(node, NULL, MRT_I64, 0, NULL, &length));
}

mica_status mica_onnx_convert_sequence_at(mica_onnx_node *node) {
    const mica_onnx_sequence *s = sequence_in(node, 0);
    const size_t at = position_in(node, 1, s->count, s->count);
    MICA_TRY(mica_onnx_finish(node));
    return mica_onnx_alias(node, 0, s->items[at]);
}

/* All elements must agree, but for the axis along which they are joined. */
static mica_status check_joined(mica_onnx_node *node, const mica_onnx_sequence *s, int axis,
                                bool new_axis) {
    const mrt_shape first = mica_onnx_shape(s->items[0]);
    for (size_t i = 1; i < s->count; i++) {
        const mrt_shape shape = mica_onnx_shape(s->items[i]);
        bool same = shape.rank == first.rank;
        for (int k = 0; k < first.rank && same; k++) {
            same = shape.dims[k] == first.dims[k] || (!new_axis && k == axis);
        }
        if (!same) {
            return mica_onnx_error(node, "elements 0 and %zu of the sequence are %s and %s; they "
                                         "cannot be joined on axis %d", i,
                                   mica_type_text(s->items[0]->type),
                                   mica_type_text(s->items[i]->type), axis);
        }
    }
    return MICA_OK;
}

mica_status mica_onnx_convert_concat_from_sequence(mica_onnx_node *node) {
    const mica_onnx_sequence *s = sequence_in(node, 0);
    const bool new_axis = mica_onnx_attr_bool(node, "new_axis", false);
    const int64_t wanted = mica_onnx_attr_i(node, "axis", 0);
    MICA_TRY(mica_onnx_finish(node));
    if (s->count == 0) {
        return mica_onnx_error(node, "the sequence is empty, there is nothing to join");
    }
    mrt_shape shape = mica_onnx_shape(s->items[0]);
    const int axis = mica_onnx_axis(node, wanted, shape.rank + new_axis);
    MICA_TRY(mica_onnx_finish(node));
    if (new_axis && shape.rank == MRT_MAX_RANK) {
        return mica_onnx_error(node, "the result has a rank of more than %d", MRT_MAX_RANK);
    }
    MICA_TRY(check_joined(node, s, axis, new_axis));
    mica_arena *arena = node->importer->arena;
    mica_value **items = mica_arena_memdup(arena, s->items, s->count * sizeof *items);
    if (new_axis) {
        memmove(shape.dims + axis + 1, shape.dims + axis,
                (size_t)(shape.rank - axis) * sizeof shape.dims[0]);
        shape.dims[axis] = 1;
        shape.rank++;
    }
    for (size_t i = 0; i < s->count && new_axis; i++) {
        const char *suffix = s->count == 1 ? NULL : mica_arena_printf(arena, "slice%zu", i);
        items[i] = mica_onnx_reshape(node, suffix, items[i], shape.rank, shape.dims);
    }
    MICA_TRY(mica_onnx_finish(node));
    if (s->count == 1) {
        return mica_onnx_alias(node, 0, items[0]);
    }
    mica_op *op = mica_onnx_op(node, "top.Concat", NULL, items, s->count, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* --- SequenceMap: its body once per element ---------------------------------------------------- */
static mica_status map_inputs(mica_onnx_node *node, mica_onnx_entry **out, size_t n, size_t count) {
    for (size_t i = 0; i < n; i++) {
        out[i] = mica_onnx_in_entry(node, i);
        MICA_TRY(mica_onnx_finish(node));
        const mica_onnx_sequence *s = out[i] != NULL ? out[i]->sequence : NULL;
        if (s != NULL && s->count != count) {
            return mica_onnx_error(node, "inputs 0 and %zu are sequences of %zu and %zu elements, "
                                         "expected as many", i, count, s->count);
        }
    }
    return MICA_OK;
}

mica_status mica_onnx_convert_sequence_map(mica_onnx_node *node) {
    const size_t n_in = mica_onnx_n_in(node), n_out = mica_onnx_n_out(node);
    mica_onnx_importer *im = node->importer;
    const Onnx__GraphProto *body = mica_onnx_attr_graph(node, "body");
    const size_t count = sequence_in(node, 0)->count;
    mica_onnx_entry **all = mica_arena_array(im->arena, n_in, sizeof *all);
    MICA_TRY(mica_onnx_finish(node));
    MICA_TRY(map_inputs(node, all, n_in, count));
    if (n_out > MAX_ITEMS / (count + 1)) {
        return mica_onnx_error(node, "%zu outputs of %zu elements are too many", n_out, count);
    }
    mica_value **results = mica_arena_array(im->arena, n_out * count, sizeof *results);
    mica_onnx_entry **inputs = mica_arena_array(im->arena, n_in, sizeof *inputs);
    mica_onnx_entry **outputs = mica_arena_array(im->arena, n_out, sizeof *outputs);
    for (size_t k = 0; k < count; k++) {
        for (size_t i = 0; i < n_in; i++) {
            const mica_onnx_sequence *s = all[i] != NULL ? all[i]->sequence : NULL;
            inputs[i] = s != NULL ? mica_onnx_tensor_entry(im, s->items[k]) : all[i];
        }
        MICA_TRY(mica_onnx_run_entries(node, body, inputs, n_in, outputs, n_out,
                                       mica_arena_printf(im->arena, "_%zu", k)));
        for (size_t i = 0; i < n_out; i++) {
            if (outputs[i]->value == NULL) {
                return mica_onnx_error(node, "output %zu of its body is %s, expected a tensor", i,
                                       mica_onnx_entry_kind(outputs[i]));
            }
            results[i * count + k] = outputs[i]->value;
        }
    }
    for (size_t i = 0; i < n_out; i++) {
        const mrt_dtype dtype = count > 0 ? element_type(results[i * count]) : MRT_DTYPE_NONE;
        MICA_TRY(bind_sequence(node, i, dtype, results + i * count, count));
    }
    return MICA_OK;
}

/* --- optionals ------------------------------------------------------------------------------- */
mica_status mica_onnx_convert_optional(mica_onnx_node *node) {
    mica_onnx_entry *entry = mica_onnx_in_entry(node, 0);
    mica_onnx_attr_skip(node, "type");
    mica_onnx_bind_entry(node, 0, entry != NULL ? entry : mica_onnx_absent_entry(node->importer));
    return mica_onnx_finish(node);
}

mica_status mica_onnx_convert_optional_has_element(mica_onnx_node *node) {
    const mica_onnx_entry *entry = mica_onnx_in_entry(node, 0);
    const bool has = entry != NULL && !entry->absent;
    return mica_onnx_alias(node, 0, mica_onnx_scalar(node, NULL, MRT_BOOL, has));
}

mica_status mica_onnx_convert_optional_get_element(mica_onnx_node *node) {
    mica_onnx_entry *entry = mica_onnx_in_entry(node, 0);
    MICA_TRY(mica_onnx_finish(node));
    if (entry->absent) {
        return mica_onnx_error(node, "input 0 ('%s') is an optional without element",
                               mica_onnx_in_name(node, 0));
    }
    mica_onnx_bind_entry(node, 0, entry);
    return mica_onnx_finish(node);
}
