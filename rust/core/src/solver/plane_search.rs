//! Gradient descent with momentum, without a learning rate: each iteration computes the best step length and momentum.
//!
//! The parameters change by `α d + β s`. Here `d` is the direction of steepest descent for columns scaled to unit
//! curvature, and `s` is the change of the parameters in the iteration before. Scores are linear in the parameters. So
//! once the change of the scores along `d` is known, the loss for any (α, β) is computed without reading `X`. Newton's
//! method in two dimensions finds the best (α, β). For a quadratic objective, this is the conjugate gradient method.
//!
//! Sources: G. Narkiss & M. Zibulevsky, "Sequential subspace optimization method for large-scale unconstrained
//! problems", Technion CCIT 559 (2005); B. Polyak, USSR Comput. Math. Math. Phys. 4 (1964),
//! doi:10.1016/0041-5553(64)90137-5, for the momentum.

use super::objective::{Iterate, Objective};
use super::preconditioner::from_all_rows;
use super::run::{Patience, Run, Separation};
use super::separation;
use super::stages::Solution;
use crate::error::Error;
use crate::float::Precision;
use crate::linalg::add_multiple;
use crate::source::PlaneScores;
use crate::stop::StopReason;

/// Convergence: the size of the next step is at most this times `tol` times max(1, size of the parameters). Size is
/// that of [`ColumnScales::size`](super::preconditioner::ColumnScales::size), where each weight is multiplied by the
/// standard deviation of its column. The factor is small because steps of gradient descent are short.
pub(crate) const AT_REST: f64 = 0.01;
/// The largest number of Newton iterations for (α, β) in one iteration of gradient descent.
const NEWTON: usize = 10;
/// The Newton iterations for (α, β) end when the predicted decrease is at most this fraction of the decrease predicted
/// by the first of these iterations.
const WORTH: f64 = 1e-8;
/// The solver ends after this many iterations without progress. Iterations are counted only while the predicted
/// decrease of the objective is smaller than rounding errors.
const PATIENCE: usize = 60;
/// Once in this many iterations, the scores are computed anew. In the other iterations they are updated by additions,
/// whose rounding errors pile up.
const REFRESH: usize = 50;
/// If there is no penalty, a hyperplane that separates the labels is searched for before the iteration with this
/// number, counted from 0. It is searched for earlier only if all labels are predicted right earlier.
const FIRST_CHECK: usize = 64;

/// Minimises from `iterate`. Ends once the gradient's max-norm is at most `tol` and the next step is small enough. The
/// step is small enough if its size is at most `at_rest` · `tol` · max(1, size of the parameters), where size is
/// defined as for the constant [`AT_REST`].
///
/// # Errors
///
/// As [`super::stages::minimise`].
pub(crate) fn minimise(
    objective: &Objective<'_>,
    mut iterate: Iterate,
    [tol, at_rest]: [f64; 2],
    precision: Precision,
    run: &mut Run<'_>,
) -> Result<Solution, Error> {
    let order = objective.order();
    let preconditioner = from_all_rows(objective, &iterate.v, false, run)?;
    let mut scores = objective.source.plane(objective.classes)?;
    let mut last = vec![0.0; order];
    let mut direction = vec![0.0; order];
    let mut patience = Patience::new(PATIENCE);
    let column_scales = preconditioner.column_scales();
    let mut iteration = 0;
    let is_small = |iterate: &Iterate| iterate.value.gradient_norm <= tol;
    let (stop_reason, separation) = loop {
        preconditioner.apply(&iterate.value.gradient, &mut direction);
        for d in &mut direction {
            *d = -*d;
        }
        if (iterate.value.error < objective.separated_below || iteration == FIRST_CHECK)
            && objective.penalty.is_none()
            && let Separation::Found(direction) = separation::search(objective, &iterate.v, run)?
        {
            break (StopReason::Separated, Some(direction));
        }
        let size = column_scales.size(&iterate.v).max(1.0);
        let is_done = is_small(&iterate)
            && column_scales.size(&direction) <= at_rest * tol.max(f64::MIN_POSITIVE) * size;
        if is_done {
            break (StopReason::Tolerance, None);
        }
        if run.is_spent() {
            break (StopReason::Passes, None);
        }
        if iteration % REFRESH == 0 {
            run.passes += cost(objective, &iterate.v);
            scores.refresh(&objective.parameters(&iterate.v), &mut run.job())?;
        }
        run.passes += cost(objective, &direction);
        scores.set_direction(&objective.parameters(&direction), &mut run.job())?;
        let from = iterate.value.objective;
        let blind = iterate.value.rounding(precision);
        let plane = PlaneSearch::new(
            objective,
            &iterate,
            [&direction, &last],
            scores.as_ref(),
            blind,
        );
        let (step, decrease) = plane.minimum(run)?;

        let mut moved = vec![0.0; order];
        add_multiple(&mut moved, step[0], &direction);
        add_multiple(&mut moved, step[1], &last);
        let mut v = iterate.v.clone();
        add_multiple(&mut v, 1.0, &moved);
        precision.round(&mut v);
        let value = run.evaluate(objective, &v, precision)?;
        if !value.is_finite() || value.objective > from + blind || v == iterate.v {
            iterate = patience.best(iterate, blind);
            break (StopReason::Precision, None);
        }
        scores.advance(step);
        last = moved;
        iterate = Iterate { v, value };
        iteration += 1;
        if run.record(objective, &iterate, step[0]).is_break() {
            break (StopReason::Callback, None);
        }
        if decrease <= blind && patience.is_exhausted(&iterate, decrease, blind) {
            iterate = patience.best(iterate, blind);
            break (StopReason::Precision, None);
        }
    };
    let stop_reason = match stop_reason {
        StopReason::Precision if is_small(&iterate) => StopReason::Tolerance,
        other => other,
    };
    Ok(Solution {
        iterate,
        stop_reason,
        separation,
    })
}

