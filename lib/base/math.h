/* math.h - elementary functions by fixed formulas, so that tables built from them have the same bytes everywhere.
 *
 * libm's expf may differ between C libraries and CPUs in the last bit. These use only +, -, *, / and sqrt on doubles,
 * which IEEE 754 defines exactly; results are within 1 ulp of f32 after rounding. Files that use them must be compiled
 * with -ffp-contract=off (the default for all of the library). NaN gives NaN.
 */
#ifndef Q8_BASE_MATH_H
#define Q8_BASE_MATH_H

double q8_exp(double x);  /* 0 below -745, +inf above 709 */
double q8_log(double x);  /* natural; -inf at 0, NaN below */
double q8_erf(double x);
double q8_tanh(double x);
double q8_sigmoid(double x); /* 1 / (1 + e^-x) */

#endif
