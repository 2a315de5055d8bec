/* The engine's number type: float in the product, double in the test-only build of the same core
 * (gradient checks by central differences prove something only in double). */
#ifndef SAK_BASE_REAL_H
#define SAK_BASE_REAL_H

#ifdef SAK_DOUBLE
typedef double sak_real;
#define SAK_REAL_MAX 1.7976931348623157e308
#else
typedef float sak_real;
#define SAK_REAL_MAX 3.40282347e38f
#endif

#endif
