/* MATLAB's .mat files, through the questions that datasets ask.  Version 7.3 is left out: what it
 * would test is HDF5. */
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "data/mat.h"
#include "fuzz/fuzz.h"

static void look(sak_mat *m, const sak_mat_value *v, int depth)
{
    static const char *const fields[] = {"objects", "parts", "mask", "class_ind", "part_name", "Boundaries"};
    char text[16];
    float *pixels = NULL;
    int H, W;
    sak_error err;
    sak_mat_text(v, text, sizeof text);
    if (sak_mat_image(m, v, "value", &pixels, &H, &W, &err) == SAK_OK && pixels[(size_t)H * (size_t)W - 1] > 1e30f)
        text[0] = 0;
    sak_free(pixels);
    const int64_t n = sak_mat_count(v);
    for (int64_t i = 0; i < n && i < 3 && depth < 4; i++) {
        if (sak_mat_cell(v, i))
            look(m, sak_mat_cell(v, i), depth + 1);
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
            if (sak_mat_field(v, i, fields[k]))
                look(m, sak_mat_field(v, i, fields[k]), depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"LabelMap", "anno", "groundTruth"};
    static char path[64];
    sak_mat *m;
    sak_error err;
    if (size >= 128 && (data[124] == 2 || data[125] == 2))
        return 0;
    if (!path[0])
        snprintf(path, sizeof path, "/tmp/sak-fuzz-%ld.mat", (long)getpid());
    FILE *file = fopen(path, "wb");
    if (!file)
        return 0;
    fwrite(data, 1, size, file);
    fclose(file);
    if (sak_mat_open(&m, path, &err) == SAK_OK) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            look(m, sak_mat_find(m, names[i]), 0);
        sak_mat_close(m);
    }
    unlink(path);
    return 0;
}
