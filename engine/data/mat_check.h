/* A v5 .mat file held against its own sizes before matio, which believes them, sees it. */
#ifndef SAK_DATA_MAT_CHECK_H
#define SAK_DATA_MAT_CHECK_H

#include "base/status.h"

enum {
    SAK_MAT_MAX_BYTES = 1 << 27,    /* of a file's variables, inflated */
    SAK_MAT_MAX_ELEMENTS = 1 << 14, /* arrays in arrays, all in all: matio keeps 40 KB for each that was
                                     * compressed; PASCAL-Part has 2000 */
    SAK_MAT_MAX_DEPTH = 12,
};

/* Walks every variable, inflating what is compressed: numbers, text, cells and structs whose sizes are
 * those of their dimensions, within the limits above.  SAK_EFORMAT names the file and what is wrong;
 * sparse arrays, objects and functions are refused. */
sak_status sak_mat_check(const char *path, sak_error *err);

#endif
