//! A small batch of sparse rows in a descent with K classes. Only the columns that the rows store are read and written.
//! The weights are used in the form in which the descent stores them: class by class, divided by a scale.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::evaluate::{ClassPass, first_invalid};
use super::scores::{ScorePass, Transform};
use super::tile::{ClassScratch, RowTiles};
use crate::error::Error;
use crate::float::Float;
use crate::kernel::dataset::{Dataset, rows_of};
use crate::kernel::pass::Want;
use crate::kernel::sparse::{ScaledWeights, add_row, score};
use crate::kernel::sums::Sums;
use crate::reduce::STRIPE;
use crate::sparse::{Index, SparseRows};

/// The rows of a batch, with the weights `scale · weights`, shape (K, n), and the biases, shape (K).
pub(crate) struct LazyBatch<'a, F, I> {
    pub x: SparseRows<'a, F, I>,
    pub weights: &'a [F],
    pub scale: f64,
    pub biases: &'a [F],
}

impl<F: Float, I: Index> LazyBatch<'_, F, I> {
    /// Adds the errors, residuals and residual × row of the batch to `sums`. If `predictions` is given, writes scores
    /// and probabilities there, one number for each row and class.
    ///
    /// # Errors
    ///
    /// The error names the first column index, label or sample weight that is out of range.
    #[inline(always)]
    pub(crate) fn add_to<S: Simd>(
        self,
        simd: S,
        dataset: &Dataset<'_>,
        scratch: &mut ClassScratch<F>,
        sums: &mut Sums,
        predictions: Option<&mut [Vec<F>; 2]>,
    ) -> Result<(), Error> {
        let (classes, rows) = (self.biases.len(), 0..rows_of(dataset));
        let pass = ClassPass {
            dataset,
            tiles: self,
            want: Want::LossAndGradient,
        };
        pass.leaf(simd, rows.clone(), scratch, sums);
        if !sums.valid {
            return Err(first_invalid::<F>(dataset, classes));
        }
        if let Some([z, p]) = predictions {
            let scores = ScorePass {
                tiles: &pass.tiles,
                rows: dataset.rows,
                offsets: dataset.offsets,
                transform: Transform::Scores,
            };
            scores.stretch(simd, rows.clone(), z, scratch);
            let probabilities = ScorePass {
                transform: Transform::Probabilities,
                ..scores
            };
            probabilities.stretch(simd, rows, p, scratch);
        }
        Ok(())
    }
}

impl<F: Float, I: Index> RowTiles<F> for LazyBatch<'_, F, I> {
    fn tile_rows(&self) -> usize {
        STRIPE
    }

    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        _simd: S,
        rows: Range<usize>,
        scratch: &mut ClassScratch<F>,
        gradient: Option<&mut Sums>,
        transform: impl FnOnce(&mut [F]),
    ) -> bool {
        let columns = self.weights.len() / self.biases.len();
        let mut valid = true;
        let of_classes = self.weights.chunks_exact(columns).zip(self.biases);
        for (z, (weights, &bias)) in scratch.z.chunks_exact_mut(STRIPE).zip(of_classes) {
            let scale = self.scale;
            let weights = ScaledWeights {
                weights,
                scale,
                bias,
            };
            for (z, row) in z.iter_mut().zip(rows.clone()) {
                let row = self.x.row(row);
                valid &= row.is_some();
                *z = score(row.unwrap_or_default(), &weights, &mut valid);
            }
        }
        transform(&mut scratch.z);
        if let Some(sums) = gradient {
            let of_classes = sums.weights.chunks_exact_mut(columns);
            for (residuals, sums) in scratch.z.chunks_exact(STRIPE).zip(of_classes) {
                for (&r, row) in residuals.iter().zip(rows.clone()) {
                    add_row(self.x.row(row).unwrap_or_default(), r, sums);
                }
            }
        }
        valid
    }
}
