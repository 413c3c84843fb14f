/* Values of the training samples at a place of the graph, in the float model and in the quantized one.
 *
 * The place moves forward only. Ops between two places become a module of their own, which runs once in
 * float and once lowered with the table, so that nothing before them is run again. What is alive at the
 * place is kept for all samples as long as it fits MICA_PREFIX_BYTES; where it does not, the last place
 * that fits stays and the way from there is run again. Every sample is computed on its own: results do
 * not depend on the number of threads. */
#ifndef MICA_RECOVERY_PREFIX_H
#define MICA_RECOVERY_PREFIX_H

#include "passes/recovery/layers.h"
#include "runtime/mrt_pool.h"

enum {
    MICA_PREFIX_SAMPLES = 96,       /* at most, evenly spread over the training samples */
    MICA_PREFIX_BYTES = 256 << 20,  /* values of all samples, float and quantized together */
    MICA_PREFIX_BATCH = 4,          /* samples of one mica_view_load */
};

/* A value that is needed at or behind a place. */
typedef struct mica_live {
    const mica_value *value; /* of the reference module */
    size_t bytes, offset;    /* in the block of a sample */
} mica_live;

typedef struct mica_prefix {
    const mica_recovery_job *job;
    mica_module *reference, *work; /* borrowed: float weights; those of the quantized model */
    mica_module *typed;            /* with the ranges of the table */
    struct mica_prefix_grids *grids; /* of the whole quantized model */
    mica_op **ops;                 /* of the reference's main without constants, in order; op->order is the place */
    size_t n_ops, samples;
    size_t at;                     /* ops [0, at) have run */
    mica_live *live;
    size_t n_live, bytes;          /* of one side of one sample */
    uint8_t **kept;                /* per sample: values of the float model, then of the quantized one */
    mrt_pool *pool;
    int lanes;
} mica_prefix;

/* Fails with a message when the model cannot be run in parts (ops with regions, sizes that depend on data). */
mica_status mica_prefix_open(mica_prefix *p, mica_module *reference, mica_module *work,
                             const mica_recovery_job *job, mica_error *err);
void mica_prefix_close(mica_prefix *p);
/* Place of an op of any clone of the module: by the name of its first result; n_ops when it has none. */
size_t mica_prefix_place(const mica_prefix *p, const mica_op *op);
/* Moves to place `to`, if what is alive there fits. */
mica_status mica_prefix_advance(mica_prefix *p, size_t to, mica_error *err);
/* The values that are alive at a place; returns their number, at most `most` are written. */
size_t mica_prefix_alive(const mica_prefix *p, size_t to, const mica_value **out, size_t most);

/* Integers low .. high, less zero, times scale. scale 0: values stay as they are. */
typedef struct mica_levels {
    float scale, zero, low, high;
} mica_levels;

/* Grid of a value in the whole quantized model, none where it is real there; for a layer that reads it (not NULL) with the bits of that one. */
mica_levels mica_prefix_grid(const mica_prefix *p, const mica_value *value, const mica_layer *reader);
/* For open and close. */
mica_status mica_prefix_find_grids(mica_prefix *p, mica_error *err);
void mica_prefix_free_grids(mica_prefix *p);
/* Nearest points of the grid, halves to even. y may be x. */
void mica_levels_round(const mica_levels *grid, const float *x, float *y, int64_t n);

/* One f32 value at a place, of a few samples at a time. */
typedef struct mica_view mica_view;
/* sides: MICA_WANT, MICA_GOT or both; the other one is not computed. */
enum { MICA_WANT = 1, MICA_GOT = 2 };
mica_view *mica_view_open(mica_prefix *p, size_t to, const mica_value *value, int sides, mica_error *err);
void mica_view_close(mica_view *view);
/* want[i], got[i]: sample first + i in the float and in the quantized model, valid until the next call. */
void mica_view_load(mica_view *view, size_t first, size_t count, const float **want, const float **got);

#endif
