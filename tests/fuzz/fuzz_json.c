/* JSON as configurations and checkpoints hold it: what is read can be written, and what is written
 * reads and writes the same again. */
#include <lauxlib.h>

#include "bind/json.h"
#include "bind/sandbox.h"
#include "fuzz/fuzz.h"

static lua_State *state(void)
{
    static lua_State *L;
    sak_error err;
    const sak_sandbox_options limits = {.memory = 64 << 20, .work = UINT64_MAX, .seconds = 1e9};
    if (!L && sak_sandbox_open(&L, &limits, &err) != SAK_OK)
        abort();
    return L;
}

/* f(value on top) -> its result, which takes the value's place, or false and its message. */
static bool call(lua_State *L, lua_CFunction f)
{
    lua_pushcfunction(L, f);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
        return true;
    if (lua_type(L, -1) != LUA_TSTRING || lua_rawlen(L, -1) == 0)
        abort();
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lua_State *L = state();
    lua_pushlstring(L, (const char *)data, size);
    if (call(L, sak_json_decode) && call(L, sak_json_encode)) {
        lua_pushvalue(L, -1);
        if (!call(L, sak_json_decode) || !call(L, sak_json_encode) || !lua_rawequal(L, -1, -2))
            abort();
    }
    lua_settop(L, 0);
    return 0;
}
