//! Options checked once → optimum → result with history, certificate and stop reason.

use std::ops::ControlFlow;

use fearless_simd::f64x8;
use fearless_simd::prelude::*;

use crate::descent::{Descent, Observer, Options, StopReason, check_start};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel::{self, Labels, Points};
use crate::math;
use crate::matrix::Vector;
use crate::parallel::{Monitor, Threads};
use crate::simd::{self, dispatch};
use crate::solver::certificate;
use crate::solver::objective::{Objective, round};
use crate::solver::run::{FitObserver, Iteration, Record, Run};
use crate::solver::stages::{self, Solution};
use crate::solver::{plane_search, separation};

/// How the optimum is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// Preconditioned L-BFGS, on ever larger samples and then on all rows.
    Lbfgs,
    /// Gradient descent with the best step and momentum of each iteration.
    Gd,
}

impl Solver {
    const NAMES: &'static [&'static str] = &["auto", "lbfgs", "gd"];

    /// # Errors
    ///
    /// [`Error::Choice`] if `name` is none of "auto", "lbfgs" and "gd".
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "auto" | "lbfgs" => Ok(Solver::Lbfgs),
            "gd" => Ok(Solver::Gd),
            _ => Err(Error::Choice {
                argument: "solver",
                expected: Self::NAMES,
                got: name.to_owned(),
            }),
        }
    }

    /// "lbfgs" or "gd".
    pub fn name(self) -> &'static str {
        match self {
            Solver::Lbfgs => "lbfgs",
            Solver::Gd => "gd",
        }
    }
}

/// What to minimise, and how far.
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions {
    /// λ ≥ 0 of the penalty (λ/2)‖w‖² on the mean error; the bias is not penalised.
    pub l2: f64,
    /// Whether there is a bias; it is 0 if not.
    pub fit_bias: bool,
    /// How.
    pub solver: Solver,
    /// The fit has converged once the max-norm of the objective's gradient is at most this.
    pub tol: f64,
    /// Stop once so much has been read, in passes over all rows.
    pub max_passes: f64,
    /// Threads to use; the result does not depend on them.
    pub threads: Threads,
}

impl FitOptions {
    /// # Errors
    ///
    /// [`Error::Number`] naming the first option that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        for (argument, got) in [("l2", self.l2), ("tol", self.tol)] {
            if !(0.0..f64::INFINITY).contains(&got) {
                return Err(Error::Number {
                    argument,
                    expected: "finite and not negative",
                    got,
                });
            }
        }
        if self.max_passes > 0.0 {
            Ok(())
        } else {
            Err(Error::Number {
                argument: "max_passes",
                expected: "positive",
                got: self.max_passes,
            })
        }
    }
}

/// An optimum, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum<F> {
    /// w, shape (n).
    pub weights: Vec<F>,
    /// b
    pub bias: F,
    /// E
    pub loss: f64,
    /// E + (l2/2)‖w‖²
    pub objective: f64,
    /// Max-norm of its gradient.
    pub gradient_norm: f64,
    /// Upper bound on objective − optimum; none without penalty.
    pub gap: Option<f64>,
    /// Whether the gradient's max-norm is at most `tol`.
    pub converged: bool,
    /// Why the fit ended.
    pub stop_reason: StopReason,
    /// Data read, in passes over all rows.
    pub passes: f64,
    /// Every iteration.
    pub history: Vec<Record>,
    /// A direction, weights and bias, along which no prediction gets worse and some better: why there is no optimum.
    pub separation: Option<(Vec<f64>, f64)>,
}

/// Where a fit begins, if not at weights of zero and the bias that is best for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// w, shape (n).
    pub weights: Option<Vec<f64>>,
    /// b
    pub bias: Option<f64>,
}

impl Start {
    fn check<F: Float>(&self) -> Result<(), Error> {
        let weights = self.weights.iter().flatten().map(|&w| F::from_f64(w));
        let weights: Vec<F> = weights.collect();
        check_start(&weights, F::from_f64(self.bias.unwrap_or(0.0)))
    }
}

