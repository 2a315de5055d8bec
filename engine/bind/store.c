/* The results database in Lua: recording a run, and read-only queries. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "bind/core.h"

#define STORE "sak.store"
#define RUN "sak.run"
#define ROWS "sak.rows"

sak_store *sak_to_store(lua_State *L, int i)
{
    sak_store **s = luaL_checkudata(L, i, STORE);
    if (!*s)
        luaL_error(L, "the database is closed");
    return *s;
}

sak_run *sak_to_run(lua_State *L, int i)
{
    sak_run **r = luaL_checkudata(L, i, RUN);
    if (!*r)
        luaL_error(L, "the run is finished");
    return *r;
}

/* core.store(path, "read" | "write" | "spool") */
static int open_store(lua_State *L)
{
    static const char *const modes[] = {"read", "write", "spool", NULL};
    static const sak_store_mode values[] = {SAK_STORE_READ, SAK_STORE_WRITE, SAK_STORE_SPOOL};
    const int mode = luaL_checkoption(L, 2, "read", modes);
    sak_store **own = lua_newuserdatauv(L, sizeof *own, 0);
    *own = NULL;
    luaL_setmetatable(L, STORE);
    sak_error err;
    SAK_CHECK(L, &err, sak_store_open(luaL_checkstring(L, 1), values[mode], own, &err));
    return 1;
}

static int s_close(lua_State *L)
{
    sak_store **s = luaL_checkudata(L, 1, STORE);
    if (*s)
        sak_store_close(*s);
    *s = NULL;
    return 0;
}

static sak_run_info to_info(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TTABLE);
    sak_run_info info = {.seed = (int64_t)sak_opt_number(L, 2, "seed", 0),
                         .git_dirty = sak_opt_bool(L, 2, "git_dirty", false),
                         .threads = (int)sak_opt_number(L, 2, "threads", 0),
                         .trial = (int64_t)sak_opt_number(L, 2, "trial", 0),
                         .arm_index = (int)sak_opt_number(L, 2, "arm_index", 0)};
    const struct {
        const char *key;
        const char **at;
    } texts[] = {
        {"experiment", &info.experiment},       {"name", &info.name},
        {"kind", &info.kind},                   {"script_path", &info.script_path},
        {"script_text", &info.script_text},     {"config_json", &info.config_json},
        {"config_sha256", &info.config_sha256}, {"group_sha256", &info.group_sha256},
        {"compare_sha256", &info.compare_sha256}, {"git_commit", &info.git_commit},
        {"git_diff", &info.git_diff},           {"data_id", &info.data_id},
        {"argv", &info.argv},                   {"env", &info.env},
        {"sak_version", &info.sak_version},     {"cpu", &info.cpu},
        {"blis_kernel", &info.blis_kernel},     {"isa", &info.isa},
        {"sweep", &info.sweep},                 {"arm", &info.arm},
        {"cell", &info.cell},                   {"uid", &info.uid},
        {"frozen_json", &info.frozen_json}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i].at = sak_opt_text(L, 2, texts[i].key, NULL);
    return info;
}

static sak_run **new_run(lua_State *L)
{
    sak_run **own = lua_newuserdatauv(L, sizeof *own, 1);
    *own = NULL;
    luaL_setmetatable(L, RUN);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return own;
}

/* store:begin{experiment =, config_json =, …}: the fields of sak_run_info. */
static int s_begin(lua_State *L)
{
    const sak_run_info info = to_info(L);
    sak_error err;
    SAK_CHECK(L, &err, sak_run_begin(sak_to_store(L, 1), &info, new_run(L), &err));
    return 1;
}

/* store:resume({…}, run, step): a further attempt; what was logged after the step no longer stands. */
static int s_resume(lua_State *L)
{
    const sak_run_info info = to_info(L);
    const int64_t run = luaL_checkinteger(L, 3), step = luaL_checkinteger(L, 4);
    sak_error err;
    SAK_CHECK(L, &err, sak_run_resume(sak_to_store(L, 1), run, &info, step, new_run(L), &err));
    return 1;
}

