//! Upper bound on objective − minimum for objectives with l1 or bounds, by Fenchel duality.
//!
//! Row i of a model with one score has the residual r_i = ŷ_i − y_i and d_i = ŷ_i (1 − ŷ_i). Let κ and c be numbers
//! with 0 ≤ κ ≤ 1 and |c| ≤ 1, let q_i = y_i + κ (r_i − c d_i), and let G_j = Σ s_i (r_i − c d_i) x_ij / Σ s_i. The q_i
//! are a feasible point of the dual if Σ s_i (q_i − y_i) = 0 and the function φ_j(u) = κ G_j u + penalty_j(u) has a
//! minimum for every column j. Weak duality then bounds objective − minimum by a sum of terms that are not negative,
//! with the Kullback–Leibler divergence KL:
//!
//! ```text
//! objective − minimum ≤ Σ s_i KL(q_i ‖ ŷ_i) / Σ s_i  +  Σ_j φ_j(w_j) − min φ_j
//! KL(q ‖ ŷ) ≤ (q − ŷ)² / d        KL(q_i ‖ ŷ_i) ≤ (1 − κ) E_i + κ c² d_i
//! ```
//!
//! The number c is chosen such that Σ s_i (q_i − y_i) = 0 although the derivative by the bias is not exactly 0. The
//! factor κ is chosen such that the point is feasible for columns without l2.
//!
//! Source: for the dual, S. Shalev-Shwartz & T. Zhang, JMLR 14 (2013), §1; for the scaling into the feasible set, L. El
//! Ghaoui, V. Viallon & T. Rabbani, "Safe feature elimination for the lasso" (2010), arXiv:1009.4219; for the
//! divergence, A. Gibbs & F. Su, "On choosing and bounding probability metrics", Int. Stat. Rev. 70 (2002),
//! doi:10.1111/j.1751-5823.2002.tb00178.x.

use std::f64::consts::SQRT_2;

use super::duality::{DualMoments, EXACT, gradient_error, moments, objective_error};
use super::objective::{Iterate, Objective};
use super::run::Run;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::{Basis, Curvature};
use crate::linalg::{centre_values, norm};
use crate::source::RowScores;

/// The gradient of the mean error of one score, and bounds on its rounding errors.
struct LossSlopes {
    by_weights: Vec<f64>,
    errors: Vec<f64>,
    by_bias: f64,
    bias_error: f64,
    /// Σ s_i d_i x_i / Σ s_i. The columns of X may be shifted here if they are shifted by the same numbers in
    /// `by_weights`. Shifts do not change G, because Σ s_i (r_i − c d_i) = 0.
    cross: Vec<f64>,
}

/// Bounds that are proved for an iterate.
pub(super) struct Bounds {
    /// Upper bound on objective − minimum.
    pub gap: f64,
    /// Upper bound on the rounding error of the objective.
    pub rounding: f64,
}

