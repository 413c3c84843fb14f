/* A MatMul by a constant whose result is cut into parts, like packed queries, keys and values:
 * MatMul, Reshape?, Permute?, Reshape of axes of size 1?, then Split, Slices or Gathers. */
#ifndef MICA_TOP_PROJECTION_H
#define MICA_TOP_PROJECTION_H

#include "ir/rewrite.h"

enum { MICA_MAX_PARTS = 8 };

/* One result of a Split, a Slice or a Gather of one index: elements begin, begin + 1, ... of the axis. */
typedef struct mica_part {
    mica_op *op;
    uint32_t result;
    int64_t begin, size;
} mica_part;

typedef struct mica_packed {
    mica_op *matmul;
    mica_op *reshape, *permute; /* NULL: absent */
    int64_t axis, extent;       /* cut axis before the Permute, and its size */
    int64_t inner;              /* columns of the MatMul per element of the axis */
    mica_part parts[MICA_MAX_PARTS];
    size_t n_parts;
} mica_packed;

/* Reads what `cut` (a Split, Slice or Gather) and all others that cut the same tensor take; false when
 * they are no such parts, overlap in number of columns, or are too narrow to be a product each. */
bool mica_packed_read(mica_op *cut, mica_packed *out);
/* Replaces all parts by products of their own columns. The parts keep their names. */
bool mica_packed_unpack(mica_rewriter *rewriter, const mica_packed *packed);

#endif
