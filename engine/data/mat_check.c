/* A v5 .mat file held against its own sizes.  Format: MathWorks, MAT-File Format, chapter 1. */
#include "data/mat_check.h"

#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/file.h"

enum { HEADER = 128, TAG = 8, MAX_RANK = 8, MAX_NAME = 63, MAX_FIELD = 64, MAX_FIELDS = 256 };

/* Types of data elements. */
enum { INT8 = 1, UINT8, INT16, UINT16, INT32, UINT32, SINGLE, DOUBLE = 9, INT64 = 12, UINT64, MATRIX,
       COMPRESSED, UTF8, UTF16 };

/* Classes of arrays. */
enum { CELL = 1, STRUCT, OBJECT, TEXT, SPARSE, NUMBERS /* the first of ten kinds */, FUNCTION = 16,
       OPAQUE };

typedef struct walk {
    const char *path;
    bool big; /* endian */
    int64_t bytes, elements;
    sak_error *err;
} walk;

/* What is left of an element's body. */
typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

typedef struct element {
    uint32_t type, size;
    const uint8_t *data;
} element;

static sak_status refuse(const walk *w, const char *what)
{
    return SAK_FAIL(w->err, SAK_EFORMAT, "%s: not a sound .mat file: %s", w->path, what);
}

static uint32_t word(const walk *w, const uint8_t *p)
{
    return w->big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                  : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* The next data element; inside arrays each begins at a multiple of 8 bytes. */
static bool take(const walk *w, cursor *c, element *e)
{
    if (c->end - c->at < TAG)
        return false;
    const uint32_t first = word(w, c->at);
    if (first >> 16) { /* up to four bytes within the tag */
        *e = (element){first & 0xFFFF, first >> 16, c->at + 4};
        c->at += TAG;
        return e->size <= 4;
    }
    *e = (element){first, word(w, c->at + 4), c->at + TAG};
    c->at += TAG;
    const uint64_t padded = ((uint64_t)e->size + 7) / 8 * 8;
    if (padded > (uint64_t)(c->end - c->at))
        return false;
    c->at += padded;
    return true;
}

static uint32_t width_of(uint32_t type)
{
    static const uint8_t width[UTF16 + 1] = {
        [INT8] = 1,   [UINT8] = 1,  [INT16] = 2,  [UINT16] = 2, [INT32] = 4, [UINT32] = 4, [SINGLE] = 4,
        [DOUBLE] = 8, [INT64] = 8, [UINT64] = 8, [UTF8] = 1,   [UTF16] = 2};
    return type <= UTF16 ? width[type] : 0;
}

typedef struct head {
    uint32_t class_type;
    bool complex;
    int64_t count; /* of elements: the product of its dimensions */
} head;

static sak_status take_head(const walk *w, cursor *c, head *h)
{
    element flags, dims, name;
    if (!take(w, c, &flags) || flags.type != UINT32 || flags.size != 8)
        return refuse(w, "an array without its flags");
    h->class_type = word(w, flags.data) & 0xFF;
    h->complex = word(w, flags.data) >> 11 & 1;
    if (!take(w, c, &dims) || dims.type != INT32 || dims.size % 4 || dims.size < 8 ||
        dims.size > 4 * MAX_RANK)
        return refuse(w, "an array without 2 to 8 dimensions");
    h->count = 1;
    for (uint32_t i = 0; i < dims.size; i += 4) {
        const uint32_t d = word(w, dims.data + i);
        if (d > INT32_MAX || __builtin_mul_overflow(h->count, (int64_t)d, &h->count))
            return refuse(w, "an array whose dimensions overflow");
    }
    if (!take(w, c, &name) || name.type != INT8 || name.size > MAX_NAME)
        return refuse(w, "an array without a name of up to 63 bytes");
    return SAK_OK;
}

/* As many values as the dimensions say, no more and no less. */
static sak_status check_values(const walk *w, cursor *c, const head *h)
{
    element e;
    if (h->count == 0 && c->at == c->end)
        return SAK_OK;
    if (!take(w, c, &e))
        return refuse(w, "an array that ends too early");
    const uint32_t width = width_of(e.type);
    const bool letters = e.type == UTF8 || e.type == UTF16;
    if (!width || (letters && h->class_type != TEXT))
        return refuse(w, "an array of values of no known type");
    if (e.size % width || e.size / width != (uint64_t)h->count)
        return refuse(w, "an array whose values are not as many as its dimensions say");
    return SAK_OK;
}

static sak_status check_array(walk *w, cursor body, int depth);

static sak_status check_children(walk *w, cursor *c, int64_t count, int depth)
{
    if (count > (c->end - c->at) / TAG) /* before it is believed */
        return refuse(w, "a cell or struct that ends too early");
    for (int64_t i = 0; i < count; i++) {
        element e;
        if (!take(w, c, &e) || e.type != MATRIX)
            return refuse(w, "a cell or struct that holds something else than arrays");
        if (++w->elements > SAK_MAT_MAX_ELEMENTS)
            return refuse(w, "more than 16384 arrays");
        if (e.size) /* none: an empty array */
            SAK_TRY(check_array(w, (cursor){e.data, e.data + e.size}, depth + 1));
    }
    return SAK_OK;
}

static sak_status check_struct(walk *w, cursor *c, int64_t count, int depth)
{
    element length, names;
    if (!take(w, c, &length) || length.type != INT32 || length.size != 4)
        return refuse(w, "a struct without the length of its fields' names");
    const uint32_t room = word(w, length.data);
    if (room < 1 || room > MAX_FIELD || !take(w, c, &names) || names.type != INT8 || names.size % room)
        return refuse(w, "a struct without its fields' names");
    const int64_t fields = names.size / room;
    for (int64_t i = 0; i < fields; i++)
        if (!memchr(names.data + i * room, 0, room))
            return refuse(w, "a struct with a field's name that does not end");
    int64_t children;
    if (fields > MAX_FIELDS || __builtin_mul_overflow(count, fields, &children))
        return refuse(w, "a struct of more than 256 fields");
    return check_children(w, c, children, depth);
}

static sak_status check_array(walk *w, cursor body, int depth)
{
    head h = {0};
    if (depth > SAK_MAT_MAX_DEPTH)
        return refuse(w, "arrays within arrays, more than 12 deep");
    SAK_TRY(take_head(w, &body, &h));
    switch (h.class_type) {
    case CELL:
        SAK_TRY(check_children(w, &body, h.count, depth));
        break;
    case STRUCT:
        SAK_TRY(check_struct(w, &body, h.count, depth));
        break;
    case OBJECT:
    case SPARSE:
    case FUNCTION:
    case OPAQUE:
        return SAK_FAIL(w->err, SAK_EFORMAT, "%s: holds %s, which is not read; save only the variables that"
                        " are needed", w->path, h.class_type == SPARSE ? "a sparse array"
                                                : h.class_type == FUNCTION ? "a function" : "an object");
    default:
        if (h.class_type != TEXT && (h.class_type < NUMBERS || h.class_type >= FUNCTION))
            return refuse(w, "an array of no known class");
        SAK_TRY(check_values(w, &body, &h));
        if (h.complex)
            SAK_TRY(check_values(w, &body, &h));
    }
    return body.at == body.end ? SAK_OK : refuse(w, "an array that is longer than what it holds");
}

static sak_status count_bytes(walk *w, uint64_t n)
{
    if (n > (uint64_t)(SAK_MAT_MAX_BYTES - w->bytes))
        return SAK_FAIL(w->err, SAK_EFORMAT, "%s: its variables are larger than %d MiB", w->path,
                        SAK_MAT_MAX_BYTES >> 20);
    w->bytes += (int64_t)n;
    return SAK_OK;
}

/* The array in a compressed element: its tag says how long it is. */
static sak_status check_inflated(walk *w, z_stream *z)
{
    uint8_t tag[TAG], more;
    z->next_out = tag;
    z->avail_out = TAG;
    inflate(z, Z_SYNC_FLUSH);
    if (z->avail_out || word(w, tag) != MATRIX)
        return refuse(w, "a compressed variable that holds no array");
    const uint32_t size = word(w, tag + 4);
    SAK_TRY(count_bytes(w, size));
    uint8_t *body = NULL;
    SAK_TRY(sak_alloc((void **)&body, size ? size : 1, 1, w->err));
    z->next_out = body;
    z->avail_out = size;
    int end = size ? inflate(z, Z_FINISH) : Z_BUF_ERROR;
    const bool whole = z->avail_out == 0;
    if (end == Z_BUF_ERROR && whole) { /* the checksum is still to come, and nothing else */
        z->next_out = &more;
        z->avail_out = 1;
        end = inflate(z, Z_FINISH);
    }
    sak_status st = SAK_OK;
    if (end != Z_STREAM_END || !whole || (z->next_out == &more + 1))
        st = refuse(w, "a compressed variable that is damaged");
    else
        st = check_array(w, (cursor){body, body + size}, 0);
    sak_free(body);
    return st;
}

static sak_status check_compressed(walk *w, const element *e)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)e->data, .avail_in = e->size};
    if (inflateInit(&z) != Z_OK)
        return SAK_FAIL(w->err, SAK_ENOMEM, "%s: out of memory", w->path);
    const sak_status st = check_inflated(w, &z);
    inflateEnd(&z);
    return st;
}

