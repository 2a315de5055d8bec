/* The findings of `sak doctor`, one list for all its parts. */
#ifndef SAK_CLI_DOCTOR_H
#define SAK_CLI_DOCTOR_H

#include "cli/options.h"

typedef enum sak_health { SAK_HEALTH_OK, SAK_HEALTH_WARN, SAK_HEALTH_WRONG } sak_health;

typedef struct sak_doctor sak_doctor;

/* remedy: what to do about it, NULL when nothing. */
void sak_doctor_find(sak_doctor *d, sak_health health, const char *item, const char *remedy,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

void sak_doctor_machine(sak_doctor *d);                     /* CPU, kernels, memory, libraries */
void sak_doctor_speed(sak_doctor *d);                       /* a short measurement */
void sak_doctor_results(sak_doctor *d, const sak_options *o); /* database and disk */

#endif
