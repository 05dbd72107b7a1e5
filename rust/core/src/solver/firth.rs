//! The maximum of Firth's penalised likelihood, for a model with one score. The penalised likelihood is the likelihood
//! times Jeffreys' prior √det I, where I is the Fisher information of weights and bias. It has a maximum for every
//! dataset, even if a hyperplane separates the labels.
//!
//! The logarithm of the penalised likelihood need not be concave, so that a higher maximum elsewhere is not excluded.
//! Two local facts are checked at the weights that are found: the logarithm is concave there, and Newton's decrement,
//! the rise of the logarithm's quadratic model in a Newton step, is at most a given amount.
//!
//! Let A be the matrix of the negated second derivatives of the logarithm, in the coordinates u of [`Whitening`]. Row i
//! has the coordinates u_i, the curvature d_i = s_i σ'(z_i), the leverage h_i and c_i = 1 − 2 σ(z_i). Then, with 1 for
//! the identity matrix,
//!
//! ```text
//! A = 1 + Σ h_i (3 σ'(z_i) − ½) u_i u_iᵀ + ½ Σ_ab t_ab t_abᵀ      t_ab = Σ_i d_i c_i u_ia u_ib u_i
//! ```
//!
//! The last sum is positive semidefinite, so that A without it is a lower bound of A. The last sum is at most Σ h_i
//! c_i² u_i u_iᵀ / 2, because the squared elements in row i of the hat matrix add up to h_i. So B = 1 + Σ h_i σ'(z_i)
//! u_i u_iᵀ is an upper bound of A. B is also the Hessian of a logistic regression in which row i has the weight s_i +
//! h_i.
//!
//! Sources: D. Firth, "Bias reduction of maximum likelihood estimates", Biometrika 80 (1993),
//! doi:10.1093/biomet/80.1.27; G. Heinze & M. Schemper, "A solution to the problem of separation in logistic
//! regression", Statistics in Medicine 21 (2002), doi:10.1002/sim.1047; finiteness: I. Kosmidis & D. Firth,
//! "Jeffreys-prior penalty, finiteness and shrinkage in binomial-response generalized linear models", Biometrika 108
//! (2021), doi:10.1093/biomet/asaa052.

use std::sync::Arc;

use super::cholesky::Cholesky;
use super::dependence;
use super::objective::{Iterate, Objective, Value};
use super::proof::{Goal, Proof};
use super::run::Run;
use super::view::View;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::{Basis, JeffreysSums, Whitening};
use crate::linalg::dot;
use crate::math::{larger, log_ratio};
use crate::reduce::Job;
use crate::stop::StopReason;

/// Iterations end once Newton's decrement is at most this, in nats of the likelihood of all rows; `gap_tol` may ask for
/// an even smaller decrement. The weights are then some 1e-11 standard errors from the maximum.
const FINE: f64 = 1e-22;
/// The exact second derivatives A are used once the decrement is more than this fraction of the decrement one iteration
/// earlier.
const SLOW: f64 = 1e-3;
/// A is computed exactly for at most this many weights and biases. For q of them, that takes q³/6 operations for each
/// row.
const MOST_CUBED: usize = 64;
/// A pivot of A that is at most this is taken for zero or negative. For comparison, the diagonal elements of B, the
/// upper bound of A, are at least 1.
const CONCAVE: f64 = 1e-6;
/// The largest number of step lengths that are tried for one step; each length is half of the length before.
const HALVINGS: usize = 60;
/// A step is accepted if the objective falls by at least this fraction of the decrease that the slope predicts.
const ENOUGH: f64 = 1e-4;
/// Iterations end after more than this many without progress. Iterations are counted only while the predicted decreases
/// are within rounding errors.
const PATIENCE: usize = 2;

