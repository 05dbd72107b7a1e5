//! Sparse columns one by one, with a curvature of each row. They are for coordinate descent, where each step changes
//! one weight.

use super::ByColumns;
use crate::elementwise::{self, Function};
use crate::error::{Error, zeros};
use crate::kernel::{Dataset, Parameters, rows_of};
use crate::reduce::Job;
use crate::sparse::Sparse;

/// A row's curvature is at least this fraction of the magnitude of its residual. Where a prediction is certain and
/// wrong, σ' alone would be nearly 0, although the curvature of the error is larger at scores not far away.
const LEAST: f64 = 0.05;

/// The columns of a sparse `X` (CSC), with curvatures d_i of the rows and changes t_i of their scores.
pub(super) struct WeightedColumns<'a> {
    dataset: &'a Dataset<'a>,
    /// The elements of column j are at `starts[j]..starts[j + 1]` in `rows` and `values`.
    starts: Vec<usize>,
    rows: Vec<usize>,
    values: Vec<f64>,
    /// d_i / Σ s_i with sample weights s_i.
    d: Vec<f64>,
    /// t_i
    changes: Vec<f64>,
}

impl<'a> WeightedColumns<'a> {
    /// The columns of `x`, which has all rows of the dataset. All curvatures are 0 at first.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the columns do not fit into memory; [`Error::Interrupted`] by the monitor.
    pub(super) fn new(
        dataset: &'a Dataset<'a>,
        x: &Sparse<'_>,
        job: &mut Job<'_>,
    ) -> Result<Self, Error> {
        let m = rows_of(dataset);
        let (mut values, mut rows, mut starts) = x.transposed(job)?.into_parts();
        join(&mut values, &mut rows, &mut starts);
        Ok(WeightedColumns {
            dataset,
            starts,
            rows,
            values,
            d: zeros("X", m, "curvatures")?,
            changes: zeros("X", m, "changes of scores")?,
        })
    }

    /// Row numbers and values of the elements of a column.
    fn column(&self, j: usize) -> impl Iterator<Item = (usize, f64)> {
        let range = self.starts[j]..self.starts[j + 1];
        let rows = self.rows[range.clone()].iter().copied();
        rows.zip(self.values[range].iter().copied())
    }
}

/// Adds up the values of elements that a row stores several times in the same column: a square must be that of the whole
/// element. The rows of each column must ascend.
fn join(values: &mut Vec<f64>, rows: &mut Vec<usize>, starts: &mut [usize]) {
    let (mut from, mut to) = (0, 0);
    for end in starts.iter_mut().skip(1) {
        let first = to;
        while from < *end {
            if to > first && rows[to - 1] == rows[from] {
                values[to - 1] += values[from];
            } else {
                (values[to], rows[to]) = (values[from], rows[from]);
                to += 1;
            }
            from += 1;
        }
        *end = to;
    }
    values.truncate(to);
    rows.truncate(to);
}

