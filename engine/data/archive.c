/* Datasets in tar archives, and tars in tars, as ImageNet comes: indexed once, read in place.  The
 * index is a text file in a cache folder, one picture a line, good as long as the archive keeps its
 * size and time. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "data/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/image.h"
#include "data/share.h"
#include "data/tar.h"

enum { PICTURE_MAX = 256 << 20, PATH_ROOM = 1024 };
#define INDEX_MAX ((size_t)4 << 30)

typedef struct picture {
    const char *name;
    int64_t offset, size;
} picture;

typedef struct archive {
    int fd;
    char *path;
    sak_arena text;
    picture *at;
    int64_t n, room;
    int64_t *order; /* of the dataset's samples among them */
} archive;

/* ---- the index ---- */

static sak_status keep(archive *a, const char *name, int64_t offset, int64_t size, sak_error *err)
{
    if (a->n == a->room) {
        picture *wider;
        const int64_t room = a->room ? 2 * a->room : 1024;
        SAK_TRY(sak_alloc((void **)&wider, (size_t)room, sizeof *wider, err));
        if (a->n)
            memcpy(wider, a->at, (size_t)a->n * sizeof *wider);
        sak_free(a->at);
        a->at = wider;
        a->room = room;
    }
    const char *own = sak_arena_text(&a->text, name);
    if (!own)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", a->path);
    a->at[a->n++] = (picture){own, offset, size};
    return SAK_OK;
}

static bool ends_in(const char *name, const char *suffix)
{
    const size_t n = strlen(name), k = strlen(suffix);
    return n > k && strcasecmp(name + n - k, suffix) == 0;
}

typedef struct walk {
    archive *a;
    FILE *file;
    const char *outer; /* name of the tar within, NULL at the top */
} walk;

static sak_status visit(void *ctx, const char *name, int64_t offset, int64_t size, sak_error *err)
{
    walk *w = ctx;
    char full[2 * PATH_ROOM];
    if (!w->outer && ends_in(name, ".tar")) {
        walk inner = {w->a, w->file, name};
        return sak_tar_walk(w->file, w->a->path, offset, offset + size, visit, &inner, err);
    }
    if (!ends_in(name, ".jpeg") && !ends_in(name, ".jpg") && !ends_in(name, ".png"))
        return SAK_OK;
    for (const char *p = name; *p; p++)
        if (*p == '\n' || *p == '\r')
            return SAK_FAIL(err, SAK_EFORMAT, "%s: a file name with a line break at byte %" PRId64,
                            w->a->path, offset);
    if (w->outer)
        snprintf(full, sizeof full, "%.*s/%s", (int)strlen(w->outer) - 4, w->outer, name);
    else
        snprintf(full, sizeof full, "%s", name);
    return keep(w->a, full, offset, size, err);
}

static sak_status build_index(archive *a, int64_t bytes, sak_error *err)
{
    FILE *file = fopen(a->path, "rb");
    if (!file)
        return SAK_FAIL(err, SAK_EIO, "%s: %s", a->path, strerror(errno));
    setvbuf(file, NULL, _IOFBF, 1024); /* a header at a time, then a leap */
    walk w = {a, file, NULL};
    const sak_status st = sak_tar_walk(file, a->path, 0, bytes, visit, &w, err);
    fclose(file);
    return st;
}

static void heading(char out[128], const struct stat *info)
{
    snprintf(out, 128, "sak-index 1 %" PRId64 " %" PRId64 ".%09ld\n", (int64_t)info->st_size,
             (int64_t)info->st_mtim.tv_sec, info->st_mtim.tv_nsec);
}

/* False when there is no good index; whatever was read of it is dropped. */
static bool load_index(archive *a, const char *index, const struct stat *info)
{
    char *text = NULL, head[128];
    size_t size;
    if (sak_file_read(index, INDEX_MAX, (void **)&text, &size, NULL) != SAK_OK)
        return false;
    heading(head, info);
    bool good = strncmp(text, head, strlen(head)) == 0 && size > 0 && text[size - 1] == '\n';
    for (char *p = text + strlen(head); good && p < text + size;) {
        char *end = memchr(p, '\n', (size_t)(text + size - p)), *name = p;
        *end = 0; /* the last byte is one */
        const int64_t offset = strtoll(p, &name, 10), bytes = strtoll(name, &name, 10);
        good = *name == ' ' && name[1] && offset >= 0 && bytes >= 0 &&
               offset <= info->st_size - bytes && strlen(name) == (size_t)(end - name) &&
               keep(a, name + 1, offset, bytes, NULL) == SAK_OK;
        p = end + 1;
    }
    sak_free(text);
    if (!good)
        a->n = 0;
    return good && a->n > 0;
}

static sak_status store_index(const archive *a, const char *index, const struct stat *info,
                              sak_error *err)
{
    sak_file_out out;
    char line[2 * PATH_ROOM + 64];
    SAK_TRY(sak_file_out_open(&out, index, err));
    heading(line, info);
    sak_status st = sak_file_out_write(&out, line, strlen(line), err);
    for (int64_t i = 0; st == SAK_OK && i < a->n; i++) {
        const int n = snprintf(line, sizeof line, "%" PRId64 " %" PRId64 " %s\n", a->at[i].offset,
                               a->at[i].size, a->at[i].name);
        st = sak_file_out_write(&out, line, (size_t)n, err);
    }
    if (st == SAK_OK)
        st = sak_file_out_commit(&out, err);
    sak_file_out_close(&out);
    return st;
}

