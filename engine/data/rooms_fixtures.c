/* Lamps, plants, cartons, what hangs on walls, and clutter.  Local frame: origin on the floor (or
 * at the mounting point), x right, y up, front towards +z. */
#include "data/rooms_furniture.h"

void sak_rooms_lamp(rooms_builder *b, rooms_dims k, int variant)
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
        const float sh =
            k.h * (variant == 0 ? r_range(b->r, 0.14, 0.22) : r_range(b->r, 0.4, 0.55));
        sak_rooms_frustum(b, v3(0, k.h - sh, 0), sh, rad, rad * r_range(b->r, 0.4, 0.95), shade);
        sak_rooms_frustum(b, v3(0, 0, 0), 0.03f, 0.7f * rad, 0.6f * rad, pole);
        if (variant == 1 && r_chance(b->r, 0.5))
            sak_rooms_ellipse(b, v3(0, 0.5f * (k.h - sh), 0),
                              v3(0.4f * rad, 0.5f * (k.h - sh), 0.4f * rad), pole);
        else
            sak_rooms_frustum(b, v3(0, 0.03f, 0), k.h - sh - 0.03f, 0.016f, 0.016f, pole);
    }
}

void sak_rooms_plant(rooms_builder *b, rooms_dims k)
{
    const int leaf = sak_rooms_material(b->s, b->r), leaf2 = sak_rooms_like(b->s, b->r, leaf);
    const int pot = sak_rooms_material(b->s, b->r);
    const float rad = 0.5f * k.w, ph = fminf(0.4f * k.h, 0.35f), pr = fminf(0.6f * rad, 0.18f);
    const int kind = r_int(b->r, 0, 2);
    const int n = kind == 1 ? r_int(b->r, 7, 10) : r_int(b->r, 6, 9);
    for (int i = 0; i < n; i++) {
        const float a = 6.2831853f * ((float)i + r_range(b->r, -0.3, 0.3)) / (float)n, c = cosf(a),
                    s = sinf(a);
        const int m = i & 1 ? leaf2 : leaf;
        if (kind == 1) { /* blades */
            const float lean = r_range(b->r, 0.15, 1.0) * rad, top = k.h * r_range(b->r, 0.75, 1.0);
            sak_rooms_capsule(b, v3(0.3f * pr * c, ph, 0.3f * pr * s), v3(lean * c, top, lean * s),
                              r_range(b->r, 0.012, 0.03), m);
        } else { /* foliage: clusters, or discs on stems */
            const float y = ph + (k.h - ph) * r_range(b->r, 0.2, 0.88),
                        out = rad * r_range(b->r, 0.2, 0.7);
            const float e = rad * r_range(b->r, 0.3, 0.5);
            sak_rooms_ellipse(b, v3(out * c, y, out * s), v3(e, kind == 0 ? 0.8f * e : 0.3f * e, e),
                              m);
            if (kind == 2)
                sak_rooms_capsule(b, v3(0, ph, 0), v3(out * c, y, out * s), 0.01f, leaf2);
        }
    }
    if (kind == 0)
        sak_rooms_frustum(b, v3(0, ph, 0), 0.5f * (k.h - ph), 0.02f, 0.015f, pot);
    sak_rooms_frustum(b, v3(0, 0, 0), ph, 0.75f * pr, pr, pot);
}

void sak_rooms_carton(rooms_builder *b, rooms_dims k, rooms_object *o)
{
    const int paper = sak_rooms_material(b->s, b->r);
    sak_rooms_box(b, v3(0, 0.5f * k.h, 0), v3(0.5f * k.w, 0.5f * k.h, 0.5f * k.d), paper);
    if (r_chance(b->r, 0.5)) { /* open flaps */
        const int inside = sak_rooms_like(b->s, b->r, paper);
        for (int i = -1; i <= 1; i += 2) {
            rooms_builder f = sak_rooms_tilt(b, v3(0, k.h, (float)i * 0.5f * k.d),
                                             (float)i * r_range(b->r, 0.2, 1.2));
            sak_rooms_box(&f, v3(0, k.h + 0.22f * k.d, (float)i * 0.5f * k.d),
                          v3(0.5f * k.w, 0.22f * k.d, 0.006f), inside);
        }
    } else if (r_chance(b->r, 0.5)) { /* tape */
        sak_rooms_box(b, v3(0, 0.5f * k.h, 0), v3(0.04f, 0.5f * k.h + 0.003f, 0.5f * k.d + 0.003f),
                      sak_rooms_plain(b->s, b->r));
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
        sak_rooms_box(b, v3((float)i * (hw - 0.5f * border), hh, 0.5f * depth),
                      v3(0.5f * border, hh, 0.5f * depth), frame);
        sak_rooms_box(b, v3(0, hh + (float)i * (hh - 0.5f * border), 0.5f * depth),
                      v3(hw - border, 0.5f * border, 0.5f * depth), frame);
    }
}

void sak_rooms_picture(rooms_builder *b, rooms_dims k)
{
    const float border = r_range(b->r, 0.015, 0.06);
    const int pane = r_chance(b->r, 0.75)
                         ? sak_rooms_view(b->s, b->r, 0.5f * k.w - border, 0.5f * k.h - border, 0)
                         : sak_rooms_material(b->s, b->r);
    const int frame = sak_rooms_plain(b->s, b->r);
    framed(b, k, pane, frame, border, r_range(b->r, 0.02, 0.05));
}

void sak_rooms_window(rooms_builder *b, rooms_dims k)
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
            sak_rooms_box(b,
                          v3((float)i * (hw + 0.05f - 0.5f * w), 0.5f * (k.h + 0.1f + low), 0.13f),
                          v3(w, 0.5f * (k.h + 0.1f - low), 0.03f), cloth);
        b->cls = SAK_ROOMS_WINDOW;
    }
}

void sak_rooms_door(rooms_builder *b, rooms_dims k)
{
    const int leaf = sak_rooms_material(b->s, b->r), frame = sak_rooms_plain(b->s, b->r);
    framed(b, k, leaf, frame, 0.07f, 0.05f);
    const float side = r_chance(b->r, 0.5) ? 1.0f : -1.0f;
    const int knob = sak_rooms_plain(b->s, b->r);
    sak_rooms_capsule(b, v3(side * (0.5f * k.w - 0.13f), 1.02f, 0.08f),
                      v3(side * (0.5f * k.w - 0.24f), 1.02f, 0.08f), 0.015f, knob);
    if (r_chance(b->r, 0.6)) { /* panels */
        const int panel = sak_rooms_like(b->s, b->r, leaf);
        for (int i = 0; i < 2; i++)
            sak_rooms_box(b, v3(0, k.h * (i ? 0.7f : 0.26f), 0.045f),
                          v3(0.3f * k.w, 0.17f * k.h, 0.008f), panel);
    }
}

void sak_rooms_clutter(rooms_builder *b, rooms_dims k, int variant)
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
        sak_rooms_box(
            b, v3(0, 0.5f * k.h + 0.03f, 0.01f), v3(0.94f * hw, 0.5f * k.h - 0.055f, 0.02f),
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
            const vec3 slip = r_vec(b->r, -0.02, 0.02);
            sak_rooms_box(b, v3(slip.x, y + t, slip.z), v3(hw, t, hd),
                          sak_rooms_material(b->s, b->r));
            y += 2 * t;
        }
    }
    }
}
