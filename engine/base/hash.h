/* SHA-256, as 64 lower-case hexadecimal digits. */
#ifndef SAK_BASE_HASH_H
#define SAK_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { SAK_HASH_TEXT = 65, /* digits and the final 0 */
       SAK_HASH_BYTES = 32 };

typedef struct sak_hash {
    _Alignas(8) unsigned char state[208]; /* libmd's context */
} sak_hash;

void sak_hash_open(sak_hash *h);
void sak_hash_add(sak_hash *h, const void *data, size_t size);
void sak_hash_text(sak_hash *h, char out[SAK_HASH_TEXT]); /* ends the hash */
void sak_hash_digest(sak_hash *h, uint8_t out[SAK_HASH_BYTES]); /* likewise, as bytes */

void sak_hash_bytes(const void *data, size_t size, char out[SAK_HASH_TEXT]);
sak_status sak_hash_file(const char *path, char out[SAK_HASH_TEXT], sak_error *err);

#endif
