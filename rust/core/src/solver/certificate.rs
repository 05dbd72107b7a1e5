//! How far above the minimum an objective can be at most, with a penalty or without.
//!
//! |σ''| ≤ σ', so the curvature of the loss changes by e^±t at most over a step that changes no score by more than t
//! (F. Bach, Electron. J. Stat. 4 (2010), §2, doi:10.1214/09-EJS521). With g and H the gradient and the Hessian of the
//! objective by weights and biases at v, λ² = gᵀ H⁻¹ g, and ρ = max_i ‖H^{-1/2} (x_i, 1)‖ over the rows of positive
//! weight, a step u changes scores by at most ρ ‖u‖_H, and
//!
//! ```text
//! J(v + u) ≥ J(v) + g·u + (e^{−ρt} + ρt − 1) / ρ²        t = ‖u‖_H
//! J(v) − min J ≤ ((1 − a) ln(1 − a) + a) / ρ²            a = λρ < 1
//! ```
//!
//! the second being the first at its minimum over t. If a < 1 a minimum exists; if not, nothing is proved. Of K classes, a
//! score's change is the range of x_i · u_k over the classes. What changes all classes alike changes no probability: of each
//! column, one class stays where it is, and g and H are those by the others.
//!
//! All this is invariant under changes of the columns' coordinates: it is computed in a [`Basis`], and rounding is counted:
//!
//! * scores and sums are carried in two numbers (`kernel::precise`), so that gradients are right to a few ε of the terms
//!   that have cancelled;
//! * of the matrix `H̃` that is computed, `H̃ − shift·I` is factored, the shift being a bound on the error of `H̃` and of the
//!   factorisation: if that succeeds, `L Lᵀ ⪯ H` (S. Rump, "Verification of positive definiteness", BIT 46 (2006),
//!   doi:10.1007/s10543-006-0056-1), so that λ ≤ ‖L⁻¹ g‖ and ρ is bounded likewise;
//! * `W = L⁻¹` is computed, and what its own rounding may hide is added.

use std::f64::consts::SQRT_2;
use std::sync::Arc;

use super::cholesky::Cholesky;
use super::dependence;
use super::hessian::Factored;
use super::objective::{Objective, Point, Value};
use super::run::Run;
use super::view::Alias;
use crate::error::Error;
use crate::kernel::{Basis, Metric};
use crate::linalg::{add_multiple, centre, centre_values, dot, norm};
use crate::reduce::Job;
use crate::source::RowScores;

/// The largest Hessian that is factored, in weights and biases.
const LARGEST_HESSIAN: usize = 4096;
/// Sums of positive terms, and what is right to some hundred ε.
const EXACT: f64 = 1.0 + 1e-9;
/// Scores may have changed by so much since the Hessian was taken before it is taken anew.
const MOVED: f64 = 0.1;
/// Newton steps, and how often one is halved.
const STEPS: usize = 500;
const HALVINGS: usize = 12;
/// Up to this λρ the quick bound on ρ will do.
const ROUGH: f64 = 0.1;

/// What is proved at a point.
pub(crate) struct Certified {
    pub point: Point,
    /// Upper bound on objective − minimum; ∞ if none is proved.
    pub gap: f64,
    /// The objective, a sum of what is not negative, and what rounding may hide of it.
    pub most: f64,
    pub aliased: Vec<Alias>,
}

/// Whether the Hessian is small enough to be factored.
pub(crate) fn is_factorable(objective: &Objective<'_>) -> bool {
    objective.order() <= LARGEST_HESSIAN
}

/// What a factored Hessian takes of several classes, in passes over all rows: one for each pair of them.
pub(crate) fn passes(classes: usize) -> f64 {
    match classes {
        1 => 0.0, // whatever was allowed, a proof belongs to the fit
        _ => (classes * (classes + 1) / 2) as f64,
    }
}

/// The objective's Hessian around a point, factored.
struct Neighbourhood<'a> {
    /// The norm by the inverse of its factor.
    metric: Metric,
    factor: Cholesky,
    /// The Frobenius norm of the inverse W, and a bound on ‖L W − I‖.
    norm: f64,
    defect: f64,
    /// The scores it was taken at.
    scores: Box<dyn RowScores + 'a>,
    /// ρ, once the quick bound on it has not done.
    reach: Option<f64>,
    aliased: Vec<Alias>,
}

