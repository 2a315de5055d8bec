/* Canonical JSON for configurations: a writer of our own (jansson prints 17 digits and cannot see
 * Lua values), jansson as the reader. */
#include "bind/json.h"

#include <jansson.h>
#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 100, PLACE_MAX = 256, OUT = 2 /* stack index of the growing text */ };
static const char ARRAY[] = "sak.array"; /* name of the metatable that marks arrays */

typedef struct writer {
    char *text; /* a userdata at index OUT, so that an error leaks nothing */
    size_t size, capacity;
    char place[PLACE_MAX]; /* where we are, for messages */
    int depth;
} writer;

static void push_array_meta(lua_State *L)
{
    if (luaL_newmetatable(L, ARRAY)) {
        lua_pushboolean(L, 0); /* what getmetatable(t) says */
        lua_setfield(L, -2, "__metatable");
    }
}

int sak_json_array(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    push_array_meta(L);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

static bool is_array(lua_State *L, int t)
{
    bool marked = false;
    if (lua_getmetatable(L, t)) {
        push_array_meta(L);
        marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    return marked || lua_rawlen(L, t) > 0;
}

static void refuse(lua_State *L, const writer *w, const char *what)
{
    luaL_error(L, "%s cannot be written as JSON: %s", w->place[0] ? w->place : "the value", what);
}

static void put(lua_State *L, writer *w, const char *s, size_t n)
{
    if (w->capacity - w->size < n) {
        const size_t capacity = 2 * w->capacity + n;
        char *bigger = lua_newuserdatauv(L, capacity, 0);
        if (w->size)
            memcpy(bigger, w->text, w->size);
        lua_replace(L, OUT);
        w->text = bigger;
        w->capacity = capacity;
    }
    memcpy(w->text + w->size, s, n);
    w->size += n;
}

static void put_text(lua_State *L, writer *w, const char *s)
{
    put(L, w, s, strlen(s));
}

/* Length of the UTF-8 sequence at s, 0 if it is not one (overlong, surrogate, beyond U+10FFFF). */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80)
        return 1;
    const size_t n = s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    unsigned code = s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    const bool bad = code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000);
    return bad ? 0 : n;
}

static void write_string(lua_State *L, writer *w, const char *s, size_t size)
{
    put(L, w, "\"", 1);
    for (size_t i = 0; i < size;) {
        const unsigned char c = (unsigned char)s[i];
        const size_t n = utf8_length((const unsigned char *)s + i, size - i);
        if (n == 0)
            refuse(L, w, "text that is not UTF-8");
        if (c >= 0x20 && c != 0x7f && c != '"' && c != '\\') {
            put(L, w, s + i, n);
        } else {
            char escape[8];
            snprintf(escape, sizeof escape, c < 0x20 || c == 0x7f ? "\\u%04x" : "\\%c", c);
            put_text(L, w, c == '\n' ? "\\n" : c == '\t' ? "\\t" : escape);
        }
        i += n;
    }
    put(L, w, "\"", 1);
}

/* The fewest digits that read back as the same double; 0.0001 and 100.0 rather than exponents. */
static void write_double(lua_State *L, writer *w, double x)
{
    if (isnan(x) || isinf(x))
        refuse(L, w, isnan(x) ? "it is not a number (NaN)" : "it is infinite");
    char text[48];
    int digits = 0;
    do
        snprintf(text, sizeof text, "%.*e", digits, x);
    while (strtod(text, NULL) != x && ++digits < 17);
    const int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent >= -5 && exponent < 16)
        snprintf(text, sizeof text, "%.*f", digits - exponent < 1 ? 1 : digits - exponent, x);
    put_text(L, w, text);
}

static void write_value(lua_State *L, writer *w, int v);

/* Extends the place for messages; returns its old length. */
static size_t enter(lua_State *L, writer *w, const char *key, lua_Integer index)
{
    const size_t old = strlen(w->place);
    if (++w->depth > DEPTH_MAX)
        refuse(L, w, "it is nested too deeply, or contains itself");
    luaL_checkstack(L, 8, "JSON");
    if (key)
        snprintf(w->place + old, sizeof w->place - old, "%s%s", old ? "." : "", key);
    else
        snprintf(w->place + old, sizeof w->place - old, "[%lld]", (long long)index);
    return old;
}

static void leave(writer *w, size_t old)
{
    w->place[old] = '\0';
    w->depth--;
}

