/* What the layout ops and mix put where, index by index. */
#include "oprun.h"

static void transpose_and_permute_move_indices(void **state)
{
    (void)state;
    oprun r = oprun_of("permute");
    r.attrs.dims = SAK_SHAPE(0, 3, 1, -2);
    oprun_in(&r, SAK_SHAPE(2, 3, 4, 5));
    oprun_open(&r, 2);
    oprun_forward(&r);
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 4; j++)
                for (int k = 0; k < 5; k++)
                    assert_true(r.c.y[((b * 5 + k) * 3 + i) * 4 + j] ==
                                r.x[0][((b * 3 + i) * 4 + j) * 5 + k]);
    oprun_close(&r);
    r = oprun_of("transpose");
    oprun_in(&r, SAK_SHAPE(30, 70));
    oprun_open(&r, 2);
    oprun_forward(&r);
    for (int i = 0; i < 30; i++)
        for (int j = 0; j < 70; j++)
            assert_true(r.c.y[j * 30 + i] == r.x[0][i * 70 + j]);
    oprun_close(&r);
}

static void concat_and_slice_keep_the_order(void **state)
{
    (void)state;
    oprun r = oprun_of("concat");
    oprun_attr(&r, "axis", 1);
    oprun_in(&r, SAK_SHAPE(2, 1, 3));
    oprun_in(&r, SAK_SHAPE(2, 4, 3));
    oprun_open(&r, 2);
    oprun_forward(&r);
    for (int b = 0; b < 2; b++)
        for (int l = 0; l < 5; l++)
            for (int c = 0; c < 3; c++)
                assert_true(r.c.y[(b * 5 + l) * 3 + c] ==
                            (l ? r.x[1][(b * 4 + l - 1) * 3 + c] : r.x[0][b * 3 + c]));
    oprun_close(&r);
    r = oprun_of("slice");
    oprun_attr(&r, "axis", -2);
    oprun_attr(&r, "start", 1);
    oprun_attr(&r, "length", 4);
    oprun_in(&r, SAK_SHAPE(2, 5, 3));
    oprun_open(&r, 2);
    oprun_forward(&r);
    for (int i = 0; i < 2 * 4 * 3; i++)
        assert_true(r.c.y[i] == r.x[0][i / 12 * 15 + 3 + i % 12]);
    oprun_close(&r);
}

static void padding_surrounds_and_cropping_cuts(void **state)
{
    (void)state;
    oprun r = oprun_of("pad2d");
    oprun_attr(&r, "top", 1);
    oprun_attr(&r, "bottom", 2);
    oprun_attr(&r, "left", 3);
    oprun_attr(&r, "right", 4);
    oprun_in(&r, SAK_SHAPE(2, 5, 6, 3));
    oprun_open(&r, 2);
    oprun_forward(&r);
    oprun s = oprun_of("crop2d");
    oprun_attr(&s, "top", 1);
    oprun_attr(&s, "left", 3);
    oprun_attr(&s, "height", 5);
    oprun_attr(&s, "width", 6);
    oprun_in(&s, r.s.y);
    const sak_shape want = SAK_SHAPE(2, 8, 13, 3);
    assert_true(sak_shape_equal(&r.s.y, &want));
    for (int b = 0; b < 2; b++)
        for (int y = 0; y < 8; y++)
            for (int x = 0; x < 13; x++)
                for (int c = 0; c < 3; c++) {
                    const bool in = y >= 1 && y < 6 && x >= 3 && x < 9;
                    const sak_real v = in ? r.x[0][((b * 5 + y - 1) * 6 + x - 3) * 3 + c] : 0;
                    assert_true(r.c.y[((b * 8 + y) * 13 + x) * 3 + c] == v);
                }
    oprun_open(&s, 2);
    s.c.x[0] = r.c.y;
    oprun_forward(&s);
    oprun_same_bits("crop2d", s.c.y, r.x[0], sak_shape_count(&s.s.y));
    oprun_close(&r);
    oprun_close(&s);
}

