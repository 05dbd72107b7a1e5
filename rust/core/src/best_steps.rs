//! `learning_rate="auto"`: gradient descent over full batches with the optimal step length and momentum of each epoch.

use std::ops::ControlFlow;

use crate::descent::{Descent, Observer, Options, check_start};
use crate::error::{Error, check_length};
use crate::float::Float;
use crate::kernel::{self, Dataset};
use crate::math::larger;
use crate::reduce::{Job, Monitor};
use crate::solver::objective::{Iterate, Objective};
use crate::solver::plane_search;
use crate::solver::run::{FitObserver, Iteration, Run, Separation};
use crate::solver::separation;
use crate::source::{Arrays, Source};
use crate::stop::StopReason;

/// Gradient descent over full batches from `weights` and `bias`, with the optimal step length and momentum of each
/// epoch instead of a learning rate. Of the options, only `epochs`, `penalty` (without l1), `fit_bias`, `tol` and
/// `threads` are used.
///
/// # Errors
///
/// As [`fit`](crate::fit()), and those of [`Options::check`]; [`Error::Number`] for weights at which the error is not
/// finite.
pub fn descend_with_best_steps<F: Float>(
    dataset: &Dataset<'_>,
    weights: Vec<F>,
    bias: F,
    options: &Options,
    observer: &mut dyn Observer<F>,
) -> Result<Descent<F>, Error> {
    options.check()?;
    let n = dataset.x.columns();
    check_length("weights", weights.len(), n, "one weight per column of X")?;
    check_start(&weights, bias)?;
    let labels = kernel::binary_labels(dataset, &mut Job::new(options.threads, observer)?)?;
    let (source, precision) = (Arrays(*dataset), F::PRECISION);
    dataset.check_offsets()?;
    let fit_bias = options.fit_bias;
    let objective = Objective::new(&source, &labels, &options.penalty, fit_bias, precision);
    let basis = source.basis(fit_bias, !options.penalty.is_none())?;
    let mut epochs = Epochs {
        observer,
        history: Vec::new(),
        most: options.epochs,
        are_complete: false,
    };
    let mut run = Run::new(&mut epochs, options.threads, f64::INFINITY, basis)?;
    let mut v: Vec<f64> = weights.iter().map(|w| w.to_f64()).collect();
    v.push(bias.to_f64());
    let value = run.evaluate(&objective, &v, precision)?;
    if !value.is_finite() {
        dataset.check_finite()?;
        let largest = v.iter().copied().fold(0.0, larger);
        return Err(Error::Number {
            argument: "weights",
            expected: "small enough for the error and its gradient to be finite",
            got: largest,
        });
    }
    let start = Iterate { v, value };
    let until = [options.tol, f64::INFINITY];
    let solution = plane_search::minimise(&objective, start, until, precision, &mut run)?;
    let mut stop_reason = solution.stop_reason;
    if options.penalty.is_none()
        && matches!(stop_reason, StopReason::Tolerance | StopReason::Precision)
        && let Separation::Found(_) = separation::search(&objective, &solution.iterate.v, &mut run)?
    {
        stop_reason = StopReason::Separated;
    }
    let is_small = solution.iterate.value.gradient_norm <= options.tol;
    let mut v = solution.iterate.v;
    let bias = F::from_f64(v.pop().unwrap_or(0.0));
    Ok(Descent {
        weights: v.iter().map(|&w| F::from_f64(w)).collect(),
        bias,
        stop_reason: match stop_reason {
            StopReason::Callback if epochs.are_complete && is_small => StopReason::Tolerance,
            StopReason::Callback if epochs.are_complete => StopReason::Epochs,
            other => other,
        },
        history: epochs.history,
        trace: None,
    })
}

/// A solver's observer that reports each iteration to an observer of epochs, and stops the solver after `most` of them.
struct Epochs<'o, F> {
    observer: &'o mut dyn Observer<F>,
    history: Vec<f64>,
    most: usize,
    /// Whether `most` iterations have been made.
    are_complete: bool,
}

impl<F> Monitor for Epochs<'_, F> {
    fn poll(&mut self) -> ControlFlow<()> {
        self.observer.poll()
    }
}

impl<F: Float> FitObserver for Epochs<'_, F> {
    fn iteration(&mut self, iteration: &Iteration<'_>) -> ControlFlow<()> {
        self.history.push(iteration.loss);
        let weights: Vec<F> = iteration.weights.iter().map(|&w| F::from_f64(w)).collect();
        let bias = F::from_f64(iteration.biases.iter().sum());
        self.observer
            .epoch(iteration.number, iteration.loss, &weights, bias)?;
        self.are_complete = self.history.len() == self.most;
        if self.are_complete {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
