//! Upper bound on the duality gap, and so on objective − minimum, for a penalty (l2/2)‖w‖² with l2 > 0.
//!
//! Let P(w, b) be the objective, D its Fenchel dual, s_i the sample weights, and r_i = σ(z_i) − y_i the residuals. If
//! the bias b is the optimal bias b° for the weights w, then Σ s_i r_i = 0. The residuals are then a feasible point of
//! the dual, and the duality gap is exactly
//!
//! ```text
//! P(w, b°) − D(r) = ‖∇_w P(w, b°)‖² / (2·l2)
//! ```
//!
//! (S. Shalev-Shwartz & T. Zhang, JMLR 14 (2013), §1, with the bias eliminated). For a bias b near b°, the gap is
//! bounded as follows. Let g and h be the first and second derivative of P by the bias at b, let t be a distance from
//! b, and let T = Σ s_i σ'(z_i) ‖x_i‖² / Σ s_i. Since |σ''| ≤ σ', h changes by a factor of at most e^±t over the
//! distance t. Hence
//!
//! ```text
//! |b − b°|               ≤ δ = −ln(1 − |g| / h)
//! P(w, b) − P(w, b°)     ≤ |g| δ
//! ‖∇_w P(b) − ∇_w P(b°)‖ ≤ δ e^δ √(h T)        by Cauchy–Schwarz
//! ```
//!
//! A bound on the rounding error of the computed gradient is added to the gradient. The error of a score is at most (n
//! / lanes + 8)·ε·(Σ_j |x_j w_j| + |b|), and the relative error of a residual at most 8·ε. Sums have a relative error of
//! ε for each addition that a term goes through (N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
//! §3.1 and §4.2). The addition of an offset to a score z has an error of ε |z|, where σ'(z) z² ≤ 1/2. Errors δ_i of the
//! scores change the derivative by the weight of column j by at most √(Σ s_i σ'(z_i) δ_i² / Σ s_i) · √T_j, by
//! Cauchy–Schwarz, with T_j = Σ s_i σ'(z_i) x_ij² / Σ s_i. For sparse rows, scores and the gradient's sums are computed
//! in `f64` whatever type is stored, and rounded once.
//!
//! With K classes, let p_ik be the probabilities of row i, and r_ik = p_ik − [y_i = k] the residuals. The dual point
//! consists of the vectors p_i, which lie in the simplex; it is feasible if Σ s_i r_ik = 0 for every class k. The value
//! of the dual there is the entropy Σ s_i H(p_i) minus the conjugate of the penalty. Let b° be the optimal biases
//! nearest to b, and u the unit vector from b towards b°; any two components of u differ by at most √2. Let H_i =
//! diag(p_i) − p_i p_iᵀ, H = Σ s_i H_i / Σ s_i with μ ≤ uᵀ H u ≤ h, g the gradient by the biases, and T = Σ s_i tr(H_i)
//! ‖x_i‖² / Σ s_i. (T bounds the change of the gradient because ‖H_i u‖² ≤ uᵀ H_i u · tr H_i.) Third derivatives of ln
//! Σ exp along u are at most √2 times the second derivatives (F. Bach, Electron. J. Stat. 4 (2010),
//! doi:10.1214/09-EJS521), so second derivatives change by a factor of at most e^±√2t over a distance t. Hence
//!
//! ```text
//! ‖b − b°‖               ≤ δ = −ln(1 − √2 ‖g‖ / μ) / √2
//! P(W, b) − P(W, b°)     ≤ ‖g‖ δ
//! ‖∇_W P(b) − ∇_W P(b°)‖ ≤ δ e^√2δ √(h T)
//! ```
//!
//! A vector x̄ may be subtracted from all rows: other biases then give the same scores. The bound in the last line of
//! the formulas holds for the shifted rows, too, if x̄ᵀ times the derivative by each bias is subtracted from the
//! derivatives by the weights of the same class. T is least if x̄ is the mean of the rows, weighted by tr H_i. The
//! bound is computed with this x̄ and with x̄ = 0, and the smaller value is used.
//!
//! H and g vanish along (1, …, 1). Adding τ 1 1ᵀ/K with τ > 0 makes H invertible, and 1 / tr (H + τ 1 1ᵀ/K)⁻¹ is a
//! lower bound μ on the least eigenvalue of H, apart from the eigenvalue 0 of (1, …, 1). If the bound on the gap is not
//! small enough, the biases take a Newton step Δ, which makes δ negligible, and the bound on the gap is evaluated at
//! b + Δ. The gain of the step is bounded by convexity, P(W, b) − P(W, b + Δ) ≤ −g · Δ, and second derivatives at b + Δ
//! differ from those at b by a factor of at most e^±√2‖Δ‖.
//!
//! In the bound on rounding errors with K classes, a residual has K terms, and Σ_k r_ik² ≤ 2 E_i for the error E_i of
//! row i.

