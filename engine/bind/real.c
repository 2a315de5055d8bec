/* Between float, in files and meters, and the engine's number type. */
#include "bind/real.h"

#include <lauxlib.h>

void sak_copy_stored(const sak_st_tensor *t, sak_real *out)
{
#ifdef SAK_DOUBLE
    sak_st_copy_f64(t, out);
#else
    sak_st_copy_f32(t, out);
#endif
}

const float *sak_as_float(lua_State *L, const sak_real *x, int64_t n)
{
#ifdef SAK_DOUBLE
    luaL_checkstack(L, 1, NULL);
    float *y = lua_newuserdatauv(L, sizeof *y * (size_t)(n + 1), 0);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)x[i];
    return y;
#else
    (void)L;
    (void)n;
    return x;
#endif
}
