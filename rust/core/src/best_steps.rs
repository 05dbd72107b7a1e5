//! `learning_rate="auto"`: gradient descent over full batches, with the optimal step length and momentum in each epoch.

use std::ops::ControlFlow;

use crate::descent::{Descent, Observer, Options, Points};
use crate::error::Error;
use crate::float::Float;
use crate::kernel;
use crate::math::larger;
use crate::reduce::{Job, Monitor};
use crate::solver::objective::{Iterate, Objective};
use crate::solver::plane_search;
use crate::solver::run::{FitObserver, Iteration, Run, Separation};
use crate::solver::separation;
use crate::source::Source;
use crate::start::Start;
use crate::stop::StopReason;

/// Gradient descent over full batches from `start`, by default from zeros. There is no learning rate: each epoch has
/// the optimal step length and momentum. Of the options, only `epochs`, `penalty` (without l1), `fit_bias`, `tol` and
/// `threads` are used.
///
/// # Errors
///
/// As [`descend`](crate::descend()); [`Error::Number`] if the error or its gradient is not finite at the initial
/// weights and biases.
pub fn descend_with_best_steps<F: Float>(
    points: &Points<'_>,
    start: &Start,
    options: &Options,
    observer: &mut dyn Observer<F>,
) -> Result<Descent<F>, Error> {
    points.with_source(|source| from_source(points, source, start, options, observer))
}

/// [`descend_with_best_steps`], where `source` answers the questions about the rows of `points`.
fn from_source<F: Float>(
    points: &Points<'_>,
    source: &dyn Source,
    start: &Start,
    options: &Options,
    observer: &mut dyn Observer<F>,
) -> Result<Descent<F>, Error> {
    options.check()?;
    let dataset = points.labels();
    let labels = kernel::labels(dataset, &mut Job::new(options.threads, observer)?)?;
    options.begin(labels.scores, dataset.offsets.len(), observer)?;
    let (weights, biases) = start.parameters::<F>(dataset.x.columns(), labels.scores)?;
    let precision = F::PRECISION;
    dataset.check_offsets()?;
    let fit_bias = options.fit_bias;
    let objective = Objective::new(source, &labels, &options.penalty, fit_bias, precision);
    let basis = source.basis(fit_bias, !options.penalty.is_none())?;
    let mut epochs = Epochs {
        observer,
        history: Vec::new(),
        most: options.epochs,
        are_complete: false,
    };
    let mut run = Run::new(&mut epochs, options.threads, f64::INFINITY, basis)?;
    let v: Vec<f64> = weights.iter().chain(&biases).map(|v| v.to_f64()).collect();
    let value = run.evaluate(&objective, &v, precision)?;
    if !value.is_finite() {
        points.check_finite()?;
        let largest = v.iter().copied().fold(0.0, larger);
        return Err(Error::Number {
            argument: "weights",
            expected: "small enough for the error and its gradient to be finite",
            got: largest,
        });
    }
    let start_loss = value.loss;
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
    let rounded = |values: &[f64]| values.iter().map(|&v| F::from_f64(v)).collect();
    let (weights, biases) = objective.split(&solution.iterate.v);
    Ok(Descent {
        weights: rounded(weights),
        biases: rounded(biases),
        stop_reason: match stop_reason {
            StopReason::Callback if epochs.are_complete && is_small => StopReason::Tolerance,
            StopReason::Callback if epochs.are_complete => StopReason::Epochs,
            other => other,
        },
        start_loss,
        history: epochs.history,
        trace: None,
    })
}

/// Passes each iteration of a solver on to an observer of epochs. Stops the solver after `most` iterations.
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
        let rounded = |values: &[f64]| values.iter().map(|&v| F::from_f64(v)).collect::<Vec<F>>();
        let (weights, biases) = (rounded(iteration.weights), rounded(iteration.biases));
        self.observer
            .epoch(iteration.number, iteration.loss, &weights, &biases)?;
        self.are_complete = self.history.len() == self.most;
        if self.are_complete {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
