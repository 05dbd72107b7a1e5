//! Whether a hyperplane separates the labels: then the unpenalised loss falls for ever along its normal.
//!
//! Source: A. Albert & J. Anderson, "On the existence of maximum likelihood estimates in logistic regression models",
//! Biometrika 71 (1984), doi:10.1093/biomet/71.1.1.

use super::cholesky::Cholesky;
use super::objective::{Objective, add_multiple, dot};
use super::preconditioner::{Block, Preconditioner, Yardstick, centre};
use crate::error::Error;
use crate::kernel::{self, Points, Sides};
use crate::parallel::Monitor;
use crate::vector::Vector;

/// Below this part of what cancels in a margin, or of the largest column's part in a direction, there may be nothing:
/// directions are those of an iteration that has not ended.
const TIE: f64 = 1e-5;
/// The same for a direction that was corrected.
const CORRECTED: f64 = 1e-9;
/// What centring leaves of a sum of squares is rounding below this part.
const CONSTANT: f64 = 1e-13;
/// Columns of the largest direction that is corrected.
const LARGEST: usize = 1024;

/// A direction in which no prediction gets worse and some get better: weights and, last, bias, the largest being ±1.
pub(crate) type Direction = Vec<f64>;

/// `direction`, freed of rounding, if it separates: `(2y_i − 1)(x_i · d) ≥ 0` for every row of positive weight, a label
/// strictly between 0 and 1 counting as both; and `> 0` for some. Reads all rows once, and thrice if it does.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn verified(
    objective: &Objective<'_>,
    direction: &[f64],
    yardstick: &Yardstick,
    monitor: &mut dyn Monitor,
) -> Result<Option<Direction>, Error> {
    let rough = cleaned(direction.to_vec(), yardstick, TIE);
    let sides = sides(objective, &rough, yardstick, TIE, monitor)?;
    if sides.wrong || !sides.right {
        return Ok(None);
    }
    if rough.len() > LARGEST || !sides.tied.contains(&1.0) {
        return Ok(Some(rough));
    }
    let fine = if objective.classes == 1 {
        corrected(objective, &rough, &sides.tied, monitor)?
    } else {
        corrected_classes(objective, &rough, &sides.tied, yardstick, monitor)?
    };
    let fine = cleaned(fine, yardstick, CORRECTED);
    let sides = self::sides(objective, &fine, yardstick, CORRECTED, monitor)?;
    Ok(Some(if sides.wrong || !sides.right {
        rough
    } else {
        fine
    }))
}

fn sides(
    objective: &Objective<'_>,
    direction: &[f64],
    yardstick: &Yardstick,
    tie: f64,
    monitor: &mut dyn Monitor,
) -> Result<Sides, Error> {
    let (weights, biases) = objective.split(direction);
    let (points, mean) = (objective.points, yardstick.mean());
    let threads = objective.threads_to_read();
    if objective.classes > 1 {
        return kernel::class_sides(points, weights, biases, mean, tie, threads, monitor);
    }
    let bias = biases.iter().sum();
    kernel::sides(points, weights, bias, mean, tie, threads, monitor)
}

/// Without what is small by the change of the predictor that it makes, which columns of any scale have in common.
fn cleaned(mut direction: Direction, yardstick: &Yardstick, tie: f64) -> Direction {
    let deviations = || yardstick.deviations().chain(std::iter::repeat(1.0));
    let weights = direction.iter().zip(yardstick.deviations());
    let rounding = tie * weights.map(|(d, s)| (d * s).abs()).fold(0.0, f64::max);
    for (d, s) in direction.iter_mut().zip(deviations()) {
        if (*d * s).abs() <= rounding {
            *d = 0.0;
        }
    }
    normalise(&mut direction);
    direction
}

/// The part of the direction that leaves the tied rows where they are: `d − A⁺ A d`, with the Gram matrix `A` of these.
fn corrected(
    objective: &Objective<'_>,
    direction: &[f64],
    tied: &[f64],
    monitor: &mut dyn Monitor,
) -> Result<Direction, Error> {
    let order = direction.len();
    let weights = Vector::from_slice(tied);
    let points = Points {
        sample_weight: Some(&weights),
        ..*objective.points
    };
    let gram = kernel::gram(
        &points,
        &vec![0.0; order - 1],
        0.0,
        objective.threads,
        monitor,
    )?;
    let mut image = vec![0.0; order];
    for (i, row) in gram.lower.chunks_exact(order).enumerate() {
        for (j, &a) in row[..=i].iter().enumerate() {
            image[i] += a * direction[j] / gram.weight;
            if j < i {
                image[j] += a * direction[i] / gram.weight;
            }
        }
    }
    if !objective.fit_bias {
        image[order - 1] = 0.0;
    }
    let inverse = Block::factored(gram, 0.0, objective.fit_bias, monitor)?;
    let inverse = Preconditioner::new(vec![inverse]);
    let mut result = direction.to_vec();
    if inverse.is_usable() {
        let mut change = vec![0.0; order];
        inverse.apply(&image, &mut change);
        add_multiple(&mut result, -1.0, &change);
    }
    Ok(result)
}

