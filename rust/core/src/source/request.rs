//! Questions to rows on disk or on other machines, in a form that can be sent; and the answers of parts of these rows.
//!
//! Nearly all answers are sums over rows. Each part of the rows is a run of consecutive rows that begins at a multiple of
//! [`UNIT`]. Its answer is a [`Forest`]: the largest nodes of the tree that contain only rows of this part. The answers
//! of neighbouring parts are appended to each other. So the sum has the same bits as over rows in memory, however the
//! rows are cut into parts. The other answers are lists of numbers, one row after the other ([`list`]).

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::kept::{KeptScores, Rows};
use super::{Arrays, RowScores, Source};
use crate::error::Error;
use crate::features::Features;
use crate::float::{Float, Precision};
use crate::kernel::{Basis, Dataset, Metric, Parameters, Selected, Standardised, Whitening};
use crate::matrix::Matrix;
use crate::reduce::{Forest, Job, Largest, Sum};

/// The number of rows of the smallest parts that are summed on their own: as many rows as the largest leaf of dense
/// rows has. If rows are cut into parts, each of which answers requests, every part begins at a multiple of this
/// number.
pub const UNIT: usize = 2048;
/// Rows are processed in groups of about this many bytes, or in larger groups if [`UNIT`] rows take more.
const BYTES: usize = 8 << 20;

/// The number of rows in a group that is processed at once, for rows of `columns` columns: a power of two, and a
/// multiple of [`UNIT`].
pub(super) fn rows_at_once(columns: usize) -> usize {
    let of_row = columns.saturating_mul(size_of::<f64>()).max(1);
    (BYTES / of_row).clamp(UNIT, 1 << 40).next_power_of_two()
}

/// Weights and biases of a fit.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Place {
    weights: Vec<f64>,
    biases: Vec<f64>,
}

impl Place {
    pub(super) fn of(at: &Parameters<'_, f64>) -> Self {
        Place {
            weights: at.weights.to_vec(),
            biases: at.biases.to_vec(),
        }
    }

    pub(super) fn parameters(&self) -> Parameters<'_, f64> {
        Parameters::of_scores(&self.weights, &self.biases)
    }
}

/// A question about all rows. Each variant is named after the method that asks it: a method of [`Source`], or of a
/// trait whose implementations a source returns. The answer is what this method returns, unless the variant says
/// otherwise.
#[derive(Deserialize, Serialize)]
pub(super) enum Question {
    Ranges(usize),
    Evaluate(Place, Precision),
    Grams(Place, Vec<usize>, Basis),
    Diagonal(Place, usize, Basis),
    Trace(Place, Basis),
    GramOfCounts(Basis),
    /// The answer is a [`Largest`].
    Reach(Metric),
    SumOfPairs(Standardised),
    Sides(Standardised, Vec<f64>, f64),
    /// The answer is a list: the elements, in this precision, of the rows with these numbers, which ascend.
    Rows(Vec<usize>, Precision),
    /// The answer is a list: all elements of the columns that the request names.
    Columns,
    /// The answer is a list: the scores, without offsets. They are computed faster than those of
    /// [`Scores`](Self::Scores), for a line search over two directions, and may round differently.
    FastScores(Place),
    /// The answer is a [`ScoreSums`](super::kept::ScoreSums).
    Scores(Place),
    /// The answer is a [`ScoreSums`](super::kept::ScoreSums) at the second place; and, as a [`Largest`], the largest
    /// change from the first place to the second, as [`RowScores::moved_to`] defines it.
    MovedTo(Place, Place),
    /// Whether all labels are predicted right, as an [`AllTrue`]. The second field is a bound on the error of a score.
    PredictAllLabels(Place, f64),
    /// The answer is the sums from which moments are computed. The last field says whether any row, among all rows and
    /// not only those that answer, has a label strictly between 0 and 1.
    Moments(Place, Basis, Vec<f64>, bool),
    GramOfPair(Place, [usize; 2], Basis),
    GramOfTrace(Place, Basis),
    JeffreysSums(Place, Whitening, bool),
    /// The answer is an [`Extremes`].
    NotFinite,
}

/// A question, and the columns that it is about: all (`None`), or the columns with these numbers, which ascend.
#[derive(Deserialize, Serialize)]
pub(super) struct Request {
    pub columns: Option<Vec<usize>>,
    pub question: Question,
}