static sak_value to_value(lua_State *L, int i)
{
    if (lua_isinteger(L, i))
        return (sak_value){.type = SAK_INT, .i = lua_tointeger(L, i)};
    if (lua_type(L, i) == LUA_TNUMBER)
        return (sak_value){.type = SAK_NUM, .num = lua_tonumber(L, i)};
    if (lua_type(L, i) == LUA_TSTRING)
        return (sak_value){.type = SAK_TEXT, .text = lua_tostring(L, i), .bytes = lua_rawlen(L, i)};
    return (sak_value){.type = SAK_NULL};
}

static void push_value(lua_State *L, sak_value v)
{
    switch (v.type) {
    case SAK_INT:
        lua_pushinteger(L, v.i);
        return;
    case SAK_NUM:
        lua_pushnumber(L, v.num);
        return;
    case SAK_TEXT:
    case SAK_BLOB:
        lua_pushlstring(L, v.text, v.bytes);
        return;
    default:
        lua_pushnil(L);
    }
}

static int rows_gc(lua_State *L)
{
    sak_rows **own = luaL_checkudata(L, 1, ROWS);
    sak_rows_close(*own);
    *own = NULL;
    return 0;
}

/* store:query(sql, …) -> list of rows, each {column = value}.  Lua may run out of memory in between:
 * the statement is closed all the same, before its store. */
static int s_query(lua_State *L)
{
    enum { MAX = 16 };
    sak_value params[MAX];
    const int n = lua_gettop(L) - 2;
    if (n > MAX)
        return luaL_error(L, "a query takes at most %d parameters", MAX);
    for (int i = 0; i < n; i++)
        params[i] = to_value(L, i + 3);
    const sak_query q = {.sql = luaL_checkstring(L, 2), .params = params, .n_params = n > 0 ? n : 0};
    sak_rows **own = lua_newuserdatauv(L, sizeof *own, 0);
    *own = NULL;
    luaL_setmetatable(L, ROWS);
    lua_toclose(L, -1);
    sak_error err;
    SAK_CHECK(L, &err, sak_store_query(sak_to_store(L, 1), &q, own, &err));
    sak_rows *rows = *own;
    lua_newtable(L);
    bool more = true;
    sak_status st = SAK_OK;
    for (lua_Integer k = 1; (st = sak_rows_next(rows, &more, &err)) == SAK_OK && more; k++) {
        lua_newtable(L);
        for (int c = 0; c < sak_rows_columns(rows); c++) {
            push_value(L, sak_rows_value(rows, c));
            lua_setfield(L, -2, sak_rows_name(rows, c));
        }
        lua_seti(L, -2, k);
    }
    return st == SAK_OK ? 1 : sak_raise(L, &err);
}

/* store:find(what) -> id of the run: an id, @last, @last-N, a unique prefix of a uid, or a name. */
static int s_find(lua_State *L)
{
    int64_t id = 0;
    sak_error err;
    SAK_CHECK(L, &err, sak_store_find_run(sak_to_store(L, 1), luaL_checkstring(L, 2), &id, &err));
    lua_pushinteger(L, id);
    return 1;
}

static int r_id(lua_State *L)
{
    const sak_run *r = sak_to_run(L, 1);
    lua_pushinteger(L, sak_run_id(r));
    lua_pushstring(L, sak_run_uid(r));
    return 2;
}

/* run:log(key, step, value) */
static int r_log(lua_State *L)
{
    sak_run_log(sak_to_run(L, 1), luaL_checkstring(L, 2), luaL_checkinteger(L, 3),
                luaL_checknumber(L, 4));
    return 0;
}

/* run:describe(key, {goal =, unit =, task =}) */
static int r_describe(lua_State *L)
{
    const sak_key_info info = {.goal = sak_opt_text(L, 3, "goal", NULL),
                               .unit = sak_opt_text(L, 3, "unit", NULL),
                               .task = sak_opt_text(L, 3, "task", NULL)};
    sak_run_key(sak_to_run(L, 1), luaL_checkstring(L, 2), &info);
    return 0;
}

