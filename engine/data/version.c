/* libpng's version, for `sak doctor`. */
#include "data/version.h"

#include <png.h>

const char *sak_libpng_version(void)
{
    return png_get_libpng_ver(NULL);
}
