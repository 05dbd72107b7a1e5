//! The point of a cone that is nearest to a target: least squares with non-negative coefficients.
//!
//! Source: C. Lawson & R. Hanson, *Solving Least Squares Problems* (1974), ch. 23, the active set method. An orthogonal
//! factorisation of the rows with positive coefficients is updated when such a row is added or removed.

use crate::linalg::{add_multiple, dot, norm};

/// A row counts as linearly dependent on the passive rows (the rows with positive coefficients) if its distance from
/// their span is at most this.
const DEPENDENT: f64 = 1e-10;
/// A row gets a positive coefficient only if its dot product with the residual (target − nearest point) exceeds this
/// fraction of the residual's norm.
const USELESS: f64 = 1e-12;

/// The cone of all combinations of some unit vectors ("rows") with non-negative coefficients, and its point nearest to
/// `target`. A row is passive if its coefficient is positive.
pub(crate) struct Cone {
    dimension: usize,
    target: Vec<f64>,
    /// The rows, of unit length.
    rows: Vec<Vec<f64>>,
    /// The rows with a positive coefficient (passive rows), by index, and the coefficients.
    passive: Vec<(usize, f64)>,
    /// An orthonormal basis of the span of the passive rows.
    basis: Vec<Vec<f64>>,
    /// The coordinates of each passive row in `basis`, which form an upper triangular matrix (QR factorisation).
    upper: Vec<Vec<f64>>,
    /// `target` − the nearest point found so far.
    residual: Vec<f64>,
}

impl Cone {
    /// A cone without rows, which is only the point 0.
    pub(crate) fn new(target: Vec<f64>) -> Self {
        Cone {
            dimension: target.len(),
            residual: target.clone(),
            target,
            rows: Vec::new(),
            passive: Vec::new(),
            basis: Vec::new(),
            upper: Vec::new(),
        }
    }

    /// Adds a row of unit length.
    pub(crate) fn add(&mut self, row: Vec<f64>) {
        debug_assert_eq!(row.len(), self.dimension);
        self.rows.push(row);
    }

    /// `target` − the nearest point. After [`Cone::solve`], no row has a positive dot product with this difference, up
    /// to rounding.
    pub(crate) fn residual(&self) -> &[f64] {
        &self.residual
    }

    /// Finds the nearest point.
    pub(crate) fn solve(&mut self) {
        // A row waits if, because of rounding errors, its coefficient cannot become positive. The row is tried again
        // once the residual is shorter.
        let mut waits = vec![false; self.rows.len()];
        // Each step shortens the residual in exact arithmetic. Rounding could make the steps repeat for ever, so their
        // number is limited.
        for _ in 0..20 * (self.dimension + self.rows.len()) {
            let Some(next) = self.most_useful(&waits) else {
                return;
            };
            let before = norm(&self.residual);
            if !self.enter(next) {
                waits[next] = true;
                continue;
            }
            self.settle();
            self.update_residual();
            if norm(&self.residual) < before {
                waits.fill(false);
            }
            waits[next] = !self.passive.iter().any(|&(row, _)| row == next);
        }
    }

    /// The row to use next: the one with the largest dot product with the residual, among the rows with coefficient 0
    /// that do not wait. `None` if no dot product exceeds [`USELESS`] times the residual's norm.
    fn most_useful(&self, waits: &[bool]) -> Option<usize> {
        let least = USELESS * norm(&self.residual).max(f64::MIN_POSITIVE);
        let mut best = (None, least);
        for (i, row) in self.rows.iter().enumerate() {
            if !waits[i] && !self.passive.iter().any(|&(row, _)| row == i) {
                let use_ = dot(row, &self.residual);
                if use_ > best.1 {
                    best = (Some(i), use_);
                }
            }
        }
        best.0
    }

    /// Makes a row passive. Its coefficient is 0 until [`Cone::settle`] computes the coefficients. Does nothing if the
    /// row is linearly dependent on the passive rows. Returns whether the row was added.
    fn enter(&mut self, row: usize) -> bool {
        let mut rest = self.rows[row].clone();
        let coordinates = self.take_out_basis(&mut rest);
        let left = norm(&rest);
        if left <= DEPENDENT {
            return false;
        }
        rest.iter_mut().for_each(|x| *x /= left);
        let mut column = coordinates;
        column.push(left);
        self.basis.push(rest);
        self.upper.push(column);
        self.passive.push((row, 0.0));
        true
    }

    /// Subtracts from `x` its projection onto the span of `basis`. This is done twice, to remove rounding errors.
    /// Returns the coordinates of the projection.
    fn take_out_basis(&self, x: &mut [f64]) -> Vec<f64> {
        let mut coordinates = vec![0.0; self.basis.len()];
        for _ in 0..2 {
            for (q, coordinate) in self.basis.iter().zip(&mut coordinates) {
                let part = dot(q, x);
                *coordinate += part;
                add_multiple(x, -part, q);
            }
        }
        coordinates
    }

