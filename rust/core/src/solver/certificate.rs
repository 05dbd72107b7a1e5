//! How far above the optimum an objective can be at most.
//!
//! For l2 > 0, Fenchel duality. With residuals r_i = σ(z_i) − y_i, a point whose bias is optimal for its weights, thus
//! Σ s_i r_i = 0, is dual feasible, and the duality gap is exactly
//!
//! ```text
//! P(w, b°) − D(r) = ‖∇_w P(w, b°)‖² / (2·l2)
//! ```
//!
//! (S. Shalev-Shwartz & T. Zhang, JMLR 14 (2013), §1, with the bias eliminated). At a bias b near b° it is bounded from
//! there. |σ''| ≤ σ', so the curvature h along the bias changes by e^±t at most over a distance t. Then, g being the
//! derivative by the bias at b and T = Σ s_i σ'_i ‖x_i‖² / Σ s_i:
//!
//! ```text
//! |b − b°|               ≤ δ = −ln(1 − |g| / h)
//! P(w, b) − P(w, b°)     ≤ |g| δ
//! ‖∇_w P(b) − ∇_w P(b°)‖ ≤ δ e^δ √(h T)        by Cauchy–Schwarz
//! ```
//!
//! The gradient is known up to rounding, for which it is enlarged: predictors err by at most (n / lanes + 8)·ε·(‖x‖‖w‖ +
//! |b|), residuals by 8·ε of themselves, and their sums by ε for each of the additions that a term goes through (N.
//! Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §3.1 and §4.2). Over sparse rows, predictors and the
//! gradient's sums are in `f64` whatever is stored, and are rounded once.
//!
//! Of K classes the same holds with residuals r_ik = p_ik − [y_i = k]: the dual point is p_i in the simplex, feasible where
//! Σ s_i r_ik = 0 for every class, and worth the entropy Σ s_i H(p_i) less the penalty's conjugate. With b° as near to b as
//! it can be, u the unit vector towards it, whose range over the classes is √2 at most, and H_i = diag(p_i) − p_i p_iᵀ:
//! third derivatives of ln Σ exp along u are at most √2 times the second (F. Bach, Electron. J. Stat. 4 (2010),
//! doi:10.1214/09-EJS521), so that curvatures change by e^±√2t over a distance t. With μ ≤ uᵀ H u ≤ h, where
//! H = Σ s_i H_i / Σ s_i, and ‖H_i u‖² ≤ uᵀ H_i u · tr H_i, hence T = Σ s_i tr H_i ‖x_i‖² / Σ s_i:
//!
//! ```text
//! ‖b − b°‖               ≤ δ = −ln(1 − √2 ‖g‖ / μ) / √2
//! P(W, b) − P(W, b°)     ≤ ‖g‖ δ
//! ‖∇_W P(b) − ∇_W P(b°)‖ ≤ δ e^√2δ √(h T)
//! ```
//!
//! H has nothing along (1, …, 1), and neither has g. With τ put there instead, 1 / tr (H + τ 1 1ᵀ/K)⁻¹ is a μ.
//!
//! Of the rounding, a residual's now has K terms, and Σ_k r_ik² ≤ 2 E_i.

use std::f64::consts::SQRT_2;

use super::objective::{Objective, Point, dot};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel;
use crate::kernel::softmax;
use crate::parallel::{Monitor, STRIPE};

/// What the bound takes of the second derivatives.
struct Moments {
    /// Curvatures along the biases: the least, and the largest.
    least: f64,
    largest: f64,
    /// T
    spread: f64,
    /// Σ s_i ‖x_i‖² / Σ s_i
    squares: f64,
}

/// The sums below are of positive terms, and right to a few thousand ε.
const EXACT: f64 = 1.0 + 1e-9;

fn moments(
    objective: &Objective<'_>,
    point: &Point,
    monitor: &mut dyn Monitor,
) -> Result<Moments, Error> {
    let (points, threads) = (objective.points, objective.threads_to_read());
    if objective.classes > 1 {
        return class_moments(objective, point, monitor);
    }
    let n = point.v.len() - 1;
    let c = kernel::curvature(points, &point.v[..n], point.v[n], threads, monitor)?;
    let h = c.bias / c.weight / EXACT;
    Ok(Moments {
        least: h,
        largest: h,
        spread: c.diagonal.iter().sum::<f64>() / c.weight * EXACT,
        squares: c.squares.iter().sum::<f64>() / c.weight * EXACT,
    })
}

fn class_moments(
    objective: &Objective<'_>,
    point: &Point,
    monitor: &mut dyn Monitor,
) -> Result<Moments, Error> {
    let (points, threads) = (objective.points, objective.threads_to_read());
    let model = objective.model(&point.v)?;
    let slopes = softmax::slopes(points, &model, threads, monitor)?;
    let mut traces = vec![0.0; objective.rows()];
    for d in slopes.chunks_exact(traces.len()) {
        for (trace, d) in traces.iter_mut().zip(d) {
            *trace += d;
        }
    }
    let c = kernel::curvature_of(points, &traces, threads, monitor)?;
    let mut hessian = softmax::bias_hessian(points, &model, &slopes, threads, monitor)?;
    for h in &mut hessian {
        *h /= c.weight;
    }
    Ok(Moments {
        least: least_curvature(hessian, objective.classes) / EXACT,
        largest: c.bias / c.weight * EXACT,
        spread: c.diagonal.iter().sum::<f64>() / c.weight * EXACT,
        squares: c.squares.iter().sum::<f64>() / c.weight * EXACT,
    })
}

