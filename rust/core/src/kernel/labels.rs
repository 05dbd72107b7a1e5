//! What labels and sample weights alone say: no pass over `X`.

use super::{Points, is_label, is_weight, rows_of};
use crate::error::Error;
use crate::parallel::{self, Monitor, STRIPE, Threads};

/// A summary over the samples of positive weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels {
    /// Σ s_i
    pub weight: f64,
    /// Σ s_i y_i
    pub positive: f64,
    /// The smallest positive s_i.
    pub smallest_weight: f64,
    /// Whether all are 0 or 1.
    pub binary: bool,
    /// Whether all are 0, or all 1.
    pub equal: bool,
    zeros: bool,
    ones: bool,
    valid: bool,
}

impl Labels {
    const NONE: Labels = Labels {
        weight: 0.0,
        positive: 0.0,
        smallest_weight: f64::INFINITY,
        binary: true,
        equal: false,
        zeros: true,
        ones: true,
        valid: true,
    };

    fn add(&mut self, other: Labels) {
        self.weight += other.weight;
        self.positive += other.positive;
        self.smallest_weight = self.smallest_weight.min(other.smallest_weight);
        self.binary &= other.binary;
        self.zeros &= other.zeros;
        self.ones &= other.ones;
        self.valid &= other.valid;
    }
}

/// # Errors
///
/// [`Error::Element`] for a label outside [0, 1] or not a number, or a sample weight that is negative or not finite;
/// [`Error::NoWeight`] if these are all zero; [`Error::Interrupted`] by the monitor.
pub(crate) fn labels(
    points: &Points<'_>,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Labels, Error> {
    let partials = parallel::map(
        threads,
        parallel::blocks(rows_of(points), 2),
        || (),
        |(), block| {
            let mut sums = Labels::NONE;
            for first in block.clone().step_by(STRIPE) {
                let count = STRIPE.min(block.end - first);
                let (mut y, mut s) = ([0.0; STRIPE], [1.0; STRIPE]);
                points.y.copy::<f64>(points.rows, first, &mut y[..count]);
                if let Some(weights) = points.sample_weight {
                    weights.copy(points.rows, first, &mut s[..count]);
                }
                sums.add(stripe(&y[..count], &s[..count]));
            }
            sums
        },
        monitor,
    )?;
    let mut labels = parallel::combine(partials, Labels::add).unwrap_or(Labels::NONE);
    if !labels.valid {
        return Err(points
            .first_label_not_finite()
            .unwrap_or_else(|| points.first_invalid()));
    }
    if labels.weight <= 0.0 {
        return Err(Error::NoWeight);
    }
    labels.equal = labels.zeros || labels.ones;
    Ok(labels)
}

fn stripe(y: &[f64], s: &[f64]) -> Labels {
    let mut sums = Labels::NONE;
    let mut lanes = [[0.0; 8]; 2];
    for (y, s) in y.chunks(8).zip(s.chunks(8)) {
        for (k, (&y, &s)) in y.iter().zip(s).enumerate() {
            let counts = s > 0.0;
            sums.valid &= is_label(y) && !y.is_nan() && is_weight(s);
            lanes[0][k] += s;
            lanes[1][k] += s * y;
            sums.smallest_weight = if counts {
                sums.smallest_weight.min(s)
            } else {
                sums.smallest_weight
            };
            sums.binary &= !counts || y == 0.0 || y == 1.0;
            sums.zeros &= !counts || y == 0.0;
            sums.ones &= !counts || y == 1.0;
        }
    }
    sums.weight = lanes[0].iter().sum();
    sums.positive = lanes[1].iter().sum();
    sums
}
