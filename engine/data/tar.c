/* tar: 512-byte headers, each followed by its file padded to 512.  Nothing in a header is trusted.
 */
#include "data/tar.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512, NAME_MAX_BYTES = 1024 };

typedef struct header {
    char name[NAME_MAX_BYTES];
    int64_t size;
    char type;
} header;

/* Octal digits, or with the top bit set a big-endian number (GNU); -1 if neither. */
static int64_t number(const unsigned char *p, size_t n)
{
    int64_t v = 0;
    if (p[0] & 0x80) {
        for (size_t i = 0; i < n; i++) {
            if (v >> 54)
                return -1;
            v = v << 8 | (i ? p[i] : p[i] & 0x7F);
        }
        return v;
    }
    size_t i = 0;
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (p[i] - '0'); /* 12 digits fit */
    return i == n || p[i] == ' ' || p[i] == 0 ? v : -1;
}

/* The sum of all bytes, those of the sum itself taken as blanks. */
static bool sum_is_right(const unsigned char b[BLOCK])
{
    int64_t sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : b[i];
    return number(b + 148, 8) == sum;
}

static void read_name(const unsigned char b[BLOCK], header *h)
{
    const bool ustar =
        memcmp(b + 257, "ustar", 6) == 0; /* GNU's own has a blank there, no prefix */
    const int prefix = ustar ? (int)strnlen((const char *)b + 345, 155) : 0;
    snprintf(h->name, sizeof h->name, "%.*s%s%.100s", prefix, (const char *)b + 345,
             prefix ? "/" : "", (const char *)b);
}

/* "<length> path=<name>\n" among the records of a pax header. */
static void pax_name(const char *text, size_t n, char out[NAME_MAX_BYTES])
{
    for (size_t at = 0; at < n;) {
        char *end;
        const long length = strtol(text + at, &end, 10);
        if (length <= 0 || (size_t)length > n - at || *end != ' ')
            return;
        const char *value = end + 1;
        const char *stop = text + at + length;
        if (stop - value > 5 && memcmp(value, "path=", 5) == 0)
            snprintf(out, NAME_MAX_BYTES, "%.*s", (int)(stop - value - 6), value + 5);
        at += (size_t)length;
    }
}

static sak_status at_offset(FILE *file, int64_t offset, void *to, size_t n, const char *path,
                            sak_error *err)
{
    if (fseeko(file, (off_t)offset, SEEK_SET) != 0 || fread(to, 1, n, file) != n)
        return SAK_FAIL(err, SAK_EFORMAT,
                        "%s: the archive ends too early, at byte %lld (truncated)", path,
                        (long long)offset);
    return SAK_OK;
}

/* A long name: the content of an entry of its own, which belongs to the next one. */
static sak_status long_name(FILE *file, const char *path, int64_t offset, const header *h,
                            char out[NAME_MAX_BYTES], sak_error *err)
{
    char text[4 * NAME_MAX_BYTES];
    if (h->size >= (int64_t)sizeof text)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: a name of %lld bytes at byte %lld", path,
                        (long long)h->size, (long long)offset);
    SAK_TRY(at_offset(file, offset, text, (size_t)h->size, path, err));
    text[h->size] = 0;
    if (h->type == 'L')
        snprintf(out, NAME_MAX_BYTES, "%.*s", NAME_MAX_BYTES - 1, text);
    else
        pax_name(text, (size_t)h->size, out);
    return SAK_OK;
}

sak_status sak_tar_walk(FILE *file, const char *path, int64_t from, int64_t to,
                        sak_tar_visit *visit, void *ctx, sak_error *err)
{
    char name[NAME_MAX_BYTES] = "";
    for (int64_t at = from; at < to;) {
        unsigned char b[BLOCK];
        header h;
        if (to - at < BLOCK)
            return SAK_FAIL(err, SAK_EFORMAT, "%s: not a whole tar: %lld bytes at byte %lld", path,
                            (long long)(to - at), (long long)at);
        SAK_TRY(at_offset(file, at, b, BLOCK, path, err));
        if (b[0] == 0 && number(b + 148, 8) == 0)
            return SAK_OK; /* the end: a block of zeros */
        if (!sum_is_right(b))
            return SAK_FAIL(err, SAK_EFORMAT,
                            "%s: not a tar, or a damaged one: wrong checksum at byte %lld", path,
                            (long long)at);
        read_name(b, &h);
        h.size = number(b + 124, 12);
        h.type = (char)b[156];
        at += BLOCK;
        if (h.size < 0 || h.size > to - at)
            return SAK_FAIL(err, SAK_EFORMAT,
                            "%s: '%.100s' at byte %lld goes on past the end (truncated)", path,
                            h.name, (long long)at);
        if (h.type == 'L' || h.type == 'x') {
            SAK_TRY(long_name(file, path, at, &h, name, err));
        } else {
            if (h.type == '0' || h.type == 0 || h.type == '7')
                SAK_TRY(visit(ctx, *name ? name : h.name, at, h.size, err));
            *name = 0;
        }
        at += (h.size + BLOCK - 1) / BLOCK * BLOCK;
    }
    return SAK_OK;
}
