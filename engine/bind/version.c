/* Lua's version, for `sak doctor`. */
#include "bind/version.h"

#include <lua.h>

const char *sak_lua_version(void)
{
    return LUA_RELEASE;
}
