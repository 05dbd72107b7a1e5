//! Questions to rows that are on disk or on other machines, in a form that can be sent, and the answers that some of
//! the rows give.
//!
//! Nearly all answers are sums over rows. Some consecutive rows, from a multiple of [`UNIT`] on, answer with the largest
//! nodes of the tree that contain only their rows (a [`Forest`]); neighbours' answers are appended to each other. So the
//! sum has the bits that all rows in memory give, however the rows are cut. Other answers are numbers of rows, one row
//! after the other ([`list`]).

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

/// Rows of the smallest parts that are summed on their own: as many as the largest leaf of dense rows has. Parts of the
/// rows that answer for themselves begin at multiples of it.
pub const UNIT: usize = 2048;
/// About how many bytes of rows are computed with at once. More if [`UNIT`] rows take more.
const BYTES: usize = 8 << 20;

/// About how many rows of `columns` columns are computed with at once: a power of two, and a multiple of [`UNIT`].
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

/// A question about all rows. Each variant is named like the method that asks it, of [`Source`] or of a trait whose
/// implementations a source returns. The answer is what that method returns, unless the variant says otherwise.
#[derive(Deserialize, Serialize)]
pub(super) enum Question {
    Ranges(usize),
    Evaluate(Place, Precision),
    Gram(Place, usize, Basis),
    Diagonal(Place, usize, Basis),
    Trace(Place, Basis),
    GramOfCounts(Basis),
    /// [`Largest`]
    Reach(Metric),
    SumOfPairs(Standardised),
    Sides(Standardised, Vec<f64>, f64),
    /// A list of the elements of the rows with these ascending numbers, in this precision.
    Rows(Vec<usize>, Precision),
    /// A list of all elements of the columns that are asked about.
    Columns,
    /// A list of the fast scores, without offsets.
    FastScores(Place),
    /// [`ScoreSums`](super::kept::ScoreSums)
    Scores(Place),
    /// [`ScoreSums`](super::kept::ScoreSums) at the second place, and the largest difference of scores between the two
    /// places: [`Largest`].
    MovedTo(Place, Place),
    /// Whether all labels are predicted with this bound on the error of scores: [`AllTrue`].
    PredictAllLabels(Place, f64),
    /// The sums from which moments are computed. The last field says whether a label of any row lies strictly between 0
    /// and 1.
    Moments(Place, Basis, Vec<f64>, bool),
    GramOfPair(Place, [usize; 2], Basis),
    GramOfTrace(Place, Basis),
    JeffreysSums(Place, Whitening, bool),
    /// [`Extremes`]
    NotFinite,
}

/// A question, and the columns that it is about: all, or those of ascending numbers.
#[derive(Deserialize, Serialize)]
pub(super) struct Request {
    pub columns: Option<Vec<usize>>,
    pub question: Question,
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

/// The largest element of X, and the first that is not finite: its value, row and column.
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
/// [`Error::Memory`] if they cannot be allocated.
pub(super) fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    postcard::to_stdvec(value).map_err(|_| Error::Memory {
        argument: "X",
        count: 1,
        unit: "request about its rows",
    })
}

/// # Errors
///
/// [`Error::Bytes`] if the bytes are not those of such a value.
pub(super) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    postcard::from_bytes(bytes).map_err(|_| Error::Bytes)
}

/// Appends numbers as bytes: eight of each `f64`, four of each `f32`.
pub(super) fn write_list<F: Float>(numbers: &[F], bytes: &mut Vec<u8>) {
    match F::as_either(numbers) {
        Ok(doubles) => bytes.extend(doubles.iter().flat_map(|x| x.to_le_bytes())),
        Err(singles) => bytes.extend(singles.iter().flat_map(|x| x.to_le_bytes())),
    }
}

/// The numbers whose bytes [`write_list`] has appended.
pub(super) fn list<F: Float>(bytes: &[u8]) -> impl Iterator<Item = F> {
    let number = |bytes: &[u8]| match F::PRECISION {
        Precision::Double => bytes.try_into().map_or(0.0, f64::from_le_bytes),
        Precision::Single => f64::from(bytes.try_into().map_or(0.0, f32::from_le_bytes)),
    };
    bytes
        .chunks_exact(size_of::<F>())
        .map(move |bytes| F::from_f64(number(bytes)))
}

