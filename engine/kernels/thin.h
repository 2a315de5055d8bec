/* Thinning of binary maps: predicted and true boundaries, before they are matched or learned. */
#ifndef SAK_KERNELS_THIN_H
#define SAK_KERNELS_THIN_H

#include <stdint.h>

/* Thins a binary map, row-major (H, W), to one-pixel lines, in place (Guo & Hall 1989 in the form of
 * MATLAB's bwmorph 'thin').  list: room for H * W ints; returns how many pixels remain, listed in
 * `list` in row-major order. */
int sak_thin(uint8_t *map, int H, int W, int *list);

#endif
