//! A copy of some columns, with all rows. A solver reads the copy many times before it reads all of `X` again.

use super::dataset::{Dataset, rows_of};
use super::leaves::sparse_leaves;
use crate::elements::Elements;
use crate::error::{Error, zeros};
use crate::features::Features;
use crate::float::{Float, Precision};
use crate::matrix::{Matrix, Packed};
use crate::reduce::{Job, Leaves, map, map_into};
use crate::sparse::{Indices, Sparse, with_rows};
use crate::vector::RowSet;

/// A copy of some columns, with the labels and sample weights of the dataset from which the columns were copied.
pub(crate) struct Selected<'a> {
    dataset: Dataset<'a>,
    columns: usize,
    x: Copied,
}

/// The copied columns: dense in C order, or sparse in CSR format.
enum Copied {
    Single(Vec<f32>),
    Double(Vec<f64>),
    Sparse {
        values: Vec<f64>,
        indices: Vec<i32>,
        starts: Vec<i64>,
    },
}

/// Rows that are not stored one after the other are first copied, so many at a time.
const TILE: usize = 16;

impl<'a> Selected<'a> {
    /// Copies the columns with the numbers `columns`, which must ascend. Dense columns are copied in `precision`.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if a copy cannot be allocated; [`Error::Interrupted`] by the monitor.
    pub(crate) fn new(
        dataset: &Dataset<'a>,
        columns: &[usize],
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Self, Error> {
        let x = match (dataset.x, precision) {
            (Features::Dense(x), Precision::Single) => Copied::Single(copy(&x, columns, job)?),
            (Features::Dense(x), Precision::Double) => Copied::Double(copy(&x, columns, job)?),
            (Features::Sparse(x), _) => Copied::sparse(&x, columns, job)?,
        };
        Ok(Selected {
            dataset: *dataset,
            columns: columns.len(),
            x,
        })
    }

    /// Makes a `Selected` of columns that are copied already: `x` has `columns` numbers for each row of `dataset`, row
    /// by row.
    pub(crate) fn of_dense(dataset: &Dataset<'a>, columns: usize, x: Vec<f64>) -> Self {
        Selected {
            dataset: *dataset,
            columns,
            x: Copied::Double(x),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        rows_of(&self.dataset)
    }

    /// The copied columns as a dataset.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if there are no columns.
    pub(crate) fn dataset(&self) -> Result<Dataset<'_>, Error> {
        let rows = self.dataset.x.rows();
        let dense = |elements| Matrix::from_rows(elements, rows, self.columns);
        let x = match &self.x {
            Copied::Single(x) => Features::Dense(dense(Elements::F32(x))?),
            Copied::Double(x) => Features::Dense(dense(Elements::F64(x))?),
            Copied::Sparse {
                values,
                indices,
                starts,
            } => {
                let (indices, starts) = (Indices::I32(indices), Indices::I64(starts));
                let shape = (rows, self.columns);
                Features::Sparse(Sparse::new(Elements::F64(values), indices, starts, shape)?)
            }
        };
        Ok(self.dataset.with(x))
    }
}

/// Copies dense columns, row by row.
fn copy<F: Float>(x: &Matrix<'_>, columns: &[usize], job: &mut Job<'_>) -> Result<Vec<F>, Error> {
    let (rows, n, count) = (x.rows(), x.columns(), columns.len());
    let all = x.select(RowSet::All);
    let mut out = zeros("X", rows.saturating_mul(count), "numbers of its columns")?;
    map_into(
        job,
        Leaves::new(rows, n),
        (&mut out, count),
        Packed::new,
        |packed, stretch, out| {
            for (first, out) in stretch
                .clone()
                .step_by(TILE)
                .zip(out.chunks_mut(TILE * count))
            {
                let tile = TILE.min(stretch.end - first);
                let strips = all.row_tile(first, tile, packed);
                for (row, out) in strips.run(0..tile).zip(out.chunks_exact_mut(count)) {
                    for (out, &column) in out.iter_mut().zip(columns) {
                        *out = row[column];
                    }
                }
            }
        },
    )?;
    Ok(out)
}

impl Copied {
    fn sparse(x: &Sparse<'_>, columns: &[usize], job: &mut Job<'_>) -> Result<Self, Error> {
        let mut places = vec![-1; x.columns()];
        for (at, &column) in (0..).zip(columns) {
            places[column] = at;
        }
        let stretches = sparse_leaves(x, RowSet::All, 1).stretches();
        let parts = with_rows!(x, RowSet::All, rows => map(job, stretches, Vec::new, |parts, stretch| {
            let (mut elements, mut ends) = (Vec::new(), Vec::new());
            for i in stretch {
                elements.extend_from_slice(rows.in_places(i, &places, parts));
                ends.push(elements.len());
            }
            (elements, ends)
        }))?;
        let count = parts.iter().map(|(elements, _)| elements.len()).sum();
        let what = "stored elements of its columns";
        let (mut values, mut indices) = (zeros("X", count, what)?, zeros("X", count, what)?);
        let mut starts = vec![0];
        let mut items = Vec::new();
        let (mut values_left, mut indices_left) = (&mut values[..], &mut indices[..]);
        for (elements, ends) in parts {
            let stored = (count - values_left.len()) as i64;
            starts.extend(ends.iter().map(|&end| stored + end as i64));
            let values = values_left.split_off_mut(..elements.len());
            let indices = indices_left.split_off_mut(..elements.len());
            items.push((
                elements,
                values.unwrap_or_default(),
                indices.unwrap_or_default(),
            ));
        }
        map(
            job,
            items,
            || (),
            |_, (elements, values, indices)| {
                for ((at, value), (to_index, to_value)) in
                    elements.into_iter().zip(indices.iter_mut().zip(values))
                {
                    (*to_index, *to_value) = (at, value);
                }
            },
        )?;
        Ok(Copied::Sparse {
            values,
            indices,
            starts,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::kernel::gather;
    use crate::reduce::{Threads, Unmonitored};
    use crate::vector::Vector;

    #[test]
    fn elements_out_of_order_and_stored_twice_are_joined() {
        let (starts, indices) = ([0_i64, 4, 4, 7], [3_i64, 1, 3, 0, 2, 1, 0]);
        let x = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
        let (indices, starts) = (Indices::I64(&indices), Indices::I64(&starts));
        let sparse = Sparse::new(Elements::F64(&x), indices, starts, (3, 4)).unwrap();
        let y = [0.0, 1.0, 0.0];
        let y = Vector::from_slice(&y);
        let dataset = Dataset::new(Features::Sparse(sparse), &y, None).unwrap();
        let mut monitor = Unmonitored;
        let mut job = Job::new(Threads::ONE, &mut monitor).unwrap();
        let selected = Selected::new(&dataset, &[1, 3], Precision::Double, &mut job).unwrap();
        let rows = gather(&selected.dataset().unwrap(), &[0, 1, 2]);
        assert_eq!(rows, [2.0, 5.0, 0.0, 0.0, 32.0, 0.0]);
    }

    #[test]
    fn columns_are_those_asked_for() {
        let x: Vec<f64> = (0..12).map(f64::from).collect();
        let y = vec![0.0, 1.0, 0.0];
        let y = Vector::from_slice(&y);
        let (starts, indices): (Vec<i64>, Vec<i64>) = (
            (0..4).map(|i| 4 * i).collect(),
            (0..12).map(|k| k % 4).collect(),
        );
        let sparse = Sparse::new(
            Elements::F64(&x),
            Indices::I64(&indices),
            Indices::I64(&starts),
            (3, 4),
        );
        let dense = Matrix::from_rows(Elements::F64(&x), 3, 4).unwrap();
        let mut monitor = Unmonitored;
        let mut job = Job::new(Threads::ONE, &mut monitor).unwrap();
        for features in [Features::Dense(dense), Features::Sparse(sparse.unwrap())] {
            let dataset = Dataset::new(features, &y, None).unwrap();
            for precision in [Precision::Single, Precision::Double] {
                let selected = Selected::new(&dataset, &[1, 3], precision, &mut job).unwrap();
                let columns = gather(&selected.dataset().unwrap(), &[2, 0]);
                assert_eq!(columns, [9.0, 11.0, 1.0, 3.0]);
            }
        }
    }
}
