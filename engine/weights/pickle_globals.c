/* What a pickle may name, and what calling it stands for: tensors, storages, containers. */
#include <stdlib.h>
#include <string.h>

#include "weights/pickle.h"

#define BAD(...) SAK_FAIL(err, SAK_EFORMAT, __VA_ARGS__)

typedef enum role {
    STORAGE,   /* of the row's dtype */
    TENSOR,    /* f(storage, offset, size, stride, …) */
    PARAMETER, /* f(tensor, …) */
    FROM_TYPE, /* f(rebuild, class, args, state) */
    MAPPING,   /* a dict: f(), f(pairs), f(dict); defaultdict's factory may stand before */
    INERT,     /* an object without content */
} role;

typedef struct sak_pk_global {
    const char *module, *name; /* a module ending in '.' stands for all below it; name "*": any */
    role role;
    sak_st_dtype dtype;
} sak_pk_global;

static const sak_pk_global known[] = {
    {"torch", "FloatStorage", STORAGE, SAK_ST_F32},
    {"torch", "DoubleStorage", STORAGE, SAK_ST_F64},
    {"torch", "HalfStorage", STORAGE, SAK_ST_F16},
    {"torch", "BFloat16Storage", STORAGE, SAK_ST_BF16},
    {"torch", "LongStorage", STORAGE, SAK_ST_I64},
    {"torch", "IntStorage", STORAGE, SAK_ST_I32},
    {"torch", "ShortStorage", STORAGE, SAK_ST_I16},
    {"torch", "CharStorage", STORAGE, SAK_ST_I8},
    {"torch", "ByteStorage", STORAGE, SAK_ST_U8},
    {"torch", "BoolStorage", STORAGE, SAK_ST_BOOL},
    {"torch._utils", "_rebuild_tensor_v2", TENSOR, 0},
    {"torch._utils", "_rebuild_tensor", TENSOR, 0},
    {"torch._utils", "_rebuild_parameter", PARAMETER, 0},
    {"torch._utils", "_rebuild_parameter_with_state", PARAMETER, 0},
    {"torch._tensor", "_rebuild_from_type_v2", FROM_TYPE, 0},
    {"collections", "OrderedDict", MAPPING, 0},
    {"collections", "defaultdict", MAPPING, 0},
    {"collections", "Counter", MAPPING, 0},
    {"__builtin__", "dict", MAPPING, 0},
    {"builtins", "dict", MAPPING, 0},
    /* Carried along in published checkpoints: options, counters, random states, histories. */
    {"__builtin__", "set", INERT, 0},
    {"__builtin__", "frozenset", INERT, 0},
    {"__builtin__", "list", INERT, 0},
    {"__builtin__", "tuple", INERT, 0},
    {"__builtin__", "int", INERT, 0},
    {"__builtin__", "long", INERT, 0},
    {"__builtin__", "float", INERT, 0},
    {"__builtin__", "bool", INERT, 0},
    {"__builtin__", "str", INERT, 0},
    {"__builtin__", "bytearray", INERT, 0},
    {"__builtin__", "complex", INERT, 0},
    {"__builtin__", "object", INERT, 0},
    {"builtins", "set", INERT, 0},
    {"builtins", "frozenset", INERT, 0},
    {"builtins", "list", INERT, 0},
    {"builtins", "tuple", INERT, 0},
    {"builtins", "int", INERT, 0},
    {"builtins", "float", INERT, 0},
    {"builtins", "bool", INERT, 0},
    {"builtins", "str", INERT, 0},
    {"builtins", "bytearray", INERT, 0},
    {"builtins", "complex", INERT, 0},
    {"builtins", "object", INERT, 0},
    {"copy_reg", "_reconstructor", INERT, 0},
    {"copyreg", "_reconstructor", INERT, 0},
    {"_codecs", "encode", INERT, 0},
    {"argparse", "Namespace", INERT, 0},
    {"types", "SimpleNamespace", INERT, 0},
    {"datetime", "*", INERT, 0},
    {"pathlib", "*", INERT, 0},
    {"typing", "*", INERT, 0},
    {"torch", "Size", INERT, 0},
    {"torch", "Tensor", INERT, 0},
    {"torch._tensor", "Tensor", INERT, 0},
    {"torch.nn.parameter", "Parameter", INERT, 0},
    {"torch", "device", INERT, 0},
    {"torch", "float64", INERT, 0},
    {"torch", "float32", INERT, 0},
    {"torch", "float16", INERT, 0},
    {"torch", "bfloat16", INERT, 0},
    {"torch", "int64", INERT, 0},
    {"torch", "int32", INERT, 0},
    {"torch", "uint8", INERT, 0},
    {"torch", "bool", INERT, 0},
    {"torch.optim.", "*", INERT, 0},
    {"numpy", "dtype", INERT, 0},
    {"numpy", "ndarray", INERT, 0},
    {"numpy", "float32", INERT, 0},
    {"numpy", "float64", INERT, 0},
    {"numpy", "int64", INERT, 0},
    {"numpy.core.multiarray", "scalar", INERT, 0},
    {"numpy.core.multiarray", "_reconstruct", INERT, 0},
    {"numpy._core.multiarray", "scalar", INERT, 0},
    {"numpy._core.multiarray", "_reconstruct", INERT, 0},
    {"yacs.config", "CfgNode", INERT, 0},
    {"fvcore.common.config", "CfgNode", INERT, 0},
    {"detectron2.config.config", "CfgNode", INERT, 0},
    {"easydict", "EasyDict", INERT, 0},
    {"addict.addict", "Dict", INERT, 0},
    {"mmcv.utils.config", "ConfigDict", INERT, 0},
    {"omegaconf.", "*", INERT, 0},
    {"pytorch_lightning.", "*", INERT, 0},
    {"lightning.", "*", INERT, 0},
    {"lightning_fabric.", "*", INERT, 0},
};

