//! Logistic regression by gradient descent: the arithmetic of `gradstep`, without Python.
//!
//! # Reading order
//!
//! Each line uses only modules of the lines above it:
//!
//! * [`error`](Error), [`float`](Float), [`elements`](Elements): errors, the two float types, the element types of
//!   arrays;
//! * `simd`, `lanes`, `linalg`: the instruction set, SIMD vectors, dot products and norms;
//! * `math`, [`loss`](Loss): the formulas for one row, computed for a SIMD vector of rows at once;
//! * `reduce`: how the work of a call is distributed over threads ([`Job`]), and the tree in which sums are added;
//! * [`vector`](Vector), `strips`, [`matrix`](Matrix), [`sparse`](Sparse), [`features`](Features), `shuffle`: arrays in
//!   any memory layout, read in place or copied block by block; and the random order of rows;
//! * `elementwise`, `kernel`: the formulas over arrays and over a [`Dataset`], in one pass;
//! * [`penalty`](Penalty), [`start`](Start), [`stop`](StopReason): the penalty on the weights; where a descent or a fit
//!   starts, and why it ended;
//! * `source`: the trait through which solvers read rows, and its implementations;
//! * `descent`: gradient descent, w ← w − α ∇E with learning rate α and mean error E, over epochs;
//! * `solver`, [`fit`](fit()), [`covariance`](covariance()): the optimum, with a proved bound on how far its
//!   objective is above the minimum; and the covariance of its weights.
//!
//! # Conventions
//!
//! `X` has shape (m, n), `y` in [0, 1] has shape (m), and the weights w have shape (n). Scores are z = X w + b with the
//! bias b, and predictions are ŷ = σ(z). With K classes, `y` has the codes 0 … K − 1 of the classes, the weights have
//! shape (K, n), and predictions are the softmax of K scores. Errors are in nats per row. Results have the same bits on
//! any number of threads, on every instruction set, and for every memory layout of the same numbers. Bad input gives an
//! [`Error`], never a panic.

mod best_steps;
mod covariance;
mod descent;
mod elements;
mod elementwise;
mod error;
mod features;
mod fit;
mod float;
mod kernel;
mod kinks;
mod lanes;
mod linalg;
mod loss;
mod math;
mod matrix;
mod penalty;
mod reduce;
mod shuffle;
mod simd;
mod solver;
mod source;
mod sparse;
mod start;
mod stop;
#[expect(unsafe_code, reason = "memory in strips, checked once for many uses")]
mod strips;
mod vector;

pub use best_steps::descend_with_best_steps;
pub use covariance::covariance;
pub use descent::{
    Descent, Observer, Options, Points, Reduction, Step, Trace, descend, gradient_step,
};
pub use elements::Elements;
pub use elementwise::{Function, apply, apply_in_place};
pub use error::{Error, zeros};
pub use features::Features;
pub use fit::{
    FitOptions, IsLast, Optimum, Solver, fit, fit_along, fit_distant, fit_distant_along, fit_many,
};
pub use float::{Float, Precision};
pub use kernel::{
    Dataset, Gradient, LossGradient, Parameters, cross_entropy, decision_function, hessian, loss,
    loss_gradient, predict_proba, softmax_in_place,
};
pub use loss::{Activation, Loss};
pub use matrix::Matrix;
pub use penalty::{ColumnOptions, Penalty};
pub use reduce::{Job, Monitor, ThreadLimits, Threads, Unmonitored};
pub use simd::{Isa, isa};
pub use solver::run::{FitObserver, Iteration, Record};
pub use solver::view::Alias;
pub use source::{Chunks, DistantRows, Log, ReadRows, UNIT, answer};
pub use sparse::{Indices, Sparse, Transposed};
pub use start::Start;
pub use stop::StopReason;
pub use vector::Vector;
