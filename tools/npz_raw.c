/* npz_tool to_bin and to_dat: raw little-endian elements without a header. */
#include "tools/npz_tool.h"

#include "utils/file.h"
#include "utils/half.h"

#include <math.h>
#include <string.h>

/* Nearest integer, half to even, cut to the range; NaN gives 0. */
static int64_t to_integer(double x, int64_t low, int64_t high) {
    if (isnan(x)) {
        return 0;
    }
    return x <= (double)low ? low : x >= (double)high ? high : (int64_t)nearbyint(x);
}

static const char raw_types[] = "float32,float16,bf16,int8,uint8,int16,uint16,int32";

/* Element i in `type` (one of raw_types) at out; the bytes it takes. */
static size_t convert(const mica_ndarray *array, int64_t i, const char *type, void *out) {
    const double x = npz_value(array, i);
    const bool sign = type[0] != 'u';
    const size_t size = strcmp(type, "float32") == 0 || strcmp(type, "int32") == 0 ? 4
                        : strcmp(type, "int8") == 0 || strcmp(type, "uint8") == 0  ? 1
                                                                                   : 2;
    if (strcmp(type, "float32") == 0) {
        const float value = (float)x;
        memcpy(out, &value, sizeof value);
    } else if (strcmp(type, "float16") == 0 || strcmp(type, "bf16") == 0) {
        const uint16_t bits = type[0] == 'b' ? mica_f32_to_bf16((float)x)
                                             : mica_f32_to_f16((float)x);
        memcpy(out, &bits, sizeof bits);
    } else {
        const int64_t high = ((int64_t)1 << (8 * size - (sign ? 1 : 0))) - 1;
        const int64_t value = to_integer(x, sign ? -high - 1 : 0, high);
        memcpy(out, &value, size); /* little endian, as the files are */
    }
    return size;
}

/* Appends an array to a stream; NULL type: as stored. False on a write error. */
static bool write_raw(FILE *stream, const mica_ndarray *array, const char *type) {
    if (type == NULL) {
        return fwrite(array->data, 1, array->bytes, stream) == array->bytes;
    }
    const int64_t count = mica_ndarray_count(array);
    for (int64_t i = 0; i < count; i++) {
        uint8_t element[8];
        const size_t size = convert(array, i, type, element);
        if (fwrite(element, 1, size, stream) != size) {
            return false;
        }
    }
    return true;
}

/* Writes one array, or all when name is NULL. */
static mica_status save_raw(npz_run *run, const char *in, const char *name, const char *out,
                            const char *type) {
    mica_npz *npz = mica_npz_open(in, &run->err);
    if (npz == NULL) {
        return MICA_FAIL;
    }
    mica_atomic_file file = {0};
    mica_status status = MICA_OK;
    if (name != NULL && mica_npz_get(npz, name, &run->err) == NULL) {
        status = MICA_FAIL;
    }
    status = status == MICA_OK ? mica_atomic_open(&file, out, &run->err) : status;
    const size_t count = name != NULL ? 1 : mica_npz_count(npz);
    for (size_t i = 0; i < count && status == MICA_OK; i++) {
        const char *key = name != NULL ? name : mica_npz_key(npz, i);
        const mica_ndarray *array = mica_npz_get(npz, key, &run->err);
        status = array != NULL ? MICA_OK : MICA_FAIL;
        if (array != NULL && !write_raw(file.stream, array, type)) {
            status = mica_fail(&run->err, "'%s': cannot be written", out);
        }
        mica_npz_release(npz, key);
    }
    if (status == MICA_OK) {
        status = mica_atomic_commit(&file, &run->err);
    } else {
        mica_atomic_abort(&file);
    }
    mica_npz_close(npz);
    return status;
}

int npz_to_bin_main(int argc, char **argv) {
    npz_run run;
    const char *in = NULL, *name = NULL, *out = NULL, *type = NULL;
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true, .help = "npz to read",
         .dest = &in},
        {.name = "name", .kind = MICA_OPT_STRING, .required = true, .help = "array to write",
         .dest = &name},
        {.name = "output", .kind = MICA_OPT_STRING, .required = true, .help = "file to write",
         .dest = &out},
        {.name = "type", .kind = MICA_OPT_CHOICE, .choices = raw_types,
         .help = "element type to write, rounded half to even and cut to its range; without: as "
                 "stored", .dest = &type},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "to_bin", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    return npz_run_end(&run, save_raw(&run, in, name, out, type));
}

int npz_to_dat_main(int argc, char **argv) {
    npz_run run;
    const char *in = NULL, *out = NULL;
    mica_option rows[] = {
        {.name = "file", .kind = MICA_OPT_STRING, .required = true, .help = "npz to read",
         .dest = &in},
        {.name = "output", .kind = MICA_OPT_STRING, .required = true,
         .help = "file to write; arrays in the order of the npz, without gaps", .dest = &out},
    };
    int code = TOOL_OK;
    if (!npz_run_begin(&run, "to_dat", rows, MICA_COUNT(rows), argc, argv, &code)) {
        return code;
    }
    return npz_run_end(&run, save_raw(&run, in, NULL, out, NULL));
}
