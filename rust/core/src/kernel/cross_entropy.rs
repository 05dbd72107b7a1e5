//! The mean cross-entropy of labels and predicted probabilities, both of which are given.

use std::ops::Range;

use fearless_simd::f64x8;
use fearless_simd::prelude::*;

use super::dataset::check_total;
use super::dataset::{LABELS, WEIGHTS, is_label, is_weight};
use crate::error::Error;
use crate::error::check_length;
use crate::lanes::sum_lanes;
use crate::math;
use crate::reduce::{Job, Leaves, STRIPE, Sum, map_reduce};
use crate::simd::dispatch;
use crate::sparse::changed;
use crate::vector::{RowSet, Vector};

const PROBABILITIES: &str = "probabilities in [0, 1]";

/// Mean cross-entropy of labels y_i and predicted probabilities ŷ_i, with sample weights s_i, in nats per row:
///
/// ```text
/// E = −Σ_i s_i (y_i ln ŷ_i + (1 − y_i) ln(1 − ŷ_i)) / Σ_i s_i       where 0·ln 0 = 0
/// ```
///
/// Probabilities are not clipped: a wrong prediction of exactly 0 or 1 gives ∞. Computed in `f64`, whatever the types
/// of the arrays.
///
/// # Errors
///
/// [`Error::Length`] if the lengths differ or are 0; [`Error::Element`] for a label or probability outside [0, 1] or a
/// sample weight that is negative or not finite; [`Error::TotalWeight`]; [`Error::Interrupted`] by the monitor.
pub fn cross_entropy(
    y: &Vector<'_>,
    y_hat: &Vector<'_>,
    sample_weight: Option<&Vector<'_>>,
    job: &mut Job<'_>,
) -> Result<f64, Error> {
    if y.is_empty() {
        return Err(Error::Length {
            argument: "y",
            expected: 1,
            unit: "at least one label",
            got: 0,
        });
    }
    check_length("y_hat", y_hat.len(), y.len(), "one probability per label")?;
    if let Some(s) = sample_weight {
        check_length("sample_weight", s.len(), y.len(), "one weight per label")?;
    }
    let level = job.level();
    let sums = map_reduce(
        job,
        Leaves::new(y.len(), 2),
        || (),
        || Sums::ZERO,
        |(), sums, leaf| dispatch!(level, simd => add_leaf(simd, y, y_hat, sample_weight, leaf, sums)),
    )?;
    if !sums.valid {
        if let Some(s) = sample_weight {
            s.check("sample_weight", WEIGHTS, is_weight)?;
        }
        y.check("y", LABELS, is_label)?;
        y_hat.check("y_hat", PROBABILITIES, is_label)?;
        return Err(changed());
    }
    check_total::<f64>(sums.weight, || sums.weight)?;
    Ok(sums.error / sums.weight)
}

/// Sums over some rows: Σ s_i E_i and Σ s_i, with sample weights s_i and errors E_i; and whether all inputs were in
/// range.
struct Sums {
    error: f64,
    weight: f64,
    valid: bool,
}

impl Sums {
    const ZERO: Sums = Sums {
        error: 0.0,
        weight: 0.0,
        valid: true,
    };
}

impl Sum for Sums {
    fn add(&mut self, right: &Self) {
        self.error += right.error;
        self.weight += right.weight;
        self.valid &= right.valid;
    }

    fn clear(&mut self) {
        *self = Sums::ZERO;
    }
}

#[inline(always)]
fn add_leaf<S: Simd>(
    simd: S,
    y: &Vector<'_>,
    y_hat: &Vector<'_>,
    sample_weight: Option<&Vector<'_>>,
    leaf: Range<usize>,
    sums: &mut Sums,
) {
    for first in leaf.clone().step_by(STRIPE) {
        let count = STRIPE.min(leaf.end - first);
        // The arrays may have more elements than there are rows. Beyond the last row, label, prediction and weight are
        // 0.
        let [mut labels, mut predictions, mut weights] = [[0.0; STRIPE]; 3];
        y.copy::<f64>(RowSet::All, first, &mut labels[..count]);
        y_hat.copy::<f64>(RowSet::All, first, &mut predictions[..count]);
        match sample_weight {
            Some(s) => s.copy(RowSet::All, first, &mut weights[..count]),
            None => weights[..count].fill(1.0),
        }
        let mut errors = f64x8::<S>::splat(simd, 0.0);
        let zero = errors;
        let one = zero + 1.0;
        let infinity = zero + f64::INFINITY;
        let mut total = errors;
        let mut invalid = zero.simd_gt(zero);
        let lanes = labels
            .chunks_exact(8)
            .zip(predictions.chunks_exact(8))
            .zip(weights.chunks_exact(8));
        for ((y, p), s) in lanes.take(count.div_ceil(8)) {
            let y = f64x8::<S>::from_slice(simd, y);
            let p = f64x8::<S>::from_slice(simd, p);
            let s = f64x8::<S>::from_slice(simd, s);
            invalid |= y.simd_lt(zero) | y.simd_gt(one) | p.simd_lt(zero) | p.simd_gt(one); // NaN is let through
            invalid |= !(s.simd_ge(zero) & s.simd_lt(infinity));
            let e = math::cross_entropy_of_probability::<f64, S, _>(p, y);
            errors += s.simd_eq(0.0).select(zero, e * s);
            total += s;
        }
        sums.error += sum_lanes::<f64, S>(errors);
        sums.weight += sum_lanes::<f64, S>(total);
        sums.valid &= invalid.to_bitmask() == 0;
    }
}
