/* Looking at a whole dataset: what every modality holds, and which samples cannot be read. */
#ifndef SAK_DATA_INSPECT_H
#define SAK_DATA_INSPECT_H

#include <stdbool.h>

#include "data/dataset.h"

/* Sums over samples; {0} is empty.  Whole numbers, or sums taken sample by sample in order: the
 * same for any number of threads. */
typedef struct sak_inspection {
    int64_t read, bad, pixels;
    int H[2], W[2];         /* smallest and largest */
    double rgb[3], rgb2[3]; /* per pixel in 0 … 1: sums over samples of means, of mean squares */
    int64_t semseg[256], parts[256];    /* pixels per class; [255] unlabelled */
    int64_t edge, sal;                  /* pixels set */
    int64_t people;                     /* samples with any part */
    int64_t deep, facing;               /* pixels with a depth, with a normal */
    double depth, depth_min, depth_max; /* metres: sum over samples of means */
    int64_t depth_samples;
    double normal[3]; /* sum over samples of mean normals */
    int64_t normal_samples;
} sak_inspection;

/* Called for what cannot be read, in the order of samples: in folders for every file. */
typedef void sak_inspect_problem(void *ctx, int64_t index, const sak_error *err);

/* Reads samples [from, to) in parallel and adds them up. */
sak_status sak_inspect(const sak_dataset *d, int64_t from, int64_t to, sak_inspection *sum,
                       sak_inspect_problem *problem, void *ctx, sak_error *err);

#endif
