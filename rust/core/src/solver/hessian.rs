//! The Cholesky factor L of the objective's Hessian H, computed such that H − L Lᵀ is positive semidefinite in spite of
//! rounding errors.

use super::cholesky::Cholesky;
use super::objective::Objective;
use super::run::Run;
use super::view::View;
use crate::error::Error;
use crate::kernel::{self, Gram};
use crate::linalg::norm;
use crate::source::RowScores;

/// The factored Hessian by the free parameters. The columns are transformed linearly.
pub(super) struct Factored {
    /// For each class, its free parameters: the indices of the columns whose weights may change, and n for the bias.
    pub(super) free: Vec<Vec<usize>>,
    /// Factors that scale the diagonal of the Hessian to 1, one for each free parameter, class by class; 0 for columns
    /// left out.
    pub(super) scale: Vec<f64>,
    /// The Cholesky factor of the scaled Hessian minus `shift` · I. The number `shift` bounds the rounding errors of
    /// the scaled Hessian and of its factorisation.
    pub(super) factor: Cholesky,
}

impl Factored {
    /// Computes and factors the Hessian at the given scores of all rows. `None` if rounding errors leave open whether
    /// the Hessian is positive definite.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`]; [`Error::Interrupted`] by the observer.
    pub(super) fn new(
        objective: &Objective<'_>,
        view: &View,
        scores: &dyn RowScores,
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let mut of_pair = |k: usize, l: usize| {
            run.passes += objective.cost;
            scores.gram([k, l], &view.basis, &mut run.job())
        };
        let own: Vec<Gram> = match objective.classes {
            1 => vec![view.gram.clone()],
            classes => (0..classes)
                .map(|k| of_pair(k, k))
                .collect::<Result<_, _>>()?,
        };
        let unknowns = Unknowns::new(view, &own);
        let size = unknowns.all.len();
        let mut matrix = vec![0.0; size * size];
        for k in 0..objective.classes {
            for l in 0..k {
                unknowns.add(&mut matrix, [k, l], &of_pair(k, l)?, view, objective);
            }
            unknowns.add(&mut matrix, [k, k], &own[k], view, objective);
        }
        let mut scale = vec![0.0; size];
        for (at, &(_, j)) in unknowns.all.iter().enumerate() {
            let is_free = view.scale.get(j).map_or(objective.fit_bias, |s| *s != 0.0);
            if is_free {
                scale[at] = 1.0 / matrix[at * (size + 1)].sqrt();
            }
        }
        if !scale.iter().all(|scale| scale.is_finite()) {
            return Ok(None);
        }
        for i in 0..size {
            for j in 0..i {
                matrix[i * size + j] *= scale[i] * scale[j];
            }
            matrix[i * (size + 1)] = 1.0;
        }
        let shift = 2.0 * unknowns.rounding(view, &own, &scale, objective);
        for i in 0..size {
            matrix[i * (size + 1)] -= shift;
        }
        let factor = Cholesky::new(matrix, &vec![0.0; size], &mut run.job())?;
        let is_whole = (0..size).all(|i| !factor.is_left_out(i));
        Ok(is_whole.then_some(Factored {
            free: unknowns.free,
            scale,
            factor,
        }))
    }
}

/// The parameters that are unknowns, in the order of the Hessian's rows: class by class, first the weights, then the
/// bias. With several classes, adding the same number to a column's weights in all classes changes no probability. So
/// for each column, the weight of one class is fixed, and is not an unknown.
struct Unknowns {
    /// The columns of the unknowns, class by class; column n is the bias.
    free: Vec<Vec<usize>>,
    /// Class and column of each unknown.
    all: Vec<(usize, usize)>,
    /// The row of the Hessian for each class and column, shape (K, n + 1); `None` if that parameter is fixed.
    place: Vec<Option<usize>>,
    /// n + 1, the number of parameters per class.
    order: usize,
}

