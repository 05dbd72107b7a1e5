//! Checks and sums of labels and sample weights; `X` is not read.

use super::dataset::{Dataset, LABELS, is_label, is_weight, rows_of};
use crate::error::Error;
use crate::reduce::{Job, Leaves, STRIPE, Sum, map_reduce};
use crate::sparse::changed;

/// How many labels are read between two polls of the monitor; a multiple of `STRIPE`.
const POLLED: usize = STRIPE << 12;

/// The kind of the labels y_i, the number of classes, and sums of the sample weights s_i, over the rows of positive
/// weight.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    /// Scores per row: 1 for labels in [0, 1], K for labels that are codes of K ≥ 3 classes.
    pub scores: usize,
    /// Σ s_i, the total weight.
    pub weight: f64,
    /// Σ s_i over the rows of each class. For labels in [0, 1]: Σ s_i (1 − y_i) and Σ s_i y_i.
    pub weights: Vec<f64>,
    /// The smallest positive s_i.
    pub smallest_weight: f64,
    /// Whether every label is a class: none lies strictly between 0 and 1.
    pub are_classes: bool,
    /// Whether all labels are of the same class.
    pub are_equal: bool,
}

/// Reads `y` as codes of K ≥ 3 classes if all labels are integers and one is above 1; otherwise as labels in [0, 1].
///
/// # Errors
///
/// [`Error::NoSample`] if a class between 0 and the largest has no sample weight; also the errors of [`binary_labels`].
pub(crate) fn labels(dataset: &Dataset<'_>, job: &mut Job<'_>) -> Result<Labels, Error> {
    match binary_labels(dataset, job) {
        Ok(labels) => Ok(labels),
        Err(error) => classes_after(error, dataset, job),
    }
}

/// The number of scores per row, as [`labels`] finds it. Other than there, NaN among labels in [0, 1] is no error.
///
/// # Errors
///
/// As [`labels`]; sample weights are checked only if `y` has class codes.
pub(crate) fn scores_of_labels(dataset: &Dataset<'_>, job: &mut Job<'_>) -> Result<usize, Error> {
    match dataset.check_labels(job) {
        Ok(()) => Ok(1),
        Err(error) => classes_after(error, dataset, job).map(|labels| labels.scores),
    }
}

/// Reads `y` as class codes, after an attempt to read it as labels in [0, 1] failed with `error`.
fn classes_after(error: Error, dataset: &Dataset<'_>, job: &mut Job<'_>) -> Result<Labels, Error> {
    let got = match error {
        Error::Element {
            argument: "y", got, ..
        } => got,
        _ => return Err(error),
    };
    match class_codes(dataset, job)? {
        Some(labels) => Ok(labels),
        // `got` is the first label outside [0, 1]. If `got` could be a class code, some other label could not, and the
        // error reports that other label.
        None if is_code(got) => Err(dataset.y.check("y", CODES, is_code).err().unwrap_or(error)),
        None => Err(error),
    }
}

/// Sums over some rows with labels y_i in [0, 1]. `are_valid` is about all of these rows, the other flags about those
/// of positive weight.
#[derive(Clone, Copy, Debug)]
struct Counts {
    weight: f64,
    /// Σ s_i y_i
    positive: f64,
    smallest_weight: f64,
    are_classes: bool,
    are_zeros: bool,
    are_ones: bool,
    are_valid: bool,
}

impl Counts {
    const NONE: Counts = Counts {
        weight: 0.0,
        positive: 0.0,
        smallest_weight: f64::INFINITY,
        are_classes: true,
        are_zeros: true,
        are_ones: true,
        are_valid: true,
    };
}

impl Sum for Counts {
    fn add(&mut self, right: &Self) {
        self.weight += right.weight;
        self.positive += right.positive;
        self.smallest_weight = self.smallest_weight.min(right.smallest_weight);
        self.are_classes &= right.are_classes;
        self.are_zeros &= right.are_zeros;
        self.are_ones &= right.are_ones;
        self.are_valid &= right.are_valid;
    }

    fn clear(&mut self) {
        *self = Counts::NONE;
    }
}

/// The words with which an error message says what labels must be if one of them is above 1.
const CODES: &str = "class codes 0, 1, 2, … or, all of them, labels in [0, 1]";

fn is_code(y: f64) -> bool {
    y >= 0.0 && y.is_finite() && y == y.trunc()
}