/// Maximises the penalised likelihood from the best of `starts`. Returns the weights that are found, and whether they
/// are shown to be near a maximum: the logarithm of the penalised likelihood is concave there, and its quadratic model,
/// divided by Σ s_i, rises by at most `goal.gap` times the loss in a Newton step.
///
/// # Errors
///
/// [`Error::Conflict`] if offsets make predictions certain; [`Error::NotFinite`] if elements of `X` are not finite, and
/// [`Error::Number`] if their squares are not; [`Error::Memory`] if numbers per row do not fit into memory;
/// [`Error::Interrupted`] by the observer.
pub(crate) fn minimise(
    objective: &Objective<'_>,
    starts: Vec<Vec<f64>>,
    goal: Goal,
    run: &mut Run<'_>,
) -> Result<(Proof, bool), Error> {
    let of_all_rows = dependence::of_all_rows(objective, run)?;
    let view = of_all_rows.as_ref();
    let dependent = view.map_or(Vec::new(), |view| view.dependent.clone());
    let objective = &Objective {
        excluded: &dependent,
        ..*objective
    };
    let mut may_cube = goal.may_factor;
    may_cube &= objective.order() <= MOST_CUBED;
    let mut state = begin(objective, starts, run)?;
    let (mut with_cubes, mut lowest, mut stalls, mut last) =
        (false, f64::INFINITY, 0, f64::INFINITY);
    let mut ended = None;
    loop {
        if goal
            .gradient
            .is_some_and(|tol| state.iterate.value.gradient_norm <= tol)
        {
            break;
        }
        if run.is_spent() {
            ended = Some(StopReason::Passes);
            break;
        }
        let (step, decrement) = state.step(run)?;
        let is_rounding = decrement <= 8.0 * state.rounding();
        stalls += usize::from(is_rounding && decrement > 0.25 * lowest);
        lowest = lowest.min(decrement);
        let Value { loss, weight, .. } = state.iterate.value;
        if decrement <= FINE.min(goal.gap * loss * weight) || stalls > PATIENCE {
            break;
        }
        with_cubes |= may_cube && decrement > SLOW * last;
        last = decrement;
        let Some((length, next)) = state.search(objective, &step, decrement, with_cubes, run)?
        else {
            break;
        };
        state = next;
        if run.record(objective, &state.iterate, length).is_break() {
            ended = Some(StopReason::Callback);
            break;
        }
    }
    if objective.precision == Precision::Single {
        let mut v = state.iterate.v.clone();
        objective.precision.round(&mut v);
        if let Some(rounded) = State::new(objective, v, with_cubes, run)? {
            state = rounded;
        }
    }
    let mut decrement = state.proved_decrement(run)?;
    if decrement.is_none() && state.sums.cubes.is_empty() && may_cube {
        let v = state.iterate.v.clone();
        if let Some(again) = State::new(objective, v, true, run)? {
            state = again;
            decrement = state.proved_decrement(run)?;
        }
    }
    let Value {
        loss,
        weight,
        gradient_norm,
        ..
    } = state.iterate.value;
    let is_near = decrement.is_some_and(|decrement| decrement <= goal.gap * loss * weight);
    let is_reached = goal.gradient.map_or(is_near, |tol| gradient_norm <= tol);
    let stop_reason = match ended {
        Some(StopReason::Callback) => StopReason::Callback,
        _ if is_reached => StopReason::Tolerance,
        Some(reason) => reason,
        None if decrement.is_none() && !may_cube => StopReason::Uncertified,
        None => StopReason::Precision,
    };
    let aliased = |view: &View| dependent.iter().map(|&j| view.alias(j)).collect();
    let proof = Proof {
        iterate: state.iterate,
        gap: f64::INFINITY,
        aliased: view.map_or(Vec::new(), aliased),
        stop_reason,
        separation: None,
    };
    Ok((proof, is_near))
}

/// The state at that one of `starts` where the objective is smallest. If no passes are left after a start, the later
/// starts are not tried.
fn begin(
    objective: &Objective<'_>,
    starts: Vec<Vec<f64>>,
    run: &mut Run<'_>,
) -> Result<State, Error> {
    let mut best: Option<State> = None;
    for mut v in starts {
        if best.is_some() && run.is_spent() {
            break;
        }
        objective.excluded.iter().for_each(|&j| v[j] = 0.0);
        if !run.evaluate(objective, &v, Precision::Double)?.is_finite() {
            return Err(objective.source.not_finite());
        }
        let Some(state) = State::new(objective, v, false, run)? else {
            continue;
        };
        let value = |state: &State| state.iterate.value.objective;
        if best.as_ref().is_none_or(|best| value(&state) < value(best)) {
            best = Some(state);
        }
    }
    best.ok_or_else(|| match objective.source.has_offsets() {
        true => Error::Conflict {
            argument: "offset",
            expected: "such that not all predictions are certain, with firth",
            got: "offsets with which they are".to_owned(),
        },
        false => objective.source.not_finite(),
    })
}

/// Weights and bias, with the penalised likelihood and its derivatives there.
struct State {
    /// The iterate; its objective is minus the logarithm of the penalised likelihood (likelihood times prior), divided
    /// by Σ s_i.
    iterate: Iterate,
    /// The logarithm of the prior: ½ ln det I.
    log_prior: f64,
    whitening: Whitening,
    sums: JeffreysSums,
}

