/* A lease: "boot|pid|start", naming a process so that nobody mistakes a later one for it. */
#ifndef SAK_RESULTS_LEASE_H
#define SAK_RESULTS_LEASE_H

#include "results/db.h"

#define SAK_LEASE_TEXT 160

/* Of a process of this machine, 0: this one.  SAK_ENOENT when it has ended. */
sak_status sak_lease_of(int64_t pid, char out[SAK_LEASE_TEXT], sak_error *err);
/* pid of the lease's process while it lives, else 0; NULL and nonsense are dead. */
int64_t sak_lease_pid(const char *lease);

#endif
