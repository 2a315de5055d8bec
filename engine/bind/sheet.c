/* Prediction sheets: one row per image; the image, then truth and prediction of every task. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "bind/core.h"
#include "bind/painter.h"
#include "bind/real.h"
#include "data/sheet.h"

static const float *tensor(lua_State *L, sak_graph *g, const char *name, sak_shape *shape)
{
    const int node = sak_graph_find(g, name);
    if (node < 0 || !sak_graph_value(g, node))
        luaL_error(L, "the graph has no input or output '%s'", name);
    *shape = g->node[node]->s.y;
    return sak_as_float(L, sak_graph_value(g, node), sak_shape_count(shape));
}

static void draw_image(const float *x, const sak_painter *p)
{
    static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    for (int64_t i = 0; i < (int64_t)p->H * p->W * 3; i++) {
        const double v = 255 * ((double)x[i] * std[i % 3] + mean[i % 3]);
        p->rgb[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
    }
}

int sak_best_channel(const float *x, int64_t C)
{
    int best = 0;
    for (int c = 1; c < C; c++)
        if (x[c] > x[best])
            best = c;
    return best;
}

void sak_unit_vector(const float *v, float *out)
{
    const double x = (double)v[0], y = (double)v[1], z = (double)v[2];
    const double norm = sqrt(x * x + y * y + z * z);
    for (int k = 0; k < 3; k++)
        out[k] = norm == 0 ? 0 : (float)((double)v[k] / norm);
}

void sak_paint_task(sak_painter *p, const char *task, bool truth, const float *x, int64_t C)
{
    const int64_t n = (int64_t)p->H * p->W;
    if (strcmp(task, "normals") == 0) {
        for (int64_t i = 0; i < n; i++) {
            const float *v = x + 3 * i;
            if (truth && v[0] == 255)
                memset(p->values + 3 * i, 0, 3 * sizeof *p->values);
            else
                sak_unit_vector(v, p->values + 3 * i);
        }
        sak_colour_normals(p->values, n, p->rgb);
    } else if (strcmp(task, "depth") == 0) {
        if (truth) {
            p->near = INFINITY;
            p->far = 0;
        }
        for (int64_t i = 0; i < n; i++) {
            const bool ignored = truth && x[i] == 255;
            p->values[i] = ignored ? 0 : x[i];
            if (truth && !ignored) {
                p->near = fminf(p->near, x[i]);
                p->far = fmaxf(p->far, x[i]);
            }
        }
        sak_colour_depth(p->values, n, p->near, p->far, p->rgb);
    } else if (!truth && strcmp(task, "edge") == 0) {
        for (int64_t i = 0; i < n; i++)
            p->values[i] = 1 / (1 + expf(-x[i]));
        sak_colour_unit(p->values, n, p->rgb);
    } else if (!truth && strcmp(task, "sal") == 0) {
        for (int64_t i = 0; i < n; i++)
            p->values[i] = 1 / (1 + expf(x[2 * i] - x[2 * i + 1]));
        sak_colour_unit(p->values, n, p->rgb);
    } else {
        for (int64_t i = 0; i < n; i++)
            p->label[i] = truth ? (uint8_t)x[i] : (uint8_t)sak_best_channel(x + C * i, C);
        if (strcmp(task, "edge") == 0 || strcmp(task, "sal") == 0)
            sak_colour_mask(p->label, n, p->rgb);
        else
            sak_colour_labels(p->label, n, p->rgb);
    }
}

sak_status sak_painter_open(sak_painter *p, int H, int W, sak_error *err)
{
    const size_t n = (size_t)H * (size_t)W;
    *p = (sak_painter){.H = H, .W = W};
    SAK_TRY(sak_alloc((void **)&p->rgb, n, 3, err));
    SAK_TRY(sak_alloc((void **)&p->label, n, 1, err));
    return sak_alloc((void **)&p->values, n, 3 * sizeof *p->values, err);
}

void sak_painter_close(sak_painter *p)
{
    sak_free(p->rgb);
    sak_free(p->label);
    sak_free(p->values);
    *p = (sak_painter){0};
}

/* core.sheet(path, graph, {tasks}, rows, scale): inputs "image" and "<task>", outputs "out/<task>". */
static int sheet(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    sak_graph *g = &sak_to_graph(L, 2)->g;
    luaL_checktype(L, 3, LUA_TTABLE);
    const int tasks = (int)luaL_len(L, 3), scale = (int)luaL_optinteger(L, 5, 2);
    sak_shape s;
    const float *image = tensor(L, g, "image", &s);
    const int rows = (int)luaL_checkinteger(L, 4) < s.d[0] ? (int)luaL_checkinteger(L, 4) : (int)s.d[0];
    const int H = (int)s.d[1], W = (int)s.d[2];
    const int64_t n = (int64_t)H * W;
    sak_sheet sh;
    sak_painter p;
    sak_error err;
    SAK_CHECK(L, &err, sak_sheet_open(&sh, rows, 1 + 2 * tasks, H * scale, W * scale, &err));
    sak_status st = sak_painter_open(&p, H, W, &err);
    for (int r = 0; st == SAK_OK && r < rows; r++) {
        draw_image(image + r * n * 3, &p);
        sak_sheet_tile(&sh, r, 0, p.rgb, H, W, "image");
        for (int t = 0; t < tasks; t++) {
            const int top = lua_gettop(L);
            lua_geti(L, 3, t + 1);
            const char *task = lua_tostring(L, -1);
            char name[64], caption[64];
            sak_shape ls, os;
            snprintf(name, sizeof name, "out/%s", task);
            const float *label = tensor(L, g, task, &ls), *out = tensor(L, g, name, &os);
            const int64_t lc = sak_shape_count(&ls) / (ls.d[0] * n), oc = sak_shape_last(&os);
            sak_paint_task(&p, task, true, label + r * n * lc, lc);
            snprintf(caption, sizeof caption, "%s: truth", task);
            sak_sheet_tile(&sh, r, 1 + 2 * t, p.rgb, H, W, caption);
            sak_paint_task(&p, task, false, out + r * n * oc, oc);
            snprintf(caption, sizeof caption, "%s: predicted", task);
            sak_sheet_tile(&sh, r, 2 + 2 * t, p.rgb, H, W, caption);
            lua_settop(L, top);
        }
    }
    if (st == SAK_OK)
        st = sak_sheet_write(&sh, path, &err);
    sak_painter_close(&p);
    sak_sheet_close(&sh);
    return st == SAK_OK ? 0 : sak_raise(L, &err);
}

void sak_open_sheet(lua_State *L)
{
    lua_pushcfunction(L, sheet);
    lua_setfield(L, -2, "sheet");
}
