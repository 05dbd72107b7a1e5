//! Exponential, logarithm, σ, cross-entropy and related formulas for one row. They are computed for a SIMD vector of
//! rows at once.
//!
//! All formulas of a score z use `t = e^-|z| ≤ 1`, which cannot overflow, so that no function has to clip z. Functions
//! with an error of at most 1 ULP compute `t` and quotients as unevaluated sums of a high and a low part; the two parts
//! are added last. Powers of two are multiplied last, so that subnormal results stay accurate.
//!
//! Sources: argument reduction and compensated sums, J.-M. Muller et al., *Handbook of Floating-Point Arithmetic*, 2nd
//! ed. (2018), chs. 4 and 10; `log1p` by `atanh`, W. J. Cody & W. Waite, *Software Manual for the Elementary Functions*
//! (1980).

use fearless_simd::f64x8;
use fearless_simd::prelude::*;

use crate::error::Error;
use crate::float::Float;
use crate::simd::{self, MulAdd, dispatch};

/// The unevaluated sum `high + low`, where |low| is at most half a unit in the last place of `high`.
#[derive(Clone, Copy)]
struct Pair<V> {
    high: V,
    low: V,
}

/// `2^k` with `k ≤ 0`, as a product of two powers of two. Neither of the two is subnormal, even if `2^k` is.
#[derive(Clone, Copy)]
struct PowerOfTwo<V> {
    first: V,
    second: V,
}

/// Splits `-a` into `r + k·ln 2` with an integer `k`. Returns `r` as a pair, and `2^k`.
///
/// Domain: `a ≥ 0` or NaN. `a` is clamped at `EXP_CLAMP`, because `e^-a` is zero for larger `a`.
#[inline(always)]
fn reduce<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(a: V) -> (Pair<V>, PowerOfTwo<V>) {
    let limit = V::splat(a.token(), F::EXP_CLAMP);
    reduce_unclamped(a.simd_gt(limit).select(limit, a)) // NaN compares false and passes through
}

/// Splits `-a` into `r + k·ln 2`, like [`reduce`] but without clamping: `a` must be at most `EXP_CLAMP`, or NaN.
#[inline(always)]
fn reduce_unclamped<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(
    a: V,
) -> (Pair<V>, PowerOfTwo<V>) {
    let rounded = a.mul_add_fused(-F::LOG2_E, F::ROUND);
    let k = rounded - F::ROUND;
    let r = fast_two_sum(k.mul_add_fused(-F::LN_2_HIGH, -a), k * -F::LN_2_LOW);

    // The low bits of `rounded` hold k + 2·bias > 0. They are split into two summands that differ by at most 1. Each is
    // a biased exponent, and the two powers of two with these exponents multiply to 2^k. Shifting a summand into the
    // exponent field drops its higher bits, which come from the other bits of `rounded`.
    let bits = rounded.to_bits();
    let half = bits >> 1;
    let power = PowerOfTwo {
        first: V::from_bits(half << F::SIGNIFICAND_BITS),
        second: V::from_bits((bits - half) << F::SIGNIFICAND_BITS),
    };
    (r, power)
}

/// `e^-a` as a pair and a power of two, which have still to be multiplied. Relative error of the pair: about 2^-57
/// (f64), 2^-28 (f32).
#[inline(always)]
fn exp_pair<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(a: V) -> (Pair<V>, PowerOfTwo<V>) {
    let (r, power) = reduce(a);
    let s = r.high + F::ONE;
    let rest = r.high - (s - F::ONE); // exact: |r| < 1
    let low = (r.high * r.high).mul_add_fused(F::exp_tail(r.high), rest + r.low);
    (fast_two_sum(s, low), power)
}

/// `e^-a` for `a ≥ 0` or NaN, to 2 ULP, subnormal results included.
#[inline(always)]
pub(crate) fn exp_neg<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(a: V) -> V {
    let (r, power) = reduce(a);
    let m = (r.high * r.high).mul_add_fused(F::exp_tail(r.high), r.high) + F::ONE;
    scale(m, power)
}

