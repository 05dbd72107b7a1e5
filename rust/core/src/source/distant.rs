//! Implements [`Source`], the trait through which solvers read rows, for dense rows on disk or on other machines. These
//! rows answer [requests](super::request). Their labels, sample weights and offsets are kept in memory here.
//!
//! Each request that needs scores computes them anew. Only a plane search (a line search over two directions) keeps the
//! scores of every row.

use std::cell::{OnceCell, RefCell};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::few_rows::RowsInMemory;
use super::kept::{KeptPlane, Rows, ScoreSums};
use super::request::{
    AllTrue, Extremes, Place, Question, Request, answers, from_bytes, list, to_bytes, write_list,
};
use super::{
    Arrays, ByColumns, FewRows, Part, PlaneScores, Rounding, RowCurvatures, RowScores, Source,
};
use crate::error::{Error, zeros};
use crate::float::{Float, Precision};
use crate::kernel::{
    self, Basis, Copied, Curvature, Dataset, Gram, JeffreysSums, Labels, Metric, MomentSums,
    Moments, Parameters, Ranges, Selected, Sides, Standardised, Subset, Sums, Whitening, rows_of,
    stratified,
};
use crate::reduce::{Forest, Job, Largest, Sum, Threads, Unmonitored};

/// The largest number of bytes of a copy of columns. If a copy would be larger, the columns are not copied; then every
/// request reads them anew.
const COPIED_BYTES: usize = 256 << 20;

/// Dense rows that are on disk or on other machines, where they answer requests.
pub trait DistantRows {
    /// Sends a request to all rows. `request` may consist of several requests, one after the other. The rows may be cut
    /// into parts of consecutive rows. Each part then answers by a call of [`answer`](super::answer). Calls `take` with
    /// the answer of every part, in the order of the rows.
    ///
    /// # Errors
    ///
    /// Any error. It ends the fit, or whatever call needs the answer.
    fn ask(
        &self,
        request: &[u8],
        job: &mut Job<'_>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

/// A record of all requests of a fit and their answers. With this record, a fit that was interrupted can be continued.
/// Each request of a fit follows from the answers before it. So the fit is repeated from the recorded answers, without
/// reading rows; and where the record ends, rows are read again.
pub trait Log {
    /// The recorded answer to `request`, which must be the next request in the record; `None` once the record ends.
    ///
    /// # Errors
    ///
    /// Any error; for example, if the next request in the record is a different one. The error ends the fit.
    fn recall(&self, request: &[u8]) -> Result<Option<Vec<u8>>, Error>;
    /// Records a request and its answer.
    ///
    /// # Errors
    ///
    /// Any error. It ends the fit.
    fn record(&self, request: &[u8], answer: &[u8]) -> Result<(), Error>;
}

/// Rows that answer requests, as a [`Source`].
pub(crate) struct Distant<'a> {
    rows: &'a dyn DistantRows,
    log: Option<&'a dyn Log>,
    /// Labels, sample weights and offsets of all rows. The X of this dataset has the right shape, but is never read.
    labels: Dataset<'a>,
    /// The columns that are read; all if `None`.
    columns: Option<Vec<usize>>,
    /// The largest number of bytes of a copy of columns.
    room: usize,
    /// The rows from which a basis is estimated, once they have been read.
    drawn: OnceCell<Vec<f64>>,
    /// Requests that will be made. The next read of the rows answers them, too, whatever request it is made for.
    planned: RefCell<Vec<Planned>>,
}

/// A request that will be made.
struct Planned {
    request: Vec<u8>,
    answer: PlannedAnswer,
    /// Whether the rows have answered.
    is_known: bool,
}

/// The answer to a request that will be made.
enum PlannedAnswer {
    /// A sample.
    Rows(CopiedRows),
    /// A sum over all rows, which is kept until the next read.
    Sum(Box<dyn Adding>),
}

/// A sum that grows with the answers of the rows.
trait Adding {
    /// Adds the answer of the next rows.
    ///
    /// # Errors
    ///
    /// [`Error::Bytes`].
    fn add(&mut self, answer: &[u8]) -> Result<(), Error>;
    /// The sum over all rows, as bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Bytes`] if no rows have answered.
    fn total(self: Box<Self>) -> Result<Vec<u8>, Error>;
}

impl<T: Sum + Serialize + DeserializeOwned> Adding for Forest<T> {
    fn add(&mut self, answer: &[u8]) -> Result<(), Error> {
        self.append(from_bytes(answer)?);
        Ok(())
    }

