/* Places all activations in one arena by liveness.
 *
 * Tensors become buffers (a kernel that works in place joins its output to the dying input), each
 * alive over an interval of times: 0 is before the first step, i + 1 is step i, n_steps + 1 is
 * after the last. Buffers are placed largest first, each into the smallest sufficient gap among the
 * placed buffers that are alive at some same time. */
#include "runtime/mrt_plan_private.h"

#include <stdlib.h>
#include <string.h>

/* Above this number of buffers the quadratic search gives way to size classes. */
enum { MAX_SEARCHED = 20000 };

typedef struct buffer {
    int64_t bytes; /* rounded up to MRT_ALIGN, > 0 */
    int64_t offset;
    int32_t first, last; /* times, inclusive */
    int32_t id;          /* root tensor that owns the buffer */
} buffer;

/* A placed buffer, small because the search walks over many. */
typedef struct spot {
    int64_t offset, end;
    int32_t first, last;
} spot;

typedef struct planner {
    mrt_plan *plan;
    int32_t *owner;  /* per tensor: root whose buffer it lives in, itself if its own */
    buffer *buffers; /* in order of ids */
    int32_t n;
} planner;

/* --- from tensors to buffers --- */

static bool is_placed(const mrt_plan *plan, int32_t id) {
    const mrt_plan_tensor *t = &plan->tensors[id];
    const mrt_layout *layout = mrt_layout_of(plan);
    return t->alias_of < 0 && t->kind != MRT_CONST && (layout == NULL || !layout->absent[id]);
}

/* Root of in[0] if the step may write out[0] over it, else -1. */
static int32_t inplace_source(const mrt_plan *plan, int32_t index) {
    const mrt_step *step = &plan->steps[index];
    if (plan->keep_all || (step->kernel->flags & MRT_INPLACE) == 0 || step->n_in < 1 ||
        step->n_out < 1) {
        return -1;
    }
    const int32_t source = plan->tensors[step->in[0]].root;
    const mrt_plan_tensor *from = &plan->tensors[source];
    if (from->kind == MRT_CONST || from->last_step != index ||
        from->bytes != plan->tensors[step->out[0]].bytes) {
        return -1;
    }
    for (int32_t i = 1; i < step->n_in; i++) {
        if (step->in[i] >= 0 && plan->tensors[step->in[i]].root == source) {
            return -1;
        }
    }
    return source;
}

static void collect_buffers(planner *p) {
    const mrt_plan *plan = p->plan;
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        p->owner[id] = id;
    }
    /* In step order, so that a chain of steps in place ends up in its first buffer. */
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const int32_t source = inplace_source(plan, i);
        if (source >= 0) {
            p->owner[plan->steps[i].out[0]] = p->owner[source];
        }
    }
    int32_t *buffer_of = malloc(((size_t)plan->n_tensors + 1) * sizeof buffer_of[0]);
    p->n = buffer_of != NULL ? 0 : -1;
    for (int32_t id = 0; buffer_of != NULL && id < plan->n_tensors; id++) {
        if (is_placed(plan, id) && p->owner[id] == id && plan->tensors[id].bytes > 0) {
            p->buffers[p->n] = (buffer){.bytes = mrt_align_up(plan->tensors[id].bytes),
                                        .first = plan->tensors[id].def_step + 1,
                                        .id = id};
            buffer_of[id] = p->n++;
        }
    }
    for (int32_t id = 0; buffer_of != NULL && id < plan->n_tensors; id++) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        if (is_placed(plan, id) && t->bytes > 0) {
            buffer *b = &p->buffers[buffer_of[p->owner[id]]];
            const int32_t last = plan->keep_all ? plan->n_steps + 1 : t->last_step + 1;
            b->last = last > b->last ? last : b->last;
            b->first = plan->keep_all ? 0 : b->first;
        }
    }
    free(buffer_of);
}

static int64_t largest_live_set(const planner *p) {
    const size_t times = (size_t)p->plan->n_steps + 3;
    int64_t *change = calloc(times, sizeof change[0]);
    if (change == NULL) {
        return -1;
    }
    for (int32_t i = 0; i < p->n; i++) {
        change[p->buffers[i].first] += p->buffers[i].bytes;
        change[p->buffers[i].last + 1] -= p->buffers[i].bytes;
    }
    int64_t alive = 0, largest = 0;
    for (size_t time = 0; time < times; time++) {
        alive += change[time];
        largest = alive > largest ? alive : largest;
    }
    free(change);
    return largest;
}

/* --- placement --- */

static int by_size(const void *left, const void *right) {
    const buffer *a = left, *b = right;
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes ? -1 : 1;
    }
    return a->id < b->id ? -1 : 1;
}

static int by_first(const void *left, const void *right) {
    const buffer *a = left, *b = right;
    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    return a->id < b->id ? -1 : 1;
}

/* Smallest gap that holds `b` among the placed buffers (sorted by offset), else behind them. */
static int64_t best_gap(const spot *placed, int32_t n, const buffer *b) {
    int64_t best = -1, best_room = INT64_MAX, free_from = 0;
    for (int32_t i = 0; i < n; i++) {
        if (placed[i].last < b->first || placed[i].first > b->last) {
            continue;
        }
        const int64_t room = placed[i].offset - free_from;
        if (room >= b->bytes && room < best_room) {
            best = free_from;
            best_room = room;
        }
        free_from = placed[i].end > free_from ? placed[i].end : free_from;
    }
    return best >= 0 ? best : free_from;
}

