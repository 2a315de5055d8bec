/* Shared by the files of `sak bench`: measurements in processes of their own. */
#ifndef SAK_CLI_BENCH_H
#define SAK_CLI_BENCH_H

#include <jansson.h>

#include "cli/options.h"

/* What a child process does: prints one JSON object on stdout, returns an exit status. */
typedef int sak_bench_work(void *ctx);

/* Runs work in a child process and returns what it printed, with "peak_rss_mb" added; NULL when it
 * failed (its own message is on stderr), with its status in *status. */
json_t *sak_bench_child(sak_bench_work *work, void *ctx, int *status);

/* Cases that need no Lua.  Each returns {"columns": […], "rows": [{…}…], "notes": […]} or NULL. */
json_t *sak_bench_kernels(const sak_options *o); /* matrix products: our tiles against BLIS */
json_t *sak_bench_start(const sak_options *o);   /* how long the program takes to begin */

double sak_bench_now(void); /* seconds of a steady clock */

#endif