/// `a + b` as a pair (rounded sum, rounding error), for `|a| ≥ |b|`.
#[inline(always)]
fn fast_two_sum<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(a: V, b: V) -> Pair<V> {
    let high = a + b;
    Pair {
        high,
        low: b - (high - a),
    }
}

#[inline(always)]
fn scale<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(x: V, power: PowerOfTwo<V>) -> V {
    (x * power.first) * power.second
}

/// `n / d` as a pair. It takes one division.
#[inline(always)]
fn divide<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(n: Pair<V>, d: Pair<V>) -> Pair<V> {
    let reciprocal = V::splat(d.high.token(), F::ONE) / d.high;
    let high = n.high * reciprocal;
    let residual = (-high).mul_add_fused(d.high, n.high) + (-high).mul_add_fused(d.low, n.low);
    Pair {
        high,
        low: residual * reciprocal,
    }
}

/// σ(z) = 1 / (1 + e^-z), within 1 ULP, for every `z`.
#[inline(always)]
pub(crate) fn sigmoid<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(z: V) -> V {
    let one = V::splat(z.token(), F::ONE);
    let zero = V::splat(z.token(), F::ZERO);
    let (m, power) = exp_pair(z.abs());
    let t = Pair {
        high: scale(m.high, power),
        low: scale(m.low, power),
    };
    let sum = fast_two_sum(one, t.high);
    let denominator = Pair {
        high: sum.high,
        low: sum.low + t.low,
    };

    let positive = z.simd_gt(zero);
    let numerator = Pair {
        high: positive.select(one, m.high),
        low: positive.select(zero, m.low),
    };
    let quotient = divide(numerator, denominator);
    let quotient = quotient.high + quotient.low;
    positive.select(quotient, scale(quotient, power))
}

/// σ'(z) = e^-|z| / (1 + e^-|z|)², within 1 ULP. (The equal formula σ(1 − σ) would cancel for z > 0.)
#[inline(always)]
pub(crate) fn sigmoid_derivative<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(z: V) -> V {
    let one = V::splat(z.token(), F::ONE);
    let (m, power) = exp_pair(z.abs());
    let t = Pair {
        high: scale(m.high, power),
        low: scale(m.low, power),
    };
    let sum = fast_two_sum(one, t.high);
    let low = sum.low + t.low;
    let square = sum.high * sum.high;
    let rest = sum.high.mul_add_fused(sum.high, -square);
    let denominator = Pair {
        high: square,
        low: (sum.high * F::TWO).mul_add_fused(low, rest),
    };
    let quotient = divide(m, denominator);
    scale(quotient.high + quotient.low, power)
}

/// ln(1 + t) = 2·atanh(t / (2 + t)) for `t = m·2^k ∈ [0, 1]`, as a pair that has still to be multiplied by the power
/// `2^k`.
#[inline(always)]
fn log1p_pair<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(
    m: Pair<V>,
    power: PowerOfTwo<V>,
) -> Pair<V> {
    let two = V::splat(m.high.token(), F::TWO);
    let t = Pair {
        high: scale(m.high, power),
        low: scale(m.low, power),
    };
    let sum = fast_two_sum(two, t.high);
    let s = divide(
        m,
        Pair {
            high: sum.high,
            low: sum.low + t.low,
        },
    );
    let scaled = scale(s.high, power);
    let v = scaled * scaled;
    let tail = s.high * (v * F::atanh_tail(v));
    Pair {
        high: s.high * F::TWO,
        low: (s.low + tail) * F::TWO,
    }
}

/// ln(1 + e^u), within 1 ULP, for every `u`.
#[inline(always)]
pub(crate) fn softplus<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(u: V) -> V {
    let zero = V::splat(u.token(), F::ZERO);
    let (m, power) = exp_pair(u.abs());
    let log = log1p_pair(m, power);

    // For u > 0, this is u + ln(1 + e^-u), with the larger term first, as `fast_two_sum` needs. If u is infinite, the
    // low part is NaN and is not added.
    let log_high = scale(log.high, power);
    let log_low = scale(log.low, power);
    let u_first = u.simd_gt(log_high);
    let sum = fast_two_sum(u_first.select(u, log_high), u_first.select(log_high, u));
    let compensated = sum.high + (sum.low + log_low);
    let compensated = sum.high.simd_eq(F::INFINITY).select(sum.high, compensated);

    u.simd_gt(zero)
        .select(compensated, scale(log.high + log.low, power))
}

