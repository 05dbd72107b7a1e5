//! For models with several classes: the scores or probabilities of every row, and the second derivatives of the loss by
//! the scores and by the biases.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::evaluate::{add_offsets, with_tiles};
use super::stripe;
use super::tile::{ClassScratch, ClassWeights, RowTiles};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel::dataset::{Dataset, rows_of};
use crate::kernel::leaves::leaves_of;
use crate::kernel::parameters::Parameters;
use crate::linalg::add_multiple;
use crate::reduce::{Job, STRIPE, map_into};
use crate::simd::dispatch;
use crate::sparse::changed;
use crate::vector::{RowSet, Vector};

/// Writes the scores, the probabilities or their slopes for every row, as `transform` says, to `out`, shape (m, K).
/// `offsets` has a vector for each class, or is empty.
pub(in crate::kernel) fn map_rows<F: Float>(
    x: Features<'_>,
    (rows, offsets): (RowSet<'_>, &[Vector<'_>]),
    parameters: &Parameters<'_, F>,
    transform: Transform,
    out: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    let (level, classes) = (job.level(), parameters.scores());
    let weights = ClassWeights::new(parameters, x.columns());
    let valid = with_tiles!(x, rows, &weights, tiles => {
        let pass = ScorePass { tiles: &tiles, rows, offsets, transform };
        map_into(
            job,
            leaves_of(&x, rows, classes),
            (out, classes),
            || ClassScratch::new(classes),
            |scratch, stretch, out| {
                dispatch!(level, simd => pass.stretch(simd, stretch, out, scratch))
            },
        )
    })?;
    match (&x, valid.contains(&false)) {
        (Features::Sparse(x), true) => Err(x.first_invalid().unwrap_or_else(changed)),
        _ => Ok(()),
    }
}

/// What is computed from the scores z_k of a row, whose probabilities are p_k.
#[derive(Clone, Copy)]
pub(in crate::kernel) enum Transform {
    /// The scores `z_k`, unchanged.
    Scores,
    /// The probabilities `p_k`.
    Probabilities,
    /// The slopes `p_k (1 − p_k)`, the derivative of p_k by z_k.
    Slopes,
}

/// The inputs of one pass over the rows that computes their scores.
pub(super) struct ScorePass<'a, T> {
    pub(super) tiles: &'a T,
    pub(super) rows: RowSet<'a>,
    /// A vector for each class; empty without offsets.
    pub(super) offsets: &'a [Vector<'a>],
    pub(super) transform: Transform,
}