/// Computes bounds for an iterate, rounding errors included. The objective of the iterate must have been computed in
/// `float64`. If the gap proved from the iterate's gradient is larger than `wanted`, the gradient is computed again,
/// accurate to nearly the last bit, which takes three more passes.
///
/// For several classes, the biases first take one more Newton step. Returns the iterate after that step, with its
/// bounds; for one score the given iterate.
///
/// # Errors
///
/// [`Error::Memory`] if the scores of all rows do not fit into memory; [`Error::Interrupted`] by the observer.
pub(super) fn bounds(
    objective: &Objective<'_>,
    iterate: Iterate,
    wanted: f64,
    run: &mut Run<'_>,
) -> Result<(Iterate, Bounds), Error> {
    if objective.classes > 1 {
        return of_classes(objective, iterate, wanted, run);
    }
    run.passes += objective.cost;
    let at = objective.parameters(&iterate.v);
    let curvatures = objective.source.curvatures(&at);
    let natural = Basis::natural(objective.columns());
    let (curvature, _) = curvatures.trace(&natural, &mut run.job())?;
    let rounding = (objective.source).rounding(1, Precision::Double, &mut run.job())?;
    let moments = DualMoments::new(&curvature, curvature.bias / curvature.weight, rounding);
    let rounding = objective_error(objective, &iterate, &moments);
    let slopes = LossSlopes::fast(objective, &iterate, &curvature, &moments);
    let mut gap = bound(objective, &iterate, &curvature, &slopes, f64::INFINITY);
    if gap.is_nan() || gap > wanted {
        run.passes += 2.0 * objective.cost;
        let basis = objective.source.basis(objective.fit_bias, true)?;
        objective.source.plan_trace(&at, &basis)?;
        let scores = run.scores(objective, &iterate.v)?;
        let (curvature, _) = curvatures.trace(&basis, &mut run.job())?;
        let slopes = LossSlopes::exact(objective, scores.as_ref(), &basis, &curvature, run)?;
        let chi_square = scores.chi_square(&mut run.job())? / curvature.weight;
        gap = gap.min(bound(objective, &iterate, &curvature, &slopes, chi_square));
    }
    // The objective is nowhere negative, so the gap is at most the objective here.
    gap = gap.min(iterate.value.objective + rounding);
    Ok((iterate, Bounds { gap, rounding }))
}

/// Bounds on second derivatives that hold at all parameters, for one score. Takes a pass.
///
/// # Errors
///
/// [`Error::Interrupted`] by the observer.
pub(super) fn everywhere(
    objective: &Objective<'_>,
    iterate: &Iterate,
    run: &mut Run<'_>,
) -> Result<DualMoments, Error> {
    run.passes += objective.cost;
    let curvatures = objective
        .source
        .curvatures(&objective.parameters(&iterate.v));
    let natural = Basis::natural(objective.columns());
    let (trace, _) = curvatures.trace(&natural, &mut run.job())?;
    let rounding = (objective.source).rounding(1, Precision::Double, &mut run.job())?;
    Ok(DualMoments::everywhere(&trace, rounding))
}

/// [`bounds`] for several classes. Row i has probabilities p_i, residuals r_i = p_i − y_i, and the Hessian H_i =
/// diag(p_i) − p_i p_iᵀ of its error by its scores. If no two components of a vector c differ by more than 1, then q_i
/// = y_i + κ (r_i − H_i c) is in the simplex. Let c solve Σ s_i (r_i − H_i c) = 0. Let g and H be the gradient and the
/// Hessian of the mean error by the biases, and μ the least eigenvalue of H. Then
///
/// ```text
/// cᵀ H c = gᵀ H⁻¹ g ≤ ‖g‖² / μ          KL(q_i ‖ p_i) ≤ (1 − κ) E_i + κ cᵀ H_i c
/// |Σ s_i (H_i c)_k x_ij| ≤ √(Σ s_i (H_i)_kk x_ij²) · √(cᵀ H c)          by Cauchy–Schwarz
/// ```
///
/// The last bound is counted as an error of the gradient G. It is as small as rounding errors once the biases have
/// taken a Newton step.
fn of_classes(
    objective: &Objective<'_>,
    mut iterate: Iterate,
    wanted: f64,
    run: &mut Run<'_>,
) -> Result<(Iterate, Bounds), Error> {
    run.passes += objective.cost;
    let (mut moments, inverse) = moments(objective, &iterate, &mut run.job())?;
    let inverse = inverse.filter(|_| objective.fit_bias);
    if let Some((mut v, step)) =
        inverse.and_then(|inverse| inverse.newton_step(objective, &iterate))
    {
        // Adding the same number to all biases changes no probability. The biases are centred, so that they sum to
        // zero.
        let at = v.len() - objective.classes;
        centre_values(&mut v[at..], objective.classes);
        let value = run.evaluate(objective, &v, Precision::Double)?;
        let rise = value.objective - iterate.value.objective;
        if rise <= value.rounding(Precision::Double) {
            moments = moments.after(norm(&step));
            iterate = Iterate { v, value };
        }
    }
    let rounding = objective_error(objective, &iterate, &moments);
    let slopes = ClassSlopes::fast(objective, &iterate, &moments);
    let mut gap = slopes.bound(objective, &iterate, &moments);
    if gap > wanted {
        run.passes += 3.0 * objective.cost;
        let slopes = ClassSlopes::exact(objective, &iterate, run)?;
        gap = gap.min(slopes.bound(objective, &iterate, &moments));
    }
    // The objective is nowhere negative, so the gap is at most the objective here.
    gap = gap.min(iterate.value.objective + rounding);
    Ok((iterate, Bounds { gap, rounding }))
}

