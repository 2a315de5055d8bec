/* The feature cache of one teacher: an index over the packs of its folder. */
#include "data/feature_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/feature_pack.h"
#include "kernels/half.h"

_Static_assert(sizeof(sak_real) == sizeof(float), "engine/data is built as float only");

enum {
    RECOUNT = 64 << 20, /* bytes */
    IN_USE = 600,       /* seconds: what was opened or written since is spared */
};

typedef struct pack {
    char name[64];
    ino_t inode;
    sak_pack p;
    bool lost; /* it became shorter, or cannot be read: no more than before is taken from it */
} pack;

typedef struct entry {
    uint8_t digest[SAK_HASH_BYTES];
    int32_t pack; /* + 1; 0: free */
    bool dead;
    int64_t record;
} entry;

struct sak_feature_cache {
    sak_feature_spec spec;
    sak_pack_shape shape;
    int64_t total; /* values of an image */
    char *folder, *root;
    pack *pack;
    int n, room;
    entry *table; /* open addressing; a power of two */
    int64_t slots, filled;
    sak_pack_out out;
    uint64_t others; /* bytes below root, but for `out`, when it was as long as `counted` */
    int64_t counted;
    void *scratch;   /* an image's values as stored, when they are not kept */
    char trouble[1024];
};

static size_t width(sak_feature_type type)
{
    return type == SAK_FEATURE_FP32 ? sizeof(float) : sizeof(uint16_t);
}

static bool parse_key(const char *text, uint8_t key[SAK_HASH_BYTES])
{
    for (int i = 0; i < SAK_HASH_BYTES; i++) {
        const char two[3] = {text[2 * i], two[0] ? text[2 * i + 1] : 0, 0};
        char *end;
        key[i] = (uint8_t)strtoul(two, &end, 16);
        if (end != two + 2)
            return false;
    }
    return text[2 * SAK_HASH_BYTES] == 0;
}

/* --- the index ------------------------------------------------------------------------ */

static entry *find(const sak_feature_cache *c, const uint8_t digest[SAK_HASH_BYTES])
{
    if (!c->slots)
        return NULL;
    uint64_t at;
    memcpy(&at, digest, sizeof at);
    for (;; at++) {
        entry *e = &c->table[at & (uint64_t)(c->slots - 1)];
        if (!e->pack || memcmp(e->digest, digest, SAK_HASH_BYTES) == 0)
            return e;
    }
}

static sak_status grow(sak_feature_cache *c, sak_error *err)
{
    entry *const old = c->table;
    const int64_t n = c->slots;
    void *p;
    SAK_TRY(sak_alloc(&p, (size_t)(n ? 2 * n : 1024), sizeof *c->table, err));
    c->table = p;
    c->slots = n ? 2 * n : 1024;
    for (int64_t i = 0; i < n; i++)
        if (old[i].pack)
            *find(c, old[i].digest) = old[i];
    sak_free(old);
    return SAK_OK;
}

/* A record that is found later takes the place of one that was crossed out, of no other. */
static sak_status add(sak_feature_cache *c, const uint8_t *digest, int which, int64_t record,
                      sak_error *err)
{
    if (2 * (c->filled + 1) > c->slots)
        SAK_TRY(grow(c, err));
    entry *e = find(c, digest);
    if (e->pack && !e->dead)
        return SAK_OK;
    c->filled += !e->pack;
    *e = (entry){.pack = which + 1, .record = record};
    memcpy(e->digest, digest, SAK_HASH_BYTES);
    return SAK_OK;
}

/* --- packs ---------------------------------------------------------------------------- */

static void path_of(const sak_feature_cache *c, const pack *p, char path[4096])
{
    if (snprintf(path, 4096, "%s/%s", c->folder, p->name) >= 4096)
        path[0] = 0;
}

static pack *pack_named(sak_feature_cache *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (strcmp(c->pack[i].name, name) == 0)
            return &c->pack[i];
    if (strlen(name) >= sizeof c->pack->name)
        return NULL;
    if (c->n == c->room) {
        void *p;
        const int room = c->room ? 2 * c->room : 16;
        if (sak_alloc(&p, (size_t)room, sizeof *c->pack, NULL) != SAK_OK)
            return NULL;
        if (c->n)
            memcpy(p, c->pack, sizeof *c->pack * (size_t)c->n);
        sak_free(c->pack);
        c->pack = p;
        c->room = room;
    }
    pack *p = &c->pack[c->n++];
    *p = (pack){0};
    memcpy(p->name, name, strlen(name) + 1);
    return p;
}

/* Maps what a pack has become, and enters what is new.  Out of memory is no trouble: what is not
 * entered is computed. */
