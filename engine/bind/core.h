/* Shared by the files of the Lua boundary: handle types, error raising, argument helpers. */
#ifndef SAK_BIND_CORE_H
#define SAK_BIND_CORE_H

#include <lauxlib.h>
#include <lua.h>

#include "base/status.h"
#include "data/dataset.h"
#include "graph/graph.h"
#include "results/store.h"
#include "weights/weights.h"

/* A graph under construction or running; tensors keep it alive through their user value. */
typedef struct sak_lgraph {
    sak_graph g;
} sak_lgraph;

typedef struct sak_ltensor {
    sak_graph *g;
    int node;
} sak_ltensor;

/* Raises err as a Lua error, prefixed with the innermost place in a user's script ("file:line: "). */
int sak_raise(lua_State *L, const sak_error *err);
#define SAK_CHECK(L, err, call)                                                                    \
    do {                                                                                           \
        if ((call) != SAK_OK)                                                                      \
            return sak_raise((L), (err));                                                          \
    } while (0)

/* Registers a handle type: methods, __gc and a metatable scripts cannot reach. */
void sak_new_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction gc);

/* {2, 3, 4} at stack index i: dimensions of at least 1 with a product that fits. */
sak_shape sak_to_shape(lua_State *L, int i);
/* Likewise with any dimensions below 1, as in the attributes of reshape and permute. */
sak_shape sak_to_dims(lua_State *L, int i);
void sak_push_shape(lua_State *L, const sak_shape *s);

/* Field of the table at index i, with a default. */
double sak_opt_number(lua_State *L, int i, const char *key, double def);
bool sak_opt_bool(lua_State *L, int i, const char *key, bool def);
const char *sak_opt_text(lua_State *L, int i, const char *key, const char *def);

/* {key = value} at index i as key, value, …, NULL, sorted by key; empty unless a table.  Borrowed from
 * the table. */
enum { SAK_META_MAX = 33 };
void sak_to_meta(lua_State *L, int i, const char *out[SAK_META_MAX]);

/* The n numbers of x as a list. */
void sak_push_values(lua_State *L, const sak_real *x, int64_t n);

sak_lgraph *sak_to_graph(lua_State *L, int i);
sak_ltensor *sak_to_tensor(lua_State *L, int i);
sak_params *sak_to_params(lua_State *L, int i);
sak_weights *sak_to_weights(lua_State *L, int i);
/* A handle that closes w. */
void sak_push_weights(lua_State *L, const sak_weights *w);
sak_dataset *sak_to_dataset(lua_State *L, int i);
sak_run *sak_to_run(lua_State *L, int i);
sak_store *sak_to_store(lua_State *L, int i);
/* Raises if w has no such tensor. */
const sak_st_tensor *sak_stored_tensor(lua_State *L, const sak_weights *w, const char *name);
void sak_push_tensor(lua_State *L, int graph_index, sak_graph *g, int node);

/* graph:op(name, {attr}), for ops without inputs. */
int sak_graph_op_method(lua_State *L);
int sak_graph_memory_method(lua_State *L);

/* Each adds its functions and types to the module table on top of the stack. */
void sak_open_tensor(lua_State *L);
void sak_open_graph(lua_State *L);
void sak_open_params(lua_State *L);
void sak_open_weights(lua_State *L);
void sak_open_checkpoint(lua_State *L);
void sak_open_files(lua_State *L);
void sak_open_lock(lua_State *L);
void sak_open_train(lua_State *L);
void sak_open_data(lua_State *L);
void sak_open_features(lua_State *L);
void sak_open_meter(lua_State *L);
void sak_open_store(lua_State *L);
void sak_open_compare(lua_State *L);
void sak_open_progress(lua_State *L);
void sak_open_sheet(lua_State *L);
void sak_open_picture(lua_State *L);
void sak_open_process(lua_State *L);
void sak_open_bench(lua_State *L);
void sak_open_memory(lua_State *L);
void sak_open_sweep(lua_State *L);
void sak_open_child(lua_State *L);
/* Further methods of a store. */
extern const luaL_Reg sak_sweep_methods[];

int luaopen_sak_core(lua_State *L);

#endif
