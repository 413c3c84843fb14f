/* Parameter structs of all kernels: int64_t and double fields only (see mrt_kernel.h).
 * Spatial arrays are ordered as the spatial axes of the tensor (D,H,W / H,W / W), unused tail 0/1. */
#ifndef MRT_PARAMS_H
#define MRT_PARAMS_H

#include <stdint.h>

#define MRT_MAX_SPATIAL 3

/* Activation fused into a producer: y = max(y, 0), then min(y, act_limit) when act_limit >= 0. */
enum { MRT_ACT_NONE = 0, MRT_ACT_RELU = 1 };

/* float_order: how a float dot product is summed.
 * BLAS: fastest, same bytes for any thread count on one machine.
 * WRITTEN: rule float-dot of docs/quant_spec.md, same bytes on every machine. */
enum { MRT_ORDER_BLAS = 0, MRT_ORDER_WRITTEN = 1 };

/* conv_f32, deconv_f32: x[N,C,spatial], w[OC,C/g,k] (deconv: w[C,OC/g,k]), optional bias[OC].
 * conv_int adds int32 bias and per-channel multiplier/shift tensors, see kernels.def. */
typedef struct mrt_conv_params {
    int64_t spatial; /* 1, 2 or 3 */
    int64_t kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    int64_t group;
    int64_t act;
    double act_limit;
    int64_t float_order; /* float kernels */
} mrt_conv_params;

/* matmul: a[batch..,M,K] x b[batch..,K,N] -> [batch..,M,N], numpy batch broadcasting and 1-d rules
 * resolved by the planner (both operands have rank >= 2 here); optional bias broadcastable to y. */
typedef struct mrt_matmul_params {
    int64_t trans_a, trans_b; /* operand stored as [..,K,M] / [..,N,K] */
    double alpha, beta;       /* y = alpha * a*b + beta * bias (float only; integer needs 1, 1) */
    int64_t act;
    double act_limit;
    int64_t float_order;
} mrt_matmul_params;

enum { MRT_POOL_MAX = 0, MRT_POOL_AVG = 1, MRT_POOL_LP = 2 };
/* pool_max (any numeric type), pool_f32, pool_avg_int. Windows may reach past the padded input
 * (ceil mode): elements outside do not take part. */
typedef struct mrt_pool_params {
    int64_t mode;
    int64_t spatial;
    int64_t kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    int64_t count_include_pad;
    int64_t lp; /* p of MRT_POOL_LP */
    int64_t act;
    double act_limit;
    int64_t multiplier, shift, zero_point_in, zero_point_out; /* pool_avg_int */
} mrt_pool_params;

/* Element-wise with numpy broadcasting. Comparison and logic give bool. */
#define MRT_BINARY_LIST(X)                                                                         \
    X(ADD, 0) X(SUB, 1) X(MUL, 2) X(DIV, 3) X(POW, 4) X(MAX, 5) X(MIN, 6) X(MOD, 7) X(FMOD, 8)     \
    X(EQ, 9) X(NE, 10) X(LT, 11) X(LE, 12) X(GT, 13) X(GE, 14) X(AND, 15) X(OR, 16) X(XOR, 17)     \
    X(BIT_AND, 18) X(BIT_OR, 19) X(BIT_XOR, 20) X(SHIFT_LEFT, 21) X(SHIFT_RIGHT, 22) X(PRELU, 23)  \
    X(ATAN2, 24)
enum mrt_binary {
#define X(name, code) MRT_BINARY_##name = code,
    MRT_BINARY_LIST(X)
#undef X
};
typedef struct mrt_binary_params {
    int64_t op;
    int64_t act;
    double act_limit;
} mrt_binary_params;

/* Element-wise functions of one tensor; alpha and beta mean what ONNX says for that function. */
#define MRT_UNARY_LIST(X)                                                                          \
    X(RELU, 0) X(LEAKY_RELU, 1) X(ELU, 2) X(SELU, 3) X(CELU, 4) X(THRESHOLDED_RELU, 5)             \
    X(SIGMOID, 6) X(HARD_SIGMOID, 7) X(HARD_SWISH, 8) X(SWISH, 9) X(MISH, 10) X(GELU, 11)          \
    X(GELU_TANH, 12) X(SOFTPLUS, 13) X(SOFTSIGN, 14) X(TANH, 15) X(ERF, 16) X(EXP, 17) X(LOG, 18)  \
    X(SQRT, 19) X(RSQRT, 20) X(RECIPROCAL, 21) X(ABS, 22) X(NEG, 23) X(SIGN, 24) X(CEIL, 25)       \
    X(FLOOR, 26) X(ROUND, 27) X(SIN, 28) X(COS, 29) X(TAN, 30) X(ASIN, 31) X(ACOS, 32)             \
    X(ATAN, 33) X(SINH, 34) X(COSH, 35) X(ASINH, 36) X(ACOSH, 37) X(ATANH, 38) X(NOT, 39)          \
    X(BIT_NOT, 40) X(IS_NAN, 41) X(IS_INF, 42) X(CLIP, 43) X(SQUARE, 44) X(SHRINK, 45)             \
    X(LOG_SIGMOID, 46) X(QUICK_GELU, 47)