/// The objective at a point, with what a bound needs.
struct Evaluation {
    value: Value,
    /// How far a score may be off, but for one rounding.
    score_error: f64,
    /// The gradient in the neighbourhood's scaled coordinates, class by class, and how far each component may be off.
    gradient: Vec<f64>,
    error: Vec<f64>,
    /// Bound on ‖scale ∘ (x_i, 1)‖.
    longest: f64,
    /// The largest change of a score since the Hessian was taken.
    drift: f64,
    /// The part of the penalty of what changes all classes alike.
    alike: f64,
}

/// The objective at `v`, and its distance from the minimum. With `steps`, Newton steps are taken until the gap is within
/// `goal` of the objective or no step improves on it.
pub(crate) struct Certifier<'a> {
    neighbourhood: Neighbourhood<'a>,
    here: Evaluation,
    v: Vec<f64>,
    gap: f64,
}

impl<'a> Certifier<'a> {
    /// At `v`; none where the Hessian cannot be factored. Weights of aliased columns are moved to the columns that these
    /// are combinations of.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] without room for scores; [`Error::Interrupted`] by the observer.
    pub(crate) fn new(
        objective: &Objective<'a>,
        mut v: Vec<f64>,
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let Some(mut neighbourhood) = Neighbourhood::new(objective, &mut v, run)? else {
            return Ok(None);
        };
        let here = neighbourhood.here(objective, &v, run)?;
        let gap = neighbourhood.gap(objective, &here, run)?;
        Ok(Some(Certifier {
            neighbourhood,
            here,
            v,
            gap,
        }))
    }

    pub(crate) fn gap(&self) -> f64 {
        self.gap
    }

    /// Whether weights of aliased columns may have been moved.
    pub(crate) fn has_moved(&self) -> bool {
        !self.neighbourhood.aliased.is_empty()
    }

    pub(crate) fn objective(&self) -> f64 {
        self.here.value.objective
    }

    /// Takes Newton steps until `gap ≤ goal · objective`, or none improves; whether the observer or the passes ended them.
    ///
    /// # Errors
    ///
    /// As [`Certifier::new`].
    pub(crate) fn improve(
        &mut self,
        objective: &Objective<'a>,
        goal: f64,
        run: &mut Run<'_>,
    ) -> Result<Option<Interruption>, Error> {
        for _ in 0..STEPS {
            if self.gap <= goal * self.objective() {
                break;
            }
            if run.is_spent() {
                return Ok(Some(Interruption::Passes));
            }
            let Some(length) = self.step(objective, run)? else {
                break;
            };
            let point = Point {
                v: self.v.clone(),
                value: self.here.value.clone(),
            };
            if run.record(objective, &point, length).is_break() {
                return Ok(Some(Interruption::Callback));
            }
            if self.here.drift > MOVED {
                let mut v = self.v.clone();
                let Some(neighbourhood) = Neighbourhood::new(objective, &mut v, run)? else {
                    break;
                };
                self.here = neighbourhood.here(objective, &v, run)?;
                self.neighbourhood = neighbourhood;
                self.v = v;
            }
            self.gap = self.neighbourhood.gap(objective, &self.here, run)?;
        }
        Ok(None)
    }