/* run:param(path, value, origin) */
static int r_param(lua_State *L)
{
    const char *type = "null", *text = NULL;
    double num = 0.0 / 0.0;
    switch (lua_type(L, 3)) {
    case LUA_TNUMBER:
        type = lua_isinteger(L, 3) ? "integer" : "number";
        num = lua_tonumber(L, 3);
        break;
    case LUA_TBOOLEAN:
        type = "boolean";
        num = lua_toboolean(L, 3);
        text = lua_toboolean(L, 3) ? "true" : "false";
        break;
    case LUA_TSTRING:
        type = "string";
        text = lua_tostring(L, 3);
        break;
    default:
        break;
    }
    sak_run_param(sak_to_run(L, 1), luaL_checkstring(L, 2), type, num, text,
                  luaL_optstring(L, 4, "script"));
    return 0;
}

static int r_tag(lua_State *L)
{
    sak_run_tag(sak_to_run(L, 1), luaL_checkstring(L, 2), luaL_optstring(L, 3, NULL));
    return 0;
}

/* run:event(level, kind, step, text) */
static int r_event(lua_State *L)
{
    sak_run_event(sak_to_run(L, 1), luaL_checkstring(L, 2), luaL_checkstring(L, 3),
                  luaL_optinteger(L, 4, 0), luaL_optstring(L, 5, ""));
    return 0;
}

/* run:artifact(path, kind): hashes the file. */
static int r_artifact(lua_State *L)
{
    const char *path = luaL_checkstring(L, 2);
    char hex[SAK_HASH_TEXT];
    sak_error err;
    SAK_CHECK(L, &err, sak_hash_file(path, hex, &err));
    sak_map map;
    SAK_CHECK(L, &err, sak_map_open(&map, path, &err));
    sak_run_artifact(sak_to_run(L, 1), path, hex, (int64_t)map.size, luaL_checkstring(L, 3));
    sak_map_close(&map);
    return 0;
}

static int r_tick(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_run_tick(sak_to_run(L, 1), &err));
    return 0;
}

static int r_flush(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_run_flush(sak_to_run(L, 1), &err));
    return 0;
}

/* run:flush_to_disk() -> true, or nil and why not */
static int r_flush_to_disk(lua_State *L)
{
    sak_error err;
    if (sak_run_flush_to_disk(sak_to_run(L, 1), &err) == SAK_OK) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, err.msg);
    return 2;
}

static int r_sync(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_run_sync(sak_to_run(L, 1), &err));
    return 0;
}

static int r_finish(lua_State *L)
{
    sak_run **r = luaL_checkudata(L, 1, RUN);
    if (!*r)
        return 0;
    sak_run *own = *r;
    *r = NULL;
    sak_error err;
    SAK_CHECK(L, &err, sak_run_finish(own, luaL_optstring(L, 2, "done"), &err));
    return 0;
}

/* A run that Lua drops without finishing failed: an error unwound past it. */
static int r_gc(lua_State *L)
{
    sak_run **r = luaL_checkudata(L, 1, RUN);
    if (*r)
        (void)sak_run_finish(*r, "failed", NULL);
    *r = NULL;
    return 0;
}

void sak_open_store(lua_State *L)
{
    static const luaL_Reg store[] = {
        {"begin", s_begin}, {"resume", s_resume}, {"query", s_query}, {"find", s_find},
                                     {"close", s_close}, {NULL, NULL}};
    static const luaL_Reg run[] = {
        {"id", r_id},       {"log", r_log},           {"describe", r_describe}, {"param", r_param},
        {"tag", r_tag},     {"event", r_event},       {"artifact", r_artifact}, {"tick", r_tick},
        {"flush", r_flush}, {"flush_to_disk", r_flush_to_disk}, {"sync", r_sync},         {"finish", r_finish},     {NULL, NULL}};
    sak_new_type(L, STORE, store, s_close);
    luaL_getmetatable(L, STORE);
    lua_getfield(L, -1, "__index");
    luaL_setfuncs(L, sak_sweep_methods, 0);
    lua_pop(L, 2);
    static const luaL_Reg rows[] = {{NULL, NULL}};
    sak_new_type(L, ROWS, rows, rows_gc);
    sak_new_type(L, RUN, run, r_gc);
    lua_pushcfunction(L, open_store);
    lua_setfield(L, -2, "store");
}
