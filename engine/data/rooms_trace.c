/* Ray casting: one ray against one shape, in the shape's unit frame.  The affine map keeps t, so no
 * direction is ever normalised. */
#include "data/rooms_scene.h"

static vec3 local_direction(const rooms_prim *p, vec3 d)
{
    return v3(p->m[0][0] * d.x + p->m[0][1] * d.y + p->m[0][2] * d.z,
              p->m[1][0] * d.x + p->m[1][1] * d.y + p->m[1][2] * d.z,
              p->m[2][0] * d.x + p->m[2][1] * d.y + p->m[2][2] * d.z);
}

/* Slabs.  A zero component gives +-inf (or NaN on the face, which the comparisons reject). */
static float hit_box(vec3 o, vec3 d, float limit)
{
    const float ix = 1.0f / d.x, iy = 1.0f / d.y, iz = 1.0f / d.z;
    const float ax = fabsf(ix), ay = fabsf(iy), az = fabsf(iz);
    const float mx = -o.x * ix, my = -o.y * iy, mz = -o.z * iz;
    float near = mx - ax, far = mx + ax;
    near = my - ay > near ? my - ay : near;
    far = my + ay < far ? my + ay : far;
    near = mz - az > near ? mz - az : near;
    far = mz + az < far ? mz + az : far;
    return near < far && near > 0.0f && near < limit ? near : limit;
}

static float hit_sphere(vec3 o, vec3 d, float limit)
{
    const float a = v_dot(d, d), b = v_dot(o, d), c = v_dot(o, o) - 1.0f;
    const float disc = b * b - a * c;
    if (disc < 0.0f || b > 0.0f)
        return limit;
    const float t = (-b - sqrtf(disc)) / a;
    return t > 0.0f && t < limit ? t : limit;
}

static float hit_frustum(vec3 o, vec3 d, float k, float limit)
{
    const float base = 1.0f - fabsf(k);
    float best = limit;
    const float ro = base + k * o.y, rd = k * d.y; /* radius along the ray */
    const float a = d.x * d.x + d.z * d.z - rd * rd, b = o.x * d.x + o.z * d.z - ro * rd;
    const float c = o.x * o.x + o.z * o.z - ro * ro, disc = b * b - a * c;
    if (disc < 0.0f)
        return limit; /* a ray through a cap only would cross the side too, or run along the axis */
    const float root = sqrtf(disc);
    for (int i = 0; i < 2 && fabsf(a) > 1e-12f;
         i++) { /* both: a < 0 on rays steeper than the side */
        const float t = (i ? -b + root : -b - root) / a, y = o.y + t * d.y;
        if (t > 0.0f && t < best && y > -1.0f && y < 1.0f && base + k * y >= 0.0f)
            best = t;
    }
    const float iy = 1.0f / d.y;
    const float t = (d.y > 0.0f ? -1.0f - o.y : 1.0f - o.y) * iy;
    const float r = d.y > 0.0f ? base - k : base + k;
    const float x = o.x + t * d.x, z = o.z + t * d.z;
    if (t > 0.0f && t < best && x * x + z * z < r * r)
        best = t;
    return best;
}

static float hit_capsule(vec3 o, vec3 d, float h, float limit)
{
    const float a = d.x * d.x + d.z * d.z, b = o.x * d.x + o.z * d.z;
    const float c = o.x * o.x + o.z * o.z - 1.0f, disc = b * b - a * c;
    if (disc < 0.0f)
        return limit;
    float y = o.y; /* where the infinite cylinder is entered; a ray along the axis meets one end */
    if (a > 1e-12f) {
        const float t = (-b - sqrtf(disc)) / a;
        y = o.y + t * d.y;
        if (y > -h && y < h)
            return t > 0.0f && t < limit ? t : limit;
    }
    return hit_sphere(v3(o.x, o.y - (y > 0.0f ? h : -h), o.z), d, limit);
}

float sak_rooms_hit(const rooms_prim *p, vec3 o, vec3 d, float limit)
{
    const vec3 lo = rooms_local(p, o), ld = local_direction(p, d);
    switch (p->shape) {
    case ROOMS_BOX:
        return hit_box(lo, ld, limit);
    case ROOMS_ELLIPSE:
        return hit_sphere(lo, ld, limit);
    case ROOMS_FRUSTUM:
        return hit_frustum(lo, ld, p->param, limit);
    default:
        return hit_capsule(lo, ld, p->param, limit);
    }
}

static vec3 unit_normal(const rooms_prim *p, vec3 q, int *axis)
{
    *axis = -1;
    if (p->shape == ROOMS_BOX) {
        const float x = fabsf(q.x), y = fabsf(q.y), z = fabsf(q.z);
        *axis = x > y && x > z ? 0 : y > z ? 1 : 2;
        return v3(*axis == 0 ? copysignf(1, q.x) : 0, *axis == 1 ? copysignf(1, q.y) : 0,
                  *axis == 2 ? copysignf(1, q.z) : 0);
    }
    if (p->shape == ROOMS_FRUSTUM) {
        const float radius = sqrtf(q.x * q.x + q.z * q.z);
        const float side = fabsf(radius - (1.0f - fabsf(p->param) + p->param * q.y));
        if (fabsf(fabsf(q.y) - 1.0f) < side)
            return v3(0, copysignf(1, q.y), 0);
        return v3(q.x, -p->param * radius, q.z);
    }
    if (p->shape == ROOMS_CAPSULE)
        return v3(q.x, q.y - f_clamp(q.y, -p->param, p->param), q.z);
    return q;
}

vec3 sak_rooms_normal(const rooms_prim *p, vec3 q, int *axis)
{
    const vec3 n = unit_normal(p, q, axis); /* covariant: world = transpose(m) n */
    return v_unit(v3(p->m[0][0] * n.x + p->m[1][0] * n.y + p->m[2][0] * n.z,
                     p->m[0][1] * n.x + p->m[1][1] * n.y + p->m[2][1] * n.z,
                     p->m[0][2] * n.x + p->m[1][2] * n.y + p->m[2][2] * n.z));
}

float sak_rooms_shell(const rooms_scene *s, vec3 o, vec3 d, int *face)
{
    const float tx = ((d.x > 0.0f ? s->size.x : 0.0f) - o.x) / d.x;
    const float ty = ((d.y > 0.0f ? s->size.y : 0.0f) - o.y) / d.y;
    const float tz = ((d.z > 0.0f ? s->size.z : 0.0f) - o.z) / d.z;
    float t = INFINITY;
    *face = 0;
    if (d.x != 0.0f && tx < t) {
        t = tx;
        *face = d.x > 0.0f;
    }
    if (d.y != 0.0f && ty < t) {
        t = ty;
        *face = 2 + (d.y > 0.0f);
    }
    if (d.z != 0.0f && tz < t) {
        t = tz;
        *face = 4 + (d.z > 0.0f);
    }
    return t;
}
