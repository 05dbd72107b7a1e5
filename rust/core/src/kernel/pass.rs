//! What one pass over the rows evaluates.

use super::dataset::Dataset;
use crate::loss::Activation;

/// Whether the products of residuals and rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Loss,
    LossAndGradient,
}

/// What one pass over the rows of one score evaluates: rows `X` and weights `W` in the forms that a kernel reads, the labels
/// of the dataset, and the sums that are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a, X, W> {
    pub dataset: &'a Dataset<'a>,
    pub x: X,
    pub weights: W,
    pub activation: Activation,
    pub want: Want,
}

impl<'a, X, W: Copy> Pass<'a, X, W> {
    /// The same, its rows in another form.
    pub(super) fn with<Y>(&self, x: Y) -> Pass<'a, Y, W> {
        Pass {
            dataset: self.dataset,
            x,
            weights: self.weights,
            activation: self.activation,
            want: self.want,
        }
    }
}

impl<X, W> Pass<'_, X, W> {
    #[inline(always)]
    pub(super) fn wants_gradient(&self) -> bool {
        self.want == Want::LossAndGradient
    }
}