impl Unknowns {
    /// The unknowns: with one score, all parameters. With several classes, all parameters except one weight for each
    /// column, and one bias. Each of these fixed parameters belongs to the class with the largest second derivative of
    /// the loss. `own` has the Gram matrix of each class; after centring, its diagonal has these second derivatives.
    fn new(view: &View, own: &[Gram]) -> Self {
        let (order, classes) = (view.scale.len() + 1, own.len());
        let mut diagonals = vec![vec![0.0; order]; classes];
        for (gram, diagonal) in own.iter().zip(&mut diagonals) {
            view.for_each_covariance(gram, |i, j, element| {
                if i == j {
                    diagonal[i] = element;
                }
            });
        }
        // For each column, the weight of the class with the largest second derivative is fixed. The Hessian by the
        // other weights is then as far from singular as possible.
        let stays = |j: usize| {
            let largest = |a: &usize, b: &usize| diagonals[*a][j].total_cmp(&diagonals[*b][j]);
            (0..classes).max_by(largest).filter(|_| classes > 1)
        };
        let stays: Vec<Option<usize>> = (0..order).map(stays).collect();
        let of_class = |k: usize| (0..order).filter(|&j| stays[j] != Some(k)).collect();
        let free: Vec<Vec<usize>> = (0..classes).map(of_class).collect();
        let classes = free.iter().enumerate();
        let all = classes.flat_map(|(k, free)| free.iter().map(move |j| (k, *j)));
        let all: Vec<(usize, usize)> = all.collect();
        let mut place = vec![None; free.len() * order];
        for (at, (k, j)) in all.iter().enumerate() {
            place[k * order + j] = Some(at);
        }
        Unknowns {
            free,
            all,
            place,
            order,
        }
    }

    /// Adds the Hessian's block of two classes k ≥ l to `matrix`: their Gram matrix, and the penalty's part.
    fn add(
        &self,
        matrix: &mut [f64],
        [k, l]: [usize; 2],
        gram: &Gram,
        view: &View,
        objective: &Objective<'_>,
    ) {
        let size = self.all.len();
        let mut add = |i: usize, j: usize, element: f64| {
            let row = self.place[k * self.order + i];
            let column = self.place[l * self.order + j];
            if let (Some(row), Some(column)) = (row, column) {
                matrix[row * size + column] += element;
            }
        };
        let mut add_both = |i: usize, j: usize, element: f64| {
            add(i, j, element);
            if k != l && i != j {
                add(j, i, element);
            }
        };
        view.for_each_covariance(gram, &mut add_both);
        let penalty = objective.penalty;
        if penalty.is_none() {
            return;
        }
        // The penalty is computed from the weights after centring over the classes. So the penalty's Hessian by the K
        // weights of one column is l2 · (I − 1 1ᵀ/K).
        let shared = match objective.classes {
            1 => 0.0,
            classes => 1.0 / classes as f64,
        };
        let part = if k == l { 1.0 - shared } else { -shared };
        for (j, along) in penalty.diagonal(&view.basis).iter().enumerate() {
            add_both(j, j, part * along);
        }
        penalty.between(&view.basis, |i, j, h| add_both(i, j, part * h));
    }

    /// A bound on the norm of the rounding errors of the scaled matrix and of its factor.
    fn rounding(&self, view: &View, own: &[Gram], scale: &[f64], objective: &Objective<'_>) -> f64 {
        let (order, n, size) = (self.order, self.order - 1, self.all.len());
        let weight = view.gram.weight;
        // For each unknown: `cancelled`, the square root of the sum of the terms that cancel in its diagonal element;
        // and `moved`, the error of this root by the rounding of the transformed rows.
        let (mut cancelled, mut moved) = (Vec::new(), Vec::new());
        for (&(k, j), scale) in self.all.iter().zip(scale) {
            let root = |j: usize| (own[k].lower[j * (order + 1)] / weight).sqrt();
            let mean = view.columns.mean.get(j).map_or(0.0, |mean| mean.abs());
            let terms = root(j) + mean * root(n);
            let is_combined = view.basis.combinations().any(|(column, _)| column == j);
            let combined = match is_combined {
                true => f64::EPSILON * (n as f64 + 4.0) * view.columns.terms[j] / weight.sqrt(),
                false => 0.0,
            };
            cancelled.push(terms * scale);
            moved.push(f64::EPSILON * (2.0 * terms + combined) * scale);
        }
        let (cancelled, moved) = (norm(&cancelled), norm(&moved));
        let additions = kernel::additions(objective.rows(), objective.density() < 1.0) + 32.0;
        let of_sums = f64::EPSILON * additions * cancelled * cancelled + 2.0 * moved * cancelled;
        let of_factor = f64::EPSILON * (size as f64 / 8.0 + 32.0) * size as f64;
        of_sums + of_factor
    }
}
