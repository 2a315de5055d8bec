/* Graphs in Lua: build, plan, run, read. */
#include <math.h>
#include <string.h>

#include "bind/core.h"

#define TYPE "sak.graph"

sak_lgraph *sak_to_graph(lua_State *L, int i)
{
    return luaL_checkudata(L, i, TYPE);
}

/* core.graph{training =, seed =, rewrite =, checkpoint =, bf16 =}; either of rewrite =
 * false and the environment turns rewriting off */
static int new_graph(lua_State *L)
{
    sak_lgraph *lg = lua_newuserdatauv(L, sizeof *lg, 1);
    sak_graph_open(&lg->g, sak_opt_bool(L, 1, "training", false),
                   (uint64_t)sak_opt_number(L, 1, "seed", 0));
    lg->g.rewrite = lg->g.rewrite && sak_opt_bool(L, 1, "rewrite", true);
    lg->g.checkpoint = sak_opt_bool(L, 1, "checkpoint", false);
    lg->g.bf16 = sak_opt_bool(L, 1, "bf16", false);
    luaL_setmetatable(L, TYPE);
    lua_newtable(L); /* keeps the parameter sets alive */
    lua_setiuservalue(L, -2, 1);
    return 1;
}

static int g_close(lua_State *L)
{
    sak_graph_close(&sak_to_graph(L, 1)->g);
    return 0;
}

static int g_input(lua_State *L)
{
    sak_lgraph *lg = sak_to_graph(L, 1);
    const sak_shape shape = sak_to_shape(L, 3);
    sak_error err;
    int out = 0;
    SAK_CHECK(L, &err, sak_graph_input(&lg->g, luaL_checkstring(L, 2), &shape, &out, &err));
    sak_push_tensor(L, 1, &lg->g, out);
    return 1;
}

/* Raises that argument i of graph:param, as a researcher calls it, is not what it must be. */
static int refuse_param(lua_State *L, int i, const char *must)
{
    const char *name = lua_tostring(L, 3), *dot = strrchr(name, '.');
    const char *got = lua_type(L, i) == LUA_TSTRING ? lua_pushfstring(L, "'%s'", lua_tostring(L, i))
                                                    : luaL_typename(L, i);
    if (lua_istable(L, i) && lua_geti(L, i, 1) == LUA_TSTRING)
        got = lua_pushfstring(L, lua_rawlen(L, i) > 1 ? "{ '%s', … }" : "{ '%s' }", lua_tostring(L, -1));
    sak_error err;
    SAK_FAIL(&err, SAK_EINVAL, "nn:%s(\"%s\", shape, init): %s, got %s",
             lua_toboolean(L, 6) ? "buffer" : "param", dot ? dot + 1 : name, must, got);
    return sak_raise(L, &err);
}

static sak_init to_init(lua_State *L, int i)
{
    static const char MUST[] = "init must be { \"zeros\" }, { \"constant\", value }, { \"normal\", std }, "
                               "{ \"trunc_normal\", std } or { \"uniform\", bound }";
    static const char *const kinds[] = {"zeros", "constant", "normal", "trunc_normal", "uniform"};
    if (lua_isnoneornil(L, i))
        return (sak_init){SAK_INIT_TRUNC_NORMAL, 0.02};
    if (!lua_istable(L, i))
        refuse_param(L, i, MUST);
    lua_geti(L, i, 1);
    lua_geti(L, i, 2);
    const bool named = lua_type(L, -2) == LUA_TSTRING, number = lua_type(L, -1) == LUA_TNUMBER;
    int kind = -1;
    for (int k = 0; named && k < (int)(sizeof kinds / sizeof *kinds); k++)
        if (strcmp(lua_tostring(L, -2), kinds[k]) == 0 && (number || k == SAK_INIT_ZEROS))
            kind = k;
    if (kind < 0)
        refuse_param(L, i, MUST);
    const double a = number ? lua_tonumber(L, -1) : 0;
    lua_pop(L, 2);
    return (sak_init){(sak_init_kind)kind, a};
}

