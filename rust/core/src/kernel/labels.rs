//! What labels and sample weights alone say: no pass over `X`.

use super::dataset::{Dataset, LABELS, is_label, is_weight, rows_of};
use crate::error::Error;
use crate::reduce::{Job, Leaves, STRIPE, Sum, map_reduce};
use crate::sparse::changed;

/// Labels counted between two polls of the monitor: whole stripes.
const POLLED: usize = STRIPE << 12;

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
}

impl Sum for Labels {
    fn add(&mut self, right: &Self) {
        self.weight += right.weight;
        self.positive += right.positive;
        self.smallest_weight = self.smallest_weight.min(right.smallest_weight);
        self.binary &= right.binary;
        self.zeros &= right.zeros;
        self.ones &= right.ones;
        self.valid &= right.valid;
    }

    fn clear(&mut self) {
        *self = Labels::NONE;
    }
}

/// What is predicted.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A probability: labels in [0, 1].
    Binary(Labels),
    /// One of three classes or more: labels are their codes.
    Classes(ClassCounts),
}

impl Target {
    /// Scores per row: 1, or the classes.
    pub(crate) fn scores(&self) -> usize {
        match self {
            Target::Binary(_) => 1,
            Target::Classes(counts) => counts.weights.len(),
        }
    }
}

/// A summary over the samples of positive weight.
#[derive(Clone, Debug)]
pub(crate) struct ClassCounts {
    /// Σ s_i of each class.
    pub weights: Vec<f64>,
    /// The smallest positive s_i.
    pub smallest_weight: f64,
}

/// What the labels speak of: class codes, if they are integers and one of them is above 1.
///
/// # Errors
///
/// [`Error::NoSample`] for codes with gaps, and those of [`labels`].
pub(crate) fn target(dataset: &Dataset<'_>, job: &mut Job<'_>) -> Result<Target, Error> {
    match labels(dataset, job) {
        Ok(labels) => Ok(Target::Binary(labels)),
        Err(
            error @ Error::Element {
                argument: "y", got, ..
            },
        ) => match class_counts(dataset, job)? {
            Some(counts) => Ok(Target::Classes(counts)),
            // Where it is a code, others are not.
            None if is_code(got) => {
                Err(dataset.y.check("y", CODES, is_code).err().unwrap_or(error))
            }
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// What labels must be, of which one is above 1.
const CODES: &str = "class codes 0, 1, 2, … or, all of them, labels in [0, 1]";

fn is_code(y: f64) -> bool {
    y >= 0.0 && y.is_finite() && y == y.trunc()
}

/// The classes that labels are codes of; none if they are no codes.
///
/// # Errors
///
/// [`Error::NoSample`]; [`Error::Element`] for a sample weight out of range; [`Error::TotalWeight`];
/// [`Error::Interrupted`] by the monitor.
fn class_counts(dataset: &Dataset<'_>, job: &mut Job<'_>) -> Result<Option<ClassCounts>, Error> {
    let rows = rows_of(dataset);
    let mut counts = ClassCounts {
        weights: Vec::new(),
        smallest_weight: f64::INFINITY,
    };
    let mut classes = 0.0;
    for first in (0..rows).step_by(STRIPE) {
        let count = STRIPE.min(rows - first);
        if first % POLLED == 0 {
            job.poll()?;
        }
        let (mut y, mut s) = ([0.0; STRIPE], [1.0; STRIPE]);
        dataset.y.copy::<f64>(dataset.rows, first, &mut y[..count]);
        if let Some(weights) = dataset.sample_weight {
            weights.copy(dataset.rows, first, &mut s[..count]);
        }
        for (&y, &s) in y.iter().zip(&s).take(count) {
            if !is_code(y) {
                return Ok(None);
            }
            if !is_weight(s) {
                return Err(dataset.check_weights::<f64>().err().unwrap_or_else(changed));
            }
            classes = f64::max(classes, y + 1.0);
            // With more classes than samples some have none, and these are found among as many as there are samples.
            let class = (y as usize).min(rows);
            if class >= counts.weights.len() {
                counts.weights.resize(class + 1, 0.0);
            }
            counts.weights[class] += s;
            if s > 0.0 {
                counts.smallest_weight = counts.smallest_weight.min(s);
            }
        }
    }
    dataset.check_total::<f64>(counts.weights.iter().sum())?;
    match counts.weights.iter().position(|&weight| weight == 0.0) {
        Some(class) => Err(Error::NoSample {
            class,
            largest: classes - 1.0,
        }),
        None => Ok(Some(counts)),
    }
}

/// # Errors
///
/// [`Error::Element`] for a label outside [0, 1] or not a number, or a sample weight that is negative or not finite;
/// [`Error::TotalWeight`] if their sum is not usable; [`Error::Interrupted`] by the monitor.
pub(crate) fn labels(dataset: &Dataset<'_>, job: &mut Job<'_>) -> Result<Labels, Error> {
    let mut labels = map_reduce(
        job,
        Leaves::new(rows_of(dataset), 2),
        || (),
        || Labels::NONE,
        |(), sums, leaf| {
            for first in leaf.clone().step_by(STRIPE) {
                let count = STRIPE.min(leaf.end - first);
                let (mut y, mut s) = ([0.0; STRIPE], [1.0; STRIPE]);
                dataset.y.copy::<f64>(dataset.rows, first, &mut y[..count]);
                if let Some(weights) = dataset.sample_weight {
                    weights.copy(dataset.rows, first, &mut s[..count]);
                }
                sums.add(&stripe(&y[..count], &s[..count]));
            }
        },
    )?;
    if !labels.valid {
        dataset.y.check("y", LABELS, f64::is_finite)?;
        return Err(dataset.first_invalid::<f64>());
    }
    dataset.check_total::<f64>(labels.weight)?;
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
