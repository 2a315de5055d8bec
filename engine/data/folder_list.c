/* Which samples a folder holds: lists of ids, or what lies there; and the names of its classes. */
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/folder.h"
#include "data/share.h"

enum { DEPTH_MAX = 32, ID_MAX = 400 }; /* folders in folders (links can make rings); bytes */

static const char *const picture_suffixes[] = {".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG"};
enum { PICTURE_SUFFIXES = sizeof picture_suffixes / sizeof *picture_suffixes };

/* Where a picture's suffix begins, or NULL. */
static const char *picture_suffix(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < 3; i++)
        if (strcasecmp(dot, picture_suffixes[i]) == 0)
            return dot;
    return NULL;
}

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

/* ---- lists ---- */

/* Below the folder, whatever it says: no "..", nothing absolute. */
static bool is_id(const char *id)
{
    const size_t n = strlen(id);
    if (n > ID_MAX || id[0] == '/')
        return false;
    for (const char *p = id; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || !p[2]))
            return false;
    }
    return true;
}

static sak_status out_of_memory(const sak_folder *f, sak_error *err)
{
    return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", f->root);
}

bool sak_folder_has_image(const sak_folder *f, const char *id)
{
    const sak_modality *m = &f->layout.m[0];
    char path[SAK_PATH_ROOM * 2];
    for (size_t k = 0; k < (m->suffix ? 1 : PICTURE_SUFFIXES); k++) {
        snprintf(path, sizeof path, "%s/%s%s%s%s", f->root, m->dir, *m->dir ? "/" : "", id,
                 m->suffix ? m->suffix : picture_suffixes[k]);
        if (sak_file_exists(path))
            return true;
    }
    return false;
}

/* The image of a listed id, with the suffix that it has on the disk; without a file the first. */
static sak_status find_image(sak_folder *f, int64_t i, sak_error *err)
{
    const sak_modality *m = &f->layout.m[0];
    char name[SAK_PATH_ROOM], path[SAK_PATH_ROOM * 2];
    const char *suffix = m->suffix, *own = picture_suffix(f->id[i]);
    if (!suffix && own) { /* a list of file names */
        char *id = sak_arena_text(&f->text, f->id[i]);
        f->image[i] = f->id[i];
        if (!id)
            return out_of_memory(f, err);
        id[own - f->id[i]] = 0;
        f->id[i] = id;
        return SAK_OK;
    }
    for (size_t k = 0; !suffix && k < PICTURE_SUFFIXES; k++) {
        snprintf(path, sizeof path, "%s/%s/%s%s", f->root, m->dir, f->id[i], picture_suffixes[k]);
        if (sak_file_exists(path))
            suffix = picture_suffixes[k];
    }
    snprintf(name, sizeof name, "%s%s", f->id[i], suffix ? suffix : picture_suffixes[0]);
    f->image[i] = sak_arena_text(&f->text, name);
    return f->image[i] ? SAK_OK : out_of_memory(f, err);
}

static sak_status read_list(sak_dataset *d, sak_folder *f, const char *list, sak_error *err)
{
    char path[SAK_PATH_ROOM];
    size_t size;
    const size_t n = strlen(list);
    const bool named = n > 4 && strcmp(list + n - 4, ".txt") == 0;
    if (named || !f->layout.lists)
        snprintf(path, sizeof path, "%s/%s", f->root, list);
    else
        snprintf(path, sizeof path, "%s/%s/%s.txt", f->root, f->layout.lists, list);
    char *text = NULL;
    SAK_TRY(sak_file_read(path, (size_t)256 << 20, (void **)&text, &size, err));
    sak_status st = split_lines(text, &f->id, &d->count, err);
    if (st == SAK_OK && d->count == 0)
        st = SAK_FAIL(err, SAK_EFORMAT, "%s: lists no images", path);
    if (st == SAK_OK)
        st = sak_alloc((void **)&f->image, (size_t)d->count, sizeof *f->image, err);
    for (int64_t i = 0; st == SAK_OK && i < d->count; i++) {
        if (!is_id(f->id[i]))
            st = SAK_FAIL(err, SAK_EFORMAT, "%s: '%.80s' is not an image id", path, f->id[i]);
        else if (!(f->id[i] = sak_arena_text(&f->text, f->id[i])))
            st = out_of_memory(f, err);
        else
            st = find_image(f, i, err);
    }
    sak_free(text);
    return st;
}

/* ---- what lies there ---- */

