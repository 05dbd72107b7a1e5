//! The state of one fit: passes and iterations so far, limits, and results that are computed only once.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::objective::{Iterate, Objective, Value};
use super::view::View;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::{Basis, stratified};
use crate::reduce::{Job, Monitor, Threads, Unmonitored};
use crate::simd::{self, Level};
use crate::source::{Part, RowScores};

/// One iteration in the history of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// Objective after the iteration, over `rows` rows.
    pub objective: f64,
    /// Max-norm of the objective's gradient after the iteration, over `rows` rows.
    pub gradient_norm: f64,
    /// Length of the step, as a multiple of the solver's proposed step.
    pub step: f64,
    /// Wall time since the fit began, in seconds.
    pub seconds: f64,
    /// Passes over the rows since the fit began; reading a sample counts as a fraction.
    pub passes: f64,
    /// Number of rows that the iteration used: all, or fewer if it was on a sample.
    pub rows: usize,
}

/// One iteration as an observer sees it.
#[derive(Clone, Copy, Debug)]
pub struct Iteration<'a> {
    /// Number of the iteration, counted from 0.
    pub number: usize,
    /// The iteration's record in the history.
    pub record: Record,
    /// The mean error: the objective without the penalty.
    pub loss: f64,
    /// The weights w, shape (n); for K ≥ 3 classes, shape (K, n).
    pub weights: &'a [f64],
    /// The biases: one number, or K for K ≥ 3 classes.
    pub biases: &'a [f64],
}

/// Is called after each iteration of a fit, and may end the fit.
pub trait FitObserver: Monitor {
    /// Called after each iteration; [`ControlFlow::Break`] ends the fit there.
    fn iteration(&mut self, iteration: &Iteration<'_>) -> ControlFlow<()>;
}

impl FitObserver for Unmonitored {
    fn iteration(&mut self, _: &Iteration<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A direction in the space of weights and, last, biases, along which no row's error ever grows and some row's error
/// falls for ever. Scaled such that the largest component is ±1.
pub(crate) type Direction = Vec<f64>;

/// The result of a search for a hyperplane that separates the labels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Separation {
    /// A direction that is proved to separate the labels.
    Found(Direction),
    /// No hyperplane separates the labels, up to rounding.
    Nothing,
    /// The search was not finished: there were too many weights, it took too long, or rounding left a doubt.
    CutShort,
}

/// Why a sequence of iterations with one preconditioner (an approximate inverse Hessian) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The convergence criterion is met.
    Reached,
    /// The iterations allowed are used up.
    Iterations,
    /// No step along the search direction improves the objective.
    Stalled,
    /// Several iterations in a row improved the best iterate by no more than rounding.
    Exhausted,
    /// The gradient is within the tolerance, but steps are still long, as if the minimum were at infinity.
    Drifting,
    /// The next weights would be larger than can be expected at any minimum.
    Runaway,
    /// The passes allowed are used up.
    Passes,
    /// The observer ended the fit.
    Callback,
    /// All labels are predicted right, by weights without penalty.
    AllRight,
}

/// The state of one fit.
pub(crate) struct Run<'o> {
    pub observer: &'o mut dyn FitObserver,
    pub passes: f64,
    pub history: Vec<Record>,
    /// The linear transform of the columns of X that the solver uses at present.
    pub basis: Arc<Basis>,
    /// Statistics of the columns, where all rows of positive sample weight count equally. `None` until they are
    /// computed; `Some(None)` if they cannot be computed.
    pub(super) of_all_rows: Option<Option<View>>,
    /// Result of the search for a hyperplane that separates the labels, if one was made.
    pub(super) separation: Option<Separation>,
    /// Whether each single column has been tested for separating the labels by itself.
    pub(super) are_columns_searched: bool,
    /// The passes allowed.
    pub max_passes: f64,
    threads: Threads,
    level: Level,
    start: Instant,
}

impl<'o> Run<'o> {
    /// # Errors
    ///
    /// [`Error::Isa`] if `GRADSTEP_ISA` asks for an instruction set that this machine does not have.
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

