/* Augmentation: draws the parameters of a view from its own random stream and runs the steps in
 * the order of sak-method.md section 5. */
#include "data/augment.h"

#include <math.h>
#include <string.h>

enum { MAX_SIDE = 32768, CROP_REDRAWS = 10, RESIZED_CROP_TRIES = 10 };

static bool scales(const sak_augment *a)
{
    return a->scale_lo != 0 || a->scale_hi != 0; /* both 0: left at their defaults, none */
}

sak_status sak_augment_check(const sak_augment *a, sak_error *err)
{
    if (a->H < 1 || a->W < 1 || a->H > MAX_SIDE || a->W > MAX_SIDE)
        return SAK_FAIL(err, SAK_EINVAL, "augment: output size %d x %d is not within 1 … %d", a->H,
                        a->W, MAX_SIDE);
    if (!(a->depth_max >= 0))
        return SAK_FAIL(err, SAK_EINVAL, "augment: depth_max must be >= 0, got %g", a->depth_max);
    if (!a->train)
        return SAK_OK;
    if (scales(a) && !(a->scale_lo > 0 && a->scale_lo <= a->scale_hi && a->scale_hi <= 64))
        return SAK_FAIL(err, SAK_EINVAL, "augment: scale needs 0 < lo <= hi <= 64, got %g, %g",
                        a->scale_lo, a->scale_hi);
    if (!(a->flip >= 0 && a->flip <= 1))
        return SAK_FAIL(err, SAK_EINVAL, "augment: flip is a probability, got %g", a->flip);
    if (!(a->max_class >= 0 && a->max_class <= 1))
        return SAK_FAIL(err, SAK_EINVAL, "augment: max_class is a share of the crop, got %g",
                        a->max_class);
    if (!(a->resized_crop_lo >= 0 && a->resized_crop_lo <= 1))
        return SAK_FAIL(err, SAK_EINVAL,
                        "augment: resized_crop_lo is an area fraction in [0, 1], got %g",
                        a->resized_crop_lo);
    if (a->views < 0 || a->views > 1 << 20)
        return SAK_FAIL(err, SAK_EINVAL, "augment: views must be 0 to %d, got %d", 1 << 20, a->views);
    if (a->resized_crop_hi != 0 &&
        !(a->resized_crop_hi >= a->resized_crop_lo && a->resized_crop_hi <= 1))
        return SAK_FAIL(err, SAK_EINVAL, "augment: resized_crop needs lo <= hi <= 1, got %g, %g",
                        a->resized_crop_lo, a->resized_crop_hi);
    return SAK_OK;
}

/* The stream of one view.  Other views get another seed, by a constant that does not collide with
 * the mixing inside the generator. */
static sak_rng open_stream(uint64_t seed, int64_t epoch, int64_t index, int view)
{
    const uint64_t fold = (uint64_t)view * 0xD1B54A32D192ED03ull;
    return sak_rng_open(seed ^ fold, SAK_RNG_AUGMENT, (uint64_t)epoch, (uint32_t)index);
}

/* Of the ways an image with `views` has, the epoch's: all of them in turn, from one that depends on the
 * seed, in a stream that does not. */
static sak_rng open_view(const sak_augment *a, uint64_t seed, int64_t epoch, int64_t index, int view)
{
    sak_rng r = sak_rng_open(seed, SAK_RNG_AUGMENT, UINT64_MAX, (uint32_t)index);
    const int64_t way = (sak_rng_int(&r, a->views) + epoch) % a->views;
    return open_stream(0, way, index, view);
}

/* The window of at most (H, W) in the middle of the resized image, in the middle of the output. */
static void centre(sak_geometry *g, const sak_augment *a)
{
    g->w = g->rw < a->W ? g->rw : a->W;
    g->h = g->rh < a->H ? g->rh : a->H;
    g->cx = (g->rw - g->w) / 2;
    g->cy = (g->rh - g->h) / 2;
    g->x0 = (a->W - g->w) / 2;
    g->y0 = (a->H - g->h) / 2;
}

/* A part of area U(lo, 1) and aspect exp(U(log 3/4, log 4/3)) (the recipe of Szegedy et al.,
 * arXiv:1409.4842), or the largest centred one of admissible aspect; resized to (H, W). */
static void draw_resized_crop(sak_geometry *g, const sak_augment *a, sak_rng *r)
{
    const int H = g->sh, W = g->sw;
    const double most = a->resized_crop_hi > 0 ? a->resized_crop_hi : 1;
    bool found = false;
    for (int i = 0; i < RESIZED_CROP_TRIES && !found; i++) {
        const double area = (double)H * W * sak_rng_range(r, a->resized_crop_lo, most);
        const double aspect = exp(sak_rng_range(r, log(3.0 / 4), log(4.0 / 3)));
        const double w = floor(sqrt(area * aspect) + 0.5), h = floor(sqrt(area / aspect) + 0.5);
        const double u = sak_rng_uniform(r), v = sak_rng_uniform(r);
        found = w >= 1 && h >= 1 && w <= W && h <= H;
        if (found) {
            g->sw = (int)w, g->sh = (int)h;
            g->sx = (int)(u * (W - g->sw + 1));
            g->sy = (int)(v * (H - g->sh + 1));
        }
    }
    if (!found) {
        if (3 * (int64_t)H > 4 * (int64_t)W)
            g->sh = (int)(W * 4.0 / 3 + 0.5);
        else if (3 * (int64_t)W > 4 * (int64_t)H)
            g->sw = (int)(H * 4.0 / 3 + 0.5);
        g->sx = (W - g->sw) / 2;
        g->sy = (H - g->sh) / 2;
    }
    g->rw = a->W, g->rh = a->H;
    /* Zooming in brings everything nearer; with unequal factors, by their geometric mean. */
    g->depth_divisor = sqrt((double)g->rw / g->sw * ((double)g->rh / g->sh));
}

