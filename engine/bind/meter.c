/* Meters and trivial predictors in Lua, fed from graph outputs and loader fields. */
#include <stdlib.h>
#include <string.h>

#include "bind/core.h"
#include "bind/real.h"
#include "metrics/meter.h"

#define TYPE "sak.meter"
#define TRIVIAL "sak.trivial"

static sak_meter *to_meter(lua_State *L, int i)
{
    sak_meter *m = luaL_checkudata(L, i, TYPE);
    if (!m->row)
        luaL_error(L, "this meter has been closed");
    return m;
}

/* core.meter(task, {classes =, edge_weight =, edge_match =, protocol = "plain"|"seism"|"bsds", max_dist =}) */
static int new_meter(lua_State *L)
{
    const char *task = luaL_checkstring(L, 1);
    int protocol = 0;
    if (lua_istable(L, 2)) {
        lua_getfield(L, 2, "protocol");
        protocol = luaL_checkoption(L, -1, "plain", sak_edge_protocol_names);
    }
    const sak_meter_spec spec = {.classes = (int)sak_opt_number(L, 2, "classes", 0),
                                 .edge_weight = sak_opt_number(L, 2, "edge_weight", 0),
                                 .edge_match = sak_opt_bool(L, 2, "edge_match", false),
                                 .protocol = (sak_edge_protocol)protocol,
                                 .max_dist = sak_opt_number(L, 2, "max_dist", 0)};
    sak_meter *m = lua_newuserdatauv(L, sizeof *m, 0);
    *m = (sak_meter){0};
    luaL_setmetatable(L, TYPE);
    sak_error err;
    SAK_CHECK(L, &err, sak_meter_open(m, task, &spec, &err));
    return 1;
}

static int m_close(lua_State *L)
{
    sak_meter_close(luaL_checkudata(L, 1, TYPE));
    return 0;
}

static const sak_real *values(lua_State *L, sak_graph *g, int name, sak_shape *shape)
{
    const int node = sak_graph_find(g, luaL_checkstring(L, name));
    if (node < 0 || !sak_graph_value(g, node))
        luaL_error(L, "the graph has no input or output '%s'", lua_tostring(L, name));
    *shape = g->node[node]->s.y;
    return sak_graph_value(g, node);
}

/* (B, H, W) or (B, H, W, 1) for one channel, (B, H, W, channels) else. */
static bool is_label(const sak_shape *label, int channels)
{
    return (label->n == 4 && label->d[3] == channels) || (label->n == 3 && channels == 1);
}

static sak_status check_label(const sak_meter_row *row, const sak_shape *label, const char *name,
                              sak_error *err)
{
    if (is_label(label, row->label_channels))
        return SAK_OK;
    return SAK_FAIL(err, SAK_ESHAPE, "%s meter: the label '%s' is %s, but (B, H, W, %d) is needed",
                    row->task, name, SAK_SHAPE_TEXT(label), row->label_channels);
}

static sak_status check_count(const sak_meter_row *row, int64_t B, int64_t batch, sak_error *err)
{
    if (B >= 1 && B <= batch)
        return SAK_OK;
    return SAK_FAIL(err, SAK_EINVAL, "%s meter: %lld images of a batch of %lld", row->task,
                    (long long)B, (long long)batch);
}

static sak_status check_pair(const sak_meter *m, const sak_shape *out, const char *out_name,
                             const sak_shape *label, const char *label_name, sak_error *err)
{
    const int C = sak_meter_channels(m);
    if (out->n != 4 || out->d[3] != C)
        return SAK_FAIL(err, SAK_ESHAPE, "%s meter: '%s' is %s, but (B, H, W, %d) is needed",
                        m->row->task, out_name, SAK_SHAPE_TEXT(out), C);
    SAK_TRY(check_label(m->row, label, label_name, err));
    for (int i = 0; i < 3; i++)
        if (label->d[i] != out->d[i])
            return SAK_FAIL(err, SAK_ESHAPE, "%s meter: '%s' is %s but the label '%s' is %s",
                            m->row->task, out_name, SAK_SHAPE_TEXT(out), label_name,
                            SAK_SHAPE_TEXT(label));
    return SAK_OK;
}

/* meter:update(graph, output, label, valid): the first `valid` images of the batch. */
static int m_update(lua_State *L)
{
    sak_meter *m = to_meter(L, 1);
    sak_graph *g = &sak_to_graph(L, 2)->g;
    sak_shape out, label;
    const sak_real *x = values(L, g, 3, &out), *y = values(L, g, 4, &label);
    const int64_t B = luaL_optinteger(L, 5, out.d[0]);
    sak_error err;
    SAK_CHECK(L, &err,
              check_pair(m, &out, lua_tostring(L, 3), &label, lua_tostring(L, 4), &err));
    SAK_CHECK(L, &err, check_count(m->row, B, out.d[0], &err));
    SAK_CHECK(L, &err,
              sak_meter_update(m, sak_as_float(L, x, sak_shape_count(&out)),
                               sak_as_float(L, y, sak_shape_count(&label)), B, out.d[1],
                               out.d[2], &err));
    return 0;
}

