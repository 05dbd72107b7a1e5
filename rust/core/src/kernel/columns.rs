//! Products along dense columns, for matrices so narrow that a row does not fill a SIMD vector. Instead, a vector holds
//! the elements of `LANES` rows in one column.

use fearless_simd::prelude::*;

use super::weights::PaddedWeights;
use crate::float::Float;
use crate::lanes::sum_lanes;
use crate::reduce::STRIPE;
use crate::simd::MulAdd;
use crate::strips::Strips;

/// A block of rows, where each column is contiguous in memory, and the model's weights.
#[derive(Clone, Copy)]
pub(crate) struct ColumnTile<'a, F: Float, S: Simd> {
    pub(super) simd: S,
    pub(super) weights: &'a PaddedWeights<'a, F>,
    pub(super) columns: Strips<'a, F>,
}

impl<F: Float, S: Simd> ColumnTile<'_, F, S> {
    /// The number of rows.
    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        self.columns.length()
    }

    /// `z = Σ_j w_j x_j + b` for each row x, summed column after column.
    #[inline(always)]
    pub(super) fn multiply(&self, z: &mut [F; STRIPE]) {
        for at in (0..self.count()).step_by(F::LANES) {
            let mut sum = F::Lanes::<S>::splat(self.simd, F::ZERO);
            for (j, &weight) in self.weights.weights.iter().enumerate() {
                sum = load(self.simd, self.columns.strip(j), at).mul_add_fused(weight, sum);
            }
            (sum + self.weights.bias).store_slice(&mut z[at..at + F::LANES]);
        }
    }

    /// `sums += Σ_i r_i x_i` over the rows x_i with residuals r_i: one dot product per column.
    #[inline(always)]
    pub(super) fn add(&self, residual: &[F; STRIPE], sums: &mut [f64]) {
        for (j, sum) in sums.iter_mut().enumerate() {
            let products = dot(self.simd, self.columns.strip(j), &residual[..self.count()]);
            *sum += sum_lanes::<F, S>(products);
        }
    }
}

/// Loads `LANES` elements from index `at` on, with zeros beyond the end of the slice.
#[inline(always)]
pub(super) fn load<F: Float, S: Simd>(simd: S, x: &[F], at: usize) -> F::Lanes<S> {
    match x.get(at..at + F::LANES) {
        Some(lanes) => F::Lanes::<S>::from_slice(simd, lanes),
        None => {
            let mut lanes = F::ZEROS;
            lanes.as_mut()[..x.len() - at].copy_from_slice(&x[at..]);
            F::Lanes::<S>::load_array(simd, lanes)
        }
    }
}

/// The dot product `a · b`, as a vector of partial sums: it is the sum of the lanes.
#[inline(always)]
fn dot<F: Float, S: Simd>(simd: S, a: &[F], b: &[F]) -> F::Lanes<S> {
    let mut sum = F::Lanes::<S>::splat(simd, F::ZERO);
    let (whole_a, whole_b) = (F::arrays(a), F::arrays(b));
    for (a, b) in whole_a.iter().zip(whole_b) {
        let a = F::Lanes::<S>::load_array_ref(simd, a);
        sum = a.mul_add_fused(F::Lanes::<S>::load_array_ref(simd, b), sum);
    }
    let at = whole_a.len() * F::LANES;
    if at < a.len() {
        sum = load(simd, a, at).mul_add_fused(load(simd, b, at), sum);
    }
    sum
}
