//! One step of gradient descent: w ← w − α ∇E, with learning rate α and mean error E.

use crate::error::{Error, one_of};
use crate::float::Float;
use crate::kernel::{self, Dataset, Parameters, Sums, Want};
use crate::penalty::Penalty;
use crate::reduce::Job;

/// Whether the learning rate multiplies the gradient of the mean error or the gradient of the sum of the errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The gradient of the mean error E: w ← w − α ∇E.
    Mean,
    /// The gradient of the sum: w ← w + α Σ_i s_i (y_i − ŷ_i) x_i over the points i of the batch, with sample weights
    /// s_i.
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

/// Weights and biases: those after a step ([`gradient_step`] returns them), or their changes by a step (`deltas`
/// returns them).
#[derive(Clone, Debug, PartialEq)]
pub struct Step<F> {
    /// Shape (n); for K classes, shape (K, n), class by class.
    pub weights: Vec<F>,
    /// One bias for each score.
    pub biases: Vec<F>,
}

/// The weights and biases after one step from `parameters`.
///
/// # Errors
///
/// [`Error::Number`] if `learning_rate` is not positive and finite; else as [`kernel::loss`].
pub fn gradient_step<F: Float>(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, F>,
    learning_rate: f64,
    reduction: Reduction,
    job: &mut Job<'_>,
) -> Result<Step<F>, Error> {
    check_learning_rate(learning_rate)?;
    dataset.check_offsets_of(parameters.scores())?;
    let sums = kernel::evaluate(dataset, parameters, Want::LossAndGradient, job)?;
    let scales = scales(sums.weight, reduction);
    let weights = parameters.weights;
    let deltas = deltas(&sums, weights, learning_rate, &Penalty::NONE, scales);
    let moved = |from: &[F], by: &[F]| from.iter().zip(by).map(|(&w, &d)| w + d).collect();
    Ok(Step {
        weights: moved(parameters.weights, &deltas.weights),
        biases: moved(parameters.biases, &deltas.biases),
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

/// The numbers (divisor, factor) for a step by a batch of rows. The step goes against the direction `sums / divisor +
/// factor · (gradient of the penalty)`, where `sums` is Σ residual × row. `weight` is the total weight of the batch. A
/// descent passes an estimate of it: the number of rows in the batch times the mean weight of all rows.
pub(crate) fn scales(weight: f64, reduction: Reduction) -> (f64, f64) {
    match reduction {
        Reduction::Mean => (weight, 1.0),
        Reduction::Sum => (1.0, weight),
    }
}

/// The changes Δw and Δb of a step against the gradient of error plus l2 penalty, followed by the proximal step of l1.
/// In the proximal step, each weight moves towards 0 by the learning rate times `factor` times l1, or to 0 if its
/// magnitude is smaller than this product. [`scales`] gives `divisor` and `factor`.
///
/// Source: J. Duchi & Y. Singer, "Efficient online and batch learning using forward backward splitting", JMLR 10
/// (2009).
pub(crate) fn deltas<F: Float>(
    sums: &Sums,
    weights: &[F],
    learning_rate: f64,
    penalty: &Penalty,
    (divisor, factor): (f64, f64),
) -> Step<F> {
    let delta =
        |sum: f64, penalised: f64| F::from_f64(-learning_rate * (sum / divisor + penalised));
    let delta_weights = sums
        .weights
        .iter()
        .zip(weights)
        .enumerate()
        .map(|(j, (&sum, &w))| {
            let penalty = penalty.of(j);
            let step = delta(sum, factor * penalty.slope(w.to_f64()));
            match penalty.kinks.l1 {
                0.0 => step,
                _ => {
                    let curvature = 1.0 / (learning_rate * factor);
                    F::from_f64(penalty.kinks.proximal((w + step).to_f64(), curvature)) - w
                }
            }
        })
        .collect();
    Step {
        weights: delta_weights,
        biases: sums.biases.iter().map(|&sum| delta(sum, 0.0)).collect(),
    }
}