/// Minimises E + (l2/2)‖w‖², `E = Σ s_i E_i / Σ s_i`.
///
/// # Errors
///
/// [`Error::Length`] if an array does not fit `x`; [`Error::Element`] for labels outside [0, 1] and sample weights that
/// are negative or not finite; [`Error::NoWeight`]; [`Error::NotFinite`] if `x` is not finite; [`Error::Index`] for a column
/// of a sparse `x` out of range; [`Error::Weight`] or [`Error::Number`] if what it starts from is not finite;
/// [`Error::Interrupted`] by the observer; and those of [`FitOptions::check`].
pub fn fit<'a, F: Float>(
    x: impl Into<Features<'a>>,
    y: &'a Vector<'a>,
    sample_weight: Option<&'a Vector<'a>>,
    start: Start,
    options: &FitOptions,
    observer: &mut dyn FitObserver,
) -> Result<Optimum<F>, Error> {
    options.check()?;
    let points = Points::new(x, y, sample_weight)?;
    let n = points.x.columns();
    if let Some(weights) = &start.weights {
        kernel::check_length("weights", weights.len(), n, "one weight per column of X")?;
    }
    start.check::<F>()?;
    let labels = kernel::labels(&points, options.threads, observer)?;
    let objective = Objective {
        points: &points,
        l2: options.l2,
        fit_bias: options.fit_bias,
        threads: options.threads,
        cost: 1.0,
        separated_below: separated_below(&labels, options.l2),
    };
    let mut run = Run::new(observer, options.max_passes);
    let solution = if options.fit_bias && labels.equal {
        // Without a second class the bias has no optimum, whatever the weights and their penalty: as if half a sample
        // more of each class had been seen, so that it is finite.
        let half = 0.5 * labels.smallest_weight;
        let (ones, zeros) = (
            labels.positive + half,
            labels.weight - labels.positive + half,
        );
        let mut v = vec![0.0; n];
        v.push(log_ratio(ones, zeros)?);
        round::<F>(&mut v);
        let mut direction = vec![0.0; n];
        direction.push(if ones > zeros { 1.0 } else { -1.0 });
        Solution {
            point: stages::evaluate::<F>(&objective, v, &mut run)?,
            stop_reason: StopReason::Separated,
            separation: Some(direction),
        }
    } else {
        let (v, given) = begin::<F>(&objective, labels, start, &mut run)?;
        match options.solver {
            Solver::Lbfgs => stages::minimise::<F>(&objective, v, given, options.tol, &mut run)?,
            Solver::Gd => plane_search::minimise::<F>(
                &objective,
                v,
                options.tol,
                plane_search::AT_REST,
                &mut run,
            )?,
        }
    };
    let Solution {
        mut point,
        stop_reason,
        separation,
    } = solution;
    let gap = if options.l2 > 0.0 && stop_reason != StopReason::Separated {
        run.passes += objective.cost;
        Some(certificate::gap::<F>(&objective, &point, run.monitor())?)
    } else {
        None
    };
    let gradient_norm = point.value.gradient_norm();
    let bias = point.v.pop().unwrap_or(0.0);
    Ok(Optimum {
        weights: point.v.iter().map(|&w| F::from_f64(w)).collect(),
        bias: F::from_f64(bias),
        loss: point.value.loss,
        objective: point.value.objective,
        gradient_norm,
        gap,
        converged: gradient_norm <= options.tol && stop_reason != StopReason::Separated,
        stop_reason,
        passes: run.passes,
        history: run.history,
        separation: separation.map(split),
    })
}

/// ln(a / b) for positive numbers, with the same bits on every machine.
fn log_ratio(a: f64, b: f64) -> Result<f64, Error> {
    let level = simd::level()?;
    let ln =
        |x: f64| dispatch!(level, simd => math::log1p(f64x8::splat(simd, x - 1.0)).as_slice()[0]);
    Ok(if a >= b { ln(a / b) } else { -ln(b / a) })
}