    fn total(self: Box<Self>) -> Result<Vec<u8>, Error> {
        to_bytes(&Forest::total(*self).ok_or(Error::Bytes)?)
    }
}

impl PlannedAnswer {
    /// Adds the answer of the next rows.
    fn take(&mut self, answer: &[u8]) -> Result<(), Error> {
        match self {
            PlannedAnswer::Rows(copied) => copied.take(answer),
            PlannedAnswer::Sum(sum) => sum.add(answer),
        }
    }
}

/// The elements of a sample's rows.
enum CopiedRows {
    Single(List<f32>),
    Double(List<f64>),
}

/// Numbers that the rows answer, one row after the other.
struct List<F> {
    numbers: Vec<F>,
    /// How many of the numbers are known.
    filled: usize,
}

impl<F: Float> List<F> {
    /// # Errors
    ///
    /// [`Error::Memory`] if there is no room for `count` numbers.
    fn new(count: usize) -> Result<Self, Error> {
        Ok(List {
            numbers: zeros("X", count, "numbers of rows that are copied")?,
            filled: 0,
        })
    }

    /// Adds the numbers of the next rows.
    ///
    /// # Errors
    ///
    /// [`Error::Bytes`] if there are more numbers than expected.
    fn take(&mut self, answer: &[u8]) -> Result<(), Error> {
        let end = self.filled + answer.len() / size_of::<F>();
        let places = self.numbers.get_mut(self.filled..end).ok_or(Error::Bytes)?;
        places
            .iter_mut()
            .zip(list(answer))
            .for_each(|(place, number)| *place = number);
        self.filled = end;
        Ok(())
    }

    /// All numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Bytes`] if some are missing.
    fn whole(self) -> Result<Vec<F>, Error> {
        match self.filled == self.numbers.len() {
            true => Ok(self.numbers),
            false => Err(Error::Bytes),
        }
    }
}

impl CopiedRows {
    fn new(count: usize, precision: Precision) -> Result<Self, Error> {
        Ok(match precision {
            Precision::Single => CopiedRows::Single(List::new(count)?),
            Precision::Double => CopiedRows::Double(List::new(count)?),
        })
    }

    fn take(&mut self, answer: &[u8]) -> Result<(), Error> {
        match self {
            CopiedRows::Single(list) => list.take(answer),
            CopiedRows::Double(list) => list.take(answer),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            CopiedRows::Single(list) => write_list(&list.numbers, &mut bytes),
            CopiedRows::Double(list) => write_list(&list.numbers, &mut bytes),
        }
        bytes
    }
}

impl<'a> Distant<'a> {
    /// Rows that answer requests. `labels` has their labels, without X: see [`Dataset::of_labels`].
    pub(crate) fn new(
        rows: &'a dyn DistantRows,
        log: Option<&'a dyn Log>,
        labels: Dataset<'a>,
    ) -> Self {
        Distant {
            rows,
            log,
            labels,
            columns: None,
            room: COPIED_BYTES,
            drawn: OnceCell::new(),
            planned: RefCell::default(),
        }
    }

    /// The same source, in which a copy of columns takes at most `room` bytes.
    #[cfg(test)]
    pub(crate) fn with_room(self, room: usize) -> Self {
        Distant { room, ..self }
    }

    /// The request that asks all rows this question, as bytes.
    fn request(&self, question: Question) -> Result<Vec<u8>, Error> {
        to_bytes(&Request {
            columns: self.columns.clone(),
            question,
        })
    }

    /// The recorded answer of all rows to a request; `None` if there is no log, or after the end of the log.
    fn recall(&self, request: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.log.map_or(Ok(None), |log| log.recall(request))
    }

