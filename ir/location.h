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
    const char *seen_file; /* where it was last read from a text, or NULL; not part of identity */
    int seen_line, seen_column;
    uint32_t depth, weight; /* levels and parts when written out; bound what a text may ask for */
    mica_context *context;
};

mica_loc mica_loc_unknown(mica_context *context);
mica_loc mica_loc_file(mica_context *context, const char *file, int line, int column);
mica_loc mica_loc_name(mica_context *context, const char *name, mica_loc child);
/* As upstream does, nested fused locations are flattened, unknown and repeated parts dropped; no
 * part left gives the unknown location and one part gives that part. So parts that name the results
 * of an op must be known and different. */
mica_loc mica_loc_fused(mica_context *context, const mica_loc *parts, size_t n_parts);

/* First name found in the location (NAME itself, first named part of FUSED), or "" if none. */
const char *mica_loc_get_name(mica_loc loc);
/* Name of part `index` of a fused location, or the plain name when index is 0; "" if none. */
const char *mica_loc_get_name_at(mica_loc loc, size_t index);
/* File, line and column: of a FILE part, or where the location was read from a text. */
bool mica_loc_find_place(mica_loc loc, const char **out_file, int *out_line, int *out_column);
/* Text as the printer writes it, without the word loc and its parentheses: "conv1". */
const char *mica_loc_text(mica_loc loc);

#endif