impl<T> ScorePass<'_, T> {
    /// Writes the transformed scores of a stretch of rows to `out`, row by row. Returns whether all column indices were
    /// in range.
    #[inline(always)]
    pub(super) fn stretch<F: Float, S: Simd>(
        &self,
        simd: S,
        stretch: Range<usize>,
        out: &mut [F],
        scratch: &mut ClassScratch<F>,
    ) -> bool
    where
        T: RowTiles<F>,
    {
        let tiles = self.tiles;
        let classes = out.len() / stretch.len();
        let tile_rows = tiles.tile_rows();
        let mut valid = true;
        for (first, out) in stretch
            .step_by(tile_rows)
            .zip(out.chunks_mut(tile_rows * classes))
        {
            let count = out.len() / classes;
            valid &= tiles.tile(
                simd,
                first..first + count,
                scratch,
                None,
                #[inline(always)]
                |z| {
                    add_offsets(self.offsets, self.rows, first..first + count, z);
                    stripe::pad(z, count);
                    match self.transform {
                        Transform::Scores => {}
                        Transform::Probabilities => stripe::probabilities(simd, z, classes, count),
                        Transform::Slopes => stripe::slopes(simd, z, classes, count),
                    }
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
}

/// The slopes `d_ik = s_i p_ik (1 − p_ik)` for every row i and class k, shape (K, m), with sample weights s_i and
/// probabilities p_ik. Computed in `f64`, whatever the type of `X`.
///
/// # Errors
///
/// [`Error::Memory`]; [`Error::Interrupted`] by the monitor.
pub(crate) fn slopes(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, f64>,
    job: &mut Job<'_>,
) -> Result<Vec<f64>, Error> {
    let (rows, classes) = (rows_of(dataset), parameters.scores());
    let unit = "numbers of rows and classes";
    let mut by_rows = crate::error::zeros("X", rows.saturating_mul(classes), unit)?;
    map_rows(
        dataset.x,
        (dataset.rows, dataset.offsets),
        parameters,
        Transform::Slopes,
        &mut by_rows,
        job,
    )?;
    let mut s = vec![1.0; rows];
    if let Some(weights) = dataset.sample_weight {
        weights.copy(dataset.rows, 0, &mut s);
    }
    let mut by_classes = vec![0.0; by_rows.len()];
    for (k, out) in by_classes.chunks_exact_mut(rows.max(1)).enumerate() {
        for ((out, d), &s) in out.iter_mut().zip(by_rows.chunks_exact(classes)).zip(&s) {
            // A row of weight 0 must not count, but its `d` may be NaN.
            *out = if s == 0.0 { 0.0 } else { d[k] * s };
        }
    }
    Ok(by_classes)
}

/// Computes second derivatives for the rows i in `rows`, with sample weights s_i and probabilities p_i. Writes the
/// trace of the second derivatives of s_i E_i by the scores of row i, `d_i = s_i Σ_k p_ik (1 − p_ik)`, to `d`. Adds the
/// Hessian of Σ s_i E_i by the biases, `Σ_i s_i (diag(p_i) − p_i p_iᵀ)`, to `hessian`, of which only the lower triangle
/// is filled. `slopes` is scratch memory.
#[inline(always)]
pub(in crate::kernel) fn add_traces<S: Simd>(
    simd: S,
    dataset: &Dataset<'_>,
    tiles: &impl RowTiles<f64>,
    rows: Range<usize>,
    (scratch, slopes): (&mut ClassScratch<f64>, &mut Vec<f64>),
    d: &mut [f64],
    hessian: &mut [f64],
) {
    let classes = scratch.z.len() / STRIPE;
    slopes.resize(scratch.z.len(), 0.0);
    let tile_rows = tiles.tile_rows();
    for (first, d) in rows.step_by(tile_rows).zip(d.chunks_mut(tile_rows)) {
        let count = d.len();
        let mut s = [0.0; STRIPE];
        match dataset.sample_weight {
            None => s[..count].fill(1.0),
            Some(weights) => weights.copy(dataset.rows, first, &mut s[..count]),
        }
        // Column indices out of range are skipped.
        tiles.tile(
            simd,
            first..first + count,
            scratch,
            None,
            #[inline(always)]
            |p| {
                add_offsets(dataset.offsets, dataset.rows, first..first + count, p);
                stripe::pad(p, count);
                stripe::probabilities_and_slopes(simd, p, slopes, classes, count);
                d.fill(0.0);
                let weighted = count.next_multiple_of(f64::LANES);
                for k in 0..classes {
                    let place = k * STRIPE..k * STRIPE + weighted;
                    let (p, slopes) = (&mut p[place.clone()], &mut slopes[place]);
                    for ((slope, p), &s) in slopes.iter_mut().zip(&mut *p).zip(&s) {
                        // A row of weight 0 must not count: its numbers may be NaN.
                        (*slope, *p) = match s == 0.0 {
                            true => (0.0, 0.0),
                            false => (s * *slope, *p),
                        };
                    }
                    hessian[k * classes + k] += stripe::class_sum::<f64, S>(simd, slopes, count);
                    add_multiple(d, 1.0, slopes);
                    let of_class = slopes.iter_mut().zip(&*p).zip(&s);
                    of_class.for_each(|((weighted, p), s)| *weighted = s * p);
                }
                stripe::subtract_products(simd, p, slopes, classes, count, hessian);
            },
        );
    }
}
