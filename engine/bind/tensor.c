/* Tensors in Lua: a node of a graph under construction.  Every op row is a function
 * core.op.NAME(tensors…, {attributes}) and a method; + - * / work with tensors and numbers. */
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "bind/core.h"
#include "bind/sandbox.h"

#define TYPE "sak.tensor"

/* A script may keep a tensor longer than its graph is open. */
static sak_ltensor *living(lua_State *L, sak_ltensor *t)
{
    if (t && t->node >= t->g->n)
        luaL_error(L, "this tensor belongs to a graph that has been closed");
    return t;
}

sak_ltensor *sak_to_tensor(lua_State *L, int i)
{
    return living(L, luaL_checkudata(L, i, TYPE));
}

static sak_ltensor *test_tensor(lua_State *L, int i)
{
    return living(L, luaL_testudata(L, i, TYPE));
}

void sak_push_tensor(lua_State *L, int graph_index, sak_graph *g, int node)
{
    graph_index = lua_absindex(L, graph_index);
    sak_ltensor *t = lua_newuserdatauv(L, sizeof *t, 1);
    *t = (sak_ltensor){g, node};
    lua_pushvalue(L, graph_index);
    lua_setiuservalue(L, -2, 1); /* the tensor keeps its graph */
    luaL_setmetatable(L, TYPE);
}

static int find_choice(const char *choices, const char *want)
{
    int index = 0;
    const size_t n = strlen(want);
    for (const char *c = choices; *c; index++) {
        const char *end = strchr(c, '|');
        const size_t len = end ? (size_t)(end - c) : strlen(c);
        if (len == n && memcmp(c, want, n) == 0)
            return index;
        c += len + (end != NULL);
    }
    return -1;
}

static void read_attribute(lua_State *L, const sak_op *op, int index, sak_attrs *attr)
{
    const sak_attr_spec *spec = &op->attrs[index];
    switch (spec->type) {
    case SAK_ATTR_DIMS:
        attr->dims = sak_to_dims(L, lua_gettop(L));
        return;
    case SAK_ATTR_BOOL:
        if (!lua_isboolean(L, -1))
            break;
        attr->v[index] = lua_toboolean(L, -1);
        return;
    case SAK_ATTR_CHOICE: {
        if (lua_type(L, -1) != LUA_TSTRING)
            break;
        const int c = find_choice(spec->choices, lua_tostring(L, -1));
        if (c < 0)
            luaL_error(L, "%s: %s must be one of %s, got '%s'", op->name, spec->name, spec->choices,
                       lua_tostring(L, -1));
        attr->v[index] = c;
        return;
    }
    case SAK_ATTR_INT: {
        if (lua_type(L, -1) != LUA_TNUMBER)
            break;
        const double v = lua_tonumber(L, -1);
        if (!(v >= -0x1p53 && v <= 0x1p53) || v != (double)(int64_t)v)
            luaL_error(L, "%s: %s must be a whole number, got %s", op->name, spec->name,
                       luaL_tolstring(L, -1, NULL));
        attr->v[index] = v;
        return;
    }
    default:
        if (lua_type(L, -1) != LUA_TNUMBER)
            break;
        attr->v[index] = lua_tonumber(L, -1);
        return;
    }
    luaL_error(L, "%s: attribute %s does not accept a %s", op->name, spec->name,
               luaL_typename(L, -1));
}

static int refuse_list(lua_State *L, const sak_op *op)
{
    sak_error err;
    SAK_FAIL(&err, SAK_EINVAL,
             "%s takes tensors one by one, got a list of them: use table.unpack(list)", op->name);
    return sak_raise(L, &err);
}

/* Raises that op has no attribute of the name at index -2; its value lies at -1. */
static void refuse_attribute(lua_State *L, const sak_op *op)
{
    const bool listed = lua_type(L, -2) == LUA_TNUMBER; /* { x, … } instead of { name = x, … } */
    if (listed && test_tensor(L, -1))
        refuse_list(L, op);
    const char *name = luaL_tolstring(L, -2, NULL);
    sak_suggest near = sak_suggest_open(name, strlen(name));
    luaL_Buffer has;
    luaL_buffinit(L, &has);
    for (const sak_attr_spec *a = op->attrs; a && a->type != SAK_ATTR_END; a++) {
        if (!listed)
            sak_suggest_try(&near, a->name);
        luaL_addstring(&has, a == op->attrs ? "; it has " : ", ");
        luaL_addstring(&has, a->name);
    }
    luaL_pushresult(&has);
    if (near.best)
        luaL_error(L, "%s has no attribute '%s'; did you mean '%s'?", op->name, name, near.best);
    luaL_error(L, "%s has no attribute '%s'%s", op->name, name, lua_tostring(L, -1));
}

