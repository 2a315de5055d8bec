/* sak.host: what trusted Lua needs from the machine.  Scripts cannot reach it. */
#ifndef SAK_BIND_HOST_H
#define SAK_BIND_HOST_H

#include <lua.h>

#include "base/status.h"

int sak_host_open(lua_State *L); /* the module's loader, for package.preload["sak.host"] */

/* Pushes the text of a regular file of at most 64 MiB; nothing on failure. */
sak_status sak_host_push_file(lua_State *L, const char *path, sak_error *err);

#endif
