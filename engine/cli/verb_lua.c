/* Verbs whose work is done by lua/sak/main.lua: hands over what was typed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/bind.h"
#include "cli/verbs.h"

int sak_verb_lua(const sak_options *o)
{
    const char *term = getenv("TERM"); /* a dumb one cannot move its cursor */
    const sak_job job = {
        .verb = o->args[0],
        .args = o->args + 1,
        .set = o->set,
        .grid = o->grid,
        .db = o->db,
        .threads = (int)o->threads,
        .jobs = (int)o->jobs,
        .seeds = (int)o->seeds,
        .steps = (int)o->steps,
        .retry = o->retry != NULL,
        .fail_fast = o->fail_fast,
        .fresh = o->fresh,
        .now = o->now,
        .unsafe_lua = o->unsafe_lua,
        .quiet = o->quiet,
        .json = o->json,
        .csv = o->csv,
        .tty = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0),
        .out = o->out,
        .stage = (int)o->stage,
        .dtype = o->dtype,
        .split = o->split,
        .max = o->max,
        .save = o->save,
        .data = o->data,
        .checkpoint = o->checkpoint,
        .tasks = o->tasks,
        .edge_protocol = o->edge_protocol,
        .pad = o->pad,
        .tile = o->tile,
        .limit = (int)(o->limit > 1 << 30 ? 1 << 30 : o->limit),
        .augment = o->augment,
        .argc = o->argc,
        .argv = o->argv,
    };
    return sak_bind_run(&job, stdout, stderr);
}
