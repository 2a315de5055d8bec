/* Datasets in folders, opened and read by a layout's table. */
#include "data/folder.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "data/image.h"

const sak_layout sak_layout_nyud = {
    .lists = "gt_sets",
    .class_file = "classes.txt",
    .part_file = "human_parts.txt",
    .classes = 40,
    .parts = 7,
    .n = 7,
    .m = {{.flag = SAK_HAS_IMAGE, .dir = "images", .suffix = ".png"},
          {.flag = SAK_HAS_SEMSEG,
           .dir = "segmentation",
           .suffix = ".png",
           .optional = true,
           .offset = 1,
           .ignore = -1,
           .ignore_colour = -1},
          {.flag = SAK_HAS_DEPTH, .dir = "depth", .suffix = ".npy", .optional = true},
          {.flag = SAK_HAS_NORMALS, .dir = "normals", .suffix = ".png", .optional = true},
          {.flag = SAK_HAS_EDGE, .dir = "edge", .suffix = ".png", .optional = true},
          {.flag = SAK_HAS_SAL, .dir = "sal", .suffix = ".png", .optional = true},
          {.flag = SAK_HAS_PARTS,
           .dir = "human_parts",
           .suffix = ".png",
           .optional = true,
           .ignore = -1,
           .ignore_colour = -1}},
};

const sak_layout sak_layout_images = {
    .n = 1,
    .m = {{.flag = SAK_HAS_IMAGE, .dir = "", .suffix = NULL}},
};

const sak_modality *sak_layout_find(const sak_layout *l, unsigned flag)
{
    for (int k = 0; k < l->n; k++)
        if (l->m[k].flag == flag)
            return &l->m[k];
    return NULL;
}

const char *sak_modality_name(unsigned flag)
{
    static const char *const names[] = {"image", "semseg",      "depth",    "normals", "edge",
                                        "sal",   "human_parts", "instance", "caption"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flag == 1u << i)
            return names[i];
    return "?";
}

/* ---- reading ---- */

void sak_folder_path(char out[SAK_PATH_ROOM], const sak_folder *f, const sak_modality *m, int64_t i)
{
    const char *slash = *m->dir ? "/" : "";
    if (m->flag == SAK_HAS_IMAGE) {
        snprintf(out, SAK_PATH_ROOM, "%s/%s%s%s", f->root, m->dir, slash, f->image[i]);
        return;
    }
    if (m->first) {
        snprintf(out, SAK_PATH_ROOM, "%s/%s/%s%s", f->root, m->first, f->id[i], m->suffix);
        if (sak_file_exists(out))
            return;
    }
    snprintf(out, SAK_PATH_ROOM, "%s/%s%s%s%s", f->root, m->dir, slash, f->id[i], m->suffix);
}

static sak_status folder_read(const sak_dataset *d, int64_t index, sak_sample *s, sak_error *err)
{
    const sak_folder *f = d->state;
    if (index < 0 || index >= d->count)
        return SAK_FAIL(err, SAK_EINVAL, "%s: sample %lld of %lld", d->name, (long long)index,
                        (long long)d->count);
    for (int k = 0; k < f->layout.n; k++) {
        const sak_modality *m = &f->layout.m[k];
        if (!(d->has & m->flag))
            continue;
        char path[SAK_PATH_ROOM];
        sak_folder_path(path, f, m, index);
        SAK_TRY((m->read ? m->read : sak_modality_reader(m->flag))(d, m, path, s, err));
    }
    sak_sample_name(s, f->id[index]);
    return SAK_OK;
}

bool sak_is_folder(const sak_dataset *d)
{
    return d->read == folder_read;
}

const char *sak_folder_id(const sak_dataset *d, int64_t i)
{
    return ((const sak_folder *)d->state)->id[i];
}

/* ---- opening ---- */

/* Adds a file's size and three of its blocks: enough to tell two versions of a data set apart
 * (a PNG ends with the checksum of its pixels) without reading gigabytes on every start. */
