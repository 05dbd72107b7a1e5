//! Implements [`Source`], through which solvers read rows, for dense rows that are read in chunks, of which only one is
//! in memory at a time. Labels, sample weights, offsets and scores, a few numbers per row, are kept in memory.
//!
//! A chunk has a power of two of rows, and at least as many as any leaf (consecutive rows that are summed before their
//! sum is added to others). So the sum over a chunk is a node of the tree over all leaves, and adding the sums of
//! chunks in the tree above gives the bits that all rows at once would give.

use std::ops::Range;

use super::kept::{KeptPlane, KeptScores, Rows};
use super::{Arrays, ByColumns, Part, PlaneScores, Rounding, RowCurvatures, RowScores, Source};
use crate::error::{Error, zeros};
use crate::features::Features;
use crate::float::{Float, Precision};
use crate::kernel::{
    self, Basis, Copied, Curvature, Dataset, ExactScores, Gram, JeffreysSums, Labels, Metric,
    MomentSums, Parameters, Ranges, RowTerms, Selected, Sides, Standardised, Subset, Sums,
    Whitening, rows_of,
};
use crate::matrix::Matrix;
use crate::reduce::{Forest, Job, Sum};
use crate::vector::Vector;

/// Bytes of a chunk, where so many rows are enough.
const CHUNK_BYTES: usize = 8 << 20;
/// The most rows of a leaf of dense rows: a chunk has whole leaves.
const LARGEST_LEAF: usize = 2048;

/// Dense rows that are read some at a time, for computing with them in `F`.
pub trait ReadRows<F> {
    /// Calls `work` once with these rows, in any layout and type of elements: shape (count, n). They are asked for in
    /// ascending order, many times from row 0 on.
    ///
    /// # Errors
    ///
    /// Any, which ends what the rows are read for; and that of `work`.
    fn read(
        &self,
        rows: Range<usize>,
        work: &mut dyn FnMut(&Matrix<'_>) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

/// Rows that are read in chunks, as a [`Source`].
pub(crate) struct Chunks<'a, F> {
    reader: &'a dyn ReadRows<F>,
    /// Labels, sample weights and offsets of all rows. Its X has the right shape and is not read.
    labels: Dataset<'a>,
    /// Rows of a chunk.
    size: usize,
}

impl<'a, F: Float> Chunks<'a, F> {
    /// `labels` are those of the rows: [`Dataset::of_labels`].
    pub(crate) fn new(reader: &'a dyn ReadRows<F>, labels: Dataset<'a>) -> Self {
        let of_row = labels.x.columns().saturating_mul(size_of::<F>()).max(1);
        Chunks::of_size(reader, labels, CHUNK_BYTES / of_row)
    }

    /// [`Chunks::new`] with about so many rows to a chunk.
    pub(crate) fn of_size(reader: &'a dyn ReadRows<F>, labels: Dataset<'a>, size: usize) -> Self {
        let size = size.clamp(LARGEST_LEAF, 1 << 40).next_power_of_two();
        Chunks {
            reader,
            labels,
            size,
        }
    }

    /// Calls `each` with the number of the first row and the rows of every chunk, as arrays.
    fn for_each(
        &self,
        mut each: impl FnMut(usize, &Arrays<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let m = self.rows();
        for first in (0..m).step_by(self.size) {
            let rows = first..m.min(first + self.size);
            let part = |vector: &Vector<'a>| vector.part(rows.clone());
            let y = part(self.labels.y);
            let sample_weight = self.labels.sample_weight.map(part);
            let offset = self.labels.offset.map(part);
            self.reader.read(rows.clone(), &mut |x| {
                let dataset = Dataset::new(x, &y, sample_weight.as_ref())?;
                each(first, &Arrays(dataset.with_offset(offset.as_ref())?, None))
            })?;
        }
        Ok(())
    }

    /// The sum over all rows of what `each` makes of a chunk.
    fn sum<T: Sum>(
        &self,
        mut each: impl FnMut(usize, &Arrays<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut all = Forest::new();
        self.for_each(|first, chunk| {
            all.append_leaf(first / self.size, each(first, chunk)?);
            Ok(())
        })?;
        all.total().ok_or(Error::Empty {
            rows: 0,
            columns: self.columns(),
        })
    }

    /// Copies rows, given by ascending numbers, one after the other, as `each` copies a row of a chunk.
    fn copy<T: Float>(&self, rows: &[usize]) -> Result<Vec<T>, Error> {
        let n = self.columns();
        let mut out: Vec<T> = zeros("X", rows.len().saturating_mul(n), "numbers of its rows")?;
        let mut places = rows.iter().zip(out.chunks_exact_mut(n)).peekable();
        self.for_each(|first, chunk| {
            let Features::Dense(x) = chunk.0.x else {
                return Ok(());
            };
            while let Some((&row, out)) = places.next_if(|(row, _)| **row < first + x.rows()) {
                x.copy_row(row - first, out);
            }
            Ok(())
        })?;
        Ok(out)
    }
}

impl<F: Float> Source for Chunks<'_, F> {
    fn rows(&self) -> usize {
        rows_of(&self.labels)
    }

    fn columns(&self) -> usize {
        self.labels.x.columns()
    }

    fn reads(&self) -> usize {
        Arrays(self.labels, None).reads()
    }

    fn has_offsets(&self) -> bool {
        self.labels.offset.is_some()
    }

    fn labels(&self, precision: Precision, job: &mut Job<'_>) -> Result<Labels, Error> {
        Source::labels(&Arrays(self.labels, None), precision, job)
    }

    fn basis(&self, fit_bias: bool, is_penalised: bool) -> Result<Basis, Error> {
        let rows = self.copy(&Basis::drawn(&self.labels))?;
        Ok(Basis::of_dense_rows(
            self.columns(),
            &rows,
            fit_bias,
            is_penalised,
        ))
    }

    fn ranges(&self, scores: usize, job: &mut Job<'_>) -> Result<Ranges, Error> {
        self.sum(|_, chunk| chunk.ranges(scores, job))
    }

    fn evaluate(
        &self,
        at: &Parameters<'_, f64>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error> {
        self.sum(|first, chunk| {
            let sums = chunk.evaluate(at, precision, job);
            sums.map_err(|error| error.after_rows(first))
        })
    }

    fn rounding(&self, scores: usize, precision: Precision) -> Rounding {
        Arrays(self.labels, None).rounding(scores, precision)
    }

    fn curvatures<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        _: &mut Job<'_>,
    ) -> Result<Box<dyn RowCurvatures + 's>, Error> {
        Ok(Box::new(ChunkCurvatures {
            chunks: self,
            weights: at.weights.to_vec(),
            biases: at.biases.to_vec(),
        }))
    }

    fn gram_of_counts(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let gram = self.sum(|_, chunk| chunk.gram_of_counts(basis, job))?;
        Ok(Gram {
            weight: self.labels.weight(),
            ..gram
        })
    }

    fn scores<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowScores + 's>, Error> {
        Ok(Box::new(KeptScores::new(self, at, job)?))
    }