use std::f64::consts::SQRT_2;

use super::objective::{Iterate, Objective};
use super::run::Run;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::{Basis, Curvature};
use crate::linalg::{add_multiple, dot, norm};
use crate::reduce::{Job, STRIPE};
use crate::source::Rounding;

/// Bounds on second derivatives, for the duality bound. They are computed values, multiplied or divided by [`EXACT`].
pub(super) struct DualMoments {
    /// A lower bound on the second derivative along any unit vector of biases. For several classes, it holds only for
    /// unit vectors perpendicular to (1, …, 1).
    pub(super) least: f64,
    /// An upper bound on the second derivative along any unit vector of biases.
    largest: f64,
    /// √T_j of each column j, where T_j is the weighted mean of σ'(z_i) x_ij² over the rows i. For several classes, T_j
    /// is the weighted mean of tr(diag(p_i) − p_i p_iᵀ) x_ij², with the probabilities p_i.
    pub(super) spreads: Vec<f64>,
    /// √(Σ s_i x_ij² / Σ s_i) of each column j, with sample weights s_i.
    sizes: Vec<f64>,
    /// The mean of the rows, each weighted as in `spreads`; zeros if there is no such mean.
    mean: Vec<f64>,
    /// Σ_j T_j of the columns after their means are subtracted from them.
    centred: f64,
    rounding: Rounding,
}

impl DualMoments {
    /// The bounds from `trace`, the sums of [`Curvature`] over the rows, added up over all scores; and from `least`, a
    /// lower bound on the second derivative along the biases. `rounding` is that of the evaluation.
    pub(super) fn new(trace: &Curvature, least: f64, rounding: Rounding) -> Self {
        /// Bound on the rounding error of a centred sum of squares, as a fraction of the sum of squares before
        /// centring. Centring may cancel digits.
        const CANCELLED: f64 = 1e-11;
        let mut mean: Vec<f64> = trace.cross.iter().map(|sum| sum / trace.bias).collect();
        if !mean.iter().all(|mean| mean.is_finite()) {
            mean.fill(0.0);
        }
        let left = (trace.diagonal.iter().zip(&trace.cross).zip(&mean))
            .map(|((square, sum), mean)| (square - sum * mean).max(0.0) + CANCELLED * square);
        let roots = |sums: &[f64]| -> Vec<f64> {
            let means = sums.iter().map(|sum| sum / trace.weight * EXACT);
            means.map(f64::sqrt).collect()
        };
        DualMoments {
            least: least / EXACT,
            largest: trace.bias / trace.weight * EXACT,
            spreads: roots(&trace.diagonal),
            sizes: roots(&trace.squares),
            centred: left.sum::<f64>() / trace.weight * EXACT,
            mean,
            rounding,
        }
    }

    /// For one score: bounds that hold at all parameters, where no second derivative by a score is above 1/4. `trace`
    /// may have been computed at any parameters. Only [`gradient_error`] and [`objective_error`] use them.
    pub(super) fn everywhere(trace: &Curvature, rounding: Rounding) -> Self {
        let anywhere = DualMoments::new(trace, 0.0, rounding);
        DualMoments {
            largest: 0.25,
            spreads: anywhere.sizes.iter().map(|size| 0.5 * size).collect(),
            ..anywhere
        }
    }

    /// √(Σ s_i x_ij² / Σ s_i) of each column j, with sample weights s_i.
    pub(super) fn sizes(&self) -> &[f64] {
        &self.sizes
    }