enum mrt_unary {
#define X(name, code) MRT_UNARY_##name = code,
    MRT_UNARY_LIST(X)
#undef X
};
/* CLIP: alpha = min, beta = max. RELU: beta = limit (< 0 none). IS_INF: alpha/beta = detect
 * negative/positive. SWISH: x*sigmoid(alpha*x). SHRINK: alpha = lambd, beta = bias. */
typedef struct mrt_unary_params {
    int64_t op;
    double alpha, beta;
} mrt_unary_params;

enum mrt_reduce {
    MRT_REDUCE_SUM, MRT_REDUCE_MEAN, MRT_REDUCE_MAX, MRT_REDUCE_MIN, MRT_REDUCE_PROD, MRT_REDUCE_L1,
    MRT_REDUCE_L2, MRT_REDUCE_SUM_SQUARE, MRT_REDUCE_LOG_SUM, MRT_REDUCE_LOG_SUM_EXP
};
typedef struct mrt_reduce_params {
    int64_t mode;
    int64_t axes; /* bit i: axis i is reduced. The output shape says whether axes are kept. */
    int64_t multiplier, shift, zero_point_in, zero_point_out; /* reduce_int: SUM or MEAN */
} mrt_reduce_params;

typedef struct mrt_axis_params {
    int64_t axis;  /* >= 0 */
    int64_t flag;  /* softmax: 1 = log-softmax. arg/cumsum: see kernels.def */
    int64_t flag2;
} mrt_axis_params;

/* layer_norm, rms_norm: axis = first normalized axis. batch_norm, group_norm, instance_norm, lrn. */
typedef struct mrt_norm_params {
    int64_t axis;
    int64_t groups;             /* group_norm */
    double epsilon;
    int64_t size;               /* lrn */
    double alpha, beta, bias;   /* lrn */
} mrt_norm_params;

typedef struct mrt_permute_params { int64_t order[8]; } mrt_permute_params;
/* y[i] = x[start + i*step] per axis; step may be negative. */
typedef struct mrt_slice_params { int64_t start[8], step[8]; } mrt_slice_params;
enum { MRT_PAD_CONSTANT = 0, MRT_PAD_REFLECT = 1, MRT_PAD_EDGE = 2, MRT_PAD_WRAP = 3 };
typedef struct mrt_pad_params {
    int64_t mode;
    int64_t begin[8], end[8]; /* negative crops */
    double value;             /* constant mode; integers are converted exactly */
} mrt_pad_params;

/* Resize: rules and names of ONNX Resize-19. */
enum { MRT_RESIZE_NEAREST, MRT_RESIZE_LINEAR, MRT_RESIZE_CUBIC };
enum {
    MRT_COORD_HALF_PIXEL, MRT_COORD_PYTORCH_HALF_PIXEL, MRT_COORD_ALIGN_CORNERS,
    MRT_COORD_ASYMMETRIC, MRT_COORD_TF_CROP, MRT_COORD_HALF_PIXEL_SYMMETRIC
};
enum { MRT_NEAREST_ROUND_PREFER_FLOOR, MRT_NEAREST_ROUND_PREFER_CEIL, MRT_NEAREST_FLOOR,
       MRT_NEAREST_CEIL };
typedef struct mrt_resize_params {
    int64_t mode, coord, nearest;
    double scale[8];              /* output/input per axis as given; 1 for untouched axes */
    double roi_begin[8], roi_end[8];
    double cubic_a, extrapolation;
    int64_t exclude_outside, antialias;
} mrt_resize_params;

typedef struct mrt_gather_params { int64_t axis, batch_dims; } mrt_gather_params;
enum { MRT_SCATTER_NONE, MRT_SCATTER_ADD, MRT_SCATTER_MUL, MRT_SCATTER_MAX, MRT_SCATTER_MIN };
typedef struct mrt_scatter_params { int64_t axis, reduction; } mrt_scatter_params;
/* depth2space/space2depth: mode 0 = DCR, 1 = CRD */
typedef struct mrt_block_params { int64_t block, mode; } mrt_block_params;
typedef struct mrt_topk_params { int64_t axis, largest, sorted; } mrt_topk_params;

