/* SQLite's version, for `sak doctor`. */
#include "results/version.h"

#include <sqlite3.h>

const char *sak_sqlite_version(void)
{
    return sqlite3_libversion();
}
