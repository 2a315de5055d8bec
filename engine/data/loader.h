/* The loader: reads, augments and batches ahead of the step, on threads of its own, into a double
 * buffer.  The content of batch s depends on (data, seed, s) only, never on threads or timing. */
#ifndef SAK_DATA_LOADER_H
#define SAK_DATA_LOADER_H

#include "base/hash.h"
#include "base/real.h"
#include "data/dataset.h"
#include "data/sample_cache.h"
#include "tensor/shape.h"

/* The augmentation of sak-method.md section 5; evaluation uses the defaults with train = false. */
typedef struct sak_augment {
    int H, W;                   /* output size */
    bool train;                 /* false: normalise, pad centrally, ignore regions only */
    double scale_lo, scale_hi;  /* random scale before the crop; 1, 1 = none */
    bool random_crop;           /* random crop to (H, W) */
    double max_class;           /* it is redrawn while one class fills this share; 0 = 0.75 */
    double resized_crop_lo, resized_crop_hi; /* lo > 0: random resized crop instead, area fraction
                                 * in [lo, hi] (hi 0 = 1), aspect 3/4 … 4/3 (stage 1, pretraining) */
    double flip;                /* probability */
    bool photometric;           /* brightness, contrast, saturation, hue */
    bool greyscale;             /* p = 0.2, for self-distillation views */
    int views;                  /* > 0: what is drawn, but for the flip, is one of so many ways that
                                 * an image has, the same for every seed; 0: drawn anew each time */
    double depth_max;           /* metres; deeper labels become invalid; 0 = no limit */
} sak_augment;

typedef struct sak_loader_spec {
    const sak_dataset *data;
    sak_augment augment;
    int64_t batch;
    int64_t limit;      /* only that many samples, spread evenly over all, so that a part of a list
                         * in scenes or classes has some of each; 0 = all (stage-2 data fraction) */
    uint64_t seed;
    bool shuffle;       /* a permutation per epoch, last partial batch dropped; else in order, the
                         * last batch repeated to size with its true count in `valid` */
    int threads;        /* 0 = 1 */
    size_t cache_bytes; /* raw samples kept in memory after their first read; 0 = none */
    sak_sample_cache *cache; /* instead: one of data->count samples that loaders share; it outlives
                              * them */
    bool digests;       /* batches say which view each image is */
    bool skip_bad;      /* a broken sample is replaced by its successor and counted; else an error */
    /* prompts for promptable-mask training */
    int prompts;        /* points per image */
    int prompt_patch;   /* patch size of the grid they are given on */
    int mask_stride;    /* masks are (H / mask_stride, W / mask_stride) */
} sak_loader_spec;

/* Fields a batch can hold (shape without / with the batch in front):
 *   image    (H, W, 3) ImageNet-normalised     image2 (H, W, 3) a second, independent view
 *   semseg, sal, human_parts (H, W) class or 255
 *   edge     (H, W, 1) 0/1 or 255              depth  (H, W, 1) metres or 255
 *   normals  (H, W, 3) unit or 255,255,255
 *   caption  (SAK_CAPTION_MAX) token ids, 0 = padding
 *   prompt   (P, L) one-hot over the h*w patches: where each point lies
 *   prompt_mask (H/stride, W/stride, P) 1 where the pixel belongs to the object under the point
 *   index    (1) sample index */
typedef struct sak_loader sak_loader;

sak_status sak_loader_open(const sak_loader_spec *spec, const char *const *fields, int n_fields,
                           sak_loader **out, sak_error *err);
void sak_loader_close(sak_loader *l);

/* Shape of a field with the batch in front. */
sak_status sak_loader_shape(const sak_loader *l, const char *field, sak_shape *out, sak_error *err);
int64_t sak_loader_batches(const sak_loader *l); /* per epoch */

typedef struct sak_batch {
    int64_t step;      /* batches since the start, across epochs */
    int64_t epoch;
    int64_t valid;     /* samples that count; < batch only at the end of an unshuffled pass */
    const int64_t *index; /* sample indices, `batch` of them */
    const uint8_t (*digest)[SAK_HASH_BYTES]; /* of what is seen of each, sak_view_digest; or NULL */
    const sak_real *const *field; /* in the order given to open */
} sak_batch;

/* The next batch; its memory is valid until the following call. */
sak_status sak_loader_next(sak_loader *l, const sak_batch **out, sak_error *err);
/* Continues at batch `step`, as if all earlier ones had been taken. */
sak_status sak_loader_seek(sak_loader *l, int64_t step, sak_error *err);

typedef struct sak_loader_stats {
    int64_t read, cached, bad;
    double wait_s; /* seconds that next() blocked */
} sak_loader_stats;
sak_loader_stats sak_loader_get_stats(const sak_loader *l);

/* One augmented sample, for tests and for looking: key (seed, epoch, index, view). */
sak_status sak_augment_sample(const sak_augment *a, uint64_t seed, int64_t epoch, int64_t index,
                              int view, const sak_sample *in, sak_sample *out, sak_error *err);

#endif
