/* Datasets: labelled images by index.  A dataset is a row of functions (rooms, folder, …); what it
 * returns is raw and unaugmented, so that every source shares one augmentation and one loader. */
#ifndef SAK_DATA_DATASET_H
#define SAK_DATA_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { SAK_IGNORE = 255, SAK_CAPTION_MAX = 32 };

/* What a sample can hold; a dataset states which it has. */
enum {
    SAK_HAS_IMAGE = 1 << 0,
    SAK_HAS_SEMSEG = 1 << 1,
    SAK_HAS_DEPTH = 1 << 2,
    SAK_HAS_NORMALS = 1 << 3,
    SAK_HAS_EDGE = 1 << 4,
    SAK_HAS_SAL = 1 << 5,
    SAK_HAS_PARTS = 1 << 6,
    SAK_HAS_INSTANCE = 1 << 7,
    SAK_HAS_CAPTION = 1 << 8,
};

/* One sample at its native size; row-major, top row first.  Arrays not in `has` are NULL. */
typedef struct sak_sample {
    unsigned has;
    int H, W;
    uint8_t *rgb;      /* H*W*3, sRGB */
    uint8_t *semseg;   /* H*W class, 255 = ignore */
    float *depth;      /* H*W metres along the optical axis, 0 = invalid */
    float *normals;    /* H*W*3 unit vectors, X right, Y up, Z towards the camera; 0,0,0 = invalid */
    uint8_t *edge;     /* H*W 0/1, 255 = ignore */
    uint8_t *sal;      /* H*W 0/1, 255 = ignore */
    uint8_t *parts;    /* H*W part class, 0 = background, 255 = ignore */
    uint8_t *instance; /* H*W object id within the image, 0 = room shell */
    uint16_t caption[SAK_CAPTION_MAX]; /* token ids, 0 = end/padding */
    char id[64];
} sak_sample;

/* Allocates (or reuses, if size and `has` are unchanged) the arrays named by `has`. */
sak_status sak_sample_reserve(sak_sample *s, unsigned has, int H, int W, sak_error *err);
/* Sets s->id, which is for people: of a long one the end, which tells more. */
void sak_sample_name(sak_sample *s, const char *id);
void sak_sample_close(sak_sample *s);

typedef struct sak_dataset sak_dataset;
struct sak_dataset {
    char name[64];
    unsigned has;          /* modalities every sample carries */
    int H, W;              /* native size; 0 if it differs from sample to sample */
    int64_t count;
    int classes, parts;    /* semseg classes (with background if it has one), human-part classes */
    const char *const *class_names; /* `classes` names, or NULL */
    int vocabulary;        /* caption token ids are 1 … vocabulary-1; 0 without captions */
    char identity[65];     /* SHA-256 (hex) of what determines the content */
    /* Fills *s (reserving as needed).  Thread-safe: several loader threads call it at once. */
    sak_status (*read)(const sak_dataset *d, int64_t index, sak_sample *s, sak_error *err);
    void (*close)(sak_dataset *d);
    void *state;
};

/* Built-in procedural indoor scenes; see rooms.h.  Sample i depends on (seed, first + i) only. */
sak_status sak_rooms_open(sak_dataset *d, uint64_t seed, int64_t first, int64_t count, int H, int W,
                          sak_error *err);

/* A folder in the NYUD layout (images/, segmentation/, depth/, normals/, edge/, sal/, human_parts/,
 * gt_sets/<split>.txt).  Missing modalities are simply not in d->has.  Other layouts: folder.h. */
sak_status sak_folder_open(sak_dataset *d, const char *root, const char *split, sak_error *err);

void sak_dataset_close(sak_dataset *d);

#endif
