//! The least and the largest value of every column among the rows of each label.

use std::ops::Range;

use super::precise::for_counted;
use super::{Points, rows_of};
use crate::error::Error;
use crate::features::Features;
use crate::parallel::{self, Monitor, Threads};
use crate::sparse::with_rows;

/// Over the rows of positive weight, shape (K, n) each: of two classes, a label strictly between 0 and 1 counts as both.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    columns: usize,
    least: Vec<f64>,
    largest: Vec<f64>,
    /// Rows of each class, and how many of them store each column, where rows are sparse.
    rows: Vec<usize>,
    stored: Vec<usize>,
}

impl Ranges {
    fn none(classes: usize, columns: usize, is_sparse: bool) -> Self {
        let size = classes * columns;
        Ranges {
            columns,
            least: vec![f64::INFINITY; size],
            largest: vec![f64::NEG_INFINITY; size],
            rows: vec![0; classes],
            stored: vec![0; if is_sparse { size } else { 0 }],
        }
    }

    fn add(&mut self, other: Ranges) {
        for (a, b) in self.least.iter_mut().zip(other.least) {
            *a = a.min(b);
        }
        for (a, b) in self.largest.iter_mut().zip(other.largest) {
            *a = a.max(b);
        }
        let counts = [
            (&mut self.rows, other.rows),
            (&mut self.stored, other.stored),
        ];
        for (counts, more) in counts {
            counts.iter_mut().zip(more).for_each(|(a, b)| *a += b);
        }
    }

    /// What is not stored is zero.
    fn include_zeros(&mut self) {
        for (at, &stored) in self.stored.iter().enumerate() {
            if stored < self.rows[at / self.columns] {
                self.least[at] = self.least[at].min(0.0);
                self.largest[at] = self.largest[at].max(0.0);
            }
        }
    }

    /// The largest distance of a column's values from an origin.
    pub(crate) fn spread(&self, column: usize, origin: f64) -> f64 {
        let spans = self.of_column(column).into_iter();
        spans.fold(0.0, |most: f64, span| {
            most.max(span.largest - origin).max(origin - span.least)
        })
    }

    /// The range of a column in each class that has rows.
    pub(crate) fn of_column(&self, column: usize) -> Vec<Span> {
        let classes = self.rows.iter().enumerate().filter(|(_, rows)| **rows > 0);
        let span = |(class, _)| {
            let at = class * self.columns + column;
            Span {
                class,
                least: self.least[at],
                largest: self.largest[at],
            }
        };
        classes.map(span).collect()
    }
}

/// The least and the largest value of a column in one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub class: usize,
    pub least: f64,
    pub largest: f64,
}

/// The ranges, from one read of `X`.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn ranges(
    points: &Points<'_>,
    predictors: usize,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Ranges, Error> {
    let n = points.x.columns();
    let classes = predictors.max(2);
    let classes_of = |i: usize| -> Range<usize> {
        let y: f64 = points.y.get(points.rows.at(i));
        match predictors {
            1 => usize::from(y >= 1.0)..1 + usize::from(y > 0.0),
            _ => (y as usize).min(classes - 1)..(y as usize).min(classes - 1) + 1,
        }
    };
    // Few blocks: the ranges of each are as large as the weights.
    let blocks = parallel::blocks(rows_of(points), n.saturating_mul(classes));
    let partials = match points.x {
        Features::Dense(x) => parallel::map(
            threads,
            blocks,
            || vec![0.0; n],
            |row, block| {
                let mut sums = Ranges::none(classes, n, false);
                for_counted(points, block, |i| {
                    x.copy_row(points.rows.at(i), row);
                    for class in classes_of(i) {
                        sums.rows[class] += 1;
                        let range = class * n..(class + 1) * n;
                        for (least, &x) in sums.least[range.clone()].iter_mut().zip(&*row) {
                            *least = if x < *least { x } else { *least };
                        }
                        for (largest, &x) in sums.largest[range].iter_mut().zip(&*row) {
                            *largest = if x > *largest { x } else { *largest };
                        }
                    }
                });
                sums
            },
            monitor,
        ),
        Features::Sparse(x) => with_rows!(&x, rows => parallel::map(
            threads,
            blocks,
            Vec::new,
            |parts, block| {
                let mut sums = Ranges::none(classes, n, true);
                for_counted(points, block, |i| {
                    for class in classes_of(i) {
                        sums.rows[class] += 1;
                        rows.visit(points.rows.at(i), parts, |column, x| {
                            if column < n {
                                let at = class * n + column;
                                sums.stored[at] += 1;
                                sums.least[at] = sums.least[at].min(x);
                                sums.largest[at] = sums.largest[at].max(x);
                            }
                        });
                    }
                });
                sums
            },
            monitor,
        )),
    }?;
    let all = parallel::combine(partials, Ranges::add);
    let mut all = all.unwrap_or_else(|| Ranges::none(classes, n, false));
    all.include_zeros();
    Ok(all)
}
