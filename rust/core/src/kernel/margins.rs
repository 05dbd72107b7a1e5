//! On which side of a hyperplane the samples lie.

use std::ops::Range;

use super::{Points, rows_of};
use crate::error::Error;
use crate::features::Features;
use crate::parallel::{self, Monitor, Threads};
use crate::sparse::with_rows;

/// Whether samples of positive weight lie on the side of their label, and on the other; and which lie on neither.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sides {
    pub right: bool,
    pub wrong: bool,
    /// 1 for each of those on neither side, 0 for others.
    pub tied: Vec<f64>,
}

/// The sides of the hyperplane x · w + b = 0; a label strictly between 0 and 1 counts as both.
///
/// Samples are on it if |x · w + b| is at most `tie` times Σ_j |x_j − mean_j| |w_j| + |b + mean · w|, the terms that have
/// cancelled. Far samples thus do not hide near ones.
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
        all.tied.append(&mut part.tied);
    }
    Ok(all)
}

/// The same for several classes: the right side of a sample is where no other class's predictor is above that of its
/// label. `tied` has K elements a row, one for each other class.
///
/// Two predictors are equal if they differ by at most `tie` times the terms that have cancelled in both.
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
        all.tied.append(&mut part.tied);
    }
    Ok(all)
}

/// How often each sample's tied pairs of its label and another class, as [`class_sides`] has them, contain `k` and `l`:
/// as one and the same class, or, with a minus, as the two.
pub(crate) fn tied_pairs(
    points: &Points<'_>,
    tied: &[f64],
    classes: usize,
    (k, l): (usize, usize),
) -> Vec<f64> {
    let rows = tied.chunks_exact(classes).enumerate();
    rows.map(|(i, tied)| {
        let label = points.y.get::<f64>(points.rows.at(i)) as usize;
        match (k == l, k == label, l == label) {
            (true, true, _) => tied.iter().sum(),
            (true, false, _) => tied[k],
            (false, true, _) => -tied[l],
            (false, _, true) => -tied[k],
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
    tie: f64,
    mut margins: impl FnMut(usize, &mut [(f64, f64)]),
) -> Sides {
    let mut sides = Sides::default();
    let mut all = vec![(0.0, 0.0); classes];
    for i in block.map(|i| points.rows.at(i)) {
        let first = sides.tied.len();
        sides.tied.resize(first + classes, 0.0);
        if points.sample_weight.is_some_and(|s| s.get::<f64>(i) == 0.0) {
            continue;
        }
        margins(i, &mut all);
        let label = points.y.get::<f64>(i) as usize;
        let Some(&(z, size)) = all.get(label) else {
            continue;
        };
        for (k, &(other, other_size)) in all.iter().enumerate() {
            if (z - other).abs() > tie * (size + other_size) {
                sides.right |= z > other;
                sides.wrong |= z < other;
            } else if k != label {
                sides.tied[first + k] = 1.0;
            }
        }
    }
    sides
}

/// The sides of a block of samples; `margin` gives x · w + b of a row of `X`, and the terms that have cancelled in it.
fn sides_of(
    points: &Points<'_>,
    block: Range<usize>,
    tie: f64,
    mut margin: impl FnMut(usize) -> (f64, f64),
) -> Sides {
    let mut sides = Sides::default();
    sides.tied.reserve(block.len());
    for i in block.map(|i| points.rows.at(i)) {
        if points.sample_weight.is_some_and(|s| s.get::<f64>(i) == 0.0) {
            sides.tied.push(0.0);
            continue;
        }
        let (z, size) = margin(i);
        let is_tied = z.abs() <= tie * size;
        sides.tied.push(f64::from(u8::from(is_tied)));
        if !is_tied {
            let y: f64 = points.y.get(i);
            sides.right |= (z > 0.0 && y > 0.0) || (z < 0.0 && y < 1.0);
            sides.wrong |= (z < 0.0 && y > 0.0) || (z > 0.0 && y < 1.0);
        }
    }
    sides
}
