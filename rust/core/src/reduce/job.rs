//! Runs the work of one call on threads, under a monitor that may end it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::threads::Threads;
use crate::error::Error;
use crate::simd::{self, Level};

/// May end a call early: a call asks its monitor, between two items of work, whether to go on.
pub trait Monitor {
    /// Is called regularly. [`ControlFlow::Break`] ends the call with [`Error::Interrupted`].
    fn poll(&mut self) -> ControlFlow<()>;
}

/// A monitor that never ends a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmonitored;

impl Monitor for Unmonitored {
    fn poll(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// How a pass over the rows runs: its threads, its instruction set, and a monitor that may end it.
pub struct Job<'m> {
    threads: Threads,
    level: Level,
    monitor: &'m mut dyn Monitor,
}

impl<'m> Job<'m> {
    /// A job with the instruction set of [`simd::isa`].
    ///
    /// # Errors
    ///
    /// [`Error::Isa`] if `GRADSTEP_ISA` asks for an instruction set that this machine does not have.
    pub fn new(threads: Threads, monitor: &'m mut dyn Monitor) -> Result<Self, Error> {
        Ok(Job::on(simd::level()?, threads, monitor))
    }

    /// A job with the instruction set `level`.
    pub(crate) fn on(level: Level, threads: Threads, monitor: &'m mut dyn Monitor) -> Self {
        Job {
            threads,
            level,
            monitor,
        }
    }

    pub(crate) fn threads(&self) -> Threads {
        self.threads
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn monitor(&mut self) -> &mut dyn Monitor {
        self.monitor
    }

    /// # Errors
    ///
    /// [`Error::Interrupted`] if the monitor ends the call.
    pub(crate) fn poll(&mut self) -> Result<(), Error> {
        match self.monitor.poll() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted),
        }
    }
}

/// Calls `work` on every item, on the job's threads. Returns the results in the order of the items.
///
/// Each thread calls `scratch` once and uses the result for all its items. The calling thread works too, and polls the
/// monitor after each of its own items.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn map<I, W, R>(
    job: &mut Job<'_>,
    items: Vec<I>,
    scratch: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, I) -> R + Sync,
) -> Result<Vec<R>, Error>
where
    I: Send,
    R: Send,
{
    let count = items.len();
    let none: Vec<Option<R>> = (0..count).map(|_| None).collect();
    let desk = Mutex::new((items.into_iter().enumerate(), none));
    let stopped = AtomicBool::new(false);
    // Stores the result of a finished item, and returns the next item.
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
        job.threads.get().min(count)
    } else {
        1
    };
    on_threads(threads, &worker, job.monitor);
    if stopped.into_inner() {
        return Err(Error::Interrupted);
    }
    let (_, results) = desk.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(results.into_iter().flatten().collect())
}

/// Runs `worker` on the calling thread, with `monitor`, and on `threads − 1` other threads, without a monitor. This
/// function is not generic, so that it is compiled once.
fn on_threads(
    threads: usize,
    worker: &(dyn Fn(&mut dyn Monitor) + Sync),
    monitor: &mut dyn Monitor,
) {
    if threads <= 1 {
        return worker(monitor);
    }
    std::thread::scope(|scope| {
        // If the system refuses to start a thread, the threads that run do all the work.
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// The threads on which `map` ran, for `items` items.
    fn threads_of(most: Threads, items: usize) -> Result<HashSet<thread::ThreadId>, Error> {
        let work = |(): &mut (), _| {
            thread::sleep(Duration::from_millis(2)); // time for the other threads to start
            thread::current().id()
        };
        let items: Vec<usize> = (0..items).collect();
        let mut monitor = Unmonitored;
        let ids = map(&mut Job::new(most, &mut monitor)?, items, || (), work)?;
        Ok(ids.into_iter().collect())
    }

    #[test]
    fn one_thread_or_one_item_stays_with_the_caller() -> Result<(), Error> {
        let caller = HashSet::from([thread::current().id()]);
        let eight = Threads::new(Some(8))?;
        assert_eq!(threads_of(Threads::ONE, 20)?, caller);
        assert_eq!(threads_of(eight, 1)?, caller);
        assert!(threads_of(eight, 0)?.is_empty());
        Ok(())
    }

    #[test]
    fn no_more_threads_than_allowed() -> Result<(), Error> {
        for most in [2, 3] {
            let used = threads_of(Threads::new(Some(most))?, 20)?.len();
            assert!((1..=most).contains(&used), "{used} of {most}");
        }
        Ok(())
    }
}
