/* What `sak doctor` says about the results database, its folder and the disk. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/db.h"
#include "cli/doctor.h"
#include "cli/text.h"

/* The nearest folder above path that exists. */
static void existing_folder(const char *path, char *out, size_t size)
{
    snprintf(out, size, "%s", path);
    struct stat st;
    for (;;) {
        char *slash = strrchr(out, '/');
        if (!slash) {
            snprintf(out, size, ".");
            return;
        }
        slash[slash == out] = '\0';
        if ((stat(out, &st) == 0 && S_ISDIR(st.st_mode)) || strcmp(out, "/") == 0)
            return;
    }
}

static void disk(sak_doctor *d, const char *folder)
{
    struct statvfs v;
    char free_text[32];
    if (statvfs(folder, &v) != 0)
        return;
    const double bytes = (double)v.f_bavail * (double)v.f_frsize;
    sak_human_bytes(bytes, free_text);
    sak_doctor_find(d,
                    bytes < 100e6 ? SAK_HEALTH_WRONG : bytes < 1e9 ? SAK_HEALTH_WARN : SAK_HEALTH_OK,
                    "disk",
                    bytes < 1e9 ? "free some, or keep results elsewhere: --db FILE or SAK_DB" : NULL,
                    "%s free in %s", free_text, folder);
}

static void integrity(sak_doctor *d, sak_store *s)
{
    char *problems = NULL;
    size_t size = 0;
    sak_error err = {0};
    FILE *f = open_memstream(&problems, &size);
    const sak_status st = sak_store_check(s, f, &err);
    if (f)
        fclose(f);
    if (st == SAK_OK)
        sak_doctor_find(d, SAK_HEALTH_OK, "integrity", NULL, "ok");
    else
        sak_doctor_find(d, SAK_HEALTH_WRONG, "integrity",
                        "`sak db repair` mends it, after a backup",
                        "%s%s%.300s", err.msg, problems && *problems ? ": " : "",
                        problems ? problems : "");
    free(problems);
}

static void contents(sak_doctor *d, sak_store *s, const sak_options *o)
{
    sak_error err = {0};
    int64_t runs = 0, running = 0;
    const sak_query all = {.sql = "SELECT count(*) FROM run"};
    const sak_query live = {.sql = "SELECT count(*) FROM run WHERE state = 'running'"};
    sak_status st = sak_cli_query_int(s, &all, &runs, &err);
    if (st == SAK_OK)
        st = sak_cli_query_int(s, &live, &running, &err);
    struct stat file;
    char size[32] = "?";
    if (stat(o->db, &file) == 0)
        sak_human_bytes((double)file.st_size, size);
    if (st != SAK_OK)
        sak_doctor_find(d, SAK_HEALTH_WRONG, "results", NULL, "%s: %s", o->db, err.msg);
    else
        sak_doctor_find(d, SAK_HEALTH_OK, "results", NULL, "%s: %s, %lld runs, %lld of them running",
                        o->db, size, (long long)runs, (long long)running);
}

void sak_doctor_results(sak_doctor *d, const sak_options *o)
{
    char folder[4096];
    existing_folder(o->db, folder, sizeof folder);
    const bool exists = access(o->db, F_OK) == 0;
    const bool writable = access(folder, W_OK | X_OK) == 0 && (!exists || access(o->db, W_OK) == 0);
    if (!exists) {
        sak_doctor_find(d, SAK_HEALTH_OK, "results", NULL, "%s: not there yet, the first run makes it",
                        o->db);
    } else {
        sak_store *s = NULL;
        sak_error err = {0};
        if (sak_store_open(o->db, SAK_STORE_READ, &s, &err) != SAK_OK) {
            sak_doctor_find(d, SAK_HEALTH_WRONG, "results", "--db FILE or SAK_DB names another",
                            "%s", err.msg);
        } else {
            contents(d, s, o);
            integrity(d, s);
        }
        sak_store_close(s);
    }
    if (!writable)
        sak_doctor_find(d, SAK_HEALTH_WRONG, "writable",
                        "give yourself the right to write, or name another: --db FILE or SAK_DB",
                        "cannot write %s", exists ? o->db : folder);
    disk(d, folder);
}
