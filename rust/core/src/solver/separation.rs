//! Whether a hyperplane separates the labels: then the unpenalised loss falls for ever along its normal.
//!
//! Source: A. Albert & J. Anderson, "On the existence of maximum likelihood estimates in logistic regression models",
//! Biometrika 71 (1984), doi:10.1093/biomet/71.1.1.

use super::objective::{Objective, add_multiple};
use super::preconditioner::{Block, Preconditioner, Yardstick};
use crate::error::Error;
use crate::kernel::{self, Points, Sides};
use crate::matrix::Vector;
use crate::parallel::Monitor;

/// Below this part of what cancels in a margin, or of the largest column's part in a direction, there may be nothing:
/// directions are those of an iteration that has not ended.
const TIE: f64 = 1e-5;
/// The same for a direction that was corrected.
const CORRECTED: f64 = 1e-9;
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
    if objective.classes > 1 || rough.len() > LARGEST || !sides.tied.contains(&1.0) {
        return Ok(Some(rough));
    }
    let fine = corrected(objective, &rough, &sides.tied, monitor)?;
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

/// Scales the largest component to ±1.
pub(crate) fn normalise(direction: &mut [f64]) {
    let largest = direction.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
    if largest > 0.0 {
        for d in direction {
            *d /= largest;
        }
    }
}
