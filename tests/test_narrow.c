/* Rounding to 16-bit floats, against every value that they have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "weights/narrow.h"

static float value_of(sak_st_dtype t, uint16_t bits)
{
    float x;
    const sak_st_tensor one = {.name = "x", .dtype = t, .count = 1, .data = &bits, .bytes = 2};
    sak_st_copy_f32(&one, &x);
    return x;
}

static uint16_t narrow(sak_st_dtype t, float x)
{
    uint16_t bits = 0;
    sak_st_narrow(t, &x, 1, &bits);
    return bits;
}

/* Each value gives itself back; the middle of two neighbours goes to the one with an even last bit,
 * and what is a hair off the middle to the nearer one.  The neighbours say what is right. */
static void check_all(sak_st_dtype t, uint16_t infinite)
{
    for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000)
        for (uint32_t b = 0; b < infinite; b++) {
            const uint16_t bits = (uint16_t)(sign | b), next = (uint16_t)(bits + 1);
            const float x = value_of(t, bits);
            assert_int_equal(narrow(t, x), bits);
            if (next == (sign | infinite))
                continue;
            const float middle = (float)(((double)x + value_of(t, next)) / 2);
            assert_int_equal(narrow(t, middle), b & 1 ? next : bits);
            assert_int_equal(narrow(t, nextafterf(middle, x)), bits);
            assert_int_equal(narrow(t, nextafterf(middle, value_of(t, next))), next);
        }
}

static void halves_round_to_the_nearest_even(void **state)
{
    (void)state;
    check_all(SAK_ST_F16, 0x7c00);
}

static void brain_floats_round_to_the_nearest_even(void **state)
{
    (void)state;
    check_all(SAK_ST_BF16, 0x7f80);
}

static void what_is_too_large_is_infinite_and_nan_stays_nan(void **state)
{
    (void)state;
    assert_int_equal(narrow(SAK_ST_F16, 65504), 0x7bff);
    assert_int_equal(narrow(SAK_ST_F16, 65519.996f), 0x7bff);
    assert_int_equal(narrow(SAK_ST_F16, 65520), 0x7c00);
    assert_int_equal(narrow(SAK_ST_F16, -1e30f), 0xfc00);
    assert_int_equal(narrow(SAK_ST_F16, INFINITY), 0x7c00);
    assert_int_equal(narrow(SAK_ST_BF16, 3.4028234e38f), 0x7f80);
    assert_int_equal(narrow(SAK_ST_BF16, -INFINITY), 0xff80);
    float nan;
    memcpy(&nan, &(uint32_t){0x7f800001}, 4); /* a payload in the bits that are dropped */
    assert_true(isnan(value_of(SAK_ST_F16, narrow(SAK_ST_F16, nan))));
    assert_true(isnan(value_of(SAK_ST_BF16, narrow(SAK_ST_BF16, nan))));
    const float x[] = {1.5f, -0.0f};
    uint32_t out[2], same[2];
    sak_st_narrow(SAK_ST_F32, x, 2, out);
    memcpy(same, x, sizeof x);
    assert_memory_equal(out, same, sizeof same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_round_to_the_nearest_even),
        cmocka_unit_test(brain_floats_round_to_the_nearest_even),
        cmocka_unit_test(what_is_too_large_is_infinite_and_nan_stays_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
