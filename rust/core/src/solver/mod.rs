//! From the objective to its optimum.
//!
//! * `objective`: what is minimised, and its gradient, in one pass over the rows;
//! * `run`: what a fit has spent and recorded, and when it has to stop;
//! * `cholesky`, `preconditioner`: an approximate inverse of the Hessian;
//! * `lbfgs`, `stages`: preconditioned L-BFGS, on ever larger samples and then on all rows;
//! * `plane_search`: gradient descent with the best step and momentum of each iteration;
//! * `columns`, `view`, `dependence`: the columns in a basis where no digits are lost, and those that others make up;
//! * `duality`, `certificate`: how far from the optimum a result can be at most, by duality where there is a penalty, and by
//!   the `hessian`;
//! * `information`: the covariance of weights and bias;
//! * `split`, `cone`, `modular`, `separation`: whether there is an optimum at all;
//! * `proof`: what is known of the point where a solver has ended.

pub(crate) mod certificate;
mod cholesky;
mod columns;
mod cone;
mod dependence;
mod duality;
mod hessian;
pub(crate) mod information;
mod lbfgs;
mod modular;
pub(crate) mod objective;
pub(crate) mod plane_search;
pub(crate) mod preconditioner;
pub(crate) mod proof;
pub(crate) mod run;
pub(crate) mod separation;
mod split;
pub(crate) mod stages;
pub(crate) mod view;
