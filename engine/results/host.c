/* Clock, identity of host and process, unique names. */
#include <fcntl.h>
#include <inttypes.h>
#include <sha256.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "results/db.h"

static int64_t clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t sak_now_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

int64_t sak_monotonic_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

sak_status sak_random_bytes(void *p, size_t n, sak_error *err)
{
    const int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd >= 0 ? read(fd, p, n) : -1;
    if (fd >= 0)
        close(fd);
    return got == (ssize_t)n ? SAK_OK : SAK_FAIL(err, SAK_EIO, "cannot read /dev/urandom");
}

void sak_host_boot_id(char out[96])
{
    char boot[48] = "", ns[40] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (f) {
        if (!fgets(boot, sizeof boot, f))
            boot[0] = 0;
        boot[strcspn(boot, "\n")] = 0;
        fclose(f);
    }
    const ssize_t n = readlink("/proc/self/ns/pid", ns, sizeof ns - 1);
    ns[n > 0 ? n : 0] = 0;
    snprintf(out, 96, "%s/%s", boot, ns);
}

void sak_host_name(char out[256])
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) != 0)
        strcpy(name, "unknown");
    memcpy(out, name, sizeof name);
}

int64_t sak_host_pid_start(int64_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    const size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    /* The second field is the command in parentheses and may hold anything: count from the last. */
    char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0; /* a zombie no longer runs */
    at += 2;
    for (int field = 3; field < 22 && at; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return at ? strtoll(at, NULL, 10) : 0;
}

void sak_host_uid(char out[13], int64_t now_us, uint32_t random)
{
    /* Crockford's base 32 keeps numeric order in text.  40 bits of 4 ms since 1970 start with a
     * letter from 2013 to 2109, so a uid is never taken for an id. */
    static const char digit[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint64_t bits = ((uint64_t)now_us / 4000) & (((uint64_t)1 << 40) - 1);
    for (int i = 7; i >= 0; i--, bits >>= 5)
        out[i] = digit[bits & 31];
    for (int i = 11; i >= 8; i--, random >>= 5)
        out[i] = digit[random & 31];
    out[12] = 0;
}

void sak_hex_sha256(const void *p, size_t n, char out[65])
{
    SHA256Data(p, n, out);
}
