/* Memory in Lua: what a graph's plan consists of, and what the machine has. */
#include <stdlib.h>

#include "base/machine.h"
#include "bind/core.h"
#include "graph/memory.h"

static lua_Integer bytes(int64_t count)
{
    return (lua_Integer)(count * (int64_t)sizeof(sak_real));
}

static void set_bytes(lua_State *L, const char *key, int64_t count)
{
    lua_pushinteger(L, bytes(count));
    lua_setfield(L, -2, key);
}

static void add_bytes(lua_State *L, const char *key, int64_t count)
{
    const lua_Integer before = lua_getfield(L, -1, key) == LUA_TNIL ? 0 : lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_pushinteger(L, before + bytes(count));
    lua_setfield(L, -2, key);
}

static int by_size(const void *pa, const void *pb)
{
    const sak_buffer *a = *(const sak_buffer *const *)pa, *b = *(const sak_buffer *const *)pb;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return a < b ? -1 : 1;
}

static void push_buffer(lua_State *L, const sak_graph *g, const sak_buffer *b)
{
    const sak_node *node = g->node[b->node];
    const bool named = node->kind != SAK_NODE_OP;
    lua_createtable(L, 0, 5);
    lua_pushstring(L, sak_buffer_kind_name(g, b));
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, named ? node->name : node->s.op->name);
    lua_setfield(L, -2, "what");
    lua_pushstring(L, named ? "" : sak_graph_landmark(g, b->node));
    lua_setfield(L, -2, "after");
    sak_push_shape(L, &node->s.y);
    lua_setfield(L, -2, "shape");
    set_bytes(L, "bytes", b->count);
}

/* What is in use at the peak: the sums by kind, and the largest `limit` buffers, on two tables. */
static int push_parts(lua_State *L, const sak_graph *g, int call, lua_Integer limit)
{
    const sak_buffer **alive = malloc((size_t)(g->n_buffers + 1) * sizeof *alive);
    if (!alive)
        return luaL_error(L, "out of memory for the plan's parts");
    int n = 0;
    for (int i = 0; i < g->n_buffers; i++)
        if (sak_buffer_lives(&g->buffer[i], call))
            alive[n++] = &g->buffer[i];
    qsort(alive, (size_t)n, sizeof *alive, by_size);
    lua_newtable(L);
    for (int i = 0; i < n; i++)
        add_bytes(L, sak_buffer_kind_name(g, alive[i]), alive[i]->count);
    lua_newtable(L);
    for (int i = 0; i < n && i < limit; i++) {
        push_buffer(L, g, alive[i]);
        lua_seti(L, -2, i + 1);
    }
    free(alive);
    return 2;
}

/* graph:memory([limit]) -> {bytes = slab, least = most of it that is in use at once, inputs =,
 * scratch = of all threads, at = "linear backward" (the call at the peak), parts = {kind = bytes},
 * largest = the `limit` (8) largest at the peak: {kind, what, after = a parameter nearby, shape, bytes}} */
int sak_graph_memory_method(lua_State *L)
{
    const sak_graph *g = &sak_to_graph(L, 1)->g;
    const lua_Integer limit = luaL_optinteger(L, 2, 8);
    const sak_peak peak = sak_graph_peak(g);
    lua_newtable(L);
    set_bytes(L, "bytes", g->activation_count);
    set_bytes(L, "least", peak.count);
    set_bytes(L, "inputs", g->input_count);
    set_bytes(L, "scratch", g->each_count * sak_pool_threads());
    if (peak.call < g->n_calls) {
        const sak_call *call = &g->call[peak.call];
        lua_pushfstring(L, "%s%s, %s", g->node[call->node]->s.op->name,
                        call->backward ? " backward" : call->again ? " again" : "",
                        sak_graph_landmark(g, call->node));
    } else {
        lua_pushliteral(L, "the update");
    }
    lua_setfield(L, -2, "at");
    push_parts(L, g, peak.call, limit);
    lua_setfield(L, -3, "largest");
    lua_setfield(L, -2, "parts");
    return 1;
}

/* core.memory() -> {total, available} in bytes: what this process may use, and could get now; absent
 * where unknown */
static int machine_memory(lua_State *L)
{
    const sak_machine_memory m = sak_machine_memory_now();
    const double total = m.limit > 0 ? m.limit : m.total;
    lua_newtable(L);
    if (total > 0) {
        lua_pushnumber(L, total);
        lua_setfield(L, -2, "total");
        lua_pushnumber(L, m.available < total ? m.available : total);
        lua_setfield(L, -2, "available");
    }
    return 1;
}

void sak_open_memory(lua_State *L)
{
    lua_pushcfunction(L, machine_memory);
    lua_setfield(L, -2, "memory");
}