impl ByColumns for WeightedColumns<'_> {
    /// Sets d_i = s_i max(σ'(z_i), |ŷ_i − y_i| / 20), divided by Σ s_i.
    fn set_curvatures(&mut self, at: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error> {
        let Dataset {
            y,
            sample_weight,
            rows,
            ..
        } = *self.dataset;
        let mut z = vec![at.biases[0]; self.d.len()];
        for (j, &w) in at.weights.iter().enumerate().filter(|(_, w)| **w != 0.0) {
            self.column(j).for_each(|(i, x)| z[i] += w * x);
        }
        self.dataset.add_offsets(0, &mut z);
        let mut slopes = z.clone();
        elementwise::apply_in_place(Function::SigmoidDerivative, &mut slopes, job)?;
        elementwise::apply_in_place(Function::Sigmoid, &mut z, job)?;
        let total = self.dataset.weight();
        for (i, (d, (y_hat, slope))) in self.d.iter_mut().zip(z.iter().zip(&slopes)).enumerate() {
            let row = rows.at(i);
            let s = sample_weight.map_or(1.0, |s| s.get::<f64>(row));
            let residual = y_hat - y.get::<f64>(row);
            *d = match s {
                0.0 => 0.0,
                s => s * slope.max(LEAST * residual.abs()) / total,
            };
        }
        Ok(())
    }

    fn total(&self) -> f64 {
        self.d.iter().sum()
    }

    fn moments(&self, j: usize) -> [f64; 2] {
        let terms = self
            .column(j)
            .map(|(i, x)| [self.d[i] * x, self.d[i] * x * x]);
        terms.fold([0.0; 2], |[a, b], [x, y]| [a + x, b + y])
    }

    fn clear(&mut self) {
        self.changes.fill(0.0);
    }

    fn add(&mut self, j: usize, step: f64) {
        let range = self.starts[j]..self.starts[j + 1];
        for (&i, &x) in self.rows[range.clone()].iter().zip(&self.values[range]) {
            self.changes[i] += step * x;
        }
    }

    fn product(&self, j: usize) -> f64 {
        self.column(j)
            .map(|(i, x)| self.d[i] * x * self.changes[i])
            .sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::elements::Elements;
    use crate::features::Features;
    use crate::loss::Activation;
    use crate::reduce::{Threads, Unmonitored};
    use crate::sparse::Indices;
    use crate::vector::Vector;

    #[test]
    fn elements_stored_twice_are_joined() {
        let mut values = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        let (mut rows, mut starts) = (vec![0, 0, 3, 3, 3, 5], vec![0, 3, 3, 6]);
        join(&mut values, &mut rows, &mut starts);
        assert_eq!(
            (values, rows),
            (vec![3.0, 4.0, 24.0, 32.0], vec![0, 3, 3, 5])
        );
        assert_eq!(starts, [0, 2, 2, 4]);
    }

    #[test]
    fn sums_are_those_of_the_dense_columns() {
        let (values, indices) = ([2.0, -1.0, 3.0, 4.0], [0, 2, 1, 0]);
        let starts = [0, 2, 3, 4];
        let (indices, starts) = (Indices::I64(&indices), Indices::I64(&starts));
        let x = Sparse::new(Elements::F64(&values), indices, starts, (3, 3)).unwrap();
        let dense = [[2.0, 0.0, -1.0], [0.0, 3.0, 0.0], [4.0, 0.0, 0.0]];
        let (y, s) = ([0.0, 1.0, 1.0], [1.0, 2.0, 0.0]);
        let (y, s) = (Vector::from_slice(&y), Vector::from_slice(&s));
        let dataset = Dataset::new(Features::Sparse(x), &y, Some(&s)).unwrap();
        let mut monitor = Unmonitored;
        let mut job = Job::new(Threads::ONE, &mut monitor).unwrap();
        let mut columns = WeightedColumns::new(&dataset, &x, &mut job).unwrap();
        let weights = [0.5, 0.0, 0.25];
        let at = Parameters::of_one_score(Activation::Sigmoid, &weights, &-0.75);
        columns.set_curvatures(&at, &mut job).unwrap();
        // The scores are 0 and −0.75 in the first two rows; the third row has sample weight 0.
        let slope = |z: f64| z.exp() / (1.0 + z.exp()).powi(2);
        let d = [slope(0.0) / 3.0, 2.0 * slope(-0.75) / 3.0, 0.0];
        columns.add(0, 1.5);
        columns.add(2, -2.0);
        let t = [1.5 * 2.0 + 2.0, 0.0, 6.0];
        for j in 0..3 {
            let sum = |f: &dyn Fn(usize) -> f64| (0..3).map(f).sum::<f64>();
            let [cross, square] = columns.moments(j);
            assert!((cross - sum(&|i| d[i] * dense[i][j])).abs() < 1e-15);
            assert!((square - sum(&|i| d[i] * dense[i][j] * dense[i][j])).abs() < 1e-15);
            assert!((columns.product(j) - sum(&|i| d[i] * dense[i][j] * t[i])).abs() < 1e-15);
        }
        columns.clear();
        assert!(
            columns.product(0) == 0.0 && (columns.total() - d.iter().sum::<f64>()).abs() < 1e-15
        );
    }
}