/// [`corrected`] for several classes, where pairs of a row's label and another class are tied: `A` is the sum over these of
/// `a aᵀ`, `a` being the row for its label, and its negative for the other class. Columns are centred by their means, where
/// there are biases to make up for it.
fn corrected_classes(
    objective: &Objective<'_>,
    direction: &[f64],
    tied: &[f64],
    yardstick: &Yardstick,
    monitor: &mut dyn Monitor,
) -> Result<Direction, Error> {
    let (order, classes, n) = (direction.len(), objective.classes, objective.columns());
    let mean = yardstick.mean();
    let (points, threads) = (objective.points, objective.threads);
    let centre_of = |j: usize| if objective.fit_bias { mean[j] } else { 0.0 };
    // Weights of all classes come before the biases.
    let place = |class: usize, j: usize| {
        if j < n {
            class * n + j
        } else {
            classes * n + class
        }
    };
    let mut matrix = vec![0.0; order * order];
    for k in 0..classes {
        for l in 0..=k {
            let weights = kernel::tied_pairs(points, tied, classes, (k, l));
            let gram = kernel::gram_of(points, &weights, 1.0, threads, monitor)?;
            let (rows, last) = gram.lower.split_at(n * (n + 1));
            let (cross, count) = (&last[..n], last[n]);
            let mut put = |i: usize, j: usize, a: f64| {
                for (i, j) in [(i, j), (j, i)] {
                    let (i, j) = (place(k, i), place(l, j));
                    matrix[i * order + j] = a;
                    matrix[j * order + i] = a;
                }
            };
            for (i, row) in rows.chunks_exact(n + 1).enumerate() {
                let shift = centre_of(i);
                put(i, n, cross[i] - shift * count);
                for (j, &a) in row[..=i].iter().enumerate() {
                    let other = centre_of(j);
                    let centred = a - shift * cross[j] - other * (cross[i] - shift * count);
                    put(
                        i,
                        j,
                        if centred.abs() > CONSTANT * a.abs() {
                            centred
                        } else {
                            0.0
                        },
                    );
                }
            }
            put(n, n, count);
        }
    }
    // A column that is at its mean in all ties is left with the mean's rounding: nothing, beside its deviation.
    let deviations: Vec<f64> = yardstick.deviations().collect();
    let scale: Vec<f64> = (0..order)
        .map(|i| {
            let least = match deviations.get(i) {
                Some(s) => CONSTANT * s * s * matrix[place(i / n, n) * (order + 1)],
                None if objective.fit_bias => 0.0,
                None => f64::INFINITY,
            };
            let square = matrix[i * order + i];
            if square > least {
                1.0 / square.sqrt()
            } else {
                0.0
            }
        })
        .collect();
    for (i, row) in matrix.chunks_exact_mut(order).enumerate() {
        for (j, a) in row.iter_mut().enumerate() {
            *a *= scale[i] * scale[j];
        }
        if scale[i] == 0.0 {
            row[i] = 1.0;
        }
    }
    // Biases at the centre.
    let shift = |v: &mut [f64], sign: f64| {
        let (weights, biases) = v.split_at_mut(classes * n);
        for (bias, weights) in biases.iter_mut().zip(weights.chunks_exact(n)) {
            *bias += sign * (0..n).map(|j| centre_of(j) * weights[j]).sum::<f64>();
        }
    };
    let mut result = direction.to_vec();
    shift(&mut result, 1.0);
    let unscaled: Vec<f64> = result
        .iter()
        .zip(&scale)
        .map(|(d, &s)| if s > 0.0 { d / s } else { 0.0 })
        .collect();
    let mut change: Vec<f64> = matrix
        .chunks_exact(order)
        .map(|row| dot(row, &unscaled))
        .collect();
    let inverse = Cholesky::new(matrix, &vec![f64::EPSILON; order], monitor)?;
    inverse.solve(&mut change);
    for ((d, change), scale) in result.iter_mut().zip(change).zip(&scale) {
        *d -= change * scale;
    }
    shift(&mut result, -1.0);
    centre(&mut result, classes);
    Ok(result)
}

/// Scales the largest component to ±1.
pub(crate) fn normalise(direction: &mut [f64]) {
    let largest = direction.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
    if largest > 0.0 {
        for d in direction {
            *d /= largest;
        }
    }
}
