//! How many threads a call may use: the caller's number; else the number in an environment variable; else the number of
//! usable CPUs.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::error::Error;

/// How many threads a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    most: usize,
    /// Whether the number of usable CPUs limits the number of threads, too. CPUs are counted only when there is work
    /// for several threads.
    within_cpus: bool,
}

/// The largest number of threads of a call.
const MOST: usize = 512;
/// Environment variables with the number of threads, used if the caller gives none. The first one that is set counts.
const VARIABLES: [&str; 2] = ["GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"];
/// How long a count of the CPUs is reused. Counting takes longer than a small call. It must be repeated, because the
/// number may change while the process runs.
const CPUS_HOLD: Duration = Duration::from_millis(100);

impl Threads {
    /// The calling thread alone.
    pub const ONE: Threads = Threads {
        most: 1,
        within_cpus: false,
    };

    /// The number `requested`. If it is `None`: the number in an environment variable, but no more than the CPUs that
    /// this process may use (by its affinity and the quota of its cgroup). If no variable is set: the number of these
    /// CPUs.
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

    /// The number of threads.
    pub fn get(self) -> usize {
        if self.within_cpus && self.most > 1 {
            self.most.min(recent_cpus())
        } else {
            self.most
        }
    }
}

/// What limits the number of threads of a call if its caller gives no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadLimits {
    /// Number of CPUs that this process may use, by its affinity and its cgroup's quota.
    pub cpus: usize,
    /// The environment variable that is set, with its value.
    pub variable: Option<(&'static str, usize)>,
}

impl ThreadLimits {
    /// The limits at this moment.
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

    /// The number of threads of a call if its caller gives no number.
    pub fn threads(self) -> usize {
        let most = self.variable.map_or(MOST, |(_, n)| n.min(MOST));
        most.min(self.cpus)
    }
}

/// The first environment variable that is set, with its value.
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

/// The number of CPUs, counted at most [`CPUS_HOLD`] ago.
///
/// Each thread keeps a count of its own. So there is no lock that a fork could leave locked in the child process.
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

/// Parses the value of a variable. `OMP_NUM_THREADS` may be a list, with one number for each level of nested parallel
/// regions of OpenMP. The first number is used.
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
