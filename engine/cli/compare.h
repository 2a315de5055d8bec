/* A comparison as JSON: what `sak compare --json` prints and `sak report` draws. */
#ifndef SAK_CLI_COMPARE_H
#define SAK_CLI_COMPARE_H

#include <stdio.h>

#include <jansson.h>

#include "results/compare.h"

#define SAK_DEFAULT_LEVEL 0.95

/* One object per arm and metric, with a word of verdict; NULL when out of memory. */
json_t *sak_comparison_json(const sak_comparison *c);
/* Sentences for people: what the intervals and tests are, what they leave out, and that n is too small if it is. */
void sak_comparison_explain(const sak_comparison *c, const sak_chosen *chosen, FILE *f);

#endif
