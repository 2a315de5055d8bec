/* MATLAB's .mat files through matio. */
#include "data/mat.h"

#include <hdf5.h>
#include <matio.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/mat_check.h"

enum { VARIABLES = 16 };

/* A file keeps the variables that were asked for. */
struct sak_mat {
    mat_t *file;
    char *path;
    matvar_t *read[VARIABLES];
    int n;
    bool hdf5;    /* holds the lock */
    bool refused; /* a variable was, for its size */
};

static pthread_mutex_t hdf5_lock = PTHREAD_MUTEX_INITIALIZER;

/* The version in the header's bytes 124 and 125, in the order that the mark after them says: 1 is
 * v5, 2 is v7.3, which is HDF5.  0: neither.  Version 4 has no header to go by, and matio believes
 * whatever sizes it finds in such a file. */
static int version_of(const char *path)
{
    unsigned char head[128] = {0};
    FILE *file;
    const bool whole = sak_file_stream(path, &file, NULL) == SAK_OK && fread(head, 1, sizeof head, file) == sizeof head;
    if (file)
        fclose(file);
    const bool little = head[126] == 'I' && head[127] == 'M';
    const bool big = head[126] == 'M' && head[127] == 'I';
    const int version = head[little ? 125 : 124], rest = head[little ? 124 : 125];
    return whole && (little || big) && rest == 0 && version <= 2 ? version : 0;
}

static matvar_t *native(const sak_mat_value *v)
{
    return (matvar_t *)(uintptr_t)v;
}

static const sak_mat_value *borrowed(matvar_t *v)
{
    return (const sak_mat_value *)v;
}

sak_status sak_mat_open(sak_mat **m, const char *path, sak_error *err)
{
    *m = NULL;
    if (access(path, R_OK) != 0)
        return SAK_FAIL(err, SAK_ENOENT, "%s: cannot be read", path);
    const int version = version_of(path);
    if (version == 0)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: not a MATLAB .mat file of version 5 or 7.3", path);
    if (version == 1)
        SAK_TRY(sak_mat_check(path, err));
    sak_mat *own = NULL;
    SAK_TRY(sak_alloc((void **)&own, 1, sizeof *own, err));
    own->hdf5 = version == 2;
    if (own->hdf5) {
        pthread_mutex_lock(&hdf5_lock);
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* it would print stacks of its own; errors are ours to report */
    }
    own->file = Mat_Open(path, MAT_ACC_RDONLY);
    own->path = strdup(path);
    if (!own->file || !own->path) {
        sak_mat_close(own);
        return SAK_FAIL(err, SAK_EFORMAT, "%s: not a sound MATLAB .mat file", path);
    }
    *m = own;
    return SAK_OK;
}

void sak_mat_close(sak_mat *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->n; i++)
        Mat_VarFree(m->read[i]);
    if (m->file)
        Mat_Close(m->file);
    if (m->hdf5)
        pthread_mutex_unlock(&hdf5_lock);
    free(m->path);
    sak_free(m);
}

/* Bytes that matio would keep of an array and all within it, which it read the sizes of; more than the
 * limit where they are too many or too deep. */
static int64_t bytes_of(matvar_t *v, int depth)
{
    enum { OWN = 256 };
    int64_t bytes = v->data_size > 0 ? v->data_size : 1, sum = OWN;
    for (int i = 0; i < v->rank; i++)
        if (v->dims[i] > SAK_MAT_MAX_BYTES ||
            __builtin_mul_overflow(bytes, (int64_t)v->dims[i], &bytes) || bytes > SAK_MAT_MAX_BYTES)
            return INT64_MAX;
    const bool nested = v->class_type == MAT_C_CELL || v->class_type == MAT_C_STRUCT;
    if (!nested)
        return bytes;
    if (depth == SAK_MAT_MAX_DEPTH)
        return INT64_MAX;
    matvar_t *const *child = v->data;
    const size_t size = (size_t)(v->data_size > 0 ? v->data_size : 1);
    for (size_t i = 0; child && i < v->nbytes / size; i++) {
        const int64_t more = child[i] ? bytes_of(child[i], depth + 1) : 0;
        if (more > SAK_MAT_MAX_BYTES || (sum += more) > SAK_MAT_MAX_BYTES)
            return INT64_MAX;
    }
    return sum + bytes;
}

/* HDF5 stores nothing for values that were never written, so a small file can hold any dimensions. */
static bool is_bounded(mat_t *file, const char *name)
{
    matvar_t *info = Mat_VarReadInfo(file, name);
    const bool fits = info && bytes_of(info, 0) <= SAK_MAT_MAX_BYTES;
    Mat_VarFree(info);
    return fits;
}