/* meter:score() -> list of {name, value, unit, goal}; the first one stands for the task. */
static int m_score(lua_State *L)
{
    const sak_meter *m = to_meter(L, 1);
    double v[SAK_METER_VALUES];
    sak_meter_score(m, v);
    lua_newtable(L);
    for (int i = 0; i < sak_meter_values(m->row); i++) {
        lua_createtable(L, 0, 4);
        lua_pushstring(L, m->row->values[i].name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, m->row->values[i].unit);
        lua_setfield(L, -2, "unit");
        lua_pushstring(L, m->row->values[i].higher ? "max" : "min");
        lua_setfield(L, -2, "goal");
        lua_pushnumber(L, v[i]);
        lua_setfield(L, -2, "value");
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

/* meter:class_iou() -> list in percent */
static int m_class_iou(lua_State *L)
{
    const sak_meter *m = to_meter(L, 1);
    if (m->row->channels)
        return luaL_error(L, "a %s meter has no classes", m->row->task);
    double *iou = lua_newuserdatauv(L, sizeof *iou * (size_t)(m->spec.classes + 1), 0);
    sak_meter_class_iou(m, iou);
    lua_newtable(L);
    for (int i = 0; i < m->spec.classes; i++) {
        lua_pushnumber(L, iou[i]);
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

static sak_trivial *to_trivial(lua_State *L, int i)
{
    sak_trivial *t = luaL_checkudata(L, i, TRIVIAL);
    if (!t->row)
        luaL_error(L, "this predictor has been closed");
    return t;
}

/* core.trivial(task, classes) */
static int new_trivial(lua_State *L)
{
    sak_trivial *t = lua_newuserdatauv(L, sizeof *t, 0);
    *t = (sak_trivial){0};
    luaL_setmetatable(L, TRIVIAL);
    sak_error err;
    SAK_CHECK(L, &err, sak_trivial_open(t, luaL_checkstring(L, 1), (int)luaL_optinteger(L, 2, 0),
                                        &err));
    return 1;
}

static int t_close(lua_State *L)
{
    sak_trivial_close(luaL_checkudata(L, 1, TRIVIAL));
    return 0;
}

/* trivial:fit(graph, label) */
static int t_fit(lua_State *L)
{
    sak_shape s;
    sak_trivial *t = to_trivial(L, 1);
    const sak_real *y = values(L, &sak_to_graph(L, 2)->g, 3, &s);
    sak_error err;
    SAK_CHECK(L, &err, check_label(t->row, &s, lua_tostring(L, 3), &err));
    sak_trivial_fit(t, sak_as_float(L, y, sak_shape_count(&s)), s.d[0] * s.d[1] * s.d[2]);
    return 0;
}

/* trivial:score(meter, graph, label, valid): feeds the meter with the constant prediction. */
static int t_score(lua_State *L)
{
    const sak_trivial *t = to_trivial(L, 1);
    sak_meter *m = to_meter(L, 2);
    sak_shape s;
    const sak_real *y = values(L, &sak_to_graph(L, 3)->g, 4, &s);
    const int64_t B = luaL_optinteger(L, 5, s.d[0]);
    const int C = sak_meter_channels(m);
    sak_error err;
    if (t->row != m->row || (!t->row->channels && t->classes != C))
        return luaL_error(L, "a %s predictor of %d classes does not fit a %s meter of %d channels",
                          t->row->task, t->classes, m->row->task, C);
    SAK_CHECK(L, &err, check_label(m->row, &s, lua_tostring(L, 4), &err));
    SAK_CHECK(L, &err, check_count(m->row, B, s.d[0], &err));
    const int64_t pixels = B * s.d[1] * s.d[2];
    const float *label = sak_as_float(L, y, sak_shape_count(&s));
    float *one = lua_newuserdatauv(L, sizeof *one * (size_t)C, 0);
    float *out = malloc(sizeof *out * (size_t)(pixels * C + 1));
    if (!out)
        return luaL_error(L, "out of memory for the trivial predictor");
    sak_trivial_output(t, one);
    for (int64_t i = 0; i < pixels; i++)
        memcpy(out + i * C, one, sizeof *one * (size_t)C);
    const sak_status st = sak_meter_update(m, out, label, B, s.d[1], s.d[2], &err);
    free(out);
    return st == SAK_OK ? 0 : sak_raise(L, &err);
}

void sak_open_meter(lua_State *L)
{
    static const luaL_Reg meter[] = {{"update", m_update},
                                     {"score", m_score},
                                     {"class_iou", m_class_iou},
                                     {"close", m_close},
                                     {NULL, NULL}};
    static const luaL_Reg trivial[] = {
        {"fit", t_fit}, {"score", t_score}, {"close", t_close}, {NULL, NULL}};
    sak_new_type(L, TYPE, meter, m_close);
    sak_new_type(L, TRIVIAL, trivial, t_close);
    lua_pushcfunction(L, new_meter);
    lua_setfield(L, -2, "meter");
    lua_pushcfunction(L, new_trivial);
    lua_setfield(L, -2, "trivial");
}
