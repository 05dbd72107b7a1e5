//! The epochs of gradient descent: the order of the rows, the batches, and when the descent stops.

use super::batch::Progress;
use super::iterate::Iterate;
use super::options::{Descent, Observer, Options, Polling};
use super::points::Points;
use super::sparse;
use super::trace::Trace;
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel::{self, Dataset, PointDescent, PointUpdate, Recorder, Sums, Want};
use crate::math::larger;
use crate::matrix::Matrix;
use crate::reduce::Job;
use crate::shuffle::Random;
use crate::simd;
use crate::source::Chunks;
use crate::start::Start;
use crate::stop::StopReason;
use crate::vector::RowSet;

/// Gradient descent from `start`, by default from zeros. Labels are in [0, 1], or they are the codes 0 … K − 1 of K ≥ 3
/// classes. With K classes, each point (row of `X`) has K scores.
///
/// Each epoch visits every point once, in batches. Each batch makes one step against its own gradient. With batches
/// of one point (x, y), the step is w ← w + α(y − ŷ)x, b ← b + α(y − ŷ), where α is the learning rate and ŷ the
/// prediction; with K classes, it is w_k ← w_k + α([y = k] − p_k)x for each class k, where p_k is the probability of
/// class k. A batch of all points is summed in the order of the rows, even with a shuffle. A row of sample weight s
/// counts s / s̄ times, where s̄ is the mean of the sample weights.
///
/// # Errors
///
/// [`Error::Length`] if an array does not fit `x`; [`Error::Element`] for labels that are neither in [0, 1] nor codes
/// of classes; [`Error::NoSample`] for codes with gaps; [`Error::Conflict`] for a start whose shape does not fit the
/// labels, or for options that are not meant for K classes; [`Error::NotFinite`] if the loss is not finite because `x`
/// is not; [`Error::Weight`] or [`Error::Number`] if the start is not finite; [`Error::Memory`]; [`Error::Interrupted`]
/// by the observer; and those of [`Options::check`].
///
/// [`Error::Conflict`] also if X is read in chunks and the options ask for a shuffle, unless a batch has all points.
///
/// A trace that can never fit into memory gives an error before the first epoch. If neither a tolerance nor the
/// observer can end the descent early, the whole trace is allocated at the start; otherwise it is allocated epoch by
/// epoch.
pub fn descend<F: Float>(
    points: &Points<'_>,
    start: &Start,
    options: &Options,
    observer: &mut dyn Observer<F>,
) -> Result<Descent<F>, Error> {
    options.check()?;
    let dataset = points.labels();
    let m = dataset.x.rows();
    let batch = options.batch(m);
    let full = batch == m && m > 1;
    if matches!(points, Points::Read(_)) && options.shuffle.is_some() && !full {
        return Err(Error::Conflict {
            argument: "shuffle",
            expected: "False where X is read in batches: write its rows in a random order once",
            got: "True".to_owned(),
        });
    }
    // Memory for the order of the rows is allocated before the labels are read.
    let mut order = Order::new(m, options.shuffle.filter(|_| !full))?;
    let mut polling = Polling(observer);
    let scores = kernel::scores_of_labels(dataset, &mut Job::new(options.threads, &mut polling)?)?;
    let loss = options.begin(scores, dataset.offsets.len(), observer)?;
    let (weights, biases) = start.parameters(dataset.x.columns(), scores)?;
    // With full batches, the evaluation before an epoch also gives the gradient for the step of the epoch. With smaller
    // batches, the gradient over all rows is needed only to compare it with the tolerance.
    let want = if full || options.tol > 0.0 {
        Want::LossAndGradient
    } else {
        Want::Loss
    };
    let mut progress = Progress {
        options,
        epoch: 0,
        iterate: Iterate {
            loss,
            weights,
            biases,
        },
        trace: new_trace(dataset, scores, options, observer)?,
        mean_weight: mean_weight::<F>(dataset)?,
    };
    dataset.check_offsets()?;
    let mut sums = progress.evaluate_all(points, want, observer)?;
    let start_loss = sums.mean_error();
    let (mut history, mut stop_reason) = (Vec::new(), StopReason::Epochs);
    for epoch in 0..options.epochs {
        let last = progress.iterate.clone();
        progress.epoch = epoch;
        if let Some(trace) = &mut progress.trace {
            trace.reserve(m.div_ceil(batch))?;
        }
        if full {
            let predicted = match progress.trace {
                None => None,
                Some(_) => Some(points.predict(&progress.iterate)?),
            };
            progress.step_by(dataset, &sums, predicted)?;
        } else {
            let rows = order.next(observer)?;
            match points {
                Points::Arrays(dataset) => {
                    visit(&mut progress, &Dataset { rows, ..*dataset }, observer)?;
                }
                Points::Read(chunks) => visit_chunks(&mut progress, chunks, observer)?,
            }
        }
        sums = progress.evaluate_all(points, want, observer)?;
        let loss = sums.mean_error();
        if !loss.is_finite() || !progress.iterate.is_finite() {
            points.check_finite()?;
            progress.iterate = last;
            stop_reason = StopReason::Diverged;
            break;
        }
        history.push(loss);
        if let Some(reason) = reason_to_stop(&progress, &sums, observer) {
            stop_reason = reason;
            break;
        }
    }
    Ok(Descent {
        weights: progress.iterate.weights,
        biases: progress.iterate.biases,
        start_loss,
        history,
        stop_reason,
        trace: progress.trace,
    })
}

