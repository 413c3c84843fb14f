/* Channels-last float execution of random graphs against the same steps run one by one in row-major order:
 * close for every tensor that an observer sees, and the same bytes for one and for several threads. */
#include "test/unit/check_main.h"
#include "test/unit/layout_graph.h"

#include "runtime/kernels/tile_f32.h"

#include <math.h>

static float rnd_float(float size) { return (float)rnd_in(-4096, 4096) / 4096.0f * size; }

static int32_t floats(graph *g, int rank, const int64_t *dims, float size, float centre) {
    static float values[CHANNELS_MAX * CHANNELS_MAX * 9];
    const mrt_shape shape = {.rank = rank, .dims = {dims[0], rank > 1 ? dims[1] : 1,
                                                    rank > 2 ? dims[2] : 1, rank > 3 ? dims[3] : 1}};
    for (int64_t i = 0; i < mrt_shape_count(&shape); ++i) {
        values[i] = centre + rnd_float(size);
    }
    return add(g, MRT_F32, rank, dims, MRT_CONST, values);
}

/* Weights are small enough that values stay about as large as they are. */
static void add_conv(graph *g) {
    const int32_t x = pick(g);
    const int64_t c = channels_of(g, x);
    const int kernel = rnd() % 2 ? 1 : 3;
    const bool depthwise = c > 1 && rnd() % 3 == 0;
    const int64_t group = depthwise ? c : c % 4 == 0 && rnd() % 4 == 0 ? 2 : 1;
    const int64_t oc = depthwise ? c : rnd_in(1, CHANNELS_MAX / 2) * group;
    const int64_t wd[4] = {oc, c / group, kernel, kernel};
    const float depth = (float)(wd[1] * kernel * kernel);
    mrt_conv_params p = {.spatial = 2, .group = group, .act = rnd() % 2, .act_limit = -1};
    for (int i = 0; i < 2; ++i) {
        p.kernel[i] = kernel;
        p.stride[i] = 1;
        p.dilation[i] = rnd_in(1, 2);
        p.pad_begin[i] = p.pad_end[i] = kernel / 2 * p.dilation[i];
    }
    p.act_limit = rnd() % 2 ? 6 : -1;
    p.float_order = rnd() % 8 == 0 ? MRT_ORDER_WRITTEN : MRT_ORDER_BLAS;
    const int32_t in[3] = {x, floats(g, 4, wd, 1.7f / sqrtf(depth), 0), floats(g, 1, &oc, 1, 0)};
    const int32_t y = value(g, MRT_F32, oc, true);
    mrt_plan_add_step(g->plan, MRT_K_conv_f32, &p, in, 2 + (int)(rnd() % 2), &y, 1, "conv");
}

/* Of two tensors; the right one may be a value per channel, constant or not. */
static void add_binary(graph *g, int32_t b) {
    static const int64_t ops[] = {MRT_BINARY_ADD, MRT_BINARY_SUB, MRT_BINARY_MUL, MRT_BINARY_MAX};
    const int32_t a = pick(g);
    const int64_t c = channels_of(g, a);
    if (b < 0) {
        b = rnd() % 3 == 0 ? floats(g, 4, (int64_t[]){1, c, 1, 1}, 1, 0) : pick(g);
    }
    if (channels_of(g, b) != c) {
        return;
    }
    const mrt_binary_params p = {.op = ops[rnd() % 4], .act = rnd() % 2, .act_limit = 4};
    const int32_t in[2] = {a, b};
    const int32_t y = value(g, MRT_F32, c, true);
    mrt_plan_add_step(g->plan, MRT_K_binary, &p, in, 2, &y, 1, "binary");
}

static void add_unary(graph *g) {
    static const int64_t ops[] = {MRT_UNARY_RELU, MRT_UNARY_SIGMOID, MRT_UNARY_HARD_SWISH,
                                  MRT_UNARY_GELU, MRT_UNARY_TANH, MRT_UNARY_LEAKY_RELU};
    const int32_t x = pick(g);
    const mrt_unary_params p = {.op = ops[rnd() % 6], .alpha = 0.125, .beta = 0.5};
    const int32_t y = value(g, MRT_F32, channels_of(g, x), true);
    mrt_plan_add_step(g->plan, MRT_K_unary, &p, &x, 1, &y, 1, "unary");
}