static void look_at(sak_feature_cache *c, const char *name)
{
    pack *p = pack_named(c, name);
    char path[4096];
    struct stat st;
    if (!p || p->lost)
        return;
    path_of(c, p, path);
    if (stat(path, &st) != 0)
        return;
    if (p->p.map && (st.st_ino != p->inode || (size_t)st.st_size < p->p.map->map.size)) {
        p->lost = true; /* reading it could end the process; it stays mapped, but is not read */
        return;
    }
    const int64_t before = p->p.records, stride = sak_pack_stride(&c->shape);
    if (st.st_size < SAK_PACK_HEAD + (before + 1) * stride)
        return;
    sak_pack now;
    if (sak_pack_open(&now, path, &c->shape, NULL) != SAK_OK) {
        p->lost = p->p.map == NULL && st.st_size >= SAK_PACK_HEAD;
        return;
    }
    if (!p->p.map) /* the packs that were opened longest ago go first */
        (void)utimensat(AT_FDCWD, path, NULL, 0);
    sak_pack_close(&p->p);
    p->p = now;
    p->inode = st.st_ino;
    const int which = (int)(p - c->pack);
    for (int64_t i = before; i < now.records; i++) {
        const uint8_t *digest = sak_pack_digest(&p->p, &c->shape, i);
        if (digest && add(c, digest, which, i, NULL) != SAK_OK) {
            p->p.records = i; /* the rest another time */
            return;
        }
    }
}

void sak_feature_cache_refresh(sak_feature_cache *c)
{
    DIR *d = opendir(c->folder);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (sak_ends_with(e->d_name, ".pack"))
            look_at(c, e->d_name);
    closedir(d);
}

/* --- opening -------------------------------------------------------------------------- */

static sak_status copy_text(char **out, const char *a, const char *b, sak_error *err)
{
    const size_t n = strlen(a) + strlen(b) + 2;
    void *p;
    SAK_TRY(sak_alloc(&p, n, 1, err));
    snprintf(p, n, "%s%s%s", a, *b ? "/" : "", b);
    *out = p;
    return SAK_OK;
}

sak_status sak_feature_cache_open(sak_feature_cache **out, const sak_feature_spec *spec,
                                  sak_error *err)
{
    *out = NULL;
    void *p;
    SAK_TRY(sak_alloc(&p, 1, sizeof(sak_feature_cache), err));
    sak_feature_cache *c = p;
    c->spec = *spec;
    c->out.fd = -1;
    sak_status st = SAK_OK;
    if (!parse_key(spec->key, c->shape.key) || spec->parts < 1 || spec->parts > SAK_FEATURE_PARTS)
        st = SAK_FAIL(err, SAK_EINVAL, "features: key '%s' of 64 digits, %d parts of at most %d",
                      spec->key, spec->parts, SAK_FEATURE_PARTS);
    for (int i = 0; i < spec->parts && st == SAK_OK; i++)
        c->total += spec->count[i];
    c->shape.bytes = c->total * (int64_t)width(spec->type);
    if (st == SAK_OK)
        st = copy_text(&c->folder, spec->root, spec->key, err);
    if (st == SAK_OK)
        st = copy_text(&c->root, spec->root, "", err);
    if (st == SAK_OK)
        st = sak_alloc(&c->scratch, (size_t)c->shape.bytes, 1, err);
    if (st != SAK_OK) {
        sak_feature_cache_close(c);
        return st;
    }
    c->spec.root = c->root;
    c->spec.key = NULL;
    sak_feature_cache_refresh(c);
    *out = c;
    return SAK_OK;
}

void sak_feature_cache_close(sak_feature_cache *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n; i++)
        sak_pack_close(&c->pack[i].p);
    sak_pack_out_close(&c->out);
    sak_free(c->pack);
    sak_free(c->table);
    sak_free(c->folder);
    sak_free(c->root);
    sak_free(c->scratch);
    sak_free(c);
}

const char *sak_feature_cache_trouble(const sak_feature_cache *c)
{
    return c->trouble[0] ? c->trouble : NULL;
}

int64_t sak_feature_cache_images(const sak_feature_cache *c)
{
    return c->filled;
}

/* --- values --------------------------------------------------------------------------- */

static void load(sak_feature_type type, int64_t n, const unsigned char *from, float *to)
{
    if (type == SAK_FEATURE_FP32)
        memcpy(to, from, sizeof *to * (size_t)n);
    else if (type == SAK_FEATURE_FP16)
        sak_half_load(n, (const void *)from, to);
    else
        sak_bfloat_load(n, (const void *)from, to);
}

