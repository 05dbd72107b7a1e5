//! `fit`: checks the options once, runs a solver, and returns the optimum with its history, the proof of the gap and
//! the stop reason.

use std::ops::ControlFlow;

use crate::error::{Error, check_room, one_of};
use crate::float::{Float, Precision};
use crate::kernel::{Dataset, Labels, check_offset_scores};
use crate::penalty::Penalty;
use crate::reduce::{Job, Monitor, Threads};
use crate::solver::firth;
use crate::solver::initial;
use crate::solver::objective::Objective;
use crate::solver::plane_search;
use crate::solver::proof::{Goal, Outcome, Proof, prove};
use crate::solver::proximal;
use crate::solver::run::{Beginning, FitObserver, Iteration, Record, Run};
use crate::solver::stages::{self, Solution};
use crate::solver::unpenalised;
use crate::solver::view::Alias;
use crate::source::{Arrays, Distant, DistantRows, Log, Source, Stopped, Together};
use crate::start::Start;
use crate::stop::StopReason;

/// The algorithms that find the optimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// Preconditioned L-BFGS, on growing samples of the rows and then on all rows.
    Lbfgs,
    /// Gradient descent with the optimal step length and momentum of each iteration.
    Gd,
    /// A proximal quasi-Newton method, for penalties with l1 or bounds.
    Proximal,
    /// Newton's method on Firth's penalised likelihood: the likelihood times Jeffreys' prior.
    Firth,
}

impl Solver {
    /// The solver with this name. "auto" is L-BFGS for a smooth penalty, and the proximal solver with l1 or bounds;
    /// with `firth`, it is the solver for Firth's penalised likelihood.
    ///
    /// # Errors
    ///
    /// [`Error::Choice`] if `name` is none of "auto", "lbfgs", "gd" and "proximal"; [`Error::Conflict`] if `firth` is
    /// true and `name` is another one than "auto".
    pub fn parse(name: &str, penalty: &Penalty, firth: bool) -> Result<Self, Error> {
        let auto = match (firth, penalty.is_smooth()) {
            (true, _) => Solver::Firth,
            (false, true) => Solver::Lbfgs,
            (false, false) => Solver::Proximal,
        };
        let words = [
            ("auto", auto),
            ("lbfgs", Solver::Lbfgs),
            ("gd", Solver::Gd),
            ("proximal", Solver::Proximal),
        ];
        let solver = one_of("solver", &words, name)?;
        match firth && solver != Solver::Firth {
            true => Err(Error::Conflict {
                argument: "solver",
                expected: "'auto' with firth",
                got: format!("'{name}'"),
            }),
            false => Ok(solver),
        }
    }

    /// # Errors
    ///
    /// [`Error::Conflict`] if the solver cannot minimise with this penalty.
    fn check(self, penalty: &Penalty) -> Result<(), Error> {
        if let (Solver::Firth, Some((argument, value))) = (self, penalty.any_option()) {
            return Err(Error::Conflict {
                argument,
                expected: "left out with firth, which is a penalty of its own",
                got: format!("{value}"),
            });
        }
        let expected = match (penalty.is_smooth(), self) {
            (true, Solver::Proximal) => "\"auto\", \"lbfgs\" or \"gd\" without l1 and bounds",
            (false, Solver::Lbfgs | Solver::Gd) => "\"auto\" or \"proximal\" with l1 > 0 or bounds",
            _ => return Ok(()),
        };
        Err(Error::Conflict {
            argument: "solver",
            expected,
            got: format!("{:?}", self.name()),
        })
    }

    /// The name of the solver: "lbfgs", "gd", "proximal" or "firth".
    pub fn name(self) -> &'static str {
        match self {
            Solver::Lbfgs => "lbfgs",
            Solver::Gd => "gd",
            Solver::Proximal => "proximal",
            Solver::Firth => "firth",
        }
    }
}

/// If `tol` is not given, L-BFGS and gradient descent stop at this max-norm of the gradient, before the gap is proved.
const GRADIENT: f64 = 1e-8;

/// The objective, the solver, and when to stop.
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions {
    /// The penalty, which is added to the mean error. The bias is not penalised.
    pub penalty: Penalty,
    /// Whether a bias is fitted; without, it is 0.
    pub fit_bias: bool,
    /// The algorithm.
    pub solver: Solver,
    /// Stop once the max-norm of the objective's gradient is at most this. If `None`, stop once the gap is proved to be
    /// within `gap_tol`.
    pub tol: Option<f64>,
    /// The fit has converged if the proved gap is at most this times the objective.
    pub gap_tol: f64,
    /// Whether the Hessian over all rows may be factored to prove the gap.
    pub certify: bool,
    /// Stop once so many passes over the rows have been made.
    pub max_passes: f64,
    /// Number of threads; results do not depend on it.
    pub threads: Threads,
}

