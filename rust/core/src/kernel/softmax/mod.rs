//! Softmax models of K classes, with one score per class: loss, gradient, probabilities and curvature of a dataset.
//!
//! Rows are read in tiles, blocks that fit the cache. The scores of a tile are computed, replaced by residuals, and
//! multiplied with the rows of the tile while the rows are still in the cache. Sums have three levels: over a stripe of
//! up to 256 rows, over the stripes of a leaf (consecutive rows for one thread), and over leaves in a tree.

pub(super) mod dense;
mod evaluate;
mod lazy;
mod row;
mod scores;
pub(super) mod sparse;
pub(super) mod stripe;
mod tile;

pub use self::evaluate::softmax_in_place;
pub(super) use self::evaluate::{evaluate, stripe_residuals};

pub(crate) use self::lazy::LazyBatch;
pub(super) use self::row::RowSoftmax;
pub(crate) use self::scores::slopes;
pub(super) use self::scores::{Transform, add_traces, map_rows};
pub(crate) use self::tile::ClassScratch;
pub(super) use self::tile::ClassWeights;
