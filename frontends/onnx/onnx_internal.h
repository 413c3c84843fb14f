/* Inside the ONNX importer: what the reader, the graph walk and the converters share.
 *
 * Errors of one node are sticky: after the first diagnostic node->failed is set, every helper
 * becomes a no-op that returns a harmless value (0, NULL, rank 0), and mica_onnx_finish reports the
 * failure. So converters need few checks of their own. */
#ifndef MICA_FRONTENDS_ONNX_INTERNAL_H
#define MICA_FRONTENDS_ONNX_INTERNAL_H

#include "dialects/dialects.h"
#include "dialects/live.h"
#include "dialects/plan.h"
#include "dialects/top/top.h"
#include "frontends/onnx/onnx.h"
#include "onnx/onnx.pb-c.h"
#include "utils/file.h"
#include "utils/map.h"
#include "utils/strbuf.h"
#include "utils/vec.h"

enum {
    MICA_ONNX_MIN_OPSET = 1,
    MICA_ONNX_MAX_OPSET = 28,
    MICA_ONNX_MAX_NESTING = 100, /* messages inside messages; 5 per level of subgraphs */
};

/* --- tensors --------------------------------------------------------------------------------- */
/* A TensorProto as an array; data lives as long as the module. */
typedef struct mica_onnx_tensor {
    mrt_dtype dtype;
    mrt_shape shape;
    int64_t count;
    const void *data; /* never NULL */
} mica_onnx_tensor;

/* A list of tensors. It exists only while importing: no op knows it. Never changed once made. */
typedef struct mica_onnx_sequence {
    mrt_dtype dtype; /* of all elements; NONE when there is no element to tell */
    size_t count;
    mica_value *const *items;
} mica_onnx_sequence;

/* What a name in scope stands for: a tensor, maybe an initializer that has no value yet, or what
 * only the importer knows, a sequence or an optional without element. (An optional that has one is
 * the same as its element.) */
typedef struct mica_onnx_entry {
    mica_value *value;
    const Onnx__TensorProto *initializer;
    const mica_onnx_sequence *sequence;
    bool absent;
} mica_onnx_entry;

/* Names visible to nodes; a subgraph sees the names of the graphs around it. */
typedef struct mica_onnx_scope {
    struct mica_onnx_scope *parent;
    mica_map *entries;  /* mica_onnx_entry */
    const char *prefix; /* put before tensor names, "" for the main graph */
    const Onnx__FunctionProto *function;      /* body being inlined, or NULL */
    const struct mica_onnx_node *caller;      /* node that gives the function its attributes */
    int opset;                                /* of the default domain in this scope */
} mica_onnx_scope;

typedef struct mica_onnx_importer {
    mica_context *context;
    mica_arena *arena; /* dies with the import */
    const mica_onnx_options *options;
    const char *path;
    mica_loc loc; /* the file, for messages */
    const mica_mapped *file; /* the model's; tensors point into it */
    Onnx__ModelProto *model;
    mica_module *module;
    mica_builder builder;
    mica_onnx_scope *scope;
    mica_map *names;     /* names of tensors that exist, to keep new names unique */
    mica_map *helpers;   /* names made up for tensors inside of one node's translation */
    mica_map *externals; /* external data files: mica_mapped */
    mica_map *borrowed;  /* constants whose bytes belong to the model, not to the store */
    mica_live *live;     /* sizes that depend on data */
    int depth;           /* of inlined functions and subgraphs */
    size_t n_items;      /* elements of all sequences made so far */
    size_t n_nodes;      /* converted so far, subgraphs included: bounds unrolling */
} mica_onnx_importer;

/* --- the op table ---------------------------------------------------------------------------- */
typedef struct mica_onnx_node mica_onnx_node;
typedef mica_status mica_onnx_convert_fn(mica_onnx_node *node);