/* Variables follow one another; compressed ones are not padded. */
static sak_status check_variable(walk *w, cursor *c)
{
    const element e = {word(w, c->at), word(w, c->at + 4), c->at + TAG};
    c->at += TAG;
    if (e.size > (uint64_t)(c->end - c->at))
        return refuse(w, "it ends too early (truncated)");
    c->at += e.size;
    if (++w->elements > SAK_MAT_MAX_ELEMENTS)
        return refuse(w, "more than 16384 arrays");
    if (e.type == COMPRESSED)
        return check_compressed(w, &e);
    if (e.type != MATRIX)
        return refuse(w, "a variable that is no array");
    SAK_TRY(count_bytes(w, e.size));
    return check_array(w, (cursor){e.data, e.data + e.size}, 0);
}

sak_status sak_mat_check(const char *path, sak_error *err)
{
    uint8_t *file;
    size_t size;
    SAK_TRY(sak_file_read(path, SAK_MAT_MAX_BYTES, (void **)&file, &size, err));
    walk w = {.path = path, .big = size >= HEADER && file[126] == 'M', .err = err};
    sak_status st = size >= HEADER ? SAK_OK : refuse(&w, "it has no header");
    cursor c = {file + (size < HEADER ? size : HEADER), file + size};
    while (st == SAK_OK && c.end - c.at >= TAG)
        st = check_variable(&w, &c);
    if (st == SAK_OK && c.at != c.end)
        st = refuse(&w, "it ends too early (truncated)");
    sak_free(file);
    return st;
}
