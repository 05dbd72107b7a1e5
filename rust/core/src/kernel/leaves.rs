//! The number of rows in a leaf of the tree of sums. For dense rows it depends on the columns and scores alone; for sparse
//! rows, also on how many elements a row of the whole matrix stores on average.

use super::dataset::Dataset;
use crate::features::Features;
use crate::reduce::Leaves;
use crate::sparse::{ROW, Sparse};
use crate::vector::RowSet;

/// Stored elements of a leaf for each column: enough that adding the sums of leaves costs little beside making them.
const LEAF: usize = 4;

/// The leaves of a pass over rows with `scores` scores each.
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

/// The leaves of sums over sparse rows that have `classes` numbers for each column.
pub(super) fn sparse_leaves(x: &Sparse<'_>, rows: RowSet<'_>, classes: usize) -> Leaves {
    /// The cost of an element whose weight has to be looked up, in elements of a dense row.
    const COST: usize = 4;
    let width = x.columns().saturating_mul(classes);
    let of_row = x.stored_before(x.rows()) / x.rows().max(1) + 1;
    let size = LEAF.saturating_mul(x.columns()) / of_row;
    let cost = COST.saturating_mul((of_row + ROW).saturating_mul(classes));
    Leaves::of(rows.count(x.rows()), size, cost, width)
}

/// Upper bound on the number of elements that one column sums up in a leaf. A row may store a column several times.
pub(crate) fn longest_sum(x: &Sparse<'_>) -> f64 {
    let of_leaf = sparse_leaves(x, RowSet::All, 1).size() as f64 * x.longest_row() as f64;
    of_leaf.min(x.stored_before(x.rows()) as f64)
}
