/* Pack files: layout, checksums, mapping, appending. */
#include "data/feature_pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

enum { HEAD = SAK_PACK_HEAD };
#define RECORD_MAGIC UINT32_C(0x52464b53) /* "SKFR" */

typedef struct file_head {
    char magic[8];
    uint8_t key[SAK_HASH_BYTES];
    int64_t bytes;
    uint8_t zero[HEAD - 8 - SAK_HASH_BYTES - 8];
} file_head;

typedef struct record_head {
    uint32_t magic, zero;
    uint64_t sum;
    uint8_t digest[SAK_HASH_BYTES];
    uint8_t rest[HEAD - 16 - SAK_HASH_BYTES];
} record_head;

_Static_assert(sizeof(file_head) == HEAD && sizeof(record_head) == HEAD, "no padding");

static const char MAGIC[8] = "SAKFEAT1";

static int64_t padded(int64_t bytes)
{
    return (bytes + HEAD - 1) / HEAD * HEAD;
}

int64_t sak_pack_stride(const sak_pack_shape *shape)
{
    return HEAD + padded(shape->bytes);
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return sum << 31 | sum >> 33;
}

/* Four lanes, as fast as memory; against damage, not against malice.  n is a multiple of 32. */
static uint64_t checksum(const uint8_t digest[SAK_HASH_BYTES], const void *values, int64_t n)
{
    uint64_t lane[4], word[4];
    memcpy(lane, digest, sizeof lane);
    const unsigned char *p = values;
    for (int64_t i = 0; i < n; i += 32) {
        memcpy(word, p + i, sizeof word);
        for (int k = 0; k < 4; k++)
            lane[k] = mix(lane[k], word[k]);
    }
    uint64_t sum = (uint64_t)n;
    for (int k = 0; k < 4; k++)
        sum = mix(sum, lane[k]);
    return sum;
}

/* --- reading -------------------------------------------------------------------------- */

static sak_status check_head(const file_head *head, size_t size, const char *path, sak_error *err)
{
    if (size < HEAD || memcmp(head->magic, MAGIC, sizeof MAGIC) != 0 || head->bytes < 1 ||
        head->bytes > INT64_MAX / 4)
        return SAK_FAIL(err, SAK_EFORMAT, "%s is no pack of features", path);
    return SAK_OK;
}

sak_status sak_pack_open(sak_pack *p, const char *path, const sak_pack_shape *shape, sak_error *err)
{
    *p = (sak_pack){0};
    SAK_TRY(sak_mapping_open(&p->map, path, err));
    const file_head *head = p->map->map.data;
    const size_t size = p->map->map.size;
    sak_status st = check_head(head, size, path, err);
    if (st == SAK_OK && (head->bytes != shape->bytes ||
                         memcmp(head->key, shape->key, sizeof head->key) != 0))
        st = SAK_FAIL(err, SAK_EFORMAT, "%s is a pack of other features", path);
    if (st != SAK_OK) {
        sak_pack_close(p);
        return st;
    }
    p->records = ((int64_t)size - HEAD) / sak_pack_stride(shape);
    return SAK_OK;
}

void sak_pack_close(sak_pack *p)
{
    sak_mapping_drop(p->map);
    *p = (sak_pack){0};
}

sak_status sak_pack_peek(const char *path, sak_pack_shape *shape, sak_error *err)
{
    file_head head = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : pread(fd, &head, sizeof head, 0);
    if (fd >= 0)
        close(fd);
    SAK_TRY(check_head(&head, got < 0 ? 0 : (size_t)got, path, err));
    memcpy(shape->key, head.key, sizeof shape->key);
    shape->bytes = head.bytes;
    return SAK_OK;
}

static const record_head *record_at(const sak_pack *p, const sak_pack_shape *shape, int64_t record)
{
    const unsigned char *base = p->map->map.data;
    return (const void *)(base + HEAD + record * sak_pack_stride(shape));
}

