/* One lua_State, two worlds: trusted modules (lua/sak) and the researcher's script.
 *
 * Trusted code has the whole standard library, `require` of embedded modules, and sak.host.  Script
 * code runs in an environment made by lua/sak/safelib.lua, and only inside sak_sandbox_guard, which
 * bounds its memory, its work and its time. */
#ifndef SAK_BIND_SANDBOX_H
#define SAK_BIND_SANDBOX_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct sak_sandbox_options {
    size_t memory;        /* bytes a guarded call may add; 0: 64 MiB */
    uint64_t work;        /* instructions (and 16-byte units allocated) it may use; 0: 100 million */
    double seconds;       /* processor time it may use, a backstop; 0: 10 */
    const char *lua_root; /* folder read before the embedded modules; NULL: SAK_LUA_ROOT or none */
    bool unsafe;          /* --unsafe-lua: no limits, the whole standard library */
} sak_sandbox_options;

/* Opens a state with the standard library, `require` of embedded modules and sak.host; options may
 * be NULL.  What else the trusted side needs goes to package.preload. */
sak_status sak_sandbox_open(lua_State **out, const sak_sandbox_options *options, sak_error *err);
void sak_sandbox_close(lua_State *L);

/* lua_pcall under the limits: function and `nargs` arguments are on the stack.  Returns LUA_OK with
 * all results, or an error code with one message, always a string.  Calls may nest; the outermost
 * one's limits count. */
int sak_sandbox_guard(lua_State *L, int nargs);

/* Charges work that a library call is about to do inside one instruction; raises past a limit. */
void sak_sandbox_charge(lua_State *L, uint64_t work);

bool sak_sandbox_guarded(lua_State *L); /* is a guarded call in progress, with limits on? */
bool sak_sandbox_unsafe(lua_State *L);
size_t sak_sandbox_memory(lua_State *L); /* the limit, bytes */

/* Text of an embedded module (or of its file below lua_root) as a Lua string on the stack, and its
 * file name after it; nothing and false when there is no such module. */
bool sak_sandbox_module(lua_State *L, const char *module);

#endif
