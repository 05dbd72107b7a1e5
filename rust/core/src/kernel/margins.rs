//! On which side of a hyperplane the samples lie.

use std::ops::Range;

use super::{Points, rows_of};
use crate::error::Error;
use crate::features::Features;
use crate::parallel::{self, Monitor, Threads};
use crate::sparse::with_rows;

/// Whether samples of positive weight lie on the side of their label, and on the other; and which are not on their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sides {
    pub right: bool,
    pub wrong: bool,
    /// 1 for each of those on neither side or on the wrong one, 0 for others.
    pub held: Vec<f64>,
}

/// What rounding may leave of terms that cancel at the mean, as a part of these.
const ROUNDING: f64 = 1e-13;

/// How near a hyperplane is on it.
#[derive(Clone, Copy)]
struct Tie {
    /// As a part of the terms that have cancelled.
    part: f64,
    /// In units of the predictor: rounding.
    least: f64,
}

impl Tie {
    /// For predictors of these weights and biases.
    fn new<'w>(
        part: f64,
        predictors: impl Iterator<Item = (&'w [f64], &'w f64)>,
        mean: &[f64],
    ) -> Self {
        let terms = predictors.map(|(w, b)| {
            let terms = mean.iter().zip(w).map(|(m, w)| (m * w).abs());
            b.abs() + terms.sum::<f64>()
        });
        Tie {
            part,
            least: ROUNDING * terms.sum::<f64>(),
        }
    }

    fn holds(self, margin: f64, size: f64) -> bool {
        margin.abs() <= self.least + self.part * size
    }
}

/// The sides of the hyperplane x · w + b = 0; a label strictly between 0 and 1 counts as both.
///
/// Samples are on it if |x · w + b| is at most `tie` times Σ_j |x_j − mean_j| |w_j| + |b + mean · w|, the terms that have
/// cancelled, or rounding. Far samples thus do not hide near ones.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn sides(
    points: &Points<'_>,
    weights: &[f64],
    bias: f64,
    mean: &[f64],
    tie: f64,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Sides, Error> {
    let columns = points.x.columns();
    let at_mean = bias + mean.iter().zip(weights).map(|(m, w)| m * w).sum::<f64>();
    let tie = Tie::new(tie, [(weights, &bias)].into_iter(), mean);
    let blocks = parallel::blocks(rows_of(points), columns);
    let partials = match points.x {
        Features::Dense(x) => parallel::map(
            threads,
            blocks,
            || vec![0.0; columns],
            |row, block: Range<usize>| {
                sides_of(points, block, tie, |i| {
                    x.copy_row(i, row);
                    let (mut z, mut size) = (at_mean, at_mean.abs());
                    for ((x, mean), w) in row.iter().zip(mean).zip(weights) {
                        let term = (x - mean) * w;
                        z += term;
                        size += term.abs();
                    }
                    (z, size)
                })
            },
            monitor,
        ),
        Features::Sparse(x) => with_rows!(&x, rows => {
            // What cancels in a row that stores nothing; elements stored are then put in.
            let unstored: f64 = mean.iter().zip(weights).map(|(m, w)| (m * w).abs()).sum();
            parallel::map(
                threads,
                blocks,
                Vec::new,
                |parts, block: Range<usize>| {
                    sides_of(points, block, tie, |i| {
                        let (mut z, mut size) = (bias, at_mean.abs() + unstored);
                        rows.visit(i, parts, |column, x| {
                            if let (Some(w), Some(mean)) = (weights.get(column), mean.get(column)) {
                                z += x * w;
                                size += ((x - mean).abs() - mean.abs()) * w.abs();
                            }
                        });
                        (z, size)
                    })
                },
                monitor,
            )
        }),
    }?;
    let mut all = Sides::default();
    for mut part in partials {
        all.right |= part.right;
        all.wrong |= part.wrong;
        all.held.append(&mut part.held);
    }
    Ok(all)
}

