/* Pictures that are predicted window by window: what a graph is shown of them, what its heads answer,
 * put together, and files of it in the published layout. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "bind/core.h"
#include "bind/data.h"
#include "bind/painter.h"
#include "bind/real.h"
#include "data/folder.h"
#include "data/image.h"
#include "data/npy.h"
#include "data/png.h"
#include "data/sheet.h"
#include "data/window.h"
#include "metrics/edge.h"

#define TYPE "sak.picture"
enum { TASKS = 16 };

/* Raw head output of one task: (H, W, C). */
typedef struct answer {
    char task[32];
    int64_t C;
    float *x;
} answer;

typedef struct lpicture {
    uint8_t *rgb; /* H*W*3 */
    int H, W;
    int n;
    answer at[TASKS];
    float *weight;      /* of every pixel, while overlapping windows are summed; else NULL */
    int y0, x0, y1, x1; /* the box that windows have covered */
} lpicture;

static lpicture *to_picture(lua_State *L, int i)
{
    lpicture *p = luaL_checkudata(L, i, TYPE);
    if (!p->rgb)
        luaL_error(L, "this picture has been closed");
    return p;
}

static int p_close(lua_State *L)
{
    lpicture *p = luaL_checkudata(L, 1, TYPE);
    sak_free(p->rgb);
    sak_free(p->weight);
    for (int t = 0; t < p->n; t++)
        sak_free(p->at[t].x);
    *p = (lpicture){0};
    return 0;
}

static lpicture *new_picture(lua_State *L)
{
    lpicture *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (lpicture){0};
    luaL_setmetatable(L, TYPE);
    return p;
}

/* core.picture(path) */
static int open_picture(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    lpicture *p = new_picture(L);
    sak_error err;
    SAK_CHECK(L, &err, sak_image_read(path, SAK_IMAGE_RGB, &p->rgb, &p->H, &p->W, &err));
    return 1;
}

/* dataset:id(index): of a folder, without reading the sample */
int sak_dataset_id(lua_State *L)
{
    const sak_dataset *d = sak_to_dataset(L, 1);
    const int64_t i = luaL_checkinteger(L, 2);
    luaL_argcheck(L, sak_is_folder(d) && i >= 0 && i < d->count, 2, "no such sample of a folder");
    lua_pushstring(L, sak_folder_id(d, i));
    return 1;
}

/* dataset:picture(index) -> picture, id */
int sak_dataset_picture(lua_State *L)
{
    const sak_dataset *d = sak_to_dataset(L, 1);
    const int64_t i = luaL_checkinteger(L, 2);
    sak_sample s = {0};
    sak_error err;
    lpicture *p = new_picture(L);
    sak_status st = d->read(d, i, &s, &err);
    if (st == SAK_OK && !s.rgb)
        st = SAK_FAIL(&err, SAK_EINVAL, "%s has no images", d->name);
    if (st == SAK_OK) {
        p->rgb = s.rgb;
        p->H = s.H;
        p->W = s.W;
        s.rgb = NULL;
    }
    lua_pushstring(L, st == SAK_OK && !sak_is_folder(d) ? s.id : "");
    sak_sample_close(&s);
    if (st != SAK_OK)
        return sak_raise(L, &err);
    if (sak_is_folder(d)) {
        lua_pop(L, 1);
        lua_pushstring(L, sak_folder_id(d, i));
    }
    return 2;
}

/* picture:size() -> H, W */
static int p_size(lua_State *L)
{
    const lpicture *p = to_picture(L, 1);
    lua_pushinteger(L, p->H);
    lua_pushinteger(L, p->W);
    return 2;
}

static sak_window to_window(lua_State *L, const lpicture *p, const sak_shape *s, int y, int x)
{
    sak_window v;
    sak_error err;
    if (sak_window_init(&v, (int)s->d[1], (int)s->d[2], (int)luaL_checkinteger(L, y),
                        (int)luaL_checkinteger(L, x), p->H, p->W, &err) != SAK_OK)
        sak_raise(L, &err);
    return v;
}

