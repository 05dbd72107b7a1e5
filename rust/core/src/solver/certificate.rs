//! Upper bound on objective − minimum from the factored Hessian, with or without a penalty.
//!
//! Since |σ''| ≤ σ', second derivatives of the loss change by a factor of at most e^±t over a step that changes no
//! score by more than t (F. Bach, Electron. J. Stat. 4 (2010), §2, doi:10.1214/09-EJS521). Let J be the objective, and
//! let g and H be its gradient and Hessian by weights and biases at v. Let λ² = gᵀ H⁻¹ g, ‖u‖_H² = uᵀ H u, and ρ =
//! max_i ‖H^{-1/2} (x_i, 1)‖ over the rows i of positive weight. A step u changes scores by at most ρ ‖u‖_H, and
//!
//! ```text
//! J(v + u) ≥ J(v) + g·u + (e^{−ρt} + ρt − 1) / ρ²        t = ‖u‖_H
//! J(v) − min J ≤ ((1 − a) ln(1 − a) + a) / ρ²            a = λρ < 1
//! ```
//!
//! The second line follows from the first by g·u ≥ −λt and minimising over t. If a < 1, a minimum exists; otherwise
//! nothing is proved.
//!
//! With K classes, the change of a row's scores is measured by the range of x_i · u_k over the classes k. Adding the
//! same number to a column's weights in all classes changes no probability. So for each column, the weight of one class
//! is fixed, and g and H are the derivatives by the weights of the other classes.
//!
//! The bound does not change if the columns are transformed linearly. It is computed after the transform by a
//! [`Basis`], because fewer digits cancel there. Rounding errors are included:
//! * each score and each sum is kept as two numbers, a rounded value and its error (`kernel::precise`), so that the
//!   error of a gradient is only a few ε times the terms that cancel in it;
//! * H cannot be computed exactly. The computed matrix minus shift·I is factored as L Lᵀ, where the shift bounds the
//!   errors of the matrix and of the factorisation. If that succeeds, H − L Lᵀ is positive semidefinite (S. Rump,
//!   "Verification of positive definiteness", BIT 46 (2006), doi:10.1007/s10543-006-0056-1), so that λ ≤ ‖L⁻¹ g‖; ρ is
//!   bounded in the same way, by max_i ‖L⁻¹ (x_i, 1)‖;
//! * in place of L⁻¹, a computed inverse `W` is used, and a bound on the error of `W` is added.

use std::f64::consts::SQRT_2;
use std::sync::Arc;

use super::cholesky::Cholesky;
use super::dependence;
use super::hessian::Factored;
use super::objective::{Iterate, Objective, Value};
use super::run::Run;
use super::view::{Alias, View};
use crate::error::Error;
use crate::kernel::{Basis, Metric};
use crate::linalg::{add_multiple, centre, dot, norm};
use crate::penalty::WeightPenalty;
use crate::reduce::Job;
use crate::source::RowScores;

/// The largest number of parameters (weights and biases) with which a Hessian is factored.
const LARGEST_HESSIAN: usize = 4096;
/// Computed numbers such as sums of positive terms have relative errors of up to some hundred ε. Multiplied by this
/// factor, they are upper bounds.
const EXACT: f64 = 1.0 + 1e-9;
/// If a score has changed by more than this since the Hessian was computed, the Hessian is computed anew.
const MOVED: f64 = 0.1;
/// The largest number of Newton steps in one proof.
const STEPS: usize = 500;
/// The largest number of step lengths that are tried for one Newton step; each length is half of the length before.
const HALVINGS: usize = 12;
/// Both λ, the norm of the gradient, and ρ, the largest norm of a row, are norms under the inverse Hessian. ρ has a
/// cheap upper bound. If λ times the cheap bound is below this number, the cheap bound is used; otherwise ρ is computed
/// row by row.
const ROUGH: f64 = 0.1;

/// An iterate rounded to the result's precision, with bounds that are proved for it.
pub(crate) struct Certified {
    pub iterate: Iterate,
    /// Upper bound on objective − minimum; ∞ if none is proved.
    pub gap: f64,
    /// Upper bound on the objective, rounding errors included. It is also a bound on the gap, because the minimum is
    /// not negative.
    pub most: f64,
    pub aliased: Vec<Alias>,
}

/// Whether the Hessian is small enough to be factored.
pub(crate) fn is_factorable(objective: &Objective<'_>) -> bool {
    objective.order() <= LARGEST_HESSIAN
}

