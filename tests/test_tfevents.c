/* Event files of TensorBoard: the checksum against published vectors, the records byte by byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/tfevents.h"

static int failed;
static void check(bool ok, const char *what)
{
    if (!ok) {
        printf("FAIL: %s\n", what);
        failed = 1;
    }
}

/* RFC 3720, appendix B.4, and the check value of the CRC catalogue. */
static void the_checksum_agrees_with_the_published_vectors(void)
{
    unsigned char b[32];
    memset(b, 0, 32);
    check(sak_crc32c(b, 32) == 0x8a9136aa, "32 bytes of zeros");
    memset(b, 255, 32);
    check(sak_crc32c(b, 32) == 0x62a8ab43, "32 bytes of ones");
    for (int i = 0; i < 32; i++)
        b[i] = (unsigned char)i;
    check(sak_crc32c(b, 32) == 0x46dd794e, "32 incrementing bytes");
    for (int i = 0; i < 32; i++)
        b[i] = (unsigned char)(31 - i);
    check(sak_crc32c(b, 32) == 0x113fdb5c, "32 decrementing bytes");
    check(sak_crc32c("123456789", 9) == 0xe3069283, "123456789");
    check(sak_crc32c("", 0) == 0, "nothing");
}

/* Length 24 and its masked checksum, then Event{wall_time: 1.5, file_version: "brain.Event:2"};
 * Event{wall_time: 2, step: 300, summary{value{tag: "a", simple_value: 0.25}}}, spelled out. */
static void records_are_framed_and_encoded_as_the_formats_say(void)
{
    static const unsigned char version[] = "\x18\0\0\0\0\0\0\0....\x09\0\0\0\0\0\0\xf8\x3f\x1a\x0d"
                                           "brain.Event:2....";
    static const unsigned char scalar[] = "\x18\0\0\0\0\0\0\0....\x09\0\0\0\0\0\0\0\x40\x10\xac\x02"
                                          "\x2a\x0a\x0a\x08\x0a\x01" "a\x15\0\0\x80\x3e....";
    char path[] = "/tmp/sak_tfevents_XXXXXX";
    const int fd = mkstemp(path);
    check(fd >= 0, "a temporary file");
    sak_tfevents f;
    sak_error err = {0};
    sak_status st = sak_tfevents_open(&f, path, 1.5, &err);
    if (st == SAK_OK)
        st = sak_tfevents_scalar(&f, 2, 300, "a", 0.25f, &err);
    if (st == SAK_OK)
        st = sak_tfevents_commit(&f, &err);
    sak_tfevents_close(&f);
    check(st == SAK_OK, err.msg);
    unsigned char got[128];
    FILE *in = fopen(path, "rb");
    const size_t n = in ? fread(got, 1, sizeof got, in) : 0;
    const size_t one = sizeof version - 1, two = sizeof scalar - 1;
    check(n == one + two, "the size of two records");
    for (size_t i = 0; i < n && n == one + two; i++) {
        const unsigned char want = i < one ? version[i] : scalar[i - one];
        if (want != '.' && got[i] != want)
            printf("byte %zu is %02x, not %02x\n", i, got[i], want), failed = 1;
    }
    if (in)
        fclose(in);
    remove(path);
}

int main(void)
{
    the_checksum_agrees_with_the_published_vectors();
    records_are_framed_and_encoded_as_the_formats_say();
    if (!failed)
        puts("tfevents: ok");
    return failed;
}
