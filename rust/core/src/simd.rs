//! The instruction set in use, and how kernels are compiled for each instruction set.
//!
//! Every kernel is one generic function over vectors of fixed width (`Float::Lanes`): 8 lanes for `f64`, 16 for `f32`,
//! however wide the registers of the machine are. [`fearless_simd`] supplies these vectors, and chooses the instruction
//! set at run time. Kernels are `#[inline(always)]` and are called through `dispatch!`, which compiles them once for
//! each instruction set. All instruction sets give the same bits, because products are fused with additions
//! ([`MulAdd`]) on each of them.

use std::sync::OnceLock;

pub(crate) use fearless_simd::Level;
use fearless_simd::prelude::*;

use crate::error::Error;

/// The environment variable that forces an instruction set.
const VARIABLE: &str = "GRADSTEP_ISA";

/// An instruction set for which kernels are compiled. The variants are in order, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// The instructions that every CPU of the architecture has.
    Portable,
    /// x86-64-v3: AVX2 and FMA.
    Avx2,
    /// The AVX-512 extensions of Intel's Ice Lake CPUs.
    Avx512,
}

impl Isa {
    /// All instruction sets, weakest first.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// The name of this instruction set as a value of `GRADSTEP_ISA`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// The instruction sets that this machine can run, weakest first.
    pub fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.level().is_some())
    }

    pub(crate) fn level(self) -> Option<Level> {
        match self {
            Isa::Portable => Some(Level::baseline()),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Level::new().as_avx2().map(Level::Avx2),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Level::new().as_avx512().map(Level::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => None,
        }
    }
}

/// The instruction set in use: the one that the variable `GRADSTEP_ISA` names; if the variable is not set, the
/// strongest one that this machine has. Decided once per process.
///
/// # Errors
///
/// [`Error::Isa`] if the variable does not name an instruction set, or names one that this machine cannot run.
pub fn isa() -> Result<Isa, Error> {
    static CHOICE: OnceLock<Result<Isa, Error>> = OnceLock::new();
    CHOICE
        .get_or_init(|| {
            choose(std::env::var_os(VARIABLE).map(|v| v.to_string_lossy().into_owned()))
        })
        .clone()
}

fn choose(requested: Option<String>) -> Result<Isa, Error> {
    let strongest = Isa::available().last().unwrap_or(Isa::Portable);
    match requested {
        None => Ok(strongest),
        Some(name) => Isa::available()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| Error::Isa {
                available: Isa::available().map(Isa::name).collect(),
                got: name,
            }),
    }
}

/// Compiles an expression once for each [`Isa`], and runs the version for `level`:
/// `dispatch!(level, simd => f(simd, x))`.
///
/// Functions called in the expression must be `#[inline(always)]`, and so must the functions that they call. The macro
/// of `fearless_simd` is not used, because it would also compile the expression for instruction sets that are not in
/// [`Isa`].
macro_rules! dispatch {
    ($level:expr, $simd:ident => $body:expr) => {{
        let level: $crate::simd::Level = $level;
        $crate::simd::by_level!(level, $simd => $body)
    }};
}
pub(crate) use dispatch;

#[cfg(target_arch = "x86_64")]
macro_rules! by_level {
    ($level:ident, $simd:ident => $body:expr) => {
        if let Some($simd) = $level.as_avx512() {
            fearless_simd::Simd::vectorize(
                $simd,
                #[inline(always)]
                || $body,
            )
        } else if let Some($simd) = $level.as_avx2() {
            fearless_simd::Simd::vectorize(
                $simd,
                #[inline(always)]
                || $body,
            )
        } else if let Some($simd) = $level.as_sse2() {
            fearless_simd::Simd::vectorize(
                $simd,
                #[inline(always)]
                || $body,
            )
        } else {
            unreachable!("SSE2 is part of x86-64")
        }
    };
}
#[cfg(not(target_arch = "x86_64"))]
macro_rules! by_level {
    ($level:ident, $simd:ident => $body:expr) => {
        fearless_simd::dispatch!($level, $simd => $body)
    };
}
pub(crate) use by_level;

/// The instruction set in use, as the [`Level`] that `fearless_simd` and [`dispatch`] take.
///
/// # Errors
///
/// As [`isa`].
pub(crate) fn level() -> Result<Level, Error> {
    Ok(isa()?.level().unwrap_or(Level::baseline()))
}

/// Gives SIMD vectors the method `mul_add_fused`: `self · a + b`, rounded once.
pub(crate) trait MulAdd<S: Simd>: SimdFloat<S> {
    #[inline(always)]
    fn mul_add_fused(self, a: impl SimdInto<Self, S>, b: impl SimdInto<Self, S>) -> Self {
        let simd = self.token();
        let (a, b) = (a.simd_into(simd), b.simd_into(simd));
        match simd.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Sse2(_) => emulated(self, a, b),
            _ => self.mul_add_precise(a, b),
        }
    }
}

impl<S: Simd, V: SimdFloat<S>> MulAdd<S> for V {}

/// A fused multiply-add, for CPUs without such an instruction. The code is long, so it is not inlined.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn emulated<S: Simd, V: SimdFloat<S>>(x: V, a: V, b: V) -> V {
    x.mul_add_precise(a, b)
}

/// Whether the instruction set has 32 registers of 512 bits. The others have at most 16 of 256 bits.
#[inline(always)]
pub(crate) fn is_roomy<S: Simd>(simd: S) -> bool {
    match simd.level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512(_) => true,
        _ => false,
    }
}