static sak_status fingerprint(sak_hash *h, const char *path, sak_error *err)
{
    enum { BLOCK = 4096 };
    FILE *file;
    if (sak_file_stream(path, &file, NULL) != SAK_OK || fseek(file, 0, SEEK_END) != 0) {
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

static sak_status survey_sample(sak_dataset *d, const sak_folder *f, sak_hash *h, int64_t i,
                                sak_error *err)
{
    char path[SAK_PATH_ROOM];
    sak_hash_add(h, f->id[i], strlen(f->id[i]) + 1);
    for (int k = 0; k < f->layout.n; k++) {
        const sak_modality *m = &f->layout.m[k];
        if (!(d->has & m->flag))
            continue;
        sak_folder_path(path, f, m, i);
        SAK_TRY(fingerprint(h, path, err));
        if (m->flag != SAK_HAS_IMAGE)
            continue;
        int H, W;
        SAK_TRY(sak_image_size(path, &H, &W, err));
        if (i == 0) {
            d->H = H;
            d->W = W;
        } else if (H != d->H || W != d->W) {
            d->H = d->W = 0;
        }
    }
    return SAK_OK;
}

/* How a layout reads what is stored is part of what a data set is. */
static void add_rules(sak_hash *h, const sak_layout *l)
{
    for (int k = 0; k < l->n; k++) {
        const sak_modality *m = &l->m[k];
        const double rules[] = {m->offset,  m->ignore,  m->threshold, m->scale,        m->axis[0],
                                m->axis[1], m->axis[2], m->colours,   m->ignore_colour};
        sak_hash_add(h, rules, sizeof rules);
        if (m->colours)
            sak_hash_add(h, m->colour, (size_t)m->colours * 3);
    }
}

static sak_status survey(sak_dataset *d, const sak_folder *f, bool bare, sak_error *err)
{
    sak_hash h;
    sak_hash_open(&h);
    const int numbers[3] = {(int)d->has, d->classes, d->parts};
    sak_hash_add(&h, numbers, sizeof numbers);
    add_rules(&h, &f->layout);
    for (int64_t i = 0; i < d->count; i++) {
        if (!bare) {
            SAK_TRY(survey_sample(d, f, &h, i, err));
            continue;
        }
        sak_hash_add(&h, f->image[i], strlen(f->image[i]) + 1);
        sak_hash_add(&h, &f->size[i], sizeof f->size[i]);
    }
    sak_hash_text(&h, d->identity);
    return SAK_OK;
}

static void folder_close(sak_dataset *d)
{
    sak_folder *f = d->state;
    if (!f)
        return;
    sak_arena_close(&f->text);
    sak_free(f->id);
    sak_free(f->image);
    sak_free(f->size);
    sak_free(f);
}

/* A layout of one's own: what it points to may be gone tomorrow. */
static bool copy_layout(sak_folder *f, const sak_layout *from)
{
    f->layout = *from;
    sak_arena *a = &f->text;
    bool ok = true;
    const char **const texts[] = {&f->layout.lists, &f->layout.class_file, &f->layout.part_file};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (*texts[i])
            ok &= (*texts[i] = sak_arena_text(a, *texts[i])) != NULL;
    for (int k = 0; k < from->n; k++) {
        sak_modality *m = &f->layout.m[k];
        const char **const names[] = {&m->dir, &m->first, &m->suffix};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (*names[i])
                ok &= (*names[i] = sak_arena_text(a, *names[i])) != NULL;
        if (m->colours) {
            const size_t bytes = (size_t)m->colours * 3;
            void *table = sak_arena_take(a, bytes);
            ok &= table != NULL;
            if (table)
                m->colour = memcpy(table, m->colour, bytes);
        }
    }
    if (from->class_names) {
        const char **names = sak_arena_take(a, (size_t)from->classes * sizeof *names);
        ok &= names != NULL;
        for (int i = 0; names && i < from->classes; i++)
            ok &= (names[i] = sak_arena_text(a, from->class_names[i])) != NULL;
        f->layout.class_names = names;
    }
    return ok;
}

/* Which modalities are there. */
static sak_status find_folders(sak_dataset *d, const sak_folder *f, sak_error *err)
{
    for (int k = 0; k < f->layout.n; k++) {
        const sak_modality *m = &f->layout.m[k];
        char path[SAK_PATH_ROOM], other[SAK_PATH_ROOM] = "";
        snprintf(path, sizeof path, "%s/%s", f->root, m->dir);
        if (m->first)
            snprintf(other, sizeof other, "%s/%s", f->root, m->first);
        if (sak_dir_exists(path) || (m->first && sak_dir_exists(other)))
            d->has |= m->flag;
        else if (m->flag == SAK_HAS_IMAGE)
            return SAK_FAIL(err, SAK_ENOENT, "%s: has no folder %s/", f->root, m->dir);
        else if (!m->optional)
            return SAK_FAIL(err, SAK_ENOENT, "%s: no such folder, for %s", path,
                            sak_modality_name(m->flag));
    }
    return SAK_OK;
}

static sak_status open_folder(sak_dataset *d, const char *root, const sak_split *split,
                              const sak_layout *layout, sak_error *err)
{
    sak_folder *f = NULL;
    SAK_TRY(sak_alloc((void **)&f, 1, sizeof *f, err));
    d->state = f;
    char *own = sak_arena_text(&f->text, root);
    if (!own || !copy_layout(f, layout))
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", root);
    size_t n = strlen(own);
    while (n > 1 && own[n - 1] == '/')
        own[--n] = 0;
    f->root = own;
    const char *slash = strrchr(own, '/');
    snprintf(d->name, sizeof d->name, "%.40s%s%.20s", slash && slash[1] ? slash + 1 : own,
             split->list ? "/" : "", split->list ? split->list : "");
    if (n > SAK_PATH_ROOM / 2)
        return SAK_FAIL(err, SAK_EINVAL, "%.80s…: the path is too long", root);
    if (!sak_dir_exists(f->root))
        return SAK_FAIL(err, SAK_ENOENT, "%s: no such folder", f->root);
    SAK_TRY(find_folders(d, f, err));
    SAK_TRY(sak_folder_list(d, f, split, err));
    SAK_TRY(sak_folder_names(d, f, err));
    if (split->unchecked)
        return SAK_OK;
    return survey(d, f, f->size && d->has == SAK_HAS_IMAGE, err);
}

sak_status sak_folder_open_as(sak_dataset *d, const char *root, const sak_split *split,
                              const sak_layout *layout, sak_error *err)
{
    *d = (sak_dataset){.read = folder_read, .close = folder_close};
    const sak_status st = open_folder(d, root, split, layout, err);
    if (st != SAK_OK)
        sak_dataset_close(d);
    return st;
}

sak_status sak_folder_open(sak_dataset *d, const char *root, const char *split, sak_error *err)
{
    return sak_folder_open_as(d, root, &(sak_split){.list = split}, &sak_layout_nyud, err);
}
