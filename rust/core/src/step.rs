//! w ← w − α ∇E: one step of gradient descent.

use crate::activation::Activation;
use crate::error::{Error, one_of};
use crate::features::Features;
use crate::float::Float;
use crate::kernel::{self, Points, Sums, Want};
use crate::parallel::{Monitor, Threads};
use crate::vector::Vector;

/// How a learning rate reads: along the gradient of the mean error, or of the sum over the points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// w ← w − α ∇E
    Mean,
    /// w ← w + α Σ_i s_i (y_i − ŷ_i) x_i: the 1/m is absorbed into α.
    Sum,
}

impl Reduction {
    /// # Errors
    ///
    /// [`Error::Choice`] if `name` is neither "mean" nor "sum".
    pub fn parse(name: &str) -> Result<Self, Error> {
        let words = [("mean", Reduction::Mean), ("sum", Reduction::Sum)];
        one_of("reduction", &words, name)
    }

    /// "mean" or "sum".
    pub fn name(self) -> &'static str {
        match self {
            Reduction::Mean => "mean",
            Reduction::Sum => "sum",
        }
    }
}

/// Weights and bias after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<F> {
    /// Shape (n).
    pub weights: Vec<F>,
    /// Bias.
    pub bias: F,
}

/// One step from `weights` and `bias`, which are not changed.
///
/// # Errors
///
/// [`Error::Number`] if `learning_rate` is not positive and finite; else as [`kernel::loss`].
pub fn gradient_step<'a, F: Float>(
    x: impl Into<Features<'a>>,
    y: &'a Vector<'a>,
    sample_weight: Option<&'a Vector<'a>>,
    weights: &[F],
    bias: F,
    learning_rate: f64,
    reduction: Reduction,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Step<F>, Error> {
    check_learning_rate(learning_rate)?;
    let points = Points::new(x, y, sample_weight)?;
    let sums = kernel::evaluate(
        &points,
        weights,
        bias,
        Activation::Sigmoid,
        Want::LossAndGradient,
        threads,
        monitor,
    )?;
    let (delta_weights, delta_bias) = deltas(&sums, weights, learning_rate, 0.0, reduction);
    Ok(Step {
        weights: weights
            .iter()
            .zip(&delta_weights)
            .map(|(&w, &d)| w + d)
            .collect(),
        bias: bias + delta_bias,
    })
}

pub(crate) fn check_learning_rate(got: f64) -> Result<(), Error> {
    if got > 0.0 && got < f64::INFINITY {
        Ok(())
    } else {
        Err(Error::Number {
            argument: "learning_rate",
            expected: "positive and finite",
            got,
        })
    }
}

/// What the sums are divided by, and what the weights are multiplied by, in the penalised gradient.
pub(crate) fn scales(sums: &Sums, l2: f64, reduction: Reduction) -> (f64, f64) {
    match reduction {
        Reduction::Mean => (sums.weight, l2),
        Reduction::Sum => (1.0, l2 * sums.weight),
    }
}

/// Δw and Δb of the step along the penalised gradient, ∇E + l2·w.
pub(crate) fn deltas<F: Float>(
    sums: &Sums,
    weights: &[F],
    learning_rate: f64,
    l2: f64,
    reduction: Reduction,
) -> (Vec<F>, F) {
    let (divisor, penalty) = scales(sums, l2, reduction);
    let delta =
        |sum: f64, penalised: f64| F::from_f64(-learning_rate * (sum / divisor + penalised));
    let delta_weights = sums
        .weights
        .iter()
        .zip(weights)
        .map(|(&sum, w)| delta(sum, penalty * w.to_f64()))
        .collect();
    (delta_weights, delta(sums.bias, 0.0))
}
