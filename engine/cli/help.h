/* Help texts, printed from the verb and option tables. */
#ifndef SAK_CLI_HELP_H
#define SAK_CLI_HELP_H

#include "cli/verbs.h"

const char *sak_version(void);
int sak_welcome(void); /* `sak` alone */
void sak_help_verb(const sak_verb *v, FILE *f);

#endif