/* One row of onnx_ops.def. */
typedef struct mica_onnx_row {
    const char *domain;    /* "" is the default one */
    uint32_t gaps;         /* bit i: input i may be absent though one behind it may not */
    const char *op;
    int since, until;      /* versions of the domain in which the op exists and is known */
    int min_in, max_in;    /* -1: any number */
    int min_out, max_out;
    mica_onnx_convert_fn *convert; /* NULL: not supported, `detail` says why */
    const char *detail;            /* argument of the converter */
} mica_onnx_row;

/* One converter per distinct stem of onnx_ops.def. */
#define ONNX_OP(domain, gaps, op, since, until, min_in, max_in, min_out, max_out, stem, detail)    \
    mica_onnx_convert_fn mica_onnx_convert_##stem;
#include "frontends/onnx/onnx_ops.def"

/* "" for the default domain in any of its spellings (NULL, "", "ai.onnx"). */
const char *mica_onnx_domain(const char *domain);
/* Row of an op, or NULL; with `nearest` (may be NULL) a similar name of the same domain. */
const mica_onnx_row *mica_onnx_find_row(const char *domain, const char *op, const char **nearest);
/* The table has rows of this domain. */
bool mica_onnx_domain_known(const char *domain);
/* "ai.onnx, ...": all domains of the table. */
const char *mica_onnx_domain_list(mica_arena *arena);
/* "Op", or "domain.Op" outside of the default domain. */
const char *mica_onnx_full_name(mica_arena *arena, const char *domain, const char *op);

struct mica_onnx_node {
    mica_onnx_importer *importer;
    const Onnx__NodeProto *proto;
    const mica_onnx_row *row;
    const char *name; /* of the node; of its first output when it has none */
    int opset;   /* of the default domain */
    int version; /* of the node's domain */
    bool failed;
    size_t primary;        /* output whose name an op without suffix gets */
    bool *seen;          /* per attribute: a converter asked for it */
    const char *asked[24]; /* attribute names that were asked for */
    size_t n_asked;
};

/* --- reading (onnx_read.c, onnx_scan.c, onnx_tensor.c, onnx_shapes.c) ------------------------ */
/* Maps, checks and unpacks the file into importer->model; the module keeps the message alive. */
mica_status mica_onnx_read(mica_onnx_importer *importer);
/* Walks the bytes of a message along its descriptor without recursion: lengths, nesting. */
mica_status mica_onnx_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                           size_t size, mica_error *err);
/* Copies a scanned ModelProto without its raw tensor data, which are replaced by their places. */
void mica_onnx_slim(const uint8_t *data, size_t size, mica_strbuf *out);
/* Makes these places pointers into `data` again, in a message unpacked from the copy. */
void mica_onnx_attach(ProtobufCMessage *message, const uint8_t *data, ProtobufCAllocator *allocator);
/* Version of the default domain in an import list; 0 when it is missing. */
int64_t mica_onnx_opset(Onnx__OperatorSetIdProto *const *imports, size_t count);
/* The same of any domain. */
int64_t mica_onnx_version(Onnx__OperatorSetIdProto *const *imports, size_t count,
                          const char *domain);
/* Runtime type of an ONNX data type; MRT_DTYPE_NONE when it has none. */
mrt_dtype mica_onnx_dtype(int32_t data_type);
/* Type in which values are computed: f32 for half floats. */
mrt_dtype mica_onnx_computed(mrt_dtype dtype);
/* "FLOAT", "STRING", ... or "type 99". */
const char *mica_onnx_dtype_name(mica_arena *arena, int32_t data_type);
/* Checks a tensor and gives its elements. `directory` holds external data. Emits nothing. */
mica_status mica_onnx_tensor_read(mica_onnx_importer *importer, const Onnx__TensorProto *proto,
                                  mica_onnx_tensor *out, mica_error *err);
/* Half floats as f32 on `arena`; other types are left alone. The compiler computes in f32, and a
 * model in half precision is a model in f32 whose weights were rounded. */
