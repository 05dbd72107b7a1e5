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

use super::objective::{Objective, Point, dot};
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel;
use crate::parallel::{Monitor, STRIPE};

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
    let n = point.v.len() - 1;
    let (w, b) = (&point.v[..n], point.v[n]);
    let c = kernel::curvature(objective.points, w, b, objective.threads_to_read(), monitor)?;
    // The sums below are of positive terms, and right to a few thousand ε.
    let exact = 1.0 + 1e-9;
    let h = c.bias / c.weight / exact;
    let t = c.diagonal.iter().sum::<f64>() / c.weight * exact;
    let squares = c.squares.iter().sum::<f64>() / c.weight * exact;

    let epsilon = F::EPSILON.to_f64();
    let w_norm = dot(w, w).sqrt();
    let stripes = objective.rows() as f64 / STRIPE as f64;
    let (predictor, additions) = match objective.points.x {
        Features::Dense(_) => (epsilon * (n as f64 / F::LANES as f64 + 8.0), stripes / 64.0),
        Features::Sparse(x) => (
            epsilon * 8.0 + f64::EPSILON * x.longest_row() as f64,
            stripes + kernel::sparse::longest_run(&x), // all may be of one block
        ),
    };
    let sum = epsilon * (STRIPE as f64 + 16.0) + f64::EPSILON * (additions + 16.0);
    // |r| ≤ 1 and r² ≤ E_i, whatever the label.
    let residual = (8.0 * epsilon + sum) * point.value.loss.min(1.0).sqrt();
    let root = (h * t).sqrt();
    let error_of_weights = 2.0
        * (predictor * (w_norm * t + b.abs() * root) + residual * squares.sqrt())
        + 4.0 * f64::EPSILON * objective.l2 * w_norm;
    let error_of_bias = 2.0 * (predictor * (w_norm * root + b.abs() * h) + residual);

    let gradient = &point.value.gradient;
    let along_weights = dot(&gradient[..n], &gradient[..n]).sqrt() * exact + error_of_weights;
    let along_bias = if objective.fit_bias {
        gradient[n].abs() + error_of_bias
    } else {
        0.0
    };
    let rest = 1.0 - along_bias / h;
    if objective.fit_bias && (rest <= 0.0 || rest.is_nan()) {
        return Ok(f64::INFINITY);
    }
    // δ = −ln(1 − x) ≤ x / (1 − x), and e^δ = 1 / (1 − x).
    let (distance, growth) = if objective.fit_bias {
        ((1.0 - rest) / rest, 1.0 / rest)
    } else {
        (0.0, 1.0)
    };
    let closed = along_weights + distance * growth * root * exact;
    let gap = along_bias * distance + closed * closed / (2.0 * objective.l2) * exact;
    Ok(if gap.is_nan() { f64::INFINITY } else { gap })
}
