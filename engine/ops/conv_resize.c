/* Convolution of a resized map without making the resized map.  Resizing is linear and works on
 * every channel alike, so it commutes with the kernel's channel mixing:
 *
 *     conv(resize(x)) = sum over kernel positions (u, v) of shift_uv(resize(x W_uv)).
 *
 * The products run on the small grid, one GEMM with kh kw O columns; one pass then resizes, shifts
 * (zeros outside the resized map) and sums them, first down the lines, then along them. */
#include <string.h>

#include "base/alloc.h"
#include "kernels/colsum.h"
#include "kernels/gemm.h"
#include "kernels/resample_window.h"
#include "kernels/simd.h"
#include "ops/op.h"

#define BLOCK 128             /* channels of one task: its lines stay in the second-level cache */
#define PASS_ELEMENTS 8388608 /* products held at once, 32 MiB of float: bounds the scratch */

typedef struct fused {
    const sak_opcall *c;
    int64_t B, h, w, I, O, kh, kw, taps; /* x (B, h, w, I) */
    int64_t up_h, up_w;                  /* resized to this, */
    int64_t pad, H, W;                   /* then convolved to (B, H, W, O) */
    int64_t block, images;               /* channels of a task; images of a pass */
    sak_resize_mode mode;
    sak_window_taps rows, cols; /* with element offsets in place of indices, see open_tables */
    sak_real *packed; /* (kh, kw, O, I): the weight, or its gradient */
    sak_real *maps;             /* (images, h, w, kh, kw, O): the products or their gradients */
    int64_t first, n;           /* the pass: images first … first + n */
} fused;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static fused sizes(const sak_opshape *s)
{
    const sak_shape *x = &s->x[0], *k = &s->x[1], *size = &s->attr->dims;
    fused f = {.B = x->d[0], .h = x->d[1], .w = x->d[2], .I = x->d[3], .O = k->d[0], .kh = k->d[2],
               .kw = k->d[3], .taps = k->d[2] * k->d[3], .up_h = size->d[0], .up_w = size->d[1],
               .pad = (int64_t)SAK_ATTR(s, 1), .mode = (sak_resize_mode)SAK_ATTR(s, 2)};
    f.H = f.up_h + 2 * f.pad - f.kh + 1;
    f.W = f.up_w + 2 * f.pad - f.kw + 1;
    f.block = least(f.O, BLOCK);
    const int64_t fit = PASS_ELEMENTS / (f.h * f.w * f.taps * f.O);
    f.images = least(fit < 1 ? 1 : fit, f.B);
    return f;
}

static sak_status fused_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *x = &s->x[0], *k = &s->x[1], *size = &s->attr->dims;
    if (x->n != 4 || k->n != 4 || x->d[3] != k->d[1] || x->d[1] < 1 || x->d[2] < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: x must be (B, H, W, in) and weight (out, in, kh, kw), "
                        "got %s and %s", s->op->name, SAK_SHAPE_TEXT(x), SAK_SHAPE_TEXT(k));
    if (size->n != 2 || size->d[0] < 1 || size->d[1] < 1)
        return SAK_FAIL(err, SAK_EINVAL, "%s: size must be (height, width), got %s", s->op->name,
                        SAK_SHAPE_TEXT(size));
    if (s->n_in > 2 && (s->x[2].n != 1 || s->x[2].d[0] != k->d[0]))
        return SAK_FAIL(err, SAK_ESHAPE, "%s: bias must be (%lld), got %s", s->op->name,
                        (long long)k->d[0], SAK_SHAPE_TEXT(&s->x[2]));
    const fused f = sizes(s);
    if (f.pad < 0 || f.H < 1 || f.W < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: a %lld x %lld kernel does not fit into a map of %lld x "
                        "%lld with padding %lld", s->op->name, (long long)f.kh, (long long)f.kw,
                        (long long)f.up_h, (long long)f.up_w, (long long)f.pad);
    s->y = SAK_SHAPE(f.B, f.H, f.W, f.O);
    return SAK_OK;
}

/* --- scratch --------------------------------------------------------------------------------------*/

