/* Known kinds of models, told by their graph, and the ops that are kept in float there without any search. */
#ifndef MICA_SEARCH_FAMILY_H
#define MICA_SEARCH_FAMILY_H

#include "passes/lowering/qtable.h"
#include "utils/strbuf.h"

/* Recognizes main and adds rows of `mode` to `table`; *out_family: its name ("bert", "yolov8", ...), NULL when it is
 * none of families.def: nothing is added. `said` gets what was found, in lines. */
void mica_family_table(mica_module *module, mica_mode mode, mica_qtable *table, const char **out_family,
                       mica_strbuf *said);

#endif
