/* The greedy rewrite driver. A round visits every op in program order; what a rewrite touches is
 * visited next, last touched first. Rounds repeat until one changes nothing. */
#include "ir/rewrite.h"

#include "ir/context_impl.h"
#include "ir/op_impl.h"
#include "ir/ptr_map.h"
#include "utils/vec.h"

#include <assert.h>
#include <string.h>

struct mica_rewriter {
    mica_module *module;
    mica_op *scope;
    mica_builder builder;
    MICA_VEC(mica_op *) worklist; /* a stack; an op is in it at most once, NULL: taken out */
    mica_ptr_map places;          /* op -> index in the worklist plus 1, 0: not in it */
};

/* --- worklist --------------------------------------------------------------------------------- */

/* Puts the op on top, also if it waits further down. */
static void push(mica_rewriter *rewriter, mica_op *op) {
    if (op->erased || op == rewriter->scope) {
        return;
    }
    uint64_t place = 0;
    if (mica_ptr_map_get(&rewriter->places, op, &place) && place > 0) {
        rewriter->worklist.data[place - 1] = NULL;
    }
    mica_vec_push(&rewriter->worklist, op);
    mica_ptr_map_set(&rewriter->places, op, rewriter->worklist.len);
}

static mica_op *pop(mica_rewriter *rewriter) {
    while (rewriter->worklist.len > 0) {
        mica_op *op = rewriter->worklist.data[--rewriter->worklist.len];
        if (op) {
            mica_ptr_map_set(&rewriter->places, op, 0);
            if (!op->erased) {
                return op;
            }
        }
    }
    return NULL;
}

static void push_users(mica_rewriter *rewriter, const mica_op *op) {
    for (uint32_t i = 0; i < op->n_results; i++) {
        for (const mica_use *use = op->results[i].first_use; use; use = use->next) {
            push(rewriter, use->user);
        }
    }
}

/* Ops whose values this op and the ops inside it use: they may be dead without it. */
static void push_sources(mica_rewriter *rewriter, mica_op *op) {
    for (mica_op *inner = op; inner; inner = mica_op_walk_next(op, inner)) {
        for (uint32_t i = 0; i < inner->n_operands; i++) {
            if (inner->operands[i].value->def) {
                push(rewriter, inner->operands[i].value->def);
            }
        }
    }
}

static void created(void *user, mica_op *op) {
    push(user, op);
}

/* --- services --------------------------------------------------------------------------------- */

mica_builder *mica_rewriter_builder(mica_rewriter *rewriter, mica_op *before) {
    rewriter->builder = mica_builder_before(rewriter->module, before);
    rewriter->builder.created = created;
    rewriter->builder.user = rewriter;
    return &rewriter->builder;
}

mica_module *mica_rewriter_module(mica_rewriter *rewriter) {
    return rewriter->module;
}

void mica_rewriter_replace(mica_rewriter *rewriter, mica_op *op, mica_value *const *values,
                           size_t count) {
    assert(count == op->n_results);
    push_users(rewriter, op);
    for (size_t i = 0; i < count; i++) {
        mica_value_replace_uses(&op->results[i], values[i]);
    }
    mica_rewriter_erase(rewriter, op);
}

void mica_rewriter_erase(mica_rewriter *rewriter, mica_op *op) {
    push_sources(rewriter, op);
    mica_op_erase(op);
}

void mica_rewriter_touch(mica_rewriter *rewriter, mica_op *op) {
    push_users(rewriter, op);
    push_sources(rewriter, op);
    push(rewriter, op);
}

/* --- driver ----------------------------------------------------------------------------------- */

typedef struct driver {
    mica_rewriter rewriter;
    const mica_pattern *patterns;
    size_t n_patterns;
    const mica_rewrite_options *options;
    mica_ptr_map by_root; /* interned root name -> first pattern of that root plus 1 */
    size_t *next;         /* next pattern that may match the same ops, n_patterns: none */
    size_t first_any;     /* first pattern without a root */
    uint64_t changes, limit;
} driver;

