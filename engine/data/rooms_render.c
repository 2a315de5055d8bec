/* Ray casting a scene into pixels and labels, tile by tile: shapes are binned by the tiles their
 * bounds touch, shadow rays test only the shapes between a tile's visible points and the light. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "data/rooms_scene.h"

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

typedef struct point {
    vec3 p, n;
    const rooms_material *material;
    vec3 local; /* metres in the object's frame */
    int axis;
} point;

static point surface_at(const render *r, vec3 d, float t, uint16_t surface)
{
    const rooms_scene *s = r->s;
    point q = {.p = v_mad(s->eye, d, t)};
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

/* --- shading ---------------------------------------------------------------------------------- */

typedef struct caster {
    vec3 centre;
    float radius2;
    uint16_t prim;
} caster;

typedef struct casters {
    int n;
    caster of[ROOMS_MAX_PRIMS];
} casters;

/* Whether a sphere comes within `reach` of the segment from a to a + ab. */
static bool near_segment(vec3 a, vec3 ab, float inv_len2, vec3 c, float reach)
{
    const vec3 ac = v_sub(c, a);
    const float t = f_clamp(v_dot(ac, ab) * inv_len2, 0.0f, 1.0f);
    const vec3 m = v_mad(ac, ab, -t);
    return v_dot(m, m) < reach * reach;
}

/* Whether the hull of a ball (c, radius) and a light lies wholly beyond one face of the box around
 * a shape: tighter than bounding spheres for boards and poles. */
static bool beyond(const rooms_prim *p, vec3 c, float radius, const rooms_light *l)
{
    const vec3 a = rooms_local(p, c), b = rooms_local(p, l->pos);
    const float from[3] = {a.x, a.y, a.z}, to[3] = {b.x, b.y, b.z},
                half[3] = {p->half.x, p->half.y, p->half.z};
    for (int i = 0; i < 3; i++) {
        const float face = i == 1 && p->shape == ROOMS_CAPSULE ? 1.0f + p->param : 1.0f;
        const float near = face + radius / half[i], far = face + l->size / half[i];
        if ((from[i] > near && to[i] > far) || (from[i] < -near && to[i] < -far))
            return true;
    }
    return false;
}

/* Shapes that can stand between a light and any point of the ball (c, radius). */
static void find_casters(const rooms_scene *s, const rooms_light *l, vec3 c, float radius,
                         casters *out)
{
    const vec3 ab = v_sub(l->pos, c);
    const float inv = 1.0f / (v_dot(ab, ab) + 1e-12f), wide = fmaxf(radius, l->size);
    out->n = 0;
    for (int i = 0; i < s->objects; i++) {
        const rooms_object *o = &s->object[i];
        if (i == l->owner || !near_segment(c, ab, inv, o->centre, o->radius + wide))
            continue;
        for (int k = o->first; k < o->first + o->n; k++)
            if (near_segment(c, ab, inv, s->prim[k].centre, s->prim[k].radius + wide) &&
                !beyond(&s->prim[k], c, radius, l))
                out->of[out->n++] =
                    (caster){s->prim[k].centre, s->prim[k].radius * s->prim[k].radius, (uint16_t)k};
    }
}

static float jitter(uint32_t h)
{
    return (float)(h & 1023) * (2.0f / 1023.0f) - 1.0f;
}

/* Darkening of corners and of the floor around and under furniture. */
static float occlusion(const rooms_scene *s, const point *q)
{
    const vec3 p = q->p;
    float open = 1.0f;
    const float gap[6] = {p.x, s->size.x - p.x, p.y, s->size.y - p.y, p.z, s->size.z - p.z};
    const float facing[6] = {q->n.x, -q->n.x, q->n.y, -q->n.y, q->n.z, -q->n.z};
    for (int i = 0; i < 6; i++)
        if (gap[i] < 0.5f && facing[i] < 0.9f) {
            const float near = 1.0f - 2.0f * fmaxf(gap[i], 0.0f);
            open *= 1.0f - 0.35f * near * near;
        }
    if (p.y > 0.03f || q->n.y < 0.9f)
        return open;
    for (int i = 0; i < s->objects; i++) {
        const rooms_aabb *b = &s->object[i].space;
        const float dx = fmaxf(fmaxf(b->lo.x - p.x, p.x - b->hi.x), 0.0f);
        const float dz = fmaxf(fmaxf(b->lo.z - p.z, p.z - b->hi.z), 0.0f);
        const float d2 = dx * dx + dz * dz;
        if (d2 < 0.09f && b->lo.y < 0.5f && b->hi.y > 0.05f)
            open *= 1.0f - 0.5f * (1.0f - d2 / 0.09f);
    }
    return open;
}

/* Whether anything stands on the way from `from` along `to` (squared length d2); *last, the shape
 * that did so at the pixel before, is tried first. */
static bool in_shadow(const rooms_scene *s, const casters *cast, vec3 from, vec3 to, float d2,
                      int *last)
{
    if (*last >= 0 && sak_rooms_hit(&s->prim[*last], from, to, 1.0f) < 1.0f)
        return true;
    for (int k = 0; k < cast->n; k++) {
        const caster *c = &cast->of[k];
        const vec3 m = v_sub(c->centre, from);
        const float b = v_dot(m, to);
        if ((v_dot(m, m) - c->radius2) * d2 > b * b)
            continue;
        if (sak_rooms_hit(&s->prim[c->prim], from, to, 1.0f) < 1.0f) {
            *last = c->prim;
            return true;
        }
    }
    return false;
}

static vec3 shade(const rooms_scene *s, const point *q, vec3 d, float t, float pixel,
                  const casters *cast, uint32_t salt, int *last)
{
    const vec3 toward = v_mul(d, -1.0f / sqrtf(v_dot(d, d)));
    const float slant = fmaxf(v_dot(q->n, toward), 0.15f);
    const vec3 albedo = sak_rooms_colour(q->material, q->local, q->axis, t * pixel / slant);
    vec3 sum = v_mul(s->ambient, occlusion(s, q) * (0.85f + 0.15f * q->n.y));
    float shine = 0.0f;
    const vec3 from = v_mad(q->p, q->n, 0.004f);
    for (int i = 0; i < s->lights; i++) {
        const rooms_light *l = &s->light[i];
        vec3 at = l->pos;
        if (l->size > 0.0f) {
            const uint32_t h = sak_rooms_hash(salt, (uint32_t)i, 77);
            at = v_add(at, v_mul(v3(jitter(h), jitter(h >> 10), jitter(h >> 20)), 0.57f * l->size));
        }
        const vec3 to = v_sub(at, from);
        const float d2 = v_dot(to, to), inv = 1.0f / sqrtf(d2), cosine = v_dot(to, q->n) * inv;
        if (cosine <= 0.0f)
            continue;
        if (in_shadow(s, &cast[i], from, to, d2, &last[i]))
            continue;
        sum = v_mad(sum, l->colour, cosine / (0.6f + d2));
        if (q->material->gloss > 0.0f) {
            const vec3 half = v_unit(v_mad(toward, to, inv));
            float x = fmaxf(v_dot(half, q->n), 0.0f);
            x *= x;
            x *= x;
            x *= x;
            x *= x;
            shine += q->material->gloss * x * x * x * l->colour.y / (0.6f + d2);
        }
    }
    const vec3 lit =
        v_had(albedo, v_add(sum, v3(q->material->glow, q->material->glow, q->material->glow)));
    return v_add(lit, v3(shine, shine, shine));
}

/* --- one tile --------------------------------------------------------------------------------- */

static void label(const render *r, sak_sample *out, size_t i, const point *q, float t,
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

static void tile(render *r, int tx, int ty, sak_sample *out, casters *cast)
{
    const rooms_scene *s = r->s;
    const int id = ty * r->tiles_x + tx, x0 = tx * TILE, y0 = ty * TILE;
    const int nx = r->W - x0 < TILE ? r->W - x0 : TILE, ny = r->H - y0 < TILE ? r->H - y0 : TILE;
    point at[TILE * TILE];
    vec3 lo = v3(1e9f, 1e9f, 1e9f), hi = v3(-1e9f, -1e9f, -1e9f);
    for (int y = 0; y < ny; y++)
        for (int x = 0; x < nx; x++) {
            const size_t i = (size_t)(y0 + y) * (size_t)r->W + (size_t)(x0 + x);
            const float px = (float)(x0 + x) + 0.5f, py = (float)(y0 + y) + 0.5f;
            const vec3 d = ray(r, px, py);
            const float t = trace(r, id, px, py, d, &r->surface[i]);
            point *q = &at[y * TILE + x];
            *q = surface_at(r, d, t, r->surface[i]);
            label(r, out, i, q, t, r->surface[i]);
            lo = v3(fminf(lo.x, q->p.x), fminf(lo.y, q->p.y), fminf(lo.z, q->p.z));
            hi = v3(fmaxf(hi.x, q->p.x), fmaxf(hi.y, q->p.y), fmaxf(hi.z, q->p.z));
        }
    const vec3 centre = v_mul(v_add(lo, hi), 0.5f), diagonal = v_sub(hi, centre);
    const float radius = sqrtf(v_dot(diagonal, diagonal)) + 0.01f;
    int last[ROOMS_MAX_LIGHTS];
    for (int i = 0; i < s->lights; i++) {
        find_casters(s, &s->light[i], centre, radius, &cast[i]);
        last[i] = -1;
    }
    for (int y = 0; y < ny; y++)
        for (int x = 0; x < nx; x++) {
            const size_t i = (size_t)(y0 + y) * (size_t)r->W + (size_t)(x0 + x);
            const vec3 d = ray(r, (float)(x0 + x) + 0.5f, (float)(y0 + y) + 0.5f);
            const vec3 c =
                shade(s, &at[y * TILE + x], d, out->depth[i], 1.0f / r->focal, cast,
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
    casters *cast = NULL;
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
