//! The formulas of one variable, over arrays.

use fearless_simd::prelude::*;

use crate::error::Error;
use crate::float::Float;
use crate::math;
use crate::parallel::{self, Monitor, Threads};
use crate::simd::{self, dispatch};

/// A function of one variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// σ(z) = 1 / (1 + e^-z)
    Sigmoid,
    /// σ'(z) = σ(z)·(1 − σ(z))
    SigmoidDerivative,
    /// ln σ(z)
    LogSigmoid,
}

/// Elements a thread takes at a time: some ten microseconds of work.
const BLOCK: usize = 1 << 14;

/// Replaces every element by the function's value, within 1 ULP, for any float.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub fn apply<F: Float>(
    function: Function,
    values: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let level = simd::level()?;
    parallel::map(
        threads,
        values.chunks_mut(BLOCK).collect(),
        || (),
        |(), block: &mut [F]| dispatch!(level, simd => map_in_place(simd, block, function)),
        monitor,
    )?;
    Ok(())
}

#[inline(always)]
pub(crate) fn map_in_place<F: Float, S: Simd>(simd: S, values: &mut [F], function: Function) {
    match function {
        Function::Sigmoid => map(simd, values, Sigmoid),
        Function::SigmoidDerivative => map(simd, values, SigmoidDerivative),
        Function::LogSigmoid => map(simd, values, LogSigmoid),
    }
}

/// A function known at compile time, so that its body is inlined into the loop.
trait OneVariable: Copy {
    fn at<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(self, z: V) -> V;
}

macro_rules! one_variable {
    ($name:ident, $formula:path) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl OneVariable for $name {
            #[inline(always)]
            fn at<F: Float, S: Simd, V: SimdFloat<S, Element = F>>(self, z: V) -> V {
                $formula(z)
            }
        }
    };
}

one_variable!(Sigmoid, math::sigmoid);
one_variable!(SigmoidDerivative, math::sigmoid_derivative);
one_variable!(LogSigmoid, math::log_sigmoid);

#[inline(always)]
fn map<F: Float, S: Simd>(simd: S, values: &mut [F], function: impl OneVariable) {
    let mut chunks = values.chunks_exact_mut(F::LANES);
    for chunk in &mut chunks {
        function
            .at(F::Lanes::<S>::from_slice(simd, chunk))
            .store_slice(chunk);
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        let mut lanes = [F::ZERO; 16];
        lanes[..rest.len()].copy_from_slice(rest);
        function
            .at(F::Lanes::<S>::from_slice(simd, &lanes[..F::LANES]))
            .store_slice(&mut lanes[..F::LANES]);
        rest.copy_from_slice(&lanes[..rest.len()]);
    }
}
