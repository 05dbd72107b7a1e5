//! The Hessian of the objective, of one score or of K classes, factored such that `L Lᵀ ⪯ H` is proved.

use super::cholesky::Cholesky;
use super::objective::Objective;
use super::run::Run;
use super::view::View;
use crate::error::Error;
use crate::kernel::{self, Gram};
use crate::linalg::norm;
use crate::source::RowScores;

/// The Hessian by what is free to move, in a view's basis.
pub(super) struct Factored {
    pub(super) free: Vec<Vec<usize>>,
    pub(super) scale: Vec<f64>,
    pub(super) factor: Cholesky,
}

impl Factored {
    /// None if rounding leaves a doubt of its being positive definite.
    pub(super) fn new(
        objective: &Objective<'_>,
        view: &View,
        scores: &dyn RowScores,
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let (n, order, classes) = (view.scale.len(), view.scale.len() + 1, objective.classes);
        let weight = view.gram.weight;
        let mut of_pair = |k: usize, l: usize| {
            run.passes += objective.cost;
            scores.gram([k, l], &view.basis, &mut run.job())
        };
        let own: Vec<Gram> = match classes {
            1 => vec![view.gram.clone()],
            _ => (0..classes)
                .map(|k| of_pair(k, k))
                .collect::<Result<_, _>>()?,
        };
        // Of each column, the class of the largest curvature stays: without it, what the others share does not cancel.
        let mut diagonals = vec![vec![0.0; order]; classes];
        for (gram, diagonal) in own.iter().zip(&mut diagonals) {
            view.put(gram, |i, j, element| {
                if i == j {
                    diagonal[i] = element;
                }
            });
        }
        let stays = |j: usize| {
            let largest = |a: &usize, b: &usize| diagonals[*a][j].total_cmp(&diagonals[*b][j]);
            (0..classes).max_by(largest).filter(|_| classes > 1)
        };
        let stays: Vec<Option<usize>> = (0..order).map(stays).collect();
        let of_class = |k: usize| (0..order).filter(|&j| stays[j] != Some(k)).collect();
        let free: Vec<Vec<usize>> = (0..classes).map(of_class).collect();
        // Where a column of a class is in the matrix.
        let mut place = vec![None; classes * order];
        let all = free
            .iter()
            .enumerate()
            .flat_map(|(k, free)| free.iter().map(move |j| (k, *j)));
        let all: Vec<(usize, usize)> = all.collect();
        for (at, (k, j)) in all.iter().enumerate() {
            place[k * order + j] = Some(at);
        }
        let size = all.len();
        let mut matrix = vec![0.0; size * size];
        // The penalty of weights that are brought to a sum of zero over the classes.
        let shared = if classes == 1 {
            0.0
        } else {
            1.0 / classes as f64
        };
        let penalty = objective.penalty.diagonal(&view.basis);
        for k in 0..classes {
            for l in 0..=k {
                let other;
                let gram = if k == l {
                    &own[k]
                } else {
                    other = of_pair(k, l)?;
                    &other
                };
                let part = f64::from(u8::from(k == l)) - shared;
                let mut add = |i: usize, j: usize, element: f64| {
                    let (i, j) = (place[k * order + i], place[l * order + j]);
                    if let (Some(row), Some(column)) = (i, j) {
                        matrix[row * size + column] += element;
                    }
                };
                let mut add_both = |i: usize, j: usize, element: f64| {
                    add(i, j, element);
                    if k != l && i != j {
                        add(j, i, element);
                    }
                };
                view.put(gram, &mut add_both);
                if !objective.penalty.is_none() {
                    for (j, penalty) in penalty.iter().enumerate() {
                        add_both(j, j, part * penalty);
                    }
                    let penalty = objective.penalty;
                    penalty.between(&view.basis, |i, j, h| add_both(i, j, part * h));
                }
            }
        }
        // Of each row and column of the matrix: the root of what has cancelled in its diagonal element, and how far rounding
        // of the data's rows puts it off.
        let (mut cancelled, mut moved) = (Vec::new(), Vec::new());
        for &(k, j) in &all {
            let root = |j: usize| (own[k].lower[j * (order + 1)] / weight).sqrt();
            let mean = view.columns.mean.get(j).map_or(0.0, |mean| mean.abs());
            let terms = root(j) + mean * root(n);
            let is_combined = view.basis.combinations().any(|(column, _)| column == j);
            let combined = match is_combined {
                true => f64::EPSILON * (n as f64 + 4.0) * view.columns.terms[j] / weight.sqrt(),
                false => 0.0,
            };
            cancelled.push(terms);
            moved.push(f64::EPSILON * (2.0 * terms + combined));
        }
        let is_out = |&(_, j): &(usize, usize)| match j == n {
            true => !objective.fit_bias,
            false => view.scale[j] == 0.0,
        };
        let mut scale = vec![0.0; size];
        for (i, _) in all.iter().enumerate().filter(|(_, at)| !is_out(at)) {
            scale[i] = 1.0 / matrix[i * (size + 1)].sqrt();
        }
        if !scale.iter().all(|scale| scale.is_finite()) {
            return Ok(None);
        }
        for i in 0..size {
            for j in 0..i {
                matrix[i * size + j] *= scale[i] * scale[j];
            }
            matrix[i * (size + 1)] = 1.0;
            cancelled[i] *= scale[i];
            moved[i] *= scale[i];
        }
        let additions = kernel::additions(objective.rows()) + 32.0;
        let (cancelled, moved) = (norm(&cancelled), norm(&moved));
        let of_sums = f64::EPSILON * additions * cancelled * cancelled + 2.0 * moved * cancelled;
        let of_factor = f64::EPSILON * (size as f64 / 8.0 + 32.0) * size as f64;
        let shift = 2.0 * (of_sums + of_factor);
        for i in 0..size {
            matrix[i * (size + 1)] -= shift;
        }
        let factor = Cholesky::new(matrix, &vec![0.0; size], &mut run.job())?;
        let is_whole = (0..size).all(|i| !factor.is_left_out(i));
        Ok(is_whole.then_some(Factored {
            free,
            scale,
            factor,
        }))
    }
}
