/* `sak db check|backup|repair`: care of the results database. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/suggest.h"
#include "cli/db.h"
#include "cli/verbs.h"

static int check(const sak_options *o)
{
    sak_store *s = NULL;
    sak_error err = {0};
    int st = sak_cli_store(o, SAK_STORE_READ, &s);
    if (st == SAK_EXIT_OK && sak_store_audit(s, o->files, stdout, &err) != SAK_OK)
        st = sak_complain(&err);
    else if (st == SAK_EXIT_OK && !o->quiet)
        printf("%s: no problem found\n", o->db);
    sak_store_close(s);
    return st;
}

static int backup(const sak_options *o)
{
    char beside[4096];
    const char *to = o->n_args > 2 ? o->args[2] : beside;
    const time_t now = time(NULL);
    struct tm t;
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", localtime_r(&now, &t));
    snprintf(beside, sizeof beside, "%s.%s.bak", o->db, stamp);
    sak_store *s = NULL;
    sak_error err = {0};
    int st = sak_cli_store(o, SAK_STORE_READ, &s);
    if (st == SAK_EXIT_OK && sak_store_backup(s, to, &err) != SAK_OK)
        st = sak_complain(&err);
    else if (st == SAK_EXIT_OK && !o->quiet)
        printf("%s: copied to %s\n", o->db, to);
    sak_store_close(s);
    return st;
}

static int repair(const sak_options *o)
{
    sak_error err = {0};
    return sak_store_repair(o->db, o->quiet ? NULL : stdout, &err) == SAK_OK ? SAK_EXIT_OK
                                                                             : sak_complain(&err);
}

int sak_verb_db(const sak_options *o)
{
    static const struct {
        const char *name;
        int args;
        int (*run)(const sak_options *o);
    } actions[] = {{"check", 0, check}, {"backup", 1, backup}, {"repair", 0, repair}};
    const char *name = o->args[1];
    sak_suggest s = sak_suggest_open(name, strlen(name));
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        sak_suggest_try(&s, actions[i].name);
        if (strcmp(name, actions[i].name) != 0)
            continue;
        if (o->n_args - 2 > actions[i].args)
            return sak_usage("--db FILE names the database", "db %s: unexpected '%s'", name,
                             o->args[2 + actions[i].args]);
        return actions[i].run(o);
    }
    char remedy[64];
    snprintf(remedy, sizeof remedy, "did you mean '%s'?", s.best ? s.best : "check");
    return sak_usage(remedy, "db takes check, backup or repair, got '%s'", name);
}
