/* The rooms dataset: determinism, consistency of the labels with one another and with geometry, and
 * that colours do not give the classes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four headers it needs */
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "data/dataset.h"
#include "data/rooms.h"
#include "data/rooms_scene.h"
#include "data/rooms_shade.h"

enum { SEED = 7 };

static sak_dataset open_rooms(uint64_t seed, int64_t first, int64_t count, int H, int W)
{
    sak_dataset d;
    sak_error err = {0};
    if (sak_rooms_open(&d, seed, first, count, H, W, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    return d;
}

static void read_sample(const sak_dataset *d, int64_t i, sak_sample *s)
{
    sak_error err = {0};
    if (d->read(d, i, s, &err) != SAK_OK)
        fail_msg("%s", err.msg);
}

static uint64_t fnv(uint64_t h, const void *p, size_t n)
{
    for (const uint8_t *b = p; n--; b++)
        h = (h ^ *b) * 1099511628211ull;
    return h;
}

static uint64_t digest(const sak_sample *s)
{
    const size_t n = (size_t)s->H * (size_t)s->W;
    uint64_t h = 1469598103934665603ull;
    h = fnv(h, s->rgb, 3 * n);
    h = fnv(h, s->semseg, n);
    h = fnv(h, s->depth, n * sizeof *s->depth);
    h = fnv(h, s->normals, 3 * n * sizeof *s->normals);
    h = fnv(h, s->edge, n);
    h = fnv(h, s->sal, n);
    h = fnv(h, s->parts, n);
    h = fnv(h, s->instance, n);
    h = fnv(h, s->caption, sizeof s->caption);
    return fnv(h, s->id, strlen(s->id));
}

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

/* --- determinism ------------------------------------------------------------------------------ */

static void a_sample_depends_on_seed_and_number_only(void **state)
{
    (void)state;
    sak_dataset a = open_rooms(SEED, 0, 20, 48, 64), b = open_rooms(SEED, 5, 9, 48, 64);
    sak_sample x = {0}, y = {0};
    for (int i = 8; i >= 0; i--) { /* another order, a reused sample, another first */
        read_sample(&b, i, &y);
        read_sample(&a, 5 + i, &x);
        assert_int_equal(digest(&x), digest(&y));
    }
    sak_sample_close(&x);
    sak_sample_close(&y);
    sak_dataset_close(&a);
    sak_dataset_close(&b);
}

static void other_numbers_and_other_seeds_give_other_scenes(void **state)
{
    (void)state;
    enum { N = 40 };
    sak_dataset a = open_rooms(SEED, 0, N, 16, 24), b = open_rooms(SEED + 1, 0, N, 16, 24);
    const size_t bytes = 16 * 24 * 3;
    uint8_t *seen = malloc(2 * N * bytes);
    sak_sample x = {0};
    for (int i = 0; i < 2 * N; i++) {
        read_sample(i < N ? &a : &b, i % N, &x);
        memcpy(seen + (size_t)i * bytes, x.rgb, bytes);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(seen + (size_t)j * bytes, x.rgb, bytes);
    }
    free(seen);
    sak_sample_close(&x);
    sak_dataset_close(&a);
    sak_dataset_close(&b);
}

typedef struct reader {
    const sak_dataset *d;
    int turn;
    uint64_t digest[12];
    int failures;
} reader;

static void *read_all(void *arg)
{
    reader *r = arg;
    sak_sample x = {0};
    for (int i = 0; i < 12; i++) {
        const int index = (i + r->turn) % 12;
        r->failures += r->d->read(r->d, index, &x, NULL) != SAK_OK;
        r->digest[index] = digest(&x);
    }
    sak_sample_close(&x);
    return NULL;
}

static void threads_reading_at_once_get_what_one_thread_gets(void **state)
{
    (void)state;
    sak_dataset d = open_rooms(SEED, 0, 12, 32, 48);
    reader alone = {.d = &d}, many[4];
    read_all(&alone);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) {
        many[i] = (reader){.d = &d, .turn = 3 * i};
        assert_int_equal(pthread_create(&thread[i], NULL, read_all, &many[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(many[i].failures, 0);
        assert_memory_equal(many[i].digest, alone.digest, sizeof alone.digest);
    }
    sak_dataset_close(&d);
}

static void a_larger_image_shows_the_same_scene(void **state)
{
    (void)state;
    /* At three times the size, every pixel centre of the small image is one of the large image. */
    sak_dataset a = open_rooms(SEED, 0, 6, 32, 48), b = open_rooms(SEED, 0, 6, 96, 144);
    sak_sample x = {0}, y = {0};
    int wrong = 0;
    for (int i = 0; i < 6; i++) {
        read_sample(&a, i, &x);
        read_sample(&b, i, &y);
        for (int p = 0; p < 32 * 48; p++) {
            const int q = (3 * (p / 48) + 1) * 144 + 3 * (p % 48) + 1;
            wrong += fabsf(x.depth[p] - y.depth[q]) > 1e-3f * x.depth[p];
            wrong += x.semseg[p] != y.semseg[q];
        }
    }
    assert_in_range(wrong, 0, 6 * 32 * 48 / 1000); /* rays along a silhouette may fall either way */
    sak_sample_close(&x);
    sak_sample_close(&y);
    sak_dataset_close(&a);
    sak_dataset_close(&b);
}

/* Counts of classes in scene 0; a change of the generator must raise its version and these. */
static void the_content_is_that_of_version_1(void **state)
{
    (void)state;
    static const int want[SAK_ROOMS_CLASSES] = {303, 6389, 1470, 351, 357, 156, 725, 0,
                                                905, 47,   114,  194, 387, 571, 120, 199};
    sak_dataset d = open_rooms(SEED, 0, 8, 32, 48);
    sak_sample x = {0};
    int count[SAK_ROOMS_CLASSES] = {0};
    for (int i = 0; i < 8; i++) {
        read_sample(&d, i, &x);
        for (int p = 0; p < 32 * 48; p++)
            count[x.semseg[p]]++;
    }
    for (int c = 0; c < SAK_ROOMS_CLASSES; c++)
        if (abs(count[c] - want[c]) >
            8 + want[c] / 100) /* other math libraries may round otherwise */
            fail_msg("class %s: %d pixels, version 1 had %d", d.class_names[c], count[c], want[c]);
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

static void the_identity_is_the_digest_of_what_determines_the_content(void **state)
{
    (void)state;
    sak_dataset d = open_rooms(7, 0, 10, 64, 96);
    /* printf 'rooms-v1 seed=7 first=0 count=10 size=64x96' | sha256sum */
    assert_string_equal(d.identity,
                        "2f3fbe4e9b5643382fed3d63751429ef39b09112c4945afba70a622bfd9eb490");
    sak_dataset_close(&d);
}

/* --- the contract ----------------------------------------------------------------------------- */

static void wrong_arguments_are_errors_that_name_the_value(void **state)
{
    (void)state;
    sak_dataset d;
    sak_error err = {0};
    assert_int_equal(sak_rooms_open(&d, 1, 0, 10, 4, 96, &err), SAK_EINVAL);
    assert_non_null(strstr(err.msg, "4x96"));
    assert_int_equal(sak_rooms_open(&d, 1, -1, 10, 64, 96, &err), SAK_EINVAL);
    assert_non_null(strstr(err.msg, "-1"));
    sak_dataset_close(&d); /* safe on one that did not open */
    d = open_rooms(1, 0, 10, 16, 24);
    sak_sample x = {0};
    assert_int_equal(d.read(&d, 10, &x, &err), SAK_EINVAL);
    assert_non_null(strstr(err.msg, "10 of 10"));
    assert_int_equal(d.read(&d, -1, &x, &err), SAK_EINVAL);
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

static void a_sample_is_reserved_again_only_when_it_must(void **state)
{
    (void)state;
    sak_sample s = {0};
    sak_error err = {0};
    assert_int_equal(sak_sample_reserve(&s, SAK_HAS_IMAGE | SAK_HAS_DEPTH, 6, 7, &err), SAK_OK);
    assert_non_null(s.rgb);
    assert_non_null(s.depth);
    assert_null(s.semseg);
    s.rgb[6 * 7 * 3 - 1] = 9;
    s.depth[6 * 7 - 1] = 1.0f;
    const uint8_t *before = s.rgb;
    assert_int_equal(sak_sample_reserve(&s, SAK_HAS_IMAGE | SAK_HAS_DEPTH, 6, 7, &err), SAK_OK);
    assert_ptr_equal(s.rgb, before);
    assert_int_equal(sak_sample_reserve(&s, SAK_HAS_EDGE, 5, 5, &err), SAK_OK);
    assert_null(s.rgb);
    assert_non_null(s.edge);
    assert_int_equal(sak_sample_reserve(&s, SAK_HAS_EDGE, 0, 5, &err), SAK_ESHAPE);
    sak_sample_close(&s);
    sak_sample_close(&s); /* twice is harmless */
}

static void odd_and_tall_sizes_are_filled_to_the_last_pixel(void **state)
{
    (void)state;
    static const int size[][2] = {{8, 8}, {9, 31}, {61, 17}, {33, 65}};
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        sak_dataset d = open_rooms(3, 0, 2, size[k][0], size[k][1]);
        sak_sample x = {0};
        read_sample(&d, 1, &x);
        assert_int_equal(x.H, size[k][0]);
        assert_int_equal(x.W, size[k][1]);
        for (int p = 0; p < x.H * x.W; p++)
            assert_true(x.depth[p] > 0.0f); /* reserve zeroes: a pixel left out would be 0 */
        sak_sample_close(&x);
        sak_dataset_close(&d);
    }
}

/* --- labels ----------------------------------------------------------------------------------- */

static void labels_stay_in_range_and_agree_with_one_another(void **state)
{
    (void)state;
    sak_dataset d = open_rooms(SEED, 100, 60, 32, 48);
    sak_sample x = {0};
    for (int i = 0; i < 60; i++) {
        read_sample(&d, i, &x);
        for (int p = 0; p < x.H * x.W; p++) {
            assert_in_range(x.semseg[p], 0, SAK_ROOMS_CLASSES - 1);
            assert_in_range(x.parts[p], 0, SAK_ROOMS_PARTS - 1);
            assert_int_equal(x.parts[p] != 0, x.semseg[p] == SAK_ROOMS_PERSON);
            assert_in_range(x.edge[p], 0, 1);
            assert_in_range(x.sal[p], 0, 1);
            const bool shell = x.semseg[p] == SAK_ROOMS_WALL || x.semseg[p] == SAK_ROOMS_FLOOR ||
                               x.semseg[p] == SAK_ROOMS_CEILING;
            assert_int_equal(x.instance[p] == 0, shell);
            assert_true(x.depth[p] > 0.05f && x.depth[p] < 12.0f);
            const float *n = x.normals + 3 * p;
            assert_true(fabsf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2] - 1.0f) < 1e-4f);
        }
    }
    sak_sample_close(&x);
    sak_dataset_close(&d);
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

static void edges_are_exactly_the_boundaries_of_classes_and_instances(void **state)
{
    (void)state;
    sak_dataset d = open_rooms(SEED, 0, 20, 32, 48);
    sak_sample x = {0};
    for (int i = 0; i < 20; i++) {
        read_sample(&d, i, &x);
        for (int r = 0; r < x.H; r++)
            for (int c = 0; c < x.W; c++) {
                const int p = r * x.W + c;
                bool boundary = false;
                for (int k = 0; k < 4; k++) {
                    const int rr = r + (k == 0) - (k == 1), cc = c + (k == 2) - (k == 3);
                    if (rr < 0 || cc < 0 || rr >= x.H || cc >= x.W)
                        continue;
                    const int q = rr * x.W + cc;
                    if (x.semseg[p] == x.semseg[q] && x.instance[p] == x.instance[q])
                        continue;
                    boundary = true;
                    assert_true(x.edge[p] || x.edge[q]);
                    if (x.depth[p] < x.depth[q])
                        assert_int_equal(x.edge[p], 1); /* the nearer side owns the contour */
                }
                if (!boundary)
                    assert_int_equal(x.edge[p], 0);
            }
    }
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

static void people_are_salient_before_anything_else(void **state)
{
    (void)state;
    sak_dataset d = open_rooms(SEED, 0, 150, 32, 48);
    sak_sample x = {0};
    int with_people = 0, without = 0, empty = 0;
    for (int i = 0; i < 150; i++) {
        read_sample(&d, i, &x);
        int area[256] = {0}, cls[256] = {0}, salient[256] = {0};
        for (int p = 0; p < x.H * x.W; p++) {
            area[x.instance[p]]++;
            salient[x.instance[p]] += x.sal[p];
            if (x.semseg[p])
                cls[x.instance[p]] = x.semseg[p];
        }
        bool people = false;
        int chosen = 0;
        for (int k = 1; k < 256; k++)
            people |= cls[k] == SAK_ROOMS_PERSON && area[k] >= 0.004 * x.H * x.W;
        for (int k = 0; k < 256; k++) {
            assert_true(salient[k] == 0 || salient[k] == area[k]); /* whole objects */
            if (!salient[k])
                continue;
            chosen++;
            assert_true(k > 0);
            if (people)
                assert_int_equal(cls[k], SAK_ROOMS_PERSON);
            assert_true(cls[k] != SAK_ROOMS_WINDOW && cls[k] != SAK_ROOMS_DOOR &&
                        cls[k] != SAK_ROOMS_WALL);
        }
        assert_in_range(chosen, 0, 3);
        with_people += people;
        without += !people;
        empty += !chosen;
    }
    assert_true(with_people >= 50 && without >= 50);
    assert_in_range(empty, 0, 15);
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

static void every_class_and_every_part_occurs_often_enough(void **state)
{
    (void)state;
    enum { N = 300 };
    sak_dataset d = open_rooms(SEED, 0, N, 32, 48);
    sak_sample x = {0};
    int images[SAK_ROOMS_CLASSES] = {0}, parts[SAK_ROOMS_PARTS] = {0};
    int64_t pixels[SAK_ROOMS_CLASSES] = {0};
    for (int i = 0; i < N; i++) {
        read_sample(&d, i, &x);
        int seen[SAK_ROOMS_CLASSES] = {0}, part[SAK_ROOMS_PARTS] = {0};
        for (int p = 0; p < x.H * x.W; p++) {
            seen[x.semseg[p]]++;
            part[x.parts[p]]++;
        }
        for (int c = 0; c < SAK_ROOMS_CLASSES; c++) {
            images[c] += seen[c] > 0;
            pixels[c] += seen[c];
        }
        for (int c = 0; c < SAK_ROOMS_PARTS; c++)
            parts[c] += part[c] > 0;
    }
    const double total = (double)N * x.H * x.W;
    for (int c = 0; c < SAK_ROOMS_CLASSES; c++) {
        if (images[c] < N / 10 || (double)pixels[c] / total < 0.007)
            fail_msg("%s is in %d of %d images, %.2f%% of the pixels", d.class_names[c], images[c],
                     N, 100.0 * (double)pixels[c] / total);
        if ((double)pixels[c] / total > 0.55)
            fail_msg("%s fills %.0f%% of the pixels", d.class_names[c],
                     100.0 * (double)pixels[c] / total);
    }
    for (int c = 1; c < SAK_ROOMS_PARTS; c++)
        if (parts[c] < N / 5)
            fail_msg("part %d is in %d of %d images", c, parts[c], N);
    assert_in_range(images[SAK_ROOMS_PERSON], (int)(0.35 * N), (int)(0.65 * N));
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

/* Nearest class mean in RGB, and the most probable class of a colour bin with the true priors. */
static void the_colour_of_a_pixel_hardly_tells_its_class(void **state)
{
    (void)state;
    enum { N = 300, HELD_OUT = 100, K = SAK_ROOMS_CLASSES, BINS = 6 * 6 * 6 };
    sak_dataset d = open_rooms(SEED, 1000, N + HELD_OUT, 24, 36);
    sak_sample x = {0};
    double mean[K][3] = {{0}}, count[K] = {0};
    static int hist[BINS][K];
    memset(hist, 0, sizeof hist);
    int64_t right[K] = {0}, all[K] = {0}, inter[K] = {0}, guessed[K] = {0};
    for (int i = 0; i < N + HELD_OUT; i++) {
        read_sample(&d, i, &x);
        for (int c = 0; i == N && c < K; c++)
            for (int k = 0; k < 3; k++)
                mean[c][k] /= count[c];
        for (int p = 0; p < x.H * x.W; p++) {
            const uint8_t *v = x.rgb + 3 * p;
            const int c = x.semseg[p],
                      bin = v[0] * 6 / 256 * 36 + v[1] * 6 / 256 * 6 + v[2] * 6 / 256;
            if (i < N) {
                for (int k = 0; k < 3; k++)
                    mean[c][k] += v[k];
                count[c]++;
                hist[bin][c]++;
                continue;
            }
            int nearest = 0, likely = 0;
            double best = 1e18;
            for (int g = 0; g < K; g++) {
                double e = 0;
                for (int k = 0; k < 3; k++)
                    e += (v[k] - mean[g][k]) * (v[k] - mean[g][k]);
                if (e < best) {
                    best = e;
                    nearest = g;
                }
                likely = hist[bin][g] > hist[bin][likely] ? g : likely;
            }
            all[c]++;
            right[c] += nearest == c;
            guessed[likely]++;
            inter[c] += likely == c;
        }
    }
    double recall = 0, miou = 0;
    for (int c = 0; c < K; c++) {
        recall += (double)right[c] / (double)(all[c] ? all[c] : 1) / K;
        const int64_t either = all[c] + guessed[c] - inter[c];
        miou += (double)inter[c] / (double)(either ? either : 1) / K;
    }
    const double share = (double)all[SAK_ROOMS_WALL] / (HELD_OUT * 24.0 * 36.0),
                 majority = share / K;
    if (getenv("SAK_TEST_VERBOSE"))
        printf("recall %.3f (chance %.3f), mIoU %.3f (majority %.3f)\n", recall, 1.0 / K, miou,
               majority);
    if (recall > 2.0 / K)
        fail_msg("nearest mean colour finds %.1f%% per class, chance is %.1f%%", 100 * recall,
                 100.0 / K);
    if (miou > 2.0 * majority)
        fail_msg("colour bins reach mIoU %.3f, the majority class alone %.3f", miou, majority);
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

/* --- captions --------------------------------------------------------------------------------- */

static void captions_speak_of_what_is_visible_in_known_words(void **state)
{
    (void)state;
    static const char *const nouns[SAK_ROOMS_CLASSES][2] = {
        [SAK_ROOMS_TABLE] = {"table", "tables"},
        [SAK_ROOMS_CHAIR] = {"chair", "chairs"},
        [SAK_ROOMS_SOFA] = {"sofa", "sofas"},
        [SAK_ROOMS_BED] = {"bed", "beds"},
        [SAK_ROOMS_CABINET] = {"cabinet", "cabinets"},
        [SAK_ROOMS_LAMP] = {"lamp", "lamps"},
        [SAK_ROOMS_PICTURE] = {"picture", "pictures"},
        [SAK_ROOMS_WINDOW] = {"window", "windows"},
        [SAK_ROOMS_DOOR] = {"door", "doors"},
        [SAK_ROOMS_PERSON] = {"person", "people"},
        [SAK_ROOMS_BOX] = {"box", "boxes"},
        [SAK_ROOMS_PLANT] = {"plant", "plants"}};
    sak_dataset d = open_rooms(SEED, 0, 120, 32, 48);
    sak_sample x = {0};
    int mentioned = 0, lengths = 0;
    for (int i = 0; i < 120; i++) {
        read_sample(&d, i, &x);
        int pixels[SAK_ROOMS_CLASSES] = {0};
        for (int p = 0; p < x.H * x.W; p++)
            pixels[x.semseg[p]]++;
        int n = 0;
        while (n < SAK_CAPTION_MAX && x.caption[n])
            n++;
        assert_in_range(n, 2, SAK_CAPTION_MAX - 1);
        for (int k = n; k < SAK_CAPTION_MAX; k++)
            assert_int_equal(x.caption[k], 0);

        bool after_on = false; /* "sitting on chair": the sitter may hide the seat */
        for (int k = 0; k < n; k++) {
            assert_in_range(x.caption[k], 1, d.vocabulary - 1);
            const char *word = sak_rooms_word(x.caption[k]);
            assert_true(word[0] != '\0');
            for (int c = SAK_ROOMS_TABLE; c < SAK_ROOMS_CLASSES; c++)
                if (!strcmp(word, nouns[c][0]) || !strcmp(word, nouns[c][1])) {
                    if (!pixels[c] && !after_on)
                        fail_msg("scene %d speaks of a %s that is not there", i, word);
                    mentioned++;
                }
            after_on = !strcmp(word, "on");
        }
        lengths += n;
    }
    assert_true(mentioned > 4 * 120 / 2);
    assert_true(lengths > 10 * 120);
    assert_string_equal(sak_rooms_word(0), "");
    assert_string_equal(sak_rooms_word(d.vocabulary), "");
    assert_string_equal(sak_rooms_word(-1), "");
    for (int a = 1; a < d.vocabulary; a++) /* no word twice */
        for (int b = 1; b < a; b++)
            assert_string_not_equal(sak_rooms_word(a), sak_rooms_word(b));
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_depends_on_seed_and_number_only),
        cmocka_unit_test(other_numbers_and_other_seeds_give_other_scenes),
        cmocka_unit_test(threads_reading_at_once_get_what_one_thread_gets),
        cmocka_unit_test(a_larger_image_shows_the_same_scene),
        cmocka_unit_test(the_content_is_that_of_version_1),
        cmocka_unit_test(the_identity_is_the_digest_of_what_determines_the_content),
        cmocka_unit_test(wrong_arguments_are_errors_that_name_the_value),
        cmocka_unit_test(a_sample_is_reserved_again_only_when_it_must),
        cmocka_unit_test(odd_and_tall_sizes_are_filled_to_the_last_pixel),
        cmocka_unit_test(labels_stay_in_range_and_agree_with_one_another),
        cmocka_unit_test(depth_and_normals_describe_the_same_planes_and_face_the_camera),
        cmocka_unit_test(the_tiled_renderer_sees_what_testing_every_shape_sees),
        cmocka_unit_test(leaving_out_shapes_far_from_the_light_changes_no_shadow),
        cmocka_unit_test(edges_are_exactly_the_boundaries_of_classes_and_instances),
        cmocka_unit_test(people_are_salient_before_anything_else),
        cmocka_unit_test(every_class_and_every_part_occurs_often_enough),
        cmocka_unit_test(the_colour_of_a_pixel_hardly_tells_its_class),
        cmocka_unit_test(captions_speak_of_what_is_visible_in_known_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