    fn plane<'s>(&'s self, scores: usize) -> Result<Box<dyn PlaneScores + 's>, Error> {
        Ok(Box::new(KeptPlane::new(self, scores)?))
    }

    fn reach(&self, metric: &Metric, job: &mut Job<'_>) -> Result<f64, Error> {
        let mut largest: f64 = 0.0;
        self.for_each(|_, chunk| {
            largest = largest.max(chunk.reach(metric, job)?);
            Ok(())
        })?;
        Ok(largest)
    }

    fn sum_of_pairs(&self, space: &Standardised, job: &mut Job<'_>) -> Result<Vec<f64>, Error> {
        self.sum(|_, chunk| chunk.sum_of_pairs(space, job))
    }

    fn sides(
        &self,
        space: &Standardised,
        direction: &[f64],
        tie: f64,
        job: &mut Job<'_>,
    ) -> Result<Sides, Error> {
        self.sum(|first, chunk| {
            let mut sides = chunk.sides(space, direction, tie, job)?;
            sides.others.iter_mut().for_each(|pair| pair.row += first);
            Ok(sides)
        })
    }

    fn gather(&self, rows: &[usize]) -> Result<Vec<f64>, Error> {
        let n = self.columns();
        let mut ascending: Vec<usize> = (0..rows.len()).collect();
        ascending.sort_by_key(|&place| rows[place]);
        let sorted: Vec<usize> = ascending.iter().map(|&place| rows[place]).collect();
        let copied = self.copy::<f64>(&sorted)?;
        let mut out = vec![0.0; copied.len()];
        for (row, &place) in copied.chunks_exact(n).zip(&ascending) {
            out[place * n..][..n].copy_from_slice(row);
        }
        Ok(out)
    }

    fn sample<'s>(
        &'s self,
        rows: Vec<usize>,
        precision: Precision,
        _: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error> {
        Ok(Box::new(match precision {
            Precision::Single => Subset::Single(Copied::of(self.copy(&rows)?, &self.labels, &rows)),
            Precision::Double => Subset::Double(Copied::of(self.copy(&rows)?, &self.labels, &rows)),
        }))
    }

    fn select<'s>(
        &'s self,
        columns: &[usize],
        _: Precision, // numbers of either are the same in f64
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error> {
        let mut x = Vec::new();
        self.for_each(|_, chunk| {
            let part = Selected::new(&chunk.0, columns, Precision::Double, job)?;
            let part = part.dataset()?;
            let rows: Vec<usize> = (0..rows_of(&part)).collect();
            x.extend(kernel::gather(&part, &rows));
            Ok(())
        })?;
        Ok(Box::new(Selected::of_dense(&self.labels, columns.len(), x)))
    }

    fn by_columns<'s>(&'s self, _: &mut Job<'_>) -> Result<Option<Box<dyn ByColumns + 's>>, Error> {
        Ok(None)
    }

    fn not_finite(&self) -> Error {
        let mut largest: f64 = 0.0;
        let found = self.for_each(|first, chunk| {
            largest = largest.max(chunk.0.x.largest());
            let found = chunk.0.x.first_not_finite();
            found.map_or(Ok(()), |error| Err(error.after_rows(first)))
        });
        let found = found.and_then(|()| self.labels.check_labels_finite());
        found.err().unwrap_or(Error::Number {
            argument: "X",
            expected: "small enough for sums of its squares to be finite",
            got: largest,
        })
    }
}

