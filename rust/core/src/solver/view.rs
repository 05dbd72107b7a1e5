//! `View`: means and covariances of the columns of X, for given weights of the rows, computed such that no digits
//! cancel. `Alias`: a column that is a linear combination of columns before it.

use std::sync::Arc;

use super::cholesky::Cholesky;
use super::columns::{Columns, LOST, NOTHING_LEFT, column_sums};
use super::objective::Objective;
use crate::kernel::{Basis, Gram};
use crate::linalg::dot;
use crate::penalty::WeightPenalty;

/// In a column that is a linear combination of others, a coefficient is taken for rounding error, and left out, if it
/// is small: if |coefficient| × spread of its column is below this times the spread of the combined column.
const COEFFICIENT: f64 = 1e-9;

/// A column that is a linear combination of columns before it; its weight in the fit is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The index of the column.
    pub column: usize,
    /// The columns of the combination; none if the column is constant.
    pub columns: Vec<usize>,
    /// The coefficients of these columns, in the same order.
    pub coefficients: Vec<f64>,
    /// The constant term of the combination.
    pub constant: f64,
}

/// Means, covariances and dependences of the columns of X, where row i is weighted by its curvature d_i. The columns
/// are first transformed linearly by a basis, so that no digits cancel. X̃ denotes the transformed columns.
#[derive(Clone)]
pub(crate) struct View {
    pub(super) basis: Arc<Basis>,
    /// `[X̃ 1]ᵀ D [X̃ 1]`, with the curvatures d_i as the diagonal of D.
    pub(super) gram: Gram,
    pub(super) columns: Columns,
    /// 1 / √(variance + l2 penalty) for each column; 0 for columns that are left out.
    pub(super) scale: Vec<f64>,
    /// Columns whose weight is not determined: they are linear combinations of columns before them, or their bounds
    /// allow only a single weight.
    pub(super) dependent: Vec<usize>,
    /// The Cholesky factor of [`View::matrix`], once it is computed.
    pub(super) factor: Option<Cholesky>,
}

impl View {
    /// The basis, the means of the transformed columns, and the reciprocals of the columns' standard deviations.
    /// Columns that are linear combinations of others have 0 instead of a reciprocal.
    pub(crate) fn into_parts(self) -> (Arc<Basis>, Vec<f64>, Vec<f64>) {
        (self.basis, self.columns.mean, self.scale)
    }

    /// The view from a Gram matrix computed in `basis`; `None` if its sums are not finite or no row has weight.
    pub(super) fn of(objective: &Objective<'_>, basis: Arc<Basis>, gram: Gram) -> Option<Self> {
        let sums = column_sums(&gram);
        if !gram.lower.iter().all(|x| x.is_finite()) || sums.bias <= 0.0 {
            return None;
        }
        let columns = Columns::new(
            &sums,
            &basis,
            objective.fit_bias,
            objective.precision.epsilon(),
        );
        let penalty = objective.penalty.diagonal(&basis);
        let n = basis.columns();
        let excluded = objective.excluded;
        let is_out = |j: &usize| {
            let penalty = objective.penalty;
            let is_nothing = columns.negligible[*j] || excluded.contains(j);
            penalty.all_of_column(*j, WeightPenalty::is_fixed)
                || (is_nothing && penalty.all_of_column(*j, WeightPenalty::is_free))
        };
        let dependent: Vec<usize> = (0..n).filter(is_out).collect();
        let mut scale: Vec<f64> = (columns.centred.iter().zip(penalty))
            .map(|(left, penalty)| 1.0 / (left.max(0.0) / gram.weight + penalty).sqrt())
            .collect();
        for &j in &dependent {
            scale[j] = 0.0;
        }
        scale.iter().all(|s| s.is_finite()).then_some(View {
            basis,
            gram,
            columns,
            scale,
            dependent,
            factor: None,
        })
    }

    /// The lower triangle of the Hessian of one score by the weights of the transformed columns. The Hessian is scaled
    /// such that its diagonal is 1.
    pub(super) fn matrix(&self, objective: &Objective<'_>) -> Vec<f64> {
        let n = self.scale.len();
        let mut matrix = vec![0.0; n * n];
        self.for_each_covariance(&self.gram, |i, j, covariance| {
            if j < i && i < n {
                matrix[i * n + j] = covariance * self.scale[i] * self.scale[j];
            }
        });
        objective.penalty.between(&self.basis, |i, j, h| {
            matrix[i * n + j] += h * self.scale[i] * self.scale[j];
        });
        for i in 0..n {
            matrix[i * n + i] = 1.0;
        }
        matrix
    }

    /// For each column, the least pivot in the factorisation of [`View::matrix`] that still has enough digits.
    pub(super) fn least(&self) -> Vec<f64> {
        let (n, gram) = (self.scale.len(), &self.gram);
        let least = |(j, scale): (usize, &f64)| {
            let cancelled = gram.lower[j * (n + 2)] / gram.weight * scale * scale;
            f64::max(LOST, 64.0 * n as f64 * f64::EPSILON * cancelled)
        };
        self.scale.iter().enumerate().map(least).collect()
    }