const uint8_t *sak_pack_digest(const sak_pack *p, const sak_pack_shape *shape, int64_t record)
{
    const record_head *r = record_at(p, shape, record);
    return r->magic == RECORD_MAGIC ? r->digest : NULL;
}

const void *sak_pack_values(const sak_pack *p, const sak_pack_shape *shape, int64_t record,
                            const uint8_t digest[SAK_HASH_BYTES])
{
    const record_head *r = record_at(p, shape, record);
    if (r->magic != RECORD_MAGIC || memcmp(r->digest, digest, SAK_HASH_BYTES) != 0 ||
        r->sum != checksum(digest, r + 1, padded(shape->bytes)))
        return NULL;
    return r + 1;
}

void sak_pack_strike(const sak_pack *p, const sak_pack_shape *shape, int64_t record)
{
    const int fd = open(p->map->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    const uint32_t nothing = 0;
    (void)!pwrite(fd, &nothing, sizeof nothing, HEAD + record * sak_pack_stride(shape));
    close(fd);
}

/* --- writing -------------------------------------------------------------------------- */

/* All or nothing: what was written in part is cut off again. */
static sak_status write_at(int fd, int64_t at, const void *data, size_t n, sak_error *err)
{
    const unsigned char *p = data;
    for (size_t done = 0; done < n;) {
        const ssize_t put = pwrite(fd, p + done, n - done, at + (int64_t)done);
        if (put > 0) {
            done += (size_t)put;
        } else if (put == 0 || errno != EINTR) {
            const int e = put == 0 ? ENOSPC : errno;
            (void)!ftruncate(fd, at);
            return SAK_FAIL(err, SAK_EIO, "cannot write features: %s", strerror(e));
        }
    }
    return SAK_OK;
}

/* A name that no other process takes: O_EXCL settles the rest. */
static int create(const char *folder, sak_error *err)
{
    static atomic_uint serial;
    char path[4096];
    for (int tries = 0; tries < 1000; tries++) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        const int n = snprintf(path, sizeof path, "%s/%08llx-%ld-%u.pack", folder,
                               (unsigned long long)t.tv_sec, (long)getpid(),
                               atomic_fetch_add(&serial, 1));
        if (n >= (int)sizeof path)
            break;
        const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            break;
    }
    (void)SAK_FAIL(err, SAK_EIO, "%s: cannot create a pack of features: %s", folder, strerror(errno));
    return -1;
}

sak_status sak_pack_create(sak_pack_out *p, const char *folder, const sak_pack_shape *shape,
                           sak_error *err)
{
    *p = (sak_pack_out){.fd = -1};
    void *record;
    SAK_TRY(sak_alloc(&record, (size_t)sak_pack_stride(shape), 1, err));
    p->record = record;
    p->fd = create(folder, err);
    file_head head = {.bytes = shape->bytes};
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    memcpy(head.key, shape->key, sizeof head.key);
    const sak_status st = p->fd < 0 ? SAK_EIO : write_at(p->fd, 0, &head, sizeof head, err);
    if (st != SAK_OK) {
        sak_pack_out_close(p);
        return st;
    }
    p->size = HEAD;
    return SAK_OK;
}

void *sak_pack_next(const sak_pack_out *p)
{
    return p->record + HEAD;
}

sak_status sak_pack_append(sak_pack_out *p, const sak_pack_shape *shape,
                           const uint8_t digest[SAK_HASH_BYTES], sak_error *err)
{
    const int64_t stride = sak_pack_stride(shape);
    record_head *head = (void *)p->record;
    *head = (record_head){.magic = RECORD_MAGIC};
    memcpy(head->digest, digest, sizeof head->digest);
    head->sum = checksum(digest, p->record + HEAD, stride - HEAD);
    SAK_TRY(write_at(p->fd, p->size, p->record, (size_t)stride, err));
    p->size += stride;
    return SAK_OK;
}

void sak_pack_out_close(sak_pack_out *p)
{
    if (p->fd >= 0)
        close(p->fd);
    sak_free(p->record);
    *p = (sak_pack_out){.fd = -1};
}
