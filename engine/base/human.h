/* Quantities as people read them. */
#ifndef SAK_BASE_HUMAN_H
#define SAK_BASE_HUMAN_H

#include <stddef.h>

/* "1.5 GiB" */
void sak_human_bytes(double bytes, char out[32]);
/* "2 h 05 min", "3 min 12 s", "4.2 s" */
void sak_human_seconds(double seconds, char out[32]);
/* Shortest text that reads back as the same number: "0.1", not "0.10000000000000001". */
void sak_human_exact(double v, char out[40]);
/* Characters of UTF-8 text: bytes that begin one. */
size_t sak_human_width(const char *s);

#endif
