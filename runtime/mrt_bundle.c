#include "runtime/mrt_bundle_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- header, sections --- */

static mrt_status read_header(const mrt_bundle *bundle, mrt_bundle_header *header,
                              mrt_error *err) {
    if (bundle->bytes < sizeof *header) {
        return mrt_fail(err, MRT_CORRUPT, "not a bundle: %zu bytes are less than a header",
                        bundle->bytes);
    }
    memcpy(header, bundle->data, sizeof *header);
    if (memcmp(header->magic, MRT_BUNDLE_MAGIC, sizeof header->magic) != 0) {
        return mrt_fail(err, MRT_CORRUPT, "not a bundle: wrong first bytes");
    }
    if (header->format > MRT_BUNDLE_FORMAT) {
        return mrt_fail(err, MRT_VERSION, "bundle has format %u, this runtime reads up to %d",
                        header->format, MRT_BUNDLE_FORMAT);
    }
    if (header->format == 0 || header->header_bytes != sizeof *header || header->reserved != 0) {
        return mrt_fail(err, MRT_CORRUPT, "bundle: the header is damaged");
    }
    if (header->file_bytes != bundle->bytes) {
        return mrt_fail(err, MRT_CORRUPT, "bundle: expected %llu bytes, found %zu",
                        (unsigned long long)header->file_bytes, bundle->bytes);
    }
    if (header->index_offset < sizeof *header || header->index_offset % 64 != 0 ||
        header->index_offset > bundle->bytes ||
        header->index_bytes != bundle->bytes - header->index_offset) {
        return mrt_fail(err, MRT_CORRUPT, "bundle: the table of contents is not in the file");
    }
    return MRT_OK;
}

static bool same_hash(mrt_bundle_hash a, mrt_bundle_hash b) {
    return a.low == b.low && a.high == b.high;
}

static bool all_zero(const uint8_t *data, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; i++) {
        if (data[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Sections are in order, apart, page-aligned, before the table of contents; the gaps are zero. */
static mrt_status check_sections(const mrt_bundle *bundle, const mrt_bundle_header *header,
                                 bool trust, mrt_error *err) {
    const mrt_bundle_info *info = &bundle->index.info;
    uint64_t end = sizeof *header;
    for (uint32_t i = 0; i < info->n_sections; i++) {
        const mrt_bundle_section *s = &info->sections[i];
        if (s->offset % MRT_BUNDLE_PAGE != 0 || s->offset < end ||
            s->offset > header->index_offset || s->bytes > header->index_offset - s->offset) {
            return mrt_fail(err, MRT_CORRUPT, "bundle: section '%.64s' lies at a wrong place",
                            s->name);
        }
        if (s->offset - end >= MRT_BUNDLE_PAGE ||
            (!trust && !all_zero(bundle->data + end, s->offset - end))) {
            return mrt_fail(err, MRT_CORRUPT, "bundle: unused bytes before section '%.64s'",
                            s->name);
        }
        if (!trust &&
            !same_hash(mrt_bundle_hash_bytes(bundle->data + s->offset, s->bytes), s->hash)) {
            return mrt_fail(err, MRT_CORRUPT, "bundle: section '%.64s' is damaged", s->name);
        }
        end = s->offset + s->bytes;
    }
    const uint64_t gap = header->index_offset - end;
    if (gap >= 64 || (!trust && !all_zero(bundle->data + end, gap))) {
        return mrt_fail(err, MRT_CORRUPT, "bundle: unused bytes before the table of contents");
    }
    return MRT_OK;
}

static void *index_alloc(void *owner, size_t count, size_t size) {
    return mrt_bump_array(owner, count, size);
}

mrt_status mrt_bundle_read_index(mrt_bundle *bundle, uint32_t flags, mrt_error *err) {
    const bool trust = (flags & MRT_BUNDLE_TRUST_HASHES) != 0;
    mrt_bundle_header header;
    MRT_TRY(read_header(bundle, &header, err));
    const uint8_t *index = bundle->data + header.index_offset;
    if (!trust && !same_hash(mrt_bundle_index_hash(&header, index), header.hash)) {
        return mrt_fail(err, MRT_CORRUPT, "bundle: the table of contents is damaged");
    }
    MRT_TRY(mrt_bundle_fb_read(index, header.index_bytes, index_alloc, &bundle->bump,
                               &bundle->index, err));
    mrt_bundle_info *info = &bundle->index.info;
    if (info->format != header.format) {
        return mrt_fail(err, MRT_CORRUPT, "bundle: header has format %u, contents %u",
                        header.format, info->format);
    }
    info->file_bytes = bundle->bytes;
    return check_sections(bundle, &header, trust, err);
}

/* --- opening --- */

static mrt_status open_bytes(mrt_bundle *bundle, uint32_t flags, mrt_bundle **out_bundle,
                             mrt_error *err) {
    mrt_status status = mrt_bundle_read_index(bundle, flags, err);
    if (status == MRT_OK) {
        status = mrt_bundle_build_plan(bundle, flags, err);
    }
    if (status != MRT_OK) {
        mrt_bundle_close(bundle);
        return status;
    }
    *out_bundle = bundle;
    return MRT_OK;
}

mrt_status mrt_bundle_open_memory(const void *data, size_t bytes, uint32_t flags,
                                  mrt_bundle **out_bundle, mrt_error *err) {
    mrt_bundle *bundle = calloc(1, sizeof *bundle);
    if (bundle == NULL) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for a bundle");
    }
    bundle->data = data;
    bundle->bytes = bytes;
    if ((uintptr_t)data % MRT_ALIGN != 0) {
        if (posix_memalign(&bundle->copy, MRT_ALIGN, bytes > 0 ? bytes : 1) != 0) {
            free(bundle);
            return mrt_fail(err, MRT_NO_MEMORY, "no memory for a bundle of %zu bytes", bytes);
        }
        memcpy(bundle->copy, data, bytes);
        bundle->data = bundle->copy;
    }
    return open_bytes(bundle, flags, out_bundle, err);
}

static mrt_status map_file(const char *path, mrt_bundle *bundle, mrt_error *err) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return mrt_fail(err, MRT_IO, "cannot open '%.256s': %s", path, strerror(errno));
    }
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(file);
        return mrt_fail(err, MRT_IO, "'%.256s' is not a regular file", path);
    }
    if (info.st_size == 0) {
        close(file);
        return mrt_fail(err, MRT_CORRUPT, "'%.256s' is empty", path);
    }
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    const int problem = errno;
    close(file);
    if (data == MAP_FAILED) {
        return mrt_fail(err, MRT_IO, "cannot map '%.256s': %s", path, strerror(problem));
    }
    bundle->data = data;
    bundle->bytes = (size_t)info.st_size;
    bundle->mapped = true;
    return MRT_OK;
}

