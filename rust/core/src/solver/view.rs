//! The columns as all rows have them, or under a curvature of each row: in a basis where no digits are lost, with those named
//! that say nothing beside the columns before them.

use std::sync::Arc;

use super::certificate::scores;
use super::cholesky::Cholesky;
use super::objective::{Objective, dot};
use super::preconditioner::{
    Columns, LOST, NOTHING_LEFT, column_sums, penalty_between, penalty_diagonal, threads_for,
};
use super::run::Run;
use crate::error::Error;
use crate::kernel::{self, Basis, Gram};

/// How often the basis is made better before columns that still lose their digits are looked at by themselves.
const ROUNDS: usize = 16;
/// Part of the loss that moving the weights of aliased columns may add.
pub(super) const LOSES: f64 = 1e-8;
/// Part of a column's spread below which a coefficient of its combination is rounding.
const COEFFICIENT: f64 = 1e-9;

/// A column that says nothing beside the columns before it, and has weight 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The column.
    pub column: usize,
    /// The columns that it is a combination of; none if it is constant.
    pub columns: Vec<usize>,
    /// Their coefficients.
    pub coefficients: Vec<f64>,
    /// What is to be added to the combination.
    pub constant: f64,
}

/// The columns that say nothing beside those before them, by all rows.
///
/// # Errors
///
/// [`Error::Interrupted`] by the observer.
pub(crate) fn dependent(objective: &Objective<'_>, run: &mut Run<'_>) -> Result<Vec<usize>, Error> {
    let view = View::of_all_rows(objective, run)?;
    Ok(view.map_or(Vec::new(), |view| view.dependent))
}

/// These, as what they are combinations of; their weights at `v` go to those columns. None, and `v` as it was, if that adds to
/// the loss: weights are then so large that rounding is all there is.
///
/// # Errors
///
/// [`Error::Memory`] without room for scores; [`Error::Interrupted`] by the observer.
pub(crate) fn aliases(
    objective: &Objective<'_>,
    v: &mut [f64],
    run: &mut Run<'_>,
) -> Result<Option<Vec<Alias>>, Error> {
    let Some(view) = View::of_all_rows(objective, run)? else {
        return Ok(Some(Vec::new()));
    };
    let mut moved = v.to_vec();
    let aliased = view.aliases(objective, &mut moved);
    if v == moved {
        return Ok(Some(aliased));
    }
    let threads = objective.threads_to_read();
    let loss = |v: &[f64], run: &mut Run<'_>| {
        let scores = scores(objective, v, run)?;
        let points = objective.points;
        let residuals = kernel::residuals(points, &scores.z, threads, run.monitor())?;
        Ok::<_, Error>(residuals.error / residuals.weight)
    };
    let (before, after) = (loss(v, run)?, loss(&moved, run)?);
    Ok((after <= before * (1.0 + LOSES)).then(|| {
        v.copy_from_slice(&moved);
        aliased
    }))
}

/// 1 for each row of positive weight, 0 for the others.
fn counted(objective: &Objective<'_>) -> Vec<f64> {
    let mut s = vec![1.0; objective.rows()];
    if let Some(weights) = objective.points.sample_weight {
        weights.copy(objective.points.rows, 0, &mut s);
    }
    s.iter_mut()
        .for_each(|s| *s = if *s > 0.0 { 1.0 } else { 0.0 });
    s
}

/// The columns under a curvature of each row, in a basis where no digits are lost.
#[derive(Clone)]
pub(crate) struct View {
    pub(super) basis: Arc<Basis>,
    pub(super) gram: Gram,
    pub(super) columns: Columns,
    /// Reciprocal root of what is left of each column, seen from the bias, with the penalty; 0 of columns left out.
    pub(super) scale: Vec<f64>,
    /// Columns of which nothing is left beside the columns before them.
    pub(super) dependent: Vec<usize>,
    /// Of [`View::matrix`].
    pub(super) factor: Option<Cholesky>,
}

impl View {
    /// Under the curvatures `d`, one a row. None if the sums are not finite, or a column cannot be told from those before it
    /// though something is left of it. The basis is made better as it turns out.
    pub(super) fn new(
        objective: &Objective<'_>,
        d: &[f64],
        mut basis: Arc<Basis>,
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let (points, threads) = (objective.points, threads_for(objective, true));
        let weight = points.weight();
        for round in 1.. {
            run.passes += objective.cost;
            let gram = kernel::gram_of(points, d, weight, &basis, threads, run.monitor())?;
            let Some(mut view) = View::of(objective, basis, gram) else {
                return Ok(None);
            };
            let factor = Cholesky::new(view.matrix(objective), &view.least(), run.monitor())?;
            let is_dependent = |j: &usize| view.dependent.binary_search(j).is_ok();
            let is_lost = |j: &usize| {
                let is_nothing = view.columns.is_nothing(*j, factor.pivot(*j));
                factor.is_left_out(*j) || (is_nothing && objective.l2 == 0.0)
            };
            let lost = (0..view.scale.len()).filter(|j| is_lost(j) && !is_dependent(j));
            let lost: Vec<usize> = lost.collect();
            match view.improved(&factor, &lost) {
                Some(better) if round < ROUNDS => basis = Arc::new(better),
                _ => {
                    view.factor = Some(factor);
                    return Ok(lost.is_empty().then_some(view));
                }
            }
        }
        unreachable!("the last round returns")
    }

