/* Lights, viewpoint and the camera's faults: the last draws of a scene. */
#include "data/rooms_scene.h"

static void add_light(rooms_scene *s, vec3 pos, vec3 colour, float size, int owner)
{
    if (s->lights < ROOMS_MAX_LIGHTS)
        s->light[s->lights++] = (rooms_light){pos, colour, size, owner};
}

static vec3 warm_or_cold(sak_rng *r, float strength)
{
    const float t = r_range(r, 0, 1);
    return v_mul(v_mix(v3(1.0f, 0.78f, 0.55f), v3(0.8f, 0.92f, 1.1f), t), strength);
}

/* Windows and lamps shine with some chance; there is always at least one light. */
void sak_rooms_light(rooms_scene *s, sak_rng *r)
{
    const float soft = r_chance(r, 0.5) ? r_range(r, 0.03, 0.09) : 0.0f;
    for (int i = 0; i < s->objects; i++) {
        const rooms_object *o = &s->object[i];
        const vec3 front = v3(sinf(o->yaw), 0, cosf(o->yaw));
        if (o->cls == SAK_ROOMS_WINDOW && s->material[o->material].glow > 0.0f &&
            r_chance(r, 0.8)) {
            const vec3 at = v3(o->pos.x, o->pos.y + 0.6f, o->pos.z);
            const vec3 colour = warm_or_cold(r, r_range(r, 1.5, 4));
            add_light(s, v_mad(at, front, 0.3f), colour, 0.13f, i);
        } else if (o->cls == SAK_ROOMS_LAMP && s->material[o->material].glow > 0.0f &&
                   r_chance(r, 0.8)) {
            const bool hanging = o->pos.y > s->size.y - 0.2f;
            const vec3 at =
                v3(o->centre.x, hanging ? o->centre.y - o->radius : o->centre.y + 0.7f * o->radius,
                   o->centre.z);
            const float strength = hanging ? 3.0f : 1.5f, level = r_range(r, 0.6, 1.4);
            add_light(s, at, warm_or_cold(r, strength * level), soft, i);
        }
    }
    if (!s->lights || r_chance(r, 0.25)) {
        const float x = r_range(r, 0.15, 0.85), y = r_range(r, 0.08, 0.5),
                    z = r_range(r, 0.15, 0.85);
        const vec3 colour = warm_or_cold(r, r_range(r, 2, 4));
        add_light(s, v3(x * s->size.x, s->size.y - y, z * s->size.z), colour, soft, -1);
    }
    s->ambient = warm_or_cold(r, r_range(r, 0.1, 0.3));
}

static void look(rooms_scene *s, vec3 eye, vec3 at, float roll)
{
    s->eye = eye;
    s->forward = v_unit(v_sub(at, eye));
    const vec3 right = v_unit(v_cross(s->forward, v3(0, 1, 0))), up = v_cross(right, s->forward);
    const float c = cosf(roll), n = sinf(roll);
    s->right = v_mad(v_mul(right, c), up, n);
    s->up = v_mad(v_mul(up, c), right, -n);
}

/* Worth of the present view by an 8 x 6 grid of rays: many objects and classes, nothing too close,
 * and a view that is not mostly wall. */
