//! Computations that read the rows of `X`: losses, gradients, Hessians, predictions and point-by-point descent.

mod basis;
mod columns;
mod cross_entropy;
mod curvature;
mod dataset;
mod dense;
mod each_row;
mod evaluate;
mod gram;
mod jeffreys;
mod labels;
mod leaves;
mod parameters;
mod pass;
mod plane;
mod point;
mod precise;
mod predict;
mod ranges;
mod reach;
mod rows;
mod selected;
mod sides;
mod softmax;
pub(crate) mod sparse;
mod stripe;
mod subset;
mod sums;
#[cfg(test)]
mod tests;
mod twofold;
mod weights;

pub(crate) use self::basis::Basis;
pub use self::cross_entropy::cross_entropy;
pub(crate) use self::curvature::{Curvature, curvature, curvature_of, curvature_of_classes};
pub use self::dataset::Dataset;
pub(crate) use self::dataset::{check_offset_scores, rows_of};
pub(crate) use self::each_row::gather;
pub use self::evaluate::{Gradient, LossGradient, loss, loss_gradient};
pub(crate) use self::evaluate::{evaluate, sums};
pub use self::gram::hessian;
pub(crate) use self::gram::{
    Gram, SPARSE, additions, gram, gram_of, grams_of, products_of_rows, products_of_sparse_rows,
};
pub(crate) use self::jeffreys::{JeffreysSums, RowTerms, Whitening, jeffreys_sums};
pub(crate) use self::labels::{Labels, binary_labels, labels, scores_of_labels};
pub(crate) use self::leaves::{leaves, longest_sum};
pub use self::parameters::Parameters;
pub(crate) use self::pass::{Pass, Want};
pub(crate) use self::plane::{Plane, plane};
pub(crate) use self::point::{PointDescent, PointUpdate, Recorder, residuals_of_scores};
pub(crate) use self::precise::{
    Curvatures, Errors, ExactScores, MomentSums, Moments, Residuals, chi_square, curvatures,
    exact_scores, moment_sums, residuals, score_error,
};
pub use self::predict::{decision_function, predict_proba};
pub(crate) use self::predict::{predict_rows, predictions, scores};
pub(crate) use self::ranges::{Ranges, Span, ranges};
pub(crate) use self::reach::{Metric, reach};
pub(crate) use self::selected::Selected;
pub(crate) use self::sides::{Pair, Sides, Standardised, sides, sum_of_pairs};
pub use self::softmax::softmax_in_place;
pub(crate) use self::softmax::{ClassScratch, LazyBatch, slopes};
pub(crate) use self::subset::{Copied, Subset, stratified};
pub(crate) use self::sums::Sums;
