//! Several fits over the rows of one X, which share the passes over X that compute loss and gradient.
//!
//! Each fit runs on a thread of its own. A fit that asks for the loss and its gradient waits until every other fit has
//! asked too or has ended. Then one pass over X answers all of them. The pass goes through chunks of rows that fit the
//! cache, and evaluates each chunk for one fit after the other. The sum over a chunk is a node of the tree over all
//! rows. So the sums of a fit have the same bits as if the fit ran alone.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Source;
use super::arrays::{Arrays, Evaluator};
use super::request::Place;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::{self, Dataset, Parameters, Sums, rows_of};
use crate::reduce::{Job, Leaves, Monitor, Sum, Threads, Unmonitored, map_reduce};
use crate::simd::Level;
use crate::vector::RowSet;

/// Bytes of X in a chunk: so few that the chunk stays in a core's cache while it is evaluated for all fits.
const CHUNK_BYTES: usize = 256 << 10;
/// How often the monitor is asked while the fits compute.
const POLL: Duration = Duration::from_millis(50);

/// The fits over one X: datasets that differ in labels, sample weights and offsets.
pub(crate) struct Together<'a> {
    datasets: &'a [Dataset<'a>],
    desk: Mutex<Desk>,
    changed: Condvar,
    is_stopped: AtomicBool,
}

/// What the fits ask the thread that makes the passes, and what it answers.
struct Desk {
    /// The number of fits that have not ended.
    live: usize,
    /// How many more fits may start to compute now, each on its thread.
    free: usize,
    /// For each fit, the evaluation that it waits for.
    asked: Vec<Option<Evaluation>>,
    answers: Vec<Option<Result<Sums, Error>>>,
}

/// An evaluation: the weights and biases, and the precision in which it is computed.
type Evaluation = (Place, Precision);

