/* PASCAL-Context as the multi-task papers use it (Maninis et al., CVPR 2019, and after them MTI-Net,
 * InvPT, TaskPrompter, SAK), in the layout of their data package:
 *
 *   ImageSets/Context/<split>.txt         one id a line
 *   JPEGImages/<id>.jpg
 *   semseg/VOC12/<id>.png                 20 classes and background, 255 = ignore; where there is none:
 *   semseg/pascal-context/<id>.png        the same, made from the context labels
 *   pascal-context/trainval/<id>.mat      LabelMap: 459 classes; their boundaries are the edges
 *   human_parts/<id>.mat                  anno: objects with parts; of people, merged to 6 and background
 *   normals_distill/<id>.png              n = 2 v / 255 - 1, only where the label is something that
 *                                         NYUD knows, for the network that predicted them learned there
 *   sal_distill/<id>.png                  salient from 128 on
 *
 * A modality whose folder is absent is not in `has`. */
#include <stdio.h>
#include <string.h>

#include "data/folder.h"
#include "data/mat.h"
#include "kernels/thin.h"

enum { PERSON = 15 };

/* The context's labels of a sample, checked to be of the image's size. */
static sak_status read_label_map(const char *path, const sak_sample *s, float **map, sak_error *err)
{
    sak_mat *mat;
    int H, W;
    SAK_TRY(sak_mat_open(&mat, path, err));
    sak_status st = sak_mat_image(mat, sak_mat_find(mat, "LabelMap"), "LabelMap", map, &H, &W, err);
    if (st == SAK_OK && (st = sak_folder_same_size(path, H, W, s, err)) != SAK_OK) {
        sak_free(*map);
        *map = NULL;
    }
    sak_mat_close(mat);
    return st;
}

/* ---- edges ---- */

static int mirrored(int i, int n) /* -1 is 1, n is n - 2 */
{
    return n == 1 ? 0 : i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
}

/* 1 where the labels' Laplacian (4 neighbours) is not 0, thinned.  Labels are numbers here, so that
 * a boundary can cancel out; that is how it is published. */
static sak_status read_edges(const sak_dataset *d, const sak_modality *m, const char *path,
                             sak_sample *s, sak_error *err)
{
    (void)d;
    (void)m;
    float *map;
    int *list;
    SAK_TRY(read_label_map(path, s, &map, err));
    const int H = s->H, W = s->W;
    sak_status st = sak_alloc((void **)&list, (size_t)H * (size_t)W, sizeof *list, err);
    if (st == SAK_OK) {
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                const float *row = map + (size_t)y * (size_t)W;
                const float *up = map + (size_t)mirrored(y - 1, H) * (size_t)W,
                            *down = map + (size_t)mirrored(y + 1, H) * (size_t)W;
                s->edge[(size_t)y * (size_t)W + (size_t)x] = row[mirrored(x - 1, W)] +
                                                                 row[mirrored(x + 1, W)] + up[x] +
                                                                 down[x] - 4 * row[x] !=
                                                             0;
            }
        sak_thin(s->edge, H, W, list);
        sak_free(list);
    }
    sak_free(map);
    return st;
}

/* ---- normals ---- */

/* Context labels whose name NYUD knows too, and tvmonitor. */
static const uint16_t nyud_knows[] = {
    3,   4,   6,   9,   10,  11,  13,  15,  17,  18,  22,  23,  29,  30,  33,  34,  36,  37,  38,
    39,  41,  43,  46,  49,  50,  51,  53,  55,  56,  59,  61,  62,  65,  66,  68,  69,  72,  73,
    78,  83,  84,  85,  87,  88,  95,  96,  101, 104, 105, 107, 111, 113, 115, 122, 124, 135, 141,
    142, 143, 146, 150, 154, 157, 158, 159, 165, 172, 174, 181, 183, 184, 191, 193, 195, 197, 199,
    202, 213, 215, 216, 219, 220, 223, 225, 228, 230, 232, 233, 238, 239, 242, 243, 246, 250, 251,
    252, 255, 260, 261, 263, 269, 272, 273, 275, 281, 283, 284, 285, 286, 287, 288, 290, 291, 292,
    293, 295, 304, 307, 309, 310, 314, 315, 319, 323, 329, 330, 331, 336, 342, 345, 349, 350, 351,
    352, 355, 357, 368, 370, 371, 374, 379, 380, 383, 384, 397, 401, 403, 405, 407, 408, 411, 412,
    413, 414, 417, 419, 421, 423, 427, 429, 430, 432, 440, 441, 442, 443, 444, 446, 454, 457};