    /// Records a request and the answer of all rows to it, if there is a log.
    fn record(
        &self,
        request: &[u8],
        answer: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<(), Error> {
        self.log
            .map_or(Ok(()), |log| log.record(request, &answer()?))
    }

    /// Reads the rows to answer a request. The same read answers all planned requests. Calls `take` with the answer of
    /// every part of the rows to `request`.
    fn read(
        &self,
        request: &[u8],
        job: &mut Job<'_>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut planned = self.planned.take(); // if the read fails, no request stays planned
        planned.retain(|plan| {
            let is_stale = plan.is_known && matches!(plan.answer, PlannedAnswer::Sum(_));
            plan.request != request && !is_stale
        });
        let mut waiting: Vec<&mut Planned> = planned.iter_mut().filter(|p| !p.is_known).collect();
        let others = waiting.iter().map(|plan| plan.request.as_slice());
        let requests = [request]
            .into_iter()
            .chain(others)
            .collect::<Vec<_>>()
            .concat();
        self.rows.ask(&requests, job, &mut |answered| {
            let mut answers = answers(answered);
            let mut next = || answers.next().unwrap_or(Err(Error::Bytes));
            take(next()?)?;
            waiting
                .iter_mut()
                .try_for_each(|plan| plan.answer.take(next()?))
        })?;
        waiting.iter_mut().for_each(|plan| plan.is_known = true);
        self.planned.replace(planned);
        Ok(())
    }

    /// Plans a request, unless it is planned already.
    fn plan(
        &self,
        question: Question,
        answer: impl FnOnce() -> Result<PlannedAnswer, Error>,
    ) -> Result<(), Error> {
        let request = self.request(question)?;
        let mut planned = self.planned.borrow_mut();
        if planned.iter().all(|plan| plan.request != request) {
            planned.push(Planned {
                request,
                answer: answer()?,
                is_known: false,
            });
        }
        Ok(())
    }

    /// Removes a request from the planned requests. Returns its answer if a read has answered it already.
    fn planned_answer(&self, request: &[u8]) -> Option<PlannedAnswer> {
        let mut planned = self.planned.borrow_mut();
        let place = planned.iter().position(|plan| plan.request == request)?;
        let plan = planned.swap_remove(place);
        plan.is_known.then_some(plan.answer)
    }

    /// Asks all rows the question, and returns the sum of their answers.
    fn ask<T: Sum + Serialize + DeserializeOwned>(
        &self,
        question: Question,
        job: &mut Job<'_>,
    ) -> Result<T, Error> {
        let request = self.request(question)?;
        if let Some(answer) = self.recall(&request)? {
            // The recorded answer takes no read, in which planned sums would have been computed. Samples stay planned.
            let mut planned = self.planned.borrow_mut();
            planned.retain(|plan| matches!(plan.answer, PlannedAnswer::Rows(_)));
            return from_bytes(&answer);
        }
        let sum = match self.planned_answer(&request) {
            Some(PlannedAnswer::Sum(sum)) => from_bytes(&sum.total()?)?,
            _ => {
                let mut all = Forest::<T>::new();
                self.read(&request, job, &mut |answer| all.add(answer))?;
                all.total().ok_or(Error::Bytes)?
            }
        };
        self.record(&request, || to_bytes(&sum))?;
        Ok(sum)
    }

    /// Asks all rows a question whose answer is a list of numbers. Returns the numbers of one row after the other,
    /// which must be `count` in all.
    fn list<F: Float>(
        &self,
        question: Question,
        count: usize,
        job: &mut Job<'_>,
    ) -> Result<Vec<F>, Error> {
        let request = self.request(question)?;
        let mut all = List::new(count)?;
        if let Some(answer) = self.recall(&request)? {
            all.take(&answer)?;
            return all.whole();
        }
        self.read(&request, job, &mut |answer| all.take(answer))?;
        let numbers = all.whole()?;
        self.record(&request, || {
            let mut bytes = Vec::new();
            write_list(&numbers, &mut bytes);
            Ok(bytes)
        })?;
        Ok(numbers)
    }

    /// The elements of a sample's rows. If the sample was planned, an earlier read has copied them; if not, the rows
    /// are read now.
    fn copied(
        &self,
        rows: &[usize],
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<CopiedRows, Error> {
        let request = self.request(Question::Rows(rows.to_vec(), precision))?;
        let planned = self.planned_answer(&request);
        let room = || CopiedRows::new(rows.len().saturating_mul(self.columns()), precision);
        if let Some(answer) = self.recall(&request)? {
            let mut copied = room()?;
            copied.take(&answer)?;
            return Ok(copied);
        }
        let copied = match planned {
            Some(PlannedAnswer::Rows(copied)) => copied,
            _ => {
                let mut copied = room()?;
                self.read(&request, job, &mut |answer| copied.take(answer))?;
                copied
            }
        };
        self.record(&request, || Ok(copied.to_bytes()))?;
        Ok(copied)
    }
}

/// Calls `work` with a job of one thread and without a monitor. It is for questions that take little computing.
fn alone<T>(work: impl FnOnce(&mut Job<'_>) -> Result<T, Error>) -> Result<T, Error> {
    work(&mut Job::new(Threads::ONE, &mut Unmonitored)?)
}

impl Source for Distant<'_> {
    fn rows(&self) -> usize {
        rows_of(&self.labels)
    }

    fn columns(&self) -> usize {
        self.labels.x.columns()
    }

    fn reads(&self) -> usize {
        Arrays(self.labels, None).reads()
    }

    fn offsets(&self) -> usize {
        self.labels.offsets.len()
    }

    fn labels(&self, precision: Precision, job: &mut Job<'_>) -> Result<Labels, Error> {
        Source::labels(&Arrays(self.labels, None), precision, job)
    }

    fn basis(&self, fit_bias: bool, is_penalised: bool) -> Result<Basis, Error> {
        let rows = match self.drawn.get() {
            Some(rows) => rows,
            None => {
                let rows = self.gather(&Basis::drawn(&self.labels))?;
                self.drawn.get_or_init(|| rows)
            }
        };
        let columns = self.columns();
        Ok(Basis::of_dense_rows(columns, rows, fit_bias, is_penalised))
    }

    fn plan_samples(&self, samples: &[(usize, u64)], precision: Precision) -> Result<(), Error> {
        for &(count, seed) in samples {
            let rows = stratified(Source::rows(self), count, seed);
            let numbers = count.saturating_mul(self.columns());
            self.plan(Question::Rows(rows, precision), || {
                CopiedRows::new(numbers, precision).map(PlannedAnswer::Rows)
            })?;
        }
        Ok(())
    }

    fn plan_trace(&self, at: &Parameters<'_, f64>, basis: &Basis) -> Result<(), Error> {
        let question = Question::Trace(Place::of(at), basis.clone());
        let sum = || Box::new(Forest::<(Curvature, Vec<f64>)>::new());
        self.plan(question, || Ok(PlannedAnswer::Sum(sum())))
    }

    fn plan_gram_of_trace(&self, at: &Parameters<'_, f64>, basis: &Basis) -> Result<(), Error> {
        let question = Question::GramOfTrace(Place::of(at), basis.clone());
        let sum = || Box::new(Forest::<Gram>::new());
        self.plan(question, || Ok(PlannedAnswer::Sum(sum())))
    }

    fn ranges(&self, scores: usize, job: &mut Job<'_>) -> Result<Ranges, Error> {
        self.ask(Question::Ranges(scores), job)
    }

    fn evaluate(
        &self,
        at: &Parameters<'_, f64>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error> {
        self.ask(Question::Evaluate(Place::of(at), precision), job)
    }

    fn rounding(
        &self,
        scores: usize,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Rounding, Error> {
        Arrays(self.labels, None).rounding(scores, precision, job)
    }

    fn curvatures<'s>(&'s self, at: &Parameters<'_, f64>) -> Box<dyn RowCurvatures + 's> {
        Box::new(DistantCurvatures {
            source: self,
            at: Place::of(at),
        })
    }

    fn gram_of_counts(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let gram = self.ask(Question::GramOfCounts(basis.clone()), job)?;
        Ok(self.of_all_weight(gram))
    }

    fn scores<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowScores + 's>, Error> {
        let at = Place::of(at);
        Ok(Box::new(DistantScores {
            source: self,
            sums: self.ask(Question::Scores(at.clone()), job)?,
            at,
        }))
    }

    fn plane<'s>(&'s self, scores: usize) -> Result<Box<dyn PlaneScores + 's>, Error> {
        Ok(Box::new(KeptPlane::new(self, scores)?))
    }

