/* Runs as a log folder of TensorBoard: a folder per run, for that is what it takes a run to be. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/export.h"
#include "results/tfevents.h"

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

/* Settings as a Markdown table; empty text without any. */
static sak_status put_settings(sak_export *e, int64_t run, FILE *f, sak_error *err)
{
    static const char sql[] =
        "SELECT p.path, replace(replace(" SAK_EXPORT_SETTING ", '|', '\\|'), char(10), ' ')"
        " FROM param p WHERE p.run_id = ?1 ORDER BY p.path";
    sak_rows *rows = NULL;
    bool more = false;
    SAK_TRY(sak_export_query(e, sql, run, false, &rows, err));
    sak_status st;
    for (bool first = true; (st = sak_rows_next(rows, &more, err)) == SAK_OK && more; first = false)
        fprintf(f, "%s| %s | %s |\n", first ? "| setting | value |\n|---|---|\n" : "",
                sak_rows_value(rows, 0).text, sak_rows_value(rows, 1).text);
    sak_rows_close(rows);
    return st;
}

static sak_status write_settings(sak_export *e, int64_t run, double began, sak_tfevents *f, sak_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    sak_status st = to ? put_settings(e, run, to, err) : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    if (to && fclose(to) != 0 && st == SAK_OK)
        st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    if (st == SAK_OK && size)
        st = sak_tfevents_text(f, began, "config", text, err);
    free(text);
    return st;
}

static sak_status write_points(sak_export *e, int64_t run, double began, sak_tfevents *f, sak_error *err)
{
    static const char sql[] = SAK_EXPORT_POINTS("m.metric, m.step, m.seconds, m.value");
    sak_rows *rows = NULL;
    bool more = false;
    SAK_TRY(sak_export_query(e, sql, run, true, &rows, err));
    sak_status st;
    while ((st = sak_rows_next(rows, &more, err)) == SAK_OK && more) {
        const sak_value v = sak_rows_value(rows, 3);
        st = sak_tfevents_scalar(f, began + sak_rows_value(rows, 2).num, sak_rows_value(rows, 1).i,
                                 sak_rows_value(rows, 0).text, v.type == SAK_NULL ? NAN : (float)v.num,
                                 err);
        if (st != SAK_OK)
            break;
        e->points++;
    }
    sak_rows_close(rows);
    return st;
}

/* Name of a run's folder: what people call it, made a file name, and its id. */
static void folder_name(const char *label, int64_t run, char *out, size_t size)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=.,";
    int n = 0;
    for (; label[n] && n < 200 && (size_t)n + 24 < size; n++)
        out[n] = strchr(plain, label[n]) && (n || label[n] != '.') ? label[n] : '-';
    snprintf(out + n, size - (size_t)n, "-%lld", (long long)run);
}

/* base: the folder under construction. */
static sak_status write_run(sak_export *e, int64_t run, const char *base, sak_error *err)
{
    static const char sql[] =
        "SELECT r.uid, r.started_us / 1e6, " SAK_EXPORT_LABEL " FROM run r WHERE r.id = ?1";
    sak_rows *rows = NULL;
    bool more = false;
    char name[256], *folder = NULL, *path = NULL;
    SAK_TRY(sak_export_query(e, sql, run, false, &rows, err));
    sak_tfevents f = {.out = {.fd = -1}};
    sak_status st = sak_rows_next(rows, &more, err);
    if (st != SAK_OK || !more)
        goto done; /* removed since it was chosen */
    const double began = sak_rows_value(rows, 1).num;
    folder_name(sak_rows_value(rows, 2).text, run, name, sizeof name);
    const char *uid = sak_rows_value(rows, 0).text;
    const size_t room = strlen(base) + strlen(name) + strlen(uid) + 64;
    folder = malloc(room);
    path = malloc(room);
    if (!folder || !path) {
        st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        goto done;
    }
    snprintf(folder, room, "%s/%s", base, name);
    snprintf(path, room, "%s/events.out.tfevents.%010lld.%s", folder, (long long)began, uid);
    if (mkdir(folder, 0777) != 0)
        st = SAK_FAIL(err, SAK_EIO, "cannot make the folder %s: %s", folder, strerror(errno));
    if (st == SAK_OK)
        st = sak_tfevents_open(&f, path, began, err);
    if (st == SAK_OK)
        st = write_settings(e, run, began, &f, err);
    if (st == SAK_OK)
        st = write_points(e, run, began, &f, err);
    if (st == SAK_OK)
        st = sak_tfevents_commit(&f, err);
done:
    sak_tfevents_close(&f);
    sak_rows_close(rows);
    free(folder);
    free(path);
    return st;
}

sak_status sak_export_tensorboard(sak_export *e, const char *folder, sak_error *err)
{
    SAK_TRY(sak_export_free_path(folder, err));
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    char *part = malloc(n + 16);
    if (!part)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    snprintf(part, n + 16, "%.*s.XXXXXX", (int)n, folder);
    sak_status st = SAK_OK;
    if (!mkdtemp(part)) {
        st = SAK_FAIL(err, SAK_EIO, "cannot make the folder %s: %s", folder, strerror(errno));
        free(part);
        return st;
    }
    for (int i = 0; i < e->n_runs && st == SAK_OK; i++)
        st = write_run(e, e->runs[i], part, err);
    if (st == SAK_OK)
        st = sak_export_found(e, err);
    /* mkdtemp's folder is its owner's alone; this one is like any other */
    const mode_t mask = umask(0);
    umask(mask);
    if (st == SAK_OK && (chmod(part, 0777 & ~mask) != 0 || rename(part, folder) != 0))
        st = SAK_FAIL(err, SAK_EIO, "cannot rename %s to %s: %s", part, folder, strerror(errno));
    if (st != SAK_OK)
        nftw(part, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(part);
    return st;
}
