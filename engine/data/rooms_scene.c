/* The scene from the random stream: room, what stands in it and where.  Everything reserves an
 * axis-aligned box; an object that finds no free place after a few tries is left out. */
#include <string.h>

#include "data/rooms_scene.h"

/* How many of each a room type gets: lo … hi. */
typedef struct recipe {
    uint8_t door[2], window[2], bed[2], sofa[2], wardrobe[2], low[2], shelf[2], hung[2], dining[2],
        coffee[2], bedside[2], chair[2], box[2], plant[2], floor_lamp[2], ceiling_lamp[2],
        picture[2], screen[2], rug[2], small[2];
} recipe;

/* In the order of the room-type words of rooms_caption.c. */
static const recipe recipes[] = {
    {/* bedroom */ .door = {0, 1},
     .window = {1, 2},
     .bed = {1, 2},
     .sofa = {0, 1},
     .wardrobe = {0, 2},
     .low = {0, 1},
     .shelf = {0, 1},
     .dining = {0, 1},
     .bedside = {1, 2},
     .chair = {0, 1},
     .box = {0, 2},
     .plant = {0, 1},
     .floor_lamp = {0, 1},
     .ceiling_lamp = {0, 1},
     .picture = {0, 3},
     .screen = {0, 1},
     .rug = {0, 1},
     .small = {0, 2}},
    {/* living room */ .door = {0, 1},
     .window = {0, 2},
     .sofa = {1, 3},
     .wardrobe = {0, 1},
     .low = {0, 1},
     .shelf = {0, 2},
     .dining = {0, 1},
     .coffee = {1, 1},
     .chair = {0, 1},
     .box = {0, 1},
     .plant = {0, 3},
     .floor_lamp = {0, 2},
     .ceiling_lamp = {0, 2},
     .picture = {1, 4},
     .screen = {0, 2},
     .rug = {0, 1},
     .small = {0, 3}},
    {/* office */ .door = {0, 2},
     .window = {0, 2},
     .sofa = {0, 1},
     .wardrobe = {0, 1},
     .low = {0, 2},
     .shelf = {1, 3},
     .dining = {1, 3},
     .chair = {1, 4},
     .box = {0, 3},
     .plant = {0, 2},
     .floor_lamp = {0, 1},
     .ceiling_lamp = {0, 2},
     .picture = {0, 2},
     .screen = {0, 2},
     .small = {0, 3}},
    {/* kitchen */ .door = {0, 1},
     .window = {0, 2},
     .wardrobe = {0, 1},
     .low = {1, 3},
     .shelf = {0, 1},
     .hung = {1, 3},
     .dining = {1, 1},
     .chair = {2, 6},
     .box = {0, 1},
     .plant = {0, 2},
     .ceiling_lamp = {1, 2},
     .picture = {0, 2},
     .small = {0, 2}},
    {/* storage */ .door = {1, 1},
     .window = {0, 1},
     .bed = {0, 1},
     .wardrobe = {0, 2},
     .low = {0, 2},
     .shelf = {1, 3},
     .dining = {0, 2},
     .chair = {0, 2},
     .box = {3, 7},
     .floor_lamp = {0, 1},
     .ceiling_lamp = {0, 1},
     .picture = {0, 1},
     .small = {0, 3}},
    {/* hall */ .door = {1, 3},
     .window = {0, 3},
     .sofa = {0, 2},
     .low = {0, 1},
     .shelf = {0, 1},
     .dining = {0, 1},
     .coffee = {0, 1},
     .chair = {0, 4},
     .box = {0, 2},
     .plant = {0, 3},
     .floor_lamp = {0, 2},
     .ceiling_lamp = {0, 2},
     .picture = {1, 5},
     .rug = {0, 1},
     .small = {0, 3}},
};

/* Furniture with its back to a wall, slightly askew. */
static int stand(rooms_scene *s, sak_rng *r, int cls, int variant)
{
    const rooms_dims k = sak_rooms_dims(r, cls, variant);
    vec3 pos;
    float yaw;
    rooms_aabb space;
    const float y0 = cls == SAK_ROOMS_CABINET && variant == 3 ? r_range(r, 1.35, 1.6) : 0.0f;
    if (!sak_rooms_at_wall(s, r, k, y0, y0 > 0.0f ? 0.0f : 0.03f, &pos, &yaw, &space))
        return -1;
    pos.y = y0;
    const float askew = cls == SAK_ROOMS_CABINET ? 0.0f : r_range(r, -0.03, 0.03);
    return sak_rooms_add(s, r, cls, variant, k, pos, yaw + askew, space);
}