    /// One step; its length in units of Newton's, or none if no step improves.
    fn step(&mut self, objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Option<f64>, Error> {
        let step = self
            .neighbourhood
            .newton_step(objective, &self.here.gradient);
        let decrement = self.neighbourhood.decrement(&self.here);
        let from = self.here.value.objective;
        // Differences of objectives that are sums of rounding.
        let blind = 4.0 * f64::EPSILON * from.abs();
        let mut length = 1.0;
        for _ in 0..HALVINGS {
            let mut v = self.v.clone();
            add_multiple(&mut v, length, &step);
            if v == self.v || !step.iter().all(|s| s.is_finite()) {
                return Ok(None);
            }
            let there = self.neighbourhood.evaluate(objective, &v, run)?;
            let gain = there.value.objective - from;
            let promised = 0.5 * length * decrement * decrement;
            let is_better = if promised <= blind {
                gain <= blind && self.neighbourhood.decrement(&there) <= 0.5 * decrement
            } else {
                gain <= -0.1 * promised
            };
            if there.value.is_finite() && is_better {
                (self.v, self.here) = (v, there);
                return Ok(Some(length));
            }
            if promised <= blind {
                return Ok(None);
            }
            length *= 0.5;
        }
        Ok(None)
    }

    /// The weights and biases rounded to the type of the result, the biases made up for what that changes at the columns' means.
    ///
    /// # Errors
    ///
    /// As [`Certifier::new`].
    pub(crate) fn rounded(
        mut self,
        objective: &Objective<'_>,
        run: &mut Run<'_>,
    ) -> Result<Certified, Error> {
        let mut v = self.v.clone();
        self.neighbourhood.round(objective, &mut v);
        if v != self.v {
            self.here = self.neighbourhood.evaluate(objective, &v, run)?;
            self.gap = self.neighbourhood.gap(objective, &self.here, run)?;
        }
        let Evaluation {
            score_error, value, ..
        } = self.here;
        Ok(Certified {
            most: value.objective * (1.0 + 1e-12) + 2.0 * score_error,
            point: Point { v, value },
            gap: self.gap,
            aliased: self.neighbourhood.aliased,
        })
    }
}

/// What ended Newton steps before their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// The passes allowed are used up.
    Passes,
    /// The observer asked for it.
    Callback,
}

impl<'a> Neighbourhood<'a> {
    /// Around `v`; none where the Hessian is too large or singular beyond what is aliased.
    ///
    /// # Errors
    ///
    /// As [`Certifier::new`].
    fn new(
        objective: &Objective<'a>,
        v: &mut [f64],
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        if !is_factorable(objective) {
            return Ok(None);
        }
        let scores = run.scores(objective, v)?;
        if !scores.are_finite() {
            return Ok(None);
        }
        let gram = |basis: &Basis, job: &mut Job<'_>| scores.gram_of_trace(basis, job);
        let Some(mut view) = dependence::view(objective, gram, Arc::clone(&run.basis), run)? else {
            return Ok(None);
        };
        let mut aliased = Vec::new();
        if !view.dependent.is_empty() {
            // By the curvature here, which rows that are certain do not have: only if all rows say so, too, are they.
            let Some(of_all) = dependence::of_all_rows(objective, run)? else {
                return Ok(None);
            };
            if view.dependent != of_all.dependent {
                let without = Objective {
                    excluded: &of_all.dependent,
                    ..*objective
                };
                let again = dependence::view(&without, gram, Arc::clone(&of_all.basis), run)?;
                match again.filter(|view| view.dependent == of_all.dependent) {
                    Some(again) => view = again,
                    None => return Ok(None),
                }
            }
            aliased = of_all.aliases(objective, v);
        }
        run.basis = Arc::clone(&view.basis);
        let Some(Factored {
            free,
            scale,
            factor,
        }) = Factored::new(objective, &view, scores.as_ref(), run)?
        else {
            return Ok(None);
        };
        let inverse = factor.inverse();
        let norm = norm(&inverse);
        let size = scale.len() as f64;
        let defect = f64::EPSILON * (size + 2.0) * factor.trace().sqrt() * norm;
        let is_exact = defect < 0.01;
        let metric = Metric {
            basis: view.basis,
            mean: view.columns.mean,
            free,
            scale,
            inverse,
            hidden: defect / (1.0 - defect) * norm,
        };
        Ok(is_exact.then_some(Neighbourhood {
            metric,
            factor,
            norm,
            defect,
            scores,
            reach: None,
            aliased,
        }))
    }

    /// The objective where the neighbourhood was taken, but for the weights that aliased columns had.
    fn here(
        &self,
        objective: &Objective<'_>,
        v: &[f64],
        run: &mut Run<'_>,
    ) -> Result<Evaluation, Error> {
        match self.aliased.is_empty() {
            true => self.evaluate_at(objective, v, (self.scores.as_ref(), 0.0), run),
            false => self.evaluate(objective, v, run),
        }
    }

    /// The objective at `v`.
    fn evaluate(
        &self,
        objective: &Objective<'_>,
        v: &[f64],
        run: &mut Run<'_>,
    ) -> Result<Evaluation, Error> {
        run.passes += objective.cost;
        let at = objective.parameters(v);
        let (scores, change) = self.scores.moved_to(&at, &mut run.job())?;
        self.evaluate_at(objective, v, (scores.as_ref(), change), run)
    }