/// About the gap that [`bounds`] would prove if there were no rounding errors. `slopes` is the gradient of the mean error
/// by the weights, of columns that are shifted to mean 0. `closing` is about Σ_k g_k² / h_k, with the first and second
/// derivatives g_k and h_k by the biases.
pub(super) fn estimate(
    objective: &Objective<'_>,
    iterate: &Iterate,
    slopes: &[f64],
    closing: f64,
) -> f64 {
    let (weights, _) = objective.split(&iterate.v);
    let (kappa, distance) =
        scale_and_distance(objective, weights, slopes, &vec![0.0; slopes.len()]);
    (1.0 - kappa) * iterate.value.loss + kappa * closing + distance
}

/// The factor κ, and Σ_j φ_j(w_j) − min φ_j with this factor, for the derivatives G_j in `slopes`. The φ_j are defined at
/// the top of this file. `errors` are bounds on the rounding errors of the G_j.
fn scale_and_distance(
    objective: &Objective<'_>,
    weights: &[f64],
    slopes: &[f64],
    errors: &[f64],
) -> (f64, f64) {
    let kappa = objective.penalty.dual_scale(slopes, errors);
    let scaled: Vec<f64> = slopes.iter().map(|g| kappa * g).collect();
    (
        kappa,
        objective.penalty.dual_distance(weights, &scaled, errors),
    )
}

/// The gradient of the mean error of several classes, and bounds on its rounding errors.
struct ClassSlopes {
    /// Shape (K, n).
    by_weights: Vec<f64>,
    errors: Vec<f64>,
    /// For each column j, a number that is at least √(Σ s_i (H_i)_kk x_ij² / Σ s_i) for every class k; shape (n). The
    /// columns may be shifted, by the same numbers as in `by_weights`.
    sizes: Vec<f64>,
    /// Upper bound on the norm of the gradient by the biases.
    along_biases: f64,
}

impl ClassSlopes {
    /// The gradient of the mean error, from the gradient of the objective at an iterate.
    fn fast(objective: &Objective<'_>, iterate: &Iterate, moments: &DualMoments) -> Self {
        let error = gradient_error(objective, iterate, moments);
        let (weights, _) = objective.split(&iterate.v);
        let (slopes, by_biases) = objective.split(&iterate.value.gradient);
        let slopes = slopes.iter().zip(objective.penalty.slopes(weights));
        ClassSlopes {
            by_weights: slopes.map(|(g, penalty)| g - penalty).collect(),
            errors: error.by_weights.repeat(objective.classes),
            sizes: moments.spreads.clone(),
            along_biases: norm(by_biases) * EXACT + error.by_biases,
        }
    }

