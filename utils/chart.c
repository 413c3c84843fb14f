#include "utils/chart.h"

#include <ctype.h>
#include <math.h>
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utils/arena.h"
#include "utils/file.h"

enum { WIDTH = 640, HEIGHT = 400, LEFT = 78, RIGHT = 20, TOP = 40, BOTTOM = 58, SCALE = 2, ADVANCE = 4 * SCALE };

static const uint32_t WHITE = 0xFFFFFF, BLACK = 0x202020, GRAY = 0xD8D8D8, BLUE = 0x2060C0, RED = 0xD02020;

/* Five rows of three pixels, an octal digit each. */
static const struct {
    char letter;
    uint16_t rows;
} GLYPHS[] = {
    {'0', 075557}, {'1', 026227}, {'2', 071747}, {'3', 071717}, {'4', 055711}, {'5', 074717}, {'6', 074757},
    {'7', 071111}, {'8', 075757}, {'9', 075717}, {'A', 025755}, {'B', 065656}, {'C', 034443}, {'D', 065556},
    {'E', 074647}, {'F', 074644}, {'G', 034553}, {'H', 055755}, {'I', 072227}, {'J', 011152}, {'K', 055655},
    {'L', 044447}, {'M', 057755}, {'N', 065555}, {'O', 025552}, {'P', 065644}, {'Q', 025563}, {'R', 065655},
    {'S', 034216}, {'T', 072222}, {'U', 055557}, {'V', 055552}, {'W', 055775}, {'X', 055255}, {'Y', 055222},
    {'Z', 071247}, {'.', 000002}, {',', 000024}, {'%', 051245}, {'+', 002720}, {'-', 000700}, {'(', 012221},
    {')', 042224}, {':', 002020},
};

typedef struct canvas {
    uint8_t *pixels; /* rgb */
    double low[2], high[2]; /* of x and y */
} canvas;

static void set(canvas *c, int x, int y, uint32_t color) {
    if (x >= 0 && x < WIDTH && y >= 0 && y < HEIGHT) {
        uint8_t *p = c->pixels + 3 * (y * WIDTH + x);
        p[0] = (uint8_t)(color >> 16);
        p[1] = (uint8_t)(color >> 8);
        p[2] = (uint8_t)color;
    }
}

static void fill(canvas *c, int x, int y, int width, int height, uint32_t color) {
    for (int i = 0; i < width * height; ++i) {
        set(c, x + i % width, y + i / width, color);
    }
}

static uint16_t glyph_of(char letter) {
    for (size_t i = 0; i < sizeof GLYPHS / sizeof GLYPHS[0]; ++i) {
        if (GLYPHS[i].letter == toupper((unsigned char)letter)) {
            return GLYPHS[i].rows;
        }
    }
    return 0;
}

/* up: along the y axis, from below. */
static void write_text(canvas *c, int x, int y, const char *text, bool up) {
    for (; *text != '\0'; ++text) {
        const uint16_t rows = glyph_of(*text);
        for (int i = 0; i < 15; ++i) {
            const int column = SCALE * (i % 3);
            const int row = SCALE * (i / 3);
            if ((rows >> (14 - i) & 1) != 0) {
                fill(c, up ? x + row : x + column, up ? y - column - SCALE + 1 : y + row, SCALE, SCALE, BLACK);
            }
        }
        x += up ? 0 : ADVANCE;
        y -= up ? ADVANCE : 0;
    }
}

static int width_of(const char *text) { return (int)strlen(text) * ADVANCE; }

static int at_x(const canvas *c, double x) {
    return LEFT + (int)lround((x - c->low[0]) / (c->high[0] - c->low[0]) * (WIDTH - LEFT - RIGHT));
}

static int at_y(const canvas *c, double y) {
    return HEIGHT - BOTTOM - (int)lround((y - c->low[1]) / (c->high[1] - c->low[1]) * (HEIGHT - TOP - BOTTOM));
}

static void draw_line(canvas *c, int x0, int y0, int x1, int y1, uint32_t color) {
    const int steps = abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0);
    for (int i = 0; i <= steps; ++i) {
        const double t = steps > 0 ? (double)i / (double)steps : 0.0;
        fill(c, (int)lround(x0 + t * (x1 - x0)), (int)lround(y0 + t * (y1 - y0)), 2, 2, color);
    }
}

static void draw_disc(canvas *c, int x, int y, int radius, uint32_t color) {
    for (int dy = -radius; dy <= radius; ++dy) {
        for (int dx = -radius; dx <= radius; ++dx) {
            if (dx * dx + dy * dy <= radius * radius) {
                set(c, x + dx, y + dy, color);
            }
        }
    }
}