    /// A state for a search that reads only some of the columns, which `basis` transforms. The passes, history and
    /// results of the new state start empty. Observer, limit of passes and threads are those of this fit.
    pub(super) fn over(&mut self, basis: Basis) -> Run<'_> {
        Run {
            observer: &mut *self.observer,
            basis: Arc::new(basis),
            passes: 0.0,
            history: Vec::new(),
            of_all_rows: None,
            separation: None,
            are_columns_searched: false,
            ..*self
        }
    }

    /// The passes and the history of a fit that has ended. Those of the next fit begin now.
    pub(crate) fn take_history(&mut self) -> (f64, Vec<Record>) {
        self.start = Instant::now();
        let passes = std::mem::take(&mut self.passes);
        (passes, std::mem::take(&mut self.history))
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.passes >= self.max_passes
    }

    /// [`Objective::evaluate`], with its passes counted.
    ///
    /// # Errors
    ///
    /// Those of [`Objective::evaluate`].
    pub(crate) fn evaluate(
        &mut self,
        objective: &Objective<'_>,
        v: &[f64],
        precision: Precision,
    ) -> Result<Value, Error> {
        self.passes += objective.cost;
        objective.evaluate(v, precision, &mut self.job())
    }

    /// The iterate at `v`, evaluated as by [`Run::evaluate`].
    ///
    /// # Errors
    ///
    /// Those of [`Run::evaluate`]; [`Error::NotFinite`] and [`Error::Element`] for data that are not finite;
    /// [`Error::Number`] for features whose squares are not finite.
    pub(crate) fn iterate(
        &mut self,
        objective: &Objective<'_>,
        v: Vec<f64>,
        precision: Precision,
    ) -> Result<Iterate, Error> {
        let value = self.evaluate(objective, &v, precision)?;
        if !value.is_finite() {
            return Err(objective.source.not_finite());
        }
        Ok(Iterate { v, value })
    }

    /// The scores of every row, accurate to nearly the last bit. Counted as a pass.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the scores do not fit into memory; [`Error::Interrupted`] by the observer.
    pub(crate) fn scores<'s>(
        &mut self,
        objective: &Objective<'s>,
        v: &[f64],
    ) -> Result<Box<dyn RowScores + 's>, Error> {
        self.passes += objective.cost;
        let at = objective.parameters(v);
        objective.source.scores(&at, &mut self.job())
    }

    /// A sample of `rows` rows of the objective's source, spread evenly and drawn at random from `seed`. Counted as a
    /// fraction of a pass.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`]; [`Error::Interrupted`] by the observer.
    pub(crate) fn sample<'s>(
        &mut self,
        objective: &Objective<'s>,
        rows: usize,
        seed: u64,
    ) -> Result<Box<dyn Part + 's>, Error> {
        self.passes += objective.cost * (rows as f64 / objective.rows() as f64);
        let drawn = stratified(objective.rows(), rows, seed);
        let (source, precision) = (objective.source, objective.precision);
        source.sample(drawn, precision, &mut self.job())
    }

    /// Records an iteration and shows it to the observer.
    pub(crate) fn record(
        &mut self,
        objective: &Objective<'_>,
        iterate: &Iterate,
        step: f64,
    ) -> ControlFlow<()> {
        let record = Record {
            objective: iterate.value.objective,
            gradient_norm: iterate.value.gradient_norm,
            step,
            seconds: self.start.elapsed().as_secs_f64(),
            passes: self.passes,
            rows: objective.rows(),
        };
        let number = self.history.len();
        self.history.push(record);
        let (weights, biases) = objective.split(&iterate.v);
        self.observer.iteration(&Iteration {
            number,
            record,
            loss: iterate.value.loss,
            weights,
            biases,
        })
    }

    /// A job for one pass: the fit's threads, instruction set and observer.
    pub(crate) fn job(&mut self) -> Job<'_> {
        Job::on(self.level, self.threads, self.observer)
    }
}

/// Detects that iterations no longer make progress because of rounding errors. The gradient then rises and falls at
/// random, so the best iterate is remembered.
pub(crate) struct Patience {
    best: Option<Iterate>,
    /// The smallest predicted decrease of the objective so far. It is updated only by a decrease below
    /// [`Patience::LOWER`] times this number.
    lowest: f64,
    /// How many iterates were recorded since `lowest` was last updated.
    since: usize,
    limit: usize,
}

impl Patience {
    /// A predicted decrease below this fraction of the smallest so far counts as progress.
    const LOWER: f64 = 0.5;

    pub(crate) fn new(limit: usize) -> Self {
        Patience {
            best: None,
            lowest: f64::INFINITY,
            since: 0,
            limit,
        }
    }

    /// Records an iterate at which the predicted decrease of the objective, `measure`, is at most `rounding`. Returns
    /// true after `limit` such iterates without progress.
    pub(crate) fn is_exhausted(&mut self, iterate: &Iterate, measure: f64, rounding: f64) -> bool {
        let is_better = self.best.as_ref().is_none_or(|best| {
            let gain = best.value.objective - iterate.value.objective;
            gain > rounding || iterate.value.gradient_norm < best.value.gradient_norm
        });
        if is_better {
            self.best = Some(iterate.clone());
        }
        if measure < Self::LOWER * self.lowest {
            self.lowest = measure;
            self.since = 0;
        } else {
            self.since += 1;
        }
        self.since >= self.limit
    }

    /// The best recorded iterate if it is better than `iterate`, else `iterate`.
    pub(crate) fn best(self, iterate: Iterate, rounding: f64) -> Iterate {
        match self.best {
            Some(best)
                if best.value.objective <= iterate.value.objective + rounding
                    && best.value.gradient_norm < iterate.value.gradient_norm =>
            {
                best
            }
            _ => iterate,
        }
    }
}

/// The parameters that a solver starts from.
pub(crate) struct Beginning {
    pub v: Vec<f64>,
    /// Whether the parameters are the caller's.
    pub is_given: bool,
    /// The objective and its gradient at the parameters, and the precision in which they were computed; `None` if they
    /// were not.
    pub known: Option<(Value, Precision)>,
}

impl Beginning {
    /// The iterate at these parameters. They are evaluated unless they have been evaluated in this precision before.
    ///
    /// # Errors
    ///
    /// As [`Run::iterate`].
    pub(crate) fn iterate(
        &self,
        objective: &Objective<'_>,
        precision: Precision,
        run: &mut Run<'_>,
    ) -> Result<Iterate, Error> {
        let v = self.v.clone();
        match &self.known {
            Some((value, known)) if *known == precision => Ok(Iterate {
                v,
                value: value.clone(),
            }),
            _ => run.iterate(objective, v, precision),
        }
    }
}