static float worth(const rooms_scene *s)
{
    bool object[ROOMS_MAX_OBJECTS] = {false}, cls[SAK_ROOMS_CLASSES] = {false};
    float score = 0.0f;
    for (int i = 0; i < 48; i++) {
        const float x = (((float)(i % 8) + 0.5f) / 4.0f - 1.0f) * s->tan_half;
        const float y = (((float)(i / 8) + 0.5f) / 3.0f - 1.0f) * 0.7f * s->tan_half;
        const vec3 d = v_mad(v_mad(s->forward, s->right, x), s->up, y);
        int face;
        float t = sak_rooms_shell(s, s->eye, d, &face);
        const rooms_prim *hit = NULL;
        for (int j = 0; j < s->objects; j++) {
            const rooms_object *o = &s->object[j];
            const vec3 m = v_sub(o->centre, s->eye);
            const float b = v_dot(m, d), dd = v_dot(d, d);
            if (b < -o->radius * 2.0f || v_dot(m, m) * dd - b * b > o->radius * o->radius * dd)
                continue;
            for (int k = o->first; k < o->first + o->n; k++) {
                const float tk = sak_rooms_hit(&s->prim[k], s->eye, d, t);
                if (tk < t) {
                    t = tk;
                    hit = &s->prim[k];
                }
            }
        }
        if (t < 0.7f)
            score -= 1.2f;
        else if (t < 1.1f)
            score -= 0.2f;
        if (!hit || t > 20.0f)
            continue;
        score += hit->cls == SAK_ROOMS_PERSON                                ? 0.25f
                 : hit->cls == SAK_ROOMS_OTHER || hit->cls == SAK_ROOMS_WALL ? 0.0f
                                                                             : 0.15f;
        if (!object[hit->object])
            score += 0.6f;
        if (!cls[hit->cls])
            score += 0.8f;
        object[hit->object] = true;
        cls[hit->cls] = true;
    }
    return score;
}

static bool inside_something(const rooms_scene *s, vec3 p, float margin)
{
    for (int i = 0; i < s->objects; i++) {
        const rooms_aabb *b = &s->object[i].space;
        if (p.x > b->lo.x - margin && p.x < b->hi.x + margin && p.y > b->lo.y - margin &&
            p.y < b->hi.y + margin && p.z > b->lo.z - margin && p.z < b->hi.z + margin)
            return true;
    }
    return false;
}

/* The best of a few random views, so that pictures are varied but rarely empty. */
void sak_rooms_aim(rooms_scene *s, sak_rng *r)
{
    float best = -1e9f;
    vec3 eye = v3(0.3f, 1.5f, 0.3f), at = v3(0.5f * s->size.x, 1.0f, 0.5f * s->size.z);
    s->tan_half = tanf(0.5f * r_range(r, 0.95, 1.4)); /* 54 … 80 degrees */
    const float level = r_chance(r, 0.15) ? r_range(r, 0.7, 1.1) : r_range(r, 1.15, 1.8);
    for (int i = 0, found = 0; i < 60 && found < 7; i++) {
        vec3 e = v3(0, level, 0), a;
        e.x = r_range(r, 0.2, s->size.x - 0.2);
        e.z = r_range(r, 0.2, s->size.z - 0.2);
        const bool object = s->objects && r_chance(r, 0.6);
        const int j = object ? r_int(r, 0, s->objects - 1) : 0;
        a.x = object ? s->object[j].centre.x : s->size.x * r_range(r, 0.3, 0.7);
        a.z = object ? s->object[j].centre.z : s->size.z * r_range(r, 0.3, 0.7);
        a.y = level - r_range(r, 0.0, 0.45);
        const float dx = a.x - e.x, dz = a.z - e.z, far = sqrtf(dx * dx + dz * dz);
        if (far < 1.2f || inside_something(s, e, 0.3f))
            continue;
        a.y = level - (level - a.y) * far / 2.2f;
        found++;
        look(s, e, a, 0);
        const float score = worth(s) + r_range(r, 0, 1.5);
        if (score > best) {
            best = score;
            eye = e;
            at = a;
        }
    }
    look(s, eye, at, r_range(r, -0.06, 0.06));
    s->exposure = r_range(r, 0.16, 0.36);
    s->noise = r_chance(r, 0.7) ? r_range(r, 0.0, 0.03) : 0.0f;
    s->blur = r_chance(r, 0.5) ? r_range(r, 0.0, 0.25) : 0.0f;
    s->vignette = r_range(r, 0.0, 0.25);
    s->tint.x = r_range(r, 0.9, 1.12);
    s->tint.y = 1.0f;
    s->tint.z = r_range(r, 0.88, 1.12);
}
