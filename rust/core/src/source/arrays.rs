//! Implements [`Source`], the trait through which solvers read rows, for X, y and sample weights in memory.

use std::cell::OnceCell;

use super::columns::WeightedColumns;
use super::few_rows::RowsInMemory;
use super::kept::{KeptPlane, KeptScores, Rows};
use super::{ByColumns, FewRows, Part, PlaneScores, Rounding, RowCurvatures, RowScores, Source};
use crate::error::Error;
use crate::features::Features;
use crate::float::Precision;
use crate::kernel::{
    self, Basis, Curvature, Dataset, Gram, Labels, Metric, Parameters, Ranges, Selected, Sides,
    Standardised, Subset, Sums, Want, rows_of,
};
use crate::reduce::Job;
use crate::vector::RowSet;

/// The rows of a dataset in memory, as a [`Source`]. If there is an [`Evaluator`], [`Source::evaluate`] asks the
/// evaluator instead of reading the rows.
#[derive(Clone, Copy)]
pub(crate) struct Arrays<'a>(pub(crate) Dataset<'a>, pub(crate) Option<&'a dyn Evaluator>);

/// Answers [`Source::evaluate`] in place of the source, in one pass over X that also answers the evaluations of other
/// fits.
pub(crate) trait Evaluator {
    /// The sums over all rows at the parameters `at`.
    fn evaluate(&self, at: &Parameters<'_, f64>, precision: Precision) -> Result<Sums, Error>;
}

impl Part for Subset<'_> {
    fn rows(&self) -> usize {
        self.len()
    }

    fn with_source(
        &self,
        stride: usize,
        work: &mut dyn FnMut(&dyn Source) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.with_rows(stride, |dataset| work(&Arrays(*dataset, None)))
    }
}

impl Part for Selected<'_> {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn with_source(
        &self,
        stride: usize,
        work: &mut dyn FnMut(&dyn Source) -> Result<(), Error>,
    ) -> Result<(), Error> {
        debug_assert_eq!(stride, 1, "copies of columns are of all rows");
        work(&Arrays(self.dataset()?, None))
    }
}

impl Source for Arrays<'_> {
    fn rows(&self) -> usize {
        rows_of(&self.0)
    }

    fn columns(&self) -> usize {
        self.0.x.columns()
    }

    fn reads(&self) -> usize {
        self.0.x.reads(self.rows())
    }

    fn offsets(&self) -> usize {
        self.0.offsets.len()
    }

    fn labels(&self, precision: Precision, job: &mut Job<'_>) -> Result<Labels, Error> {
        let labels = kernel::labels(&self.0, job)?;
        self.0.check_offsets()?;
        if precision == Precision::Single {
            self.0.check_weights::<f32>()?;
        }
        Ok(labels)
    }

    fn basis(&self, fit_bias: bool, is_penalised: bool) -> Result<Basis, Error> {
        Ok(Basis::sampled(&self.0, fit_bias, is_penalised))
    }

    fn ranges(&self, scores: usize, job: &mut Job<'_>) -> Result<Ranges, Error> {
        kernel::ranges(&self.0, scores, job)
    }

    fn evaluate(
        &self,
        at: &Parameters<'_, f64>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error> {
        if let Some(evaluator) = self.1 {
            return evaluator.evaluate(at, precision);
        }
        match precision {
            Precision::Double => kernel::sums(&self.0, at, Want::LossAndGradient, job),
            Precision::Single => {
                let single = |values: &[f64]| values.iter().map(|&x| x as f32).collect();
                let (weights, biases): (Vec<f32>, Vec<f32>) =
                    (single(at.weights), single(at.biases));
                let at = Parameters {
                    loss: at.loss,
                    weights: &weights,
                    biases: &biases,
                };
                kernel::sums(&self.0, &at, Want::LossAndGradient, job)
            }
        }
    }

    fn rounding(
        &self,
        scores: usize,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Rounding, Error> {
        let sums = kernel::leaves(&self.0, scores).additions();
        let epsilon = precision.epsilon();
        let (offset, shift) = match self.0.offsets.len() {
            0 => (0.0, 0.0),
            1 => (epsilon, 0.0),
            _ => (0.0, epsilon * self.0.largest_offset()),
        };
        Ok(match self.0.x {
            Features::Dense(x) => {
                let n = x.columns() as f64;
                // A single score is summed in SIMD lanes, which are then added. Each of K scores is summed over blocks
                // of 64 columns, and then the sums of the blocks are added.
                let additions = match scores {
                    1 => n / precision.lanes() as f64 + 8.0,
                    _ => n.min(64.0) + n / 64.0 + 11.0,
                };
                Rounding {
                    epsilon,
                    score: epsilon * additions,
                    offset,
                    shift,
                    additions: sums,
                }
            }
            Features::Sparse(x) => {
                let terms = if scores == 1 { 8.0 } else { 11.0 };
                Rounding {
                    epsilon,
                    score: epsilon * terms + f64::EPSILON * x.longest_row() as f64,
                    offset,
                    shift,
                    additions: sums + kernel::longest_sum(&x, self.0.rows, scores, job)?,
                }
            }
        })
    }

    fn curvatures<'s>(&'s self, at: &Parameters<'_, f64>) -> Box<dyn RowCurvatures + 's> {
        match at.biases {
            [bias] => Box::new(OneScoreCurvatures {
                dataset: &self.0,
                weights: at.weights.to_vec(),
                bias: *bias,
            }),
            _ => Box::new(ClassCurvatures {
                dataset: &self.0,
                weights: at.weights.to_vec(),
                biases: at.biases.to_vec(),
                values: OnceCell::new(),
            }),
        }
    }

    fn gram_of_counts(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error> {
        let mut s = vec![1.0; self.rows()];
        if let Some(weights) = self.0.sample_weight {
            weights.copy(self.0.rows, 0, &mut s);
        }
        s.iter_mut()
            .for_each(|s| *s = if *s > 0.0 { 1.0 } else { 0.0 });
        kernel::gram_of(&self.0, &s, self.0.weight(), basis, job)
    }

    fn scores<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowScores + 's>, Error> {
        Ok(Box::new(KeptScores::new(&self.0, at, job)?))
    }

    fn plane<'s>(&'s self, scores: usize) -> Result<Box<dyn PlaneScores + 's>, Error> {
        Ok(Box::new(KeptPlane::new(self, scores)?))
    }

    fn reach(&self, metric: &Metric, job: &mut Job<'_>) -> Result<f64, Error> {
        kernel::reach(&self.0, metric, job)
    }

    fn sum_of_pairs(&self, space: &Standardised, job: &mut Job<'_>) -> Result<Vec<f64>, Error> {
        kernel::sum_of_pairs(&self.0, space, job)
    }

    fn sides(
        &self,
        space: &Standardised,
        direction: &[f64],
        tie: f64,
        job: &mut Job<'_>,
    ) -> Result<Sides, Error> {
        kernel::sides(&self.0, space, direction, tie, job)
    }

    fn gather(&self, rows: &[usize]) -> Result<Vec<f64>, Error> {
        Ok(kernel::gather(&self.0, rows))
    }

    fn sample<'s>(
        &'s self,
        rows: Vec<usize>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error> {
        Ok(Box::new(Subset::new(&self.0, rows, precision, job)?))
    }

    fn select<'s>(
        &'s self,
        columns: &[usize],
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error> {
        Ok(Box::new(Selected::new(&self.0, columns, precision, job)?))
    }

    fn by_columns<'s>(
        &'s self,
        job: &mut Job<'_>,
    ) -> Result<Option<Box<dyn ByColumns + 's>>, Error> {
        match (&self.0.x, self.0.rows) {
            (Features::Sparse(x), RowSet::All) => {
                Ok(Some(Box::new(WeightedColumns::new(&self.0, x, job)?)))
            }
            _ => Ok(None),
        }
    }

    fn few_rows<'s>(&'s self, _: &mut Job<'_>) -> Result<Option<Box<dyn FewRows + 's>>, Error> {
        Ok(match self.0.rows {
            RowSet::All => Some(Box::new(RowsInMemory::Given(self.0))),
            _ => None,
        })
    }

    fn not_finite(&self) -> Error {
        self.0.not_finite()
    }
}

