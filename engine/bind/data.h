/* What the files of the Lua boundary that open datasets share. */
#ifndef SAK_BIND_DATA_H
#define SAK_BIND_DATA_H

#include "bind/core.h"
#include "data/loader.h"

/* A new, closed dataset on top of the stack; it is closed with its handle. */
sak_dataset *sak_new_dataset(lua_State *L);
/* core.folder{root =, layout =, list = | from =, to =, unchecked =} */
int sak_open_folder_dataset(lua_State *L);

/* The batch that the loader at index i gave last; raises unless it has digests. */
const sak_batch *sak_to_batch(lua_State *L, int i);

/* Methods of a dataset; see inspect.c. */
int sak_dataset_inspect(lua_State *L);
int sak_dataset_oddities(lua_State *L);
int sak_dataset_orphans(lua_State *L);
/* dataset:sheet{path =, first =, stride =, rows =, augment = {…}?, seed =} */
int sak_dataset_sheet(lua_State *L);
/* dataset:picture(index) -> picture, id; dataset:id(index); see picture.c */
int sak_dataset_picture(lua_State *L);
int sak_dataset_id(lua_State *L);
/* The sak_augment options of the table at index i, for images of the dataset. */
sak_augment sak_to_augment(lua_State *L, int i, const sak_dataset *d);

#endif
