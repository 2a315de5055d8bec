/* Progress of a long job: a live line on a terminal, a plain line every few seconds elsewhere. */
#ifndef SAK_BASE_PROGRESS_H
#define SAK_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct sak_progress sak_progress;

/* total: steps to do, 0 when unknown.  f is usually stderr; tty: f is a terminal.  NULL when out of
 * memory, or when f is NULL (quiet); every other function accepts that and does nothing. */
sak_progress *sak_progress_open(int64_t total, const char *label, FILE *f, bool tty);
/* A step handles that many of these ("images"): shows a rate. */
void sak_progress_unit(sak_progress *p, double per_step, const char *unit);
/* done: steps so far; text (may be NULL): what else to show, "loss 0.42".  Cheap: draws at most ten
 * times a second on a terminal, elsewhere every five seconds. */
void sak_progress_update(sak_progress *p, int64_t done, const char *text);
/* A line of its own that the live line does not tear. */
void sak_progress_note(sak_progress *p, const char *line);
/* Leaves a last line with the time it took. */
void sak_progress_close(sak_progress *p);

/* Size of the terminal that f is; 80 by 24 where it does not tell. */
void sak_terminal_size(FILE *f, int *columns, int *rows);

/* What update draws at `seconds` after the start, at most `width` characters of UTF-8. */
void sak_progress_text(const sak_progress *p, double seconds, size_t width, char *out, size_t size);

#endif
