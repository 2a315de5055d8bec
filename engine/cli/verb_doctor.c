/* `sak doctor`: collects findings and prints them. */
#include <jansson.h>
#include <stdarg.h>

#include "base/pool.h"
#include "cli/doctor.h"
#include "cli/text.h"
#include "cli/verbs.h"

struct sak_doctor {
    json_t *findings;
    int warnings, wrong;
    bool json;
};

void sak_doctor_find(sak_doctor *d, sak_health health, const char *item, const char *remedy,
                     const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warning", "wrong"};
    char value[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    d->warnings += health == SAK_HEALTH_WARN;
    d->wrong += health == SAK_HEALTH_WRONG;
    if (d->json) {
        json_array_append_new(d->findings,
                              json_pack("{s:s, s:s, s:s, s:s?}", "item", item, "state",
                                        words[health], "value", value, "remedy", remedy));
        return;
    }
    printf("%-13s %s%s%s\n", item, health == SAK_HEALTH_OK ? "" : words[health],
           health == SAK_HEALTH_OK ? "" : ": ", value);
    if (remedy)
        printf("%-13s   help: %s\n", "", remedy);
    fflush(stdout);
}

int sak_verb_doctor(const sak_options *o)
{
    sak_doctor d = {.findings = json_array(), .json = o->json};
    sak_error err = {0};
    if (sak_pool_open((int)o->threads, &err) != SAK_OK)
        sak_doctor_find(&d, SAK_HEALTH_WRONG, "threads", "try --threads 1", "%s", err.msg);
    sak_doctor_machine(&d);
    sak_doctor_results(&d, o);
    sak_doctor_speed(&d);
    sak_pool_close();
    if (o->json)
        sak_print_json(json_incref(d.findings), stdout);
    else if (d.wrong || d.warnings)
        printf("\n%d wrong, %d to look at\n", d.wrong, d.warnings);
    else
        printf("\nall well\n");
    json_decref(d.findings);
    return d.wrong ? SAK_EXIT_FAILED : SAK_EXIT_OK;
}
