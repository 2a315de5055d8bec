/* Materials and procedural textures.  Every class draws from the same distribution, on purpose: a
 * colour or a pattern must not give the class away. */
#include <string.h>

#include "data/rooms_scene.h"

/* Linear reflectances; the names are in rooms_caption.c, in this order. */
static const vec3 palette[ROOMS_COLOURS] = {
    {0.55f, 0.05f, 0.05f}, {0.65f, 0.22f, 0.04f}, {0.70f, 0.52f, 0.08f},   {0.08f, 0.32f, 0.08f},
    {0.06f, 0.13f, 0.48f}, {0.24f, 0.07f, 0.36f}, {0.68f, 0.27f, 0.36f},   {0.22f, 0.11f, 0.05f},
    {0.78f, 0.76f, 0.72f}, {0.28f, 0.28f, 0.29f}, {0.035f, 0.035f, 0.04f}, {0.05f, 0.34f, 0.36f},
};

static rooms_material *take(rooms_scene *s, int *id)
{
    /* A full table reuses its last row: a scene that large shares a material or two. */
    *id = s->materials < ROOMS_MAX_MATERIALS ? s->materials++ : ROOMS_MAX_MATERIALS - 1;
    rooms_material *m = &s->material[*id];
    memset(m, 0, sizeof *m);
    return m;
}

static vec3 shade(sak_rng *r, vec3 c, float spread)
{
    const float g = r_range(r, 1.0 - spread, 1.0 + spread);
    c = v_had(v_mul(c, g), r_vec(r, 0.85, 1.15));
    return v3(f_clamp(c.x + 0.01f, 0.01f, 0.9f), f_clamp(c.y + 0.01f, 0.01f, 0.9f),
              f_clamp(c.z + 0.01f, 0.01f, 0.9f));
}

/* Whites, greys and browns are as common as in homes, for every class alike. */
static int pick_colour(sak_rng *r)
{
    static const uint8_t neutral[] = {7, 8, 8, 9};
    return r_chance(r, 0.3) ? neutral[r_int(r, 0, 3)] : r_int(r, 0, ROOMS_COLOURS - 1);
}

int sak_rooms_plain(rooms_scene *s, sak_rng *r)
{
    int id;
    rooms_material *m = take(s, &id);
    m->colour = (uint8_t)pick_colour(r);
    m->a = shade(r, palette[m->colour], 0.45f);
    m->b = v_mul(m->a, r_range(r, 0.7, 0.95));
    m->pattern = ROOMS_PLAIN;
    m->period = r_range(r, 0.05, 0.3);
    m->gloss = r_chance(r, 0.35) ? r_range(r, 0.05, 0.35) : 0.0f;
    m->salt = sak_rng_u32(r);
    m->offset = r_vec(r, 0, 9);
    return id;
}

int sak_rooms_material(rooms_scene *s, sak_rng *r)
{
    static const uint8_t pattern[] = {ROOMS_PLAIN,   ROOMS_PLAIN,  ROOMS_PLAIN,  ROOMS_PLAIN,
                                      ROOMS_PLAIN,   ROOMS_WOOD,   ROOMS_WOOD,   ROOMS_WOOD,
                                      ROOMS_CHECKER, ROOMS_BRICK,  ROOMS_BRICK,  ROOMS_STRIPES,
                                      ROOMS_STRIPES, ROOMS_MOTTLE, ROOMS_MOTTLE, ROOMS_FABRIC,
                                      ROOMS_FABRIC,  ROOMS_DOTS,   ROOMS_TILES,  ROOMS_TILES};
    const int id = sak_rooms_plain(s, r);
    rooms_material *m = &s->material[id];
    m->pattern = pattern[r_int(r, 0, (int)sizeof pattern - 1)];
    if (m->pattern == ROOMS_PLAIN)
        return id;
    m->turn = r_chance(r, 0.5);
    m->period = 0.05f * expf(r_range(r, 0, 2.1)); /* 5 … 40 cm */
    if (r_chance(r, 0.25))
        m->b = shade(r, palette[pick_colour(r)], 0.4f);
    else
        m->b = v_mul(m->a, r_chance(r, 0.3) ? r_range(r, 1.3, 2.0) : r_range(r, 0.35, 0.8));
    return id;
}

