/* Channels-last execution against the same steps run one by one in row-major order: every tensor that an
 * observer sees and every tensor read afterwards has the same bytes. */
#include "test/unit/check_main.h"
#include "test/unit/layout_graph.h"

#include "runtime/kernels/tile_isa.h"

static int32_t words(graph *g, int64_t count, int64_t low, int64_t high) {
    int32_t values[CHANNELS_MAX];
    for (int64_t i = 0; i < count; ++i) {
        values[i] = (int32_t)rnd_in(low, high);
    }
    return add(g, MRT_I32, 1, &count, MRT_CONST, values);
}

static void clamp_of(mrt_dtype dtype, int64_t *low, int64_t *high) {
    int32_t l, h;
    range_of(dtype, &l, &h);
    const uint64_t kind = rnd() % 4; /* 0: never negative */
    *low = kind == 0 ? 0 : kind == 1 ? rnd_in(l, h) : l;
    *high = rnd() % 2 ? h : rnd_in(*low, h);
}

static int64_t zero_point(mrt_dtype dtype) {
    int32_t low, high;
    range_of(dtype, &low, &high);
    return rnd_in(low, high);
}

static void add_conv(graph *g) {
    static int8_t weights[CHANNELS_MAX * CHANNELS_MAX * 9];
    const int32_t x = pick(g);
    const int64_t c = channels_of(g, x);
    const int kernel = rnd() % 2 ? 1 : 3;
    const bool depthwise = kernel == 3 && c > 1 && rnd() % 2;
    const int64_t oc = depthwise ? c : rnd_in(1, CHANNELS_MAX);
    const int64_t wd[4] = {oc, depthwise ? 1 : c, kernel, kernel};
    for (int64_t i = 0; i < wd[0] * wd[1] * kernel * kernel; ++i) {
        weights[i] = (int8_t)rnd_value(-128, 127);
    }
    const mrt_dtype dtype = rnd_dtype();
    mrt_conv_int_params p = {.conv = {.spatial = 2, .group = depthwise ? c : 1}};
    for (int i = 0; i < 2; ++i) {
        p.conv.kernel[i] = kernel;
        p.conv.stride[i] = p.conv.dilation[i] = 1;
        p.conv.pad_begin[i] = p.conv.pad_end[i] = kernel / 2;
    }
    p.zero_point_in = zero_point(g->info[x].dtype);
    p.zero_point_out = zero_point(dtype);
    clamp_of(dtype, &p.clamp_min, &p.clamp_max);
    const int32_t w = add(g, MRT_I8, 4, wd, MRT_CONST, weights);
    const int32_t in[5] = {x, w, words(g, oc, -5000, 5000), words(g, oc, 1 << 30, INT32_MAX),
                           words(g, oc, 38, 44)};
    const int32_t y = value(g, dtype, oc, true);
    mrt_plan_add_step(g->plan, MRT_K_conv_int, &p, in, 5, &y, 1, "conv");
}

