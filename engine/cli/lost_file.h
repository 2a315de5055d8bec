/* What happens when a mapped file shrinks under the program. */
#ifndef SAK_CLI_LOST_FILE_H
#define SAK_CLI_LOST_FILE_H

/* From now on, reading a mapped file where it has been truncated ends the program with one line that
 * names the file, and SAK_EXIT_FAILED. */
void sak_lost_file_watch(void);

#endif
