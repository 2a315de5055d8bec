/* The stack machine of the pickle reader: opcodes, stack, marks and memo. */
#include "weights/pickle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BAD(...) SAK_FAIL(err, SAK_EFORMAT, __VA_ARGS__)

/* Values with one instance each, so that a long pickle of one-byte opcodes takes no memory. */
static sak_pk_value none = {.kind = SAK_PK_NONE}, yes = {.kind = SAK_PK_BOOL, .i = 1},
                    no = {.kind = SAK_PK_BOOL}, nothing = {.kind = SAK_PK_TUPLE},
                    opaque = {.kind = SAK_PK_OPAQUE};

typedef struct vm {
    sak_pickle *p;
    const unsigned char *bytes;
    size_t at, end, opcode; /* opcode: its byte, for messages */
    sak_pk_value **stack, **memo;
    size_t n, cap, memo_cap, entries; /* entries: of the memo, as MEMOIZE numbers them */
    size_t *mark;
    size_t n_marks, cap_marks;
} vm;

void *sak_pk_take(sak_pickle *p, size_t bytes, sak_error *err)
{
    p->used += bytes + 16;
    void *m = p->used <= SAK_PICKLE_MEMORY ? sak_arena_take(&p->arena, bytes) : NULL;
    if (!m)
        SAK_FAIL(err, SAK_ENOMEM, "%s: its pickle needs more than %zu MB of memory", p->path,
                 SAK_PICKLE_MEMORY >> 20);
    return m;
}

sak_pk_value *sak_pk_new(sak_pickle *p, sak_pk_kind kind, sak_error *err)
{
    sak_pk_value *v = sak_pk_take(p, sizeof *v, err);
    if (v)
        v->kind = kind;
    return v;
}

sak_pk_value *sak_pk_get(const sak_pk_value *dict, const char *key)
{
    for (size_t i = 0; i < dict->n; i += 2)
        if (dict->item[i]->kind == SAK_PK_TEXT && strcmp(dict->item[i]->text, key) == 0)
            return dict->item[i + 1];
    return NULL;
}

/* --- bytes ----------------------------------------------------------------------------------- */

static sak_status need(vm *m, uint64_t n, sak_error *err)
{
    if (n > m->end - m->at)
        return BAD("%s: truncated: byte %zu of its pickle needs %" PRIu64 " bytes more, %zu are left",
                   m->p->path, m->opcode, n, m->end - m->at);
    return SAK_OK;
}

/* A little-endian number of n <= 8 bytes. */
static sak_status number(vm *m, size_t n, uint64_t *out, sak_error *err)
{
    SAK_TRY(need(m, n, err));
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out |= (uint64_t)m->bytes[m->at++] << 8 * i;
    return SAK_OK;
}

/* --- stack, marks, memo ---------------------------------------------------------------------- */

static sak_status grow(void **list, size_t *cap, size_t want, size_t size, sak_error *err)
{
    if (want <= *cap)
        return SAK_OK;
    const size_t more = want > 2 * *cap ? want + 64 : 2 * *cap;
    void *p = realloc(*list, more * size);
    if (!p)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for a pickle's stack");
    memset((char *)p + *cap * size, 0, (more - *cap) * size);
    *list = p;
    *cap = more;
    return SAK_OK;
}

static sak_status push(vm *m, sak_pk_value *v, sak_error *err)
{
    if (!v)
        return SAK_ENOMEM; /* reported where it was asked for */
    SAK_TRY(grow((void **)&m->stack, &m->cap, m->n + 1, sizeof *m->stack, err));
    m->stack[m->n++] = v;
    return SAK_OK;
}

static size_t floor_of(const vm *m)
{
    return m->n_marks ? m->mark[m->n_marks - 1] : 0;
}

/* Checks that `n` values are above the last mark. */
static sak_status have(const vm *m, size_t n, sak_error *err)
{
    if (m->n - floor_of(m) < n)
        return BAD("%s: byte %zu of its pickle takes %zu values from a stack of %zu", m->p->path,
                   m->opcode, n, m->n - floor_of(m));
    return SAK_OK;
}

/* The values above the last mark leave the stack: *from is where they begin, *n how many. */
static sak_status pop_mark(vm *m, size_t *from, size_t *n, sak_error *err)
{
    if (!m->n_marks)
        return BAD("%s: byte %zu of its pickle: no mark on the stack", m->p->path, m->opcode);
    *from = m->mark[--m->n_marks];
    *n = m->n - *from;
    m->n = *from;
    return SAK_OK;
}

