//! The loss of a dataset and its gradient, in one pass over the rows. Binary models have one score per row; softmax
//! models have one score per row and class.

use super::dataset::Dataset;
use super::leaves::leaves;
use super::parameters::Parameters;
use super::pass::{Pass, Want};
use super::softmax;
use super::sparse::ScaledWeights;
use super::sums::Sums;
use super::weights::PaddedWeights;
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::loss::Loss;
use crate::reduce::Job;

/// Sums over all rows of errors, residuals and, if `want` asks for it, residual × row, in one pass over `X`.
///
/// # Errors
///
/// [`Error::Length`] if the parameters do not fit; [`Error::Element`] for a label or sample weight out of range;
/// [`Error::Class`] for a label that is no class; [`Error::Index`] for a column of a sparse matrix out of range;
/// [`Error::TotalWeight`]; [`Error::Interrupted`].
pub(crate) fn evaluate<F: Float>(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, F>,
    want: Want,
    job: &mut Job<'_>,
) -> Result<Sums, Error> {
    let sums = sums(dataset, parameters, want, job)?;
    dataset.check_total::<F>(sums.weight)?;
    Ok(sums)
}

/// [`evaluate`] for a part of the rows. The sample weights of a part may sum to zero.
///
/// # Errors
///
/// As [`evaluate`], but no [`Error::TotalWeight`].
pub(crate) fn sums<F: Float>(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, F>,
    want: Want,
    job: &mut Job<'_>,
) -> Result<Sums, Error> {
    parameters.check(dataset.x.columns())?;
    let leaves = leaves(dataset, parameters.scores());
    let size = match want {
        Want::Loss => 0,
        Want::LossAndGradient => parameters.weights.len(),
    };
    let zero = || Sums::zero(size, parameters.scores());
    let activation = match parameters.loss {
        Loss::OneScore(activation) => activation,
        Loss::Softmax => return softmax::evaluate(dataset, parameters, want, leaves, zero, job),
    };
    let (weights, bias) = (parameters.weights, parameters.biases[0]);
    let sums = match dataset.x {
        Features::Dense(x) => Pass {
            dataset,
            x: x.select(dataset.rows),
            weights: PaddedWeights::new(weights, bias),
            activation,
            want,
        }
        .sums(leaves, zero, job)?,
        Features::Sparse(x) => Pass {
            dataset,
            x,
            weights: ScaledWeights::new(weights, bias),
            activation,
            want,
        }
        .sums(leaves, zero, job)?,
    };
    if !sums.valid {
        return Err(dataset.first_invalid::<F>());
    }
    Ok(sums)
}

/// Gradient of the mean error E.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient<F> {
    /// ∂E/∂w, shape (n); for K classes, shape (K, n), class by class.
    pub weights: Vec<F>,
    /// ∂E/∂b, one number for each score.
    pub biases: Vec<F>,
}

/// The mean error E over the rows and its gradient. For the cross-entropy, E is in nats per row.
#[derive(Clone, Debug, PartialEq)]
pub struct LossGradient<F> {
    /// The mean error E.
    pub loss: f64,
    /// The gradient ∇E.
    pub gradient: Gradient<F>,
}

/// The mean error E = Σ s_i E_i / Σ s_i over the rows i, with sample weights s_i. Reads the rows once.
///
/// E_i is the cross-entropy of row i in nats. From one score `z_i = x_i · w + b + o_i` with the offset o_i, or from K
/// scores `z_ik = x_i · w_k + b_k + o_ik`, it is
///
/// ```text
/// E_i = ln(1 + exp(z_i)) − y_i z_i          y_i in [0, 1]
/// E_i = ln Σ_k exp(z_ik) − z_iy             y_i one of 0 … K − 1
/// ```
///
/// for any finite scores, with the label y_i of the row.
///
/// # Errors
///
/// [`Error::Length`] if the parameters do not fit the dataset; [`Error::Element`] for a label outside [0, 1], a sample
/// weight that is negative or not finite, or an offset that is not finite; [`Error::Conflict`] if rows have offsets,
/// but not one for each score; [`Error::Class`] for a label that is no class; [`Error::Index`] for a column of a sparse
/// matrix out of range; [`Error::TotalWeight`] if the sample weights have no usable sum; [`Error::Interrupted`] by the
/// monitor.
pub fn loss<F: Float>(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, F>,
    job: &mut Job<'_>,
) -> Result<f64, Error> {
    dataset.check_offsets_of(parameters.scores())?;
    Ok(evaluate(dataset, parameters, Want::Loss, job)?.mean_error())
}

/// The mean error E and its gradient, in one pass over the rows. For one score and for K scores, the gradient of the
/// cross-entropy is
///
/// ```text
/// ∂w   = Σ_i s_i (σ(z_i) − y_i) x_i / Σ_i s_i           ∂b   = Σ_i s_i (σ(z_i) − y_i) / Σ_i s_i
/// ∂w_k = Σ_i s_i (p_ik − [y_i = k]) x_i / Σ_i s_i       ∂b_k = Σ_i s_i (p_ik − [y_i = k]) / Σ_i s_i
/// ```
///
/// with the scores z of [`loss`], sample weights s_i, labels y_i and `p_ik = exp(z_ik) / Σ_l exp(z_il)`.
///
/// Sources: Hastie, Tibshirani & Friedman, *The Elements of Statistical Learning*, 2nd ed., eqs. (4.20)–(4.21), divided
/// by −m; C. Bishop, *Pattern Recognition and Machine Learning* (2006), eqs. (4.104), (4.108) and (4.109).
///
/// # Errors
///
/// As [`loss`].
pub fn loss_gradient<F: Float>(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, F>,
    job: &mut Job<'_>,
) -> Result<LossGradient<F>, Error> {
    dataset.check_offsets_of(parameters.scores())?;
    let sums = evaluate(dataset, parameters, Want::LossAndGradient, job)?;
    Ok(LossGradient::of(&sums))
}

impl<F: Float> LossGradient<F> {
    /// The mean error and its gradient, from `sums`, the sums over all rows.
    pub(crate) fn of(sums: &Sums) -> Self {
        let mean = |sums_of: &[f64]| {
            let mean = sums_of.iter().map(|sum| F::from_f64(sum / sums.weight));
            mean.collect()
        };
        LossGradient {
            loss: sums.mean_error(),
            gradient: Gradient {
                weights: mean(&sums.weights),
                biases: mean(&sums.biases),
            },
        }
    }
}
