/* What the verbs that read the results database share. */
#ifndef SAK_CLI_DB_H
#define SAK_CLI_DB_H

#include <jansson.h>

#include "cli/options.h"
#include "results/store.h"

/* Opens the database the options name; on failure says so on stderr and returns an exit status. */
int sak_cli_store(const sak_options *o, sak_store_mode mode, sak_store **out);

/* Prints a query's rows to f; n (may be NULL) receives their number, limited whether there are more. */
sak_status sak_cli_query(sak_store *s, const sak_query *q, sak_format format, FILE *f, int64_t *n,
                         bool *limited, sak_error *err);
/* The rows as a JSON array of objects. */
sak_status sak_cli_query_json(sak_store *s, const sak_query *q, json_t **out, sak_error *err);
/* First column of the first row, 0 when there is none. */
sak_status sak_cli_query_int(sak_store *s, const sak_query *q, int64_t *out, sak_error *err);

/* Says on stderr that rows were left out. */
void sak_cli_note_limit(int64_t n);

#endif