static void read_attributes(lua_State *L, const sak_op *op, int table, sak_attrs *attr)
{
    sak_op_defaults(op, attr);
    bool given[SAK_MAX_ATTRS] = {false};
    if (table) {
        lua_pushnil(L);
        while (lua_next(L, table)) {
            const int index =
                lua_type(L, -2) == LUA_TSTRING ? sak_op_attr(op, lua_tostring(L, -2)) : -1;
            if (index < 0)
                refuse_attribute(L, op);
            read_attribute(L, op, index, attr);
            given[index] = true;
            lua_pop(L, 1);
        }
    }
    for (int i = 0; op->attrs && op->attrs[i].type != SAK_ATTR_END; i++)
        if (op->attrs[i].required && !given[i])
            luaL_error(L, "%s needs the attribute %s", op->name, op->attrs[i].name);
}

/* What an op makes must fit: expand, pad and resize take any size. */
static sak_status fits(const sak_op *op, const sak_shape *y, sak_error *err)
{
    sak_error why;
    if (sak_shape_check(y, &why) == SAK_OK)
        return SAK_OK;
    return SAK_FAIL(err, why.code, "%s: its result has %s", op->name, why.msg);
}

/* Adds a node.  A script is charged for it: its memory is not Lua's, so the limit on work bounds it. */
static int add_node(lua_State *L, sak_graph *g, const sak_op *op, const sak_attrs *attr, int n,
                    const int *in)
{
    enum { OP_WORK = 20000 };
    int out = -1;
    sak_error err;
    sak_sandbox_charge(L, OP_WORK);
    SAK_CHECK(L, &err, sak_graph_op(g, op, attr, n, in, &out, &err));
    return out;
}

/* Raises that argument i is no tensor; a plain value may be meant as an attribute. */
static int refuse_argument(lua_State *L, const sak_op *op, int i)
{
    if (lua_istable(L, i) && lua_rawgeti(L, i, 1) == LUA_TUSERDATA)
        return refuse_list(L, op);
    char help[128] = "";
    const char *value = lua_isinteger(L, i) ? luaL_tolstring(L, i, NULL) : "…";
    if (lua_type(L, i) != LUA_TTABLE && op->attrs)
        snprintf(help, sizeof help, "; attributes have names: %s { %s = %s }", op->name,
                 op->attrs[0].name, value);
    sak_error err;
    SAK_FAIL(&err, SAK_EINVAL, "%s: argument %d must be a tensor, got %s%s", op->name, i,
             luaL_typename(L, i), help);
    return sak_raise(L, &err);
}

/* core.op.NAME(x, …, {attr = v}): the op row is the closure's upvalue. */
static int call_op(lua_State *L)
{
    const sak_op *op = lua_touserdata(L, lua_upvalueindex(1));
    const int top = lua_gettop(L);
    int in[SAK_MAX_IN], n = 0, table = 0, owner = 0;
    sak_graph *g = NULL;
    for (int i = 1; i <= top; i++) {
        if (lua_isnil(L, i))
            continue; /* an optional input left out */
        if (lua_istable(L, i) && i == top) {
            table = i;
            break;
        }
        const sak_ltensor *t = test_tensor(L, i);
        if (!t)
            return refuse_argument(L, op, i);
        if (n == SAK_MAX_IN)
            return luaL_error(L, "%s: more than %d inputs", op->name, SAK_MAX_IN);
        if (g && t->g != g)
            return luaL_error(L, "%s: inputs belong to different graphs", op->name);
        g = t->g;
        owner = i;
        in[n++] = t->node;
    }
    sak_attrs attr;
    read_attributes(L, op, table, &attr);
    if (!g) { /* an op without inputs: the graph comes as upvalue of graph:op */
        sak_lgraph *lg = luaL_testudata(L, lua_upvalueindex(2), "sak.graph");
        if (!lg)
            return luaL_error(L, "%s got no tensor: write x:%s(…), with a colon", op->name, op->name);
        g = &lg->g;
    }
    sak_error err;
    const int out = add_node(L, g, op, &attr, n, in);
    SAK_CHECK(L, &err, fits(op, &g->node[out]->s.y, &err));
    if (owner)
        lua_getiuservalue(L, owner, 1);
    else
        lua_pushvalue(L, lua_upvalueindex(2));
    sak_push_tensor(L, -1, g, out);
    return 1;
}

static int affine(lua_State *L, int tensor, double a, double b)
{
    const sak_ltensor *t = sak_to_tensor(L, tensor);
    const sak_op *op = sak_op_find("affine");
    sak_attrs attr;
    sak_op_defaults(op, &attr);
    attr.v[sak_op_attr(op, "a")] = a;
    attr.v[sak_op_attr(op, "b")] = b;
    const int out = add_node(L, t->g, op, &attr, 1, &t->node);
    lua_getiuservalue(L, tensor, 1);
    sak_push_tensor(L, -1, t->g, out);
    return 1;
}

