/* Doctor: what the files alone tell. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/calibration/doctor.h"
#include "passes/calibration/preprocess.h"
#include "utils/arena.h"
#include "utils/image.h"
#include "utils/map.h"

/* --- duplicates --------------------------------------------------------------------------------- */

static mica_status find_duplicates(const mica_dataset *dataset, mica_strbuf *findings, mica_error *err) {
    const size_t n = mica_dataset_count(dataset);
    mica_map *seen = mica_map_create();
    size_t copies = 0;
    const char *first = NULL;
    const char *like = NULL;
    mica_status status = MICA_OK;
    for (size_t i = 0; i < n && status == MICA_OK; ++i) {
        char hash[MICA_HASH_HEX];
        status = mica_dataset_hash(dataset, i, hash, err);
        if (status == MICA_OK && !mica_map_set(seen, hash, NULL)) {
            ++copies;
            first = first != NULL ? first : mica_dataset_name(dataset, i);
        }
    }
    if (first != NULL) {
        char wanted[MICA_HASH_HEX] = {0};
        for (size_t i = 0; i < n && like == NULL; ++i) {
            char hash[MICA_HASH_HEX];
            if (strcmp(mica_dataset_name(dataset, i), first) != 0) {
                continue;
            }
            (void)!mica_dataset_hash(dataset, i, wanted, err);
            for (size_t k = 0; k < i && like == NULL; ++k) {
                const bool equal = mica_dataset_hash(dataset, k, hash, err) == MICA_OK && strcmp(hash, wanted) == 0;
                like = equal ? mica_dataset_name(dataset, k) : NULL;
            }
            break;
        }
        mica_strbuf_printf(findings, "duplicates: %zu of %zu samples have the content of another one; '%s' is '%s' again\n",
                           copies, n, first, like != NULL ? like : first);
    }
    mica_map_destroy(seen);
    return status;
}

/* --- sizes of images ---------------------------------------------------------------------------- */

typedef struct picture {
    const char *name;
    double width, height, shape; /* shape: log of width over height */
} picture;

static int compare_shapes(const void *a, const void *b) {
    const double x = ((const picture *)a)->shape;
    const double y = ((const picture *)b)->shape;
    return (x > y) - (x < y);
}

/* Wide beside upright pictures are distorted differently; much enlarged ones have no detail. */
static void compare_sizes(picture *list, size_t n, const mica_preprocess *p, mica_strbuf *findings) {
    const double RATIO = 3.0;
    const double ENLARGED = 2.5;
    size_t small = 0;
    const picture *smallest = NULL;
    for (size_t i = 0; i < n; ++i) {
        const double factor = fmin(p->resize_width / list[i].width, p->resize_height / list[i].height);
        if (factor > ENLARGED) {
            ++small;
            smallest = smallest == NULL ? &list[i] : smallest;
        }
    }
    if (smallest != NULL && small < n) {
        mica_strbuf_printf(findings, "sizes: %zu of the first %zu images are enlarged more than %g times, others are not; '%s' has %g x %g pixels\n",
                           small, n, ENLARGED, smallest->name, smallest->width, smallest->height);
    }
    qsort(list, n, sizeof *list, compare_shapes);
    const picture *middle = &list[n / 2];
    const picture *narrow = &list[0];
    const picture *wide = &list[n - 1];
    const bool flat = wide->shape - middle->shape > middle->shape - narrow->shape;
    const picture *odd = flat ? wide : narrow;
    if (!p->keep_aspect_ratio && wide->shape - narrow->shape > log(RATIO)) {
        mica_strbuf_printf(findings, "sizes: images of unlike shapes are stretched to %d x %d: '%s' has %g x %g pixels, '%s' %g x %g (see --keep_aspect_ratio)\n",
                           p->resize_width, p->resize_height, odd->name, odd->width, odd->height,
                           middle->name, middle->width, middle->height);
    }
}

static const mica_op *first_input(const mica_module *module) {
    mica_op *func = mica_module_func((mica_module *)(uintptr_t)module, "main");
    for (const mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        if (mica_op_is(op, "top.Input")) {
            return op;
        }
    }
    return NULL;
}

static void check_order(const mica_preprocess *p, const char *name, mica_strbuf *findings) {
    const bool red_first = p->mean[0] > p->mean[2] + 10.0f && fabsf(p->mean[0] - 123.675f) < 1.0f &&
                           fabsf(p->mean[1] - 116.5f) < 1.0f && fabsf(p->mean[2] - 103.7f) < 1.0f;
    const bool blue_first = p->mean[2] > p->mean[0] + 10.0f && fabsf(p->mean[2] - 123.675f) < 1.0f &&
                            fabsf(p->mean[1] - 116.5f) < 1.0f && fabsf(p->mean[0] - 103.7f) < 1.0f;
    if (p->channels == 3 && (p->is_bgr ? red_first : blue_first)) {
        mica_strbuf_printf(findings, "channels: input '%s' is %s, but its mean %g,%g,%g is that of ImageNet in %s order\n", name,
                           p->is_bgr ? "bgr" : "rgb", (double)p->mean[0], (double)p->mean[1],
                           (double)p->mean[2], p->is_bgr ? "rgb" : "bgr");
    }
}

/* The first input, when samples of it are pictures. */
static const mica_op *picture_input(const mica_module *module, const mica_dataset *dataset, mica_preprocess *out) {
    const mica_op *input = first_input(module);
    mica_error none = {0};
    const bool found = input != NULL && mica_dataset_image(dataset, 0, 0) != NULL &&
                         mica_preprocess_of(input, out, &none) == MICA_OK;
    return found ? input : NULL;
}

void mica_doctor_order(const mica_module *module, const mica_dataset *dataset, mica_strbuf *findings) {
    mica_preprocess preprocess;
    const mica_op *input = picture_input(module, dataset, &preprocess);
    if (input != NULL) {
        check_order(&preprocess, mica_loc_get_name(input->loc), findings);
    }
}

mica_status mica_doctor_files(const mica_module *module, const mica_dataset *dataset,
                              mica_strbuf *findings, mica_error *err) {
    MICA_TRY(find_duplicates(dataset, findings, err));
    mica_preprocess preprocess;
    if (picture_input(module, dataset, &preprocess) == NULL) {
        return MICA_OK;
    }
    picture list[MICA_DOCTOR_SAMPLES];
    size_t n = 0;
    for (size_t i = 0; i < mica_dataset_count(dataset) && n < MICA_DOCTOR_SAMPLES; ++i) {
        int width = 0;
        int height = 0;
        const char *path = mica_dataset_image(dataset, i, 0);
        if (path != NULL && mica_image_size(path, &width, &height)) {
            list[n++] = (picture){.name = mica_dataset_name(dataset, i), .width = width, .height = height,
                                  .shape = log((double)width / (double)height)};
        }
    }
    if (n > 1) {
        compare_sizes(list, n, &preprocess, findings);
    }
    return MICA_OK;
}