/* Furniture anywhere on the floor. */
static int drop(rooms_scene *s, sak_rng *r, int cls, int variant)
{
    const rooms_dims k = sak_rooms_dims(r, cls, variant);
    vec3 pos;
    rooms_aabb space;
    const float turn = r_range(r, 0, 6.2831853), askew = r_range(r, -0.15, 0.15);
    const float yaw = r_chance(r, 0.5) ? 1.57079633f * (float)r_int(r, 0, 3) + askew : turn;
    if (!sak_rooms_in_room(s, r, k, 0.08f, &pos, yaw, &space))
        return -1;
    return sak_rooms_add(s, r, cls, variant, k, pos, yaw, space);
}

/* Doors, windows, pictures and screens: flat on a wall, origin at its surface. */
static void hang_up(rooms_scene *s, sak_rng *r, int cls, int variant)
{
    const rooms_dims k = sak_rooms_dims(r, cls, variant);
    vec3 pos;
    float yaw;
    rooms_aabb space;
    float y0 = 0.0f;
    if (cls == SAK_ROOMS_WINDOW)
        y0 = r_range(r, 0.75, fmaxf(0.8f, s->size.y - k.h - 0.2f));
    else if (cls != SAK_ROOMS_DOOR)
        y0 = r_range(r, 1.0, fmaxf(1.1f, s->size.y - k.h - 0.35f));
    if (y0 + k.h > s->size.y - 0.05f || !sak_rooms_at_wall(s, r, k, y0, 0, &pos, &yaw, &space))
        return;
    const float back = 0.5f * k.d - (cls == SAK_ROOMS_OTHER ? 0.03f : 0.0f);
    pos.x -= sinf(yaw) * back;
    pos.z -= cosf(yaw) * back;
    pos.y = y0;
    sak_rooms_add(s, r, cls, variant, k, pos, yaw, space);
}

static void ceiling_lamp(rooms_scene *s, sak_rng *r)
{
    const int variant = r_int(r, 2, 3);
    const rooms_dims k = sak_rooms_dims(r, SAK_ROOMS_LAMP, variant);
    const float x = r_range(r, 0.25, 0.75), z = r_range(r, 0.25, 0.75);
    const vec3 pos = v3(x * s->size.x, s->size.y, z * s->size.z);
    const rooms_aabb space = sak_rooms_space(pos, 0, k.w, k.d, s->size.y - k.h, s->size.y);
    if (sak_rooms_is_free(s, space, 0.1f))
        sak_rooms_add(s, r, SAK_ROOMS_LAMP, variant, k, pos, 0, space);
}

/* Rugs lie under everything and reserve nothing. */
static void rug(rooms_scene *s, sak_rng *r)
{
    const rooms_dims k = sak_rooms_dims(r, SAK_ROOMS_OTHER, 0);
    const float x = r_range(r, 0.3, 0.7), z = r_range(r, 0.3, 0.7);
    const float yaw = r_chance(r, 0.7) ? 0.0f : r_range(r, -0.6, 0.6);
    sak_rooms_add(s, r, SAK_ROOMS_OTHER, 0, k, v3(x * s->size.x, 0, z * s->size.z), yaw,
                  (rooms_aabb){{0, 0, 0}, {0, 0, 0}});
}

