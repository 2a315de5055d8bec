/* The feature cache as a whole: how much there is, what is oldest, what is damaged. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "data/feature_cache.h"
#include "data/feature_pack.h"

typedef struct found {
    char path[4096];
    uint64_t bytes;
    int64_t used;
} found;

typedef struct list {
    found *item;
    size_t n, room;
} list;

static bool is_key(const char *name)
{
    return strlen(name) == SAK_HASH_TEXT - 1 && strspn(name, "0123456789abcdef") == SAK_HASH_TEXT - 1;
}

/* Out of memory ends the list early: what is not in it is neither counted nor removed. */
static void keep(list *l, const char *folder, const char *name)
{
    if (l->n == l->room) {
        const size_t room = l->room ? 2 * l->room : 32;
        found *more = realloc(l->item, room * sizeof *more);
        if (!more)
            return;
        l->item = more;
        l->room = room;
    }
    found *f = &l->item[l->n];
    struct stat st;
    if (snprintf(f->path, sizeof f->path, "%s/%s", folder, name) >= (int)sizeof f->path ||
        stat(f->path, &st) != 0)
        return;
    f->bytes = (uint64_t)st.st_size;
    f->used = (int64_t)st.st_mtim.tv_sec;
    l->n++;
}

static void packs_in(list *l, const char *folder)
{
    DIR *d = opendir(folder);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (sak_ends_with(e->d_name, ".pack"))
            keep(l, folder, e->d_name);
    closedir(d);
}

/* Calls `each` with every teacher's folder below root. */
static void folders(const char *root, void (*each)(void *ctx, const char *folder, const char *key),
                    void *ctx)
{
    struct dirent **names = NULL;
    const int n = scandir(root, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char folder[4096];
        if (is_key(names[i]->d_name) &&
            snprintf(folder, sizeof folder, "%s/%s", root, names[i]->d_name) < (int)sizeof folder)
            each(ctx, folder, names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

static void collect(void *ctx, const char *folder, const char *key)
{
    (void)key;
    packs_in(ctx, folder);
}

static list all_packs(const char *root)
{
    list l = {0};
    folders(root, collect, &l);
    return l;
}

uint64_t sak_feature_folder_bytes(const char *root)
{
    const list l = all_packs(root);
    uint64_t bytes = 0;
    for (size_t i = 0; i < l.n; i++)
        bytes += l.item[i].bytes;
    free(l.item);
    return bytes;
}

static int older(const void *a, const void *b)
{
    const found *x = a, *y = b;
    return x->used != y->used ? (x->used > y->used) - (x->used < y->used) : strcmp(x->path, y->path);
}

static void remove_empty(void *ctx, const char *folder, const char *key)
{
    (void)ctx, (void)key;
    list l = {0};
    packs_in(&l, folder);
    free(l.item);
    char about[4200];
    snprintf(about, sizeof about, "%s/about.json", folder);
    if (l.n == 0) {
        (void)unlink(about);
        (void)rmdir(folder);
    }
}

uint64_t sak_feature_folder_trim(const char *root, uint64_t max, int64_t spare)
{
    const list l = all_packs(root);
    uint64_t bytes = 0, removed = 0;
    for (size_t i = 0; i < l.n; i++)
        bytes += l.item[i].bytes;
    if (l.n)
        qsort(l.item, l.n, sizeof *l.item, older);
    const int64_t now = (int64_t)time(NULL);
    for (size_t i = 0; i < l.n && bytes - removed > max; i++)
        if ((spare == 0 || now - l.item[i].used > spare) && unlink(l.item[i].path) == 0)
            removed += l.item[i].bytes;
    free(l.item);
    if (spare == 0)
        folders(root, remove_empty, NULL);
    return removed;
}

/* --- looking through ------------------------------------------------------------------ */

typedef struct look {
    bool check;
    void (*each)(void *ctx, const sak_feature_folder *f);
    void *ctx;
} look;

/* A pack that is none counts as one damaged record. */
static void look_through(sak_feature_folder *f, const char *path, uint64_t bytes, bool check)
{
    sak_pack_shape shape;
    sak_pack p;
    if (bytes < SAK_PACK_HEAD)
        return;
    if (sak_pack_peek(path, &shape, NULL) != SAK_OK || sak_pack_open(&p, path, &shape, NULL) != SAK_OK) {
        f->damaged++;
        return;
    }
    for (int64_t i = 0; i < p.records; i++) {
        const uint8_t *digest = sak_pack_digest(&p, &shape, i);
        f->records += digest != NULL;
        if (check && digest && !sak_pack_values(&p, &shape, i, digest)) {
            f->damaged++;
            sak_pack_strike(&p, &shape, i);
        }
    }
    sak_pack_close(&p);
}

static void one_folder(void *ctx, const char *folder, const char *key)
{
    const look *o = ctx;
    sak_feature_folder f = {0};
    memcpy(f.key, key, sizeof f.key);
    list l = {0};
    packs_in(&l, folder);
    for (size_t i = 0; i < l.n; i++) {
        f.packs++;
        f.bytes += l.item[i].bytes;
        f.used = l.item[i].used > f.used ? l.item[i].used : f.used;
        look_through(&f, l.item[i].path, l.item[i].bytes, o->check);
    }
    free(l.item);
    o->each(o->ctx, &f);
}

void sak_feature_folders(const char *root, bool check,
                         void (*each)(void *ctx, const sak_feature_folder *f), void *ctx)
{
    look o = {check, each, ctx};
    folders(root, one_folder, &o);
}
