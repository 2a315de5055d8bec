/* `sak ops`: what a script can compute with, straight from the op rows; Lua lists nn. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "ops/op.h"

/* Name of the index-th of "a|b|c"; *n its length. */
static const char *choice(const char *choices, int index, int *n)
{
    while (index-- > 0 && strchr(choices, '|'))
        choices = strchr(choices, '|') + 1;
    *n = (int)strcspn(choices, "|");
    return choices;
}

static const char *type_name(const sak_attr_spec *a)
{
    static const char *const names[] = {[SAK_ATTR_INT] = "integer",  [SAK_ATTR_REAL] = "number",
                                        [SAK_ATTR_BOOL] = "boolean", [SAK_ATTR_CHOICE] = "choice",
                                        [SAK_ATTR_DIMS] = "list of integers"};
    return names[a->type];
}

static void default_text(const sak_attr_spec *a, char *out, size_t size)
{
    int n = 0;
    const char *word = a->type == SAK_ATTR_CHOICE ? choice(a->choices, (int)a->def, &n) : "";
    if (a->required)
        snprintf(out, size, "?");
    else if (a->type == SAK_ATTR_BOOL)
        snprintf(out, size, "%s", a->def != 0 ? "true" : "false");
    else if (a->type == SAK_ATTR_CHOICE)
        snprintf(out, size, "%.*s", n, word);
    else if (a->type == SAK_ATTR_DIMS)
        snprintf(out, size, "{}");
    else
        snprintf(out, size, "%g", a->def);
}

static void attrs_text(const sak_op *op, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (const sak_attr_spec *a = op->attrs; a && a->type != SAK_ATTR_END && used < size; a++) {
        char value[64];
        default_text(a, value, sizeof value);
        const int n = snprintf(out + used, size - used, "%s%s=%s", used ? " " : "", a->name, value);
        used += n > 0 ? (size_t)n : 0;
    }
}

static json_t *attr_json(const sak_attr_spec *a)
{
    json_t *j = json_pack("{s:s, s:s, s:b, s:s?}", "name", a->name, "type", type_name(a),
                          "required", a->required, "doc", a->doc);
    char value[64];
    default_text(a, value, sizeof value);
    if (a->choices)
        json_object_set_new(j, "choices", json_string(a->choices));
    if (a->required || a->type == SAK_ATTR_DIMS)
        return j;
    json_object_set_new(j, "default",
                        a->type == SAK_ATTR_BOOL     ? json_boolean(a->def != 0)
                        : a->type == SAK_ATTR_CHOICE ? json_string(value)
                        : a->type == SAK_ATTR_INT    ? json_integer((json_int_t)a->def)
                                                     : json_real(a->def));
    return j;
}

static json_t *op_json(const sak_op *op)
{
    json_t *attrs = json_array();
    for (const sak_attr_spec *a = op->attrs; a && a->type != SAK_ATTR_END; a++)
        json_array_append_new(attrs, attr_json(a));
    return json_pack("{s:s, s:s, s:o, s:b, s:s?, s:s?}", "name", op->name, "inputs", op->inputs,
                     "attributes", attrs, "differentiable", op->backward || op->view, "equation",
                     op->eq, "doc", op->doc);
}

static void print_full(const sak_op *op)
{
    printf("%s: %s\n\n  %s\n\n", op->name, op->doc ? op->doc : "", op->eq ? op->eq : "");
    printf("inputs       %s\n", op->inputs);
    for (const sak_attr_spec *a = op->attrs; a && a->type != SAK_ATTR_END; a++) {
        char value[64];
        default_text(a, value, sizeof value);
        printf("%-12s %-12s %s%s%s%s%s\n", a == op->attrs ? "attributes" : "", a->name,
               a->choices ? a->choices : type_name(a), a->required ? ", required" : ", default ",
               a->required ? "" : value, a->doc ? "; " : "", a->doc ? a->doc : "");
    }
    printf("gradient     %s\n", op->view       ? "yes; shares its input's memory"
                                : op->backward ? "yes, checked by central differences"
                                               : "none: nothing flows back");
    for (int i = 0; op->cases && op->cases[i]; i++)
        printf("%-12s %s\n", i == 0 ? "shapes tested" : "", op->cases[i]);
}

static int one(const sak_options *o, const char *name)
{
    const sak_op *op = sak_op_find(name);
    if (strcmp(name, "nn") == 0)
        return sak_verb_lua(o);
    if (!op) {
        sak_suggest s = sak_suggest_open(name, strlen(name));
        for (int i = 0; sak_op_at(i); i++)
            sak_suggest_try(&s, sak_op_at(i)->name);
        char remedy[128];
        snprintf(remedy, sizeof remedy, "did you mean '%s'?", s.best ? s.best : "");
        return sak_usage(s.best ? remedy : "`sak ops` lists all", "no op is named '%s'", name);
    }
    if (o->json)
        return sak_print_json(op_json(op), stdout);
    print_full(op);
    return SAK_EXIT_OK;
}

int sak_verb_ops(const sak_options *o)
{
    if (o->n_args > 1)
        return one(o, o->args[1]);
    json_t *all = json_array();
    sak_table *t = sak_table_open(5, (const char *[]){"name", "inputs", "attributes", "doc",
                                                      "equation"});
    for (int i = 0; sak_op_at(i); i++) {
        const sak_op *op = sak_op_at(i);
        char attrs[512];
        attrs_text(op, attrs, sizeof attrs);
        json_array_append_new(all, op_json(op));
        sak_table_row(t, (const char *[]){op->name, op->inputs, attrs, op->doc, op->eq});
    }
    if (o->json)
        sak_print_json(json_incref(all), stdout);
    else
        sak_table_print(t, o->csv ? SAK_FORMAT_CSV : SAK_FORMAT_TABLE, stdout);
    json_decref(all);
    sak_table_close(t);
    if (o->json || o->csv)
        return SAK_EXIT_OK;
    putchar('\n');
    return sak_verb_lua(o);
}
