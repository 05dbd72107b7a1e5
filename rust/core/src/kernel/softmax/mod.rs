//! Several classes: the formulas of the softmax over a dataset, with one score per class, in one pass over `X`.
//!
//! Rows are read in tiles: a tile's scores are computed, replaced by residuals, and multiplied with its rows while it is in
//! cache. Sums have the same three levels as with one score: lanes or rows over a stripe, stripes over a leaf, leaves in
//! their tree.

mod dense;
mod evaluate;
mod scores;
mod sparse;
pub(super) mod stripe;
mod tile;

pub use self::evaluate::softmax_in_place;
pub(super) use self::evaluate::{evaluate, stripe_residuals};
pub(super) use self::scores::{Transform, map_rows};
pub(crate) use self::scores::{bias_hessian, slopes};
