/* Weights and values of 4 bits: packing, the lowering of every product against an oracle, the same bytes on every
 * instruction set, through text and through a bundle. */
#include "test/unit/check_main.h"
#include "test/unit/lowering_case.h"
#include "test/unit/test_utils_dir.h"

#include "backends/bundle/bundle_fb.h"
#include "backends/bundle/bundle_from_module.h"
#include "utils/file.h"
#include "runtime/mrt_quant.h"
#include "test/ref/ref_int4.h"

START_TEST(packing) {
    uint8_t values[64], packed[32], back[64];
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        for (int64_t n = 0; n < 64; n++) {
            for (int64_t i = 0; i < n; i++) {
                values[i] = (uint8_t)((i * 7 + n) % 16 - (is_signed ? 8 : 0));
            }
            memset(packed, 0xff, sizeof packed);
            ck_assert(mrt_pack4(values, n, is_signed, packed));
            ck_assert_int_eq(mrt_packed4_bytes(n), (n + 1) / 2);
            for (int64_t i = 0; i < n; i++) {
                ck_assert_int_eq(packed[i / 2] >> (i % 2 * 4) & 15, values[i] & 15);
            }
            ck_assert(mrt_unpack4(packed, n, is_signed, back));
            ck_assert_mem_eq(values, back, (size_t)n);
            if (n % 2 != 0) {
                packed[n / 2] |= 0x10;
                ck_assert(!mrt_unpack4(packed, n, is_signed, back));
            }
        }
    }
    static const struct { uint8_t value; bool is_signed; } wide[] = {{8, true}, {0xf7, true}, {16, false}, {0xff, false}};
    for (size_t i = 0; i < MICA_COUNT(wide); i++) {
        values[0] = 0;
        values[1] = wide[i].value;
        ck_assert(!mrt_pack4(values, 2, wide[i].is_signed, packed));
    }
}
END_TEST

START_TEST(weights) {
    static const float w[8] = {0.7f, -0.7f, 0.04f, 0.15f, -0.25f, NAN, 0.349f, -9.0f};
    static const int8_t want[8] = {7, -7, 0, 2, -2, 0, 3, -7};
    int8_t q[8];
    ck_assert(mrt_weight_scale_to(0.875, 0.0, 1.0, 7) == 0.125);
    ck_assert(mrt_weight_scale_to(0.0, 0.0, 1.0, 7) == MRT_MIN_SCALE);
    ck_assert(mrt_weight_scale_to(1e-12, 8.0, 0.01, 7) == mrt_weight_scale(1e-12, 8.0, 0.01));
    ck_assert_int_eq(mrt_quantize_weights_to(w, 8, 0.1, 7, q), -4);
    ck_assert_mem_eq(q, want, sizeof q);
}
END_TEST

/* --- lowering ------------------------------------------------------------------------------------- */

#define GROUPS                                                                                                         \
    "x = Input 2x4x6x6\nr = Relu(x)\ny = Conv(r, w:6x2x3x3, _) {kernel_shape = array<i64: 3, 3>, group = 2, "          \
    "pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>, do_relu = true}\nreturn y\n"
static const char *const models[] = {
    "x = Input 5x32\ny = MatMul(x, w:32x7, b:7)\nreturn y\n",
    "x = Input 3x33\ny = MatMul(x, w:7x33, _) {right_transpose = true}\nreturn y\n",
    "x = Input 4x40\nr = Relu(x)\ny = MatMul(r, w:40x9, b:9) {do_relu = true}\nreturn y\n",
    "x = Input 1x3x7x6\ny = Conv(x, w:5x3x3x3, b:5) {kernel_shape = array<i64: 3, 3>}\nreturn y\n",
    GROUPS,
    "x = Input 1x40x5x5\ny = Conv(x, w:33x40x1x1, b:33) {kernel_shape = array<i64: 1, 1>}\nreturn y\n",
};
enum { WAYS = 8 }; /* mode, asymmetric, threshold */

static lowered lower_way(graph *g, int way) {
    const bool asymmetric = (way & 2) != 0;
    graph_calibrate(g, asymmetric, NULL);
    if ((way & 4) != 0) {
        mica_op_set_f64(graph_find(g, "y")->def, "in_int4_threshold", 1.25);
    }
    return graph_lower(g, (way & 1) != 0 ? MICA_MODE_W4INT8 : MICA_MODE_INT4, asymmetric, NULL);
}

