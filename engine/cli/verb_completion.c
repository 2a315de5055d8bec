/* `sak completion bash`: a completion script written from the verb and option tables. */
#include <string.h>

#include "cli/verbs.h"
#include "ops/op.h"

static void options_of(uint64_t bits)
{
    for (int i = 0; sak_option_specs[i].name; i++)
        if (bits >> i & 1)
            printf(" --%s", sak_option_specs[i].name);
}

static void words_of(const sak_verb *v)
{
    if (strcmp(v->name, "help") == 0)
        for (const sak_verb *w = sak_verbs; w->name; w++)
            printf("%s%s", w->doc ? " " : "", w->doc ? w->name : "");
    else if (strcmp(v->name, "completion") == 0)
        printf(" bash");
    else if (strcmp(v->name, "ops") == 0) {
        printf(" nn");
        for (int i = 0; sak_op_at(i); i++)
            printf(" %s", sak_op_at(i)->name);
    } else if (strstr(v->args, "RUN"))
        printf(" @last");
}

static void values(void)
{
    for (const sak_option_spec *s = sak_option_specs; s->name; s++)
        if (s->value && s->kind == SAK_OPTION_TEXT)
            printf("    --%s%s%.*s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", s->name,
                   s->letter ? "|-" : "", s->letter != 0, &s->letter);
        else if (s->value)
            printf("    --%s%s%.*s) return ;;\n", s->name, s->letter ? "|-" : "", s->letter != 0,
                   &s->letter);
}

int sak_verb_completion(const sak_options *o)
{
    if (strcmp(o->args[1], "bash") != 0)
        return sak_usage("sak completion bash", "no completion for '%s'", o->args[1]);
    printf("# Completion for sak; in ~/.bashrc:  eval \"$(sak completion bash)\"\n"
           "_sak() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "  local words='' files='' verb='' i\n"
           "  COMPREPLY=()\n"
           "  case $prev in\n");
    values();
    printf("  esac\n"
           "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "    case ${COMP_WORDS[i]} in -*) ;; *) verb=${COMP_WORDS[i]}; break ;; esac\n"
           "  done\n"
           "  case $verb in\n"
           "    '') words='");
    for (const sak_verb *v = sak_verbs; v->name; v++)
        printf("%s%s", v->doc ? v->name : "", v->doc ? " " : "");
    printf("--help --version' ;;\n");
    for (const sak_verb *v = sak_verbs; v->name; v++) {
        if (!v->doc)
            continue;
        printf("    %s) words='", v->name);
        options_of(sak_option_bits(v->options) | sak_option_bit("help"));
        words_of(v);
        printf("'%s ;;\n", strstr(v->args, "FILE") ? "; files=1" : "");
    }
    printf("  esac\n"
           "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "  [ -n \"$files\" ] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
           "}\n"
           "complete -o filenames -o bashdefault -F _sak sak\n");
    return SAK_EXIT_OK;
}