/// The sum of errors that proves every prediction right: each is below ln 2. A little less, for rounding.
fn separated_below(labels: &Labels, l2: f64) -> f64 {
    if l2 == 0.0 && labels.binary {
        0.99 * std::f64::consts::LN_2 * labels.smallest_weight
    } else {
        0.0
    }
}

/// Where to begin, and whether that is what the caller gave: not if weights of zero are better.
fn begin<F: Float>(
    objective: &Objective<'_>,
    labels: Labels,
    start: Start,
    run: &mut Run<'_>,
) -> Result<(Vec<f64>, bool), Error> {
    let (ones, zeros) = (labels.positive, labels.weight - labels.positive);
    let log_odds = log_ratio(ones, zeros)?;
    let (bias, without_weights) = if objective.fit_bias {
        let entropy =
            ones * log_ratio(labels.weight, ones)? + zeros * log_ratio(labels.weight, zeros)?;
        (start.bias.unwrap_or(log_odds), entropy / labels.weight)
    } else {
        (0.0, std::f64::consts::LN_2)
    };
    if let Some(mut v) = start.weights {
        v.push(bias);
        round::<F>(&mut v);
        if stages::evaluate::<F>(objective, v.clone(), run)?
            .value
            .objective
            <= without_weights
        {
            return Ok((v, true));
        }
    }
    let mut v = vec![0.0; objective.order()];
    v[objective.order() - 1] = if objective.fit_bias { log_odds } else { 0.0 };
    round::<F>(&mut v);
    Ok((v, false))
}

fn split(mut direction: separation::Direction) -> (Vec<f64>, f64) {
    let bias = direction.pop().unwrap_or(0.0);
    (direction, bias)
}

/// Gradient descent over full batches from `weights` and `bias`, with the best step and momentum of each epoch instead of
/// a learning rate. Of the options, `epochs`, `l2`, `tol` and `threads` count.
///
/// # Errors
///
/// As [`fit`], and those of [`Options::check`].
pub fn descend_with_best_steps<'a, F: Float>(
    x: impl Into<Features<'a>>,
    y: &'a Vector<'a>,
    weights: Vec<F>,
    bias: F,
    options: &Options,
    observer: &mut dyn Observer<F>,
) -> Result<Descent<F>, Error> {
    options.check()?;
    let points = Points::new(x, y, None)?;
    let n = points.x.columns();
    kernel::check_length("weights", weights.len(), n, "one weight per column of X")?;
    check_start(&weights, bias)?;
    let labels = kernel::labels(&points, options.threads, observer)?;
    let objective = Objective {
        points: &points,
        l2: options.l2,
        fit_bias: true,
        threads: options.threads,
        cost: 1.0,
        separated_below: separated_below(&labels, options.l2),
    };
    let mut epochs = Epochs {
        observer,
        history: Vec::new(),
        most: options.epochs,
    };
    let mut run = Run::new(&mut epochs, f64::INFINITY);
    let mut v: Vec<f64> = weights.iter().map(|w| w.to_f64()).collect();
    v.push(bias.to_f64());
    let solution =
        plane_search::minimise::<F>(&objective, v, options.tol, f64::INFINITY, &mut run)?;
    let mut v = solution.point.v;
    let bias = F::from_f64(v.pop().unwrap_or(0.0));
    let is_complete = epochs.history.len() == options.epochs;
    Ok(Descent {
        weights: v.iter().map(|&w| F::from_f64(w)).collect(),
        bias,
        stop_reason: match solution.stop_reason {
            StopReason::Callback if is_complete => StopReason::Epochs,
            other => other,
        },
        history: epochs.history,
        trace: None,
    })
}

/// Shows iterations to an observer of epochs, and ends them after the last.
struct Epochs<'o, F> {
    observer: &'o mut dyn Observer<F>,
    history: Vec<f64>,
    most: usize,
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
        let bias = F::from_f64(iteration.bias);
        self.observer
            .epoch(iteration.number, iteration.loss, &weights, bias)?;
        if self.history.len() == self.most {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
