/* Zip archives: finds the central directory and checks every entry. */
#include "weights/zip.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define BAD(...) SAK_FAIL(err, SAK_EFORMAT, __VA_ARGS__)

enum { END = 22, END64 = 56, LOCATOR64 = 20, CENTRAL = 46, LOCAL = 30, COMMENT_MAX = 65535 };

typedef struct archive {
    const char *path;
    const unsigned char *bytes;
    size_t size;
    uint64_t at, length, count; /* the central directory */
} archive;

static uint64_t number(const unsigned char *p, int n)
{
    uint64_t v = 0;
    while (n--)
        v = v << 8 | p[n];
    return v;
}

static bool signed_by(const unsigned char *p, const char *two)
{
    return p[0] == 'P' && p[1] == 'K' && p[2] == (unsigned char)two[0] &&
           p[3] == (unsigned char)two[1];
}

static sak_status find_directory(archive *a, sak_error *err)
{
    size_t end = a->size;
    for (size_t back = END; back <= a->size && back <= END + COMMENT_MAX; back++) {
        const unsigned char *p = a->bytes + a->size - back;
        if (signed_by(p, "\5\6") && number(p + 20, 2) == back - END) {
            end = a->size - back;
            break;
        }
    }
    if (end == a->size)
        return BAD("%s: a zip archive without its directory: truncated? (%zu bytes)", a->path,
                   a->size);
    const unsigned char *p = a->bytes + end;
    a->count = number(p + 10, 2);
    a->length = number(p + 12, 4);
    a->at = number(p + 16, 4);
    uint64_t limit = end;
    if (end >= LOCATOR64 && signed_by(p - LOCATOR64, "\6\7")) {
        const uint64_t at = number(p - LOCATOR64 + 8, 8);
        if (at > end - LOCATOR64 || end - LOCATOR64 - at < END64 ||
            !signed_by(a->bytes + at, "\6\6"))
            return BAD("%s: zip64 record at byte %" PRIu64 " of %zu: truncated?", a->path, at,
                       a->size);
        limit = at;
        a->count = number(a->bytes + at + 32, 8);
        a->length = number(a->bytes + at + 40, 8);
        a->at = number(a->bytes + at + 48, 8);
    }
    if (a->at > limit || a->length > limit - a->at || a->count > a->length / CENTRAL)
        return BAD("%s: zip directory of %" PRIu64 " entries at byte %" PRIu64 " of %zu: truncated?",
                   a->path, a->count, a->at, a->size);
    return SAK_OK;
}

/* Sizes and offset that do not fit 32 bits stand in the extra field with tag 1, in this order. */
static bool read_zip64(const unsigned char *p, size_t n, uint64_t *plain, uint64_t *packed,
                       uint64_t *offset)
{
    uint64_t *const want[3] = {plain, packed, offset};
    while (n >= 4) {
        const size_t tag = number(p, 2), length = number(p + 2, 2);
        if (length > n - 4)
            return false;
        if (tag == 1) {
            size_t at = 0;
            for (int i = 0; i < 3; i++)
                if (*want[i] == UINT32_MAX) {
                    if (length - at < 8)
                        return false;
                    *want[i] = number(p + 4 + at, 8);
                    at += 8;
                }
            return true;
        }
        p += 4 + length;
        n -= 4 + length;
    }
    return *plain != UINT32_MAX && *packed != UINT32_MAX && *offset != UINT32_MAX;
}

static sak_status place_entry(const archive *a, sak_zip_entry *e, uint64_t offset, uint64_t size,
                              sak_error *err)
{
    const int shown = (int)(e->length < 80 ? e->length : 80);
    if (offset > a->at || a->at - offset < LOCAL || !signed_by(a->bytes + offset, "\3\4"))
        return BAD("%s: zip entry '%.*s' begins at byte %" PRIu64 " of %zu: truncated?", a->path,
                   shown, e->name, offset, a->size);
    const unsigned char *p = a->bytes + offset;
    const uint64_t skip = LOCAL + number(p + 26, 2) + number(p + 28, 2);
    if (skip > a->at - offset || size > a->at - offset - skip)
        return BAD("%s: zip entry '%.*s' of %" PRIu64 " bytes at byte %" PRIu64
                   " does not fit the file of %zu",
                   a->path, shown, e->name, size, offset, a->size);
    if (number(p + 26, 2) != e->length || memcmp(p + LOCAL, e->name, e->length) != 0)
        return BAD("%s: zip entry '%.*s' has another name in its own header", a->path, shown,
                   e->name);
    e->data = p + skip;
    e->size = (size_t)size;
    return SAK_OK;
}

