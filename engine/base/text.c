/* Questions about text. */
#include "base/text.h"

#include <string.h>

bool sak_ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}
