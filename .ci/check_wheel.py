"""Checks the wheel (first argument) and the source distribution (second argument).

They must have one version number in all places, require NumPy alone, and hold the licences and the list of the crates
that are linked in; the wheel must hold nothing that users do not need.
"""

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

wheel = zipfile.ZipFile(sys.argv[1])
version = tomllib.loads(Path("Cargo.toml").read_text())["workspace"]["package"]["version"]
info = f"gradstep-{version}.dist-info"


def demand(truth: object, complaint: str) -> None:
    if not truth:
        sys.exit(f"{sys.argv[1]}: {complaint}")


held = wheel.namelist()
demand(f"{info}/METADATA" in held, f"must hold {info}, as Cargo.toml has the version, got {held}")
metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
bill = json.loads(wheel.read(f"{info}/sboms/gradstep-python.cyclonedx.json"))
changes = re.search(r"^## \[(.+?)\]", Path("CHANGELOG.md").read_text(), re.MULTILINE)
for name, got in {
    "METADATA": metadata["Version"],
    "the software bill of materials": bill["metadata"]["component"]["version"],
    "the first heading of CHANGELOG.md": changes and changes[1],
}.items():
    demand(got == version, f"{name} must have version {version}, got {got}")

required = [each for each in metadata.get_all("Requires-Dist") if "extra ==" not in each]
demand(required == ["numpy>=1.26"], f"must require NumPy alone, got {required}")

for licence in metadata.get_all("License-File"):
    want = Path(licence).read_bytes()
    demand(want and wheel.read(f"{info}/licenses/{licence}") == want, f"{licence} must be that of the sources")
third_parties = wheel.read(f"{info}/licenses/rust/THIRD-PARTY-LICENSES").decode()

# The crates that are linked in: those that build scripts, macros or tests alone use are not among them.
tree = "cargo tree --package gradstep-python --locked --edges normal,no-proc-macro --prefix none --format {p}"
lines = subprocess.run(tree.split(), check=True, capture_output=True, text=True).stdout.splitlines()
linked = {tuple(line.split()[:2]) for line in lines if "(proc-macro)" not in line}
listed = {(each["name"], f"v{each['version']}") for each in [*bill["components"], bill["metadata"]["component"]]}
demand(linked <= listed, f"its software bill of materials must list {sorted(linked - listed)}")
for name, number in sorted(linked):
    if not name.startswith("gradstep"):
        entry = f"{name} {number[1:]}"
        demand(entry in third_parties, f"rust/THIRD-PARTY-LICENSES must have {entry}: see docs/contributing.md")

native = [name for name in held if name.endswith((".so", ".pyd"))]
demand(native == ["gradstep/_native.abi3.so"], f"must hold one native module, got {native}")
pages = {f"gradstep/_page/page.{suffix}" for suffix in ("html", "css", "js")}
demand(pages <= set(held), f"must hold {sorted(pages - set(held))}")
demand("gradstep/py.typed" in held and "gradstep/_native.pyi" in held, "must hold the types")
stray = [name for name in held if not name.startswith(("gradstep/", info))]
demand(not stray, f"must hold nothing else, got {stray}")

with tarfile.open(sys.argv[2]) as sdist:
    inside = {name.partition("/")[2] for name in sdist.getnames()}
needed = {"Cargo.lock", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", ".ci/run"}
needed |= {"docs/promises.md", "tests/helpers/oracle.py"}
demand(needed <= inside, f"the source distribution must hold {sorted(needed - inside)}")
print(f"{Path(sys.argv[1]).name}: version {version}, {len(listed)} crates listed, {len(linked)} linked, with licences")
