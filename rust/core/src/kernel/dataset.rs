//! `Dataset`: features, labels and sample weights of the rows that a pass reads; the checks on them; and access to the
//! labels and sample weights of up to 256 rows at a time (a stripe).

use std::ops::Range;

use crate::elements::Elements;
use crate::error::Error;
use crate::error::check_length;
use crate::features::Features;
use crate::float::Float;
use crate::matrix::Matrix;
use crate::reduce::{self, Job, Leaves, STRIPE};
use crate::sparse::changed;
use crate::vector::{RowSet, Vector};

/// `X`, `y`, sample weights and offsets: all rows, or the rows of one batch.
#[derive(Clone, Copy)]
pub struct Dataset<'a, X = Features<'a>> {
    pub(crate) x: X,
    pub(crate) y: &'a Vector<'a>,
    pub(crate) sample_weight: Option<&'a Vector<'a>>,
    /// One vector for each score of a model, with the numbers that are added to this score, one for each row. Empty
    /// without offsets.
    pub(crate) offsets: &'a [Vector<'a>],
    pub(crate) rows: RowSet<'a>,
}

pub(super) const LABELS: &str = "labels in [0, 1]";
pub(super) const WEIGHTS: &str = "finite and not negative";

#[inline(always)]
pub(super) fn is_label(y: f64) -> bool {
    y.is_nan() || (0.0..=1.0).contains(&y) // NaN is let through
}

#[inline(always)]
pub(super) fn is_weight(s: f64) -> bool {
    (0.0..f64::INFINITY).contains(&s)
}

/// # Errors
///
/// [`Error::Conflict`] if `offsets`, the number of offsets of a row, is neither 0 nor `scores`, the number of scores of
/// a row.
pub(crate) fn check_offset_scores(offsets: usize, scores: usize) -> Result<(), Error> {
    if offsets == 0 || offsets == scores {
        return Ok(());
    }
    Err(Error::Conflict {
        argument: "offset",
        expected: "one number for each row, or of three classes or more a row of one number for each class",
        got: match (offsets, scores) {
            (1, classes) => format!("one number for each row, for {classes} classes"),
            (_, 1) => format!("rows of {offsets} numbers, for labels in [0, 1]"),
            (_, classes) => format!("rows of {offsets} numbers, for {classes} classes"),
        },
    })
}

/// Checks that the sum of the sample weights, `sum`, can be the divisor of a mean. It must be finite, and not so small
/// that sample weights of type `F` may be subnormal and have lost digits.
///
/// # Errors
///
/// [`Error::TotalWeight`] if `sum` cannot be the divisor. The error reports the number that `given` returns.
pub(super) fn check_total<F: Float>(sum: f64, given: impl Fn() -> f64) -> Result<(), Error> {
    let least = (F::MIN_POSITIVE / F::EPSILON).to_f64();
    if sum >= least && sum.is_finite() {
        Ok(())
    } else {
        Err(Error::TotalWeight {
            least,
            got: given(),
        })
    }
}

impl<'a> Dataset<'a> {
    /// A dataset of all rows. `x` has shape (m, n); `y` and `sample_weight` have shape (m).
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `y` or `sample_weight` does not fit `x`.
    pub fn new(
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
        Ok(Dataset {
            x,
            y,
            sample_weight,
            offsets: &[],
            rows: RowSet::All,
        })
    }

    /// A dataset without features: labels and sample weights of rows whose features are stored elsewhere, in `columns`
    /// columns.
    ///
    /// # Errors
    ///
    /// As [`Dataset::new`], and [`Error::Empty`] without rows or columns.
    pub fn of_labels(
        columns: usize,
        y: &'a Vector<'a>,
        sample_weight: Option<&'a Vector<'a>>,
    ) -> Result<Self, Error> {
        let unread = Matrix::new(Elements::F64(&[0.0]), 0, (y.len(), columns), (0, 0))?;
        Dataset::new(&unread, y, sample_weight)
    }

    /// A dataset without features, as [`Dataset::of_labels`] makes it. It has the labels, sample weights and offsets of
    /// this dataset, and `columns` columns.
    ///
    /// # Errors
    ///
    /// As [`Dataset::of_labels`].
    pub(crate) fn of_columns(&self, columns: usize) -> Result<Self, Error> {
        Dataset::of_labels(columns, self.y, self.sample_weight)?.with_offsets(self.offsets)
    }

