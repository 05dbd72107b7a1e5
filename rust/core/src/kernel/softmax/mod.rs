//! Several classes: softmax of a score per class, and the formulas over a whole data set, in one pass over `X`.
//!
//! Rows go by in tiles: their scores, one per class, become residuals and then gradients while the tile is in cache.
//! Sums have the three levels of the kernel for two classes: lanes or rows over a stripe, stripes over a leaf, leaves in
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
