/* What one sits on, lies on, eats at and stores things in, and the sizes of everything.
 * Local frame: origin on the floor (or at the
 * mounting point), x right, y up, front towards +z. */
#include "data/rooms_furniture.h"

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
        sak_rooms_box(t2, v3(0, mid + 0.5f * cut, -0.5f * k.d + t),
                      v3(0.48f * k.w, up - 0.5f * cut, t), seat);
        if (kind)
            sak_rooms_box(t2, v3(0, y + 0.5f * cut, -0.5f * k.d + t),
                          v3(0.04f, 0.5f * cut, 0.6f * t), frame);
    } else { /* posts with rails or slats */
        for (int i = -1; i <= 1; i += 2)
            sak_rooms_box(t2, v3((float)i * (0.5f * k.w - 0.02f), mid, -0.5f * k.d + 0.02f),
                          v3(0.02f, up, 0.018f), frame);
        for (int i = 0; i < 3; i++)
            sak_rooms_box(t2, v3(0, k.h - 0.05f - 0.13f * (float)i, -0.5f * k.d + 0.02f),
                          v3(0.5f * k.w - 0.03f, kind == 2 ? 0.035f : 0.02f, 0.012f),
                          kind == 2 ? seat : frame);
    }
    if (r_chance(b->r, 0.25))
        for (int i = -1; i <= 1; i += 2)
            sak_rooms_box(b, v3((float)i * 0.5f * k.w, y + 0.2f, 0), v3(0.025f, 0.02f, 0.45f * k.d),
                          frame);
    o->seat = y;
    o->seat_z = -0.08f;
}

static void sofa(rooms_builder *b, rooms_dims k, rooms_object *o)
{
    const int cloth = sak_rooms_material(b->s, b->r), other = sak_rooms_like(b->s, b->r, cloth);
    const float arm = r_range(b->r, 0.07, 0.13), y = r_range(b->r, 0.38, 0.46),
                back = r_range(b->r, 0.09, 0.13);
    const float foot = r_range(b->r, 0.03, 0.12), inner = 0.5f * k.w - 2 * arm;
    sak_rooms_box(b, v3(0, 0.5f * (y - 0.12f + foot), 0),
                  v3(0.5f * k.w - 0.02f, 0.5f * (y - 0.12f - foot), 0.5f * k.d - 0.02f), cloth);
    sak_rooms_box(b, v3(0, 0.5f * (k.h + foot), -0.5f * k.d + back),
                  v3(0.5f * k.w - arm, 0.5f * (k.h - foot), back), cloth);
    const float arm_h = r_range(b->r, 0.52, 0.66);
    const bool rounded = r_chance(b->r, 0.4);
    for (int i = -1; i <= 1; i += 2) {
        const float x = (float)i * (0.5f * k.w - arm);
        sak_rooms_box(b, v3(x, 0.5f * (arm_h + foot), 0),
                      v3(arm, 0.5f * (arm_h - foot), 0.5f * k.d), cloth);
        if (rounded)
            sak_rooms_capsule(b, v3(x, arm_h, -0.5f * k.d + arm), v3(x, arm_h, 0.5f * k.d - arm),
                              arm, cloth);
    }
    const int seats = k.w < 1.1f ? 1 : k.w < 1.7f ? 2 : 3;
    for (int i = 0; i < seats; i++) {
        const float w = inner / (float)seats, x = -inner + w * (2.0f * (float)i + 1.0f);
        sak_rooms_box(b, v3(x, y - 0.06f, back), v3(0.97f * w, 0.06f, 0.5f * k.d - back), other);
        if (r_chance(b->r, 0.6))
            sak_rooms_ellipse(b, v3(x, y + 0.2f, -0.5f * k.d + 2 * back + 0.06f),
                              v3(0.9f * w, 0.2f, 0.1f),
                              r_chance(b->r, 0.3) ? sak_rooms_material(b->s, b->r) : other);
    }
    o->seat = y;
    o->seat_z = 0.04f;
}

