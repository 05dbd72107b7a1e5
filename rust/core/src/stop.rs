//! Why a descent or a fit ended.

/// Why a descent or a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// All epochs were run.
    Epochs,
    /// The gradient's max-norm was at most `tol`.
    Tolerance,
    /// The observer (a callback) ended it.
    Callback,
    /// Loss or weights were no longer finite; the result is that of the last epoch in which they were.
    Diverged,
    /// Rounding errors prevent any further improvement of the weights.
    Precision,
    /// The allowed number of passes over the data is used up.
    Passes,
    /// A hyperplane separates the labels: the loss has no minimum.
    Separated,
    /// The gradient is small enough, but a proof that the optimum is near would have taken too long.
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
