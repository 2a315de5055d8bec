/* The progress line in Lua. */
#include "base/progress.h"

#include <string.h>

#include "bind/core.h"

#define TYPE "sak.progress"

/* core.progress(total, label, {per_step =, unit =, tty =, quiet =}) */
static int open_progress(lua_State *L)
{
    sak_progress **own = lua_newuserdatauv(L, sizeof *own, 0);
    FILE *f = sak_opt_bool(L, 3, "quiet", false) ? NULL : stderr;
    *own = sak_progress_open(luaL_checkinteger(L, 1), luaL_checkstring(L, 2), f,
                             sak_opt_bool(L, 3, "tty", false));
    luaL_setmetatable(L, TYPE);
    const char *unit = sak_opt_text(L, 3, "unit", NULL);
    if (unit)
        sak_progress_unit(*own, sak_opt_number(L, 3, "per_step", 1), unit);
    return 1;
}

static sak_progress *to_progress(lua_State *L)
{
    return *(sak_progress **)luaL_checkudata(L, 1, TYPE);
}

static int p_update(lua_State *L)
{
    sak_progress_update(to_progress(L), luaL_checkinteger(L, 2), luaL_optstring(L, 3, NULL));
    return 0;
}

static int p_note(lua_State *L)
{
    sak_progress_note(to_progress(L), luaL_checkstring(L, 2));
    return 0;
}

static int p_close(lua_State *L)
{
    sak_progress **p = luaL_checkudata(L, 1, TYPE);
    sak_progress_close(*p);
    *p = NULL;
    return 0;
}

/* core.terminal() -> columns, rows of the terminal that standard error is */
static int terminal(lua_State *L)
{
    int columns, rows;
    sak_terminal_size(stderr, &columns, &rows);
    lua_pushinteger(L, columns);
    lua_pushinteger(L, rows);
    return 2;
}

void sak_open_progress(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"update", p_update}, {"note", p_note}, {"close", p_close}, {NULL, NULL}};
    sak_new_type(L, TYPE, methods, p_close);
    lua_pushcfunction(L, open_progress);
    lua_setfield(L, -2, "progress");
    lua_pushcfunction(L, terminal);
    lua_setfield(L, -2, "terminal");
}
