//! Proximal quasi-Newton iterations with one model of the objective's smooth part: steps towards the minimum of the
//! model plus the penalty, each of a length that lowers the objective.

use super::fenchel;
use super::objective::{Iterate, Objective};
use super::run::{Ended, Run, Separation};
use super::sample_bound::SampleBound;
use super::smooth_model::Model;
use super::unpenalised;
use crate::error::Error;
use crate::float::Precision;
use crate::linalg::{add_multiple, dot};

/// In the first iteration, coordinate descent on the model ends once a sweep over the coordinates lowers the model by
/// less than this fraction of the decrease by all sweeps so far.
const INEXACT: f64 = 0.05;
/// [`INEXACT`] if there are several penalties: the model is then a good one from the first iteration on.
const LESS_INEXACT: f64 = 1e-3;
/// [`INEXACT`] in the last iterations.
const EXACT: f64 = 1e-6;
/// Armijo's condition: a step is accepted if the objective falls by at least this fraction of the decrease that the
/// slope along the step predicts.
const ARMIJO: f64 = 1e-4;
/// The largest number of step lengths tried in one iteration.
const TRIALS: usize = 30;
/// Two objectives whose relative difference is at most this may differ by rounding alone.
const BLIND: f64 = 2e-13;

/// Makes parameters of all columns from the parameters of a set of columns. The weights of the other columns are 0.
pub(super) type Widen<'a> = &'a dyn Fn(&[f64]) -> Vec<f64>;

/// The conditions under which iterations with one model end.
#[derive(Clone, Copy)]
pub(super) struct Until<'a> {
    /// Iterations end once the predicted decrease of the objective is at most twice this, and the estimated gap is at
    /// most [`Until::gap`].
    pub decrease: f64,
    /// If this is 0, the gap is not estimated.
    pub gap: f64,
    /// Iterations also end once the predicted decrease is at most this fraction of the first one.
    pub rough: f64,
    /// Iterations also end once a [`SampleBound`] is estimated to prove a gap of at most this.
    pub bounded: f64,
    /// The bound, if it has been computed.
    pub bound: Option<&'a SampleBound>,
    /// The fraction of the rows from which the bound is computed.
    pub share: f64,
}

/// Iterations over one objective.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    /// The objective over all rows or some, and over all columns or some.
    pub objective: &'a Objective<'a>,
    pub until: Until<'a>,
    pub widen: Widen<'a>,
    /// Iterations also end once the max-norm of the gradient is at most this, if it is given.
    pub gradient: Option<f64>,
    /// Whether the model may have served for the penalty before.
    pub is_long: bool,
}