const sak_mat_value *sak_mat_find(sak_mat *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (m->read[i]->name && strcmp(m->read[i]->name, name) == 0)
            return borrowed(m->read[i]);
    m->refused = m->hdf5 && !is_bounded(m->file, name);
    if (m->refused || m->n == VARIABLES)
        return NULL;
    matvar_t *v = Mat_VarRead(m->file, name);
    if (v)
        m->read[m->n++] = v;
    return borrowed(v);
}

int64_t sak_mat_count(const sak_mat_value *value)
{
    const matvar_t *v = native(value);
    if (!v)
        return 0;
    if (v->class_type != MAT_C_CELL && v->class_type != MAT_C_STRUCT)
        return 1;
    int64_t n = 1;
    for (int i = 0; i < v->rank; i++)
        n *= (int64_t)v->dims[i];
    return n;
}

const sak_mat_value *sak_mat_cell(const sak_mat_value *value, int64_t i)
{
    matvar_t *v = native(value);
    const bool fits = v && v->class_type == MAT_C_CELL && i >= 0 && i < sak_mat_count(value);
    return fits ? borrowed(Mat_VarGetCell(v, (int)i)) : NULL;
}

const sak_mat_value *sak_mat_field(const sak_mat_value *value, int64_t i, const char *name)
{
    matvar_t *v = native(value);
    const bool fits = v && v->class_type == MAT_C_STRUCT && i >= 0 && i < sak_mat_count(value);
    return fits ? borrowed(Mat_VarGetStructFieldByName(v, name, (size_t)i)) : NULL;
}

bool sak_mat_text(const sak_mat_value *value, char *out, size_t room)
{
    const matvar_t *v = native(value);
    size_t n = 0;
    out[0] = 0;
    if (!v || v->class_type != MAT_C_CHAR || v->rank != 2 || !v->data || v->isComplex)
        return false;
    const bool wide = v->data_type == MAT_T_UINT16 || v->data_type == MAT_T_UTF16;
    const bool narrow = v->data_type == MAT_T_UINT8 || v->data_type == MAT_T_INT8 ||
                        v->data_type == MAT_T_UTF8;
    const size_t count = v->nbytes / (wide ? 2 : 1);
    for (; (wide || narrow) && n < count && n < v->dims[0] * v->dims[1] && n + 1 < room; n++) {
        const unsigned c = wide ? ((const uint16_t *)v->data)[n] : ((const uint8_t *)v->data)[n];
        out[n] = (char)(c < 128 ? c : '?');
    }
    out[n] = 0;
    return wide || narrow;
}

/* Element i, counted down the columns. */
static bool number(const matvar_t *v, size_t i, float *out)
{
    switch (v->data_type) {
    case MAT_T_DOUBLE: *out = (float)((const double *)v->data)[i]; return true;
    case MAT_T_SINGLE: *out = ((const float *)v->data)[i]; return true;
    case MAT_T_UINT8: *out = (float)((const uint8_t *)v->data)[i]; return true;
    case MAT_T_INT8: *out = (float)((const int8_t *)v->data)[i]; return true;
    case MAT_T_UINT16: *out = (float)((const uint16_t *)v->data)[i]; return true;
    case MAT_T_INT16: *out = (float)((const int16_t *)v->data)[i]; return true;
    case MAT_T_UINT32: *out = (float)((const uint32_t *)v->data)[i]; return true;
    case MAT_T_INT32: *out = (float)((const int32_t *)v->data)[i]; return true;
    default: return false;
    }
}

sak_status sak_mat_image(const sak_mat *m, const sak_mat_value *value, const char *what, float **out,
                         int *H, int *W, sak_error *err)
{
    const matvar_t *v = native(value);
    *out = NULL;
    if (!v)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: there is no %s%s", m->path, what,
                        m->refused ? ", or it is larger than 128 MiB" : "");
    float probe;
    if (v->rank != 2 || v->isComplex || !v->data || v->dims[0] < 1 || v->dims[1] < 1 ||
        v->nbytes / v->dims[0] / v->dims[1] < (size_t)v->data_size || !number(v, 0, &probe))
        return SAK_FAIL(err, SAK_EFORMAT, "%s: %s is not a 2-D array of numbers", m->path, what);
    if (v->dims[0] > SAK_MAT_MAX_SIDE || v->dims[1] > SAK_MAT_MAX_SIDE)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: %s is %zu x %zu, larger than %d", m->path, what,
                        v->dims[0], v->dims[1], SAK_MAT_MAX_SIDE);
    const size_t h = v->dims[0], w = v->dims[1];
    SAK_TRY(sak_alloc((void **)out, h * w, sizeof **out, err));
    for (size_t x = 0; x < w; x++)
        for (size_t y = 0; y < h; y++)
            number(v, x * h + y, &(*out)[y * w + x]);
    *H = (int)h;
    *W = (int)w;
    return SAK_OK;
}
