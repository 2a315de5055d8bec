/* Files: whole reads, read-only maps, and atomic replacement (temporary, fsync, rename). */
#define _DEFAULT_SOURCE /* madvise */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

#define BUFFER_BYTES ((size_t)1 << 20)

static sak_status io_error(const char *what, const char *path, sak_error *err)
{
    const int e = errno;
    return SAK_FAIL(err, e == ENOENT ? SAK_ENOENT : SAK_EIO, "%s: cannot %s: %s", path, what,
                    strerror(e));
}

/* Opens a regular file for reading and tells its size. */
static sak_status open_regular(const char *path, int *fd, size_t *size, sak_error *err)
{
    /* O_NONBLOCK: a FIFO without a writer must not hang us; regular files ignore it. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return io_error("open", path, err);
    struct stat st;
    sak_status s = SAK_OK;
    if (fstat(*fd, &st) != 0)
        s = io_error("inspect", path, err);
    else if (!S_ISREG(st.st_mode))
        s = SAK_FAIL(err, SAK_EIO, "%s: not a regular file", path);
    else if (st.st_size < 0 || (uintmax_t)st.st_size > SIZE_MAX / 2)
        s = SAK_FAIL(err, SAK_EIO, "%s: size does not fit memory", path);
    else
        *size = (size_t)st.st_size;
    if (s != SAK_OK) {
        close(*fd);
        *fd = -1;
    }
    return s;
}

sak_status sak_file_read(const char *path, size_t max, void **data, size_t *size, sak_error *err)
{
    *data = NULL;
    *size = 0;
    int fd;
    size_t n = 0, at = 0;
    SAK_TRY(open_regular(path, &fd, &n, err));
    unsigned char *p = NULL;
    sak_status st = SAK_OK;
    if (n > max) {
        st = SAK_FAIL(err, SAK_EFORMAT, "%s: %zu bytes, at most %zu expected", path, n, max);
        goto out;
    }
    st = sak_alloc((void **)&p, n + 1, 1, err);
    while (st == SAK_OK && at < n) {
        const ssize_t got = read(fd, p + at, n - at);
        if (got > 0)
            at += (size_t)got;
        else if (got == 0)
            break; /* it shrank meanwhile */
        else if (errno != EINTR)
            st = io_error("read", path, err);
    }
    if (st == SAK_OK && at < n)
        st = SAK_FAIL(err, SAK_EIO, "%s: ends after %zu of %zu bytes", path, at, n);
out:
    close(fd);
    if (st != SAK_OK) {
        sak_free(p);
        return st;
    }
    p[n] = 0;
    *data = p;
    *size = n;
    return SAK_OK;
}

sak_status sak_file_stream(const char *path, FILE **out, sak_error *err)
{
    int fd;
    size_t size;
    *out = NULL;
    SAK_TRY(open_regular(path, &fd, &size, err));
    *out = fdopen(fd, "rb");
    if (*out)
        return SAK_OK;
    close(fd);
    return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", path);
}