    /// The gradient of the mean error, from scores that are accurate to nearly the last bit. The columns are shifted so
    /// that their means are near 0.
    fn exact(
        objective: &Objective<'_>,
        iterate: &Iterate,
        run: &mut Run<'_>,
    ) -> Result<Self, Error> {
        let (n, order) = (objective.columns(), objective.columns() + 1);
        let basis = objective.source.basis(objective.fit_bias, true)?;
        let at = objective.parameters(&iterate.v);
        let curvatures = objective.source.curvatures(&at);
        let (trace, _) = curvatures.trace(&basis, &mut run.job())?;
        let scores = objective.source.scores(&at, &mut run.job())?;
        let moments = scores.moments(&basis, &vec![0.0; order], &mut run.job())?;
        let total = moments.weight;
        // If every score has an error of δ, a residual changes by at most 2 p (1 − p) δ, with the probability p. By
        // Cauchy–Schwarz, the sum Σ s r x then changes by at most 2 δ √(Σ s p (1 − p)) √(Σ s p (1 − p) x²).
        let of_score = f64::EPSILON * scores.largest() + scores.error();
        let root = (trace.bias / trace.weight).sqrt() * EXACT;
        let error = |magnitude: f64, size: f64| {
            let terms = 16.0 + objective.classes as f64;
            2.0 * (terms * f64::EPSILON * magnitude / total + 2.0 * of_score * root * size)
        };
        let sizes: Vec<f64> = (trace.diagonal.iter())
            .map(|square| (square / trace.weight).sqrt() * EXACT)
            .collect();
        // The basis divides columns by powers of two, so that the division here is exact.
        let in_units = |j: usize, x: f64| x / basis.per_unit()[j];
        let classes = || {
            moments
                .sums
                .chunks_exact(order)
                .zip(moments.magnitudes.chunks_exact(order))
        };
        let by_weights =
            classes().flat_map(|(sums, _)| (0..n).map(move |j| in_units(j, sums[j] / total)));
        let errors = classes().flat_map(|(_, magnitudes)| {
            (0..n).map(|j| in_units(j, error(magnitudes[j], sizes[j])))
        });
        let by_bias =
            classes().map(|(sums, magnitudes)| sums[n].abs() / total + error(magnitudes[n], root));
        Ok(ClassSlopes {
            by_weights: by_weights.collect(),
            errors: errors.collect(),
            along_biases: norm(&by_bias.collect::<Vec<f64>>()) * EXACT,
            sizes: (0..n).map(|j| in_units(j, sizes[j])).collect(),
        })
    }

    /// The upper bound on objective − minimum.
    fn bound(&self, objective: &Objective<'_>, iterate: &Iterate, moments: &DualMoments) -> f64 {
        let n = objective.columns();
        let (weights, _) = objective.split(&iterate.v);
        // Bounds on ‖c‖ and on cᵀ H c.
        let (mut length, mut closing) = (0.0, 0.0);
        if objective.fit_bias {
            length = self.along_biases / moments.least;
            closing = self.along_biases * length * EXACT;
        }
        if length.is_nan() || SQRT_2 * length > 1.0 {
            return f64::INFINITY;
        }
        let error = |i: usize| self.errors[i] + self.sizes[i % n] * closing.sqrt() * EXACT;
        let errors: Vec<f64> = (0..weights.len()).map(error).collect();
        let (kappa, distance) = scale_and_distance(objective, weights, &self.by_weights, &errors);
        let divergence = (1.0 - kappa) * iterate.value.loss + kappa * closing;
        let bound = (divergence + distance) * EXACT;
        if bound.is_nan() { f64::INFINITY } else { bound }
    }
}

impl LossSlopes {
    /// The gradient of the mean error, from the gradient of the objective at an iterate.
    fn fast(
        objective: &Objective<'_>,
        iterate: &Iterate,
        curvature: &Curvature,
        moments: &DualMoments,
    ) -> Self {
        let error = gradient_error(objective, iterate, moments);
        let (weights, _) = objective.split(&iterate.v);
        let (slopes, by_bias) = objective.split(&iterate.value.gradient);
        let by_weights = slopes.iter().zip(objective.penalty.slopes(weights));
        let cross = curvature.cross.iter().map(|x| x / curvature.weight);
        LossSlopes {
            by_weights: by_weights.map(|(g, penalty)| g - penalty).collect(),
            errors: error.by_weights,
            by_bias: by_bias.iter().sum(),
            bias_error: error.by_biases,
            cross: cross.collect(),
        }
    }

