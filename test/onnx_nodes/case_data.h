/* The inputs or expected outputs of one ONNX backend case, read from its .pb files. A sequence is
 * one item per element, called "name.0", "name.1", ..., as the importer calls them; an optional that
 * is absent is no item. */
#ifndef MICA_TEST_ONNX_NODES_CASE_DATA_H
#define MICA_TEST_ONNX_NODES_CASE_DATA_H

#include "frontends/onnx/onnx_internal.h"

enum { CASE_MAX_ITEMS = 64 };

typedef struct case_item {
    char *name;
    mica_onnx_tensor tensor;
} case_item;

typedef struct case_data {
    case_item items[CASE_MAX_ITEMS];
    size_t count;
    const char *shapes; /* what input_shapes must say of sequences and optionals */
} case_data;

/* Reads set/<kind>_0.pb, ... of the values that `infos` describes; everything lives on `arena` or
 * until the process ends. False with a message. */
bool case_data_read(mica_arena *arena, const char *set, const char *kind,
                    Onnx__ValueInfoProto *const *infos, size_t n_infos, case_data *out,
                    mica_error *err);

#endif
