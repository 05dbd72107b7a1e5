//! The predictors of every row, and what is made of them: probabilities, and what a solver asks for.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::stripe::{self, Totals};
use super::{Classes, Samples, Scratch, blocks, with_samples};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel::{Plane, Points, rows_of};
use crate::parallel::{self, Monitor, STRIPE, Threads};
use crate::simd::{self, dispatch};
use crate::sparse::changed;

/// What the predictors of every row become, shape (m, K), written to `out`.
pub(super) fn map_rows<F: Float>(
    points: &Points<'_>,
    model: &Classes<'_, F>,
    turn: Turn,
    out: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let level = simd::level()?;
    let classes = model.count();
    let (mut items, mut rest) = (Vec::new(), out);
    for block in blocks(points, classes) {
        let (out, after) = rest.split_at_mut(block.len() * classes);
        items.push((block, out));
        rest = after;
    }
    let valid = with_samples!(points, model, samples => parallel::map(
        threads,
        items,
        || Scratch::new(classes),
        |scratch, (block, out): (Range<usize>, &mut [F])| {
            dispatch!(level, simd => block_rows(simd, &samples, turn, classes, block, out, scratch))
        },
        monitor,
    ))?;
    match (&points.x, valid.contains(&false)) {
        (Features::Sparse(x), true) => Err(x.first_invalid().unwrap_or_else(changed)),
        _ => Ok(()),
    }
}

#[inline(always)]
fn block_rows<F: Float, X: Samples<F>, S: Simd>(
    simd: S,
    samples: &X,
    turn: Turn,
    classes: usize,
    block: Range<usize>,
    out: &mut [F],
    scratch: &mut Scratch<F>,
) -> bool {
    let mut valid = true;
    let rows = samples.tile_rows();
    for (first, out) in block.step_by(rows).zip(out.chunks_mut(rows * classes)) {
        let count = out.len() / classes;
        valid &= samples.tile(
            simd,
            first,
            count,
            scratch,
            None,
            #[inline(always)]
            |z| {
                stripe::pad(z, count);
                turn.turn(simd, z, classes, count);
                for (i, row) in out.chunks_exact_mut(classes).enumerate() {
                    for (k, out) in row.iter_mut().enumerate() {
                        *out = z[k * STRIPE + i];
                    }
                }
            },
        );
    }
    valid
}

/// What the predictors of a tile become.
#[derive(Clone, Copy)]
pub(super) enum Turn {
    /// `z_k`, as they are.
    Predictors,
    /// `p_k`
    Probabilities,
    /// `p_k (1 − p_k)`
    Slopes,
}

impl Turn {
    #[inline(always)]
    fn turn<F: Float, S: Simd>(self, simd: S, z: &mut [F], classes: usize, count: usize) {
        match self {
            Turn::Predictors => {}
            Turn::Probabilities => stripe::probabilities(simd, z, classes, count),
            Turn::Slopes => stripe::slopes(simd, z, classes, count),
        }
    }
}

/// `z_ik = x_i · w_k + b_k`, shape (m, K), written to `out`; in `f64` whatever `X` holds.
///
/// # Errors
///
/// As [`predict_classes`].
pub(crate) fn predictors(
    points: &Points<'_>,
    model: &Classes<'_, f64>,
    out: &mut [f64],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    map_rows(points, model, Turn::Predictors, out, threads, monitor)
}

/// [`kernel::plane`](super::plane()) for several classes: the predictors of a sample are K in a row.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn plane(
    points: &Points<'_>,
    predictors: [&[f64]; 3],
    at: [f64; 2],
    classes: usize,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Plane, Error> {
    let level = simd::level()?;
    let partials = parallel::map(
        threads,
        parallel::blocks(rows_of(points), classes.saturating_mul(4)),
        || [vec![0.0; classes * STRIPE], vec![0.0; classes * STRIPE]],
        |scratch, block: Range<usize>| dispatch!(level, simd => plane_block(simd, points, predictors, at, block, scratch)),
        monitor,
    )?;
    Ok(parallel::combine(partials, Plane::add).unwrap_or_default())
}

