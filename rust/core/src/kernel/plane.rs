//! The loss as a function of the step lengths along two directions. It is computed from the scores of the rows, without
//! reading `X`.

use std::ops::Range;

use fearless_simd::f64x8;
use fearless_simd::prelude::*;

use super::dataset::{Dataset, LabelBuffers, rows_of};
use super::softmax::stripe::{self, StripeSums};
use crate::error::Error;
use crate::lanes::sum_lanes;
use crate::math;
use crate::reduce::{Job, Leaves, STRIPE, Sum, map_reduce};
use crate::simd::{MulAdd, dispatch};

/// The weighted error Σ s_i E_i at scores `z + α·p + β·q`, and its derivatives by α and β. z are the current scores. A
/// step of length 1 along the first direction changes the scores by p; along the second, by q.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plane {
    pub error: f64,
    /// First derivatives, by α and by β.
    pub slope: [f64; 2],
    /// Second derivatives, by αα, αβ and ββ.
    pub curvature: [f64; 3],
}

/// Computes [`Plane`] at (α, β) = `at`. `scores` holds z, p and q: for each row one number, or K numbers for K classes.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn plane(
    dataset: &Dataset<'_>,
    scores: [&[f64]; 3],
    at: [f64; 2],
    classes: usize,
    job: &mut Job<'_>,
) -> Result<Plane, Error> {
    let level = job.level();
    let pass = PlanePass {
        dataset,
        scores,
        at,
    };
    if classes > 1 {
        return map_reduce(
            job,
            Leaves::new(rows_of(dataset), classes.saturating_mul(4)),
            || [vec![0.0; classes * STRIPE], vec![0.0; classes * STRIPE]],
            Plane::default,
            |scratch, sums, leaf| dispatch!(level, simd => pass.leaf_of_classes(simd, leaf, scratch, sums)),
        );
    }
    map_reduce(
        job,
        Leaves::new(scores[0].len(), 4),
        || (),
        Plane::default,
        |(), sums, leaf| dispatch!(level, simd => pass.leaf(simd, leaf, sums)),
    )
}

impl Sum for Plane {
    fn add(&mut self, right: &Self) {
        self.error += right.error;
        for (sum, x) in self.slope.iter_mut().zip(right.slope) {
            *sum += x;
        }
        for (sum, x) in self.curvature.iter_mut().zip(right.curvature) {
            *sum += x;
        }
    }

    fn clear(&mut self) {
        *self = Plane::default();
    }
}

/// The inputs of a pass over the scores of the rows that computes [`Plane`].
struct PlanePass<'a> {
    dataset: &'a Dataset<'a>,
    /// z, p and q of all rows; with K classes, the K numbers of a row are contiguous.
    scores: [&'a [f64]; 3],
    /// α and β.
    at: [f64; 2],
}