impl FitOptions {
    fn goal(&self) -> Goal {
        Goal {
            gap: self.gap_tol,
            gradient: self.tol,
            may_factor: self.certify,
            may_step: self.solver == Solver::Lbfgs,
        }
    }

    /// Checks the ranges of the options.
    ///
    /// # Errors
    ///
    /// [`Error::Number`], naming the first option that is out of range; [`Error::Conflict`] if the solver cannot
    /// minimise with the penalty.
    pub fn check(&self) -> Result<(), Error> {
        self.solver.check(&self.penalty)?;
        let tol = self.tol.unwrap_or(0.0);
        for (argument, got) in [("tol", tol), ("gap_tol", self.gap_tol)] {
            if !(0.0..f64::INFINITY).contains(&got) {
                return Err(Error::Number {
                    argument,
                    expected: "finite and not negative",
                    got,
                });
            }
        }
        if self.max_passes > 0.0 {
            Ok(())
        } else {
            Err(Error::Number {
                argument: "max_passes",
                expected: "positive",
                got: self.max_passes,
            })
        }
    }
}

/// The result of [`fit()`]: the parameters, and what is proved about them.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// The weights w, shape (n); with K ≥ 3 classes, shape (K, n). They are rounded to the type that the fit was asked
    /// for.
    pub weights: Vec<f64>,
    /// The biases b: one for labels in [0, 1], K for K ≥ 3 classes.
    pub biases: Vec<f64>,
    /// The mean error E.
    pub loss: f64,
    /// The objective: E plus the penalty.
    pub objective: f64,
    /// Max-norm of the objective's gradient; with l1 or bounds, max-norm of the objective's smallest subgradient.
    pub gradient_norm: f64,
    /// Proved upper bound on objective − minimum; ∞ if nothing is proved. The minimum is that over models without the
    /// columns in `aliased`.
    pub gap: f64,
    /// Whether the gap is at most `gap_tol` times the objective.
    pub converged: bool,
    /// Columns that are linear combinations of columns before them, in a fit without penalty on them. Their weights are
    /// 0.
    pub aliased: Vec<Alias>,
    /// The algorithm that found the optimum.
    pub solver: Solver,
    /// Why the fit ended.
    pub stop_reason: StopReason,
    /// Number of passes over the rows, fractions included.
    pub passes: f64,
    /// One record per iteration.
    pub history: Vec<Record>,
    /// If a hyperplane separates the labels: weights and biases of a direction along which no row's error grows and
    /// some row's error falls for ever. There is then no optimum.
    pub separation: Option<(Vec<f64>, Vec<f64>)>,
}

impl Optimum {
    /// The start of a fit from this optimum.
    fn as_start(&self) -> Start {
        let scores = self.biases.len();
        Start {
            weights: Some(self.weights.clone()),
            rows: (scores > 1).then_some(scores),
            biases: Some(self.biases.clone()),
        }
    }
}

/// How many numbers a fit stores per weight: for the recent steps and gradients of L-BFGS, and for the sums of leaves.
const VECTORS: u128 = 64;
/// How many passes are reserved for the Newton steps after L-BFGS; half of `max_passes`, if that is fewer.
const NEWTON_PASSES: f64 = 500.0;

/// Minimises E plus the penalty, where `E = Σ s_i E_i / Σ s_i`. E_i is the cross-entropy of the sigmoid for labels in
/// [0, 1], and of softmax for labels that are codes 0 … K − 1 of K ≥ 3 classes. By default, the initial weights are
/// zero, and the initial biases are the optimal biases for these weights.
///
/// # Errors
///
/// [`Error::Length`] if an array does not fit `x`; [`Error::Element`] for labels that are neither in [0, 1] nor codes
/// of classes, and for sample weights that are negative or not finite; [`Error::NoSample`] for codes with gaps;
/// [`Error::Conflict`] for initial weights whose shape does not fit the labels; [`Error::TotalWeight`];
/// [`Error::NotFinite`] if `x` is not finite, and [`Error::Number`] if squares of its elements are not;
/// [`Error::Index`] for a column of a sparse `x` out of range; [`Error::Weight`] or [`Error::Number`] if initial
/// weights or biases are not finite; [`Error::Memory`] if the fit's vectors do not fit into memory;
/// [`Error::Interrupted`] by the observer; and those of [`FitOptions::check`].
pub fn fit<F: Float>(
    dataset: &Dataset<'_>,
    start: Start,
    options: &FitOptions,
    observer: &mut dyn FitObserver,
) -> Result<Optimum, Error> {
    solve(
        &Arrays(*dataset, None),
        F::PRECISION,
        start,
        options,
        observer,
    )
}