impl State {
    /// The state at `v`. `None` if numbers are not finite, or if the information is singular up to rounding errors.
    fn new(
        objective: &Objective<'_>,
        v: Vec<f64>,
        with_cubes: bool,
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let scores = run.scores(objective, &v)?;
        if !scores.are_finite() {
            return Ok(None);
        }
        let gram = |basis: &Basis, job: &mut Job<'_>| scores.gram_of_trace(basis, job);
        let basis = Arc::clone(&run.basis);
        let Some(view) = dependence::view(objective, gram, basis, run)? else {
            return Ok(None);
        };
        if view.dependent != objective.excluded {
            return Ok(None);
        }
        run.basis = Arc::clone(&view.basis);
        let log_prior = 0.5 * log_determinant(&view, objective)?;
        let whitening = whitening(&view, objective);
        run.passes += objective.cost;
        let (sums, [error, weight]) =
            scores.jeffreys_sums(&whitening, with_cubes, &mut run.job())?;
        let mut gradient = whitening.natural_gradient(&sums.gradient);
        gradient.iter_mut().for_each(|g| *g /= weight);
        let loss = error / weight;
        let value = Value {
            objective: loss - log_prior / weight,
            loss,
            error,
            weight,
            gradient_norm: gradient.iter().copied().fold(0.0, larger),
            gradient,
        };
        let state = State {
            iterate: Iterate { v, value },
            log_prior,
            whitening,
            sums,
        };
        Ok(state.iterate.value.is_finite().then_some(state))
    }

    /// An estimate of the rounding errors of the logarithm of the penalised likelihood: smaller differences mean
    /// nothing.
    fn rounding(&self) -> f64 {
        64.0 * f64::EPSILON * (self.iterate.value.error + self.log_prior.abs())
    }

    /// The matrix 1 + Σ h_i (`leverage` + `curvature` σ'(z_i)) u_i u_iᵀ over the rows i. With `is_exact`, the last sum
    /// in A, ½ Σ_ab t_ab t_abᵀ, is added if the t_ab are known.
    fn matrix(&self, leverage: f64, curvature: f64, is_exact: bool) -> Vec<f64> {
        let q = self.whitening.order();
        let pairs = self.sums.leverage.iter().zip(&self.sums.leverage_curvature);
        let mut matrix: Vec<f64> = pairs.map(|(h, hs)| leverage * h + curvature * hs).collect();
        (0..q).for_each(|j| matrix[j * (q + 1)] += 1.0);
        if is_exact && !self.sums.cubes.is_empty() {
            let lines = symmetric(&self.sums.cubes, q);
            let lines: Vec<&[f64]> = lines.chunks_exact(q * q).collect();
            for (a, one) in lines.iter().enumerate() {
                for (b, other) in lines[..=a].iter().enumerate() {
                    matrix[a * q + b] += 0.5 * dot(one, other);
                }
            }
        }
        matrix
    }

    /// The Cholesky factor of A. If the t_ab are not known, the factor of A without its last sum, which is a lower
    /// bound of A. `None` if the matrix is not positive definite.
    fn hessian(&self, run: &mut Run<'_>) -> Result<Option<Cholesky>, Error> {
        let least = vec![CONCAVE; self.whitening.order()];
        let factor = Cholesky::new(self.matrix(-0.5, 3.0, true), &least, &mut run.job())?;
        let is_definite = (0..least.len()).all(|j| !factor.is_left_out(j));
        Ok(is_definite.then_some(factor))
    }

    /// The Newton step, and the rise of the logarithm's quadratic model by this step. The matrix of the model is A, or
    /// the upper bound B if A is not known or not positive definite.
    fn step(&self, run: &mut Run<'_>) -> Result<(Vec<f64>, f64), Error> {
        let exact = match self.sums.cubes.is_empty() {
            true => None,
            false => self.hessian(run)?,
        };
        let factor = match exact {
            Some(factor) => factor,
            None => {
                let least = vec![0.0; self.whitening.order()];
                Cholesky::new(self.matrix(0.0, 1.0, false), &least, &mut run.job())?
            }
        };
        Ok(self.solved(&factor))
    }

    fn solved(&self, factor: &Cholesky) -> (Vec<f64>, f64) {
        let mut step: Vec<f64> = self.sums.gradient.iter().map(|g| -g).collect();
        factor.solve(&mut step);
        let decrement = -0.5 * dot(&step, &self.sums.gradient);
        (self.whitening.to_natural(&step), decrement)
    }