void mica_onnx_widen(mica_arena *arena, mica_onnx_tensor *tensor);
/* Elements of a typed tensor without external data, on `arena`. */
mica_status mica_onnx_tensor_inline(mica_arena *arena, const Onnx__TensorProto *proto,
                                    mica_onnx_tensor *out, mica_error *err);

/* Parsed options.input_shapes. */
typedef struct mica_onnx_shape_item {
    const char *name; /* NULL: by position; symbolic dimension: its name */
    bool symbol;
    bool none;        /* an optional input without element */
    bool list;        /* one shape per element of a sequence */
    mrt_shape shape;  /* symbol: dims[0] is the value */
    const mrt_shape *shapes; /* of the elements */
    size_t n_shapes;
    bool used;
} mica_onnx_shape_item;
typedef MICA_VEC(mica_onnx_shape_item) mica_onnx_shape_list;
mica_status mica_onnx_parse_shapes(mica_arena *arena, const char *text, mica_onnx_shape_list *out,
                                   mica_error *err);

/* --- the graph (onnx_graph.c, onnx_inputs.c, onnx_import.c, onnx_function.c) ----------------- */
typedef struct mica_onnx_order {
    const Onnx__NodeProto **nodes; /* those that the wanted tensors need, producers first */
    size_t count;
} mica_onnx_order;
/* Sorts the nodes that `wanted` depends on. Names in importer->scope end the search. */
mica_status mica_onnx_sort(mica_onnx_importer *importer, Onnx__NodeProto **nodes, size_t n_nodes,
                           char *const *wanted, size_t n_wanted, mica_onnx_order *out);
/* Adds the initializers of a graph to the scope (names unique). */
mica_status mica_onnx_add_initializers(mica_onnx_importer *importer, const Onnx__GraphProto *graph);
/* Makes function arguments, top.Input ops and constants of the main graph's inputs. */
mica_status mica_onnx_make_inputs(mica_onnx_importer *importer, const Onnx__GraphProto *graph,
                                  mica_op **out_func);
/* Converts nodes in order. */
mica_status mica_onnx_convert_nodes(mica_onnx_importer *importer, const mica_onnx_order *order);
/* Inlines the function that a node calls; *out_done tells if there is one. */
mica_status mica_onnx_inline_function(mica_onnx_node *node, bool *out_done);
/* Runs a subgraph in a scope of its own: `inputs` are bound to the graph's inputs in order, its
 * outputs are written to `outputs`. `tag` makes its tensor names unique. */
mica_status mica_onnx_run_entries(mica_onnx_node *node, const Onnx__GraphProto *graph,
                                  mica_onnx_entry *const *inputs, size_t n_inputs,
                                  mica_onnx_entry **outputs, size_t n_outputs, const char *tag);
/* The same where all inputs and outputs are tensors. */
mica_status mica_onnx_run_graph(mica_onnx_node *node, const Onnx__GraphProto *graph,
                                mica_value *const *inputs, size_t n_inputs, mica_value **outputs,
                                size_t n_outputs, const char *tag);

/* --- names and scopes ------------------------------------------------------------------------ */
mica_onnx_scope *mica_onnx_push_scope(mica_onnx_importer *importer, const char *prefix);
void mica_onnx_pop_scope(mica_onnx_importer *importer);
mica_onnx_entry *mica_onnx_lookup(const mica_onnx_scope *scope, const char *name);
void mica_onnx_define(mica_onnx_importer *importer, const char *name, mica_value *value);
void mica_onnx_define_entry(mica_onnx_importer *importer, const char *name,
                            mica_onnx_entry *entry);
/* Value of an entry; makes the top.Weight of an initializer. NULL after a diagnostic. */
mica_value *mica_onnx_entry_value(mica_onnx_importer *importer, const char *name,
                                  mica_onnx_entry *entry);
