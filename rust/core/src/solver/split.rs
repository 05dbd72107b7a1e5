//! Searches for a single column that separates the labels: a threshold with all values of some classes on one side and
//! all values of the other classes on the other side.

use super::columns::NOTHING_LEFT;
use super::dependence;
use super::objective::Objective;
use super::run::{Direction, Run};
use crate::error::Error;
use crate::kernel::{Ranges, Span};
use crate::linalg::normalise;

/// In models with more parameters than this, separation by several columns is not searched for, and the searches do not
/// detect columns that are linear combinations of others.
pub(super) const LARGEST_SEARCH: usize = 1024;

/// A direction along one column that separates the labels: values of the column on one side of a threshold belong to
/// some classes, values on the other side to the other classes, and values equal to the threshold to either. `None` if
/// there is no such column. Takes one pass over X. In models with at most [`LARGEST_SEARCH`] parameters, columns that
/// are linear combinations of others are skipped.
///
/// # Errors
///
/// [`Error::Interrupted`] by the observer.
pub(super) fn along_a_column(
    objective: &Objective<'_>,
    run: &mut Run<'_>,
) -> Result<Option<Direction>, Error> {
    run.passes += objective.cost;
    let classes = objective.classes;
    let ranges = objective.source.ranges(classes, &mut run.job())?;
    let splits = |j: usize| split(&ranges, j, objective).map(|split| (j, split));
    let found: Vec<(usize, Split)> = (0..objective.columns()).filter_map(splits).collect();
    let dependent = match found.is_empty() || objective.order() > LARGEST_SEARCH {
        true => Vec::new(),
        false => dependence::dependent(objective, run)?,
    };
    let used = found
        .iter()
        .find(|(j, _)| dependent.binary_search(j).is_err());
    Ok(used.map(|(j, split)| split.direction(objective, *j)))
}

/// A threshold between classes: values of the classes `above` are at or above it, values of the classes `below` at or
/// below it.
struct Split {
    threshold: f64,
    below: Vec<usize>,
    above: Vec<usize>,
}

/// A threshold that separates the labels by one column. `None` if there is no such threshold, if all values are 0, or,
/// with a bias, if the column is constant.
fn split(ranges: &Ranges, column: usize, objective: &Objective<'_>) -> Option<Split> {
    let fit_bias = objective.fit_bias;
    let mut spans = ranges.of_column(column);
    spans.sort_by(|a, b| {
        let by_least = a.least.total_cmp(&b.least);
        by_least.then(a.largest.total_cmp(&b.largest))
    });
    let least = spans.first()?.least;
    let largest = spans.iter().map(|span| span.largest).fold(least, f64::max);
    let size = largest.max(-least);
    let is_constant = largest - least <= NOTHING_LEFT * objective.precision.epsilon() * size;
    if size == 0.0 || (fit_bias && is_constant) {
        return None;
    }
    // If only one class has rows, its values may be on either side of the threshold.
    let positions = if spans.len() == 1 {
        0..2
    } else {
        1..spans.len()
    };
    for at in positions {
        let (low, high) = spans.split_at(at);
        let below = low
            .iter()
            .map(|span| span.largest)
            .fold(f64::NEG_INFINITY, f64::max);
        let above = high
            .iter()
            .map(|span| span.least)
            .fold(f64::INFINITY, f64::min);
        let threshold = match fit_bias {
            false => 0.0,
            true if below == above => below,
            true => below + 0.5 * (above - below),
        };
        if below <= threshold && threshold <= above {
            let classes = |spans: &[Span]| spans.iter().map(|span| span.class).collect();
            return Some(Split {
                threshold,
                below: classes(low),
                above: classes(high),
            });
        }
    }
    None
}

impl Split {
    /// The direction along `column` that, in rows above the threshold, raises the scores of the classes `above`
    /// relative to the scores of the classes `below`; in rows below it, the reverse.
    fn direction(&self, objective: &Objective<'_>, column: usize) -> Direction {
        let (n, classes) = (objective.columns(), objective.classes);
        let slopes: Vec<f64> = match classes {
            // With two classes, the score is the score of label 1. One of the two labels may have no rows.
            1 => match self.above.contains(&1) || self.below.contains(&0) {
                true => vec![1.0],
                false => vec![-1.0],
            },
            _ => {
                let above = self.above.len() as f64;
                let slope = |k: usize| match self.above.contains(&k) {
                    true => classes as f64 - above,
                    false => -above,
                };
                (0..classes).map(slope).collect()
            }
        };
        let mut direction = vec![0.0; classes * (n + 1)];
        for (k, slope) in slopes.iter().enumerate() {
            direction[k * n + column] = *slope;
            direction[classes * n + k] = 0.0 - slope * self.threshold;
        }
        normalise(&mut direction);
        direction
    }
}
