/* Stored tensors: element types, shape checks, conversion of dense and strided data. */
#include "weights/stored.h"

#include <string.h>

#include "kernels/half.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weight files are little-endian; a big-endian host needs byte swapping here"
#endif

static const struct {
    const char *name;
    size_t size;
} dtypes[SAK_ST_COUNT] = {
    [SAK_ST_F32] = {"F32", 4},   [SAK_ST_F64] = {"F64", 8}, [SAK_ST_F16] = {"F16", 2},
    [SAK_ST_BF16] = {"BF16", 2}, [SAK_ST_I64] = {"I64", 8}, [SAK_ST_I32] = {"I32", 4},
    [SAK_ST_I16] = {"I16", 2},   [SAK_ST_I8] = {"I8", 1},   [SAK_ST_U64] = {"U64", 8},
    [SAK_ST_U32] = {"U32", 4},   [SAK_ST_U16] = {"U16", 2}, [SAK_ST_U8] = {"U8", 1},
    [SAK_ST_BOOL] = {"BOOL", 1},
};

const char *sak_st_dtype_name(sak_st_dtype t)
{
    return dtypes[t].name;
}

size_t sak_st_dtype_size(sak_st_dtype t)
{
    return dtypes[t].size;
}

bool sak_st_dtype_is_float(sak_st_dtype t)
{
    return t == SAK_ST_F32 || t == SAK_ST_F64 || t == SAK_ST_F16 || t == SAK_ST_BF16;
}

bool sak_st_dtype_find(const char *name, sak_st_dtype *out)
{
    for (int i = 0; i < SAK_ST_COUNT; i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            *out = (sak_st_dtype)i;
            return true;
        }
    return false;
}

sak_status sak_st_set_shape(sak_st_tensor *t, const int64_t *dim, size_t n, sak_error *err)
{
    if (n > SAK_MAX_DIMS)
        return SAK_FAIL(err, SAK_EFORMAT,
                        "%s: tensor '%s' has %zu dimensions, at most %d are supported", t->file,
                        t->name, n, SAK_MAX_DIMS);
    t->shape.n = (int)n;
    t->count = 1;
    bool empty = false;
    for (size_t i = n; i-- > 0;) {
        if (dim[i] < 0)
            return SAK_FAIL(err, SAK_EFORMAT, "%s: tensor '%s': dimension %zu is not a size",
                            t->file, t->name, i);
        t->shape.d[i] = dim[i];
        t->stride[i] = t->count;
        empty |= dim[i] == 0;
        const int64_t d = dim[i] ? dim[i] : 1; /* without the zeros: their place is no matter */
        if (__builtin_mul_overflow(t->count, d, &t->count) || t->count > INT64_MAX / 8)
            return SAK_FAIL(err, SAK_EFORMAT, "%s: tensor '%s': its number of elements overflows",
                            t->file, t->name);
    }
    if (empty)
        t->count = 0;
    return SAK_OK;
}

bool sak_st_is_dense(const sak_st_tensor *t)
{
    int64_t want = 1;
    for (int i = t->shape.n - 1; i >= 0; i--) {
        if (t->shape.d[i] != 1 && t->stride[i] != want)
            return t->count == 0;
        want *= t->shape.d[i];
    }
    return true;
}

sak_status sak_st_require_float(const sak_st_tensor *t, sak_error *err)
{
    if (sak_st_dtype_is_float(t->dtype))
        return SAK_OK;
    return SAK_FAIL(err, SAK_EFORMAT, "%s: tensor '%s' is %s, but parameters are floats", t->file,
                    t->name, sak_st_dtype_name(t->dtype));
}

static float from_half(uint16_t h)
{
    float x;
    sak_half_load(1, &h, &x);
    return x;
}

static float from_bfloat(uint16_t h)
{
    float x;
    sak_bfloat_load(1, &h, &x);
    return x;
}

#define LOAD(type) ((type *)memcpy(&(type){0}, p, sizeof(type)))[0]

/* Element i of memory; through memcpy, since nothing promises that a tensor is aligned. */
static double element(const sak_st_tensor *t, int64_t i)
{
    const unsigned char *p = (const unsigned char *)t->data + (size_t)i * dtypes[t->dtype].size;
    switch (t->dtype) {
    case SAK_ST_F32:
        return LOAD(float);
    case SAK_ST_F64:
        return LOAD(double);
    case SAK_ST_F16:
        return from_half(LOAD(uint16_t));
    case SAK_ST_BF16:
        return from_bfloat(LOAD(uint16_t));
    case SAK_ST_I64:
        return (double)LOAD(int64_t);
    case SAK_ST_I32:
        return LOAD(int32_t);
    case SAK_ST_I16:
        return LOAD(int16_t);
    case SAK_ST_I8:
        return LOAD(int8_t);
    case SAK_ST_U64:
        return (double)LOAD(uint64_t);
    case SAK_ST_U32:
        return LOAD(uint32_t);
    case SAK_ST_U16:
        return LOAD(uint16_t);
    case SAK_ST_U8:
        return *p;
    case SAK_ST_BOOL:
        return *p != 0;
    case SAK_ST_COUNT:
        break;
    }
    return 0;
}

/* Walks the elements in row-major order: `place` gives where each lies, in elements from data. */
typedef struct walk {
    const sak_st_tensor *t;
    int64_t at[SAK_MAX_DIMS], place;
} walk;

static void advance(walk *w)
{
    for (int i = w->t->shape.n - 1; i >= 0; i--) {
        w->place += w->t->stride[i];
        if (++w->at[i] < w->t->shape.d[i])
            return;
        w->place -= w->t->stride[i] * w->at[i];
        w->at[i] = 0;
    }
}

void sak_st_copy_f32(const sak_st_tensor *t, float *out)
{
    if (t->count == 0)
        return;
    if (t->dtype == SAK_ST_F32 && sak_st_is_dense(t)) {
        memcpy(out, t->data, (size_t)t->count * sizeof *out);
        return;
    }
    walk w = {.t = t};
    for (int64_t i = 0; i < t->count; i++, advance(&w))
        out[i] = (float)element(t, w.place);
}

void sak_st_copy_f64(const sak_st_tensor *t, double *out)
{
    walk w = {.t = t};
    for (int64_t i = 0; i < t->count; i++, advance(&w))
        out[i] = element(t, w.place);
}
