/* What the files of this folder share: connections, the store's fields, small SQL helpers. */
#ifndef SAK_RESULTS_DB_H
#define SAK_RESULTS_DB_H

#include <sqlite3.h>

#include "results/store.h"

#define SAK_DB_APPLICATION_ID 0x73616b31 /* "sak1" */
#define SAK_DB_ROOM_BYTES 65536          /* less free space than this is none: a log cannot grow */
#define SAK_DB_WAIT_MS 60000             /* how long a person's call waits for a lock */

struct sak_store {
    sqlite3 *db;   /* maintenance; read-only when the files are */
    sqlite3 *qdb;  /* queries: opened on first use, read-only, guarded by an authorizer */
    char *path;
    char *spools;  /* folder of the spool files */
    char uid[33];  /* identity of this database; spools name it in their header */
    bool writable; /* files can be written: recovery and migration possible */
    bool write;    /* opened with SAK_STORE_WRITE */
    bool spool;    /* opened with SAK_STORE_SPOOL */
    bool immutable; /* the folder is read-only, so no shared memory: nothing may write meanwhile */
};

/* --- db.c --- */
sak_status sak_db_fail(sqlite3 *db, sak_error *err, const char *doing);
sak_status sak_db_exec(sqlite3 *db, const char *sql, sak_error *err);
sak_status sak_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, sak_error *err);
/* For a file in a folder that cannot be written; sqlite3_free it.  NULL: out of memory. */
char *sak_db_immutable_uri(const char *path);
/* First column of the first row of a query without parameters; `otherwise` when there is none. */
sak_status sak_db_int(sqlite3 *db, const char *sql, int64_t otherwise, int64_t *out, sak_error *err);
/* A further writing connection to an open store's file, with the pragmas every writer needs. */
sak_status sak_db_connect(const char *path, int wait_ms, sqlite3 **out, sak_error *err);
/* Refuses files that are no sak database, or one made by a newer sak.  *version is -1 when the file
 * cannot be read at all. */
sak_status sak_db_identify(sqlite3 *db, const char *path, int64_t *version, sak_error *err);
/* NULL binds NULL.  The text is not copied and stays until the statement has been stepped: a copy that found no
 * memory would be NULL, too. */
void sak_db_bind_text(sqlite3_stmt *st, int at, const char *text);
/* Name of a network file system by its statfs type, NULL for a local one. */
const char *sak_db_network_name(unsigned long type);
/* --- maintain.c --- */
/* A consistent copy under a name that must be free; it appears complete or not at all. */
sak_status sak_db_copy(sqlite3 *from, const char *path, sak_error *err);

/* --- format.c --- */
/* A line of CSV with the columns' names, the current row as one, the current row as a JSON object. */
void sak_rows_csv_head(const sak_rows *rows, FILE *out);
void sak_rows_csv_row(const sak_rows *rows, FILE *out);
void sak_rows_json_row(const sak_rows *rows, FILE *out);

/* --- schema.c, views.c, migrate.c --- */
typedef struct sak_migration {
    const char *name;
    const char *sql;
    sak_status (*fill)(sqlite3 *db, sak_error *err); /* may be NULL; runs after sql */
} sak_migration;
/* Step i leads from version i to i + 1. */
extern const sak_migration sak_migrations[];
extern const int sak_migrations_n;
extern const char sak_schema_sql[], sak_schema_sweeps_sql[], sak_schema_frozen_sql[],
    sak_schema_baselines_sql[];
extern const char sak_views_sql[];
sak_status sak_schema_fill_quantiles(sqlite3 *db, sak_error *err);
sak_status sak_db_recreate_views(sqlite3 *db, sak_error *err);
/* Adds the indexes that are missing. */
sak_status sak_db_recreate_indexes(sqlite3 *db, sak_error *err);
/* Brings the database to version n, under an exclusive lock and after a backup when it holds
 * anything; recreates the views.  Other processes doing the same wait and find it done. */
sak_status sak_db_migrate(sqlite3 *db, const char *path, const sak_migration *steps, int n,
                          sak_error *err);

/* --- clock and identity, host.c --- */
int64_t sak_now_us(void); /* since 1970 UTC */
int64_t sak_monotonic_us(void);
sak_status sak_random_bytes(void *p, size_t n, sak_error *err);
/* Kernel boot and pid namespace: equal strings mean that pids can be compared. */
void sak_host_boot_id(char out[96]);
void sak_host_name(char out[256]);
/* Start time of a process in clock ticks since boot; 0 when it does not exist. */
int64_t sak_host_pid_start(int64_t pid);
void sak_host_uid(char out[13], int64_t now_us, uint32_t random);
void sak_hex_sha256(const void *p, size_t n, char out[65]);

#endif