/* Transposed, to about `stride` times the size, and every stride-th place of the result. */
static void add_deconv(graph *g) {
    static int8_t weights[CHANNELS_MAX * CHANNELS_MAX * 16];
    const int32_t x = pick(g);
    const mrt_dtype dtype = rnd_dtype();
    const int64_t oc = rnd_in(1, 20);
    mrt_conv_int_params p = {.conv = {.spatial = 2, .group = 1}};
    int64_t wd[4] = {channels_of(g, x), oc};
    int64_t dims[4] = {g->n, oc};
    mrt_slice_params back = {.step = {1, 1}};
    for (int i = 0; i < 2; ++i) {
        const int64_t stride = rnd_in(1, 3);
        const int64_t kernel = rnd_in(stride, 4); /* shorter ones have no form */
        const int64_t pad = rnd_in(0, (kernel - stride) / 2);
        const int64_t side = i ? g->w : g->h;
        p.conv.kernel[i] = wd[2 + i] = kernel;
        p.conv.stride[i] = stride;
        p.conv.dilation[i] = 1;
        p.conv.pad_begin[i] = rnd() % 2 ? pad : 0;
        p.conv.pad_end[i] = pad;
        dims[2 + i] = (side - 1) * stride + kernel - p.conv.pad_begin[i] - pad +
                      (rnd() % 2 ? stride - 1 : 0);
        back.step[2 + i] = stride;
        back.start[2 + i] = rnd_in(0, dims[2 + i] - (side - 1) * stride - 1);
        if (back.start[2 + i] >= stride) {
            back.start[2 + i] = 0;
        }
        if ((dims[2 + i] - back.start[2 + i] + stride - 1) / stride != side) {
            return;
        }
    }
    for (int64_t i = 0; i < wd[0] * wd[1] * wd[2] * wd[3]; ++i) {
        weights[i] = (int8_t)rnd_value(-128, 127);
    }
    p.zero_point_in = zero_point(g->info[x].dtype);
    p.zero_point_out = zero_point(dtype);
    clamp_of(dtype, &p.clamp_min, &p.clamp_max);
    const int32_t w = add(g, MRT_I8, 4, wd, MRT_CONST, weights);
    const int32_t in[5] = {x, w, words(g, oc, -5000, 5000), words(g, oc, 1 << 30, INT32_MAX),
                           words(g, oc, 38, 44)};
    const int32_t large = add(g, dtype, 4, dims, MRT_VALUE, NULL);
    mrt_plan_add_step(g->plan, MRT_K_deconv_int, &p, in, 5, &large, 1, "deconv");
    const int32_t y = value(g, dtype, oc, true);
    mrt_plan_add_step(g->plan, MRT_K_slice, &back, &large, 1, &y, 1, "slice");
}

/* Sum or product of two tensors; the right one may be one value per channel. */
static void add_binary(graph *g, int32_t b) {
    const int32_t a = pick(g);
    b = b >= 0 ? b : pick(g);
    if (channels_of(g, a) != channels_of(g, b)) {
        return;
    }
    const bool is_add = rnd() % 2;
    const mrt_dtype dtype = rnd_dtype();
    mrt_binary_int_params p = {.zero_point_a = zero_point(g->info[a].dtype),
                               .zero_point_b = zero_point(g->info[b].dtype),
                               .zero_point_out = zero_point(dtype),
                               .multiplier_a = rnd_in(1, 1 << 30),
                               .multiplier_b = rnd_in(1, 1 << 30),
                               .shift = is_add ? rnd_in(28, 33) : rnd_in(34, 40)};
    clamp_of(dtype, &p.clamp_min, &p.clamp_max);
    const int32_t in[2] = {a, b};
    const int32_t y = value(g, dtype, channels_of(g, a), true);
    mrt_plan_add_step(g->plan, is_add ? MRT_K_add_int : MRT_K_mul_int, &p, in, 2, &y, 1, "sum");
}

static void add_lut(graph *g) {
    uint8_t table[256];
    const int64_t count = 256;
    const int32_t x = pick(g);
    const mrt_dtype dtype = rnd_dtype();
    for (int i = 0; i < 256; ++i) {
        table[i] = (uint8_t)rnd();
    }
    const int32_t in[2] = {x, add(g, dtype, 1, &count, MRT_CONST, table)};
    const int32_t y = value(g, dtype, channels_of(g, x), true);
    mrt_plan_add_step(g->plan, MRT_K_lut_8, NULL, in, 2, &y, 1, "lut");
}

static void add_concat(graph *g) {
    int32_t in[3];
    int n = 0;
    int64_t channels = 0;
    const mrt_dtype dtype = rnd_dtype();
    for (int i = 0; i < 3; ++i) {
        const int32_t id = pick(g);
        if (g->info[id].dtype == dtype && channels + channels_of(g, id) <= CHANNELS_MAX) {
            in[n++] = id;
            channels += channels_of(g, id);
        }
    }
    const mrt_axis_params p = {.axis = 1};
    if (n > 0) {
        const int32_t y = value(g, dtype, channels, true);
        mrt_plan_add_step(g->plan, MRT_K_concat, &p, in, n, &y, 1, "concat");
    }
}

static int32_t add_mean(graph *g) {
    const int32_t x = pick(g);
    const mrt_dtype dtype = rnd_dtype();
    const mrt_reduce_params p = {.mode = MRT_REDUCE_MEAN, .axes = 4 | 8,
                                 .multiplier = rnd_in(1 << 29, INT32_MAX), .shift = 36,
                                 .zero_point_in = zero_point(g->info[x].dtype),
                                 .zero_point_out = zero_point(dtype)};
    const int32_t y = value(g, dtype, channels_of(g, x), false);
    mrt_plan_add_step(g->plan, MRT_K_reduce_int, &p, &x, 1, &y, 1, "mean");
    return y;
}