/// Requests that are answered in one read of the rows. As bytes, they are simply one request after the other.
pub(super) struct Requests(Vec<Request>);

impl Requests {
    /// # Errors
    ///
    /// [`Error::Bytes`] if the bytes are not those of requests.
    pub(super) fn from_bytes(mut bytes: &[u8]) -> Result<Self, Error> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let (request, rest) = postcard::take_from_bytes(bytes).map_err(|_| Error::Bytes)?;
            all.push(request);
            bytes = rest;
        }
        Ok(Requests(all))
    }

    /// [`answer`] to each of the requests, in bytes that [`answers`] reads.
    ///
    /// # Errors
    ///
    /// As [`answer`].
    pub(super) fn answer(
        &self,
        first: usize,
        x: &Matrix<'_>,
        labels: &Dataset<'_>,
        job: &mut Job<'_>,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for Request { columns, question } in &self.0 {
            let part = Part {
                first,
                x: *x,
                labels,
                columns: columns.as_deref(),
            };
            let answer = part.answer_to(question, job)?;
            bytes.extend((answer.len() as u64).to_le_bytes());
            bytes.extend(answer);
        }
        Ok(bytes)
    }
}

/// Reads the bytes that [`Requests::answer`] returns: the answer to each of the requests, in their order.
pub(super) fn answers(mut bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], Error>> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = u64::from_le_bytes(*length) as usize;
        let answer = rest.split_at_checked(length);
        bytes = answer.map_or(&[], |(_, rest)| rest);
        Some(answer.map(|(answer, _)| answer).ok_or(Error::Bytes))
    })
}

/// Whether something holds for all rows.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct AllTrue(pub bool);

impl Sum for AllTrue {
    fn add(&mut self, right: &Self) {
        self.0 &= right.0;
    }

    fn clear(&mut self) {
        self.0 = true;
    }
}

/// The largest magnitude of an element of X; and the first element that is not finite, as its value, row and column.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Extremes {
    pub largest: f64,
    pub not_finite: Option<(f64, usize, usize)>,
}

impl Sum for Extremes {
    fn add(&mut self, right: &Self) {
        self.largest = self.largest.max(right.largest);
        self.not_finite = self.not_finite.or(right.not_finite);
    }

    fn clear(&mut self) {
        *self = Extremes::default();
    }
}

/// # Errors
///
/// [`Error::Memory`] if the bytes cannot be allocated.
pub(super) fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    postcard::to_stdvec(value).map_err(|_| Error::Memory {
        argument: "X",
        count: 1,
        unit: "request about its rows",
    })
}

/// # Errors
///
/// [`Error::Bytes`] if the bytes were not made from a value of type `T`.
pub(super) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    postcard::from_bytes(bytes).map_err(|_| Error::Bytes)
}

/// Appends numbers as bytes: eight bytes for each `f64`, four for each `f32`.
pub(super) fn write_list<F: Float>(numbers: &[F], bytes: &mut Vec<u8>) {
    match F::as_either(numbers) {
        Ok(doubles) => bytes.extend(doubles.iter().flat_map(|x| x.to_le_bytes())),
        Err(singles) => bytes.extend(singles.iter().flat_map(|x| x.to_le_bytes())),
    }
}

/// Reads the numbers that [`write_list`] has written.
pub(super) fn list<F: Float>(bytes: &[u8]) -> impl Iterator<Item = F> {
    let number = |bytes: &[u8]| match F::PRECISION {
        Precision::Double => bytes.try_into().map_or(0.0, f64::from_le_bytes),
        Precision::Single => f64::from(bytes.try_into().map_or(0.0, f32::from_le_bytes)),
    };
    bytes
        .chunks_exact(size_of::<F>())
        .map(move |bytes| F::from_f64(number(bytes)))
}

/// The answer of some consecutive rows to a request, as bytes for [`DistantRows`](super::DistantRows). `request` may
/// consist of several requests, one after the other; their answers then have the same order. `x` has the features of
/// the rows, and `labels` their labels (see [`Dataset::of_labels`]). `first` is the number of the first of the rows
/// among all rows, a multiple of [`UNIT`]. The count of the rows must also be a multiple of [`UNIT`], unless they are
/// the last ones of all rows.
///
/// # Errors
///
/// [`Error::Length`] if there is not one label for each row; [`Error::Bytes`] if the request was made by another
/// version of this library; [`Error::Interrupted`] by the job's monitor; and errors about elements of these rows.
pub fn answer(
    request: &[u8],
    first: usize,
    x: &Matrix<'_>,
    labels: &Dataset<'_>,
    job: &mut Job<'_>,
) -> Result<Vec<u8>, Error> {
    Requests::from_bytes(request)?.answer(first, x, labels, job)
}

