//! The penalty on the weights: its value, gradient, curvature, proximal step, shrinkage per step, and convex conjugate.
//! Biases are not penalised.

use crate::error::Error;
use crate::kernel::Basis;
use crate::linalg::dot;

/// l1 Σ |w_j| + (l2/2) ‖w‖²: the elastic net. Its smooth part is the second term.
///
/// Source: H. Zou & T. Hastie, "Regularization and variable selection via the elastic net", J. R. Stat. Soc. B 67 (2005),
/// doi:10.1111/j.1467-9868.2005.00503.x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalty {
    l1: f64,
    l2: f64,
}

impl Penalty {
    /// No penalty.
    pub const NONE: Penalty = Penalty { l1: 0.0, l2: 0.0 };

    /// (l2/2) ‖w‖²
    ///
    /// # Errors
    ///
    /// [`Error::Number`] if `l2` is negative or not finite.
    pub fn new(l2: f64) -> Result<Self, Error> {
        check("l2", l2)?;
        Ok(Penalty { l1: 0.0, l2 })
    }

    /// The same with l1 Σ |w_j| added.
    ///
    /// # Errors
    ///
    /// [`Error::Number`] if `l1` is negative or not finite.
    pub fn with_l1(self, l1: f64) -> Result<Self, Error> {
        check("l1", l1)?;
        Ok(Penalty { l1, ..self })
    }

    /// Whether `l1` and `l2` are 0.
    pub(crate) fn is_none(self) -> bool {
        self.l1 == 0.0 && self.l2 == 0.0
    }

    /// Whether the penalty has a derivative everywhere.
    pub(crate) fn is_smooth(self) -> bool {
        self.l1 == 0.0
    }

    /// The strength of Σ |w_j|.
    pub(crate) fn l1(self) -> f64 {
        self.l1
    }

    pub(crate) fn value(self, weights: &[f64]) -> f64 {
        let (mut sum, mut squares) = (0.0, 0.0);
        // A factor of 0 gives 0 even if the squares overflow.
        if self.l1 > 0.0 {
            sum = self.l1 * weights.iter().map(|w| w.abs()).sum::<f64>();
        }
        if self.l2 > 0.0 {
            squares = 0.5 * self.l2 * weights.iter().map(|w| w * w).sum::<f64>();
        }
        sum + squares
    }

    /// The derivative of smallest magnitude that the objective has by a weight, given the derivative `slope` of its smooth
    /// part: 0 at an optimum.
    pub(crate) fn least_slope(self, weight: f64, slope: f64) -> f64 {
        least_slope(weight, slope, self.l1)
    }

    /// The derivative of the smooth part by a weight.
    pub(crate) fn slope(self, weight: f64) -> f64 {
        self.l2 * weight
    }

    /// `aᵀ H b` for two directions of the weights, with the penalty's Hessian H.
    pub(crate) fn product(self, a: &[f64], b: &[f64]) -> f64 {
        if self.l2 == 0.0 {
            return 0.0; // even if the products overflow
        }
        self.l2 * dot(a, b)
    }

    /// The part of itself that each weight loses in a gradient step of length `step`: w ← w − step · l2 · w.
    pub(crate) fn shrinkage(self, step: f64) -> f64 {
        step * self.l2
    }

    /// The largest κ ≤ 1 for which the dual point of derivatives of up to `largest` in magnitude, times κ, is feasible.
    pub(crate) fn dual_scale(self, largest: f64) -> f64 {
        match self.l2 == 0.0 && largest > self.l1 {
            true => self.l1 / largest * (1.0 - 4.0 * f64::EPSILON),
            false => 1.0,
        }
    }

    /// Upper bound on R(w) + R*(−g) + g w, R being the penalty of one weight and R* its conjugate: what is missing of
    /// Fenchel's equality. g is a feasible derivative of the mean error by the weight, which may be off by `error`.
    ///
    /// With a = −g, limited to ±l1, and t = (−g − a) / l2, or 0, it is (l2/2) (w − t)² + l1 |w| − a w.
    pub(crate) fn dual_distance(self, weight: f64, g: f64, error: f64) -> f64 {
        let a = (-g).clamp(-self.l1, self.l1);
        let (mut t, mut of_error) = (0.0, 0.0);
        if self.l2 > 0.0 {
            t = (-g - a) / self.l2;
            of_error = error * error / (2.0 * self.l2);
        }
        let apart = weight - t;
        let of_l1 = self.l1 * weight.abs() - a * weight;
        // The difference may be as small as the rounding of its terms.
        let rounding = 4.0 * f64::EPSILON * self.l1 * weight.abs();
        0.5 * self.l2 * apart * apart + of_l1 + rounding + error * apart.abs() + of_error
    }