#[inline(always)]
fn plane_block<S: Simd>(
    simd: S,
    points: &Points<'_>,
    [z, p, q]: [&[f64]; 3],
    [alpha, beta]: [f64; 2],
    block: Range<usize>,
    [residuals, probabilities]: &mut [Vec<f64>; 2],
) -> Plane {
    let classes = residuals.len() / STRIPE;
    let mut sums = Plane::default();
    for first in block.clone().step_by(STRIPE) {
        let count = STRIPE.min(block.end - first);
        for i in 0..count {
            for k in 0..classes {
                let at = (first + i) * classes + k;
                residuals[k * STRIPE + i] = beta.mul_add(q[at], alpha.mul_add(p[at], z[at]));
            }
        }
        stripe::pad(residuals, count);
        probabilities.copy_from_slice(residuals);
        let (mut y, mut s, mut weight) = ([0.0; STRIPE], [0.0; STRIPE], 0.0);
        let y = points.labels(first, count, &mut y);
        let s = points.sample_weights(first, count, &mut s, &mut weight);
        let mut totals = Totals::<f64, S>::new(simd);
        totals.residuals(simd, residuals, classes, y, s, count);
        stripe::probabilities(simd, probabilities, classes, count);
        sums.error += totals.finish().0;
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
    sums
}

/// `d_ik = s_i p_ik (1 − p_ik)` of every sample, shape (K, m); in `f64` whatever `X` holds.
///
/// # Errors
///
/// As [`predict_classes`].
pub(crate) fn slopes(
    points: &Points<'_>,
    model: &Classes<'_, f64>,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Vec<f64>, Error> {
    let (rows, classes) = (rows_of(points), model.count());
    let unit = "numbers of rows and classes";
    let mut by_rows = crate::error::zeros("X", rows.saturating_mul(classes), unit)?;
    map_rows(points, model, Turn::Slopes, &mut by_rows, threads, monitor)?;
    let mut s = vec![1.0; rows];
    if let Some(weights) = points.sample_weight {
        weights.copy(points.rows, 0, &mut s);
    }
    let mut by_classes = vec![0.0; by_rows.len()];
    for (k, out) in by_classes.chunks_exact_mut(rows.max(1)).enumerate() {
        for ((out, d), &s) in out.iter_mut().zip(by_rows.chunks_exact(classes)).zip(&s) {
            // Without weight, what is not a number must not count.
            *out = if s == 0.0 { 0.0 } else { d[k] * s };
        }
    }
    Ok(by_classes)
}

/// `Σ_i s_i (diag(p_i) − p_i p_iᵀ)`, the Hessian of Σ s_i E_i by the biases, of which `slopes` give the diagonal; only the
/// lower triangle is filled.
///
/// # Errors
///
/// As [`predict_classes`].
pub(crate) fn bias_hessian(
    points: &Points<'_>,
    model: &Classes<'_, f64>,
    slopes: &[f64],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Vec<f64>, Error> {
    let (rows, classes) = (rows_of(points), model.count());
    let unit = "numbers of rows and classes";
    let mut p = crate::error::zeros("X", rows.saturating_mul(classes), unit)?;
    map_rows(points, model, Turn::Probabilities, &mut p, threads, monitor)?;
    let partials = parallel::map(
        threads,
        parallel::blocks(rows, classes.saturating_mul(classes)),
        || (),
        |(), block: Range<usize>| {
            let mut sums = vec![0.0; classes * classes];
            for i in block {
                let s = points
                    .sample_weight
                    .map_or(1.0, |s| s.get(points.rows.at(i)));
                let p = &p[i * classes..][..classes];
                for (k, sums) in sums.chunks_exact_mut(classes).enumerate() {
                    let factor = if s == 0.0 { 0.0 } else { -s * p[k] };
                    for (sum, p) in sums[..k].iter_mut().zip(p) {
                        *sum += if factor == 0.0 { 0.0 } else { factor * p };
                    }
                }
            }
            sums
        },
        monitor,
    )?;
    let mut hessian = parallel::combine(partials, |left: &mut Vec<f64>, right| {
        for (sum, x) in left.iter_mut().zip(right) {
            *sum += x;
        }
    })
    .unwrap_or_default();
    for (k, slopes) in slopes.chunks_exact(rows.max(1)).enumerate() {
        hessian[k * classes + k] = slopes.iter().sum();
    }
    Ok(hessian)
}
