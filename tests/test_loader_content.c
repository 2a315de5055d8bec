/* What a batch of the loader holds: augmented samples, shapes of fields, prompts in instances. */
#include <math.h>

#include "loader_fixture.h"

static void a_batch_holds_what_one_augmented_sample_shows(void **state)
{
    (void)state;
    sak_error err = {0};
    const sak_dataset d = make_dataset(6);
    sak_loader_spec spec = make_spec(&d, 2);
    spec.threads = 2;
    sak_loader *l = must_open(&spec);
    sak_sample raw = {0}, view[2] = {{0}, {0}};
    enum { OUT = 16 * 24 };
    static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    for (int s = 0; s < 6; s++) {
        const sak_batch *b = must_next(l);
        for (int k = 0; k < 2; k++) {
            const int64_t index = b->index[k];
            must(d.read(&d, index, &raw, &err), &err);
            for (int v = 0; v < 2; v++)
                must(sak_augment_sample(&spec.augment, spec.seed, b->epoch, index, v, &raw,
                                        &view[v], &err),
                     &err);
            for (int i = 0; i < OUT; i++) {
                assert_true(b->field[2][k * OUT + i] == view[0].semseg[i]);
                assert_true(b->field[3][k * OUT + i] == view[0].edge[i]);
                assert_true(b->field[4][k * OUT + i] == view[0].depth[i]);
                for (int c = 0; c < 3; c++) {
                    assert_true(b->field[5][3 * (k * OUT + i) + c] == view[0].normals[3 * i + c]);
                    for (int v = 0; v < 2; v++) {
                        const double x = b->field[v][3 * (k * OUT + i) + c];
                        const double want = (view[v].rgb[3 * i + c] / 255.0 - mean[c]) / std[c];
                        /* padding shows as the rounded mean in the sample, as 0 in the batch */
                        assert_true(fabs(x - want) < (x == 0 ? 0.01 : 1e-6));
                    }
                }
            }
            assert_memory_not_equal(b->field[0] + 3 * k * OUT, b->field[1] + 3 * k * OUT,
                                    3 * OUT * sizeof(sak_real));
            for (int i = 0; i < SAK_CAPTION_MAX; i++)
                assert_true(b->field[8][k * SAK_CAPTION_MAX + i] == raw.caption[i]);
        }
    }
    sak_sample_close(&raw);
    sak_sample_close(&view[0]);
    sak_sample_close(&view[1]);
    sak_loader_close(l);
}

static void fields_have_the_shapes_that_the_header_states(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(6);
    const sak_loader_spec spec = make_spec(&d, 2);
    sak_loader *l = must_open(&spec);
    const struct {
        const char *field;
        sak_shape shape;
    } want[] = {{"image", SAK_SHAPE(2, 16, 24, 3)}, {"image2", SAK_SHAPE(2, 16, 24, 3)},
                {"semseg", SAK_SHAPE(2, 16, 24)},   {"edge", SAK_SHAPE(2, 16, 24, 1)},
                {"depth", SAK_SHAPE(2, 16, 24, 1)}, {"normals", SAK_SHAPE(2, 16, 24, 3)},
                {"prompt", SAK_SHAPE(2, 3, 6)},     {"prompt_mask", SAK_SHAPE(2, 4, 6, 3)},
                {"caption", SAK_SHAPE(2, 32)},      {"index", SAK_SHAPE(2, 1)}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        sak_error err = {0};
        sak_shape s;
        must(sak_loader_shape(l, want[i].field, &s, &err), &err);
        if (!sak_shape_equal(&s, &want[i].shape))
            fail_msg("%s is %s", want[i].field, SAK_SHAPE_TEXT(&s));
    }
    sak_error err = {0};
    sak_shape s;
    assert_int_equal(sak_loader_shape(l, "sal", &s, &err), SAK_EINVAL);
    sak_loader_close(l);
}

static void prompts_lie_in_the_instance_that_their_mask_shows(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(40);
    sak_loader_spec spec = make_spec(&d, 4);
    spec.augment = (sak_augment){.H = 24, .W = 40}; /* 2 columns of padding on each side */
    spec.prompts = 2;
    spec.prompt_patch = 4;
    spec.mask_stride = 2;
    const char *const only[] = {"prompt", "prompt_mask"};
    sak_error err = {0};
    sak_loader *l;
    must(sak_loader_open(&spec, only, 2, &l, &err), &err);
    enum { L = 6 * 10, CELLS = 12 * 20 };
    int chosen[12] = {0};
    for (int s = 0; s < 100; s++) {
        const sak_batch *b = must_next(l);
        for (int k = 0; k < 4 * 2; k++) {
            const float *one_hot = b->field[0] + k * L;
            const float *mask = b->field[1] + (k / 2) * CELLS * 2 + k % 2;
            int at = -1;
            for (int i = 0; i < L; i++)
                if (one_hot[i] != 0) {
                    assert_true(one_hot[i] == 1 && at < 0);
                    at = i;
                }
            assert_true(at >= 0);
            int id = -1, covered = 0;
            for (int i = 0; i < CELLS; i++) {
                const int y = i / 20 * 2 + 1, x = i % 20 * 2 + 1 - 2; /* in the raw image */
                const int here = x < 0 || x >= W ? -2 : instance_at(x, y);
                if (mask[2 * i] != 0) {
                    assert_true(here >= 0 && (id < 0 || id == here));
                    id = here;
                    covered++;
                }
            }
            assert_in_range(id, 0, 11);
            int cells = 0;
            for (int i = 0; i < CELLS; i++) {
                const int y = i / 20 * 2 + 1, x = i % 20 * 2 + 1 - 2;
                cells += x >= 0 && x < W && instance_at(x, y) == id;
            }
            assert_int_equal(covered, cells);
            chosen[id]++;
            /* the patch under the point touches the block */
            const int py = at / 10 * 4, px = at % 10 * 4 - 2, by = id / 4 * 8, bx = id % 4 * 9;
            assert_true(py < by + 8 && py + 4 > by && px < bx + 9 && px + 4 > bx);
        }
    }
    for (int i = 0; i < 12; i++)
        assert_true(chosen[i] > 30); /* of 800 points */
    sak_loader_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_holds_what_one_augmented_sample_shows),
        cmocka_unit_test(fields_have_the_shapes_that_the_header_states),
        cmocka_unit_test(prompts_lie_in_the_instance_that_their_mask_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
