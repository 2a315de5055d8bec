/* Objects from shapes: the builder, and one function per kind of furniture.  Local frame: origin on
 * the floor (or at the mounting point), x right, y up, front towards +z. */
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
    *b = (rooms_builder){.s = s, .r = r, .o = pos, .ax = {c, 0, -n}, .ay = {0, 1, 0},
                         .az = {n, 0, c}, .cls = (uint8_t)cls, .object = (uint8_t)s->objects};
    rooms_object *o = &s->object[s->objects++];
    *o = (rooms_object){.pos = pos, .yaw = yaw, .first = s->prims, .cls = (uint8_t)cls,
                        .instance = (uint8_t)s->objects, .host = ROOMS_NO_OBJECT};
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

static void add(rooms_builder *b, rooms_shape shape, vec3 c, const vec3 axis[3], vec3 half, float param,
                int material)
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

/* Four legs under the corners of a w x d rectangle. */
static void legs(rooms_builder *b, float w, float d, float height, float thick, int material)
{
    const bool round = r_chance(b->r, 0.4);
    for (int i = 0; i < 4; i++) {
        const float x = (i & 1 ? 1.0f : -1.0f) * (0.5f * w - thick);
        const float z = (i & 2 ? 1.0f : -1.0f) * (0.5f * d - thick);
        if (round)
            sak_rooms_frustum(b, v3(x, 0, z), height, 0.7f * thick, thick, material);
        else
            sak_rooms_box(b, v3(x, 0.5f * height, z), v3(thick, 0.5f * height, thick), material);
    }
}

static void table(rooms_builder *b, rooms_dims k, rooms_object *o)
{
    const int top = sak_rooms_material(b->s, b->r);
    const int leg = r_chance(b->r, 0.5) ? top : sak_rooms_material(b->s, b->r);
    const float t = r_range(b->r, 0.015, 0.035), under = k.h - 2 * t;
    if (k.w < 1.25f * k.d && r_chance(b->r, 0.6)) { /* round, on a pedestal */
        const float rad = 0.5f * fminf(k.w, k.d);
        sak_rooms_frustum(b, v3(0, under, 0), 2 * t, rad, rad, top);
        sak_rooms_frustum(b, v3(0, 0, 0), 0.04f, 0.5f * rad, 0.3f * rad, leg);
        sak_rooms_frustum(b, v3(0, 0.04f, 0), under - 0.04f, 0.05f, 0.05f, leg);
    } else {
        sak_rooms_box(b, v3(0, k.h - t, 0), v3(0.5f * k.w, t, 0.5f * k.d), top);
        legs(b, k.w, k.d, under, r_range(b->r, 0.02, 0.045), leg);
        if (k.h > 0.6f && r_chance(b->r, 0.35)) /* a desk's drawers */
            sak_rooms_box(b, v3(0.5f * k.w - 0.23f, 0.5f * under + 0.04f, 0),
                          v3(0.2f, 0.5f * under - 0.04f, 0.45f * k.d), leg);
        else if (k.h < 0.6f && r_chance(b->r, 0.4)) /* a coffee table's shelf */
            sak_rooms_box(b, v3(0, 0.14f, 0), v3(0.45f * k.w, 0.012f, 0.42f * k.d), leg);
    }
    o->top = k.h;
}

