/* Calibration methods on synthetic distributions: SQNR that the histogram predicts, SQNR of the values, and
 * what the exhaustive search reaches. A table in Markdown on stdout. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "passes/calibration/methods.h"
#include "test/ref/ref_calibration.h"

enum { SAMPLES = 1 << 16 };

static void print_row(const char *name, const mica_histogram *h, const float *x, const char *shape,
                      double best) {
    mica_method method;
    if (!mica_method_parse(name, &method)) {
        return;
    }
    const mica_range r = mica_method_run(&method, h);
    const double real = ref_sqnr(x, SAMPLES, r.threshold);
    printf("| %s | %s | %.5g | %.2f | %.2f | %.2f |\n", shape, name, r.threshold,
           mica_predicted_sqnr(h, r, false), real, real - best);
}

int main(void) {
    float *x = malloc(SAMPLES * sizeof *x);
    mica_histogram *h = malloc(sizeof *h);
    mica_histogram_scratch *scratch = mica_histogram_scratch_create();
    size_t n_methods = 0;
    const char *const *names = mica_method_names(&n_methods);
    printf("| distribution | method | threshold | predicted dB | real dB | below the best, dB |\n"
           "|---|---|---|---|---|---|\n");
    for (int shape = 0; x != NULL && h != NULL && shape < REF_SHAPES; ++shape) {
        ref_fill((ref_shape)shape, 1.0f, 77, x, SAMPLES);
        mica_histogram_init(h);
        mica_histogram_add(h, x, SAMPLES, scratch, NULL);
        double t = 0.0;
        const double best = ref_best_sqnr(x, SAMPLES, &t);
        for (size_t i = 0; i < n_methods; ++i) {
            print_row(names[i], h, x, ref_shape_name((ref_shape)shape), best);
        }
    }
    mica_histogram_scratch_destroy(scratch);
    free(h);
    free(x);
    return 0;
}
