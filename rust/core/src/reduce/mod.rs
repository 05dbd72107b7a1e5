//! How the rows of a call are shared out to threads, and how partial sums are added.
//!
//! * [`Threads`]: how many threads a call may use;
//! * [`Job`]: the threads, the instruction set and the [`Monitor`] of a call;
//! * [`map`]: a function of every item, shared out to the threads;
//! * [`map_reduce`]: a sum over rows, in a tree whose shape depends only on the number of rows and the size of a leaf.
//!
//! Results do not depend on threads. Threads live for one call (`std::thread::scope`): none survives into a forked
//! child, none starts at import.

mod job;
mod threads;
mod tree;

pub(crate) use self::job::map;
pub use self::job::{Job, Monitor, Unmonitored};
pub use self::threads::{ThreadLimits, Threads};
pub(crate) use self::tree::{Forest, Largest, Leaves, Sum, map_into, map_reduce, map_reduce_into};

/// Rows of a stripe: their sums stay in lanes before they are added to those of their leaf. Also the most rows of a
/// tile.
pub(crate) const STRIPE: usize = 256;
