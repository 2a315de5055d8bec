/* Which SQLite this program runs with. */
#ifndef SAK_RESULTS_VERSION_H
#define SAK_RESULTS_VERSION_H

const char *sak_sqlite_version(void);

#endif
