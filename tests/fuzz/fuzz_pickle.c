/* The pickle machine: the input is the third pickle of a legacy checkpoint and all after it. */
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "\x80\2\x8a\nl\xfc\x9c" "F\xf9 j\xa8P\x19." /* magic number */
                               "\x80\2M\xe9\3."                           /* version 1001 */
                               "\x80\2}X\15\0\0\0little_endian\x88s.";
    const size_t n = sizeof head - 1;
    char *bytes = malloc(n + size);
    if (!bytes)
        return 0;
    memcpy(bytes, head, n);
    if (size)
        memcpy(bytes + n, data, size);
    sak_error err;
    sak_weights w;
    if (sak_weights_parse(&w, "fuzz", bytes, n + size, NULL, &err) == SAK_OK)
        fuzz_read_all(&w);
    free(bytes);
    return 0;
}
