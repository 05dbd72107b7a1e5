//! Whether a hyperplane separates the labels: then the unpenalised loss falls for ever along its normal.
//!
//! Source: A. Albert & J. Anderson, "On the existence of maximum likelihood estimates in logistic regression models",
//! Biometrika 71 (1984), doi:10.1093/biomet/71.1.1.

use super::cholesky::Cholesky;
use super::objective::{Objective, dot};
use super::preconditioner::{Yardstick, centre, from_all_rows, threads_for};
use super::run::Run;
use crate::error::{Error, zeros};
use crate::features::Features;
use crate::float::Float;
use crate::kernel::{self, Sides, Subset};

/// Below this part of what cancels in a margin, or of the largest column's part in a direction, there may be nothing:
/// directions are those of an iteration that has not ended.
const TIE: f64 = 1e-5;
/// The same for a direction that was corrected.
const CORRECTED: f64 = 1e-9;
/// Margins, in nats, beyond which a prediction may be on its way to certainty; the second where the first tells nothing.
const CERTAIN: [f64; 2] = [5.0, 2.0];
/// Held rows, or pairs, for each weight that leave nothing of a direction in most cases; and where columns are rare.
const FEW: [usize; 2] = [2, 8];
/// How often a direction is projected anew, on what leaves those rows alone, too, that it does not put on their side.
const ROUNDS: usize = 8;
/// What makes a matrix of unit diagonal regular, and how often its inverse is then applied.
const EPSILON: f64 = 1e-10;
const TIMES: usize = 3;
/// What centring leaves of a sum of squares is rounding below this part.
const CONSTANT: f64 = 1e-13;
/// Elements read that cost too little to count.
const CHEAP: f64 = 1e7;
/// Weights and biases of the largest direction that is projected.
const LARGEST: usize = 1024;

/// A direction in which no prediction gets worse and some get better: weights and, last, bias, the largest being ±1.
pub(crate) type Direction = Vec<f64>;

/// `direction`, freed of rounding, if it separates: `(2y_i − 1)(x_i · d) ≥ 0` for every row of positive weight, a label
/// strictly between 0 and 1 counting as both; and `> 0` for some.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn verified(
    objective: &Objective<'_>,
    direction: &[f64],
    yardstick: &Yardstick,
    run: &mut Run<'_>,
) -> Result<Option<Direction>, Error> {
    let rough = cleaned(direction.to_vec(), yardstick, TIE);
    let sides = sides(objective, &rough, yardstick, TIE, run)?;
    if sides.wrong || !sides.right {
        return Ok(None);
    }
    if rough.len() > LARGEST || !sides.held.contains(&1.0) {
        return Ok(Some(rough));
    }
    separating(objective, &rough, &sides.held, yardstick, run).map(|(found, _)| found)
}

/// The part of a direction that leaves the held rows alone, if it separates; and otherwise, if there is such a part, the sides
/// that it leaves rows on.
fn separating(
    objective: &Objective<'_>,
    direction: &[f64],
    held: &[f64],
    yardstick: &Yardstick,
    run: &mut Run<'_>,
) -> Result<(Option<Direction>, Option<Sides>), Error> {
    let (projected, share) = projected(objective, direction, held, yardstick, run)?;
    if share <= CORRECTED {
        return Ok((None, None));
    }
    let projected = cleaned(projected, yardstick, CORRECTED);
    let sides = sides(objective, &projected, yardstick, CORRECTED, run)?;
    Ok(match (sides.right, sides.wrong) {
        (true, false) => (Some(projected), None),
        (true, true) => (None, Some(sides)),
        (false, _) => (None, None),
    })
}