    /// An upper bound on the rise of the logarithm's quadratic model in a Newton step. `None` if the logarithm cannot
    /// be shown to be concave here.
    fn proved_decrement(&self, run: &mut Run<'_>) -> Result<Option<f64>, Error> {
        Ok(self.hessian(run)?.map(|factor| self.solved(&factor).1))
    }

    /// Halves the step until the objective falls enough. Returns the fraction of the step that was taken and the state
    /// after it; `None` if the objective falls enough for none of the fractions that are tried.
    fn search(
        &self,
        objective: &Objective<'_>,
        step: &[f64],
        decrement: f64,
        with_cubes: bool,
        run: &mut Run<'_>,
    ) -> Result<Option<(f64, State)>, Error> {
        let rounding = self.rounding();
        let allowed = if decrement <= 8.0 * rounding {
            rounding
        } else {
            0.0
        };
        let mut length = 1.0;
        for _ in 0..HALVINGS {
            let pairs = self.iterate.v.iter().zip(step);
            let v = pairs.map(|(v, d)| v + length * d).collect();
            if let Some(next) = State::new(objective, v, with_cubes, run)? {
                let fall = self.iterate.value.objective - next.iterate.value.objective;
                let fall = fall * self.iterate.value.weight;
                if fall >= 2.0 * ENOUGH * length * decrement - allowed {
                    return Ok(Some((length, next)));
                }
            }
            if run.is_spent() {
                break;
            }
            length *= 0.5;
        }
        Ok(None)
    }
}

/// The components t_abe of the vectors t_ab for all a, b and e, shape (q, q, q). `cubes` has the components with a ≥ b
/// ≥ e. Exchanging two indices does not change t_abe.
fn symmetric(cubes: &[f64], q: usize) -> Vec<f64> {
    let mut all = vec![0.0; q * q * q];
    let mut cubes = cubes.iter();
    for a in 0..q {
        for b in 0..=a {
            for (e, &t) in (0..=b).zip(cubes.by_ref()) {
                for [i, j, k] in [
                    [a, b, e],
                    [a, e, b],
                    [b, a, e],
                    [b, e, a],
                    [e, a, b],
                    [e, b, a],
                ] {
                    all[(i * q + j) * q + k] = t;
                }
            }
        }
    }
    all
}

/// The linear transform of the rows after which the Fisher information is the identity. It is computed from the view's
/// Cholesky factor L and the diagonal matrix S of the view's `scale`: the information of the weights is S⁻¹ L Lᵀ S⁻¹ Σ
/// s_i.
fn whitening(view: &View, objective: &Objective<'_>) -> Whitening {
    let n = view.scale.len();
    let root = view.gram.weight.sqrt();
    let mut inverse = view.factor.as_ref().map_or(Vec::new(), Cholesky::inverse);
    for row in inverse.chunks_exact_mut(n) {
        row.iter_mut()
            .zip(&view.scale)
            .for_each(|(x, s)| *x *= s / root);
    }
    let of_bias = view.gram.lower[n * (n + 2)];
    Whitening {
        basis: Arc::clone(&view.basis),
        mean: view.columns.mean.clone(),
        inverse,
        bias: objective.fit_bias.then(|| 1.0 / of_bias.sqrt()),
    }
}

