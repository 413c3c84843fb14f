/* Locations. Every op has one; the name in it is the tensor's name in npz files and messages. */
#ifndef MICA_IR_LOCATION_H
#define MICA_IR_LOCATION_H

#include "ir/context.h"

typedef enum mica_loc_kind {
    MICA_LOC_UNKNOWN,
    MICA_LOC_FILE,  /* loc("f.mlir":1:2) */
    MICA_LOC_NAME,  /* loc("conv1") or loc("conv1"(child)) */
    MICA_LOC_FUSED, /* loc(fused["a", "b"]): several results, or several source ops in one */
} mica_loc_kind;

struct mica_loc_storage {
    mica_loc_kind kind;
    const char *name;  /* FILE: path; NAME: name */
    int line, column;  /* FILE */
    mica_loc child;    /* NAME: nested location or NULL */
    const mica_loc *parts;
    size_t n_parts;    /* FUSED */
    mica_context *context;
};

mica_loc mica_loc_unknown(mica_context *context);
mica_loc mica_loc_file(mica_context *context, const char *file, int line, int column);
mica_loc mica_loc_name(mica_context *context, const char *name, mica_loc child);
mica_loc mica_loc_fused(mica_context *context, const mica_loc *parts, size_t n_parts);

/* First name found in the location (NAME itself, first named part of FUSED), or "" if none. */
const char *mica_loc_get_name(mica_loc loc);
/* Name of part `index` of a fused location, or the plain name when index is 0; "" if none. */
const char *mica_loc_get_name_at(mica_loc loc, size_t index);

#endif