static int32_t element(const mrt_tensor *t, int64_t i) {
    return t->dtype == MRT_I8 ? ((const int8_t *)t->data)[i] : ((const uint8_t *)t->data)[i];
}

/* Where input element k of output `o` of the op lies; -1: padding. */
static int64_t source_of(const mica_op *op, int64_t o, int64_t k) {
    const mica_type in = mica_op_operand(op, 0)->type;
    const mica_type out = op->results[0].type;
    const mica_type w = mica_op_operand(op, 1)->type;
    if (mica_op_is(op, "top.MatMul")) {
        return o / out->dims[1] * in->dims[1] + k;
    }
    size_t n = 0;
    const int64_t *strides = mica_op_i64s(op, "strides", &n);
    const int64_t *pads = mica_op_i64s(op, "pads", &n);
    const int64_t group = o / (out->dims[2] * out->dims[3]) % out->dims[1] / (out->dims[1] / mica_op_i64(op, "group"));
    const int64_t area = w->dims[2] * w->dims[3];
    const int64_t channel = group * w->dims[1] + k / area;
    const int64_t row = o / out->dims[3] % out->dims[2] * (strides ? strides[0] : 1) + k % area / w->dims[3] -
                        (pads ? pads[0] : 0);
    const int64_t column = o % out->dims[3] * (strides ? strides[1] : 1) + k % w->dims[3] - (pads ? pads[1] : 0);
    const int64_t image = o / (out->dims[1] * out->dims[2] * out->dims[3]);
    return row < 0 || column < 0 || row >= in->dims[2] || column >= in->dims[3]
               ? -1
               : ((image * in->dims[1] + channel) * in->dims[2] + row) * in->dims[3] + column;
}

/* Weights of the column or channel of output o. */
static int64_t weights_of(const mica_op *op, int64_t o, float *w, int64_t *out_channel) {
    const mica_ndarray *array = mica_weight_data(mica_op_operand(op, 1));
    const float *data = array->data;
    const mica_type out = op->results[0].type;
    const bool conv = mica_op_is(op, "top.Conv");
    const bool rows = conv || mica_op_bool(op, "right_transpose");
    const int64_t channels = array->dims[rows ? 0 : 1];
    const int64_t k = mica_ndarray_count(array) / channels;
    *out_channel = conv ? o / (out->dims[2] * out->dims[3]) % channels : o % channels;
    for (int64_t i = 0; i < k; i++) {
        w[i] = rows ? data[*out_channel * k + i] : data[i * channels + *out_channel];
    }
    return k;
}

/* The result of op y, element by element from the 8-bit input of the run. */
static void expect_oracle(graph *g, const lowered *l, int way, uint64_t seed) {
    const bool asymmetric = (way & 2) != 0;
    const bool narrow = (way & 1) == 0;
    const mica_op *top = graph_find(g, "y")->def;
    const mica_op *op = lowered_op(l, "y");
    const mica_value *input = mica_op_operand(op, 0);
    input = narrow ? mica_op_operand(input->def, 0) : input;
    graph_run run = graph_execute(g, l->tpu, seed, true);
    const mrt_tensor *x = mrt_exec_tensor(run.exec, mrt_plan_find(run.plan, mica_value_name(input)));
    const int32_t y_id = mrt_plan_find(run.plan, mica_value_name(&op->results[0]));
    const mrt_tensor *y = mrt_exec_tensor(run.exec, y_id);
    const mica_type in = mica_type_element(mica_op_operand(top, 0)->type);
    const mica_type out = mica_type_element(top->results[0].type);
    const ref_int4_grid bytes = ref_int4_range(in->min, in->max, 8, asymmetric);
    const ref_int4_grid four = ref_int4_input(in->min, in->max, (way & 4) != 0 ? 1.25 : 0.0, asymmetric);
    const ref_int4_grid *grid = narrow ? &four : &bytes;
    const ref_int4_grid result = ref_int4_range(out->min, out->max, 8, asymmetric);
    const mica_value *bias = mica_op_present(top, 2);
    float w[512];
    int32_t taken[512];
    for (int64_t o = 0; o < mrt_shape_count(&y->shape); o++) {
        int64_t channel = 0;
        const int64_t k = weights_of(top, o, w, &channel);
        for (int64_t i = 0; i < k; i++) {
            const int64_t at = source_of(top, o, i);
            const int32_t q = at < 0 ? bytes.zero : element(x, at);
            taken[i] = narrow ? ref_int4_requantize(q, &bytes, &four) : q;
            ck_assert(!narrow || (taken[i] >= (four.low < 0 ? -8 : 0) && taken[i] <= (four.low < 0 ? 7 : 15)));
        }
        const double b = bias != NULL ? (double)((const float *)mica_weight_data(bias)->data)[channel] : 0.0;
        const int32_t want = ref_int4_product(taken, w, k, b, 4, grid, &result, mica_op_bool(top, "do_relu"));
        ck_assert_msg(element(y, o) == want, "way %d, element %d: %d, expected %d", way, (int)o, element(y, o), want);
    }
    graph_run_end(&run);
}

