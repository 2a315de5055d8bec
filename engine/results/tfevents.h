/* TensorBoard's event files: records framed as TensorFlow does (TFRecord), each a protobuf message
 * `Event`, written by hand.  Formats: tensorflow/core/lib/io/record_writer.h, core/util/event.proto,
 * core/framework/{summary,tensor}.proto. */
#ifndef SAK_RESULTS_TFEVENTS_H
#define SAK_RESULTS_TFEVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/file.h"

/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), RFC 3720 appendix B.4. */
uint32_t sak_crc32c(const void *data, size_t size);

/* A message under construction. */
typedef struct sak_proto {
    unsigned char *data;
    size_t size, room;
    bool failed; /* out of memory; seen when the record is written */
} sak_proto;

typedef struct sak_tfevents {
    sak_file_out out;
    sak_proto parts[4]; /* kept between events: no allocation per point */
} sak_tfevents;

/* Begins a file at path.  wall_time (here and below): seconds since 1970 UTC. */
sak_status sak_tfevents_open(sak_tfevents *f, const char *path, double wall_time, sak_error *err);
sak_status sak_tfevents_scalar(sak_tfevents *f, double wall_time, int64_t step, const char *tag,
                               float value, sak_error *err);
/* text: Markdown, shown by the text plugin. */
sak_status sak_tfevents_text(sak_tfevents *f, double wall_time, const char *tag, const char *text,
                             sak_error *err);
sak_status sak_tfevents_commit(sak_tfevents *f, sak_error *err);
void sak_tfevents_close(sak_tfevents *f); /* without commit nothing is left */

#endif