static sak_status memo_put(vm *m, uint64_t index, sak_error *err)
{
    SAK_TRY(have(m, 1, err));
    if (index > m->entries + 1) /* picklers number in order, from 0 or from 1 */
        return BAD("%s: byte %zu of its pickle: memo entry %" PRIu64, m->p->path, m->opcode, index);
    SAK_TRY(grow((void **)&m->memo, &m->memo_cap, (size_t)index + 1, sizeof *m->memo, err));
    m->memo[index] = m->stack[m->n - 1];
    m->entries++;
    return SAK_OK;
}

static sak_status memo_get(vm *m, uint64_t index, sak_error *err)
{
    if (index >= m->memo_cap || !m->memo[index])
        return BAD("%s: byte %zu of its pickle: there is no memo entry %" PRIu64, m->p->path,
                   m->opcode, index);
    return push(m, m->memo[index], err);
}

/* --- values ---------------------------------------------------------------------------------- */

static sak_status append(vm *m, sak_pk_value *to, sak_pk_value *const *item, size_t n,
                         sak_error *err)
{
    if (to->n + n > to->cap) {
        const size_t cap = to->n + n > 2 * to->cap ? to->n + n : 2 * to->cap;
        sak_pk_value **list = sak_pk_take(m->p, cap * sizeof *list, err);
        if (!list)
            return SAK_ENOMEM;
        if (to->n)
            memcpy(list, to->item, to->n * sizeof *list);
        to->item = list;
        to->cap = cap;
    }
    if (n)
        memcpy(to->item + to->n, item, n * sizeof *item);
    to->n += n;
    return SAK_OK;
}

static sak_status push_text(vm *m, uint64_t n, sak_error *err)
{
    SAK_TRY(need(m, n, err));
    char *text = sak_pk_take(m->p, (size_t)n + 1, err);
    sak_pk_value *v = text ? sak_pk_new(m->p, SAK_PK_TEXT, err) : NULL;
    if (!v)
        return SAK_ENOMEM;
    memcpy(text, m->bytes + m->at, (size_t)n);
    m->at += (size_t)n;
    v->text = text;
    v->length = (size_t)n;
    return push(m, v, err);
}

static sak_status push_int(vm *m, int64_t i, sak_error *err)
{
    sak_pk_value *v = sak_pk_new(m->p, SAK_PK_INT, err);
    if (v)
        v->i = i;
    return push(m, v, err);
}

/* Two's complement, little-endian, of n bytes; beyond 64 bits nothing in a state dict looks at it. */
static sak_status push_long(vm *m, uint64_t n, sak_error *err)
{
    SAK_TRY(need(m, n, err));
    if (n > 8) {
        m->at += (size_t)n;
        return push(m, &opaque, err);
    }
    uint64_t u = 0;
    SAK_TRY(number(m, (size_t)n, &u, err));
    if (n && n < 8 && u >> (8 * n - 1))
        u |= UINT64_MAX << 8 * n;
    return push_int(m, (int64_t)u, err);
}

static sak_status push_float(vm *m, sak_error *err)
{
    uint64_t u;
    SAK_TRY(number(m, 8, &u, err));
    u = __builtin_bswap64(u);
    sak_pk_value *v = sak_pk_new(m->p, SAK_PK_FLOAT, err);
    if (v)
        memcpy(&v->f, &u, 8);
    return push(m, v, err);
}

static sak_status push_tuple(vm *m, size_t from, size_t n, sak_error *err)
{
    m->n = from;
    if (n == 0)
        return push(m, &nothing, err);
    sak_pk_value *v = sak_pk_new(m->p, SAK_PK_TUPLE, err);
    if (!v)
        return SAK_ENOMEM;
    SAK_TRY(append(m, v, m->stack + from, n, err));
    return push(m, v, err);
}

static sak_status short_tuple(vm *m, size_t n, sak_error *err)
{
    SAK_TRY(have(m, n, err));
    return push_tuple(m, m->n - n, n, err);
}

/* The values at `from` go into the container below them; objects without content drop them. */
static sak_status fill(vm *m, sak_pk_kind kind, size_t from, size_t n, sak_error *err)
{
    m->n = from;
    SAK_TRY(have(m, 1, err));
    sak_pk_value *to = m->stack[from - 1];
    if (to->kind == SAK_PK_OPAQUE)
        return SAK_OK;
    if (to->kind != kind || (kind == SAK_PK_DICT && n % 2))
        return BAD("%s: byte %zu of its pickle fills what is not a %s", m->p->path, m->opcode,
                   kind == SAK_PK_DICT ? "dict" : "list");
    for (size_t i = 1; kind == SAK_PK_DICT && i < n; i += 2)
        to->holds_tensors |= m->stack[from + i]->kind == SAK_PK_TENSOR;
    return append(m, to, m->stack + from, n, err);
}

