/* libjpeg reports errors through a function that must not return; it jumps back to decode(). All
 * that has to be freed lives in `job`, outside the frame that is jumped over. */
#include "utils/arena.h"
#include "utils/image_codec.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h> /* jpeglib.h needs FILE */

#include <jpeglib.h>

#include <jerror.h>

/* A small progressive file can ask for any number of passes over the picture. */
enum { MAX_SCANS = 200 };

typedef struct job {
    struct jpeg_error_mgr errors; /* first: libjpeg hands back a pointer to it */
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct info;
    jmp_buf back;
    size_t size;
    mica_image image;
    uint8_t *row; /* one CMYK row */
    mica_error *err;
} job;

static MICA_NORETURN void on_error(j_common_ptr info) {
    job *j = (job *)(void *)info->err;
    char text[JMSG_LENGTH_MAX];
    j->errors.format_message(info, text);
    (void)mica_fail(j->err, "%s", text);
    longjmp(j->back, 1);
}

/* level < 0 is a warning. Those that mean lost picture data count as errors; stray bytes between
 * segments, which many cameras write, do not. */
static void on_message(j_common_ptr info, int level) {
    int code = info->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM &&
        code != JWRN_JFIF_MAJOR) {
        on_error(info);
    }
}

static void on_output(j_common_ptr info) { (void)info; }

static void on_progress(j_common_ptr info) {
    const struct jpeg_decompress_struct *d = (const struct jpeg_decompress_struct *)(void *)info;
    if (d->input_scan_number > MAX_SCANS) {
        job *j = (job *)(void *)info->err;
        (void)mica_fail(j->err, "more than %d scans", MAX_SCANS);
        longjmp(j->back, 1);
    }
}

/* r = c * k / 255 and so on, rounded, with c and k as amounts of light; Adobe files store them so,
 * others store amounts of ink. */
static void mix_cmyk(const uint8_t *in, uint8_t *out, int n, bool inverted) {
    for (int i = 0; i < n; i++, in += 4, out += 3) {
        for (int c = 0; c < 3; c++) {
            int a = inverted ? in[c] : 255 - in[c], k = inverted ? in[3] : 255 - in[3];
            out[c] = (uint8_t)((a * k + 127) / 255);
        }
    }
}

static void read_rows(job *j) {
    struct jpeg_decompress_struct *d = &j->info;
    bool cmyk = d->out_color_space == JCS_CMYK;
    size_t step = (size_t)j->image.width * (size_t)j->image.channels;
    if (cmyk) {
        j->row = mica_alloc((size_t)j->image.width * 4);
    }
    while (d->output_scanline < d->output_height) {
        uint8_t *out = j->image.data + (size_t)d->output_scanline * step;
        JSAMPROW row = cmyk ? j->row : out;
        if (jpeg_read_scanlines(d, &row, 1) == 1 && cmyk) {
            mix_cmyk(j->row, out, j->image.width, d->saw_Adobe_marker);
        }
    }
}

static mica_status decode(job *j, const uint8_t *bytes) {
    struct jpeg_decompress_struct *d = &j->info;
    if (setjmp(j->back) != 0) {
        return MICA_FAIL;
    }
    jpeg_create_decompress(d);
    d->progress = &j->progress;
    jpeg_mem_src(d, bytes, j->size);
    (void)jpeg_read_header(d, TRUE);
    MICA_TRY(mica_image_check_size(d->image_width, d->image_height, j->size, j->err));
    int n = d->num_components;
    if (n != 1 && n != 3 && n != 4) {
        return mica_fail(j->err, "%d colour components are not supported", n);
    }
    d->out_color_space = n == 1 ? JCS_GRAYSCALE : n == 3 ? JCS_RGB : JCS_CMYK;
    (void)jpeg_start_decompress(d);
    j->image = (mica_image){(int)d->output_width, (int)d->output_height, n == 1 ? 1 : 3, NULL};
    j->image.data = mica_alloc((size_t)j->image.width * (size_t)j->image.height *
                               (size_t)j->image.channels);
    read_rows(j);
    (void)jpeg_finish_decompress(d);
    return MICA_OK;
}

mica_status mica_jpeg_decode(const uint8_t *bytes, size_t size, mica_image *out, mica_error *err) {
    job *j = mica_alloc(sizeof *j);
    j->size = size;
    j->err = err;
    j->info.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = on_error;
    j->errors.emit_message = on_message;
    j->errors.output_message = on_output;
    j->progress.progress_monitor = on_progress;
    mica_status status = decode(j, bytes);
    jpeg_destroy_decompress(&j->info);
    mica_free(j->row);
    if (status == MICA_OK) {
        *out = j->image;
    } else {
        mica_image_free(&j->image);
    }
    mica_free(j);
    return status;
}