    fn evaluate_at(
        &self,
        objective: &Objective<'_>,
        v: &[f64],
        (scores, drift): (&dyn RowScores, f64),
        run: &mut Run<'_>,
    ) -> Result<Evaluation, Error> {
        let (classes, n) = (objective.classes, objective.columns());
        let Metric {
            basis,
            mean,
            free,
            scale,
            ..
        } = &self.metric;
        run.passes += objective.cost;
        let order = n + 1;
        let of_class = |k: usize| k * order..(k + 1) * order;
        let mut largest = vec![0.0; order];
        for (&j, &scale) in free.iter().flatten().zip(scale) {
            largest[j] = f64::max(largest[j], scale);
        }
        let moments = scores.moments(basis, &largest, &mut run.job())?;
        let (weights, _) = objective.split(v);
        let total = moments.weight;
        let mut centred = weights.to_vec();
        if classes > 1 {
            centre_values(&mut centred, classes);
        }
        // The natural gradient, to be reported.
        let mut natural = Vec::with_capacity(v.len());
        let mut by_biases = Vec::with_capacity(classes);
        for k in 0..classes {
            let sums: Vec<f64> = moments.sums[of_class(k)]
                .iter()
                .map(|g| g / total)
                .collect();
            natural.extend(basis.natural_gradient(&sums[..n], sums[n]));
            by_biases.push(if objective.fit_bias { sums[n] } else { 0.0 });
        }
        for (g, w) in natural.iter_mut().zip(weights) {
            *g += objective.penalty.slope(*w);
        }
        natural.append(&mut by_biases);
        // That by what is free, in the basis.
        let (mut gradient, mut error) = (Vec::new(), Vec::new());
        let epsilon = f64::EPSILON * (n as f64 + 16.0); // of n sums, in what the penalty becomes in the basis
        let mut scales = scale.iter();
        for (k, free) in free.iter().enumerate() {
            let sums = &moments.sums[of_class(k)];
            let magnitudes = &moments.magnitudes[of_class(k)];
            // The penalty's part goes over as the loss's does, without a bias.
            let w = &centred[k * n..(k + 1) * n];
            let mut penalty: Vec<f64> = w.iter().map(|w| objective.penalty.slope(*w)).collect();
            let mut terms = vec![0.0; n];
            basis.gradient(&mut penalty, 0.0);
            basis.magnitudes(&penalty, &mut terms);
            let by_bias = if objective.fit_bias { sums[n] } else { 0.0 };
            for (&j, scale) in free.iter().zip(scales.by_ref()) {
                let (by_column, cancelled) = if j == n {
                    (by_bias / total, magnitudes[n] / total)
                } else {
                    let mean = mean[j];
                    let terms = terms[j] + (magnitudes[j] + mean.abs() * magnitudes[n]) / total;
                    ((sums[j] - mean * by_bias) / total + penalty[j], terms)
                };
                gradient.push(by_column * scale);
                error.push(epsilon * cancelled * scale);
            }
        }
        // What the penalty takes of what changes all classes alike, which is zero but for rounding.
        let alike: Vec<f64> = (weights.iter().zip(&centred)).map(|(w, c)| w - c).collect();
        let loss = moments.error / total;
        let shift = mean.iter().zip(&largest).map(|(mean, scale)| mean * scale);
        let shift: f64 = shift.map(|x| x * x).sum();
        Ok(Evaluation {
            value: Value {
                objective: loss + objective.penalty.value(weights),
                loss,
                error: moments.error,
                weight: total,
                gradient: natural,
            },
            drift,
            score_error: scores.error(),
            gradient,
            error,
            longest: moments.longest.sqrt() + shift.sqrt(),
            alike: objective.penalty.value(&alike),
        })
    }

    /// ‖W g‖, the norm of the gradient under the inverse Hessian, as far as it is known.
    fn decrement(&self, at: &Evaluation) -> f64 {
        norm(&lower_times(&self.metric.inverse, &at.gradient))
    }