/* graph:param(params, name, shape, {kind, a}, buffer) */
static int g_param(lua_State *L)
{
    sak_lgraph *lg = sak_to_graph(L, 1);
    sak_params *p = sak_to_params(L, 2);
    const char *name = luaL_checkstring(L, 3);
    lua_settop(L, 6);
    if (!lua_istable(L, 4))
        refuse_param(L, 4, "shape must be a list of whole numbers, { 1 } for a single one");
    const sak_shape shape = sak_to_shape(L, 4);
    sak_error err;
    int index = 0, node = 0;
    SAK_CHECK(L, &err, sak_params_add(p, name, &shape, to_init(L, 5), lua_toboolean(L, 6), &index,
                                      &err));
    SAK_CHECK(L, &err, sak_graph_param(&lg->g, p, index, &node, &err));
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    lua_pushboolean(L, 1);
    lua_settable(L, -3);
    sak_push_tensor(L, 1, &lg->g, node);
    return 1;
}

/* graph:block(true) begins a block of nodes that may be recomputed together, graph:block(false)
 * ends it.  A block within a block belongs to the outer one: true is returned by the call that
 * began one. */
static int g_block(lua_State *L)
{
    sak_graph *g = &sak_to_graph(L, 1)->g;
    const bool begin = lua_toboolean(L, 2), begun = begin && g->block == 0;
    if (begun)
        g->block = ++g->n_blocks;
    else if (!begin)
        g->block = 0;
    lua_pushboolean(L, begun);
    return 1;
}

static int g_output(lua_State *L)
{
    sak_lgraph *lg = sak_to_graph(L, 1);
    const sak_ltensor *t = sak_to_tensor(L, 3);
    sak_error err;
    SAK_CHECK(L, &err, sak_graph_output(&lg->g, luaL_checkstring(L, 2), t->node, &err));
    return 0;
}

static int g_plan(lua_State *L)
{
    sak_lgraph *lg = sak_to_graph(L, 1);
    const int loss = lua_isnoneornil(L, 2) ? -1 : sak_to_tensor(L, 2)->node;
    sak_error err;
    SAK_CHECK(L, &err, sak_graph_plan(&lg->g, loss, &err));
    return 0;
}

/* graph:share(other): both planned, neither allocated; their activations will lie in the same place */
static int g_share(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_graph_share_slab(&sak_to_graph(L, 1)->g, &sak_to_graph(L, 2)->g, &err));
    return 0;
}

static int g_allocate(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_graph_allocate(&sak_to_graph(L, 1)->g, &err));
    return 0;
}

static int g_forward(lua_State *L)
{
    sak_graph_forward(&sak_to_graph(L, 1)->g, (uint64_t)luaL_optinteger(L, 2, 0));
    return 0;
}

static int g_backward(lua_State *L)
{
    sak_graph_backward(&sak_to_graph(L, 1)->g, (uint64_t)luaL_optinteger(L, 2, 0));
    return 0;
}

static int named(lua_State *L, sak_graph *g, int i)
{
    const char *name = luaL_checkstring(L, i);
    const int node = sak_graph_find(g, name);
    if (node < 0 || !sak_graph_value(g, node))
        return luaL_error(L, "the graph has no input or output '%s'", name);
    return node;
}