impl PlanePass<'_> {
    /// Adds the rows of `leaf` to `sums`, for models with one score.
    #[inline(always)]
    fn leaf<S: Simd>(&self, simd: S, leaf: Range<usize>, sums: &mut Plane) {
        let ([z, p, q], [alpha, beta], dataset) = (self.scores, self.at, self.dataset);
        const LANES: usize = 8;
        for first in leaf.clone().step_by(STRIPE) {
            let count = STRIPE.min(leaf.end - first);
            // The sample weights stay 0 beyond the last row.
            let [mut y, mut s] = [[0.0; STRIPE]; 2];
            dataset.y.copy::<f64>(dataset.rows, first, &mut y[..count]);
            match dataset.sample_weight {
                None => s[..count].fill(1.0),
                Some(weights) => weights.copy(dataset.rows, first, &mut s[..count]),
            }
            let zero = f64x8::<S>::splat(simd, 0.0);
            let [mut e, mut a, mut b, mut aa, mut ab, mut bb] = [zero; 6];
            for at in (0..count).step_by(LANES) {
                let load = |values: &[f64]| {
                    let (start, end) = (first + at, first + count.min(at + LANES));
                    let mut lanes = [0.0; LANES];
                    lanes[..end - start].copy_from_slice(&values[start..end]);
                    f64x8::<S>::from_slice(simd, &lanes)
                };
                let (p, q) = (load(p), load(q));
                let z = q.mul_add_fused(beta, p.mul_add_fused(alpha, load(z)));
                let y = f64x8::<S>::from_slice(simd, &y[at..at + LANES]);
                let s = f64x8::<S>::from_slice(simd, &s[at..at + LANES]);
                let sample = math::cross_entropy(z, y);
                // With t = exp(−|z|): σ'(z) = t / (1 + t)².
                let d = s * (sample.t / ((sample.t + 1.0) * (sample.t + 1.0)));
                let r = s * sample.residual;
                e = (math::log1p(sample.t) + sample.linear).mul_add_fused(s, e);
                a = r.mul_add_fused(p, a);
                b = r.mul_add_fused(q, b);
                let dp = d * p;
                aa = dp.mul_add_fused(p, aa);
                ab = dp.mul_add_fused(q, ab);
                bb = (d * q).mul_add_fused(q, bb);
            }
            sums.error += sum_lanes::<f64, S>(e);
            for (sum, lanes) in sums.slope.iter_mut().zip([a, b]) {
                *sum += sum_lanes::<f64, S>(lanes);
            }
            for (sum, lanes) in sums.curvature.iter_mut().zip([aa, ab, bb]) {
                *sum += sum_lanes::<f64, S>(lanes);
            }
        }
    }

    /// Adds the rows of `leaf` to `sums`, for models with several classes.
    #[inline(always)]
    fn leaf_of_classes<S: Simd>(
        &self,
        simd: S,
        leaf: Range<usize>,
        [residuals, probabilities]: &mut [Vec<f64>; 2],
        sums: &mut Plane,
    ) {
        let ([z, p, q], [alpha, beta], dataset) = (self.scores, self.at, self.dataset);
        let classes = residuals.len() / STRIPE;
        for first in leaf.clone().step_by(STRIPE) {
            let count = STRIPE.min(leaf.end - first);
            for i in 0..count {
                for k in 0..classes {
                    let at = (first + i) * classes + k;
                    residuals[k * STRIPE + i] = beta.mul_add(q[at], alpha.mul_add(p[at], z[at]));
                }
            }
            stripe::pad(residuals, count);
            probabilities.copy_from_slice(residuals);
            let mut buffers = LabelBuffers::new();
            let labels = dataset.labels(first..first + count, &mut buffers);
            let s = labels.sample_weight;
            let mut stripe_sums = StripeSums::<f64, S>::new(simd);
            stripe_sums.residuals(simd, residuals, classes, &labels);
            stripe::probabilities(simd, probabilities, classes, count);
            sums.error += stripe_sums.finish().0;
            for i in 0..count {
                let moved = |k: usize| {
                    let at = (first + i) * classes + k;
                    (p[at], q[at])
                };
                let (mut mean_p, mut mean_q) = (0.0, 0.0);
                for k in 0..classes {
                    let ((p, q), r) = (moved(k), residuals[k * STRIPE + i]);
                    sums.slope[0] += r * p;
                    sums.slope[1] += r * q;
                    mean_p += probabilities[k * STRIPE + i] * p;
                    mean_q += probabilities[k * STRIPE + i] * q;
                }
                for k in 0..classes {
                    let (p, q) = moved(k);
                    let (p, q) = (p - mean_p, q - mean_q);
                    let d = s.map_or(1.0, |s| s[i]) * probabilities[k * STRIPE + i];
                    sums.curvature[0] += d * p * p;
                    sums.curvature[1] += d * p * q;
                    sums.curvature[2] += d * q * q;
                }
            }
        }
    }
}