/// The number of passes over all rows that compute the Hessian of K classes: one for each pair of classes k ≥ l. After
/// a fit has used up its limit of passes, it still computes and factors a Hessian if this number is at most the limit.
/// With one score, 0 is returned, so that a Hessian is factored under any limit.
pub(crate) fn passes(classes: usize) -> f64 {
    match classes {
        1 => 0.0,
        _ => (classes * (classes + 1) / 2) as f64,
    }
}

/// The inverse of a Hessian's Cholesky factor L, with bounds on its rounding errors.
pub(super) struct Inverse {
    /// The numbers with which norms ‖L⁻¹ u‖ are bounded.
    pub(super) metric: Metric,
    factor: Cholesky,
    /// The Frobenius norm of W, the computed inverse of L.
    norm: f64,
    /// An upper bound on ‖L W − I‖.
    defect: f64,
}

impl Inverse {
    /// `None` if rounding errors may be large.
    pub(super) fn new(view: View, factored: Factored) -> Option<Self> {
        let Factored {
            free,
            scale,
            factor,
        } = factored;
        let inverse = factor.inverse();
        let norm = norm(&inverse);
        let size = scale.len() as f64;
        let defect = f64::EPSILON * (size + 2.0) * factor.trace().sqrt() * norm;
        let metric = Metric {
            basis: view.basis,
            mean: view.columns.mean,
            free,
            scale,
            inverse,
            hidden: defect / (1.0 - defect) * norm,
        };
        (defect < 0.01).then_some(Inverse {
            metric,
            factor,
            norm,
            defect,
        })
    }

    /// Upper bound on ‖L⁻¹ g‖, where the components of g differ from those of `gradient` by at most `errors`. Both are
    /// scaled by the factors of the metric.
    pub(super) fn length(&self, gradient: &[f64], errors: &[f64]) -> f64 {
        let Metric {
            inverse, hidden, ..
        } = &self.metric;
        let magnitudes: Vec<f64> = inverse.iter().map(|x| x.abs()).collect();
        let unknown = norm(&lower_times(&magnitudes, errors));
        let known = norm(&lower_times(inverse, gradient));
        (known + unknown + hidden * (norm(gradient) + norm(errors))) * EXACT
    }
}

/// The factored Hessian at some parameters. It is also used for parameters near them.
struct Neighbourhood<'a> {
    inverse: Inverse,
    /// The scores of all rows at the parameters where the Hessian was computed.
    scores: Box<dyn RowScores + 'a>,
    /// An upper bound on ρ, the largest norm ‖L⁻¹ (x, 1)‖ over the rows x. `None` until it is needed, because computing
    /// it takes a pass.
    reach: Option<f64>,
    aliased: Vec<Alias>,
}

/// The objective at some parameters, and the numbers from which the bound on objective − minimum is computed.
struct Evaluation {
    value: Value,
    /// Upper bound on the error of a score, apart from its final rounding.
    score_error: f64,
    /// Upper bound on the change of λ by the final rounding of the scores. With several classes, the bound is √2 times
    /// this number.
    final_rounding: f64,
    /// The gradient by the free parameters (those that [`Metric`] lists), class by class, scaled by the factors of
    /// [`Metric`].
    gradient: Vec<f64>,
    /// Upper bounds on the rounding errors of the components of `gradient`.
    error: Vec<f64>,
    /// Upper bound on ‖scale ∘ (x̃_i − mean, 1)‖ over the rows i, where ∘ multiplies componentwise and x̃_i is the row
    /// as transformed by the basis. `scale` and `mean` are those of [`Metric`].
    longest: f64,
    /// The largest change of a score since the Hessian was computed.
    drift: f64,
    /// For each column, the weights of the K classes have distances from the prior. The mean of these K distances would
    /// be zero without rounding errors. This number is the penalty on these means.
    common_penalty: f64,
}

/// The objective at parameters `v` with a proved bound on objective − minimum, which Newton steps can lower.
pub(crate) struct Certifier<'a> {
    neighbourhood: Neighbourhood<'a>,
    here: Evaluation,
    v: Vec<f64>,
    gap: f64,
}

impl<'a> Certifier<'a> {
    /// Factors the Hessian at `v`; `None` if that fails. The weights of columns that are linear combinations of others
    /// are first set to 0, and the weights of the other columns are changed such that scores stay the same.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the scores of all rows do not fit into memory; [`Error::Interrupted`] by the observer.
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

    /// Whether weights may have been set to 0 because their columns are linear combinations of others.
    pub(crate) fn has_moved(&self) -> bool {
        !self.neighbourhood.aliased.is_empty()
    }

    pub(crate) fn objective(&self) -> f64 {
        self.here.value.objective
    }

