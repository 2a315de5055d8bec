/* NumPy's .npy: a Python dict literal for a header, then the elements.
 * Format: numpy.lib.format (NEP 1).  Nothing in the header is trusted. */
#include "data/npy.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

#define FILE_MAX ((size_t)1 << 31)

typedef struct npy_header {
    char descr[16];
    bool fortran, has_descr, has_order, has_shape;
    sak_shape shape;
} npy_header;

/* The header's text while it is read; at == end at its end. */
typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_space(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
}

static bool take_char(cursor *c, char want)
{
    skip_space(c);
    if (c->at == c->end || *c->at != want)
        return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *want)
{
    skip_space(c);
    const size_t n = strlen(want);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, want, n) != 0)
        return false;
    c->at += n;
    return true;
}

/* A quoted text without escapes, at most room - 1 bytes. */
static bool take_text(cursor *c, char *out, size_t room)
{
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return false;
    const char quote = *c->at++;
    size_t n = 0;
    while (c->at < c->end && *c->at != quote) {
        if (*c->at == '\\' || n + 1 >= room)
            return false;
        out[n++] = *c->at++;
    }
    out[n] = 0;
    return take_char(c, quote);
}

static bool take_integer(cursor *c, int64_t *out)
{
    skip_space(c);
    int64_t v = 0;
    const char *start = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *c->at - '0', &v))
            return false;
    if (c->at < c->end && *c->at == 'L') /* Python 2's long */
        c->at++;
    *out = v;
    return c->at != start;
}

static bool take_shape(cursor *c, sak_shape *s)
{
    *s = (sak_shape){0};
    if (!take_char(c, '('))
        return false;
    while (!take_char(c, ')')) {
        if (s->n == SAK_MAX_DIMS || !take_integer(c, &s->d[s->n++]))
            return false;
        if (!take_char(c, ',')) /* only the last may go without */
            return take_char(c, ')');
    }
    return true;
}

static bool parse_header(cursor c, npy_header *h)
{
    if (!take_char(&c, '{'))
        return false;
    while (!take_char(&c, '}')) {
        char key[24];
        if (!take_text(&c, key, sizeof key) || !take_char(&c, ':'))
            return false;
        if (strcmp(key, "descr") == 0) {
            h->has_descr = take_text(&c, h->descr, sizeof h->descr);
            if (!h->has_descr)
                return false;
        } else if (strcmp(key, "fortran_order") == 0) {
            h->fortran = take_word(&c, "True");
            h->has_order = h->fortran || take_word(&c, "False");
            if (!h->has_order)
                return false;
        } else if (strcmp(key, "shape") == 0) {
            h->has_shape = take_shape(&c, &h->shape);
            if (!h->has_shape)
                return false;
        } else {
            return false;
        }
        if (!take_char(&c, ',')) {
            if (!take_char(&c, '}'))
                return false;
            break;
        }
    }
    skip_space(&c);
    return c.at == c.end && h->has_descr && h->has_order && h->has_shape;
}

static float of_f4(const unsigned char *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

static float of_f8(const unsigned char *p)
{
    double v;
    memcpy(&v, p, sizeof v);
    return (float)v;
}

/* IEEE half precision. */
static float of_f2(const unsigned char *p)
{
    const int bits = p[0] | p[1] << 8, exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float v = exponent == 31  ? fraction ? NAN : INFINITY
                    : exponent == 0 ? ldexpf((float)fraction, -24)
                                    : ldexpf((float)(fraction + 1024), exponent - 25);
    return bits >> 15 ? -v : v;
}

static float of_u1(const unsigned char *p)
{
    return *p;
}

static float of_i1(const unsigned char *p)
{
    return (int8_t)*p;
}

static float of_u2(const unsigned char *p)
{
    return (float)(p[0] | p[1] << 8);
}

static float of_i2(const unsigned char *p)
{
    return (float)(int16_t)(p[0] | p[1] << 8);
}

static float of_i4(const unsigned char *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return (float)v;
}

static float of_u4(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return (float)v;
}

static float of_i8(const unsigned char *p)
{
    int64_t v;
    memcpy(&v, p, sizeof v);
    return (float)v;
}

/* Element types, little-endian as this machine. */
static const struct type {
    const char *descr;
    size_t size;
    float (*value)(const unsigned char *);
} types[] = {{"<f4", 4, of_f4}, {"<f8", 8, of_f8}, {"<f2", 2, of_f2}, {"|u1", 1, of_u1},
             {"|i1", 1, of_i1}, {"|b1", 1, of_u1}, {"<u2", 2, of_u2}, {"<i2", 2, of_i2},
             {"<u4", 4, of_u4}, {"<i4", 4, of_i4}, {"<i8", 8, of_i8}};

static const struct type *find_type(const char *descr)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(descr, types[i].descr) == 0)
            return &types[i];
    return NULL;
}