static sak_real *values(lua_State *L, sak_graph *g, const char *name, sak_shape *s, int64_t slot)
{
    const int node = sak_graph_find(g, name);
    if (node < 0 || !sak_graph_value(g, node))
        luaL_error(L, "the graph has no input or output '%s'", name);
    *s = g->node[node]->s.y;
    if (s->n != 4 || slot < 0 || slot >= s->d[0])
        luaL_error(L, "'%s' is %s: it has no image %d", name, SAK_SHAPE_TEXT(s), (int)slot);
    return sak_graph_value(g, node) + slot * s->d[1] * s->d[2] * s->d[3];
}

/* picture:give(graph, slot, y, x): what a window shows, as image `slot` of the input "image"; outside the
 * picture it is padding, as in evaluation. */
static int p_give(lua_State *L)
{
    const lpicture *p = to_picture(L, 1);
    sak_shape s;
    sak_real *to = values(L, &sak_to_graph(L, 2)->g, "image", &s, luaL_checkinteger(L, 3));
    const sak_window v = to_window(L, p, &s, 4, 5);
    const size_t n = (size_t)v.h * (size_t)v.w * 3;
    float *image = lua_newuserdatauv(L, n * sizeof *image, 0);
    sak_error err;
    SAK_CHECK(L, &err, sak_window_show(&v, p->rgb, p->W, image, &err));
    for (size_t i = 0; i < n; i++)
        to[i] = (sak_real)image[i];
    return 0;
}

static answer *answer_of(lua_State *L, lpicture *p, const char *task, int64_t C)
{
    for (int t = 0; t < p->n; t++)
        if (strcmp(p->at[t].task, task) == 0)
            return p->at[t].C == C ? &p->at[t] : (luaL_error(L, "'%s' changed its channels", task), NULL);
    sak_error err;
    if (p->n == TASKS || strlen(task) >= sizeof p->at->task)
        luaL_error(L, "more than %d tasks, or the name '%s' is too long", TASKS, task);
    answer *a = &p->at[p->n];
    *a = (answer){.C = C};
    snprintf(a->task, sizeof a->task, "%s", task);
    if (sak_alloc((void **)&a->x, (size_t)p->H * (size_t)p->W, sizeof *a->x * (size_t)C, &err) != SAK_OK)
        sak_raise(L, &err);
    p->n++;
    return a;
}

/* Of pixel i of n: greatest in the middle, never 0. */
static float hat(int i, int n)
{
    return (float)(i + 1 < n - i ? i + 1 : n - i);
}

static void add_window(answer *a, const float *x, const sak_window *v, int W, bool blend)
{
    for (int r = v->top; r < v->top + v->height; r++)
        for (int c = v->left; c < v->left + v->width; c++) {
            float *to = a->x + a->C * ((int64_t)(v->y + r) * W + v->x + c);
            const float *from = x + a->C * ((int64_t)r * v->w + c);
            const float weight = blend ? hat(r, v->h) * hat(c, v->w) : 1;
            for (int64_t k = 0; k < a->C; k++)
                to[k] = blend ? to[k] + weight * from[k] : from[k];
        }
}

static void add_weights(lpicture *p, const sak_window *v)
{
    for (int r = v->top; r < v->top + v->height; r++)
        for (int c = v->left; c < v->left + v->width; c++)
            p->weight[(int64_t)(v->y + r) * p->W + v->x + c] += hat(r, v->h) * hat(c, v->w);
}

static void cover(lpicture *p, const sak_window *v)
{
    const bool first = p->y1 == 0;
    const int y0 = v->y + v->top, x0 = v->x + v->left, y1 = y0 + v->height, x1 = x0 + v->width;
    p->y0 = first || y0 < p->y0 ? y0 : p->y0;
    p->x0 = first || x0 < p->x0 ? x0 : p->x0;
    p->y1 = y1 > p->y1 ? y1 : p->y1;
    p->x1 = x1 > p->x1 ? x1 : p->x1;
}

/* picture:take(graph, slot, {tasks}, y, x, blend): the outputs "out/<task>" of a window that was given.
 * Windows that overlap are blended: weighted sums, until finish. */
