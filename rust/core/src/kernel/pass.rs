//! The inputs of one pass over the rows, and which sums it makes.

use super::dataset::Dataset;
use crate::loss::Activation;

/// Which sums a pass over the rows makes: the sums for the loss alone, or the sums for the loss and its gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Loss,
    LossAndGradient,
}

/// The inputs of one pass over the rows, for models with one score. `X` and `W` are the types in which a kernel reads
/// the rows and the weights.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a, X, W> {
    pub dataset: &'a Dataset<'a>,
    pub x: X,
    pub weights: W,
    pub activation: Activation,
    pub want: Want,
}

impl<'a, X, W: Copy> Pass<'a, X, W> {
    /// This pass with `x` in place of its `X`: the same rows in another form.
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
