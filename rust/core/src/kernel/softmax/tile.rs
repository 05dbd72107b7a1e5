//! A model of classes, and features of it tile by tile.

use fearless_simd::prelude::*;

use crate::float::Float;
use crate::kernel::parameters::Parameters;
use crate::kernel::sums::Sums;
use crate::matrix::Packed;
use crate::reduce::STRIPE;

/// W, class by class, and b, for so many columns.
#[derive(Clone, Copy)]
pub(super) struct Classes<'a, F> {
    pub(super) weights: &'a [F],
    pub(super) biases: &'a [F],
    pub(super) columns: usize,
}

impl<'a, F> Classes<'a, F> {
    pub(super) fn new(parameters: &Parameters<'a, F>, columns: usize) -> Self {
        Classes {
            weights: parameters.weights,
            biases: parameters.biases,
            columns,
        }
    }

    /// K
    pub(super) fn count(&self) -> usize {
        self.biases.len()
    }

    pub(super) fn weights_of(&self, class: usize) -> &'a [F] {
        &self.weights[class * self.columns..][..self.columns]
    }
}

/// Memory that a thread reuses for all of its leaves.
pub(super) struct Scratch<F: Float> {
    pub(super) packed: Packed<F>,
    pub(super) panel: Vec<F>,
    pub(super) tail: Vec<F>,
    pub(super) lanes: Vec<F>,
    /// Scores, or what became of them: class k of row i of the tile is at `k · STRIPE + i`.
    pub(super) z: Vec<F>,
}

impl<F: Float> Scratch<F> {
    pub(super) fn new(classes: usize) -> Self {
        Scratch {
            packed: Packed::new(),
            panel: Vec::new(),
            tail: Vec::new(),
            lanes: Vec::new(),
            z: vec![F::ZERO; classes * STRIPE],
        }
    }
}

/// Features with a model, tile by tile.
pub(super) trait Samples<F: Float>: Sync {
    /// Rows of a tile: whole vectors, and no more than a stripe.
    fn tile_rows(&self) -> usize;

    /// Scores of a tile; what `transform` makes of them are residuals, whose products with the rows are added to the sums.
    /// Whether all columns were in range.
    fn tile<S: Simd>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        scratch: &mut Scratch<F>,
        gradient: Option<&mut Sums>,
        transform: impl FnOnce(&mut [F]),
    ) -> bool;

    /// Adds what a stripe has left in the scratch.
    fn end_stripe(&self, _scratch: &mut Scratch<F>, _sums: &mut Sums) {}

    /// Puts the sums over all rows into their order.
    fn finish(&self, _sums: &mut Sums) {}
}