static void add_scale(graph *g) {
    const int32_t x = pick(g);
    const int64_t c = channels_of(g, x);
    const mrt_axis_params p = {.axis = 1};
    const int32_t in[3] = {x, floats(g, 1, &c, 0.5f, 0.75f), floats(g, 1, &c, 1, 0)};
    const int32_t y = value(g, MRT_F32, c, true);
    mrt_plan_add_step(g->plan, MRT_K_scale_f32, &p, in, 2 + (int)(rnd() % 2), &y, 1, "scale");
}

static void add_softmax(graph *g) {
    const int32_t x = pick(g);
    const mrt_axis_params p = {.axis = rnd_in(1, 3)};
    const int32_t y = value(g, MRT_F32, channels_of(g, x), true);
    mrt_plan_add_step(g->plan, MRT_K_softmax_f32, &p, &x, 1, &y, 1, "softmax");
}

static void add_pool(graph *g) {
    const int32_t x = pick(g);
    const bool is_max = rnd() % 2;
    mrt_pool_params p = {.mode = is_max ? MRT_POOL_MAX : MRT_POOL_AVG, .spatial = 2,
                         .count_include_pad = rnd() % 2, .act_limit = -1};
    for (int i = 0; i < 2; ++i) {
        p.kernel[i] = 3;
        p.stride[i] = p.dilation[i] = p.pad_begin[i] = p.pad_end[i] = 1;
    }
    const int32_t y = value(g, MRT_F32, channels_of(g, x), true);
    mrt_plan_add_step(g->plan, is_max ? MRT_K_pool_max : MRT_K_pool_f32, &p, &x, 1, &y, 1, "pool");
}

static int32_t add_mean(graph *g) {
    const int32_t x = pick(g);
    const mrt_reduce_params p = {.mode = rnd() % 2 ? MRT_REDUCE_MEAN : MRT_REDUCE_MAX,
                                 .axes = 4 | 8};
    const int32_t y = value(g, MRT_F32, channels_of(g, x), false);
    mrt_plan_add_step(g->plan, MRT_K_reduce, &p, &x, 1, &y, 1, "mean");
    return y;
}

static void add_concat(graph *g) {
    const int32_t in[2] = {pick(g), pick(g)};
    const int64_t channels = channels_of(g, in[0]) + channels_of(g, in[1]);
    const mrt_axis_params p = {.axis = 1};
    if (channels <= CHANNELS_MAX) {
        const int32_t y = value(g, MRT_F32, channels, true);
        mrt_plan_add_step(g->plan, MRT_K_concat, &p, in, 2, &y, 1, "concat");
    }
}

/* To twice the size and back. */
static void add_resize(graph *g) {
    const int32_t x = pick(g);
    const int64_t c = channels_of(g, x);
    const mrt_resize_params p = {.mode = MRT_RESIZE_LINEAR, .coord = MRT_COORD_HALF_PIXEL,
                                 .scale = {1, 1, 2, 2}, .roi_end = {1, 1, 1, 1}};
    const int64_t dims[4] = {g->n, c, g->h * 2, g->w * 2};
    const int32_t large = add(g, MRT_F32, 4, dims, MRT_VALUE, NULL);
    mrt_plan_add_step(g->plan, MRT_K_resize_f32, &p, &x, 1, &large, 1, "resize");
    const mrt_slice_params half = {.start = {0, 0, 1, 0}, .step = {1, 1, 2, 2}};
    const int32_t y = value(g, MRT_F32, c, true);
    mrt_plan_add_step(g->plan, MRT_K_slice, &half, &large, 1, &y, 1, "slice");
}

/* Padded and cut again. */
static void add_pad(graph *g) {
    const int32_t x = pick(g);
    const int64_t c = channels_of(g, x);
    const mrt_pad_params p = {.begin = {0, 0, 1, 2}, .end = {0, 0, 0, 1}, .value = 0.25};
    const int64_t dims[4] = {g->n, c, g->h + 1, g->w + 3};
    const int32_t large = add(g, MRT_F32, 4, dims, MRT_VALUE, NULL);
    mrt_plan_add_step(g->plan, MRT_K_pad, &p, &x, 1, &large, 1, "pad");
    const mrt_slice_params cut = {.start = {0, 0, 0, 1}, .step = {1, 1, 1, 1}};
    const int32_t y = value(g, MRT_F32, c, true);
    mrt_plan_add_step(g->plan, MRT_K_slice, &cut, &large, 1, &y, 1, "slice");
}

