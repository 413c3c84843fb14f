/* Cutting function main of a top module by tensor names.
 *
 * Cut off: only what lies between the given inputs and outputs stays. Truncated: everything stays, and
 * a top.Cut marks the border behind which nothing is quantized. What lies behind it is not written
 * down: an op is in front when a top.Cut depends on it, else behind, so that rewrites on either side
 * need not know. Names that no tensor has are answered with the nearest one. */
#ifndef MICA_DIALECTS_TOP_CUT_H
#define MICA_DIALECTS_TOP_CUT_H

#include "ir/op.h"
#include "ir/ptr_map.h"

typedef struct mica_cut {
    const char *const *inputs; /* tensors that become the inputs, in this order; none: as they are */
    size_t n_inputs;
    const char *const *outputs; /* tensors to return, in this order; none: as they are */
    size_t n_outputs;
    bool keep_inputs; /* inputs that nobody needs any more stay (only without `inputs`) */
} mica_cut;

/* Fails, and leaves the module as it was, when an output depends on an input that `inputs` does not
 * cut off: the message has the path. Also for the tpu dialect. */
MICA_MUST_CHECK mica_status mica_top_cut(mica_module *module, const mica_cut *cut, mica_error *err);

/* Puts a top.Cut behind each value, for the users that are not in front. Fails when the values do not
 * separate the inputs from the outputs: the message has a path around them and the tensor to add.
 * Names are for messages and may differ from those of the values. */
MICA_MUST_CHECK mica_status mica_top_truncate(mica_module *module, mica_value *const *values,
                                              const char *const *names, size_t count,
                                              mica_error *err);
MICA_MUST_CHECK mica_status mica_top_truncate_names(mica_module *module, const char *const *names,
                                                    size_t count, mica_error *err);

/* Sets the key of every op in front of a top.Cut; false when the function has none. */
bool mica_top_mark_front(mica_op *func, mica_ptr_map *out);
/* A copy of the module with the part in front of its top.Cuts; all inputs stay. NULL when there is
 * none. The caller owns it; data of constants is shared. */
mica_module *mica_top_front(mica_module *module);

#endif