START_TEST(products) {
    graph g;
    graph_begin(&g, 31, models[_i / WAYS]);
    lowered l = lower_way(&g, _i % WAYS);
    ck_assert_ptr_null(lowered_row(&l, "y")->reason);
    ck_assert_int_eq(lowered_row(&l, "y")->mode, _i % 2 != 0 ? MICA_MODE_W4INT8 : MICA_MODE_INT4);
    const mica_op *op = lowered_op(&l, "y");
    ck_assert_int_eq(mica_type_quant_bits(mica_type_element(mica_op_operand(op, 1)->type)), 4);
    ck_assert_int_eq(mica_type_quant_bits(mica_type_element(mica_op_operand(op, 0)->type)), _i % 2 != 0 ? 8 : 4);
    expect_oracle(&g, &l, _i % WAYS, 2);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

/* Text and bundle keep every bit; the bundle has the constants packed. */
START_TEST(carriers) {
    graph g;
    graph_begin(&g, 31, models[_i / WAYS]);
    lowered l = lower_way(&g, _i % WAYS);
    const char *path = scratch_path("x.bmodel");
    mica_error err = {0};
    mrt_error error = {0};
    mrt_bundle *bundle = NULL;
    ck_assert_msg(mica_bundle_from_module(l.tpu, NULL, 0, NULL, path, &err) == MICA_OK, "%s", err.text);
    ck_assert_msg(mrt_bundle_open(path, MRT_BUNDLE_KEEP_ALL, &bundle, &error) == MRT_OK, "%s", error.text);
    ck_assert_uint_eq(mrt_bundle_get_info(bundle)->format, 3);
    graph_run a = graph_execute(&g, l.tpu, 3, true);
    const mrt_plan *plan = mrt_bundle_plan(bundle);
    const mrt_tensor *x = mrt_exec_tensor(a.exec, a.plan->inputs[0]);
    mrt_exec *exec = NULL;
    ck_assert(mrt_exec_create(plan, NULL, &exec, &error) == MRT_OK);
    memcpy(mrt_exec_tensor(exec, plan->inputs[0])->data, x->data, (size_t)mrt_shape_count(&x->shape) * sizeof(float));
    mrt_exec_run(exec, NULL, NULL);
    int narrow = 0;
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        const mrt_tensor *t = mrt_exec_tensor(exec, id);
        const int32_t other = t->name && t->name[0] ? mrt_plan_find(a.plan, t->name) : -1;
        if (other >= 0) {
            ck_assert_int_eq(t->bits, a.plan->tensors[other].info.bits);
            ck_assert_mem_eq(t->data, mrt_exec_tensor(a.exec, other)->data, (size_t)plan->tensors[id].bytes);
            narrow += t->bits == 4;
        }
    }
    ck_assert_int_eq(narrow, _i % 2 != 0 ? 1 : 2);
    char *text = graph_text(l.tpu);
    ck_assert_msg(strstr(text, "!quant.uniform<i4:f32:") != NULL, "%s", text);
    free(text);
    mrt_exec_destroy(exec);
    mrt_bundle_close(bundle);
    graph_run_end(&a);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

static void *index_alloc(void *owner, size_t count, size_t size) {
    return mica_arena_array(owner, count, size);
}

/* [pack-int4] A small file cannot ask for many copies of one packed constant. */
START_TEST(packed_bytes_are_not_shared) {
    enum { MORE = 8 };
    graph g;
    graph_begin(&g, 31, "x = Input 2x100\ny = MatMul(x, w:100x300, b:300)\nreturn y\n");
    lowered l = lower_way(&g, 1);
    const char *path = scratch_path("x.bmodel");
    mica_error err = {0};
    mrt_error error = {0};
    mica_arena *arena = mica_arena_create();
    char *data = NULL;
    size_t size = 0;
    ck_assert_msg(mica_bundle_from_module(l.tpu, NULL, 0, NULL, path, &err) == MICA_OK, "%s", err.text);
    ck_assert(mica_read_file(path, 1 << 20, &data, &size, &err) == MICA_OK);
    mrt_bundle_header header;
    memcpy(&header, data, sizeof header);
    uint8_t *at = mica_arena_alloc(arena, header.index_bytes);
    memcpy(at, data + header.index_offset, header.index_bytes);
    mrt_bundle_index index;
    ck_assert(mrt_bundle_fb_read(at, header.index_bytes, index_alloc, arena, &index, &error) == MRT_OK);
    mrt_index_tensor *tensors = mica_arena_array(arena, index.n_tensors + MORE, sizeof *tensors);
    for (uint32_t i = 0; i < index.n_tensors; i++) {
        tensors[i] = index.tensors[i];
        for (uint32_t k = 0; k < MORE && tensors[i].bits == 4; k++) {
            tensors[index.n_tensors + k] = tensors[i];
        }
    }
    index.tensors = tensors;
    index.n_tensors += MORE;
    uint8_t *made = NULL;
    size_t bytes = 0;
    ck_assert(mica_bundle_fb_build(&index, &made, &bytes, &error) == MRT_OK);
    header.index_bytes = bytes;
    header.file_bytes = header.index_offset + bytes;
    header.hash = mrt_bundle_index_hash(&header, made);
    uint8_t *forged = mica_arena_alloc(arena, header.file_bytes);
    memcpy(forged, data, header.index_offset);
    memcpy(forged, &header, sizeof header);
    memcpy(forged + header.index_offset, made, bytes);
    mrt_bundle *bundle = NULL;
    ck_assert(mrt_bundle_open_memory(forged, header.file_bytes, 0, &bundle, &error) == MRT_CORRUPT);
    ck_assert_str_eq(error.text, "bundle: bytes used before are those of packed constant 'y_filter_i4'");
    free(made);
    mica_free(data);
    mica_arena_destroy(arena);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

/* A plan proves what packing relies on. */
START_TEST(plans) {
    static const struct { mrt_dtype dtype; int32_t bits; int8_t value; const char *error; } all[] = {
        {MRT_I8, 4, -8, NULL}, {MRT_U8, 4, 15, NULL},
        {MRT_I8, 4, 8, "constant 'c' holds a value beyond 4 bits at 2"},
        {MRT_I8, 4, -9, "constant 'c' holds a value beyond 4 bits at 2"},
        {MRT_U8, 4, 16, "constant 'c' holds a value beyond 4 bits at 2"},
        {MRT_U8, 4, -1, "constant 'c' holds a value beyond 4 bits at 2"},
        {MRT_I8, 3, 0, "tensor 'c' cannot have values of 3 bits"}, {MRT_BOOL, 4, 0, "tensor 'c' cannot have values of 4 bits"}};
    for (size_t i = 0; i < MICA_COUNT(all); i++) {
        int8_t values[3] = {0, 1, all[i].value};
        mrt_error error = {0};
        mrt_plan *plan = mrt_plan_create();
        const mrt_tensor t = {.name = "c", .dtype = all[i].dtype, .shape = {1, {3}}, .bits = all[i].bits, .data = values};
        mrt_plan_add_tensor(plan, &t, MRT_CONST);
        ck_assert_int_eq(mrt_plan_finalize(plan, false, &error) == MRT_OK, all[i].error == NULL);
        ck_assert_str_eq(error.text, all[i].error != NULL ? all[i].error : "");
        mrt_plan_destroy(plan);
    }
}
END_TEST

/* What stays in 8 bits, and what says so. */
START_TEST(others) {
    graph g;
    graph_begin(&g, 5, "x = Input 1x4x6x6\nd = Conv(x, w:4x1x3x3, b:4) {kernel_shape = array<i64: 3, 3>, group = 4}\n"
                       "r = Relu(d)\ny = Conv(r, v:3x4x1x1, _) {kernel_shape = array<i64: 1, 1>}\nreturn y\n");
    graph_calibrate(&g, false, NULL);
    lowered l = graph_lower(&g, MICA_MODE_INT4, false, NULL);
    ck_assert_str_eq(lowered_row(&l, "d")->reason, "depthwise");
    ck_assert_int_eq(lowered_row(&l, "d")->mode, MICA_MODE_INT8);
    ck_assert_ptr_null(lowered_row(&l, "r")->reason);
    ck_assert_int_eq(lowered_row(&l, "r")->mode, MICA_MODE_INT8);
    ck_assert_int_eq(lowered_row(&l, "y")->mode, MICA_MODE_INT4);
    lowered_end(&l);
    mica_qtable *table = mica_qtable_create();
    mica_qtable_set(table, "y", MICA_MODE_W4INT8);
    mica_qtable_set(table, "r", MICA_MODE_INT4);
    l = graph_lower(&g, MICA_MODE_INT8, false, table);
    ck_assert_int_eq(lowered_row(&l, "y")->mode, MICA_MODE_W4INT8);
    ck_assert_str_eq(lowered_row(&l, "r")->reason, "4 bits are for convolutions and products with constant weights");
    lowered_end(&l);
    mica_qtable_destroy(table);
    graph_end(&g);
}
END_TEST

/* W4A8: results of W4INT8's products are f32, what has no 4 bits is as in W8A8. */
START_TEST(real_results) {
    graph g;
    graph_begin(&g, 5, "x = Input 1x4x6x6\nc = Conv(x, w:5x4x3x3, b:5) {kernel_shape = array<i64: 3, 3>}\n"
                       "f = Reshape(c) {shape = array<i64: 5, 16>}\nm = MatMul(f, v:16x12, b2:12)\nr = GELU(m)\n"
                       "n = MatMul(r, f, _)  {left_transpose = true}\ny = MatMul(n, u:16x7, _)\nreturn y m\n");
    graph_calibrate(&g, false, NULL);
    lowered l = graph_lower(&g, MICA_MODE_W4A8, false, NULL);
    static const struct { const char *op; mica_mode mode; } want[] = {
        {"c", MICA_MODE_W4INT8}, {"m", MICA_MODE_W4A8}, {"r", MICA_MODE_F32}, {"n", MICA_MODE_W8A8}, {"y", MICA_MODE_W4A8}};
    for (size_t i = 0; i < MICA_COUNT(want); i++) {
        ck_assert_msg(lowered_row(&l, want[i].op)->mode == want[i].mode, "%s", want[i].op);
        ck_assert_ptr_null(lowered_row(&l, want[i].op)->reason);
    }
    /* m against sums of integers in real numbers [matmul-real] */
    graph_run run = graph_execute(&g, l.tpu, 2, true);
    const mica_op *op = lowered_op(&l, "m");
    const mica_op *top = graph_find(&g, "m")->def;
    const mrt_tensor *x = mrt_exec_tensor(run.exec, mrt_plan_find(run.plan, mica_value_name(mica_op_operand(op, 0))));
    const mrt_tensor *m = mrt_exec_tensor(run.exec, mrt_plan_find(run.plan, "m"));
    const float *bias = mica_weight_data(mica_op_present(top, 2))->data;
    ck_assert_int_eq(m->dtype, MRT_F32);
    float w[512];
    for (int64_t o = 0; o < mrt_shape_count(&m->shape); o++) {
        int64_t channel = 0;
        const int64_t k = weights_of(top, o, w, &channel);
        const mica_type in = mica_type_element(mica_op_operand(top, 0)->type);
        const ref_int4_grid grid = ref_int4_range(in->min, in->max, 8, 0);
        int32_t taken[512];
        for (int64_t i = 0; i < k; i++) {
            taken[i] = element(x, source_of(top, o, i));
        }
        ck_assert(((const float *)m->data)[o] == ref_int4_real(taken, w, k, (double)bias[channel], 4, &grid));
    }
    graph_run_end(&run);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

/* bm1684x has no 4 bits. */
START_TEST(refused) {
    const mica_lowering_options options = {.processor = mica_processor_find("bm1684x"), .mode = MICA_MODE_INT4};
    mica_error err = {0};
    ck_assert(mica_lowering_check(&options, &err) == MICA_FAIL);
    ck_assert_str_eq(err.text, "processor bm1684x does not execute INT4; nearest mode: INT8");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("int4");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, packing);
    tcase_add_test(tcase, weights);
    tcase_add_loop_test(tcase, products, 0, WAYS * MICA_COUNT(models));
    tcase_add_loop_test(tcase, carriers, 0, WAYS * MICA_COUNT(models));
    tcase_add_test(tcase, packed_bytes_are_not_shared);
    tcase_add_test(tcase, plans);
    tcase_add_test(tcase, others);
    tcase_add_test(tcase, real_results);
    tcase_add_test(tcase, refused);
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