static bool seat_person(rooms_scene *s, sak_rng *r, float height)
{
    for (int tries = 0; tries < 8; tries++) {
        const int i = r_int(r, 0, s->objects - 1);
        rooms_object *o = &s->object[i];
        if (o->seat <= 0.0f || o->taken)
            continue;
        const bool is_bed = o->cls == SAK_ROOMS_BED, lie = is_bed && r_chance(r, 0.5);
        const float side = r_chance(r, 0.5) ? 1.0f : -1.0f;
        const float slide =
            o->cls == SAK_ROOMS_SOFA && o->hx > 0.6f ? r_range(r, -0.5, 0.5) * o->hx : 0.0f;
        const float x = is_bed && !lie ? side * (o->hx - 0.22f) : slide;
        const float z = is_bed ? r_range(r, -0.1, 0.4) : o->seat_z;
        const float c = cosf(o->yaw), n = sinf(o->yaw);
        const vec3 pos = v3(o->pos.x + c * x + n * z, 0, o->pos.z - n * x + c * z);
        const float yaw =
            o->yaw + (is_bed && !lie ? side * 1.57079633f : 0.0f) + r_range(r, -0.15, 0.15);
        rooms_builder b;
        o->taken = true;
        if (!sak_rooms_begin(&b, s, r, SAK_ROOMS_PERSON, pos, yaw))
            return false;
        rooms_object *p = &s->object[b.object];
        p->host = (uint8_t)i;
        p->space = sak_rooms_space(pos, yaw, 0.5f, 0.6f, o->seat + 0.05f, o->seat + 0.9f);
        if (lie) { /* the frame turned: up is towards the headboard, front is up */
            const vec3 toward = v_mul(b.az, -1.0f);
            b.az = b.ay;
            b.ay = toward;
            b.ax = v_cross(b.ay, b.az);
            b.o = v_mad(v_mad(v3(pos.x, o->seat + 0.13f, pos.z), b.ay, -0.95f), b.az, 0.0f);
            b.o = v_mad(b.o, b.ay, is_bed ? z : 0.0f);
        }
        sak_rooms_person(&b, height, lie ? ROOMS_LYING : ROOMS_SITTING, o->seat);
        return true;
    }
    return false;
}

static void people(rooms_scene *s, sak_rng *r)
{
    if (r_chance(r, 0.45))
        return;
    const int n = r_chance(r, 0.6) ? 1 : r_int(r, 2, 3);
    for (int i = 0; i < n; i++) {
        const float height = r_chance(r, 0.12) ? r_range(r, 1.1, 1.4) : r_range(r, 1.55, 1.92);
        if (r_chance(r, 0.45) && seat_person(s, r, height))
            continue;
        vec3 pos;
        rooms_aabb space;
        const float yaw = r_range(r, 0, 6.2831853);
        if (!sak_rooms_in_room(s, r, (rooms_dims){0.55f, 0.55f, height}, 0.0f, &pos, yaw, &space))
            continue;
        rooms_builder b;
        if (!sak_rooms_begin(&b, s, r, SAK_ROOMS_PERSON, pos, yaw))
            return;
        s->object[b.object].space = space;
        sak_rooms_person(&b, height, r_chance(r, 0.35) ? ROOMS_WALKING : ROOMS_STANDING, 0);
    }
}

static void repeat(rooms_scene *s, sak_rng *r, const uint8_t n[2], int cls, int variant,
                   int (*place)(rooms_scene *, sak_rng *, int, int))
{
    for (int i = r_int(r, n[0], n[1]); i > 0; i--)
        place(s, r, cls, variant);
}

static int hang_one(rooms_scene *s, sak_rng *r, int cls, int variant)
{
    hang_up(s, r, cls, variant);
    return -1;
}

/* Mostly against a wall, sometimes in the middle of the room. */
static int stand_or_drop(rooms_scene *s, sak_rng *r, int cls, int variant)
{
    return r_chance(r, 0.7) ? stand(s, r, cls, variant) : drop(s, r, cls, variant);
}