/* <root>/pascal-context/trainval/<id>.mat of <root>/normals_distill/<id>.png */
static sak_status label_path(const sak_dataset *d, const sak_modality *m, const char *path,
                             char out[SAK_PATH_ROOM], sak_error *err)
{
    const sak_folder *f = d->state;
    const char *id = path + strlen(f->root) + strlen(m->dir) + 2;
    const int n = (int)(strlen(id) - strlen(m->suffix));
    const int used =
        snprintf(out, SAK_PATH_ROOM, "%s/pascal-context/trainval/%.*s.mat", f->root, n, id);
    if (used < 0 || used >= SAK_PATH_ROOM)
        return SAK_FAIL(err, SAK_EINVAL, "%.80s…: the path is too long", path);
    return SAK_OK;
}

static sak_status read_normals(const sak_dataset *d, const sak_modality *m, const char *path,
                               sak_sample *s, sak_error *err)
{
    char labels[SAK_PATH_ROOM];
    float *map;
    SAK_TRY(sak_modality_reader(m->flag)(d, m, path, s, err));
    SAK_TRY(label_path(d, m, path, labels, err));
    SAK_TRY(read_label_map(labels, s, &map, err));
    bool known[512] = {false};
    for (size_t i = 0; i < sizeof nyud_knows / sizeof *nyud_knows; i++)
        known[nyud_knows[i]] = true;
    for (int64_t i = 0; i < (int64_t)s->H * s->W; i++)
        if (!(map[i] >= 0 && map[i] < 512 && known[(int)map[i]]))
            memset(s->normals + 3 * i, 0, 3 * sizeof *s->normals);
    sak_free(map);
    return SAK_OK;
}

/* ---- human parts ---- */

/* head, torso, upper arms, lower arms, upper legs, lower legs; 0 is background */
static const struct {
    const char *name;
    uint8_t part;
} parts[] = {{"hair", 1},  {"head", 1},  {"lear", 1},  {"lebrow", 1}, {"leye", 1},  {"lfoot", 6},
             {"lhand", 4}, {"llarm", 4}, {"llleg", 6}, {"luarm", 3},  {"luleg", 5}, {"mouth", 1},
             {"neck", 2},  {"nose", 1},  {"rear", 1},  {"rebrow", 1}, {"reye", 1},  {"rfoot", 6},
             {"rhand", 4}, {"rlarm", 4}, {"rlleg", 6}, {"ruarm", 3},  {"ruleg", 5}, {"torso", 2}};

static int find_part(const char *name)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(name, parts[i].name) == 0)
            return parts[i].part;
    return -1;
}

typedef struct person {
    const char *path;
    sak_mat *mat;
    const sak_mat_value *objects;
    int64_t index;
} person;

static sak_status read_mask(const person *p, const sak_mat_value *v, const char *what,
                            const sak_sample *s, float **mask, sak_error *err)
{
    int H, W;
    SAK_TRY(sak_mat_image(p->mat, v, what, mask, &H, &W, err));
    const sak_status st = sak_folder_same_size(p->path, H, W, s, err);
    if (st != SAK_OK) {
        sak_free(*mask);
        *mask = NULL;
    }
    return st;
}