typedef struct found {
    const char *name;
    int64_t size;
} found;

typedef struct scan {
    sak_folder *f;
    found *at;
    int64_t n, room;
} scan;

static sak_status keep(void *ctx, const char *name, int64_t size, sak_error *err)
{
    scan *s = ctx;
    if (s->n == s->room) {
        found *wider;
        const int64_t room = s->room ? 2 * s->room : 1024;
        SAK_TRY(sak_alloc((void **)&wider, (size_t)room, sizeof *wider, err));
        if (s->n)
            memcpy(wider, s->at, (size_t)s->n * sizeof *wider);
        sak_free(s->at);
        s->at = wider;
        s->room = room;
    }
    const char *own = sak_arena_text(&s->f->text, name);
    if (!own)
        return out_of_memory(s->f, err);
    s->at[s->n++] = (found){own, size};
    return SAK_OK;
}

static bool is_wanted(const sak_modality *m, const char *name)
{
    if (!m->suffix)
        return picture_suffix(name) != NULL;
    const size_t n = strlen(name), k = strlen(m->suffix);
    return n > k && strcmp(name + n - k, m->suffix) == 0;
}

/* A folder below which files are visited. */
typedef struct tree {
    const char *top;
    const sak_modality *m;
    sak_folder_visit *visit;
    void *ctx;
} tree;

/* `below` is the folder's path from the top, "" or ending in a slash. */
static sak_status visit_below(const tree *t, const char *below, int depth, sak_error *err)
{
    const char *top = t->top;
    char path[SAK_PATH_ROOM * 2], name[SAK_PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", top, below);
    DIR *dir = opendir(path);
    if (!dir)
        return SAK_FAIL(err, SAK_EIO, "%s: %s", path, strerror(errno));
    sak_status st = SAK_OK;
    for (const struct dirent *e; st == SAK_OK && (e = readdir(dir));) {
        struct stat info;
        if (e->d_name[0] == '.')
            continue;
        if (snprintf(name, sizeof name, "%s%s", below, e->d_name) > ID_MAX)
            st = SAK_FAIL(err, SAK_EINVAL, "%s/%.80s…: the path is too long", top, name);
        else if (fstatat(dirfd(dir), e->d_name, &info, 0) != 0)
            continue; /* a dangling link */
        else if (S_ISDIR(info.st_mode) && depth == DEPTH_MAX)
            st =
                SAK_FAIL(err, SAK_EINVAL, "%s/%s: folders more than %d deep", top, name, DEPTH_MAX);
        else if (S_ISDIR(info.st_mode))
            st = visit_below(t, strcat(name, "/"), depth + 1, err);
        else if (S_ISREG(info.st_mode) && is_wanted(t->m, e->d_name))
            st = t->visit(t->ctx, name, info.st_size, err);
    }
    closedir(dir);
    return st;
}

sak_status sak_folder_walk(const sak_folder *f, const sak_modality *m, const char *dir,
                           sak_folder_visit *visit, void *ctx, sak_error *err)
{
    char top[SAK_PATH_ROOM];
    snprintf(top, sizeof top, "%s%s%s", f->root, *dir ? "/" : "", dir);
    return visit_below(&(tree){top, m, visit, ctx}, "", 0, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const found *)a)->name, ((const found *)b)->name);
}

/* Two images of one id, in a sorted list. */
static sak_status check_ids(const sak_folder *f, const found *at, int64_t n, sak_error *err)
{
    for (int64_t i = 1; i < n && !f->layout.m[0].suffix; i++) {
        const char *a = at[i - 1].name, *b = at[i].name;
        const ptrdiff_t stem = picture_suffix(a) - a;
        if (picture_suffix(b) - b == stem && memcmp(a, b, (size_t)stem) == 0)
            return SAK_FAIL(err, SAK_EFORMAT, "%s: %s and %s are two images of one id", f->root, a,
                            b);
    }
    return SAK_OK;
}