/// ln σ(z) = −ln(1 + e^-z), within 1 ULP, for every `z`.
#[inline(always)]
pub(crate) fn log_sigmoid<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(z: V) -> V {
    -softplus(-z)
}

/// 2·atanh(s), where `twice` is 2·s. The leading term of the result is `twice` itself, so that the result is accurate
/// even if it is subnormal.
#[inline(always)]
fn twice_atanh<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(twice: V) -> V {
    let s = twice * F::HALF;
    let v = s * s;
    twice.mul_add_fused(v * F::atanh_tail(v), twice)
}

/// ln(1 + p) for `p ≥ 0`, to about 2 ULP. `p` may exceed 1: kernels pass a product of many factors `1 + e^-|z|`, minus
/// 1.
#[inline(always)]
pub(crate) fn log1p<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(p: V) -> V {
    // ln(1 + p) = ln(1 + t) + e·ln 2. For p ≥ 1, 1 + p = (1 + t)·2^e with 1 + t ∈ [1, 2). For p < 1, e is 0 and t is p
    // itself, because adding 1 would lose digits of p.
    let simd = p.token();
    let one = V::splat(simd, F::ONE);
    let zero = V::splat(simd, F::ZERO);
    let (exponent, significand) = split(p + F::ONE);
    let large = p.simd_ge(one);
    let t = large.select(significand - F::ONE, p);
    let log = twice_atanh(t * F::TWO / (t + F::TWO));
    let exponent = large.select(exponent, zero);
    exponent.mul_add_fused(F::LN_2_HIGH, exponent.mul_add_fused(F::LN_2_LOW, log))
}

/// ln(a / b) for positive numbers, with the same bits on every machine.
///
/// # Errors
///
/// [`Error::Isa`] if `GRADSTEP_ISA` asks for an instruction set that this machine does not have.
pub(crate) fn log_ratio(a: f64, b: f64) -> Result<f64, Error> {
    let level = simd::level()?;
    let ln = |x: f64| dispatch!(level, simd => log1p(f64x8::splat(simd, x - 1.0)).as_slice()[0]);
    Ok(if a >= b { ln(a / b) } else { -ln(b / a) })
}

/// `x = significand · 2^exponent`, `1 ≤ significand < 2`, for a normal `x > 0`.
#[inline(always)]
fn split<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(x: V) -> (V, V) {
    let simd = x.token();
    let bits = x.to_bits();
    let field = bits >> F::SIGNIFICAND_BITS;
    let one = V::splat(simd, F::ONE).to_bits();
    let significand = V::from_bits(bits - (field << F::SIGNIFICAND_BITS) + one);
    // Converts the integer `field` to floating point: `field` in the low bits of the number 2^SIGNIFICAND_BITS gives
    // the number 2^SIGNIFICAND_BITS + field.
    let shift = V::splat(simd, F::TWO_TO_SIGNIFICAND_BITS);
    let exponent = V::from_bits(field + shift.to_bits()) - shift - F::EXPONENT_BIAS;
    (exponent, significand)
}

/// Error and residual of one row, from its score z and label y. Each field is a SIMD vector, of several rows.
#[derive(Clone, Copy)]
pub(crate) struct Sample<V> {
    /// `e^-|z|`; for the step activation 0. The error is `ln(1 + t) + linear`.
    pub t: V,
    /// The part of the error that needs no logarithm: `([z > 0] − y)·z` for the cross-entropy.
    pub linear: V,
    /// The derivative of the error by z; for the step activation, `ŷ − y` with the prediction ŷ.
    pub residual: V,
}

