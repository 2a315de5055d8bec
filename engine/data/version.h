/* Which image library this program runs with. */
#ifndef SAK_DATA_VERSION_H
#define SAK_DATA_VERSION_H

const char *sak_libpng_version(void);

#endif
