//! What the dense and the sparse softmax have in common: the weights of all classes, scratch memory, and a trait for
//! rows that are multiplied with the weights tile by tile (in blocks that fit the cache).

use std::ops::Range;

use fearless_simd::prelude::*;

use crate::float::Float;
use crate::kernel::parameters::Parameters;
use crate::kernel::sums::Sums;
use crate::matrix::Packed;
use crate::reduce::STRIPE;

/// The weights of all classes, class by class, with `columns` weights each; and the biases.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct ClassWeights<'a, F> {
    pub(super) weights: &'a [F],
    pub(super) biases: &'a [F],
    pub(super) columns: usize,
}

impl<'a, F> ClassWeights<'a, F> {
    pub(in crate::kernel) fn new(parameters: &Parameters<'a, F>, columns: usize) -> Self {
        ClassWeights {
            weights: parameters.weights,
            biases: parameters.biases,
            columns,
        }
    }

    /// The number of classes K.
    pub(super) fn classes(&self) -> usize {
        self.biases.len()
    }

    pub(super) fn of_class(&self, class: usize) -> &'a [F] {
        &self.weights[class * self.columns..][..self.columns]
    }
}

/// Scratch memory of one thread.
pub(crate) struct ClassScratch<F: Float> {
    pub(super) packed: Packed<F>,
    pub(super) panel: Vec<F>,
    pub(super) tail: Vec<F>,
    pub(super) lanes: Vec<F>,
    /// The scores of the rows of a tile, or the residuals that replaced them. Class k of row i is at `k · STRIPE + i`.
    pub(super) z: Vec<F>,
}

impl<F: Float> ClassScratch<F> {
    pub(crate) fn new(classes: usize) -> Self {
        ClassScratch {
            packed: Packed::new(),
            panel: Vec::new(),
            tail: Vec::new(),
            lanes: Vec::new(),
            z: vec![F::ZERO; classes * STRIPE],
        }
    }
}

/// Rows of features, dense or sparse, with the weights of all classes. Computes scores and sums of the gradient, tile
/// by tile.
pub(in crate::kernel) trait RowTiles<F: Float>: Sync {
    /// The number of rows of a tile (a block of rows that fits the cache): a multiple of the number of lanes of a
    /// vector, at most `STRIPE`.
    fn tile_rows(&self) -> usize;

    /// Computes the scores of the rows of a tile and passes them to `transform`, which replaces them. If `gradient` is
    /// given, `transform` must replace the scores by residuals, and residual × row is then added to `gradient`. Returns
    /// whether all column indices were in range.
    fn tile<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut ClassScratch<F>,
        gradient: Option<&mut Sums>,
        transform: impl FnOnce(&mut [F]),
    ) -> bool;

    /// Called at the end of a stripe (up to 256 rows). Adds sums that are still in `scratch` to `sums`.
    fn end_stripe(&self, _scratch: &mut ClassScratch<F>, _sums: &mut Sums) {}

    /// Called once at the end. If the sums of the gradient were kept in another order, reorders them class by class.
    fn finish(&self, _sums: &mut Sums) {}
}
