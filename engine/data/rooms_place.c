/* Where things can go: every object reserves an axis-aligned box; nothing is put into another's. */
#include "data/rooms_scene.h"

bool sak_rooms_is_free(const rooms_scene *s, rooms_aabb a, float margin)
{
    if (a.lo.x < -0.001f || a.lo.z < -0.001f || a.hi.x > s->size.x + 0.001f ||
        a.hi.z > s->size.z + 0.001f)
        return false;
    for (int i = 0; i < s->objects; i++) {
        const rooms_aabb *b = &s->object[i].space;
        if (a.lo.x < b->hi.x + margin && a.hi.x > b->lo.x - margin && a.lo.y < b->hi.y &&
            a.hi.y > b->lo.y && a.lo.z < b->hi.z + margin && a.hi.z > b->lo.z - margin)
            return false;
    }
    return true;
}

/* Box around a w x d rectangle turned by yaw, from height y0 to y1. */
rooms_aabb sak_rooms_space(vec3 pos, float yaw, float w, float d, float y0, float y1)
{
    const float c = fabsf(cosf(yaw)), n = fabsf(sinf(yaw));
    const float hx = 0.5f * (w * c + d * n), hz = 0.5f * (w * n + d * c);
    return (rooms_aabb){{pos.x - hx, y0, pos.z - hz}, {pos.x + hx, y1, pos.z + hz}};
}

/* A place with the back to a wall (gap = distance behind it).  Wall k faces yaw k * 90 degrees. */
bool sak_rooms_at_wall(const rooms_scene *s, sak_rng *r, rooms_dims k, float y0, float gap,
                       vec3 *pos, float *yaw, rooms_aabb *space)
{
    for (int tries = 0; tries < 14; tries++) {
        const int wall = r_int(r, 0, 3);
        const float along = wall & 1 ? s->size.z : s->size.x;
        if (along < k.w + 0.1f)
            continue;
        const float u = r_range(r, 0.5 * k.w + 0.03, along - 0.5 * k.w - 0.03),
                    v = 0.5f * k.d + gap;
        const vec3 at[4] = {v3(u, 0, v), v3(v, 0, u), v3(u, 0, s->size.z - v),
                            v3(s->size.x - v, 0, u)};
        *pos = at[wall];
        *yaw = 1.57079633f * (float)wall;
        *space = sak_rooms_space(*pos, *yaw, k.w, k.d, y0, y0 + k.h);
        if (sak_rooms_is_free(s, *space, 0.02f))
            return true;
    }
    return false;
}

bool sak_rooms_in_room(const rooms_scene *s, sak_rng *r, rooms_dims k, float margin, vec3 *pos,
                       float yaw, rooms_aabb *space)
{
    for (int tries = 0; tries < 14; tries++) {
        pos->x = r_range(r, 0.35, s->size.x - 0.35);
        pos->y = 0;
        pos->z = r_range(r, 0.35, s->size.z - 0.35);
        *space = sak_rooms_space(*pos, yaw, k.w, k.d, 0, k.h);
        if (sak_rooms_is_free(s, *space, margin))
            return true;
    }
    return false;
}

int sak_rooms_add(rooms_scene *s, sak_rng *r, int cls, int variant, rooms_dims k, vec3 pos,
                  float yaw, rooms_aabb space)
{
    rooms_builder b;
    if (!sak_rooms_begin(&b, s, r, cls, pos, yaw))
        return -1;
    s->object[b.object].space = space;
    sak_rooms_furnish(&b, k, variant);
    return b.object;
}

/* Something small on top of object `host`. */
void sak_rooms_put_on(rooms_scene *s, sak_rng *r, int host)
{
    static const uint8_t what[][2] = {
        {SAK_ROOMS_LAMP, 1},  {SAK_ROOMS_LAMP, 1},  {SAK_ROOMS_PLANT, 1},
        {SAK_ROOMS_BOX, 1},   {SAK_ROOMS_BOX, 1},   {SAK_ROOMS_OTHER, 1},
        {SAK_ROOMS_OTHER, 2}, {SAK_ROOMS_OTHER, 3}, {SAK_ROOMS_OTHER, 3}};
    const rooms_object *h = &s->object[host];
    const int pick = r_int(r, 0, (int)(sizeof what / sizeof *what) - 1);
    const rooms_dims k = sak_rooms_dims(r, what[pick][0], what[pick][1]);
    if (k.w > 2 * h->hx - 0.02f || k.d > 2 * h->hz)
        return;
    const float x = r_range(r, -1, 1) * (h->hx - 0.5f * k.w),
                z = r_range(r, -1, 1) * (h->hz - 0.5f * k.d);
    const float c = cosf(h->yaw), n = sinf(h->yaw);
    const vec3 pos = v3(h->pos.x + c * x + n * z, h->pos.y + h->top, h->pos.z - n * x + c * z);
    const rooms_aabb space = sak_rooms_space(pos, h->yaw, k.w, k.d, pos.y + 0.001f, pos.y + k.h);
    for (int i = 0; i < s->objects; i++) {
        const rooms_aabb *b = &s->object[i].space;
        if (i != host && space.lo.x < b->hi.x && space.hi.x > b->lo.x && space.lo.y < b->hi.y &&
            space.hi.y > b->lo.y && space.lo.z < b->hi.z && space.hi.z > b->lo.z)
            return;
    }
    const float turn = r_range(r, -0.4, 0.4);
    sak_rooms_add(s, r, what[pick][0], what[pick][1], k, pos, h->yaw + turn, space);
}

/* A chair at a free side of a table, pushed in a little. */
void sak_rooms_sit_at(rooms_scene *s, sak_rng *r, int host)
{
    for (int tries = 0; tries < 6; tries++) {
        const rooms_object *h = &s->object[host];
        const rooms_dims k = sak_rooms_dims(r, SAK_ROOMS_CHAIR, 0);
        const int side = r_int(r, 0, 3);
        const float reach = (side & 1 ? h->hx : h->hz) + 0.5f * k.d + r_range(r, 0.03, 0.25);
        const float slack = side & 1 ? h->hz : h->hx, slide = r_range(r, -0.6, 0.6) * slack;
        const float a = h->yaw + 1.57079633f * (float)side, c = cosf(a), n = sinf(a);
        const vec3 pos = v3(h->pos.x + n * reach + c * slide, 0, h->pos.z + c * reach - n * slide);
        const float yaw = a + 3.14159265f + r_range(r, -0.35, 0.35);
        const rooms_aabb space = sak_rooms_space(pos, yaw, k.w, k.d, 0, k.h);
        if (sak_rooms_is_free(s, space, 0.0f)) {
            sak_rooms_add(s, r, SAK_ROOMS_CHAIR, 0, k, pos, yaw, space);
            return;
        }
    }
}
