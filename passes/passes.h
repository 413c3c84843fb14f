/* The registry of all passes, expanded from passes/passes.def. */
#ifndef MICA_PASSES_H
#define MICA_PASSES_H

#include "ir/pass.h"

const mica_pass_info *mica_passes(size_t *out_count);

#endif
