//! From the scores of a point to its predictions, its error, and the steps of its update: for one score, and for K.

use fearless_simd::prelude::*;

use crate::error::Error;
use crate::float::Float;
use crate::kernel::softmax::RowSoftmax;
use crate::loss::{Activation, Loss};
use crate::math;
use crate::simd::{self, dispatch};

/// `minus_rate · (ŷ − y)` for the prediction ŷ from the score z.
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

/// What is made of a point's scores.
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

    /// Writes `minus_rate · (ŷ − y)` of the scores `z` to `steps`; of classes, `minus_rate · (p_k − [y = k])`.
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

    /// Writes the predictions of the scores that [`Output::steps`] was given last, and returns the point's error.
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
    /// Writes the residuals y − ŷ of the scores `z` to `out`, as the gradient has them; of classes, `[y = k] − p_k`.
    #[inline(always)]
    pub(super) fn residuals<S: Simd>(&mut self, simd: S, z: &[F], y: F, out: &mut [F]) {
        match self {
            Output::OneScore(activation) => {
                let single = |x: F| F::Single::<S>::splat(simd, x);
                let sample = activation.sample(single(z[0]), single(y));
                out[0] = F::ZERO - sample.residual.as_slice()[0]; // a difference of 0 is not −0
            }
            Output::Softmax(softmax) => {
                softmax.set(simd, z);
                softmax.scaled_residuals(y, -F::ONE, out);
            }
        }
    }
}

/// The residuals y − ŷ of rows with labels `y` and scores `z`, K in a row for K classes.
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
