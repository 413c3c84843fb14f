/* Oracle of the image preprocessing, pixel by pixel from its written rules. */
#ifndef REF_PREPROCESS_H
#define REF_PREPROCESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ref_preprocess {
    int width, height, channels;          /* of the picture: 1 gray, 3 RGB */
    int net_width, net_height, net_channels;
    int resize_width, resize_height;
    enum { REF_STRETCH, REF_LETTERBOX, REF_SHORT_SIDE } resize;
    bool pad_center, bgr, nhwc;
    int pad_value;
    float mean[3], scale[3];
} ref_preprocess;

/* pixels [height][width][channels] -> out, net_channels * net_height * net_width values. */
void ref_preprocess_run(const ref_preprocess *p, const uint8_t *pixels, float *out);

#endif