impl Steps<'_> {
    /// Proximal quasi-Newton iterations with one model of the smooth part. After each step, the model is updated.
    /// `left` is the number of iterations that may be made. `decreases` are the first and the last predicted decrease.
    pub(super) fn iterate(
        &self,
        model: &mut dyn Model,
        (left, decreases): (&mut usize, &mut Option<[f64; 2]>),
        iterate: &mut Iterate,
        run: &mut Run<'_>,
    ) -> Result<Ended, Error> {
        let Steps {
            objective,
            until,
            widen,
            ..
        } = *self;
        let mut next_check = objective.separated_below;
        while *left > 0 {
            *left -= 1;
            if iterate.value.error < next_check {
                next_check = 0.5 * iterate.value.error;
                if let Some(direction) = unpenalised::along(objective, &iterate.v, run)? {
                    run.separation = Some(Separation::Found(widen(&direction)));
                    return Ok(Ended::AllRight);
                }
            }
            let x = model.coordinates().of(&iterate.v);
            let gradient = model.coordinates().gradient(&iterate.value.gradient);
            // In the first iterations, the minimum of the model need not be computed exactly.
            let inexact = if self.is_long { LESS_INEXACT } else { INEXACT };
            let forcing = match decreases {
                None => inexact,
                Some([first, last]) => f64::clamp(0.1 * f64::sqrt(*last / *first), EXACT, inexact),
            };
            let u = model.minimum(&gradient, &x, forcing, &mut run.job())?;
            let step: Vec<f64> = u.iter().zip(&x).map(|(u, x)| u - x).collect();
            let slope = dot(&gradient, &step) + model.kinks().change(&u, &x);
            let is_near = || estimated_gap(objective, model, iterate, &gradient) <= until.gap;
            if slope >= 0.0 || slope.is_nan() {
                return Ok(match until.gap > 0.0 && is_near() {
                    true => Ended::Reached,
                    false => Ended::Stalled,
                });
            }
            // The decrease of the model plus the penalty from x to u is between `ahead` / 2 and `ahead`.
            let ahead = -slope;
            let first = decreases.map_or(ahead, |[first, _]| first);
            *decreases = Some([first, ahead]);
            let is_asked = self
                .gradient
                .is_some_and(|tol| iterate.value.gradient_norm <= tol);
            let is_reached = 0.5 * ahead <= until.decrease
                && match until.gap > 0.0 {
                    true => is_near(),
                    false => until.bounded == 0.0,
                };
            if is_reached || ahead <= until.rough * first || is_asked {
                return Ok(Ended::Reached);
            }
            let proved = match until.bound {
                Some(bound) => bound.estimate(objective, iterate),
                None => ahead / until.share,
            };
            if proved <= until.bounded {
                return Ok(Ended::Reached);
            }
            if run.is_spent() {
                return Ok(Ended::Passes);
            }
            let Some((length, next)) = self.along(model, iterate, ([&x, &u], slope), run)? else {
                return Ok(match run.is_spent() {
                    true => Ended::Passes,
                    false => Ended::Stalled,
                });
            };
            let mut moved = model.coordinates().of(&next.v);
            add_multiple(&mut moved, -1.0, &x);
            let mut change = model.coordinates().gradient(&next.value.gradient);
            add_multiple(&mut change, -1.0, &gradient);
            model.learn(objective, &next, [&moved, &change], run)?;
            *iterate = next;
            let shown = Iterate {
                v: widen(&iterate.v),
                value: iterate.value.clone(),
            };
            if run.record(objective, &shown, length).is_break() {
                return Ok(Ended::Callback);
            }
        }
        Ok(Ended::Iterations)
    }

    /// The length of a step that decreases the objective, and the iterate after the step. The step leads from the
    /// iterate towards the minimum of the model plus the penalty; in the model's coordinates, these are x and u. The
    /// whole step is tried first, then shorter ones. `None` if no length decreases the objective or the passes are used
    /// up.
    fn along(
        &self,
        model: &dyn Model,
        iterate: &Iterate,
        ([x, u], slope): ([&[f64]; 2], f64),
        run: &mut Run<'_>,
    ) -> Result<Option<(f64, Iterate)>, Error> {
        let objective = self.objective;
        let from = iterate.value.objective;
        let mut length = 1.0;
        for trial in 0..TRIALS {
            if run.is_spent() {
                return Ok(None);
            }
            let between = |(x, u): (&f64, &f64)| (x + length * (u - x)).clamp(x.min(*u), x.max(*u));
            let to: Vec<f64> = match length == 1.0 {
                true => u.to_vec(),
                false => x.iter().zip(u).map(between).collect(),
            };
            let v = model.coordinates().natural(&to);
            let value = run.evaluate(objective, &v, Precision::Double)?;
            let gain = value.objective - from;
            let next = Iterate { v, value };
            if next.value.is_finite() {
                if gain <= ARMIJO * length * slope {
                    return Ok(Some((length, next)));
                }
                // The change of the objective is within rounding errors, so the size of the subgradient decides.
                if gain.abs() <= BLIND * from.abs() {
                    if model.steepness(&next) < 0.9 * model.steepness(iterate) {
                        return Ok(Some((length, next)));
                    }
                    if trial >= 2 {
                        return Ok(None);
                    }
                }
            }
            let best = -slope * length / (2.0 * (gain - slope * length));
            length *= if best.is_finite() {
                best.clamp(0.1, 0.5)
            } else {
                0.1
            };
        }
        Ok(None)
    }
}

/// An estimate of the gap at an iterate. `gradient` is the gradient there, in the model's coordinates.
fn estimated_gap(
    objective: &Objective<'_>,
    model: &dyn Model,
    iterate: &Iterate,
    gradient: &[f64],
) -> f64 {
    let (weights, _) = objective.split(&iterate.v);
    let basis = &model.coordinates().basis;
    let order = objective.columns() + 1;
    let of_penalty = objective.penalty.slopes(weights);
    let (mut slopes, mut closing) = (Vec::with_capacity(weights.len()), 0.0);
    for (k, gradient) in gradient.chunks_exact(order).enumerate() {
        let (by_weights, by_bias) = (&gradient[..order - 1], gradient[order - 1]);
        slopes.extend(basis.natural_gradient(by_weights, 0.0));
        if by_bias != 0.0 {
            closing += by_bias * by_bias / model.curvature(k * order + order - 1);
        }
    }
    add_multiple(&mut slopes, -1.0, &of_penalty);
    fenchel::estimate(objective, iterate, &slopes, closing)
}
