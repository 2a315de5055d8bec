/* Preloaded into a program (LD_PRELOAD): its n-th call of a kind fails, once or from then on, or its
 * clock jumps.  Made by tests/test_faults.sh and tests/faults/sweep_faults.  Before a sanitizer's runtime
 * in the list it stands between the program and the sanitizer's allocator.
 *
 *   SAK_FAULT       kind: malloc, open, read, write, fsync, rename, mmap, clock; network: all file
 *                   systems are NFS
 *   SAK_FAULT_AT    n, counted from 1 over the whole process
 *   SAK_FAULT_ERRNO number (default 5, EIO); ENOMEM for malloc and mmap
 *   SAK_FAULT_STICK 1: every later call fails too (a disk that stays full)
 *   SAK_FAULT_HIT   a file that is made when the n-th call came: else the run had fewer
 *   SAK_FAULT_SITES a file: nothing fails, and the n of every allocation whose chain of callers is new to
 *                   its process is appended to it, a line each
 *
 * Counted are calls on files below SAK_FAULT_BELOW where it is given (read, write, fsync by
 * descriptor), so that what the loader and libraries do at start is left alone.  Allocations are
 * counted from the moment that the program opens its first file below that folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;
static atomic_bool armed; /* a file below the folder was opened */
static const char *kind, *below, *hit_file;
static long at;
static int code = EIO, stick, sites = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *n = getenv("SAK_FAULT_AT"), *e = getenv("SAK_FAULT_ERRNO");
    below = getenv("SAK_FAULT_BELOW");
    hit_file = getenv("SAK_FAULT_HIT");
    at = n ? atol(n) : 0;
    code = e ? atoi(e) : EIO;
    stick = getenv("SAK_FAULT_STICK") != NULL;
    if (getenv("SAK_FAULT_SITES")) {
        void *first[1];
        backtrace(first, 1); /* the first one loads the unwinder */
        sites = (int)syscall(SYS_openat, AT_FDCWD, getenv("SAK_FAULT_SITES"),
                             O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
    }
    kind = getenv("SAK_FAULT");
}

/* Is this call the one that fails?  Makes no library calls that allocate. */
static int fails(const char *what)
{
    if (!kind || strcmp(kind, what) != 0)
        return 0;
    const long n = atomic_fetch_add(&calls, 1) + 1;
    if (n == at && hit_file) {
        const int fd = (int)syscall(SYS_openat, AT_FDCWD, hit_file, O_CREAT | O_WRONLY, 0666);
        if (fd >= 0)
            syscall(SYS_close, fd);
    }
    return at > 0 && (n == at || (stick && n > at));
}

static int ours(const char *path)
{
    if (!below)
        return 1;
    if (!path || strncmp(path, below, strlen(below)) != 0)
        return 0;
    atomic_store(&armed, 1);
    return 1;
}

static int ours_fd(int fd)
{
    char link[64], path[PATH_MAX];
    if (!kind || !below || fd <= 2)
        return kind && !below && fd > 2;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return 0;
    path[n] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

#define REAL(type, name, ...)                                                                      \
    static type (*real)(__VA_ARGS__);                                                              \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, name)
#define FAIL(value)                                                                                \
    do {                                                                                           \
        errno = code;                                                                              \
        return value;                                                                              \
    } while (0)

/* --- files ------------------------------------------------------------------------------------ */

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        REAL(int, #name, const char *, int, ...);                                                  \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        const unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, unsigned) : 0;            \
        va_end(ap);                                                                                \
        if (ours(path) && fails("open"))                                                           \
            FAIL(-1);                                                                              \
        return real(path, flags, mode);                                                            \
    }
OPEN(open)
OPEN(open64)

#define CALL_FD(type, name, what, parameters, ...)                                                 \
    type name parameters                                                                           \
    {                                                                                              \
        REAL(type, #name, CALL_TYPES_##name);                                                      \
        if (kind && strcmp(kind, what) == 0 && ours_fd(fd) && fails(what))                         \
            FAIL(-1);                                                                              \
        return real(__VA_ARGS__);                                                                  \
    }
#define CALL_TYPES_read int, void *, size_t
#define CALL_TYPES_pread int, void *, size_t, off_t
#define CALL_TYPES_pread64 int, void *, size_t, off_t
#define CALL_TYPES_write int, const void *, size_t
#define CALL_TYPES_pwrite int, const void *, size_t, off_t
#define CALL_TYPES_pwrite64 int, const void *, size_t, off_t
#define CALL_TYPES_fsync int
#define CALL_TYPES_fdatasync int
#define CALL_TYPES_ftruncate int, off_t
#define CALL_TYPES_ftruncate64 int, off_t
CALL_FD(ssize_t, read, "read", (int fd, void *p, size_t n), fd, p, n)
CALL_FD(ssize_t, pread, "read", (int fd, void *p, size_t n, off_t o), fd, p, n, o)
CALL_FD(ssize_t, pread64, "read", (int fd, void *p, size_t n, off_t o), fd, p, n, o)
CALL_FD(ssize_t, write, "write", (int fd, const void *p, size_t n), fd, p, n)
CALL_FD(ssize_t, pwrite, "write", (int fd, const void *p, size_t n, off_t o), fd, p, n, o)
CALL_FD(ssize_t, pwrite64, "write", (int fd, const void *p, size_t n, off_t o), fd, p, n, o)
CALL_FD(int, fsync, "fsync", (int fd), fd)
CALL_FD(int, fdatasync, "fsync", (int fd), fd)
CALL_FD(int, ftruncate, "write", (int fd, off_t n), fd, n)
CALL_FD(int, ftruncate64, "write", (int fd, off_t n), fd, n)

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    if (ours(to) && fails("rename"))
        FAIL(-1);
    return real(from, to);
}