static void chair(rooms_builder *b, rooms_dims k, rooms_object *o)
{
    const int seat = sak_rooms_material(b->s, b->r);
    const int frame = r_chance(b->r, 0.5) ? seat : sak_rooms_plain(b->s, b->r);
    const float y = r_range(b->r, 0.42, 0.48), t = r_range(b->r, 0.02, 0.045);
    sak_rooms_box(b, v3(0, y - t, 0), v3(0.5f * k.w, t, 0.5f * k.d), seat);
    const bool office = r_chance(b->r, 0.3);
    if (office) {
        sak_rooms_frustum(b, v3(0, 0.07f, 0), y - 0.1f, 0.03f, 0.03f, frame);
        sak_rooms_capsule(b, v3(-0.25f, 0.05f, 0), v3(0.25f, 0.05f, 0), 0.03f, frame);
        sak_rooms_capsule(b, v3(0, 0.05f, -0.25f), v3(0, 0.05f, 0.25f), 0.03f, frame);
    } else {
        legs(b, k.w, k.d, y - 2 * t, r_range(b->r, 0.015, 0.03), frame);
    }
    const int kind = r_int(b->r, 0, 3);
    const rooms_builder back = sak_rooms_tilt(b, v3(0, y, -0.5f * k.d), r_range(b->r, -0.2, -0.02));
    rooms_builder *t2 = &(rooms_builder){0};
    *t2 = back;
    const float mid = 0.5f * (y + k.h), up = 0.5f * (k.h - y);
    if (kind == 0 || kind == 1) { /* a panel, closed or floating */
        const float cut = kind ? 0.4f * up : 0.0f;
        sak_rooms_box(t2, v3(0, mid + 0.5f * cut, -0.5f * k.d + t), v3(0.48f * k.w, up - 0.5f * cut, t), seat);
        if (kind)
            sak_rooms_box(t2, v3(0, y + 0.5f * cut, -0.5f * k.d + t), v3(0.04f, 0.5f * cut, 0.6f * t), frame);
    } else { /* posts with rails or slats */
        for (int i = -1; i <= 1; i += 2)
            sak_rooms_box(t2, v3((float)i * (0.5f * k.w - 0.02f), mid, -0.5f * k.d + 0.02f),
                          v3(0.02f, up, 0.018f), frame);
        for (int i = 0; i < 3; i++)
            sak_rooms_box(t2, v3(0, k.h - 0.05f - 0.13f * (float)i, -0.5f * k.d + 0.02f),
                          v3(0.5f * k.w - 0.03f, kind == 2 ? 0.035f : 0.02f, 0.012f), kind == 2 ? seat : frame);
    }
    if (r_chance(b->r, 0.25))
        for (int i = -1; i <= 1; i += 2)
            sak_rooms_box(b, v3((float)i * 0.5f * k.w, y + 0.2f, 0), v3(0.025f, 0.02f, 0.45f * k.d), frame);
    o->seat = y;
    o->seat_z = -0.08f;
}

static void sofa(rooms_builder *b, rooms_dims k, rooms_object *o)
{
    const int cloth = sak_rooms_material(b->s, b->r), other = sak_rooms_like(b->s, b->r, cloth);
    const float arm = r_range(b->r, 0.07, 0.13), y = r_range(b->r, 0.38, 0.46), back = r_range(b->r, 0.09, 0.13);
    const float foot = r_range(b->r, 0.03, 0.12), inner = 0.5f * k.w - 2 * arm;
    sak_rooms_box(b, v3(0, 0.5f * (y - 0.12f + foot), 0),
                  v3(0.5f * k.w - 0.02f, 0.5f * (y - 0.12f - foot), 0.5f * k.d - 0.02f), cloth);
    sak_rooms_box(b, v3(0, 0.5f * (k.h + foot), -0.5f * k.d + back), v3(0.5f * k.w - arm, 0.5f * (k.h - foot), back), cloth);
    const float arm_h = r_range(b->r, 0.52, 0.66);
    const bool rounded = r_chance(b->r, 0.4);
    for (int i = -1; i <= 1; i += 2) {
        const float x = (float)i * (0.5f * k.w - arm);
        sak_rooms_box(b, v3(x, 0.5f * (arm_h + foot), 0), v3(arm, 0.5f * (arm_h - foot), 0.5f * k.d), cloth);
        if (rounded)
            sak_rooms_capsule(b, v3(x, arm_h, -0.5f * k.d + arm), v3(x, arm_h, 0.5f * k.d - arm), arm, cloth);
    }
    const int seats = k.w < 1.1f ? 1 : k.w < 1.7f ? 2 : 3;
    for (int i = 0; i < seats; i++) {
        const float w = inner / (float)seats, x = -inner + w * (2.0f * (float)i + 1.0f);
        sak_rooms_box(b, v3(x, y - 0.06f, back), v3(0.97f * w, 0.06f, 0.5f * k.d - back), other);
        if (r_chance(b->r, 0.6))
            sak_rooms_ellipse(b, v3(x, y + 0.2f, -0.5f * k.d + 2 * back + 0.06f), v3(0.9f * w, 0.2f, 0.1f),
                              r_chance(b->r, 0.3) ? sak_rooms_material(b->s, b->r) : other);
    }
    o->seat = y;
    o->seat_z = 0.04f;
}