/* Is the object a person, and visible at all? */
static sak_status is_person(const person *p, const sak_sample *s, bool *yes, sak_error *err)
{
    float *v;
    int H, W;
    *yes = false;
    SAK_TRY(sak_mat_image(p->mat, sak_mat_field(p->objects, p->index, "class_ind"),
                          "anno.objects.class_ind", &v, &H, &W, err));
    const bool human = v[0] == PERSON;
    sak_free(v);
    if (!human)
        return SAK_OK;
    SAK_TRY(
        read_mask(p, sak_mat_field(p->objects, p->index, "mask"), "anno.objects.mask", s, &v, err));
    for (int64_t i = 0; !*yes && i < (int64_t)s->H * s->W; i++)
        *yes = v[i] > 0;
    sak_free(v);
    return SAK_OK;
}

static sak_status paint_parts(const person *p, sak_sample *s, sak_error *err)
{
    const sak_mat_value *list = sak_mat_field(p->objects, p->index, "parts");
    for (int64_t k = 0; k < sak_mat_count(list); k++) {
        const sak_mat_value *name = sak_mat_field(list, k, "part_name");
        char text[32];
        float *mask;
        if (!name) /* [], of someone without parts */
            continue;
        if (!sak_mat_text(name, text, sizeof text) || find_part(text) < 0)
            return SAK_FAIL(err, SAK_EFORMAT,
                            "%s: anno.objects(%lld).parts(%lld): '%s' is no part of "
                            "a person",
                            p->path, (long long)p->index + 1, (long long)k + 1, text);
        SAK_TRY(
            read_mask(p, sak_mat_field(list, k, "mask"), "anno.objects.parts.mask", s, &mask, err));
        for (int64_t i = 0; i < (int64_t)s->H * s->W; i++)
            if (mask[i] != 0)
                s->parts[i] = (uint8_t)find_part(text);
        sak_free(mask);
    }
    return SAK_OK;
}

/* Parts of all people, later ones over earlier ones; without a person in sight all is background,
 * which augmentation turns into "nothing known". */
static sak_status read_parts(const sak_dataset *d, const sak_modality *m, const char *path,
                             sak_sample *s, sak_error *err)
{
    (void)d;
    (void)m;
    person p = {.path = path};
    memset(s->parts, 0, (size_t)s->H * (size_t)s->W);
    SAK_TRY(sak_mat_open(&p.mat, path, err));
    p.objects = sak_mat_field(sak_mat_find(p.mat, "anno"), 0, "objects");
    sak_status st = SAK_OK;
    if (!p.objects)
        st = SAK_FAIL(err, SAK_EFORMAT, "%s: there is no anno.objects", path);
    for (int64_t i = 0; st == SAK_OK && i < sak_mat_count(p.objects); i++) {
        bool yes;
        p.index = i;
        if (!sak_mat_field(p.objects, i, "class_ind")) /* [] */
            continue;
        st = is_person(&p, s, &yes, err);
        if (st == SAK_OK && yes)
            st = paint_parts(&p, s, err);
    }
    sak_mat_close(p.mat);
    return st;
}

static const char *const class_names[] = {
    "background", "aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",
    "car",        "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",
    "motorbike",  "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"};

const sak_layout sak_layout_pascal = {
    .lists = "ImageSets/Context",
    .classes = 21,
    .class_names = class_names,
    .parts = 7,
    .n = 6,
    .m = {{.flag = SAK_HAS_IMAGE, .dir = "JPEGImages", .suffix = ".jpg"},
          {.flag = SAK_HAS_SEMSEG,
           .dir = "semseg/pascal-context",
           .first = "semseg/VOC12",
           .suffix = ".png",
           .optional = true,
           .ignore = -1,
           .ignore_colour = -1},
          {.flag = SAK_HAS_EDGE,
           .dir = "pascal-context/trainval",
           .suffix = ".mat",
           .optional = true,
           .read = read_edges},
          {.flag = SAK_HAS_PARTS,
           .dir = "human_parts",
           .suffix = ".mat",
           .optional = true,
           .read = read_parts},
          {.flag = SAK_HAS_NORMALS,
           .dir = "normals_distill",
           .suffix = ".png",
           .optional = true,
           .read = read_normals},
          {.flag = SAK_HAS_SAL, .dir = "sal_distill", .suffix = ".png", .optional = true}},
};
