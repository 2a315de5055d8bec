/* People: a jointed figure of ellipsoids and capsules with the six parts as labels.  Lengths are
 * for a height of 1.75 m and scaled; poses vary in every joint. */
#include "data/rooms_scene.h"

typedef struct figure {
    rooms_builder *b;
    float k; /* height / 1.75 */
    int skin, shirt, trousers, shoes;
    bool sleeves, shorts;
} figure;

static void limb(const figure *f, int part, vec3 p, vec3 q, float radius, int material)
{
    f->b->part = (uint8_t)part;
    sak_rooms_capsule(f->b, p, q, radius * f->k, material);
}

static void blob(const figure *f, int part, vec3 c, vec3 half, int material)
{
    f->b->part = (uint8_t)part;
    sak_rooms_ellipse(f->b, c, v_mul(half, f->k), material);
}

/* Direction of a limb hanging down, swung forward by `swing` and outward by `out` (radians). */
static vec3 hang(float swing, float out, float side)
{
    const float c = cosf(out);
    return v3(side * sinf(out), -c * cosf(swing), c * sinf(swing));
}

/* One arm from the shoulder; raise: 0 hangs, 1 held forward, 2 raised, 3 hand on the hip. */
static void arm(const figure *f, vec3 shoulder, float side, int raise)
{
    static const float lo[4][4] = {{-0.35f, 0.06f, 0.0f, 0.0f},
                                   {0.3f, 0.0f, 0.7f, -0.2f},
                                   {1.7f, 0.1f, 0.0f, 0.0f},
                                   {-0.35f, 0.55f, 0.3f, -1.0f}};
    static const float hi[4][4] = {{0.35f, 0.25f, 0.5f, 0.1f},
                                   {0.9f, 0.25f, 1.6f, 0.1f},
                                   {2.9f, 0.6f, 0.7f, 0.3f},
                                   {-0.1f, 0.8f, 0.6f, -0.7f}};
    float a[4];
    for (int i = 0; i < 4; i++)
        a[i] = r_range(f->b->r, lo[raise][i], hi[raise][i]);
    const vec3 elbow = v_mad(shoulder, hang(a[0], a[1], side), 0.29f * f->k);
    const vec3 wrist = v_mad(elbow, hang(a[0] + a[2], a[1] + a[3], side), 0.25f * f->k);
    limb(f, SAK_ROOMS_UPPER_ARM, shoulder, elbow, 0.052f, f->shirt);
    limb(f, SAK_ROOMS_LOWER_ARM, elbow, wrist, 0.042f, f->sleeves ? f->shirt : f->skin);
    blob(f, SAK_ROOMS_LOWER_ARM, v_mad(wrist, v_unit(v_sub(wrist, elbow)), 0.07f * f->k),
         v3(0.045f, 0.06f, 0.04f), f->skin);
}

static void leg(const figure *f, vec3 hip, vec3 knee, vec3 ankle)
{
    limb(f, SAK_ROOMS_UPPER_LEG, hip, knee, 0.08f, f->trousers);
    limb(f, SAK_ROOMS_LOWER_LEG, knee, ankle, 0.058f, f->shorts ? f->skin : f->trousers);
    blob(f, SAK_ROOMS_LOWER_LEG, v_add(ankle, v3(0, -0.03f * f->k, 0.07f * f->k)),
         v3(0.05f, 0.045f, 0.13f), f->shoes);
}

static void head(const figure *f, vec3 neck, vec3 up)
{
    rooms_builder *b = f->b;
    const vec3 c = v_mad(neck, up, 0.2f * f->k);
    limb(f, SAK_ROOMS_HEAD, neck, v_mad(neck, up, 0.1f * f->k), 0.05f, f->skin);
    blob(f, SAK_ROOMS_HEAD, c, v3(0.082f, 0.115f, 0.098f), f->skin);
    const int hair = sak_rooms_plain(b->s, b->r);
    if (r_chance(b->r, 0.9))
        blob(f, SAK_ROOMS_HEAD, v_add(c, v3(0, 0.035f * f->k, -0.022f * f->k)),
             v3(0.093f, 0.1f, 0.093f), hair);
    if (r_chance(b->r, 0.35)) /* long hair */
        blob(f, SAK_ROOMS_HEAD, v_add(c, v3(0, -0.08f * f->k, -0.06f * f->k)),
             v3(0.09f, 0.15f, 0.05f), hair);
}

