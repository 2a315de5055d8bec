/* Ray casting a scene into pixels and labels, tile by tile: shapes are binned by the tiles their
 * bounds touch, shadow rays test only the shapes between a tile's visible points and the light. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "data/rooms_scene.h"
#include "data/rooms_shade.h"

enum { TILE = 8, SHELL = 0xFF00 }; /* surface ids from SHELL on are faces of the room */

/* Where a prim can be seen: pixels, and a lower bound of its depth. */
typedef struct extent {
    float x0, y0, x1, y1, near;
} extent;

typedef struct render {
    const rooms_scene *s;
    int H, W, tiles_x, tiles_y;
    float focal, cx, cy;
    int *first;        /* tiles + 1 offsets into list */
    uint16_t *list;    /* prims of each tile, nearest bound first */
    extent *seen;      /* of each prim */
    uint16_t *surface; /* H*W prim or SHELL + face */
    float *light;      /* H*W*3 radiance */
} render;

static vec3 ray(const render *r, float x,
                float y) /* pixel coordinates; unit depth along the axis */
{
    const float u = (x - r->cx) / r->focal, v = (r->cy - y) / r->focal;
    return v_mad(v_mad(r->s->forward, r->s->right, u), r->s->up, v);
}

/* --- binning ---------------------------------------------------------------------------------- */

/* The corners of the oriented box around a prim, when all are in front; a margin of a pixel covers
 * rounding.  Empty (x0 > x1) when out of sight. */
static extent bounds(const render *r, const rooms_prim *p)
{
    const extent none = {1, 1, 0, 0, 0};
    const rooms_scene *s = r->s;
    const float h = p->shape == ROOMS_CAPSULE ? 1.0f + p->param : 1.0f;
    vec3 axis[3];
    for (int i = 0; i < 3; i++) { /* half axes in the world: rows of m, scaled back */
        const float k = i == 0 ? p->half.x : i == 1 ? p->half.y : p->half.z;
        axis[i] = v_mul(v3(p->m[i][0], p->m[i][1], p->m[i][2]), k * k * (i == 1 ? h : 1.0f));
    }
    const vec3 c = v_sub(p->centre, s->eye);
    float x0 = 1e9f, x1 = -1e9f, y0 = 1e9f, y1 = -1e9f, z0 = 1e9f, z1 = -1e9f;
    for (int i = 0; i < 8; i++) {
        const vec3 q =
            v_mad(v_mad(v_mad(c, axis[0], i & 1 ? 1.0f : -1.0f), axis[1], i & 2 ? 1.0f : -1.0f),
                  axis[2], i & 4 ? 1.0f : -1.0f);
        const float z = v_dot(q, s->forward);
        z0 = fminf(z0, z);
        z1 = fmaxf(z1, z);
        if (z < 0.05f)
            continue;
        const float x = r->cx + r->focal * v_dot(q, s->right) / z,
                    y = r->cy - r->focal * v_dot(q, s->up) / z;
        x0 = fminf(x0, x);
        x1 = fmaxf(x1, x);
        y0 = fminf(y0, y);
        y1 = fmaxf(y1, y);
    }
    if (z1 <= 0.0f)
        return none;
    if (z0 < 0.05f)
        return (extent){0, 0, (float)r->W, (float)r->H, 0};
    if (x1 < -1.0f || y1 < -1.0f || x0 > (float)r->W + 1.0f || y0 > (float)r->H + 1.0f)
        return none;
    return (extent){x0 - 1.0f, y0 - 1.0f, x1 + 1.0f, y1 + 1.0f, z0};
}

static int tile_of(float pixel, int tiles)
{
    return (int)f_clamp(pixel / TILE, 0.0f, (float)(tiles - 1));
}

static sak_status bin(render *r, sak_error *err)
{
    const rooms_scene *s = r->s;
    const int tiles = r->tiles_x * r->tiles_y;
    uint16_t order[ROOMS_MAX_PRIMS];
    SAK_TRY(sak_alloc((void **)&r->first, (size_t)tiles + 2, sizeof *r->first, err));
    SAK_TRY(sak_alloc((void **)&r->seen, ROOMS_MAX_PRIMS, sizeof *r->seen, err));
    for (int i = 0; i < s->prims; i++) {
        r->seen[i] = bounds(r, &s->prim[i]);
        int j = i; /* insertion sort by nearest depth */
        for (; j > 0 && r->seen[order[j - 1]].near > r->seen[i].near; j--)
            order[j] = order[j - 1];
        order[j] = (uint16_t)i;
    }
    for (int pass = 0; pass < 2; pass++) { /* count, then fill: a bucket sort by tile */
        for (int k = 0; k < s->prims; k++) {
            const extent *e = &r->seen[order[k]];
            if (e->x0 > e->x1)
                continue;
            const int x0 = tile_of(e->x0, r->tiles_x), x1 = tile_of(e->x1, r->tiles_x);
            for (int y = tile_of(e->y0, r->tiles_y); y <= tile_of(e->y1, r->tiles_y); y++)
                for (int x = x0; x <= x1; x++) {
                    const int t = y * r->tiles_x + x;
                    if (pass)
                        r->list[r->first[t + 1]++] = order[k];
                    else
                        r->first[t + 2]++;
                }
        }
        if (pass)
            break;
        for (int i = 0; i < tiles; i++)
            r->first[i + 2] += r->first[i + 1];
        SAK_TRY(
            sak_alloc((void **)&r->list, (size_t)r->first[tiles + 1] + 1, sizeof *r->list, err));
    }
    return SAK_OK;
}

