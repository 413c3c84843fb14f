/* The lower column of dialects/ops.def. */
#include <string.h>

#include "passes/lowering/lower_hooks.h"

#define mica_lower_NONE NULL
typedef struct row {
    const char *name;
    mica_lower_fn *lower;
} row;

static const row rows[] = {
#define TOP(name, code, summary, operands, results, attrs, traits, verify, infer, plan, lower)     \
    {"top." #name, mica_lower_##lower},
#include "dialects/ops.def"
};

bool mica_lower_follows(const mica_op *op) {
    mica_lower_fn *hook = mica_lower_hook(op);
    return hook == mica_lower_movement || hook == mica_lower_gather || hook == mica_lower_pad;
}

mica_lower_fn *mica_lower_hook(const mica_op *op) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        if (strcmp(rows[i].name, op->name) == 0) {
            return rows[i].lower;
        }
    }
    return NULL;
}