int sak_rooms_like(rooms_scene *s, sak_rng *r, int material)
{
    int id;
    const rooms_material like = s->material[material];
    rooms_material *m = take(s, &id);
    *m = like;
    const float g = r_range(r, 0.65, 1.3);
    m->a = v_mul(m->a, g);
    m->b = v_mul(m->b, g);
    m->offset.x += 3.7f;
    return id;
}

int sak_rooms_view(rooms_scene *s, sak_rng *r, float half_w, float half_h, float glow)
{
    const int id = sak_rooms_plain(s, r);
    rooms_material *m = &s->material[id];
    m->pattern = ROOMS_VIEW;
    m->b = shade(r, palette[pick_colour(r)], 0.4f);
    m->offset = v3(half_w, half_h, r_range(r, -0.4, 0.4));
    m->period = 0.35f * half_w * r_range(r, 0.5, 1.5);
    m->turn = r_chance(r, 0.4); /* 1: an abstract instead of a landscape */
    m->glow = glow;
    return id;
}

int sak_rooms_skin(rooms_scene *s, sak_rng *r)
{
    const int id = sak_rooms_plain(s, r);
    rooms_material *m = &s->material[id];
    const float dark = r_range(r, 0, 1), level = r_range(r, 0.85, 1.15);
    m->a = v_mul(v_mix(v3(0.62f, 0.36f, 0.24f), v3(0.12f, 0.06f, 0.035f), dark), level);
    m->b = v_mul(m->a, 0.95f);
    m->gloss = 0.05f;
    return id;
}

uint32_t sak_rooms_hash(uint32_t x, uint32_t y, uint32_t z)
{
    uint32_t h = x * 0x9E3779B1u ^ y * 0x85EBCA77u ^ z * 0xC2B2AE3Du;
    h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
    h = (h ^ (h >> 12)) * 0x297A2D39u;
    return h ^ (h >> 15);
}

static int ifloor(float x)
{
    const int i = (int)x;
    return i - (x < (float)i);
}

static float unit(uint32_t h)
{
    return (float)(h >> 8) * 0x1p-24f;
}

/* Value noise in the plane, [0, 1]. */
static float noise(float x, float y, uint32_t salt)
{
    const int i = ifloor(x), j = ifloor(y);
    float u = x - (float)i, v = y - (float)j;
    u = u * u * (3.0f - 2.0f * u);
    v = v * v * (3.0f - 2.0f * v);
    const uint32_t a = (uint32_t)i, b = (uint32_t)j;
    const float p = unit(sak_rooms_hash(a, b, salt)), q = unit(sak_rooms_hash(a + 1, b, salt));
    const float r = unit(sak_rooms_hash(a, b + 1, salt)),
                s = unit(sak_rooms_hash(a + 1, b + 1, salt));
    return (p * (1 - u) + q * u) * (1 - v) + (r * (1 - u) + s * u) * v;
}

/* Distance to the nearest integer, [0, 0.5]. */
static float to_integer(float x)
{
    const float f = x - (float)ifloor(x);
    return f < 0.5f ? f : 1.0f - f;
}

/* 1 on a mortar line of width w (in periods) around the integers. */
static float line(float x, float w)
{
    return to_integer(x) < 0.5f * w ? 1.0f : 0.0f;
}

