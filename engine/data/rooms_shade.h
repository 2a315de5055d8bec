/* Between rooms_render.c, which finds what is seen, and rooms_shade.c, which lights it. */
#ifndef SAK_DATA_ROOMS_SHADE_H
#define SAK_DATA_ROOMS_SHADE_H

#include "data/rooms_scene.h"

/* A visible point. */
typedef struct rooms_point {
    vec3 p, n;
    const rooms_material *material;
    vec3 local; /* metres in the object's frame */
    int axis;
} rooms_point;

/* Shapes that may stand between some points and one light. */
typedef struct rooms_caster {
    vec3 centre;
    float radius2;
    uint16_t prim;
} rooms_caster;

typedef struct rooms_casters {
    int n;
    rooms_caster of[ROOMS_MAX_PRIMS];
} rooms_casters;

/* Those for the light and any point of the ball (c, radius). */
void sak_rooms_casters(const rooms_scene *s, const rooms_light *l, vec3 c, float radius,
                       rooms_casters *out);

/* Radiance of q towards the eye, along -d: t = depth, pixel = size of a pixel at depth 1, one
 * `cast` and one `last` (the shape that shadowed the previous point, -1 = none) per light. */
vec3 sak_rooms_shade(const rooms_scene *s, const rooms_point *q, vec3 d, float t, float pixel,
                     const rooms_casters *cast, uint32_t salt, int *last);

#endif
