//! How the work of a call is distributed over threads, and how partial sums are added.
//!
//! * [`Threads`]: how many threads a call may use;
//! * [`Job`]: the threads, the instruction set and the [`Monitor`] of a call;
//! * [`map`]: calls a function with every item of work, on several threads;
//! * [`map_reduce`]: a sum over rows, added in a binary tree. Its leaves are runs of consecutive rows, and its shape
//!   depends only on the number of rows and the number of rows per leaf.
//!
//! Results do not depend on the number of threads. Threads are started by a call and end with it
//! (`std::thread::scope`). There is no thread pool, because the threads of a pool would be missing in a forked child
//! process.

mod job;
mod threads;
mod tree;

pub(crate) use self::job::map;
pub use self::job::{Job, Monitor, Unmonitored};
pub use self::threads::{ThreadLimits, Threads};
pub(crate) use self::tree::{
    Forest, Largest, Leaves, Shared, Sum, map_into, map_reduce, map_reduce_into,
};

/// The number of rows of a stripe. The sums of a stripe stay in SIMD lanes, and are then added to the sums of a leaf.
/// Also the largest number of rows of a tile, a block of rows that a kernel reads at once.
pub(crate) const STRIPE: usize = 256;
