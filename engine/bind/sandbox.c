/* The two-world Lua state: limited allocator, counting hook, `require` of embedded modules. */
#include "bind/sandbox.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/embedded.h"
#include "bind/host.h"

enum { HOOK_EVERY = 1000, ALLOC_UNIT = 16, PLACE_MAX = 256 };

typedef struct box {
    sak_sandbox_options o;
    char *lua_root;
    size_t used, ceiling; /* bytes now, and at most while guarded */
    uint64_t work;        /* since the outermost guard began */
    double began;         /* processor seconds at that moment */
    int depth;            /* of nested guards */
    enum { FINE, NO_MEMORY, NO_WORK, NO_TIME } tripped;
    char place[PLACE_MAX]; /* "file:line: " in the script, when it was stopped */
} box;

static box *box_of(lua_State *L)
{
    void *ud = NULL;
    (void)lua_getallocf(L, &ud);
    return ud;
}

static bool limited(const box *b)
{
    return b->depth > 0 && !b->o.unsafe;
}

/* Growth beyond a limit is refused, shrinking never is.  Allocation is charged as work, because a
 * C function that copies a megabyte costs one instruction. */
static void *box_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
    box *b = ud;
    const size_t old = p ? osize : 0;
    if (nsize == 0) {
        free(p);
        b->used -= old;
        return NULL;
    }
    if (nsize > old && limited(b)) {
        if (nsize - old > b->ceiling || b->used > b->ceiling - (nsize - old)) {
            b->tripped = NO_MEMORY;
            return NULL;
        }
        b->work += nsize / ALLOC_UNIT;
        if (b->work > b->o.work) {
            b->tripped = NO_WORK;
            return NULL;
        }
    }
    void *q = realloc(p, nsize);
    if (q)
        b->used += nsize - old;
    return q;
}

static double cpu_seconds(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* "file:line: " of the innermost running script (chunk names "@…"), or "". */
static void find_place(lua_State *L, char *out, size_t size)
{
    lua_Debug ar;
    out[0] = '\0';
    for (int level = 0; !out[0] && lua_getstack(L, level, &ar); level++)
        if (lua_getinfo(L, "Sl", &ar) && ar.source[0] == '@' && ar.currentline > 0 &&
            ar.srclen + 16 < size)
            snprintf(out, size, "%s:%d: ", ar.source + 1, ar.currentline);
}

/* Likewise where a script's function begins: one that ended in `return f(…)` runs no longer. */
static void find_definition(lua_State *L, int function, char *out, size_t size)
{
    lua_Debug ar;
    out[0] = '\0';
    lua_pushvalue(L, function);
    if (lua_isfunction(L, -1) && lua_getinfo(L, ">S", &ar) && ar.source[0] == '@' &&
        ar.linedefined > 0 && ar.srclen + 16 < size)
        snprintf(out, size, "%s:%d: ", ar.source + 1, ar.linedefined);
}

/* Length of a message's own "file:line: ", or 0. */
static size_t place_length(const char *message)
{
    for (const char *c = strchr(message, ':'); c && c > message; c = strchr(c + 1, ':')) {
        const size_t digits = strspn(c + 1, "0123456789");
        if (digits && c[digits + 1] == ':' && c[digits + 2] == ' ')
            return (size_t)(c - message) + digits + 3;
    }
    return 0;
}

/* Message handler: what was raised in sak's own Lua, or nowhere, is placed in the script; the function
 * that was called is its upvalue.  It runs with hooks off, so it must stay short and call no Lua. */
static int add_place(lua_State *L)
{
    char place[PLACE_MAX];
    if (lua_type(L, 1) != LUA_TSTRING)
        return 1;
    const char *message = lua_tostring(L, 1);
    const size_t own = place_length(message);
    if (own && strncmp(message, "sak/", 4) != 0)
        return 1;
    find_place(L, place, sizeof place);
    if (!place[0])
        find_definition(L, lua_upvalueindex(1), place, sizeof place);
    if (place[0])
        lua_pushfstring(L, "%s%s", place, message + own);
    else if (strncmp(message, "sak/safelib.lua:", 16) == 0) /* `return f(…)` leaves no trace of its line */
        lua_pushstring(L, message + own);
    return 1;
}

static void hook(lua_State *L, lua_Debug *ar);

/* Once a limit is passed every further instruction raises, so that a script's pcall cannot go on. */
void sak_sandbox_charge(lua_State *L, uint64_t work)
{
    box *b = box_of(L);
    if (!limited(b))
        return;
    b->work += work < b->o.work ? work : b->o.work + 1;
    if (b->work > b->o.work)
        b->tripped = NO_WORK;
    else if (cpu_seconds() - b->began > b->o.seconds)
        b->tripped = NO_TIME;
    else
        return;
    if (!b->place[0]) {
        find_place(L, b->place, sizeof b->place);
        lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    }
    luaL_error(L, "script stopped");
}

static void hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    sak_sandbox_charge(L, HOOK_EVERY);
}