    /// Calls `work` with a dataset of the consecutive rows `rows`. The features of these rows are `x`. Their labels,
    /// sample weights and offsets are slices of the vectors of this dataset.
    ///
    /// # Errors
    ///
    /// As [`Dataset::new`], and those of `work`.
    pub(crate) fn with_part<T>(
        &self,
        x: &Matrix<'_>,
        rows: Range<usize>,
        work: impl FnOnce(&Dataset<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let part = |vector: &Vector<'a>| vector.part(rows.clone());
        let (y, sample_weight) = (part(self.y), self.sample_weight.map(part));
        let offsets: Vec<Vector<'a>> = self.offsets.iter().map(part).collect();
        let dataset = Dataset::new(x, &y, sample_weight.as_ref())?;
        work(&dataset.with_offsets(&offsets)?)
    }

    /// The same dataset with offsets: for each score of a model, a vector of shape (m) that is added to it. The offsets
    /// must already be rounded to the type of the computation.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if a vector does not have one number for each row.
    pub fn with_offsets(self, offsets: &'a [Vector<'a>]) -> Result<Self, Error> {
        for offset in offsets {
            check_length("offset", offset.len(), self.x.rows(), "one per row of X")?;
        }
        Ok(Dataset { offsets, ..self })
    }

    /// # Errors
    ///
    /// [`Error::Element`] for the first label outside [0, 1]; [`Error::Interrupted`] by the monitor.
    pub(crate) fn check_labels(&self, job: &mut Job<'_>) -> Result<(), Error> {
        let are_labels = |rows: Range<usize>| {
            let mut y = [0.0; STRIPE];
            rows.clone().step_by(STRIPE).all(|first| {
                let y = &mut y[..STRIPE.min(rows.end - first)];
                self.y.copy(self.rows, first, y);
                y.iter().all(|&y| is_label(y))
            })
        };
        let stretches = Leaves::new(rows_of(self), 1).stretches();
        let valid = reduce::map(job, stretches, || (), |(), rows| are_labels(rows))?;
        if valid.contains(&false) {
            self.y.check("y", LABELS, is_label)?;
        }
        Ok(())
    }

    /// # Errors
    ///
    /// The error names the first feature or label that is NaN or infinite, or the first offset that
    /// [`Dataset::check_offsets`] refuses.
    pub(crate) fn check_finite(&self) -> Result<(), Error> {
        self.x.first_not_finite().map_or(Ok(()), Err)?;
        self.check_labels_finite()
    }

    /// # Errors
    ///
    /// The error names the first label that is NaN or infinite, or the first offset that [`Dataset::check_offsets`]
    /// refuses.
    pub(crate) fn check_labels_finite(&self) -> Result<(), Error> {
        self.y.check("y", LABELS, f64::is_finite)?;
        self.check_offsets()
    }

    /// # Errors
    ///
    /// [`Error::Element`] for the first offset that is NaN or above 1e100 in magnitude. With larger offsets, sums of
    /// errors might be infinite.
    pub(crate) fn check_offsets(&self) -> Result<(), Error> {
        let is_offset = |offset: f64| offset.abs() <= 1e100;
        let mut offsets = self.offsets.iter();
        offsets.try_for_each(|offset| offset.check("offset", "between −1e100 and 1e100", is_offset))
    }

    /// Checks that each row has no offsets or one for each of its scores, and that [`Dataset::check_offsets`] accepts
    /// them.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] for another number of offsets; [`Error::Element`].
    pub(crate) fn check_offsets_of(&self, scores: usize) -> Result<(), Error> {
        check_offset_scores(self.offsets.len(), scores)?;
        self.check_offsets()
    }

    /// The largest Euclidean norm of the offsets of one row, over the rows of positive weight.
    pub(crate) fn largest_offset(&self) -> f64 {
        let is_counted = |row: &usize| self.sample_weight.is_none_or(|s| s.get::<f64>(*row) != 0.0);
        let square = |row: usize| {
            let offsets = self.offsets.iter().map(|offset| offset.get::<f64>(row));
            offsets.map(|offset| offset * offset).sum::<f64>()
        };
        let rows = (0..rows_of(self))
            .map(|i| self.rows.at(i))
            .filter(is_counted);
        rows.map(square).fold(0.0, f64::max).sqrt()
    }