/// The largest number of fits that run at the same time, each on a thread of its own.
const TOGETHER: usize = 32;

/// [`fit`] for several datasets that share X, with a start and options for each. The evaluations of all fits read X
/// together. Every result has the same bits as that of [`fit`], except for the times in its history.
///
/// # Errors
///
/// As [`fit`], together with the index of the first dataset whose fit fails. There is no index if the error does not
/// belong to a single fit, for example [`Error::Interrupted`] by the monitor.
pub fn fit_many<F: Float>(
    datasets: &[Dataset<'_>],
    starts: &[Start],
    options: &[FitOptions],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Vec<Optimum>, (Option<usize>, Error)> {
    let mut all = Vec::new();
    while all.len() < datasets.len() {
        let first = all.len();
        let one = |place: usize, source: &dyn Source, threads, mut stopped: Stopped<'_>| {
            let options = FitOptions {
                threads,
                ..options[first + place].clone()
            };
            let start = starts[first + place].clone();
            solve(source, F::PRECISION, start, &options, &mut stopped)
        };
        let group = &datasets[first..datasets.len().min(first + TOGETHER)];
        let run = |job: &mut Job<'_>| Together::new(group, threads).run(one, job);
        let optima = Job::new(threads, monitor).and_then(|mut job| run(&mut job));
        for optimum in optima.map_err(|error| (None, error))? {
            all.push(optimum.map_err(|error| (Some(all.len()), error))?);
        }
    }
    Ok(all)
}

impl FitObserver for Stopped<'_> {
    fn iteration(&mut self, _: &Iteration<'_>) -> ControlFlow<()> {
        self.poll()
    }
}

/// [`fit`] for rows on disk or on other machines, such as [`Chunks`](crate::Chunks). The result has the same bits as
/// that of [`fit`]. `labels` has the labels of these rows, without X: see [`Dataset::of_labels`]. If a log is given,
/// the answers that it has recorded are used before any row is read.
///
/// # Errors
///
/// As [`fit`]; also any error of the rows and of the log.
pub fn fit_distant<F: Float>(
    rows: &dyn DistantRows,
    labels: &Dataset<'_>,
    log: Option<&dyn Log>,
    start: Start,
    options: &FitOptions,
    observer: &mut dyn FitObserver,
) -> Result<Optimum, Error> {
    let source = Distant::new(rows, log, *labels);
    solve(&source, F::PRECISION, start, options, observer)
}

/// Is told of an optimum, and returns true if it is to be the last.
pub type IsLast<'a> = &'a mut dyn FnMut(&Optimum) -> bool;

/// [`fit`] with one penalty after the other, each from the optimum before it; the first from `start`. The `options` of
/// the fits differ in penalty and solver alone. `is_last` is called with each optimum, and may end the fits. With l1 or
/// bounds, a fit also begins with what the fit before it has computed, such as Hessians, so that its bits are others
/// than those of [`fit`].
///
/// # Errors
///
/// As [`fit`].
pub fn fit_along<F: Float>(
    dataset: &Dataset<'_>,
    start: Start,
    options: &mut dyn Iterator<Item = FitOptions>,
    observer: &mut dyn FitObserver,
    is_last: IsLast<'_>,
) -> Result<Vec<Optimum>, Error> {
    let source = Arrays(*dataset, None);
    solve_along(&source, F::PRECISION, start, options, observer, is_last)
}