impl<'a> Together<'a> {
    /// The datasets must share X and have all of its rows.
    pub(crate) fn new(datasets: &'a [Dataset<'a>], threads: Threads) -> Self {
        Together {
            datasets,
            desk: Mutex::new(Desk {
                live: datasets.len(),
                free: threads.get(),
                asked: datasets.iter().map(|_| None).collect(),
                answers: datasets.iter().map(|_| None).collect(),
            }),
            changed: Condvar::new(),
            is_stopped: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(
        &self,
        desk: MutexGuard<'g, Desk>,
        until: impl Fn(&Desk) -> bool,
    ) -> MutexGuard<'g, Desk> {
        let waiting = self.changed.wait_while(desk, |desk| !until(desk));
        waiting.unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `fit` for every dataset, each on a thread of its own. The arguments of `fit` are the index of the dataset,
    /// its rows as a source, the number of threads that this fit may use, and a monitor. Returns the results in the
    /// order of the datasets. If the system refuses some of the threads, there are results only for the first few
    /// datasets, at least for one.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the job's monitor; [`Error::Memory`] if the system refuses the first thread.
    pub(crate) fn run<T: Send>(
        &self,
        fit: impl Fn(usize, &dyn Source, Threads, Stopped<'_>) -> T + Sync,
        job: &mut Job<'_>,
    ) -> Result<Vec<T>, Error> {
        let threads = job.threads().get() / self.datasets.len().max(1);
        let threads = Threads::new(Some(threads.max(1)))?;
        let one = |place: usize| {
            let _ending = Ending(self);
            let seat = Seat {
                together: self,
                place,
            };
            seat.begin();
            let source = Arrays(self.datasets[place], Some(&seat));
            fit(place, &source, threads, Stopped(&self.is_stopped))
        };
        let one = &one;
        let results: Vec<T> = std::thread::scope(|scope| {
            let spawn = |place| std::thread::Builder::new().spawn_scoped(scope, move || one(place));
            let count = self.datasets.len();
            let fits: Vec<_> = (0..count).map_while(|place| spawn(place).ok()).collect();
            self.lock().live -= count - fits.len();
            self.serve(job);
            let results = fits.into_iter().map(|fit| match fit.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            results.collect()
        });
        if self.is_stopped.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        match results.is_empty() {
            true => Err(Error::Memory {
                argument: "y",
                count: 1,
                unit: "model, and no thread for it",
            }),
            false => Ok(results),
        }
    }

    /// Answers the evaluations that fits ask for, until all fits have ended.
    fn serve(&self, job: &mut Job<'_>) {
        let mut desk = self.lock();
        loop {
            let all_ask = |desk: &Desk| desk.asked.iter().flatten().count() == desk.live;
            while !all_ask(&desk) {
                let waited = self.changed.wait_timeout(desk, POLL);
                desk = waited.unwrap_or_else(PoisonError::into_inner).0;
                if job.monitor().poll().is_break() {
                    self.is_stopped.store(true, Ordering::Relaxed);
                }
            }
            if desk.live == 0 {
                return;
            }
            let asked = std::mem::take(&mut desk.asked);
            drop(desk);
            let answers = self.evaluate(&asked, job);
            desk = self.lock();
            desk.asked = asked.iter().map(|_| None).collect();
            for (place, answer) in answers {
                desk.answers[place] = Some(answer);
            }
            self.changed.notify_all();
        }
    }

    /// Makes one pass over X. Returns the sums that each fit has asked for, with the index of the fit.
    fn evaluate(
        &self,
        asked: &[Option<Evaluation>],
        job: &mut Job<'_>,
    ) -> Vec<(usize, Result<Sums, Error>)> {
        let questions = asked.iter().enumerate();
        let questions = questions.filter_map(|(place, question)| Some((place, question.as_ref()?)));
        let questions: Vec<(usize, &Evaluation)> = questions.collect();
        let level = job.level();
        let sums = map_reduce(
            job,
            self.leaves(&questions),
            || (),
            Answers::default,
            |(), answers, rows| {
                let of_rows = |(place, question)| self.of_rows(place, question, &rows, level);
                answers.0 = questions.iter().copied().map(of_rows).collect();
            },
        );
        let places = questions.iter().map(|(place, _)| *place);
        match sums {
            Ok(answers) => places.zip(answers.0).collect(),
            Err(_) => {
                self.is_stopped.store(true, Ordering::Relaxed);
                places
                    .map(|place| (place, Err(Error::Interrupted)))
                    .collect()
            }
        }
    }

    /// The leaves of a pass: chunks of rows that fit into the cache, or larger ones if the leaves of some fit are
    /// larger.
    fn leaves(&self, questions: &[(usize, &Evaluation)]) -> Leaves {
        let Some(first) = self.datasets.first() else {
            return Leaves::of(0, 1, 1, 1);
        };
        let rows = rows_of(first);
        let of_row = first.x.reads(rows) / rows.max(1);
        let (mut size, mut scores) = (CHUNK_BYTES / (8 * of_row).max(1), 0);
        for (place, (at, _)) in questions {
            let own = at.parameters().scores();
            size = size.max(kernel::leaves(&self.datasets[*place], own).size());
            scores += own;
        }
        let width = first.x.columns().saturating_mul(scores);
        Leaves::of(rows, size, of_row * questions.len(), width)
    }

    /// The sums of the fit of index `place` over consecutive rows.
    fn of_rows(
        &self,
        place: usize,
        (at, precision): &Evaluation,
        rows: &Range<usize>,
        level: Level,
    ) -> Result<Sums, Error> {
        let part = Dataset {
            rows: RowSet::Range {
                first: rows.start,
                count: rows.len(),
            },
            ..self.datasets[place]
        };
        let mut monitor = Unmonitored;
        let mut job = Job::on(level, Threads::ONE, &mut monitor);
        Arrays(part, None).evaluate(&at.parameters(), *precision, &mut job)
    }
}

/// The sums of several fits, over the same rows.
#[derive(Default)]
struct Answers(Vec<Result<Sums, Error>>);

impl Sum for Answers {
    fn add(&mut self, right: &Self) {
        for (sums, right) in self.0.iter_mut().zip(&right.0) {
            match (&mut *sums, right) {
                (Ok(sums), Ok(right)) => sums.add(right),
                (Ok(_), Err(error)) => *sums = Err(error.clone()),
                (Err(_), _) => {}
            }
        }
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// The place of one fit in a [`Together`]. The fit asks for its evaluations through it.
struct Seat<'a> {
    together: &'a Together<'a>,
    place: usize,
}

impl Seat<'_> {
    /// Waits until this thread may compute.
    fn begin(&self) {
        let desk = self.together.lock();
        let mut desk = self.together.wait(desk, |desk| desk.free > 0);
        desk.free -= 1;
    }
}

impl Evaluator for Seat<'_> {
    fn evaluate(&self, at: &Parameters<'_, f64>, precision: Precision) -> Result<Sums, Error> {
        let mut desk = self.together.lock();
        desk.asked[self.place] = Some((Place::of(at), precision));
        desk.free += 1;
        self.together.changed.notify_all();
        let place = self.place;
        let mut desk = self
            .together
            .wait(desk, |desk| desk.answers[place].is_some() && desk.free > 0);
        desk.free -= 1;
        desk.answers[place]
            .take()
            .unwrap_or(Err(Error::Interrupted))
    }
}

/// Counts a fit as ended when this is dropped, after a panic too.
struct Ending<'a>(&'a Together<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut desk = self.0.lock();
        desk.live -= 1;
        desk.free += 1;
        self.0.changed.notify_all();
    }
}

/// The monitor of one fit. It ends the fit once all fits are to stop.
pub(crate) struct Stopped<'a>(&'a AtomicBool);

impl Monitor for Stopped<'_> {
    fn poll(&mut self) -> ControlFlow<()> {
        match self.0.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
