//! The parameters that a solver starts from: weights of zero or those at which the penalty is least, with biases
//! computed from the labels; or the caller's parameters, if the objective is no larger there.

use super::objective::{Objective, Value};
use super::run::{Beginning, Run};
use super::stages::Solution;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::Labels;
use crate::linalg::dot;
use crate::math::log_ratio;
use crate::start::Start;
use crate::stop::StopReason;

/// The initial parameters. The caller's are used if the objective there is at most the objective at the parameters of
/// [`by_default`], or if no passes are left.
pub(crate) fn begin(
    objective: &Objective<'_>,
    labels: &Labels,
    start: Start,
    run: &mut Run<'_>,
) -> Result<Beginning, Error> {
    let anew = |v: Vec<f64>| Beginning {
        v,
        is_given: false,
        known: None,
    };
    let (biases, loss) = without_weights(labels, objective.fit_bias)?;
    if let Some(mut weights) = start.weights {
        objective.penalty.project(&mut weights);
        let v = arranged(
            objective,
            weights,
            start.biases.as_deref().unwrap_or(&biases),
        );
        let value = run.evaluate(objective, &v, objective.precision)?;
        let given = |v: Vec<f64>, value: Value| Beginning {
            v,
            is_given: true,
            known: Some((value, objective.precision)),
        };
        if value.is_finite() && run.is_spent() {
            return Ok(given(v, value));
        }
        let (default, known) = by_default(objective, &biases, loss, run)?;
        let at_default = match known {
            Some(known) => known,
            None => {
                run.evaluate(objective, &default, objective.precision)?
                    .objective
            }
        };
        return Ok(match value.is_finite() && value.objective <= at_default {
            true => given(v, value),
            false => anew(default),
        });
    }
    Ok(anew(by_default(objective, &biases, loss, run)?.0))
}

/// Parameters to start from, and their objective if it is known. The weights are zero, or as near to zero as bounds
/// allow; or those at which the penalty is least, if the objective is smaller there. `biases` are the optimal biases
/// for weights of zero, and `loss` is the loss with them. For other weights, biases are shifted such that scores near
/// the middle of the columns are the same as with weights of zero. Otherwise columns far from zero could make all
/// predictions certain.
fn by_default(
    objective: &Objective<'_>,
    biases: &[f64],
    loss: f64,
    run: &mut Run<'_>,
) -> Result<(Vec<f64>, Option<f64>), Error> {
    let n = objective.columns();
    let origin = run.basis.origin().to_vec();
    let with_biases = |weights: Vec<f64>| {
        let at_origin = weights.chunks_exact(n).map(|w| dot(w, &origin));
        let shifted = biases
            .iter()
            .zip(at_origin)
            .map(|(b, z)| match objective.fit_bias {
                true => b - z,
                false => *b,
            });
        let shifted: Vec<f64> = shifted.collect();
        arranged(objective, weights, &shifted)
    };
    let count = objective.order() - objective.classes;
    let mut nearest = vec![0.0; count];
    objective.penalty.project(&mut nearest);
    let least = objective.penalty.minimum(count);
    let is_known = nearest.iter().all(|w| *w == 0.0) && !objective.source.has_offsets();
    let known = is_known.then(|| loss + objective.penalty.value(&nearest));
    if least == nearest {
        return Ok((with_biases(nearest), known));
    }
    let (nearest, least) = (with_biases(nearest), with_biases(least));
    let at_least = run.evaluate(objective, &least, objective.precision)?;
    let at_nearest = match known {
        Some(known) => known,
        None => {
            run.evaluate(objective, &nearest, objective.precision)?
                .objective
        }
    };
    Ok(
        match at_least.is_finite() && at_least.objective <= at_nearest {
            true => (least, Some(at_least.objective)),
            false => (nearest, Some(at_nearest)),
        },
    )
}

/// Weights and biases as a vector, rounded to the precision of the result. For several classes without l1 or bounds,
/// the parameters are centred over the classes.
fn arranged(objective: &Objective<'_>, weights: Vec<f64>, biases: &[f64]) -> Vec<f64> {
    let mut v = weights;
    v.extend(biases);
    // Subtracting the same number from a column's weights of all classes changes no probability. But with l1 or bounds,
    // the penalty could rise, or weights leave their bounds.
    if objective.classes > 1 && objective.penalty.is_smooth() {
        objective.penalty.centre(&mut v, objective.classes);
    }
    objective.precision.round(&mut v);
    v
}