    /// For several classes: the bounds after a step of the biases, where `length` is the norm of the step.
    pub(super) fn after(mut self, length: f64) -> Self {
        let growth = (SQRT_2 * length).exp();
        let spreads = self.spreads.iter_mut();
        spreads.for_each(|spread| *spread *= growth.sqrt() * EXACT);
        DualMoments {
            least: self.least / growth,
            largest: self.largest * growth,
            centred: self.centred * growth,
            ..self
        }
    }

    /// T in the formulas at the top of this file, which is Σ_j T_j.
    fn spread(&self) -> f64 {
        dot(&self.spreads, &self.spreads) * EXACT
    }
}

/// Computed sums of positive terms have relative errors of up to a few thousand ε. Multiplied by this factor, they are
/// upper bounds.
pub(super) const EXACT: f64 = 1.0 + 1e-9;
/// The longest Newton step of the biases that is taken, in the Euclidean norm. After a longer step, the bounds on
/// second derivatives would be too loose.
const LONGEST: f64 = 1.0;

/// Tells the source that [`gap`] may be computed next at `v`, for one score. The read that evaluates the objective at
/// `v` may then also compute what [`gap`] needs.
///
/// # Errors
///
/// [`Error::Memory`].
pub(super) fn plan(objective: &Objective<'_>, v: &[f64]) -> Result<(), Error> {
    let at = objective.parameters(v);
    let basis = Basis::natural(objective.columns());
    objective.source.plan_trace(&at, &basis)
}

/// Upper bound on objective − minimum at `iterate`, for l2 > 0; it is at most the objective, up to rounding. A bound of
/// at most `wanted` is not improved further.
///
/// # Errors
///
/// [`Error::Interrupted`] by the observer.
pub(crate) fn gap(
    objective: &Objective<'_>,
    iterate: &Iterate,
    wanted: f64,
    run: &mut Run<'_>,
) -> Result<f64, Error> {
    run.passes += objective.cost;
    let (moments, by_biases) = moments(objective, iterate, &mut run.job())?;
    let rounding = objective_error(objective, iterate, &moments);
    let mut gap = bound(objective, iterate, &moments);
    if (gap.is_nan() || gap > wanted)
        && objective.fit_bias
        && let Some(by_biases) = by_biases
        && let Some(better) = at_better_biases(objective, iterate, moments, &by_biases, run)?
    {
        gap = gap.min(better);
    }
    // The objective is nowhere negative, so the gap is at most the objective here.
    gap = gap.min(iterate.value.objective + rounding);
    Ok(if gap.is_nan() { f64::INFINITY } else { gap })
}

/// For several classes: the bound on objective − minimum after one Newton step of the biases, plus an upper bound on
/// the decrease of the objective by the step. `None` if the step is longer than [`LONGEST`].
fn at_better_biases(
    objective: &Objective<'_>,
    iterate: &Iterate,
    mut moments: DualMoments,
    by_biases: &BiasHessian,
    run: &mut Run<'_>,
) -> Result<Option<f64>, Error> {
    let Some((v, step)) = by_biases.newton_step(objective, iterate) else {
        return Ok(None);
    };
    let (_, g) = objective.split(&iterate.value.gradient);
    let length = norm(&step);
    let error = gradient_error(objective, iterate, &moments).by_biases;
    let gained = dot(g, &step).max(0.0) + error * length;
    moments = moments.after(length);
    let value = run.evaluate(objective, &v, Precision::Double)?;
    let there = Iterate { v, value };
    Ok(Some(gained + bound(objective, &there, &moments)))
}

/// Bounds on the second derivatives at `iterate`; and for several classes, the factored Hessian by the biases. The
/// Hessian is `None` for one score, or if it is singular in a direction other than (1, …, 1).
pub(super) fn moments(
    objective: &Objective<'_>,
    iterate: &Iterate,
    job: &mut Job<'_>,
) -> Result<(DualMoments, Option<BiasHessian>), Error> {
    let at = objective.parameters(&iterate.v);
    let curvatures = objective.source.curvatures(&at);
    let basis = Basis::natural(objective.columns());
    let (trace, mut hessian) = curvatures.trace(&basis, job)?;
    for h in &mut hessian {
        *h /= trace.weight;
    }
    let (least, by_biases) = match hessian.as_slice() {
        [h] => (*h, None),
        _ => {
            let by_biases = BiasHessian::new(hessian, objective.classes);
            (
                by_biases
                    .as_ref()
                    .map_or(0.0, BiasHessian::least_eigenvalue),
                by_biases,
            )
        }
    };
    let rounding = (objective.source).rounding(objective.classes, Precision::Double, job)?;
    Ok((DualMoments::new(&trace, least, rounding), by_biases))
}

