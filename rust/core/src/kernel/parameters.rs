//! The weights and biases that a dataset is evaluated at.

use crate::error::Error;
use crate::error::check_length;
use crate::loss::{Activation, Loss};

/// Weights and biases, and the loss of their scores.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a, F> {
    pub(crate) loss: Loss,
    /// Shape (K, n), class by class; of one score (n).
    pub(crate) weights: &'a [F],
    /// Shape (K).
    pub(crate) biases: &'a [F],
}

impl<'a, F> Parameters<'a, F> {
    /// Parameters of one score, `z = x · weights + bias`.
    pub fn of_one_score(activation: Activation, weights: &'a [F], bias: &'a F) -> Self {
        Parameters {
            loss: Loss::OneScore(activation),
            weights,
            biases: std::slice::from_ref(bias),
        }
    }

    /// Parameters of a score per class, `z_k = x · w_k + b_k`; weights lie class by class.
    pub fn of_classes(weights: &'a [F], biases: &'a [F]) -> Self {
        Parameters {
            loss: Loss::Softmax,
            weights,
            biases,
        }
    }

    /// K
    pub(crate) fn scores(&self) -> usize {
        self.biases.len()
    }

    /// # Errors
    ///
    /// [`Error::Length`] if there is not a weight for each score and column, or no score.
    pub(crate) fn check(&self, columns: usize) -> Result<(), Error> {
        let scores = self.scores();
        check_length("bias", scores, scores.max(1), "one per class")?;
        let unit = match self.loss {
            Loss::OneScore(_) => "one weight per column of X",
            Loss::Softmax => "one weight per class and column of X",
        };
        let expected = scores.saturating_mul(columns);
        check_length("weights", self.weights.len(), expected, unit)
    }
}
