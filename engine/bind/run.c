/* One verb, start to end: a Lua state with the engine in it, and lua/sak/main.lua doing the work. */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bind/bind.h"
#include "bind/core.h"
#include "bind/sandbox.h"
#include "kernels/cpu.h"
#include "kernels/gemm.h"

static volatile sig_atomic_t interrupted_by; /* 0: none; SIGUSR1 once that has come */

/* The first signal asks the loop to stop at the next step.  A Ctrl-C after that ends the process at
 * once; other signals do not, as a batch system may send several. */
static void on_signal(int sig)
{
    if (interrupted_by && sig == SIGINT)
        _exit(130);
    if (!interrupted_by || sig == SIGUSR1)
        interrupted_by = sig;
}

/* core.interrupted() -> the signal that asks to stop: "INT", "TERM", "USR1"; nil: none */
static int interrupted(lua_State *L)
{
    const int sig = interrupted_by;
    if (!sig)
        return 0;
    lua_pushstring(L, sig == SIGINT ? "INT" : sig == SIGUSR1 ? "USR1" : "TERM");
    return 1;
}

static int clock_now(lua_State *L)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
    return 1;
}

/* The linker's hash of this program's contents, in its ELF notes; no digits where it left none. */
typedef struct build_id {
    char hex[2 * 6 + 1];
} build_id;

static int find_build_id(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    build_id *id = ctx;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_NOTE)
            continue;
        const char *at = (const char *)(info->dlpi_addr + segment->p_vaddr);
        const char *end = at + segment->p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const void *)at;
            const char *name = at + sizeof *note;
            const unsigned char *desc = (const unsigned char *)name + (note->n_namesz + 3u) / 4 * 4;
            at = (const char *)desc + (note->n_descsz + 3u) / 4 * 4;
            if (note->n_type != NT_GNU_BUILD_ID || note->n_namesz != 4 || memcmp(name, "GNU", 4) != 0)
                continue;
            for (unsigned k = 0; k < 6 && k < note->n_descsz; k++)
                snprintf(id->hex + 2 * k, 3, "%02x", desc[k]);
            return 1;
        }
    }
    return 1; /* the program itself comes first; its libraries do not matter here */
}

/* core.version() -> "0.1.0+3fa2c1d40b7e": the version and which build of it. */
static int version(lua_State *L)
{
    build_id id = {0};
    dl_iterate_phdr(find_build_id, &id);
    lua_pushfstring(L, id.hex[0] ? "%s+%s" : "%s", SAK_VERSION, id.hex);
    return 1;
}

/* core.machine() -> {cpu, isa, blis_kernel, blis_version, sak_version} */
static int machine(lua_State *L)
{
    const struct {
        const char *key, *text;
    } facts[] = {{"cpu", sak_cpu_name()},
                 {"isa", sak_isa_name(sak_cpu_isa())},
                 {"blis_kernel", sak_gemm_blis_kernel()},
                 {"blis_version", sak_gemm_version()},
                 {"sak_version", SAK_VERSION}};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        lua_pushstring(L, facts[i].text);
        lua_setfield(L, -2, facts[i].key);
    }
    return 1;
}

static void push_list(lua_State *L, const char *const *list)
{
    lua_newtable(L);
    for (int i = 0; list && list[i]; i++) {
        lua_pushstring(L, list[i]);
        lua_seti(L, -2, i + 1);
    }
}

static void push_job(lua_State *L, const sak_job *job)
{
    lua_newtable(L);
    push_list(L, job->args);
    lua_setfield(L, -2, "args");
    push_list(L, job->set);
    lua_setfield(L, -2, "set");
    push_list(L, job->grid);
    lua_setfield(L, -2, "grid");
    push_list(L, (const char *const *)job->argv);
    lua_setfield(L, -2, "argv");
    const struct {
        const char *key, *text;
    } texts[] = {{"verb", job->verb}, {"db", job->db}, {"out", job->out}, {"dtype", job->dtype},
                 {"split", job->split}, {"save", job->save}, {"data", job->data},
                 {"checkpoint", job->checkpoint}, {"tasks", job->tasks},
                 {"edge_protocol", job->edge_protocol}, {"max", job->max}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lua_pushstring(L, texts[i].text);
        lua_setfield(L, -2, texts[i].key);
    }
    const struct {
        const char *key;
        bool on;
    } flags[] = {{"quiet", job->quiet}, {"json", job->json}, {"csv", job->csv}, {"tty", job->tty},
                 {"retry", job->retry}, {"fail_fast", job->fail_fast}, {"fresh", job->fresh},
                 {"now", job->now}, {"augment", job->augment}, {"unsafe_lua", job->unsafe_lua},
                 {"pad", job->pad}, {"tile", job->tile}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        lua_pushboolean(L, flags[i].on);
        lua_setfield(L, -2, flags[i].key);
    }
    const struct {
        const char *key;
        int n;
    } numbers[] = {{"threads", job->threads}, {"stage", job->stage},
                   {"jobs", job->jobs}, {"seeds", job->seeds},
                   {"limit", job->limit}, {"steps", job->steps}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        lua_pushinteger(L, numbers[i].n);
        lua_setfield(L, -2, numbers[i].key);
    }
}

static int dispatch(lua_State *L)
{
    const sak_job *job = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "sak.main");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "dispatch");
    push_job(L, job);
    lua_call(L, 1, 1);
    return 1;
}

static void watch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int sak_bind_run(const sak_job *job, FILE *out, FILE *err)
{
    (void)out;
    sak_error e;
    sak_gemm_init();
    if (sak_pool_open(job->threads, &e) != SAK_OK) {
        fprintf(err, "error: %s\n", e.msg);
        return 2;
    }
    lua_State *L = NULL;
    const sak_sandbox_options options = {.unsafe = job->unsafe_lua};
    if (sak_sandbox_open(&L, &options, &e) != SAK_OK) {
        fprintf(err, "error: %s\n", e.msg);
        return 1;
    }
    watch_signals();
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_sak_core);
    lua_setfield(L, -2, "sak.core");
    lua_pop(L, 1);
    lua_pushcfunction(L, dispatch);
    lua_pushlightuserdata(L, (void *)job);
    int status = 1;
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
        status = (int)lua_tointeger(L, -1);
    else
        fprintf(err, "error: %s\n", lua_tostring(L, -1) ? lua_tostring(L, -1) : "unknown error");
    sak_sandbox_close(L);
    sak_pool_close();
    return status;
}

void sak_open_process(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"interrupted", interrupted}, {"clock", clock_now}, {"machine", machine}, {"version", version},
        {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
