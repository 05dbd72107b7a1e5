//! Computes the predictions of a point, its error and the steps of its update from its scores: one score, or K.

use fearless_simd::prelude::*;

use crate::error::Error;
use crate::float::Float;
use crate::kernel::softmax::RowSoftmax;
use crate::loss::{Activation, Loss};
use crate::math;
use crate::simd::{self, dispatch};

/// `minus_rate · (ŷ − y)`, where ŷ is the prediction for the score z.
#[inline(always)]
pub(super) fn step<F: Float, S: Simd>(
    simd: S,
    activation: Activation,
    z: F,
    y: F,
    minus_rate: F,
) -> F {
    let single = |x: F| F::Single::<S>::splat(simd, x);
    activation
        .scaled_residual(single(z), single(y), single(minus_rate))
        .as_slice()[0]
}

/// How the predictions, the error and the steps of a point follow from its scores: for one score, or for K classes.
pub(super) enum Output<F> {
    OneScore(Activation),
    Softmax(RowSoftmax<F>),
}

impl<F: Float> Output<F> {
    pub(super) fn new(loss: Loss, scores: usize) -> Self {
        match loss {
            Loss::OneScore(activation) => Output::OneScore(activation),
            Loss::Softmax => Output::Softmax(RowSoftmax::new(scores)),
        }
    }

    /// Writes `minus_rate · (ŷ − y)` to `steps`, where ŷ is the prediction for the score `z`. With K classes, writes
    /// `minus_rate · (p_k − [y = k])` for the K scores `z`.
    #[inline(always)]
    pub(super) fn steps<S: Simd>(
        &mut self,
        simd: S,
        z: &[F],
        y: F,
        minus_rate: F,
        steps: &mut [F],
    ) {
        match self {
            Output::OneScore(activation) => {
                steps[0] = step::<F, S>(simd, *activation, z[0], y, minus_rate);
            }
            Output::Softmax(softmax) => {
                softmax.set(simd, z);
                softmax.scaled_residuals(y, minus_rate, steps);
            }
        }
    }

    /// Writes the predictions for the scores `z` to `y_hat`. Returns the error of the point. `z` must be the scores of
    /// the last call of [`Output::steps`].
    #[inline(always)]
    pub(super) fn predict<S: Simd>(&self, simd: S, z: &[F], y: F, y_hat: &mut [F]) -> F {
        match self {
            Output::OneScore(activation) => {
                let z = F::Single::<S>::splat(simd, z[0]);
                y_hat[0] = activation.predict(z).as_slice()[0];
                let sample = activation.sample(z, F::Single::<S>::splat(simd, y));
                (math::log1p(sample.t) + sample.linear).as_slice()[0]
            }
            Output::Softmax(softmax) => {
                softmax.probabilities(y_hat);
                softmax.error(simd, z, y)
            }
        }
    }
    /// Writes the residuals y − ŷ for the scores `z` to `out`; with K classes, `[y = k] − p_k`. They are the negatives
    /// of the residuals ŷ − y that gradients are made of, computed in the same way.
    #[inline(always)]
    pub(super) fn residuals<S: Simd>(&mut self, simd: S, z: &[F], y: F, out: &mut [F]) {
        match self {
            Output::OneScore(activation) => {
                let single = |x: F| F::Single::<S>::splat(simd, x);
                let sample = activation.sample(single(z[0]), single(y));
                out[0] = F::ZERO - sample.residual.as_slice()[0]; // 0 − r, not −r, which is −0 for r = 0
            }
            Output::Softmax(softmax) => {
                softmax.set(simd, z);
                softmax.scaled_residuals(y, -F::ONE, out);
            }
        }
    }
}

/// The residuals y − ŷ of rows with labels `y` and scores `z`. With K classes, `z` and the residuals have K consecutive
/// numbers for each row.
///
/// # Errors
///
/// [`Error::Isa`] if `GRADSTEP_ISA` asks for an instruction set that this machine does not have.
pub(crate) fn residuals_of_scores<F: Float>(loss: Loss, z: &[F], y: &[F]) -> Result<Vec<F>, Error> {
    let scores = z.len() / y.len().max(1);
    let mut output = Output::new(loss, scores);
    let mut residuals = vec![F::ZERO; z.len()];
    let rows = z
        .chunks_exact(scores)
        .zip(residuals.chunks_exact_mut(scores));
    dispatch!(simd::level()?, simd => for ((z, out), &y) in rows.zip(y) {
        output.residuals(simd, z, y, out);
    });
    Ok(residuals)
}