int link(const char *from, const char *to)
{
    REAL(int, "link", const char *, const char *);
    if (ours(to) && fails("rename"))
        FAIL(-1);
    return real(from, to);
}

#define STATFS(name)                                                                               \
    int name(const char *path, struct name *out)                                                   \
    {                                                                                              \
        REAL(int, #name, const char *, struct name *);                                             \
        const int status = real(path, out);                                                        \
        if (status == 0 && kind && strcmp(kind, "network") == 0)                                   \
            out->f_type = 0x6969;                                                                  \
        return status;                                                                             \
    }
STATFS(statfs)
STATFS(statfs64)

/* --- memory ----------------------------------------------------------------------------------- */

enum { CALLERS = 24, SITES_MAX = 1 << 16 };

/* Notes the n of an allocation whose chain of callers is new.  A chain that goes round and round
 * (Lua's parser and interpreter) counts once for any number of turns: as the set of its callers. */
static void note_site(void)
{
    static uint64_t seen[SITES_MAX];
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    static _Thread_local int inside; /* the unwinder may allocate itself */
    if (inside)
        return;
    inside = 1;
    const long n = atomic_fetch_add(&calls, 1) + 1;
    void *frame[CALLERS];
    const int depth = backtrace(frame, CALLERS);
    uint64_t chain = 0;
    for (int i = 2; i < depth; i++) {
        int again = 0;
        for (int j = 2; j < i; j++)
            again |= frame[j] == frame[i];
        if (!again)
            chain += ((uint64_t)(uintptr_t)frame[i] ^ 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    }
    chain += chain == 0;
    while (atomic_flag_test_and_set(&busy))
        ;
    size_t at_ = (size_t)(chain >> 32) % SITES_MAX;
    for (int i = 0; i < SITES_MAX && seen[at_] && seen[at_] != chain; i++)
        at_ = (at_ + 1) % SITES_MAX;
    if (!seen[at_]) {
        seen[at_] = chain;
        char line[24];
        syscall(SYS_write, sites, line, (size_t)snprintf(line, sizeof line, "%ld\n", n));
    }
    atomic_flag_clear(&busy);
    inside = 0;
}

/* Not where a place for it would have to be allocated first. */
static _Thread_local int spared __attribute__((tls_model("initial-exec")));

static int no_memory(void)
{
    if (spared || !kind || kind[0] != 'm' || kind[1] != 'a' || (below && !atomic_load(&armed)))
        return 0;
    if (sites >= 0) {
        note_site();
        return 0;
    }
    if (!fails("malloc"))
        return 0;
    errno = ENOMEM;
    return 1;
}

/* With this a sanitizer's runtime looks at a thread that begins, and dies where it fails. */
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
    REAL(int, "pthread_getattr_np", pthread_t, pthread_attr_t *);
    spared++;
    const int status = real(thread, attr);
    spared--;
    return status;
}

/* The allocator that comes next: libc's, or a sanitizer's.  What dlsym itself asks for meanwhile comes
 * from a few bytes here and is never given back. */
static void *(*next_malloc)(size_t), *(*next_calloc)(size_t, size_t), *(*next_realloc)(void *, size_t),
    *(*next_aligned)(size_t, size_t);
static void (*next_free)(void *);
static _Alignas(16) char early[4096];
static size_t early_used;

static int find_next(void)
{
    static int looking;
    if (next_free)
        return 1;
    if (looking)
        return 0;
    looking = 1;
    *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next_aligned = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&next_free = dlsym(RTLD_NEXT, "free");
    return 1;
}

static void *take_early(size_t n)
{
    n = (n + 15) & ~(size_t)15;
    if (n > sizeof early - early_used)
        return NULL;
    early_used += n;
    return early + early_used - n;
}

void *malloc(size_t n)
{
    return !find_next() ? take_early(n) : no_memory() ? NULL : next_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return !find_next() ? take_early(n * size) : no_memory() ? NULL : next_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return !find_next() ? NULL : no_memory() ? NULL : next_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return !find_next() ? NULL : no_memory() ? NULL : next_aligned(align, n);
}

void free(void *p)
{
    if ((char *)p < early || (char *)p >= early + sizeof early)
        if (find_next())
            next_free(p);
}

#define MAP(name)                                                                                  \
    void *name(void *p, size_t n, int prot, int flags, int fd, off_t o)                            \
    {                                                                                              \
        REAL(void *, #name, void *, size_t, int, int, int, off_t);                                 \
        if (kind && strcmp(kind, "mmap") == 0 && (flags & MAP_ANONYMOUS || ours_fd(fd)) &&         \
            !(flags & MAP_STACK) && (!below || atomic_load(&armed)) && fails("mmap")) {            \
            errno = ENOMEM;                                                                        \
            return MAP_FAILED;                                                                     \
        }                                                                                          \
        return real(p, n, prot, flags, fd, o);                                                     \
    }
MAP(mmap)
MAP(mmap64)

/* --- time ------------------------------------------------------------------------------------- */

/* From the n-th look on, the clock of the day goes backwards: each look an hour earlier. */
int clock_gettime(clockid_t id, struct timespec *t)
{
    const int status = (int)syscall(SYS_clock_gettime, id, t);
    if (status == 0 && id == CLOCK_REALTIME && kind && strcmp(kind, "clock") == 0) {
        const long n = atomic_fetch_add(&calls, 1) + 1;
        if (n >= at)
            t->tv_sec -= 3600 * (n - at + 1);
    }
    return status;
}
