#include "utils/mincut.h"

#include "utils/vec.h"

#define NONE SIZE_MAX

typedef struct cut_edge {
    size_t to, next; /* next edge of the same node */
    int64_t left;    /* capacity that is not used yet; edge ^ 1 is the one back */
} cut_edge;

typedef struct cut_node {
    size_t first, at; /* edges; the one to go on with */
    size_t level;     /* distance from the source, NONE: not reached */
    size_t via;       /* edge that led here on the current path */
} cut_node;

struct mica_mincut {
    MICA_VEC(cut_node) nodes;
    MICA_VEC(cut_edge) edges;
    MICA_VEC(size_t) queue;
};

size_t mica_mincut_node(mica_mincut *cut) {
    mica_vec_push(&cut->nodes, ((cut_node){.first = NONE, .level = NONE}));
    return cut->nodes.len - 1;
}

mica_mincut *mica_mincut_create(void) {
    mica_mincut *cut = mica_alloc(sizeof *cut);
    *cut = (mica_mincut){0};
    (void)mica_mincut_node(cut);
    (void)mica_mincut_node(cut);
    return cut;
}

void mica_mincut_destroy(mica_mincut *cut) {
    if (cut != NULL) {
        mica_vec_free(&cut->nodes);
        mica_vec_free(&cut->edges);
        mica_vec_free(&cut->queue);
        mica_free(cut);
    }
}

void mica_mincut_edge(mica_mincut *cut, size_t from, size_t to, int64_t capacity) {
    const size_t at = cut->edges.len;
    mica_vec_push(&cut->edges, ((cut_edge){.to = to, .next = cut->nodes.data[from].first, .left = capacity}));
    cut->nodes.data[from].first = at;
    mica_vec_push(&cut->edges, ((cut_edge){.to = from, .next = cut->nodes.data[to].first, .left = 0}));
    cut->nodes.data[to].first = at + 1;
}

/* Levels by breadth; false when the sink is out of reach. */
static bool find_levels(mica_mincut *cut) {
    for (size_t i = 0; i < cut->nodes.len; ++i) {
        cut->nodes.data[i].level = NONE;
        cut->nodes.data[i].at = cut->nodes.data[i].first;
    }
    cut->queue.len = 0;
    mica_vec_push(&cut->queue, (size_t)MICA_CUT_SOURCE);
    cut->nodes.data[MICA_CUT_SOURCE].level = 0;
    for (size_t i = 0; i < cut->queue.len; ++i) {
        const cut_node *node = &cut->nodes.data[cut->queue.data[i]];
        for (size_t e = node->first; e != NONE; e = cut->edges.data[e].next) {
            cut_node *to = &cut->nodes.data[cut->edges.data[e].to];
            if (cut->edges.data[e].left > 0 && to->level == NONE) {
                to->level = node->level + 1;
                mica_vec_push(&cut->queue, cut->edges.data[e].to);
            }
        }
    }
    return cut->nodes.data[MICA_CUT_SINK].level != NONE;
}

/* Sends what fits along the path that `via` remembers; returns it. */
static int64_t send(mica_mincut *cut) {
    int64_t amount = INT64_MAX;
    for (size_t n = MICA_CUT_SINK; n != MICA_CUT_SOURCE;) {
        const size_t e = cut->nodes.data[n].via;
        amount = cut->edges.data[e].left < amount ? cut->edges.data[e].left : amount;
        n = cut->edges.data[e ^ 1].to;
    }
    for (size_t n = MICA_CUT_SINK; n != MICA_CUT_SOURCE;) {
        const size_t e = cut->nodes.data[n].via;
        cut->edges.data[e].left -= amount;
        cut->edges.data[e ^ 1].left += amount;
        n = cut->edges.data[e ^ 1].to;
    }
    return amount;
}

/* Paths along rising levels until there is none, without recursion. */
static int64_t block_flow(mica_mincut *cut) {
    int64_t sum = 0;
    size_t n = MICA_CUT_SOURCE;
    for (;;) {
        if (n == MICA_CUT_SINK) {
            sum += send(cut);
            n = MICA_CUT_SOURCE;
        }
        cut_node *node = &cut->nodes.data[n];
        while (node->at != NONE && !(cut->edges.data[node->at].left > 0 &&
                                     cut->nodes.data[cut->edges.data[node->at].to].level == node->level + 1)) {
            node->at = cut->edges.data[node->at].next;
        }
        if (node->at != NONE) {
            const size_t e = node->at;
            n = cut->edges.data[e].to;
            cut->nodes.data[n].via = e;
        } else if (n == MICA_CUT_SOURCE) {
            return sum;
        } else {
            node->level = NONE; /* leads nowhere */
            n = cut->edges.data[node->via ^ 1].to;
        }
    }
}

int64_t mica_mincut_run(mica_mincut *cut) {
    int64_t sum = 0;
    while (find_levels(cut)) {
        sum += block_flow(cut);
    }
    return sum;
}

bool mica_mincut_is_source_side(const mica_mincut *cut, size_t node) {
    return cut->nodes.data[node].level != NONE;
}
