//! Who computes which block. What a block is, and the order in which blocks are combined, depend on the data's shape
//! alone: threads decide nothing about the result.
//!
//! Threads live for one call (`std::thread::scope`): nothing survives into a forked child, nothing starts at import.

use std::cell::Cell;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// How many threads a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    most: usize,
    /// Not more than the CPUs either, which are counted only once there is work to share out.
    within_cpus: bool,
}

/// More than this are never started.
const MOST: usize = 512;
/// Variables that set the number where the caller does not, first match first.
const VARIABLES: [&str; 2] = ["GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"];
/// How long a count of the CPUs holds: it may change while the process runs, and takes longer than a small call.
const CPUS_HOLD: Duration = Duration::from_millis(100);

impl Threads {
    /// One: the caller's own.
    pub const ONE: Threads = Threads {
        most: 1,
        within_cpus: false,
    };

    /// `requested`, or else the environment's number, or else the CPUs this process may use (affinity and cgroup quota).
    ///
    /// # Errors
    ///
    /// [`Error::Number`] if `requested` is 0, [`Error::ThreadsVariable`] if a variable that is set holds no positive
    /// integer.
    pub fn new(requested: Option<usize>) -> Result<Self, Error> {
        match requested {
            Some(0) => Err(Error::Number {
                argument: "n_threads",
                expected: "a positive integer or None",
                got: 0.0,
            }),
            Some(n) => Ok(Threads {
                most: n.min(MOST),
                within_cpus: false,
            }),
            None => Ok(Threads {
                most: environment()?.map_or(MOST, |(_, n)| n.min(MOST)),
                within_cpus: true,
            }),
        }
    }

    /// One for work so small that starting others would take longer than they save; `work` in multiply-adds.
    pub(crate) fn for_work(self, work: usize) -> Self {
        const SMALL: usize = 1 << 18;
        if work < SMALL { Threads::ONE } else { self }
    }

    /// The number.
    pub fn get(self) -> usize {
        if self.within_cpus && self.most > 1 {
            self.most.min(recent_cpus())
        } else {
            self.most
        }
    }
}

/// What decides how many threads a call uses that is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadLimits {
    /// CPUs that this process may use, by its affinity and its cgroup's quota.
    pub cpus: usize,
    /// The environment variable that sets the number, and the number.
    pub variable: Option<(&'static str, usize)>,
}

impl ThreadLimits {
    /// As they are now.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadsVariable`] if a variable that is set holds no positive integer.
    pub fn now() -> Result<Self, Error> {
        Ok(ThreadLimits {
            cpus: count_cpus(),
            variable: environment()?,
        })
    }

    /// The threads that a call uses at most.
    pub fn threads(self) -> usize {
        let most = self.variable.map_or(MOST, |(_, n)| n.min(MOST));
        most.min(self.cpus)
    }
}

/// The first variable that is set, and its number.
fn environment() -> Result<Option<(&'static str, usize)>, Error> {
    for variable in VARIABLES {
        if let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
            let n = parse(variable, &value.to_string_lossy())?;
            return Ok(Some((variable, n)));
        }
    }
    Ok(None)
}

fn count_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The CPUs, counted not long ago.
///
/// Each thread keeps its own count: no lock that a fork could leave locked in the child.
fn recent_cpus() -> usize {
    thread_local! {
        static COUNT: Cell<Option<(Instant, usize)>> = const { Cell::new(None) };
    }
    COUNT.with(|count| match count.get() {
        Some((at, cpus)) if at.elapsed() < CPUS_HOLD => cpus,
        _ => {
            let cpus = count_cpus();
            count.set(Some((Instant::now(), cpus)));
            cpus
        }
    })
}

/// `OMP_NUM_THREADS` may be a list, one number a nesting level: the first counts.
fn parse(variable: &'static str, value: &str) -> Result<usize, Error> {
    let first = value.split(',').next().unwrap_or_default().trim();
    match first.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(Error::ThreadsVariable {
            variable,
            got: value.to_owned(),
        }),
    }
}

/// Asked between two chunks of work whether to go on.
pub trait Monitor {
    /// [`ControlFlow::Break`] abandons the work with [`Error::Interrupted`].
    fn poll(&mut self) -> ControlFlow<()>;
}

/// Watches nothing, and never interrupts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmonitored;