/* Replaces whatever was thrown by one string that says what happened. */
static void push_reason(lua_State *L, const box *b, int status, int tripped)
{
    if (tripped == NO_WORK)
        lua_pushfstring(L, "%sthe script does too much work: stopped after %I million instructions",
                        b->place, (lua_Integer)(b->o.work / 1000000));
    else if (tripped == NO_TIME)
        lua_pushfstring(L, "%sthe script takes too long: stopped after %f seconds", b->place,
                        b->o.seconds);
    else if (status == LUA_ERRMEM)
        lua_pushfstring(L, "the script needs too much memory: the limit is %I MiB",
                        (lua_Integer)(b->o.memory >> 20));
    else if (lua_type(L, -1) == LUA_TSTRING)
        return;
    else if (lua_type(L, -1) == LUA_TNUMBER)
        lua_tostring(L, -1);
    else
        lua_pushfstring(L, "error raised with a %s instead of a message", luaL_typename(L, -1));
}

int sak_sandbox_guard(lua_State *L, int nargs)
{
    box *b = box_of(L);
    const int base = lua_gettop(L) - nargs;
    lua_pushvalue(L, base);
    lua_pushcclosure(L, add_place, 1); /* may raise: nothing has changed yet */
    lua_insert(L, base);
    if (b->depth == 0) {
        b->ceiling = b->used > SIZE_MAX - b->o.memory ? SIZE_MAX : b->used + b->o.memory;
        b->work = 0;
        b->tripped = FINE;
        b->place[0] = '\0';
        b->began = cpu_seconds();
        if (!b->o.unsafe)
            lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_EVERY);
    }
    b->depth++;
    const int status = lua_pcall(L, nargs, LUA_MULTRET, base);
    b->depth--;
    lua_remove(L, base);
    const int tripped = b->tripped;
    if (b->depth == 0) {
        lua_sethook(L, NULL, 0, 0);
        b->tripped = FINE;
    }
    if (status == LUA_OK)
        return status;
    push_reason(L, b, status, tripped);
    lua_copy(L, -1, base);
    lua_settop(L, base);
    return status;
}

bool sak_sandbox_guarded(lua_State *L)
{
    return limited(box_of(L));
}

bool sak_sandbox_unsafe(lua_State *L)
{
    return box_of(L)->o.unsafe;
}

size_t sak_sandbox_memory(lua_State *L)
{
    return box_of(L)->o.memory;
}

/* Module names are letters, digits, _ and dots, so that no name leaves lua_root. */
static bool plain_name(const char *module)
{
    for (const char *c = module; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              *c == '_' || (*c == '.' && c != module && c[1] && c[1] != '.')))
            return false;
    return *module != '\0';
}