/* Ids are the images' paths without their suffixes, where labels go by them. */
static sak_status name_found(sak_dataset *d, sak_folder *f, const found *all, const int64_t *index,
                             sak_error *err)
{
    const bool labelled = d->has != SAK_HAS_IMAGE;
    const sak_modality *m = &f->layout.m[0];
    SAK_TRY(sak_alloc((void **)&f->id, (size_t)d->count, sizeof *f->id, err));
    SAK_TRY(sak_alloc((void **)&f->image, (size_t)d->count, sizeof *f->image, err));
    SAK_TRY(sak_alloc((void **)&f->size, (size_t)d->count, sizeof *f->size, err));
    for (int64_t i = 0; i < d->count; i++) {
        const found *at = &all[index[i]];
        f->image[i] = at->name;
        f->size[i] = at->size;
        f->id[i] = at->name;
        if (!labelled)
            continue;
        char *id = sak_arena_text(&f->text, at->name);
        if (!id)
            return out_of_memory(f, err);
        id[m->suffix ? strlen(id) - strlen(m->suffix) : (size_t)(strrchr(id, '.') - id)] = 0;
        f->id[i] = id;
    }
    return SAK_OK;
}

static sak_status scan_images(sak_dataset *d, sak_folder *f, const sak_split *split, sak_error *err)
{
    char top[SAK_PATH_ROOM];
    const char *dir = f->layout.m[0].dir;
    snprintf(top, sizeof top, "%s%s%s", f->root, *dir ? "/" : "", dir);
    scan s = {.f = f};
    sak_status st = sak_folder_walk(f, &f->layout.m[0], dir, keep, &s, err);
    if (st == SAK_OK && s.n == 0)
        st = SAK_FAIL(err, SAK_ENOENT, "%s: no pictures there (%s)", top,
                      f->layout.m[0].suffix ? f->layout.m[0].suffix : ".png, .jpg, .jpeg");
    if (st == SAK_OK) {
        qsort(s.at, (size_t)s.n, sizeof *s.at, by_name);
        if (d->has != SAK_HAS_IMAGE)
            st = check_ids(f, s.at, s.n, err);
    }
    int64_t *index = NULL;
    if (st == SAK_OK)
        st = sak_share_take(top, s.n, split->from, split->to, &index, &d->count, err);
    if (st == SAK_OK)
        st = name_found(d, f, s.at, index, err);
    sak_free(index);
    sak_free(s.at);
    return st;
}

sak_status sak_folder_list(sak_dataset *d, sak_folder *f, const sak_split *split, sak_error *err)
{
    return split->list ? read_list(d, f, split->list, err) : scan_images(d, f, split, err);
}

/* ---- names ---- */

/* "<value> <name>" a line, values first, first + 1, …; n = 0 without the file. */
static sak_status read_names(sak_folder *f, const char *file, int first, const char *const **names,
                             int *n, sak_error *err)
{
    char path[SAK_PATH_ROOM];
    *n = 0;
    if (!file)
        return SAK_OK;
    snprintf(path, sizeof path, "%s/%s", f->root, file);
    if (!sak_file_exists(path))
        return SAK_OK;
    size_t size;
    int64_t count;
    char *text = NULL;
    const char **line = NULL;
    SAK_TRY(sak_file_read(path, 1 << 20, (void **)&text, &size, err));
    sak_status st = split_lines(text, &line, &count, err);
    const char **own = sak_arena_take(&f->text, (size_t)(st == SAK_OK ? count : 1) * sizeof *own);
    if (st == SAK_OK && !own)
        st = out_of_memory(f, err);
    for (int64_t i = 0; st == SAK_OK && i < count; i++) {
        char *end;
        const long value = strtol(line[i], &end, 10);
        if (end == line[i] || value != first + i || value + 1 > SAK_IGNORE)
            st = SAK_FAIL(err, SAK_EFORMAT, "%s: line %lld should begin with %lld, is '%.80s'",
                          path, (long long)i + 1, (long long)(first + i), line[i]);
        else if (!(own[i] = sak_arena_text(&f->text, end + strspn(end, " \t"))))
            st = out_of_memory(f, err);
    }
    *n = st == SAK_OK ? (int)count : 0;
    *names = own;
    sak_free(line);
    sak_free(text);
    return st;
}

sak_status sak_folder_names(sak_dataset *d, sak_folder *f, sak_error *err)
{
    const sak_layout *l = &f->layout;
    if (d->has & SAK_HAS_SEMSEG) {
        SAK_TRY(read_names(f, l->class_file, 1, &d->class_names, &d->classes, err));
        if (!d->classes) {
            d->classes = l->classes;
            d->class_names = l->class_names;
        }
    }
    if (d->has & SAK_HAS_PARTS) {
        const char *const *names;
        SAK_TRY(read_names(f, l->part_file, 0, &names, &d->parts, err));
        if (!d->parts)
            d->parts = l->parts;
    }
    return SAK_OK;
}