/* 1, 2 or 5 times a power of ten that gives at most seven intervals. */
static double step_of(double range) {
    double step = pow(10.0, floor(log10(range / 7.0)));
    static const double factors[] = {2.0, 2.5, 2.0};
    for (int i = 0; range / step > 7.0; ++i) {
        step *= factors[i % 3];
    }
    return step;
}

static void draw_axes(canvas *c, const mica_chart *chart) {
    char text[40];
    for (int axis = 0; axis < 2; ++axis) {
        const double step = step_of(c->high[axis] - c->low[axis]);
        for (double v = ceil(c->low[axis] / step) * step; v <= c->high[axis] + 1e-9 * step; v += step) {
            snprintf(text, sizeof text, "%g", fabs(v) < 1e-9 * step ? 0.0 : v);
            if (axis == 0) {
                fill(c, at_x(c, v), TOP, 1, HEIGHT - TOP - BOTTOM, GRAY);
                write_text(c, at_x(c, v) - width_of(text) / 2, HEIGHT - BOTTOM + 8, text, false);
            } else {
                fill(c, LEFT, at_y(c, v), WIDTH - LEFT - RIGHT, 1, GRAY);
                write_text(c, LEFT - 8 - width_of(text), at_y(c, v) - 5, text, false);
            }
        }
    }
    fill(c, LEFT, TOP, 2, HEIGHT - TOP - BOTTOM, BLACK);
    fill(c, LEFT, HEIGHT - BOTTOM, WIDTH - LEFT - RIGHT, 2, BLACK);
    write_text(c, (WIDTH - width_of(chart->title)) / 2, 14, chart->title, false);
    write_text(c, LEFT + (WIDTH - LEFT - RIGHT - width_of(chart->x_label)) / 2, HEIGHT - 22, chart->x_label, false);
    write_text(c, 10, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM - width_of(chart->y_label)) / 2, chart->y_label, true);
}

static bool is_drawn(const mica_chart_point *p) { return isfinite(p->x) && isfinite(p->y); }

static void find_ranges(canvas *c, const mica_chart *chart) {
    for (int axis = 0; axis < 2; ++axis) {
        double low = INFINITY;
        double high = -INFINITY;
        for (size_t i = 0; i < chart->count; ++i) {
            const double v = axis == 0 ? chart->points[i].x : chart->points[i].y;
            low = is_drawn(&chart->points[i]) ? fmin(low, v) : low;
            high = is_drawn(&chart->points[i]) ? fmax(high, v) : high;
        }
        low = isfinite(low) ? low : 0.0;
        high = isfinite(high) ? high : 1.0;
        const double room = high > low ? 0.05 * (high - low) : fmax(1.0, fabs(low));
        c->low[axis] = low - room;
        c->high[axis] = high + room;
    }
}

static void draw_points(canvas *c, const mica_chart *chart) {
    const mica_chart_point *last = NULL;
    for (size_t i = 0; i < chart->count; ++i) {
        const mica_chart_point *p = &chart->points[i];
        if (!is_drawn(p) || !p->in_line) {
            continue;
        }
        if (last != NULL) {
            draw_line(c, at_x(c, last->x), at_y(c, last->y), at_x(c, p->x), at_y(c, p->y), BLUE);
        }
        last = p;
    }
    for (size_t i = 0; i < chart->count; ++i) {
        const mica_chart_point *p = &chart->points[i];
        if (is_drawn(p) && (p->dot || p->chosen)) {
            draw_disc(c, at_x(c, p->x), at_y(c, p->y), p->chosen ? 6 : 3, p->chosen ? RED : BLACK);
        }
    }
}

static mica_status encode(const canvas *c, const char *path, mica_error *err) {
    png_image image = {.version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT, .format = PNG_FORMAT_RGB};
    png_alloc_size_t size = 0;
    if (!png_image_write_to_memory(&image, NULL, &size, 0, c->pixels, 0, NULL)) {
        return mica_fail(err, "%s: %s", path, image.message);
    }
    void *bytes = mica_alloc(size + 1);
    const bool done = png_image_write_to_memory(&image, bytes, &size, 0, c->pixels, 0, NULL) != 0;
    const mica_status status = done ? mica_write_file_atomic(path, bytes, size, err)
                                    : mica_fail(err, "%s: %s", path, image.message);
    mica_free(bytes);
    return status;
}

mica_status mica_chart_write(const mica_chart *chart, const char *path, mica_error *err) {
    canvas c = {.pixels = mica_alloc((size_t)3 * WIDTH * HEIGHT)};
    fill(&c, 0, 0, WIDTH, HEIGHT, WHITE);
    find_ranges(&c, chart);
    draw_axes(&c, chart);
    draw_points(&c, chart);
    const mica_status status = encode(&c, path, err);
    mica_free(c.pixels);
    return status;
}
