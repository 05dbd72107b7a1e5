//! Scores of rows, and predicted probabilities.

use fearless_simd::prelude::*;

use super::dataset::Dataset;
use super::dense::{self, DenseScratch};
use super::parameters::Parameters;
use super::softmax::{self, Transform};
use super::sparse::{self, ScaledWeights};
use super::weights::PaddedWeights;
use crate::elementwise::{self, Function};
use crate::error::Error;
use crate::error::check_length;
use crate::features::Features;
use crate::float::Float;
use crate::loss::{Activation, Loss};
use crate::reduce::{self, Job, Leaves, Threads, Unmonitored};
use crate::simd::dispatch;
use crate::vector::RowSet;

/// Writes predicted probabilities to `out`. With one score: ŷ = σ(X w + b), shape (m). With K classes:
/// `p_ik = exp(z_ik) / Σ_l exp(z_il)`, shape (m, K), where `z_ik = x_i · w_k + b_k`.
///
/// # Errors
///
/// [`Error::Length`] if the parameters or `out` do not fit `x`; [`Error::Index`] for a column of a sparse `x` out of
/// range; [`Error::Interrupted`] by the monitor.
pub fn predict_proba<'a, F: Float>(
    x: impl Into<Features<'a>>,
    parameters: &Parameters<'_, F>,
    out: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    map_rows(
        x.into(),
        RowSet::All,
        parameters,
        Transform::Probabilities,
        out,
        job,
    )
}

/// Writes the scores `z = X w + b` to `out`; shape (m), or (m, K) with K classes.
///
/// # Errors
///
/// As [`predict_proba`].
pub fn decision_function<'a, F: Float>(
    x: impl Into<Features<'a>>,
    parameters: &Parameters<'_, F>,
    out: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    map_rows(
        x.into(),
        RowSet::All,
        parameters,
        Transform::Scores,
        out,
        job,
    )
}

/// Writes the score of every row, without its offset, to `out`. Computed in `f64`, whatever the type of `X`.
///
/// # Errors
///
/// As [`predict_proba`].
pub(crate) fn scores(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, f64>,
    out: &mut [f64],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    map_rows(
        dataset.x,
        dataset.rows,
        parameters,
        Transform::Scores,
        out,
        job,
    )
}

/// Writes the scores, the probabilities, or the slopes of the probabilities of every row to `out`, as `transform` says.
/// Offsets are not added.
pub(super) fn map_rows<F: Float>(
    x: Features<'_>,
    rows: RowSet<'_>,
    parameters: &Parameters<'_, F>,
    transform: Transform,
    out: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    parameters.check(x.columns())?;
    let expected = rows.count(x.rows()).saturating_mul(parameters.scores());
    let unit = match parameters.loss {
        Loss::OneScore(_) => "one prediction per row of X",
        Loss::Softmax => "one per row of X and class",
    };
    check_length("out", out.len(), expected, unit)?;
    match parameters.loss {
        Loss::OneScore(_) => {
            let function = match transform {
                Transform::Scores => None,
                Transform::Probabilities => Some(Function::Sigmoid),
                Transform::Slopes => Some(Function::SigmoidDerivative),
            };
            map_one_score(x, rows, parameters, function, out, job)
        }
        Loss::Softmax => softmax::map_rows(x, (rows, &[]), parameters, transform, out, job),
    }
}

/// For models with one score: writes the score z of each row to `out`, or `function(z)` if a function is given.
fn map_one_score<F: Float>(
    x: Features<'_>,
    rows: RowSet<'_>,
    parameters: &Parameters<'_, F>,
    function: Option<Function>,
    out: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    let (weights, bias) = (parameters.weights, parameters.biases[0]);
    let level = job.level();
    let x = match x {
        Features::Dense(x) => x.select(rows),
        Features::Sparse(x) => {
            sparse::scores(&x, rows, &ScaledWeights::new(weights, bias), out, job)?;
            return function.map_or(Ok(()), |function| {
                elementwise::apply_in_place(function, out, job)
            });
        }
    };
    let weights = PaddedWeights::new(weights, bias);
    reduce::map_into(
        job,
        Leaves::new(out.len(), x.columns()),
        (out, 1),
        DenseScratch::<F>::new,
        |scratch, stretch, out| {
            dispatch!(level, simd => {
                dense::scores(simd, &x, &weights, stretch.start, out, scratch);
                if let Some(function) = function {
                    elementwise::map_in_place(simd, out, function);
                }
            });
        },
    )?;
    Ok(())
}

/// Writes the scores of the rows of a batch to `z` and their predictions to `y_hat`, for the record of a descent. With
/// K classes, both have K numbers for each row.
pub(crate) fn predict_rows<F: Float>(
    dataset: &Dataset<'_>,
    parameters: &Parameters<'_, F>,
    z: &mut [F],
    y_hat: &mut [F],
) -> Result<(), Error> {
    let mut monitor = Unmonitored;
    let job = &mut Job::new(Threads::ONE, &mut monitor)?;
    let (x, rows) = (dataset.x, dataset.rows);
    map_rows(x, rows, parameters, Transform::Scores, z, job)?;
    match parameters.loss {
        Loss::OneScore(activation) => {
            dataset.add_offsets(0, z);
            let level = job.level();
            dispatch!(level, simd => predictions(simd, activation, z, y_hat));
        }
        Loss::Softmax => {
            let classes = parameters.scores();
            for (place, z) in z.chunks_exact_mut(classes).enumerate() {
                let row = rows.at(place);
                for (k, z) in z.iter_mut().enumerate() {
                    *z += F::from_f64(dataset.offset_of(row, k));
                }
            }
            y_hat.copy_from_slice(z);
            softmax::softmax_in_place(y_hat, classes, job)?;
        }
    }
    Ok(())
}

/// Writes the prediction ŷ of each score in `z` to `y_hat`.
#[inline(always)]
pub(crate) fn predictions<F: Float, S: Simd>(
    simd: S,
    activation: Activation,
    z: &[F],
    y_hat: &mut [F],
) {
    for (y_hat, &z) in y_hat.iter_mut().zip(z) {
        *y_hat = activation
            .predict(F::Single::<S>::splat(simd, z))
            .as_slice()[0];
    }
}
