/* `sak sql`: a query against the results, read-only unless told otherwise. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/db.h"
#include "cli/verbs.h"

enum { SQL_MAX = 1 << 20, ROWS_ON_SCREEN = 1000 };
static const double default_timeout = 60;

static void indented(const char *text, int indent)
{
    enum { WIDTH = 96 };
    int column = 0;
    while (*text) {
        const int n = (int)strcspn(text, " ");
        if (column && column + 1 + n > WIDTH) {
            putchar('\n');
            column = 0;
        }
        column += printf("%*s%.*s", column ? 1 : indent, "", n, text);
        text += n;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static int teach(void)
{
    printf("The results database answers SQL.  Its views, each with a query to start from:\n");
    for (const sak_documented_query *d = sak_documented_queries; d->view; d++) {
        printf("\n%s\n", d->view);
        indented(d->doc, 2);
        putchar('\n');
        indented(d->sql, 6);
    }
    printf("\nusage: sak sql \"SELECT …\"   or   sak sql < query.sql   (`sak help sql`)\n");
    return SAK_EXIT_OK;
}

/* All of standard input; *text is malloc'd. */
static int read_input(char **text)
{
    *text = malloc(SQL_MAX + 1);
    if (!*text)
        return sak_usage(NULL, "out of memory");
    const size_t n = fread(*text, 1, SQL_MAX + 1, stdin);
    if (ferror(stdin))
        return sak_usage(NULL, "cannot read standard input");
    if (n > SQL_MAX)
        return sak_usage(NULL, "the query on standard input is larger than 1 MiB");
    (*text)[n] = '\0';
    if (strlen(*text) != n)
        return sak_usage(NULL, "the query on standard input contains a zero byte");
    return SAK_EXIT_OK;
}

static int query(const sak_options *o, sak_store *s, const char *sql)
{
    const sak_format format = sak_options_format(o);
    const sak_query q = {
        .sql = sql,
        .max_rows = o->limit >= 0 ? o->limit : format == SAK_FORMAT_TABLE ? ROWS_ON_SCREEN : 0,
        .max_seconds = o->timeout >= 0 ? o->timeout : default_timeout,
    };
    sak_error err = {0};
    int64_t n = 0;
    bool limited = false;
    const sak_status st = sak_cli_query(s, &q, format, stdout, &n, &limited, &err);
    if (st == SAK_ESTOP) {
        sak_usage("--timeout SECONDS gives it longer, 0 for ever", "%s", err.msg);
        return SAK_EXIT_FAILED;
    }
    if (st != SAK_OK)
        return sak_complain(&err);
    if (limited)
        sak_cli_note_limit(n);
    return SAK_EXIT_OK;
}

static int execute(sak_store *s, const char *sql)
{
    sak_error err = {0};
    return sak_store_exec(s, sql, &err) == SAK_OK ? SAK_EXIT_OK : sak_complain(&err);
}

int sak_verb_sql(const sak_options *o)
{
    const char *sql = o->n_args > 1 ? o->args[1] : NULL;
    if (!sql && isatty(STDIN_FILENO))
        return teach();
    char *text = NULL;
    int st = SAK_EXIT_OK;
    if (!sql || strcmp(sql, "-") == 0)
        st = read_input(&text);
    if (text)
        sql = text;
    sak_store *s = NULL;
    if (st == SAK_EXIT_OK)
        st = sak_cli_store(o, o->write ? SAK_STORE_WRITE : SAK_STORE_READ, &s);
    if (st == SAK_EXIT_OK)
        st = o->write ? execute(s, sql) : query(o, s, sql);
    sak_store_close(s);
    free(text);
    return st;
}
