//! What makes predictions of scores, and errors of labels: the formulas for one row, over lanes of rows.

use fearless_simd::{Simd, SimdFloat};

use crate::error::{Error, one_of};
use crate::float::Float;
use crate::math::{self, Sample};

/// What makes an error of scores and a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// One score, and a label in [0, 1].
    OneScore(Activation),
    /// A score for each of K classes, and a label of 0 … K − 1: the cross-entropy of the softmax.
    Softmax,
}

/// What turns `z = w·x + b` into a prediction, and a label into an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// ŷ = σ(z), cross-entropy: logistic regression.
    Sigmoid,
    /// ŷ = [z ≥ 0], 1 where ŷ ≠ y: the perceptron.
    Step,
}

impl Activation {
    /// # Errors
    ///
    /// [`Error::Choice`] if `name` is neither "sigmoid" nor "step".
    pub fn parse(name: &str) -> Result<Self, Error> {
        let words = [("sigmoid", Activation::Sigmoid), ("step", Activation::Step)];
        one_of("activation", &words, name)
    }

    /// "sigmoid" or "step".
    pub fn name(self) -> &'static str {
        match self {
            Activation::Sigmoid => "sigmoid",
            Activation::Step => "step",
        }
    }

    /// ŷ
    #[inline(always)]
    pub(crate) fn predict<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(self, z: V) -> V {
        match self {
            Activation::Sigmoid => math::sigmoid(z),
            Activation::Step => math::step(z),
        }
    }

    /// Error and residual.
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

    /// The residual alone, times `k`: the shortest way from `z` to it.
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
