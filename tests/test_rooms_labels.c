/* The rooms dataset: labels and captions agree with one another, every class occurs, and colours do
 * not give the classes away. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rooms_fixture.h"

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
        cmocka_unit_test(labels_stay_in_range_and_agree_with_one_another),
        cmocka_unit_test(edges_are_exactly_the_boundaries_of_classes_and_instances),
        cmocka_unit_test(people_are_salient_before_anything_else),
        cmocka_unit_test(every_class_and_every_part_occurs_often_enough),
        cmocka_unit_test(the_colour_of_a_pixel_hardly_tells_its_class),
        cmocka_unit_test(captions_speak_of_what_is_visible_in_known_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