/// How many passes computing the scores at parameters `v` takes: 0 if all weights are zero.
fn cost(objective: &Objective<'_>, v: &[f64]) -> f64 {
    match objective.split(v).0.iter().all(|&w| w == 0.0) {
        true => 0.0,
        false => objective.cost,
    }
}

/// The objective at `v + α d + β s`, as a function of (α, β).
struct PlaneSearch<'a> {
    scores: &'a dyn PlaneScores,
    /// Σ s_i, the sum of the sample weights.
    weight: f64,
    /// First derivatives of the penalty at (0, 0), by α and by β.
    slope: [f64; 2],
    /// Second derivatives of the penalty, by αα, αβ and ββ.
    curvature: [f64; 3],
    /// The penalty at v.
    penalty: f64,
    /// Differences of the objective up to this may be rounding errors.
    blind: f64,
}

/// The objective at one (α, β), with its first derivatives by α and β and second derivatives by αα, αβ and ββ.
#[derive(Clone, Copy)]
struct Parabola {
    objective: f64,
    slope: [f64; 2],
    curvature: [f64; 3],
}

impl<'a> PlaneSearch<'a> {
    fn new(
        objective: &Objective<'_>,
        iterate: &Iterate,
        [d, s]: [&[f64]; 2],
        scores: &'a dyn PlaneScores,
        blind: f64,
    ) -> Self {
        let [w, d, s] = [&iterate.v, d, s].map(|v| objective.split(v).0);
        let slope = |d: &[f64]| objective.penalty.slope_along(w, d);
        let product = |a: &[f64], b: &[f64]| objective.penalty.product(a, b);
        PlaneSearch {
            scores,
            weight: iterate.value.weight,
            slope: [slope(d), slope(s)],
            curvature: [product(d, d), product(d, s), product(s, s)],
            penalty: iterate.value.objective - iterate.value.loss,
            blind,
        }
    }

    /// The objective and its derivatives at (α, β) = (a, b).
    fn at(&self, [a, b]: [f64; 2], run: &mut Run<'_>) -> Result<Parabola, Error> {
        let plane = self.scores.loss([a, b], &mut run.job())?;
        let ([sa, sb], [caa, cab, cbb]) = (self.slope, self.curvature);
        let penalty =
            self.penalty + a * sa + b * sb + 0.5 * (a * a * caa + 2.0 * a * b * cab + b * b * cbb);
        let [la, lb] = plane.slope.map(|x| x / self.weight);
        let [haa, hab, hbb] = plane.curvature.map(|x| x / self.weight);
        Ok(Parabola {
            objective: plane.error / self.weight + penalty,
            slope: [la + sa + a * caa + b * cab, lb + sb + a * cab + b * cbb],
            curvature: [haa + caa, hab + cab, hbb + cbb],
        })
    }

    /// The (α, β) that minimise the objective, and the decrease that the first Newton iteration predicted.
    fn minimum(&self, run: &mut Run<'_>) -> Result<([f64; 2], f64), Error> {
        let mut at = [0.0; 2];
        let mut here = self.at(at, run)?;
        let mut first = 0.0;
        for iteration in 0..NEWTON {
            let (move_, decrease) = here.newton();
            if iteration == 0 {
                first = decrease;
            } else if decrease <= WORTH * first {
                break;
            }
            let mut length = 1.0;
            let next = loop {
                let to = [at[0] + length * move_[0], at[1] + length * move_[1]];
                let there = self.at(to, run)?;
                let enough = here.objective - 1e-4 * length * decrease;
                let cannot_tell = decrease <= self.blind
                    && (there.objective - here.objective).abs() <= self.blind;
                if there.objective <= enough || cannot_tell {
                    break Some((to, there));
                }
                length *= 0.5;
                if length < 1e-6 {
                    break None;
                }
            };
            match next {
                Some((to, there)) => (at, here) = (to, there),
                None => break,
            }
        }
        Ok((at, first))
    }
}

impl Parabola {
    /// The Newton step for (α, β), and the decrease of the objective that it predicts.
    fn newton(&self) -> ([f64; 2], f64) {
        let ([ga, gb], [haa, hab, hbb]) = (self.slope, self.curvature);
        let determinant = haa * hbb - hab * hab;
        let step = if determinant > 1e-12 * haa * hbb {
            [
                (hab * gb - hbb * ga) / determinant,
                (hab * ga - haa * gb) / determinant,
            ]
        } else if haa > 0.0 {
            [-ga / haa, 0.0] // e.g. in the first iteration, where s = 0
        } else {
            [0.0; 2]
        };
        (step, -0.5 * (ga * step[0] + gb * step[1]))
    }
}
