/* The rooms dataset: depth, normals, visibility and shadows against the geometry of the scene. */
#include <stdlib.h>

#include "base/alloc.h"
#include "data/rooms_scene.h"
#include "data/rooms_shade.h"
#include "rooms_fixture.h"

/* The scene behind a sample, from the internal builder; release with sak_free. */
static rooms_scene *scene_of(uint64_t seed, uint64_t number)
{
    rooms_scene *s;
    sak_error err = {0};
    assert_int_equal(sak_alloc((void **)&s, 1, sizeof *s, &err), SAK_OK);
    sak_rng rng = sak_rng_open(seed, SAK_RNG_SCENE, number >> 32, (uint32_t)number);
    sak_rooms_build(s, &rng);
    return s;
}

/* Camera coordinates of a pixel: X right, Y up, Z towards the camera. */
static vec3 at(const sak_sample *x, float focal, int row, int col)
{
    const float z = x->depth[row * x->W + col];
    return v3(z * ((float)col + 0.5f - 0.5f * (float)x->W) / focal,
              z * (0.5f * (float)x->H - (float)row - 0.5f) / focal, -z);
}

static void depth_and_normals_describe_the_same_planes_and_face_the_camera(void **state)
{
    (void)state;
    sak_dataset d = open_rooms(SEED, 200, 20, 48, 64);
    sak_sample x = {0};
    int tested = 0;
    for (int i = 0; i < 20; i++) {
        read_sample(&d, i, &x);
        rooms_scene *s = scene_of(SEED, (uint64_t)(200 + i));
        const float focal = 0.5f * (float)x.W / s->tan_half;
        for (int r = 0; r + 1 < x.H; r++)
            for (int c = 0; c + 1 < x.W; c++) {
                const int p = r * x.W + c;
                const vec3 n = v3(x.normals[3 * p], x.normals[3 * p + 1], x.normals[3 * p + 2]);
                const vec3 a = at(&x, focal, r, c);
                assert_true(v_dot(n, a) <= 1e-3f); /* facing: against the viewing ray */
                if (x.semseg[p] != SAK_ROOMS_FLOOR || x.semseg[p + 1] != SAK_ROOMS_FLOOR ||
                    x.semseg[p + x.W] != SAK_ROOMS_FLOOR)
                    continue;
                const vec3 across = v_sub(at(&x, focal, r, c + 1), a);
                const vec3 down = v_sub(at(&x, focal, r + 1, c), a);
                const vec3 m = v_unit(v_cross(down, across));
                assert_true(v_dot(m, n) >
                            0.9995f); /* the floor faces up: so does the cross product */
                assert_true(n.y > 0.7f);
                tested++;
            }
        sak_free(s);
    }
    assert_true(tested > 2000);
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

static void the_tiled_renderer_sees_what_testing_every_shape_sees(void **state)
{
    (void)state;
    sak_dataset d = open_rooms(SEED, 300, 10, 24, 36);
    sak_sample x = {0};
    for (int i = 0; i < 10; i++) {
        read_sample(&d, i, &x);
        rooms_scene *s = scene_of(SEED, (uint64_t)(300 + i));
        const float focal = 0.5f * (float)x.W / s->tan_half;
        for (int p = 0; p < x.H * x.W; p++) {
            const float u = ((float)(p % x.W) + 0.5f - 0.5f * (float)x.W) / focal;
            const float v = (0.5f * (float)x.H - (float)(p / x.W) - 0.5f) / focal;
            const vec3 ray = v_mad(v_mad(s->forward, s->right, u), s->up, v);
            int face, instance = 0;
            float t = sak_rooms_shell(s, s->eye, ray, &face);
            for (int k = 0; k < s->prims; k++) {
                const float tk = sak_rooms_hit(&s->prim[k], s->eye, ray, t);
                if (tk < t) {
                    t = tk;
                    instance = s->prim[k].instance;
                }
            }
            if (fabsf(t - x.depth[p]) > 1e-4f * t)
                fail_msg("scene %d pixel %d: depth %g, by brute force %g", i, p, (double)x.depth[p],
                         (double)t);
            assert_int_equal(instance, x.instance[p]);
        }
        sak_free(s);
    }
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

static void leaving_out_shapes_far_from_the_light_changes_no_shadow(void **state)
{
    (void)state;
    rooms_casters *few = malloc(sizeof *few * ROOMS_MAX_LIGHTS),
                  *all = malloc(sizeof *all * ROOMS_MAX_LIGHTS);
    sak_rng rng = sak_rng_open(SEED, SAK_RNG_TEST, 0, 0);
    int tested = 0, shorter = 0;
    for (int i = 0; i < 12; i++) {
        rooms_scene *s = scene_of(SEED, (uint64_t)(400 + i));
        for (int k = 0; k < 200; k++) { /* points of the floor */
            rooms_point q = {.n = {0, 1, 0}, .axis = 1, .material = &s->material[s->floor]};
            q.p.x = r_range(&rng, 0, s->size.x);
            q.p.z = r_range(&rng, 0, s->size.z);
            q.local = q.p;
            for (int l = 0; l < s->lights; l++) {
                const vec3 aside = r_vec(&rng, -0.17, 0.17); /* q is anywhere in the ball */
                sak_rooms_casters(s, &s->light[l], v_add(q.p, aside), 0.3f, &few[l]);
                all[l].n = 0;
                for (int j = 0; j < s->prims; j++)
                    if (s->prim[j].object != s->light[l].owner)
                        all[l].of[all[l].n++] =
                            (rooms_caster){s->prim[j].centre, 1e6f, (uint16_t)j};
                shorter += few[l].n < all[l].n;
            }
            const vec3 ray = v_sub(q.p, s->eye);
            int a[ROOMS_MAX_LIGHTS] = {-1, -1, -1}, b[ROOMS_MAX_LIGHTS] = {-1, -1, -1};
            const vec3 x = sak_rooms_shade(s, &q, ray, 1.0f, 0.01f, few, (uint32_t)k, a);
            const vec3 y = sak_rooms_shade(s, &q, ray, 1.0f, 0.01f, all, (uint32_t)k, b);
            assert_memory_equal(&x, &y, sizeof x);
            tested++;
        }
        sak_free(s);
    }
    assert_int_equal(tested, 2400);
    assert_true(shorter > 1000);
    free(few);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth_and_normals_describe_the_same_planes_and_face_the_camera),
        cmocka_unit_test(the_tiled_renderer_sees_what_testing_every_shape_sees),
        cmocka_unit_test(leaving_out_shapes_far_from_the_light_changes_no_shadow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
