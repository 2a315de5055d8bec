/* Spool files: the bytes go into a database in memory as they are, and once more with every checksum
 * made right, so that what lies behind the checksums is reached too.  Read twice they give what they
 * gave once; read in two parts, what they give as a whole. */
#define _GNU_SOURCE /* memfd_create */
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "fuzz/fuzz.h"
#include "results/db.h"
#include "results/ingest.h"

static sqlite3 *database(void)
{
    static sqlite3 *db;
    sak_error err;
    if (db)
        return db;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
        sak_db_migrate(db, ":memory:", sak_migrations, sak_migrations_n, &err) != SAK_OK)
        abort();
    return db;
}

/* Statements are prepared once: that is what most of the time would go to. */
static sqlite3_stmt *prepared(sqlite3 *db, const char *sql)
{
    static struct {
        const char *sql;
        sqlite3_stmt *st;
    } known[64];
    int i = 0;
    while (known[i].sql && known[i].sql != sql)
        i++;
    sak_error err;
    if (!known[i].sql && sak_db_prepare(db, known[i].sql = sql, &known[i].st, &err) != SAK_OK)
        abort();
    return known[i].st;
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = prepared(db, sql);
    if (sqlite3_step(st) != SQLITE_ROW)
        abort();
    const int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return n;
}

static void empty(sqlite3 *db)
{
    static const char *const sql[] = {
        "DELETE FROM metric_point", "DELETE FROM metric_last", "DELETE FROM metric_key",
        "DELETE FROM ingest",       "DELETE FROM param",       "DELETE FROM tag",
        "DELETE FROM event",        "DELETE FROM artifact",    "DELETE FROM attempt",
        "DELETE FROM run",          "DELETE FROM sweep",       "DELETE FROM experiment",
        "DELETE FROM blob"};
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        sqlite3_stmt *st = prepared(db, sql[i]);
        if (sqlite3_step(st) != SQLITE_DONE)
            abort();
        sqlite3_reset(st);
    }
}

/* What does not depend on the clock, nor on the order of sums. */
static void fingerprint(sqlite3 *db, int64_t out[4])
{
    out[0] = number(db, "SELECT count(*) FROM metric_point");
    out[1] = number(db, "SELECT coalesce(sum(n * 3 + n_nonfinite), 0) FROM metric_last");
    out[2] = number(db, "SELECT (SELECT count(*) FROM param) + (SELECT count(*) FROM event) * 1000 +"
                        " (SELECT count(*) FROM artifact) * 1000000");
    out[3] = number(db, "SELECT coalesce(max(offset), 0) FROM ingest");
}

/* Every metric's summary counts the points that stand. */
static void summaries_agree(sqlite3 *db)
{
    if (number(db, "SELECT count(*) FROM metric_last l WHERE n <> (SELECT count(DISTINCT step) FROM metric_point p"
                   " WHERE p.run_id = l.run_id AND p.key_id = l.key_id AND NOT EXISTS (SELECT 1 FROM"
                   "  attempt a WHERE a.run_id = p.run_id AND a.n > p.attempt AND a.resumed_step < p.step))"))
        abort();
}

/* `half` of the bytes first, then all there is. */
static void take_in(sqlite3 *db, int fd, uint64_t half)
{
    sak_error err;
    sak_ingest *g = NULL;
    if (sak_ingest_open(db, fd, "fuzz.spool", &g, &err) != SAK_OK)
        return;
    bool more;
    if (half)
        sak_ingest_step(g, half, &more, &err);
    sak_ingest_all(g, &err);
    if (sak_ingest_offset(g) < SAK_SPOOL_HEADER && sak_ingest_run(g))
        abort();
    sak_ingest_close(g);
    if (!sqlite3_get_autocommit(db))
        abort(); /* a transaction was left open */
}

static void try(const uint8_t *data, size_t size)
{
    sqlite3 *db = database();
    const int fd = memfd_create("spool", MFD_CLOEXEC);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size))
        abort();
    const int before = sqlite3_total_changes(db);
    int64_t whole[4], again[4];
    take_in(db, fd, 0);
    if (sqlite3_total_changes(db) != before) {
        fingerprint(db, whole);
        summaries_agree(db);
        take_in(db, fd, 0);
        fingerprint(db, again);
        if (memcmp(whole, again, sizeof whole) != 0)
            abort();
        empty(db);
        if (data[size - 1] % 4 == 0) { /* not always: it costs as much as all before it */
            take_in(db, fd, SAK_SPOOL_HEADER + (size - SAK_SPOOL_HEADER) / 2);
            fingerprint(db, again);
            if (memcmp(whole, again, sizeof whole) != 0)
                abort();
            empty(db);
        }
    }
    close(fd);
}

static void put_crc(uint8_t *at, uLong crc)
{
    const uint32_t v = (uint32_t)crc;
    memcpy(at, &v, sizeof v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try(data, size);
    uint8_t *right = size >= SAK_SPOOL_HEADER ? malloc(size) : NULL;
    if (!right)
        return 0;
    memcpy(right, data, size);
    put_crc(right + 60, crc32(0, right, 60));
    for (size_t at = SAK_SPOOL_HEADER; size - at >= SAK_RECORD_HEADER;) {
        uint32_t n;
        memcpy(&n, right + at, sizeof n);
        if (n > size - at - SAK_RECORD_HEADER)
            break;
        uLong crc = crc32(0, right + at, 4);
        crc = crc32(crc, right + at + 8, 4);
        put_crc(right + at + 4, crc32(crc, right + at + SAK_RECORD_HEADER, n));
        at += SAK_RECORD_HEADER + n;
    }
    if (memcmp(right, data, size) != 0)
        try(right, size);
    free(right);
    return 0;
}
