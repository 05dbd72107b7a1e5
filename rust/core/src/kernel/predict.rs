//! Scores of rows, and the probabilities that they become.

use fearless_simd::prelude::*;

use super::dataset::Dataset;
use super::dense::{self, Scratch};
use super::model::Model;
use super::parameters::Parameters;
use super::softmax::{self, Transform};
use super::sparse;
use crate::elementwise::{self, Function};
use crate::error::Error;
use crate::error::check_length;
use crate::features::Features;
use crate::float::Float;
use crate::loss::{Activation, Loss};
use crate::matrix::Matrix;
use crate::reduce::{self, Job, Leaves, Threads, Unmonitored};
use crate::simd::dispatch;
use crate::vector::RowSet;

/// Predicted probabilities, written to `out`: ŷ = σ(X w + b), shape (m); of classes
/// `p_ik = exp(z_ik) / Σ_l exp(z_il)`, shape (m, K).
///
/// # Errors
///
/// [`Error::Length`] if the parameters or `out` do not fit `x`; [`Error::Index`] for a column of a sparse `x` out of range;
/// [`Error::Interrupted`] by the monitor.
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

/// Scores `z = X w + b`, shape (m) or, of classes, (m, K), written to `out`.
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

/// Scores of every row, in `f64` whatever `X` holds, written to `out`.
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

/// What the scores of every row become, written to `out`.
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
            let (weights, bias) = (parameters.weights, parameters.biases[0]);
            map_one_score(x, rows, (weights, bias), function, out, job)
        }
        Loss::Softmax => softmax::map_rows(x, rows, parameters, transform, out, job),
    }
}

/// What `transform` makes of the one score of each of the rows.
fn map_one_score<F: Float>(
    x: Features<'_>,
    rows: RowSet<'_>,
    (weights, bias): (&[F], F),
    transform: Option<Function>,
    out: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    let level = job.level();
    let x = match x {
        Features::Dense(x) => x,
        Features::Sparse(x) => {
            sparse::scores(&x, rows, weights, bias, out, job)?;
            return transform.map_or(Ok(()), |transform| {
                elementwise::apply_in_place(transform, out, job)
            });
        }
    };
    let model = Model::new(weights, bias);
    reduce::map_into(
        job,
        Leaves::new(out.len(), x.columns()),
        (out, 1),
        Scratch::<F>::new,
        |scratch, part, out| dispatch!(level, simd => map_block::<F, _>(simd, &x, rows, &model, transform, part.start, out, scratch)),
    )?;
    Ok(())
}

#[inline(always)]
fn map_block<F: Float, S: Simd>(
    simd: S,
    x: &Matrix<'_>,
    rows: RowSet<'_>,
    model: &Model<'_, F>,
    transform: Option<Function>,
    first: usize,
    out: &mut [F],
    scratch: &mut Scratch<F>,
) {
    dense::scores(simd, x, rows, model, first, out, scratch);
    if let Some(transform) = transform {
        elementwise::map_in_place(simd, out, transform);
    }
}

/// Scores and predictions of a batch, for a trace.
pub(crate) fn predict_rows<F: Float>(
    x: &Features<'_>,
    rows: RowSet<'_>,
    weights: &[F],
    bias: F,
    activation: Activation,
    z: &mut [F],
    y_hat: &mut [F],
) -> Result<(), Error> {
    let mut monitor = Unmonitored;
    let job = &mut Job::new(Threads::ONE, &mut monitor)?;
    map_one_score(*x, rows, (weights, bias), None, z, job)?;
    let level = job.level();
    dispatch!(level, simd => predictions(simd, activation, z, y_hat));
    Ok(())
}

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
