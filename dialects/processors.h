/* Numeric modes and target processors. */
#ifndef MICA_DIALECTS_PROCESSORS_H
#define MICA_DIALECTS_PROCESSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Modes of an op, as in quantize tables: name, what the results are stored as. */
#define MICA_MODE_LIST(X)                                                                          \
    X(F32, "32-bit float")                                                                         \
    X(F16, "IEEE half, computed in f32")                                                           \
    X(BF16, "bfloat16, computed in f32")                                                           \
    X(INT8, "8-bit integers")                                                                      \
    X(W8A8, "products of 8-bit integers, everything else float")                                   \
    X(INT4, "products of 4-bit integers, everything else as in INT8")                              \
    X(W4INT8, "products of 8-bit integers with 4-bit weights, everything else as in INT8")        \
    X(W4A8, "products of 8-bit integers with 4-bit weights, everything else float")

typedef enum mica_mode {
#define X(name, summary) MICA_MODE_##name,
    MICA_MODE_LIST(X)
#undef X
    MICA_MODE_COUNT
} mica_mode;

/* Name of a mode ("INT8"). */
const char *mica_mode_name(mica_mode mode);
/* Mode called `name`, letter case ignored; false when there is none. */
bool mica_mode_find(const char *name, mica_mode *out_mode);
/* Names of all modes, for messages and nearest-name search. */
const char *const *mica_mode_names(size_t *out_count);

/* True for modes whose products give float. */
static inline bool mica_mode_gives_float(mica_mode mode) {
    return mode == MICA_MODE_W8A8 || mode == MICA_MODE_W4A8;
}
/* True for modes with weights of 4 bits. */
static inline bool mica_mode_is_narrow(mica_mode mode) {
    return mode == MICA_MODE_INT4 || mode == MICA_MODE_W4INT8 || mode == MICA_MODE_W4A8;
}
/* True for modes with integer arithmetic, which need calibrated ranges. */
static inline bool mica_mode_has_integers(mica_mode mode) {
    return mode == MICA_MODE_INT8 || mode == MICA_MODE_W8A8 || mica_mode_is_narrow(mode);
}
/* Names of all modes, for messages: "F32, F16, ...". */
#define MICA_MODE_NAMES "F32, F16, BF16, INT8, W8A8, INT4, W4INT8, W4A8"

typedef enum mica_scheme {
    MICA_SCHEME_MULTIPLIER_SHIFT,
    MICA_SCHEME_SHIFT_ONLY,
    MICA_SCHEME_QDM,
} mica_scheme;

typedef struct mica_processor {
    const char *name;
    mica_scheme scheme;
    uint32_t modes;     /* bit 1 << mica_mode */
    mica_mode fallback; /* float mode of an op without integer form */
    int lanes, local_kib, banks, mhz, dram_mbps;
    const char *summary;
} mica_processor;

/* Processor called `name`; NULL when there is none. */
const mica_processor *mica_processor_find(const char *name);
const char *const *mica_processor_names(size_t *out_count);
bool mica_processor_has_mode(const mica_processor *processor, mica_mode mode);
/* The mode nearest to `wanted` that the processor executes. */
mica_mode mica_processor_nearest_mode(const mica_processor *processor, mica_mode wanted);
const char *mica_scheme_name(mica_scheme scheme);

#endif
