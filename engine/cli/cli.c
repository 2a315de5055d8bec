/* The program: finds the verb, checks what it was given, runs it; and what `sak` alone prints. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "cli/help.h"
#include "cli/lost_file.h"
#include "cli/verbs.h"

const sak_verb *sak_verb_find(const char *name)
{
    for (const sak_verb *v = sak_verbs; v->name; v++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

int sak_verb_unknown(const char *name)
{
    sak_suggest s = sak_suggest_open(name, strlen(name));
    for (const sak_verb *v = sak_verbs; v->name; v++)
        if (v->doc)
            sak_suggest_try(&s, v->name);
    char remedy[200];
    const size_t n = strlen(name);
    if (s.best)
        snprintf(remedy, sizeof remedy, "did you mean 'sak %s'?", s.best);
    else if (n > 4 && n < 100 && strcmp(name + n - 4, ".lua") == 0)
        snprintf(remedy, sizeof remedy, "to run a script: sak run %s", name);
    else
        snprintf(remedy, sizeof remedy, "`sak help` lists all verbs");
    return sak_usage(remedy, "unknown verb '%s'", name);
}

static int check_options(const sak_options *o, const sak_verb *v)
{
    const uint64_t wrong = o->given & ~(sak_option_bits(v->options) | sak_option_bit("help"));
    if (!wrong)
        return SAK_EXIT_OK;
    int i = 0;
    while (!(wrong >> i & 1))
        i++;
    char remedy[100];
    snprintf(remedy, sizeof remedy, "`sak help %s` lists what it takes", v->name);
    return sak_usage(remedy, "`sak %s` takes no --%s", v->name, sak_option_specs[i].name);
}

static int check_args(const sak_options *o, const sak_verb *v)
{
    const int n = o->n_args - 1;
    char remedy[200];
    snprintf(remedy, sizeof remedy, "usage: sak %s%s%s", v->name, *v->args ? " " : "", v->args);
    if (n < v->min_args)
        return sak_usage(remedy, "`sak %s` needs %s", v->name, v->args);
    if (v->max_args >= 0 && n > v->max_args)
        return sak_usage(v->max_args == 1 ? "put what has spaces in quotes" : remedy,
                         "`sak %s` takes at most %d argument%s, got %d", v->name, v->max_args,
                         v->max_args == 1 ? "" : "s", n);
    return SAK_EXIT_OK;
}

static int dispatch(const sak_options *o)
{
    if (o->version) {
        printf("sak %s\n", sak_version());
        return SAK_EXIT_OK;
    }
    if (o->n_args == 0)
        return o->help ? sak_verb_help(o) : sak_welcome();
    const sak_verb *v = sak_verb_find(o->args[0]);
    if (!v)
        return sak_verb_unknown(o->args[0]);
    if (o->help) {
        sak_help_verb(v, stdout);
        return SAK_EXIT_OK;
    }
    int st = check_options(o, v);
    if (st == SAK_EXIT_OK)
        st = check_args(o, v);
    return st == SAK_EXIT_OK ? v->run(o) : st;
}

int sak_cli(int argc, char **argv)
{
    sak_options o;
    sak_lost_file_watch();
    int st = sak_options_parse(&o, argc, argv);
    if (st == SAK_EXIT_OK)
        st = dispatch(&o);
    sak_options_close(&o);
    const bool flushed = fflush(stdout) == 0; /* Lua's print flushed earlier, and may have failed then */
    if ((!flushed || ferror(stdout)) && st == SAK_EXIT_OK) {
        fprintf(stderr, "error: standard output: %s\n",
                flushed ? "not all of it could be written" : strerror(errno));
        st = SAK_EXIT_FAILED;
    }
    return st;
}