/// [`fit_along`] for rows on disk or on other machines, as [`fit_distant`].
///
/// # Errors
///
/// As [`fit_distant`].
pub fn fit_distant_along<F: Float>(
    (rows, labels, log): (&dyn DistantRows, &Dataset<'_>, Option<&dyn Log>),
    start: Start,
    options: &mut dyn Iterator<Item = FitOptions>,
    observer: &mut dyn FitObserver,
    is_last: IsLast<'_>,
) -> Result<Vec<Optimum>, Error> {
    let source = Distant::new(rows, log, *labels);
    solve_along(&source, F::PRECISION, start, options, observer, is_last)
}

/// At most this many penalties are in memory at a time.
const PENALTIES: usize = 1 << 10;
/// If weights have penalties of their own, the penalties in memory are those of at most this many weights.
const PENALISED: usize = 1 << 20;

/// [`fit_along`] for any source of rows.
fn solve_along(
    source: &dyn Source,
    precision: Precision,
    mut start: Start,
    options: &mut dyn Iterator<Item = FitOptions>,
    observer: &mut dyn FitObserver,
    is_last: IsLast<'_>,
) -> Result<Vec<Optimum>, Error> {
    let mut options = options.peekable();
    let mut found: Vec<Optimum> = Vec::new();
    while let Some(first) = options.next() {
        let (solver, size) = (first.solver, first.penalty.size());
        let most = PENALTIES.min(PENALISED / size).max(1);
        let mut given = vec![first];
        while given.len() < most
            && let Some(next) = options.next_if(|next| next.solver == solver)
        {
            given.push(next);
        }
        let problem = Problem::new(source, precision, &start, &given, observer)?;
        let mut left = given.as_slice();
        while !left.is_empty() {
            let before = found.len();
            let has_ended = problem.fit_along(start, left, observer, &mut |optimum: Optimum| {
                let is_last = is_last(&optimum) || optimum.stop_reason == StopReason::Callback;
                found.push(optimum);
                is_last
            })?;
            if has_ended {
                return Ok(found);
            }
            left = &left[found.len() - before..];
            start = found.last().map(Optimum::as_start).unwrap_or_default();
        }
    }
    Ok(found)
}

/// [`fit`] for any source of rows. Weights and biases are rounded to `precision`.
fn solve(
    source: &dyn Source,
    precision: Precision,
    start: Start,
    options: &FitOptions,
    observer: &mut dyn FitObserver,
) -> Result<Optimum, Error> {
    let given = std::slice::from_ref(options);
    Problem::new(source, precision, &start, given, observer)?.fit(start, options, 0, observer)
}

/// The rows of one or more fits, the checked labels, and the penalties of the fits.
struct Problem<'a> {
    source: &'a dyn Source,
    labels: Labels,
    precision: Precision,
    penalties: Vec<Penalty>,
}

impl<'a> Problem<'a> {
    /// Reads the labels, and checks start and options.
    fn new(
        source: &'a dyn Source,
        precision: Precision,
        start: &Start,
        options: &[FitOptions],
        observer: &mut dyn FitObserver,
    ) -> Result<Self, Error> {
        options.iter().try_for_each(FitOptions::check)?;
        let threads = options
            .first()
            .map_or(Threads::ONE, |options| options.threads);
        let labels = source.labels(precision, &mut Job::new(threads, observer)?)?;
        start.check(source.columns(), labels.scores, precision)?;
        let penalties = options.iter().map(|options| {
            let penalty = options.penalty.clone().rounded(precision);
            penalty.check_finite()?;
            penalty.check_classes(labels.scores)?;
            Ok(penalty)
        });
        let penalties = penalties.collect::<Result<_, Error>>()?;
        check_offset_scores(source.offsets(), labels.scores)?;
        if options
            .iter()
            .any(|options| options.solver == Solver::Firth)
            && labels.scores > 1
        {
            return Err(Error::Conflict {
                argument: "firth",
                expected: "False for three classes or more",
                got: format!("True for {} classes", labels.scores),
            });
        }
        let columns = source.columns() as u128;
        let vectors = VECTORS * labels.scores as u128;
        check_room(
            columns.saturating_mul(vectors),
            "weights",
            columns,
            "columns of X",
        )?;
        Ok(Problem {
            source,
            labels,
            precision,
            penalties,
        })
    }