mrt_status mrt_bundle_open(const char *path, uint32_t flags, mrt_bundle **out_bundle,
                           mrt_error *err) {
    mrt_bundle *bundle = calloc(1, sizeof *bundle);
    if (bundle == NULL) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for a bundle");
    }
    mrt_status status = map_file(path, bundle, err);
    if (status != MRT_OK) {
        free(bundle);
        return status;
    }
    mrt_error reason = {{0}};
    status = open_bytes(bundle, flags, out_bundle, &reason);
    if (status != MRT_OK) {
        return mrt_fail(err, status, "'%.128s': %.360s", path, reason.text);
    }
    return MRT_OK;
}

void mrt_bundle_close(mrt_bundle *bundle) {
    if (bundle == NULL) {
        return;
    }
    mrt_plan_destroy(bundle->plan);
    mrt_bump_free(&bundle->bump);
    if (bundle->mapped) {
        munmap((void *)(uintptr_t)bundle->data, bundle->bytes);
    }
    free(bundle->copy);
    free(bundle);
}

/* --- access --- */

const mrt_plan *mrt_bundle_plan(const mrt_bundle *bundle) {
    return bundle->plan;
}

const mrt_bundle_info *mrt_bundle_get_info(const mrt_bundle *bundle) {
    return &bundle->index.info;
}

const char *mrt_bundle_find_attribute(const mrt_bundle *bundle, const char *key) {
    const mrt_bundle_info *info = &bundle->index.info;
    for (uint32_t i = 0; i < info->n_attributes; i++) {
        if (strcmp(info->attributes[i].key, key) == 0) {
            return info->attributes[i].value;
        }
    }
    return NULL;
}

const void *mrt_bundle_golden_input(const mrt_bundle *bundle, int32_t input) {
    const mrt_bundle_index *index = &bundle->index;
    if (!index->info.has_golden || input < 0 || input >= bundle->plan->n_inputs) {
        return NULL;
    }
    return bundle->data + index->info.sections[index->golden_section].offset +
           index->golden_offsets[input];
}