static sak_status read_entry(const archive *a, uint64_t *at, sak_zip_entry *e, sak_error *err)
{
    const uint64_t room = a->at + a->length - *at;
    const unsigned char *p = a->bytes + *at;
    if (room < CENTRAL || !signed_by(p, "\1\2"))
        return BAD("%s: zip directory: no entry at byte %" PRIu64, a->path, *at);
    const size_t name = number(p + 28, 2), extra = number(p + 30, 2), note = number(p + 32, 2);
    if (room - CENTRAL < name + extra + note)
        return BAD("%s: zip directory: the entry at byte %" PRIu64 " is cut off", a->path, *at);
    e->name = (const char *)p + CENTRAL;
    e->length = name;
    const int shown = (int)(name < 80 ? name : 80);
    if (number(p + 8, 2) & 1)
        return BAD("%s: zip entry '%.*s' is encrypted", a->path, shown, e->name);
    e->method = (int)number(p + 10, 2);
    uint64_t packed = number(p + 20, 4), plain = number(p + 24, 4), offset = number(p + 42, 4);
    if (!read_zip64(p + CENTRAL + name, extra, &plain, &packed, &offset) ||
        (e->method == 0 && plain != packed))
        return BAD("%s: zip entry '%.*s': its sizes contradict one another", a->path, shown,
                   e->name);
    *at += CENTRAL + name + extra + note;
    return place_entry(a, e, offset, packed, err);
}

static int by_data(const void *pa, const void *pb)
{
    const sak_zip_entry *a = pa, *b = pb;
    const uintptr_t da = (uintptr_t)a->data, db = (uintptr_t)b->data;
    return da != db ? (da < db ? -1 : 1) : (a->size > b->size) - (a->size < b->size);
}

static int compare(const char *a, size_t na, const char *b, size_t nb)
{
    const int c = memcmp(a, b, na < nb ? na : nb);
    return c ? c : (na > nb) - (na < nb);
}

static int by_entry_name(const void *pa, const void *pb)
{
    const sak_zip_entry *a = pa, *b = pb;
    return compare(a->name, a->length, b->name, b->length);
}

static sak_status check_entries(sak_zip *z, const char *path, sak_error *err)
{
    qsort(z->entries, z->n, sizeof *z->entries, by_data);
    for (size_t i = 1; i < z->n; i++) {
        const sak_zip_entry *a = &z->entries[i - 1], *b = &z->entries[i];
        if (a->size && b->size && a->data + a->size > b->data)
            return BAD("%s: zip entries '%.*s' and '%.*s' overlap", path,
                       (int)(a->length < 80 ? a->length : 80), a->name,
                       (int)(b->length < 80 ? b->length : 80), b->name);
    }
    qsort(z->entries, z->n, sizeof *z->entries, by_entry_name);
    for (size_t i = 1; i < z->n; i++)
        if (by_entry_name(&z->entries[i - 1], &z->entries[i]) == 0)
            return BAD("%s: zip entry '%.*s' is there twice", path,
                       (int)(z->entries[i].length < 80 ? z->entries[i].length : 80),
                       z->entries[i].name);
    return SAK_OK;
}

sak_status sak_zip_open(sak_zip *z, const char *path, const void *bytes, size_t size,
                        sak_error *err)
{
    *z = (sak_zip){0};
    archive a = {.path = path, .bytes = bytes, .size = size};
    SAK_TRY(find_directory(&a, err));
    SAK_TRY(sak_alloc((void **)&z->entries, (size_t)a.count, sizeof *z->entries, err));
    uint64_t at = a.at;
    sak_status st = SAK_OK;
    for (; st == SAK_OK && z->n < a.count; z->n += st == SAK_OK)
        st = read_entry(&a, &at, &z->entries[z->n], err);
    if (st == SAK_OK && z->n)
        st = check_entries(z, path, err);
    if (st != SAK_OK)
        sak_zip_close(z);
    return st;
}

void sak_zip_close(sak_zip *z)
{
    sak_free(z->entries);
    *z = (sak_zip){0};
}

const sak_zip_entry *sak_zip_find(const sak_zip *z, const char *folder, size_t folder_length,
                                  const char *name)
{
    const size_t n = strlen(name);
    size_t lo = 0, hi = z->n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const sak_zip_entry *e = &z->entries[mid];
        const size_t head = e->length < folder_length ? e->length : folder_length;
        int c = compare(folder, folder_length, e->name, head);
        if (c == 0)
            c = compare(name, n, e->name + head, e->length - head);
        if (c == 0)
            return e;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

sak_status sak_zip_check_stored(const sak_zip_entry *e, const char *path, sak_error *err)
{
    if (e->method == 0)
        return SAK_OK;
    return BAD("%s: zip entry '%.*s' is compressed (method %d), which torch.save never does; unpack "
               "the file and pack it again with zip -0",
               path, (int)(e->length < 80 ? e->length : 80), e->name, e->method);
}
