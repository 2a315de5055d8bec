/* Small tables and JSON values on stdout, for verbs whose rows do not come from the database. */
#ifndef SAK_CLI_TEXT_H
#define SAK_CLI_TEXT_H

#include <jansson.h>
#include <stdio.h>

#include "base/human.h"
#include "results/store.h"

typedef struct sak_table sak_table;

/* NULL when out of memory; every other function accepts that and does nothing. */
sak_table *sak_table_open(int columns, const char *const *names);
void sak_table_row(sak_table *t, const char *const *cells); /* copied; NULL is an empty cell */
void sak_table_print(const sak_table *t, sak_format format, FILE *f); /* TABLE or CSV */
void sak_table_close(sak_table *t);

/* v, or null for what JSON has no number for. */
json_t *sak_json_real(double v);
/* Prints and releases j; returns an exit status. */
int sak_print_json(json_t *j, FILE *f);

#endif
