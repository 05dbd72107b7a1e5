"""show_config: the version, the instruction set, the threads and the platform, for bug reports and benchmarks."""

from __future__ import annotations

import os
import platform
from typing import Any, Literal, overload

import numpy as np

from gradstep._native import __version__, configuration


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, dict[str, Any]]: ...
def show_config(mode: str = "stdout") -> dict[str, dict[str, Any]] | None:
    """Show the version, the instruction set and number of threads in use with the reason for each, and the platform.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        Whether to print these facts or to return them, as for `numpy.show_config`.

    Returns
    -------
    dict of dicts, or None
        With ``mode="dicts"`` the sections that would be printed: ``gradstep``, ``instruction set``, ``threads``,
        ``python``, ``numpy`` and ``platform``.

    Raises
    ------
    ValueError
        If `mode` is another word, or an environment variable has a bad value: ``GRADSTEP_ISA`` must name an instruction
        set of this machine, ``GRADSTEP_NUM_THREADS`` and ``OMP_NUM_THREADS`` must be positive integers.

    Notes
    -----
    The instruction set is chosen once per process, the number of threads for ``n_threads=None`` in every call. Results
    do not depend on either.

    Examples
    --------
    >>> config = gradstep.show_config(mode="dicts")
    >>> config["instruction set"]["available"][0]
    'portable'
    >>> config["gradstep"]["version"] == gradstep.__version__
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be one of 'stdout', 'dicts', got {mode!r}")
    sections = _sections()
    if mode == "dicts":
        return sections
    for title, section in sections.items():
        print(f"{title}:")
        for name, value in section.items():
            print(f"  {name}: {', '.join(value) if isinstance(value, list) else value}")
    return None


def _sections() -> dict[str, dict[str, Any]]:
    facts = configuration()
    return {
        "gradstep": {"version": __version__},
        "instruction set": _instruction_set(facts),
        "threads": _threads(facts),
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "numpy": {"version": np.__version__},
        "platform": {"system": platform.platform(), "machine": platform.machine()},
    }


def _instruction_set(facts: dict[str, Any]) -> dict[str, Any]:
    used, available = facts["isa"], facts["isas"]
    # The instruction set was chosen at its first use. GRADSTEP_ISA may have been set, changed or removed since then.
    told = used != available[-1] or os.environ.get("GRADSTEP_ISA") == used
    return {"used": used, "why": "GRADSTEP_ISA" if told else "the strongest available", "available": available}


def _threads(facts: dict[str, Any]) -> dict[str, Any]:
    machine, affinity, available = os.cpu_count() or 1, _affinity(), facts["cpus"]
    if available < affinity:
        limit = "the quota of the control group"
    elif affinity < machine:
        limit = "the CPU affinity"
    else:
        limit = "the CPUs of this machine"
    variable, asked = facts["variable"], facts["variable_threads"]
    if variable is None:
        why = limit
    elif asked > available:
        why = f"{variable}={asked}, but not more than {limit}"
    else:
        why = variable
    return {
        "n_threads=None means": facts["threads"],
        "why": why,
        "CPUs of this machine": machine,
        "CPUs in the affinity": affinity,
        "CPUs available": available,
        "GRADSTEP_NUM_THREADS": os.environ.get("GRADSTEP_NUM_THREADS"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }


def _affinity() -> int:
    """The number of CPUs on which this process may run; all, if the operating system has no CPU affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
