//! A sample of the rows. A solver reads the sample many times before it reads all of `X`. Dense rows are copied. Sparse
//! rows are read where they are, because the rows of a sample are small enough to stay in the cache.

use super::dataset::Dataset;
use crate::elements::Elements;
use crate::error::{Error, zeros};
use crate::features::Features;
use crate::float::{Float, Precision};
use crate::matrix::Matrix;
use crate::reduce::{Job, Leaves, map_into};
use crate::shuffle::Random;
use crate::vector::{RowSet, Vector};

/// A sample of the rows, with their labels, sample weights and offsets: a copy in `f32` or `f64`, or a list of row
/// numbers.
pub(crate) enum Subset<'a> {
    Single(Copied<f32>),
    Double(Copied<f64>),
    Listed(Dataset<'a>, Vec<usize>),
}

/// A copy of dense rows, in C order.
pub(crate) struct Copied<F> {
    x: Vec<F>,
    columns: usize,
    y: Vec<f64>,
    sample_weight: Option<Vec<f64>>,
    offsets: Vec<Vec<f64>>,
}

/// Draws `count ≤ rows` different row numbers, in ascending order. The rows are cut into `count` ranges of equal
/// length, and one row is drawn uniformly from each range. The same arguments give the same numbers.
pub(crate) fn stratified(rows: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed);
    let boundary = |k: usize| (k as u128 * rows as u128 / count.max(1) as u128) as usize;
    (0..count)
        .map(|k| {
            let (start, end) = (boundary(k), boundary(k + 1));
            start + random.below((end - start).max(1) as u64) as usize
        })
        .collect()
}

impl<'a> Subset<'a> {
    /// The sample of the rows with the numbers `rows`. Dense rows are copied in `precision`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if a copy cannot be allocated; [`Error::Interrupted`] by the monitor.
    pub(crate) fn new(
        dataset: &Dataset<'a>,
        rows: Vec<usize>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Self, Error> {
        match (dataset.x, precision) {
            (Features::Dense(x), Precision::Single) => {
                Copied::new(&dataset.with(x), &rows, job).map(Subset::Single)
            }
            (Features::Dense(x), Precision::Double) => {
                Copied::new(&dataset.with(x), &rows, job).map(Subset::Double)
            }
            (Features::Sparse(_), _) => Ok(Subset::Listed(*dataset, rows)),
        }
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Subset::Single(copied) => copied.y.len(),
            Subset::Double(copied) => copied.y.len(),
            Subset::Listed(_, rows) => rows.len(),
        }
    }

    /// Calls `work` with a dataset of every `stride`-th row of the sample.
    pub(crate) fn with_rows<T>(
        &self,
        stride: usize,
        work: impl FnOnce(&Dataset<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self {
            Subset::Single(copied) => copied.with_rows(stride, work),
            Subset::Double(copied) => copied.with_rows(stride, work),
            Subset::Listed(dataset, rows) => {
                let every: Vec<usize> = rows.iter().step_by(stride).copied().collect();
                work(&Dataset {
                    rows: RowSet::Listed(&every),
                    ..*dataset
                })
            }
        }
    }
}

impl<F: Float> Copied<F> {
    fn new(
        dataset: &Dataset<'_, Matrix<'_>>,
        rows: &[usize],
        job: &mut Job<'_>,
    ) -> Result<Self, Error> {
        let columns = dataset.x.columns();
        let unit = "numbers of a sample of its rows";
        let mut x = zeros("X", rows.len().saturating_mul(columns), unit)?;
        let leaves = Leaves::new(rows.len(), columns);
        map_into(
            job,
            leaves,
            (&mut x, columns),
            || (),
            |(), part, out| {
                for (&row, out) in rows[part].iter().zip(out.chunks_exact_mut(columns)) {
                    dataset.x.copy_row(row, out);
                }
            },
        )?;
        Ok(Copied::of(x, dataset, rows))
    }

    /// The rows with the row numbers `rows`. `x` is a copy of their features, made before; their labels, sample weights
    /// and offsets are copied from `dataset`.
    pub(crate) fn of<X>(x: Vec<F>, dataset: &Dataset<'_, X>, rows: &[usize]) -> Self {
        let copy = |vector: &Vector<'_>| {
            let mut out = vec![0.0; rows.len()];
            vector.copy(RowSet::Listed(rows), 0, &mut out);
            out
        };
        Copied {
            columns: x.len() / rows.len().max(1),
            x,
            y: copy(dataset.y),
            sample_weight: dataset.sample_weight.map(copy),
            offsets: dataset.offsets.iter().map(copy).collect(),
        }
    }

    fn with_rows<T>(
        &self,
        stride: usize,
        work: impl FnOnce(&Dataset<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let rows = self.y.len().div_ceil(stride);
        let down = stride * self.columns;
        let x = Matrix::new(
            Elements::of(&self.x),
            0,
            (rows, self.columns),
            (down as isize, 1),
        )?;
        let every = |argument, values| {
            Vector::new(argument, Elements::F64(values), 0, rows, stride as isize)
        };
        let y = every("y", &self.y)?;
        let sample_weight = self.sample_weight.as_deref();
        let sample_weight = sample_weight
            .map(|s| every("sample_weight", s))
            .transpose()?;
        let offsets = self.offsets.iter().map(|offset| every("offset", offset));
        let offsets: Vec<Vector<'_>> = offsets.collect::<Result<_, _>>()?;
        work(&Dataset {
            x: Features::Dense(x),
            y: &y,
            sample_weight: sample_weight.as_ref(),
            offsets: &offsets,
            rows: RowSet::All,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_of_every_stretch() {
        for (rows, count) in [(10, 10), (10, 3), (1000, 64), (7, 1)] {
            let drawn = stratified(rows, count, 1);
            assert_eq!(drawn.len(), count);
            for (k, &row) in drawn.iter().enumerate() {
                assert!(k * rows / count <= row && row < (k + 1) * rows / count);
            }
        }
        assert_ne!(stratified(1000, 64, 1), stratified(1000, 64, 2));
    }
}