    fn objective<'o>(&self, penalty: &'o Penalty, options: &FitOptions) -> Objective<'o>
    where
        'a: 'o,
    {
        let Problem {
            source,
            labels,
            precision,
            ..
        } = self;
        Objective::new(*source, labels, penalty, options.fit_bias, *precision)
    }

    /// Whether all labels are of one class, so that a bias alone predicts them.
    fn is_of_one_class(&self, options: &FitOptions) -> bool {
        options.fit_bias && self.labels.are_equal
    }

    /// The fit with the penalty of this number.
    fn fit(
        &self,
        start: Start,
        options: &FitOptions,
        number: usize,
        observer: &mut dyn FitObserver,
    ) -> Result<Optimum, Error> {
        let (source, labels) = (self.source, &self.labels);
        let penalty = self.penalties[number].clone();
        if start.weights.is_none() && !self.is_of_one_class(options) {
            let objective = self.objective(&penalty, options);
            match options.solver {
                Solver::Lbfgs => stages::plan(&objective)?,
                Solver::Proximal => proximal::plan(&objective)?,
                Solver::Gd | Solver::Firth => {}
            }
        }
        let mut run = self.run(&penalty, options, observer)?;
        let goal = options.goal();
        if options.solver == Solver::Firth {
            // Room for the matrices that are in memory at the same time: the Gram matrix, its Cholesky factor, the
            // inverse of the factor, and the matrices in the sums over rows.
            let elements = 8 * (source.columns() as u128 + 1).pow(2);
            check_room(elements, "X", elements, "elements of its information")?;
            let objective = self.objective(&penalty, options);
            let starts = initial::starts_for_firth(&objective, labels, start, &mut run)?;
            let (proof, is_near) = firth::minimise(&objective, starts, goal, &mut run)?;
            return Ok(optimum(&objective, proof, is_near, (options, &mut run)));
        }
        let (mut start, mut excluded) = (Some(start), Vec::new());
        let (mut penalty, mut aliased) = (penalty, Vec::new());
        let (objective, mut proof) = loop {
            let objective = Objective {
                excluded: &excluded,
                ..self.objective(&penalty, options)
            };
            let outcome = if self.is_of_one_class(options) {
                let solution = initial::without_second_class(&objective, labels, &mut run)?;
                prove(&objective, solution, goal, &mut run)?
            } else {
                let start = start.take().unwrap_or_default();
                let start = initial::begin(&objective, labels, start, &mut run)?;
                let run = &mut run;
                match options.solver {
                    Solver::Lbfgs => {
                        let solution = by_lbfgs(&objective, start, options, run)?;
                        prove(&objective, solution, goal, run)?
                    }
                    Solver::Gd => {
                        let solution = by_gradient_descent(&objective, &start, options, run)?;
                        prove(&objective, solution, goal, run)?
                    }
                    Solver::Proximal => {
                        let proof = proximal::minimise(&objective, &start, goal, run)?;
                        if aliased.is_empty() && proof.is_open(goal) {
                            aliased = unpenalised::aliases(&objective, run)?;
                        }
                        let left_out: Vec<usize> =
                            aliased.iter().map(|alias| alias.column).collect();
                        match left_out == excluded {
                            true => Outcome::Known(proof),
                            false => Outcome::Without(left_out),
                        }
                    }
                    Solver::Firth => unreachable!("returned above"),
                }
            };
            match outcome {
                Outcome::Known(proof) => break (objective, proof),
                Outcome::Without(columns) => {
                    if options.solver == Solver::Proximal {
                        penalty = penalty.without(&columns);
                    }
                    excluded = columns;
                }
            }
        };
        self.search_if_open(&objective, &mut proof, goal, &mut run)?;
        proof.aliased.append(&mut aliased);
        let converged = goal.is_met(proof.gap, &proof.iterate);
        Ok(optimum(&objective, proof, converged, (options, &mut run)))
    }

    /// The fits with the last penalties, one for each of `options`, each from the optimum before it. `tell` is called
    /// with each optimum, and returns true to end the fits. Returns whether the fits have been ended so; otherwise
    /// there was at least one fit.
    fn fit_along(
        &self,
        start: Start,
        options: &[FitOptions],
        observer: &mut dyn FitObserver,
        tell: &mut dyn FnMut(Optimum) -> bool,
    ) -> Result<bool, Error> {
        let first = self.penalties.len() - options.len();
        let given = &options[0];
        if given.solver != Solver::Proximal || self.is_of_one_class(given) {
            return Ok(tell(self.fit(start, given, first, observer)?));
        }
        let goal = given.goal();
        let mut penalties = self.penalties[first..].iter();
        let Some(penalty) = penalties.next() else {
            return Ok(true);
        };
        let objective = self.objective(penalty, given);
        let mut run = self.run(penalty, given, observer)?;
        let beginning = initial::begin(&objective, &self.labels, start.clone(), &mut run)?;
        let (mut is_told, mut has_ended) = (false, false);
        proximal::along(
            &objective,
            &beginning,
            goal,
            &mut run,
            &mut |objective, mut proof, run| {
                if proof.is_open(goal) && !unpenalised::aliases(objective, run)?.is_empty() {
                    return Ok(None); // this fit must begin again without columns
                }
                self.search_if_open(objective, &mut proof, goal, run)?;
                let converged = goal.is_met(proof.gap, &proof.iterate);
                is_told = true;
                has_ended = tell(optimum(objective, proof, converged, (given, run)));
                Ok(match has_ended {
                    true => None,
                    false => penalties.next(),
                })
            },
        )?;
        drop(run);
        match is_told {
            true => Ok(has_ended),
            false => Ok(tell(self.fit(start, given, first, observer)?)),
        }
    }

    /// The state of a new fit.
    fn run<'o>(
        &self,
        penalty: &Penalty,
        options: &FitOptions,
        observer: &'o mut dyn FitObserver,
    ) -> Result<Run<'o>, Error> {
        let basis = self.source.basis(options.fit_bias, !penalty.is_none())?;
        Run::new(observer, options.threads, options.max_passes, basis)
    }

    /// If the gap is not proved, searches for a hyperplane that separates the labels.
    fn search_if_open(
        &self,
        objective: &Objective<'_>,
        proof: &mut Proof,
        goal: Goal,
        run: &mut Run<'_>,
    ) -> Result<(), Error> {
        if proof.is_open(goal)
            && let Some(direction) = unpenalised::search(objective, self.labels.are_classes, run)?
        {
            (proof.stop_reason, proof.separation) = (StopReason::Separated, Some(direction));
        }
        Ok(())
    }
}

