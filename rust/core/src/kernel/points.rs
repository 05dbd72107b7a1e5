//! The samples that a pass runs over: what they must be, and their labels and weights in tiles.

use super::check_length;
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::parallel::STRIPE;
use crate::sparse::changed;
use crate::vector::{RowSet, Vector};

/// A data set, or the rows of it that a batch takes.
#[derive(Clone, Copy)]
pub(crate) struct Points<'a, X = Features<'a>> {
    pub x: X,
    pub y: &'a Vector<'a>,
    pub sample_weight: Option<&'a Vector<'a>>,
    pub rows: RowSet<'a>,
}

pub(super) const LABELS: &str = "labels in [0, 1]";
pub(super) const WEIGHTS: &str = "finite and not negative";

#[inline(always)]
pub(super) fn is_label(y: f64) -> bool {
    y.is_nan() || (0.0..=1.0).contains(&y) // NaN propagates
}

#[inline(always)]
pub(super) fn is_weight(s: f64) -> bool {
    (0.0..f64::INFINITY).contains(&s)
}

impl<'a> Points<'a> {
    /// # Errors
    ///
    /// [`Error::Length`] if `y` or `sample_weight` does not fit `x`.
    pub(crate) fn new(
        x: impl Into<Features<'a>>,
        y: &'a Vector<'a>,
        sample_weight: Option<&'a Vector<'a>>,
    ) -> Result<Self, Error> {
        let x = x.into();
        check_length("y", y.len(), x.rows(), "one label per row of X")?;
        if let Some(s) = sample_weight {
            check_length(
                "sample_weight",
                s.len(),
                x.rows(),
                "one weight per row of X",
            )?;
        }
        Ok(Points {
            x,
            y,
            sample_weight,
            rows: RowSet::All,
        })
    }

    /// # Errors
    ///
    /// [`Error::Element`] for the first label outside [0, 1].
    pub(crate) fn check_labels(&self) -> Result<(), Error> {
        match self.y.first_failing(is_label) {
            None => Ok(()),
            Some((index, got)) => Err(Error::Element {
                argument: "y",
                expected: LABELS,
                got,
                index,
            }),
        }
    }

    /// The first feature or label that is NaN or infinite.
    pub(crate) fn first_not_finite(&self) -> Option<Error> {
        self.x
            .first_not_finite()
            .or_else(|| self.first_label_not_finite())
    }

    pub(super) fn first_label_not_finite(&self) -> Option<Error> {
        let (index, got) = self.y.first_failing(f64::is_finite)?;
        Some(Error::Element {
            argument: "y",
            expected: LABELS,
            got,
            index,
        })
    }

    /// What is wrong with features that made a loss infinite or not a number.
    pub(crate) fn not_finite(&self) -> Error {
        self.first_not_finite().unwrap_or_else(|| Error::Conflict {
            argument: "X",
            expected: "small enough for sums of its squares to be finite",
            got: format!("{:e}", self.x.largest()),
        })
    }

    /// What is out of range.
    pub(crate) fn first_invalid(&self) -> Error {
        let feature = match &self.x {
            Features::Dense(_) => None,
            Features::Sparse(x) => x.first_invalid(),
        };
        let element = |argument, expected, failing: Option<(usize, f64)>| {
            let (index, got) = failing?;
            Some(Error::Element {
                argument,
                expected,
                got,
                index,
            })
        };
        let label = || element("y", LABELS, self.y.first_failing(is_label));
        feature
            .or_else(label)
            .or_else(|| self.first_invalid_weight())
            .unwrap_or_else(changed)
    }

    /// Σ s_i, which labels and sample weights have been checked for.
    pub(crate) fn weight(&self) -> f64 {
        let rows = rows_of(self);
        let mut sum = 0.0;
        for first in (0..rows).step_by(STRIPE) {
            let mut s = [0.0; STRIPE];
            let count = STRIPE.min(rows - first);
            self.sample_weights::<f64>(first, count, &mut s, &mut sum);
        }
        sum
    }

    /// The first sample weight that is negative or not finite.
    pub(super) fn first_invalid_weight(&self) -> Option<Error> {
        let (index, got) = self.sample_weight?.first_failing(is_weight)?;
        Some(Error::Element {
            argument: "sample_weight",
            expected: WEIGHTS,
            got,
            index,
        })
    }
}

impl<'a, X> Points<'a, X> {
    /// The same samples, their features in another form.
    pub(crate) fn with<Y>(&self, x: Y) -> Points<'a, Y> {
        Points {
            x,
            y: self.y,
            sample_weight: self.sample_weight,
            rows: self.rows,
        }
    }

    /// The labels of a stripe, in whole vectors: zeros beyond its end.
    #[inline(always)]
    pub(super) fn labels<'t, F: Float>(
        &self,
        first: usize,
        count: usize,
        scratch: &'t mut [F; STRIPE],
    ) -> &'t [F]
    where
        'a: 't,
    {
        whole_vectors(self.y, self.rows, first, count, scratch)
    }

    /// The sample weights of a stripe, likewise; their sum, or the number of rows, is added to `total`.
    #[inline(always)]
    pub(super) fn sample_weights<'t, F: Float>(
        &self,
        first: usize,
        count: usize,
        scratch: &'t mut [F; STRIPE],
        total: &mut f64,
    ) -> Option<&'t [F]>
    where
        'a: 't,
    {
        let Some(sample_weight) = self.sample_weight else {
            *total += count as f64;
            return None;
        };
        let values = whole_vectors(sample_weight, self.rows, first, count, scratch);
        let mut chains = [0.0; 8];
        for eight in values.chunks_exact(8) {
            for (chain, value) in chains.iter_mut().zip(eight) {
                *chain += value.to_f64();
            }
        }
        let [a, b, c, d, e, f, g, h] = chains;
        *total += ((a + b) + (c + d)) + ((e + f) + (g + h));
        Some(values)
    }
}

/// A stripe of a vector, in place where it can be.
#[inline(always)]
fn whole_vectors<'t, F: Float>(
    vector: &Vector<'t>,
    rows: RowSet<'_>,
    first: usize,
    count: usize,
    scratch: &'t mut [F; STRIPE],
) -> &'t [F] {
    if let (0, Some(values)) = (count % F::LANES, vector.in_place(rows, first, count)) {
        return values;
    }
    let end = count.next_multiple_of(F::LANES);
    vector.copy(rows, first, &mut scratch[..count]);
    scratch[count..end].fill(F::ZERO);
    &scratch[..end]
}

/// Samples of the data set, or of the batch.
pub(crate) fn rows_of(points: &Points<'_>) -> usize {
    points.rows.count(points.x.rows())
}
