//! Who computes what of a call, and how partial sums become one.
//!
//! * [`Threads`]: how many threads a call may use;
//! * [`Job`]: what goes with every pass over the rows (threads, instruction set, and the [`Monitor`] that may end it);
//! * [`map`]: work on every item, shared out over threads;
//! * [`map_reduce`]: sums over rows, in a tree whose shape depends on the rows' number and on the size of a leaf alone.
//!
//! Threads decide nothing about a result. They live for one call (`std::thread::scope`): nothing survives into a forked
//! child, nothing starts at import.

mod job;
mod threads;
mod tree;

pub(crate) use self::job::map;
pub use self::job::{Job, Monitor, Unmonitored};
pub use self::threads::{ThreadLimits, Threads};
pub(crate) use self::tree::{Forest, Largest, Leaves, Sum, map_into, map_reduce, map_reduce_into};

/// Rows whose sums stay in lanes before they are added to those of their leaf; also the most rows of a tile.
pub(crate) const STRIPE: usize = 256;