    /// Solves the least-squares problem for the passive rows. Removes rows whose coefficients would not be positive,
    /// until all coefficients are positive.
    fn settle(&mut self) {
        while !self.passive.is_empty() {
            let wanted = self.least_squares();
            let pairs = self.passive.iter().zip(&wanted);
            let steps = pairs.filter(|(_, wanted)| **wanted <= 0.0);
            let step = steps
                .map(|((_, now), wanted)| now / (now - wanted))
                .fold(1.0, f64::min);
            for ((_, now), wanted) in self.passive.iter_mut().zip(&wanted) {
                *now += step * (wanted - *now);
            }
            let leaves = |((_, now), wanted): (&(usize, f64), &f64)| {
                *wanted <= 0.0 && *now <= f64::EPSILON * wanted.abs().max(f64::MIN_POSITIVE)
            };
            let mut leaving: Vec<bool> = self.passive.iter().zip(&wanted).map(leaves).collect();
            if wanted.iter().all(|&wanted| wanted > 0.0) {
                return;
            }
            if !leaving.contains(&true) {
                // Because of rounding errors, no coefficient has become exactly zero. The row with the least
                // coefficient, which limited the step, is removed.
                let limits = |i: &usize| wanted[*i] <= 0.0;
                let least = (0..leaving.len())
                    .filter(limits)
                    .min_by(|&a, &b| self.passive[a].1.total_cmp(&self.passive[b].1));
                if let Some(least) = least {
                    leaving[least] = true;
                }
            }
            for at in (0..leaving.len()).rev().filter(|&at| leaving[at]) {
                self.leave(at);
            }
        }
    }

    /// The least-squares coefficients of the target on the passive rows.
    fn least_squares(&self) -> Vec<f64> {
        let mut x: Vec<f64> = self.basis.iter().map(|q| dot(q, &self.target)).collect();
        for i in (0..x.len()).rev() {
            x[i] /= self.upper[i][i];
            let (before, rest) = x.split_at_mut(i);
            add_multiple(before, -rest[0], &self.upper[i][..i]);
        }
        x
    }

    /// Removes a row from the passive rows, and makes `upper` triangular again by rotations.
    fn leave(&mut self, at: usize) {
        self.passive.remove(at);
        self.upper.remove(at);
        for k in at..self.upper.len() {
            let (a, b) = (self.upper[k][k], self.upper[k][k + 1]);
            let length = (a * a + b * b).sqrt();
            let (c, s) = if length > 0.0 {
                (a / length, b / length)
            } else {
                (1.0, 0.0)
            };
            for column in &mut self.upper[k..] {
                let (x, y) = (column[k], column[k + 1]);
                (column[k], column[k + 1]) = (c * x + s * y, c * y - s * x);
            }
            self.upper[k].truncate(k + 1);
            let (first, second) = self.basis.split_at_mut(k + 1);
            for (x, y) in first[k].iter_mut().zip(second[0].iter_mut()) {
                (*x, *y) = (c * *x + s * *y, c * *y - s * *x);
            }
        }
        self.basis.pop();
    }

    fn update_residual(&mut self) {
        let mut residual = self.target.clone();
        self.take_out_basis(&mut residual);
        self.residual = residual;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shuffle::Random;

    #[test]
    fn no_row_helps_any_more() {
        let mut random = Random::new(5);
        for (dimension, rows) in [(1, 1), (2, 5), (3, 40), (7, 6), (7, 60), (20, 25)] {
            for _ in 0..20 {
                let mut vector = || -> Vec<f64> {
                    let x: Vec<f64> = (0..dimension).map(|_| random.uniform() - 0.3).collect();
                    let length = norm(&x);
                    x.iter().map(|x| x / length).collect()
                };
                let mut cone = Cone::new(vector());
                (0..rows).for_each(|_| cone.add(vector()));
                cone.solve();
                let residual = cone.residual();
                for row in &cone.rows {
                    assert!(dot(row, residual) <= 1e-10, "{}", dot(row, residual));
                }
                // The nearest point is a combination of passive rows, and is perpendicular to the residual.
                let mut nearest = cone.target.clone();
                add_multiple(&mut nearest, -1.0, residual);
                assert!(dot(&nearest, residual).abs() <= 1e-12);
                let mut sum = vec![0.0; dimension];
                for &(row, coefficient) in &cone.passive {
                    assert!(coefficient > 0.0);
                    add_multiple(&mut sum, coefficient, &cone.rows[row]);
                }
                add_multiple(&mut sum, -1.0, &nearest);
                assert!(norm(&sum) <= 1e-9);
            }
        }
    }
}