static void bed(rooms_builder *b, rooms_dims k, rooms_object *o)
{
    const int sheet = sak_rooms_material(b->s, b->r), frame = sak_rooms_material(b->s, b->r);
    const int pillow = r_chance(b->r, 0.5) ? sak_rooms_plain(b->s, b->r) : sak_rooms_like(b->s, b->r, sheet);
    const float y = r_range(b->r, 0.42, 0.6), base = 0.5f * y;
    const float cover = r_range(b->r, 0.1, 0.35);
    sak_rooms_box(b, v3(0, 0.5f * (y + base), 0.02f), v3(0.5f * k.w - 0.02f, 0.5f * (y - base), 0.5f * k.d - 0.04f), sheet);
    sak_rooms_box(b, v3(0, 0.5f * base + 0.03f, 0), v3(0.5f * k.w, 0.5f * base - 0.03f, 0.5f * k.d), frame);
    sak_rooms_box(b, v3(0, 0.5f * k.h, -0.5f * k.d + 0.03f), v3(0.5f * k.w, 0.5f * k.h, 0.03f), frame);
    if (r_chance(b->r, 0.7)) /* blanket over the foot end */
        sak_rooms_box(b, v3(0, 0.5f * (y + base) + 0.02f, cover), v3(0.5f * k.w + 0.01f, 0.5f * (y - base) + 0.01f, 0.5f * k.d - cover + 0.01f),
                      sak_rooms_material(b->s, b->r));
    const int n = k.w > 1.25f ? 2 : 1;
    for (int i = 0; i < n; i++) {
        const float w = k.w / (float)n, x = -0.5f * k.w + w * ((float)i + 0.5f);
        sak_rooms_ellipse(b, v3(x, y + 0.05f, -0.5f * k.d + 0.3f), v3(0.42f * w, 0.08f, 0.2f), pillow);
    }
    o->seat = y;
}

static void shelf(rooms_builder *b, rooms_dims k)
{
    const int wood = sak_rooms_material(b->s, b->r), inside = sak_rooms_like(b->s, b->r, wood);
    const float t = 0.012f, hw = 0.5f * k.w, hd = 0.5f * k.d;
    const int rows = k.h < 1.1f ? 2 : k.h < 1.6f ? 3 : 4;
    sak_rooms_box(b, v3(0, 0.5f * k.h, -hd + t), v3(hw, 0.5f * k.h, t), inside);
    for (int i = -1; i <= 1; i += 2)
        sak_rooms_box(b, v3((float)i * (hw - t), 0.5f * k.h, 0), v3(t, 0.5f * k.h, hd), wood);
    for (int i = 0; i <= rows; i++)
        sak_rooms_box(b, v3(0, 0.05f + (k.h - 0.05f - t) * (float)i / (float)rows, 0), v3(hw, t, hd), wood);
    const uint8_t cls = b->cls;
    b->cls = SAK_ROOMS_OTHER; /* what stands in it is clutter of the same instance */
    for (int i = 0; i < rows; i++) {
        if (r_chance(b->r, 0.25))
            continue;
        const float y = 0.05f + t + (k.h - 0.05f - t) * (float)i / (float)rows;
        const float gap = (k.h - 0.05f) / (float)rows - 3 * t;
        float x = -hw + 2 * t;
        for (int j = r_int(b->r, 1, 4); j > 0 && x < hw - 0.12f; j--) { /* blocks of books */
            const float w = r_range(b->r, 0.02, 0.12), h = gap * r_range(b->r, 0.45, 0.9);
            sak_rooms_box(b, v3(x + w, y + 0.5f * h, -0.02f), v3(w, 0.5f * h, 0.75f * hd), sak_rooms_material(b->s, b->r));
            x += 2 * w + r_range(b->r, 0.0, 0.3);
            if (x + 0.2f > hw)
                break;
        }
    }
    b->cls = cls;
}

