//! The solvers: they minimise the objective (mean error plus penalty) and prove how near the minimum is.
//!
//! * `objective`: the function that is minimised, and its gradient, in one pass over the rows of `X`;
//! * `run`: the state of one fit: passes and iterations so far, and limits;
//! * `initial`: the parameters that a solver starts from;
//! * `cholesky`, `preconditioner`: the Cholesky factor of a matrix; an approximate inverse of the Hessian;
//! * `lbfgs`, `stages`: preconditioned L-BFGS, on growing samples and then on all rows;
//! * `few_rows`: Newton's method with one unknown for each row, for rows that are fewer than the columns;
//! * `plane_search`: gradient descent, with the optimal step length and momentum in each iteration;
//! * `proximal`, `steps`, `models`: with l1 or bounds, a proximal quasi-Newton method, for one penalty or several; its
//!   iterations with one model of the objective's smooth part; one model after the other;
//! * `smooth_model`, `column_model`, `quadratic`: such models; the minimum of a model plus the penalty;
//! * `columns`, `view`, `dependence`: the columns of `X`, transformed linearly such that no digits cancel; columns that
//!   are linear combinations of other columns;
//! * `duality`, `certificate`, `hessian`: upper bounds on objective − minimum. `duality` needs an l2 penalty;
//!   `certificate` uses the factored Hessian from `hessian`, with or without a penalty;
//! * `fenchel`: the upper bound on objective − minimum for objectives with l1 or bounds, by duality;
//! * `sample_bound`: for the same objectives and one score, a bound of second order from the Hessian of a sample;
//! * `information`: the Fisher information, for the covariance of weights and bias;
//! * `firth`: the maximum of Firth's penalised likelihood;
//! * `separation`, `split`, `cone`, `modular`: whether a hyperplane separates the labels, in which case there is no
//!   optimum;
//! * `unpenalised`: the columns without penalty, in a fit that penalises other columns: linear combinations among the
//!   unpenalised columns, and hyperplanes that separate the labels by these columns alone;
//! * `proof`: applies the bounds and searches above to the parameters that a solver ended with.

pub(crate) mod certificate;
mod cholesky;
mod column_model;
mod columns;
mod cone;
mod dependence;
mod duality;
mod fenchel;
mod few_rows;
pub(crate) mod firth;
mod hessian;
pub(crate) mod information;
pub(crate) mod initial;
mod lbfgs;
mod models;
mod modular;
pub(crate) mod objective;
pub(crate) mod plane_search;
pub(crate) mod preconditioner;
pub(crate) mod proof;
pub(crate) mod proximal;
mod quadratic;
pub(crate) mod run;
mod sample_bound;
pub(crate) mod separation;
mod smooth_model;
mod split;
pub(crate) mod stages;
mod steps;
pub(crate) mod unpenalised;
pub(crate) mod view;
