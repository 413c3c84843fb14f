#include "runtime/mrt_work.h"

#include "runtime/mrt_params.h"

static double count_of(const mrt_tensor *t) { return (double)mrt_shape_count(&t->shape); }

static double bytes_of(const mrt_tensor *t) {
    return t != NULL ? count_of(t) * (double)mrt_dtype_bytes(t->dtype) : 0;
}

/* MACs per element of `t` when each meets the filter w once: all of w but its first dimension. */
static double filter_macs(const mrt_tensor *t, const mrt_tensor *w) {
    const double channels = (double)w->shape.dims[0];
    return channels > 0 ? count_of(t) * count_of(w) / channels : 0;
}

/* Each output element meets one filter w[OC, C/g, k]. */
static double conv_macs(const mrt_call *call) { return filter_macs(call->out[0], call->in[1]); }
/* Each input element meets w[C, OC/g, k]. */
static double deconv_macs(const mrt_call *call) { return filter_macs(call->in[0], call->in[1]); }

static double product_macs(const mrt_call *call, int64_t trans_a) {
    const mrt_shape *a = &call->in[0]->shape;
    return count_of(call->out[0]) * (double)a->dims[a->rank - (trans_a != 0 ? 2 : 1)];
}

static double matmul_macs(const mrt_call *call) {
    return product_macs(call, ((const mrt_matmul_params *)call->params)->trans_a);
}

static double matmul_int_macs(const mrt_call *call) {
    return product_macs(call, ((const mrt_matmul_int_params *)call->params)->trans_a);
}

static double matmul_real_macs(const mrt_call *call) {
    return product_macs(call, ((const mrt_matmul_real_params *)call->params)->trans_a);
}

/* One time step is a product with the filter and one with the recurrence. */
static double recurrent_macs(const mrt_call *call) {
    const double width = (double)call->in[0]->shape.dims[2];
    return width > 0 ? count_of(call->in[0]) / width *
                           (count_of(call->in[1]) + count_of(call->in[2]))
                     : 0;
}

static int64_t conv_order(const void *params) {
    return ((const mrt_conv_params *)params)->float_order;
}
static int64_t matmul_order(const void *params) {
    return ((const mrt_matmul_params *)params)->float_order;
}
static int64_t recurrent_order(const void *params) {
    return ((const mrt_rnn_params *)params)->float_order;
}

/* A kernel that is not here has no MACs. order NULL: integers. */
static const struct {
    uint16_t code;
    double (*macs)(const mrt_call *call);
    int64_t (*order)(const void *params);
} rules[] = {
    {MRT_K_conv_f32, conv_macs, conv_order},
    {MRT_K_deconv_f32, deconv_macs, conv_order},
    {MRT_K_matmul_f32, matmul_macs, matmul_order},
    {MRT_K_lstm_f32, recurrent_macs, recurrent_order},
    {MRT_K_gru_f32, recurrent_macs, recurrent_order},
    {MRT_K_rnn_f32, recurrent_macs, recurrent_order},
    {MRT_K_conv_int, conv_macs, NULL},
    {MRT_K_deconv_int, deconv_macs, NULL},
    {MRT_K_matmul_int, matmul_int_macs, NULL},
    {MRT_K_conv_real, conv_macs, NULL},
    {MRT_K_deconv_real, deconv_macs, NULL},
    {MRT_K_matmul_real, matmul_real_macs, NULL},
    {MRT_K_conv_nhwc, conv_macs, NULL},
    {MRT_K_deconv_nhwc, deconv_macs, NULL},
    {MRT_K_matmul_packed, matmul_int_macs, NULL},
    {MRT_K_matmul_packed_real, matmul_real_macs, NULL},
    {MRT_K_conv_nhwc_f32, conv_macs, conv_order},
    {MRT_K_matmul_packed_f32, matmul_macs, matmul_order},
};

/* Kernels that read of their first operand only what they give. */
static const uint16_t pickers[] = {
    MRT_K_gather, MRT_K_gather_elements, MRT_K_gather_nd, MRT_K_slice, MRT_K_slice_live, MRT_K_compress,
};

static double bytes_read(const mrt_kernel *kernel, const mrt_call *call) {
    double bytes = 0;
    for (int i = 0; i < call->n_in; i++) {
        bytes += bytes_of(call->in[i]);
    }
    for (size_t i = 0; i < sizeof pickers / sizeof pickers[0]; i++) {
        if (pickers[i] == kernel->code) {
            bytes += bytes_of(call->out[0]) - bytes_of(call->in[0]);
        }
    }
    return bytes;
}

mrt_work mrt_work_of(const mrt_kernel *kernel, const mrt_call *call) {
    mrt_work work = {.kind = MRT_WORK_NONE, .bytes_read = bytes_read(kernel, call)};
    for (int i = 0; i < call->n_out; i++) {
        work.bytes_written += bytes_of(call->out[i]);
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].code == kernel->code) {
            work.macs = rules[i].macs(call);
            work.kind = rules[i].order == NULL ? MRT_WORK_INT8
                        : rules[i].order(call->params) == MRT_ORDER_WRITTEN ? MRT_WORK_F32_WRITTEN
                                                                            : MRT_WORK_F32;
            break;
        }
    }
    return work;
}
