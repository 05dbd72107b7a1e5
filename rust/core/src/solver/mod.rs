//! From the objective to its optimum.
//!
//! * `objective`: what is minimised, and its gradient, in one pass over the rows;
//! * `run`: what a fit has spent and recorded, and when it has to stop;
//! * `cholesky`, `preconditioner`: an approximate inverse of the Hessian;
//! * `separation`: whether there is an optimum at all;
//! * `lbfgs`, `stages`: preconditioned L-BFGS, on ever larger samples and then on all rows;
//! * `plane_search`: gradient descent with the best step and momentum of each iteration;
//! * `certificate`: how far from the optimum a result can be at most.

pub(crate) mod certificate;
mod cholesky;
mod lbfgs;
pub(crate) mod objective;
pub(crate) mod plane_search;
pub(crate) mod preconditioner;
pub(crate) mod run;
mod separation;
pub(crate) mod stages;