/// The mean of the sample weights; 1 if there are none.
///
/// # Errors
///
/// [`Error::Element`] for a sample weight that is negative or not finite; [`Error::TotalWeight`] if the sum of the
/// sample weights is 0 or infinite.
fn mean_weight<F: Float>(dataset: &Dataset<'_>) -> Result<f64, Error> {
    if dataset.sample_weight.is_none() {
        return Ok(1.0);
    }
    dataset.check_weights::<F>()?;
    let total = dataset.weight();
    dataset.check_total::<F>(total)?;
    Ok(total / dataset.x.rows() as f64)
}

/// An empty trace, if the options ask for one. It has room for all updates if nothing can end the descent early.
fn new_trace<F: Float>(
    dataset: &Dataset<'_>,
    scores: usize,
    options: &Options,
    observer: &dyn Observer<F>,
) -> Result<Option<Trace<F>>, Error> {
    if !options.trace {
        return Ok(None);
    }
    let (m, n) = (dataset.x.rows(), dataset.x.columns());
    let batch = options.batch(m);
    let updates = options.epochs as u128 * m.div_ceil(batch) as u128;
    let certain = options.tol == 0.0 && !observer.may_stop();
    Trace::new(batch, n, scores, updates, certain).map(Some)
}

/// Makes one epoch: a step by each batch. The rows of `dataset` are in the order of this epoch.
fn visit<F: Float>(
    progress: &mut Progress<'_, F>,
    dataset: &Dataset<'_>,
    observer: &mut dyn Observer<F>,
) -> Result<(), Error> {
    let m = dataset.x.rows();
    let batch = progress.options.batch(m);
    match dataset.x {
        Features::Sparse(x) => sparse::epoch(progress, dataset, &x, observer),
        Features::Dense(x) if batch == 1 && is_plain(progress.options, dataset) => {
            point_epoch(progress, |visit| visit(0, &dataset.with(x)), observer)
        }
        Features::Dense(_) => (0..m).step_by(batch).try_for_each(|first| {
            let part = dataset.part(first..m.min(first.saturating_add(batch)));
            progress.step(&part, &part, observer)
        }),
    }
}

/// One epoch over rows that are read in chunks, in the order of `X`.
fn visit_chunks<F: Float>(
    progress: &mut Progress<'_, F>,
    chunks: &Chunks<'_>,
    observer: &mut dyn Observer<F>,
) -> Result<(), Error> {
    let labels = chunks.labels();
    let m = kernel::rows_of(labels);
    let batch = progress.options.batch(m);
    if batch > chunks.size() {
        return (0..m).step_by(batch).try_for_each(|first| {
            let rows = first..m.min(first.saturating_add(batch));
            progress.step_over(chunks, rows, observer)
        });
    }
    let size = chunks.size() / batch * batch;
    if batch == 1 && is_plain(progress.options, labels) {
        let feed = |visit: Visit<'_>| {
            chunks.each(0..m, size, &mut |first, x, rows| {
                visit(first, &rows.with(*x))
            })
        };
        return point_epoch(progress, feed, observer);
    }
    chunks.each(0..m, size, &mut |first, _, rows| {
        let count = kernel::rows_of(rows);
        (0..count).step_by(batch).try_for_each(|start| {
            let places = start..count.min(start + batch);
            let named = labels.part(first + places.start..first + places.end);
            progress.step(&rows.part(places), &named, observer)
        })
    })
}

/// A function that visits the points of a dataset. Its first argument is the number of the first of them among all
/// points.
type Visit<'v> = &'v mut dyn FnMut(usize, &Dataset<'_, Matrix<'_>>) -> Result<(), Error>;

