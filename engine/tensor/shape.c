/* Shape arithmetic, text and broadcasting. */
#include "tensor/shape.h"

#include <stdio.h>

int64_t sak_shape_count(const sak_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->n; i++)
        n *= s->d[i];
    return n;
}

int64_t sak_shape_last(const sak_shape *s)
{
    return s->n ? s->d[s->n - 1] : 1;
}

int64_t sak_shape_rows(const sak_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < s->n; i++)
        n *= s->d[i];
    return n;
}

bool sak_shape_equal(const sak_shape *a, const sak_shape *b)
{
    if (a->n != b->n)
        return false;
    for (int i = 0; i < a->n; i++)
        if (a->d[i] != b->d[i])
            return false;
    return true;
}

bool sak_shape_equal_squeezed(const sak_shape *a, const sak_shape *b)
{
    int i = 0, j = 0;
    for (;;) {
        while (i < a->n && a->d[i] == 1)
            i++;
        while (j < b->n && b->d[j] == 1)
            j++;
        if (i == a->n || j == b->n)
            return i == a->n && j == b->n;
        if (a->d[i++] != b->d[j++])
            return false;
    }
}

sak_status sak_shape_check(const sak_shape *s, sak_error *err)
{
    int64_t n = 1;
    for (int i = 0; i < s->n; i++) {
        if (s->d[i] < 1)
            return SAK_FAIL(err, SAK_ESHAPE, "shape %s: every dimension must be at least 1",
                            SAK_SHAPE_TEXT(s));
        if (s->d[i] > SAK_MAX_ELEMENTS / n)
            return SAK_FAIL(err, SAK_ESHAPE, "shape %s: more than %lld elements", SAK_SHAPE_TEXT(s),
                            (long long)SAK_MAX_ELEMENTS);
        n *= s->d[i];
    }
    return SAK_OK;
}

const char *sak_shape_text(const sak_shape *s, char *buf, size_t bytes)
{
    size_t at = (size_t)snprintf(buf, bytes, "(");
    for (int i = 0; i < s->n && at < bytes; i++)
        at += (size_t)snprintf(buf + at, bytes - at, "%s%lld", i ? ", " : "", (long long)s->d[i]);
    if (at < bytes)
        snprintf(buf + at, bytes - at, ")");
    return buf;
}

sak_status sak_shape_broadcast(const sak_shape *a, const sak_shape *b, sak_shape *out,
                               sak_error *err)
{
    out->n = a->n > b->n ? a->n : b->n;
    for (int i = 0; i < out->n; i++) {
        const int ia = i - (out->n - a->n), ib = i - (out->n - b->n);
        const int64_t da = ia < 0 ? 1 : a->d[ia], db = ib < 0 ? 1 : b->d[ib];
        if (da != db && da != 1 && db != 1)
            return SAK_FAIL(err, SAK_ESHAPE, "shapes %s and %s do not broadcast: %lld against %lld",
                            SAK_SHAPE_TEXT(a), SAK_SHAPE_TEXT(b), (long long)da, (long long)db);
        out->d[i] = da == 1 ? db : da;
    }
    return SAK_OK;
}

sak_status sak_shape_axis(const sak_shape *s, int64_t axis, int *out, sak_error *err)
{
    if (axis < -s->n || axis >= s->n)
        return SAK_FAIL(err, SAK_ESHAPE, "axis %lld is outside %s", (long long)axis,
                        SAK_SHAPE_TEXT(s));
    *out = (int)(axis < 0 ? axis + s->n : axis);
    return SAK_OK;
}
