/* The rooms scene as data: what rooms_scene.c builds and the other rooms files read.
 * World frame in metres: the room is [0,size.x] x [0,size.y] x [0,size.z], Y up, right-handed. */
#ifndef SAK_DATA_ROOMS_SCENE_H
#define SAK_DATA_ROOMS_SCENE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "data/dataset.h"
#include "data/rooms.h"

typedef struct rooms_vec {
    float x, y, z;
} vec3;

static inline vec3 v3(float x, float y, float z)
{
    return (vec3){x, y, z};
}
static inline vec3 v_add(vec3 a, vec3 b)
{
    return v3(a.x + b.x, a.y + b.y, a.z + b.z);
}
static inline vec3 v_sub(vec3 a, vec3 b)
{
    return v3(a.x - b.x, a.y - b.y, a.z - b.z);
}
static inline vec3 v_mul(vec3 a, float s)
{
    return v3(a.x * s, a.y * s, a.z * s);
}
static inline vec3 v_mad(vec3 a, vec3 b, float s) /* a + b s */
{
    return v3(a.x + b.x * s, a.y + b.y * s, a.z + b.z * s);
}
static inline vec3 v_had(vec3 a, vec3 b) /* elementwise product */
{
    return v3(a.x * b.x, a.y * b.y, a.z * b.z);
}
static inline float v_dot(vec3 a, vec3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
static inline vec3 v_cross(vec3 a, vec3 b)
{
    return v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
static inline vec3 v_unit(vec3 a)
{
    return v_mul(a, 1.0f / sqrtf(v_dot(a, a) + 1e-30f));
}
static inline vec3 v_mix(vec3 a, vec3 b, float t)
{
    return v_mad(v_mul(a, 1.0f - t), b, t);
}
static inline float f_clamp(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

enum {
    ROOMS_MAX_PRIMS = 768,
    ROOMS_MAX_OBJECTS = 112,
    ROOMS_MAX_MATERIALS = 160,
    ROOMS_MAX_LIGHTS = 3,
    ROOMS_COLOURS = 12, /* colour names the caption can use */
};

typedef enum rooms_pattern {
    ROOMS_PLAIN,
    ROOMS_WOOD,
    ROOMS_CHECKER,
    ROOMS_BRICK,
    ROOMS_STRIPES,
    ROOMS_MOTTLE,
    ROOMS_FABRIC,
    ROOMS_DOTS,
    ROOMS_TILES,
    ROOMS_VIEW, /* a landscape: pictures, windows, screens */
} rooms_pattern;

typedef struct rooms_material {
    vec3 a, b;       /* linear reflectances mixed by the pattern */
    vec3 offset;     /* pattern origin, metres */
    float period;    /* metres */
    float gloss;     /* specular strength */
    float glow;      /* emitted light per unit of reflectance */
    uint32_t salt;   /* of the pattern's noise */
    uint8_t pattern; /* rooms_pattern */
    uint8_t colour;  /* index of the colour's name */
    uint8_t turn;    /* 1: pattern rotated by 90 degrees */
} rooms_material;

typedef enum rooms_shape {
    ROOMS_BOX,     /* [-1,1]^3 */
    ROOMS_ELLIPSE, /* unit sphere */
    ROOMS_FRUSTUM, /* radius 1-|k| + k y for y in [-1,1], capped; k = param */
    ROOMS_CAPSULE, /* radius 1 around the segment y in [-param, param] */
} rooms_shape;

typedef struct rooms_prim {
    float m[3][4]; /* world -> unit shape, affine */
    vec3 half;     /* metres per unit */
    vec3 centre;
    float radius; /* bounding sphere */
    float param;
    uint8_t shape, cls, part, instance, material;
    uint8_t object;
} rooms_prim;

typedef struct rooms_aabb {
    vec3 lo, hi;
} rooms_aabb;

typedef struct rooms_dims {
    float w, d, h; /* full width, depth and height */
} rooms_dims;

typedef enum rooms_pose {
    ROOMS_STANDING,
    ROOMS_WALKING,
    ROOMS_SITTING,
    ROOMS_LYING,
} rooms_pose;

typedef struct rooms_object {
    rooms_aabb space; /* reserved: nothing else is placed here */
    vec3 pos;         /* origin of the local frame, on the floor or at the mounting height */
    vec3 centre;      /* bounding sphere of the prims */
    float radius;
    float yaw;    /* local +z (front) is (sin yaw, 0, cos yaw) */
    float hx, hz; /* footprint half sizes in the local frame */
    float top;    /* height of a surface that can carry things, 0 = none */
    float seat;   /* height of a seat, 0 = none */
    float seat_z; /* local z of the seat point; for beds the side is used */
    int first, n; /* prims */
    uint8_t cls, instance, material;
    uint8_t pose; /* people */
    uint8_t host; /* people: object sat or lain on, 255 = none */
    bool taken;   /* seat or top in use */
} rooms_object;

typedef struct rooms_light {
    vec3 pos, colour;
    float size; /* radius of the jitter that softens shadows, metres */
    int owner;  /* object that casts no shadow for this light, -1 = none */
} rooms_light;

typedef struct rooms_scene {
    vec3 size;
    uint8_t type;                    /* room type, see rooms_caption.c */
    uint8_t wall[4], floor, ceiling; /* materials */
    int prims, objects, materials, lights;
    rooms_prim prim[ROOMS_MAX_PRIMS];
    rooms_object object[ROOMS_MAX_OBJECTS];
    rooms_material material[ROOMS_MAX_MATERIALS];
    rooms_light light[ROOMS_MAX_LIGHTS];
    vec3 ambient;
    vec3 eye, right, up, forward; /* camera */
    float tan_half;               /* of the field of view along the longer image side */
    float exposure;               /* target mean luminance */
    float noise, blur, vignette;
    vec3 tint;     /* white balance */
    uint32_t salt; /* of the per-pixel noise */
} rooms_scene;

enum { ROOMS_NO_OBJECT = 255 };

/* Short draws. */
static inline float r_range(sak_rng *r, double lo, double hi)
{
    return (float)sak_rng_range(r, lo, hi);
}
static inline bool r_chance(sak_rng *r, double p)
{
    return sak_rng_uniform(r) < p;
}
static inline int r_int(sak_rng *r, int lo, int hi) /* lo … hi inclusive */
{
    return lo + (int)sak_rng_int(r, hi - lo + 1);
}

/* One draw per coordinate, in order.  C leaves the order of arguments and of initialisers open:
 * never draw twice in one expression, or two compilers make two worlds. */
static inline vec3 r_vec(sak_rng *r, double lo, double hi)
{
    const float x = r_range(r, lo, hi), y = r_range(r, lo, hi);
    return v3(x, y, r_range(r, lo, hi));
}

/* --- rooms_scene.c: everything from the random stream --- */
void sak_rooms_build(rooms_scene *s, sak_rng *r);

/* --- rooms_place.c: free places.  A search that fails after a few tries returns false. --- */
bool sak_rooms_is_free(const rooms_scene *s, rooms_aabb a, float margin);
/* Box around a w x d rectangle turned by yaw, from height y0 to y1. */
rooms_aabb sak_rooms_space(vec3 pos, float yaw, float w, float d, float y0, float y1);
/* With the back to a wall, `gap` away from it, from height y0 up. */
bool sak_rooms_at_wall(const rooms_scene *s, sak_rng *r, rooms_dims k, float y0, float gap,
                       vec3 *pos, float *yaw, rooms_aabb *space);
bool sak_rooms_in_room(const rooms_scene *s, sak_rng *r, rooms_dims k, float margin, vec3 *pos,
                       float yaw, rooms_aabb *space);
/* Something small on top of object `host`; a chair at a free side of the table `host`. */
void sak_rooms_put_on(rooms_scene *s, sak_rng *r, int host);
void sak_rooms_sit_at(rooms_scene *s, sak_rng *r, int host);
/* Starts, furnishes and registers an object; its index, or -1 when the scene is full. */
int sak_rooms_add(rooms_scene *s, sak_rng *r, int cls, int variant, rooms_dims k, vec3 pos,
                  float yaw, rooms_aabb space);

/* --- rooms_camera.c: lights, viewpoint, exposure; the last step of building --- */
void sak_rooms_light(rooms_scene *s, sak_rng *r);
void sak_rooms_aim(rooms_scene *s, sak_rng *r);

/* --- rooms_builder.c: objects from prims.  A builder is a local frame of one object: origin at
 * the middle of the footprint on the floor, x to the right, front towards +z. --- */
typedef struct rooms_builder {
    rooms_scene *s;
    sak_rng *r;
    vec3 o, ax, ay, az;
    uint8_t cls, part, object, instance;
} rooms_builder;

/* Starts an object; false when the scene is full. */
bool sak_rooms_begin(rooms_builder *b, rooms_scene *s, sak_rng *r, int cls, vec3 pos, float yaw);
void sak_rooms_end(rooms_builder *b); /* bounding sphere of what was added */
void sak_rooms_box(rooms_builder *b, vec3 c, vec3 half, int material);
void sak_rooms_ellipse(rooms_builder *b, vec3 c, vec3 half, int material);
/* Upright, from `base` up by `height`, radii at the bottom and the top. */
void sak_rooms_frustum(rooms_builder *b, vec3 base, float height, float r0, float r1, int material);
void sak_rooms_capsule(rooms_builder *b, vec3 p, vec3 q, float radius, int material);
/* The same builder with its frame tilted about local x by the angle (radians) around point c. */
rooms_builder sak_rooms_tilt(const rooms_builder *b, vec3 c, float angle);

/* --- rooms_furniture.c: what the objects are made of --- */

/* Sizes are drawn first so that the layout can find a place, then the object is built. */
rooms_dims sak_rooms_dims(sak_rng *r, int cls, int variant);
void sak_rooms_furnish(rooms_builder *b, rooms_dims d, int variant);

/* --- rooms_person.c --- */
void sak_rooms_person(rooms_builder *b, float height, rooms_pose pose, float seat);

/* --- rooms_texture.c --- */
int sak_rooms_material(rooms_scene *s, sak_rng *r);           /* any colour, any pattern */
int sak_rooms_plain(rooms_scene *s, sak_rng *r);              /* any colour, no pattern */
int sak_rooms_like(rooms_scene *s, sak_rng *r, int material); /* a shade of another one */
int sak_rooms_view(rooms_scene *s, sak_rng *r, float half_w, float half_h, float glow);
int sak_rooms_skin(rooms_scene *s, sak_rng *r);
/* Reflectance at p (metres in the object's frame); axis = the face's normal axis, -1 for curved
 * shapes; footprint = metres covered by a pixel, above which the pattern fades to its mean. */
vec3 sak_rooms_colour(const rooms_material *m, vec3 p, int axis, float footprint);
uint32_t sak_rooms_hash(uint32_t x, uint32_t y, uint32_t z);

/* --- rooms_trace.c: ray against shapes.  Directions are not normalised; t counts in directions.
 * --- */
static inline vec3 rooms_local(const rooms_prim *p, vec3 x)
{
    return v3(p->m[0][0] * x.x + p->m[0][1] * x.y + p->m[0][2] * x.z + p->m[0][3],
              p->m[1][0] * x.x + p->m[1][1] * x.y + p->m[1][2] * x.z + p->m[1][3],
              p->m[2][0] * x.x + p->m[2][1] * x.y + p->m[2][2] * x.z + p->m[2][3]);
}
/* Smallest t in (0, limit), or limit when the shape is missed (or the ray starts inside). */
float sak_rooms_hit(const rooms_prim *p, vec3 o, vec3 d, float limit);
/* Unit world normal at the unit-shape point q; *axis = face of a box, else -1. */
vec3 sak_rooms_normal(const rooms_prim *p, vec3 q, int *axis);
/* The shell seen from inside: t, and face 0 … 5 = x lo, x hi, y lo, y hi, z lo, z hi. */
float sak_rooms_shell(const rooms_scene *s, vec3 o, vec3 d, int *face);

/* --- rooms_render.c: image, depth, normals, classes, parts, instances --- */
sak_status sak_rooms_render(const rooms_scene *s, sak_sample *out, sak_error *err);

/* --- rooms_develop.c: image (H*W*3 radiance) to sRGB --- */
void sak_rooms_develop(const rooms_scene *s, const float *image, int H, int W, uint8_t *rgb);

/* --- rooms_labels.c: labels derived from other labels --- */
void sak_rooms_edges(sak_sample *out);
void sak_rooms_saliency(const rooms_scene *s, sak_sample *out);

/* --- rooms_caption.c --- */
int sak_rooms_vocabulary(void);
void sak_rooms_caption(const rooms_scene *s, sak_sample *out);

#endif
