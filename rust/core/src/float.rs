//! The two float types, and the constants and polynomials that the formulas need for each.

use std::fmt::{Debug, Display, LowerExp};
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use fearless_simd::{Simd, SimdFloat, SimdFloatElement, SimdSplit, f32x4, f32x16, f64x2, f64x8};
use serde::{Deserialize, Serialize};

use crate::simd::MulAdd;

/// `f32` or `f64`, as a value at run time.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum Precision {
    /// `f32`
    Single,
    /// `f64`
    Double,
}

impl Precision {
    /// The distance from 1 to the next number.
    pub(crate) fn epsilon(self) -> f64 {
        match self {
            Precision::Single => f64::from(f32::EPSILON),
            Precision::Double => f64::EPSILON,
        }
    }

    /// Number of lanes of a vector: [`Float::LANES`].
    pub(crate) fn lanes(self) -> usize {
        match self {
            Precision::Single => f32::LANES,
            Precision::Double => f64::LANES,
        }
    }

    /// Rounds every number to this precision.
    pub(crate) fn round(self, values: &mut [f64]) {
        if self == Precision::Single {
            values.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        }
    }
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`: the type in which features, weights and scores are computed.
///
/// Sums over many rows are `f64` for both types.
pub trait Float:
    private::Sealed
    + SimdFloatElement
    + Copy
    + PartialOrd
    + Default
    + Debug
    + Display
    + LowerExp
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// Which type this is.
    const PRECISION: Precision;
    /// Number of lanes of a vector, however many lanes the registers of the machine have. On every instruction set, the
    /// elements of a row or column are added to this many partial sums in turn, so that all instruction sets give the
    /// same bits.
    const LANES: usize;
    /// [`Float::LANES`] numbers in memory.
    type Array: Copy + AsRef<[Self]> + AsMut<[Self]> + Debug + Send + Sync + 'static;
    /// One SIMD vector of [`Float::LANES`] numbers.
    type Lanes<S: Simd>: SimdFloat<S, Element = Self, Array = Self::Array>;
    /// The smallest SIMD vector. The formulas for a single row are computed in it.
    type Single<S: Simd>: SimdFloat<S, Element = Self>;

    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// 2
    const TWO: Self;
    /// 1/2
    const HALF: Self;
    /// [`Float::LANES`] zeros.
    const ZEROS: Self::Array;
    /// √2
    const SQRT_2: Self;
    /// The smallest normal number.
    const MIN_POSITIVE: Self;
    /// ∞
    const INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// The distance from 1 to the next number.
    const EPSILON: Self;

    /// For `a` above this, `e^-a` rounds to zero, even as a subnormal number.
    const EXP_CLAMP: Self;
    /// log₂ e
    const LOG2_E: Self;
    /// The high part of ln 2. Its significand ends in so many zero bits that its product with any exponent is exact.
    const LN_2_HIGH: Self;
    /// ln 2 − [`Float::LN_2_HIGH`]
    const LN_2_LOW: Self;
    /// 1.5·2^[`Float::SIGNIFICAND_BITS`] + 2·bias, where bias is [`Float::EXPONENT_BIAS`]. If this constant is added to
    /// a number that rounds to the integer k, the low bits of the sum hold k + 2·bias.
    const ROUND: Self;
    /// Number of bits of the significand as it is stored.
    const SIGNIFICAND_BITS: u32;
    /// 2 to the power of [`Float::SIGNIFICAND_BITS`]
    const TWO_TO_SIGNIFICAND_BITS: Self;
    /// [`Float::SIGNIFICAND_BITS`] as a float.
    const SIGNIFICAND_BITS_FLOAT: Self;
    /// The number that is added to an exponent when it is stored.
    const EXPONENT_BIAS: Self;

    /// The polynomial `Q` in `e^r = 1 + r + r²·Q(r)`, the minimax approximation on |r| ≤ ln 2 / 2. It is evaluated by
    /// Estrin's scheme, without the last step of the scheme. Returns `low`, `high` and `power`, a power of `r`, with
    /// `Q(r) = low + power·high`.
    fn exp_tail_halves<S: Simd, V: SimdFloat<S, Element = Self>>(r: V) -> (V, V, V);
    /// The polynomial `Q` in `e^r = 1 + r + r²·Q(r)`, evaluated at `r`.
    #[inline(always)]
    fn exp_tail<S: Simd, V: SimdFloat<S, Element = Self>>(r: V) -> V {
        let (low, high, power) = Self::exp_tail_halves(r);
        high.mul_add_fused(power, low)
    }
    /// The polynomial `P` in `atanh(s) = s + s·v·P(v)` with `v = s²`, the minimax approximation on 0 ≤ v ≤ 1/9.
    fn atanh_tail<S: Simd, V: SimdFloat<S, Element = Self>>(v: V) -> V;

    /// The sum of the lanes. The upper half of the lanes is added to the lower half until one lane is left, which takes
    /// the fewest successive additions.
    fn sum_of_halves<S: Simd>(lanes: Self::Lanes<S>) -> Self;

    /// The slice as arrays of [`Float::LANES`] numbers. Numbers at the end that do not fill an array are left out.
    fn arrays(slice: &[Self]) -> &[Self::Array];
    /// The slice as mutable arrays of [`Float::LANES`] numbers. Numbers at the end that do not fill an array are left
    /// out.
    fn arrays_mut(slice: &mut [Self]) -> &mut [Self::Array];
    /// The same slice as `&[Self]`, if `Self` is `f64`.
    fn of_f64s(values: &[f64]) -> Option<&[Self]>;
    /// The same slice as `&[Self]`, if `Self` is `f32`.
    fn of_f32s(values: &[f32]) -> Option<&[Self]>;
    /// The same slice with its concrete type: `Ok` if `Self` is `f64`, `Err` if it is `f32`.
    fn as_either(values: &[Self]) -> Result<&[f64], &[f32]>;
    /// Converts, rounding to nearest.
    fn from_f64(x: f64) -> Self;
    /// Converts without rounding.
    fn from_f32(x: f32) -> Self;
    /// Converts without rounding.
    fn to_f64(self) -> f64;
    /// Whether the number is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// `self · a + b`, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
}

/// `c0 + c1·x`, rounded once.
#[inline(always)]
fn linear<S: Simd, V: SimdFloat<S>>(x: V, c0: V::Element, c1: V::Element) -> V {
    x.mul_add_fused(c1, c0)
}

macro_rules! common {
    () => {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
        const TWO: Self = 2.0;
        const HALF: Self = 0.5;
        const ZEROS: Self::Array = [0.0; Self::LANES];
        const MIN_POSITIVE: Self = Self::MIN_POSITIVE;
        const INFINITY: Self = Self::INFINITY;
        const NAN: Self = Self::NAN;
        const EPSILON: Self = Self::EPSILON;

        #[inline(always)]
        fn arrays(slice: &[Self]) -> &[Self::Array] {
            slice.as_chunks().0
        }
        #[inline(always)]
        fn arrays_mut(slice: &mut [Self]) -> &mut [Self::Array] {
            slice.as_chunks_mut().0
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            self.is_finite()
        }
        #[inline(always)]
        fn mul_add(self, a: Self, b: Self) -> Self {
            self.mul_add(a, b)
        }
    };
}

impl Float for f64 {
    common!();
    const PRECISION: Precision = Precision::Double;
    const LANES: usize = 8;
    type Array = [f64; 8];
    type Lanes<S: Simd> = f64x8<S>;
    type Single<S: Simd> = f64x2<S>;

    const EXP_CLAMP: f64 = 746.0;
    const LOG2_E: f64 = std::f64::consts::LOG2_E;
    const LN_2_HIGH: f64 = 0.6931471805598903;
    const LN_2_LOW: f64 = 5.497923018708371e-14;
    const ROUND: f64 = 6755399441055744.0 + 2046.0; // 1.5·2^52 + 2·1023
    const SIGNIFICAND_BITS: u32 = 52;
    const TWO_TO_SIGNIFICAND_BITS: f64 = 4503599627370496.0;
    const SIGNIFICAND_BITS_FLOAT: f64 = 52.0;
    const SQRT_2: f64 = std::f64::consts::SQRT_2;
    const EXPONENT_BIAS: f64 = 1023.0;

    #[inline(always)]
    fn exp_tail_halves<S: Simd, V: SimdFloat<S, Element = f64>>(r: V) -> (V, V, V) {
        let r2 = r * r;
        let r4 = r2 * r2;
        let c01 = linear(r, 0.5000000000000012, 0.166666666666667);
        let c23 = linear(r, 0.04166666666651542, 0.008333333333307217);
        let c45 = linear(r, 0.0013888888947016294, 0.00019841269917354886);
        let c67 = linear(r, 2.4801489941986956e-05, 2.755721632951509e-06);
        let c89 = linear(r, 2.7631280378060933e-07, 2.5117851188768706e-08);
        let low = c23.mul_add_fused(r2, c01);
        let high = c67.mul_add_fused(r2, c45);
        (low, c89.mul_add_fused(r4, high), r4)
    }

    #[inline(always)]
    fn atanh_tail<S: Simd, V: SimdFloat<S, Element = f64>>(v: V) -> V {
        let v2 = v * v;
        let v4 = v2 * v2;
        let c01 = linear(v, 0.33333333333333154, 0.2000000000007868);
        let c23 = linear(v, 0.142857142739185, 0.11111111985439055);
        let c45 = linear(v, 0.09090871940800709, 0.0769328045008145);
        let c67 = linear(v, 0.0665048006165536, 0.06053098653692336);
        let c89 = linear(v, 0.04169798963520375, 0.08509770190378455);
        let low = c23.mul_add_fused(v2, c01);
        let high = c67.mul_add_fused(v2, c45);
        c89.mul_add_fused(v4, high).mul_add_fused(v4, low)
    }

    #[inline(always)]
    fn sum_of_halves<S: Simd>(lanes: f64x8<S>) -> f64 {
        let (a, b) = lanes.split();
        let (a, b) = (a + b).split();
        let pair = a + b;
        pair[0] + pair[1]
    }

    #[inline(always)]
    fn of_f64s(values: &[f64]) -> Option<&[f64]> {
        Some(values)
    }
    #[inline(always)]
    fn of_f32s(_: &[f32]) -> Option<&[f64]> {
        None
    }
    #[inline(always)]
    fn as_either(values: &[f64]) -> Result<&[f64], &[f32]> {
        Ok(values)
    }
    #[inline(always)]
    fn from_f64(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn from_f32(x: f32) -> f64 {
        f64::from(x)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
}

impl Float for f32 {
    common!();
    const PRECISION: Precision = Precision::Single;
    const LANES: usize = 16;
    type Array = [f32; 16];
    type Lanes<S: Simd> = f32x16<S>;
    type Single<S: Simd> = f32x4<S>;

    const EXP_CLAMP: f32 = 105.0;
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN_2_HIGH: f32 = 0.693_145_75;
    const LN_2_LOW: f32 = 1.428_606_8e-6;
    const ROUND: f32 = 12582912.0 + 254.0; // 1.5·2^23 + 2·127
    const SIGNIFICAND_BITS: u32 = 23;
    const TWO_TO_SIGNIFICAND_BITS: f32 = 8388608.0;
    const SIGNIFICAND_BITS_FLOAT: f32 = 23.0;
    const SQRT_2: f32 = std::f32::consts::SQRT_2;
    const EXPONENT_BIAS: f32 = 127.0;

    #[inline(always)]
    fn exp_tail_halves<S: Simd, V: SimdFloat<S, Element = f32>>(r: V) -> (V, V, V) {
        let r2 = r * r;
        let c01 = linear(r, 0.5, 0.166_665_18);
        let c23 = linear(r, 0.041_666_206, 0.008_368_89);
        (c01, r2.mul_add_fused(0.001_395_049_2, c23), r2)
    }

    #[inline(always)]
    fn atanh_tail<S: Simd, V: SimdFloat<S, Element = f32>>(v: V) -> V {
        let v2 = v * v;
        let c01 = linear(v, 0.333_333_37, 0.199_994_39);
        let c23 = linear(v, 0.143_084_5, 0.107_137_45);
        v2.mul_add_fused(0.121_508_144, c23).mul_add_fused(v2, c01)
    }

    #[inline(always)]
    fn sum_of_halves<S: Simd>(lanes: f32x16<S>) -> f32 {
        let (a, b) = lanes.split();
        let (a, b) = (a + b).split();
        let four = a + b;
        (four[0] + four[2]) + (four[1] + four[3])
    }

    #[inline(always)]
    fn of_f64s(_: &[f64]) -> Option<&[f32]> {
        None
    }
    #[inline(always)]
    fn of_f32s(values: &[f32]) -> Option<&[f32]> {
        Some(values)
    }
    #[inline(always)]
    fn as_either(values: &[f32]) -> Result<&[f64], &[f32]> {
        Err(values)
    }
    #[inline(always)]
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn from_f32(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}