static void cabinet(rooms_builder *b, rooms_dims k, rooms_object *o)
{
    const int wood = sak_rooms_material(b->s, b->r);
    const int door = r_chance(b->r, 0.6) ? sak_rooms_like(b->s, b->r, wood) : sak_rooms_material(b->s, b->r);
    const int knob = sak_rooms_plain(b->s, b->r);
    const float hw = 0.5f * k.w, hd = 0.5f * k.d;
    sak_rooms_box(b, v3(0, 0.5f * k.h + 0.02f, 0), v3(hw, 0.5f * k.h - 0.02f, hd - 0.02f), wood);
    const bool drawers = k.h < 1.2f && r_chance(b->r, 0.5);
    const int rows = drawers ? r_int(b->r, 2, 4) : 1;
    const int cols = k.w < 0.6f ? 1 : k.w < 1.2f ? 2 : 3;
    const float cw = k.w / (float)cols, ch = (k.h - 0.1f) / (float)rows;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            const float x = -hw + cw * ((float)j + 0.5f), y = 0.07f + ch * ((float)i + 0.5f);
            sak_rooms_box(b, v3(x, y, hd - 0.012f), v3(0.5f * cw - 0.015f, 0.5f * ch - 0.015f, 0.012f), door);
            sak_rooms_box(b, drawers ? v3(x, y, hd) : v3(x + (j & 1 ? -1.0f : 1.0f) * (0.5f * cw - 0.06f), y, hd),
                          drawers ? v3(0.06f, 0.01f, 0.02f) : v3(0.01f, 0.07f, 0.02f), knob);
        }
    o->top = k.h < 1.3f ? k.h : 0.0f;
}

static void lamp(rooms_builder *b, rooms_dims k, int variant)
{
    const int shade = sak_rooms_material(b->s, b->r), pole = sak_rooms_plain(b->s, b->r);
    const float glow = r_chance(b->r, 0.5) ? r_range(b->r, 0.3, 1.2) : 0.0f;
    const float rad = 0.5f * k.w;
    b->s->material[shade].glow = glow;
    if (variant == 2) { /* pendant: origin at the ceiling, hanging down by k.h */
        const float sh = r_range(b->r, 0.14, 0.28);
        if (r_chance(b->r, 0.3))
            sak_rooms_ellipse(b, v3(0, -k.h + rad, 0), v3(rad, rad, rad), shade);
        else
            sak_rooms_frustum(b, v3(0, -k.h, 0), sh, rad, rad * r_range(b->r, 0.25, 0.9), shade);
        sak_rooms_frustum(b, v3(0, -k.h + sh, 0), k.h - sh, 0.012f, 0.012f, pole);
    } else if (variant == 3) { /* panel or disc on the ceiling */
        if (r_chance(b->r, 0.5))
            sak_rooms_box(b, v3(0, -0.04f, 0), v3(0.5f * k.w, 0.04f, 0.5f * k.d), shade);
        else
            sak_rooms_frustum(b, v3(0, -0.1f, 0), 0.1f, 0.6f * rad, rad, shade);
        b->s->material[shade].glow += 0.5f;
    } else { /* standing on the floor or on a table */
        const float sh = k.h * (variant == 0 ? r_range(b->r, 0.14, 0.22) : r_range(b->r, 0.4, 0.55));
        sak_rooms_frustum(b, v3(0, k.h - sh, 0), sh, rad, rad * r_range(b->r, 0.4, 0.95), shade);
        sak_rooms_frustum(b, v3(0, 0, 0), 0.03f, 0.7f * rad, 0.6f * rad, pole);
        if (variant == 1 && r_chance(b->r, 0.5))
            sak_rooms_ellipse(b, v3(0, 0.5f * (k.h - sh), 0), v3(0.4f * rad, 0.5f * (k.h - sh), 0.4f * rad), pole);
        else
            sak_rooms_frustum(b, v3(0, 0.03f, 0), k.h - sh - 0.03f, 0.016f, 0.016f, pole);
    }
}