/// The logarithm of the determinant of the information of the bias and of the weights whose columns are not left out.
fn log_determinant(view: &View, objective: &Objective<'_>) -> Result<f64, Error> {
    let n = view.scale.len();
    let mut sum = match objective.fit_bias {
        true => log_ratio(view.gram.lower[n * (n + 2)], 1.0)?,
        false => 0.0,
    };
    for (j, &scale) in view
        .scale
        .iter()
        .enumerate()
        .filter(|(_, scale)| **scale > 0.0)
    {
        let pivot = view.factor.as_ref().map_or(1.0, |factor| factor.pivot(j));
        let root = (pivot * view.gram.weight).sqrt();
        // The basis multiplies each column of X by a power of two (`per_unit`), which is undone here. It also subtracts
        // combinations of other columns, which does not change the determinant.
        sum += 2.0 * (log_ratio(root, scale)? - log_ratio(view.basis.per_unit()[j], 1.0)?);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::elements::Elements;
    use crate::kernel::{Dataset, binary_labels};
    use crate::matrix::Matrix;
    use crate::penalty::Penalty;
    use crate::reduce::{Threads, Unmonitored};
    use crate::shuffle::Random;
    use crate::source::{Arrays, Source};
    use crate::vector::Vector;

    /// Calls `work` with an objective and a run. The objective has 40 rows, of which some have certain predictions and
    /// some have weight 0.
    fn with_problem(fit_bias: bool, work: impl FnOnce(&Objective<'_>, &mut Run<'_>)) {
        let (m, n) = (40, 3);
        let mut random = Random::new(1);
        let x: Vec<f64> = (0..m * n)
            .map(|i| random.uniform() * (1 + i % n) as f64)
            .collect();
        let y: Vec<f64> = (0..m).map(|i| (i % 3 == 0) as u8 as f64).collect();
        let s: Vec<f64> = (0..m).map(|i| (i % 4) as f64).collect();
        let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
        let (y, s) = (Vector::from_slice(&y), Vector::from_slice(&s));
        let dataset = Dataset::new(&matrix, &y, Some(&s)).unwrap();
        let labels = binary_labels(
            &dataset,
            &mut Job::new(Threads::ONE, &mut Unmonitored).unwrap(),
        );
        let labels = labels.unwrap();
        let source = Arrays(dataset, None);
        let penalty = Penalty::NONE;
        let objective = Objective::new(&source, &labels, &penalty, fit_bias, Precision::Double);
        let mut observer = Unmonitored;
        let basis = source.basis(fit_bias, false).unwrap();
        let mut run = Run::new(&mut observer, Threads::ONE, f64::INFINITY, basis).unwrap();
        work(&objective, &mut run);
    }

    /// The elements of A equal second differences of the objective along pairs of the coordinates u.
    #[test]
    fn second_derivatives_are_differences_of_the_objective() {
        for fit_bias in [true, false] {
            with_problem(fit_bias, |objective, run| {
                let v = vec![1.5, -2.0, 0.7, if fit_bias { 0.3 } else { 0.0 }];
                let state = State::new(objective, v.clone(), true, run)
                    .unwrap()
                    .unwrap();
                let q = state.whitening.order();
                let mut value = |along: &[f64]| {
                    let step = state.whitening.to_natural(along);
                    let v = v.iter().zip(&step).map(|(v, d)| v + d).collect();
                    let moved = State::new(objective, v, false, run).unwrap().unwrap();
                    moved.iterate.value.objective * moved.iterate.value.weight
                };
                let exact = state.matrix(-0.5, 3.0, true);
                let h = 1e-3;
                for a in 0..q {
                    for b in 0..=a {
                        let mut at = |first: f64, second: f64| {
                            let mut along = vec![0.0; q];
                            along[a] += first * h;
                            along[b] += second * h;
                            value(&along)
                        };
                        let mixed = at(1.0, 1.0) - at(1.0, -1.0) - at(-1.0, 1.0) + at(-1.0, -1.0);
                        let want = mixed / (4.0 * h * h);
                        // The fourth derivatives are of the order of 1, and rounding is 1e-14 / h².
                        let got = exact[a * q + b];
                        assert!((got - want).abs() <= 1e-5, "({a}, {b}): {got} {want}");
                    }
                }
                let mut forwards = vec![0.0; q];
                for a in 0..q {
                    forwards[a] = h;
                    let ahead = value(&forwards);
                    forwards[a] = -h;
                    let slope = (ahead - value(&forwards)) / (2.0 * h);
                    forwards[a] = 0.0;
                    assert!((slope - state.sums.gradient[a]).abs() <= 1e-5);
                }
            });
        }
    }

    /// The matrix A of exact second derivatives is between its lower and its upper bound: upper − exact and exact −
    /// lower have no negative pivot in a factorisation, up to rounding.
    #[test]
    fn bounds_enclose_the_second_derivatives() {
        with_problem(true, |objective, run| {
            let state = State::new(objective, vec![3.0, -2.0, 1.0, 0.5], true, run);
            let state = state.unwrap().unwrap();
            let exact = state.matrix(-0.5, 3.0, true);
            let q = state.whitening.order();
            for (larger, smaller) in [
                (state.matrix(0.0, 1.0, false), exact.clone()),
                (exact, state.matrix(-0.5, 3.0, false)),
            ] {
                let mut difference: Vec<f64> =
                    larger.iter().zip(&smaller).map(|(a, b)| a - b).collect();
                (0..q).for_each(|j| difference[j * (q + 1)] += 1e-12);
                let factor = Cholesky::new(difference, &vec![0.0; q], &mut run.job()).unwrap();
                assert!((0..q).all(|j| !factor.is_left_out(j)));
            }
        });
    }
}