    fn reach(&self, metric: &Metric, job: &mut Job<'_>) -> Result<f64, Error> {
        let Largest(reach) = self.ask(Question::Reach(metric.clone()), job)?;
        Ok(reach)
    }

    fn sum_of_pairs(&self, space: &Standardised, job: &mut Job<'_>) -> Result<Vec<f64>, Error> {
        self.ask(Question::SumOfPairs(space.clone()), job)
    }

    fn sides(
        &self,
        space: &Standardised,
        direction: &[f64],
        tie: f64,
        job: &mut Job<'_>,
    ) -> Result<Sides, Error> {
        let question = Question::Sides(space.clone(), direction.to_vec(), tie);
        self.ask(question, job)
    }

    fn gather(&self, rows: &[usize]) -> Result<Vec<f64>, Error> {
        let n = self.columns();
        let mut ascending: Vec<usize> = (0..rows.len()).collect();
        ascending.sort_by_key(|&place| rows[place]);
        let mut sorted: Vec<usize> = ascending.iter().map(|&place| rows[place]).collect();
        sorted.dedup();
        let question = Question::Rows(sorted.clone(), Precision::Double);
        let count = sorted.len().saturating_mul(n);
        let copied: Vec<f64> = alone(|job| self.list(question, count, job))?;
        let of_row = |row| sorted.partition_point(|&other| other < row) * n;
        let rows = rows.iter().map(|&row| &copied[of_row(row)..][..n]);
        Ok(rows.flatten().copied().collect())
    }

