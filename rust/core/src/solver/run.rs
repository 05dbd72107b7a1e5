//! What a fit has spent and recorded.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::objective::{Objective, Point, Value};
use super::view::View;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::Basis;
use crate::reduce::{Job, Monitor, Threads, Unmonitored};
use crate::simd::{self, Level};
use crate::source::RowScores;

/// One iteration, as the history keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// Objective after it, over `rows` rows.
    pub objective: f64,
    /// Max-norm of the objective's gradient after it, over `rows` rows.
    pub gradient_norm: f64,
    /// Length of the step, in units of the proposed one.
    pub step: f64,
    /// Wall time since the fit began.
    pub seconds: f64,
    /// Data read since the fit began, in passes over all rows.
    pub passes: f64,
    /// Rows it was computed from: all of them, or a sample.
    pub rows: usize,
}

/// What an observer is shown after each iteration.
#[derive(Clone, Copy, Debug)]
pub struct Iteration<'a> {
    /// Counted from 0.
    pub number: usize,
    /// What the history keeps.
    pub record: Record,
    /// The objective without the penalty.
    pub loss: f64,
    /// w, shape (n); of K ≥ 3 classes (K, n).
    pub weights: &'a [f64],
    /// b, one per score.
    pub biases: &'a [f64],
}

/// Watches a fit.
pub trait FitObserver: Monitor {
    /// Called after each iteration; [`ControlFlow::Break`] ends the fit there.
    fn iteration(&mut self, iteration: &Iteration<'_>) -> ControlFlow<()>;
}

impl FitObserver for Unmonitored {
    fn iteration(&mut self, _: &Iteration<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A direction in which no prediction gets worse and some get better: weights and, last, biases, the largest being ±1.
pub(crate) type Direction = Vec<f64>;

/// What a search for a hyperplane that separates the labels has come to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Separation {
    /// A direction that is proved to separate.
    Found(Direction),
    /// None separates, up to rounding.
    Nothing,
    /// It was given up: there were too many weights, or it took too long, or rounding leaves a doubt.
    CutShort,
}

/// Why an iteration was not followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What was asked for is reached.
    Reached,
    /// The iterations allowed are used up.
    Iterations,
    /// No step improves on the point.
    Stalled,
    /// Steps have not improved on the best point by more than rounding for a while.
    Exhausted,
    /// The gradient is as small as was asked for, yet the weights still move as if there were no optimum.
    Drifting,
    /// The next step would lead to weights that no optimum has.
    Runaway,
    /// The passes allowed are used up.
    Passes,
    /// The observer asked for it.
    Callback,
    /// All labels are predicted right.
    Separated,
}

/// What one fit has read and come to.
pub(crate) struct Run<'o> {
    pub observer: &'o mut dyn FitObserver,
    pub passes: f64,
    pub history: Vec<Record>,
    /// In which the solver has come to see the columns.
    pub basis: Arc<Basis>,
    /// The columns as all rows have them, once that was asked for.
    pub(super) of_all_rows: Option<Option<View>>,
    /// What the search for a separation has come to, and whether it has looked along single columns.
    pub(super) separation: Option<Separation>,
    pub(super) are_columns_searched: bool,
    /// What may be read.
    pub max_passes: f64,
    threads: Threads,
    level: Level,
    start: Instant,
}

impl<'o> Run<'o> {
    /// # Errors
    ///
    /// [`Error::Isa`] if the environment asks for an instruction set that this machine does not have.
    pub(crate) fn new(
        observer: &'o mut dyn FitObserver,
        threads: Threads,
        max_passes: f64,
        basis: Basis,
    ) -> Result<Self, Error> {
        Ok(Run {
            basis: Arc::new(basis),
            of_all_rows: None,
            separation: None,
            are_columns_searched: false,
            observer,
            passes: 0.0,
            history: Vec::new(),
            max_passes,
            threads,
            level: simd::level()?,
            start: Instant::now(),
        })
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.passes >= self.max_passes
    }

    /// [`Objective::evaluate`], counted in passes.
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn evaluate(
        &mut self,
        objective: &Objective<'_>,
        v: &[f64],
        precision: Precision,
    ) -> Result<Value, Error> {
        self.passes += objective.cost;
        objective.evaluate(v, precision, &mut self.job())
    }

    /// The scores of every row, right to nearly the last bit; counted in passes.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] without room for them; [`Error::Interrupted`] by the observer.
    pub(crate) fn scores<'s>(
        &mut self,
        objective: &Objective<'s>,
        v: &[f64],
    ) -> Result<Box<dyn RowScores + 's>, Error> {
        self.passes += objective.cost;
        let at = objective.parameters(v);
        objective.source.scores(&at, &mut self.job())
    }

    /// Records an iteration and shows it to the observer.
    pub(crate) fn record(
        &mut self,
        objective: &Objective<'_>,
        point: &Point,
        step: f64,
    ) -> ControlFlow<()> {
        let record = Record {
            objective: point.value.objective,
            gradient_norm: point.value.gradient_norm(),
            step,
            seconds: self.start.elapsed().as_secs_f64(),
            passes: self.passes,
            rows: objective.rows(),
        };
        let number = self.history.len();
        self.history.push(record);
        let (weights, biases) = objective.split(&point.v);
        self.observer.iteration(&Iteration {
            number,
            record,
            loss: point.value.loss,
            weights,
            biases,
        })
    }

    /// What its passes are given.
    pub(crate) fn job(&mut self) -> Job<'_> {
        Job::on(self.level, self.threads, self.observer)
    }
}

/// Watches for the iterations in which rounding has the upper hand.
///
/// There the gradient rises and falls at random, so the point where it was lowest is kept.
pub(crate) struct Patience {
    best: Option<Point>,
    /// The lowest measure of the gradient, and the iterations since it was undercut for good.
    lowest: f64,
    since: usize,
    limit: usize,
}

impl Patience {
    /// How much lower than the lowest counts.
    const LOWER: f64 = 0.5;

    pub(crate) fn new(limit: usize) -> Self {
        Patience {
            best: None,
            lowest: f64::INFINITY,
            since: 0,
            limit,
        }
    }

    /// Notes a point from where a decrease of the objective, of up to `rounding`, is not visible, and the measure of the
    /// gradient there; true once the patience is at its end.
    pub(crate) fn is_exhausted(&mut self, point: &Point, measure: f64, rounding: f64) -> bool {
        let is_better = self.best.as_ref().is_none_or(|best| {
            let gain = best.value.objective - point.value.objective;
            gain > rounding || point.value.gradient_norm() < best.value.gradient_norm()
        });
        if is_better {
            self.best = Some(point.clone());
        }
        if measure < Self::LOWER * self.lowest {
            self.lowest = measure;
            self.since = 0;
        } else {
            self.since += 1;
        }
        self.since >= self.limit
    }

    /// The best point seen, or this one.
    pub(crate) fn best(self, point: Point, rounding: f64) -> Point {
        match self.best {
            Some(best)
                if best.value.objective <= point.value.objective + rounding
                    && best.value.gradient_norm() < point.value.gradient_norm() =>
            {
                best
            }
            _ => point,
        }
    }
}