/// Cross-entropy in nats, as the terms `ln(1 + t)` and `linear` of [`Sample`]; and the residual `σ(z) − y`. Error and
/// residual are computed from one exponential.
///
/// With `t = e^-|z| ≤ 1`, which cannot overflow:
///
/// ```text
/// error    = ln(1 + t) + ([z > 0] − y)·z
/// residual = ((1 − y) − y·t) / (1 + t)    if z > 0
///            ((1 − y)·t − y) / (1 + t)    otherwise
/// ```
///
/// where [z > 0] is 1 if z > 0, else 0. No digits cancel for y ∈ {0, 1}. At z = ±∞, the second term of the error is 0
/// instead of NaN if its factor `[z > 0] − y` is 0.
#[inline(always)]
pub(crate) fn cross_entropy<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(
    z: V,
    y: V,
) -> Sample<V> {
    let simd = z.token();
    let one = V::splat(simd, F::ONE);
    let zero = V::splat(simd, F::ZERO);
    let t = exp_neg(z.abs());
    let positive = z.simd_gt(zero);
    let not_y = one - y;
    let numerator = positive.select((-y).mul_add_fused(t, not_y), not_y.mul_add_fused(t, -y));
    let factor = positive.select(not_y, -y);
    Sample {
        t,
        linear: factor.simd_eq(zero).select(zero, factor * z),
        residual: numerator / (t + F::ONE),
    }
}

/// The larger of `norm` and `|x|`; NaN if either is NaN.
pub(crate) fn larger(norm: f64, x: f64) -> f64 {
    if x.is_nan() || x.abs() > norm {
        x.abs()
    } else {
        norm
    }
}

/// `k·(σ(z) − y)`, to a few ULP, as in [`cross_entropy`]. The chain of operations from `z` to the result is as short as
/// possible: in a descent with one update per point, the next score must wait for the result.
///
/// The CPU does the operations outside of this chain in parallel with it: the product `k·y`, the comparison of `|z|`
/// with its limit, and the powers of two, which are multiplied into factors that are known before `t = e^-|z|`.
#[inline(always)]
pub(crate) fn scaled_residual<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(
    z: V,
    y: V,
    k: V,
) -> V {
    let simd = z.token();
    let one = V::splat(simd, F::ONE);
    let (if_positive, if_negative) = ((one - y) * k, y * -k);
    let a = z.abs();
    let positive = z.simd_gt(V::splat(simd, F::ZERO));
    let beyond = a.simd_gt(V::splat(simd, F::EXP_CLAMP));

    // t = m·second, where `first` is multiplied into m already, so that neither m nor `second` is subnormal. If |z| is
    // above the limit, m and `second` are wrong, and are not used.
    let (r, PowerOfTwo { first, second }) = reduce_unclamped(a);
    let r = r.high;
    let (low, high, power) = F::exp_tail_halves(r);
    let square = r * r * first;
    let m = low.mul_add_fused(square, (r + F::ONE) * first);
    let m = high.mul_add_fused(square * power, m);
    let numerator = positive.select(
        m.mul_add_fused(if_negative * second, if_positive),
        m.mul_add_fused(if_positive * second, if_negative),
    );
    let quotient = numerator / m.mul_add_fused(second, one);
    beyond.select(positive.select(if_positive, if_negative), quotient)
}

/// ln x for `x ≥ 0` or NaN, to about 2 ULP. ln 0 is −∞.
#[inline(always)]
fn ln<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(x: V) -> V {
    let simd = x.token();
    let zero = V::splat(simd, F::ZERO);
    // A subnormal number is first scaled into the range of normal numbers.
    let tiny = x.simd_lt(F::MIN_POSITIVE);
    let normal = tiny.select(x * F::TWO_TO_SIGNIFICAND_BITS, x);
    let (exponent, significand) = split(normal);
    let exponent = tiny.select(exponent - F::SIGNIFICAND_BITS_FLOAT, exponent);
    // The significand is brought into (√½, √2]. Then near x = 1 the exponent is 0, and exponent·ln 2 cannot cancel with
    // the logarithm of the significand.
    let high = significand.simd_gt(F::SQRT_2);
    let significand = high.select(significand * F::HALF, significand);
    let exponent = high.select(exponent + F::ONE, exponent);
    let log = twice_atanh((significand - F::ONE) * F::TWO / (significand + F::ONE));
    let log = exponent.mul_add_fused(F::LN_2_HIGH, exponent.mul_add_fused(F::LN_2_LOW, log));
    let log = x.simd_eq(zero).select(V::splat(simd, -F::INFINITY), log);
    x.simd_eq(x).select(log, x)
}

