//! Limited-memory BFGS on top of a preconditioner.
//!
//! Source: J. Nocedal & S. Wright, *Numerical Optimization*, 2nd ed. (2006), algorithm 7.4, with the preconditioner as
//! the initial inverse Hessian. If a step changes the objective by less than rounding errors, the slope after the step
//! decides whether the step is accepted: W. Hager & H. Zhang, SIAM J. Optim. 16 (2005), doi:10.1137/030601880, §4.

use std::collections::VecDeque;

use super::duality;
use super::objective::{Iterate, Objective, Value};
use super::preconditioner::Preconditioner;
use super::run::{Ended, Patience, Run};
use crate::error::Error;
use crate::float::Precision;
use crate::linalg::{add_multiple, dot};

/// How many of the last steps L-BFGS remembers.
const MEMORY: usize = 20;
/// Armijo's condition: a step is accepted if the objective falls by at least this fraction of step length × |slope|.
const ARMIJO: f64 = 1e-4;
/// A step that is judged by its slope is accepted if |slope| after the step is at most this fraction of |slope| before
/// it.
const SLOPE: f64 = 0.8;
/// [`SLOPE`] for several classes, where the preconditioner predicts the length of a step less well than for one score.
const CLASSES_SLOPE: f64 = 1.0;
/// How many step lengths are tried, for several classes, once both the predicted and the actual change of the objective
/// are within rounding errors.
const BLIND_TRIALS: usize = 4;
/// The largest number of step lengths tried along one direction.
const TRIALS: usize = 30;

/// A step of the parameters, and the change of the gradient by this step.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// The dot product step · change.
    product: f64,
}

/// The pairs of the last iterations, from which L-BFGS estimates the inverse Hessian.
#[derive(Default)]
pub(crate) struct Memory {
    pairs: VecDeque<Pair>,
    /// The factor γ by which the preconditioner P is multiplied. γ is chosen such that the last pair has change · (γ P
    /// change) = step · change.
    gamma: Option<f64>,
}

impl Memory {
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn push(&mut self, step: Vec<f64>, change: Vec<f64>, preconditioner: &Preconditioner) {
        let product = dot(&step, &change);
        let terms = step.iter().zip(&change).map(|(s, y)| (s * y).abs());
        // A pair is kept only if its product step · change is positive by more than rounding errors.
        if product.is_nan() || product <= 1e-14 * terms.sum::<f64>() {
            return;
        }
        let mut image = vec![0.0; change.len()];
        preconditioner.apply(&change, &mut image);
        let gamma = product / dot(&change, &image);
        self.gamma = gamma.is_finite().then_some(gamma);
        if self.pairs.len() == MEMORY {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair {
            step,
            change,
            product,
        });
    }

    /// The next search direction −P g. g is the gradient; P is the inverse Hessian, estimated from the preconditioner
    /// and the pairs.
    fn direction(&self, gradient: &[f64], preconditioner: &Preconditioner) -> Vec<f64> {
        let mut q = gradient.to_vec();
        let mut along = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let a = dot(&pair.step, &q) / pair.product;
            add_multiple(&mut q, -a, &pair.change);
            along.push(a);
        }
        let mut direction = vec![0.0; q.len()];
        preconditioner.apply(&q, &mut direction);
        let gamma = self.gamma.unwrap_or(1.0);
        for d in &mut direction {
            *d *= gamma;
        }
        for (pair, a) in self.pairs.iter().zip(along.iter().rev()) {
            let b = dot(&pair.change, &direction) / pair.product;
            add_multiple(&mut direction, a - b, &pair.step);
        }
        for d in &mut direction {
            *d = -*d;
        }
        direction
    }
}

/// The conditions under which iterations end.
pub(crate) struct Criteria<'a> {
    /// Convergence test, given the iterate, the next direction and the predicted decrease of the objective.
    pub is_reached: &'a dyn Fn(&Iterate, &[f64], f64) -> bool,
    /// Whether the minimum may be at infinity: the gradient at the iterate is small enough, but the next direction is
    /// long.
    pub is_drifting: &'a dyn Fn(&Iterate, &[f64]) -> bool,
    /// Whether parameters are larger than can be expected at any minimum.
    pub is_runaway: &'a dyn Fn(&[f64]) -> bool,
    pub iterations: usize,
    /// If an iteration is likely to reduce the gradient's norm to this, the source is told that the bound by duality
    /// may be computed next. 0 if that bound is not computed at the last iterate.
    pub proved_below: f64,
}

/// The last iterate, why iterations ended, and how many there were.
pub(crate) struct LbfgsEnd {
    pub iterate: Iterate,
    pub ended: Ended,
    pub iterations: usize,
}

/// A minimisation by L-BFGS: the objective, a preconditioner, the precision of evaluations, and when to end.
pub(crate) struct Lbfgs<'a> {
    pub objective: &'a Objective<'a>,
    pub preconditioner: &'a Preconditioner,
    pub precision: Precision,
    pub criteria: Criteria<'a>,
}