/* --- visibility ------------------------------------------------------------------------------- */

/* Depth of the nearest surface seen at pixel coordinates (x, y) along d, and which one. */
static float trace(const render *r, int tile, float x, float y, vec3 d, uint16_t *surface)
{
    int face;
    float t = sak_rooms_shell(r->s, r->s->eye, d, &face);
    *surface = (uint16_t)(SHELL + face);
    for (int i = r->first[tile]; i < r->first[tile + 1]; i++) {
        const uint16_t k = r->list[i];
        const extent *e = &r->seen[k];
        if (e->near > t)
            break;
        if (x < e->x0 || x > e->x1 || y < e->y0 || y > e->y1)
            continue;
        const float tk = sak_rooms_hit(&r->s->prim[k], r->s->eye, d, t);
        if (tk < t) {
            t = tk;
            *surface = k;
        }
    }
    return t;
}

static rooms_point surface_at(const render *r, vec3 d, float t, uint16_t surface)
{
    const rooms_scene *s = r->s;
    rooms_point q = {.p = v_mad(s->eye, d, t)};
    if (surface >= SHELL) {
        static const vec3 inward[6] = {{1, 0, 0},  {-1, 0, 0}, {0, 1, 0},
                                       {0, -1, 0}, {0, 0, 1},  {0, 0, -1}};
        static const uint8_t wall[6] = {1, 3, 0, 0, 0, 2};
        const int face = surface - SHELL;
        q.n = inward[face];
        q.axis = face / 2;
        q.local = q.p;
        q.material = &s->material[face == 2   ? s->floor
                                  : face == 3 ? s->ceiling
                                              : s->wall[wall[face]]];
        return q;
    }
    const rooms_prim *p = &s->prim[surface];
    const vec3 u = rooms_local(p, q.p);
    q.n = sak_rooms_normal(p, u, &q.axis);
    if (v_dot(q.n, d) > 0.0f) /* grazing hits, rounded over the rim */
        q.n = v_mad(q.n, d, -v_dot(q.n, d) / v_dot(d, d) * 1.0001f), q.n = v_unit(q.n);
    q.local = v_had(u, p->half);
    q.material = &s->material[p->material];
    return q;
}

/* --- one tile --------------------------------------------------------------------------------- */

static void label(const render *r, sak_sample *out, size_t i, const rooms_point *q, float t,
                  uint16_t surface)
{
    const rooms_scene *s = r->s;
    out->depth[i] = t;
    const vec3 n = v_unit(v3(v_dot(q->n, s->right), v_dot(q->n, s->up), -v_dot(q->n, s->forward)));
    memcpy(out->normals + 3 * i, &n, sizeof n);
    if (surface >= SHELL) {
        const int face = surface - SHELL;
        out->semseg[i] = face == 2   ? SAK_ROOMS_FLOOR
                         : face == 3 ? SAK_ROOMS_CEILING
                                     : SAK_ROOMS_WALL;
        out->parts[i] = out->instance[i] = 0;
        return;
    }
    const rooms_prim *p = &s->prim[surface];
    out->semseg[i] = p->cls;
    out->parts[i] = p->part;
    out->instance[i] = p->instance;
}

static void tile(render *r, int tx, int ty, sak_sample *out, rooms_casters *cast)
{
    const rooms_scene *s = r->s;
    const int id = ty * r->tiles_x + tx, x0 = tx * TILE, y0 = ty * TILE;
    const int nx = r->W - x0 < TILE ? r->W - x0 : TILE, ny = r->H - y0 < TILE ? r->H - y0 : TILE;
    rooms_point at[TILE * TILE];
    vec3 lo = v3(1e9f, 1e9f, 1e9f), hi = v3(-1e9f, -1e9f, -1e9f);
    for (int y = 0; y < ny; y++)
        for (int x = 0; x < nx; x++) {
            const size_t i = (size_t)(y0 + y) * (size_t)r->W + (size_t)(x0 + x);
            const float px = (float)(x0 + x) + 0.5f, py = (float)(y0 + y) + 0.5f;
            const vec3 d = ray(r, px, py);
            const float t = trace(r, id, px, py, d, &r->surface[i]);
            rooms_point *q = &at[y * TILE + x];
            *q = surface_at(r, d, t, r->surface[i]);
            label(r, out, i, q, t, r->surface[i]);
            lo = v3(fminf(lo.x, q->p.x), fminf(lo.y, q->p.y), fminf(lo.z, q->p.z));
            hi = v3(fmaxf(hi.x, q->p.x), fmaxf(hi.y, q->p.y), fmaxf(hi.z, q->p.z));
        }
    const vec3 centre = v_mul(v_add(lo, hi), 0.5f), diagonal = v_sub(hi, centre);
    const float radius = sqrtf(v_dot(diagonal, diagonal)) + 0.01f;
    int last[ROOMS_MAX_LIGHTS];
    for (int i = 0; i < s->lights; i++) {
        sak_rooms_casters(s, &s->light[i], centre, radius, &cast[i]);
        last[i] = -1;
    }
    for (int y = 0; y < ny; y++)
        for (int x = 0; x < nx; x++) {
            const size_t i = (size_t)(y0 + y) * (size_t)r->W + (size_t)(x0 + x);
            const vec3 d = ray(r, (float)(x0 + x) + 0.5f, (float)(y0 + y) + 0.5f);
            const vec3 c = sak_rooms_shade(
                s, &at[y * TILE + x], d, out->depth[i], 1.0f / r->focal, cast,
                sak_rooms_hash((uint32_t)(x0 + x), (uint32_t)(y0 + y), s->salt), last);
            memcpy(r->light + 3 * i, &c, sizeof c);
        }
}

