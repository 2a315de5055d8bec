/* Quantities as people read them. */
#ifndef SAK_BASE_HUMAN_H
#define SAK_BASE_HUMAN_H

#include <stddef.h>

/* "1.5 GiB" */
void sak_bytes_text(double bytes, char out[32]);
/* "2 h 05 min", "3 min 12 s", "4.2 s" */
void sak_seconds_text(double seconds, char out[32]);
/* Characters of UTF-8 text: bytes that begin one. */
size_t sak_text_width(const char *s);

#endif