/// A symmetric K × K matrix H with H (1, …, 1)ᵀ = 0, in a factored form that solves H x = b for b perpendicular to (1,
/// …, 1).
pub(super) struct BiasHessian {
    classes: usize,
    /// The trace of H.
    trace: f64,
    /// The Cholesky factor L of H + τ 1 1ᵀ/K with τ = tr H / K, row by row.
    lower: Vec<f64>,
}

impl BiasHessian {
    /// Factors `hessian`, of which only the lower triangle is read. `None` if the least eigenvalue may be rounding
    /// error.
    fn new(hessian: Vec<f64>, classes: usize) -> Option<Self> {
        let mut lower = hessian;
        let trace: f64 = (0..classes).map(|k| lower[k * classes + k]).sum();
        let everywhere = trace / (classes * classes) as f64;
        for h in &mut lower {
            *h += everywhere;
        }
        for i in 0..classes {
            for j in 0..=i {
                let (row, other) = (&lower[i * classes..][..j], &lower[j * classes..][..j]);
                let rest = lower[i * classes + j] - dot(row, other);
                if j < i {
                    lower[i * classes + j] = rest / lower[j * classes + j];
                } else if rest > 1e-10 * trace {
                    lower[i * classes + j] = rest.sqrt();
                } else {
                    return None;
                }
            }
        }
        Some(BiasHessian {
            classes,
            trace,
            lower,
        })
    }

    /// Replaces `x` by L⁻¹ x, with the Cholesky factor L in `lower`.
    fn solve_lower(&self, x: &mut [f64]) {
        for i in 0..self.classes {
            let row = &self.lower[i * self.classes..][..i + 1];
            x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
        }
    }

    /// The parameters after one Newton step of the biases, and the step. The step was subtracted from the biases.
    /// `None` if the step is longer than [`LONGEST`].
    pub(super) fn newton_step(
        &self,
        objective: &Objective<'_>,
        iterate: &Iterate,
    ) -> Option<(Vec<f64>, Vec<f64>)> {
        let mut step = objective.split(&iterate.value.gradient).1.to_vec();
        self.solve(&mut step);
        let mut v = iterate.v.clone();
        let at = v.len() - objective.classes;
        add_multiple(&mut v[at..], -1.0, &step);
        (norm(&step) <= LONGEST).then_some((v, step))
    }

    /// Solves H x = b. `x` holds b, and is replaced by (L Lᵀ)⁻¹ b minus the mean of its components, where L is the
    /// Cholesky factor.
    fn solve(&self, x: &mut [f64]) {
        self.solve_lower(x);
        for i in (0..self.classes).rev() {
            let row = &self.lower[i * self.classes..][..i + 1];
            x[i] /= row[i];
            let factor = -x[i];
            add_multiple(&mut x[..i], factor, &row[..i]);
        }
        let mean = x.iter().sum::<f64>() / self.classes as f64;
        x.iter_mut().for_each(|x| *x -= mean);
    }

    /// A lower bound on the least eigenvalue of L Lᵀ: 1 / tr (L Lᵀ)⁻¹ with tr (L Lᵀ)⁻¹ = Σ_j ‖L⁻¹ e_j‖², minus a bound
    /// on the rounding error of the matrix.
    fn least_eigenvalue(&self) -> f64 {
        let mut trace_of_inverse = 0.0;
        for j in 0..self.classes {
            let mut column = vec![0.0; self.classes - j]; // L⁻¹ e_j from its row j on; it is 0 above
            for i in j..self.classes {
                let row = &self.lower[i * self.classes..][j..i + 1];
                let (left, pivot) = (i - j, row[i - j]);
                let unit = if i == j { 1.0 } else { 0.0 };
                column[left] = (unit - dot(&row[..left], &column[..left])) / pivot;
            }
            trace_of_inverse += dot(&column, &column);
        }
        (1.0 / trace_of_inverse - 1e-11 * self.trace).max(0.0)
    }
}

