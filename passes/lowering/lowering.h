/* Lowering: top dialect -> tpu dialect under a mode per op.
 *
 * The calibrated top module is read; a new tpu module is made, so that both can be compared. Every op
 * gets a mode (quantize table, else the global one); an op without an integer form falls back to the
 * processor's float mode and is listed with the reason. Casts are inserted where types meet, at most
 * one per value and type. */
#ifndef MICA_LOWERING_H
#define MICA_LOWERING_H

#include "dialects/processors.h"
#include "ir/op.h"
#include "passes/lowering/qtable.h"

typedef struct mica_lowering_options {
    const mica_processor *processor;
    mica_mode mode;
    bool asymmetric;           /* activations with zero points */
    bool pow2;                 /* scales of activations and weights are powers of two [scale-pow2] */
    const mica_qtable *qtable; /* NULL: every op uses `mode` */
    bool requantize_all;       /* every integer op gives 8 bits, needed or not [float-out] */
    const bool *quant_output;  /* per output of main: it stays integer (its cast is taken off later); or NULL */
} mica_lowering_options;

/* What became of one top op. */
typedef struct mica_lower_row {
    const char *op;     /* name of its first result */
    const char *type;   /* "top.Conv" */
    mica_mode mode;
    const char *reason; /* why it is not in the wanted mode; NULL when it is */
    bool is_real;       /* in INT8: its result is f32, because all that reads it runs in float */
} mica_lower_row;

/* Names live as long as the context. */
typedef struct mica_lower_report {
    mica_lower_row *rows; /* one per lowered op, in order */
    size_t count;
    const char **uncalibrated; /* tensors without a range that INT8 ops needed, each once, in order */
    size_t n_uncalibrated;
} mica_lower_report;

void mica_lower_report_free(mica_lower_report *report);

/* Refuses modes that the processor does not execute (global and quantize table) before any work. */
mica_status mica_lowering_check(const mica_lowering_options *options, mica_error *err);

/* Lowers function main of `top`. The result borrows constants from `top`, which must outlive it.
 * report may be NULL. Errors (missing calibration, inconsistent model) are diagnostics. */
mica_status mica_lower_module(mica_module *top, const mica_lowering_options *options,
                              mica_module **out_tpu, mica_lower_report *report);

/* The mode that an op gets when `mode` is asked for: INT8, or W8A8 in place of W4A8, for ops that have no form with
 * weights of 4 bits. */
mica_mode mica_lower_narrow(const mica_op *op, mica_mode mode);

/* True for an op that in INT8 mode has whatever type its first operand has: it only moves elements. */
bool mica_lower_follows(const mica_op *op);

#endif