static int p_take(lua_State *L)
{
    lpicture *p = to_picture(L, 1);
    sak_graph *g = &sak_to_graph(L, 2)->g;
    const int64_t slot = luaL_checkinteger(L, 3);
    luaL_checktype(L, 4, LUA_TTABLE);
    const bool blend = lua_toboolean(L, 7);
    sak_error err;
    if (blend && !p->weight)
        SAK_CHECK(L, &err, sak_alloc((void **)&p->weight, (size_t)p->H * (size_t)p->W, sizeof *p->weight, &err));
    sak_window v = {0};
    for (int t = 1; lua_geti(L, 4, t) == LUA_TSTRING; t++) {
        const char *task = lua_tostring(L, -1);
        const int top = lua_gettop(L);
        char name[64];
        sak_shape s;
        snprintf(name, sizeof name, "out/%s", task);
        const sak_real *out = values(L, g, name, &s, slot);
        v = to_window(L, p, &s, 5, 6);
        const float *x = sak_as_float(L, out, s.d[1] * s.d[2] * s.d[3]);
        add_window(answer_of(L, p, task, s.d[3]), x, &v, p->W, blend);
        lua_settop(L, top - 1);
    }
    if (v.h == 0)
        return luaL_error(L, "no tasks to take");
    if (blend)
        add_weights(p, &v);
    cover(p, &v);
    return 0;
}

/* picture:finish(): all windows have been taken. */
static int p_finish(lua_State *L)
{
    lpicture *p = to_picture(L, 1);
    for (int t = 0; p->weight && t < p->n; t++)
        for (int64_t i = 0; i < (int64_t)p->H * p->W; i++)
            for (int64_t k = 0; k < p->at[t].C; k++)
                p->at[t].x[i * p->at[t].C + k] /= p->weight[i];
    sak_free(p->weight);
    p->weight = NULL;
    return 0;
}

/* ---- files ---- */

static uint8_t eighth_bits(float unit) /* -1 … 1, as normals are stored: n = 2 v / 255 - 1 */
{
    return (uint8_t)((unit + 1) * 127.5f + 0.5f);
}

/* One pixel as the published layout stores it. */
static void store_pixel(const char *task, const float *x, int64_t C, uint8_t *out)
{
    if (strcmp(task, "normals") == 0) {
        float v[3];
        sak_unit_vector(x, v);
        for (int k = 0; k < 3; k++)
            out[k] = eighth_bits(v[k]);
    } else if (strcmp(task, "edge") == 0) {
        *out = sak_edge_grey(*x);
    } else if (strcmp(task, "sal") == 0) {
        *out = sak_edge_grey(x[1] - x[0]); /* the softmax of two is a sigmoid */
    } else {
        *out = (uint8_t)(sak_best_channel(x, C) + (strcmp(task, "semseg") == 0));
    }
}

static sak_status save_depth(const lpicture *p, const answer *a, const char *path, sak_error *err)
{
    float *v;
    const int H = p->y1 - p->y0, W = p->x1 - p->x0;
    const sak_shape shape = SAK_SHAPE(H, W);
    SAK_TRY(sak_alloc((void **)&v, (size_t)H * (size_t)W, sizeof *v, err));
    for (int y = 0; y < H; y++)
        memcpy(v + (size_t)y * (size_t)W, a->x + (int64_t)(p->y0 + y) * p->W + p->x0, sizeof *v * (size_t)W);
    const sak_status st = sak_npy_write(path, v, &shape, err);
    sak_free(v);
    return st;
}

static sak_status save_answer(const lpicture *p, const answer *a, const char *path, sak_error *err)
{
    if (strcmp(a->task, "depth") == 0)
        return save_depth(p, a, path, err);
    uint8_t *v;
    const int H = p->y1 - p->y0, W = p->x1 - p->x0, channels = strcmp(a->task, "normals") == 0 ? 3 : 1;
    SAK_TRY(sak_alloc((void **)&v, (size_t)H * (size_t)W, (size_t)channels, err));
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            store_pixel(a->task, a->x + a->C * ((int64_t)(p->y0 + y) * p->W + p->x0 + x), a->C,
                        v + (size_t)channels * ((size_t)y * (size_t)W + (size_t)x));
    const sak_status st = sak_png_write(path, v, H, W, channels, err);
    sak_free(v);
    return st;
}