/// ln(1 − p) for `0 ≤ p ≤ 1` or NaN, to about 2 ULP. −∞ for p = 1.
#[inline(always)]
fn ln_complement<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(p: V) -> V {
    // For p ≤ ½, ln(1 − p) = 2·atanh(−p / (2 − p)). For p > ½, the difference 1 − p is exact.
    let one = V::splat(p.token(), F::ONE);
    let small = twice_atanh(p * -F::TWO / (-p + F::TWO));
    p.simd_gt(F::HALF).select(ln(one - p), small)
}

/// 1 if z ≥ 0, else 0; NaN if `z` is NaN.
#[inline(always)]
pub(crate) fn step<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(z: V) -> V {
    let simd = z.token();
    let predicted = z
        .simd_ge(F::ZERO)
        .select(V::splat(simd, F::ONE), V::splat(simd, F::ZERO));
    z.simd_eq(z).select(predicted, z)
}

/// Error and residual of the [`step`] activation. The error is 0 if the prediction is the label, otherwise 1.
#[inline(always)]
pub(crate) fn misclassified<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(
    z: V,
    y: V,
) -> Sample<V> {
    let simd = z.token();
    let (zero, one) = (V::splat(simd, F::ZERO), V::splat(simd, F::ONE));
    let predicted = step(z);
    let wrong = predicted.simd_eq(y).select(zero, one);
    Sample {
        t: zero,
        linear: z.simd_eq(z).select(wrong, z),
        residual: predicted - y,
    }
}

