//! Errors and residuals of a stripe (up to 256 rows) and their sums. They are computed for one SIMD vector of rows at a
//! time.

use fearless_simd::prelude::*;

use super::dataset::StripeLabels;
use super::sums::Sums;
use crate::float::Float;
use crate::lanes::sum_lanes;
use crate::loss::Activation;
use crate::math;
use crate::reduce::STRIPE;
use crate::simd::MulAdd;

/// The sums of errors and residuals over a stripe of rows. Lane l of each vector sums every `LANES`-th row.
pub(crate) struct StripeSums<F: Float, S: Simd> {
    activation: Activation,
    /// Without sample weights, Π(1 + t_i) − 1 over the rows, where ln(1 + t_i) is the logarithmic term of a row's
    /// error. A single logarithm, of the product, replaces the logarithms of all rows. With sample weights, 0.
    product: F::Lanes<S>,
    /// Without sample weights, the sum of the linear terms of the rows' errors. With sample weights, the sum of the
    /// weighted errors, logarithms included.
    error: F::Lanes<S>,
    residual: F::Lanes<S>,
    /// Lanes in which a label or sample weight was out of range.
    invalid: <F::Lanes<S> as SimdBase<S>>::Mask,
}

impl<F: Float, S: Simd> StripeSums<F, S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, activation: Activation) -> Self {
        let zero = F::Lanes::<S>::splat(simd, F::ZERO);
        StripeSums {
            activation,
            product: zero,
            error: zero,
            residual: zero,
            invalid: zero.simd_gt(zero),
        }
    }

    /// Adds the rows of one SIMD vector, with scores `z`. Returns their residuals times their sample weights.
    #[inline(always)]
    fn add_vector(
        &mut self,
        simd: S,
        z: F::Lanes<S>,
        y: F::Lanes<S>,
        sample_weight: Option<F::Lanes<S>>,
    ) -> F::Lanes<S> {
        let zero = F::Lanes::<S>::splat(simd, F::ZERO);
        let one = F::Lanes::<S>::splat(simd, F::ONE);
        self.invalid |= y.simd_lt(zero) | y.simd_gt(one); // NaN is let through
        let z = match sample_weight {
            // The score of a row of weight 0 may have overflowed. It is replaced by 0, so that error and residual are
            // finite.
            Some(s) => s.simd_eq(zero).select(zero, z),
            None => z,
        };
        let sample = self.activation.sample(z, y);
        let residual = match sample_weight {
            None => {
                self.product = self
                    .product
                    .mul_add_fused(sample.t, self.product + sample.t);
                self.error += sample.linear;
                sample.residual
            }
            Some(s) => {
                let infinity = F::Lanes::<S>::splat(simd, F::INFINITY);
                self.invalid |= !(s.simd_ge(zero) & s.simd_lt(infinity));
                let error = math::log1p(sample.t) + sample.linear;
                self.error = error.mul_add_fused(s, self.error);
                sample.residual * s
            }
        };
        self.residual += residual;
        residual
    }

    /// Adds rows. `z` holds their scores without offsets, padded with −∞ to a whole number of vectors. Writes the
    /// residuals of the rows, times their sample weights, to `residual`.
    #[inline(always)]
    pub(crate) fn add(
        &mut self,
        simd: S,
        z: &[F; STRIPE],
        labels: &StripeLabels<'_, F>,
        residual: &mut [F; STRIPE],
    ) {
        let vectors = labels.count.div_ceil(F::LANES);
        let z = &F::arrays(z)[..vectors];
        let y = &F::arrays(labels.y)[..vectors];
        let residual = &mut F::arrays_mut(residual)[..vectors];
        let sample_weight = labels.sample_weight.map(|s| &F::arrays(s)[..vectors]);
        let offset = labels.offset.map(|offset| &F::arrays(offset)[..vectors]);
        for i in 0..vectors {
            let mut z = F::Lanes::<S>::load_array_ref(simd, &z[i]);
            if let Some(offset) = offset {
                z += F::Lanes::<S>::load_array_ref(simd, &offset[i]);
            }
            let y = F::Lanes::<S>::load_array_ref(simd, &y[i]);
            let s = sample_weight.map(|s| F::Lanes::<S>::load_array_ref(simd, &s[i]));
            self.add_vector(simd, z, y, s).store_array(&mut residual[i]);
        }
    }

    /// Adds these sums over a stripe to `sums`.
    ///
    /// The sum of the logarithms of all rows is ln(1 + product). The product cannot overflow: a lane has at most 32
    /// factors, each at most 2.
    #[inline(always)]
    pub(crate) fn add_to(self, sums: &mut Sums) {
        sums.error += sum_lanes::<F, S>(math::log1p(self.product)) + sum_lanes::<F, S>(self.error);
        if let [bias] = sums.biases.as_mut_slice() {
            *bias += sum_lanes::<F, S>(self.residual);
        }
        sums.valid &= self.invalid.to_bitmask() == 0;
    }
}
