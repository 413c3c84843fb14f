/* Reference texts that mica-opt prints from the tables. */
#ifndef MICA_TOOLS_OPT_DOCS_H
#define MICA_TOOLS_OPT_DOCS_H

#include "ir/context.h"
#include "ir/pass.h"

#include <stdio.h>

/* All registered ops as Markdown. */
void mica_opt_show_dialects(const mica_context *context, FILE *out);
/* All operators of the default ONNX domain with their opsets as Markdown. */
void mica_opt_show_operators(FILE *out);
/* All passes with their options, indented text. */
void mica_opt_list_passes(const mica_pass_info *passes, size_t count, FILE *out);

#endif
