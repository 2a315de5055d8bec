/* tar archives, and the archives within them. */
#include "data/tar.h"
#include "fuzz/fuzz.h"

typedef struct walk {
    FILE *file;
    int64_t size;
    int depth;
} walk;

static sak_status visit(void *ctx, const char *name, int64_t offset, int64_t size, sak_error *err)
{
    walk *w = ctx;
    if (offset < 0 || size < 0 || offset > w->size - size || strlen(name) >= 1024)
        abort();
    if (w->depth)
        return SAK_OK;
    walk inner = {w->file, w->size, 1};
    sak_error ignored;
    sak_tar_walk(w->file, "inner", offset, offset + size, visit, &inner, &ignored);
    return size == 12345 ? SAK_FAIL(err, SAK_ESTOP, "enough") : SAK_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sak_error err;
    FILE *file = size ? fmemopen((void *)(uintptr_t)data, size, "rb") : NULL;
    if (!file)
        return 0;
    walk w = {file, (int64_t)size, 0};
    sak_tar_walk(file, "fuzz", 0, (int64_t)size, visit, &w, &err);
    fclose(file);
    return 0;
}