static int64_t in_lines(int64_t bytes)
{
    return (bytes + SAK_ALIGN - 1) / SAK_ALIGN * SAK_ALIGN / (int64_t)sizeof(sak_real);
}

static int64_t row_table(const fused *f)
{
    return in_lines(sak_window_taps_bytes(f->h, f->up_h, f->kh, f->pad, f->mode));
}

static int64_t col_table(const fused *f)
{
    return in_lines(sak_window_taps_bytes(f->w, f->up_w, f->kw, f->pad, f->mode));
}

static int64_t weight_room(const fused *f)
{
    return in_lines(f->taps * f->O * f->I * (int64_t)sizeof(sak_real));
}

static sak_scratch fused_scratch(const sak_opshape *s)
{
    const fused f = sizes(s);
    int64_t maps = f.images * f.h * f.w * f.taps * f.O;
    const int64_t sums = sak_column_sums_scratch(f.B * f.H * f.W, f.O);
    if (s->n_in > 2 && maps < sums)
        maps = sums;
    const int64_t forward = f.w * f.kw * f.block, backward = f.W * f.block;
    return (sak_scratch){.shared = row_table(&f) + col_table(&f) + weight_room(&f) + maps,
                         .each = forward > backward ? forward : backward};
}

/* Builds the tables and turns their indices into offsets: of a source line in the products, of a
 * source column in a task's line of them; of a target line in y, of a target column in a line. */
static fused open_tables(const sak_opcall *c)
{
    fused f = sizes(c->s);
    f.c = c;
    sak_real *room = c->shared;
    f.rows = sak_window_taps_build(f.h, f.up_h, f.kh, f.pad, f.mode, room);
    room += row_table(&f);
    f.cols = sak_window_taps_build(f.w, f.up_w, f.kw, f.pad, f.mode, room);
    room += col_table(&f);
    for (int64_t e = 0; e < f.rows.at[f.rows.n]; e++) {
        const int64_t s = f.rows.source[e];
        f.rows.source[e] = (s / f.kh * f.w * f.taps + s % f.kh * f.kw) * f.O;
        f.rows.back_target[e] *= f.W * f.O;
    }
    for (int64_t e = 0; e < f.cols.at[f.cols.n]; e++) {
        f.cols.source[e] *= f.block;
        f.cols.back_target[e] *= f.block;
    }
    f.packed = room;
    f.maps = room + weight_room(&f);
    return f;
}

static double fused_flops(const sak_opshape *s)
{
    const fused f = sizes(s);
    const double products = (double)(f.B * f.h * f.w * f.taps) * (double)(f.I * f.O);
    const int64_t down = sak_resize_most_taps(f.h, f.up_h, f.mode) * f.kh * f.w * f.kw;
    const int64_t along = sak_resize_most_taps(f.w, f.up_w, f.mode) * f.kw * f.W;
    return 2 * (products + (double)(f.B * f.H * f.O) * (double)(down + along));
}

/* --- weights --------------------------------------------------------------------------------------*/

static void pack_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const fused *f = ctx;
    for (int64_t o = begin; o < end; o++)
        for (int64_t t = 0; t < f->taps; t++) {
            const sak_real *from = f->c->x[1] + o * f->I * f->taps + t;
            sak_real *to = f->packed + (t * f->O + o) * f->I;
            for (int64_t i = 0; i < f->I; i++)
                to[i] = from[i * f->taps];
        }
}

static void unpack_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const fused *f = ctx;
    const bool acc = f->c->acc[1] || f->first > 0;
    for (int64_t o = begin; o < end; o++)
        for (int64_t i = 0; i < f->I; i++)
            for (int64_t t = 0; t < f->taps; t++)
                sak_put(f->c->dx[1], (o * f->I + i) * f->taps + t,
                        f->packed[(t * f->O + o) * f->I + i], acc);
}

static int64_t pack_grain(const fused *f)
{
    return 32768 / (f->I * f->taps) + 1;
}

/* --- resize, shift, sum ---------------------------------------------------------------------------*/

/* Task: image, block of channels and line, the lines of a block one after the other. */
typedef struct task {
    int64_t image, line, from, n; /* channels from … from + n */
} task;