static void bed(rooms_builder *b, rooms_dims k, rooms_object *o)
{
    const int sheet = sak_rooms_material(b->s, b->r), frame = sak_rooms_material(b->s, b->r);
    const int pillow =
        r_chance(b->r, 0.5) ? sak_rooms_plain(b->s, b->r) : sak_rooms_like(b->s, b->r, sheet);
    const float y = r_range(b->r, 0.42, 0.6), base = 0.5f * y;
    const float cover = r_range(b->r, 0.1, 0.35);
    sak_rooms_box(b, v3(0, 0.5f * (y + base), 0.02f),
                  v3(0.5f * k.w - 0.02f, 0.5f * (y - base), 0.5f * k.d - 0.04f), sheet);
    sak_rooms_box(b, v3(0, 0.5f * base + 0.03f, 0), v3(0.5f * k.w, 0.5f * base - 0.03f, 0.5f * k.d),
                  frame);
    sak_rooms_box(b, v3(0, 0.5f * k.h, -0.5f * k.d + 0.03f), v3(0.5f * k.w, 0.5f * k.h, 0.03f),
                  frame);
    if (r_chance(b->r, 0.7)) /* blanket over the foot end */
        sak_rooms_box(b, v3(0, 0.5f * (y + base) + 0.02f, cover),
                      v3(0.5f * k.w + 0.01f, 0.5f * (y - base) + 0.01f, 0.5f * k.d - cover + 0.01f),
                      sak_rooms_material(b->s, b->r));
    const int n = k.w > 1.25f ? 2 : 1;
    for (int i = 0; i < n; i++) {
        const float w = k.w / (float)n, x = -0.5f * k.w + w * ((float)i + 0.5f);
        sak_rooms_ellipse(b, v3(x, y + 0.05f, -0.5f * k.d + 0.3f), v3(0.42f * w, 0.08f, 0.2f),
                          pillow);
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
        sak_rooms_box(b, v3(0, 0.05f + (k.h - 0.05f - t) * (float)i / (float)rows, 0),
                      v3(hw, t, hd), wood);
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
            sak_rooms_box(b, v3(x + w, y + 0.5f * h, -0.02f), v3(w, 0.5f * h, 0.75f * hd),
                          sak_rooms_material(b->s, b->r));
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
    const int door =
        r_chance(b->r, 0.6) ? sak_rooms_like(b->s, b->r, wood) : sak_rooms_material(b->s, b->r);
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
            sak_rooms_box(b, v3(x, y, hd - 0.012f),
                          v3(0.5f * cw - 0.015f, 0.5f * ch - 0.015f, 0.012f), door);
            sak_rooms_box(b,
                          drawers ? v3(x, y, hd)
                                  : v3(x + (j & 1 ? -1.0f : 1.0f) * (0.5f * cw - 0.06f), y, hd),
                          drawers ? v3(0.06f, 0.01f, 0.02f) : v3(0.01f, 0.07f, 0.02f), knob);
        }
    o->top = k.h < 1.3f ? k.h : 0.0f;
}

rooms_dims sak_rooms_dims(sak_rng *r, int cls, int variant)
{
    static const struct {
        uint8_t cls, variant;
        float w0, w1, d0, d1, h0, h1;
    } dims[] = {
        {SAK_ROOMS_TABLE, 0, 0.9f, 1.9f, 0.7f, 1.0f, 0.70f, 0.78f},  /* dining, desk */
        {SAK_ROOMS_TABLE, 1, 0.6f, 1.3f, 0.5f, 0.7f, 0.35f, 0.48f},  /* coffee */
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
        {SAK_ROOMS_OTHER, 0, 1.2f, 2.4f, 0.9f, 1.7f, 0.012f, 0.02f},    /* rug */
        {SAK_ROOMS_OTHER, 1, 0.5f, 1.2f, 0.16f, 0.18f, 0.35f, 0.7f},    /* screen */
        {SAK_ROOMS_OTHER, 4, 0.5f, 1.3f, 0.05f, 0.051f, 0.35f, 0.75f},  /* the same on a wall */
        {SAK_ROOMS_OTHER, 2, 0.15f, 0.35f, 0.15f, 0.35f, 0.15f, 0.45f}, /* ball, bin */
        {SAK_ROOMS_OTHER, 3, 0.15f, 0.26f, 0.12f, 0.2f, 0.06f, 0.2f},   /* pile */
    };
    rooms_dims k = {0.5f, 0.5f, 0.5f};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        if (dims[i].cls == cls && dims[i].variant == variant) {
            k.w = r_range(r, dims[i].w0, dims[i].w1);
            k.d = r_range(r, dims[i].d0, dims[i].d1);
            k.h = r_range(r, dims[i].h0, dims[i].h1);
        }
    return k;
}

void sak_rooms_furnish(rooms_builder *b, rooms_dims k, int variant)
{
    rooms_object *o = &b->s->object[b->object];
    o->hx = 0.5f * k.w;
    o->hz = 0.5f * k.d;
    switch (b->cls) {
    case SAK_ROOMS_TABLE:
        table(b, k, o);
        break;
    case SAK_ROOMS_CHAIR:
        chair(b, k, o);
        break;
    case SAK_ROOMS_SOFA:
        sofa(b, k, o);
        break;
    case SAK_ROOMS_BED:
        bed(b, k, o);
        break;
    case SAK_ROOMS_CABINET:
        variant == 2 ? shelf(b, k) : cabinet(b, k, o);
        break;
    case SAK_ROOMS_LAMP:
        sak_rooms_lamp(b, k, variant);
        break;
    case SAK_ROOMS_PICTURE:
        sak_rooms_picture(b, k);
        break;
    case SAK_ROOMS_WINDOW:
        sak_rooms_window(b, k);
        break;
    case SAK_ROOMS_DOOR:
        sak_rooms_door(b, k);
        break;
    case SAK_ROOMS_BOX:
        sak_rooms_carton(b, k, o);
        break;
    case SAK_ROOMS_PLANT:
        sak_rooms_plant(b, k);
        break;
    default:
        sak_rooms_clutter(b, k, variant);
        break;
    }
    sak_rooms_end(b);
}
