//! The options, the observer and the result of a descent.

use std::ops::ControlFlow;

use super::step::{self, Reduction};
use super::trace::Trace;
use crate::error::Error;
use crate::kernel::check_offset_scores;
use crate::loss::{Activation, Loss};
use crate::penalty::Penalty;
use crate::reduce::{Monitor, Threads, Unmonitored};
use crate::stop::StopReason;

/// Options of a descent.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The learning rate α > 0.
    pub learning_rate: f64,
    /// How many times all points (rows of `X`) are visited, at least 1.
    pub epochs: usize,
    /// Points per update. If `None`, each update uses all points.
    pub batch_size: Option<usize>,
    /// Seed of the random order in which points are visited; each epoch draws a new order. If `None`, points are
    /// visited in the order of `X`.
    pub shuffle: Option<u64>,
    /// Whether the gradient is averaged or summed over the batch.
    pub reduction: Reduction,
    /// How predictions are computed from scores. With three classes or more, it must be [`Activation::Sigmoid`], and
    /// the softmax is used instead of the sigmoid.
    pub activation: Activation,
    /// The penalty on the weights: l2 in the gradient, and a proximal step for l1. Biases are not penalised.
    pub penalty: Penalty,
    /// Whether biases are changed. If not, they keep their initial values.
    pub fit_bias: bool,
    /// The descent stops once the max-norm of the gradient of error plus penalty is at most this. With 0, it never
    /// stops for this reason.
    pub tol: f64,
    /// Threads for sums over several points. A batch of one point is computed by the calling thread alone.
    pub threads: Threads,
    /// Whether to record every update.
    pub trace: bool,
}

impl Options {
    /// Points per update, if there are `points` points in all.
    pub(super) fn batch(&self, points: usize) -> usize {
        self.batch_size.map_or(points, |size| size.min(points))
    }

    /// The loss of a descent. Each point has `scores` scores, and `offsets` offsets (0 without offsets). Tells the
    /// observer the number of scores.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the activation is the step function and there are three classes or more, or if there are
    /// offsets but not one for each score. [`Error::Interrupted`] by the observer.
    pub(crate) fn begin<F>(
        &self,
        scores: usize,
        offsets: usize,
        observer: &mut dyn Observer<F>,
    ) -> Result<Loss, Error> {
        if scores > 1 && self.activation == Activation::Step {
            return Err(Error::Conflict {
                argument: "activation",
                expected: "'sigmoid' for three classes or more",
                got: format!("{scores} classes"),
            });
        }
        check_offset_scores(offsets, scores)?;
        if observer.begin(scores).is_break() {
            return Err(Error::Interrupted);
        }
        Ok(match scores {
            1 => Loss::OneScore(self.activation),
            _ => Loss::Softmax,
        })
    }

    /// # Errors
    ///
    /// [`Error::Number`], naming the first option that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        step::check_learning_rate(self.learning_rate)?;
        for (argument, count) in [
            ("epochs", Some(self.epochs)),
            ("batch_size", self.batch_size),
        ] {
            if count == Some(0) {
                return Err(Error::Number {
                    argument,
                    expected: "a positive integer",
                    got: 0.0,
                });
            }
        }
        match (0.0..f64::INFINITY).contains(&self.tol) {
            true => Ok(()),
            false => Err(Error::Number {
                argument: "tol",
                expected: "finite and not negative",
                got: self.tol,
            }),
        }
    }
}

/// Is told of every epoch of a descent, and may end the descent.
pub trait Observer<F>: Monitor {
    /// Whether [`Observer::epoch`] may end the descent.
    fn may_stop(&self) -> bool {
        true
    }

    /// Called once, before the first epoch, as soon as the number of scores per point is known. [`ControlFlow::Break`]
    /// ends the descent with [`Error::Interrupted`].
    fn begin(&mut self, scores: usize) -> ControlFlow<()> {
        let _ = scores;
        ControlFlow::Continue(())
    }

    /// Called after each epoch, with the number of the epoch, counted from 0. [`ControlFlow::Break`] ends the descent.
    fn epoch(&mut self, epoch: usize, loss: f64, weights: &[F], biases: &[F]) -> ControlFlow<()>;
}

impl<F> Observer<F> for Unmonitored {
    fn may_stop(&self) -> bool {
        false
    }

    fn epoch(&mut self, _: usize, _: f64, _: &[F], _: &[F]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The result of a descent.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent<F> {
    /// The weights w, shape (n); with K ≥ 3 classes, shape (K, n).
    pub weights: Vec<F>,
    /// The biases b: one for labels in [0, 1], K for K ≥ 3 classes.
    pub biases: Vec<F>,
    /// The mean error over all points at the start, without the penalty.
    pub start_loss: f64,
    /// The mean error over all points after each epoch, without the penalty.
    pub history: Vec<f64>,
    /// Why the descent ended.
    pub stop_reason: StopReason,
    /// Every update, if [`Options::trace`] is set.
    pub trace: Option<Trace<F>>,
}

/// An observer as a [`Monitor`], which kernels take.
pub(super) struct Polling<'a, F>(pub(super) &'a mut dyn Observer<F>);

impl<F> Monitor for Polling<'_, F> {
    fn poll(&mut self) -> ControlFlow<()> {
        self.0.poll()
    }
}