    /// The error to report after the loss was infinite or NaN. It names an input that is not finite; if there is none,
    /// the largest feature.
    pub(crate) fn not_finite(&self) -> Error {
        self.check_finite().err().unwrap_or_else(|| Error::Number {
            argument: "X",
            expected: "small enough for sums of its squares to be finite",
            got: self.x.largest(),
        })
    }

    /// The error to report after an input was out of range in computations of type `F`. It names the first column index
    /// of a sparse X that is out of range; if there is none, the first such label; if there is none, the first such
    /// sample weight.
    pub(crate) fn first_invalid<F: Float>(&self) -> Error {
        let feature = match &self.x {
            Features::Dense(_) => None,
            Features::Sparse(x) => x.first_invalid(),
        };
        feature
            .or_else(|| self.y.check("y", LABELS, is_label).err())
            .or_else(|| self.check_weights::<F>().err())
            .unwrap_or_else(changed)
    }

    /// # Errors
    ///
    /// [`Error::Element`] for the first sample weight that is negative or not finite in `F`.
    pub(crate) fn check_weights<F: Float>(&self) -> Result<(), Error> {
        let Some(s) = self.sample_weight else {
            return Ok(());
        };
        s.check("sample_weight", WEIGHTS, is_weight)?;
        let fits = |s| is_weight(F::from_f64(s).to_f64());
        s.check("sample_weight", "finite in float32, as X is", fits)
    }

    /// Checks that `sum`, the sum of the sample weights of this dataset, can be the divisor of a mean: that it is
    /// finite and not too small. The function [`check_total`] says how small it may be.
    ///
    /// # Errors
    ///
    /// [`Error::TotalWeight`] if `sum` is not finite or too small.
    pub(crate) fn check_total<F: Float>(&self, sum: f64) -> Result<(), Error> {
        check_total::<F>(sum, || self.weight())
    }

    /// Σ s_i, the sum of the sample weights. The sample weights must have been checked before.
    pub(crate) fn weight(&self) -> f64 {
        let count = rows_of(self);
        let (mut sum, mut buffer) = (0.0, None);
        for first in (0..count).step_by(STRIPE) {
            let rows = first..count.min(first + STRIPE);
            let weights = (self.sample_weight)
                .map(|s| whole_vectors::<f64>(s, self.rows, rows.clone(), &mut buffer));
            sum += total(weights, rows.len());
        }
        sum
    }
}

impl<'a, X> Dataset<'a, X> {
    /// The dataset restricted to consecutive rows: those at `places`, counted in the order in which the dataset lists
    /// its rows.
    pub(crate) fn part(&self, places: Range<usize>) -> Self
    where
        X: Copy,
    {
        Dataset {
            rows: self.rows.part(places),
            ..*self
        }
    }

    /// The same dataset with `x` as its features.
    pub(crate) fn with<Y>(&self, x: Y) -> Dataset<'a, Y> {
        Dataset {
            x,
            y: self.y,
            sample_weight: self.sample_weight,
            offsets: self.offsets,
            rows: self.rows,
        }
    }

    /// Labels, sample weights and offsets of up to 256 rows (a stripe). They are copied to `buffers` if they cannot be
    /// used in place.
    #[inline(always)]
    pub(super) fn labels<'t, F: Float>(
        &self,
        rows: Range<usize>,
        buffers: &'t mut LabelBuffers<F>,
    ) -> StripeLabels<'t, F>
    where
        'a: 't,
    {
        let part = |vector, buffer| whole_vectors(vector, self.rows, rows.clone(), buffer);
        StripeLabels {
            count: rows.len(),
            y: part(self.y, &mut buffers.y),
            sample_weight: (self.sample_weight).map(|s| part(s, &mut buffers.sample_weight)),
            offset: self
                .offset()
                .map(|offset| part(offset, &mut buffers.offset)),
        }
    }

    /// The offsets of a model with one score.
    #[inline(always)]
    pub(crate) fn offset(&self) -> Option<&'a Vector<'a>> {
        match self.offsets {
            [offset] => Some(offset),
            _ => None,
        }
    }

    /// The offset of score `k` of a row; 0 without offsets.
    #[inline(always)]
    pub(crate) fn offset_of(&self, row: usize, k: usize) -> f64 {
        self.offsets
            .get(k)
            .map_or(0.0, |offset| offset.get::<f64>(row))
    }

    /// Adds the offsets of the rows from `first` on to their scores `z`, for models with one score.
    #[inline(always)]
    pub(crate) fn add_offsets<F: Float>(&self, first: usize, z: &mut [F]) {
        let Some(offset) = self.offset() else { return };
        let mut buffer = [F::ZERO; STRIPE];
        for (k, z) in z.chunks_mut(STRIPE).enumerate() {
            let offsets = &mut buffer[..z.len()];
            offset.copy(self.rows, first + k * STRIPE, offsets);
            z.iter_mut().zip(offsets).for_each(|(z, o)| *z += *o);
        }
    }
}

