/* MATLAB's .mat files (v5; v7.3 where matio has HDF5): variables, cells, fields, 2-D arrays. */
#ifndef SAK_DATA_MAT_H
#define SAK_DATA_MAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct sak_mat sak_mat;             /* an open file */
typedef struct sak_mat_value sak_mat_value; /* borrowed from its file; NULL: there is none */

enum { SAK_MAT_MAX_SIDE = 16384 };

/* Files may be open in several threads; HDF5 is not made for that, so a v7.3 file keeps others of its
 * kind waiting until it is closed. */
sak_status sak_mat_open(sak_mat **m, const char *path, sak_error *err);
void sak_mat_close(sak_mat *m); /* NULL is fine */

/* The variable of that name. */
const sak_mat_value *sak_mat_find(sak_mat *m, const char *name);
/* How many elements a cell or struct array has; 1 for anything else, 0 for NULL. */
int64_t sak_mat_count(const sak_mat_value *v);
/* Element i of a cell array. */
const sak_mat_value *sak_mat_cell(const sak_mat_value *v, int64_t i);
/* A field of element i of a struct array. */
const sak_mat_value *sak_mat_field(const sak_mat_value *v, int64_t i, const char *name);

/* A character array as text, cut to room - 1 bytes; false, and "", for anything else. */
bool sak_mat_text(const sak_mat_value *v, char *out, size_t room);

/* A 2-D array of real numbers or logicals as H*W floats, row-major (release with sak_free).  `what`
 * names it in errors.  SAK_EFORMAT: it is something else, or larger than the limit above. */
sak_status sak_mat_image(const sak_mat *m, const sak_mat_value *v, const char *what, float **out,
                         int *H, int *W, sak_error *err);

#endif
