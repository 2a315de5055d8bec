/* What `sak bench` needs of the engine beyond a run: synthetic inputs, the machine's peak, families. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "bind/core.h"
#include "kernels/peak.h"

/* core.peak("float32" | "bf16", seconds) -> FLOP/s of the pool's threads; nil without such units */
static int peak(lua_State *L)
{
    static const char *const kinds[] = {"float32", "bf16", NULL};
    const double v = sak_peak_flops(luaL_checkoption(L, 1, NULL, kinds) == 1, luaL_checknumber(L, 2));
    if (v <= 0)
        return 0;
    lua_pushnumber(L, v);
    return 1;
}

/* core.op_family(name) -> "linear", "norm", …; nil for what is not an op */
static int op_family(lua_State *L)
{
    lua_pushstring(L, sak_op_family(luaL_checkstring(L, 1)));
    return 1;
}

typedef enum noise { NORMAL, UNIT, CLASSES, POSITIVE, RARE } noise;

static sak_real draw(noise kind, sak_rng *rng, double a)
{
    switch (kind) {
    case CLASSES:
        return (sak_real)sak_rng_int(rng, (int64_t)a);
    case POSITIVE:
        return (sak_real)sak_rng_range(rng, 1, 2);
    case RARE:
        return sak_rng_uniform(rng) < a;
    default:
        return (sak_real)sak_rng_normal(rng);
    }
}

/* Makes each vector of the last axis one of length 1. */
static void normalise(sak_real *x, int64_t n, int64_t width)
{
    for (int64_t i = 0; i + width <= n; i += width) {
        double sum = 0;
        for (int64_t k = 0; k < width; k++)
            sum += (double)x[i + k] * (double)x[i + k];
        for (int64_t k = 0; k < width; k++)
            x[i + k] = (sak_real)(x[i + k] / sqrt(sum + 1e-12));
    }
}

/* core.synthesize(graph, input, kind, a): fills an input of an allocated graph with noise that
 * depends on its name alone: "normal" N(0, 1), "unit" vectors over the last axis, "classes" 0 … a-1,
 * "positive" [1, 2), "rare" 1 with probability a, else 0. */
static int synthesize(lua_State *L)
{
    static const char *const kinds[] = {"normal", "unit", "classes", "positive", "rare", NULL};
    sak_graph *g = &sak_to_graph(L, 1)->g;
    const char *name = luaL_checkstring(L, 2);
    const noise kind = (noise)luaL_checkoption(L, 3, NULL, kinds);
    const double a = luaL_optnumber(L, 4, 1);
    const int node = sak_graph_find(g, name);
    sak_real *x = node < 0 ? NULL : sak_graph_value(g, node);
    if (!x)
        return luaL_error(L, "the graph has no input '%s'", name);
    const sak_shape *s = &g->node[node]->s.y;
    const int64_t n = sak_shape_count(s);
    uint64_t key = 0;
    for (const char *p = name; *p; p++)
        key = key * 131 + (unsigned char)*p;
    sak_rng rng = sak_rng_open(0, SAK_RNG_SAMPLE, key, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = draw(kind, &rng, a);
    if (kind == UNIT)
        normalise(x, n, sak_shape_last(s));
    return 0;
}

void sak_open_bench(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"peak", peak}, {"op_family", op_family}, {"synthesize", synthesize}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
