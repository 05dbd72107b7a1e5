//! Access to single rows as dense vectors, even if `X` is sparse: to one row after the other for sums over all rows,
//! and to the rows in a list of row numbers.

use std::ops::Range;

use super::dataset::{Dataset, rows_of};
use crate::error::Error;
use crate::features::Features;
use crate::reduce::{Job, Leaves, STRIPE, Sum, map_reduce};
use crate::sparse::with_rows;

/// A sum over the rows of positive weight. `work` is called for each row, and adds to the sum. It gets the scratch
/// memory, the sum, the row's number in the dataset, and the row with one more element at its end, for the bias. `cost`
/// is the time that `work` takes for an element of a row, in plain multiply-adds.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(super) fn sum_rows<T: Sum, W>(
    dataset: &Dataset<'_>,
    cost: usize,
    scratch: impl Fn() -> W + Sync,
    zero: impl Fn() -> T + Sync,
    work: impl Fn(&mut W, &mut T, usize, &mut [f64]) + Sync,
    job: &mut Job<'_>,
) -> Result<T, Error> {
    let n = dataset.x.columns();
    map_reduce(
        job,
        Leaves::new(rows_of(dataset), n.saturating_mul(cost)),
        || (vec![0.0; n + 1], scratch()),
        zero,
        |(row, scratch), sum, leaf| {
            for_rows(dataset, leaf, row, |i, row| work(scratch, sum, i, row));
        },
    )
}

/// Calls `work` with every row of `leaf` whose sample weight is not 0: with the row's number and its elements.
pub(super) fn for_rows(
    dataset: &Dataset<'_>,
    leaf: Range<usize>,
    row: &mut [f64],
    mut work: impl FnMut(usize, &mut [f64]),
) {
    let n = dataset.x.columns();
    match dataset.x {
        Features::Dense(x) => for_counted(dataset, leaf, |i| {
            x.copy_row(dataset.rows.at(i), &mut row[..n]);
            work(i, row);
        }),
        Features::Sparse(x) => {
            let mut parts = Vec::new();
            with_rows!(&x, dataset.rows, rows => for_counted(dataset, leaf, |i| {
                row.fill(0.0);
                rows.visit(i, &mut parts, |column, x| {
                    if let Some(out) = row[..n].get_mut(column) {
                        *out = x;
                    }
                });
                work(i, row);
            }));
        }
    }
}

/// Calls `work` with the number of every row of `leaf` whose sample weight is not 0.
pub(super) fn for_counted(dataset: &Dataset<'_>, leaf: Range<usize>, mut work: impl FnMut(usize)) {
    let mut s = [1.0; STRIPE];
    for first in leaf.clone().step_by(STRIPE) {
        let count = STRIPE.min(leaf.end - first);
        if let Some(weights) = dataset.sample_weight {
            weights.copy(dataset.rows, first, &mut s[..count]);
        }
        let counted = (first..first + count).filter(|i| s[i - first] != 0.0);
        counted.for_each(&mut work);
    }
}

/// Copies of the rows with the row numbers `indices`, one after the other, as dense vectors.
pub(crate) fn gather(dataset: &Dataset<'_>, indices: &[usize]) -> Vec<f64> {
    let n = dataset.x.columns();
    let mut out = vec![0.0; indices.len() * n];
    match dataset.x {
        Features::Dense(x) => {
            for (&i, out) in indices.iter().zip(out.chunks_exact_mut(n)) {
                x.copy_row(dataset.rows.at(i), out);
            }
        }
        Features::Sparse(x) => {
            let mut parts = Vec::new();
            with_rows!(&x, dataset.rows, rows => {
                for (&i, out) in indices.iter().zip(out.chunks_exact_mut(n)) {
                    rows.visit(i, &mut parts, |column, x| {
                        if let Some(out) = out.get_mut(column) {
                            *out = x;
                        }
                    });
                }
            });
        }
    }
    out
}