/* ---- the dataset ---- */

static sak_status read_bytes(const archive *a, const picture *p, void *to, sak_error *err)
{
    for (int64_t done = 0; done < p->size;) {
        const ssize_t n =
            pread(a->fd, (char *)to + done, (size_t)(p->size - done), (off_t)(p->offset + done));
        if (n == 0 || (n < 0 && errno != EINTR))
            return SAK_FAIL(err, SAK_EIO, "%s: %s: %s", a->path, p->name,
                            n < 0 ? strerror(errno) : "the archive has become shorter");
        done += n > 0 ? n : 0;
    }
    return SAK_OK;
}

static sak_status archive_read(const sak_dataset *d, int64_t index, sak_sample *s, sak_error *err)
{
    const archive *a = d->state;
    if (index < 0 || index >= d->count)
        return SAK_FAIL(err, SAK_EINVAL, "%s: sample %lld of %lld", d->name, (long long)index,
                        (long long)d->count);
    const picture *p = &a->at[a->order[index]];
    char name[3 * PATH_ROOM];
    snprintf(name, sizeof name, "%s: %s", a->path, p->name);
    if (p->size > PICTURE_MAX)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: a picture of %" PRId64 " bytes", name, p->size);
    void *bytes;
    uint8_t *rgb = NULL;
    int H, W;
    SAK_TRY(sak_alloc(&bytes, (size_t)p->size + 1, 1, err));
    sak_status st = read_bytes(a, p, bytes, err);
    if (st == SAK_OK)
        st = sak_image_parse(name, bytes, (size_t)p->size, SAK_IMAGE_RGB, &rgb, &H, &W, err);
    sak_free(bytes);
    if (st == SAK_OK)
        st = sak_sample_reserve(s, SAK_HAS_IMAGE, H, W, err);
    if (st == SAK_OK) {
        memcpy(s->rgb, rgb, (size_t)H * (size_t)W * 3);
        sak_sample_name(s, p->name);
    }
    sak_free(rgb);
    return st;
}

static void archive_close(sak_dataset *d)
{
    archive *a = d->state;
    if (!a)
        return;
    if (a->fd >= 0)
        close(a->fd);
    sak_arena_close(&a->text);
    sak_free(a->at);
    sak_free(a->order);
    sak_free(a->path);
    sak_free(a);
}

static sak_status get_index(archive *a, const char *cache, sak_error *err)
{
    struct stat info;
    char real[PATH_MAX], digest[SAK_HASH_TEXT], index[PATH_ROOM] = "";
    if (fstat(a->fd, &info) != 0 || !S_ISREG(info.st_mode))
        return SAK_FAIL(err, SAK_EIO, "%s: not a regular file", a->path);
    if (cache && realpath(a->path, real)) {
        sak_hash_bytes(real, strlen(real), digest);
        snprintf(index, sizeof index, "%.900s/%.16s.index", cache, digest);
        if (load_index(a, index, &info))
            return SAK_OK;
    }
    SAK_TRY(build_index(a, info.st_size, err));
    if (a->n == 0)
        return SAK_FAIL(err, SAK_ENOENT, "%s: no pictures in it (.png, .jpg, .jpeg)", a->path);
    return *index ? store_index(a, index, &info, err) : SAK_OK;
}

static sak_status open_archive(sak_dataset *d, const char *path, const char *cache, double from,
                               double to, sak_error *err)
{
    archive *a = NULL;
    SAK_TRY(sak_alloc((void **)&a, 1, sizeof *a, err));
    d->state = a;
    a->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (a->fd < 0)
        return SAK_FAIL(err, errno == ENOENT ? SAK_ENOENT : SAK_EIO, "%s: %s", path,
                        strerror(errno));
    SAK_TRY(sak_alloc((void **)&a->path, strlen(path) + 1, 1, err));
    strcpy(a->path, path);
    const char *slash = strrchr(path, '/');
    snprintf(d->name, sizeof d->name, "%.60s", slash ? slash + 1 : path);
    SAK_TRY(get_index(a, cache, err));
    SAK_TRY(sak_share_take(path, a->n, from, to, &a->order, &d->count, err));
    sak_hash h;
    sak_hash_open(&h);
    for (int64_t i = 0; i < d->count; i++) {
        const picture *p = &a->at[a->order[i]];
        sak_hash_add(&h, p->name, strlen(p->name) + 1);
        sak_hash_add(&h, &p->size, sizeof p->size);
    }
    sak_hash_text(&h, d->identity);
    return SAK_OK;
}

sak_status sak_archive_open(sak_dataset *d, const char *path, const char *cache, double from,
                            double to, sak_error *err)
{
    *d = (sak_dataset){.has = SAK_HAS_IMAGE, .read = archive_read, .close = archive_close};
    const sak_status st = open_archive(d, path, cache, from, to, err);
    if (st != SAK_OK)
        sak_dataset_close(d);
    return st;
}
