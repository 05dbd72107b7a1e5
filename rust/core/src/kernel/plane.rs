//! The loss along two directions whose predictors are known: no pass over `X`.

use std::ops::Range;

use fearless_simd::f64x8;
use fearless_simd::prelude::*;

use super::Points;
use crate::error::Error;
use crate::math;
use crate::parallel::{self, Monitor, STRIPE, Threads};
use crate::simd::{self, MulAdd, dispatch, sum_lanes};

/// Σ s_i E_i at `z + α·p + β·q`, and its derivatives by (α, β).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plane {
    pub error: f64,
    /// By α and β.
    pub slope: [f64; 2],
    /// By αα, αβ and ββ.
    pub curvature: [f64; 3],
}

/// [`Plane`] for the predictors `z`, `p`, `q`, one a sample each.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn plane(
    points: &Points<'_>,
    [z, p, q]: [&[f64]; 3],
    [alpha, beta]: [f64; 2],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Plane, Error> {
    let level = simd::level()?;
    let partials = parallel::map(
        threads,
        parallel::blocks(z.len(), 4),
        || (),
        |(), block: Range<usize>| dispatch!(level, simd => block_sums(simd, points, [z, p, q], [alpha, beta], block)),
        monitor,
    )?;
    Ok(parallel::combine(partials, Plane::add).unwrap_or_default())
}

impl Plane {
    pub(super) fn add(&mut self, other: Plane) {
        self.error += other.error;
        for (sum, x) in self.slope.iter_mut().zip(other.slope) {
            *sum += x;
        }
        for (sum, x) in self.curvature.iter_mut().zip(other.curvature) {
            *sum += x;
        }
    }
}

#[inline(always)]
fn block_sums<S: Simd>(
    simd: S,
    points: &Points<'_>,
    [z, p, q]: [&[f64]; 3],
    [alpha, beta]: [f64; 2],
    block: Range<usize>,
) -> Plane {
    const LANES: usize = 8;
    let mut sums = Plane::default();
    for first in block.clone().step_by(STRIPE) {
        let count = STRIPE.min(block.end - first);
        // Beyond the last: without weight.
        let [mut y, mut s] = [[0.0; STRIPE]; 2];
        points.y.copy::<f64>(points.rows, first, &mut y[..count]);
        match points.sample_weight {
            None => s[..count].fill(1.0),
            Some(weights) => weights.copy(points.rows, first, &mut s[..count]),
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
            // σ' = t / (1 + t)²
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
    sums
}
