/* Leases; see lease.h. */
#include "results/lease.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

sak_status sak_lease_of(int64_t pid, char out[SAK_LEASE_TEXT], sak_error *err)
{
    if (pid == 0)
        pid = getpid();
    char boot[96];
    sak_host_boot_id(boot);
    const int64_t start = sak_host_pid_start(pid);
    snprintf(out, SAK_LEASE_TEXT, "%s|%" PRId64 "|%" PRId64, boot, pid, start);
    return start ? SAK_OK : SAK_FAIL(err, SAK_ENOENT, "process %" PRId64 " has ended", pid);
}

int64_t sak_lease_pid(const char *lease)
{
    char boot[96];
    int64_t pid, start;
    const char *bar = lease ? strchr(lease, '|') : NULL;
    if (!bar || sscanf(bar, "|%" SCNd64 "|%" SCNd64, &pid, &start) != 2)
        return 0;
    sak_host_boot_id(boot);
    const size_t n = strlen(boot);
    const bool here = (size_t)(bar - lease) == n && memcmp(lease, boot, n) == 0;
    return here && start && sak_host_pid_start(pid) == start ? pid : 0;
}
