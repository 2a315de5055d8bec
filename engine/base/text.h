/* Questions about text. */
#ifndef SAK_BASE_TEXT_H
#define SAK_BASE_TEXT_H

#include <stdbool.h>

bool sak_ends_with(const char *s, const char *end);

#endif
