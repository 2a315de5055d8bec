/* Quantities as people read them. */
#ifndef SAK_BASE_HUMAN_H
#define SAK_BASE_HUMAN_H

#include <stddef.h>

/* "1.5 GiB" */
void sak_human_bytes(double bytes, char out[32]);
/* "2 h 05 min", "3 min 12 s", "4.2 s" */
void sak_human_seconds(double seconds, char out[32]);
/* Characters of UTF-8 text: bytes that begin one. */
size_t sak_human_width(const char *s);

#endif
