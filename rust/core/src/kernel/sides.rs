//! On which side of a hyperplane the rows are, each with its label: what a search for a hyperplane that separates the
//! labels asks of the rows.
//!
//! For each row let `a` be (x, 1) with the sign of its label; of K classes there is an `a` for each class other than the
//! label. A direction d separates if `a · d ≥ 0` for all of them and `> 0` for some.

use std::sync::Arc;

use super::basis::Basis;
use super::dataset::Dataset;
use super::each_row::sum_rows;
use crate::error::Error;
use crate::linalg::{add_multiple, dot};
use crate::reduce::{Job, Sum};

/// The columns seen from their means, in standard deviations.
pub(crate) struct Standardised {
    pub basis: Arc<Basis>,
    /// Means of the columns of the basis.
    pub mean: Vec<f64>,
    /// Shape (n + 1), the bias last; 0 of columns left out, and of a bias that is not fitted.
    pub scale: Vec<f64>,
    /// Scores per row.
    pub classes: usize,
}

/// A row with its label, or against one other class: `a` is the row for its label and its negative for the other. Of two
/// classes, the other is 0 for label 1 and 1 for label 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    pub row: usize,
    pub label: usize,
    pub other: usize,
    /// a · d over the length of `a`, less what rounding may have added.
    pub margin: f64,
}

/// On which side of a hyperplane the pairs are.
#[derive(Default)]
pub(crate) struct Sides {
    /// Whether some are clearly on their own.
    pub are_some_clear: bool,
    /// Those that are not.
    pub others: Vec<Pair>,
}

impl Sum for Sides {
    fn add(&mut self, right: &Self) {
        self.are_some_clear |= right.are_some_clear;
        self.others.extend_from_slice(&right.others);
    }

    fn clear(&mut self) {
        self.are_some_clear = false;
        self.others.clear();
    }
}

impl Standardised {
    pub(crate) fn columns(&self) -> usize {
        self.mean.len()
    }

    /// Numbers of a row, the bias last.
    pub(crate) fn order(&self) -> usize {
        self.scale.len()
    }

    /// Standardises a row of natural columns that has room for the bias; returns its length. `low` is scratch.
    pub(crate) fn enter(&self, row: &mut [f64], low: &mut [f64]) -> f64 {
        let n = self.columns();
        self.basis.enter(&mut row[..n], low);
        for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
            *x = (*x - mean) * scale;
        }
        row[n] = self.scale[n];
        dot(row, row).sqrt()
    }

    /// Calls `each` with the label of a row and each other class.
    fn for_pairs(&self, y: f64, mut each: impl FnMut(usize, usize)) {
        if self.classes == 1 {
            if y > 0.0 {
                each(1, 0);
            }
            if y < 1.0 {
                each(0, 1);
            }
        } else {
            let label = y as usize;
            (0..self.classes)
                .filter(|&k| k != label)
                .for_each(|k| each(label, k));
        }
    }

    /// Adds `by` times the vector `a` of a row and two classes to `out`.
    pub(crate) fn add_pair(
        &self,
        [label, other]: [usize; 2],
        by: f64,
        row: &[f64],
        out: &mut [f64],
    ) {
        let order = self.order();
        if self.classes == 1 {
            add_multiple(out, if label == 1 { by } else { -by }, row);
        } else {
            add_multiple(&mut out[label * order..][..order], by, row);
            add_multiple(&mut out[other * order..][..order], -by, row);
        }
    }

    /// The length of a pair's vector over its row's.
    fn stretch(&self) -> f64 {
        if self.classes == 1 {
            1.0
        } else {
            std::f64::consts::SQRT_2
        }
    }
}

/// −Σ a / ‖a‖ over all pairs.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn sum_of_pairs(
    dataset: &Dataset<'_>,
    space: &Standardised,
    job: &mut Job<'_>,
) -> Result<Vec<f64>, Error> {
    sum_rows(
        dataset,
        4,
        || vec![0.0; space.order()],
        || vec![0.0; space.classes * space.order()],
        |low, sum, i, row| {
            let length = space.enter(row, low);
            if length > 0.0 {
                let y = dataset.y.get(dataset.rows.at(i));
                space.for_pairs(y, |label, other| {
                    space.add_pair([label, other], -1.0 / length, row, sum);
                });
            }
        },
        job,
    )
}

/// The sides that a direction of unit length leaves the pairs on; those within `tie` of it, as a part of their length, are
/// not clear.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn sides(
    dataset: &Dataset<'_>,
    space: &Standardised,
    direction: &[f64],
    tie: f64,
    job: &mut Job<'_>,
) -> Result<Sides, Error> {
    let (order, classes) = (space.order(), space.classes);
    let stretch = space.stretch();
    let means = space
        .mean
        .iter()
        .zip(&space.scale)
        .map(|(mean, scale)| (mean * scale).abs());
    let means: Vec<f64> = means.collect();
    sum_rows(
        dataset,
        4 * classes,
        || (vec![0.0; order], vec![(0.0, 0.0); classes]),
        Sides::default,
        |(low, scores), sides, i, row| {
            let y = dataset.y.get(dataset.rows.at(i));
            let length = space.enter(row, low);
            for (score, d) in scores.iter_mut().zip(direction.chunks_exact(order)) {
                let magnitude: f64 = row.iter().zip(d).map(|(x, d)| (x * d).abs()).sum();
                let of_means: f64 = means.iter().zip(d).map(|(m, d)| m * d.abs()).sum();
                let rounding = f64::EPSILON * (order as f64 + 8.0) * (magnitude + of_means);
                *score = (dot(row, d), rounding);
            }
            space.for_pairs(y, |label, other| {
                let (margin, rounding) = match classes {
                    1 if label == 1 => scores[0],
                    1 => (-scores[0].0, scores[0].1),
                    _ => (
                        scores[label].0 - scores[other].0,
                        scores[label].1 + scores[other].1,
                    ),
                };
                let size = length * stretch;
                if margin > tie * size + rounding {
                    sides.are_some_clear = true;
                } else {
                    let wrong = (margin + rounding).min(0.0);
                    sides.others.push(Pair {
                        row: i,
                        label,
                        other,
                        margin: if size > 0.0 { wrong / size } else { 0.0 },
                    });
                }
            });
        },
        job,
    )
}
