/* A folder that a group of tests fills with files: what the tests of data on the disk share. */
#ifndef SAK_TESTS_FILES_FIXTURE_H
#define SAK_TESTS_FILES_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "must.h"

static char root[64];

/* A path below root; good until the fourth call after this one. */
static inline const char *at(const char *name)
{
    static char path[4][256];
    static int turn;
    char *p = path[turn = (turn + 1) % 4];
    snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

static inline void put(const char *name, const void *data, size_t size)
{
    sak_error err;
    must(sak_file_write_atomic(at(name), data, size, &err), &err);
}

static inline void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* Makes root, and the folders in it; parents come before what is in them. */
static inline bool make_root(const char *const *folders, size_t n)
{
    const char *tmp = getenv("TMPDIR"); /* a folder in memory spares a busy disk */
    snprintf(root, sizeof root, "%s/sak-files-XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    bool ok = mkdtemp(root) != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = mkdir(at(folders[i]), 0777) == 0;
    return ok;
}

/* A group's teardown. */
static inline int drop_root(void **state)
{
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -r '%s'", root);
    return system(line);
}

#endif