/// The curvatures d_i = s_i σ'(z_i) of the rows of a model with one score, computed anew in every pass over the rows.
struct OneScoreCurvatures<'a> {
    dataset: &'a Dataset<'a>,
    weights: Vec<f64>,
    bias: f64,
}

impl RowCurvatures for OneScoreCurvatures<'_> {
    fn grams(&self, _: &[usize], basis: &Basis, job: &mut Job<'_>) -> Result<Vec<Gram>, Error> {
        let gram = kernel::gram(self.dataset, &self.weights, self.bias, basis, job)?;
        Ok(vec![gram])
    }

    fn diagonal(&self, _: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Curvature, Error> {
        kernel::curvature(self.dataset, &self.weights, self.bias, basis, job)
    }

    fn trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<(Curvature, Vec<f64>), Error> {
        let diagonal = self.diagonal(0, basis, job)?;
        let by_bias = vec![diagonal.bias];
        Ok((diagonal, by_bias))
    }
}

/// The curvatures d_ik = s_i p_ik (1 − p_ik) of row i and class k, with probabilities p_ik.
struct ClassCurvatures<'a> {
    dataset: &'a Dataset<'a>,
    weights: Vec<f64>,
    biases: Vec<f64>,
    /// The curvatures, shape (K, m), class by class; computed when first needed.
    values: OnceCell<Vec<f64>>,
}

impl ClassCurvatures<'_> {
    fn at(&self) -> Parameters<'_, f64> {
        Parameters::of_classes(&self.weights, &self.biases)
    }

    /// The curvatures of all rows, for each class.
    fn by_class(&self, job: &mut Job<'_>) -> Result<Vec<&[f64]>, Error> {
        let values = match self.values.get() {
            Some(values) => values,
            None => {
                let values = kernel::slopes(self.dataset, &self.at(), job)?;
                self.values.get_or_init(|| values)
            }
        };
        Ok(values.chunks_exact(rows_of(self.dataset)).collect())
    }
}

impl RowCurvatures for ClassCurvatures<'_> {
    fn grams(
        &self,
        scores: &[usize],
        basis: &Basis,
        job: &mut Job<'_>,
    ) -> Result<Vec<Gram>, Error> {
        let by_class = self.by_class(job)?;
        let curvatures: Vec<&[f64]> = scores.iter().map(|&score| by_class[score]).collect();
        kernel::grams_of(self.dataset, &curvatures, self.dataset.weight(), basis, job)
    }

    fn diagonal(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Curvature, Error> {
        kernel::curvature_of(self.dataset, self.by_class(job)?[score], basis, job)
    }

    fn trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<(Curvature, Vec<f64>), Error> {
        kernel::curvature_of_classes(self.dataset, &self.at(), basis, job)
    }
}

impl Rows for Arrays<'_> {
    fn labels(&self) -> &Dataset<'_> {
        &self.0
    }

    fn scores(
        &self,
        at: &Parameters<'_, f64>,
        out: &mut [f64],
        job: &mut Job<'_>,
    ) -> Result<(), Error> {
        kernel::scores(&self.0, at, out, job)
    }
}