static bool is_disabled(const mica_rewrite_options *options, const char *name) {
    for (size_t i = 0; options && i < options->n_disabled; i++) {
        if (strcmp(options->disabled[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Chains the patterns of each root, in table order. */
static void index_patterns(driver *d) {
    mica_context *context = d->rewriter.module->context;
    d->first_any = d->n_patterns;
    for (size_t i = d->n_patterns; i-- > 0;) {
        if (is_disabled(d->options, d->patterns[i].name)) {
            continue;
        }
        if (!d->patterns[i].root) {
            d->next[i] = d->first_any;
            d->first_any = i;
            continue;
        }
        const char *root = mica_intern(context, d->patterns[i].root);
        uint64_t first = 0;
        bool found = mica_ptr_map_get(&d->by_root, root, &first) && first > 0;
        d->next[i] = found ? (size_t)first - 1 : d->n_patterns;
        mica_ptr_map_set(&d->by_root, root, i + 1);
    }
}

static bool is_dead(const mica_op *op) {
    if (!mica_op_has_trait(op, MICA_PURE) || mica_op_has_trait(op, MICA_TERMINATOR)) {
        return false;
    }
    for (uint32_t i = 0; i < op->n_results; i++) {
        if (op->results[i].first_use) {
            return false;
        }
    }
    return true;
}

/* Tries the patterns of the op's name and the general ones, in table order. */
static bool apply_one(driver *d, mica_op *op, size_t *out_pattern) {
    uint64_t first = 0;
    mica_ptr_map_get(&d->by_root, op->name, &first);
    size_t rooted = first > 0 ? (size_t)first - 1 : d->n_patterns;
    size_t any = d->first_any;
    while (rooted < d->n_patterns || any < d->n_patterns) {
        size_t i = rooted < any ? rooted : any;
        if (i == rooted) {
            rooted = d->next[i];
        } else {
            any = d->next[i];
        }
        if (d->patterns[i].fn(&d->rewriter, op)) {
            *out_pattern = i;
            return true;
        }
    }
    return false;
}

static mica_status count_change(driver *d, size_t pattern, mica_loc loc) {
    if (d->options && d->options->counts) {
        d->options->counts[pattern]++;
    }
    if (++d->changes > d->limit) {
        return mica_emit_error(d->rewriter.module->context, loc,
                               "rewriting does not converge: pattern '%s' was applied last, after "
                               "%llu rewrites",
                               d->patterns[pattern].name, (unsigned long long)d->changes);
    }
    return MICA_OK;
}

static mica_status drain(driver *d, bool *out_changed) {
    mica_op *op;
    while ((op = pop(&d->rewriter))) {
        if (is_dead(op)) {
            mica_rewriter_erase(&d->rewriter, op);
            *out_changed = true; /* other users of its operands may match now */
            continue;
        }
        size_t pattern = 0;
        mica_loc loc = op->loc;
        if (!apply_one(d, op, &pattern)) {
            continue;
        }
        *out_changed = true;
        MICA_TRY(count_change(d, pattern, loc));
        if (!op->erased) {
            push(&d->rewriter, op);
        }
    }
    return MICA_OK;
}

/* All ops inside the scope, so that the first one is on top. */
static size_t seed(mica_rewriter *rewriter) {
    size_t from = rewriter->worklist.len;
    for (mica_op *op = rewriter->scope; op; op = mica_op_walk_next(rewriter->scope, op)) {
        if (op != rewriter->scope) {
            mica_vec_push(&rewriter->worklist, op);
        }
    }
    size_t count = rewriter->worklist.len - from;
    for (size_t i = 0; i < count / 2; i++) {
        mica_op *swap = rewriter->worklist.data[from + i];
        rewriter->worklist.data[from + i] = rewriter->worklist.data[from + count - 1 - i];
        rewriter->worklist.data[from + count - 1 - i] = swap;
    }
    for (size_t i = 0; i < count; i++) {
        mica_ptr_map_set(&rewriter->places, rewriter->worklist.data[from + i], from + i + 1);
    }
    return count;
}

/* Patterns that ask who uses a value must not see users that nobody needs. The last op lies lowest. */
static void erase_dead(mica_rewriter *rewriter) {
    for (size_t i = 0; i < rewriter->worklist.len; i++) {
        if (is_dead(rewriter->worklist.data[i])) {
            mica_op_erase(rewriter->worklist.data[i]);
        }
    }
}

static mica_status run_rounds(driver *d) {
    bool changed = true;
    while (changed) {
        changed = false;
        size_t count = seed(&d->rewriter);
        erase_dead(&d->rewriter);
        if (d->limit == 0) {
            d->limit = 4096 + 64 * (uint64_t)count;
        }
        MICA_TRY(drain(d, &changed));
    }
    return MICA_OK;
}

mica_status mica_rewrite_greedy(mica_module *module, mica_op *scope, const mica_pattern *patterns,
                                size_t n_patterns, const mica_rewrite_options *options) {
    driver d = {.rewriter = {.module = module, .scope = scope},
                .patterns = patterns,
                .n_patterns = n_patterns,
                .options = options,
                .next = mica_alloc(n_patterns * sizeof(size_t))};
    index_patterns(&d);
    mica_status status = run_rounds(&d);
    mica_vec_free(&d.rewriter.worklist);
    mica_ptr_map_free(&d.rewriter.places);
    mica_ptr_map_free(&d.by_root);
    mica_free(d.next);
    return status;
}