impl Monitor for Unmonitored {
    fn poll(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Rows a partial sum runs over before it is added to its block's: the unit of the arithmetic, and of a tile's rows.
pub(crate) const STRIPE: usize = 256;

/// The rows of each block: whole stripes, enough blocks to share out evenly, none too small to be worth handing out, and
/// few enough that their partial sums stay small. A function of the shape alone.
pub(crate) fn blocks(rows: usize, columns: usize) -> Vec<Range<usize>> {
    // Work in units of an element's, a quarter of a nanosecond in cache; a row's exponential takes as long as some more.
    // Starting a thread takes some twenty microseconds: two blocks of thirty are the first to gain by it.
    const SMALLEST: usize = 1 << 17;
    const EXPONENTIAL: usize = 8;
    let most = ((4 << 20) / columns.saturating_mul(8).max(1)).clamp(8, 64);
    let size = rows
        .div_ceil(most)
        .max(SMALLEST / columns.saturating_add(EXPONENTIAL))
        .max(1)
        .div_ceil(STRIPE)
        * STRIPE;
    (0..rows.div_ceil(size))
        .map(|b| b * size..((b + 1) * size).min(rows))
        .collect()
}

/// `work` on every item, on up to `threads` threads; the results in the items' order.
///
/// Each thread makes one `scratch` and keeps it for all of its items. The calling thread works too, and polls the
/// monitor after each of its items.
///
/// # Errors
///
/// [`Error::Interrupted`] if the monitor says so.
pub(crate) fn map<I, W, R>(
    threads: Threads,
    items: Vec<I>,
    scratch: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, I) -> R + Sync,
    monitor: &mut dyn Monitor,
) -> Result<Vec<R>, Error>
where
    I: Send,
    R: Send,
{
    let count = items.len();
    let none: Vec<Option<R>> = (0..count).map(|_| None).collect();
    let desk = Mutex::new((items.into_iter().enumerate(), none));
    let stopped = AtomicBool::new(false);
    // Hands in a result, and takes the next item.
    let exchange = |done: Option<(usize, R)>| {
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        let (items, results) = &mut *desk;
        if let Some((index, result)) = done {
            results[index] = Some(result);
        }
        if stopped.load(Ordering::Relaxed) {
            None
        } else {
            items.next()
        }
    };
    let worker = |monitor: &mut dyn Monitor| {
        let mut scratch = scratch();
        let mut next = exchange(None);
        while let Some((index, item)) = next {
            let result = work(&mut scratch, item);
            if monitor.poll().is_break() {
                stopped.store(true, Ordering::Relaxed);
            }
            next = exchange(Some((index, result)));
        }
    };
    let threads = if count > 1 {
        threads.get().min(count)
    } else {
        1
    };
    on_threads(threads, &worker, monitor);
    if stopped.into_inner() {
        return Err(Error::Interrupted);
    }
    let (_, results) = desk.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(results.into_iter().flatten().collect())
}

/// `worker` on the calling thread, with its monitor, and on others beside it. Not generic: it is compiled once.
fn on_threads(
    threads: usize,
    worker: &(dyn Fn(&mut dyn Monitor) + Sync),
    monitor: &mut dyn Monitor,
) {
    if threads <= 1 {
        return worker(monitor);
    }
    std::thread::scope(|scope| {
        // Where the system refuses a thread, the others do its work.
        let handles: Vec<_> = (1..threads)
            .map_while(|_| {
                std::thread::Builder::new()
                    .spawn_scoped(scope, || worker(&mut Unmonitored))
                    .ok()
            })
            .collect();
        worker(monitor);
        for handle in handles {
            if let Err(panic) = handle.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// Combines partial results in a fixed binary tree over their order.
pub(crate) fn combine<T>(mut partials: Vec<T>, mut add: impl FnMut(&mut T, T)) -> Option<T> {
    while partials.len() > 1 {
        let mut pairs = partials.into_iter();
        let mut sums = Vec::with_capacity(pairs.len().div_ceil(2));
        while let Some(mut left) = pairs.next() {
            if let Some(right) = pairs.next() {
                add(&mut left, right);
            }
            sums.push(left);
        }
        partials = sums;
    }
    partials.pop()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn blocks_are_whole_stripes_and_cover_all_rows() {
        for columns in [0, 1, 2, 28, 1000, 1 << 20, usize::MAX] {
            for rows in [0, 1, 255, 256, 257, 12_345, 5_000_000] {
                let blocks = blocks(rows, columns);
                let mut next = 0;
                for block in &blocks {
                    assert_eq!(block.start, next, "{rows}x{columns}");
                    assert!(block.start % STRIPE == 0 && block.end > block.start);
                    next = block.end;
                }
                assert_eq!(next, rows, "{rows}x{columns}");
            }
        }
    }

    /// Those that `map` ran on.
    fn threads_of(most: Threads, items: usize) -> HashSet<thread::ThreadId> {
        let work = |(): &mut (), _| {
            thread::sleep(Duration::from_millis(2)); // time for the others to come
            thread::current().id()
        };
        let items: Vec<usize> = (0..items).collect();
        let ids = map(most, items, || (), work, &mut Unmonitored);
        ids.unwrap_or_default().into_iter().collect()
    }

    #[test]
    fn one_thread_or_one_item_stays_with_the_caller() {
        let caller = HashSet::from([thread::current().id()]);
        let eight = Threads {
            most: 8,
            within_cpus: false,
        };
        assert_eq!(threads_of(Threads::ONE, 20), caller);
        assert_eq!(threads_of(eight, 1), caller);
        assert!(threads_of(eight, 0).is_empty());
    }

    #[test]
    fn no_more_threads_than_allowed() {
        for most in [2, 3] {
            let threads = Threads {
                most,
                within_cpus: false,
            };
            let used = threads_of(threads, 20).len();
            assert!((1..=most).contains(&used), "{used} of {most}");
        }
    }

    #[test]
    fn the_number_of_a_call_that_is_not_told() -> Result<(), Error> {
        assert_eq!(Threads::new(None)?.get(), ThreadLimits::now()?.threads());
        Ok(())
    }
}