    /// As all rows have them, whatever is predicted.
    pub(crate) fn of_all_rows(
        objective: &Objective<'_>,
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        if let Some(view) = &run.of_all_rows {
            return Ok(view.clone());
        }
        let points = objective.points;
        let mut basis = Basis::sampled(points, objective.fit_bias, objective.l2 > 0.0);
        if basis.has_unknown_units() {
            run.passes += objective.cost;
            let (classes, threads) = (objective.classes, objective.threads_to_read());
            let ranges = kernel::ranges(points, classes, threads, run.monitor())?;
            basis.set_unknown_units(|column, origin| ranges.spread(column, origin));
        }
        let view = View::new(objective, &counted(objective), Arc::new(basis), run)?;
        run.of_all_rows = Some(view.clone());
        Ok(view)
    }

    /// The basis, the columns' means in it and the reciprocals of their standard deviations, 0 of columns that are
    /// combinations of others.
    pub(crate) fn into_parts(self) -> (Arc<Basis>, Vec<f64>, Vec<f64>) {
        (self.basis, self.columns.mean, self.scale)
    }

    fn of(objective: &Objective<'_>, basis: Arc<Basis>, gram: Gram) -> Option<Self> {
        let sums = column_sums(&gram);
        if !gram.lower.iter().all(|x| x.is_finite()) || sums.bias <= 0.0 {
            return None;
        }
        let columns = Columns::new(&sums, &basis, objective.fit_bias, objective.epsilon);
        let penalty = penalty_diagonal(&basis, objective.l2);
        let is_free = objective.l2 == 0.0;
        let n = basis.columns();
        let excluded = objective.excluded;
        let is_out = |j: &usize| is_free && (columns.negligible[*j] || excluded.contains(j));
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

    /// The scaled Hessian by weights of one predictor with these curvatures.
    fn matrix(&self, objective: &Objective<'_>) -> Vec<f64> {
        let n = self.scale.len();
        let mut matrix = vec![0.0; n * n];
        self.put(&self.gram, |i, j, covariance| {
            if j < i && i < n {
                matrix[i * n + j] = covariance * self.scale[i] * self.scale[j];
            }
        });
        if objective.l2 > 0.0 {
            penalty_between(&self.basis, |i, j, product| {
                matrix[i * n + j] += objective.l2 * product * self.scale[i] * self.scale[j];
            });
        }
        for i in 0..n {
            matrix[i * n + i] = 1.0;
        }
        matrix
    }

    /// The least pivots that still have digits.
    fn least(&self) -> Vec<f64> {
        let (n, gram) = (self.scale.len(), &self.gram);
        let least = |(j, scale): (usize, &f64)| {
            let cancelled = gram.lower[j * (n + 2)] / gram.weight * scale * scale;
            f64::max(LOST, 64.0 * n as f64 * f64::EPSILON * cancelled)
        };
        self.scale.iter().enumerate().map(least).collect()
    }

    /// A basis that keeps digits which this one loses; none if there is none.
    fn improved(&self, factor: &Cholesky, lost: &[usize]) -> Option<Basis> {
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

    /// Calls `put` with each element i ≥ j of a Gram matrix in this view's basis, per unit of weight and with the columns
    /// seen from this view's means.
    pub(super) fn put(&self, gram: &Gram, mut put: impl FnMut(usize, usize, f64)) {
        for i in 0..gram.order {
            for j in 0..=i {
                put(i, j, self.covariance(gram, i, j));
            }
        }
    }

    /// The element i ≥ j of these, the bias being last.
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

    /// The dependent columns, whose weights at `v` go to those that they are combinations of.
    pub(super) fn aliases(&self, objective: &Objective<'_>, v: &mut [f64]) -> Vec<Alias> {
        let aliased: Vec<Alias> = self.dependent.iter().map(|&j| self.alias(j)).collect();
        for alias in aliased.iter().rev() {
            alias.move_weights(objective, v);
        }
        aliased
    }

    /// The combination that a dependent column is.
    pub(super) fn alias(&self, column: usize) -> Alias {
        // Of the basis's combination, the digits that did not matter to it.
        let covariance = |k: usize| self.covariance(&self.gram, column, k) * self.scale[k];
        let mut more: Vec<f64> = (0..column).map(covariance).collect();
        let is_simple = |(j, _): (usize, &[f64])| self.dependent.binary_search(&j).is_ok();
        match &self.factor {
            Some(factor) if self.basis.combinations().all(is_simple) => factor.solve(&mut more),
            _ => more.fill(0.0), // of columns that are small themselves, there are no such digits
        }
        let mut weights = vec![0.0; self.scale.len()];
        weights[column] = 1.0;
        for (weight, (more, scale)) in weights.iter_mut().zip(more.iter().zip(&self.scale)) {
            *weight = -more * scale;
        }
        let mean = &self.columns.mean;
        let at_mean = dot(&weights, mean);
        // x̃ = weights · x + shift is this in all rows.
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
    /// Gives the weight of the column to those that it is a combination of.
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
