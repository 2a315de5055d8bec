/* Scripts, all the way: sandbox, configuration, checks, and the graphs of every stage, planned but
 * without memory, as `sak check` and `sak run` make them before anything trains.
 *
 * What is wrong with a script comes as diagnostics or as an error that names it.  An error placed in
 * sak's own modules is our bug, whatever the script; so is a configuration whose JSON does not give
 * itself again.  Lua has no coverage that libFuzzer could see: each kind of message and each setting
 * that was given counts as a place reached. */
#include <lauxlib.h>
#include <stdio.h>

#include "base/pool.h"
#include "bind/core.h"
#include "bind/sandbox.h"
#include "fuzz/fuzz.h"
#include "kernels/gemm.h"

static const char driver[] =
    "local host = require 'sak.host'\n"
    "host.note = function() end -- print\n"
    "local compile, compiled = host.compile, {}\n"
    "function host.compile(text, chunk, env) -- sak's own modules are parsed once\n"
    "  if not chunk:find '^=sak/' then return compile(text, chunk, env) end\n"
    "  compiled[text] = compiled[text] or string.dump(compile(text, chunk, env))\n"
    "  return load(compiled[text], chunk, 'b', env)\n"
    "end\n"
    "local config = require 'sak.config'\n"
    "local run = require 'sak.run'\n"
    "local job = { db = '/nonexistent/sak.db', args = {}, set = {}, quiet = true, threads = 1 }\n"
    "local base = [[local sak = require 'sak'\n"
    "return sak.experiment 'base' { data = sak.data.rooms { train = 2, val = 1, size = { 16, 16 } },\n"
    "  model = 'multi_task', student = sak.student { stem = sak.vit { width = 8, depth = 4, heads = 2, patch = 8 },\n"
    "  tasks = { 'depth' } }, stages = { sak.multitask { iterations = 8, batch = 2, optim = sak.adamw { lr = 1e-3 } } } }]]\n"
    "local function ours(message) return message:find '^sak/[%w_/]+%.lua:%d+:' end\n"
    "local function rehearse(loaded)\n"
    "  if host.encode(host.decode(loaded.json)) ~= loaded.json then return 'BUG: json' end\n"
    "  local ok, message = pcall(run.rehearsal, loaded, job)\n"
    "  message = not ok and (type(message) == 'table' and message.text or tostring(message)) or 'fine'\n"
    "  return ours(message) and 'BUG: ' .. message or message\n"
    "end\n"
    "return function(text, reached)\n"
    "  local ok, loaded, problems = pcall(config.load, 'fuzz.lua', nil,\n"
    "    { files = { ['fuzz.lua'] = text, ['base.lua'] = base } })\n"
    "  if not ok then\n"
    "    loaded = type(loaded) == 'table' and loaded.text or tostring(loaded)\n"
    "    return ours(loaded) and 'BUG: ' .. loaded or loaded\n"
    "  end\n"
    "  if not loaded then\n"
    "    for _, p in ipairs(problems) do\n"
    "      reached(p.message)\n"
    "      if ours(p.message) or (p.file or ''):find '^sak/' then return 'BUG: ' .. config.format(problems) end\n"
    "    end\n"
    "    return #config.format(problems) > 0 and 'refused' or 'BUG: refused without a word'\n"
    "  end\n"
    "  for _, p in ipairs(loaded.params or {}) do\n"
    "    if p.origin ~= 'default' then reached(p.path .. '=' .. tostring(p.value)) end\n"
    "  end\n"
    "  if loaded.kind == 'experiment' then return rehearse(loaded) end\n"
    "  for i = 1, math.min(#loaded.trials, 2) do\n"
    "    local trial = loaded.trials[i]\n"
    "    trial.sources = loaded.sources\n"
    "    local message = rehearse(trial)\n"
    "    reached('trial: ' .. message)\n"
    "    if message:find '^BUG' then return message end\n"
    "  end\n"
    "  return 'ablation'\n"
    "end\n";

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t kinds[8192];

/* A message without what the input put into it: texts in quotes, numbers, places. */
static void count(const char *message)
{
    uint32_t h = 2166136261u;
    bool quoted = false;
    for (const char *c = message; *c; c++) {
        if (*c == '\'')
            quoted = !quoted;
        else if (!quoted && (*c < '0' || *c > '9') && *c != '-' && *c != '.')
            h = (h ^ (uint8_t)*c) * 16777619u;
    }
    kinds[h % sizeof kinds] = 1;
}

static int reached(lua_State *L)
{
    count(luaL_checkstring(L, 1));
    return 0;
}

static lua_State *open_state(void)
{
    lua_State *L = NULL;
    sak_error err;
    const sak_sandbox_options limits = {.memory = 8 << 20, .work = 2000000, .seconds = 5};
    if (sak_sandbox_open(&L, &limits, &err) != SAK_OK)
        abort();
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_sak_core);
    lua_setfield(L, -2, "sak.core");
    lua_pop(L, 1);
    if (luaL_loadbufferx(L, driver, sizeof driver - 1, "=driver", "t") != LUA_OK ||
        lua_pcall(L, 0, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    static unsigned inputs;
    sak_error err;
    if (!L) {
        sak_gemm_init();
        if (sak_pool_open(1, &err) != SAK_OK)
            abort();
    }
    if (L && ++inputs % 2000 == 0) { /* what a state gathers is not for ever */
        sak_sandbox_close(L);
        L = NULL;
    }
    if (!L)
        L = open_state();
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)data, size);
    lua_pushcfunction(L, reached);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK || lua_type(L, -1) != LUA_TSTRING ||
        strncmp(lua_tostring(L, -1), "BUG", 3) == 0) {
        fprintf(stderr, "%s\n", lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no message");
        abort();
    }
    count(lua_tostring(L, -1));
    if (getenv("SAK_FUZZ_SAY")) /* what becomes of an input, when one is looked at alone */
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_settop(L, 1);
    return 0;
}