static void plant(rooms_builder *b, rooms_dims k)
{
    const int leaf = sak_rooms_material(b->s, b->r), leaf2 = sak_rooms_like(b->s, b->r, leaf);
    const int pot = sak_rooms_material(b->s, b->r);
    const float rad = 0.5f * k.w, ph = fminf(0.4f * k.h, 0.35f), pr = fminf(0.6f * rad, 0.18f);
    const int kind = r_int(b->r, 0, 2);
    const int n = kind == 1 ? r_int(b->r, 7, 10) : r_int(b->r, 6, 9);
    for (int i = 0; i < n; i++) {
        const float a = 6.2831853f * ((float)i + r_range(b->r, -0.3, 0.3)) / (float)n, c = cosf(a), s = sinf(a);
        const int m = i & 1 ? leaf2 : leaf;
        if (kind == 1) { /* blades */
            const float lean = r_range(b->r, 0.15, 1.0) * rad, top = k.h * r_range(b->r, 0.75, 1.0);
            sak_rooms_capsule(b, v3(0.3f * pr * c, ph, 0.3f * pr * s), v3(lean * c, top, lean * s),
                              r_range(b->r, 0.012, 0.03), m);
        } else { /* foliage: clusters, or discs on stems */
            const float y = ph + (k.h - ph) * r_range(b->r, 0.2, 0.88), out = rad * r_range(b->r, 0.2, 0.7);
            const float e = rad * r_range(b->r, 0.3, 0.5);
            sak_rooms_ellipse(b, v3(out * c, y, out * s), v3(e, kind == 0 ? 0.8f * e : 0.3f * e, e), m);
            if (kind == 2)
                sak_rooms_capsule(b, v3(0, ph, 0), v3(out * c, y, out * s), 0.01f, leaf2);
        }
    }
    if (kind == 0)
        sak_rooms_frustum(b, v3(0, ph, 0), 0.5f * (k.h - ph), 0.02f, 0.015f, pot);
    sak_rooms_frustum(b, v3(0, 0, 0), ph, 0.75f * pr, pr, pot);
}

static void carton(rooms_builder *b, rooms_dims k, rooms_object *o)
{
    const int paper = sak_rooms_material(b->s, b->r);
    sak_rooms_box(b, v3(0, 0.5f * k.h, 0), v3(0.5f * k.w, 0.5f * k.h, 0.5f * k.d), paper);
    if (r_chance(b->r, 0.5)) { /* open flaps */
        const int inside = sak_rooms_like(b->s, b->r, paper);
        for (int i = -1; i <= 1; i += 2) {
            rooms_builder f = sak_rooms_tilt(b, v3(0, k.h, (float)i * 0.5f * k.d), (float)i * r_range(b->r, 0.2, 1.2));
            sak_rooms_box(&f, v3(0, k.h + 0.22f * k.d, (float)i * 0.5f * k.d), v3(0.5f * k.w, 0.22f * k.d, 0.006f), inside);
        }
    } else if (r_chance(b->r, 0.5)) { /* tape */
        sak_rooms_box(b, v3(0, 0.5f * k.h, 0), v3(0.04f, 0.5f * k.h + 0.003f, 0.5f * k.d + 0.003f), sak_rooms_plain(b->s, b->r));
    }
    if (k.w > 0.25f)
        o->top = k.h;
}