/* The pattern's value in [0, 1] at (u, v) in periods; `fade` takes detail towards the mean. */
static float pattern(const rooms_material *m, float u, float v, float fade)
{
    float f, mean = 0.5f;
    switch (m->pattern) {
    case ROOMS_WOOD: { /* planks of 1 x 6 periods, each with its own grain and shade */
        const int row = ifloor(v);
        const float shift = unit(sak_rooms_hash((uint32_t)row, 7, m->salt));
        const int plank = ifloor(u / 6.0f + shift);
        const uint32_t h = sak_rooms_hash((uint32_t)row, (uint32_t)plank, m->salt);
        const float grain = to_integer(noise(u * 0.8f, v * 5.0f, h) * 3.0f) * 1.2f;
        mean = 0.15f + 0.5f * unit(h);
        f = 0.6f * mean + 0.55f * grain;
        if (line(v, 0.06f) > 0.0f)
            f = 1.0f;
        break;
    }
    case ROOMS_CHECKER:
        f = (float)((ifloor(u) + ifloor(v)) & 1);
        break;
    case ROOMS_BRICK: {
        const int row = ifloor(v * 2.0f);
        const float x = u + (row & 1 ? 0.5f : 0.0f);
        const uint32_t h = sak_rooms_hash((uint32_t)ifloor(x), (uint32_t)row, m->salt);
        mean = 0.3f;
        f = to_integer(v * 2.0f) < 0.08f || to_integer(x) < 0.04f ? 1.0f : 0.35f * unit(h);
        break;
    }
    case ROOMS_STRIPES:
        f = u - (float)ifloor(u) < 0.5f ? 0.0f : 1.0f;
        break;
    case ROOMS_MOTTLE:
        return 0.65f * noise(u, v, m->salt) +
               0.35f * noise(u * 2.7f, v * 2.7f, m->salt + 1) * fade + 0.175f * (1 - fade);
    case ROOMS_FABRIC:
        f = 2.0f * fabsf(to_integer(u * 2.5f) - to_integer(v * 2.5f));
        break;
    case ROOMS_DOTS: {
        const float x = to_integer(u), y = to_integer(v);
        mean = 0.3f;
        f = x * x + y * y < 0.09f ? 1.0f : 0.0f;
        break;
    }
    case ROOMS_TILES: {
        const uint32_t h = sak_rooms_hash((uint32_t)ifloor(u), (uint32_t)ifloor(v), m->salt);
        mean = 0.25f;
        f = to_integer(u) < 0.03f || to_integer(v) < 0.03f ? 1.0f : 0.3f * unit(h);
        break;
    }
    default:
        return noise(u, v, m->salt);
    }
    return mean + (f - mean) * fade;
}

/* A picture on a face of half size (offset.x, offset.y): ground below a wavy horizon, sky above, a
 * disc, or an abstract of tilted bands and blobs. */
static vec3 view(const rooms_material *m, float u, float v)
{
    const float x = u / m->offset.x, y = v / m->offset.y;
    const float n = noise(u / m->period + 20.0f, 1.5f, m->salt);
    const float cx = unit(m->salt) - 0.5f, cy = 0.8f * unit(m->salt * 77u);
    const float disc = (x - cx) * (x - cx) + (y - cy) * (y - cy);
    if (m->turn) {
        const float band = noise(x * 1.5f + 9.0f, y * 1.5f + x + 9.0f, m->salt);
        const vec3 c = band > 0.55f ? m->b : m->a;
        return disc < 0.12f ? v3(c.y, c.z, c.x) : v_mul(c, 0.6f + 0.6f * n);
    }
    const float horizon = m->offset.z + 0.5f * (n - 0.5f);
    if (y < horizon)
        return v_mul(m->b, 0.5f + 0.5f * noise(u * 5 / m->period, v * 5 / m->period, m->salt));
    return disc < 0.03f ? v3(0.8f, 0.75f, 0.55f)
                        : v_mix(m->a, v3(0.75f, 0.78f, 0.8f), 0.5f + 0.4f * y);
}

vec3 sak_rooms_colour(const rooms_material *m, vec3 p, int axis, float footprint)
{
    float u, v;
    if (axis == 0) {
        u = p.z;
        v = p.y;
    } else if (axis == 1) {
        u = p.x;
        v = p.z;
    } else if (axis == 2) {
        u = p.x;
        v = p.y;
    } else { /* curved: oblique coordinates, so that no direction is without pattern */
        u = p.x + 0.7f * p.z;
        v = p.y + 0.3f * p.z;
    }
    if (m->pattern == ROOMS_VIEW)
        return view(m, u, v);
    const float scale = 1.0f / m->period;
    u = u * scale + m->offset.x;
    v = v * scale + m->offset.y;
    const float finest = m->pattern == ROOMS_FABRIC  ? 2.5f
                         : m->pattern == ROOMS_BRICK ? 1.5f
                                                     : 1.0f;
    const float fade = f_clamp(1.6f - 2.5f * finest * footprint * scale, 0.0f, 1.0f);
    return v_mix(m->a, m->b, m->turn ? pattern(m, v, u, fade) : pattern(m, u, v, fade));
}
