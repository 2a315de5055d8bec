/* A call that has to succeed: what tests of functions with a status share. */
#ifndef SAK_TESTS_MUST_H
#define SAK_TESTS_MUST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"

static inline void must(sak_status st, const sak_error *err)
{
    if (st != SAK_OK)
        fail_msg("status %d: %s", (int)st, err->msg);
}

#endif