/* Flat things on a wall: origin at the wall, at the lower edge. */
static void framed(rooms_builder *b, rooms_dims k, int pane, int frame, float border, float depth)
{
    const float hw = 0.5f * k.w, hh = 0.5f * k.h;
    sak_rooms_box(b, v3(0, hh, 0.4f * depth), v3(hw - border, hh - border, 0.4f * depth), pane);
    for (int i = -1; i <= 1; i += 2) {
        sak_rooms_box(b, v3((float)i * (hw - 0.5f * border), hh, 0.5f * depth), v3(0.5f * border, hh, 0.5f * depth), frame);
        sak_rooms_box(b, v3(0, hh + (float)i * (hh - 0.5f * border), 0.5f * depth), v3(hw - border, 0.5f * border, 0.5f * depth), frame);
    }
}

static void picture(rooms_builder *b, rooms_dims k)
{
    const float border = r_range(b->r, 0.015, 0.06);
    const int pane = r_chance(b->r, 0.75) ? sak_rooms_view(b->s, b->r, 0.5f * k.w - border, 0.5f * k.h - border, 0)
                                          : sak_rooms_material(b->s, b->r);
    framed(b, k, pane, sak_rooms_plain(b->s, b->r), border, r_range(b->r, 0.02, 0.05));
}

static void window(rooms_builder *b, rooms_dims k)
{
    const float border = r_range(b->r, 0.05, 0.09), hw = 0.5f * k.w, hh = 0.5f * k.h;
    const int frame = sak_rooms_plain(b->s, b->r);
    const float glow = r_chance(b->r, 0.25) ? 0.0f : r_range(b->r, 0.2, 1.2);
    framed(b, k, sak_rooms_view(b->s, b->r, hw - border, hh - border, glow), frame, border, 0.06f);
    const int bars = r_int(b->r, 1, 3);
    if (bars & 1)
        sak_rooms_box(b, v3(0, hh, 0.03f), v3(0.02f, hh - border, 0.03f), frame);
    if (bars & 2)
        sak_rooms_box(b, v3(0, 1.1f * hh, 0.03f), v3(hw - border, 0.02f, 0.03f), frame);
    sak_rooms_box(b, v3(0, -0.02f, 0.07f), v3(hw + 0.05f, 0.02f, 0.08f), frame);
    if (r_chance(b->r, 0.5)) { /* curtains are clutter */
        const int cloth = sak_rooms_material(b->s, b->r);
        const float w = hw * r_range(b->r, 0.12, 0.3), low = r_chance(b->r, 0.4) ? -0.7f : -0.1f;
        b->cls = SAK_ROOMS_OTHER;
        for (int i = -1; i <= 1; i += 2)
            sak_rooms_box(b, v3((float)i * (hw + 0.05f - 0.5f * w), 0.5f * (k.h + 0.1f + low), 0.13f),
                          v3(w, 0.5f * (k.h + 0.1f - low), 0.03f), cloth);
        b->cls = SAK_ROOMS_WINDOW;
    }
}

static void door(rooms_builder *b, rooms_dims k)
{
    const int leaf = sak_rooms_material(b->s, b->r), frame = sak_rooms_plain(b->s, b->r);
    framed(b, k, leaf, frame, 0.07f, 0.05f);
    const float side = r_chance(b->r, 0.5) ? 1.0f : -1.0f;
    const int knob = sak_rooms_plain(b->s, b->r);
    sak_rooms_capsule(b, v3(side * (0.5f * k.w - 0.13f), 1.02f, 0.08f), v3(side * (0.5f * k.w - 0.24f), 1.02f, 0.08f), 0.015f, knob);
    if (r_chance(b->r, 0.6)) { /* panels */
        const int panel = sak_rooms_like(b->s, b->r, leaf);
        for (int i = 0; i < 2; i++)
            sak_rooms_box(b, v3(0, k.h * (i ? 0.7f : 0.26f), 0.045f), v3(0.3f * k.w, 0.17f * k.h, 0.008f), panel);
    }
}

