//! Logistic regression by gradient descent: the arithmetic of `gradstep`, without Python.
//!
//! # Reading order
//!
//! From what all the rest uses to what uses all the rest:
//!
//! * [`elements`](Elements), [`vector`](Vector), [`error`](Error), [`float`](Float): what arrays hold, what can be wrong,
//!   what is computed in;
//! * `simd`, `math`, [`activation`](Activation): lanes, and the formulas for one sample over lanes of samples;
//! * `strips`, [`matrix`](Matrix), `parallel`, `shuffle`: memory in strips, any layout in tiles; who computes which block;
//!   the order of rows;
//! * [`sparse`](Sparse), [`features`](Features): rows of what is stored; either kind of `X`;
//! * `elementwise`, `kernel`: the formulas over arrays and over data sets, in one pass;
//! * `step`, `descent`: w ← w − α ∇E, and epochs of it;
//! * `solver`, [`fit`](fit()), [`covariance`](covariance()): the optimum, where it is wanted at once, with a bound on what is
//!   missing, and how certain its weights are.
//!
//! # Conventions
//!
//! `X` is (m, n), `y` in [0, 1] is (m), weights are (n); z = X w + b, ŷ = σ(z). Errors are in nats per sample. Results
//! have the same bits on any number of threads, on every instruction set, from every layout of the same numbers.
//! Nothing a caller gives panics.

mod activation;
mod covariance;
mod descent;
mod elements;
mod elementwise;
mod error;
mod features;
mod fit;
mod float;
mod kernel;
mod math;
mod matrix;
mod parallel;
mod shuffle;
mod simd;
mod solver;
mod sparse;
mod step;
#[expect(unsafe_code, reason = "memory in strips, checked once for many uses")]
mod strips;
mod vector;

pub use activation::Activation;
pub use covariance::covariance;
pub use descent::{Descent, Observer, Options, StopReason, Trace, descend};
pub use elements::Elements;
pub use elementwise::{Function, apply, apply_in_place};
pub use error::{Error, zeros};
pub use features::Features;
pub use fit::{FitOptions, Optimum, Solver, Start, descend_with_best_steps, fit};
pub use float::Float;
pub use kernel::{
    ClassGradient, Gradient, LossGradient, class_decision_function, class_loss,
    class_loss_gradient, cross_entropy, decision_function, hessian, loss, loss_gradient,
    predict_classes, predict_proba, softmax_in_place,
};
pub use matrix::Matrix;
pub use parallel::{Monitor, ThreadLimits, Threads, Unmonitored};
pub use simd::{Isa, isa};
pub use solver::run::{FitObserver, Iteration, Record};
pub use solver::view::Alias;
pub use sparse::{Indices, Sparse, Transposed};
pub use step::{Reduction, Step, gradient_step};
pub use vector::Vector;