/* A reshape, and a kernel without a channels-last form that reads it. */
static void add_flat(graph *g) {
    const int32_t x = pick(g);
    const int64_t dims[2] = {g->n, channels_of(g, x) * g->h * g->w};
    mrt_tensor t = g->info[x];
    t.name = "flat";
    t.shape.rank = 2;
    memcpy(t.shape.dims, dims, sizeof dims);
    const int32_t flat = mrt_plan_add_alias(g->plan, &t, x);
    g->info[flat] = t;
    if (rnd() % 2) {
        const int32_t y = add(g, t.dtype, 2, dims, MRT_VALUE, NULL);
        mrt_plan_add_step(g->plan, MRT_K_copy, NULL, &flat, 1, &y, 1, "copy");
    }
}

static void add_pool(graph *g) {
    const int32_t x = pick(g);
    const mrt_dtype dtype = g->info[x].dtype;
    const bool is_max = rnd() % 2;
    mrt_pool_params p = {.mode = is_max ? MRT_POOL_MAX : MRT_POOL_AVG, .spatial = 2,
                         .count_include_pad = rnd() % 2, .multiplier = rnd_in(1 << 28, 1 << 30),
                         .shift = 34};
    p.zero_point_in = zero_point(dtype);
    p.zero_point_out = zero_point(dtype);
    p.act = !is_max && rnd() % 2 ? MRT_ACT_RELU : MRT_ACT_NONE;
    p.act_limit = rnd() % 2 ? 20.0 : -1.0;
    for (int i = 0; i < 2; ++i) {
        p.kernel[i] = rnd() % 4 ? 3 : 9; /* 9 x 9 taps go in two pieces */
        p.stride[i] = p.dilation[i] = 1;
        p.pad_begin[i] = p.pad_end[i] = p.kernel[i] / 2;
    }
    const int32_t y = value(g, dtype, channels_of(g, x), true);
    mrt_plan_add_step(g->plan, is_max ? MRT_K_pool_max : MRT_K_pool_avg_int, &p, &x, 1, &y, 1,
                      "pool");
}

/* Every second channel. */
static void add_slice(graph *g) {
    const int32_t x = pick(g);
    const int64_t channels = channels_of(g, x);
    const mrt_slice_params p = {.start = {0, channels - 1}, .step = {1, -2, 1, 1}};
    const int32_t y = value(g, g->info[x].dtype, (channels + 1) / 2, true);
    mrt_plan_add_step(g->plan, MRT_K_slice, &p, &x, 1, &y, 1, "slice");
}

/* More rows and columns, of which some are dropped again: the size stays. */
static void add_resize(graph *g) {
    const int32_t x = pick(g);
    const bool linear = rnd() % 2;
    mrt_resize_params p = {.mode = linear ? MRT_RESIZE_LINEAR : MRT_RESIZE_NEAREST,
                           .coord = linear ? MRT_COORD_HALF_PIXEL : MRT_COORD_ASYMMETRIC,
                           .nearest = MRT_NEAREST_FLOOR, .scale = {1, 1, 2, 3},
                           .roi_end = {1, 1, 1, 1}};
    const int64_t c = channels_of(g, x);
    const int64_t dims[4] = {g->n, c, g->h * 2, g->w * 3};
    const int32_t large = add(g, g->info[x].dtype, 4, dims, MRT_VALUE, NULL);
    mrt_plan_add_step(g->plan, linear ? MRT_K_resize_int : MRT_K_resize_nearest, &p, &x, 1, &large, 1, "resize");
    const mrt_slice_params half = {.start = {0, 0, 1, 2}, .step = {1, 1, 2, 3}};
    const int32_t y = value(g, g->info[x].dtype, c, true);
    mrt_plan_add_step(g->plan, MRT_K_slice, &half, &large, 1, &y, 1, "slice");
}

