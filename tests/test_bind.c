/* The engine as trusted Lua sees it: tests/bind/NAME.lua, each in a Lua state of its own with
 * sak.core.  A file fails by raising an error, and is skipped when it returns a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/pool.h"
#include "bind/core.h"
#include "bind/sandbox.h"
#include "kernels/gemm.h"

static void run_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "tests/bind/%s.lua", name);
    lua_State *L = NULL;
    sak_error err = {0};
    assert_int_equal(sak_sandbox_open(&L, NULL, &err), SAK_OK);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_sak_core);
    lua_setfield(L, -2, "sak.core");
    lua_pop(L, 1);
    if (luaL_loadfilex(L, path, "t") != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1)); /* cmocka cuts long messages */
        fail();
    }
    const bool skipped = lua_type(L, -1) == LUA_TSTRING;
    if (skipped)
        printf("%s\n", lua_tostring(L, -1));
    sak_sandbox_close(L);
    if (skipped)
        skip();
}

static void meters_refuse_what_does_not_fit(void **state)
{
    (void)state;
    run_file("meter");
}

static void edges_are_monitored_as_published_for_their_data(void **state)
{
    (void)state;
    run_file("evaluate");
}

static void shapes_and_attributes_are_checked(void **state)
{
    (void)state;
    run_file("shape");
}

static void teachers_are_what_their_files_say(void **state)
{
    (void)state;
    run_file("teacher");
}

static void published_names_land_where_they_belong(void **state)
{
    (void)state;
    run_file("names");
}

static void real_weights_give_the_features_of_pytorch(void **state)
{
    (void)state;
    run_file("golden");
}

static void students_start_from_published_checkpoints(void **state)
{
    (void)state;
    run_file("student");
}

static void a_frozen_model_reads_its_weights_in_the_file(void **state)
{
    (void)state;
    run_file("borrow");
}

static void every_architecture_has_its_published_size(void **state)
{
    (void)state;
    run_file("archs");
}

static void low_rank_updates_merge_and_train_as_said(void **state)
{
    (void)state;
    run_file("lora");
}

static void windows_put_a_picture_together_again(void **state)
{
    (void)state;
    run_file("picture");
}

static void pool_takes_all_usable_processors(void **state)
{
    (void)state;
    sak_error err = {0};
    assert_int_equal(sak_pool_open(0, &err), SAK_OK);
    assert_in_range(sak_pool_threads(), 1, 256);
    assert_int_equal(sak_pool_open(257, &err), SAK_EINVAL);
    sak_pool_close();
}

int main(void)
{
    sak_gemm_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meters_refuse_what_does_not_fit),
        cmocka_unit_test(edges_are_monitored_as_published_for_their_data),
        cmocka_unit_test(shapes_and_attributes_are_checked),
        cmocka_unit_test(teachers_are_what_their_files_say),
        cmocka_unit_test(published_names_land_where_they_belong),
        cmocka_unit_test(real_weights_give_the_features_of_pytorch),
        cmocka_unit_test(students_start_from_published_checkpoints),
        cmocka_unit_test(a_frozen_model_reads_its_weights_in_the_file),
        cmocka_unit_test(every_architecture_has_its_published_size),
        cmocka_unit_test(low_rank_updates_merge_and_train_as_said),
        cmocka_unit_test(windows_put_a_picture_together_again),
        cmocka_unit_test(pool_takes_all_usable_processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