/// The same for several classes: the right side of a sample is where no other class's predictor is above that of its
/// label. `held` has K elements a row, one for each class, that of the label's own being 0.
///
/// Two predictors are equal if they differ by at most `tie` times the terms that have cancelled in both, or by rounding.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn class_sides(
    points: &Points<'_>,
    weights: &[f64],
    biases: &[f64],
    mean: &[f64],
    tie: f64,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Sides, Error> {
    let (columns, classes) = (points.x.columns(), biases.len());
    let lines = || weights.chunks_exact(columns).zip(biases);
    let at_mean = |(w, b): (&[f64], &f64)| b + mean.iter().zip(w).map(|(m, w)| m * w).sum::<f64>();
    let at_mean: Vec<f64> = lines().map(at_mean).collect();
    let tie = Tie::new(tie, lines(), mean);
    let blocks = parallel::blocks(rows_of(points), columns.saturating_mul(classes));
    let partials = match points.x {
        Features::Dense(x) => parallel::map(
            threads,
            blocks,
            || vec![0.0; columns],
            |row, block: Range<usize>| {
                class_sides_of(points, block, classes, tie, |i, margins| {
                    x.copy_row(i, row);
                    for ((margin, (w, _)), at_mean) in margins.iter_mut().zip(lines()).zip(&at_mean)
                    {
                        *margin = (*at_mean, at_mean.abs());
                        for ((x, mean), w) in row.iter().zip(mean).zip(w) {
                            let term = (x - mean) * w;
                            margin.0 += term;
                            margin.1 += term.abs();
                        }
                    }
                })
            },
            monitor,
        ),
        Features::Sparse(x) => with_rows!(&x, rows => {
            let unstored = |(w, _): (&[f64], &f64)| mean.iter().zip(w).map(|(m, w)| (m * w).abs()).sum();
            let unstored: Vec<f64> = lines().map(unstored).collect();
            parallel::map(
                threads,
                blocks,
                Vec::new,
                |parts, block: Range<usize>| {
                    class_sides_of(points, block, classes, tie, |i, margins| {
                        for (k, margin) in margins.iter_mut().enumerate() {
                            *margin = (biases[k], at_mean[k].abs() + unstored[k]);
                        }
                        rows.visit(i, parts, |column, x| {
                            let Some(mean) = mean.get(column) else { return };
                            for (margin, (w, _)) in margins.iter_mut().zip(lines()) {
                                margin.0 += x * w[column];
                                margin.1 += ((x - mean).abs() - mean.abs()) * w[column].abs();
                            }
                        });
                    })
                },
                monitor,
            )
        }),
    }?;
    let mut all = Sides::default();
    for mut part in partials {
        all.right |= part.right;
        all.wrong |= part.wrong;
        all.held.append(&mut part.held);
    }
    Ok(all)
}

/// How often each sample's held pairs of its label and another class, as [`class_sides`] has them, contain `k` and `l`:
/// as one and the same class, or, with a minus, as the two.
pub(crate) fn held_pairs(
    points: &Points<'_>,
    held: &[f64],
    classes: usize,
    (k, l): (usize, usize),
) -> Vec<f64> {
    let rows = held.chunks_exact(classes).enumerate();
    rows.map(|(i, held)| {
        let label = points.y.get::<f64>(points.rows.at(i)) as usize;
        match (k == l, k == label, l == label) {
            (true, true, _) => held.iter().sum(),
            (true, false, _) => held[k],
            (false, true, _) => -held[l],
            (false, _, true) => -held[k],
            _ => 0.0,
        }
    })
    .collect()
}

/// The sides of a block of samples; `margins` gives the predictors of a row of `X`, and the terms that have cancelled.
fn class_sides_of(
    points: &Points<'_>,
    block: Range<usize>,
    classes: usize,
    tie: Tie,
    mut margins: impl FnMut(usize, &mut [(f64, f64)]),
) -> Sides {
    let mut sides = Sides::default();
    let mut all = vec![(0.0, 0.0); classes];
    for i in block.map(|i| points.rows.at(i)) {
        let first = sides.held.len();
        sides.held.resize(first + classes, 0.0);
        if points.sample_weight.is_some_and(|s| s.get::<f64>(i) == 0.0) {
            continue;
        }
        margins(i, &mut all);
        let label = points.y.get::<f64>(i) as usize;
        let Some(&(z, size)) = all.get(label) else {
            continue;
        };
        for (k, &(other, other_size)) in all.iter().enumerate() {
            if k == label {
                continue;
            }
            let is_tied = tie.holds(z - other, size + other_size);
            sides.right |= !is_tied && z > other;
            sides.wrong |= !is_tied && z < other;
            if is_tied || z < other {
                sides.held[first + k] = 1.0;
            }
        }
    }
    sides
}

/// The sides of a block of samples; `margin` gives x · w + b of a row of `X`, and the terms that have cancelled in it.
fn sides_of(
    points: &Points<'_>,
    block: Range<usize>,
    tie: Tie,
    mut margin: impl FnMut(usize) -> (f64, f64),
) -> Sides {
    let mut sides = Sides::default();
    sides.held.reserve(block.len());
    for i in block.map(|i| points.rows.at(i)) {
        if points.sample_weight.is_some_and(|s| s.get::<f64>(i) == 0.0) {
            sides.held.push(0.0);
            continue;
        }
        let (z, size) = margin(i);
        let y: f64 = points.y.get(i);
        let is_tied = tie.holds(z, size);
        let is_wrong = !is_tied && ((z < 0.0 && y > 0.0) || (z > 0.0 && y < 1.0));
        sides.right |= !is_tied && ((z > 0.0 && y > 0.0) || (z < 0.0 && y < 1.0));
        sides.wrong |= is_wrong;
        sides.held.push(f64::from(u8::from(is_tied || is_wrong)));
    }
    sides
}
