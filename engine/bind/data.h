/* What the files of the Lua boundary that open datasets share. */
#ifndef SAK_BIND_DATA_H
#define SAK_BIND_DATA_H

#include "bind/core.h"

/* A new, closed dataset on top of the stack; it is closed with its handle. */
sak_dataset *sak_new_dataset(lua_State *L);
/* core.folder{root =, layout =, list = | from =, to =} */
int sak_open_folder_dataset(lua_State *L);

#endif