/// A lower bound on the eigenvalues of a K × K matrix but that of (1, …, 1), which is 0; 0 if they are too far apart to
/// tell. Only the lower triangle is read.
fn least_curvature(mut matrix: Vec<f64>, classes: usize) -> f64 {
    let trace: f64 = (0..classes).map(|k| matrix[k * classes + k]).sum();
    let everywhere = trace / (classes * classes) as f64;
    for h in &mut matrix {
        *h += everywhere;
    }
    // L Lᵀ, in place.
    for i in 0..classes {
        for j in 0..=i {
            let (row, other) = (&matrix[i * classes..][..j], &matrix[j * classes..][..j]);
            let rest = matrix[i * classes + j] - dot(row, other);
            matrix[i * classes + j] = if j < i {
                rest / matrix[j * classes + j]
            } else if rest > 1e-10 * trace {
                rest.sqrt()
            } else {
                return 0.0;
            };
        }
    }
    // tr (L Lᵀ)⁻¹ = Σ_j ‖L⁻¹ e_j‖²
    let mut inverse = 0.0;
    for j in 0..classes {
        let mut x = vec![0.0; classes];
        for i in j..classes {
            let unit = if i == j { 1.0 } else { 0.0 };
            let rest: f64 = unit - dot(&matrix[i * classes..][..i], &x[..i]);
            x[i] = rest / matrix[i * classes + i];
        }
        inverse += dot(&x, &x);
    }
    // Rounding of the matrix is far below 1e-10 of its trace.
    (1.0 / inverse - 1e-11 * trace).max(0.0)
}

/// Additions that a term of a predictor goes through at most: of lanes, or of panels and their columns.
fn additions_of_a_predictor<F: Float>(classes: usize, columns: usize) -> f64 {
    let n = columns as f64;
    if classes == 1 {
        n / F::LANES as f64 + 8.0
    } else {
        n.min(64.0) + n / 64.0 + 10.0
    }
}

/// Upper bound on objective − optimum at `point`, for l2 > 0; ∞ where the bias is too far from its optimum. Reads all
/// rows once.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn gap<F: Float>(
    objective: &Objective<'_>,
    point: &Point,
    monitor: &mut dyn Monitor,
) -> Result<f64, Error> {
    let Moments {
        least,
        largest,
        spread: t,
        squares,
    } = moments(objective, point, monitor)?;
    let (classes, n) = (objective.classes, objective.columns());
    let (w, b) = objective.split(&point.v);
    let b_norm = norm(b);
    let epsilon = F::EPSILON.to_f64();
    let w_norm = norm(w);
    let stripes = objective.rows() as f64 / STRIPE as f64;
    let (predictor, additions) = match objective.points.x {
        Features::Dense(_) => (
            epsilon * additions_of_a_predictor::<F>(classes, n),
            stripes / 64.0,
        ),
        Features::Sparse(x) if classes == 1 => (
            epsilon * 8.0 + f64::EPSILON * x.longest_row() as f64,
            stripes + kernel::sparse::longest_run(&x), // all may be of one block
        ),
        Features::Sparse(x) => (
            epsilon * 10.0 + f64::EPSILON * x.longest_row() as f64,
            objective.rows() as f64,
        ),
    };
    let sum = epsilon * (STRIPE as f64 + 16.0) + f64::EPSILON * (additions + 16.0);
    // |r| ≤ 1 and r² ≤ E_i, whatever the label; of several classes, √2 times as much.
    let (terms, factor, rate) = if classes == 1 {
        (8.0, 1.0, 1.0)
    } else {
        (8.0 + classes as f64, SQRT_2, SQRT_2)
    };
    let residual = (terms * epsilon + sum) * factor * point.value.loss.min(1.0).sqrt();
    let root = (largest * t).sqrt();
    let error_of_weights = 2.0
        * (predictor * (w_norm * t + b_norm * root) + residual * squares.sqrt())
        + 4.0 * f64::EPSILON * objective.l2 * w_norm;
    let error_of_bias = 2.0 * (predictor * (w_norm * root + b_norm * largest) + residual);

    let (by_weights, by_biases) = objective.split(&point.value.gradient);
    let along_weights = norm(by_weights) * EXACT + error_of_weights;
    let along_bias = if objective.fit_bias {
        norm(by_biases) + error_of_bias
    } else {
        0.0
    };
    let rest = 1.0 - rate * along_bias / least;
    if objective.fit_bias && (rest <= 0.0 || rest.is_nan()) {
        return Ok(f64::INFINITY);
    }
    // δ = −ln(1 − x) ≤ x / (1 − x), and e^δ = 1 / (1 − x); with the rate √2, the same of √2 δ.
    let (distance, growth) = if objective.fit_bias {
        ((1.0 - rest) / rate / rest, 1.0 / rest)
    } else {
        (0.0, 1.0)
    };
    let closed = along_weights + distance * growth * root * EXACT;
    let gap = along_bias * distance + closed * closed / (2.0 * objective.l2) * EXACT;
    Ok(if gap.is_nan() { f64::INFINITY } else { gap })
}

fn norm(x: &[f64]) -> f64 {
    match x {
        [x] => x.abs(),
        _ => dot(x, x).sqrt(),
    }
}
