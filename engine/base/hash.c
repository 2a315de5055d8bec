/* SHA-256 of buffers, streams and files, by libmd. */
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <sha2.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(SHA2_CTX) <= sizeof(sak_hash), "sak_hash must hold libmd's context");
_Static_assert(SHA256_DIGEST_STRING_LENGTH == SAK_HASH_TEXT, "64 digits and a 0");

void sak_hash_open(sak_hash *h)
{
    SHA256Init((SHA2_CTX *)(void *)h->state);
}

void sak_hash_add(sak_hash *h, const void *data, size_t size)
{
    if (size)
        SHA256Update((SHA2_CTX *)(void *)h->state, data, size);
}

void sak_hash_text(sak_hash *h, char out[SAK_HASH_TEXT])
{
    SHA256End((SHA2_CTX *)(void *)h->state, out);
}

void sak_hash_digest(sak_hash *h, uint8_t out[SAK_HASH_BYTES])
{
    SHA256Final(out, (SHA2_CTX *)(void *)h->state);
}

void sak_hash_bytes(const void *data, size_t size, char out[SAK_HASH_TEXT])
{
    sak_hash h;
    sak_hash_open(&h);
    sak_hash_add(&h, data, size);
    sak_hash_text(&h, out);
}

sak_status sak_hash_file(const char *path, char out[SAK_HASH_TEXT], sak_error *err)
{
    out[0] = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return SAK_FAIL(err, errno == ENOENT ? SAK_ENOENT : SAK_EIO, "%s: cannot open: %s", path,
                        strerror(errno));
    sak_hash h;
    sak_hash_open(&h);
    unsigned char buf[1 << 15];
    ssize_t got;
    while ((got = read(fd, buf, sizeof buf)) != 0) {
        if (got > 0) {
            sak_hash_add(&h, buf, (size_t)got);
        } else if (errno != EINTR) {
            const int e = errno;
            close(fd);
            return SAK_FAIL(err, SAK_EIO, "%s: cannot read: %s", path, strerror(e));
        }
    }
    close(fd);
    sak_hash_text(&h, out);
    return SAK_OK;
}
