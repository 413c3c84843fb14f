/* libpng reports errors by jumping; what has to be freed lives in `job`, outside the frame that is
 * jumped over. The full interface is used since the simplified one applies gamma and mixes alpha
 * with a background, which no training pipeline does. */
#include "utils/arena.h"
#include "utils/image_codec.h"

#include <png.h>
#include <string.h>

typedef struct job {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t size, at;
    mica_image image;
    png_bytep *rows;
    mica_error *err;
} job;

static MICA_NORETURN void on_error(png_structp png, png_const_charp text) {
    job *j = png_get_error_ptr(png);
    (void)mica_fail(j->err, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep out, size_t n) {
    job *j = png_get_io_ptr(png);
    if (n > j->size - j->at) {
        png_error(png, "the file ends early");
    }
    memcpy(out, j->bytes + j->at, n);
    j->at += n;
}

/* 8-bit gray or RGB from every kind of PNG. */
static void set_conversions(job *j) {
    int type = png_get_color_type(j->png, j->info), depth = png_get_bit_depth(j->png, j->info);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_set_palette_to_rgb(j->png);
    } else if (type == PNG_COLOR_TYPE_GRAY && depth < 8) {
        png_set_expand_gray_1_2_4_to_8(j->png);
    }
    if (depth == 16) {
        png_set_strip_16(j->png);
    }
    png_set_strip_alpha(j->png);
    (void)png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
}

static mica_status decode(job *j) {
    if (setjmp(png_jmpbuf(j->png)) != 0) {
        return MICA_FAIL;
    }
    png_set_read_fn(j->png, j, on_read);
    /* Text and profiles are not looked at; they must not take memory either. */
    png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_chunk_malloc_max(j->png, 8u << 20);
    png_read_info(j->png, j->info);
    uint32_t w = png_get_image_width(j->png, j->info), h = png_get_image_height(j->png, j->info);
    MICA_TRY(mica_image_check_size(w, h, j->size, j->err));
    set_conversions(j);
    int channels = png_get_channels(j->png, j->info);
    size_t step = png_get_rowbytes(j->png, j->info);
    if ((channels != 1 && channels != 3) || step != (size_t)w * (size_t)channels) {
        return mica_fail(j->err, "unexpected pixel layout");
    }
    j->image = (mica_image){(int)w, (int)h, channels, mica_alloc(step * h)};
    j->rows = mica_alloc(h * sizeof *j->rows);
    for (uint32_t y = 0; y < h; y++) {
        j->rows[y] = j->image.data + y * step;
    }
    png_read_image(j->png, j->rows);
    png_read_end(j->png, NULL);
    return MICA_OK;
}

mica_status mica_png_decode(const uint8_t *bytes, size_t size, mica_image *out, mica_error *err) {
    job *j = mica_alloc(sizeof *j);
    j->bytes = bytes;
    j->size = size;
    j->err = err;
    j->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, j, on_error, on_warning);
    j->info = j->png != NULL ? png_create_info_struct(j->png) : NULL;
    mica_status status =
        j->info != NULL ? decode(j) : mica_fail(err, "the PNG decoder does not start");
    png_destroy_read_struct(&j->png, &j->info, NULL);
    mica_free(j->rows);
    if (status == MICA_OK) {
        *out = j->image;
    } else {
        mica_image_free(&j->image);
    }
    mica_free(j);
    return status;
}
