//! The softmax of a row of numbers, and the sums of its cross-entropy over a dataset.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::stripe::{self, Totals};
use super::tile::{Classes, Samples, Scratch};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel::dataset::Dataset;
use crate::kernel::parameters::Parameters;
use crate::kernel::sums::Sums;
use crate::reduce::{self, Job, Leaves, STRIPE, map_reduce};
use crate::simd::dispatch;
use crate::sparse::changed;

/// Runs `$body` with `$samples` bound to the features' [`Samples`] of a model.
macro_rules! with_samples {
    ($x:expr, $rows:expr, $model:expr, $samples:ident => $body:expr) => {
        match $x {
            $crate::features::Features::Dense(x) => {
                let rows = $rows;
                let $samples = $crate::kernel::softmax::dense::Dense::new(x, rows, *$model);
                $body
            }
            $crate::features::Features::Sparse(x) => $crate::sparse::with_rows!(&x, x => {
                let rows = $rows;
                let $samples = $crate::kernel::softmax::sparse::SparseSamples::new(x, rows, $model);
                $body
            }),
        }
    };
}
pub(super) use with_samples;

/// The sums over all rows, in one pass over `X`.
pub(in crate::kernel) fn evaluate<F: Float>(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, F>,
    leaves: Leaves,
    zero: impl Fn() -> Sums + Sync,
    gradient: bool,
    job: &mut Job<'_>,
) -> Result<Sums, Error> {
    let (level, classes) = (job.level(), parameters.scores());
    let model = Classes::new(parameters, dataset.x.columns());
    let sums = with_samples!(dataset.x, dataset.rows, &model, samples => {
        let mut sums = map_reduce(
            job,
            leaves,
            || Scratch::new(classes),
            zero,
            |scratch, sums, leaf| dispatch!(level, simd => add_leaf::<F, _, _>(simd, dataset, &samples, classes, gradient, leaf, scratch, sums)),
        )?;
        Samples::<F>::finish(&samples, &mut sums);
        sums
    });
    if !sums.valid {
        return Err(first_invalid::<F>(dataset, classes));
    }
    dataset.check_total::<F>(sums.weight)?;
    Ok(sums)
}

/// What is out of range.
fn first_invalid<F: Float>(dataset: &Dataset<'_>, classes: usize) -> Error {
    let is_class = |y: f64| y >= 0.0 && y < classes as f64 && y == y.trunc();
    match (&dataset.x, dataset.y.first_failing(is_class)) {
        (Features::Sparse(x), None) if x.first_invalid().is_some() => dataset.first_invalid::<F>(),
        (_, Some((index, got))) => Error::Class {
            classes,
            got,
            index,
        },
        _ => dataset.check_weights::<F>().err().unwrap_or_else(changed),
    }
}

#[inline(always)]
fn add_leaf<F: Float, X: Samples<F>, S: Simd>(
    simd: S,
    dataset: &Dataset<'_>,
    samples: &X,
    classes: usize,
    gradient: bool,
    leaf: Range<usize>,
    scratch: &mut Scratch<F>,
    sums: &mut Sums,
) {
    let mut biases = std::mem::take(&mut sums.biases);
    for first in leaf.clone().step_by(STRIPE) {
        let stripe = STRIPE.min(leaf.end - first);
        let (mut y, mut s) = ([F::ZERO; STRIPE], [F::ZERO; STRIPE]);
        let y = dataset.labels(first, stripe, &mut y);
        let s = dataset.sample_weights(first, stripe, &mut s, &mut sums.weight);
        let mut totals = Totals::<F, S>::new(simd);
        for start in (0..stripe).step_by(samples.tile_rows()) {
            let count = samples.tile_rows().min(stripe - start);
            let target = gradient.then_some(&mut *sums);
            let valid = samples.tile(
                simd,
                first + start,
                count,
                scratch,
                target,
                #[inline(always)]
                |z| {
                    stripe::pad(z, count);
                    let s = s.map(|s| &s[start..]);
                    totals.residuals(simd, z, classes, &y[start..], s, count);
                    for (sum, z) in biases.iter_mut().zip(z.chunks_exact(STRIPE)) {
                        *sum += stripe::class_sum::<F, S>(simd, z, count);
                    }
                },
            );
            sums.valid &= valid;
        }
        let (error, valid) = totals.finish();
        sums.error += error;
        sums.valid &= valid;
        if gradient {
            samples.end_stripe(scratch, sums);
        }
    }
    sums.biases = biases;
}

/// Residuals of a stripe of rows in place of their scores, class k of row i at `k · STRIPE + i`, times their sample weights;
/// returns the sum of their errors.
#[inline(always)]
pub(in crate::kernel) fn stripe_residuals<S: Simd>(
    simd: S,
    z: &mut [f64],
    classes: usize,
    y: &[f64],
    sample_weight: Option<&[f64]>,
    count: usize,
) -> f64 {
    stripe::pad(z, count);
    let mut totals = Totals::<f64, S>::new(simd);
    totals.residuals(simd, z, classes, y, sample_weight, count);
    totals.finish().0
}

/// Softmax of every row of `classes` numbers, `exp(z_k) / Σ_l exp(z_l)`, in place.
///
/// # Errors
///
/// [`Error::Length`] if these are not whole rows; [`Error::Interrupted`] by the monitor.
pub fn softmax_in_place<F: Float>(
    values: &mut [F],
    classes: usize,
    job: &mut Job<'_>,
) -> Result<(), Error> {
    /// Elements a thread takes at a time: some thirty microseconds of work.
    const BLOCK: usize = 1 << 15;
    if classes == 0 || !values.len().is_multiple_of(classes) {
        return Err(Error::Length {
            argument: "z",
            expected: values.len().next_multiple_of(classes.max(1)),
            unit: "whole rows of classes",
            got: values.len(),
        });
    }
    let level = job.level();
    let size = (BLOCK / classes).max(1) * classes;
    reduce::map(
        job,
        values.chunks_mut(size).collect(),
        || vec![F::ZERO; classes * STRIPE],
        |z, block: &mut [F]| dispatch!(level, simd => softmax_of_rows(simd, block, classes, z)),
    )?;
    Ok(())
}

#[inline(always)]
fn softmax_of_rows<F: Float, S: Simd>(simd: S, values: &mut [F], classes: usize, z: &mut [F]) {
    for rows in values.chunks_mut(STRIPE * classes) {
        let count = rows.len() / classes;
        for (i, row) in rows.chunks_exact(classes).enumerate() {
            for (k, &x) in row.iter().enumerate() {
                z[k * STRIPE + i] = x;
            }
        }
        stripe::pad(z, count);
        stripe::probabilities(simd, z, classes, count);
        for (i, row) in rows.chunks_exact_mut(classes).enumerate() {
            for (k, x) in row.iter_mut().enumerate() {
                *x = z[k * STRIPE + i];
            }
        }
    }
}
