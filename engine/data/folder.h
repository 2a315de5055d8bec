/* Datasets in folders: which files hold which modality is a table, so that the published layouts
 * and a lab's own differ in data only. */
#ifndef SAK_DATA_FOLDER_H
#define SAK_DATA_FOLDER_H

#include <stdbool.h>

#include "base/alloc.h"
#include "data/dataset.h"

enum { SAK_MODALITIES = 7, SAK_PATH_ROOM = 1024 };

typedef struct sak_modality sak_modality;

/* Reads a file of a modality into its array of *s, whose size the image has set (reading the image
 * reserves it).  SAK_ESHAPE when the sizes differ. */
typedef sak_status sak_modality_read(const sak_dataset *d, const sak_modality *m, const char *path,
                                     sak_sample *s, sak_error *err);

/* Files of one modality: <root>/<dir>/<id><suffix>. */
struct sak_modality {
    unsigned flag;
    const char *dir;    /* below the root; "" is the root itself */
    const char *first;  /* a folder that is looked in before dir, or NULL */
    const char *suffix; /* image only: NULL for any of .png, .jpg, .jpeg, in either case */
    bool optional;      /* without its folder the dataset lacks the modality; else an error */
    int offset;         /* class 0 is stored as this; lower values are unlabelled */
    int ignore;         /* a stored value that is unlabelled too, as 255 always is; -1: none */
    int threshold;      /* masks: 1 from this grey level on; 0 = 128 */
    double scale;       /* depth: metres per stored unit; 0 = 1 */
    int8_t axis[3];     /* normals: X, Y, Z are +-channel 1, 2, 3; 0,0,0 = as stored */
    const uint8_t (*colour)[3]; /* classes are stored as colours, `colours` of them */
    int colours;
    int ignore_colour;       /* 0xRRGGBB that is unlabelled; -1: none */
    sak_modality_read *read; /* NULL: by flag */
};

typedef struct sak_layout {
    const char *lists;                  /* folder of the lists of ids, or NULL */
    const char *class_file, *part_file; /* optional lists of names; NULL: never */
    const char *const *class_names;     /* `classes` of them, or NULL */
    int classes, parts;                 /* where no file says */
    int n;
    sak_modality m[SAK_MODALITIES]; /* the image first */
} sak_layout;

/* Which samples: those of a list, or a share of all images there are. */
typedef struct sak_split {
    const char *list; /* "train" is <root>/<lists>/train.txt, "some/train.txt" is below the root */
    bool
        unchecked; /* opening looks at no file: what is broken shows when it is read; no identity */
    double from, to; /* without a list: this part of all images, in a fixed random order */
} sak_split;

/* The layout's strings and tables are copied.  Opening looks at every file of a labelled set once:
 * all there, image sizes, identity; of bare images only at names and sizes of files. */
sak_status sak_folder_open_as(sak_dataset *d, const char *root, const sak_split *split,
                              const sak_layout *layout, sak_error *err);

/* Names that are odd, though the files can be read; texts belong to the dataset. */
typedef struct sak_oddities {
    int64_t twice, case_twins, misnamed; /* ids listed again; that differ in case alone; pictures
                                          * whose suffix names the other format */
    const char *twin, *case_twin, *misnamed_image; /* the first of each, or NULL */
} sak_oddities;
/* Of a dataset opened as a folder. */
sak_status sak_folder_oddities(const sak_dataset *d, sak_oddities *out, sak_error *err);
bool sak_is_folder(const sak_dataset *d);

typedef void sak_folder_problem(void *ctx, int64_t index, const sak_error *err);
/* Reads a sample's files one by one and reports each that is broken, missing or not of its image's size;
 * without a readable image only what is missing. */
void sak_folder_diagnose(const sak_dataset *d, int64_t index, sak_folder_problem *problem, void *ctx);

/* Labels whose image is not there, over all lists: how many files of each modality of the layout, and one
 * of them, below the root. */
typedef struct sak_orphans {
    int64_t n[SAK_MODALITIES];
    char first[SAK_MODALITIES][SAK_PATH_ROOM]; /* by name */
} sak_orphans;
sak_status sak_folder_orphans(const sak_dataset *d, sak_orphans *out, sak_error *err);
/* The whole id of a sample of a dataset opened as a folder; of bare images the path below the root. */
const char *sak_folder_id(const sak_dataset *d, int64_t i);

/* images/<id>.png, segmentation/, depth/<id>.npy, normals/, edge/, sal/, human_parts/, gt_sets/. */
extern const sak_layout sak_layout_nyud;
/* PASCAL-Context as the multi-task papers use it; see pascal.c. */
extern const sak_layout sak_layout_pascal;
/* Any folder of pictures, with those in folders below it. */
extern const sak_layout sak_layout_images;

/* The table's row of a modality, or NULL. */
const sak_modality *sak_layout_find(const sak_layout *l, unsigned flag);
const char *sak_modality_name(unsigned flag); /* "image", "semseg", … */

/* ---- for the files of this dataset alone ---- */

typedef struct sak_folder {
    sak_arena text; /* everything below points into it */
    const char *root;
    sak_layout layout;
    const char **id;    /* d->count of them */
    const char **image; /* path of each image below its folder */
    int64_t *size;      /* of each image file, where there is no list; else NULL */
} sak_folder;

/* Fills id, image and d->count. */
sak_status sak_folder_list(sak_dataset *d, sak_folder *f, const sak_split *split, sak_error *err);
/* Every file of a modality below root/dir, in no order; `name` is its path from there. */
typedef sak_status sak_folder_visit(void *ctx, const char *name, int64_t size, sak_error *err);
sak_status sak_folder_walk(const sak_folder *f, const sak_modality *m, const char *dir,
                           sak_folder_visit *visit, void *ctx, sak_error *err);
bool sak_folder_has_image(const sak_folder *f, const char *id);
/* Class and part names and counts, from the layout or its files. */
sak_status sak_folder_names(sak_dataset *d, sak_folder *f, sak_error *err);
/* Where a sample's file of a modality lies. */
void sak_folder_path(char out[SAK_PATH_ROOM], const sak_folder *f, const sak_modality *m,
                     int64_t i);
/* The reader of a modality without one of its own. */
sak_modality_read *sak_modality_reader(unsigned flag);
/* SAK_ESHAPE unless H x W is the sample's size. */
sak_status sak_folder_same_size(const char *path, int H, int W, const sak_sample *s,
                                sak_error *err);

#endif
