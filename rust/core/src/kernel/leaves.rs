//! How many rows a leaf of the tree of sums has: dense ones by their columns and scores alone, sparse ones by how many
//! elements a row of the whole matrix stores, too.

use super::dataset::Dataset;
use crate::features::Features;
use crate::reduce::Leaves;
use crate::sparse::{ROW, Sparse};
use crate::vector::RowSet;

/// Elements, per column, of a leaf: enough that adding up sums costs little beside making them.
const LEAF: usize = 4;

/// The leaves of a pass's sums, of so many scores a row.
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

/// The leaves of sums over rows, of `classes` numbers for each column.
pub(super) fn sparse_leaves(x: &Sparse<'_>, rows: RowSet<'_>, classes: usize) -> Leaves {
    /// What an element costs beside one that is not looked up.
    const COST: usize = 4;
    let width = x.columns().saturating_mul(classes);
    let of_row = x.stored_before(x.rows()) / x.rows().max(1) + 1;
    let size = LEAF.saturating_mul(x.columns()) / of_row;
    let cost = COST.saturating_mul((of_row + ROW).saturating_mul(classes));
    Leaves::of(rows.count(x.rows()), size, cost, width)
}

/// Additions, at most, that an element of a column's sum goes through in its leaf.
pub(crate) fn longest_sum(x: &Sparse<'_>) -> f64 {
    let of_leaf = sparse_leaves(x, RowSet::All, 1).size() as f64 * x.longest_row() as f64;
    of_leaf.min(x.stored_before(x.rows()) as f64)
}