/* 5 x 7 in windows of 3: 2 x 3 windows, the last row and two columns are padding. */
static void windows_are_cut_and_put_back(void **state)
{
    (void)state;
    oprun r = oprun_of("window_partition");
    oprun_attr(&r, "window", 3);
    oprun_in(&r, SAK_SHAPE(2, 5, 7, 4));
    oprun_open(&r, 2);
    oprun_forward(&r);
    for (int b = 0; b < 2; b++)
        for (int y = 0; y < 6; y++)
            for (int x = 0; x < 9; x++)
                for (int c = 0; c < 4; c++) {
                    const int win = (b * 2 + y / 3) * 3 + x / 3, at = y % 3 * 3 + x % 3;
                    const sak_real v = y < 5 && x < 7 ? r.x[0][((b * 5 + y) * 7 + x) * 4 + c] : 0;
                    assert_true(r.c.y[(win * 9 + at) * 4 + c] == v);
                }
    oprun s = oprun_of("window_merge");
    oprun_attr(&s, "window", 3);
    oprun_attr(&s, "h", 5);
    oprun_attr(&s, "w", 7);
    oprun_in(&s, r.s.y);
    oprun_open(&s, 2);
    s.c.x[0] = r.c.y;
    oprun_forward(&s);
    assert_true(sak_shape_equal(&s.s.y, &r.s.x[0]));
    oprun_same_bits("window_merge", s.c.y, r.x[0], sak_shape_count(&s.s.y));
    oprun_close(&r);
    oprun_close(&s);
}

/* Windows of 2 x 3 on 5 x 7, shifted by (1, 2): the map is rolled first, then padded. */
static void shifted_windows_begin_inside_the_map(void **state)
{
    (void)state;
    oprun r = oprun_of("window_partition");
    oprun s = oprun_of("window_merge");
    oprun_attr(&s, "h", 5);
    oprun_attr(&s, "w", 7);
    for (oprun *o = &r; o; o = o == &r ? &s : NULL) {
        oprun_attr(o, "window", 2);
        oprun_attr(o, "window_w", 3);
        oprun_attr(o, "shift_h", 1);
        oprun_attr(o, "shift_w", 2);
    }
    oprun_in(&r, SAK_SHAPE(2, 5, 7, 4));
    oprun_open(&r, 2);
    oprun_forward(&r);
    for (int b = 0; b < 2; b++)
        for (int y = 0; y < 6; y++)
            for (int x = 0; x < 9; x++)
                for (int c = 0; c < 4; c++) {
                    const int win = (b * 3 + y / 2) * 3 + x / 3, at = y % 2 * 3 + x % 3;
                    const int from = (b * 5 + (y + 1) % 5) * 7 + (x + 2) % 7;
                    const sak_real v = y < 5 && x < 7 ? r.x[0][from * 4 + c] : 0;
                    assert_true(r.c.y[(win * 6 + at) * 4 + c] == v);
                }
    oprun_in(&s, r.s.y);
    oprun_open(&s, 2);
    s.c.x[0] = r.c.y;
    oprun_forward(&s);
    oprun_same_bits("window_merge", s.c.y, r.x[0], sak_shape_count(&s.s.y));
    oprun_close(&r);
    oprun_close(&s);
}

/* Two windows of 2 in a row of 4, shifted by 1: the second holds the last and the first token. */
static void a_shift_separates_what_was_not_together(void **state)
{
    (void)state;
    oprun r = oprun_of("window_bias");
    oprun_attr(&r, "window", 2);
    oprun_attr(&r, "win_h", 1);
    oprun_attr(&r, "grid_h", 1);
    oprun_attr(&r, "grid_w", 4);
    oprun_attr(&r, "shift_w", 1);
    oprun_in(&r, SAK_SHAPE(9, 1));
    oprun_open(&r, 1);
    for (int i = 0; i < 9; i++)
        r.x[0][i] = (sak_real)i;
    oprun_forward(&r);
    /* rows of the table are (dy + 1) 3 + dx + 1; here dy = 0 and dx = i - j */
    const double want[] = {4, 3, 5, 4, 4, 3 - 100, 5 - 100, 4};
    for (int i = 0; i < 8; i++)
        assert_true((double)r.c.y[i] == want[i]);
    oprun_close(&r);
}