static void build(graph *g) {
    const int64_t dims[4] = {g->n, rnd_in(1, 20), g->h, g->w};
    g->values[g->n_values++] = add(g, rnd_dtype(), 4, dims, MRT_INPUT, NULL);
    add_conv(g);
    for (int i = 0; i < 10; ++i) {
        switch (rnd() % 11) {
        case 0: add_binary(g, -1); break;
        case 1: add_binary(g, add_mean(g)); break;
        case 2: add_lut(g); break;
        case 3: add_concat(g); break;
        case 4: add_flat(g); break;
        case 5: add_pool(g); break;
        case 6: add_slice(g); break;
        case 7: add_resize(g); break;
        case 8: add_deconv(g); break;
        default: add_conv(g); break;
        }
    }
    mrt_plan_add_output(g->plan, g->values[g->n_values - 1]);
    mrt_plan_add_output(g->plan, pick(g));
}

typedef struct comparison {
    const graph *g;
    uint8_t *const *bytes;
    int seen[MAX_TENSORS];
} comparison;

static void compare(void *user, int32_t id, const mrt_tensor *t) {
    comparison *c = user;
    const mrt_plan_tensor *planned = &c->g->plan->tensors[id];
    c->seen[id]++;
    ck_assert_int_eq(t->dtype, planned->info.dtype);
    ck_assert_int_eq(t->shape.rank, planned->info.shape.rank);
    ck_assert_msg(memcmp(t->data, c->bytes[id], (size_t)planned->bytes) == 0,
                  "tensor %d of %s differs", id,
                  planned->def_step >= 0 ? c->g->plan->steps[planned->def_step].op : "input");
}

static void check_graph(graph *g, const mrt_tensor *x, uint8_t *const *bytes, mrt_pool *pool) {
    mrt_error err = {{0}};
    mrt_exec *exec = NULL;
    ck_assert_msg(mrt_exec_create(g->plan, pool, &exec, &err) == MRT_OK, "%s", err.text);
    for (int run = 0; run < 2; ++run) {
        comparison c = {.g = g, .bytes = bytes};
        memcpy(mrt_exec_tensor(exec, 0)->data, x->data, (size_t)g->plan->tensors[0].bytes);
        mrt_exec_run(exec, run ? NULL : compare, &c);
        for (int32_t id = 0; id < g->plan->n_tensors && !run; ++id) {
            const mrt_tensor_kind kind = g->plan->tensors[id].kind;
            ck_assert_msg(kind == MRT_CONST || c.seen[id] == 1, "tensor %d was seen %d times", id,
                          c.seen[id]);
        }
        for (int32_t i = 0; i < g->plan->n_outputs; ++i) {
            compare(&c, g->plan->outputs[i], mrt_exec_tensor(exec, g->plan->outputs[i]));
        }
        for (int32_t id = 0; id < g->plan->n_tensors && g->plan->keep_all; ++id) {
            if (g->plan->tensors[id].kind != MRT_CONST) {
                compare(&c, id, mrt_exec_tensor(exec, id));
            }
        }
    }
    mrt_exec_destroy(exec);
}

START_TEST(random_graphs) {
    test_state += 1000003u * (uint64_t)_i;
    for (int k = 0; k < TEST_ROUNDS(25); ++k) {
        const bool keep_all = k % 2 != 0;
        mrt_error err = {{0}};
        uint8_t *bytes[MAX_TENSORS];
        for (int isa = 0; mrt_tile_isa_at(isa); ++isa) {
            if (!mrt_tile_isa_available(mrt_tile_isa_at(isa))) {
                continue;
            }
            setenv("MICA_ISA", mrt_tile_isa_at(isa)->name, 1);
            graph g = {.plan = mrt_plan_create(), .n = rnd_in(1, 6), .h = rnd_in(1, 17),
                       .w = rnd_in(1, 17)};
            build(&g);
            ck_assert_msg(mrt_plan_finalize(g.plan, keep_all, &err) == MRT_OK, "%s", err.text);
            mrt_tensor x = tensor_new(g.info[0].dtype, 4, g.info[0].shape.dims);
            free(tensor_random(&x));
            run_steps(&g, &x, bytes);
            check_graph(&g, &x, bytes, test_pool((int)rnd_in(1, 3)));
            free_steps(&g, bytes);
            tensor_free(&x);
            mrt_plan_destroy(g.plan);
        }
    }
    unsetenv("MICA_ISA");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runtime layout");
    TCase *tcase = tcase_create("random");
    tcase_add_loop_test(tcase, random_graphs, 0, 8);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
