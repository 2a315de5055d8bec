/* From samples to batch tensors: which fields a batch has, their shapes, and how one sample fills
 * its place in each. */
#ifndef SAK_DATA_LOADER_BATCH_H
#define SAK_DATA_LOADER_BATCH_H

#include "data/augment.h"

enum { SAK_BATCH_FIELDS = 16 };

typedef struct sak_batch_field sak_batch_field;

typedef struct sak_batch_layout {
    sak_augment augment;
    uint64_t seed;
    int prompts, patch, stride;
    int n;
    const sak_batch_field *row[SAK_BATCH_FIELDS];
    sak_shape shape[SAK_BATCH_FIELDS]; /* of one sample */
    int64_t count[SAK_BATCH_FIELDS];   /* elements of one sample */
    unsigned want[2];                  /* modalities of each view; 0: the view is not needed */
    bool points;
} sak_batch_layout;

/* Checks fields against what the dataset has. */
sak_status sak_batch_layout_init(sak_batch_layout *b, const sak_loader_spec *spec,
                                 const char *const *fields, int n, sak_error *err);

const char *sak_batch_field_name(const sak_batch_field *f);

typedef struct sak_point {
    int x, y, instance;
} sak_point;

/* What one thread needs to turn samples into batch rows; {0} is empty. */
typedef struct sak_batch_work {
    sak_view view[2];
    sak_scratch scratch;
    sak_point *point;
} sak_batch_work;

sak_status sak_batch_work_open(sak_batch_work *w, const sak_batch_layout *b, sak_error *err);
void sak_batch_work_close(sak_batch_work *w);

/* Fills place i of every field of a batch. */
sak_status sak_batch_write(const sak_batch_layout *b, sak_batch_work *w, const sak_sample *raw,
                           int64_t epoch, int64_t index, int64_t i, sak_real *const *field,
                           sak_error *err);

#endif