/* Gives the op behind a value another name for that result. */
void mica_onnx_rename(mica_onnx_importer *importer, mica_value *value, const char *name);
/* `name`, with a number behind it when a tensor has that name; registered. */
const char *mica_onnx_unique(mica_onnx_importer *importer, const char *name);

/* --- nodes: errors, operands, constants (onnx_node.c) ---------------------------------------- */
/* "node 'conv1' (Conv, opset 13): ..."; sets node->failed. */
mica_status mica_onnx_error(mica_onnx_node *node, const char *format, ...) MICA_PRINTF(2, 3);
/* Input i, or NULL when it is absent. */
mica_value *mica_onnx_in(mica_onnx_node *node, size_t i);
/* The same where it may also be a sequence or an optional. */
mica_onnx_entry *mica_onnx_in_entry(mica_onnx_node *node, size_t i);
size_t mica_onnx_n_in(const mica_onnx_node *node);
size_t mica_onnx_n_out(const mica_onnx_node *node);
/* Name of input or output i in the model; "" when absent. */
const char *mica_onnx_in_name(const mica_onnx_node *node, size_t i);
const char *mica_onnx_out_name(const mica_onnx_node *node, size_t i);
/* Output i is wanted by the model. */
bool mica_onnx_has_out(const mica_onnx_node *node, size_t i);
/* Says that output i is `value`; a value with a made-up name gets the output's. */
void mica_onnx_bind(mica_onnx_node *node, size_t i, mica_value *value);
void mica_onnx_bind_entry(mica_onnx_node *node, size_t i, mica_onnx_entry *entry);
/* MICA_FAIL when anything failed. */
mica_status mica_onnx_finish(const mica_onnx_node *node);

/* Elements of input i, which must be a constant; a count that is not negative is demanded. */
const int64_t *mica_onnx_const_i64s(mica_onnx_node *node, size_t i, int64_t *out_count);
const double *mica_onnx_const_f64s(mica_onnx_node *node, size_t i, int64_t *out_count);
int64_t mica_onnx_const_i64(mica_onnx_node *node, size_t i, int64_t fallback);
double mica_onnx_const_f64(mica_onnx_node *node, size_t i, double fallback);

/* Shape and element type of a value (rank 0 / none for NULL). A dimension that depends on data is
 * -1; only converters listed in onnx_live.c see one. */
mrt_shape mica_onnx_shape(const mica_value *value);
mrt_dtype mica_onnx_type(const mica_value *value);
bool mica_onnx_is_float(const mica_value *value);
/* Axis counted from the front; an error when it is not in [-rank, rank). */
int mica_onnx_axis(mica_onnx_node *node, int64_t axis, int rank);
/* As above for a list: bit set; an error when an axis is repeated. */
uint32_t mica_onnx_axes(mica_onnx_node *node, const int64_t *axes, int64_t count, int rank);

/* --- sequences and optionals (onnx_sequence.c) ----------------------------------------------- */
mica_onnx_entry *mica_onnx_tensor_entry(mica_onnx_importer *importer, mica_value *value);
mica_onnx_entry *mica_onnx_absent_entry(mica_onnx_importer *importer);
/* The items are copied. */
mica_onnx_entry *mica_onnx_sequence_entry(mica_onnx_importer *importer, mrt_dtype dtype,
                                          mica_value *const *items, size_t count);
/* "a tensor", "a sequence", "an absent optional". */
const char *mica_onnx_entry_kind(const mica_onnx_entry *entry);

/* --- attributes (onnx_attr.c) ---------------------------------------------------------------- */
bool mica_onnx_has_attr(mica_onnx_node *node, const char *name);
int64_t mica_onnx_attr_i(mica_onnx_node *node, const char *name, int64_t fallback);
double mica_onnx_attr_f(mica_onnx_node *node, const char *name, double fallback);
bool mica_onnx_attr_bool(mica_onnx_node *node, const char *name, bool fallback);
const char *mica_onnx_attr_s(mica_onnx_node *node, const char *name, const char *fallback);
/* One of "A|B|C". */
const char *mica_onnx_attr_choice(mica_onnx_node *node, const char *name, const char *fallback,
                                  const char *choices);
