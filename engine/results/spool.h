/* The spool: an append-only file of checksummed records, one per attempt of a run.
 *
 * Header, 64 bytes: "SAKSPOL1", u32 0x01020304 (byte order), u32 attempt, 32 characters of the
 * database's uid, 12 of the run's, u32 CRC-32 of the 60 bytes before it.
 * Record: u32 payload length, u32 CRC-32 of length, type and payload, u32 type, payload.
 * Numbers are in the machine's byte order; a text is a u32 length (0xFFFFFFFF: NULL) and its bytes.
 * A file is read up to its first incomplete or damaged record. */
#ifndef SAK_RESULTS_SPOOL_H
#define SAK_RESULTS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    SAK_SPOOL_HEADER = 64,
    SAK_RECORD_HEADER = 12,
    SAK_RECORD_MAX = 256 << 20,
    SAK_POINT_BYTES = 28,        /* u32 key, i64 step, i64 t_us, f64 value */
    SAK_POINTS_PER_RECORD = 4096,
    SAK_SPOOL_NAME = 40,         /* bytes of "/<uid>-<attempt>.spool" with its end */
};

typedef enum sak_record {
    SAK_RECORD_RUN = 1,  /* the run's description: written once, first */
    SAK_RECORD_ATTEMPT,  /* the machine and version */
    SAK_RECORD_KEY,      /* u32 index, name: before the first point that uses the index */
    SAK_RECORD_DESCRIBE, /* u32 index, goal, unit, task */
    SAK_RECORD_POINTS,
    SAK_RECORD_PARAM,
    SAK_RECORD_TAG,
    SAK_RECORD_EVENT,
    SAK_RECORD_ARTIFACT,
    SAK_RECORD_FINISH,   /* state, i64 time */
    SAK_RECORD_LAST = SAK_RECORD_FINISH,
} sak_record;

/* Growing byte buffer; once an allocation failed, `failed` stays set and puts do nothing. */
typedef struct sak_bytes {
    unsigned char *p;
    size_t n, cap;
    bool failed;
} sak_bytes;

bool sak_bytes_reserve(sak_bytes *b, size_t more);
void sak_bytes_u32(sak_bytes *b, uint32_t v);
void sak_bytes_i64(sak_bytes *b, int64_t v);
void sak_bytes_f64(sak_bytes *b, double v);
void sak_bytes_text(sak_bytes *b, const char *s);
void sak_bytes_free(sak_bytes *b);

/* Records are opened and closed in the buffer; their checksums are set by seal. */
size_t sak_record_open(sak_bytes *b, sak_record type);
void sak_record_close(sak_bytes *b, size_t at); /* drops the record when the buffer failed in it */
void sak_record_seal(sak_bytes *b);

typedef struct sak_spool_id {
    char store[33], run[13];
    uint32_t attempt;
} sak_spool_id;

/* Where a run's attempt spools, in strlen(folder) + SAK_SPOOL_NAME bytes. */
void sak_spool_path(const char *folder, const char *uid, int attempt, char *out);

/* Creates `path` with its header, locked (flock) for as long as fd is open: a reader that gets the
 * lock knows that the writer is gone. */
sak_status sak_spool_create(const char *path, const sak_spool_id *id, int *fd, sak_error *err);
/* SAK_EFORMAT when the header is not a spool's. */
sak_status sak_spool_identify(int fd, sak_spool_id *id, sak_error *err);
/* Writes b at *end and advances it; on failure the file is cut back to *end. */
sak_status sak_spool_append(int fd, uint64_t *end, const sak_bytes *b, sak_error *err);

typedef enum sak_tail { SAK_TAIL_NONE, SAK_TAIL_INCOMPLETE, SAK_TAIL_DAMAGED } sak_tail;

/* Cursor over whole records of a file between two offsets. */
typedef struct sak_spool_reader {
    int fd;
    uint64_t at, end; /* next record; bytes beyond end are not looked at */
    unsigned char *buf;
    size_t have, used, cap; /* bytes buffered, of these consumed */
    sak_tail tail;          /* why reading stopped */
} sak_spool_reader;

typedef struct sak_record_view {
    uint32_t type;
    const unsigned char *p; /* valid until the next call */
    size_t n;
} sak_record_view;

/* *found is false at the end (see tail). */
sak_status sak_spool_next(sak_spool_reader *r, sak_record_view *rec, bool *found, sak_error *err);
void sak_spool_reader_free(sak_spool_reader *r);

/* Takes fields off a record's payload; past its end everything reads as 0 or NULL and `bad` is set. */
typedef struct sak_fields {
    const unsigned char *p;
    size_t n;
    bool bad;
} sak_fields;
uint32_t sak_take_u32(sak_fields *f);
int64_t sak_take_i64(sak_fields *f);
double sak_take_f64(sak_fields *f);
const char *sak_take_text(sak_fields *f, size_t *n); /* not NUL-terminated; NULL is NULL */

#endif