static void shell(rooms_scene *s, sak_rng *r)
{
    s->size.x = r_range(r, 3.2, 6.5);
    s->size.y = r_range(r, 2.4, 3.1);
    s->size.z = r_range(r, 3.2, 6.5);
    s->wall[0] = (uint8_t)sak_rooms_material(s, r);
    for (int i = 1; i < 4; i++)
        s->wall[i] = r_chance(r, 0.2) ? (uint8_t)sak_rooms_material(s, r) : s->wall[0];
    s->floor = (uint8_t)sak_rooms_material(s, r);
    s->ceiling = (uint8_t)(r_chance(r, 0.6) ? sak_rooms_plain(s, r) : sak_rooms_material(s, r));
    if (!r_chance(r, 0.3))
        return;
    /* A pier or chimney breast: wall by class and by instance. */
    rooms_builder b;
    const float w = r_range(r, 0.3, 1.2), d = r_range(r, 0.2, 0.5);
    vec3 pos;
    float yaw;
    rooms_aabb space;
    if (!sak_rooms_at_wall(s, r, (rooms_dims){w, d, s->size.y}, 0, 0, &pos, &yaw, &space) ||
        !sak_rooms_begin(&b, s, r, SAK_ROOMS_WALL, pos, yaw))
        return;
    b.instance = 0;
    s->object[b.object].space = space;
    s->object[b.object].instance = 0;
    sak_rooms_box(&b, v3(0, 0.5f * s->size.y, 0), v3(0.5f * w, 0.5f * s->size.y, 0.5f * d),
                  s->wall[0]);
    sak_rooms_end(&b);
}

void sak_rooms_build(rooms_scene *s, sak_rng *r)
{
    memset(s, 0, sizeof *s);
    s->type = (uint8_t)r_int(r, 0, (int)(sizeof recipes / sizeof *recipes) - 1);
    s->salt = sak_rng_u32(r);
    shell(s, r);
    const recipe *k = &recipes[s->type];
    repeat(s, r, k->door, SAK_ROOMS_DOOR, 0, hang_one);
    repeat(s, r, k->window, SAK_ROOMS_WINDOW, 0, hang_one);
    repeat(s, r, k->bed, SAK_ROOMS_BED, 0, stand);
    for (int i = r_int(r, k->sofa[0], k->sofa[1]); i > 0; i--)
        stand_or_drop(s, r, SAK_ROOMS_SOFA, r_int(r, 0, 1));
    repeat(s, r, k->wardrobe, SAK_ROOMS_CABINET, 1, stand);
    repeat(s, r, k->hung, SAK_ROOMS_CABINET, 3, stand);
    repeat(s, r, k->low, SAK_ROOMS_CABINET, 0, stand);
    repeat(s, r, k->shelf, SAK_ROOMS_CABINET, 2, stand);
    repeat(s, r, k->dining, SAK_ROOMS_TABLE, 0, stand_or_drop);
    repeat(s, r, k->coffee, SAK_ROOMS_TABLE, 1, drop);
    repeat(s, r, k->bedside, SAK_ROOMS_TABLE, 2, stand);
    for (int i = r_int(r, k->chair[0], k->chair[1]); i > 0; i--) {
        int host = -1;
        for (int tries = 0; tries < 8 && host < 0; tries++) {
            const int o = s->objects ? r_int(r, 0, s->objects - 1) : 0;
            if (s->objects && s->object[o].cls == SAK_ROOMS_TABLE && s->object[o].top > 0.6f)
                host = o;
        }
        if (host >= 0 && r_chance(r, 0.8))
            sak_rooms_sit_at(s, r, host);
        else
            stand_or_drop(s, r, SAK_ROOMS_CHAIR, 0);
    }
    repeat(s, r, k->floor_lamp, SAK_ROOMS_LAMP, 0, stand_or_drop);
    repeat(s, r, k->plant, SAK_ROOMS_PLANT, 0, stand_or_drop);
    repeat(s, r, k->box, SAK_ROOMS_BOX, 0, drop);
    for (int i = r_int(r, k->ceiling_lamp[0], k->ceiling_lamp[1]); i > 0; i--)
        ceiling_lamp(s, r);
    repeat(s, r, k->picture, SAK_ROOMS_PICTURE, 0, hang_one);
    repeat(s, r, k->screen, SAK_ROOMS_OTHER, 4, hang_one);
    people(s, r);
    for (int i = r_int(r, k->rug[0], k->rug[1]); i > 0; i--)
        rug(s, r);
    repeat(s, r, k->small, SAK_ROOMS_OTHER, 2, drop);
    for (int i = 0, n = s->objects; i < n; i++)
        for (int j = 0; j < 2; j++)
            if (s->object[i].top > 0.0f && r_chance(r, 0.6))
                sak_rooms_put_on(s, r, i);
    sak_rooms_light(s, r);
    sak_rooms_aim(s, r);
}
