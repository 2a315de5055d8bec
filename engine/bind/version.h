/* Which Lua this program runs with. */
#ifndef SAK_BIND_VERSION_H
#define SAK_BIND_VERSION_H

const char *sak_lua_version(void);

#endif