/// Upper bounds on the rounding error of a gradient.
pub(super) struct GradientError {
    /// For each column, a bound on the error of the derivative by its weight. For several classes, on the norm of the
    /// errors of the derivatives by the weights of all classes.
    pub(super) by_weights: Vec<f64>,
    /// A bound on the norm of the errors of the derivatives by the biases.
    pub(super) by_biases: f64,
}

pub(super) fn gradient_error(
    objective: &Objective<'_>,
    iterate: &Iterate,
    moments: &DualMoments,
) -> GradientError {
    let classes = objective.classes;
    let (w, b) = objective.split(&iterate.v);
    let Rounding {
        epsilon,
        score,
        offset,
        shift,
        additions,
    } = moments.rounding;
    let sum = epsilon * (STRIPE as f64 + 16.0) + f64::EPSILON * (additions + 16.0);
    // A residual r has |r| ≤ 1 and r² ≤ E_i, the error of its row. With several classes, the norm of a row's residuals
    // is up to √2 times as large.
    let (terms, factor) = match classes {
        1 => (8.0, 1.0),
        _ => (8.0 + classes as f64, SQRT_2),
    };
    let residual = (terms * epsilon + sum) * factor * iterate.value.loss.min(1.0).sqrt();
    let root = moments.largest.sqrt() * EXACT;
    // √(Σ s_i d_i δ_i² / Σ s_i), where d_i is the second derivative of row i's error by its score, and δ_i the error of
    // the score.
    let of_scores = score * reach(w, &moments.spreads) + (score * norm(b) + shift) * root + offset;
    let of_penalty = by_column(&objective.penalty.slopes(w), moments.sizes.len());
    let columns = moments.spreads.iter().zip(&moments.sizes).zip(of_penalty);
    let by_weights = columns.map(|((spread, size), of_penalty)| {
        2.0 * (of_scores * spread + residual * size) + 4.0 * f64::EPSILON * of_penalty
    });
    GradientError {
        by_weights: by_weights.collect(),
        by_biases: 2.0 * (of_scores * root + residual),
    }
}

/// The norms of the columns of `weights`, which has shape (K, n).
fn by_column(weights: &[f64], n: usize) -> Vec<f64> {
    let norm_of = |j: usize| {
        let column: Vec<f64> = weights.iter().skip(j).step_by(n).copied().collect();
        norm(&column)
    };
    match weights.len() == n {
        true => weights.iter().map(|w| w.abs()).collect(),
        false => (0..n).map(norm_of).collect(),
    }
}

/// By Minkowski's inequality, an upper bound on the root mean square over the rows i of Σ_j |x_ij w_j|, if `sizes` are
/// the root mean squares of the columns. For several classes, ‖w_j‖ takes the place of |w_j|.
fn reach(weights: &[f64], sizes: &[f64]) -> f64 {
    dot(&by_column(weights, sizes.len()), sizes) * EXACT
}

/// Upper bound on the rounding error of the objective at `iterate`, which was computed in `float64`. A rounding error
/// of δ in a score changes E_i, the error of its row, by |r_i| δ, where r_i² ≤ E_i, or ‖r_i‖² ≤ 2 E_i with several
/// classes. A sum of positive terms has a relative error of ε for each addition.
pub(super) fn objective_error(
    objective: &Objective<'_>,
    iterate: &Iterate,
    moments: &DualMoments,
) -> f64 {
    let (w, b) = objective.split(&iterate.v);
    let rounding = moments.rounding;
    let size = reach(w, &moments.sizes) + norm(b);
    let rate = if objective.classes == 1 { 1.0 } else { SQRT_2 };
    let residual = rate * iterate.value.loss.min(1.0).sqrt();
    let of_scores = (rounding.score * size + rounding.shift) * residual;
    let additions = STRIPE as f64 + rounding.additions + w.len() as f64 + 32.0;
    // |r z| ≤ E + 1/2 for every label.
    let of_offset = rounding.offset * (iterate.value.loss + 0.5);
    2.0 * (of_scores + of_offset + f64::EPSILON * additions * iterate.value.objective)
}