/* NULL and count 0 when absent. */
const int64_t *mica_onnx_attr_ints(mica_onnx_node *node, const char *name, size_t *out_count);
const double *mica_onnx_attr_floats(mica_onnx_node *node, const char *name, size_t *out_count);
const char *const *mica_onnx_attr_strings(mica_onnx_node *node, const char *name,
                                          size_t *out_count);
const Onnx__TensorProto *mica_onnx_attr_tensor(mica_onnx_node *node, const char *name);
const Onnx__GraphProto *mica_onnx_attr_graph(mica_onnx_node *node, const char *name);
/* Accepts an attribute of a kind that tells us nothing (a type). */
void mica_onnx_attr_skip(mica_onnx_node *node, const char *name);
/* Refuses attributes that nobody asked for; call after the last one was read. */
mica_status mica_onnx_attrs_done(mica_onnx_node *node);

/* --- sizes that depend on data (onnx_live.c) --------------------------------------------------- */
/* True when a dimension of the value does; mica_onnx_shape says -1 for it. */
bool mica_onnx_is_live(const mica_onnx_node *node, const mica_value *value);
/* Refuses a node that takes such a value but is not known to be right for every size. */
mica_status mica_onnx_check_live(mica_onnx_node *node);
/* Reshape of such a value: 0 copies a dimension, -1 is the unknown one. */
mica_value *mica_onnx_live_reshape(mica_onnx_node *node, const char *suffix, mica_value *x,
                                   int rank, const int64_t *dims);

/* BatchNormalization of x, scale, bias, mean, variance with the statistics of the batch
 * (onnx_training.c). */
mica_status mica_onnx_batch_norm_training(mica_onnx_node *node, mica_value *const *operands,
                                          double eps, double momentum);
/* Scan of opset 8 (onnx_scan_batch.c). */
mica_status mica_onnx_scan_batch(mica_onnx_node *node);

/* --- making ops (onnx_build.c) --------------------------------------------------------------- */
/* A new op at the end. suffix NULL: it has the name(s) of the node's output(s) from node->primary
 * on; else "<output 0>_<suffix>". Set its attributes, then call mica_onnx_done. NULL when the node
 * failed. */
mica_op *mica_onnx_op(mica_onnx_node *node, const char *op, const char *suffix,
                      mica_value *const *operands, size_t n_operands, size_t n_results);
/* Infers types, folds constants; result 0, or NULL after a diagnostic. */
mica_value *mica_onnx_done(mica_onnx_node *node, mica_op *op);
/* As above for all results. */
mica_status mica_onnx_done_all(mica_onnx_node *node, mica_op *op, mica_value **out_results);

/* Whole ops. suffix as above. */
mica_value *mica_onnx_unary(mica_onnx_node *node, const char *op, const char *suffix,
                            mica_value *x);
mica_value *mica_onnx_binary(mica_onnx_node *node, const char *op, const char *suffix,
                             mica_value *a, mica_value *b);
mica_value *mica_onnx_where(mica_onnx_node *node, const char *suffix, mica_value *condition,
                            mica_value *a, mica_value *b);
mica_value *mica_onnx_reshape(mica_onnx_node *node, const char *suffix, mica_value *x, int rank,
                              const int64_t *dims);
mica_value *mica_onnx_permute(mica_onnx_node *node, const char *suffix, mica_value *x,
                              const int64_t *order);
mica_value *mica_onnx_expand(mica_onnx_node *node, const char *suffix, mica_value *x, int rank,
                             const int64_t *dims);
mica_value *mica_onnx_cast(mica_onnx_node *node, const char *suffix, mica_value *x, mrt_dtype to);
/* With the rules for 8-bit floats: saturate, and round_mode of f8E8M0FNU. */
mica_value *mica_onnx_cast_by(mica_onnx_node *node, const char *suffix, mica_value *x, mrt_dtype to,
                              bool saturate, const char *round);