/// The starts for the maximisation of Firth's penalised likelihood: the caller's parameters, if any, then weights of
/// zero. The bias beside weights of zero is the log-odds of the [`smoothed_weights`]. With offsets, it is instead the
/// bias with which the mean prediction is the same as it would be without offsets.
pub(crate) fn starts_for_firth(
    objective: &Objective<'_>,
    labels: &Labels,
    start: Start,
    run: &mut Run<'_>,
) -> Result<Vec<Vec<f64>>, Error> {
    let (zeros, ones) = smoothed_weights(labels);
    let mut v = vec![0.0; objective.order()];
    let bias = objective.columns();
    if objective.fit_bias {
        v[bias] = log_ratio(ones, zeros)?;
        if objective.source.has_offsets() {
            let share = ones / (zeros + ones) - labels.weights[1] / labels.weight;
            v[bias] = middle(v[bias], |b| {
                let mut at = vec![0.0; bias];
                at.push(b);
                let value = run.evaluate(objective, &at, Precision::Double)?;
                Ok(value.gradient[bias] >= share)
            })?;
        }
    }
    let mut starts = vec![v];
    if let Some(mut given) = start.weights {
        let of_bias = start.biases.map_or(starts[0][bias], |biases| biases[0]);
        given.push(of_bias);
        starts.insert(0, given);
    }
    Ok(starts)
}

/// The sums of the sample weights of the two classes, with half the smallest sample weight added to each, so that their
/// log-odds are finite even if all labels are equal.
fn smoothed_weights(labels: &Labels) -> (f64, f64) {
    let half = 0.5 * labels.smallest_weight;
    (labels.weights[0] + half, labels.weights[1] + half)
}

/// Approximates the number at which `is_above` changes from false to true. An interval around this number is searched
/// for from `guess` outwards, then bisected until it is at most 0.25 long. Returns the middle of the interval.
fn middle(guess: f64, mut is_above: impl FnMut(f64) -> Result<bool, Error>) -> Result<f64, Error> {
    let (mut least, mut most, mut width) = (guess - 1.0, guess + 1.0, 1.0);
    while is_above(least)? && width < f64::MAX / 4.0 {
        width *= 4.0;
        (least, most) = (guess - width, least);
    }
    while !is_above(most)? && width < f64::MAX / 4.0 {
        width *= 4.0;
        (least, most) = (most, guess + width);
    }
    while most - least > 0.25 {
        let between = 0.5 * (least + most);
        if between <= least || between >= most {
            break;
        }
        match is_above(between)? {
            true => most = between,
            false => least = between,
        }
    }
    Ok(0.5 * (least + most))
}

/// The optimal biases for weights of zero, and the loss there.
fn without_weights(labels: &Labels, fit_bias: bool) -> Result<(Vec<f64>, f64), Error> {
    let total = labels.weight;
    if !fit_bias {
        let loss = match labels.scores {
            1 => std::f64::consts::LN_2,
            classes => log_ratio(classes as f64, 1.0)?,
        };
        return Ok((vec![0.0; labels.scores], loss));
    }
    let information = |&weight: &f64| log_ratio(total, weight);
    let information: Vec<f64> = labels
        .weights
        .iter()
        .map(information)
        .collect::<Result<_, _>>()?;
    let terms = labels.weights.iter().zip(&information);
    let loss = terms
        .map(|(weight, information)| weight / total * information)
        .sum();
    let biases = match labels.weights.as_slice() {
        [zeros, ones] => vec![log_ratio(*ones, *zeros)?],
        _ => information.iter().map(|information| -information).collect(),
    };
    Ok((biases, loss))
}

/// The solution when all labels are equal: the weights at which the penalty is least. The optimal bias would be
/// infinite for any weights; the log-odds of the [`smoothed_weights`] are used instead.
pub(crate) fn without_second_class(
    objective: &Objective<'_>,
    labels: &Labels,
    run: &mut Run<'_>,
) -> Result<Solution, Error> {
    let (zeros, ones) = smoothed_weights(labels);
    let mut v = objective.penalty.minimum(objective.columns());
    let mut direction = vec![0.0; objective.columns()];
    v.push(log_ratio(ones, zeros)?);
    objective.precision.round(&mut v);
    direction.push(if ones > zeros { 1.0 } else { -1.0 });
    Ok(Solution {
        iterate: run.iterate(objective, v, objective.precision)?,
        stop_reason: StopReason::Separated,
        separation: Some(direction),
    })
}
