/* Optimisers in Lua, the training step, and the pool. */
#include <math.h>
#include <string.h>

#include "bind/core.h"
#include "train/optim.h"

#define TYPE "sak.optim"

typedef struct loptim {
    sak_optim o;
    sak_params *p;
} loptim;

static loptim *to_optim(lua_State *L, int i)
{
    return luaL_checkudata(L, i, TYPE);
}

/* core.optim(params, {kind =, beta1 =, beta2 =, eps =, momentum =, weight_decay =}) */
static int new_optim(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    static const char *const kinds[] = {"adamw", "adam", "sgd", NULL};
    lua_getfield(L, 2, "kind");
    const int kind = luaL_checkoption(L, -1, "adamw", kinds);
    lua_pop(L, 1);
    loptim *lo = lua_newuserdatauv(L, sizeof *lo, 1);
    lo->p = p;
    lo->o = (sak_optim){0};
    luaL_setmetatable(L, TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    sak_error err;
    SAK_CHECK(L, &err, sak_optim_open(&lo->o, (sak_optim_kind)kind, p, &err));
    lo->o.beta1 = sak_opt_number(L, 2, "beta1", lo->o.beta1);
    lo->o.beta2 = sak_opt_number(L, 2, "beta2", lo->o.beta2);
    lo->o.eps = sak_opt_number(L, 2, "eps", lo->o.eps);
    lo->o.momentum = sak_opt_number(L, 2, "momentum", lo->o.momentum);
    lo->o.weight_decay = sak_opt_number(L, 2, "weight_decay", 0);
    return 1;
}

static int o_close(lua_State *L)
{
    sak_optim_close(&to_optim(L, 1)->o);
    return 0;
}

static int o_norm(lua_State *L)
{
    loptim *lo = to_optim(L, 1);
    lua_pushnumber(L, sak_optim_grad_norm(&lo->o, lo->p));
    return 1;
}

/* optim:step(lr, clip) -> gradient norm before clipping.  Nothing is updated when it is not finite. */
static int o_step(lua_State *L)
{
    loptim *lo = to_optim(L, 1);
    const double norm = sak_optim_grad_norm(&lo->o, lo->p);
    if (isfinite(norm))
        sak_optim_step(&lo->o, lo->p, luaL_checknumber(L, 2), luaL_optnumber(L, 3, 0), norm);
    lua_pushnumber(L, norm);
    return 1;
}

/* optim:updates([n]) -> how many there have been; with n, goes on from there. */
static int o_updates(lua_State *L)
{
    loptim *lo = to_optim(L, 1);
    lo->o.step = luaL_optinteger(L, 2, lo->o.step);
    lua_pushinteger(L, lo->o.step);
    return 1;
}

static int threads(lua_State *L)
{
    if (!lua_isnoneornil(L, 1)) {
        sak_error err;
        SAK_CHECK(L, &err, sak_pool_open((int)luaL_checkinteger(L, 1), &err));
    }
    lua_pushinteger(L, sak_pool_threads());
    return 1;
}

void sak_open_train(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"norm", o_norm}, {"step", o_step}, {"updates", o_updates}, {"close", o_close}, {NULL, NULL}};
    sak_new_type(L, TYPE, methods, o_close);
    lua_pushcfunction(L, new_optim);
    lua_setfield(L, -2, "optim");
    lua_pushcfunction(L, threads);
    lua_setfield(L, -2, "threads");
}
