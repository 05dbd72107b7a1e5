//! How many threads a call may use: what the caller says, or the environment, or the CPUs that the process may use.

use std::cell::Cell;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_call_that_is_not_told() -> Result<(), Error> {
        assert_eq!(Threads::new(None)?.get(), ThreadLimits::now()?.threads());
        Ok(())
    }
}
