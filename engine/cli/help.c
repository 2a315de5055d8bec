/* Prints help from the tables: the welcome, all verbs, one verb. */
#include "cli/help.h"

#include <string.h>

const char *sak_version(void)
{
    return SAK_VERSION;
}

/* What is longer than its column has a line of its own, and the summary follows in its own column. */
static void verb_line(const sak_verb *v)
{
    enum { COLUMN = 18 };
    char usage[80];
    const int n = snprintf(usage, sizeof usage, "%s%s%s", v->name, *v->args ? " " : "", v->args);
    if (n > COLUMN)
        printf("  sak %s\n      %*s %s\n", usage, COLUMN, "", v->doc);
    else
        printf("  sak %-*s %s\n", COLUMN, usage, v->doc);
}

int sak_welcome(void)
{
    printf("sak %s: distils several vision foundation models into one student that keeps the\n"
           "strengths of each, trains it on dense tasks, and records every number.\n\n",
           sak_version());
    for (const sak_verb *v = sak_verbs; v->name; v++)
        if (v->newcomer)
            verb_line(v);
    printf("\nStart here:     sak run experiments/three_teachers.lua\n"
           "One verb:       sak help run\n"
           "Everything:     sak help\n");
    return SAK_EXIT_OK;
}

static void option_line(const sak_option_spec *s, FILE *f)
{
    char left[80];
    if (s->letter)
        snprintf(left, sizeof left, "-%c, --%s%s%s", s->letter, s->name, s->value ? " " : "",
                 s->value ? s->value : "");
    else
        snprintf(left, sizeof left, "--%s%s%s", s->name, s->value ? " " : "",
                 s->value ? s->value : "");
    fprintf(f, "  %-18s %s\n", left, s->doc);
}

void sak_help_verb(const sak_verb *v, FILE *f)
{
    fprintf(f, "usage: sak %s%s%s%s\n\n%s\n", v->name, *v->args ? " " : "", v->args,
            *v->options ? " [options]" : "", v->help);
    const uint64_t bits = sak_option_bits(v->options) | sak_option_bit("help");
    fputs("\noptions:\n", f);
    for (int i = 0; sak_option_specs[i].name; i++)
        if (bits >> i & 1)
            option_line(&sak_option_specs[i], f);
}

int sak_verb_help(const sak_options *o)
{
    if (o->n_args > 1) {
        const sak_verb *v = sak_verb_find(o->args[1]);
        if (!v)
            return sak_verb_unknown(o->args[1]);
        sak_help_verb(v, stdout);
        return SAK_EXIT_OK;
    }
    printf("usage: sak VERB [arguments] [options]\n\nverbs:\n");
    for (const sak_verb *v = sak_verbs; v->name; v++)
        if (v->doc)
            verb_line(v);
    printf("\nRUN is a run's id, a unique beginning of its uid, a name (the latest run of that\n"
           "name), @last, or @last-1 for the one before.\n"
           "Results go to stdout, progress and messages to stderr.  Exit status: 0 done, 1 failed,\n"
           "2 wrong usage or input.  `sak help VERB` has examples and options of a verb.\n\n"
           "environment:\n"
           "  SAK_DB             results database, unless --db names one\n"
           "  SAK_ISA            baseline, avx2 or avx512: use no more than that\n"
           "  SAK_LUA_ROOT       take the Lua modules from this folder, not from the binary\n"
           "  BLIS_ARCH_TYPE     number of BLIS's kernel set (see `sak doctor`)\n");
    return SAK_EXIT_OK;
}