/// The upper bound on objective − minimum at `iterate`. It is computed from the gradient there, and from `moments`, the
/// bounds on second derivatives.
fn bound(objective: &Objective<'_>, iterate: &Iterate, moments: &DualMoments) -> f64 {
    let error = gradient_error(objective, iterate, moments);
    let (by_weights, by_biases) = objective.split(&iterate.value.gradient);
    let along_bias = if objective.fit_bias {
        norm(by_biases) + error.by_biases
    } else {
        0.0
    };
    let rate = if objective.classes == 1 { 1.0 } else { SQRT_2 };
    let rest = 1.0 - rate * along_bias / moments.least;
    if objective.fit_bias && (rest <= 0.0 || rest.is_nan()) {
        return f64::INFINITY;
    }
    // With x = rate · |g| / μ, `rest` is 1 − x and e^(rate · δ) is 1 / (1 − x). The distance δ = −ln(1 − x) / rate is
    // at most x / (1 − x) / rate.
    let (distance, growth) = if objective.fit_bias {
        ((1.0 - rest) / rate / rest, 1.0 / rest)
    } else {
        (0.0, 1.0)
    };
    let conjugate = |by_weights: &[f64], error: f64, spread: f64| {
        let root = (moments.largest * spread).sqrt();
        let error = error + distance * growth * root * EXACT;
        objective.penalty.conjugate(by_weights, error) * EXACT
    };
    let of_weights = norm(&error.by_weights);
    let mut conjugates = conjugate(by_weights, of_weights, moments.spread());
    if objective.fit_bias {
        let mut centred = by_weights.to_vec();
        for (centred, by_bias) in centred.chunks_exact_mut(moments.mean.len()).zip(by_biases) {
            add_multiple(centred, -by_bias, &moments.mean);
        }
        let more = norm(&moments.mean) * (error.by_biases + 4.0 * f64::EPSILON * norm(by_biases));
        let error = of_weights + more;
        conjugates = conjugates.min(conjugate(&centred, error, moments.centred));
    }
    along_bias * distance + conjugates
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::elements::Elements;
    use crate::kernel::Dataset;
    use crate::matrix::Matrix;
    use crate::penalty::Penalty;
    use crate::reduce::{Threads, Unmonitored};
    use crate::shuffle::Random;
    use crate::source::{Arrays, Source};
    use crate::vector::Vector;

    fn objective<'a>(source: &'a Arrays<'a>, classes: usize, l2: f64) -> Objective<'a> {
        let labels = source.labels(Precision::Double, &mut quiet()).unwrap();
        assert_eq!(labels.scores, classes);
        let penalty = Box::leak(Box::new(Penalty::new(l2).unwrap()));
        Objective::new(source, &labels, penalty, true, Precision::Double)
    }

    fn quiet() -> Job<'static> {
        Job::new(Threads::ONE, Box::leak(Box::new(Unmonitored))).unwrap()
    }

    fn at(objective: &Objective<'_>, v: &[f64], precision: Precision) -> Iterate {
        let value = objective.evaluate(v, precision, &mut quiet()).unwrap();
        Iterate {
            v: v.to_vec(),
            value,
        }
    }

    fn uniform(random: &mut Random, count: usize, reach: f64) -> Vec<f64> {
        (0..count)
            .map(|_| reach * (2.0 * random.uniform() - 1.0))
            .collect()
    }

    /// With features of 1e-9 only the biases matter. Their optimum is ln(share of the class).
    #[test]
    fn biases_far_from_their_best_are_paid_for() {
        let counts = [5, 3, 2];
        let y: Vec<f64> = (0..3).flat_map(|k| vec![k as f64; counts[k]]).collect();
        let x = vec![1e-9; y.len()];
        let matrix = Matrix::from_rows(Elements::F64(&x), y.len(), 1).unwrap();
        let labels = Vector::from_slice(&y);
        let source = Arrays(Dataset::new(&matrix, &labels, None).unwrap(), None);
        let objective = objective(&source, 3, 1.0);
        let best: Vec<f64> = counts.iter().map(|&c| (c as f64 / 10.0).ln()).collect();
        let least = at(
            &objective,
            &[&[0.0; 3], &best[..]].concat(),
            Precision::Double,
        )
        .value
        .objective;
        for (k, distance) in [(0, 0.01), (1, 0.1), (2, 0.2), (0, -0.1), (1, -0.2)] {
            let mut v = [&[0.0; 3], &best[..]].concat();
            v[3 + k] += distance;
            let iterate = at(&objective, &v, Precision::Double);
            let missing = iterate.value.objective - least;
            let mut observer = Unmonitored;
            let basis = Basis::natural(1);
            let mut run = Run::new(&mut observer, Threads::ONE, f64::INFINITY, basis).unwrap();
            let bound = gap(&objective, &iterate, 0.0, &mut run).unwrap();
            assert!(
                missing <= bound && bound <= 4.0 * missing,
                "{missing} {bound}"
            );
        }
    }

    #[test]
    fn curvatures_grow_no_faster_than_is_said() {
        let mut random = Random::new(3);
        let y: Vec<f64> = (0..40).map(|i| (i % 4) as f64).collect();
        let x = uniform(&mut random, 80, 3.0);
        let matrix = Matrix::from_rows(Elements::F64(&x), 40, 2).unwrap();
        let labels = Vector::from_slice(&y);
        let source = Arrays(Dataset::new(&matrix, &labels, None).unwrap(), None);
        let objective = objective(&source, 4, 1.0);
        let moments = |v: &[f64]| {
            let iterate = at(&objective, v, Precision::Double);
            super::moments(&objective, &iterate, &mut quiet())
                .unwrap()
                .0
        };
        let mut grew = [false; 3];
        let spread = |moments: &DualMoments| moments.spread();
        for _ in 0..200 {
            let v = uniform(&mut random, 12, 2.0);
            let step = uniform(&mut random, 4, 0.5);
            let mut there = v.clone();
            add_multiple(&mut there[8..], 1.0, &step);
            let (here, there) = (moments(&v), moments(&there));
            grew[0] |= there.least < here.least;
            grew[1] |= there.largest > here.largest;
            grew[2] |= spread(&there) > spread(&here);
            let said = here.after(norm(&step));
            assert!(said.least <= there.least * EXACT);
            assert!(said.largest * EXACT >= there.largest);
            assert!(spread(&said) * EXACT >= spread(&there));
        }
        assert_eq!(grew, [true; 3]);
    }

    /// The errors of gradients computed in single precision are within the bounds, and the gap includes these bounds.
    #[test]
    fn rounding_is_counted() {
        for (classes, m, n) in [(1, 700, 3), (1, 300, 40), (3, 300, 3), (3, 257, 70)] {
            let mut random = Random::new((m * n) as u64);
            let x: Vec<f32> = uniform(&mut random, m * n, 2.0)
                .iter()
                .map(|&x| x as f32)
                .collect();
            let labels: Vec<f64> = (0..m).map(|i| (i % classes.max(2)) as f64).collect();
            let matrix = Matrix::from_rows(Elements::F32(&x), m, n).unwrap();
            let y = Vector::from_slice(&labels);
            let source = Arrays(Dataset::new(&matrix, &y, None).unwrap(), None);
            let objective = objective(&source, classes, 1e-3);
            let v: Vec<f64> = uniform(&mut random, classes * (n + 1), 1.0)
                .iter()
                .map(|&v| f64::from(v as f32))
                .collect();
            let (mut iterate, exact) = (
                at(&objective, &v, Precision::Single),
                at(&objective, &v, Precision::Double),
            );
            let (mut moments, _) = moments(&objective, &iterate, &mut quiet()).unwrap();
            let (scores, precision) = (objective.classes, Precision::Single);
            moments.rounding = source.rounding(scores, precision, &mut quiet()).unwrap();
            let said = gradient_error(&objective, &iterate, &moments);
            add_multiple(&mut iterate.value.gradient, -1.0, &exact.value.gradient);
            let (weights, biases) = objective.split(&iterate.value.gradient);
            assert!(norm(weights) > 0.0);
            for (error, said) in by_column(weights, n).iter().zip(&said.by_weights) {
                assert!(error <= said);
            }
            assert!(norm(biases) > 0.0 && norm(biases) <= said.by_biases);

            iterate.value.gradient.fill(0.0);
            let least = objective.penalty.conjugate(&[], norm(&said.by_weights));
            assert!(bound(&objective, &iterate, &moments) >= least);
        }
    }
}
