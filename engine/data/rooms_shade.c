/* The light leaving a visible point: shadows, darkened corners, diffuse and glossy reflection. */
#include "data/rooms_shade.h"

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
void sak_rooms_casters(const rooms_scene *s, const rooms_light *l, vec3 c, float radius,
                       rooms_casters *out)
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
                out->of[out->n++] = (rooms_caster){
                    s->prim[k].centre, s->prim[k].radius * s->prim[k].radius, (uint16_t)k};
    }
}

static float jitter(uint32_t h)
{
    return (float)(h & 1023) * (2.0f / 1023.0f) - 1.0f;
}

/* Darkening of corners and of the floor around and under furniture. */
static float occlusion(const rooms_scene *s, const rooms_point *q)
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
static bool in_shadow(const rooms_scene *s, const rooms_casters *cast, vec3 from, vec3 to, float d2,
                      int *last)
{
    if (*last >= 0 && sak_rooms_hit(&s->prim[*last], from, to, 1.0f) < 1.0f)
        return true;
    for (int k = 0; k < cast->n; k++) {
        const rooms_caster *c = &cast->of[k];
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

vec3 sak_rooms_shade(const rooms_scene *s, const rooms_point *q, vec3 d, float t, float pixel,
                     const rooms_casters *cast, uint32_t salt, int *last)
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
