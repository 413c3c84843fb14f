#include "passes/search/compare.h"

#include <math.h>
#include <string.h>

#include "utils/strings.h"
#include "utils/vec.h"

typedef MICA_VEC(mica_compare_point) point_list;

static void add_point(point_list *points, const mrt_plan *plan, int32_t id, double weight) {
    const mrt_plan_tensor *t = &plan->tensors[id];
    mica_vec_push(points, (mica_compare_point){.name = t->info.name, .weight = weight, .tensor = id,
                                               .count = mrt_shape_count(&t->info.shape), .shape = t->info.shape});
}

/* "name" or "name:weight"; names may hold ':' themselves. *out_weight: negative when there is none. */
static mica_status add_layer(const mica_net *net, char *text, mica_arena *arena, point_list *points,
                             double *out_weight, mica_error *err) {
    char *colon = strrchr(text, ':');
    *out_weight = -1.0;
    if (mrt_plan_find(net->plan, text) < 0 && colon != NULL) {
        if (!mica_parse_f64(colon + 1, out_weight) || *out_weight < 0.0 || *out_weight > 1.0) {
            return mica_fail(err, "--global_compare_layers '%s': expected a weight from 0 to 1 after ':'", text);
        }
        *colon = '\0';
    }
    const int32_t id = mrt_plan_find(net->plan, text);
    if (id < 0 || net->plan->tensors[id].kind == MRT_CONST) {
        return mica_fail(err, "--global_compare_layers names '%s', which the model does not have%s", text,
                         mica_net_nearest(net, text, arena));
    }
    if (net->plan->tensors[id].info.dtype != MRT_F32) {
        return mica_fail(err, "--global_compare_layers names '%s', which holds integers", text);
    }
    for (size_t i = 0; i < points->len; ++i) {
        if (points->data[i].tensor == id) {
            return mica_fail(err, "--global_compare_layers names '%s' twice", text);
        }
    }
    add_point(points, net->plan, id, *out_weight);
    return MICA_OK;
}

static mica_status add_layers(const mica_net *net, const char *layers, mica_arena *arena, point_list *points,
                              mica_error *err) {
    size_t n = 0;
    size_t weighted = 0;
    double sum = 0.0;
    char **texts = mica_split(arena, layers, ',', &n);
    for (size_t i = 0; i < n; ++i) {
        double weight = 0.0;
        MICA_TRY(add_layer(net, texts[i], arena, points, &weight, err));
        weighted += weight >= 0.0;
        sum += weight >= 0.0 ? weight : 0.0;
    }
    if (weighted != 0 && weighted != n) {
        return mica_fail(err, "--global_compare_layers: %zu of %zu layers have a weight; give all of them one or none",
                         weighted, n);
    }
    if (weighted != 0 && fabs(sum - 1.0) > 1e-6) {
        return mica_fail(err, "--global_compare_layers: the weights sum to %g, not 1", sum);
    }
    for (size_t i = 0; i < n && weighted == 0; ++i) {
        points->data[i].weight = 1.0 / (double)n;
    }
    return MICA_OK;
}

static mica_status add_outputs(const mica_net *net, point_list *points, mica_error *err) {
    for (int32_t i = 0; i < net->plan->n_outputs; ++i) {
        if (net->plan->tensors[net->plan->outputs[i]].info.dtype == MRT_F32) {
            add_point(points, net->plan, net->plan->outputs[i], 1.0);
        }
    }
    for (size_t i = 0; i < points->len; ++i) {
        points->data[i].weight = 1.0 / (double)points->len;
    }
    return points->len > 0 ? MICA_OK
                           : mica_fail(err, "no output of the model is a real tensor; name tensors before them with "
                                            "--global_compare_layers");
}

mica_status mica_compare_make(const mica_net *net, const char *layers, mica_arena *arena, mica_compare *out,
                              mica_error *err) {
    point_list points = {0};
    const bool named = layers != NULL && layers[strspn(layers, " \t,")] != '\0';
    const mica_status status = named ? add_layers(net, layers, arena, &points, err) : add_outputs(net, &points, err);
    *out = (mica_compare){.points = points.data, .count = points.len};
    for (size_t i = 0; i < out->count; ++i) {
        out->points[i].first = out->total;
        out->total += out->points[i].count;
    }
    if (status != MICA_OK) {
        mica_compare_free(out);
    }
    return status;
}

void mica_compare_free(mica_compare *compare) {
    mica_free(compare->points);
    *compare = (mica_compare){0};
}

mica_distance mica_compare_vectors(const mica_compare *compare, const float *want, const float *got) {
    mica_distance d = {0};
    for (size_t p = 0; p < compare->count; ++p) {
        const mica_compare_point *point = &compare->points[p];
        double noise = 0.0;
        double signal = 0.0;
        double other = 0.0;
        double dot = 0.0;
        for (int64_t i = point->first; i < point->first + point->count; ++i) {
            const double x = (double)want[i];
            const double y = (double)got[i];
            if (isfinite(x)) {
                noise += (x - y) * (x - y);
                signal += x * x;
                other += y * y;
                dot += x * y;
            }
        }
        const double nsr = noise <= 1e-30 ? 0.0 : noise / fmax(signal, 1e-30);
        const double cosine = noise <= 1e-30 ? 1.0 : dot / fmax(sqrt(signal) * sqrt(other), 1e-30);
        d.nsr += point->weight * (nsr < MICA_NSR_MOST ? nsr : MICA_NSR_MOST);
        d.cosine += point->weight * (isfinite(cosine) ? cosine : 0.0);
    }
    return d;
}

/* Bits that look random, of the number of a value. */
static uint64_t scatter(uint64_t i) {
    i = (i + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
    i = (i ^ i >> 29) * 0x94D049BB133111EBu;
    return i ^ i >> 32;
}

void mica_compare_sketch(const mica_compare *compare, const float *want, const float *got, size_t width, float *out) {
    const bool exact = (uint64_t)compare->total <= width;
    memset(out, 0, width * sizeof *out);
    for (size_t p = 0; p < compare->count; ++p) {
        const mica_compare_point *point = &compare->points[p];
        double signal = 0.0;
        for (int64_t i = point->first; i < point->first + point->count; ++i) {
            signal += isfinite(want[i]) ? (double)want[i] * (double)want[i] : 0.0;
        }
        const double scale = sqrt(point->weight / fmax(signal, 1e-30));
        for (int64_t i = point->first; i < point->first + point->count; ++i) {
            const double e = scale * ((double)got[i] - (double)want[i]);
            const uint64_t bits = exact ? (uint64_t)i : scatter((uint64_t)i);
            const float value = (float)(fabs(e) < 1e3 ? e : 0.0);
            out[exact ? bits : (bits >> 1) % width] += exact || (bits & 1) == 0 ? value : -value;
        }
    }
}

double mica_nsr_to_db(double nsr) {
    return nsr > 1e-20 ? -10.0 * log10(nsr) : 200.0;
}
