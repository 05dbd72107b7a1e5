//! The options, the observer and the result of a descent.

use std::ops::ControlFlow;

use super::step::{self, Reduction};
use super::trace::Trace;
use crate::error::Error;
use crate::loss::Activation;
use crate::penalty::Penalty;
use crate::reduce::{Monitor, Threads, Unmonitored};
use crate::stop::StopReason;

/// Options of a descent.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// α > 0.
    pub learning_rate: f64,
    /// Passes over all points, at least 1.
    pub epochs: usize,
    /// Points of one update; all of them if `None`.
    pub batch_size: Option<usize>,
    /// Seed of the order of the points; as they come if `None`.
    pub shuffle: Option<u64>,
    /// Whether α is divided by the batch's size.
    pub reduction: Reduction,
    /// What turns scores into predictions.
    pub activation: Activation,
    /// On the weights; the bias is not penalised.
    pub penalty: Penalty,
    /// Stop once the max-norm of the objective's gradient is at most this; 0 never stops.
    pub tol: f64,
    /// Threads for batches of more than one point.
    pub threads: Threads,
    /// Record every update.
    pub trace: bool,
}

impl Options {
    /// Points of one update where there are `points` in all.
    pub(super) fn batch(&self, points: usize) -> usize {
        self.batch_size.map_or(points, |size| size.min(points))
    }

    /// # Errors
    ///
    /// [`Error::Number`] naming the first option that is out of range.
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

/// Watches a descent.
pub trait Observer<F>: Monitor {
    /// Whether [`Observer::epoch`] may end the descent.
    fn may_stop(&self) -> bool {
        true
    }

    /// Called after each epoch, counted from 0; [`ControlFlow::Break`] ends the descent there.
    fn epoch(&mut self, epoch: usize, loss: f64, weights: &[F], bias: F) -> ControlFlow<()>;
}

impl<F> Observer<F> for Unmonitored {
    fn may_stop(&self) -> bool {
        false
    }

    fn epoch(&mut self, _: usize, _: f64, _: &[F], _: F) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The result of a descent.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent<F> {
    /// w, shape (n).
    pub weights: Vec<F>,
    /// b
    pub bias: F,
    /// Mean error over all points after each epoch, without the penalty.
    pub history: Vec<f64>,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Every update, if asked for.
    pub trace: Option<Trace<F>>,
}

/// Lends an observer to a kernel as its monitor.
pub(super) struct Polling<'a, F>(pub(super) &'a mut dyn Observer<F>);

impl<F> Monitor for Polling<'_, F> {
    fn poll(&mut self) -> ControlFlow<()> {
        self.0.poll()
    }
}
