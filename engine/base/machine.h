/* What memory the machine has. */
#ifndef SAK_BASE_MACHINE_H
#define SAK_BASE_MACHINE_H

/* Bytes; 0 where unknown. */
typedef struct sak_machine_memory {
    double total, available; /* available: without swapping, by the kernel's estimate */
    double limit;            /* of this process's group, if it is below the total */
} sak_machine_memory;

sak_machine_memory sak_machine_memory_now(void);

#endif