static void copy_out(const unsigned char *data, const struct type *t, const npy_header *h,
                     int64_t n, float *out)
{
    const sak_shape *s = &h->shape;
    int64_t index[SAK_MAX_DIMS] = {0}, stride[SAK_MAX_DIMS], step = 1, at = 0;
    for (int k = 0; k < s->n; k++) {
        const int d = h->fortran ? k : s->n - 1 - k;
        stride[d] = step;
        step *= s->d[d];
    }
    for (int64_t i = 0; i < n; i++) {
        out[i] = t->value(data + (size_t)at * t->size);
        for (int d = s->n - 1; d >= 0; d--) { /* the next element in C order */
            at += stride[d];
            if (++index[d] < s->d[d])
                break;
            at -= stride[d] * s->d[d];
            index[d] = 0;
        }
    }
}

#define BAD(...) SAK_FAIL(err, SAK_EFORMAT, __VA_ARGS__)

sak_status sak_npy_parse(const char *path, const void *data, size_t size, float **out,
                         sak_shape *shape, sak_error *err)
{
    const unsigned char *p = data;
    *out = NULL;
    if (size < 12 || memcmp(p, "\x93NUMPY", 6) != 0)
        return BAD("%s: not a .npy file", path);
    if (p[6] < 1 || p[6] > 3)
        return BAD("%s: .npy version %d, only 1 to 3 are known", path, p[6]);
    const size_t start = p[6] == 1 ? 10 : 12;
    const size_t length =
        p[6] == 1 ? p[8] | (size_t)p[9] << 8
                  : p[8] | (size_t)p[9] << 8 | (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (length > size - start)
        return BAD("%s: truncated within its header", path);
    npy_header h = {0};
    const char *text = (const char *)p + start;
    if (!parse_header((cursor){text, text + length}, &h))
        return BAD("%s: its .npy header cannot be read", path);
    const struct type *type = find_type(h.descr);
    if (!type)
        return BAD("%s: elements of type '%s'; little-endian numbers of 1 to 8 bytes are read",
                   path, h.descr);
    const size_t width = type->size;
    int64_t n = 1;
    bool overflow = false, empty = false;
    for (int i = 0; i < h.shape.n; i++) { /* without the zeros, so that their place is no matter */
        const int64_t d = h.shape.d[i];
        empty |= d == 0;
        overflow |= __builtin_mul_overflow(n, d ? d : 1, &n);
    }
    n = empty ? 0 : n;
    const size_t room = size - start - length;
    if (overflow || (uint64_t)n > room / width || (uint64_t)n * width != room)
        return BAD("%s: shape %s of %s does not fit its %zu bytes of data", path,
                   SAK_SHAPE_TEXT(&h.shape), h.descr, room);
    SAK_TRY(sak_alloc((void **)out, (size_t)n, sizeof **out, err));
    copy_out(p + start + length, type, &h, n, *out);
    *shape = h.shape;
    return SAK_OK;
}

sak_status sak_npy_read(const char *path, float **out, sak_shape *shape, sak_error *err)
{
    void *bytes;
    size_t size;
    *out = NULL;
    SAK_TRY(sak_file_read(path, FILE_MAX, &bytes, &size, err));
    const sak_status st = sak_npy_parse(path, bytes, size, out, shape, err);
    sak_free(bytes);
    return st;
}

sak_status sak_npy_write(const char *path, const float *v, const sak_shape *shape, sak_error *err)
{
    enum { ALIGN = 64 }; /* the elements begin at a multiple of it, behind magic, version and length */
    char head[256] = "\x93NUMPY\x01";
    size_t n = 10;
    n += (size_t)snprintf(head + n, sizeof head - n, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < shape->n; i++)
        n += (size_t)snprintf(head + n, sizeof head - n, "%lld,", (long long)shape->d[i]);
    n += (size_t)snprintf(head + n, sizeof head - n, "), }");
    while ((n + 1) % ALIGN)
        head[n++] = ' ';
    head[n++] = '\n';
    head[7] = 0;
    head[8] = (char)((n - 10) & 255);
    head[9] = (char)((n - 10) >> 8);
    sak_file_out f;
    SAK_TRY(sak_file_out_open(&f, path, err));
    sak_status st = sak_file_out_write(&f, head, n, err);
    if (st == SAK_OK)
        st = sak_file_out_write(&f, v, sizeof *v * (size_t)sak_shape_count(shape), err);
    if (st == SAK_OK)
        st = sak_file_out_commit(&f, err);
    sak_file_out_close(&f);
    return st;
}
