/* Without libFuzzer: feeds a target every file of the folders given.  Each input lies in a block of
 * its own size, so that the address sanitizer sees reads past its end. */
#include <dirent.h>
#include <stdio.h>

#include "base/file.h"
#include "fuzz/fuzz.h"

static int replay(const char *path)
{
    void *data = NULL;
    size_t size = 0;
    sak_error err;
    if (sak_file_read(path, (size_t)1 << 26, &data, &size, &err) != SAK_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return -1;
    }
    uint8_t *own = malloc(size ? size : 1);
    if (own) {
        memcpy(own, data, size);
        LLVMFuzzerTestOneInput(own, size);
    }
    free(own);
    sak_free(data);
    return own ? 0 : -1;
}

static int replay_folder(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    if (!d)
        return -1;
    for (const struct dirent *e; n >= 0 && (e = readdir(d));) {
        char path[1024];
        if (e->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path)
            continue;
        n = replay(path) == 0 ? n + 1 : -1;
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const int n = replay_folder(argv[i]);
        if (n <= 0) {
            fprintf(stderr, "%s: no inputs\n", argv[i]);
            return 1;
        }
        printf("%s: %d inputs\n", argv[i], n);
    }
    return argc > 1 ? 0 : 1;
}
