//! The least and the largest value of every column among the rows of each class.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, rows_of};
use super::each_row::for_counted;
use super::leaves::sparse_leaves;
use crate::error::Error;
use crate::features::Features;
use crate::reduce::{Job, Leaves, Sum, map_reduce};
use crate::sparse::with_rows;

/// The least and the largest value of every column in each class, shape (K, n), over the rows of positive weight. With
/// two classes, a row whose label lies strictly between 0 and 1 counts in both.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ranges {
    columns: usize,
    least: Vec<f64>,
    largest: Vec<f64>,
    /// The number of rows of each class.
    rows: Vec<usize>,
    /// For sparse rows, how many rows of each class store each column, shape (K, n); else empty.
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

    /// Extends the range of a column in a class to 0 if some row of the class does not store the column.
    fn include_zeros(&mut self) {
        for (at, &stored) in self.stored.iter().enumerate() {
            if stored < self.rows[at / self.columns] {
                self.least[at] = self.least[at].min(0.0);
                self.largest[at] = self.largest[at].max(0.0);
            }
        }
    }

    /// The largest distance of a value of the column from `origin`.
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

impl Sum for Ranges {
    fn add(&mut self, right: &Self) {
        for (a, b) in self.least.iter_mut().zip(&right.least) {
            *a = a.min(*b);
        }
        for (a, b) in self.largest.iter_mut().zip(&right.largest) {
            *a = a.max(*b);
        }
        let counts = [
            (&mut self.rows, &right.rows),
            (&mut self.stored, &right.stored),
        ];
        for (counts, more) in counts {
            counts.iter_mut().zip(more).for_each(|(a, b)| *a += b);
        }
    }

    fn clear(&mut self) {
        self.least.fill(f64::INFINITY);
        self.largest.fill(f64::NEG_INFINITY);
        self.rows.fill(0);
        self.stored.fill(0);
    }
}

/// The least and the largest value of a column in one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub class: usize,
    pub least: f64,
    pub largest: f64,
}

/// The [`Ranges`] of all columns, in one pass over `X`. `scores` is 1 for two classes, and K for K > 2 classes.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn ranges(
    dataset: &Dataset<'_>,
    scores: usize,
    job: &mut Job<'_>,
) -> Result<Ranges, Error> {
    let n = dataset.x.columns();
    let classes = scores.max(2);
    let classes_of = |i: usize| -> Range<usize> {
        let y: f64 = dataset.y.get(dataset.rows.at(i));
        match scores {
            1 => usize::from(y >= 1.0)..1 + usize::from(y > 0.0),
            _ => (y as usize).min(classes - 1)..(y as usize).min(classes - 1) + 1,
        }
    };
    let count = rows_of(dataset);
    let mut all = match dataset.x {
        Features::Dense(x) => map_reduce(
            job,
            Leaves::new(count, n.saturating_mul(classes)),
            || vec![0.0; n],
            || Ranges::none(classes, n, false),
            |row, sums, leaf| {
                for_counted(dataset, leaf, |i| {
                    x.copy_row(dataset.rows.at(i), row);
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
            },
        ),
        Features::Sparse(x) => with_rows!(&x, dataset.rows, rows => map_reduce(
            job,
            sparse_leaves(&x, dataset.rows, classes),
            Vec::new,
            || Ranges::none(classes, n, true),
            |parts, sums, leaf| {
                for_counted(dataset, leaf, |i| {
                    for class in classes_of(i) {
                        sums.rows[class] += 1;
                        rows.visit(i, parts, |column, x| {
                            if column < n {
                                let at = class * n + column;
                                sums.stored[at] += 1;
                                sums.least[at] = sums.least[at].min(x);
                                sums.largest[at] = sums.largest[at].max(x);
                            }
                        });
                    }
                });
            },
        )),
    }?;
    all.include_zeros();
    Ok(all)
}
