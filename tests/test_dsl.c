/* Runs the DSL's tests, tests/dsl/NAME.lua, each file in a Lua state of its own.  They run as
 * trusted code, under chunk names "=…", so that places in messages are those of the scripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "bind/sandbox.h"

static void run_file(lua_State *L, const char *name)
{
    char path[128], chunk[128];
    snprintf(path, sizeof path, "tests/dsl/%s.lua", name);
    snprintf(chunk, sizeof chunk, "=tests/%s.lua", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: cannot open (run from the repository's root)", path);
    static char text[1 << 18];
    const size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    if (luaL_loadbufferx(L, text, n, chunk, "t") != LUA_OK || lua_pcall(L, 0, 0, 0) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
}

static void run_group(const char *name)
{
    lua_State *L = NULL;
    sak_error err = {0};
    assert_int_equal(sak_sandbox_open(&L, NULL, &err), SAK_OK);
    run_file(L, "harness");
    run_file(L, name);
    lua_getglobal(L, "finish");
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1)); /* cmocka cuts long messages */
        fail();
    }
    sak_sandbox_close(L);
}

#define LUA_TESTS(name)                                                                            \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        run_group(#name);                                                                          \
    }
LUA_TESTS(config)
LUA_TESTS(diagnose)
LUA_TESTS(override)
LUA_TESTS(ablation)
LUA_TESTS(sandbox)
LUA_TESTS(json)
LUA_TESTS(schema)
LUA_TESTS(sampler)
LUA_TESTS(stopper)
LUA_TESTS(sweep_table)

static int push_text(lua_State *L)
{
    return luaL_loadstring(L, lua_tostring(L, 1)) == LUA_OK ? 1 : lua_error(L);
}

/* Runs `code` under the guard of a state with these options; the message it ends with. */
static void guarded(const sak_sandbox_options *o, const char *code, char *message, size_t size)
{
    lua_State *L = NULL;
    sak_error err = {0};
    assert_int_equal(sak_sandbox_open(&L, o, &err), SAK_OK);
    assert_int_equal(luaL_loadbufferx(L, code, strlen(code), "@code.lua", "t"), LUA_OK);
    const int status = sak_sandbox_guard(L, 0);
    snprintf(message, size, "%s", status == LUA_OK ? "" : lua_tostring(L, -1));
    assert_false(sak_sandbox_guarded(L));
    assert_int_equal(status == LUA_OK ? 0 : 1, lua_gettop(L));
    sak_sandbox_close(L);
}

static void limits_are_those_of_the_options(void **state)
{
    (void)state;
    char m[512];
    const sak_sandbox_options small = {.memory = 1 << 20, .work = 1000000};
    guarded(&small, "local t = {} for i = 1, 1e6 do t[i] = i end", m, sizeof m);
    assert_string_equal(m, "the script needs too much memory: the limit is 1 MiB");
    guarded(&small, "local n = 0\nwhile true do n = n + 1 end", m, sizeof m);
    assert_string_equal(
        m, "code.lua:2: the script does too much work: stopped after 1 million instructions");
    const sak_sandbox_options brief = {.seconds = 0.05, .work = UINT64_MAX};
    guarded(&brief, "while true do end", m, sizeof m);
    assert_non_null(strstr(m, "the script takes too long"));
    const sak_sandbox_options unsafe = {.memory = 1 << 20, .work = 1000, .unsafe = true};
    guarded(&unsafe, "local t = {} for i = 1, 1e6 do t[i] = i end", m, sizeof m);
    assert_string_equal(m, "");
}

/* A state that a limit stopped is as good as new, also when its allocations failed one by one. */
static void a_stopped_state_goes_on_working(void **state)
{
    (void)state;
    const sak_sandbox_options o = {.memory = 1 << 20, .work = 200000};
    lua_State *L = NULL;
    sak_error err = {0};
    assert_int_equal(sak_sandbox_open(&L, &o, &err), SAK_OK);
    for (int i = 0; i < 50; i++) {
        const char *code = i % 2 ? "local s = 'x' while true do s = s .. s end"
                                 : "local function f() pcall(f) end while true do f() end";
        lua_pushcfunction(L, push_text);
        lua_pushstring(L, code);
        assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
        assert_int_not_equal(sak_sandbox_guard(L, 0), LUA_OK);
        lua_pop(L, 1);
        assert_int_equal(luaL_dostring(L, "return #require('sak.schema').tasks"), LUA_OK);
        assert_int_equal(lua_tointeger(L, -1), 6);
        lua_settop(L, 0);
    }
    sak_sandbox_close(L);
}

/* --unsafe-lua: the whole library, no limits; constructors still know their places. */
static void unsafe_scripts_have_the_whole_library(void **state)
{
    (void)state;
    const char *code =
        "local config = require 'sak.config'\n"
        "local loaded, list = config.load('x.lua', nil, { files = { ['x.lua'] = [[\n"
        "local sak = require 'sak'\nassert(os.time() > 0 and io.open and require 'sak' == sak)\n"
        "return sak.experiment 'x' { sed = 1 }]] } })\n"
        "return loaded == nil and config.format(list)";
    for (int unsafe = 0; unsafe < 2; unsafe++) {
        const sak_sandbox_options o = {.unsafe = unsafe == 1};
        lua_State *L = NULL;
        sak_error err = {0};
        assert_int_equal(sak_sandbox_open(&L, &o, &err), SAK_OK);
        assert_int_equal(luaL_dostring(L, code), LUA_OK);
        const char *said = lua_tostring(L, -1);
        assert_non_null(strstr(said, unsafe ? "x.lua:3:29: error: the experiment has no setting 'sed'"
                                            : "x.lua:2:8: error: 'os' is not available"));
        sak_sandbox_close(L);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config),
        cmocka_unit_test(diagnose),
        cmocka_unit_test(override),
        cmocka_unit_test(ablation),
        cmocka_unit_test(sandbox),
        cmocka_unit_test(json),
        cmocka_unit_test(schema),
        cmocka_unit_test(sampler),
        cmocka_unit_test(stopper),
        cmocka_unit_test(sweep_table),
        cmocka_unit_test(limits_are_those_of_the_options),
        cmocka_unit_test(a_stopped_state_goes_on_working),
        cmocka_unit_test(unsafe_scripts_have_the_whole_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