/// The result of a fit: the iterate of a proof, and the facts that the proof shows. The passes and the history of `run`
/// begin anew.
fn optimum(
    objective: &Objective<'_>,
    proof: Proof,
    converged: bool,
    (options, run): (&FitOptions, &mut Run<'_>),
) -> Optimum {
    let (passes, history) = run.take_history();
    let Proof {
        iterate,
        gap,
        aliased,
        stop_reason,
        separation,
    } = proof;
    let apart = |v: &[f64]| {
        let (weights, biases) = objective.split(v);
        (weights.to_vec(), biases.to_vec())
    };
    let (weights, biases) = apart(&iterate.v);
    Optimum {
        weights,
        biases,
        loss: iterate.value.loss,
        objective: iterate.value.objective,
        gradient_norm: iterate.value.gradient_norm,
        gap,
        converged,
        aliased,
        solver: options.solver,
        stop_reason,
        passes,
        history,
        separation: separation.as_deref().map(apart),
    }
}

/// Minimises by preconditioned L-BFGS.
fn by_lbfgs(
    objective: &Objective<'_>,
    start: Beginning,
    options: &FitOptions,
    run: &mut Run<'_>,
) -> Result<Solution, Error> {
    let tol = options.tol.unwrap_or(GRADIENT);
    // Some passes are held back for the certificate, which proves the gap by the Hessian and makes Newton steps.
    let all = run.max_passes;
    if options.certify && options.tol.is_none() {
        run.max_passes = f64::max(0.5 * all, all - NEWTON_PASSES);
    }
    let solution = stages::minimise(objective, start, tol, run);
    run.max_passes = all;
    solution
}

/// Minimises by gradient descent with the optimal step length and momentum of each iteration.
fn by_gradient_descent(
    objective: &Objective<'_>,
    start: &Beginning,
    options: &FitOptions,
    run: &mut Run<'_>,
) -> Result<Solution, Error> {
    let precision = Precision::Double;
    let until = [options.tol.unwrap_or(GRADIENT), plane_search::AT_REST];
    let mut iterate = start.iterate(objective, precision, run)?;
    // If rounding errors ended the descent, it is started again from its last iterate, until a new descent brings no
    // improvement.
    loop {
        let before = iterate.value.clone();
        let solution = plane_search::minimise(objective, iterate, until, precision, run)?;
        let after = &solution.iterate.value;
        let is_better = after.objective < before.objective - before.rounding(precision)
            || after.gradient_norm < 0.5 * before.gradient_norm;
        if solution.stop_reason != StopReason::Precision || !is_better {
            return Ok(solution);
        }
        iterate = solution.iterate;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::{Cell, RefCell};
    use std::ops::Range;

    use super::*;
    use crate::elements::Elements;
    use crate::matrix::Matrix;
    use crate::reduce::Unmonitored;
    use crate::shuffle::Random;
    use crate::source::{Chunks, ReadRows, UNIT, answer};
    use crate::vector::Vector;

    /// Rows in memory that answer in parts of 1, 2, 3, 1, … units. Counts how many rows have been read.
    struct Uneven<'a> {
        x: &'a Matrix<'a>,
        labels: Dataset<'a>,
        read: Cell<usize>,
    }

    impl DistantRows for Uneven<'_> {
        fn ask(
            &self,
            request: &[u8],
            job: &mut Job<'_>,
            take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
        ) -> Result<(), Error> {
            let m = self.x.rows();
            self.read.set(self.read.get() + m);
            let (mut first, mut units) = (0, 1);
            while first < m {
                let rows = first..m.min(first + units * UNIT);
                let x = self.x.part(rows.clone());
                let part = |rows: &Dataset<'_>| answer(request, first, &x, rows, job);
                take(&self.labels.with_part(&x, rows, part)?)?;
                (first, units) = (first + units * UNIT, units % 3 + 1);
            }
            Ok(())
        }
    }

    struct Counted {
        x: Vec<f64>,
        columns: usize,
        read: Cell<usize>,
    }

    impl ReadRows for Counted {
        fn read(
            &self,
            rows: Range<usize>,
            _: Range<usize>,
            work: &mut dyn FnMut(&Matrix<'_>) -> Result<(), Error>,
        ) -> Result<(), Error> {
            self.read.set(self.read.get() + rows.len());
            let x = &self.x[rows.start * self.columns..rows.end * self.columns];
            work(&Matrix::from_rows(
                Elements::F64(x),
                rows.len(),
                self.columns,
            )?)
        }
    }

    /// Requests and their answers.
    #[derive(Default)]
    struct Recorded {
        records: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
        recalled: Cell<usize>,
    }

    impl Log for Recorded {
        fn recall(&self, request: &[u8]) -> Result<Option<Vec<u8>>, Error> {
            let records = self.records.borrow();
            let Some((known, answer)) = records.get(self.recalled.get()) else {
                return Ok(None);
            };
            assert_eq!(known, request);
            self.recalled.set(self.recalled.get() + 1);
            Ok(Some(answer.clone()))
        }

        fn record(&self, request: &[u8], answer: &[u8]) -> Result<(), Error> {
            let mut records = self.records.borrow_mut();
            records.push((request.to_vec(), answer.to_vec()));
            self.recalled.set(records.len());
            Ok(())
        }
    }

    /// The numbers of a result as bits (of the history, only the objectives), and the rest of the result as text.
    fn bits(optimum: &Optimum) -> (Vec<u64>, String) {
        let Optimum {
            weights,
            biases,
            loss,
            objective,
            gradient_norm,
            gap,
            converged,
            aliased,
            solver,
            stop_reason,
            passes,
            history,
            separation,
        } = optimum;
        let numbers = [*loss, *objective, *gradient_norm, *gap, *passes];
        let history = history.iter().map(|record| record.objective);
        let all = (weights.iter().chain(biases).copied())
            .chain(numbers)
            .chain(history);
        let words = format!("{converged} {aliased:?} {solver:?} {stop_reason:?} {separation:?}");
        (all.map(f64::to_bits).collect(), words)
    }

    /// Rows of `n` columns, with labels and sample weights. The third column, if there is one, is the sum of the first
    /// two.
    fn problem(m: usize, n: usize, classes: usize, seed: u64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let mut random = Random::new(seed);
        let (mut x, mut y, mut s) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..m {
            let row: Vec<f64> = (0..n).map(|_| 4.0 * random.uniform() - 1.0).collect();
            let noise = 6.0 * random.uniform();
            y.push(((row[0] - row[1] + noise).max(0.0) as usize % classes) as f64);
            s.push(if i % 11 == 3 {
                0.0
            } else {
                0.5 + random.uniform()
            });
            x.extend(row);
        }
        if n > 8 {
            x.chunks_exact_mut(n)
                .for_each(|row| row[8] = row[0] + row[1]);
        }
        (x, y, s)
    }

    fn options(l1: f64, l2: f64, solver: Solver) -> FitOptions {
        FitOptions {
            penalty: Penalty::new(l2).unwrap().with_l1(l1).unwrap(),
            fit_bias: true,
            solver,
            tol: None,
            gap_tol: 1e-8,
            certify: true,
            max_passes: 200.0,
            threads: Threads::new(Some(2)).unwrap(),
        }
    }

    #[test]
    fn fits_that_read_together_have_the_bits_of_each_alone() {
        let (m, n) = (5000, 12);
        let (x, binary, s) = problem(m, n, 2, 7);
        let (_, classes, _) = problem(m, n, 3, 8);
        let [binary, classes, s] = [&binary, &classes, &s].map(|values| Vector::from_slice(values));
        let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
        let fits = [
            (&binary, None, 0.0, 1e-3, Solver::Lbfgs),
            (&binary, Some(&s), 0.0, 0.0, Solver::Lbfgs),
            (&classes, Some(&s), 0.0, 1e-2, Solver::Lbfgs),
            (&binary, None, 1e-2, 1e-3, Solver::Proximal),
            (&binary, Some(&s), 0.0, 1e-1, Solver::Gd),
        ];
        let datasets = fits.map(|(y, s, ..)| Dataset::new(&matrix, y, s).unwrap());
        let options = fits.map(|(_, _, l1, l2, solver)| options(l1, l2, solver));
        let starts = vec![Start::default(); fits.len()];
        let alone = datasets.iter().zip(&options).map(|(dataset, options)| {
            let mut monitor = Unmonitored;
            fit::<f64>(dataset, Start::default(), options, &mut monitor).unwrap()
        });
        let alone: Vec<_> = alone.map(|optimum| bits(&optimum)).collect();
        for count in [1, 2, 7] {
            let threads = Threads::new(Some(count)).unwrap();
            let mut monitor = Unmonitored;
            let together = fit_many::<f64>(&datasets, &starts, &options, threads, &mut monitor);
            let together: Vec<_> = together.unwrap().iter().map(bits).collect();
            assert_eq!(together, alone, "{count} threads");
        }
    }

    #[test]
    fn distant_rows_give_the_bits_of_arrays() {
        let (lbfgs, gd, proximal) = (Solver::Lbfgs, Solver::Gd, Solver::Proximal);
        for (m, n, classes, weighted, l1, l2, solver) in [
            (9000, 3, 2, false, 0.0, 1e-3, lbfgs),
            (9000, 12, 2, true, 0.0, 0.0, lbfgs),
            (2048, 12, 2, false, 0.0, 1e-6, lbfgs),
            (70, 300, 2, true, 0.0, 1e-3, lbfgs),
            (5000, 12, 2, true, 0.0, 1e-3, gd),
            (6000, 12, 2, true, 1e-2, 1e-3, proximal),
            (5000, 90, 2, false, 3e-2, 0.0, proximal),
            (9000, 5, 2, true, 0.0, 0.0, Solver::Firth),
            (7000, 9, 3, true, 0.0, 1e-3, lbfgs),
            (7000, 9, 3, false, 0.0, 0.0, lbfgs),
            (5000, 4, 3, false, 0.0, 1e-2, gd),
            (5000, 9, 3, true, 1e-2, 0.0, proximal),
        ] {
            let (x, y, s) = problem(m, n, classes, 7);
            let (y, s) = (Vector::from_slice(&y), Vector::from_slice(&s));
            let weights = weighted.then_some(&s);
            let options = options(l1, l2, solver);
            let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
            let arrays = Arrays(Dataset::new(&matrix, &y, weights).unwrap(), None);
            let fit = |source: &dyn Source| {
                let (double, start) = (Precision::Double, Start::default());
                solve(source, double, start, &options, &mut Unmonitored).unwrap()
            };
            let want = fit(&arrays);
            let case = format!("{m}x{n}, {classes} classes, {l1} {l2} {solver:?}");
            let labels = Dataset::of_labels(n, &y, weights).unwrap();
            let reader = Counted {
                x: x.clone(),
                columns: n,
                read: Cell::new(0),
            };
            let chunks = Chunks::of_size(&reader, labels, UNIT);
            let got = fit(&Distant::new(&chunks, None, labels));
            assert_eq!(bits(&got), bits(&want), "{case}");
            // `passes` counts a sample as a fraction of a pass. Here one read of the rows answers several requests: the
            // sample, the rows from which the basis is estimated, and often a request that is known to follow.
            let reads = reader.read.get() as f64 / m as f64;
            let most = got.passes + if solver == lbfgs { 0.0 } else { 1.0 };
            assert!(reads <= most, "{reads} reads, {most} at most: {case}");
            let uneven = Uneven {
                x: &matrix,
                labels,
                read: Cell::new(0),
            };
            let log = Recorded::default();
            // Without room for copies of columns, questions about columns are answered from the rows themselves.
            let got = fit(&Distant::new(&uneven, Some(&log), labels).with_room(0));
            assert_eq!(bits(&got), bits(&want), "{case}, in parts");
            // With all answers recorded, the fit is repeated without reading a row. If the last answers are missing,
            // rows are read from the first missing answer on.
            let (all, whole) = (log.records.borrow().len(), uneven.read.get());
            for (missing, reads) in [(0, 0), (1, m), (all, whole)] {
                let mut records = log.records.borrow_mut();
                let kept = records.len() - missing;
                records.truncate(kept);
                drop(records);
                log.recalled.set(0);
                uneven.read.set(0);
                let got = fit(&Distant::new(&uneven, Some(&log), labels).with_room(0));
                assert_eq!(bits(&got), bits(&want), "{case}, repeated");
                assert_eq!(uneven.read.get(), reads, "{case}");
            }
        }
    }
}