    fn sample<'s>(
        &'s self,
        rows: Vec<usize>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error> {
        let copied = self.copied(&rows, precision, job)?;
        Ok(Box::new(match copied {
            CopiedRows::Single(list) => {
                Subset::Single(Copied::of(list.whole()?, &self.labels, &rows))
            }
            CopiedRows::Double(list) => {
                Subset::Double(Copied::of(list.whole()?, &self.labels, &rows))
            }
        }))
    }

    fn select<'s>(
        &'s self,
        columns: &[usize],
        _: Precision, // copies are f64, which holds the numbers of both precisions
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error> {
        let all = self.columns.as_deref();
        let numbers = columns.iter().map(|&j| all.map_or(j, |all| all[j]));
        let narrow = Distant {
            columns: Some(numbers.collect()),
            labels: self.labels.of_columns(columns.len())?,
            drawn: OnceCell::new(),
            planned: RefCell::default(),
            ..*self
        };
        let bytes = (rows_of(&self.labels) * columns.len()).saturating_mul(size_of::<f64>());
        if bytes > self.room {
            return Ok(Box::new(narrow));
        }
        let count = rows_of(&self.labels).saturating_mul(columns.len());
        let x = narrow.list(Question::Columns, count, job)?;
        Ok(Box::new(Selected::of_dense(&self.labels, columns.len(), x)))
    }

    fn by_columns<'s>(&'s self, _: &mut Job<'_>) -> Result<Option<Box<dyn ByColumns + 's>>, Error> {
        Ok(None)
    }

    fn few_rows<'s>(&'s self, job: &mut Job<'_>) -> Result<Option<Box<dyn FewRows + 's>>, Error> {
        let n = self.columns();
        let count = rows_of(&self.labels).saturating_mul(n);
        let x = self.list(Question::Columns, count, job)?;
        let copy = Selected::of_dense(&self.labels, n, x);
        Ok(Some(Box::new(RowsInMemory::Copied(copy))))
    }

    fn not_finite(&self) -> Error {
        let found = alone(|job| self.ask(Question::NotFinite, job));
        let found = found.and_then(|found: Extremes| match found.not_finite {
            Some((got, row, column)) => Err(Error::NotFinite { got, row, column }),
            None => self.labels.check_labels_finite().map(|()| found.largest),
        });
        match found {
            Err(error) => error,
            Ok(largest) => Error::Number {
                argument: "X",
                expected: "small enough for sums of its squares to be finite",
                got: largest,
            },
        }
    }
}

impl Distant<'_> {
    /// Returns `gram` with the sum of the sample weights of all rows as its weight, computed here from all sample
    /// weights: each answer has only the weight of the rows that gave it.
    fn of_all_weight(&self, gram: Gram) -> Gram {
        Gram {
            weight: self.labels.weight(),
            ..gram
        }
    }
}

/// Some of the columns, used as a source. The columns are not copied; every request reads them anew.
impl Part for Distant<'_> {
    fn rows(&self) -> usize {
        Source::rows(self)
    }

    fn with_source(
        &self,
        stride: usize,
        work: &mut dyn FnMut(&dyn Source) -> Result<(), Error>,
    ) -> Result<(), Error> {
        debug_assert_eq!(stride, 1, "all rows of some columns");
        work(self)
    }
}

