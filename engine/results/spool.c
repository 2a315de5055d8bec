/* Spool files: encoding, checksums, appending, reading; see spool.h for the format. */
#include "results/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define NO_TEXT UINT32_MAX
#define READ_CHUNK ((size_t)1 << 20)
static const char magic[8] = {'S', 'A', 'K', 'S', 'P', 'O', 'L', '1'};

/* --- writing ---------------------------------------------------------------------------------- */

bool sak_bytes_reserve(sak_bytes *b, size_t more)
{
    if (b->failed)
        return false;
    if (b->cap - b->n >= more)
        return true;
    size_t cap = b->cap ? b->cap * 2 : 65536;
    while (cap - b->n < more)
        cap *= 2;
    unsigned char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

static void put(sak_bytes *b, const void *p, size_t n)
{
    if (n && sak_bytes_reserve(b, n)) {
        memcpy(b->p + b->n, p, n);
        b->n += n;
    }
}

void sak_bytes_u32(sak_bytes *b, uint32_t v)
{
    put(b, &v, sizeof v);
}

void sak_bytes_i64(sak_bytes *b, int64_t v)
{
    put(b, &v, sizeof v);
}

void sak_bytes_f64(sak_bytes *b, double v)
{
    put(b, &v, sizeof v);
}

void sak_bytes_text(sak_bytes *b, const char *s)
{
    const size_t n = s ? strlen(s) : 0;
    sak_bytes_u32(b, s ? (uint32_t)n : NO_TEXT);
    put(b, s, n);
}

void sak_bytes_free(sak_bytes *b)
{
    free(b->p);
    *b = (sak_bytes){0};
}

size_t sak_record_open(sak_bytes *b, sak_record type)
{
    const size_t at = b->n;
    sak_bytes_u32(b, 0);
    sak_bytes_u32(b, 0);
    sak_bytes_u32(b, (uint32_t)type);
    return at;
}

void sak_record_close(sak_bytes *b, size_t at)
{
    if (b->failed || b->n - at - SAK_RECORD_HEADER > SAK_RECORD_MAX) {
        b->n = at;
        return;
    }
    const uint32_t n = (uint32_t)(b->n - at - SAK_RECORD_HEADER);
    memcpy(b->p + at, &n, sizeof n);
}

static uint32_t checksum(const unsigned char *record, size_t payload)
{
    uLong crc = crc32(0, record, 4);
    crc = crc32(crc, record + 8, 4);
    return (uint32_t)crc32(crc, record + SAK_RECORD_HEADER, (uInt)payload);
}

void sak_record_seal(sak_bytes *b)
{
    for (size_t at = 0; at < b->n;) {
        uint32_t n;
        memcpy(&n, b->p + at, sizeof n);
        const uint32_t crc = checksum(b->p + at, n);
        memcpy(b->p + at + 4, &crc, sizeof crc);
        at += SAK_RECORD_HEADER + n;
    }
}

sak_status sak_spool_append(int fd, uint64_t *end, const sak_bytes *b, sak_error *err)
{
    for (size_t done = 0; done < b->n;) {
        const ssize_t n = pwrite(fd, b->p + done, b->n - done, (off_t)(*end + done));
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        const int code = n < 0 ? errno : ENOSPC;
        if (ftruncate(fd, (off_t)*end) != 0) {
            /* The torn record fails its checksum; the next append overwrites it. */
        }
        return SAK_FAIL(err, SAK_EIO, "cannot write the run's spool file: %s", strerror(code));
    }
    *end += b->n;
    return SAK_OK;
}

void sak_spool_path(const char *folder, const char *uid, int attempt, char *out)
{
    char number[16] = "";
    if (attempt > 1)
        snprintf(number, sizeof number, "-%d", attempt);
    sprintf(out, "%s/%.12s%s.spool", folder, uid, number);
}

sak_status sak_spool_create(const char *path, const sak_spool_id *id, int *fd, sak_error *err)
{
    unsigned char h[SAK_SPOOL_HEADER] = {0};
    const uint32_t order = 0x01020304;
    memcpy(h, magic, sizeof magic);
    memcpy(h + 8, &order, 4);
    memcpy(h + 12, &id->attempt, 4);
    memcpy(h + 16, id->store, 32);
    memcpy(h + 48, id->run, 12);
    const uint32_t crc = (uint32_t)crc32(0, h, 60);
    memcpy(h + 60, &crc, 4);

    /* Under another name until locked: nobody may take it for the spool of a dead run. */
    const size_t n = strlen(path) + sizeof ".new";
    char *part = malloc(n);
    if (!part)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    snprintf(part, n, "%s.new", path);
    sak_status status = SAK_OK;
    *fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (*fd < 0) {
        status = SAK_FAIL(err, SAK_EIO, "cannot create %s: %s", part, strerror(errno));
    } else {
        /* link, not rename: it fails when the name is taken. */
        if (flock(*fd, LOCK_EX | LOCK_NB) != 0 ||
            pwrite(*fd, h, sizeof h, 0) != (ssize_t)sizeof h || link(part, path) != 0) {
            status = SAK_FAIL(err, SAK_EIO, "cannot create %s: %s", path, strerror(errno));
            close(*fd);
            *fd = -1;
        }
        unlink(part);
    }
    free(part);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

sak_status sak_spool_identify(int fd, sak_spool_id *id, sak_error *err)
{
    unsigned char h[SAK_SPOOL_HEADER];
    uint32_t order, crc;
    if (pread(fd, h, sizeof h, 0) != (ssize_t)sizeof h || memcmp(h, magic, sizeof magic) != 0)
        return SAK_FAIL(err, SAK_EFORMAT, "not a spool file");
    memcpy(&order, h + 8, 4);
    memcpy(&crc, h + 60, 4);
    if (order != 0x01020304)
        return SAK_FAIL(err, SAK_EFORMAT, "a spool file of a machine with another byte order");
    if (crc != (uint32_t)crc32(0, h, 60))
        return SAK_FAIL(err, SAK_EFORMAT, "the spool file's header is damaged");
    *id = (sak_spool_id){0};
    memcpy(&id->attempt, h + 12, 4);
    memcpy(id->store, h + 16, 32);
    memcpy(id->run, h + 48, 12);
    return SAK_OK;
}

/* Makes at least `want` unconsumed bytes available, or as many as there are. */
static sak_status fill(sak_spool_reader *r, size_t want, sak_error *err)
{
    if (r->have - r->used >= want)
        return SAK_OK;
    if (r->used)
        memmove(r->buf, r->buf + r->used, r->have - r->used);
    r->have -= r->used;
    r->used = 0;
    const size_t cap = want > READ_CHUNK ? want : READ_CHUNK;
    if (r->cap < cap) {
        unsigned char *p = realloc(r->buf, cap);
        if (!p)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory: %zu bytes", cap);
        r->buf = p;
        r->cap = cap;
    }
    while (r->have < want) {
        const uint64_t from = r->at + r->have;
        size_t n = r->cap - r->have;
        if (from >= r->end)
            break;
        if (n > r->end - from)
            n = (size_t)(r->end - from);
        const ssize_t got = pread(r->fd, r->buf + r->have, n, (off_t)from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return SAK_FAIL(err, SAK_EIO, "cannot read a spool file: %s", strerror(errno));
        if (got == 0)
            break;
        r->have += (size_t)got;
    }
    return SAK_OK;
}

sak_status sak_spool_next(sak_spool_reader *r, sak_record_view *rec, bool *found, sak_error *err)
{
    *found = false;
    SAK_TRY(fill(r, SAK_RECORD_HEADER, err));
    if (r->have - r->used < SAK_RECORD_HEADER) {
        r->tail = r->have > r->used ? SAK_TAIL_INCOMPLETE : SAK_TAIL_NONE;
        return SAK_OK;
    }
    uint32_t n, crc, type;
    memcpy(&n, r->buf + r->used, 4);
    memcpy(&crc, r->buf + r->used + 4, 4);
    memcpy(&type, r->buf + r->used + 8, 4);
    if (n > SAK_RECORD_MAX || type == 0 || type > SAK_RECORD_LAST) {
        r->tail = SAK_TAIL_DAMAGED;
        return SAK_OK;
    }
    if (r->end - r->at < (uint64_t)SAK_RECORD_HEADER + n) { /* before memory is asked for */
        r->tail = SAK_TAIL_INCOMPLETE;
        return SAK_OK;
    }
    SAK_TRY(fill(r, SAK_RECORD_HEADER + (size_t)n, err));
    if (r->have - r->used < SAK_RECORD_HEADER + (size_t)n) {
        r->tail = SAK_TAIL_INCOMPLETE;
        return SAK_OK;
    }
    if (crc != checksum(r->buf + r->used, n)) {
        r->tail = SAK_TAIL_DAMAGED;
        return SAK_OK;
    }
    *rec = (sak_record_view){type, r->buf + r->used + SAK_RECORD_HEADER, n};
    r->used += SAK_RECORD_HEADER + (size_t)n;
    r->at += SAK_RECORD_HEADER + (uint64_t)n;
    *found = true;
    return SAK_OK;
}

void sak_spool_reader_free(sak_spool_reader *r)
{
    free(r->buf);
    r->buf = NULL;
    r->have = r->used = r->cap = 0;
}

static bool take(sak_fields *f, void *out, size_t n)
{
    if (f->n < n) {
        f->bad = true;
        f->n = 0;
        memset(out, 0, n);
        return false;
    }
    memcpy(out, f->p, n);
    f->p += n;
    f->n -= n;
    return true;
}

uint32_t sak_take_u32(sak_fields *f)
{
    uint32_t v;
    take(f, &v, sizeof v);
    return v;
}

int64_t sak_take_i64(sak_fields *f)
{
    int64_t v;
    take(f, &v, sizeof v);
    return v;
}

double sak_take_f64(sak_fields *f)
{
    double v;
    take(f, &v, sizeof v);
    return v;
}

const char *sak_take_text(sak_fields *f, size_t *n)
{
    const uint32_t bytes = sak_take_u32(f);
    *n = 0;
    if (f->bad || bytes == NO_TEXT)
        return NULL;
    if (f->n < bytes) {
        f->bad = true;
        f->n = 0;
        return NULL;
    }
    const char *text = (const char *)f->p;
    f->p += bytes;
    f->n -= bytes;
    *n = bytes;
    return text;
}
