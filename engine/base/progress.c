/* The progress line: how far, how fast, how long still. */
#include "base/progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/human.h"

enum { LINE_MAX_CHARS = 240 };
static const double live_seconds = 0.1, plain_seconds = 5, first_seconds = 1, window_seconds = 15;

struct sak_progress {
    FILE *f;
    bool tty;
    char label[64], text[160], unit[32];
    double per_step, start, drawn; /* drawn: time of the last line, 0 before the first */
    int64_t total, done;
    /* Speed is measured from a mark that moves on, so that a slow start does not spoil the ETA. */
    double mark_time, next_mark_time;
    int64_t mark_done, next_mark_done;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

sak_progress *sak_progress_open(int64_t total, const char *label, FILE *f, bool tty)
{
    sak_progress *p = f ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return NULL;
    *p = (sak_progress){.f = f, .tty = tty, .total = total, .start = now()};
    p->mark_time = p->next_mark_time = p->start;
    snprintf(p->label, sizeof p->label, "%s", label);
    return p;
}

void sak_progress_unit(sak_progress *p, double per_step, const char *unit)
{
    if (!p)
        return;
    p->per_step = per_step;
    snprintf(p->unit, sizeof p->unit, "%s", unit);
}

/* Steps per second since the mark. */
static double speed(const sak_progress *p, double t)
{
    return t > p->mark_time ? (double)(p->done - p->mark_done) / (t - p->mark_time) : 0;
}

static void move_mark(sak_progress *p, double t)
{
    if (t - p->next_mark_time < window_seconds)
        return;
    p->mark_time = p->next_mark_time;
    p->mark_done = p->next_mark_done;
    p->next_mark_time = t;
    p->next_mark_done = p->done;
}

static void add(char *out, size_t size, const char *piece)
{
    const size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%s", used ? "  " : "", piece);
}

/* Cuts at a number of characters, never inside one. */
static void cut(char *s, size_t width)
{
    size_t n = 0;
    for (; *s; s++)
        if (((unsigned char)*s & 0xC0) != 0x80 && n++ == width)
            break;
    *s = '\0';
}

void sak_progress_text(const sak_progress *p, double seconds, size_t width, char *out, size_t size)
{
    char piece[96], time[32];
    const double v = speed(p, p->start + seconds);
    snprintf(out, size, "%s", p->label);
    if (p->total > 0)
        snprintf(piece, sizeof piece, "%3.0f%%  %lld/%lld",
                 100.0 * (double)p->done / (double)p->total, (long long)p->done,
                 (long long)p->total);
    else
        snprintf(piece, sizeof piece, "%lld", (long long)p->done);
    add(out, size, piece);
    if (v > 0 && p->total > p->done) {
        sak_human_seconds((double)(p->total - p->done) / v, time);
        snprintf(piece, sizeof piece, "%s left", time);
        add(out, size, piece);
    }
    if (v > 0 && p->per_step > 0) {
        snprintf(piece, sizeof piece, v * p->per_step < 10 ? "%.2f %s/s" : "%.0f %s/s",
                 v * p->per_step, p->unit);
        add(out, size, piece);
    }
    if (*p->text)
        add(out, size, p->text);
    cut(out, width);
}

void sak_terminal_size(FILE *f, int *columns, int *rows)
{
    struct winsize w;
    const bool known = ioctl(fileno(f), TIOCGWINSZ, &w) == 0;
    *columns = known && w.ws_col > 1 ? w.ws_col : 80;
    *rows = known && w.ws_row > 1 ? w.ws_row : 24;
}

static size_t terminal_width(FILE *f)
{
    int columns, rows;
    sak_terminal_size(f, &columns, &rows);
    const size_t width = (size_t)columns - 1;
    return width < LINE_MAX_CHARS ? width : LINE_MAX_CHARS;
}

static void draw(sak_progress *p, double t)
{
    char line[4 * LINE_MAX_CHARS];
    const size_t width = p->tty ? terminal_width(p->f) : LINE_MAX_CHARS;
    sak_progress_text(p, t - p->start, width, line, sizeof line);
    fprintf(p->f, p->tty ? "\r%s\x1b[K" : "%s\n", line);
    fflush(p->f);
    p->drawn = t;
}

void sak_progress_update(sak_progress *p, int64_t done, const char *text)
{
    if (!p)
        return;
    const double t = now();
    p->done = done;
    snprintf(p->text, sizeof p->text, "%s", text ? text : "");
    move_mark(p, t);
    const double wait = p->tty ? live_seconds : plain_seconds;
    if (p->drawn > 0 ? t - p->drawn >= wait : p->tty || t - p->start >= first_seconds)
        draw(p, t);
}

void sak_progress_note(sak_progress *p, const char *line)
{
    if (!p)
        return;
    fprintf(p->f, p->tty ? "\r%s\x1b[K\n" : "%s\n", line);
    if (p->tty)
        draw(p, now());
}

void sak_progress_close(sak_progress *p)
{
    if (!p)
        return;
    const double seconds = now() - p->start;
    char time[32], rate[64] = "", of[32] = "";
    sak_human_seconds(seconds, time);
    if (p->total > 0 && p->done != p->total)
        snprintf(of, sizeof of, "/%lld", (long long)p->total);
    if (p->per_step > 0 && seconds > 0)
        snprintf(rate, sizeof rate, "  %.4g %s/s", (double)p->done * p->per_step / seconds,
                 p->unit);
    fprintf(p->f, "%s%s  %lld%s  %s%s%s%s%s\n", p->tty ? "\r" : "", p->label, (long long)p->done, of,
            time, rate, *p->text ? "  " : "", p->text, p->tty ? "\x1b[K" : "");
    fflush(p->f);
    free(p);
}