static bool matches(const sak_pk_global *g, const char *module, const char *name)
{
    const size_t n = strlen(g->module);
    const bool below = g->module[n - 1] == '.';
    return (below ? strncmp(g->module, module, n) == 0 : strcmp(g->module, module) == 0) &&
           (g->name[0] == '*' || strcmp(g->name, name) == 0);
}

sak_status sak_pk_find_global(sak_pickle *p, const char *module, const char *name, size_t at,
                              sak_pk_value **out, sak_error *err)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (matches(&known[i], module, name)) {
            *out = sak_pk_new(p, SAK_PK_GLOBAL, err);
            if (!*out)
                return SAK_ENOMEM;
            (*out)->global = &known[i];
            return SAK_OK;
        }
    return BAD("%s: byte %zu of its pickle names %.80s.%.80s, which no state dict needs; the file is "
               "refused, and nothing in it was run. If you trust it, save its tensors alone with "
               "torch.save(model.state_dict(), …)",
               p->path, at, module, name);
}

static bool is_int(const sak_pk_value *v)
{
    return v->kind == SAK_PK_INT;
}

static bool is_tuple(const sak_pk_value *v)
{
    return v->kind == SAK_PK_TUPLE || v->kind == SAK_PK_LIST;
}

static sak_status rebuild_tensor(sak_pickle *p, const sak_pk_value *args, size_t at,
                                 sak_pk_value **out, sak_error *err)
{
    sak_pk_value *const *a = args->item;
    if (args->n < 4 || a[0]->kind != SAK_PK_STORAGE || !is_int(a[1]) || !is_tuple(a[2]) ||
        !is_tuple(a[3]) || a[2]->n != a[3]->n)
        return BAD("%s: byte %zu of its pickle: a tensor is not (storage, offset, size, stride, …)",
                   p->path, at);
    if (args->n > 6 && a[6]->kind == SAK_PK_DICT && a[6]->n)
        return BAD("%s: byte %zu of its pickle: a conjugated or negated view of a tensor",
                   p->path, at);
    sak_pk_tensor *t = sak_pk_take(p, sizeof *t, err);
    *out = sak_pk_new(p, SAK_PK_TENSOR, err);
    if (!t || !*out)
        return SAK_ENOMEM;
    *t = (sak_pk_tensor){.storage = a[0]->storage, .offset = a[1]->i, .dims = a[2]->n};
    for (size_t i = 0; i < t->dims; i++) {
        if (!is_int(a[2]->item[i]) || !is_int(a[3]->item[i]))
            return BAD("%s: byte %zu of its pickle: a tensor's sizes and strides are not integers",
                       p->path, at);
        if (i < SAK_MAX_DIMS) {
            t->size[i] = a[2]->item[i]->i;
            t->stride[i] = a[3]->item[i]->i;
        }
    }
    (*out)->tensor = t;
    return SAK_OK;
}