/// Copies of some rows: those of `rows` whose numbers are in `numbers`. The list `numbers` ascends. `first` is the
/// number of the first row in `rows`.
fn copies<F: Float>(numbers: &[usize], first: usize, rows: &Arrays<'_>) -> Vec<F> {
    let place = |row| numbers.partition_point(|&number| number < row);
    let numbers = &numbers[place(first)..place(first + rows.rows())];
    let n = rows.columns();
    let mut out = vec![F::ZERO; numbers.len() * n];
    if let Features::Dense(x) = rows.0.x {
        for (&number, out) in numbers.iter().zip(out.chunks_exact_mut(n)) {
            x.copy_row(number - first, out);
        }
    }
    out
}

/// Consecutive rows, and the columns that a request names.
pub(super) struct Part<'a> {
    /// The number of the first of these rows among all rows.
    pub first: usize,
    pub x: Matrix<'a>,
    pub labels: &'a Dataset<'a>,
    pub columns: Option<&'a [usize]>,
}

impl Part<'_> {
    /// The answer of these rows to a question, in bytes.
    fn answer_to(&self, question: &Question, job: &mut Job<'_>) -> Result<Vec<u8>, Error> {
        match question {
            Question::Ranges(scores) => self.answer(job, |_, rows, job| rows.ranges(*scores, job)),
            Question::Evaluate(at, precision) => self.answer(job, |first, rows, job| {
                let sums = rows.evaluate(&at.parameters(), *precision, job);
                sums.map_err(|error| error.after_rows(first))
            }),
            Question::Grams(at, scores, basis) => self.answer(job, |_, rows, job| {
                rows.curvatures(&at.parameters()).grams(scores, basis, job)
            }),
            Question::Diagonal(at, score, basis) => self.answer(job, |_, rows, job| {
                let curvatures = rows.curvatures(&at.parameters());
                curvatures.diagonal(*score, basis, job)
            }),
            Question::Trace(at, basis) => self.answer(job, |_, rows, job| {
                rows.curvatures(&at.parameters()).trace(basis, job)
            }),
            Question::GramOfCounts(basis) => {
                self.answer(job, |_, rows, job| rows.gram_of_counts(basis, job))
            }
            Question::Reach(metric) => {
                self.answer(job, |_, rows, job| rows.reach(metric, job).map(Largest))
            }
            Question::SumOfPairs(space) => {
                self.answer(job, |_, rows, job| rows.sum_of_pairs(space, job))
            }
            Question::Sides(space, direction, tie) => self.answer(job, |first, rows, job| {
                let mut sides = rows.sides(space, direction, *tie, job)?;
                sides.others.iter_mut().for_each(|pair| pair.row += first);
                Ok(sides)
            }),
            Question::Rows(numbers, Precision::Single) => self.list(job, |first, rows, _| {
                Ok(copies::<f32>(numbers, first, rows))
            }),
            Question::Rows(numbers, Precision::Double) => self.list(job, |first, rows, _| {
                Ok(copies::<f64>(numbers, first, rows))
            }),
            Question::Columns => self.list(job, |_, rows, _| {
                let numbers: Vec<usize> = (0..rows.rows()).collect();
                rows.gather(&numbers)
            }),
            Question::FastScores(at) => self.list(job, |_, rows, job| {
                let at = at.parameters();
                let mut z = vec![0.0; rows.rows() * at.scores()];
                Rows::scores(rows, &at, &mut z, job)?;
                Ok(z)
            }),
            Question::Scores(at) => self.answer(job, |_, rows, job| {
                KeptScores::new(&rows.0, &at.parameters(), job)?.sums(job)
            }),
            Question::MovedTo(from, to) => self.answer(job, |_, rows, job| {
                let from = KeptScores::new(&rows.0, &from.parameters(), job)?;
                let to = KeptScores::new(&rows.0, &to.parameters(), job)?;
                Ok((to.sums(job)?, Largest(from.change(&to))))
            }),
            Question::PredictAllLabels(at, error) => self.answer(job, |_, rows, job| {
                let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
                Ok(AllTrue(scores.predict_labels(*error)))
            }),
            Question::Moments(at, basis, scale, is_fractional) => {
                self.answer(job, |_, rows, job| {
                    let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
                    let residuals = scores.residuals(job)?;
                    scores.moment_sums(&residuals, *is_fractional, (basis, scale), job)
                })
            }
            Question::GramOfPair(at, pair, basis) => self.answer(job, |_, rows, job| {
                let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
                scores.gram(*pair, basis, job)
            }),
            Question::GramOfTrace(at, basis) => self.answer(job, |_, rows, job| {
                let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
                scores.gram_of_trace(basis, job)
            }),
            Question::JeffreysSums(at, whitening, with_cubes) => {
                self.answer(job, |_, rows, job| {
                    let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
                    Ok(scores.jeffreys_sums(whitening, *with_cubes, job)?.0)
                })
            }
            Question::NotFinite => self.answer(job, |first, rows, _| {
                let not_finite = match rows.0.x.first_not_finite() {
                    Some(Error::NotFinite { got, row, column }) => Some((got, first + row, column)),
                    _ => None,
                };
                let largest = rows.0.x.largest();
                Ok(Extremes {
                    largest,
                    not_finite,
                })
            }),
        }
    }

    /// The answer of these rows as a [`Forest`], in bytes: [`Part::sums`].
    fn answer<T: Sum + Serialize>(
        &self,
        job: &mut Job<'_>,
        each: impl Fn(usize, &Arrays<'_>, &mut Job<'_>) -> Result<T, Error>,
    ) -> Result<Vec<u8>, Error> {
        to_bytes(&self.sums(job, each)?)
    }

    /// Sums over these rows. `each` computes the sum of one node, from the number of its first row and the node's rows.
    pub(super) fn sums<T: Sum>(
        &self,
        job: &mut Job<'_>,
        each: impl Fn(usize, &Arrays<'_>, &mut Job<'_>) -> Result<T, Error>,
    ) -> Result<Forest<T>, Error> {
        let mut forest = Forest::new();
        for (first, size, rows) in self.nodes() {
            let sum = self.with_rows(rows, job, |rows, job| each(first, rows, job))?;
            forest.append_node((size / UNIT).ilog2(), first / size, sum);
        }
        Ok(forest)
    }

    /// The answer of these rows as a list of numbers, in bytes that [`list`] reads. `each` computes the numbers of some
    /// of these rows.
    fn list<F: Float>(
        &self,
        job: &mut Job<'_>,
        each: impl Fn(usize, &Arrays<'_>, &mut Job<'_>) -> Result<Vec<F>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for (first, _, rows) in self.nodes() {
            let numbers = self.with_rows(rows, job, |rows, job| each(first, rows, job))?;
            write_list(&numbers, &mut bytes);
        }
        Ok(bytes)
    }

    /// The largest nodes of the tree that contain only these rows and have at most [`rows_at_once`] rows. Returns for
    /// each node: the number of its first row among all rows, the number of rows of a whole node, and the range of the
    /// node's rows within this part. The last node of all rows may have fewer rows than a whole node.
    fn nodes(&self) -> impl Iterator<Item = (usize, usize, Range<usize>)> {
        let most = rows_at_once(self.x.columns());
        let (begin, end) = (self.first, self.first + self.x.rows());
        let mut start = begin;
        std::iter::from_fn(move || {
            let (first, mut size) = (start, UNIT);
            while size < most && first.is_multiple_of(2 * size) && first + 2 * size <= end {
                size *= 2;
            }
            start += size;
            (first < end).then(|| (first, size, first - begin..end.min(start) - begin))
        })
    }

    /// Calls `work` with some of the rows, as arrays with only the columns that the request names.
    fn with_rows<T>(
        &self,
        rows: Range<usize>,
        job: &mut Job<'_>,
        work: impl FnOnce(&Arrays<'_>, &mut Job<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let x = self.x.part(rows.clone());
        self.labels
            .with_part(&x, rows, |dataset| match self.columns {
                None => work(&Arrays(*dataset, None), job),
                Some(columns) => {
                    let narrow = Selected::new(dataset, columns, Precision::Double, job)?;
                    work(&Arrays(narrow.dataset()?, None), job)
                }
            })
    }
}
