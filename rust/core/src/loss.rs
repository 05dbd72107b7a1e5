//! The losses and the activations of models. Each has formulas that compute, for a SIMD vector of rows, predictions
//! from scores, and errors from scores and labels.

use fearless_simd::{Simd, SimdFloat};

use crate::error::{Error, one_of};
use crate::float::Float;
use crate::math::{self, Sample};

/// How the error of a row is computed from its scores and its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// One score per row, and a label in [0, 1]; the activation says how the error is computed.
    OneScore(Activation),
    /// K scores per row, and a label from 0 to K − 1. The error is the cross-entropy of the softmax.
    Softmax,
}

/// How a prediction ŷ is computed from the score `z = w·x + b`, and an error from the prediction and a label y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// ŷ = σ(z); the error is the cross-entropy. This is logistic regression.
    Sigmoid,
    /// ŷ is 1 if z ≥ 0, else 0; the error is 1 if ŷ ≠ y, else 0. This is the perceptron.
    Step,
}

impl Activation {
    /// The activation with this name.
    ///
    /// # Errors
    ///
    /// [`Error::Choice`] if `name` is neither "sigmoid" nor "step".
    pub fn parse(name: &str) -> Result<Self, Error> {
        let words = [("sigmoid", Activation::Sigmoid), ("step", Activation::Step)];
        one_of("activation", &words, name)
    }

    /// The name of the activation: "sigmoid" or "step".
    pub fn name(self) -> &'static str {
        match self {
            Activation::Sigmoid => "sigmoid",
            Activation::Step => "step",
        }
    }

    /// The predictions ŷ for the scores `z`.
    #[inline(always)]
    pub(crate) fn predict<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(self, z: V) -> V {
        match self {
            Activation::Sigmoid => math::sigmoid(z),
            Activation::Step => math::step(z),
        }
    }

    /// Errors and residuals for the scores `z` and the labels `y`.
    #[inline(always)]
    pub(crate) fn sample<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(
        self,
        z: V,
        y: V,
    ) -> Sample<V> {
        match self {
            Activation::Sigmoid => math::cross_entropy(z, y),
            Activation::Step => math::misclassified(z, y),
        }
    }

    /// `k` times the residual, without the error. The chain of operations from `z` to the result is as short as
    /// possible.
    #[inline(always)]
    pub(crate) fn scaled_residual<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(
        self,
        z: V,
        y: V,
        k: V,
    ) -> V {
        match self {
            Activation::Sigmoid => math::scaled_residual(z, y, k),
            Activation::Step => (math::step(z) - y) * k,
        }
    }
}