/* picture:save(task, path): as the published layout has it: semseg class k as k + 1, human_parts as it is,
 * depth .npy in metres, normals n = 2 v / 255 - 1, edge and sal probabilities in 8 bits; of a picture
 * that no window covers whole, the part that is covered. */
static int p_save(lua_State *L)
{
    const lpicture *p = to_picture(L, 1);
    const char *task = luaL_checkstring(L, 2), *path = luaL_checkstring(L, 3);
    sak_error err;
    for (int t = 0; t < p->n; t++)
        if (strcmp(p->at[t].task, task) == 0) {
            SAK_CHECK(L, &err, save_answer(p, &p->at[t], path, &err));
            return 0;
        }
    return luaL_error(L, "nothing was predicted for '%s'", task);
}

/* ---- a sheet ---- */

static sak_status draw_picture(const lpicture *p, sak_sheet *sheet, int row, const char *caption, sak_error *err)
{
    sak_painter paint = {0};
    sak_status st = sak_painter_open(&paint, p->H, p->W, err);
    if (st == SAK_OK)
        sak_sheet_tile(sheet, row, 0, p->rgb, p->H, p->W, caption);
    for (int t = 0; st == SAK_OK && t < p->n; t++) {
        sak_paint_task(&paint, p->at[t].task, false, p->at[t].x, p->at[t].C);
        sak_sheet_tile(sheet, row, 1 + t, paint.rgb, p->H, p->W, p->at[t].task);
    }
    sak_painter_close(&paint);
    return st;
}

#define SHEET "sak.picture_sheet"

static int sheet_close(lua_State *L)
{
    sak_sheet_close(luaL_checkudata(L, 1, SHEET));
    return 0;
}

/* core.picture_sheet(rows, tasks, tile_h, tile_w): a row per picture; the image, then its tasks. */
static int new_sheet(lua_State *L)
{
    sak_sheet *s = lua_newuserdatauv(L, sizeof *s, 0);
    *s = (sak_sheet){0};
    luaL_setmetatable(L, SHEET);
    sak_error err;
    SAK_CHECK(L, &err, sak_sheet_open(s, (int)luaL_checkinteger(L, 1), 1 + (int)luaL_checkinteger(L, 2),
                                      (int)luaL_checkinteger(L, 3), (int)luaL_checkinteger(L, 4), &err));
    return 1;
}

/* sheet:draw(picture, row, caption): rows are counted from 0. */
static int sheet_draw(lua_State *L)
{
    sak_sheet *s = luaL_checkudata(L, 1, SHEET);
    const lpicture *p = to_picture(L, 2);
    const int row = (int)luaL_checkinteger(L, 3);
    luaL_argcheck(L, row >= 0 && row < s->rows && p->n < s->cols, 3, "no such tile");
    sak_error err;
    SAK_CHECK(L, &err, draw_picture(p, s, row, luaL_checkstring(L, 4), &err));
    return 0;
}

static int sheet_write(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_sheet_write(luaL_checkudata(L, 1, SHEET), luaL_checkstring(L, 2), &err));
    return 0;
}

void sak_open_picture(lua_State *L)
{
    static const luaL_Reg picture[] = {{"size", p_size},     {"give", p_give}, {"take", p_take},
                                       {"finish", p_finish}, {"save", p_save}, {"close", p_close},
                                       {NULL, NULL}};
    static const luaL_Reg sheet[] = {
        {"draw", sheet_draw}, {"write", sheet_write}, {"close", sheet_close}, {NULL, NULL}};
    sak_new_type(L, TYPE, picture, p_close);
    sak_new_type(L, SHEET, sheet, sheet_close);
    static const luaL_Reg functions[] = {{"picture", open_picture}, {"picture_sheet", new_sheet}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
