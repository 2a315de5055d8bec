/* Datasets in folders: images and labels by modality and id, in the NYUD layout.
 *
 *   gt_sets/<split>.txt      one id a line
 *   images/<id>.png          RGB
 *   segmentation/<id>.png    class k stored as k + 1; 0 (or 255) = unlabelled
 *   depth/<id>.npy           float metres, 0 = invalid
 *   normals/<id>.png         n = 2 v / 255 - 1
 *   edge/, sal/<id>.png      0 or 255, cut at one half
 *   human_parts/<id>.png     part, 0 = background, 255 = ignore
 *   classes.txt              optional, "k+1 name" a line; without it there are 40 classes
 *   human_parts.txt          optional, "k name" a line; without it there are 7 parts
 *
 * A modality whose folder is absent is not in `has`; one whose folder is there has every id. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/dataset.h"
#include "data/npy.h"
#include "data/png.h"

enum { PATH_ROOM = 1024, NYUD_CLASSES = 40, PASCAL_PARTS = 7 };

typedef struct modality {
    unsigned flag;
    const char *folder, *ext;
} modality;

static const modality modalities[] = {
    {SAK_HAS_IMAGE, "images", "png"},      {SAK_HAS_SEMSEG, "segmentation", "png"},
    {SAK_HAS_DEPTH, "depth", "npy"},       {SAK_HAS_NORMALS, "normals", "png"},
    {SAK_HAS_EDGE, "edge", "png"},         {SAK_HAS_SAL, "sal", "png"},
    {SAK_HAS_PARTS, "human_parts", "png"},
};
enum { MODALITIES = sizeof modalities / sizeof *modalities };

typedef struct folder {
    char *root;
    char *list, *class_list; /* the texts that `id` and `class_name` point into */
    const char **id;
    const char **class_name;
} folder;

static void path_of(char out[PATH_ROOM], const folder *f, const modality *m, const char *id)
{
    snprintf(out, PATH_ROOM, "%s/%s/%s.%s", f->root, m->folder, id, m->ext);
}

/* ---- reading one sample ---- */

static sak_status same_size(const char *path, int H, int W, const sak_sample *s, sak_error *err)
{
    if (H == s->H && W == s->W)
        return SAK_OK;
    return SAK_FAIL(err, SAK_ESHAPE, "%s: is %d x %d, but its image is %d x %d (height x width)",
                    path, H, W, s->H, s->W);
}

static sak_status read_depth(const char *path, sak_sample *s, sak_error *err)
{
    float *v = NULL;
    sak_shape shape;
    SAK_TRY(sak_npy_read(path, &v, &shape, err));
    const bool flat = shape.n == 2 || (shape.n == 3 && shape.d[2] == 1);
    sak_status st;
    if (!flat || shape.d[0] > SAK_PNG_MAX_SIDE || shape.d[1] > SAK_PNG_MAX_SIDE)
        st = SAK_FAIL(err, SAK_ESHAPE, "%s: shape %s is not a depth map (H, W)", path,
                      SAK_SHAPE_TEXT(&shape));
    else
        st = same_size(path, (int)shape.d[0], (int)shape.d[1], s, err);
    for (int64_t i = 0; st == SAK_OK && i < (int64_t)s->H * s->W; i++)
        s->depth[i] = v[i] > 0 && isfinite(v[i]) ? v[i] : 0;
    sak_free(v);
    return st;
}

/* Unit vectors again after the 8 bits; what is far from unit length (grey, black) is no normal. */
static void decode_normals(const uint8_t *v, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        float x[3], q = 0;
        for (int k = 0; k < 3; k++) {
            x[k] = 2.0f * (float)v[3 * i + k] / 255.0f - 1.0f;
            q += x[k] * x[k];
        }
        q = sqrtf(q);
        for (int k = 0; k < 3; k++)
            out[3 * i + k] = q > 0.5f && q < 1.5f ? x[k] / q : 0;
    }
}

static sak_status decode_classes(const char *path, const uint8_t *v, int64_t n, int first,
                                 int classes, uint8_t *out, sak_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        const bool ignore = v[i] == SAK_IGNORE || v[i] < first;
        if (!ignore && v[i] - first >= classes)
            return SAK_FAIL(err, SAK_EFORMAT,
                            "%s: label %d, but there are %d classes (stored as "
                            "%d to %d); list them in classes.txt",
                            path, v[i], classes, first, classes - 1 + first);
        out[i] = ignore ? SAK_IGNORE : (uint8_t)(v[i] - first);
    }
    return SAK_OK;
}

static sak_status decode(const sak_dataset *d, unsigned flag, const char *path, const uint8_t *v,
                         sak_sample *s, sak_error *err)
{
    const int64_t n = (int64_t)s->H * s->W;
    uint8_t *binary = flag == SAK_HAS_EDGE ? s->edge : s->sal;
    switch (flag) {
    case SAK_HAS_IMAGE:
        memcpy(s->rgb, v, (size_t)n * 3);
        return SAK_OK;
    case SAK_HAS_NORMALS:
        decode_normals(v, n, s->normals);
        return SAK_OK;
    case SAK_HAS_SEMSEG:
        return decode_classes(path, v, n, 1, d->classes, s->semseg, err);
    case SAK_HAS_PARTS:
        return decode_classes(path, v, n, 0, d->parts, s->parts, err);
    default:
        for (int64_t i = 0; i < n; i++)
            binary[i] = v[i] >= 128;
        return SAK_OK;
    }
}

