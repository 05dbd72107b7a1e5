//! Gradient descent, over epochs and batches. Its steps are w ← w − α ∇E with learning rate α and mean error E.

mod batch;
mod epochs;
mod iterate;
mod options;
mod points;
mod sparse;
mod step;
mod trace;

pub use self::epochs::descend;
pub use self::options::{Descent, Observer, Options};
pub use self::points::Points;
pub use self::step::{Reduction, Step, gradient_step};
pub use self::trace::Trace;
