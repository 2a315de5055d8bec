/* Prediction sheets: one row per image; the image, then truth and prediction of every task. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/core.h"
#include "data/sheet.h"

typedef struct picture {
    int H, W;
    float near, far; /* metres: the range of the true depth, for both pictures */
    uint8_t *rgb, *label;
    float *values;
} picture;

static const sak_real *tensor(lua_State *L, sak_graph *g, const char *name, sak_shape *shape)
{
    const int node = sak_graph_find(g, name);
    if (node < 0 || !sak_graph_value(g, node))
        luaL_error(L, "the graph has no input or output '%s'", name);
    *shape = g->node[node]->s.y;
    return sak_graph_value(g, node);
}

static void draw_image(const sak_real *x, const picture *p)
{
    static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    for (int64_t i = 0; i < (int64_t)p->H * p->W * 3; i++) {
        const double v = 255 * (x[i] * std[i % 3] + mean[i % 3]);
        p->rgb[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
    }
}

static int best_channel(const sak_real *x, int64_t C)
{
    int best = 0;
    for (int c = 1; c < C; c++)
        if (x[c] > x[best])
            best = c;
    return best;
}

/* x: (H, W, C) raw head output, or a label with C = 1 or 3. */
static void draw_task(const char *task, bool truth, const sak_real *x, int64_t C, picture *p)
{
    const int64_t n = (int64_t)p->H * p->W;
    if (strcmp(task, "normals") == 0) {
        for (int64_t i = 0; i < n; i++) {
            const sak_real *v = x + 3 * i;
            const double norm = sqrt((double)v[0] * v[0] + (double)v[1] * v[1] + (double)v[2] * v[2]);
            const bool ignored = truth && v[0] == 255;
            for (int k = 0; k < 3; k++)
                p->values[3 * i + k] = ignored || norm == 0 ? 0 : (float)(v[k] / norm);
        }
        sak_colour_normals(p->values, n, p->rgb);
    } else if (strcmp(task, "depth") == 0) {
        if (truth) {
            p->near = INFINITY;
            p->far = 0;
        }
        for (int64_t i = 0; i < n; i++) {
            const bool ignored = truth && x[i] == 255;
            p->values[i] = ignored ? 0 : (float)x[i];
            if (truth && !ignored) {
                p->near = fminf(p->near, (float)x[i]);
                p->far = fmaxf(p->far, (float)x[i]);
            }
        }
        sak_colour_depth(p->values, n, p->near, p->far, p->rgb);
    } else if (!truth && strcmp(task, "edge") == 0) {
        for (int64_t i = 0; i < n; i++)
            p->values[i] = 1 / (1 + expf(-(float)x[i]));
        sak_colour_unit(p->values, n, p->rgb);
    } else if (!truth && strcmp(task, "sal") == 0) {
        for (int64_t i = 0; i < n; i++)
            p->values[i] = 1 / (1 + expf((float)(x[2 * i] - x[2 * i + 1])));
        sak_colour_unit(p->values, n, p->rgb);
    } else {
        for (int64_t i = 0; i < n; i++)
            p->label[i] = (uint8_t)(truth ? x[i] : (sak_real)best_channel(x + C * i, C));
        if (strcmp(task, "edge") == 0 || strcmp(task, "sal") == 0)
            sak_colour_mask(p->label, n, p->rgb);
        else
            sak_colour_labels(p->label, n, p->rgb);
    }
}

static bool open_picture(picture *p, int H, int W)
{
    const size_t n = (size_t)H * (size_t)W;
    *p = (picture){.H = H, .W = W, .rgb = malloc(n * 3), .label = malloc(n),
                   .values = malloc(n * 3 * sizeof(float))};
    return p->rgb && p->label && p->values;
}

static void close_picture(picture *p)
{
    free(p->rgb);
    free(p->label);
    free(p->values);
}

/* core.sheet(path, graph, {tasks}, rows, scale): inputs "image" and "<task>", outputs "out/<task>". */
static int sheet(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    sak_graph *g = &sak_to_graph(L, 2)->g;
    luaL_checktype(L, 3, LUA_TTABLE);
    const int tasks = (int)luaL_len(L, 3), scale = (int)luaL_optinteger(L, 5, 2);
    sak_shape s;
    const sak_real *image = tensor(L, g, "image", &s);
    const int rows = (int)luaL_checkinteger(L, 4) < s.d[0] ? (int)luaL_checkinteger(L, 4) : (int)s.d[0];
    const int H = (int)s.d[1], W = (int)s.d[2];
    const int64_t n = (int64_t)H * W;
    sak_sheet sh;
    picture p;
    sak_error err;
    SAK_CHECK(L, &err, sak_sheet_open(&sh, rows, 1 + 2 * tasks, H * scale, W * scale, &err));
    sak_status st = open_picture(&p, H, W)
                        ? SAK_OK
                        : SAK_FAIL(&err, SAK_ENOMEM, "out of memory drawing %s", path);
    for (int r = 0; st == SAK_OK && r < rows; r++) {
        draw_image(image + r * n * 3, &p);
        sak_sheet_tile(&sh, r, 0, p.rgb, H, W, "image");
        for (int t = 0; t < tasks; t++) {
            lua_geti(L, 3, t + 1);
            const char *task = lua_tostring(L, -1);
            char name[64], caption[64];
            sak_shape ls, os;
            snprintf(name, sizeof name, "out/%s", task);
            const sak_real *label = tensor(L, g, task, &ls), *out = tensor(L, g, name, &os);
            const int64_t lc = sak_shape_count(&ls) / (ls.d[0] * n), oc = sak_shape_last(&os);
            draw_task(task, true, label + r * n * lc, lc, &p);
            snprintf(caption, sizeof caption, "%s: truth", task);
            sak_sheet_tile(&sh, r, 1 + 2 * t, p.rgb, H, W, caption);
            draw_task(task, false, out + r * n * oc, oc, &p);
            snprintf(caption, sizeof caption, "%s: predicted", task);
            sak_sheet_tile(&sh, r, 2 + 2 * t, p.rgb, H, W, caption);
            lua_pop(L, 1);
        }
    }
    if (st == SAK_OK)
        st = sak_sheet_write(&sh, path, &err);
    close_picture(&p);
    sak_sheet_close(&sh);
    return st == SAK_OK ? 0 : sak_raise(L, &err);
}

void sak_open_sheet(lua_State *L)
{
    lua_pushcfunction(L, sheet);
    lua_setfield(L, -2, "sheet");
}
