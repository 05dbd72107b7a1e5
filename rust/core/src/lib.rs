//! Logistic regression by gradient descent: the arithmetic of `gradstep`, without Python.
//!
//! # Reading order
//!
//! From what all the rest uses to what uses all the rest:
//!
//! * [`error`](Error), [`float`](Float), [`elements`](Elements): what can be wrong, what is computed in, what arrays hold;
//! * `simd`, `lanes`, `linalg`: the instruction set, vectors of lanes, and vectors of numbers;
//! * `math`, [`loss`](Loss): the formulas for one row, over lanes of rows;
//! * `reduce`: who computes which rows of a call ([`Job`]), and the tree that their sums are added up in;
//! * [`vector`](Vector), `strips`, [`matrix`](Matrix), [`sparse`](Sparse), [`features`](Features), `shuffle`: arrays of any
//!   layout, read in place or tile by tile, and the order of rows;
//! * `elementwise`, `kernel`: the formulas over arrays and over a [`Dataset`], in one pass;
//! * [`penalty`](Penalty): what is added to the loss;
//! * `descent`: w ← w − α ∇E, and epochs of it;
//! * `source`: what a solver asks of the rows; arrays in memory answer it;
//! * `solver`, [`fit`](fit()), [`covariance`](covariance()): the optimum, where it is wanted at once, with a bound on what is
//!   missing, and how certain its weights are.
//!
//! # Conventions
//!
//! `X` is (m, n), `y` in [0, 1] is (m), weights are (n); z = X w + b, ŷ = σ(z). Errors are in nats per row. Results
//! have the same bits on any number of threads, on every instruction set, from every layout of the same numbers.
//! Nothing a caller gives panics.

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
#[expect(unsafe_code, reason = "memory in strips, checked once for many uses")]
mod strips;
mod vector;

pub use best_steps::descend_with_best_steps;
pub use covariance::covariance;
pub use descent::{
    Descent, Observer, Options, Reduction, Step, StopReason, Trace, descend, gradient_step,
};
pub use elements::Elements;
pub use elementwise::{Function, apply, apply_in_place};
pub use error::{Error, zeros};
pub use features::Features;
pub use fit::{FitOptions, Optimum, Solver, Start, fit};
pub use float::Float;
pub use kernel::{
    Dataset, Gradient, LossGradient, Parameters, cross_entropy, decision_function, hessian, loss,
    loss_gradient, predict_proba, softmax_in_place,
};
pub use loss::{Activation, Loss};
pub use matrix::Matrix;
pub use penalty::Penalty;
pub use reduce::{Job, Monitor, ThreadLimits, Threads, Unmonitored};
pub use simd::{Isa, isa};
pub use solver::run::{FitObserver, Iteration, Record};
pub use solver::view::Alias;
pub use sparse::{Indices, Sparse, Transposed};
pub use vector::Vector;
