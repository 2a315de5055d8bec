/* Error reporting: formats a message once, where the cause is known. */
#include "base/status.h"

#include <stdio.h>

sak_status sak_fail(sak_error *err, sak_status code, const char *fmt, ...)
{
    if (err) {
        err->code = code;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
    }
    return code;
}