static void torso(const figure *f, vec3 hip, vec3 chest, float broad)
{
    const vec3 mid = v_mul(v_add(hip, chest), 0.5f);
    blob(f, SAK_ROOMS_TORSO, v_mad(mid, v_sub(chest, hip), 0.14f), v3(0.18f * broad, 0.29f, 0.125f),
         f->shirt);
    limb(f, SAK_ROOMS_TORSO, v_add(chest, v3(-0.12f * f->k * broad, 0, 0)),
         v_add(chest, v3(0.12f * f->k * broad, 0, 0)), 0.075f, f->shirt);
    limb(f, SAK_ROOMS_TORSO, v_add(hip, v3(-0.06f * f->k, 0.04f * f->k, 0)),
         v_add(hip, v3(0.06f * f->k, 0.04f * f->k, 0)), 0.11f,
         r_chance(f->b->r, 0.5) ? f->shirt : f->trousers);
}

void sak_rooms_person(rooms_builder *b, float height, rooms_pose pose, float seat)
{
    figure f = {.b = b, .k = height / 1.75f};
    f.shirt = sak_rooms_material(b->s, b->r); /* first: the colour the caption names */
    f.trousers = sak_rooms_material(b->s, b->r);
    f.skin = sak_rooms_skin(b->s, b->r);
    f.shoes = sak_rooms_plain(b->s, b->r);
    f.sleeves = r_chance(b->r, 0.6);
    f.shorts = r_chance(b->r, 0.2);
    const float k = f.k, broad = r_range(b->r, 0.88, 1.12);
    const bool sit = pose == ROOMS_SITTING;
    const float hip_y = sit ? seat + 0.09f * k : 0.9f * k,
                lean = r_range(b->r, -0.14, sit ? 0.25 : 0.1);
    const vec3 hip = v3(0, hip_y, 0), up = v3(0, cosf(lean), sinf(lean));
    const vec3 chest = v_mad(hip, up, 0.49f * k);
    const float stride =
        pose == ROOMS_WALKING ? r_range(b->r, 0.3, 0.55) : r_range(b->r, 0.0, 0.12);
    for (int i = -1; i <= 1; i += 2) {
        const float side = (float)i;
        const vec3 h = v_add(hip, v3(side * 0.09f * k, 0, 0));
        if (sit) {
            const float spread = r_range(b->r, 0.0, 0.12), fold = r_range(b->r, -0.18, 0.12);
            const vec3 knee = v_add(h, v3(side * spread, 0.01f, 0.41f * k));
            leg(&f, h, knee, v3(knee.x, fmaxf(0.08f, knee.y - 0.41f * k), knee.z + fold));
        } else {
            const float swing = side * stride,
                        bend = pose == ROOMS_WALKING && side < 0 ? 0.5f : 0.04f;
            const vec3 knee = v_mad(h, hang(swing + 0.5f * bend, 0.03f, side), 0.42f * k);
            leg(&f, h, knee, v_mad(knee, hang(swing - bend, 0.03f, side), 0.40f * k));
        }
    }
    torso(&f, hip, chest, broad);
    const int common = r_chance(b->r, 0.2) ? 2 : r_int(b->r, 0, 3);
    for (int i = -1; i <= 1; i += 2) {
        const int raise = r_chance(b->r, 0.4) ? common : sit ? r_int(b->r, 0, 1) : 0;
        const vec3 shoulder = v_add(chest, v3((float)i * 0.185f * k * broad, 0.01f * k, 0));
        arm(&f, shoulder, (float)i, sit && raise == 0 ? 1 : raise);
    }
    head(&f, v_mad(chest, up, 0.06f * k), up);
    b->part = SAK_ROOMS_NO_PART;
    rooms_object *o = &b->s->object[b->object];
    o->pose = (uint8_t)pose;
    o->hx = 0.25f;
    o->hz = 0.2f;
    sak_rooms_end(b);
    /* The caption names the shirt: the legs were added first. */
    o->material = (uint8_t)f.shirt;
}