static void store(sak_feature_type type, int64_t n, const float *from, unsigned char *to)
{
    if (type == SAK_FEATURE_FP32)
        memcpy(to, from, sizeof *from * (size_t)n);
    else if (type == SAK_FEATURE_FP16)
        sak_half_store(n, from, (void *)to);
    else
        sak_bfloat_store(n, from, (void *)to);
}

static void load_parts(const sak_feature_cache *c, const unsigned char *from, float *const *part)
{
    for (int i = 0; i < c->spec.parts; i++) {
        load(c->spec.type, c->spec.count[i], from, part[i]);
        from += (size_t)c->spec.count[i] * width(c->spec.type);
    }
}

sak_feature_found sak_feature_cache_read(const sak_feature_cache *c,
                                         const uint8_t digest[SAK_HASH_BYTES], float *const *part)
{
    const entry *e = find(c, digest);
    if (!e || !e->pack || e->dead)
        return SAK_FEATURE_ABSENT;
    const pack *p = &c->pack[e->pack - 1];
    if (p->lost)
        return SAK_FEATURE_ABSENT;
    const void *values = sak_pack_values(&p->p, &c->shape, e->record, digest);
    if (!values)
        return SAK_FEATURE_DAMAGED;
    load_parts(c, values, part);
    return SAK_FEATURE_FOUND;
}

void sak_feature_cache_strike(sak_feature_cache *c, const uint8_t digest[SAK_HASH_BYTES])
{
    entry *e = find(c, digest);
    if (!e || !e->pack || e->dead)
        return;
    const pack *p = &c->pack[e->pack - 1];
    if (p->p.map && !p->lost)
        sak_pack_strike(&p->p, &c->shape, e->record);
    e->dead = true;
}

/* Bytes of what else lies below root. */
static void count_others(sak_feature_cache *c)
{
    const uint64_t all = sak_feature_folder_bytes(c->root), own = (uint64_t)c->out.size;
    c->others = all > own ? all - own : 0;
    c->counted = c->out.size;
}

/* Is there room for one more image?  Makes some, if need be. */
static bool may_keep(sak_feature_cache *c)
{
    if (c->trouble[0])
        return false;
    sak_error err = {0};
    if (c->out.fd < 0) {
        if (sak_pack_create(&c->out, c->folder, &c->shape, &err) != SAK_OK) {
            memcpy(c->trouble, err.msg, sizeof c->trouble);
            return false;
        }
        count_others(c);
    } else if (c->out.size - c->counted > RECOUNT) {
        count_others(c); /* other processes fill it too */
    }
    const uint64_t stride = (uint64_t)sak_pack_stride(&c->shape), max = c->spec.max_bytes;
    if (c->others + (uint64_t)c->out.size + stride <= max)
        return true;
    /* a tenth more than is needed: the next one shall not have to look again */
    sak_feature_folder_trim(c->root, max - max / 10 > stride ? max - max / 10 - stride : 0, IN_USE);
    count_others(c);
    if (c->others + (uint64_t)c->out.size + stride <= max)
        return true;
    snprintf(c->trouble, sizeof c->trouble, "the cache may take %.3g GB and is full", (double)max / 1e9);
    return false;
}

static bool is_finite(float x)
{
    return x - x == 0;
}

/* Through `values`, as they are stored. */
static sak_status round_parts(const sak_feature_cache *c, unsigned char *values, const float *const *in,
                              float *const *out, sak_error *err)
{
    for (int i = 0; i < c->spec.parts; i++) {
        store(c->spec.type, c->spec.count[i], in[i], values);
        load(c->spec.type, c->spec.count[i], values, out[i]);
        values += (size_t)c->spec.count[i] * width(c->spec.type);
        for (int64_t k = 0; c->spec.type == SAK_FEATURE_FP16 && k < c->spec.count[i]; k++)
            if (!is_finite(out[i][k]) && is_finite(in[i][k]))
                return SAK_FAIL(err, SAK_EINVAL,
                                "a teacher's feature of %g is too large for fp16: cache = { dtype = \"bf16\" }",
                                (double)in[i][k]);
    }
    return SAK_OK;
}

sak_status sak_feature_cache_round(sak_feature_cache *c, const float *const *in, float *const *out,
                                   sak_error *err)
{
    return round_parts(c, c->scratch, in, out, err);
}

sak_status sak_feature_cache_write(sak_feature_cache *c, const uint8_t digest[SAK_HASH_BYTES],
                                   const float *const *in, float *const *out, sak_error *err)
{
    const bool keep = may_keep(c);
    SAK_TRY(round_parts(c, keep ? sak_pack_next(&c->out) : c->scratch, in, out, err));
    sak_error cause;
    if (keep && sak_pack_append(&c->out, &c->shape, digest, &cause) != SAK_OK)
        memcpy(c->trouble, cause.msg, sizeof c->trouble);
    return SAK_OK;
}
