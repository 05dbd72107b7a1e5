//! The softmax cross-entropy summed over a dataset, with its gradient; and the softmax of given scores.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::stripe::{self, StripeSums};
use super::tile::{ClassScratch, ClassWeights, RowTiles};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel::dataset::{Dataset, LabelBuffers, StripeLabels};
use crate::kernel::parameters::Parameters;
use crate::kernel::pass::Want;
use crate::kernel::sums::Sums;
use crate::reduce::{self, Job, Leaves, STRIPE, map_reduce};
use crate::simd::dispatch;
use crate::sparse::changed;
use crate::vector::{RowSet, Vector};

/// Runs `$body` with `$tiles` bound to a [`RowTiles`]: dense or sparse rows together with the weights of all classes.
macro_rules! with_tiles {
    ($x:expr, $rows:expr, $weights:expr, $tiles:ident => $body:expr) => {
        match $x {
            $crate::features::Features::Dense(x) => {
                let x = x.select($rows);
                let $tiles = $crate::kernel::softmax::dense::DenseTiles::new(x, *$weights);
                $body
            }
            $crate::features::Features::Sparse(x) => $crate::sparse::with_rows!(&x, $rows, x => {
                let $tiles = $crate::kernel::softmax::sparse::SparseTiles::new(x, $weights);
                $body
            }),
        }
    };
}
pub(super) use with_tiles;

/// Sums over all rows of errors, residuals and, if wanted, residual × row, in one pass over `X`.
pub(in crate::kernel) fn evaluate<F: Float>(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, F>,
    want: Want,
    leaves: Leaves,
    zero: impl Fn() -> Sums + Sync,
    job: &mut Job<'_>,
) -> Result<Sums, Error> {
    let (level, classes) = (job.level(), parameters.scores());
    let weights = ClassWeights::new(parameters, dataset.x.columns());
    let sums = with_tiles!(dataset.x, dataset.rows, &weights, tiles => {
        let pass = ClassPass { dataset, tiles, want };
        let mut sums = map_reduce(
            job,
            leaves,
            || ClassScratch::new(classes),
            zero,
            |scratch, sums, leaf| {
                dispatch!(level, simd => pass.leaf::<F, _>(simd, leaf, scratch, sums))
            },
        )?;
        RowTiles::<F>::finish(&pass.tiles, &mut sums);
        sums
    });
    if !sums.valid {
        return Err(first_invalid::<F>(dataset, classes));
    }
    Ok(sums)
}

/// The error to report after an input was out of range. It names the first column index of a sparse X that is out of
/// range, the first label that is no class, or the first sample weight that is out of range.
pub(super) fn first_invalid<F: Float>(dataset: &Dataset<'_>, classes: usize) -> Error {
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

/// The inputs of a pass over the rows, for models with several classes.
pub(super) struct ClassPass<'a, T> {
    pub(super) dataset: &'a Dataset<'a>,
    pub(super) tiles: T,
    pub(super) want: Want,
}

impl<T> ClassPass<'_, T> {
    /// Adds the errors, residuals and, if wanted, residual × row of the rows of `leaf` to `sums`.
    #[inline(always)]
    pub(super) fn leaf<F: Float, S: Simd>(
        &self,
        simd: S,
        leaf: Range<usize>,
        scratch: &mut ClassScratch<F>,
        sums: &mut Sums,
    ) where
        T: RowTiles<F>,
    {
        let ClassPass {
            dataset,
            tiles,
            want,
        } = self;
        let wants_gradient = *want == Want::LossAndGradient;
        let mut biases = std::mem::take(&mut sums.biases);
        let classes = biases.len();
        for first in leaf.clone().step_by(STRIPE) {
            let stripe = STRIPE.min(leaf.end - first);
            let mut buffers = LabelBuffers::<F>::new();
            let labels = dataset.labels(first..first + stripe, &mut buffers);
            sums.weight += labels.total();
            let mut stripe_sums = StripeSums::<F, S>::new(simd);
            for start in (0..stripe).step_by(tiles.tile_rows()) {
                let count = tiles.tile_rows().min(stripe - start);
                let gradient = wants_gradient.then_some(&mut *sums);
                let valid = tiles.tile(
                    simd,
                    first + start..first + start + count,
                    scratch,
                    gradient,
                    #[inline(always)]
                    |z| {
                        add_offsets(
                            dataset.offsets,
                            dataset.rows,
                            first + start..first + start + count,
                            z,
                        );
                        stripe::pad(z, count);
                        stripe_sums.residuals(simd, z, classes, &labels.part(start, count));
                        for (sum, z) in biases.iter_mut().zip(z.chunks_exact(STRIPE)) {
                            *sum += stripe::class_sum::<F, S>(simd, z, count);
                        }
                    },
                );
                sums.valid &= valid;
            }
            let (error, valid) = stripe_sums.finish();
            sums.error += error;
            sums.valid &= valid;
            if wants_gradient {
                tiles.end_stripe(scratch, sums);
            }
        }
        sums.biases = biases;
    }
}

/// Adds the offsets of up to 256 rows to their scores `z`. Class k of row i is at `z[k · STRIPE + i]`.
#[inline(always)]
pub(super) fn add_offsets<F: Float>(
    offsets: &[Vector<'_>],
    rows: RowSet<'_>,
    places: Range<usize>,
    z: &mut [F],
) {
    for (offset, z) in offsets.iter().zip(z.chunks_exact_mut(STRIPE)) {
        let mut buffer = [F::ZERO; STRIPE];
        let buffer = &mut buffer[..places.len()];
        offset.copy(rows, places.start, buffer);
        z.iter_mut()
            .zip(buffer)
            .for_each(|(z, offset)| *z += *offset);
    }
}

/// Replaces the scores `z` of up to 256 rows by their residuals times sample weights. Class k of row i is at
/// `z[k · STRIPE + i]`. Returns the sum of the errors of the rows.
#[inline(always)]
pub(in crate::kernel) fn stripe_residuals<S: Simd>(
    simd: S,
    z: &mut [f64],
    classes: usize,
    labels: &StripeLabels<'_, f64>,
) -> f64 {
    stripe::pad(z, labels.count);
    let mut sums = StripeSums::<f64, S>::new(simd);
    sums.residuals(simd, z, classes, labels);
    sums.finish().0
}

/// Replaces every row of `classes` numbers z_k by its softmax, `exp(z_k) / Σ_l exp(z_l)`.
///
/// # Errors
///
/// [`Error::Length`] if the number of values is not a multiple of `classes`; [`Error::Interrupted`] by the monitor.
pub fn softmax_in_place<F: Float>(
    values: &mut [F],
    classes: usize,
    job: &mut Job<'_>,
) -> Result<(), Error> {
    /// How many elements are one item of work for a thread: about 30 µs.
    const ELEMENTS: usize = 1 << 15;
    if classes == 0 || !values.len().is_multiple_of(classes) {
        return Err(Error::Length {
            argument: "z",
            expected: values.len().next_multiple_of(classes.max(1)),
            unit: "whole rows of classes",
            got: values.len(),
        });
    }
    let level = job.level();
    let size = (ELEMENTS / classes).max(1) * classes;
    reduce::map(
        job,
        values.chunks_mut(size).collect(),
        || vec![F::ZERO; classes * STRIPE],
        |z, rows: &mut [F]| dispatch!(level, simd => softmax_of_rows(simd, rows, classes, z)),
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