mica_value *mica_onnx_reduce(mica_onnx_node *node, const char *suffix, mica_value *x,
                             const char *mode, uint32_t axes, bool keepdims);
mica_value *mica_onnx_clip(mica_onnx_node *node, const char *suffix, mica_value *x,
                           const double *min, const double *max);
mica_value *mica_onnx_slice(mica_onnx_node *node, const char *suffix, mica_value *x,
                            const int64_t *offset, const int64_t *steps, const int64_t *ends);
/* Elements first, first + step, ... before `end` of the last axis. */
mica_value *mica_onnx_last_axis(mica_onnx_node *node, const char *suffix, mica_value *x,
                                int64_t first, int64_t end, int64_t step);
/* Gather of `indices` along an axis. */
mica_value *mica_onnx_gather(mica_onnx_node *node, const char *op, const char *suffix,
                             mica_value *x, mica_value *indices, int axis);
/* act(x) by the name of an ONNX operator with up to two parameters in its order ("" is x itself). */
mica_value *mica_onnx_activate(mica_onnx_node *node, const char *name, mica_value *x,
                               const double *params, size_t n_params);
/* [N, .., C] -> [N, C, ..] and back. */
mica_value *mica_onnx_channels_first(mica_onnx_node *node, const char *suffix, mica_value *x);
mica_value *mica_onnx_channels_last(mica_onnx_node *node, const char *suffix, mica_value *x);
/* The same tensor under the name of output `i`: nothing is made. */
mica_status mica_onnx_alias(mica_onnx_node *node, size_t i, mica_value *value);

/* A constant with data that lives as long as the module. */
mica_value *mica_onnx_borrow(mica_onnx_importer *importer, const char *name, mrt_dtype dtype,
                             const mrt_shape *shape, const void *data);
/* Constants "<output 0>_<suffix>" (suffix NULL: the output's own name). Data is copied. */
mica_value *mica_onnx_weight(mica_onnx_node *node, const char *suffix, mrt_dtype dtype, int rank,
                             const int64_t *dims, const void *data);
/* The same with data that lives as long as the module. */
mica_value *mica_onnx_weight_borrow(mica_onnx_node *node, const char *suffix, mrt_dtype dtype,
                                    const mrt_shape *shape, const void *data);
mica_value *mica_onnx_i64s(mica_onnx_node *node, const char *suffix, int64_t count,
                           const int64_t *values);
/* A scalar of the element type of `like`. */
mica_value *mica_onnx_scalar_like(mica_onnx_node *node, const char *suffix, const mica_value *like,
                                  double value);
mica_value *mica_onnx_scalar(mica_onnx_node *node, const char *suffix, mrt_dtype dtype,
                             double value);
/* Writes `value` as one element of `dtype`. */
void mica_onnx_store(mrt_dtype dtype, double value, void *out);
/* Room for `count` elements of a constant that a converter computes; an error when it is too
 * large. Lives as long as the module. */
void *mica_onnx_buffer(mica_onnx_node *node, mrt_dtype dtype, int64_t count);
/* Writes the strides, pads, dilations of a window op: defaults, auto_pad, list lengths. */
typedef struct mica_onnx_window {
    int spatial;
    int64_t kernel[3], strides[3], dilations[3], pads[6];
} mica_onnx_window;
mica_status mica_onnx_read_window(mica_onnx_node *node, const mrt_shape *input,
                                  const mrt_shape *filter, mica_onnx_window *out,
                                  const char **out_auto_pad);
void mica_onnx_set_window(mica_op *op, const mica_onnx_window *window);
/* A pool of x with the window attributes of the node; set what is left, then call mica_onnx_done. */
mica_op *mica_onnx_pool(mica_onnx_node *node, const char *op, const char *suffix, mica_value *x,
                        size_t n_results);

#endif