/// Whether [`point_epoch`] may be used: there are neither sample weights nor offsets nor l1, and the bias is fitted.
fn is_plain(options: &Options, dataset: &Dataset<'_>) -> bool {
    let are_plain = dataset.sample_weight.is_none() && dataset.offsets.is_empty();
    are_plain && options.penalty.is_smooth() && options.fit_bias
}

/// The reason for the descent to end after this epoch; `None` if it goes on. `sums` are the sums over all rows at the
/// weights and biases after the epoch.
fn reason_to_stop<F: Float>(
    progress: &Progress<'_, F>,
    sums: &Sums,
    observer: &mut dyn Observer<F>,
) -> Option<StopReason> {
    let Progress {
        options,
        epoch,
        iterate,
        ..
    } = progress;
    let loss = sums.mean_error();
    if observer
        .epoch(*epoch, loss, &iterate.weights, &iterate.biases)
        .is_break()
    {
        return Some(StopReason::Callback);
    }
    let is_small = |tol| gradient_norm(sums, &iterate.weights, options) <= tol;
    (options.tol > 0.0 && is_small(options.tol)).then_some(StopReason::Tolerance)
}

/// The order of the rows in each epoch: the order of `X`, or a new shuffle in each epoch.
struct Order {
    shuffled: Option<(Random, Vec<usize>)>,
}

impl Order {
    /// The order of `m` rows: new shuffles from `seed`, or the order of `X` without a seed.
    fn new(m: usize, seed: Option<u64>) -> Result<Self, Error> {
        let shuffled = seed.map(|seed| in_order(m).map(|rows| (Random::new(seed), rows)));
        Ok(Order {
            shuffled: shuffled.transpose()?,
        })
    }

    /// The order for the next epoch.
    fn next<F>(&mut self, observer: &mut dyn Observer<F>) -> Result<RowSet<'_>, Error> {
        match &mut self.shuffled {
            None => Ok(RowSet::All),
            Some((random, rows)) => {
                random.shuffle(rows, &mut Polling(observer))?;
                Ok(RowSet::Listed(rows))
            }
        }
    }
}

/// The row numbers 0, 1, … m − 1.
fn in_order(m: usize) -> Result<Vec<usize>, Error> {
    let mut order = Vec::new();
    order.try_reserve_exact(m).map_err(|_| Error::Memory {
        argument: "shuffle",
        count: m as u128,
        unit: "rows to order",
    })?;
    order.extend(0..m);
    Ok(order)
}

/// Max-norm of the gradient of mean error plus penalty; with l1, max-norm of the smallest subgradient.
fn gradient_norm<F: Float>(sums: &Sums, weights: &[F], options: &Options) -> f64 {
    let by_bias = |sum: &f64| match options.fit_bias {
        true => sum / sums.weight,
        false => 0.0,
    };
    sums.weights
        .iter()
        .zip(weights)
        .enumerate()
        .map(|(j, (sum, w))| {
            let (penalty, w) = (options.penalty.of(j), w.to_f64());
            penalty
                .kinks
                .least_slope(w, sum / sums.weight + penalty.slope(w))
        })
        .chain(sums.biases.iter().map(by_bias))
        .fold(0.0, larger)
}

/// One epoch with batches of one point. For such a batch, the mean over its points is the same as the sum. `feed` calls
/// its argument with a part of the points, then with the next part, until all points have been visited.
fn point_epoch<F: Float>(
    progress: &mut Progress<'_, F>,
    feed: impl FnOnce(Visit<'_>) -> Result<(), Error>,
    observer: &mut dyn Observer<F>,
) -> Result<(), Error> {
    /// How many products with elements of `X` are made between two polls of the observer: much less than a millisecond
    /// of work.
    const POLLED: usize = 1 << 17;
    let level = simd::level()?;
    let polled = (POLLED / progress.iterate.weights.len()).max(1);
    let Progress {
        options,
        epoch,
        iterate,
        trace,
        ..
    } = progress;
    let mut descent = PointDescent::new(
        &mut iterate.weights,
        &mut iterate.biases,
        options.learning_rate,
        options.penalty.shrinkage(options.learning_rate),
    );
    feed(&mut |number, points| {
        let mut record = trace.as_mut().map(|trace| {
            |update: PointUpdate<'_, F>| {
                let row = number + update.row;
                trace.push_point(*epoch, &PointUpdate { row, ..update });
            }
        });
        let m = points.x.rows();
        for first in (0..m).step_by(polled) {
            let some = points.part(first..m.min(first + polled));
            let recorder = record.as_mut().map(|record| record as Recorder<'_, F>);
            descent.visit(level, iterate.loss, &some, recorder);
            if observer.poll().is_break() {
                return Err(Error::Interrupted);
            }
        }
        Ok(())
    })?;
    descent.finish();
    Ok(())
}
