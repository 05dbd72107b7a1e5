//! Why a descent or a fit ended.

/// Why a descent or a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// All epochs were run.
    Epochs,
    /// The max-norm of the gradient was at most `tol`. In a fit without `tol`, the optimum was shown to be near enough.
    Tolerance,
    /// The observer (a callback) ended the descent or the fit.
    Callback,
    /// The loss or the weights were no longer finite. The result is that of the last epoch in which they were finite.
    Diverged,
    /// Rounding errors prevent any further improvement of the weights.
    Precision,
    /// The allowed passes over the rows are used up.
    Passes,
    /// A hyperplane separates the labels, so that the loss has no minimum.
    Separated,
    /// The gradient is small enough, but to prove that the optimum is near would have taken too long.
    Uncertified,
}

impl StopReason {
    /// The reason as one word.
    pub fn name(self) -> &'static str {
        match self {
            StopReason::Epochs => "epochs",
            StopReason::Tolerance => "tolerance",
            StopReason::Callback => "callback",
            StopReason::Diverged => "diverged",
            StopReason::Precision => "precision",
            StopReason::Passes => "passes",
            StopReason::Separated => "separated",
            StopReason::Uncertified => "uncertified",
        }
    }
}
