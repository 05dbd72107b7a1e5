//! The penalty on the weights: its value, gradient, curvature, shrinkage per step, and convex conjugate. Biases are not
//! penalised.

use crate::error::Error;
use crate::kernel::Basis;
use crate::linalg::dot;

/// (l2/2) ‖w‖²
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalty {
    l2: f64,
}

impl Penalty {
    /// No penalty.
    pub const NONE: Penalty = Penalty { l2: 0.0 };

    /// The penalty of that strength.
    ///
    /// # Errors
    ///
    /// [`Error::Number`] if `l2` is negative or not finite.
    pub fn new(l2: f64) -> Result<Self, Error> {
        match (0.0..f64::INFINITY).contains(&l2) {
            true => Ok(Penalty { l2 }),
            false => Err(Error::Number {
                argument: "l2",
                expected: "finite and not negative",
                got: l2,
            }),
        }
    }

    /// Whether `l2` is 0.
    pub(crate) fn is_none(self) -> bool {
        self.l2 == 0.0
    }

    pub(crate) fn value(self, weights: &[f64]) -> f64 {
        if self.is_none() {
            return 0.0; // even if the squares overflow
        }
        0.5 * self.l2 * weights.iter().map(|w| w * w).sum::<f64>()
    }

    /// The derivative by one weight: `l2 · weight`.
    pub(crate) fn slope(self, weight: f64) -> f64 {
        self.l2 * weight
    }

    /// `aᵀ H b` for two directions of the weights, with the penalty's Hessian H.
    pub(crate) fn product(self, a: &[f64], b: &[f64]) -> f64 {
        if self.is_none() {
            return 0.0; // even if the products overflow
        }
        self.l2 * dot(a, b)
    }

    /// The part of itself that each weight loses in a gradient step of length `step`: w ← w − step · l2 · w.
    pub(crate) fn shrinkage(self, step: f64) -> f64 {
        step * self.l2
    }

    /// The convex conjugate at a vector of this norm: `max_u g·u − (l2/2)‖u‖²` with ‖g‖ = `norm`.
    pub(crate) fn conjugate(self, norm: f64) -> f64 {
        norm * norm / (2.0 * self.l2)
    }

    /// The diagonal of the penalty's Hessian by weights in the coordinates of a basis.
    pub(crate) fn diagonal(self, basis: &Basis) -> Vec<f64> {
        if self.is_none() {
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
        if self.is_none() {
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
