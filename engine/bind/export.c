/* Weight files from weight files: other metadata, other element type. */
#include <stdlib.h>
#include <string.h>

#include "bind/core.h"
#include "weights/narrow.h"
#include "weights/safetensors.h"
#include "weights/weights.h"

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Running statistics have a range of their own, and are few. */
static sak_st_dtype type_of(const sak_st_tensor *t, sak_st_dtype wanted)
{
    return ends_with(t->name, ".running_mean") || ends_with(t->name, ".running_var") ? SAK_ST_F32
                                                                                       : wanted;
}

/* The tensors of w as `type`, in list; their bytes lie in *bytes (free it). */
static sak_status convert(const sak_weights *w, sak_st_dtype type, sak_st_source *list, char **bytes,
                          sak_error *err)
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
    float *x = malloc(sizeof *x * (size_t)(longest + 1));
    *bytes = malloc(total + 1);
    if (!x || !*bytes) {
        free(x);
        return SAK_FAIL(err, SAK_ENOMEM, "%s: no memory for %zu bytes of weights", w->path, total);
    }
    char *at = *bytes;
    for (int64_t i = 0; i < w->count; i++) {
        const sak_st_tensor *t = &w->tensors[i];
        const sak_st_dtype own = type_of(t, type);
        sak_st_copy_f32(t, x);
        sak_st_narrow(own, x, t->count, at);
        list[i] = (sak_st_source){t->name, own, t->shape, at};
        at += ((size_t)t->count * sak_st_dtype_size(own) + 7) / 8 * 8;
    }
    free(x);
    return SAK_OK;
}

/* core.export(source, path, {key = value}, "f32" | "f16" | "bf16") -> tensors, parameters: writes the
 * weight file again with this metadata and element type. */
static int export_weights(lua_State *L)
{
    static const char *const names[] = {"f32", "f16", "bf16", NULL};
    static const sak_st_dtype types[] = {SAK_ST_F32, SAK_ST_F16, SAK_ST_BF16};
    const char *source = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
    const char *meta[SAK_META_MAX];
    sak_to_meta(L, 3, meta);
    const sak_st_dtype type = types[luaL_checkoption(L, 4, "f32", names)];
    sak_weights w;
    sak_error err;
    SAK_CHECK(L, &err, sak_weights_open(&w, source, NULL, &err));
    sak_st_source *list = calloc((size_t)w.count + 1, sizeof *list);
    char *bytes = NULL;
    sak_status st = list ? convert(&w, type, list, &bytes, &err)
                         : SAK_FAIL(&err, SAK_ENOMEM, "%s: no memory for its list of tensors", path);
    if (st == SAK_OK)
        st = sak_safetensors_write(path, list, w.count, meta, true, &err);
    int64_t n = 0;
    for (int64_t i = 0; i < w.count; i++)
        n += w.tensors[i].count;
    const int64_t tensors = w.count;
    free(bytes);
    free(list);
    sak_weights_close(&w);
    if (st != SAK_OK)
        return sak_raise(L, &err);
    lua_pushinteger(L, tensors);
    lua_pushinteger(L, n);
    return 2;
}

void sak_open_export(lua_State *L)
{
    lua_pushcfunction(L, export_weights);
    lua_setfield(L, -2, "export");
}
