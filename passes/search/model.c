#include "passes/search/model.h"

#include <string.h>

#include "passes/lowering/lowering.h"
#include "utils/arena.h"

_Static_assert((int)MICA_MODE_COUNT <= (int)MICA_SOLVE_MODES, "modes fit into the solver's labels");

static void fill_op(const mica_noise_result *results, mica_mode always, size_t k, mica_solve_op *op) {
    *op = (mica_solve_op){0};
    op->allowed[always] = true;
    for (int m = 0; m < MICA_MODE_COUNT; ++m) {
        if (results[m].has != NULL && results[m].has[k]) {
            op->allowed[m] = true;
            op->noise[m] = results[m].own != NULL ? results[m].own[k].nsr : results[m].alone[k].nsr;
        }
    }
}

/* How coarse the values are that a mode reads and makes: a reader rounds what its producer has not rounded as
 * much already. */
static const struct {
    int reads, makes;
} COARSENESS[MICA_SOLVE_MODES] = {
    [MICA_MODE_F16] = {1, 1},
    [MICA_MODE_BF16] = {2, 2},
    [MICA_MODE_INT8] = {3, 3},
    [MICA_MODE_W8A8] = {3, 0},
    [MICA_MODE_INT4] = {3, 3},
    [MICA_MODE_W4INT8] = {3, 3},
    [MICA_MODE_W4A8] = {3, 0},
};

static void fill_edge(const mica_noise_result *results, size_t e, const mica_net_edge *from, mica_solve_edge *edge) {
    *edge = (mica_solve_edge){.from = from->from, .to = from->to};
    for (int to = 0; to < MICA_MODE_COUNT; ++to) {
        for (int source = 0; source < MICA_MODE_COUNT && results[to].edges != NULL; ++source) {
            const bool rounds = COARSENESS[source].makes < COARSENESS[to].reads;
            edge->noise[source][to] = rounds ? results[to].edges[e].nsr : 0.0;
        }
    }
}

static void find_leaders(const mica_net *net, mica_model *out) {
    for (size_t k = 0; k < net->n_ops; ++k) {
        const mica_net_op *op = &net->ops[k];
        out->leader[k] = (int32_t)k;
        if (op->n_edges == 1 && mica_lower_follows(op->op)) {
            const int32_t from = net->edges[op->first_edge].from;
            out->leader[k] = from >= 0 ? out->leader[from] : -1;
            out->ops[k] = (mica_solve_op){.allowed = {true}};
        }
    }
}

void mica_model_make(const mica_net *net, const mica_noise_result *results, mica_mode always, mica_model *out) {
    out->ops = mica_alloc((net->n_ops + 1) * sizeof *out->ops);
    out->leader = mica_alloc((net->n_ops + 1) * sizeof *out->leader);
    out->edges = mica_alloc((net->n_edges + 1) * sizeof *out->edges);
    for (size_t k = 0; k < net->n_ops; ++k) {
        fill_op(results, always, k, &out->ops[k]);
    }
    find_leaders(net, out);
    size_t n = 0;
    for (size_t e = 0; e < net->n_edges; ++e) {
        mica_net_edge edge = net->edges[e];
        edge.from = edge.from >= 0 ? out->leader[edge.from] : -1;
        if (out->leader[edge.to] != edge.to) {
            continue;
        }
        if (edge.from >= 0) {
            fill_edge(results, e, &edge, &out->edges[n++]);
            continue;
        }
        for (int m = 0; m < MICA_MODE_COUNT; ++m) { /* network inputs are float */
            if (out->ops[edge.to].allowed[m] && results[m].edges != NULL) {
                out->ops[edge.to].noise[m] += results[m].edges[e].nsr;
            }
        }
    }
    out->problem = (mica_solve_problem){.ops = out->ops, .n_ops = net->n_ops, .edges = out->edges, .n_edges = n};
}

int mica_model_rounding(const mica_model *model, const mica_net *net, size_t e, const uint8_t *modes) {
    const mica_net_edge *edge = &net->edges[e];
    const int32_t from = edge->from >= 0 ? model->leader[edge->from] : -1;
    const int makes = from >= 0 ? COARSENESS[modes[from]].makes : 0; /* network inputs are float */
    return model->leader[edge->to] == edge->to && makes < COARSENESS[modes[edge->to]].reads ? modes[edge->to] : -1;
}

void mica_model_free(mica_model *model) {
    mica_free(model->ops);
    mica_free(model->edges);
    mica_free(model->leader);
    *model = (mica_model){0};
}