/// The answer of some consecutive rows to a request: bytes for [`DistantRows`](super::DistantRows). `x` has the
/// features of these rows, and `labels` their labels: [`Dataset::of_labels`]. The first of the rows has the number
/// `first` among all rows, a multiple of [`UNIT`], and there are whole units unless these are the last rows.
///
/// # Errors
///
/// [`Error::Length`] if there is not one label for each row; [`Error::Bytes`] if the request was made by another
/// version; [`Error::Interrupted`] by the job's monitor; and errors about elements of these rows.
pub fn answer(
    request: &[u8],
    first: usize,
    x: &Matrix<'_>,
    labels: &Dataset<'_>,
    job: &mut Job<'_>,
) -> Result<Vec<u8>, Error> {
    let Request { columns, question } = from_bytes(request)?;
    let part = Part {
        first,
        x: *x,
        labels,
        columns: columns.as_deref(),
    };
    match &question {
        Question::Ranges(scores) => part.answer(job, |_, rows, job| rows.ranges(*scores, job)),
        Question::Evaluate(at, precision) => part.answer(job, |first, rows, job| {
            let sums = rows.evaluate(&at.parameters(), *precision, job);
            sums.map_err(|error| error.after_rows(first))
        }),
        Question::Gram(at, score, basis) => part.answer(job, |_, rows, job| {
            let curvatures = rows.curvatures(&at.parameters(), job)?;
            curvatures.gram(*score, basis, job)
        }),
        Question::Diagonal(at, score, basis) => part.answer(job, |_, rows, job| {
            let curvatures = rows.curvatures(&at.parameters(), job)?;
            curvatures.diagonal(*score, basis, job)
        }),
        Question::Trace(at, basis) => part.answer(job, |_, rows, job| {
            rows.curvatures(&at.parameters(), job)?.trace(basis, job)
        }),
        Question::GramOfCounts(basis) => {
            part.answer(job, |_, rows, job| rows.gram_of_counts(basis, job))
        }
        Question::Reach(metric) => {
            part.answer(job, |_, rows, job| rows.reach(metric, job).map(Largest))
        }
        Question::SumOfPairs(space) => {
            part.answer(job, |_, rows, job| rows.sum_of_pairs(space, job))
        }
        Question::Sides(space, direction, tie) => part.answer(job, |first, rows, job| {
            let mut sides = rows.sides(space, direction, *tie, job)?;
            sides.others.iter_mut().for_each(|pair| pair.row += first);
            Ok(sides)
        }),
        Question::Rows(numbers, Precision::Single) => part.list(job, |first, rows, _| {
            Ok(copies::<f32>(numbers, first, rows))
        }),
        Question::Rows(numbers, Precision::Double) => part.list(job, |first, rows, _| {
            Ok(copies::<f64>(numbers, first, rows))
        }),
        Question::Columns => part.list(job, |_, rows, _| {
            let numbers: Vec<usize> = (0..rows.rows()).collect();
            rows.gather(&numbers)
        }),
        Question::FastScores(at) => part.list(job, |_, rows, job| {
            let at = at.parameters();
            let mut z = vec![0.0; rows.rows() * at.scores()];
            Rows::scores(rows, &at, &mut z, job)?;
            Ok(z)
        }),
        Question::Scores(at) => part.answer(job, |_, rows, job| {
            KeptScores::new(&rows.0, &at.parameters(), job)?.sums(job)
        }),
        Question::MovedTo(from, to) => part.answer(job, |_, rows, job| {
            let from = KeptScores::new(&rows.0, &from.parameters(), job)?;
            let to = KeptScores::new(&rows.0, &to.parameters(), job)?;
            Ok((to.sums(job)?, Largest(from.change(&to))))
        }),
        Question::PredictAllLabels(at, error) => part.answer(job, |_, rows, job| {
            let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
            Ok(AllTrue(scores.predict_labels(*error)))
        }),
        Question::Moments(at, basis, scale, is_fractional) => part.answer(job, |_, rows, job| {
            let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
            let residuals = scores.residuals(job)?;
            scores.moment_sums(&residuals, *is_fractional, (basis, scale), job)
        }),
        Question::GramOfPair(at, pair, basis) => part.answer(job, |_, rows, job| {
            let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
            scores.gram(*pair, basis, job)
        }),
        Question::GramOfTrace(at, basis) => part.answer(job, |_, rows, job| {
            let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
            scores.gram_of_trace(basis, job)
        }),
        Question::JeffreysSums(at, whitening, with_cubes) => part.answer(job, |_, rows, job| {
            let scores = KeptScores::new(&rows.0, &at.parameters(), job)?;
            Ok(scores.jeffreys_sums(whitening, *with_cubes, job)?.0)
        }),
        Question::NotFinite => part.answer(job, |first, rows, _| {
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

/// Copies of those of `rows` whose numbers are among the ascending `numbers`. The first of `rows` has the number
/// `first`.
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

/// Consecutive rows, and the columns that are asked about.
struct Part<'a> {
    /// The number of their first row among all rows.
    first: usize,
    x: Matrix<'a>,
    labels: &'a Dataset<'a>,
    columns: Option<&'a [usize]>,
}

impl Part<'_> {
    /// The answer of these rows as a [`Forest`], in bytes. `each` computes the sum of one node, from the number of its
    /// first row and the node's rows.
    fn answer<T: Sum + Serialize>(
        &self,
        job: &mut Job<'_>,
        each: impl Fn(usize, &Arrays<'_>, &mut Job<'_>) -> Result<T, Error>,
    ) -> Result<Vec<u8>, Error> {
        let mut forest = Forest::new();
        for (first, size, rows) in self.nodes() {
            let sum = self.with_rows(rows, job, |rows, job| each(first, rows, job))?;
            forest.append_node((size / UNIT).ilog2(), first / size, sum);
        }
        to_bytes(&forest)
    }

    /// The answer of these rows as a list of numbers, in bytes that [`list`] reads. `each` computes the numbers of some
    /// of the rows.
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

    /// The largest nodes of the tree that contain only these rows, of at most [`rows_at_once`] rows each. For each
    /// node: the number of its first row, the number of rows of a whole node, and the range of the node's rows among
    /// these rows. The last node of all rows may have fewer rows than a whole node.
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

    /// Calls `work` with some of the rows, as arrays of the columns that are asked about.
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
