//! The weights of all classes, and rows of features that are multiplied with them tile by tile.

use std::ops::Range;

use fearless_simd::prelude::*;

use crate::float::Float;
use crate::kernel::parameters::Parameters;
use crate::kernel::sums::Sums;
use crate::matrix::Packed;
use crate::reduce::STRIPE;

/// W, class by class, and b, for so many columns.
#[derive(Clone, Copy)]
pub(super) struct ClassWeights<'a, F> {
    pub(super) weights: &'a [F],
    pub(super) biases: &'a [F],
    pub(super) columns: usize,
}

impl<'a, F> ClassWeights<'a, F> {
    pub(super) fn new(parameters: &Parameters<'a, F>, columns: usize) -> Self {
        ClassWeights {
            weights: parameters.weights,
            biases: parameters.biases,
            columns,
        }
    }

    /// K
    pub(super) fn classes(&self) -> usize {
        self.biases.len()
    }

    pub(super) fn of_class(&self, class: usize) -> &'a [F] {
        &self.weights[class * self.columns..][..self.columns]
    }
}

/// Memory that a thread reuses for all of its leaves.
pub(super) struct ClassScratch<F: Float> {
    pub(super) packed: Packed<F>,
    pub(super) panel: Vec<F>,
    pub(super) tail: Vec<F>,
    pub(super) lanes: Vec<F>,
    /// Scores, or what was made of them: class k of row i of the tile is at `k · STRIPE + i`.
    pub(super) z: Vec<F>,
}

impl<F: Float> ClassScratch<F> {
    pub(super) fn new(classes: usize) -> Self {
        ClassScratch {
            packed: Packed::new(),
            panel: Vec::new(),
            tail: Vec::new(),
            lanes: Vec::new(),
            z: vec![F::ZERO; classes * STRIPE],
        }
    }
}

/// Rows of features, and the weights of all classes, multiplied tile by tile.
pub(super) trait RowTiles<F: Float>: Sync {
    /// Rows of a tile: whole vectors, and no more than a stripe.
    fn tile_rows(&self) -> usize;

    /// Scores of a tile's rows, which `transform` replaces. With `gradient`, they are residuals from then on, and residual ×
    /// row is added to those sums. Returns whether all columns were in range.
    fn tile<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut ClassScratch<F>,
        gradient: Option<&mut Sums>,
        transform: impl FnOnce(&mut [F]),
    ) -> bool;

    /// Adds the sums of a stripe that are still in the scratch.
    fn end_stripe(&self, _scratch: &mut ClassScratch<F>, _sums: &mut Sums) {}

    /// Puts the sums over all rows into their order.
    fn finish(&self, _sums: &mut Sums) {}
}
