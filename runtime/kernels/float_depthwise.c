/* conv_f32 with one input channel per group, on planes: no columns, long contiguous loops.
 *
 * A band of output rows is computed as one run. The padded input of the band is copied once, split
 * by residue of row and column modulo the stride ("phases"), all with the row pitch of the output
 * run; then every tap is one shifted contiguous read, whatever the stride, dilation or width:
 *     acc[i] += w[tap] * phase[(ky*dy) % sy][(kx*dx) % sx]
 *                             [i + ((ky*dy) / sy) * pitch + (kx*dx) / sx]
 * Elements of the run behind the width of a row are computed and dropped.
 * Every output is a sum over taps in increasing order from 0: rule float-dot, whatever float_order
 * says. */
#include "runtime/kernels/float_conv.h"

#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

#include <string.h>

#define BAND_FLOATS 8192   /* wanted size of phases and run: first-level cache */
#define MAX_FLOATS 4194304 /* a shape that needs more per lane takes the general way */
#define MAX_TAPS 256
#define MAX_PER_GROUP 4 /* with more outputs per input the matrix product is faster */

typedef struct plane_plan {
    int64_t sy, sx, phases_y, phases_x; /* residues that taps use */
    int64_t shift_y, shift_x;           /* largest shift of a tap */
    int64_t pitch, rows;                /* run pitch; output rows of a band */
    int64_t phase_floats;               /* of one phase */
    int64_t bands;
} plane_plan;

typedef struct plane_job {
    const mrt_call *call;
    const mrt_conv_geo *geo;
    plane_plan plan;
    int64_t offset[MAX_TAPS];  /* of each tap's first element in the phases */
    int64_t low[64], high[64]; /* per x phase: columns [low, high) come from the input */
    int64_t items, lanes;
    size_t slice;
} plane_job;

static int64_t lane_floats(const plane_plan *p, int64_t rows) {
    return p->phases_y * p->phases_x * (rows + p->shift_y) * p->pitch + rows * p->pitch;
}

/* False when a lane would need too much memory. */
static bool make_plan(const mrt_conv_geo *g, plane_plan *out) {
    const int64_t reach_y = (g->kernel[1] - 1) * g->dilation[1];
    const int64_t reach_x = (g->kernel[2] - 1) * g->dilation[2];
    plane_plan p = {.sy = g->stride[1], .sx = g->stride[2]};
    p.phases_y = mrt_min64(p.sy, reach_y + 1);
    p.phases_x = mrt_min64(p.sx, reach_x + 1);
    p.shift_y = reach_y / p.sy;
    p.shift_x = reach_x / p.sx;
    p.pitch = g->out[2] + p.shift_x;
    const int64_t limit = MAX_FLOATS;
    if (p.pitch > limit || p.shift_y > limit || p.phases_x > 64 || p.phases_y > 64 ||
        (p.shift_y + 2) * p.pitch > limit || lane_floats(&p, 1) > limit) {
        return false;
    }
    p.rows = 1;
    while (p.rows < g->out[1] && lane_floats(&p, p.rows + 1) <= BAND_FLOATS) {
        p.rows++;
    }
    p.bands = mrt_div_up(g->out[1], p.rows);
    p.rows = mrt_div_up(g->out[1], p.bands);
    p.phase_floats = (p.rows + p.shift_y) * p.pitch;
    *out = p;
    return true;
}

bool mrt_depthwise_fits(const mrt_conv_geo *g) {
    plane_plan plan;
    return g->cg == 1 && g->ocg <= MAX_PER_GROUP && g->kernel[0] == 1 && g->in[0] == 1 &&
           g->out[0] == 1 && g->stride[0] == 1 && g->pad[0] == 0 && g->taps <= MAX_TAPS &&
           make_plan(g, &plan);
}

static void make_job(const mrt_call *call, const mrt_conv_geo *g, plane_job *j) {
    j->call = call;
    j->geo = g;
    j->plan = (plane_plan){0};
    make_plan(g, &j->plan);
    j->items = g->batch * g->group * j->plan.bands;
    j->lanes = mrt_lane_count(j->items);
    j->slice = mrt_align64((size_t)lane_floats(&j->plan, j->plan.rows) * sizeof(float));
}

/* Divisions are slow, so all of them happen once. */
static void make_tables(plane_job *j) {
    const mrt_conv_geo *g = j->geo;
    const plane_plan *p = &j->plan;
    int t = 0;
    for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
        const int64_t y = ky * g->dilation[1];
        for (int64_t kx = 0; kx < g->kernel[2]; kx++) {
            const int64_t x = kx * g->dilation[2];
            j->offset[t++] = (y % p->sy * p->phases_x + x % p->sx) * p->phase_floats +
                             y / p->sy * p->pitch + x / p->sx;
        }
    }
    for (int64_t px = 0; px < p->phases_x; px++) {
        const int64_t first = px - g->pad[2];
        const int64_t behind = first < g->in[2] ? (g->in[2] - 1 - first) / p->sx + 1 : 0;
        j->low[px] = first < 0 ? mrt_min64(mrt_div_up(-first, p->sx), p->pitch) : 0;
        j->high[px] = mrt_max64(j->low[px], mrt_min64(behind, p->pitch));
    }
}

mrt_status mrt_depthwise_scratch(const mrt_conv_geo *g, size_t *out_scratch, mrt_error *err) {
    plane_job j;
    make_job(NULL, g, &j);
    return mrt_lane_scratch(j.lanes, j.slice, out_scratch, err);
}