    /// The gradient of the mean error, from scores that are accurate to nearly the last bit. The columns are shifted by
    /// `basis` so that their means are near 0. `curvature` must have been computed from the same shifted columns.
    fn exact(
        objective: &Objective<'_>,
        scores: &dyn RowScores,
        basis: &Basis,
        curvature: &Curvature,
        run: &mut Run<'_>,
    ) -> Result<Self, Error> {
        let n = objective.columns();
        let moments = scores.moments(basis, &vec![0.0; n + 1], &mut run.job())?;
        let total = moments.weight;
        // Rounding a score z changes its residual by at most d ε |z|, where d = σ'(z) and d z² ≤ 1/2. By
        // Cauchy–Schwarz, the sum Σ s r x then changes by at most ε √(Σ s d x² / 2).
        let of_score = f64::EPSILON + 2.0 * scores.error();
        let error = |magnitude: f64, square: f64| {
            let square = (square / curvature.weight).sqrt();
            2.0 * (16.0 * f64::EPSILON * magnitude / total + of_score * square)
        };
        // The basis divides columns by powers of two, so that the division here is exact.
        let in_units = |j: usize, x: f64| x / basis.per_unit()[j];
        let errors = (0..n).map(|j| error(moments.magnitudes[j], curvature.diagonal[j]));
        Ok(LossSlopes {
            by_weights: (0..n)
                .map(|j| in_units(j, moments.sums[j] / total))
                .collect(),
            errors: errors
                .enumerate()
                .map(|(j, error)| in_units(j, error))
                .collect(),
            by_bias: match objective.fit_bias {
                true => moments.sums[n] / total,
                false => 0.0,
            },
            bias_error: error(moments.magnitudes[n], curvature.bias),
            cross: (0..n)
                .map(|j| in_units(j, curvature.cross[j] / curvature.weight))
                .collect(),
        })
    }
}

/// The upper bound on objective − minimum, from the gradient of the mean error. `chi_square` is Σ s_i r_i² / d_i / Σ
/// s_i, or ∞ if that is not known.
fn bound(
    objective: &Objective<'_>,
    iterate: &Iterate,
    curvature: &Curvature,
    gradient: &LossSlopes,
    chi_square: f64,
) -> f64 {
    let (weights, _) = objective.split(&iterate.v);
    let h = curvature.bias / curvature.weight;
    // c, and a bound on its rounding error.
    let (c, doubt) = match objective.fit_bias {
        true => {
            let error = gradient.bias_error + f64::EPSILON * gradient.by_bias.abs();
            (gradient.by_bias / h, error / h)
        }
        false => (0.0, 0.0),
    };
    if c.is_nan() || c.abs() + doubt > 1.0 {
        return f64::INFINITY;
    }
    // The components of G, which is defined at the top of this file, and bounds on their rounding errors.
    let cross = &gradient.cross;
    let of_cross = 1e-9 * c.abs() * norm(cross);
    let slopes = gradient.by_weights.iter().zip(cross);
    let slopes: Vec<f64> = slopes.map(|(g, cross)| g - c * cross).collect();
    let errors = gradient.errors.iter().zip(cross);
    let errors: Vec<f64> = errors
        .map(|(error, cross)| error + doubt * cross.abs() + of_cross)
        .collect();
    let (kappa, distance) = scale_and_distance(objective, weights, &slopes, &errors);
    let rest = 1.0 - kappa;
    let closing = (c.abs() + doubt).powi(2) * h * EXACT;
    let first_order = rest * iterate.value.loss + kappa * closing;
    let divergence = if chi_square.is_finite() {
        // The bound (q − ŷ)² / d on KL, where (q − ŷ)² is ((1 − κ) r + κ c d)².
        let chi_square = chi_square * (1.0 + 1e-6) + 1e-14;
        let slope = gradient.by_bias.abs() + gradient.bias_error;
        let mixed = 2.0 * rest * kappa * (c.abs() + doubt) * slope;
        first_order.min(rest * rest * chi_square + mixed + kappa * kappa * closing)
    } else {
        first_order
    };
    let bound = (divergence + distance) * EXACT;
    if bound.is_nan() { f64::INFINITY } else { bound }
}