/// Memory for the labels, sample weights and offsets of a stripe, up to 256 rows. Each buffer is allocated when it is
/// first needed. Numbers that can be used in place need no buffer.
pub(super) struct LabelBuffers<F> {
    y: Buffer<F>,
    sample_weight: Buffer<F>,
    /// For models with one score.
    offset: Buffer<F>,
}

type Buffer<F> = Option<Box<[F; STRIPE]>>;

impl<F> LabelBuffers<F> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        LabelBuffers {
            y: None,
            sample_weight: None,
            offset: None,
        }
    }
}

/// Labels, sample weights and offsets of `count` rows, at most 256 (a stripe). The slices are padded with zeros to a
/// whole number of SIMD vectors.
#[derive(Clone, Copy)]
pub(super) struct StripeLabels<'t, F> {
    pub(super) count: usize,
    pub(super) y: &'t [F],
    pub(super) sample_weight: Option<&'t [F]>,
    /// For models with one score.
    pub(super) offset: Option<&'t [F]>,
}

impl<F: Float> StripeLabels<'_, F> {
    /// Labels, sample weights and offsets of `count` of these rows, from `first` on. `first` must be a multiple of the
    /// number of lanes of a vector.
    #[inline(always)]
    pub(super) fn part(&self, first: usize, count: usize) -> Self {
        StripeLabels {
            count,
            y: &self.y[first..],
            sample_weight: self.sample_weight.map(|s| &s[first..]),
            offset: self.offset.map(|offset| &offset[first..]),
        }
    }

    /// The sum of the sample weights; the number of rows if there are no sample weights.
    #[inline(always)]
    pub(super) fn total(&self) -> f64 {
        total(self.sample_weight, self.count)
    }
}

/// The sum of the sample weights of `count` rows, or `count` if there are no sample weights. Eight partial sums, each
/// of every eighth weight, are computed first and then added.
#[inline(always)]
fn total<F: Float>(sample_weight: Option<&[F]>, count: usize) -> f64 {
    let Some(values) = sample_weight else {
        return count as f64;
    };
    let mut chains = [0.0; 8];
    for eight in values.chunks_exact(8) {
        for (chain, value) in chains.iter_mut().zip(eight) {
            *chain += value.to_f64();
        }
    }
    let [a, b, c, d, e, f, g, h] = chains;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// The elements of a vector for up to 256 rows, padded with zeros to a whole number of SIMD vectors. `range` counts the
/// rows in the order of `rows`. The elements are copied to `buffer` only if they must be padded or converted, or are
/// not contiguous.
#[inline(always)]
fn whole_vectors<'t, F: Float>(
    vector: &Vector<'t>,
    rows: RowSet<'_>,
    range: Range<usize>,
    buffer: &'t mut Buffer<F>,
) -> &'t [F] {
    let (first, count) = (range.start, range.len());
    if let (0, Some(values)) = (count % F::LANES, vector.in_place(rows, first, count)) {
        return values;
    }
    let buffer = buffer.get_or_insert_with(|| Box::new([F::ZERO; STRIPE]));
    let end = count.next_multiple_of(F::LANES);
    vector.copy(rows, first, &mut buffer[..count]);
    buffer[count..end].fill(F::ZERO);
    &buffer[..end]
}

/// The number of rows of the dataset or batch.
pub(crate) fn rows_of(dataset: &Dataset<'_>) -> usize {
    dataset.rows.count(dataset.x.rows())
}