/* "module\nname\n" */
static sak_status line(vm *m, const char **out, sak_error *err)
{
    const unsigned char *from = m->bytes + m->at;
    const unsigned char *stop = memchr(from, '\n', m->end - m->at);
    if (!stop)
        return need(m, UINT64_MAX, err);
    const size_t n = (size_t)(stop - from);
    char *text = sak_pk_take(m->p, n + 1, err);
    if (!text)
        return SAK_ENOMEM;
    memcpy(text, from, n);
    m->at += n + 1;
    *out = text;
    return SAK_OK;
}

static sak_status global(vm *m, bool stacked, sak_error *err)
{
    const char *module = NULL, *name = NULL;
    if (stacked) {
        SAK_TRY(have(m, 2, err));
        const sak_pk_value *a = m->stack[m->n - 2], *b = m->stack[m->n - 1];
        if (a->kind != SAK_PK_TEXT || b->kind != SAK_PK_TEXT)
            return BAD("%s: byte %zu of its pickle: a name that is not text", m->p->path, m->opcode);
        module = a->text;
        name = b->text;
        m->n -= 2;
    } else {
        SAK_TRY(line(m, &module, err));
        SAK_TRY(line(m, &name, err));
    }
    sak_pk_value *v = NULL;
    SAK_TRY(sak_pk_find_global(m->p, module, name, m->opcode, &v, err));
    return push(m, v, err);
}

/* fn, args (and `extra` more values, which are dropped) become what the call stands for. */
static sak_status call(vm *m, size_t extra, sak_error *err)
{
    SAK_TRY(have(m, 2 + extra, err));
    m->n -= 2 + extra;
    sak_pk_value *v = NULL;
    SAK_TRY(sak_pk_call(m->p, m->stack[m->n], m->stack[m->n + 1], m->opcode, &v, err));
    return push(m, v, err);
}

static sak_status persistent(vm *m, sak_error *err)
{
    SAK_TRY(have(m, 1, err));
    sak_pk_value *v = NULL;
    SAK_TRY(sak_pk_persistent(m->p, m->stack[--m->n], m->opcode, &v, err));
    return push(m, v, err);
}

/* --- opcodes --------------------------------------------------------------------------------- */

static sak_status sized(vm *m, size_t width, sak_status (*then)(vm *, uint64_t, sak_error *),
                        sak_error *err)
{
    uint64_t n;
    SAK_TRY(number(m, width, &n, err));
    return then(m, n, err);
}

static sak_status push_small(vm *m, size_t width, sak_error *err)
{
    uint64_t u;
    SAK_TRY(number(m, width, &u, err));
    return push_int(m, width == 4 ? (int32_t)(uint32_t)u : (int64_t)u, err);
}

static sak_status protocol(vm *m, sak_error *err)
{
    uint64_t v;
    SAK_TRY(number(m, 1, &v, err));
    if (v < 2 || v > 5)
        return BAD("%s: pickle protocol %" PRIu64 "; 2 to 5 are read", m->p->path, v);
    return SAK_OK;
}

static sak_status pop(vm *m, sak_error *err)
{
    if (m->n_marks && m->mark[m->n_marks - 1] == m->n) {
        m->n_marks--;
        return SAK_OK;
    }
    SAK_TRY(have(m, 1, err));
    m->n--;
    return SAK_OK;
}

static sak_status on_mark(vm *m, unsigned char op, sak_error *err)
{
    size_t from = 0, n = 0;
    SAK_TRY(pop_mark(m, &from, &n, err));
    switch (op) {
    case 't':
        return push_tuple(m, from, n, err);
    case 'e':
        return fill(m, SAK_PK_LIST, from, n, err);
    case 'u':
        return fill(m, SAK_PK_DICT, from, n, err);
    case 0x91: /* FROZENSET */
        return push(m, &opaque, err);
    default: /* POP_MARK, ADDITEMS: sets are kept without content */
        return SAK_OK;
    }
}

static sak_status build(vm *m, sak_error *err)
{
    SAK_TRY(have(m, 2, err));
    m->n--; /* attributes: none of them is a tensor of the model */
    return SAK_OK;
}

