//! The sums that one pass over the rows makes.

use serde::{Deserialize, Serialize};

use crate::reduce::Sum;

/// Sums over the rows i, with sample weights s_i (1 if there are none). A row has K residuals, one for each score. Each
/// residual is multiplied by s_i.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Sums {
    /// Σ s_i, the total weight.
    pub weight: f64,
    /// Σ s_i E_i, the weighted sum of the errors of the rows.
    pub error: f64,
    /// Σ residual × row, shape (K, n); empty if the gradient is not wanted.
    pub weights: Vec<f64>,
    /// Σ residual, shape (K).
    pub biases: Vec<f64>,
    /// Whether all labels, sample weights and column indices were in range.
    pub valid: bool,
}

impl Sums {
    pub(crate) fn zero(weights: usize, classes: usize) -> Self {
        Sums {
            weight: 0.0,
            error: 0.0,
            weights: vec![0.0; weights],
            biases: vec![0.0; classes],
            valid: true,
        }
    }

    /// The mean error: nats per row for the cross-entropy, the fraction of misclassified rows for the step activation.
    pub(crate) fn mean_error(&self) -> f64 {
        self.error / self.weight
    }
}

impl Sum for Sums {
    fn add(&mut self, right: &Self) {
        self.weight += right.weight;
        self.error += right.error;
        self.valid &= right.valid;
        self.weights.add(&right.weights);
        self.biases.add(&right.biases);
    }

    fn clear(&mut self) {
        (self.weight, self.error, self.valid) = (0.0, 0.0, true);
        Sum::clear(&mut self.weights);
        Sum::clear(&mut self.biases);
    }
}