/* OrderedDict([(key, value), …]), as Python 2 writes it. */
static sak_status build_mapping(sak_pickle *p, const sak_pk_value *args, size_t at,
                                sak_pk_value **out, sak_error *err)
{
    const size_t factory = args->n && (args->item[0]->kind == SAK_PK_GLOBAL ||
                                       args->item[0]->kind == SAK_PK_NONE);
    const sak_pk_value *from = args->n > factory ? args->item[factory] : NULL;
    const bool dict = from && from->kind == SAK_PK_DICT;
    if (args->n > factory + 1 || (from && !dict && !is_tuple(from)))
        return BAD("%s: byte %zu of its pickle: a dictionary of an unknown kind", p->path, at);
    sak_pk_value *d = sak_pk_new(p, SAK_PK_DICT, err);
    const size_t n = !from ? 0 : dict ? from->n : 2 * from->n;
    d = d && (!n || (d->item = sak_pk_take(p, n * sizeof *d->item, err))) ? d : NULL;
    if (!d)
        return SAK_ENOMEM;
    for (size_t i = 0; i < n; i += 2) {
        const sak_pk_value *pair = dict ? from : from->item[i / 2];
        if (!dict && (!is_tuple(pair) || pair->n != 2))
            return BAD("%s: byte %zu of its pickle: a dictionary from what are not pairs", p->path, at);
        memcpy(d->item + i, pair->item + (dict ? i : 0), 2 * sizeof *d->item);
        d->holds_tensors |= d->item[i + 1]->kind == SAK_PK_TENSOR;
    }
    d->n = d->cap = n;
    *out = d;
    return SAK_OK;
}

sak_status sak_pk_call(sak_pickle *p, const sak_pk_value *fn, const sak_pk_value *args, size_t at,
                       sak_pk_value **out, sak_error *err)
{
    if (fn->kind != SAK_PK_GLOBAL || !is_tuple(args))
        return BAD("%s: byte %zu of its pickle calls what is not a function", p->path, at);
    const sak_pk_global *g = fn->global;
    switch (g->role) {
    case TENSOR:
        return rebuild_tensor(p, args, at, out, err);
    case PARAMETER:
        if (args->n < 1 || args->item[0]->kind != SAK_PK_TENSOR)
            return BAD("%s: byte %zu of its pickle: a parameter holds no tensor", p->path, at);
        *out = args->item[0];
        return SAK_OK;
    case FROM_TYPE:
        if (args->n < 3 || args->item[0]->kind != SAK_PK_GLOBAL ||
            args->item[0]->global->role == FROM_TYPE)
            return BAD("%s: byte %zu of its pickle: a tensor of an unknown class", p->path, at);
        return sak_pk_call(p, args->item[0], args->item[2], at, out, err);
    case MAPPING:
        return build_mapping(p, args, at, out, err);
    case INERT:
        *out = sak_pk_new(p, SAK_PK_OPAQUE, err);
        return *out ? SAK_OK : SAK_ENOMEM;
    case STORAGE:
        break;
    }
    return BAD("%s: byte %zu of its pickle calls %s.%s: storages come as persistent ids", p->path,
               at, g->module, g->name);
}

static sak_status remember(sak_pickle *p, const sak_pk_storage *s, sak_error *err)
{
    if (p->n_storages == p->cap_storages) {
        const size_t cap = p->cap_storages ? 2 * p->cap_storages : 256;
        const sak_pk_storage **list = realloc(p->storages, cap * sizeof *list);
        if (!list)
            return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory for its storages", p->path);
        p->storages = list;
        p->cap_storages = cap;
    }
    p->storages[p->n_storages++] = s;
    return SAK_OK;
}

/* ("storage", type, key, location, numel[, None or (view key, offset, count)]) */
sak_status sak_pk_persistent(sak_pickle *p, const sak_pk_value *id, size_t at, sak_pk_value **out,
                             sak_error *err)
{
    sak_pk_value *const *a = id->item;
    if (id->kind != SAK_PK_TUPLE || id->n < 5 || a[0]->kind != SAK_PK_TEXT ||
        strcmp(a[0]->text, "storage") != 0 || a[1]->kind != SAK_PK_GLOBAL ||
        a[1]->global->role != STORAGE || a[2]->kind != SAK_PK_TEXT || !is_int(a[4]) || a[4]->i < 0)
        return BAD("%s: byte %zu of its pickle: a persistent id that is no storage", p->path, at);
    sak_pk_storage *s = sak_pk_take(p, sizeof *s, err);
    *out = sak_pk_new(p, SAK_PK_STORAGE, err);
    if (!s || !*out)
        return SAK_ENOMEM;
    *s = (sak_pk_storage){a[2]->text, a[1]->global->dtype, a[4]->i, 0, -1};
    if (id->n > 5 && a[5]->kind != SAK_PK_NONE) {
        const sak_pk_value *v = a[5];
        if (v->kind != SAK_PK_TUPLE || v->n != 3 || !is_int(v->item[1]) || !is_int(v->item[2]) ||
            v->item[1]->i < 0 || v->item[2]->i < 0 || v->item[1]->i > s->numel ||
            v->item[2]->i > s->numel - v->item[1]->i)
            return BAD("%s: byte %zu of its pickle: storage '%.40s' has a view outside it", p->path,
                       at, s->key);
        s->view_at = v->item[1]->i;
        s->view_count = v->item[2]->i;
    }
    (*out)->storage = s;
    return remember(p, s, err);
}
