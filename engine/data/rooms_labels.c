/* Labels derived from rendered ones: edges from classes and instances, saliency by a rule. */
#include <string.h>

#include "data/rooms_scene.h"

/* Marks the nearer pixel of every 4-neighbour pair that differs in class or instance. */
void sak_rooms_edges(sak_sample *out)
{
    const int H = out->H, W = out->W;
    memset(out->edge, 0, (size_t)H * (size_t)W);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const size_t i = (size_t)y * (size_t)W + (size_t)x;
            const size_t next[2] = {i + 1, i + (size_t)W};
            for (int k = 0; k < 2; k++) {
                const size_t j = next[k];
                if (k ? y + 1 == H : x + 1 == W)
                    continue;
                if (out->semseg[i] != out->semseg[j] || out->instance[i] != out->instance[j])
                    out->edge[out->depth[j] < out->depth[i] ? j : i] = 1;
            }
        }
}

static bool can_be_salient(int cls)
{
    switch (cls) {
    case SAK_ROOMS_OTHER:
    case SAK_ROOMS_WALL:
    case SAK_ROOMS_FLOOR:
    case SAK_ROOMS_CEILING:
    case SAK_ROOMS_WINDOW:
    case SAK_ROOMS_DOOR:
        return false;
    default:
        return true;
    }
}

void sak_rooms_saliency(const rooms_scene *s, sak_sample *out)
{
    const int H = out->H, W = out->W;
    float score[256] = {0};
    int area[256] = {0};
    bool chosen[256] = {false};
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const float u = 2.0f * ((float)x + 0.5f) / (float)W - 1.0f,
                        v = 2.0f * ((float)y + 0.5f) / (float)H - 1.0f;
            const int id = out->instance[y * W + x];
            area[id]++;
            score[id] += 1.0f / (1.0f + 3.0f * (u * u + v * v));
        }
    bool people = false;
    for (int i = 0; i < s->objects; i++) {
        const rooms_object *o = &s->object[i];
        const int id = o->instance;
        if (o->cls == SAK_ROOMS_PERSON && (float)area[id] >= 0.004f * (float)(H * W))
            people = chosen[id] = true;
        if (!id || !can_be_salient(o->cls))
            score[id] = 0.0f;
    }
    score[0] = 0.0f;
    for (int rank = 0; rank < 3 && !people; rank++) {
        static const float share = 0.6f;
        int best = 0;
        float top = 0.0f;
        for (int i = 1; i < 256; i++) {
            top = score[i] > top ? score[i] : top;
            if (!chosen[i] && score[i] > (best ? score[best] : 0.0f))
                best = i;
        }
        if (best && score[best] >= share * top && (float)area[best] >= 0.004f * (float)(H * W))
            chosen[best] = true;
    }
    for (int i = 0; i < H * W; i++)
        out->sal[i] = chosen[out->instance[i]];
}