static void build(graph *g) {
    const int64_t dims[4] = {g->n, rnd_in(1, 20), g->h, g->w};
    g->values[g->n_values++] = add(g, MRT_F32, 4, dims, MRT_INPUT, NULL);
    add_conv(g);
    for (int i = 0; i < 10; ++i) {
        switch (rnd() % 12) {
        case 0: add_binary(g, -1); break;
        case 1: add_binary(g, add_mean(g)); break;
        case 2: add_unary(g); break;
        case 3: add_scale(g); break;
        case 4: add_softmax(g); break;
        case 5: add_pool(g); break;
        case 6: add_concat(g); break;
        case 7: add_resize(g); break;
        case 8: add_pad(g); break;
        default: add_conv(g); break;
        }
    }
    mrt_plan_add_output(g->plan, g->values[g->n_values - 1]);
    mrt_plan_add_output(g->plan, pick(g));
}

typedef struct comparison {
    const graph *g;
    uint8_t *const *bytes; /* of row-major execution */
    uint8_t **first;       /* of the first run; NULL during it */
    uint8_t **out;
} comparison;

static void compare(void *user, int32_t id, const mrt_tensor *t) {
    const comparison *c = user;
    const mrt_plan_tensor *planned = &c->g->plan->tensors[id];
    const int64_t count = mrt_shape_count(&planned->info.shape);
    const float *got = t->data, *want = (const float *)(const void *)c->bytes[id];
    const char *op = planned->def_step >= 0 ? c->g->plan->steps[planned->def_step].op : "input";
    double largest = 1;
    for (int64_t i = 0; i < count; ++i) {
        largest = fmax(largest, fabs((double)want[i]));
    }
    for (int64_t i = 0; i < count; ++i) {
        const double error = fabs((double)got[i] - (double)want[i]);
        ck_assert_msg(error <= 1e-4 * largest, "%s: element %lld of tensor %d (%s) is %g, not %g",
                      getenv("MICA_ISA"), (long long)i, id, op, (double)got[i], (double)want[i]);
    }
    if (c->first != NULL) {
        ck_assert_msg(memcmp(got, c->first[id], (size_t)planned->bytes) == 0,
                      "threads change tensor %d (%s)", id, op);
    } else {
        c->out[id] = malloc((size_t)planned->bytes + 1);
        memcpy(c->out[id], got, (size_t)planned->bytes);
    }
}

static void run_graph(const graph *g, const mrt_tensor *x, uint8_t *const *bytes, int threads,
                      uint8_t **first, uint8_t **out) {
    mrt_error err = {{0}};
    mrt_exec *exec = NULL;
    comparison c = {g, bytes, first, out};
    ck_assert_msg(mrt_exec_create(g->plan, test_pool(threads), &exec, &err) == MRT_OK, "%s",
                  err.text);
    memcpy(mrt_exec_tensor(exec, 0)->data, x->data, (size_t)g->plan->tensors[0].bytes);
    mrt_exec_run(exec, compare, &c);
    mrt_exec_destroy(exec);
}

static void check_graph(void) {
    mrt_error err = {{0}};
    uint8_t *bytes[MAX_TENSORS], *first[MAX_TENSORS] = {0};
    graph g = {.plan = mrt_plan_create(), .n = rnd_in(1, 2), .h = rnd_in(1, 17),
               .w = rnd_in(1, 17)};
    build(&g);
    ck_assert_msg(mrt_plan_finalize(g.plan, rnd() % 2, &err) == MRT_OK, "%s", err.text);
    mrt_tensor x = tensor_new(MRT_F32, 4, g.info[0].shape.dims);
    for (int64_t i = 0; i < mrt_shape_count(&x.shape); ++i) {
        ((float *)x.data)[i] = rnd_float(2);
    }
    run_steps(&g, &x, bytes);
    run_graph(&g, &x, bytes, 1, NULL, first);
    run_graph(&g, &x, bytes, (int)rnd_in(2, TEST_THREADS), first, NULL);
    for (int32_t id = 0; id < MAX_TENSORS; ++id) {
        free(first[id]);
    }
    free_steps(&g, bytes);
    tensor_free(&x);
    mrt_plan_destroy(g.plan);
}

START_TEST(random_graphs) {
    test_state += 1000003u * (uint64_t)_i;
    for (int k = 0; k < TEST_ROUNDS(4); ++k) {
        for (int isa = 0; mrt_tile_f32_isa_at(isa); ++isa) {
            if (mrt_tile_f32_isa_available(mrt_tile_f32_isa_at(isa))) {
                setenv("MICA_ISA", mrt_tile_f32_isa_at(isa)->name, 1);
                check_graph();
            }
        }
    }
    unsetenv("MICA_ISA");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runtime layout float");
    TCase *tcase = tcase_create("random");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, random_graphs, 0, 8);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
