//! Instructions that the hot kernels take, counted by callgrind and compared with `instructions.txt`: a guard against
//! regressions on machines whose clocks are too noisy.
//!
//! ```text
//! cargo bench -p gradstep-core --bench instructions               compares; fails where a kernel takes more
//! cargo bench -p gradstep-core --bench instructions -- --update   writes what it counts
//! ```
//!
//! Each kernel runs in a process of its own under valgrind, once and three times: half the difference is one run, without
//! what prepares it. The counts hold for the compiler that `instructions.txt` names.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::process::{Command, ExitCode};

use gradstep_core::{
    Activation, Dataset, Elements, Float, Function, Isa, Job, Matrix, Options, Parameters, Penalty,
    Points, Reduction, Start, Threads, Unmonitored, Vector, apply, cross_entropy, descend, loss,
    loss_gradient, predict_proba,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A kernel takes more than expected if it takes this much more.
const TOLERANCE: f64 = 0.03;
/// Instruction sets that valgrind knows.
const ISAS: [Isa; 2] = [Isa::Portable, Isa::Avx2];
/// Read when it is needed: a new one takes no new build.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// A kernel on small data: what it is called, how many rows or elements one run takes, and the run.
struct Kernel {
    name: &'static str,
    items: usize,
    run: fn(repeats: usize) -> Outcome<()>,
}

const KERNELS: [Kernel; 13] = [
    kernel("loss_gradient f64 2048x2", 2048, |k| {
        gradient::<f64>(k, 2048, 2, false)
    }),
    kernel("loss_gradient f64 512x28", 512, |k| {
        gradient::<f64>(k, 512, 28, false)
    }),
    kernel("loss_gradient f64 512x28 Fortran order", 512, |k| {
        gradient::<f64>(k, 512, 28, true)
    }),
    kernel("loss_gradient f64 256x200", 256, |k| {
        gradient::<f64>(k, 256, 200, false)
    }),
    kernel("loss_gradient f32 512x28", 512, |k| {
        gradient::<f32>(k, 512, 28, false)
    }),
    kernel("loss f64 512x28", 512, loss_of_512),
    kernel("predict_proba f64 512x28", 512, predictions_of_512),
    kernel("cross_entropy 2048", 2048, cross_entropy_of_2048),
    kernel("sigmoid f64 4096", 4096, |k| {
        function::<f64>(k, Function::Sigmoid)
    }),
    kernel("sigmoid f32 4096", 4096, |k| {
        function::<f32>(k, Function::Sigmoid)
    }),
    kernel("log_sigmoid f64 4096", 4096, |k| {
        function::<f64>(k, Function::LogSigmoid)
    }),
    kernel("point by point f64 512x2", 512, |k| points(k, 512, 2)),
    kernel("point by point f64 512x28", 512, |k| points(k, 512, 28)),
];

const fn kernel(name: &'static str, items: usize, run: fn(usize) -> Outcome<()>) -> Kernel {
    Kernel { name, items, run }
}

// --- the kernels ------------------------------------------------------------------------------------------------------

/// Numbers in [-1, 1): the high bits of a linear congruential generator, the same everywhere.
fn numbers(count: usize) -> Vec<f64> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn converted<F: Float>(values: Vec<f64>) -> Vec<F> {
    values.into_iter().map(F::from_f64).collect()
}

fn labels(count: usize) -> Vec<f64> {
    let label = |x: f64| if x > 0.0 { 1.0 } else { 0.0 };
    numbers(count).into_iter().map(label).collect()
}

fn gradient<F: Float>(repeats: usize, m: usize, n: usize, fortran: bool) -> Outcome<()> {
    let (x, weights) = (converted::<F>(numbers(m * n)), converted::<F>(numbers(n)));
    let strides = if fortran {
        (1, m as isize)
    } else {
        (n as isize, 1)
    };
    let x = Matrix::new(Elements::of(&x), 0, (m, n), strides)?;
    let y = labels(m);
    let y = Vector::from_slice(&y);
    for _ in 0..repeats {
        loss_gradient(
            &Dataset::new(&x, &y, None)?,
            &Parameters::of_one_score(Activation::Sigmoid, &weights, &F::ZERO),
            &mut Job::new(Threads::ONE, &mut Unmonitored)?,
        )?;
    }
    Ok(())
}

fn loss_of_512(repeats: usize) -> Outcome<()> {
    let (x, y, weights) = (numbers(512 * 28), labels(512), numbers(28));
    let x = Matrix::from_rows(Elements::F64(&x), 512, 28)?;
    let y = Vector::from_slice(&y);
    for _ in 0..repeats {
        loss(
            &Dataset::new(&x, &y, None)?,
            &Parameters::of_one_score(Activation::Sigmoid, &weights, &0.0),
            &mut Job::new(Threads::ONE, &mut Unmonitored)?,
        )?;
    }
    Ok(())
}

fn predictions_of_512(repeats: usize) -> Outcome<()> {
    let (x, weights, mut out) = (numbers(512 * 28), numbers(28), vec![0.0; 512]);
    let x = Matrix::from_rows(Elements::F64(&x), 512, 28)?;
    for _ in 0..repeats {
        predict_proba(
            &x,
            &Parameters::of_one_score(Activation::Sigmoid, &weights, &0.0),
            &mut out,
            &mut Job::new(Threads::ONE, &mut Unmonitored)?,
        )?;
    }
    Ok(())
}

fn cross_entropy_of_2048(repeats: usize) -> Outcome<()> {
    let (y, y_hat) = (labels(2048), numbers(2048));
    let y_hat: Vec<f64> = y_hat.iter().map(|x| (x + 1.0) / 2.0).collect();
    let (y, y_hat) = (Vector::from_slice(&y), Vector::from_slice(&y_hat));
    for _ in 0..repeats {
        cross_entropy(
            &y,
            &y_hat,
            None,
            &mut Job::new(Threads::ONE, &mut Unmonitored)?,
        )?;
    }
    Ok(())
}

fn function<F: Float>(repeats: usize, function: Function) -> Outcome<()> {
    let z = converted::<F>(numbers(4096));
    let mut out = vec![F::ZERO; 4096];
    for _ in 0..repeats {
        apply(
            function,
            &z,
            &mut out,
            &mut Job::new(Threads::ONE, &mut Unmonitored)?,
        )?;
    }
    Ok(())
}

fn points(repeats: usize, m: usize, n: usize) -> Outcome<()> {
    let (x, y) = (numbers(m * n), labels(m));
    let x = Matrix::from_rows(Elements::F64(&x), m, n)?;
    let options = Options {
        learning_rate: 0.1,
        epochs: repeats,
        batch_size: Some(1),
        shuffle: None,
        reduction: Reduction::Mean,
        activation: Activation::Sigmoid,
        penalty: Penalty::NONE,
        fit_bias: true,
        tol: 0.0,
        threads: Threads::ONE,
        trace: false,
    };
    let y = Vector::from_slice(&y);
    descend::<f64>(
        &Points::Arrays(Dataset::new(&x, &y, None)?),
        &Start::default(),
        &options,
        &mut Unmonitored,
    )?;
    Ok(())
}

// --- counting ---------------------------------------------------------------------------------------------------------

/// Instructions that this program takes to run a kernel so many times.
fn count(kernel: &Kernel, isa: Isa, repeats: usize) -> Outcome<f64> {
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--run", kernel.name, &repeats.to_string()])
        .env("GRADSTEP_ISA", isa.name())
        .output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .filter(|_| done.status.success())
        .ok_or_else(|| format!("{} on {}: {said}", kernel.name, isa.name()))?;
    Ok(collected.1.trim().parse()?)
}

fn per_item(kernel: &Kernel, isa: Isa) -> Outcome<f64> {
    let (once, thrice) = (count(kernel, isa, 1)?, count(kernel, isa, 3)?);
    Ok((thrice - once) / 2.0 / kernel.items as f64)
}

/// The expected counts by instruction set and kernel.
fn expected(table: &str) -> BTreeMap<(&str, &str), f64> {
    let entry = |line| {
        let (isa, rest) = str::split_once(line, ' ')?;
        let (count, name) = rest.trim_start().split_once(' ')?;
        Some(((isa, name), count.parse().ok()?))
    };
    table.lines().filter_map(entry).collect()
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output();
    version.map_or_else(
        |_| "an unknown compiler".to_owned(),
        |done| String::from_utf8_lossy(&done.stdout).trim().to_owned(),
    )
}

/// Whether no kernel takes more than expected.
fn compare(update: bool) -> Outcome<bool> {
    let before = std::fs::read_to_string(TABLE)?;
    let expected = expected(&before);
    let head = format!("# instructions per row or element, {}", compiler());
    if !update && before.lines().next() != Some(&head) {
        println!(
            "skipped: instructions.txt was counted with another compiler; --update counts with this one"
        );
        return Ok(true);
    }
    let mut table = head + "\n";
    let mut fine = true;
    for isa in ISAS {
        if !Isa::available().any(|available| available == isa) {
            println!("{} skipped: this machine has not that", isa.name());
            continue;
        }
        for kernel in &KERNELS {
            let got = per_item(kernel, isa)?;
            let line = format!("{:8} {got:9.1} {}", isa.name(), kernel.name);
            let verdict = match expected.get(&(isa.name(), kernel.name)) {
                _ if update => String::new(),
                None => {
                    fine = false;
                    "not in the table: run with --update".to_owned()
                }
                Some(&want) => {
                    let change = got / want - 1.0;
                    fine &= change <= TOLERANCE;
                    let word = match change {
                        _ if change > TOLERANCE => ", too many",
                        _ if change < -TOLERANCE => ", fewer: run with --update",
                        _ => "",
                    };
                    format!("{:+.1} % of {want}{word}", 100.0 * change)
                }
            };
            println!("{line:60} {verdict}");
            writeln!(table, "{line}")?;
        }
    }
    if update {
        std::fs::write(TABLE, table)?;
        println!("written to {TABLE}");
    }
    Ok(fine)
}

fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [_, "--run", name, repeats] = words[..] {
        let kernel = KERNELS.iter().find(|kernel| kernel.name == name);
        (kernel.ok_or("no such kernel")?.run)(repeats.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: counting instructions needs valgrind, which is not installed");
        return Ok(ExitCode::SUCCESS);
    }
    if compare(words.contains(&"--update"))? {
        return Ok(ExitCode::SUCCESS);
    }
    println!("instructions.txt does not allow this");
    Ok(ExitCode::FAILURE)
}