static sak_status read_png(const sak_dataset *d, const modality *m, const char *path, sak_sample *s,
                           sak_error *err)
{
    const bool colour = m->flag == SAK_HAS_IMAGE || m->flag == SAK_HAS_NORMALS;
    const bool classes = m->flag == SAK_HAS_SEMSEG || m->flag == SAK_HAS_PARTS;
    uint8_t *v = NULL;
    int H, W;
    SAK_TRY(sak_png_read(path,
                         colour    ? SAK_PNG_RGB
                         : classes ? SAK_PNG_LABEL
                                   : SAK_PNG_GREY,
                         &v, &H, &W, err));
    sak_status st = SAK_OK;
    if (m->flag == SAK_HAS_IMAGE) /* comes first: it decides the size */
        st = sak_sample_reserve(s, d->has, H, W, err);
    else
        st = same_size(path, H, W, s, err);
    if (st == SAK_OK)
        st = decode(d, m->flag, path, v, s, err);
    sak_free(v);
    return st;
}

static sak_status folder_read(const sak_dataset *d, int64_t index, sak_sample *s, sak_error *err)
{
    const folder *f = d->state;
    if (index < 0 || index >= d->count)
        return SAK_FAIL(err, SAK_EINVAL, "%s: sample %lld of %lld", d->name, (long long)index,
                        (long long)d->count);
    for (int k = 0; k < MODALITIES; k++) {
        const modality *m = &modalities[k];
        if (!(d->has & m->flag))
            continue;
        char path[PATH_ROOM];
        path_of(path, f, m, f->id[index]);
        SAK_TRY(m->flag == SAK_HAS_DEPTH ? read_depth(path, s, err) : read_png(d, m, path, s, err));
    }
    snprintf(s->id, sizeof s->id, "%s", f->id[index]);
    return SAK_OK;
}

/* ---- opening ---- */

/* Cuts text into its non-empty lines, blanks trimmed; *lines points into it. */
static sak_status split_lines(char *text, const char ***lines, int64_t *n, sak_error *err)
{
    size_t most = 1;
    for (const char *p = text; *p; p++)
        most += *p == '\n';
    SAK_TRY(sak_alloc((void **)lines, most, sizeof **lines, err));
    *n = 0;
    for (char *p = text; p;) {
        char *next = strchr(p, '\n');
        if (next)
            *next++ = 0;
        while (*p == ' ' || *p == '\t')
            p++;
        size_t length = strlen(p);
        while (length && strchr(" \t\r", p[length - 1]))
            p[--length] = 0;
        if (length)
            (*lines)[(*n)++] = p;
        p = next;
    }
    return SAK_OK;
}

static sak_status read_list(sak_dataset *d, folder *f, const char *split, sak_error *err)
{
    char path[PATH_ROOM];
    size_t size;
    snprintf(path, sizeof path, "%s/gt_sets/%s.txt", f->root, split);
    SAK_TRY(sak_file_read(path, (size_t)64 << 20, (void **)&f->list, &size, err));
    SAK_TRY(split_lines(f->list, &f->id, &d->count, err));
    if (d->count == 0)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: lists no images", path);
    for (int64_t i = 0; i < d->count; i++)
        if (strlen(f->id[i]) >= sizeof((sak_sample *)0)->id || strchr(f->id[i], '/'))
            return SAK_FAIL(err, SAK_EFORMAT, "%s: '%.80s' is not an image id", path, f->id[i]);
    return SAK_OK;
}

/* "<value> <name>" a line, values first, first + 1, …; n = 0 without the file. */
static sak_status read_names(const folder *f, const char *file, int first, char **text,
                             const char ***names, int *n, sak_error *err)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", f->root, file);
    *n = 0;
    if (!sak_file_exists(path))
        return SAK_OK;
    size_t size;
    int64_t lines;
    SAK_TRY(sak_file_read(path, 1 << 20, (void **)text, &size, err));
    SAK_TRY(split_lines(*text, names, &lines, err));
    for (int64_t i = 0; i < lines; i++) {
        char *end;
        const long value = strtol((*names)[i], &end, 10);
        if (end == (*names)[i] || value != first + i || value + 1 > SAK_IGNORE)
            return SAK_FAIL(err, SAK_EFORMAT, "%s: line %lld should begin with %lld, is '%.80s'",
                            path, (long long)i + 1, (long long)(first + i), (*names)[i]);
        (*names)[i] = end + strspn(end, " \t");
    }
    *n = (int)lines;
    return SAK_OK;
}