    /// A basis in which fewer digits cancel. Columns whose means are far from their origins get new origins. If there
    /// are no such columns, a linear combination of the columns before it is subtracted from each column in `lost`.
    /// `None` if nothing changes.
    pub(super) fn improved(&self, factor: &Cholesky, lost: &[usize]) -> Option<Basis> {
        let mut better = Basis::clone(&self.basis);
        better.leave_alone(&self.dependent);
        for &j in &self.columns.far {
            better.move_origin(j, self.columns.mean[j]);
        }
        if self.columns.far.is_empty() {
            for &j in lost {
                let t = factor.regression(j);
                let t = t.iter().zip(&self.scale);
                let t: Vec<f64> = t.map(|(t, scale)| t * scale / self.scale[j]).collect();
                let size: Vec<f64> = self.scale[..j].iter().map(|scale| 1.0 / scale).collect();
                better.take_out(j, &t, &size);
            }
        }
        (better != *self.basis).then_some(better)
    }

    /// Calls `put(i, j, element)` for all i ≥ j with the elements of a centred Gram matrix: `gram` after its columns
    /// are centred at the means of this view, divided by the sum of the sample weights. `gram` must be computed in this
    /// view's basis.
    pub(super) fn for_each_covariance(&self, gram: &Gram, mut put: impl FnMut(usize, usize, f64)) {
        for i in 0..gram.order {
            for j in 0..=i {
                put(i, j, self.covariance(gram, i, j));
            }
        }
    }

    /// The element (i, j), i ≥ j, that [`View::for_each_covariance`] passes to `put`; index n is the bias.
    fn covariance(&self, gram: &Gram, i: usize, j: usize) -> f64 {
        let (n, order) = (gram.order - 1, gram.order);
        let mean = |j: usize| self.columns.mean[j];
        let total = gram.lower[n * order + n];
        let cross = |j: usize| gram.lower[n * order + j];
        let element = gram.lower[i * order + j];
        let centred = match i < n {
            true => element - mean(i) * cross(j) - mean(j) * (cross(i) - mean(i) * total),
            false if j < n => element - mean(j) * total,
            false => element,
        };
        centred / gram.weight
    }

    /// The dependent columns as linear combinations of others. In `v`, the weights of the dependent columns become 0,
    /// and the weights of the columns in the combinations change such that scores stay the same.
    pub(super) fn aliases(&self, objective: &Objective<'_>, v: &mut [f64]) -> Vec<Alias> {
        let aliased: Vec<Alias> = self.dependent.iter().map(|&j| self.alias(j)).collect();
        for alias in aliased.iter().rev() {
            alias.move_weights(objective, v);
        }
        aliased
    }

    /// A dependent column as a linear combination of others.
    pub(super) fn alias(&self, column: usize) -> Alias {
        // The basis has subtracted a combination of other columns from the column. Its coefficients are rounded, so
        // that a remainder is left. A regression of the remainder on the columns before this column corrects the
        // coefficients.
        let covariance = |k: usize| self.covariance(&self.gram, column, k) * self.scale[k];
        let mut more: Vec<f64> = (0..column).map(covariance).collect();
        let is_simple = |(j, _): (usize, &[f64])| self.dependent.binary_search(&j).is_ok();
        match &self.factor {
            Some(factor) if self.basis.combinations().all(is_simple) => factor.solve(&mut more),
            _ => more.fill(0.0), // a correction would be less accurate than the combination itself
        }
        let mut weights = vec![0.0; self.scale.len()];
        weights[column] = 1.0;
        for (weight, (more, scale)) in weights.iter_mut().zip(more.iter().zip(&self.scale)) {
            *weight = -more * scale;
        }
        let mean = &self.columns.mean;
        let at_mean = dot(&weights, mean);
        // The transformed column is constant: in all rows x, weights · x + shift is its mean.
        let shift = self.basis.to_natural(&mut weights);
        let own = weights[column];
        let terms = weights.iter().zip(self.basis.origin());
        let terms = at_mean.abs() + terms.map(|(w, origin)| (w * origin).abs()).sum::<f64>();
        let constant = at_mean - shift;
        let is_rounding = constant.abs() <= NOTHING_LEFT * f64::EPSILON * terms;
        let constant = if is_rounding { 0.0 } else { constant / own };
        let spread = |j: usize| 1.0 / self.basis.per_unit()[j];
        let negligible = COEFFICIENT * spread(column);
        let pairs = (0..column).map(|j| (j, -weights[j] / own));
        let pairs = pairs.filter(|(j, t)| (t * spread(*j)).abs() > negligible);
        let (columns, coefficients) = pairs.unzip();
        Alias {
            column,
            columns,
            coefficients,
            constant,
        }
    }
}

impl Alias {
    /// Sets the weight of the alias's column to 0. Changes the weights of the columns in its combination, and the bias,
    /// such that scores stay the same.
    fn move_weights(&self, objective: &Objective<'_>, v: &mut [f64]) {
        let n = objective.columns();
        let at = v.len() - objective.classes;
        let (weights, biases) = v.split_at_mut(at);
        for (weights, bias) in weights.chunks_exact_mut(n).zip(biases) {
            let w = std::mem::take(&mut weights[self.column]);
            for (&j, t) in self.columns.iter().zip(&self.coefficients) {
                weights[j] += t * w;
            }
            if objective.fit_bias {
                *bias += self.constant * w;
            }
        }
    }
}
