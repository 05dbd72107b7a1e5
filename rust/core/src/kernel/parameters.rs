//! `Parameters`: the weights and biases at which a loss is evaluated.

use crate::error::Error;
use crate::error::check_length;
use crate::loss::{Activation, Loss};

/// Weights and biases of a model, and the loss as a function of its scores.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a, F> {
    pub(crate) loss: Loss,
    /// Shape (n) for one score; shape (K, n), class by class, for K classes.
    pub(crate) weights: &'a [F],
    /// Shape (1) for one score; shape (K) for K classes.
    pub(crate) biases: &'a [F],
}

impl<'a, F> Parameters<'a, F> {
    /// Parameters of a model with one score, `z = x · weights + bias`.
    pub fn of_one_score(activation: Activation, weights: &'a [F], bias: &'a F) -> Self {
        Parameters {
            loss: Loss::OneScore(activation),
            weights,
            biases: std::slice::from_ref(bias),
        }
    }

    /// Parameters of a model with K classes and scores `z_k = x · w_k + b_k`. `weights` has shape (K, n), class by
    /// class.
    pub fn of_classes(weights: &'a [F], biases: &'a [F]) -> Self {
        Parameters {
            loss: Loss::Softmax,
            weights,
            biases,
        }
    }

    /// The parameters of a fitted model. One bias means a model with one score and the sigmoid; K biases mean a model
    /// of K classes.
    pub(crate) fn of_scores(weights: &'a [F], biases: &'a [F]) -> Self {
        match biases {
            [bias] => Parameters::of_one_score(Activation::Sigmoid, weights, bias),
            _ => Parameters::of_classes(weights, biases),
        }
    }

    /// The number of scores per row: 1, or the number of classes K.
    pub(crate) fn scores(&self) -> usize {
        self.biases.len()
    }

    /// # Errors
    ///
    /// [`Error::Length`] if there are no scores, or if the number of weights is not scores × `columns`.
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