static sak_status step(vm *m, unsigned char op, sak_error *err)
{
    switch (op) {
    case 0x80:
        return protocol(m, err);
    case 0x95: /* FRAME: only says how much to read ahead */
        return sized(m, 8, need, err);
    case '(':
        SAK_TRY(grow((void **)&m->mark, &m->cap_marks, m->n_marks + 1, sizeof *m->mark, err));
        m->mark[m->n_marks++] = m->n;
        return SAK_OK;
    case '0':
        return pop(m, err);
    case '2':
        SAK_TRY(have(m, 1, err));
        return push(m, m->stack[m->n - 1], err);
    case '1': case 't': case 'e': case 'u': case 0x90: case 0x91:
        return on_mark(m, op, err);
    case 'N':
        return push(m, &none, err);
    case 0x88: case 0x89:
        return push(m, op == 0x88 ? &yes : &no, err);
    case 'J':
        return push_small(m, 4, err);
    case 'K':
        return push_small(m, 1, err);
    case 'M':
        return push_small(m, 2, err);
    case 0x8a:
        return sized(m, 1, push_long, err);
    case 0x8b:
        return sized(m, 4, push_long, err);
    case 'G':
        return push_float(m, err);
    case 'U': case 'C': case 0x8c: /* SHORT_BINSTRING, SHORT_BINBYTES, SHORT_BINUNICODE */
        return sized(m, 1, push_text, err);
    case 'T': case 'B': case 'X':
        return sized(m, 4, push_text, err);
    case 0x8d: case 0x8e: case 0x96: /* BINUNICODE8, BINBYTES8, BYTEARRAY8 */
        return sized(m, 8, push_text, err);
    case ')':
        return push(m, &nothing, err);
    case 0x85: case 0x86: case 0x87:
        return short_tuple(m, (size_t)op - 0x84, err);
    case ']':
        return push(m, sak_pk_new(m->p, SAK_PK_LIST, err), err);
    case '}':
        return push(m, sak_pk_new(m->p, SAK_PK_DICT, err), err);
    case 0x8f: /* EMPTY_SET */
        return push(m, &opaque, err);
    case 'a':
        SAK_TRY(have(m, 2, err));
        return fill(m, SAK_PK_LIST, m->n - 1, 1, err);
    case 's':
        SAK_TRY(have(m, 3, err));
        return fill(m, SAK_PK_DICT, m->n - 2, 2, err);
    case 'h':
        return sized(m, 1, memo_get, err);
    case 'j':
        return sized(m, 4, memo_get, err);
    case 'q':
        return sized(m, 1, memo_put, err);
    case 'r':
        return sized(m, 4, memo_put, err);
    case 0x94:
        return memo_put(m, m->entries, err);
    case 'c':
        return global(m, false, err);
    case 0x93:
        return global(m, true, err);
    case 'R': case 0x81:
        return call(m, 0, err);
    case 0x92: /* NEWOBJ_EX: keyword arguments */
        return call(m, 1, err);
    case 'b':
        return build(m, err);
    case 'Q':
        return persistent(m, err);
    default:
        return BAD("%s: byte %zu of its pickle: opcode 0x%02x does not occur in state dicts",
                   m->p->path, m->opcode, op);
    }
}

static sak_status run(vm *m, sak_pk_value **out, sak_error *err)
{
    for (;;) {
        m->opcode = m->at;
        SAK_TRY(need(m, 1, err));
        const unsigned char op = m->bytes[m->at++];
        if (op == '.')
            break;
        SAK_TRY(step(m, op, err));
    }
    SAK_TRY(have(m, 1, err));
    *out = m->stack[m->n - 1];
    return SAK_OK;
}

sak_status sak_pickle_load(sak_pickle *p, const void *bytes, size_t size, size_t begin,
                           sak_pk_value **out, size_t *end, sak_error *err)
{
    const size_t room = size - begin;
    vm m = {.p = p, .bytes = bytes, .at = begin};
    m.end = begin + (room < SAK_PICKLE_BYTES ? room : SAK_PICKLE_BYTES);
    const sak_status st = run(&m, out, err);
    *end = m.at;
    free(m.stack);
    free(m.memo);
    free(m.mark);
    return st;
}

void sak_pickle_close(sak_pickle *p)
{
    free(p->storages);
    sak_arena_close(&p->arena);
    *p = (sak_pickle){.path = p->path};
}
