/* Status codes and error messages: what can fail returns sak_status and takes sak_error * last. */
#ifndef SAK_BASE_STATUS_H
#define SAK_BASE_STATUS_H

#include <stdarg.h>

typedef enum sak_status {
    SAK_OK = 0,
    SAK_EINVAL,  /* a value the caller gave is not allowed */
    SAK_ESHAPE,  /* shapes do not fit */
    SAK_ENOMEM,  /* allocation failed */
    SAK_EIO,     /* reading or writing failed */
    SAK_EFORMAT, /* foreign bytes are not what they claim to be */
    SAK_ENOENT,  /* a named thing does not exist */
    SAK_EDB,     /* SQLite said no */
    SAK_ESTOP,   /* interrupted by the user */
    SAK_ENAN,    /* a loss or gradient is not finite */
} sak_status;

typedef struct sak_error {
    sak_status code;
    char msg[1024];
} sak_error;

/* Fills err (may be NULL) and returns code, so that `return SAK_FAIL(…)` reads as one line. */
sak_status sak_fail(sak_error *err, sak_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define SAK_FAIL(err, code, ...) sak_fail((err), (code), __VA_ARGS__)

/* Returns from the calling function when `expr` fails; for functions that own nothing yet. */
#define SAK_TRY(expr)                                                                              \
    do {                                                                                           \
        const sak_status try_status_ = (expr);                                                     \
        if (try_status_ != SAK_OK)                                                                 \
            return try_status_;                                                                    \
    } while (0)

#endif