static task task_of(const fused *f, int64_t t, int64_t lines)
{
    const int64_t blocks = sak_chunks(f->O, f->block), from = t / lines % blocks * f->block;
    return (task){t / lines / blocks, t % lines, from, least(f->block, f->O - from)};
}

static int64_t line_grain(const fused *f)
{
    const int64_t work = f->block * (f->w * f->taps * 2 + f->W * f->kw * 2);
    return 65536 / work + 1;
}

/* One line of y: the products above and below it mixed into a line of (w, kw, block), then mixed
 * along.  When one block holds all channels, those of a kernel line lie side by side. */
static void sum_line(const fused *f, const task *t, sak_real *line)
{
    const sak_simd *k = sak_simd_table();
    const int64_t at = f->rows.at[t->line], n_taps = f->rows.at[t->line + 1] - at;
    const int64_t at_once = t->n == f->O ? f->kw : 1;
    const sak_real *maps = f->maps + t->image * f->h * f->w * f->taps * f->O + t->from;
    for (int64_t x = 0; x < f->w; x++)
        for (int64_t v = 0; v < f->kw; v += at_once)
            k->mix(at_once * t->n, n_taps, f->rows.weight + at, f->rows.source + at,
                   maps + (x * f->taps + v) * f->O, line + (x * f->kw + v) * f->block, false);
    const sak_real *bias = f->c->s->n_in > 2 ? f->c->x[2] + t->from : NULL;
    sak_real *y = f->c->y + ((f->first + t->image) * f->H + t->line) * f->W * f->O + t->from;
    for (int64_t j = 0; j < f->W; j++, y += f->O) {
        if (bias)
            memcpy(y, bias, (size_t)t->n * sizeof *y);
        k->mix(t->n, f->cols.at[j + 1] - f->cols.at[j], f->cols.weight + f->cols.at[j],
               f->cols.source + f->cols.at[j], line, y, bias != NULL);
    }
}

static void sum_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const fused *f = ctx;
    for (int64_t i = begin; i < end; i++) {
        const task t = task_of(f, i, f->H);
        sum_line(f, &t, sak_each(f->c, worker));
    }
}

/* The adjoint, for one line of the small grid: every product's gradient there. */
static void spread_line(const fused *f, const task *t, sak_real *line)
{
    const sak_simd *k = sak_simd_table();
    const int64_t at_once = t->n == f->O ? f->W : 1;
    const sak_real *dy = f->c->dy + (f->first + t->image) * f->H * f->W * f->O + t->from;
    sak_real *maps = f->maps + (t->image * f->h + t->line) * f->w * f->taps * f->O + t->from;
    for (int64_t u = 0; u < f->kh; u++) {
        const int64_t *at = f->rows.back_at + t->line * f->kh + u;
        for (int64_t j = 0; j < f->W; j += at_once)
            k->mix(at_once * t->n, at[1] - at[0], f->rows.back_weight + at[0],
                   f->rows.back_target + at[0], dy + j * f->O, line + j * f->block, false);
        for (int64_t x = 0; x < f->w; x++)
            for (int64_t v = 0; v < f->kw; v++) {
                const int64_t *to = f->cols.back_at + x * f->kw + v;
                k->mix(t->n, to[1] - to[0], f->cols.back_weight + to[0],
                       f->cols.back_target + to[0], line,
                       maps + (x * f->taps + u * f->kw + v) * f->O, false);
            }
    }
}

static void spread_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const fused *f = ctx;
    for (int64_t i = begin; i < end; i++) {
        const task t = task_of(f, i, f->h);
        spread_line(f, &t, sak_each(f->c, worker));
    }
}

/* --- the op ---------------------------------------------------------------------------------------*/