/* dst[i] = x[i * step] for i in [low, high), 0 elsewhere in [0, n). */
MRT_INLINE void split_row(const float *x, int64_t low, int64_t high, int64_t step, int64_t n,
                          float *dst) {
    for (int64_t i = 0; i < low; i++) {
        dst[i] = 0.0f;
    }
    if (step == 1) {
        for (int64_t i = low; i < high; i++) {
            dst[i] = x[i];
        }
    } else if (step == 2) {
        for (int64_t i = low; i < high; i++) {
            dst[i] = x[2 * i];
        }
    } else {
        for (int64_t i = low; i < high; i++) {
            dst[i] = x[i * step];
        }
    }
    for (int64_t i = high; i < n; i++) {
        dst[i] = 0.0f;
    }
}

/* Fills the phases for output rows from oy on. */
MRT_CLONES static void split_phases(const plane_job *j, const float *x, int64_t oy, int64_t rows,
                                    float *phases) {
    const mrt_conv_geo *g = j->geo;
    const plane_plan *p = &j->plan;
    for (int64_t py = 0; py < p->phases_y; py++) {
        for (int64_t px = 0; px < p->phases_x; px++) {
            float *dst = phases + (py * p->phases_x + px) * p->phase_floats;
            for (int64_t r = 0; r < rows + p->shift_y; r++, dst += p->pitch) {
                const int64_t iy = (oy + r) * p->sy + py - g->pad[1];
                if (iy < 0 || iy >= g->in[1]) {
                    memset(dst, 0, (size_t)p->pitch * sizeof(float));
                } else {
                    split_row(x + iy * g->in[2] + px - g->pad[2], j->low[px], j->high[px], p->sx,
                              p->pitch, dst);
                }
            }
        }
    }
}

/* acc[i] = (first ? 0 : acc[i]) + sum over `taps` taps in order; taps is a constant here. */
MRT_INLINE void add_taps(int taps, const float *const *src, const float *w, bool first, int64_t n,
                         float *acc) {
    const float *s[9];
    float c[9];
    for (int t = 0; t < taps; t++) {
        s[t] = src[t];
        c[t] = w[t];
    }
    MRT_IVDEP for (int64_t i = 0; i < n; i++) {
        float v = first ? 0.0f : acc[i];
        for (int t = 0; t < taps; t++) {
            v = v + c[t] * s[t][i];
        }
        acc[i] = v;
    }
}

MRT_CLONES static void add_9(const float *const *src, const float *w, bool first, int64_t n,
                             float *acc) {
    if (first) {
        add_taps(9, src, w, true, n, acc);
    } else {
        add_taps(9, src, w, false, n, acc);
    }
}
MRT_CLONES static void add_5(const float *const *src, const float *w, bool first, int64_t n,
                             float *acc) {
    if (first) {
        add_taps(5, src, w, true, n, acc);
    } else {
        add_taps(5, src, w, false, n, acc);
    }
}
MRT_CLONES static void add_1(const float *const *src, const float *w, bool first, int64_t n,
                             float *acc) {
    if (first) {
        add_taps(1, src, w, true, n, acc);
    } else {
        add_taps(1, src, w, false, n, acc);
    }
}

static void add_all(const plane_job *j, const float *phases, const float *w, int64_t n,
                    float *acc) {
    const float *src[MAX_TAPS];
    const int taps = (int)j->geo->taps;
    for (int t = 0; t < taps; t++) {
        src[t] = phases + j->offset[t];
    }
    for (int t = 0; t < taps;) {
        if (taps - t >= 9) {
            add_9(src + t, w + t, t == 0, n, acc);
            t += 9;
        } else if (taps - t >= 5) {
            add_5(src + t, w + t, t == 0, n, acc);
            t += 5;
        } else {
            add_1(src + t, w + t, t == 0, n, acc);
            t += 1;
        }
    }
}

static void run_band(const plane_job *j, int64_t item, float *memory) {
    const mrt_conv_geo *g = j->geo;
    const plane_plan *p = &j->plan;
    const mrt_conv_params *params = j->call->params;
    const mrt_tensor *bias = mrt_in(j->call, 2);
    const int64_t plane = item / p->bands; /* batch * group + group index */
    const int64_t oy = item % p->bands * p->rows;
    const int64_t rows = mrt_min64(p->rows, g->out[1] - oy);
    const int64_t run = (rows - 1) * p->pitch + g->out[2];
    float *acc = memory + p->phases_y * p->phases_x * p->phase_floats;
    split_phases(j, (const float *)j->call->in[0]->data + plane * g->in_size, oy, rows, memory);
    for (int64_t o = 0; o < g->ocg; o++) {
        const int64_t oc = plane % g->group * g->ocg + o;
        const float *w = (const float *)j->call->in[1]->data + oc * g->taps;
        float *y = (float *)j->call->out[0]->data + (plane * g->ocg + o) * g->out_size;
        add_all(j, memory, w, run, acc);
        const mrt_epilogue e = mrt_epilogue_make(bias ? (const float *)bias->data + oc : NULL,
                                                 params->act, params->act_limit);
        mrt_epilogue_rows(&e, acc, 1, run, run);
        for (int64_t r = 0; r < rows; r++) {
            memcpy(y + (oy + r) * g->out[2], acc + r * p->pitch,
                   (size_t)g->out[2] * sizeof(float));
        }
    }
}

static void run_lane(void *context, int64_t lane) {
    const plane_job *j = context;
    float *memory = (float *)((char *)j->call->scratch + (size_t)lane * j->slice);
    const int64_t end = mrt_lane_begin(j->items, j->lanes, lane + 1);
    for (int64_t item = mrt_lane_begin(j->items, j->lanes, lane); item < end; item++) {
        run_band(j, item, memory);
    }
}

void mrt_depthwise_run(const mrt_call *call, const mrt_conv_geo *g) {
    plane_job j;
    make_job(call, g, &j);
    make_tables(&j);
    mrt_parallel_for(call->pool, j.lanes, run_lane, &j);
}
