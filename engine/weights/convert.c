/* Weight files from weight files: other metadata, other element type. */
#include "weights/convert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "weights/narrow.h"
#include "weights/safetensors.h"

/* Running statistics have a range of their own, and are few. */
static sak_st_dtype type_of(const sak_st_tensor *t, sak_st_dtype wanted)
{
    return sak_ends_with(t->name, ".running_mean") || sak_ends_with(t->name, ".running_var") ? SAK_ST_F32
                                                                                       : wanted;
}

/* A finite number that no `type` can hold would load again as infinity. */
static sak_status check_range(const sak_weights *w, const sak_st_tensor *t, sak_st_dtype type,
                              const float *x, sak_error *err)
{
    const double limit = type == SAK_ST_F16    ? 65520         /* rounds to 65536, which is none */
                         : type == SAK_ST_BF16 ? 0x1.ffp127    /* likewise 2^128 */
                                               : INFINITY;
    for (int64_t i = 0; i < t->count; i++)
        if (fabsf(x[i]) >= limit && isfinite(x[i]))
            return SAK_FAIL(err, SAK_EINVAL, "%s: '%s' holds %g, beyond what %s can: export it as %s",
                            w->path, t->name, (double)x[i], sak_st_dtype_name(type),
                            type == SAK_ST_F16 ? "bf16" : "f32");
    return SAK_OK;
}

/* The tensors of w as `type`, in list; their bytes lie in *bytes, and *values is room for one of them
 * (free both, also after an error). */
static sak_status convert(const sak_weights *w, sak_st_dtype type, sak_st_source *list, char **bytes,
                          float **values, sak_error *err)
{
    size_t total = 0;
    int64_t longest = 0;
    for (int64_t i = 0; i < w->count; i++) {
        const sak_st_tensor *t = &w->tensors[i];
        if (!sak_st_dtype_is_float(t->dtype))
            return SAK_FAIL(err, SAK_EFORMAT, "%s: '%s' is %s; only floats are exported", w->path,
                            t->name, sak_st_dtype_name(t->dtype));
        total += (size_t)t->count * sak_st_dtype_size(type_of(t, type)) + 8;
        longest = t->count > longest ? t->count : longest;
    }
    *values = malloc(sizeof **values * (size_t)(longest + 1));
    *bytes = malloc(total + 1);
    if (!*values || !*bytes)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: no memory for %zu bytes of weights", w->path, total);
    float *x = *values;
    char *at = *bytes;
    for (int64_t i = 0; i < w->count; i++) {
        const sak_st_tensor *t = &w->tensors[i];
        const sak_st_dtype own = type_of(t, type);
        sak_st_copy_f32(t, x);
        SAK_TRY(check_range(w, t, own, x, err));
        sak_st_narrow(own, x, t->count, at);
        list[i] = (sak_st_source){t->name, own, t->shape, at};
        at += ((size_t)t->count * sak_st_dtype_size(own) + 7) / 8 * 8;
    }
    return SAK_OK;
}

sak_status sak_weights_convert(const sak_weights *w, const char *path, const char *const *meta,
                               sak_st_dtype type, sak_error *err)
{
    char *bytes = NULL;
    float *values = NULL;
    sak_st_source *list = calloc((size_t)w->count + 1, sizeof *list);
    sak_status st = list ? convert(w, type, list, &bytes, &values, err)
                         : SAK_FAIL(err, SAK_ENOMEM, "%s: no memory for its list of tensors", path);
    if (st == SAK_OK)
        st = sak_safetensors_write(path, list, w->count, meta, true, err);
    free(values);
    free(bytes);
    free(list);
    return st;
}
