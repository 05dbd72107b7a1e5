//! Which rows are on the side of a hyperplane that belongs to their label. The search for a hyperplane that separates
//! the labels uses this.
//!
//! With two classes, each row x gives a vector `a`: (x, 1) for label 1, and −(x, 1) for label 0. With K classes, each
//! row gives one vector `a` for each class k other than its label y: it has (x, 1) in the places of the weights and
//! bias of class y, −(x, 1) in the places of those of class k, and 0 in all others. A direction d separates the labels
//! if `a · d ≥ 0` for every `a` and `> 0` for at least one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::dataset::Dataset;
use super::each_row::sum_rows;
use crate::error::Error;
use crate::linalg::{add_multiple, dot};
use crate::reduce::{Job, Sum};

/// A transform that standardises the columns: (x̃ − mean) · scale, where x̃ is a row as transformed by `basis`.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Standardised {
    pub basis: Arc<Basis>,
    /// Means of the columns after the transform by `basis`, shape (n).
    pub mean: Vec<f64>,
    /// The reciprocals of the standard deviations, shape (n + 1), with the factor of the bias last; 0 for columns that
    /// the search leaves out and for a bias that is not fitted.
    pub scale: Vec<f64>,
    /// Scores per row: 1 for two classes, K for K > 2 classes.
    pub classes: usize,
}

/// A row, its label, and one other class. With two classes, the other class is 0 for label 1, and 1 for label 0.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Pair {
    pub row: usize,
    pub label: usize,
    pub other: usize,
    /// The margin `a · d / ‖a‖` plus a bound on its rounding error, or 0 if this sum is positive. Here d is the normal
    /// of a hyperplane, and the vector `a` of the pair is defined at the top of this file. A negative number says how
    /// far the row is on the wrong side; 0 says that it may be on the right side.
    pub margin: f64,
}

/// For a hyperplane: which pairs of a row and another class are on the side of the row's label.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Sides {
    /// Whether some pair is on the side of its label, with a margin above the tolerance `tie` of [`sides`].
    pub are_some_clear: bool,
    /// All other pairs: their margins are not above the tolerance.
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

    /// The length n + 1 of a standardised row. The last element is for the bias.
    pub(crate) fn order(&self) -> usize {
        self.scale.len()
    }

    /// Standardises a row of original columns in place, and writes the factor of the bias to `row[n]`. Returns the norm
    /// of the result, all n + 1 elements. `low` is scratch memory.
    pub(crate) fn enter(&self, row: &mut [f64], low: &mut [f64]) -> f64 {
        let n = self.columns();
        self.basis.enter(&mut row[..n], low);
        for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
            *x = (*x - mean) * scale;
        }
        row[n] = self.scale[n];
        dot(row, row).sqrt()
    }

    /// Calls `each` with the label y of a row and each other class. A label strictly between 0 and 1 counts as both
    /// classes.
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

    /// Adds `by · a` to `out`. With two classes, `a` is the standardised row for label 1, and its negative for label 0.
    /// With several classes, `a` has the standardised row in the places of the parameters of the label, its negative in
    /// the places of those of the other class, and 0 in all others.
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

    /// ‖a‖ / ‖row‖ for the vector `a` of a row and a pair of classes. With K > 2 classes, `a` contains the row twice.
    fn stretch(&self) -> f64 {
        if self.classes == 1 {
            1.0
        } else {
            std::f64::consts::SQRT_2
        }
    }
}

/// −Σ a / ‖row‖ over all pairs of a row and a class other than its label. The rows are standardised. The vectors `a`
/// are those defined at the top of this file.
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

/// Finds on which side of a hyperplane each pair of a row and another class is. The hyperplane has the normal
/// `direction`, of norm 1. A pair is clearly on the side of its label if `a · direction` exceeds `tie · ‖a‖` plus a
/// bound on the rounding error.
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