    /// Takes Newton steps until `gap ≤ goal · objective` or no step improves. If the observer or the limit of passes
    /// ends the steps before that, returns which of the two.
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
            let iterate = Iterate {
                v: self.v.clone(),
                value: self.here.value.clone(),
            };
            if run.record(objective, &iterate, length).is_break() {
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

    /// Takes one Newton step. The step is halved until it improves the objective. Returns the fraction of the step that
    /// was taken; `None` if no fraction improves.
    fn step(&mut self, objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Option<f64>, Error> {
        let step = self
            .neighbourhood
            .newton_step(objective, &self.here.gradient);
        let decrement = self.neighbourhood.decrement(&self.here);
        let from = self.here.value.objective;
        // A change of the objective by at most this may be a rounding error. Whether a step improves is then decided by
        // λ, the norm of the gradient under the inverse Hessian.
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

    /// The parameters rounded to the result's precision, with the bound on objective − minimum there. The biases are
    /// changed to compensate for the rounding of the weights.
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
            iterate: Iterate { v, value },
            gap: self.gap,
            aliased: self.neighbourhood.aliased,
        })
    }
}

/// Why the Newton steps were ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// The passes allowed are used up.
    Passes,
    /// The observer ended the fit.
    Callback,
}

impl<'a> Neighbourhood<'a> {
    /// Factors the Hessian at `v`. `None` if the Hessian is too large to be factored, or singular for another reason
    /// than columns that are linear combinations of others.
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
        (objective.source).plan_gram_of_trace(&objective.parameters(v), &run.basis)?;
        let scores = run.scores(objective, v)?;
        if !scores.are_finite() {
            return Ok(None);
        }
        let gram = |basis: &Basis, job: &mut Job<'_>| scores.gram_of_trace(basis, job);
        let Some(mut view) = dependence::view(objective, gram, Arc::clone(&run.basis), run)? else {
            return Ok(None);
        };
        let mut aliased = Vec::new();
        let is_smooth = objective.penalty.is_smooth();
        let is_fixed = |j: &usize| (objective.penalty).all_of_column(*j, WeightPenalty::is_fixed);
        if !is_smooth && !view.dependent.iter().all(is_fixed) {
            return Ok(None); // weights moved to other columns could be out of bounds, or have another l1 penalty
        }
        if is_smooth && !view.dependent.is_empty() {
            // A row whose prediction is certain has no weight in the Hessian. Therefore columns may look dependent here
            // although they are not. Only columns that are linear combinations of others in all rows are treated as
            // dependent.
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
        let Some(factored) = Factored::new(objective, &view, scores.as_ref(), run)? else {
            return Ok(None);
        };
        Ok(Inverse::new(view, factored).map(|inverse| Neighbourhood {
            inverse,
            scores,
            reach: None,
            aliased,
        }))
    }

    /// The objective at the parameters `v` where the Hessian was computed. The scores are computed anew if weights of
    /// dependent columns have been set to 0.
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