static sak_status read_class_names(sak_dataset *d, folder *f, sak_error *err)
{
    if (d->has & SAK_HAS_SEMSEG) {
        SAK_TRY(read_names(f, "classes.txt", 1, &f->class_list, &f->class_name, &d->classes, err));
        d->class_names = d->classes ? f->class_name : NULL;
        if (!d->classes)
            d->classes = NYUD_CLASSES;
    }
    if (d->has & SAK_HAS_PARTS) {
        char *text = NULL;
        const char **names = NULL;
        const sak_status st = read_names(f, "human_parts.txt", 0, &text, &names, &d->parts, err);
        sak_free(text);
        sak_free(names);
        if (st != SAK_OK)
            return st;
        if (!d->parts)
            d->parts = PASCAL_PARTS;
    }
    return SAK_OK;
}

/* Adds a file's size and three of its blocks: enough to tell two versions of a data set apart
 * (a PNG ends with the checksum of its pixels) without reading gigabytes on every start. */
static sak_status fingerprint(sak_hash *h, const char *path, sak_error *err)
{
    enum { BLOCK = 4096 };
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        if (file)
            fclose(file);
        return SAK_FAIL(err, SAK_ENOENT, "%s: listed, but cannot be opened", path);
    }
    unsigned char block[BLOCK];
    const long size = ftell(file);
    const long at[3] = {0, size / 2, size > BLOCK ? size - BLOCK : 0};
    sak_hash_add(h, &size, sizeof size);
    for (int i = 0; i < 3 && (i == 0 || size > BLOCK); i++) {
        size_t got = 0;
        if (fseek(file, at[i], SEEK_SET) == 0)
            got = fread(block, 1, BLOCK, file);
        sak_hash_add(h, block, got);
    }
    fclose(file);
    return SAK_OK;
}

/* Looks at every file once: all there, image sizes, and the data set's identity. */
static sak_status survey(sak_dataset *d, const folder *f, sak_error *err)
{
    sak_hash h;
    sak_hash_open(&h);
    const int numbers[3] = {(int)d->has, d->classes, d->parts};
    sak_hash_add(&h, numbers, sizeof numbers);
    for (int64_t i = 0; i < d->count; i++) {
        sak_hash_add(&h, f->id[i], strlen(f->id[i]) + 1);
        for (int k = 0; k < MODALITIES; k++) {
            char path[PATH_ROOM];
            if (!(d->has & modalities[k].flag))
                continue;
            path_of(path, f, &modalities[k], f->id[i]);
            SAK_TRY(fingerprint(&h, path, err));
            if (modalities[k].flag != SAK_HAS_IMAGE)
                continue;
            int H, W;
            SAK_TRY(sak_png_size(path, &H, &W, err));
            if (i == 0) {
                d->H = H;
                d->W = W;
            } else if (H != d->H || W != d->W) {
                d->H = d->W = 0;
            }
        }
    }
    sak_hash_text(&h, d->identity);
    return SAK_OK;
}

static void folder_close(sak_dataset *d)
{
    folder *f = d->state;
    if (!f)
        return;
    sak_free(f->root);
    sak_free(f->list);
    sak_free(f->class_list);
    sak_free(f->id);
    sak_free(f->class_name);
    sak_free(f);
}

static sak_status open_folder(sak_dataset *d, const char *root, const char *split, sak_error *err)
{
    folder *f = NULL;
    SAK_TRY(sak_alloc((void **)&f, 1, sizeof *f, err));
    d->state = f;
    size_t n = strlen(root);
    while (n > 1 && root[n - 1] == '/')
        n--;
    if (n + strlen(split) + sizeof((sak_sample *)0)->id + 32 > PATH_ROOM)
        return SAK_FAIL(err, SAK_EINVAL, "%.80s…: the path is too long", root);
    SAK_TRY(sak_alloc((void **)&f->root, n + 1, 1, err));
    memcpy(f->root, root, n);
    const char *slash = strrchr(f->root, '/');
    snprintf(d->name, sizeof d->name, "%.40s/%.20s", slash && slash[1] ? slash + 1 : f->root,
             split);
    if (!sak_dir_exists(f->root))
        return SAK_FAIL(err, SAK_ENOENT, "%s: no such folder", f->root);
    SAK_TRY(read_list(d, f, split, err));
    for (int k = 0; k < MODALITIES; k++) {
        char path[PATH_ROOM];
        snprintf(path, sizeof path, "%s/%s", f->root, modalities[k].folder);
        d->has |= sak_dir_exists(path) ? modalities[k].flag : 0;
    }
    if (!(d->has & SAK_HAS_IMAGE))
        return SAK_FAIL(err, SAK_ENOENT, "%s: has no folder images/", f->root);
    SAK_TRY(read_class_names(d, f, err));
    return survey(d, f, err);
}

sak_status sak_folder_open(sak_dataset *d, const char *root, const char *split, sak_error *err)
{
    *d = (sak_dataset){.read = folder_read, .close = folder_close};
    const sak_status st = open_folder(d, root, split, err);
    if (st != SAK_OK)
        sak_dataset_close(d);
    return st;
}