impl Lbfgs<'_> {
    /// Minimises from `iterate`.
    ///
    /// # Errors
    ///
    /// Those of [`Run::evaluate`].
    pub(crate) fn minimise(
        &self,
        mut iterate: Iterate,
        memory: &mut Memory,
        patience: &mut Patience,
        run: &mut Run<'_>,
    ) -> Result<LbfgsEnd, Error> {
        let Lbfgs {
            objective,
            preconditioner,
            precision,
            criteria,
        } = self;
        let mut iterations = 0;
        let mut norm_before = 0.0;
        loop {
            let direction = memory.direction(&iterate.value.gradient, preconditioner);
            let slope = dot(&direction, &iterate.value.gradient);
            let rounding = iterate.value.rounding(*precision);
            let is_blind = -slope <= rounding;
            let ended = if iterate.value.error < objective.separated_below {
                Some(Ended::AllRight)
            } else if (criteria.is_reached)(&iterate, &direction, -slope) {
                Some(Ended::Reached)
            } else if (criteria.is_drifting)(&iterate, &direction) {
                Some(Ended::Drifting)
            } else if iterations == criteria.iterations {
                Some(Ended::Iterations)
            } else if slope >= 0.0 || !slope.is_finite() {
                Some(Ended::Stalled)
            } else if is_blind && patience.is_exhausted(&iterate, -slope, rounding) {
                Some(Ended::Exhausted)
            } else {
                None
            };
            // Whether the gradient will be small enough after this iteration, if its norm falls by the same factor as
            // in the iteration before.
            let norm = iterate.value.gradient_norm;
            let may_be_last = norm * (norm / norm_before) <= criteria.proved_below;
            norm_before = norm;
            let search = match ended {
                Some(_) => None,
                None => Some(self.line_search(&iterate, &direction, (slope, may_be_last), run)?),
            };
            let (step, next) = match (ended, search) {
                (None, Some(LineSearch::Found(step, next))) if !(criteria.is_runaway)(&next.v) => {
                    (step, next)
                }
                (ended, search) => {
                    let ended = ended.unwrap_or(match search {
                        Some(LineSearch::Found(..)) => Ended::Runaway,
                        Some(LineSearch::Spent) => Ended::Passes,
                        _ => Ended::Stalled,
                    });
                    return Ok(LbfgsEnd {
                        iterate,
                        ended,
                        iterations,
                    });
                }
            };
            let mut taken = next.v.clone();
            add_multiple(&mut taken, -1.0, &iterate.v);
            let mut change = next.value.gradient.clone();
            add_multiple(&mut change, -1.0, &iterate.value.gradient);
            memory.push(taken, change, preconditioner);
            iterate = next;
            iterations += 1;
            if run.record(objective, &iterate, step).is_break() {
                return Ok(LbfgsEnd {
                    iterate,
                    ended: Ended::Callback,
                    iterations,
                });
            }
        }
    }

    /// Finds a step along `direction` that decreases the objective. Tries step length 1 first, then shorter ones. If
    /// `may_be_last`, the source is told that the bound by duality may be computed next.
    fn line_search(
        &self,
        iterate: &Iterate,
        direction: &[f64],
        (slope, may_be_last): (f64, bool),
        run: &mut Run<'_>,
    ) -> Result<LineSearch, Error> {
        let Lbfgs {
            objective,
            precision,
            ..
        } = *self;
        let from = iterate.value.objective;
        // If the objective changes by no more than this, rounding may hide the change. Then the slope decides whether
        // the step is accepted: the slope is a sum of small terms, and still accurate.
        let blind = 0.1 * precision.epsilon().sqrt() * from.abs();
        let mut step = 1.0;
        let (most, blind_trials) = match objective.classes {
            1 => (SLOPE, 1),
            _ => (CLASSES_SLOPE, BLIND_TRIALS),
        };
        for trial in 1..=TRIALS {
            if run.is_spent() {
                return Ok(LineSearch::Spent);
            }
            let mut v = iterate.v.clone();
            add_multiple(&mut v, step, direction);
            precision.round(&mut v);
            if v == iterate.v {
                return Ok(LineSearch::Nothing);
            }
            if may_be_last {
                duality::plan(objective, &v)?;
            }
            let value = run.evaluate(objective, &v, precision)?;
            let gain = value.objective - from;
            let is_blind = gain.abs() <= blind;
            let slope_there = dot(&value.gradient, direction);
            let is_accepted = value.is_finite()
                && if is_blind {
                    slope_there.abs() <= most * slope.abs()
                } else {
                    gain <= ARMIJO * step * slope
                };
            if is_accepted {
                return Ok(LineSearch::Found(step, Iterate { v, value }));
            }
            let is_rounding = is_blind && -slope * step <= iterate.value.rounding(precision);
            if is_rounding && trial >= blind_trials {
                return Ok(LineSearch::Nothing);
            }
            step *= if is_rounding {
                (slope / (slope - slope_there)).clamp(0.1, 0.7)
            } else {
                shorter(&value, gain, slope * step)
            };
        }
        Ok(LineSearch::Nothing)
    }
}

/// The result of a line search.
enum LineSearch {
    /// The length of the step, as a multiple of the direction; and the iterate after the step.
    Found(f64, Iterate),
    /// No step improves by more than rounding.
    Nothing,
    /// The passes allowed are used up.
    Spent,
}

/// The next step length to try, as a fraction of the last one. It is the minimum of the parabola that has the value and
/// slope at the start and the value at the last step, limited to 0.1 … 0.5.
fn shorter(value: &Value, gain: f64, slope: f64) -> f64 {
    if !value.is_finite() {
        return 0.1;
    }
    let minimum = -slope / (2.0 * (gain - slope));
    if minimum.is_finite() {
        minimum.clamp(0.1, 0.5)
    } else {
        0.1
    }
}