static void stray_ids_take_the_nearest_row(void **state)
{
    (void)state;
    oprun r = oprun_of("embedding");
    oprun_in(&r, SAK_SHAPE(6));
    oprun_in(&r, SAK_SHAPE(4, 3));
    oprun_open(&r, 2);
    const sak_real ids[6] = {0, 3, -5, 255, (sak_real)1e30, (sak_real)NAN};
    const int rows[6] = {0, 3, 0, 3, 3, 0};
    memcpy(r.x[0], ids, sizeof ids);
    oprun_forward(&r);
    oprun_backward(&r);
    for (int i = 0; i < 18; i++)
        assert_true(r.c.y[i] == r.x[1][rows[i / 3] * 3 + i % 3]);
    for (int c = 0; c < 3; c++) {
        assert_true(r.dx[1][3 + c] == 0);
        oprun_near("dtable", c, (double)r.dx[1][c], (double)(r.dy[c] + r.dy[6 + c] + r.dy[15 + c]),
                   1e-6);
    }
    oprun_close(&r);
}

static void mix_weighs_per_sample_or_per_token(void **state)
{
    (void)state;
    for (int per_token = 0; per_token < 2; per_token++) {
        oprun r = oprun_of("mix");
        oprun_in(&r, per_token ? SAK_SHAPE(2, 5, 3) : SAK_SHAPE(2, 3));
        for (int e = 0; e < 3; e++)
            oprun_in(&r, SAK_SHAPE(2, 5, 7));
        oprun_open(&r, 2);
        oprun_forward(&r);
        for (int i = 0; i < 2 * 5 * 7; i++) {
            double y = 0;
            for (int e = 0; e < 3; e++)
                y += (double)r.x[0][(per_token ? i / 7 : i / 35) * 3 + e] * (double)r.x[1 + e][i];
            oprun_near("mix", i, (double)r.c.y[i], y, 1e-6);
        }
        oprun_close(&r);
    }
}

static oprun mixed(void)
{
    oprun r = oprun_of("mix");
    oprun_in(&r, SAK_SHAPE(7, 4));
    for (int e = 0; e < 4; e++)
        oprun_in(&r, SAK_SHAPE(7, 97, 33));
    return r;
}

static oprun looked_up(void)
{
    oprun r = oprun_of("embedding");
    oprun_in(&r, SAK_SHAPE(500));
    oprun_in(&r, SAK_SHAPE(3, 300));
    return r;
}

static oprun expanded(void)
{
    oprun r = oprun_of("expand");
    oprun_attr(&r, "size", 37);
    oprun_in(&r, SAK_SHAPE(1, 97, 128));
    return r;
}

static void sums_have_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    oprun_any_threads(mixed);
    oprun_any_threads(looked_up);
    oprun_any_threads(expanded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transpose_and_permute_move_indices),
        cmocka_unit_test(concat_and_slice_keep_the_order),
        cmocka_unit_test(padding_surrounds_and_cropping_cuts),
        cmocka_unit_test(windows_are_cut_and_put_back),
        cmocka_unit_test(shifted_windows_begin_inside_the_map),
        cmocka_unit_test(a_shift_separates_what_was_not_together),
        cmocka_unit_test(stray_ids_take_the_nearest_row),
        cmocka_unit_test(mix_weighs_per_sample_or_per_token),
        cmocka_unit_test(sums_have_the_same_bits_for_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
