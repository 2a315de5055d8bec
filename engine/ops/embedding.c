/* Look-up of rows of a table. */
#include <string.h>

#include "ops/op.h"

static sak_status embedding_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *ids = &s->x[0], *table = &s->x[1];
    if (table->n != 2 || table->d[0] < 1 || ids->n + 1 > SAK_MAX_DIMS)
        return SAK_FAIL(err, SAK_ESHAPE, "embedding: ids are %s and table is %s, not (V, C)",
                        SAK_SHAPE_TEXT(ids), SAK_SHAPE_TEXT(table));
    s->y = *ids;
    s->y.d[s->y.n++] = table->d[1];
    return SAK_OK;
}

/* Ids are checked where they enter; a stray one must only not crash. */
static int64_t id_at(const sak_opcall *c, int64_t i)
{
    const sak_real id = c->x[0][i], top = (sak_real)(c->s->x[1].d[0] - 1);
    return id > 0 ? (int64_t)(id < top ? id : top) : 0;
}

static void embedding_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_opcall *c = ctx;
    const int64_t C = c->s->x[1].d[1];
    for (int64_t i = begin; i < end; i++)
        memcpy(c->y + i * C, c->x[1] + id_at(c, i) * C, (size_t)C * sizeof *c->y);
}

static void embedding_forward(const sak_opcall *c)
{
    sak_parallel_for(sak_shape_count(&c->s->x[0]), 16384 / (c->s->x[1].d[1] + 1) + 1,
                     embedding_rows, (void *)(uintptr_t)c);
}

/* Each task owns some columns of the table and visits the ids in order: no two tasks share an
 * element, and the order of the sum is fixed. */
static void embedding_columns(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_opcall *c = ctx;
    const int64_t V = c->s->x[1].d[0], C = c->s->x[1].d[1], N = sak_shape_count(&c->s->x[0]);
    for (int64_t v = 0; !c->acc[1] && v < V; v++)
        memset(c->dx[1] + v * C + begin, 0, (size_t)(end - begin) * sizeof *c->dx[1]);
    for (int64_t i = 0; i < N; i++) {
        sak_real *restrict dx = c->dx[1] + id_at(c, i) * C;
        const sak_real *restrict dy = c->dy + i * C;
        for (int64_t j = begin; j < end; j++)
            dx[j] += dy[j];
    }
}

static void embedding_backward(const sak_opcall *c)
{
    if (c->dx[1])
        sak_parallel_for(c->s->x[1].d[1], 64, embedding_columns, (void *)(uintptr_t)c);
}

const sak_op sak_ops_embedding[] = {
    {.name = "embedding", .inputs = "ids table", .n_in = 2, .shape = embedding_shape,
     .forward = embedding_forward, .backward = embedding_backward, .keep = SAK_KEEP_X(0),
     .no_grad = 1u << 0,
     .cases = (const char *const[]){"ids=2x3:id(0,4) table=4x3", "ids=9:id(-2,9) table=5x67",
                                    "ids=1:id(0,1) table=1x1", NULL},
     .eq = "y[…, c] = table[ids[…], c]",
     .doc = "Rows of a table; ids outside 0 … V-1 take the nearest row."},
    {0},
};
