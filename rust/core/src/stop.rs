//! Why a descent or a fit ended.

/// Why a descent or a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// All epochs were run.
    Epochs,
    /// The gradient's max-norm was at most `tol`.
    Tolerance,
    /// The observer asked for it.
    Callback,
    /// Loss or weights were no longer finite; the result is that of the last epoch where they were.
    Diverged,
    /// The arithmetic's rounding admits no better weights.
    Precision,
    /// The passes over the data that were allowed are used up.
    Passes,
    /// A hyperplane separates the labels: the loss has no minimum.
    Separated,
    /// The gradient is as small as it should be, but a proof of the optimum was too dear.
    Uncertified,
}

impl StopReason {
    /// The reason in a word.
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