static int binary(lua_State *L, const char *name)
{
    const sak_ltensor *a = sak_to_tensor(L, 1), *b = test_tensor(L, 2);
    sak_error err;
    if (!b || a->g != b->g) {
        SAK_FAIL(&err, SAK_EINVAL, "%s: the other operand must be a tensor of the same graph or a "
                 "number, got %s", name, b ? "a tensor of another graph" : luaL_typename(L, 2));
        return sak_raise(L, &err);
    }
    const int in[2] = {a->node, b->node};
    sak_attrs attr = {0};
    const int out = add_node(L, a->g, sak_op_find(name), &attr, 2, in);
    lua_getiuservalue(L, 1, 1);
    sak_push_tensor(L, -1, a->g, out);
    return 1;
}

static int t_add(lua_State *L)
{
    if (lua_isnumber(L, 2))
        return affine(L, 1, 1, lua_tonumber(L, 2));
    if (lua_isnumber(L, 1))
        return affine(L, 2, 1, lua_tonumber(L, 1));
    return binary(L, "add");
}

static int t_sub(lua_State *L)
{
    if (lua_isnumber(L, 2))
        return affine(L, 1, 1, -lua_tonumber(L, 2));
    if (lua_isnumber(L, 1))
        return affine(L, 2, -1, lua_tonumber(L, 1));
    return binary(L, "sub");
}

static int t_mul(lua_State *L)
{
    if (lua_isnumber(L, 2))
        return affine(L, 1, lua_tonumber(L, 2), 0);
    if (lua_isnumber(L, 1))
        return affine(L, 2, lua_tonumber(L, 1), 0);
    return binary(L, "mul");
}

static int t_div(lua_State *L)
{
    if (lua_isnumber(L, 2))
        return affine(L, 1, 1 / lua_tonumber(L, 2), 0);
    return binary(L, "div");
}

static int t_unm(lua_State *L)
{
    return affine(L, 1, -1, 0);
}

static int refuse_method(lua_State *L, const char *name)
{
    sak_suggest near = sak_suggest_open(name, strlen(name));
    for (int i = 0; sak_op_at(i); i++)
        sak_suggest_try(&near, sak_op_at(i)->name);
    char help[128] = "`sak ops` lists them";
    if (near.best)
        snprintf(help, sizeof help, "did you mean '%s'?", near.best);
    sak_error err;
    SAK_FAIL(&err, SAK_ENOENT, "tensors have no operation '%s'; %s", name, help);
    return sak_raise(L, &err);
}

static int t_index(lua_State *L)
{
    const sak_ltensor *t = sak_to_tensor(L, 1);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "shape") == 0) {
        sak_push_shape(L, &t->g->node[t->node]->s.y);
        return 1;
    }
    if (strcmp(key, "node") == 0) {
        lua_pushinteger(L, t->node);
        return 1;
    }
    lua_getfield(L, lua_upvalueindex(1), key);
    return lua_isnil(L, -1) ? refuse_method(L, key) : 1;
}

static int t_tostring(lua_State *L)
{
    const sak_ltensor *t = sak_to_tensor(L, 1);
    lua_pushfstring(L, "tensor %s", SAK_SHAPE_TEXT(&t->g->node[t->node]->s.y));
    return 1;
}

/* core.same_graph(a, b) */
static int same_graph(lua_State *L)
{
    lua_pushboolean(L, sak_to_tensor(L, 1)->g == sak_to_tensor(L, 2)->g);
    return 1;
}

/* graph:op(name, {attr}): for ops without inputs (randn). */
int sak_graph_op_method(lua_State *L)
{
    sak_to_graph(L, 1);
    const sak_op *op = sak_op_find(luaL_checkstring(L, 2));
    if (!op)
        return luaL_error(L, "there is no operation '%s'", lua_tostring(L, 2));
    lua_pushlightuserdata(L, (void *)op);
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, call_op, 2);
    lua_insert(L, 3);
    lua_call(L, lua_gettop(L) - 3, 1);
    return 1;
}

void sak_open_tensor(lua_State *L)
{
    lua_newtable(L);
    const sak_op *op = NULL;
    for (int i = 0; (op = sak_op_at(i)); i++) {
        lua_pushlightuserdata(L, (void *)op);
        lua_pushcclosure(L, call_op, 1);
        lua_setfield(L, -2, op->name);
    }
    luaL_newmetatable(L, TYPE);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, t_index, 1);
    lua_setfield(L, -2, "__index");
    static const luaL_Reg meta[] = {
        {"__add", t_add}, {"__sub", t_sub}, {"__mul", t_mul},           {"__div", t_div},
        {"__unm", t_unm}, {"__tostring", t_tostring}, {NULL, NULL},
    };
    luaL_setfuncs(L, meta, 0);
    lua_pushliteral(L, "tensor");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_setfield(L, -2, "op");
    lua_pushcfunction(L, same_graph);
    lua_setfield(L, -2, "same_graph");
}
