/* Folder datasets in Lua: a published layout by name, or a table of one's own. */
#include <string.h>

#include "bind/data.h"
#include "data/folder.h"

enum { COLOURS_MAX = 255 };
/* The stack while a layout is read: the argument, its layout, the memory for it, one task. */
enum { LAYOUT = 2, OWN, TASK };

typedef struct own_layout {
    sak_layout l;
    uint8_t colour[2][COLOURS_MAX][3];
    const char *names[COLOURS_MAX];
} own_layout;

static const struct {
    const char *task;
    unsigned flag;
} tasks[] = {{"semseg", SAK_HAS_SEMSEG}, {"depth", SAK_HAS_DEPTH}, {"normals", SAK_HAS_NORMALS},
             {"edge", SAK_HAS_EDGE},     {"sal", SAK_HAS_SAL},     {"human_parts", SAK_HAS_PARTS}};

static int whole(lua_State *L, const char *key, int def)
{
    return (int)sak_opt_number(L, -1, key, def);
}

/* {r, g, b} on top of the stack. */
static void to_colour(lua_State *L, uint8_t out[3])
{
    for (int k = 0; k < 3; k++) {
        lua_geti(L, -1, k + 1);
        const lua_Integer v = luaL_checkinteger(L, -1);
        luaL_argcheck(L, v >= 0 && v <= 255, 1, "colours are 0 to 255");
        out[k] = (uint8_t)v;
        lua_pop(L, 1);
    }
}

static int read_colours(lua_State *L, uint8_t (*out)[3])
{
    int n = 0;
    if (lua_getfield(L, -1, "colours") == LUA_TTABLE)
        for (; lua_geti(L, -1, n + 1) == LUA_TTABLE; lua_pop(L, 1)) {
            luaL_argcheck(L, n < COLOURS_MAX, 1, "at most 255 colours");
            to_colour(L, out[n++]);
        }
    lua_settop(L, TASK);
    return n;
}

/* ignore = a stored value, or a colour. */
static void read_ignore(lua_State *L, sak_modality *m)
{
    m->ignore = m->ignore_colour = -1;
    if (lua_getfield(L, -1, "ignore") == LUA_TTABLE) {
        uint8_t c[3];
        to_colour(L, c);
        m->ignore_colour = c[0] << 16 | c[1] << 8 | c[2];
    } else if (lua_isnumber(L, -1)) {
        m->ignore = (int)lua_tointeger(L, -1);
    }
    lua_pop(L, 1);
}

/* The task's table is on top of the stack. */
static void read_task(lua_State *L, own_layout *o, unsigned flag)
{
    sak_modality *m = &o->l.m[o->l.n++];
    m->flag = flag;
    m->dir = sak_opt_text(L, -1, "dir", "");
    m->suffix = sak_opt_text(L, -1, "suffix", ".png");
    m->offset = whole(L, "offset", 0);
    m->threshold = whole(L, "threshold", 0);
    m->scale = sak_opt_number(L, -1, "scale", 1);
    if (lua_getfield(L, -1, "axis") == LUA_TTABLE)
        for (int k = 0; k < 3; k++) {
            lua_geti(L, -1, k + 1);
            m->axis[k] = (int8_t)luaL_checkinteger(L, -1);
            lua_pop(L, 1);
        }
    lua_pop(L, 1);
    if (flag != SAK_HAS_SEMSEG && flag != SAK_HAS_PARTS)
        return;
    read_ignore(L, m);
    const bool parts = flag == SAK_HAS_PARTS;
    m->colour = (const uint8_t(*)[3])o->colour[parts];
    m->colours = read_colours(L, o->colour[parts]);
    int *const classes = parts ? &o->l.parts : &o->l.classes;
    *classes = whole(L, "classes", m->colours);
    if (lua_getfield(L, -1, "names") == LUA_TTABLE && !parts && *classes <= COLOURS_MAX) {
        for (int i = 0; i < *classes; i++) {
            lua_geti(L, -1, i + 1);
            o->names[i] = luaL_checkstring(L, -1); /* the list keeps it */
            lua_pop(L, 1);
        }
        o->l.class_names = o->names;
    }
    lua_pop(L, 1);
}

/* {image = {dir =, suffix =}, semseg = {…}, …} */
static void read_layout(lua_State *L, own_layout *o)
{
    o->l = (sak_layout){.lists = "gt_sets", .n = 1};
    o->l.m[0] = (sak_modality){.flag = SAK_HAS_IMAGE, .dir = "images"};
    if (lua_getfield(L, LAYOUT, "image") == LUA_TTABLE) {
        o->l.m[0].dir = sak_opt_text(L, -1, "dir", "images");
        o->l.m[0].suffix = sak_opt_text(L, -1, "suffix", NULL);
    }
    lua_pop(L, 1);
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (lua_getfield(L, LAYOUT, tasks[i].task) == LUA_TTABLE)
            read_task(L, o, tasks[i].flag);
        lua_settop(L, OWN);
    }
}

static const sak_layout *published(lua_State *L, const char *name)
{
    if (strcmp(name, "nyud") == 0)
        return &sak_layout_nyud;
    if (strcmp(name, "pascal") == 0)
        return &sak_layout_pascal;
    if (strcmp(name, "images") == 0)
        return &sak_layout_images;
    luaL_error(L, "there is no layout '%s'", name);
    return NULL;
}

int sak_open_folder_dataset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    const char *root = sak_opt_text(L, 1, "root", "");
    const sak_split split = {.list = sak_opt_text(L, 1, "list", NULL),
                             .unchecked = sak_opt_bool(L, 1, "unchecked", false),
                             .from = sak_opt_number(L, 1, "from", 0),
                             .to = sak_opt_number(L, 1, "to", 1)};
    lua_getfield(L, 1, "layout");
    const sak_layout *layout;
    if (lua_istable(L, LAYOUT)) {
        own_layout *own = lua_newuserdatauv(L, sizeof *own, 0);
        memset(own, 0, sizeof *own);
        read_layout(L, own);
        layout = &own->l;
    } else {
        layout = published(L, luaL_checkstring(L, LAYOUT));
    }
    sak_dataset *d = sak_new_dataset(L);
    sak_error err;
    SAK_CHECK(L, &err, sak_folder_open_as(d, root, &split, layout, &err));
    return 1;
}