/// The curvatures of the rows at fixed parameters, computed anew in every read.
struct ChunkCurvatures<'a, F> {
    chunks: &'a Chunks<'a, F>,
    weights: Vec<f64>,
    biases: Vec<f64>,
}

impl<F: Float> ChunkCurvatures<'_, F> {
    /// The sum over all rows of what `each` makes of the curvatures of a chunk.
    fn sum<T: Sum>(
        &self,
        job: &mut Job<'_>,
        each: impl Fn(&dyn RowCurvatures, &mut Job<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let at = Parameters::of_scores(&self.weights, &self.biases);
        self.chunks
            .sum(|_, chunk| each(&*chunk.curvatures(&at, job)?, job))
    }
}

impl<F: Float> RowCurvatures for ChunkCurvatures<'_, F> {
    fn gram(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let gram = self.sum(job, |curvatures, job| curvatures.gram(score, basis, job))?;
        Ok(match self.biases.len() {
            1 => gram,
            _ => Gram {
                weight: self.chunks.labels.weight(),
                ..gram
            },
        })
    }

    fn diagonal(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Curvature, Error> {
        self.sum(job, |curvatures, job| {
            curvatures.diagonal(score, basis, job)
        })
    }

    fn trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<(Curvature, Vec<f64>), Error> {
        self.sum(job, |curvatures, job| curvatures.trace(basis, job))
    }
}

impl<F: Float> Rows for Chunks<'_, F> {
    fn labels(&self) -> &Dataset<'_> {
        &self.labels
    }

    fn exact_scores(
        &self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<ExactScores, Error> {
        let count = self.rows().saturating_mul(at.scores());
        let mut all = ExactScores {
            z: zeros("X", count, "scores")?,
            magnitude: 0.0,
        };
        self.for_each(|first, chunk| {
            let ExactScores { z, magnitude } = chunk.exact_scores(at, job)?;
            all.z[first * at.scores()..][..z.len()].copy_from_slice(&z);
            all.magnitude = all.magnitude.max(magnitude);
            Ok(())
        })?;
        Ok(all)
    }

    fn scores(
        &self,
        at: &Parameters<'_, f64>,
        out: &mut [f64],
        job: &mut Job<'_>,
    ) -> Result<(), Error> {
        self.for_each(|first, chunk| {
            let out = &mut out[first * at.scores()..][..rows_of(&chunk.0) * at.scores()];
            Rows::scores(chunk, at, out, job)
        })
    }

    fn gram_of(&self, d: &[f64], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let gram = self.sum(|first, chunk| {
            let d = &d[first..][..rows_of(&chunk.0)];
            chunk.gram_of(d, basis, job)
        })?;
        Ok(Gram {
            weight: self.labels.weight(),
            ..gram
        })
    }

    fn moment_sums(
        &self,
        basis: &Basis,
        residuals: &[f64],
        is_fractional: bool,
        scale: &[f64],
        job: &mut Job<'_>,
    ) -> Result<MomentSums, Error> {
        let classes = residuals.len() / self.rows();
        self.sum(|first, chunk| {
            let part = &residuals[first * classes..][..rows_of(&chunk.0) * classes];
            chunk.moment_sums(basis, part, is_fractional, scale, job)
        })
    }

    fn jeffreys_sums(
        &self,
        whitening: &Whitening,
        terms: &RowTerms<'_>,
        with_cubes: bool,
        job: &mut Job<'_>,
    ) -> Result<JeffreysSums, Error> {
        self.sum(|first, chunk| {
            let rows = first..first + rows_of(&chunk.0);
            let terms = RowTerms {
                residuals: &terms.residuals[rows.clone()],
                curvatures: &terms.curvatures[rows.clone()],
                predictions: &terms.predictions[rows],
            };
            chunk.jeffreys_sums(whitening, &terms, with_cubes, job)
        })
    }
}