/* ONNX LSTM/GRU/RNN: x[T,N,I] w[D,G*H,I] r[D,G*H,H] b[D,2*G*H]? lens? h0? c0? p? -> y, yh, yc. */
enum { MRT_RNN_FORWARD, MRT_RNN_REVERSE, MRT_RNN_BIDIRECTIONAL };
typedef struct mrt_rnn_params {
    int64_t hidden, direction, layout, linear_before_reset, input_forget;
    double clip;                      /* <= 0: none */
    int64_t activation[6];            /* mrt_unary codes, per direction */
    double alpha[6], beta[6];
    int64_t float_order;
} mrt_rnn_params;

/* quantize / dequantize / requantize between float and integer tensors: rules quantize, dequantize,
 * requant of docs/quant_spec.md. Scale and zero point come from the tensors themselves; per-axis
 * forms take scale/zero-point operands. */
typedef struct mrt_cast_params { int64_t flags; } mrt_cast_params; /* MRT_CAST_*: mrt_small.h */

/* conv_int, matmul_int, deconv_int: accumulate in int32 (64 when wide), then
 * y = clamp(zp_out + requant(acc, multiplier[c], shift[c])), rule requant-multiplier-shift.
 * conv_real, deconv_real: y = f32(acc * scale[c]), then the activation in conv; what else concerns y is 0. */
typedef struct mrt_conv_int_params {
    mrt_conv_params conv;                 /* *_int: act/act_limit unused: clamp says it in integers */
    int64_t zero_point_in, zero_point_out;
    int64_t clamp_min, clamp_max;         /* in output integers */
} mrt_conv_int_params;

typedef struct mrt_matmul_int_params {
    int64_t trans_a, trans_b;
    int64_t zero_point_a, zero_point_b, zero_point_out;
    int64_t clamp_min, clamp_max;
} mrt_matmul_int_params;

/* matmul_real: exact integer sums, y = f32(sum * scale[n]), then the activation; rule matmul-real. */
typedef struct mrt_matmul_real_params {
    int64_t trans_a, trans_b;
    int64_t zero_point_a, zero_point_b;
    int64_t act;
    double act_limit;
} mrt_matmul_real_params;

/* add_int / mul_int, numpy broadcasting:
 * add: y = clamp(zo + rshift((a-za)*ma + (b-zb)*mb, shift)); mul: y = clamp(zo + rshift((a-za)*(b-zb)*ma, shift)) */
typedef struct mrt_binary_int_params {
    int64_t zero_point_a, zero_point_b, zero_point_out;
    int64_t multiplier_a, multiplier_b, shift;
    int64_t clamp_min, clamp_max;
} mrt_binary_int_params;

/* softmax_int: table[d] = exp(-d * scale of x) * 2^MRT_SOFTMAX_BITS for d < 16, then the same for multiples of
 * 16; multiplier and shift are 1 / scale of
 * y, the shift with MRT_SOFTMAX_BITS added. */
enum { MRT_SOFTMAX_BITS = 22 };
typedef struct mrt_softmax_int_params {
    int64_t multiplier, shift, zero_point_out;
} mrt_softmax_int_params;

/* grid_sample_f32: names of ONNX GridSample-20. */
enum { MRT_SAMPLE_NEAREST, MRT_SAMPLE_LINEAR, MRT_SAMPLE_CUBIC };
enum { MRT_SAMPLE_ZEROS, MRT_SAMPLE_BORDER, MRT_SAMPLE_REFLECTION };
typedef struct mrt_sample_params {
    int64_t mode, padding, align_corners;
} mrt_sample_params;

/* roi_align_f32, roi_max_pool_f32 (spatial_scale alone). The bins come from the output's shape. */
enum { MRT_ROI_AVG, MRT_ROI_MAX };
enum { MRT_ROI_MAX_SAMPLES = 1024 }; /* per bin and axis */
typedef struct mrt_roi_params {
    int64_t mode, half_pixel;
    int64_t sampling_ratio; /* samples per bin and axis; 0: one per element, rounded up */
    double spatial_scale;   /* element of x per unit of a box */
} mrt_roi_params;

/* tf_idf: counts, weights of what occurs, or weights times counts; lengths of n-grams in items. */
enum { MRT_TF, MRT_IDF, MRT_TF_IDF };
typedef struct mrt_tf_idf_params {
    int64_t mode, min_length, max_length;
    int64_t max_skip; /* items that may be left out between two of an n-gram */
} mrt_tf_idf_params;

#endif
