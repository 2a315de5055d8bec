/* The collector: one connection that reads the spools of several workers; see sweep.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/db.h"
#include "results/ingest.h"
#include "results/sweep.h"

typedef struct followed {
    char uid[13];
    char *path;
    int fd; /* -1 while there is no spool yet */
    sak_ingest *ingest;
} followed;

struct sak_collector {
    sak_store *store;
    sqlite3 *db;
    followed *list;
    size_t n, cap;
};

sak_status sak_run_uid_new(char out[13], sak_error *err)
{
    uint32_t random;
    SAK_TRY(sak_random_bytes(&random, sizeof random, err));
    sak_host_uid(out, sak_now_us(), random);
    return SAK_OK;
}

sak_status sak_collector_open(sak_store *s, sak_collector **out, sak_error *err)
{
    *out = NULL;
    if (!s->write)
        return SAK_FAIL(err, SAK_EINVAL, "%s is open for reading only", s->path);
    sak_collector *c = calloc(1, sizeof *c);
    if (!c)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    c->store = s;
    const sak_status status = sak_db_connect(s->path, SAK_DB_WAIT_MS, &c->db, err);
    if (status != SAK_OK) {
        free(c);
        return status;
    }
    *out = c;
    return SAK_OK;
}

static void let_go(followed *f)
{
    sak_ingest_close(f->ingest);
    f->ingest = NULL;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

void sak_collector_close(sak_collector *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        let_go(&c->list[i]);
        free(c->list[i].path);
    }
    sqlite3_close(c->db);
    free(c->list);
    free(c);
}

sak_status sak_collector_add(sak_collector *c, const char *uid, int attempt, sak_error *err)
{
    if (c->n == c->cap) {
        const size_t cap = c->cap ? 2 * c->cap : 8;
        followed *list = realloc(c->list, cap * sizeof *list);
        if (!list)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        c->list = list;
        c->cap = cap;
    }
    followed *f = &c->list[c->n];
    *f = (followed){.fd = -1, .path = malloc(strlen(c->store->spools) + SAK_SPOOL_NAME)};
    if (!f->path)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    snprintf(f->uid, sizeof f->uid, "%s", uid);
    sak_spool_path(c->store->spools, f->uid, attempt, f->path);
    c->n++;
    return SAK_OK;
}

/* Opens the spool once its header is whole. */
static sak_status find(sak_collector *c, followed *f, sak_error *err)
{
    struct stat st;
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0)
        return errno == ENOENT ? SAK_OK : SAK_FAIL(err, SAK_EIO, "cannot open %s: %s", f->path,
                                                   strerror(errno));
    const bool whole = fstat(f->fd, &st) == 0 && st.st_size >= SAK_SPOOL_HEADER;
    if (whole && sak_ingest_open(c->db, f->fd, f->path, &f->ingest, err) == SAK_OK)
        return SAK_OK;
    let_go(f); /* the next step tries again */
    return SAK_OK;
}

sak_status sak_collector_step(sak_collector *c, sak_error *err)
{
    for (size_t i = 0; i < c->n; i++) {
        followed *f = &c->list[i];
        if (!f->ingest)
            SAK_TRY(find(c, f, err));
        if (f->ingest)
            SAK_TRY(sak_ingest_all(f->ingest, err));
    }
    return SAK_OK;
}

void sak_collector_drop(sak_collector *c, const char *uid)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->list[i].uid, uid) != 0)
            continue;
        let_go(&c->list[i]);
        free(c->list[i].path);
        c->list[i] = c->list[--c->n];
        return;
    }
}
