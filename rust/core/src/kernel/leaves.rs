//! How many rows a leaf has. A sum over rows is computed as a tree, in which each leaf is the sum over some consecutive
//! rows. The size of a leaf depends on the number of columns and of scores; for sparse rows, also on the mean number of
//! elements that a row stores.

use super::dataset::Dataset;
use crate::error::Error;
use crate::features::Features;
use crate::reduce::{Job, Largest, Leaves, Sum, map_reduce};
use crate::sparse::{Index, ROW, Sparse, with_indices};
use crate::vector::RowSet;

/// The rows of a sparse leaf store about this many elements per column. To add the sums of two leaves, one number per
/// column, then costs little compared with making the sums.
const LEAF: usize = 8;

/// How a sum over the rows of a dataset is cut into leaves (runs of consecutive rows), for a model with `scores` scores
/// per row.
pub(crate) fn leaves(dataset: &Dataset<'_>, scores: usize) -> Leaves {
    leaves_of(&dataset.x, dataset.rows, scores)
}

pub(super) fn leaves_of(x: &Features<'_>, rows: RowSet<'_>, scores: usize) -> Leaves {
    match x {
        Features::Dense(x) => {
            let width = x.columns().saturating_mul(scores);
            Leaves::new(rows.count(x.rows()), width)
        }
        Features::Sparse(x) => sparse_leaves(x, rows, scores),
    }
}

/// How a sum over sparse rows is cut into leaves (runs of consecutive rows). The sum has `classes` numbers for each
/// column.
pub(super) fn sparse_leaves(x: &Sparse<'_>, rows: RowSet<'_>, classes: usize) -> Leaves {
    /// Cost of a stored element, whose weight is looked up by its column. An element of a dense row costs 1.
    const COST: usize = 4;
    let width = x.columns().saturating_mul(classes);
    let of_row = x.stored_before(x.rows()) / x.rows().max(1) + 1;
    let size = LEAF.saturating_mul(x.columns()) / of_row;
    let cost = COST.saturating_mul((of_row + ROW).saturating_mul(classes));
    Leaves::of(rows.count(x.rows()), size, cost, width)
}

/// The largest number of elements that a leaf stores in one column, for the leaves of [`sparse_leaves`].
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn longest_sum(
    x: &Sparse<'_>,
    rows: RowSet<'_>,
    classes: usize,
    job: &mut Job<'_>,
) -> Result<f64, Error> {
    let Largest(longest) = map_reduce(
        job,
        sparse_leaves(x, rows, classes),
        || vec![0_u32; x.columns()],
        Largest::default,
        |counts, longest, leaf| {
            counts.fill(0);
            with_indices!(x.indices(), indices => for row in leaf.map(|place| rows.at(place)) {
                let stored = x.stored_before(row)..x.stored_before(row + 1);
                for column in indices.get(stored).unwrap_or_default() {
                    if let Some(count) = counts.get_mut(column.at()) {
                        *count += 1;
                    }
                }
            });
            let most = counts.iter().copied().fold(0, u32::max);
            longest.add(&Largest(f64::from(most)));
        },
    )?;
    Ok(longest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::elements::Elements;
    use crate::reduce::{Threads, Unmonitored};
    use crate::sparse::Indices;

    /// Each leaf has 256 rows. In the second leaf, each row stores column 1 twice; elsewhere no column is stored so
    /// often.
    #[test]
    fn the_longest_sum_is_that_of_one_leaf() {
        let (mut indices, mut starts) = (Vec::new(), vec![0_i64]);
        for row in 0..600 {
            indices.push(0_i32);
            if (256..512).contains(&row) {
                indices.extend([1, 1]);
            }
            starts.push(indices.len() as i64);
        }
        let values = vec![1.0; indices.len()];
        let (indices, starts) = (Indices::I32(&indices), Indices::I64(&starts));
        let x = Sparse::new(Elements::F64(&values), indices, starts, (600, 2)).unwrap();
        for threads in [Some(1), Some(3)] {
            let mut monitor = Unmonitored;
            let mut job = Job::new(Threads::new(threads).unwrap(), &mut monitor).unwrap();
            let mut longest = |rows| longest_sum(&x, rows, 1, &mut job).unwrap();
            assert_eq!(longest(RowSet::All), 512.0);
            // The leaf of these rows has 100 of the rows that store column 1 twice.
            let (first, count) = (412, 188);
            assert_eq!(longest(RowSet::Range { first, count }), 200.0);
        }
    }
}