/// A separating direction that is hidden in the weights and biases `v` of an unpenalised fit: the part of them that leaves
/// all rows alone but those whose predictions are nearly certain.
///
/// If only such rows tell a column from a constant, curvature does not know of it any more. The gradient is small then, and
/// nothing moves, though there is no optimum. Looking for it takes as long as the fit has taken, at most,
/// unless that is next to nothing.
///
/// # Errors
///
/// [`Error::Memory`] without room for the predictors, and those of [`from_all_rows`].
pub(crate) fn hidden<F: Float>(
    objective: &Objective<'_>,
    v: &[f64],
    run: &mut Run<'_>,
) -> Result<Option<Direction>, Error> {
    if v.len() > LARGEST {
        return Ok(None);
    }
    let elements = objective.rows() as f64 * v.len() as f64;
    let end = run.passes + run.passes.max(CHEAP / elements);
    let margins = margins(objective, v, run)?;
    for certain in CERTAIN {
        if !margins.iter().any(|&margin| margin > certain) {
            continue;
        }
        let is_held = |&margin: &f64| f64::from(u8::from(margin <= certain));
        let mut held: Vec<f64> = margins.iter().map(is_held).collect();
        if is_held_by_few::<F>(objective, v, &held, run)? {
            continue;
        }
        let start = from_all_rows(objective, &vec![0.0; v.len()], false, run)?;
        let yardstick = start.yardstick();
        for _ in 0..ROUNDS {
            if run.passes + projection_cost(objective) > end {
                return Ok(None);
            }
            match separating(objective, v, &held, &yardstick, run)? {
                (None, Some(sides)) => {
                    for (held, other) in held.iter_mut().zip(sides.held) {
                        *held = held.max(other);
                    }
                }
                (None, None) => break,
                (found, _) => return Ok(found),
            }
        }
    }
    Ok(None)
}

/// What [`projected`] reads and computes, in passes: a Gram matrix for each pair of classes.
fn projection_cost(objective: &Objective<'_>) -> f64 {
    let pairs = (objective.classes * (objective.classes + 1) / 2) as f64;
    objective.cost * pairs * gram_cost(objective.columns())
}

/// By how much each row's label is ahead, or each pair of it and another class; NaN for rows without weight, and for a label
/// and itself.
fn margins(objective: &Objective<'_>, v: &[f64], run: &mut Run<'_>) -> Result<Vec<f64>, Error> {
    let (points, classes) = (objective.points, objective.classes);
    let mut z = zeros("X", objective.rows().saturating_mul(classes), "predictors")?;
    run.predictors(objective, v, &mut z)?;
    for (i, z) in z.chunks_exact_mut(classes).enumerate() {
        let row = points.rows.at(i);
        let y: f64 = points.y.get(row);
        if points
            .sample_weight
            .is_some_and(|s| s.get::<f64>(row) == 0.0)
        {
            z.fill(f64::NAN);
        } else if let [z] = z {
            // A label between 0 and 1 is behind wherever the other one is ahead.
            *z *= f64::from(i8::from(y == 1.0) - i8::from(y == 0.0));
        } else {
            let own = z.get(y as usize).copied().unwrap_or(f64::NAN);
            for (k, z) in z.iter_mut().enumerate() {
                *z = if k == y as usize { f64::NAN } else { own - *z };
            }
        }
    }
    Ok(z)
}