/// Reads `y` as the codes 0 … K − 1 of K classes. `None` if some label is negative or not an integer.
///
/// # Errors
///
/// [`Error::NoSample`]; [`Error::Element`] for a sample weight out of range; [`Error::TotalWeight`];
/// [`Error::Interrupted`] by the monitor.
fn class_codes(dataset: &Dataset<'_>, job: &mut Job<'_>) -> Result<Option<Labels>, Error> {
    let rows = rows_of(dataset);
    let mut weights: Vec<f64> = Vec::new();
    let mut smallest_weight = f64::INFINITY;
    let mut classes = 0.0;
    for first in (0..rows).step_by(STRIPE) {
        let count = STRIPE.min(rows - first);
        if first % POLLED == 0 {
            job.poll()?;
        }
        let (mut y, mut s) = ([0.0; STRIPE], [1.0; STRIPE]);
        dataset.y.copy::<f64>(dataset.rows, first, &mut y[..count]);
        if let Some(sample_weight) = dataset.sample_weight {
            sample_weight.copy(dataset.rows, first, &mut s[..count]);
        }
        for (&y, &s) in y.iter().zip(&s).take(count) {
            if !is_code(y) {
                return Ok(None);
            }
            if !is_weight(s) {
                return Err(dataset.check_weights::<f64>().err().unwrap_or_else(changed));
            }
            classes = f64::max(classes, y + 1.0);
            // A code of at least `rows` means that some smaller code has no row, which is an error. Such codes are
            // clamped to `rows`, so that `weights` stays short.
            let class = (y as usize).min(rows);
            if class >= weights.len() {
                weights.resize(class + 1, 0.0);
            }
            weights[class] += s;
            if s > 0.0 {
                smallest_weight = smallest_weight.min(s);
            }
        }
    }
    let weight = weights.iter().sum();
    dataset.check_total::<f64>(weight)?;
    match weights.iter().position(|&weight| weight == 0.0) {
        Some(class) => Err(Error::NoSample {
            class,
            largest: classes - 1.0,
        }),
        None => Ok(Some(Labels {
            scores: weights.len(),
            weight,
            weights,
            smallest_weight,
            are_classes: true,
            are_equal: false,
        })),
    }
}

/// Reads `y` as labels in [0, 1].
///
/// # Errors
///
/// [`Error::Element`] for a label that is outside [0, 1] or NaN, or a sample weight that is negative or not finite;
/// [`Error::TotalWeight`] if the sum of the sample weights is not usable; [`Error::Interrupted`] by the monitor.
pub(crate) fn binary_labels(dataset: &Dataset<'_>, job: &mut Job<'_>) -> Result<Labels, Error> {
    let counts = map_reduce(
        job,
        Leaves::new(rows_of(dataset), 2),
        || (),
        || Counts::NONE,
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
    if !counts.are_valid {
        dataset.y.check("y", LABELS, f64::is_finite)?;
        return Err(dataset.first_invalid::<f64>());
    }
    dataset.check_total::<f64>(counts.weight)?;
    Ok(Labels {
        scores: 1,
        weight: counts.weight,
        weights: vec![counts.weight - counts.positive, counts.positive],
        smallest_weight: counts.smallest_weight,
        are_classes: counts.are_classes,
        are_equal: counts.are_zeros || counts.are_ones,
    })
}

fn stripe(y: &[f64], s: &[f64]) -> Counts {
    let mut sums = Counts::NONE;
    let mut lanes = [[0.0; 8]; 2];
    for (y, s) in y.chunks(8).zip(s.chunks(8)) {
        for (k, (&y, &s)) in y.iter().zip(s).enumerate() {
            let counts = s > 0.0;
            sums.are_valid &= is_label(y) && !y.is_nan() && is_weight(s);
            lanes[0][k] += s;
            lanes[1][k] += s * y;
            sums.smallest_weight = if counts {
                sums.smallest_weight.min(s)
            } else {
                sums.smallest_weight
            };
            sums.are_classes &= !counts || y == 0.0 || y == 1.0;
            sums.are_zeros &= !counts || y == 0.0;
            sums.are_ones &= !counts || y == 1.0;
        }
    }
    sums.weight = lanes[0].iter().sum();
    sums.positive = lanes[1].iter().sum();
    sums
}