/* --- boundaries ------------------------------------------------------------------------------- */

/* Pixels on a surface boundary become the mean of four visibility samples among the surfaces of
 * the neighbourhood, each with the colour of a pixel there: geometry is antialiased, nothing is
 * shaded again. */
static vec3 antialias(const render *r, int x, int y)
{
    static const float at[4][2] = {
        {0.375f, 0.125f}, {0.875f, 0.375f}, {0.125f, 0.625f}, {0.625f, 0.875f}};
    const ptrdiff_t i = (ptrdiff_t)y * r->W + x;
    const int x0 = x ? -1 : 0, x1 = x + 1 < r->W ? 1 : 0, y0 = y ? -1 : 0,
              y1 = y + 1 < r->H ? 1 : 0;
    ptrdiff_t pixel[9] = {i}; /* one of each surface, the own one first */
    int n = 1;
    bool shell = r->surface[i] >= SHELL;
    for (int v = y0; v <= y1; v++)
        for (int u = x0; u <= x1; u++) {
            const ptrdiff_t j = i + v * r->W + u;
            int k = 0;
            while (k < n && r->surface[pixel[k]] != r->surface[j])
                k++;
            if (k == n)
                pixel[n++] = j;
            shell |= r->surface[j] >= SHELL;
        }
    const float *own = r->light + 3 * i;
    if (n == 1)
        return v3(own[0], own[1], own[2]);
    vec3 sum = v3(0, 0, 0);
    for (int k = 0; k < 4; k++) {
        const vec3 d = ray(r, (float)x + at[k][0], (float)y + at[k][1]);
        int face = -1, best = 0;
        float t = shell ? sak_rooms_shell(r->s, r->s->eye, d, &face) : 1e9f;
        for (int c = 0; c < n && shell; c++)
            if (r->surface[pixel[c]] == SHELL + face)
                best = c;
        for (int c = 0; c < n; c++) {
            const uint16_t id = r->surface[pixel[c]];
            const float tc = id < SHELL ? sak_rooms_hit(&r->s->prim[id], r->s->eye, d, t) : t;
            if (tc < t) {
                t = tc;
                best = c;
            }
        }
        const float *c = r->light + 3 * pixel[best];
        sum = v_add(sum, v3(c[0], c[1], c[2]));
    }
    return v_mul(sum, 0.25f);
}

sak_status sak_rooms_render(const rooms_scene *s, sak_sample *out, sak_error *err)
{
    const int H = out->H, W = out->W;
    const size_t n = (size_t)H * (size_t)W;
    render r = {.s = s,
                .H = H,
                .W = W,
                .tiles_x = (W + TILE - 1) / TILE,
                .tiles_y = (H + TILE - 1) / TILE,
                .focal = 0.5f * (float)(H > W ? H : W) / s->tan_half,
                .cx = 0.5f * (float)W,
                .cy = 0.5f * (float)H};
    rooms_casters *cast = NULL;
    float *image = NULL;
    sak_status st = bin(&r, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&r.surface, n, sizeof *r.surface, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&r.light, n, 3 * sizeof *r.light, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&image, n, 3 * sizeof *image, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&cast, ROOMS_MAX_LIGHTS, sizeof *cast, err);
    if (st == SAK_OK) {
        for (int y = 0; y < r.tiles_y; y++)
            for (int x = 0; x < r.tiles_x; x++)
                tile(&r, x, y, out, cast);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                const vec3 c = antialias(&r, x, y);
                memcpy(image + 3 * ((size_t)y * (size_t)W + (size_t)x), &c, sizeof c);
            }
        sak_rooms_develop(s, image, H, W, out->rgb);
    }
    sak_free(r.first);
    sak_free(r.seen);
    sak_free(r.list);
    sak_free(r.surface);
    sak_free(r.light);
    sak_free(image);
    sak_free(cast);
    return st;
}
