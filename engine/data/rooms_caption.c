/* Captions: what is visible, said in a fixed vocabulary, e.g.
 * "a bright living room with a red sofa , two chairs and a person in blue standing near window ,
 * sofa left of window".  An object counts from 0.3% of the image on; groups come by visible area.
 */
#include <string.h>

#include "data/rooms_scene.h"

enum word {
    PAD,
    A,
    AN,
    AND,
    COMMA,
    WITH,
    IN,
    ON,
    OF,
    NEAR,
    LEFT,
    RIGHT,
    FRONT,
    BEHIND,
    BRIGHT,
    DARK,
    ROOM,
    TYPES,                            /* 6, in the order of the recipes of rooms_scene.c */
    COLOURS = TYPES + 6,              /* in the order of the palette of rooms_texture.c */
    COUNTS = COLOURS + ROOMS_COLOURS, /* two … five, many */
    POSES = COUNTS + 5,               /* rooms_pose */
    NOUNS = POSES + 4,                /* of the classes from TABLE on, singular and plural */
    WORDS = NOUNS + 2 * (SAK_ROOMS_CLASSES - SAK_ROOMS_TABLE)
};

static const char *const words[] = {
    "",         "a",        "an",      "and",     ",",       "with",     "in",     "on",
    "of",       "near",     "left",    "right",   "front",   "behind",   "bright", "dark",
    "room",     "bedroom",  "living",  "office",  "kitchen", "storage",  "hall",   "red",
    "orange",   "yellow",   "green",   "blue",    "purple",  "pink",     "brown",  "white",
    "grey",     "black",    "teal",    "two",     "three",   "four",     "five",   "many",
    "standing", "walking",  "sitting", "lying",   "table",   "tables",   "chair",  "chairs",
    "sofa",     "sofas",    "bed",     "beds",    "cabinet", "cabinets", "lamp",   "lamps",
    "picture",  "pictures", "window",  "windows", "door",    "doors",    "person", "people",
    "box",      "boxes",    "plant",   "plants"};

_Static_assert(sizeof words / sizeof *words == WORDS, "the words and their numbers must agree");

int sak_rooms_vocabulary(void)
{
    return WORDS;
}

const char *sak_rooms_word(int id)
{
    return id > 0 && id < WORDS ? words[id] : "";
}

/* What is seen of one object, and of one class. */
typedef struct seen {
    float area, x, depth; /* share of the image; mean column -1 … 1 and depth in metres */
} seen;

typedef struct group {
    int cls, count, object; /* object: the largest of the class */
    float area;
} group;

typedef struct phrase {
    uint16_t *to;
    int n;
} phrase;

/* Appends all words up to the first PAD, or none when they do not fit; the last place stays 0. */
static void say(phrase *p, const int say_words[8])
{
    int n = 0;
    while (n < 8 && say_words[n] != PAD)
        n++;
    if (p->n + n > SAK_CAPTION_MAX - 1)
        return;
    for (int i = 0; i < n; i++)
        p->to[p->n++] = (uint16_t)say_words[i];
}

static int noun(int cls, bool plural)
{
    return NOUNS + 2 * (cls - SAK_ROOMS_TABLE) + plural;
}

static void look(const rooms_scene *s, const sak_sample *x, seen *of)
{
    int object[256];
    for (int i = 0; i < 256; i++)
        object[i] = -1;
    for (int i = 0; i < s->objects; i++)
        if (s->object[i].instance)
            object[s->object[i].instance] = i;
    const float share = 1.0f / ((float)x->H * (float)x->W);
    for (int i = 0; i < x->H * x->W; i++) {
        const int k = object[x->instance[i]];
        if (k < 0)
            continue;
        of[k].area += share;
        of[k].x += share * (2.0f * ((float)(i % x->W) + 0.5f) / (float)x->W - 1.0f);
        of[k].depth += share * x->depth[i];
    }
    for (int i = 0; i < s->objects; i++)
        if (of[i].area > 0.0f) {
            of[i].x /= of[i].area;
            of[i].depth /= of[i].area;
        }
}

static bool counts(const rooms_scene *s, const seen *of, int i)
{
    return s->object[i].cls >= SAK_ROOMS_TABLE && of[i].area >= 0.003f;
}