static sak_status draw_crop(sak_geometry *g, const sak_augment *a, const sak_sample *in,
                            sak_rng *r, sak_scratch *scratch, sak_error *err)
{
    const int mx = g->rw - g->w, my = g->rh - g->h;
    const double most = a->max_class > 0 ? a->max_class : 0.75; /* of the labelled pixels */
    if (mx == 0 && my == 0)
        return SAK_OK;
    for (int i = 0; i <= CROP_REDRAWS; i++) {
        g->cx = (int)sak_rng_int(r, mx + 1);
        g->cy = (int)sak_rng_int(r, my + 1);
        if (i == CROP_REDRAWS || !in->semseg)
            break;
        double share;
        SAK_TRY(sak_geometry_fill(g, in->semseg, in->W, scratch, &share, err));
        if (share < most)
            break;
    }
    return SAK_OK;
}

static sak_status draw_geometry(sak_geometry *g, const sak_augment *a, const sak_sample *in,
                                double u_scale, double u_flip, sak_rng *r, sak_scratch *scratch,
                                sak_error *err)
{
    *g = (sak_geometry){.sw = in->W, .sh = in->H, .rw = in->W, .rh = in->H, .depth_divisor = 1};
    g->flip = a->train && u_flip < a->flip;
    if (a->train && a->resized_crop_lo > 0) {
        draw_resized_crop(g, a, r);
    } else if (a->train && scales(a)) {
        const double s = a->scale_lo + (a->scale_hi - a->scale_lo) * u_scale;
        g->rw = (int)(in->W * s) > 1 ? (int)(in->W * s) : 1;
        g->rh = (int)(in->H * s) > 1 ? (int)(in->H * s) : 1;
        g->depth_divisor = s;
    }
    centre(g, a);
    return a->train && a->random_crop ? draw_crop(g, a, in, r, scratch, err) : SAK_OK;
}

static void distort(const sak_photometric *p, sak_view *v)
{
    uint8_t *rgb = v->s.rgb + 3 * ((size_t)v->y0 * v->s.W + v->x0);
    sak_photometric_apply(p, rgb, v->w, v->h, 3 * (size_t)v->s.W);
}

sak_status sak_augment_view(const sak_augment *a, uint64_t seed, int64_t epoch, int64_t index,
                            int view, const sak_sample *in, unsigned want, sak_scratch *scratch,
                            sak_view *out, sak_error *err)
{
    if (in->H < 1 || in->W < 1 || in->H > MAX_SIDE * 2 || in->W > MAX_SIDE * 2)
        return SAK_FAIL(err, SAK_ESHAPE, "augment: an image of %d x %d pixels", in->H, in->W);
    if (want & ~in->has)
        return SAK_FAIL(err, SAK_EINVAL, "augment: the sample lacks modalities 0x%x",
                        want & ~in->has);
    SAK_TRY(sak_sample_reserve(&out->s, want, a->H, a->W, err));
    memcpy(out->s.caption, in->caption, sizeof out->s.caption);
    memcpy(out->s.id, in->id, sizeof out->s.id);

    /* What takes a fixed number of draws comes first: the crop's redraws then shift nothing. */
    sak_rng r = open_stream(seed, epoch, index, view);
    double u_scale = sak_rng_uniform(&r);
    const double u_flip = sak_rng_uniform(&r);
    if (a->views > 0) {
        r = open_view(a, seed, epoch, index, view);
        u_scale = sak_rng_uniform(&r);
        (void)sak_rng_uniform(&r); /* flips are drawn anew: each way has two views */
    }
    const sak_photometric p =
        sak_photometric_draw(&r, a->train && a->photometric, a->train && a->greyscale);
    sak_geometry g;
    SAK_TRY(draw_geometry(&g, a, in, u_scale, u_flip, &r, scratch, err));
    SAK_TRY(sak_geometry_apply(&g, in, scratch, out, err));
    if (out->s.rgb)
        distort(&p, out);
    sak_geometry_pad(out);
    const int64_t n = (int64_t)a->H * a->W;
    if (out->s.normals)
        sak_ignore_normals(out->s.normals, n);
    if (out->s.parts)
        sak_ignore_parts(out->s.parts, n);
    if (out->s.depth)
        sak_ignore_depth(out->s.depth, n, a->depth_max);
    return SAK_OK;
}

void sak_view_digest(const sak_view *v, uint8_t out[SAK_HASH_BYTES])
{
    const int32_t place[] = {v->s.H, v->s.W, v->x0, v->y0, v->w, v->h};
    sak_hash h;
    sak_hash_open(&h);
    sak_hash_add(&h, place, sizeof place);
    sak_hash_add(&h, v->s.rgb, 3 * (size_t)v->s.H * (size_t)v->s.W);
    sak_hash_digest(&h, out);
}

sak_status sak_augment_sample(const sak_augment *a, uint64_t seed, int64_t epoch, int64_t index,
                              int view, const sak_sample *in, sak_sample *out, sak_error *err)
{
    SAK_TRY(sak_augment_check(a, err));
    sak_scratch scratch = {0};
    sak_view v = {.s = *out};
    const sak_status st =
        sak_augment_view(a, seed, epoch, index, view, in, in->has, &scratch, &v, err);
    *out = v.s;
    sak_scratch_close(&scratch);
    return st;
}