    /// The objective at `v`, with bounds on the rounding errors.
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
        } = &self.inverse.metric;
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
        let distances = objective.penalty.centred_distances(weights, classes);
        // The gradient by the weights of the original columns, which the result reports.
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
        for (i, (g, w)) in natural.iter_mut().zip(weights).enumerate() {
            *g += objective.penalty.of(i).slope(*w);
        }
        natural.append(&mut by_biases);
        // The gradient by the free parameters of the transformed columns, with bounds on its rounding errors.
        let (mut gradient, mut error) = (Vec::new(), Vec::new());
        let epsilon = f64::EPSILON * (n as f64 + 16.0); // relative rounding error of a sum of n terms
        let mut scales = scale.iter();
        for (k, free) in free.iter().enumerate() {
            let sums = &moments.sums[of_class(k)];
            let magnitudes = &moments.magnitudes[of_class(k)];
            // The basis transforms the penalty's gradient in the same way as the gradient of the loss; the penalty's
            // derivative by the bias is 0. With l1 or bounds, the penalty may have several subgradients. The one that
            // makes the gradient of the whole objective smallest is used.
            let slope = |i: usize| {
                let penalty = objective.penalty.of(i);
                penalty.slope_at(distances[i]) + penalty.kinks.subgradient(weights[i], natural[i])
            };
            let mut penalty: Vec<f64> = (k * n..(k + 1) * n).map(slope).collect();
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
        // For each column, the mean of the K classes' distances from the prior. It would be zero without rounding
        // errors. The penalty on these means is added to the bound.
        let common = weights.iter().zip(&distances).enumerate();
        let common = common.map(|(i, (w, centred))| w - objective.penalty.of(i).prior - centred);
        let common: Vec<f64> = common.collect();
        let shift = mean.iter().zip(&largest).map(|(mean, scale)| mean * scale);
        let shift: f64 = shift.map(|x| x * x).sum();
        Ok(Evaluation {
            value: objective.value(v, moments.error, total, natural),
            drift,
            score_error: scores.error(),
            final_rounding: match classes {
                1 => f64::EPSILON,
                _ => f64::EPSILON * scores.largest().max(1.0),
            },
            gradient,
            error,
            longest: moments.longest.sqrt() + shift.sqrt(),
            common_penalty: 0.5 * objective.penalty.product(&common, &common),
        })
    }

    /// λ, the norm of the gradient under the inverse Hessian, as computed; no bound on rounding errors is added.
    fn decrement(&self, at: &Evaluation) -> f64 {
        norm(&lower_times(&self.inverse.metric.inverse, &at.gradient))
    }

    /// Upper bound on objective − minimum.
    fn gap(
        &mut self,
        objective: &Objective<'_>,
        at: &Evaluation,
        run: &mut Run<'_>,
    ) -> Result<f64, Error> {
        let rate = if objective.classes == 1 { 1.0 } else { SQRT_2 };
        // An upper bound on what rounding errors of the scores add to λ, by Cauchy–Schwarz with the Hessian as inner
        // product. The final rounding of a score z has an error of ε |z|; with one score, σ'(z) z² ≤ 1/2.
        let dot_error = at.score_error;
        let score_error = rate * (at.final_rounding + dot_error);
        let inverse = &self.inverse;
        let length = inverse.length(&at.gradient, &at.error);
        let growth = (0.5 * (at.drift + 2.0 * dot_error)).exp();
        let decrement = (length + score_error) * growth;
        let rough = rate * at.longest * inverse.norm / (1.0 - inverse.defect) * EXACT;
        let is_rough = (decrement * rough * growth).is_nan() || decrement * rough * growth >= ROUGH;
        if is_rough && self.reach.is_none() {
            // Computing ρ row by row takes as long as computing the Hessian.
            run.passes += objective.cost;
            self.reach = Some(objective.source.reach(&inverse.metric, &mut run.job())?);
        }
        let reach = self.reach.map_or(rough, |reach| reach.min(rough)) * growth;
        let bound = concordant_gap(decrement, reach) + at.common_penalty * EXACT;
        Ok(if bound.is_nan() { f64::INFINITY } else { bound })
    }

    /// The Newton step −H⁻¹ g, for the weights of the original columns and, last, the biases.
    fn newton_step(&self, objective: &Objective<'_>, gradient: &[f64]) -> Vec<f64> {
        let (n, classes) = (objective.columns(), objective.classes);
        let mut solved = gradient.to_vec();
        self.inverse.factor.solve(&mut solved);
        let mut step = vec![0.0; classes * (n + 1)];
        let (weights, biases) = step.split_at_mut(classes * n);
        let mut moves = solved
            .iter()
            .zip(&self.inverse.metric.scale)
            .map(|(x, scale)| -x * scale);
        let scores = self
            .inverse
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
            let at_origin = at_mean - dot(&self.inverse.metric.mean, weights);
            let shift = self.inverse.metric.basis.to_natural(weights);
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

    /// Rounds the weights to the result's precision. Then changes the biases to compensate: the scores at the means of
    /// the columns stay nearly the same. Last, rounds the biases.
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
                let shift = self.inverse.metric.basis.to_coordinates(&mut change);
                *bias += shift + dot(&self.inverse.metric.mean, &change);
            }
        }
        objective.precision.round(&mut v[at..]);
    }
}

/// The bound `((1 − a) ln(1 − a) + a) / ρ²` with `a = λρ`, rounded up; ∞ for a ≥ 1. `decrement` is λ and `reach` is ρ.
pub(super) fn concordant_gap(decrement: f64, reach: f64) -> f64 {
    let a = decrement * reach;
    if a.is_nan() || a >= 1.0 {
        f64::INFINITY
    } else if a < 1e-3 {
        // An upper bound, in which no digits cancel. The formula is the series λ²/2 · (1 + a/3 + a²/6 + …), whose terms
        // are no larger than those of λ²/2 / (1 − a) = λ²/2 · (1 + a + a² + …).
        0.5 * decrement * decrement / (1.0 - a) * EXACT
    } else {
        ((1.0 - a) * (1.0 - a).ln() + a) / (reach * reach) * EXACT
    }
}

/// `L x` for a lower triangular L, given row by row.
fn lower_times(lower: &[f64], x: &[f64]) -> Vec<f64> {
    let rows = lower.chunks_exact(x.len().max(1)).enumerate();
    rows.map(|(i, row)| dot(&row[..=i], &x[..=i])).collect()
}