    /// The convex conjugate of (l2/2) ‖w‖² at a vector of this norm: `max_u g·u − (l2/2)‖u‖²` with ‖g‖ = `norm`.
    pub(crate) fn conjugate(self, norm: f64) -> f64 {
        norm * norm / (2.0 * self.l2)
    }

    /// The diagonal of the penalty's Hessian by weights in the coordinates of a basis.
    pub(crate) fn diagonal(self, basis: &Basis) -> Vec<f64> {
        if self.l2 == 0.0 {
            return vec![0.0; basis.columns()];
        }
        let per_unit = basis.per_unit().iter();
        let mut diagonal: Vec<f64> = per_unit.map(|unit| self.l2 * unit * unit).collect();
        for (j, _) in basis.combinations() {
            let w = basis.natural_weights(j);
            diagonal[j] = self.product(&w, &w);
        }
        diagonal
    }

    /// Calls `put(i, j, element)` with each element i > j of the Hessian of [`Penalty::diagonal`] that may not be zero.
    pub(crate) fn between(self, basis: &Basis, mut put: impl FnMut(usize, usize, f64)) {
        if self.l2 == 0.0 {
            return;
        }
        let combined: Vec<(usize, Vec<f64>)> = basis
            .combinations()
            .map(|(j, _)| (j, basis.natural_weights(j)))
            .collect();
        for (at, (i, w)) in combined.iter().enumerate() {
            for j in 0..*i {
                let product = match combined[..at].binary_search_by_key(&j, |(j, _)| *j) {
                    Ok(other) => dot(w, &combined[other].1),
                    Err(_) => w[j] * basis.per_unit()[j],
                };
                put(*i, j, self.l2 * product);
            }
        }
    }
}

/// The derivative of smallest magnitude that f(x) + t |x| has at `x`, given the derivative `slope` of f.
pub(crate) fn least_slope(x: f64, slope: f64, t: f64) -> f64 {
    if t == 0.0 {
        slope
    } else if x == 0.0 {
        soft_threshold(slope, t)
    } else {
        slope + t.copysign(x)
    }
}

/// The proximal step of t |x|: x moved by t towards 0, and 0 if it is nearer.
pub(crate) fn soft_threshold(x: f64, t: f64) -> f64 {
    if x > t {
        x - t
    } else if x < -t {
        x + t
    } else {
        0.0
    }
}

fn check(argument: &'static str, strength: f64) -> Result<(), Error> {
    match (0.0..f64::INFINITY).contains(&strength) {
        true => Ok(()),
        false => Err(Error::Number {
            argument,
            expected: "finite and not negative",
            got: strength,
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn gradient_and_curvature_are_those_of_the_value() {
        let penalty = Penalty::new(0.75).unwrap();
        let (w, d) = ([1.0, -2.0, 0.5], [0.25, 1.0, -3.0]);
        let at = |t: f64| {
            let moved: Vec<f64> = w.iter().zip(d).map(|(w, d)| w + t * d).collect();
            penalty.value(&moved)
        };
        let slope: f64 = w.iter().zip(d).map(|(w, d)| penalty.slope(*w) * d).sum();
        // A quadratic is the sum of its Taylor terms.
        let there = at(0.0) + slope + 0.5 * penalty.product(&d, &d);
        assert!((at(1.0) - there).abs() < 1e-14);
        // The conjugate is attained at u = g / l2.
        let u: Vec<f64> = d.iter().map(|g| g / 0.75).collect();
        let gained = dot(&d, &u) - penalty.value(&u);
        assert!((penalty.conjugate(dot(&d, &d).sqrt()) - gained).abs() < 1e-13);
    }

    #[test]
    fn a_basis_changes_coordinates_not_the_penalty() {
        let penalty = Penalty::new(2.0).unwrap();
        let mut basis = Basis::new(vec![3.0, -1.0, 0.5], vec![0.5, 2.0, 0.25]);
        basis.take_out(2, &[0.5, 0.125], &[1.0, 1.0]);
        let u = [1.0, -0.5, 2.0];
        let mut natural = u.to_vec();
        basis.to_natural(&mut natural);
        let mut squares: f64 = (penalty.diagonal(&basis).iter().zip(u))
            .map(|(h, u)| h * u * u)
            .sum();
        penalty.between(&basis, |i, j, h| squares += 2.0 * h * u[i] * u[j]);
        assert!((0.5 * squares - penalty.value(&natural)).abs() < 1e-12);
        assert!(Penalty::new(-1.0).is_err() && Penalty::new(f64::NAN).is_err());
    }
}