/* Groups by class, largest visible area first. */
static int gather(const rooms_scene *s, const seen *of, group *g)
{
    group by[SAK_ROOMS_CLASSES] = {{0, 0, 0, 0}};
    int n = 0;
    for (int i = 0; i < s->objects; i++) {
        group *k = &by[s->object[i].cls];
        if (!counts(s, of, i))
            continue;
        if (!k->count || of[i].area > of[k->object].area)
            k->object = i;
        k->count++;
        k->area += of[i].area;
    }
    for (int c = 0; c < SAK_ROOMS_CLASSES; c++) {
        if (!by[c].count)
            continue;
        by[c].cls = c;
        int j = n++;
        for (; j > 0 && g[j - 1].area < by[c].area; j--)
            g[j] = g[j - 1];
        g[j] = by[c];
    }
    return n;
}

static int colour_of(const rooms_scene *s, int object)
{
    return COLOURS + s->material[s->object[object].material].colour;
}

static int article(int word)
{
    return strchr("aeiou", words[word][0]) ? AN : A;
}

/* Pose and place of a person: "sitting on sofa", "standing near window". */
static void posture(const rooms_scene *s, const seen *of, int person, phrase *p)
{
    const rooms_object *o = &s->object[person];
    const int pose = POSES + o->pose;
    if (o->host != ROOMS_NO_OBJECT) {
        say(p, (const int[8]){pose, ON, noun(s->object[o->host].cls, false)});
        return;
    }
    int nearest = -1;
    float best = 1.8f * 1.8f; /* metres: nothing beyond counts as near */
    for (int i = 0; i < s->objects; i++) {
        const vec3 d = v_sub(s->object[i].centre, o->centre);
        const float d2 = d.x * d.x + d.z * d.z;
        if (i != person && s->object[i].cls != SAK_ROOMS_PERSON && counts(s, of, i) && d2 < best) {
            best = d2;
            nearest = i;
        }
    }
    say(p, nearest < 0 ? (const int[8]){pose}
                       : (const int[8]){pose, NEAR, noun(s->object[nearest].cls, false)});
}

static void tell_group(const rooms_scene *s, const seen *of, const group *g, phrase *p)
{
    if (g->count > 1)
        say(p, (const int[8]){COUNTS + (g->count < 6 ? g->count - 2 : 4), noun(g->cls, true)});
    else if (g->cls == SAK_ROOMS_PERSON)
        say(p, (const int[8]){A, noun(g->cls, false), IN, colour_of(s, g->object)});
    else if (g->cls == SAK_ROOMS_PICTURE || g->cls == SAK_ROOMS_WINDOW)
        say(p, (const int[8]){A, noun(g->cls, false)});
    else
        say(p, (const int[8]){article(colour_of(s, g->object)), colour_of(s, g->object),
                              noun(g->cls, false)});
    if (g->count == 1 && g->cls == SAK_ROOMS_PERSON)
        posture(s, of, g->object, p);
}

/* How the two largest single things stand to one another. */
static void relate(const seen *of, const group *g, int n, phrase *p)
{
    const group *pair[2] = {0};
    for (int i = 0, k = 0; i < n && k < 2; i++)
        if (g[i].count == 1)
            pair[k++] = &g[i];
    if (!pair[1])
        return;
    const seen *a = &of[pair[0]->object], *b = &of[pair[1]->object];
    const int first = noun(pair[0]->cls, false), second = noun(pair[1]->cls, false);
    if (a->x < b->x - 0.3f)
        say(p, (const int[8]){COMMA, first, LEFT, OF, second});
    else if (a->x > b->x + 0.3f)
        say(p, (const int[8]){COMMA, first, RIGHT, OF, second});
    else if (a->depth < b->depth)
        say(p, (const int[8]){COMMA, first, IN, FRONT, OF, second});
    else
        say(p, (const int[8]){COMMA, first, BEHIND, second});
}

void sak_rooms_caption(const rooms_scene *s, sak_sample *out)
{
    enum { LIVING = 1, GROUPS = 5 };
    seen of[ROOMS_MAX_OBJECTS] = {{0, 0, 0}};
    group g[SAK_ROOMS_CLASSES];
    memset(out->caption, 0, sizeof out->caption);
    phrase p = {out->caption, 0};
    look(s, out, of);
    const int all = gather(s, of, g), n = all < GROUPS ? all : GROUPS;
    const int mood = s->exposure > 0.31f ? BRIGHT : s->exposure < 0.2f ? DARK : PAD;
    say(&p, (const int[8]){mood ? A : article(TYPES + s->type), mood});
    say(&p, s->type == LIVING || s->type == 4 ? (const int[8]){TYPES + s->type, ROOM}
                                              : (const int[8]){TYPES + s->type});
    for (int i = 0; i < n; i++) {
        say(&p, (const int[8]){i == 0 ? WITH : i == n - 1 ? AND : COMMA});
        tell_group(s, of, &g[i], &p);
    }
    relate(of, g, n, &p);
}
