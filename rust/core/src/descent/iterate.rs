//! The current weights and bias of a descent.

use crate::float::Float;
use crate::kernel::Parameters;
use crate::loss::Activation;

/// The current weights and bias of a descent.
#[derive(Clone)]
pub(super) struct Iterate<F> {
    pub(super) weights: Vec<F>,
    pub(super) bias: F,
}

impl<F: Float> Iterate<F> {
    pub(super) fn parameters(&self, activation: Activation) -> Parameters<'_, F> {
        Parameters::of_one_score(activation, &self.weights, &self.bias)
    }

    pub(super) fn is_finite(&self) -> bool {
        self.bias.is_finite() && self.weights.iter().all(|w| w.is_finite())
    }

    pub(super) fn add(&mut self, delta_weights: &[F], delta_bias: F) {
        for (w, &delta) in self.weights.iter_mut().zip(delta_weights) {
            *w += delta;
        }
        self.bias += delta_bias;
    }
}