static void clutter(rooms_builder *b, rooms_dims k, int variant)
{
    const int m = sak_rooms_material(b->s, b->r);
    const float hw = 0.5f * k.w, hd = 0.5f * k.d;
    switch (variant) {
    case 0: /* rug */
        if (r_chance(b->r, 0.3))
            sak_rooms_frustum(b, v3(0, 0, 0), k.h, fminf(hw, hd), fminf(hw, hd), m);
        else
            sak_rooms_box(b, v3(0, 0.5f * k.h, 0), v3(hw, 0.5f * k.h, hd), m);
        break;
    case 1: /* screen, standing on a surface */
        sak_rooms_box(b, v3(0, 0.02f, 0), v3(0.3f * hw, 0.02f, 0.07f), m);
        /* fall through */
    case 4: /* or hanging on a wall */
        sak_rooms_box(b, v3(0, 0.5f * k.h + 0.03f, 0), v3(hw, 0.5f * k.h - 0.03f, 0.025f),
                      sak_rooms_plain(b->s, b->r));
        sak_rooms_box(b, v3(0, 0.5f * k.h + 0.03f, 0.01f), v3(0.94f * hw, 0.5f * k.h - 0.055f, 0.02f),
                      sak_rooms_view(b->s, b->r, 0.94f * hw, 0.5f * k.h - 0.055f, r_range(b->r, 0, 0.7)));
        break;
    case 2: /* ball, vase or bin */
        if (r_chance(b->r, 0.4))
            sak_rooms_ellipse(b, v3(0, 0.5f * k.w, 0), v3(hw, hw, hw), m);
        else
            sak_rooms_frustum(b, v3(0, 0, 0), k.h, hw * r_range(b->r, 0.5, 1), hw, m);
        break;
    default: { /* books or crockery in a pile */
        float y = 0;
        for (int i = r_int(b->r, 1, 4); i > 0 && y < k.h; i--) {
            const float t = r_range(b->r, 0.012, 0.03);
            sak_rooms_box(b, v3(r_range(b->r, -0.02, 0.02), y + t, r_range(b->r, -0.02, 0.02)), v3(hw, t, hd), sak_rooms_material(b->s, b->r));
            y += 2 * t;
        }
    }
    }
}

