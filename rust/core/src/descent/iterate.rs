//! The current weights and biases of a descent.

use super::step::Step;
use crate::float::Float;
use crate::kernel::Parameters;
use crate::loss::Loss;

/// The current weights and biases of a descent, and the loss of its model.
#[derive(Clone)]
pub(super) struct Iterate<F> {
    pub(super) loss: Loss,
    /// Shape (n); for K classes, shape (K, n), class by class.
    pub(super) weights: Vec<F>,
    /// One bias for each score.
    pub(super) biases: Vec<F>,
}

impl<F: Float> Iterate<F> {
    pub(super) fn parameters(&self) -> Parameters<'_, F> {
        Parameters {
            loss: self.loss,
            weights: &self.weights,
            biases: &self.biases,
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        let mut all = self.biases.iter().chain(&self.weights);
        all.all(|w| w.is_finite())
    }

    pub(super) fn add(&mut self, deltas: &Step<F>) {
        let add = |all: &mut [F], deltas: &[F]| {
            for (w, &delta) in all.iter_mut().zip(deltas) {
                *w += delta;
            }
        };
        add(&mut self.weights, &deltas.weights);
        add(&mut self.biases, &deltas.biases);
    }
}