static bool push_below(lua_State *L, const char *root, const char *file)
{
    const char *path = lua_pushfstring(L, "%s/%s", root, file);
    const bool found = sak_host_push_file(L, path, NULL) == SAK_OK;
    if (found)
        lua_pushstring(L, file);
    lua_remove(L, found ? -3 : -1);
    return found;
}

bool sak_sandbox_module(lua_State *L, const char *module)
{
    if (!plain_name(module))
        return false;
    const char *root = box_of(L)->lua_root;
    if (root) {
        const char *stem = luaL_gsub(L, module, ".", "/");
        const char *file = lua_pushfstring(L, "%s.lua", stem);
        const char *init = lua_pushfstring(L, "%s/init.lua", stem);
        if (push_below(L, root, file) || push_below(L, root, init)) {
            lua_rotate(L, -5, 2);
            lua_pop(L, 3);
            return true;
        }
        lua_pop(L, 3);
    }
    for (const sak_embedded *m = sak_embedded_modules; m->module; m++)
        if (strcmp(m->module, module) == 0) {
            lua_pushlstring(L, m->text, m->size);
            lua_pushstring(L, m->file);
            return true;
        }
    return false;
}

/* The searcher behind trusted `require`. */
static int search_embedded(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    if (!sak_sandbox_module(L, module)) {
        lua_pushfstring(L, "no embedded module '%s'", module);
        return 1;
    }
    size_t size;
    const char *text = lua_tolstring(L, -2, &size);
    const char *chunk = lua_pushfstring(L, "=%s", lua_tostring(L, -1));
    if (luaL_loadbufferx(L, text, size, chunk, "t") != LUA_OK)
        return lua_error(L);
    lua_pushvalue(L, -3);
    return 2;
}

static int open_libraries(lua_State *L)
{
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    lua_createtable(L, 2, 0);
    lua_rawgeti(L, -2, 1); /* package.preload */
    lua_rawseti(L, -2, 1);
    lua_pushcfunction(L, search_embedded);
    lua_rawseti(L, -2, 2);
    lua_setfield(L, -3, "searchers");
    lua_pop(L, 1);
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, sak_host_open);
    lua_setfield(L, -2, "sak.host");
    lua_pushcfunction(L, sak_host_open); /* the part of it that spec.lua uses */
    lua_setfield(L, -2, "sak.mark");
    lua_settop(L, 0);
    return 0;
}

sak_status sak_sandbox_open(lua_State **out, const sak_sandbox_options *options, sak_error *err)
{
    *out = NULL;
    box *b = calloc(1, sizeof *b);
    if (!b)
        return SAK_FAIL(err, SAK_ENOMEM, "no memory for a Lua state");
    if (options)
        b->o = *options;
    b->o.memory = b->o.memory ? b->o.memory : (size_t)64 << 20;
    b->o.work = b->o.work ? b->o.work : 100000000;
    b->o.seconds = b->o.seconds > 0 ? b->o.seconds : 10;
    const char *root = b->o.lua_root ? b->o.lua_root : getenv("SAK_LUA_ROOT");
    if (root && *root && !(b->lua_root = strdup(root))) {
        free(b);
        return SAK_FAIL(err, SAK_ENOMEM, "no memory for a Lua state");
    }
    lua_State *L = lua_newstate(box_alloc, b);
    if (!L) {
        free(b->lua_root);
        free(b);
        return SAK_FAIL(err, SAK_ENOMEM, "no memory for a Lua state");
    }
    lua_pushcfunction(L, open_libraries);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        (void)SAK_FAIL(err, SAK_ENOMEM, "opening Lua: %s", message ? message : "out of memory");
        sak_sandbox_close(L);
        return SAK_ENOMEM;
    }
    *out = L;
    return SAK_OK;
}

void sak_sandbox_close(lua_State *L)
{
    if (!L)
        return;
    box *b = box_of(L);
    lua_close(L);
    free(b->lua_root);
    free(b);
}