/// Cross-entropy of a label y and a predicted probability p: −y ln p − (1 − y) ln(1 − p), where 0·ln 0 = 0.
#[inline(always)]
pub(crate) fn cross_entropy_of_probability<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(
    p: V,
    y: V,
) -> V {
    let zero = V::splat(p.token(), F::ZERO);
    let not_y = -y + F::ONE;
    let if_one = y.simd_eq(zero).select(zero, y * ln(p));
    let if_zero = not_y.simd_eq(zero).select(zero, not_y * ln_complement(p));
    -(if_one + if_zero)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::simd::{Isa, Level, dispatch};

    fn at<F: Float, S: Simd>(simd: S, formula: impl Fn(F::Lanes<S>) -> F::Lanes<S>, x: F) -> F {
        formula(F::Lanes::<S>::splat(simd, x)).as_slice()[0]
    }

    /// z, and the correctly rounded values of σ, σ' and ln σ at z, from 50-digit arithmetic.
    const TABLE: [(f64, f64, f64, f64); 8] = [
        (-745.0, 5e-324, 5e-324, -745.0),
        (-709.5, 7.38014831401258e-309, 7.38014831401258e-309, -709.5),
        (-37.25, 6.64554417291507e-17, 6.645544172915069e-17, -37.25),
        (
            -1.5,
            0.18242552380635635,
            0.14914645207033286,
            -1.7014132779827524,
        ),
        (0.0, 0.5, 0.25, -std::f64::consts::LN_2),
        (
            0.625,
            0.6513548646660542,
            0.2270917049419204,
            -0.42870067827651864,
        ),
        (
            36.75,
            0.9999999999999999,
            1.0956650033262364e-16,
            -1.0956650033262367e-16,
        ),
        (708.5, 1.0, 2.006132305331306e-308, -2.006132305331306e-308),
    ];

    #[test]
    fn within_one_ulp() {
        let ulp = |x: f64| f64::from_bits(x.abs().to_bits() + 1) - x.abs();
        for level in [Level::baseline(), Level::new()] {
            for (x, s, d, l) in TABLE {
                dispatch!(level, simd => {
                    for (got, want) in [
                        (at(simd, sigmoid, x), s),
                        (at(simd, sigmoid_derivative, x), d),
                        (at(simd, log_sigmoid, x), l),
                    ] {
                        assert!((got - want).abs() <= ulp(want), "{x}: {got} {want}");
                    }
                });
            }
        }
    }

    #[test]
    fn defined_at_the_ends() {
        let level = Level::new();
        dispatch!(level, simd => {
            let inf = f64::INFINITY;
            assert_eq!(at(simd, sigmoid, inf), 1.0);
            assert_eq!(at(simd, sigmoid, -inf), 0.0);
            assert_eq!(at(simd, sigmoid_derivative, inf), 0.0);
            assert_eq!(at(simd, log_sigmoid, inf), 0.0);
            assert_eq!(at(simd, log_sigmoid, -inf), -inf);
            assert!(at(simd, sigmoid, f64::NAN).is_nan());
            assert!(at(simd, log_sigmoid, f32::NAN).is_nan());
        });
    }

    /// The distance of two numbers, in units in the last place of the larger number. If both are below the smallest
    /// normal number, in units in the last place of the smallest normal number.
    fn ulps<F: Float>(a: F, b: F, epsilon: f64) -> f64 {
        let (a, b) = (a.to_f64(), b.to_f64());
        let unit = a.abs().max(b.abs()).max(F::MIN_POSITIVE.to_f64()) * epsilon;
        if a == b { 0.0 } else { (a - b).abs() / unit }
    }

    fn residuals_agree<F: Float>(epsilon: f64, last: f64) {
        for isa in Isa::available() {
            let level = isa.level().unwrap_or(Level::baseline());
            dispatch!(level, simd => {
                let single = |x: f64| F::Single::splat(simd, F::from_f64(x));
                for i in -2000..=2000 {
                    let z = last * f64::from(i) / 2000.0;
                    for y in [0.0, 1.0, 0.25] {
                        for k in [1.0, -0.01] {
                            let want = cross_entropy(single(z), single(y)).residual.as_slice()[0];
                            let got = scaled_residual(single(z), single(y), single(k)).as_slice()[0];
                            let want = F::from_f64(want.to_f64() * F::from_f64(k).to_f64());
                            // The error of each result is about 3 ULP of the two terms of the numerator. The terms
                            // cancel only for 0 < y < 1.
                            let cancelled = if y == 0.25 { 0.25 * k.abs() / want.to_f64().abs() } else { 1.0 };
                            let room = 8.0 * cancelled.max(1.0);
                            assert!(ulps(got, want, epsilon) <= room, "{z} {y} {k}: {got} {want}");
                        }
                    }
                }
                for (z, y, want) in [
                    (f64::INFINITY, 0.0, 1.0),
                    (f64::INFINITY, 1.0, 0.0),
                    (-f64::INFINITY, 0.0, 0.0),
                    (-f64::INFINITY, 1.0, -1.0),
                    (-f64::INFINITY, 0.25, -0.25),
                    (1e30, 1.0, 0.0),
                    (-1e30, 1.0, -1.0),
                    (-0.0, 0.0, 0.5),
                ] {
                    let got = scaled_residual(single(z), single(y), single(1.0)).as_slice()[0];
                    assert_eq!(got.to_f64(), want, "{z} {y}");
                }
                assert!(!scaled_residual(single(f64::NAN), single(0.0), single(1.0)).as_slice()[0].is_finite());
            });
        }
    }

    #[test]
    fn the_short_way_to_the_residual_is_as_good() {
        residuals_agree::<f64>(f64::EPSILON, 746.0);
        residuals_agree::<f32>(f64::from(f32::EPSILON), 105.0);
    }

    #[test]
    fn logarithms_of_products_and_probabilities() {
        let level = Level::new();
        dispatch!(level, simd => {
            for x in [0.0, 1e-300, 1e-9, 0.3, 1.0, 7.5, 1e9, 1e300] {
                let (got, want) = (at(simd, log1p, x), f64::ln_1p(x));
                assert!((got - want).abs() <= 4.0 * f64::EPSILON * want, "{x}: {got} {want}");
            }
            for x in [5e-324, 1e-310, 1e-9, 0.3, 0.5, 0.75, 1.0 - f64::EPSILON, 1.0] {
                let (got, want) = (at(simd, ln, x), x.ln());
                assert!((got - want).abs() <= 4.0 * f64::EPSILON * want.abs(), "ln {x}: {got} {want}");
                let (got, want) = (at(simd, ln_complement, x), f64::ln_1p(-x));
                assert!(got == want || (got - want).abs() <= 4.0 * f64::EPSILON * want.abs(), "{x}: {got} {want}");
            }
        });
    }
}