/// Whether some of the held rows are enough to leave nothing of `v`.
fn is_held_by_few<F: Float>(
    objective: &Objective<'_>,
    v: &[f64],
    held: &[f64],
    run: &mut Run<'_>,
) -> Result<bool, Error> {
    let classes = objective.classes;
    let of_row = |i: usize| &held[i * classes..][..classes];
    let count = held.iter().sum::<f64>() as usize;
    for few in FEW {
        let stride = count / (few * objective.order());
        if stride < 2 {
            break;
        }
        let rows: Vec<usize> = (0..objective.rows())
            .filter(|&i| of_row(i).contains(&1.0))
            .step_by(stride)
            .collect();
        let held: Vec<f64> = rows.iter().flat_map(|&i| of_row(i)).copied().collect();
        let cost = objective.cost * rows.len() as f64 / objective.rows() as f64;
        run.passes += cost;
        let (points, threads) = (objective.points, objective.threads);
        let subset = Subset::<F>::new(points, rows, threads, run.monitor())?;
        let share = subset.with_points(1, |points| {
            let part = Objective {
                points,
                cost,
                ..*objective
            };
            let yardstick = from_all_rows(&part, &vec![0.0; v.len()], false, run)?.yardstick();
            projected(&part, v, &held, &yardstick, run).map(|(_, share)| share)
        })?;
        if share <= CORRECTED {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sides(
    objective: &Objective<'_>,
    direction: &[f64],
    yardstick: &Yardstick,
    tie: f64,
    run: &mut Run<'_>,
) -> Result<Sides, Error> {
    run.passes += objective.cost;
    let (weights, biases) = objective.split(direction);
    let (points, mean) = (objective.points, yardstick.mean());
    let threads = objective.threads_to_read();
    if objective.classes > 1 {
        return kernel::class_sides(points, weights, biases, mean, tie, threads, run.monitor());
    }
    let bias = biases.iter().sum();
    kernel::sides(points, weights, bias, mean, tie, threads, run.monitor())
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

/// What of the direction leaves the held rows where they are, and how large a part that is; of several classes, the held
/// pairs of a row's label and another class.
///
/// That is what lies in the null space of the sum `A` of `a aᵀ` over these, `a` being the row, or the row for its label and
/// its negative for the other class. Inverse iteration leaves nothing else: `ε (A + ε)⁻¹`, over and over.
fn projected(
    objective: &Objective<'_>,
    direction: &[f64],
    held: &[f64],
    yardstick: &Yardstick,
    run: &mut Run<'_>,
) -> Result<(Direction, f64), Error> {
    let mut result = direction.to_vec();
    if !held.contains(&1.0) {
        return Ok((result, 1.0));
    }
    let HeldGram {
        mut matrix,
        scale,
        precision,
    } = HeldGram::new(objective, held, yardstick, run)?;
    let order = result.len();
    let epsilon = precision
        .iter()
        .fold(EPSILON, |epsilon, p| epsilon.max(100.0 * order as f64 * p));
    for i in 0..order {
        matrix[i * (order + 1)] += epsilon;
    }
    run.passes += projection_cost(objective);
    let inverse = Cholesky::new(matrix, &precision, run.monitor())?;
    let mean = yardstick.mean();
    move_biases(&mut result, objective, mean, 1.0);
    let unscaled = |(d, &s): (&f64, &f64)| if s > 0.0 { d / s } else { 0.0 };
    let mut inner: Vec<f64> = result.iter().zip(&scale).map(unscaled).collect();
    let before = max_norm(&inner);
    for _ in 0..TIMES {
        inverse.solve(&mut inner);
        for x in &mut inner {
            *x *= epsilon;
        }
    }
    let mut share = max_norm(&inner) / before;
    for ((d, x), &scale) in result.iter_mut().zip(inner).zip(&scale) {
        if scale > 0.0 {
            *d = x * scale;
        } else if *d != 0.0 {
            share = 1.0; // no held row has anything of this column
        }
    }
    move_biases(&mut result, objective, mean, -1.0);
    if objective.classes > 1 {
        centre(&mut result, objective.classes);
    }
    Ok((result, share))
}

/// What a Gram matrix costs in passes: products, which run from the cache, against reads.
fn gram_cost(columns: usize) -> f64 {
    1.0 + 0.06 * columns as f64
}

fn max_norm(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |norm, x| x.abs().max(norm))
}

/// Makes the biases those at the mean of the columns, or back again.
fn move_biases(v: &mut [f64], objective: &Objective<'_>, mean: &[f64], sign: f64) {
    if objective.fit_bias {
        let (weights, biases) = v.split_at_mut(objective.classes * mean.len());
        for (bias, weights) in biases.iter_mut().zip(weights.chunks_exact(mean.len())) {
            *bias += sign * dot(mean, weights);
        }
    }
}

/// The matrix `A` of [`projected`], of centred columns where there are biases to make up for it, scaled to unit diagonal.
struct HeldGram {
    matrix: Vec<f64>,
    /// 0 where there is nothing to scale.
    scale: Vec<f64>,
    /// Of the diagonal.
    precision: Vec<f64>,
}

impl HeldGram {
    fn new(
        objective: &Objective<'_>,
        held: &[f64],
        yardstick: &Yardstick,
        run: &mut Run<'_>,
    ) -> Result<Self, Error> {
        let (order, classes, n) = (objective.order(), objective.classes, objective.columns());
        let (points, threads) = (objective.points, threads_for(objective, true));
        let mean = yardstick.mean();
        // Columns are seen from the centre where they are stored; from zero where zeros are not.
        let is_dense = matches!(points.x, Features::Dense(_));
        let about = match objective.fit_bias && is_dense {
            true => mean.to_vec(),
            false => vec![0.0; n],
        };
        let centre_of = |j: usize| match objective.fit_bias {
            true => mean[j] - about[j],
            false => 0.0,
        };
        // Weights of all classes come before the biases.
        let place = |class: usize, j: usize| {
            if j < n {
                class * n + j
            } else {
                classes * n + class
            }
        };
        let mut matrix = vec![0.0; order * order];
        // The diagonal before columns are centred.
        let mut squares = vec![0.0; order];
        for k in 0..classes {
            for l in 0..=k {
                let weights = match classes {
                    1 => held.to_vec(),
                    _ => kernel::held_pairs(points, held, classes, (k, l)),
                };
                let gram = kernel::gram_of(points, &weights, 1.0, &about, threads, run.monitor())?;
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
                    if k == l {
                        squares[place(k, i)] = row[i];
                    }
                    put(i, n, cross[i] - shift * count);
                    for (j, &a) in row[..=i].iter().enumerate() {
                        let other = centre_of(j);
                        let centred = a - shift * cross[j] - other * (cross[i] - shift * count);
                        let is_left = centred.abs() > CONSTANT * a.abs();
                        put(i, j, if is_left { centred } else { 0.0 });
                    }
                }
                put(n, n, count);
            }
        }
        // A column that is at its mean in all held rows is left with the mean's rounding: nothing, beside its deviation.
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
        // Centring has cancelled all but the variance of the mean square.
        let precision = (squares.iter().zip(&scale))
            .map(|(square, scale)| f64::EPSILON * (square * scale * scale).max(1.0))
            .collect();
        Ok(HeldGram {
            matrix,
            scale,
            precision,
        })
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::elements::Elements;
    use crate::kernel::Points;
    use crate::matrix::Matrix;
    use crate::parallel::{Threads, Unmonitored};
    use crate::vector::Vector;

    /// Above 68 it is not class 2, and below not 0 or 1; at 68 and among 0 and 1 there is an optimum.
    #[test]
    fn what_else_is_in_the_weights_does_not_hide_the_direction() {
        let x = [69.0, 68.0, 68.0, 68.0, 67.0, 67.0, 71.0, 68.0, 70.0];
        let y = [0.0, 1.0, 2.0, 1.0, 2.0, 2.0, 1.0, 2.0, 0.0];
        let matrix = Matrix::from_rows(Elements::F64(&x), 9, 1).unwrap();
        let labels = Vector::from_slice(&y);
        let points = Points::new(&matrix, &labels, None).unwrap();
        let objective = Objective {
            points: &points,
            classes: 3,
            l2: 0.0,
            fit_bias: true,
            threads: Threads::ONE,
            cost: 1.0,
            separated_below: 0.0,
        };
        const SEPARATED: [f64; 6] = [7.7, 7.7, -15.4, -523.6, -523.6, 1047.2];
        const FINITE: [f64; 6] = [0.2, -0.2, 0.0, -13.5, 12.7, 0.8];
        let found = |separated: f64| {
            let v: Vec<f64> = (SEPARATED.iter().zip(FINITE))
                .map(|(s, f)| separated * s + f)
                .collect();
            hidden::<f64>(
                &objective,
                &v,
                &mut Run::new(&mut Unmonitored, f64::INFINITY),
            )
            .unwrap()
        };
        let direction = found(1.0).unwrap();
        for (d, want) in direction.iter().zip(SEPARATED) {
            assert!((d - want / 1047.2).abs() < 1e-12, "{direction:?}");
        }
        assert_eq!(found(0.0), None);
        assert_eq!(found(-1.0), None);
    }
}