/* graph:value(name): a number where there is one element, else a flat list. */
static int g_value(lua_State *L)
{
    sak_graph *g = &sak_to_graph(L, 1)->g;
    const int node = named(L, g, 2);
    const sak_real *x = sak_graph_value(g, node);
    const int64_t n = sak_shape_count(&g->node[node]->s.y);
    if (n == 1) {
        lua_pushnumber(L, x[0]);
        return 1;
    }
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_pushnumber(L, x[i]);
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

/* graph:shape(name) */
static int g_shape(lua_State *L)
{
    sak_graph *g = &sak_to_graph(L, 1)->g;
    const int node = sak_graph_find(g, luaL_checkstring(L, 2));
    if (node < 0)
        return 0;
    sak_push_shape(L, &g->node[node]->s.y);
    return 1;
}

/* graph:set(name, number or list): fills an input. */
static int g_set(lua_State *L)
{
    sak_graph *g = &sak_to_graph(L, 1)->g;
    const int node = named(L, g, 2);
    sak_real *x = sak_graph_value(g, node);
    const int64_t n = sak_shape_count(&g->node[node]->s.y);
    if (lua_isnumber(L, 3)) {
        for (int64_t i = 0; i < n; i++)
            x[i] = (sak_real)lua_tonumber(L, 3);
        return 0;
    }
    if (luaL_len(L, 3) != n)
        return luaL_error(L, "'%s' has %d elements, got %d", lua_tostring(L, 2), (int)n,
                          (int)luaL_len(L, 3));
    for (int64_t i = 0; i < n; i++) {
        lua_geti(L, 3, i + 1);
        x[i] = (sak_real)luaL_checknumber(L, -1);
        lua_pop(L, 1);
    }
    return 0;
}

/* graph:flops(with_backward, as_built): of what is executed, or of the graph before rewriting */
static int g_flops(lua_State *L)
{
    const sak_graph *g = &sak_to_graph(L, 1)->g;
    const bool backward = lua_toboolean(L, 2);
    lua_pushnumber(L, lua_toboolean(L, 3) ? g->plain_flops[backward] : sak_graph_flops(g, backward));
    return 1;
}

static int g_bytes(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)sak_graph_bytes(&sak_to_graph(L, 1)->g, sak_pool_threads()));
    return 1;
}

/* graph:profile(true) starts; graph:profile() returns {["op backward"] = seconds, …}. */
static int g_profile(lua_State *L)
{
    sak_graph *g = &sak_to_graph(L, 1)->g;
    if (!lua_isnone(L, 2)) {
        g->profiling = lua_toboolean(L, 2);
        for (int i = 0; g->op_seconds && i < g->n_calls; i++)
            g->op_seconds[i] = 0;
        return 0;
    }
    lua_newtable(L);
    for (int i = 0; i < g->n_calls; i++) {
        lua_pushfstring(L, "%s%s", g->node[g->call[i].node]->s.op->name,
                        g->call[i].backward ? " backward" : g->call[i].again ? " again" : "");
        lua_pushvalue(L, -1);
        lua_gettable(L, -3);
        const double before = lua_isnil(L, -1) ? 0 : lua_tonumber(L, -1);
        lua_pop(L, 1);
        lua_pushnumber(L, before + g->op_seconds[i]);
        lua_settable(L, -3);
    }
    return 1;
}

/* graph:hash() -> what a planned graph computes; see sak_graph_hash */
static int g_hash(lua_State *L)
{
    char text[SAK_HASH_TEXT];
    sak_graph_hash(&sak_to_graph(L, 1)->g, text);
    lua_pushstring(L, text);
    return 1;
}

static int g_dump(lua_State *L)
{
    sak_graph_dump(&sak_to_graph(L, 1)->g, stderr);
    return 0;
}

void sak_open_graph(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"op", sak_graph_op_method}, {"input", g_input}, {"param", g_param},     {"output", g_output}, {"block", g_block},
        {"plan", g_plan},         {"allocate", g_allocate}, {"forward", g_forward},
        {"backward", g_backward}, {"value", g_value},     {"shape", g_shape},
        {"set", g_set},           {"flops", g_flops},     {"bytes", g_bytes},
        {"memory", sak_graph_memory_method}, {"share", g_share},
        {"profile", g_profile},   {"dump", g_dump},       {"hash", g_hash},
        {"close", g_close},
        {NULL, NULL},
    };
    sak_new_type(L, TYPE, methods, g_close);
    lua_pushcfunction(L, new_graph);
    lua_setfield(L, -2, "graph");
}