bool sak_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool sak_dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool sak_file_same(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

sak_status sak_map_open(sak_map *m, const char *path, sak_error *err)
{
    *m = (sak_map){0};
    int fd;
    size_t n = 0;
    SAK_TRY(open_regular(path, &fd, &n, err));
    sak_status st = SAK_OK;
    if (n) {
        void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            st = io_error("map", path, err);
        else
            *m = (sak_map){p, n};
    }
    close(fd);
    return st;
}

void sak_map_close(sak_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (sak_map){0};
}

/* All mappings.  The lock is for changes; a signal handler reads without it, while its own thread
 * changes nothing. */
static _Atomic(sak_mapping *) mappings;
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;

/* What tells that a file was written: not the time of its inode, which a link or chmod changes too. */
static void note_state(sak_mapping *m, const struct stat *st)
{
    m->device = (uint64_t)st->st_dev;
    m->inode = (uint64_t)st->st_ino;
    m->seconds = (int64_t)st->st_mtim.tv_sec;
    m->nanoseconds = (int64_t)st->st_mtim.tv_nsec;
}

sak_status sak_mapping_open(sak_mapping **m, const char *path, sak_error *err)
{
    *m = NULL;
    sak_mapping *own;
    SAK_TRY(sak_alloc((void **)&own, 1, sizeof *own, err));
    *own = (sak_mapping){.owners = 1};
    struct stat st;
    const size_t n = strlen(path) + 1;
    sak_status s = sak_alloc((void **)&own->path, n, 1, err);
    if (s == SAK_OK && stat(path, &st) != 0) /* before it is mapped: later writes must show */
        s = io_error("open", path, err);
    if (s == SAK_OK)
        s = sak_map_open(&own->map, path, err);
    if (s != SAK_OK) {
        sak_free(own->path);
        sak_free(own);
        return s;
    }
    memcpy(own->path, path, n);
    note_state(own, &st);
    pthread_mutex_lock(&mappings_lock);
    own->next = atomic_load(&mappings);
    atomic_store(&mappings, own);
    pthread_mutex_unlock(&mappings_lock);
    *m = own;
    return SAK_OK;
}

sak_mapping *sak_mapping_keep(sak_mapping *m)
{
    atomic_fetch_add(&m->owners, 1);
    return m;
}

void sak_mapping_drop(sak_mapping *m)
{
    if (!m || atomic_fetch_sub(&m->owners, 1) > 1)
        return;
    pthread_mutex_lock(&mappings_lock);
    sak_mapping *at = atomic_load(&mappings);
    if (at == m) {
        atomic_store(&mappings, m->next);
    } else {
        while (at->next != m)
            at = at->next;
        at->next = m->next;
    }
    pthread_mutex_unlock(&mappings_lock);
    sak_map_close(&m->map);
    sak_free(m->path);
    sak_free(m);
}

sak_status sak_mapping_check(const sak_mapping *m, sak_error *err)
{
    struct stat st;
    sak_mapping now;
    if (stat(m->path, &st) != 0)
        return SAK_OK; /* removed: the mapping holds what is left of it */
    note_state(&now, &st);
    if (now.device != m->device || now.inode != m->inode)
        return SAK_OK; /* another file of this name */
    if ((size_t)st.st_size == m->map.size && now.seconds == m->seconds &&
        now.nanoseconds == m->nanoseconds)
        return SAK_OK;
    return SAK_FAIL(err, SAK_EIO,
                    "%s was written in place while it was in use: what was computed from it cannot be "
                    "trusted. Replace a file by renaming another over it",
                    m->path);
}

const char *sak_mapping_at(const void *address)
{
    for (const sak_mapping *m = atomic_load(&mappings); m; m = m->next)
        if ((uintptr_t)address >= (uintptr_t)m->map.data &&
            (uintptr_t)address - (uintptr_t)m->map.data < m->map.size)
            return m->path;
    return NULL;
}

void sak_map_forget(const void *at, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t from = ((uintptr_t)at + page - 1) / page * page;
    const uintptr_t to = ((uintptr_t)at + bytes) / page * page;
    if (to > from)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

/* A name of our own beside `path`: O_EXCL rather than mkstemp, so that the umask decides the mode.
 */
static int create_temporary(char *temp, size_t room, const char *path)
{
    static atomic_uint serial;
    for (int tries = 0; tries < 1000; tries++) {
        snprintf(temp, room, "%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&serial, 1));
        const int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static bool is_database(const char *path)
{
    static const char magic[16] = "SQLite format 3";
    char head[sizeof magic];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const bool yes = fd >= 0 && pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
                     memcmp(head, magic, sizeof head) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

sak_status sak_file_check_target(const char *path, sak_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0 || S_ISDIR(st.st_mode)) /* renaming onto a folder fails */
        return SAK_OK;
    if (S_ISREG(st.st_mode) && is_database(path))
        return SAK_FAIL(err, SAK_EINVAL, "%s is a database, which writing would replace; name another file",
                        path);
    if (S_ISREG(st.st_mode))
        return SAK_OK;
    return SAK_FAIL(err, SAK_EINVAL, "%s: not a regular file, which writing would replace", path);
}

sak_status sak_file_out_open(sak_file_out *f, const char *path, sak_error *err)
{
    *f = (sak_file_out){.fd = -1};
    SAK_TRY(sak_file_check_target(path, err));
    const size_t n = strlen(path), room = n + 48;
    sak_status st = sak_alloc((void **)&f->path, n + 1, 1, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&f->temp, room, 1, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&f->buffer, BUFFER_BYTES, 1, err);
    if (st != SAK_OK)
        goto fail;
    memcpy(f->path, path, n + 1);
    f->fd = create_temporary(f->temp, room, path);
    if (f->fd < 0) {
        st = io_error("create a temporary file beside it", path, err);
        f->temp[0] = 0;
        goto fail;
    }
    return SAK_OK;
fail:
    sak_file_out_close(f);
    return st;
}

static sak_status write_all(const sak_file_out *f, const unsigned char *p, size_t n, sak_error *err)
{
    while (n) {
        const ssize_t put = write(f->fd, p, n);
        if (put < 0) {
            if (errno == EINTR)
                continue;
            return io_error("write", f->path, err);
        }
        p += put;
        n -= (size_t)put;
    }
    return SAK_OK;
}

static sak_status flush(sak_file_out *f, sak_error *err)
{
    const size_t n = f->used;
    f->used = 0;
    return write_all(f, f->buffer, n, err);
}

sak_status sak_file_out_write(sak_file_out *f, const void *data, size_t size, sak_error *err)
{
    if (size > BUFFER_BYTES - f->used)
        SAK_TRY(flush(f, err));
    if (size >= BUFFER_BYTES)
        return write_all(f, data, size, err);
    if (size)
        memcpy(f->buffer + f->used, data, size);
    f->used += size;
    return SAK_OK;
}

/* The rename itself must survive a power cut; file systems that cannot sync a directory are
 * no worse off than without it. */
static void sync_directory(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash && slash != path)
        *slash = 0;
    const int fd = open(!slash ? "." : slash == path ? "/" : path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

sak_status sak_file_out_commit(sak_file_out *f, sak_error *err)
{
    SAK_TRY(flush(f, err));
    if (fsync(f->fd) != 0)
        return io_error("sync", f->path, err);
    const int fd = f->fd;
    f->fd = -1;
    if (close(fd) != 0)
        return io_error("close", f->path, err);
    if (rename(f->temp, f->path) != 0)
        return io_error("replace", f->path, err);
    f->temp[0] = 0;
    sync_directory(f->path);
    sak_file_out_close(f);
    return SAK_OK;
}

void sak_file_out_close(sak_file_out *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->temp && f->temp[0])
        (void)unlink(f->temp);
    sak_free(f->path);
    sak_free(f->temp);
    sak_free(f->buffer);
    *f = (sak_file_out){.fd = -1};
}

sak_status sak_file_write_atomic(const char *path, const void *data, size_t size, sak_error *err)
{
    sak_file_out f;
    SAK_TRY(sak_file_out_open(&f, path, err));
    sak_status st = sak_file_out_write(&f, data, size, err);
    if (st == SAK_OK)
        st = sak_file_out_commit(&f, err);
    sak_file_out_close(&f);
    return st;
}