    /// Upper bound on objective − minimum.
    fn gap(
        &mut self,
        objective: &Objective<'_>,
        at: &Evaluation,
        run: &mut Run<'_>,
    ) -> Result<f64, Error> {
        let rate = if objective.classes == 1 { 1.0 } else { SQRT_2 };
        // Rounding of the scores, by Cauchy–Schwarz under the Hessian: σ' z² ≤ 1/2.
        let dot_error = at.score_error;
        let score_error = rate * (f64::EPSILON + dot_error);
        let magnitudes: Vec<f64> = self.metric.inverse.iter().map(|x| x.abs()).collect();
        let unknown = norm(&lower_times(&magnitudes, &at.error));
        let length = self.decrement(at)
            + unknown
            + self.metric.hidden * (norm(&at.gradient) + norm(&at.error));
        let growth = (0.5 * (at.drift + 2.0 * dot_error)).exp();
        let decrement = (length * EXACT + score_error) * growth;
        let rough = rate * at.longest * self.norm / (1.0 - self.defect) * EXACT;
        let is_rough = (decrement * rough * growth).is_nan() || decrement * rough * growth >= ROUGH;
        if is_rough && self.reach.is_none() {
            // Row by row: as much work as the Hessian.
            run.passes += objective.cost;
            self.reach = Some(objective.source.reach(&self.metric, &mut run.job())?);
        }
        let reach = self.reach.map_or(rough, |reach| reach.min(rough)) * growth;
        let bound = concordant_gap(decrement, reach) + at.alike * EXACT;
        Ok(if bound.is_nan() { f64::INFINITY } else { bound })
    }

    /// −H⁻¹ g as natural weights and biases.
    fn newton_step(&self, objective: &Objective<'_>, gradient: &[f64]) -> Vec<f64> {
        let (n, classes) = (objective.columns(), objective.classes);
        let mut solved = gradient.to_vec();
        self.factor.solve(&mut solved);
        let mut step = vec![0.0; classes * (n + 1)];
        let (weights, biases) = step.split_at_mut(classes * n);
        let mut moves = solved
            .iter()
            .zip(&self.metric.scale)
            .map(|(x, scale)| -x * scale);
        let scores = self
            .metric
            .free
            .iter()
            .zip(weights.chunks_exact_mut(n))
            .zip(biases);
        for ((free, weights), bias) in scores {
            let mut at_mean = 0.0;
            for (&j, step) in free.iter().zip(moves.by_ref()) {
                *weights.get_mut(j).unwrap_or(&mut at_mean) = step;
            }
            let at_origin = at_mean - dot(&self.metric.mean, weights);
            let shift = self.metric.basis.to_natural(weights);
            *bias = if objective.fit_bias {
                at_origin + shift
            } else {
                0.0
            };
        }
        if classes > 1 {
            centre(&mut step, classes);
        }
        step
    }

    /// Rounds weights to the type of the result, and then biases such that scores at the columns' means change least.
    fn round(&self, objective: &Objective<'_>, v: &mut [f64]) {
        let n = objective.columns();
        let at = v.len() - objective.classes;
        let (weights, biases) = v.split_at_mut(at);
        for (weights, bias) in weights.chunks_exact_mut(n).zip(biases) {
            let mut change = weights.to_vec();
            objective.precision.round(weights);
            change
                .iter_mut()
                .zip(&*weights)
                .for_each(|(w, rounded)| *w -= rounded);
            if objective.fit_bias {
                let shift = self.metric.basis.to_coordinates(&mut change);
                *bias += shift + dot(&self.metric.mean, &change);
            }
        }
        objective.precision.round(&mut v[at..]);
    }
}

/// `((1 − a) ln(1 − a) + a) / ρ²` with `a = λρ`, rounded up; ∞ from a = 1 on.
fn concordant_gap(decrement: f64, reach: f64) -> f64 {
    let a = decrement * reach;
    if a.is_nan() || a >= 1.0 {
        f64::INFINITY
    } else if a < 1e-3 {
        // λ²/2 · (1 + a/3 + a²/6 + …), whose terms are below those of 1 / (1 − a).
        0.5 * decrement * decrement / (1.0 - a) * EXACT
    } else {
        ((1.0 - a) * (1.0 - a).ln() + a) / (reach * reach) * EXACT
    }
}

/// `L x` for a lower triangle, row by row.
fn lower_times(lower: &[f64], x: &[f64]) -> Vec<f64> {
    let rows = lower.chunks_exact(x.len().max(1)).enumerate();
    rows.map(|(i, row)| dot(&row[..=i], &x[..=i])).collect()
}