rooms_dims sak_rooms_dims(sak_rng *r, int cls, int variant)
{
    static const struct {
        uint8_t cls, variant;
        float w0, w1, d0, d1, h0, h1;
    } dims[] = {
        {SAK_ROOMS_TABLE, 0, 0.9f, 1.9f, 0.7f, 1.0f, 0.70f, 0.78f}, /* dining, desk */
        {SAK_ROOMS_TABLE, 1, 0.6f, 1.3f, 0.5f, 0.7f, 0.35f, 0.48f}, /* coffee */
        {SAK_ROOMS_TABLE, 2, 0.4f, 0.5f, 0.38f, 0.48f, 0.45f, 0.6f}, /* bedside */
        {SAK_ROOMS_CHAIR, 0, 0.40f, 0.52f, 0.40f, 0.5f, 0.8f, 1.05f},
        {SAK_ROOMS_SOFA, 0, 1.4f, 2.3f, 0.8f, 0.95f, 0.7f, 0.95f},
        {SAK_ROOMS_SOFA, 1, 0.8f, 1.0f, 0.78f, 0.92f, 0.7f, 1.0f}, /* armchair */
        {SAK_ROOMS_BED, 0, 0.9f, 1.8f, 1.95f, 2.1f, 0.7f, 1.15f},
        {SAK_ROOMS_CABINET, 0, 0.5f, 1.6f, 0.38f, 0.5f, 0.6f, 0.95f}, /* low */
        {SAK_ROOMS_CABINET, 1, 0.7f, 1.8f, 0.5f, 0.62f, 1.7f, 2.15f}, /* wardrobe */
        {SAK_ROOMS_CABINET, 2, 0.6f, 1.2f, 0.26f, 0.36f, 0.8f, 2.0f}, /* open shelf */
        {SAK_ROOMS_CABINET, 3, 0.6f, 1.6f, 0.3f, 0.36f, 0.5f, 0.7f},  /* hung on the wall */
        {SAK_ROOMS_LAMP, 0, 0.28f, 0.5f, 0.28f, 0.5f, 1.35f, 1.75f},  /* floor */
        {SAK_ROOMS_LAMP, 1, 0.18f, 0.34f, 0.18f, 0.34f, 0.3f, 0.55f}, /* table */
        {SAK_ROOMS_LAMP, 2, 0.26f, 0.6f, 0.26f, 0.6f, 0.5f, 1.1f},    /* pendant */
        {SAK_ROOMS_LAMP, 3, 0.3f, 1.2f, 0.3f, 0.5f, 0.1f, 0.11f},     /* ceiling */
        {SAK_ROOMS_PICTURE, 0, 0.3f, 1.2f, 0.05f, 0.051f, 0.3f, 0.9f},
        {SAK_ROOMS_WINDOW, 0, 0.7f, 2.2f, 0.2f, 0.21f, 0.8f, 1.4f},
        {SAK_ROOMS_DOOR, 0, 0.85f, 1.1f, 0.7f, 0.71f, 1.98f, 2.15f},
        {SAK_ROOMS_BOX, 0, 0.25f, 0.6f, 0.25f, 0.5f, 0.2f, 0.5f},
        {SAK_ROOMS_BOX, 1, 0.12f, 0.3f, 0.1f, 0.25f, 0.08f, 0.25f}, /* small, on furniture */
        {SAK_ROOMS_PLANT, 0, 0.45f, 0.9f, 0.45f, 0.9f, 0.7f, 1.7f},
        {SAK_ROOMS_PLANT, 1, 0.2f, 0.35f, 0.2f, 0.35f, 0.25f, 0.5f},
        {SAK_ROOMS_OTHER, 0, 1.2f, 2.4f, 0.9f, 1.7f, 0.012f, 0.02f}, /* rug */
        {SAK_ROOMS_OTHER, 1, 0.5f, 1.2f, 0.16f, 0.18f, 0.35f, 0.7f}, /* screen */
        {SAK_ROOMS_OTHER, 4, 0.5f, 1.3f, 0.05f, 0.051f, 0.35f, 0.75f}, /* the same on a wall */
        {SAK_ROOMS_OTHER, 2, 0.15f, 0.35f, 0.15f, 0.35f, 0.15f, 0.45f}, /* ball, bin */
        {SAK_ROOMS_OTHER, 3, 0.15f, 0.26f, 0.12f, 0.2f, 0.06f, 0.2f},  /* pile */
    };
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        if (dims[i].cls == cls && dims[i].variant == variant)
            return (rooms_dims){r_range(r, dims[i].w0, dims[i].w1), r_range(r, dims[i].d0, dims[i].d1),
                                r_range(r, dims[i].h0, dims[i].h1)};
    return (rooms_dims){0.5f, 0.5f, 0.5f};
}

void sak_rooms_furnish(rooms_builder *b, rooms_dims k, int variant)
{
    rooms_object *o = &b->s->object[b->object];
    o->hx = 0.5f * k.w;
    o->hz = 0.5f * k.d;
    switch (b->cls) {
    case SAK_ROOMS_TABLE: table(b, k, o); break;
    case SAK_ROOMS_CHAIR: chair(b, k, o); break;
    case SAK_ROOMS_SOFA: sofa(b, k, o); break;
    case SAK_ROOMS_BED: bed(b, k, o); break;
    case SAK_ROOMS_CABINET: variant == 2 ? shelf(b, k) : cabinet(b, k, o); break;
    case SAK_ROOMS_LAMP: lamp(b, k, variant); break;
    case SAK_ROOMS_PICTURE: picture(b, k); break;
    case SAK_ROOMS_WINDOW: window(b, k); break;
    case SAK_ROOMS_DOOR: door(b, k); break;
    case SAK_ROOMS_BOX: carton(b, k, o); break;
    case SAK_ROOMS_PLANT: plant(b, k); break;
    default: clutter(b, k, variant); break;
    }
    sak_rooms_end(b);
}