static void fused_forward(const sak_opcall *c)
{
    fused f = open_tables(c);
    const int64_t K = f.taps * f.O, blocks = sak_chunks(f.O, f.block);
    sak_parallel_for(f.O, pack_grain(&f), pack_rows, &f);
    for (; f.first < f.B; f.first += f.n) {
        f.n = least(f.images, f.B - f.first);
        const sak_real *x = c->x[0] + f.first * f.h * f.w * f.I;
        sak_gemm_parallel(f.n * f.h * f.w, K, f.I, (sak_mat){x, f.I, 1},
                          (sak_mat){f.packed, 1, f.I}, f.maps, K, 1, 0);
        sak_parallel_for(f.n * blocks * f.H, line_grain(&f), sum_lines, &f);
    }
}

static void fused_backward(const sak_opcall *c)
{
    fused f = open_tables(c);
    const int64_t K = f.taps * f.O, blocks = sak_chunks(f.O, f.block);
    for (; (c->dx[0] || c->dx[1]) && f.first < f.B; f.first += f.n) {
        f.n = least(f.images, f.B - f.first);
        const int64_t pixels = f.n * f.h * f.w, at = f.first * f.h * f.w * f.I;
        sak_parallel_for(f.n * blocks * f.h, line_grain(&f), spread_lines, &f);
        if (c->dx[0]) {
            sak_parallel_for(f.O, pack_grain(&f), pack_rows, &f);
            sak_gemm_parallel(pixels, f.I, K, (sak_mat){f.maps, K, 1}, (sak_mat){f.packed, f.I, 1},
                              c->dx[0] + at, f.I, 1, c->acc[0]);
        }
        if (c->dx[1]) {
            sak_gemm_parallel(K, f.I, pixels, (sak_mat){f.maps, 1, K},
                              (sak_mat){c->x[0] + at, f.I, 1}, f.packed, f.I, 1, 0);
            sak_parallel_for(f.O, pack_grain(&f), unpack_rows, &f);
        }
    }
    if (c->s->n_in > 2 && c->dx[2])
        sak_column_sums(f.B * f.H * f.W, f.O, c->dy, c->dx[2], c->acc[2], f.maps);
}

static const sak_attr_spec fused_attrs[] = {
    {.name = "size", .type = SAK_ATTR_DIMS, .required = true, .doc = "height and width before the "
                                                                     "convolution"},
    {.name = "padding", .type = SAK_ATTR_INT, .doc = "zeros around the resized map"},
    {.name = "mode", .type = SAK_ATTR_CHOICE, .choices = SAK_RESIZE_MODES,
     .doc = "interpolation; half-pixel centres"},
    {0},
};

const sak_op sak_ops_conv_resize[] = {
    {.name = "resize_conv2d", .inputs = "x weight bias?", .n_in = 2, .max_in = 3,
     .attrs = fused_attrs, .shape = fused_shape, .forward = fused_forward,
     .backward = fused_backward, .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .scratch = fused_scratch,
     .flops = fused_flops,
     .cases = (const char *const[]){
         "x=2x2x3x3 weight=4x3x3x3 bias=4; size=5x7 padding=1", /* up, odd */
         "x=1x1x1x2 weight=3x2x3x3; size=3x4 padding=1",        /* one element */
         "x=1x5x7x2 weight=2x2x3x3 bias=2; size=3x2 padding=1", /* down */
         "x=2x3x2x2 weight=3x2x1x1 bias=3; size=5x6",
         "x=1x2x3x2 weight=2x2x2x3; size=4x4 padding=2",
         "x=1x2x2x1 weight=1x1x5x5; size=2x3 padding=2",
         "x=1x2x2x1 weight=2x1x1x1 bias=2; size=2x2 padding=1",
         "x=1x3x3x2 weight=2x2x3x3; size=6x5 padding=1 mode=bicubic",
         "x=1x5x4x2 weight=2x2x3x3; size=3x2 padding=1 mode=bicubic_antialias",
         "x=1x2x3x2 weight=2x2x3x3; size=5x4 padding=1 mode=nearest",
         "x=1x2x1x1 weight=131x1x2x1 bias=131; size=3x2", /* two blocks of channels */
         NULL},
     .eq = "y = conv2d(resize(x), weight, bias) = bias + sum_uv shift_uv(resize(x weight_uv))",
     .doc = "A resize, then a 2-D convolution of stride 1, multiplied out on the map before "
            "resizing."},
    {0},
};