static void write_array(lua_State *L, writer *w, int t)
{
    const lua_Integer n = (lua_Integer)lua_rawlen(L, t);
    lua_Integer found = 0;
    for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1), found++)
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1 || lua_tointeger(L, -2) > n)
            refuse(L, w, "a list that also has other keys, or holes");
    if (found != n)
        refuse(L, w, "a list with holes");
    put(L, w, "[", 1);
    for (lua_Integer i = 1; i <= n; i++) {
        if (i > 1)
            put(L, w, ",", 1);
        const size_t old = enter(L, w, NULL, i);
        lua_rawgeti(L, t, i);
        write_value(L, w, lua_gettop(L));
        lua_pop(L, 1);
        leave(w, old);
    }
    put(L, w, "]", 1);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Pushes a userdata with the object's keys in byte order; the table keeps the texts alive. */
static const char **sorted_keys(lua_State *L, const writer *w, int t, size_t *n)
{
    *n = 0;
    for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1), ++*n) {
        if (lua_type(L, -2) != LUA_TSTRING)
            refuse(L, w, "a table whose keys are neither 1, 2, 3 … nor all text");
        if (strlen(lua_tostring(L, -2)) != lua_rawlen(L, -2))
            refuse(L, w, "a key with a zero byte");
    }
    const char **keys = lua_newuserdatauv(L, *n * sizeof *keys + 1, 0);
    size_t i = 0;
    for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1))
        keys[i++] = lua_tostring(L, -2);
    if (*n)
        qsort(keys, *n, sizeof *keys, by_bytes);
    return keys;
}

static void write_object(lua_State *L, writer *w, int t)
{
    size_t n;
    const char **keys = sorted_keys(L, w, t, &n);
    put(L, w, "{", 1);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            put(L, w, ",", 1);
        const size_t old = enter(L, w, keys[i], 0);
        write_string(L, w, keys[i], strlen(keys[i]));
        put(L, w, ":", 1);
        lua_pushstring(L, keys[i]);
        lua_rawget(L, t);
        write_value(L, w, lua_gettop(L));
        lua_pop(L, 1);
        leave(w, old);
    }
    put(L, w, "}", 1);
    lua_pop(L, 1);
}

static void write_value(lua_State *L, writer *w, int v)
{
    char text[32];
    size_t size;
    switch (lua_type(L, v)) {
    case LUA_TBOOLEAN:
        put_text(L, w, lua_toboolean(L, v) ? "true" : "false");
        return;
    case LUA_TNUMBER:
        if (lua_isinteger(L, v)) {
            snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, v));
            put_text(L, w, text);
        } else {
            write_double(L, w, lua_tonumber(L, v));
        }
        return;
    case LUA_TSTRING: {
        const char *s = lua_tolstring(L, v, &size);
        write_string(L, w, s, size);
        return;
    }
    case LUA_TTABLE:
        if (is_array(L, v))
            write_array(L, w, v);
        else
            write_object(L, w, v);
        return;
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, v)) {
            put_text(L, w, "null");
            return;
        }
        break;
    default:
        break;
    }
    snprintf(text, sizeof text, "it is a %s", luaL_typename(L, v));
    refuse(L, w, text);
}

int sak_json_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    writer w = {.capacity = 1024};
    w.text = lua_newuserdatauv(L, w.capacity, 0);
    write_value(L, &w, 1);
    lua_pushlstring(L, w.text, w.size);
    return 1;
}

/* --- reading ----------------------------------------------------------------------------------- */

static void push_json(lua_State *L, const json_t *j)
{
    luaL_checkstack(L, 8, "JSON");
    switch (json_typeof(j)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *value;
        lua_createtable(L, 0, (int)json_object_size(j));
        json_object_foreach((json_t *)j, key, value)
        {
            push_json(L, value);
            lua_setfield(L, -2, key);
        }
        return;
    }
    case JSON_ARRAY:
        lua_createtable(L, (int)json_array_size(j), 0);
        for (size_t i = 0; i < json_array_size(j); i++) {
            push_json(L, json_array_get(j, i));
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        push_array_meta(L);
        lua_setmetatable(L, -2);
        return;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(j), json_string_length(j));
        return;
    case JSON_INTEGER:
        lua_pushinteger(L, (lua_Integer)json_integer_value(j));
        return;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(j));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(j));
        return;
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        return;
    }
}

static int push_borrowed(lua_State *L)
{
    push_json(L, lua_touserdata(L, 1));
    return 1;
}

int sak_json_decode(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    lua_settop(L, 1);
    json_error_t e;
    json_t *j = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);
    if (!j)
        return luaL_error(L, "JSON, line %d, column %d: %s", e.line, e.column, e.text);
    lua_pushcfunction(L, push_borrowed);
    lua_pushlightuserdata(L, j);
    const int status = lua_pcall(L, 1, 1, 0); /* so that j is released in any case */
    json_decref(j);
    return status == LUA_OK ? 1 : lua_error(L);
}
