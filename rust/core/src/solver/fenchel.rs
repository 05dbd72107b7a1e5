//! How far above the minimum an objective with an l1 penalty can be at most, by Fenchel duality.
//!
//! Of one score, with r_i = ŷ_i − y_i and d_i = ŷ_i (1 − ŷ_i), any q_i = κ (r_i − c d_i) + y_i with 0 < κ ≤ 1, |c| ≤ 1 and
//! Σ s_i (q_i − y_i) = 0 is dual feasible if, for G_j = Σ s_i (r_i − c d_i) x_ij / Σ s_i, κ |G_j| ≤ l1 wherever l2 = 0. Weak
//! duality then bounds the distance from the minimum by a sum of terms that are not negative:
//!
//! ```text
//! Σ s_i KL(q_i ‖ ŷ_i) / Σ s_i  +  Σ_j (l2/2) (w_j − t_j)² + l1 |w_j| − a_j w_j
//! a_j = −κ G_j, limited to ±l1        t_j = (−κ G_j − a_j) / l2, or 0
//! KL(q ‖ ŷ) ≤ (q − ŷ)² / d,   and   KL(q_i ‖ ŷ_i) ≤ (1 − κ) E_i + κ c² d_i
//! ```
//!
//! Source: for the dual, S. Shalev-Shwartz & T. Zhang, JMLR 14 (2013), §1; for the scaling into the feasible set, L. El Ghaoui,
//! V. Viallon & T. Rabbani, "Safe feature elimination for the lasso" (2010), arXiv:1009.4219; for the divergence, A. Gibbs &
//! F. Su, "On choosing and bounding probability metrics", Int. Stat. Rev. 70 (2002), doi:10.1111/j.1751-5823.2002.tb00178.x.

use super::duality::{EXACT, Moments, gradient_error};
use super::objective::{Iterate, Objective};
use super::run::Run;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::Basis;
use crate::linalg::norm;

/// Upper bound on objective − minimum at a iterate; ∞ where the bias is too far from its best. Rounding is counted. The iterate's
/// value must have been computed in `float64`.
///
/// # Errors
///
/// [`Error::Memory`] without room for scores; [`Error::Interrupted`] by the observer.
pub(super) fn gap(
    objective: &Objective<'_>,
    iterate: &Iterate,
    run: &mut Run<'_>,
) -> Result<f64, Error> {
    let (l1, l2) = (objective.penalty.l1(), objective.penalty.l2());
    run.passes += objective.cost;
    let at = objective.parameters(&iterate.v);
    let curvatures = objective.source.curvatures(&at, &mut run.job())?;
    let natural = Basis::natural(objective.columns());
    let (curvature, _) = curvatures.trace(&natural, &mut run.job())?;
    let moments = Moments::new(&curvature, curvature.bias / curvature.weight);
    let error = gradient_error(objective, iterate, &moments, Precision::Double);
    let (weights, _) = objective.split(&iterate.v);
    let (slopes, by_bias) = objective.split(&iterate.value.gradient);
    let h = curvature.bias / curvature.weight;
    // c, how far rounding may put it off, and what that changes in G.
    let (c, doubt) = match objective.fit_bias {
        true => (
            by_bias[0] / h,
            (error.by_biases + f64::EPSILON * by_bias[0].abs()) / h,
        ),
        false => (0.0, 0.0),
    };
    if c.is_nan() || c.abs() + doubt > 1.0 {
        return Ok(f64::INFINITY);
    }
    let cross: Vec<f64> = (curvature.cross.iter())
        .map(|cross| cross / curvature.weight)
        .collect();
    let unknown = error.by_weights + (doubt + 1e-9 * c.abs()) * norm(&cross);
    let pairs = weights.iter().zip(slopes.iter().zip(&cross));
    let of_loss: Vec<f64> = pairs
        .map(|(w, (slope, cross))| slope - objective.penalty.slope(*w) - c * cross)
        .collect();
    let largest = of_loss.iter().fold(0.0, |most: f64, g| most.max(g.abs())) + unknown;
    let kappa = match l2 == 0.0 && largest > l1 {
        true => l1 / largest * (1.0 - 4.0 * f64::EPSILON),
        false => 1.0,
    };
    let closing = (c.abs() + doubt).powi(2) * h * EXACT;
    let rest = 1.0 - kappa;
    let first_order = rest * iterate.value.loss + kappa * closing;
    let divergence = if rest > 0.0 {
        // ((1 − κ) r + κ c d)² / d
        let chi_square = run
            .scores(objective, &iterate.v)?
            .chi_square(&mut run.job())?;
        let chi_square = chi_square / curvature.weight * (1.0 + 1e-6) + 1e-14;
        let slope = by_bias.iter().sum::<f64>().abs() + error.by_biases;
        let mixed = 2.0 * rest * kappa * (c.abs() + doubt) * slope;
        let second_order = rest * rest * chi_square + mixed + kappa * kappa * closing;
        match second_order.is_nan() {
            true => first_order,
            false => second_order.min(first_order),
        }
    } else {
        closing
    };
    let (mut sum, mut distance) = (0.0, 0.0);
    for (w, g) in weights.iter().zip(&of_loss) {
        let u = -kappa * g;
        let a = u.clamp(-l1, l1);
        let t = if l2 > 0.0 { (u - a) / l2 } else { 0.0 };
        let apart = w - t;
        sum += 0.5 * l2 * apart * apart + (l1 * w.abs() - a * w);
        distance += apart * apart;
    }
    if l2 > 0.0 {
        sum += unknown * unknown / (2.0 * l2);
    }
    sum += unknown * distance.sqrt();
    // Of l1 |w| − a w: what is subtracted may be as large as the result is small.
    let cancelled: f64 = weights.iter().map(|w| l1 * w.abs()).sum();
    let bound = (divergence + sum) * EXACT + 4.0 * f64::EPSILON * cancelled;
    Ok(if bound.is_nan() { f64::INFINITY } else { bound })
}