static int64_t place_by_search(planner *p) {
    spot *placed = malloc(((size_t)p->n + 1) * sizeof placed[0]);
    if (placed == NULL) {
        return -1;
    }
    int64_t arena = 0;
    qsort(p->buffers, (size_t)p->n, sizeof p->buffers[0], by_size);
    for (int32_t i = 0; i < p->n; i++) {
        buffer *b = &p->buffers[i];
        b->offset = best_gap(placed, i, b);
        arena = b->offset + b->bytes > arena ? b->offset + b->bytes : arena;
        int32_t low = 0, high = i;
        while (low < high) {
            const int32_t middle = low + (high - low) / 2;
            if (placed[middle].offset <= b->offset) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        memmove(&placed[low + 1], &placed[low], (size_t)(i - low) * sizeof placed[0]);
        placed[low] = (spot){b->offset, b->offset + b->bytes, b->first, b->last};
    }
    free(placed);
    return arena;
}

static int by_last(const void *left, const void *right) {
    const buffer *a = *(buffer *const *)left, *b = *(buffer *const *)right;
    if (a->last != b->last) {
        return a->last < b->last ? -1 : 1;
    }
    return a->id < b->id ? -1 : 1;
}

/* Powers of two on stacks of free offsets, in order of time: n log n for hostile or huge plans. */
static int64_t place_by_class(planner *p) {
    buffer **dying = malloc(((size_t)p->n + 1) * sizeof dying[0]);
    int32_t *next_free = malloc(((size_t)p->n + 1) * sizeof next_free[0]);
    int64_t arena = dying != NULL && next_free != NULL ? 0 : -1;
    int32_t top[64];
    memset(top, -1, sizeof top);
    int32_t dead = 0;
    if (arena == 0) {
        qsort(p->buffers, (size_t)p->n, sizeof p->buffers[0], by_first);
        for (int32_t i = 0; i < p->n; i++) {
            dying[i] = &p->buffers[i];
        }
        qsort(dying, (size_t)p->n, sizeof dying[0], by_last);
    }
    for (int32_t i = 0; arena >= 0 && i < p->n; i++) {
        buffer *b = &p->buffers[i];
        for (; dying[dead]->last < b->first; dead++) {
            const int32_t index = (int32_t)(dying[dead] - p->buffers);
            const int bits = 64 - __builtin_clzll((uint64_t)dying[dead]->bytes - 1);
            next_free[index] = top[bits];
            top[bits] = index;
        }
        const int bits = 64 - __builtin_clzll((uint64_t)b->bytes - 1);
        if (top[bits] >= 0) {
            b->offset = p->buffers[top[bits]].offset;
            top[bits] = next_free[top[bits]];
        } else {
            b->offset = arena;
            arena = __builtin_add_overflow(arena, (int64_t)1 << bits, &arena) ? -1 : arena;
        }
    }
    free(dying);
    free(next_free);
    return arena;
}

static int64_t place_apart(planner *p) {
    int64_t arena = 0;
    for (int32_t i = 0; i < p->n; i++) {
        p->buffers[i].offset = arena;
        arena += p->buffers[i].bytes;
    }
    return arena;
}

static bool sizes_fit(const planner *p) {
    int64_t total = 0;
    for (int32_t i = 0; i < p->n; i++) {
        total += p->buffers[i].bytes; /* each at most MRT_MAX_BYTES */
        if (total > MRT_MAX_BYTES) {
            return false;
        }
    }
    return true;
}

static void store_offsets(const planner *p) {
    mrt_plan_tensor *tensors = p->plan->tensors;
    for (int32_t i = 0; i < p->n; i++) {
        tensors[p->buffers[i].id].offset = p->buffers[i].offset;
    }
    for (int32_t id = 0; id < p->plan->n_tensors; id++) {
        mrt_plan_tensor *t = &tensors[id];
        const int32_t root = t->root;
        if (tensors[root].kind == MRT_CONST) {
            t->offset = -1;
        } else if (t->bytes == 0) {
            t->offset = 0;
        } else if (p->owner[root] != id) {
            t->offset = tensors[p->owner[root]].offset;
        }
    }
}

mrt_status mrt_plan_arena(mrt_plan *plan, mrt_error *err) {
    const size_t room = (size_t)plan->n_tensors + 1;
    planner p = {.plan = plan,
                 .owner = malloc(room * sizeof p.owner[0]),
                 .buffers = malloc(room * sizeof p.buffers[0])};
    mrt_status status = MRT_OK;
    if (p.owner != NULL && p.buffers != NULL) {
        collect_buffers(&p);
    } else {
        p.n = -1;
    }
    if (p.n >= 0 && !sizes_fit(&p)) {
        status = mrt_fail(err, MRT_INVALID, "the tensors are too large for any machine");
    } else if (p.n >= 0) {
        plan->live_bytes = largest_live_set(&p);
        plan->arena_bytes = plan->keep_all          ? place_apart(&p)
                            : p.n <= MAX_SEARCHED ? place_by_search(&p)
                                                    : place_by_class(&p);
        if (plan->live_bytes >= 0 && plan->arena_bytes >= 0) {
            store_offsets(&p);
        } else {
            p.n = -1;
        }
    }
    if (p.n < 0) {
        status = mrt_fail(err, MRT_NO_MEMORY, "no memory to plan the arena");
    }
    free(p.owner);
    free(p.buffers);
    return status;
}
