//! The Fisher information, for the covariance of weights and bias.

use std::sync::Arc;

use super::cholesky::Cholesky;
use super::dependence;
use super::objective::Objective;
use super::run::Run;
use super::view::{Alias, View};
use crate::error::Error;
use crate::kernel::Basis;
use crate::linalg::{add_multiple, dot};
use crate::reduce::Job;

/// The Fisher information of one score.
pub(crate) struct Information {
    view: View,
    aliased: Vec<Alias>,
}

impl Information {
    /// The information at `v`; `None` if it is singular for another reason than aliased columns.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the scores of all rows do not fit into memory; [`Error::Interrupted`] by the observer.
    pub(crate) fn new(
        objective: &Objective<'_>,
        v: &[f64],
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let scores = run.scores(objective, v)?;
        let basis = Arc::clone(&run.basis);
        let gram = |basis: &Basis, job: &mut Job<'_>| scores.gram_of_trace(basis, job);
        let Some(view) = dependence::view(objective, gram, basis, run)? else {
            return Ok(None);
        };
        // Columns are aliased only if they are dependent in all rows, also those whose predictions are too certain to
        // count at `v`.
        if !view.dependent.is_empty() && view.dependent != dependence::dependent(objective, run)? {
            return Ok(None);
        }
        let aliased = view.dependent.iter().map(|&j| view.alias(j)).collect();
        Ok(Some(Information { view, aliased }))
    }

    /// Columns that are combinations of others.
    pub(crate) fn aliased(&self) -> &[Alias] {
        &self.aliased
    }

    /// The inverse by the weights of X's columns and, last, the bias; row by row. No column may be aliased.
    pub(crate) fn inverse(&self, objective: &Objective<'_>) -> Vec<f64> {
        let view = &self.view;
        let n = view.scale.len();
        let order = n + usize::from(objective.fit_bias);
        let root = view.gram.weight.sqrt();
        let mut covariance = vec![0.0; order * order];
        let mut add = |x: &[f64]| {
            for (row, &a) in covariance.chunks_exact_mut(order).zip(x) {
                add_multiple(row, a, x);
            }
        };
        // With H = S⁻¹ L Lᵀ S⁻¹, the inverse is the sum of r rᵀ over the rows r of L⁻¹ S, taken from the basis to X's
        // columns.
        let inverse = view.factor.as_ref().map_or(Vec::new(), Cholesky::inverse);
        for row in inverse.chunks_exact(n) {
            let mut w: Vec<f64> = row
                .iter()
                .zip(&view.scale)
                .map(|(x, s)| x * s / root)
                .collect();
            let at_origin = -dot(&view.columns.mean, &w);
            let bias = at_origin + view.basis.to_natural(&mut w);
            w.extend(objective.fit_bias.then_some(bias));
            add(&w);
        }
        if objective.fit_bias {
            let mut along_bias = vec![0.0; order];
            along_bias[n] = 1.0 / view.gram.lower[n * (n + 2)].sqrt();
            add(&along_bias);
        }
        covariance
    }
}
