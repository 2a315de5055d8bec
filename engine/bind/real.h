/* Between what files and meters hold, which is float, and the engine's number type, which is double
 * in the build that `sak verify --cross f64` runs. */
#ifndef SAK_BIND_REAL_H
#define SAK_BIND_REAL_H

#include <lua.h>

#include "base/real.h"
#include "weights/stored.h"

/* All values of a stored tensor, t->count of them. */
void sak_copy_stored(const sak_st_tensor *t, sak_real *out);

/* The n numbers of x as float: x itself, or a copy that is left on Lua's stack. */
const float *sak_as_float(lua_State *L, const sak_real *x, int64_t n);

#endif
