/* Objects from shapes: places boxes, ellipsoids, frusta and capsules in an object's local frame. */
#include "data/rooms_scene.h"

static vec3 to_world(const rooms_builder *b, vec3 p)
{
    return v_mad(v_mad(v_mad(b->o, b->ax, p.x), b->ay, p.y), b->az, p.z);
}

bool sak_rooms_begin(rooms_builder *b, rooms_scene *s, sak_rng *r, int cls, vec3 pos, float yaw)
{
    if (s->objects >= ROOMS_MAX_OBJECTS)
        return false;
    const float c = cosf(yaw), n = sinf(yaw);
    *b = (rooms_builder){.s = s,
                         .r = r,
                         .o = pos,
                         .ax = {c, 0, -n},
                         .ay = {0, 1, 0},
                         .az = {n, 0, c},
                         .cls = (uint8_t)cls,
                         .object = (uint8_t)s->objects};
    rooms_object *o = &s->object[s->objects++];
    *o = (rooms_object){.pos = pos,
                        .yaw = yaw,
                        .first = s->prims,
                        .cls = (uint8_t)cls,
                        .instance = (uint8_t)s->objects,
                        .host = ROOMS_NO_OBJECT};
    b->instance = o->instance;
    return true;
}

void sak_rooms_end(rooms_builder *b)
{
    rooms_object *o = &b->s->object[b->object];
    o->n = b->s->prims - o->first;
    vec3 lo = v3(1e9f, 1e9f, 1e9f), hi = v3(-1e9f, -1e9f, -1e9f);
    for (int i = o->first; i < b->s->prims; i++) {
        const rooms_prim *p = &b->s->prim[i];
        lo = v3(fminf(lo.x, p->centre.x - p->radius), fminf(lo.y, p->centre.y - p->radius),
                fminf(lo.z, p->centre.z - p->radius));
        hi = v3(fmaxf(hi.x, p->centre.x + p->radius), fmaxf(hi.y, p->centre.y + p->radius),
                fmaxf(hi.z, p->centre.z + p->radius));
    }
    o->centre = o->n ? v_mul(v_add(lo, hi), 0.5f) : o->pos;
    for (int i = o->first; i < b->s->prims; i++) {
        const rooms_prim *p = &b->s->prim[i];
        const vec3 d = v_sub(p->centre, o->centre);
        o->radius = fmaxf(o->radius, sqrtf(v_dot(d, d)) + p->radius);
    }
    if (o->n)
        o->material = b->s->prim[o->first].material; /* the caption's colour: the first shape's */
}

static void add(rooms_builder *b, rooms_shape shape, vec3 c, const vec3 axis[3], vec3 half,
                float param, int material)
{
    if (b->s->prims >= ROOMS_MAX_PRIMS)
        return;
    const vec3 centre = to_world(b, c);
    const float h[3] = {half.x, half.y, half.z};
    rooms_prim *p = &b->s->prim[b->s->prims++];
    for (int i = 0; i < 3; i++) {
        p->m[i][0] = axis[i].x / h[i];
        p->m[i][1] = axis[i].y / h[i];
        p->m[i][2] = axis[i].z / h[i];
        p->m[i][3] = -v_dot(axis[i], centre) / h[i];
    }
    p->half = half;
    p->centre = centre;
    p->param = param;
    p->radius = shape == ROOMS_CAPSULE   ? half.x * (1.0f + param)
                : shape == ROOMS_ELLIPSE ? fmaxf(half.x, fmaxf(half.y, half.z))
                : shape == ROOMS_FRUSTUM ? sqrtf(half.x * half.x + half.y * half.y)
                                         : sqrtf(v_dot(half, half));
    p->shape = (uint8_t)shape;
    p->cls = b->cls;
    p->part = b->part;
    p->instance = b->instance;
    p->material = (uint8_t)material;
    p->object = b->object;
}

void sak_rooms_box(rooms_builder *b, vec3 c, vec3 half, int material)
{
    add(b, ROOMS_BOX, c, (vec3[]){b->ax, b->ay, b->az}, half, 0, material);
}

void sak_rooms_ellipse(rooms_builder *b, vec3 c, vec3 half, int material)
{
    add(b, ROOMS_ELLIPSE, c, (vec3[]){b->ax, b->ay, b->az}, half, 0, material);
}

void sak_rooms_frustum(rooms_builder *b, vec3 base, float height, float r0, float r1, int material)
{
    const float wide = fmaxf(r0, r1);
    add(b, ROOMS_FRUSTUM, v3(base.x, base.y + 0.5f * height, base.z), (vec3[]){b->ax, b->ay, b->az},
        v3(wide, 0.5f * height, wide), 0.5f * (r1 - r0) / wide, material);
}

void sak_rooms_capsule(rooms_builder *b, vec3 p, vec3 q, float radius, int material)
{
    const vec3 d = v_sub(q, p);
    const float length = sqrtf(v_dot(d, d)) + 1e-6f;
    const vec3 l = v_mul(d, 1.0f / length);
    const vec3 y = v_mad(v_mad(v_mul(b->ax, l.x), b->ay, l.y), b->az, l.z);
    const vec3 x = v_unit(v_cross(y, fabsf(l.z) < 0.9f ? b->az : b->ax));
    add(b, ROOMS_CAPSULE, v_mul(v_add(p, q), 0.5f), (vec3[]){x, y, v_cross(x, y)},
        v3(radius, radius, radius), 0.5f * length / radius, material);
}

rooms_builder sak_rooms_tilt(const rooms_builder *b, vec3 c, float angle)
{
    rooms_builder t = *b;
    const float k = cosf(angle), n = sinf(angle);
    t.ay = v_mad(v_mul(b->ay, k), b->az, n);
    t.az = v_mad(v_mul(b->az, k), b->ay, -n);
    /* Point c keeps its place. */
    const vec3 at = to_world(b, c);
    t.o = v_mad(v_mad(v_mad(at, t.ax, -c.x), t.ay, -c.y), t.az, -c.z);
    return t;
}