impl Rows for Distant<'_> {
    fn labels(&self) -> &Dataset<'_> {
        &self.labels
    }

    fn scores(
        &self,
        at: &Parameters<'_, f64>,
        out: &mut [f64],
        job: &mut Job<'_>,
    ) -> Result<(), Error> {
        let z: Vec<f64> = self.list(Question::FastScores(Place::of(at)), out.len(), job)?;
        out.copy_from_slice(&z);
        Ok(())
    }
}

/// The curvatures of the rows at fixed parameters. Every request computes them anew.
struct DistantCurvatures<'a> {
    source: &'a Distant<'a>,
    at: Place,
}

impl RowCurvatures for DistantCurvatures<'_> {
    fn grams(
        &self,
        scores: &[usize],
        basis: &Basis,
        job: &mut Job<'_>,
    ) -> Result<Vec<Gram>, Error> {
        let question = Question::Grams(self.at.clone(), scores.to_vec(), basis.clone());
        let grams: Vec<Gram> = self.source.ask(question, job)?;
        Ok(match self.at.parameters().scores() {
            1 => grams,
            _ => (grams.into_iter())
                .map(|gram| self.source.of_all_weight(gram))
                .collect(),
        })
    }

    fn diagonal(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Curvature, Error> {
        let question = Question::Diagonal(self.at.clone(), score, basis.clone());
        self.source.ask(question, job)
    }

    fn trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<(Curvature, Vec<f64>), Error> {
        let question = Question::Trace(self.at.clone(), basis.clone());
        self.source.ask(question, job)
    }
}

/// The scores of the rows at fixed parameters. Every request computes the scores anew; only the statistics of all
/// scores, `sums`, are kept.
struct DistantScores<'a> {
    source: &'a Distant<'a>,
    at: Place,
    sums: ScoreSums,
}

impl RowScores for DistantScores<'_> {
    fn are_finite(&self) -> bool {
        self.sums.are_finite
    }

    fn error(&self) -> f64 {
        kernel::score_error(self.sums.magnitude, self.source.columns())
    }

    fn largest(&self) -> f64 {
        self.sums.magnitude
    }

    fn predict_all_labels(&self, job: &mut Job<'_>) -> Result<bool, Error> {
        let question = Question::PredictAllLabels(self.at.clone(), self.error());
        let AllTrue(are_right) = self.source.ask(question, job)?;
        Ok(are_right)
    }

    fn moved_to<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<(Box<dyn RowScores + 's>, f64), Error> {
        let at = Place::of(at);
        let question = Question::MovedTo(self.at.clone(), at.clone());
        let (sums, Largest(change)) = self.source.ask(question, job)?;
        let moved = DistantScores { at, sums, ..*self };
        Ok((Box::new(moved), change))
    }

    fn error_and_weight(&self, _: &mut Job<'_>) -> Result<(f64, f64), Error> {
        Ok(self.sums.errors.error_and_weight())
    }

    fn moments(&self, basis: &Basis, scale: &[f64], job: &mut Job<'_>) -> Result<Moments, Error> {
        let errors = &self.sums.errors;
        let (basis, scale) = (basis.clone(), scale.to_vec());
        let question = Question::Moments(self.at.clone(), basis, scale, errors.is_fractional);
        let sums: MomentSums = self.source.ask(question, job)?;
        Ok(Moments::new(errors, sums))
    }

    fn gram(&self, pair: [usize; 2], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let question = Question::GramOfPair(self.at.clone(), pair, basis.clone());
        let gram = self.source.ask(question, job)?;
        Ok(self.source.of_all_weight(gram))
    }

    fn chi_square(&self, _: &mut Job<'_>) -> Result<f64, Error> {
        Ok(self.sums.chi_square)
    }

    fn jeffreys_sums(
        &self,
        whitening: &Whitening,
        with_cubes: bool,
        job: &mut Job<'_>,
    ) -> Result<(JeffreysSums, [f64; 2]), Error> {
        let question = Question::JeffreysSums(self.at.clone(), whitening.clone(), with_cubes);
        let (error, weight) = self.sums.errors.error_and_weight();
        Ok((self.source.ask(question, job)?, [error, weight]))
    }

    fn gram_of_trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let question = Question::GramOfTrace(self.at.clone(), basis.clone());
        let gram = self.source.ask(question, job)?;
        Ok(self.source.of_all_weight(gram))
    }
}
